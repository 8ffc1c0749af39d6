"""What a validation says in words, and when it says that nothing speaks against a choice."""

from __future__ import annotations

import math

import pytest

from llmguide.sweeps.verdict import unchecked, verdict_of

GOOD = {
    "train": 1.4,
    "test": 1.2,
    "beaten": 0.9,
    "pbo": 0.1,
    "deflated_sharpe": 0.97,
    "hurdle": 0.6,
    "trials": 202,
}


def test_a_choice_that_passes_everything_holds_up():
    verdict = verdict_of(GOOD, "sharpe")
    assert verdict.holds is True
    assert str(verdict).startswith("Holds up out of sample. Its Sharpe ratio went from 1.40")


@pytest.mark.parametrize(
    ("changed", "headline", "first"),
    [
        ({"pbo": 0.67}, "Likely overfit", "The probability of backtest overfitting is 67 %, no better than choosing"),
        ({"beaten": 0.4}, "Likely overfit", "On the later bars it beats 40 % of the other combinations"),
        ({"test": -0.2}, "Likely overfit", "Its Sharpe ratio went from 1.40 where it was chosen to −0.20"),
        ({"test": math.nan, "beaten": math.nan}, "Likely overfit", "On the later bars it has no Sharpe ratio"),
        ({"deflated_sharpe": 0.6}, "Not shown to be more than luck", "The luckiest of 202 combinations reaches"),
    ],
)
def test_what_speaks_against_it_comes_first(changed, headline, first):
    verdict = verdict_of(GOOD | changed, "sharpe")
    assert verdict.holds is False
    assert verdict.headline == headline
    assert verdict.reasons[0].startswith(first)


def test_where_neither_probability_is_known_nothing_is_claimed():
    verdict = verdict_of(GOOD | {"pbo": math.nan, "deflated_sharpe": math.nan}, "sharpe")
    assert verdict.holds is None
    assert "not checked for overfitting" in verdict.headline


def test_a_smaller_drawdown_is_no_loss():
    verdict = verdict_of(GOOD | {"train": 0.2, "test": 0.0}, "max_drawdown")
    assert verdict.holds is True
    assert "maximum drawdown went from 20.0 % where it was chosen to 0.0 %" in str(verdict)


def test_a_sweep_that_was_not_validated_says_how_many_were_tried():
    verdict = unchecked(202)
    assert verdict.holds is None
    assert "The best of 202 combinations owes part of its result to luck" in str(verdict)
    assert "nothing was selected" in str(unchecked(1))
