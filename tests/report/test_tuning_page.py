"""The page of a tuned prompt: what it claims, and that nothing a model wrote is more than text in it."""

from __future__ import annotations

import pandas as pd
import pytest

from llmguide.report.tuning_page import Gain, TuningData, Year, render_tuning_page, summary

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
DAYS = pd.bdate_range("2018-01-01", periods=3)


def gain(verdict="open", difference=0.5, low=-0.2, high=1.1, p=0.2):
    months = {"tuned": 1, "untuned": 1, "hold": 0}
    rows = [("ACME", name, 0.4, 0.1, 0.05, 3, count, 0) for name, count in months.items()]
    columns = ["symbol", "account", "sr", "mdd", "total_return", "bars", "months", "abstentions"]
    values = {name: pd.DataFrame({"ACME": [1.0, 1.1, 1.2]}, index=DAYS) for name in months}
    return Gain(difference, low, high, 0.95, 3, p, verdict, pd.DataFrame(rows, columns=columns), values)


def data(test=None, text="A template.", tried=1, failure=""):
    row = {
        "repeat": 1,
        "round": 1,
        "sharpe": 0.9,
        "baseline": 0.1,
        "target": 0.8,
        "regret": -0.1,
        "draft": "ab",
        "instructions": HOSTILE,
        "features": HOSTILE,
        "why": HOSTILE,
        "failure": failure,
        "criticism": HOSTILE,
    }
    finals = pd.DataFrame(
        {"prompt": ["P0", "repeat 1, round 1"], "written_for": [0, 1], "repeat": [1, 1], "sharpe": [0.1, 0.9]}
    )
    year = Year(1, (HOSTILE,), 3, 1, ((HOSTILE, 2, 1),), (HOSTILE,))
    settings = {"tried": tried, "unusable": 1 - tried, "target": 0.8, "model": HOSTILE}
    return TuningData(
        pd.DataFrame([row]), finals, [year], "P0", text, "repeat 1, round 1", 0.6, test, settings, "TF-IDF and k-means"
    )


@pytest.mark.parametrize("test", [None, gain()])
def test_what_a_model_wrote_is_text_wherever_it_stands(test):
    for page in (
        render_tuning_page(data(test, text=HOSTILE)),
        render_tuning_page(data(test, text=HOSTILE, failure=HOSTILE)),
    ):
        assert "<script" not in page
        assert "<img" not in page
        assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("verdict", "difference", "said"),
    [
        ("open", 0.5, "+0.50 (95 % interval −0.20 to 1.10, p 0.200): no gain that can be distinguished from chance."),
        ("higher", 0.5, ": a gain."),
        ("lower", -0.5, "by −0.50 (95 % interval −0.20 to 1.10, p 0.200): a loss."),
    ],
)
def test_the_lead_says_what_the_test_says(verdict, difference, said):
    assert summary(data(gain(verdict, difference))).endswith(said)


def test_where_nothing_was_traded_no_difference_is_claimed():
    nan = float("nan")
    said = summary(data(gain("open", nan, nan, nan, 1.0)))
    assert said.endswith("one of the two prompts led to no trade: there is no difference to measure.")


def test_without_a_test_or_a_template_nothing_is_claimed():
    assert summary(data()).startswith("1 prompt was tried on training bars. The chosen one earned a mean Sharpe ratio")
    assert summary(data()).endswith("It was not tested on later bars: its out-of-sample gain is unknown.")
    nothing = data(text="", tried=0, failure="no words")
    assert summary(nothing).endswith("1 proposal could not be used: there is no tuned prompt, and P0 is unchanged.")
    page = render_tuning_page(nothing)
    assert "The writer gave nothing usable." in page
    assert "Not used: no words" in page
