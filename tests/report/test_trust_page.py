"""The page of whom a mixture trusted: every number is the review's, and what it says in front is so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from page_text import text_of_page

import llmguide
from llmguide import sample_bars
from llmguide.guidance.controls import constant, oracle
from llmguide.mixture import MovingAverages, Prior, Sides, review
from llmguide.mixture.trust import MIXTURE
from llmguide.report.trust_page import render_trust_page, summary, write_trust_page

BARS = sample_bars(years=3, seed=4)


@pytest.fixture(scope="module")
def found():
    experts = {
        "gpt <4>": Sides(np.resize(np.repeat([1.0, -1.0, np.nan], 25), len(BARS))),
        "gemma": MovingAverages(3, 15),
        "hold": "hold",
    }
    return review(llmguide.mix(BARS, experts), BARS.index[504])


def test_the_sentence_in_front_names_the_most_trusted_expert_and_its_record(found):
    text = summary(found)
    trust = found.trust.sort_values("weight", ascending=False)
    top = trust.iloc[0]
    assert text.startswith(f"{trust.index[0]} had the most weight: mean {top['weight']:.2f} in the 222 traded bars")
    bars = f"{top['first_bars']:,.0f} to {top['last_bars']:,.0f} bars of its own"
    assert f"because its record over {bars} beside the prior was on average " in text
    assert f"{abs(top['record']):.3f} standard deviations of the market a bar, against {trust.index[1]} " in text
    assert f"a Sharpe ratio of {found.measures.loc[MIXTURE, 'sharpe']:.2f} after cost".replace("-", "−") in text
    first, second = trust.index[:2]
    assert f" were on opposite sides ({_apart(found, first, second):,} of " in text


def _apart(found, *names):
    pairs = found.agreement
    return pairs[pairs["a"].isin(names) & pairs["b"].isin(names)]["apart"].item()


def test_the_page_shows_each_table_of_the_review_and_escapes_names(found, tmp_path):
    path = write_trust_page(found, tmp_path / "page.html", title="Whom it trusted", remarks=["Filled later."])
    text = " ".join(text_of_page(path).split())
    assert "gpt <4>" in text
    assert "<4>" not in path.read_text(encoding="utf-8")
    assert "Filled later." in text
    for name, row in found.measures.iterrows():
        cells = f"{name} {row['sharpe']:.2f} {100 * row['max_drawdown']:.1f} % {100 * row['total_return']:.1f} %"
        assert cells.replace("-", "−") in text
    for name, row in found.contributions.iterrows():
        cells = " ".join(f"{100 * row[part] + 0.0:.2f} %" for part in ("gain", "cost", "net"))
        assert f"{name} {cells}".replace("-", "−") in text
    total = found.contributions["net"].sum()
    assert f"{100 * total:.2f} %".replace("-", "−") in text
    disputed = found.months.index[found.months["disputed"] >= 0.5]
    assert 0 < len(disputed) < len(found.months)
    assert f"In {len(disputed)} of {len(found.months)} months two experts were on opposite sides" in text
    for month in disputed:
        results = found.month_results.loc[month]
        right = ", ".join(name for name in results.index if results[name] > 0) or "nobody"
        row = text[text.index(f"{month} ") :]
        assert right in row[:250]
    assert "USES THE FUTURE" not in text
    assert "knowledge of later bars" not in text
    assert text.count("Whom it trusted") >= 2


def test_the_same_review_gives_the_same_page(found):
    assert render_trust_page(found) == render_trust_page(found)


def test_a_control_is_marked_above_everything(tmp_path):
    mixed = llmguide.mix(BARS, {"knows": oracle(BARS), "same": constant(BARS)})
    text = text_of_page(write_trust_page(review(mixed, BARS.index[504]), tmp_path / "page.html"))
    assert text.index("knowledge of later bars") < text.index("knows had the most weight")


def test_nobody_trusted_one_expert_and_no_dispute_are_said(tmp_path):
    mixed = llmguide.mix(BARS, {"wrong": Sides(np.ones(len(BARS)), prior=Prior(-5.0, 1e9))})
    alone = review(mixed)
    assert summary(alone).startswith("No expert had any weight on the 726 traded bars")
    assert "n/a" in summary(alone)  # an account that never trades has no Sharpe ratio
    text = text_of_page(write_trust_page(alone, tmp_path / "page.html"))
    assert "There is one expert only." in text
    assert "In none of the " in text
    assert "no earlier bars" in text


def test_many_disputed_months_are_folded_away():
    bars = sample_bars(years=6, seed=1)
    both = {"bull": Sides(np.ones(len(bars))), "bear": Sides(-np.ones(len(bars)))}
    page = render_trust_page(review(llmguide.mix(bars, both)))
    months = pd.DatetimeIndex(bars.index[30:]).to_period("M").nunique()
    assert f"All {months} disputed months" in page


def test_limits_and_all_in_are_said():
    mixed = llmguide.mix(BARS, {"hold": "hold", "trend": MovingAverages(3, 15)})
    page = render_trust_page(review(mixed, all_in=True, long_only=True, max_leverage=0.5, band=0.1))
    assert "the sign of the position, all in; long only, at most 50 % of the account, band 10.0 %, cost 0.10 %" in page
