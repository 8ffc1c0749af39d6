"""What the kernel's one pass over sums must not lose: small spreads of large numbers, zeros, odd numbers of bars."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from llmguide import metrics
from llmguide.sweeps import sweep


def frame(closes):
    return pd.DataFrame(
        {"close": np.asarray(closes, dtype=float)}, index=pd.bdate_range("2020-01-01", periods=len(closes), name="date")
    )


def held_long(closes, **call):
    """Sweep the one combination that buys at bar 1 and holds, and return its row and its account."""
    swept = sweep(frame(closes), np.ones(len(closes) - 1, int), start=1, cost=0.0, **call)
    return swept.frame.iloc[0], swept.account({})


@pytest.mark.parametrize("bars", [2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 35, 64, 67, 503])
def test_sums_of_any_number_of_bars_are_whole(bars):
    # Several bars are added up at a time; what is left over at the end counts as well.
    closes = 50.0 * np.exp(np.random.default_rng(bars).normal(0.0, 0.02, bars).cumsum())
    row, account = held_long(closes)
    performance = metrics.performance(account)
    for name, expected in {
        "sharpe": performance.sharpe_ratio,
        "sortino": performance.sortino_ratio,
        "max_drawdown": performance.max_drawdown,
        "turnover": account["holdings"].iloc[1] / account["value"].mean() * 252 / bars,
    }.items():
        assert row[name] == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True), name


def test_losses_that_hardly_differ_still_have_their_spread():
    # A sum of squares keeps no digit of a spread 1e-8 times the mean.
    wobble = np.random.default_rng(0).normal(0.0, 1e-10, 200)
    row, account = held_long(100.0 * np.cumprod(0.99 + wobble), cash=1e15)
    losses = account["returns"][2:].to_numpy()
    assert 1e-11 < losses.std() < 1e-9
    assert row["sortino"] == pytest.approx(math.sqrt(252) * account["returns"].mean() / losses.std(), rel=1e-6)
    assert row["sharpe"] == pytest.approx(metrics.sharpe_ratio(account["returns"]), rel=1e-9)


def test_losses_that_differ_by_rounding_alone_have_no_spread():
    row, _ = held_long(100.0 * np.cumprod(np.full(200, 0.99)), cash=1e15)
    assert math.isnan(row["sortino"])
    assert row["sharpe"] < 0


def test_the_bar_after_a_value_of_zero_has_no_return():
    # At 20, the 100 shares sold at 10 cost all that the account has; at 21, when they are bought back, more than that.
    closes = [10, 10, 20, 21, 21]
    swept = sweep(frame(closes), np.zeros(4, int), start=1, cost=0.0, cash=1_000.0)
    assert swept.account()["value"].tolist() == [1_000, 1_000, 0, -100, -100]
    row = swept.frame.iloc[0]
    assert row["sharpe"] == pytest.approx(math.sqrt(252) * -0.2 / np.std([0, 0, -1, 0, 0], ddof=1))
    assert row["max_drawdown"] == pytest.approx(1.1)
    assert row["total_return"] == pytest.approx(-1.1)
    assert row["exposure"] == 2 / 5
    assert row["turnover"] == pytest.approx((1_000 + 2_100) / (1_800 / 5) * 252 / 5)
