"""The kernel against the measures of llmguide, an account in plain Python, and vectorbt."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmguide
from llmguide import metrics, simulate
from llmguide.errors import DataError
from llmguide.sweeps import engines, sweep
from llmguide.sweeps.kernels import MEASURES


def frame(closes):
    return pd.DataFrame(
        {"close": np.asarray(closes, dtype=float)}, index=pd.bdate_range("2020-01-01", periods=len(closes), name="date")
    )


def measured(values, holdings, traded, cash, dates):
    """All measures of an account, by `llmguide.metrics` and from its trades."""
    returns = np.zeros(len(values))
    moved = values[:-1] != 0
    returns[1:][moved] = np.diff(values)[moved] / values[:-1][moved]
    sign = np.sign(holdings)
    annual = metrics.annual_return(returns, dates)
    mean = values.mean()
    return {
        "sharpe": metrics.sharpe_ratio(returns),
        "sortino": metrics.sortino_ratio(np.where(np.abs(returns) < 1e-15, 0.0, returns)),
        "max_drawdown": metrics.max_drawdown(values),
        "total_return": values[-1] / cash - 1,
        "annual_return": annual if math.isfinite(annual) else math.nan,
        "trades": int(((sign != 0) & (sign != np.append(0, sign[:-1]))).sum()),
        "exposure": (holdings != 0).mean(),
        "turnover": traded / mean * 252 / len(values) if mean > 0 else math.nan,
    }


@given(
    closes=st.lists(st.integers(1, 60), min_size=6, max_size=40),
    words=st.data(),
    cost=st.sampled_from([0.0, 0.001, 0.05]),
    delay=st.integers(0, 2),
    stop_loss=st.sampled_from([math.inf, 0.05, 0.3]),
    start=st.integers(1, 3),
)
def test_the_kernel_equals_an_account_in_plain_python(slow, closes, words, cost, delay, stop_loss, start):
    wanted = words.draw(st.lists(st.sampled_from([1, 1, 0, 0, -1]), min_size=len(closes), max_size=len(closes)))[start:]
    bars = frame(closes)
    swept = sweep(bars, np.array(wanted), cash=5_000.0, cost=cost, delay=delay, stop_loss=stop_loss, start=start)
    values, holdings, traded = slow(
        closes, wanted, cash=5_000.0, cost=cost, start=start, delay=delay, stop_loss=stop_loss
    )
    account = swept.account(swept.frame.index[0])
    solvent = np.append(np.flatnonzero(values <= 0), len(values))[0]  # later it trades on by formulas (see account.py)
    np.testing.assert_allclose(account["value"].iloc[:solvent], values[:solvent], rtol=1e-12)
    if solvent < len(values):
        return
    expected = measured(values, holdings, traded, 5_000.0, bars.index)
    for name, value in swept.frame.iloc[0].items():
        assert value == pytest.approx(expected[name], rel=1e-9, abs=1e-9, nan_ok=True), name


@given(seed=st.integers(0, 10_000), cost=st.sampled_from([0.0, 0.001, 0.01]), start=st.integers(1, 40))
def test_without_flat_the_account_is_that_of_simulate(make_bars, seed, cost, start):
    bars = make_bars(90, seed)
    wanted = np.random.default_rng(seed).integers(0, 2, 90 - start)
    swept = sweep(bars, wanted, cost=cost, start=start)
    only = swept.frame.index[0]
    expected = simulate(bars, wanted, cost=cost, start=start)
    pd.testing.assert_frame_equal(swept.account(only), expected.drop(columns="reward"))
    performance = metrics.performance(expected)
    row = swept.frame.iloc[0]
    assert row["sharpe"] == pytest.approx(performance.sharpe_ratio, abs=1e-9)
    if cost:  # without cost, a purchase can lose as much as it is rounded, which must not count as a loss
        assert row["sortino"] == pytest.approx(performance.sortino_ratio, abs=1e-9)
    assert row["max_drawdown"] == pytest.approx(performance.max_drawdown, abs=1e-12)
    assert row["annual_return"] == pytest.approx(performance.annual_return, rel=1e-9)
    assert row["trades"] == performance.positions


def test_a_stop_loss_leaves_at_the_next_close_and_waits_for_another_decision():
    # Bought at 100; at 94 the loss is known, and it is sold at 90. Long again is no news until short has been said.
    closes = [100, 100, 94, 90, 120, 120, 120, 110]
    wanted = [1, 1, 1, 1, 0, 1, 1]
    swept = sweep(frame(closes), np.array(wanted), start=1, cost=0.0, stop_loss=[0.05, math.inf], cash=1_000.0)
    assert swept.decisions({"stop_loss": 0.05}).tolist() == [1, 1, -1, -1, 0, 1, 1]
    assert swept.account({"stop_loss": 0.05})["value"].tolist() == [1000, 1000, 940, 900, 900, 900, 900, 830]
    assert swept.decisions({"stop_loss": math.inf}).tolist() == wanted
    assert swept.frame["trades"].tolist() == [3, 3]


def test_a_short_is_stopped_when_the_price_rises():
    swept = sweep(frame([100, 100, 104, 106, 50]), np.zeros(4, int), start=1, cost=0.0, stop_loss=0.05, cash=1_000.0)
    assert swept.decisions().tolist() == [0, 0, 0, -1]


def test_a_delay_carries_every_decision_out_later(make_bars):
    bars = make_bars(60)
    wanted = np.random.default_rng(1).integers(0, 2, 40)
    swept = sweep(bars, wanted, start=20, delay=[0, 3])
    np.testing.assert_array_equal(swept.decisions({"delay": 3})[3:], wanted[:-3])
    assert (swept.decisions({"delay": 3})[:3] == -1).all()


def test_undefined_measures_are_nan_and_nothing_is_infinite():
    flat = np.full((39, 2), -1)
    flat[:, 1] = 1
    swept = sweep(frame([10.0] * 20 + [1e-3] * 20), flat, start=1, cost=0.0, cash=5.0)
    never = swept.frame.iloc[0]
    assert never[["sharpe", "sortino"]].isna().all()
    assert never[["max_drawdown", "trades", "exposure", "turnover", "total_return"]].tolist() == [0, 0, 0, 0, 0]
    assert swept.frame.iloc[1]["trades"] == 0  # five dollars buy no share at ten, and long stays long
    rich = sweep(frame([1.0, 1.0, 1e9]), np.ones(2, int), start=1, cost=0.0)
    assert not np.isinf(rich.frame.to_numpy()).any()
    assert math.isnan(rich.frame["annual_return"].item())


def test_the_same_call_gives_the_same_bits_whatever_the_chunks_and_threads(make_bars, monkeypatch):
    bars = make_bars(100)
    call = {"short": range(1, 12), "long": range(5, 25), "stop_loss": [0.1, math.inf]}
    first = sweep(bars, "trend", **call)
    pd.testing.assert_frame_equal(first.frame, sweep(bars, "trend", threads=1, **call).frame, check_exact=True)
    monkeypatch.setattr(engines, "CHUNK", 700)
    pd.testing.assert_frame_equal(first.frame, sweep(bars, "trend", **call).frame, check_exact=True)


def test_the_number_of_threads_is_left_as_it_was(make_bars):
    import numba

    before = numba.get_num_threads()
    sweep(make_bars(60), "trend", short=1, long=2, threads=1)
    assert numba.get_num_threads() == before
    with pytest.raises(llmguide.LlmguideError, match=r"threads=0 cannot be had: .* between 1 and"):
        sweep(make_bars(60), "trend", short=1, long=2, threads=0)


@pytest.mark.parametrize("settings", [{"cash": 0.0}, {"start": 0}, {"start": 60}])
def test_an_impossible_account_is_refused(make_bars, settings):
    with pytest.raises(DataError):
        sweep(make_bars(60), np.ones(60, int), **settings)


@pytest.mark.slow
@pytest.mark.real_bars
@pytest.mark.parametrize("symbol", ["AAPL", "TSLA", "JPM"])
def test_on_real_bars_the_kernel_equals_the_measures_of_llmguide(real_bars, symbol):
    bars = real_bars(symbol, "test")
    swept = sweep(bars, "reversion", short=[1, 8], long=[13, 20], cost=[0.0005, 0.002])
    for label in swept.frame.index:
        performance = metrics.performance(swept.account(label))
        row = swept.frame.loc[label]
        assert row["sharpe"] == pytest.approx(performance.sharpe_ratio, abs=1e-9)
        assert row["sortino"] == pytest.approx(performance.sortino_ratio, abs=1e-9)
        assert row["max_drawdown"] == pytest.approx(performance.max_drawdown, abs=1e-12)
        assert row["annual_return"] == pytest.approx(performance.annual_return, abs=1e-9)


def assert_engines_agree(bars, rule, **call):
    ours, theirs = (sweep(bars, rule, engine=engine, **call).frame for engine in ("stream", "vbt"))
    np.testing.assert_array_equal(ours.isna(), theirs.isna())
    for name in MEASURES:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-9, err_msg=name)
    return ours


@pytest.mark.slow  # vectorbt compiles for ten seconds
def test_vectorbt_measures_the_same_on_a_made_market_with_stops_and_delays(make_bars):
    measures = assert_engines_agree(
        make_bars(200), "trend", short=[1, 3], long=[8, 21], cost=[0.0, 0.01], delay=[0, 2], stop_loss=[0.03, math.inf]
    )
    assert len(measures) == 32
    idle = assert_engines_agree(make_bars(80), np.full((80, 1), -1))
    assert idle["sharpe"].isna().all()  # infinite in vectorbt itself


@pytest.mark.slow
def test_vectorbt_measures_the_same_where_a_short_loses_everything():
    closes = [10.0] * 5 + [9.0, 40.0, 35.0, 45.0, 30.0, 20.0, 25.0]
    measures = assert_engines_agree(frame(closes), np.zeros(9, int), start=3)
    assert measures["max_drawdown"].item() > 1


@pytest.mark.slow
@pytest.mark.real_bars
def test_vectorbt_measures_the_same_for_ten_thousand_combinations_of_real_bars(real_bars):
    measures = assert_engines_agree(
        real_bars("AAPL", "test"), "trend",
        short=range(1, 26), long=range(26, 51), start=50, cost=[0.0, 0.002], delay=[0, 2],
        stop_loss=[0.03, 0.08, 0.15, math.inf],
    )  # fmt: skip
    assert len(measures) == 10_000
