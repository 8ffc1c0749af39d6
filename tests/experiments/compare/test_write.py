"""What a comparison's folder and page are made of: months, Q-values, conditions, and the way to make it again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import llmguide
from llmguide import compare, guide, sample_bars
from llmguide.experiments.compare.write import report_data, write_comparison
from llmguide.guidance import Guidance
from llmguide.rl.config import DQNConfig

BARS = sample_bars(years=2, seed=6)
TRAIN, TEST = BARS.iloc[:300], BARS.iloc[300:]
CONFIG = DQNConfig(hidden=16, batch=8, cost=0.002)


@pytest.fixture(scope="module")
def comparison():
    arms = ("hybrid", "rl", "hold")
    return compare(TRAIN, TEST, guide(BARS, "rules"), seeds=2, episodes=1, config=CONFIG, progress=False, arms=arms)


@pytest.fixture(scope="module")
def data(comparison):
    return report_data(comparison)


@pytest.fixture(scope="module")
def folder(comparison, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run"
    write_comparison(comparison, path, seeds=1)
    return path


def test_the_months_are_those_that_test_bars_saw_with_what_became_of_the_price(data, comparison):
    seen = data.guidance["issued_at"].dropna().unique()
    assert data.months["issued_at"].tolist() == [pd.Timestamp(stamp) for stamp in seen]
    rows = {row.issued_at: row for row in comparison.guidance.rows}
    close = BARS["close"]
    for at, month in data.months.iterrows():
        assert month["explanation"] == rows[month["issued_at"]].explanation
        if at + 1 < len(data.months):
            start, end = (close.index.searchsorted(data.months["issued_at"][k]) for k in (at, at + 1))
            assert month["realised"] == pytest.approx(close.iloc[end] / close.iloc[start] - 1)


def test_q_values_are_those_of_every_seed(data, comparison):
    for arm in ("hybrid", "rl"):
        first = comparison.q_values(arm)
        np.testing.assert_array_equal(data.q_values[arm].long[0], first["q_long"])
        np.testing.assert_array_equal(data.q_values[arm].short[0], first["q_short"])
        for seed in (0, 1):
            side = comparison.sides(arm)[seed].iloc[30:]
            higher = np.where(data.q_values[arm].long[seed] > data.q_values[arm].short[seed], 1, -1)
            np.testing.assert_array_equal(higher, side)


def test_without_guidance_there_are_no_months():
    plain = compare(TRAIN, TEST, None, seeds=1, episodes=1, config=CONFIG, progress=False, arms=("rl",))
    assert report_data(plain).months is None


def test_bars_whose_closes_lie_outside_low_to_high_are_spoken_of(comparison, data):
    assert not any("of another scale" in note for note in data.notes)
    odd = TEST.assign(high=TEST["high"].where(TEST.index != TEST.index[3], TEST["close"] * 0.9))
    import dataclasses

    notes = report_data(dataclasses.replace(comparison, test=odd)).notes
    assert any(note.startswith(f"On 1 of {len(TEST)} test bars") for note in notes)


def test_the_folder_holds_the_conditions_and_the_page_their_figures(folder):
    found = pd.read_csv(folder / "sensitivity.csv")
    assert set(found["what"]) == {"cost", "slippage", "fill"}
    assert sorted(found.loc[found["arm"] == "rl", "seed"].unique()) == [0]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Other costs, slippage and fills" in page
    assert "Cost: 0.002" in (folder / "tearsheets" / "rl.html").read_text(encoding="utf-8")


def test_the_call_on_the_page_makes_the_same_comparison_again(folder, comparison, monkeypatch, tmp_path):
    import html
    import re

    page = (folder / "report.html").read_text(encoding="utf-8")
    script = html.unescape(re.search(r"<pre>(import llmguide.*?)</pre>", page, re.DOTALL).group(1))
    assert "DQNConfig(hidden=16, batch=8, cost=0.002)" in script
    bars = iter((TRAIN, TEST))
    monkeypatch.setattr(llmguide, "read_bars", lambda path: next(bars))
    guidance = Guidance.read(folder / "guidance.parquet")
    monkeypatch.setattr(llmguide.Guidance, "read", staticmethod(lambda path: guidance))
    monkeypatch.chdir(tmp_path)
    there: dict[str, object] = {}
    exec(script.replace('comparison.write("again")', ""), there)  # a script of our own making
    pd.testing.assert_frame_equal(there["comparison"].runs, comparison.runs)


def test_a_command_takes_the_place_of_the_call(comparison, undrawn, tmp_path):
    with undrawn():
        path = write_comparison(comparison, tmp_path / "run", command="llmguide compare --seeds 2", seeds=0)
    page = path.read_text(encoding="utf-8")
    assert "<pre>llmguide compare --seeds 2</pre>" in page
    assert not (tmp_path / "run" / "sensitivity.csv").exists()
