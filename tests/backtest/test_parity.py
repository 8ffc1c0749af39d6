"""One account, three engines: Cerebro, `simulate` and vectorbt give the same value at every bar.

The decisions are taken in Cerebro and replayed. On real bars (AAPL and TSLA, train and test) and on made ones chosen
for what can go wrong: a short bought back in parts, a flip on the last bar, an account that is worth nothing or less.
"""

from __future__ import annotations

import numpy as np
import pytest

from llmguide import simulate
from llmguide.backtest import run_backtest
from llmguide.guidance import guide
from llmguide.strategies import BuyAndHold, LLMOnly, SellAndHold

CASH = 100_000.0
TOLERANCE = 1e-6  # of the value, or of the capital where the value is near zero


def replay_simulate(bars, result, cost, **limits):
    decided = result.decisions.to_numpy()
    kind = "decisions" if result.decisions.name == "decision" else "weights"
    return simulate(bars, **{kind: decided}, cash=CASH, cost=cost, start=len(bars) - len(decided), **limits)["value"]


def replay_vectorbt(bars, result, cost, **_):
    import vectorbt as vbt

    # vectorbt never lets the cash fall below zero: it is lent enough of it, and the loan is taken back from the value.
    loan = 100 * CASH
    portfolio = vbt.Portfolio.from_orders(
        bars["close"],
        size=result.sides * result.account["shares"],
        size_type="targetamount",
        fees=cost,
        init_cash=CASH + loan,
        freq="1D",
    )
    return portfolio.value() - loan


ENGINES = [
    replay_simulate,
    pytest.param(replay_vectorbt, marks=pytest.mark.slow),  # compiles for ten seconds
]


def check(engine, bars, result, cost, **limits):
    difference = np.abs(engine(bars, result, cost, **limits).to_numpy() - result.values.to_numpy())
    assert (difference <= TOLERANCE * np.maximum(np.abs(result.values), 1.0)).all()


def scripts(bars, start=30):
    """Decisions of many kinds; the last ones flip on the last bar."""
    count = len(bars) - start
    random = np.random.default_rng(count)
    monthly = np.repeat(random.integers(0, 2, count // 20 + 1), 20)[:count]
    coin = random.integers(0, 2, count)
    mostly_short = (random.random(count) < 0.03).astype(int)
    for script in (monthly, coin, mostly_short, 1 - mostly_short):
        script[-1] = 1 - script[-2]
        yield script


@pytest.mark.real_bars
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("symbol", ["AAPL", "TSLA"])
def test_real_bars(real_bars, scripted, engine, symbol, part):
    bars = real_bars(symbol, part)
    for cost, script in zip((0.001, 0.0, 0.002, 0.001), scripts(bars), strict=True):
        check(engine, bars, run_backtest(bars, scripted, cost=cost, script=script), cost)
    for strategy in (BuyAndHold, SellAndHold):
        check(engine, bars, run_backtest(bars, strategy), 0.001)
    guidance = guide(bars, "oracle", accuracy=0.7, every=11, first=45)
    check(engine, bars, run_backtest(bars, LLMOnly, guidance=guidance), 0.001)


@pytest.mark.real_bars
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("symbol", ["AAPL", "TSLA"])
def test_weights_on_real_bars(real_bars, scripted_weights, engine, symbol):
    bars = real_bars(symbol, "test")
    rng = np.random.default_rng(0)
    for cost, band in ((0.001, 0.05), (0.0, 0.0), (0.002, 0.2)):
        script = np.repeat(rng.uniform(-1, 1, len(bars)), 7)[: len(bars) - 30]
        result = run_backtest(bars, scripted_weights, cost=cost, script=script, band=band)
        check(engine, bars, result, cost, band=band)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("limits", [{"long_only": True}, {"max_leverage": 0.5}, {"max_leverage": 0.5, "band": 0.0}])
def test_decisions_under_limits(make_bars, scripted, engine, limits):
    bars = make_bars(150, 3)
    for script in scripts(bars):
        result = run_backtest(bars, scripted, script=script, **limits)
        assert set(result.orders["status"]) == {"Completed"}
        check(engine, bars, result, 0.001, **limits)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("volatility", [0.005, 0.03, 0.3])
def test_made_bars(make_bars, scripted, engine, volatility):
    bars = make_bars(150, 3, volatility=volatility)
    for script in scripts(bars):
        result = run_backtest(bars, scripted, script=script)
        assert set(result.orders["status"]) == {"Completed"}
        check(engine, bars, result, 0.001)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_short_bought_back_in_parts(at_prices, engine):
    # A 2 % rise on every bar: past +82 % the cash no longer covers another tenth, and parts are bought back.
    bars = at_prices([10.0 * 1.02**k for k in range(64)])
    result = run_backtest(bars, SellAndHold)
    held = result.account["shares"].iloc[30:]
    assert held.nunique() >= 3
    assert held.iloc[-1] > 0
    check(engine, bars, result, 0.001)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("script", [[0] * 4, [0, 0, 1, 1], [0, 0, 1, 0], [1, 0, 1, 1]])
def test_a_short_that_loses_everything_and_more(at_prices, scripted, engine, script):
    bars = at_prices([10.0] * 32 + [45.0, 47.0])
    result = run_backtest(bars, scripted, script=script)
    assert result.values.iloc[-1] < 0
    assert not result.decisions.iloc[1:].any()
    check(engine, bars, result, 0.001)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("script", [[0, 0, 0, 1], [1, 1, 1, 0]])
def test_a_flip_on_the_last_bar(at_prices, scripted, engine, script):
    bars = at_prices([10.0] * 31 + [11.0, 12.0, 13.0])
    result = run_backtest(bars, scripted, script=script)
    assert result.orders["filled_on"].iloc[-1] == bars.index[-1]
    check(engine, bars, result, 0.001)
