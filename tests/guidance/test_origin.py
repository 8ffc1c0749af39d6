"""A table knows the bars that it was made from, and is refused on others."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmguide import TradingEnv, compare, guide, sample_bars, sweep, train_dqn
from llmguide.backtest import run_backtest
from llmguide.errors import DataError, DataWarning, GuidanceError
from llmguide.guidance import Guidance
from llmguide.guidance.controls import inverted, shuffled
from llmguide.guidance.schedule import daily_bars
from llmguide.strategies import LLMOnly

BARS = sample_bars(years=3, seed=1)
OTHER = sample_bars(years=3, seed=2)
TABLE = guide(BARS, "rules").made_from(BARS, symbol="ACME")


def walk(seed, n=400):
    close = 50 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.015, n)))
    index = pd.bdate_range("2015-01-01", periods=n, name="date")
    return pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": 1e4}, index=index)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 300), st.integers(32, 400), st.floats(0.01, 100.0), st.booleans())
def test_cut_rescaled_and_rounded_bars_are_never_refused(seed, start, length, factor, rounded):
    bars = walk(seed)
    table = guide(bars, "rules")
    cut = bars.iloc[start : start + length] * factor
    if rounded and factor >= 1:
        cut = cut.round(2)
    if len(cut):
        table.check_bars(cut)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_another_walk_and_the_same_one_dated_off_are_always_refused(seed, days):
    bars = walk(seed)
    table = guide(bars, "rules")
    with pytest.raises(GuidanceError, match=r"made from other bars: \d+ of the \d+ comparable rows .*--any-bars"):
        table.check_bars(walk(seed + 1))
    with pytest.raises(GuidanceError, match="made from other bars"):
        table.check_bars(bars.set_axis(bars.index + pd.Timedelta(days=7 * days)))


def test_what_a_row_remembers_is_of_bars_before_it_only():
    later = BARS.copy()
    later.iloc[300:] = later.iloc[300:].to_numpy() * 1.7
    cut = BARS.index[300]
    before = [row for row in guide(BARS, "rules").rows if row.issued_at <= cut]
    assert before == [row for row in guide(later, "rules").rows if row.issued_at <= cut]
    row = TABLE.rows[3]
    i = BARS.index.get_loc(row.issued_at)
    assert row.seen_until == BARS.index[i - 1]
    assert row.seen_return == BARS["close"].iloc[i - 1] / BARS["close"].iloc[i - 21] - 1


def test_every_door_refuses_the_guidance_of_another_instrument():
    half = len(OTHER) // 2
    doors = {
        "guide": lambda g: guide(OTHER, "file", source=g),
        "backtest": lambda g: run_backtest(OTHER, LLMOnly, guidance=g),
        "env": lambda g: TradingEnv(OTHER, g),
        "sweep": lambda g: sweep(OTHER, "guidance", guidance=g),
        "train": lambda g: train_dqn(OTHER, g, seeds=1, episodes=1),
        "compare": lambda g: compare(OTHER[:half], OTHER[half:], g, arms=["llm"]),
    }
    for use in doors.values():
        with pytest.raises(GuidanceError, match="of ACME, was made from other bars"):
            use(TABLE)
    for name in ("guide", "backtest", "env", "sweep", "compare"):
        doors[name](TABLE.of_any_bars())
    assert run_backtest(OTHER, LLMOnly, guidance=TABLE, any_bars=True).trade_count > 0


def test_a_symbol_that_differs_is_refused_and_hand_made_tables_are_not_compared():
    TABLE.check_bars(BARS, symbol="acme")
    with pytest.raises(GuidanceError, match="this guidance is of ACME, and the bars are of KO"):
        TABLE.check_bars(BARS, symbol="KO")
    hand = Guidance.from_rows([{"issued_at": "2012-06-01", "direction": 1, "confidence": 3}])
    hand.check_bars(OTHER, symbol="KO")


def test_files_keep_the_memory_and_controls_keep_that_of_their_dates(tmp_path):
    for name in ("t.csv", "t.parquet"):
        assert Guidance.read(TABLE.save(tmp_path / name)) == TABLE
    for control in (shuffled(TABLE, seed=1), inverted(TABLE)):
        control.check_bars(BARS)
        with pytest.raises(GuidanceError, match="other bars"):
            control.check_bars(OTHER)


def test_files_that_are_adjusted_differently_are_said_and_not_refused():
    dividends = np.ones(len(BARS))
    dividends[200:] *= 1.02
    dividends[500:] *= 1.02
    with pytest.warns(DataWarning, match=r"2 of \d+ rows of the guidance saw different prices"):
        TABLE.check_bars(BARS.mul(dividends, axis=0))


def test_what_differs_is_said_once_for_a_table_however_many_runs_it_goes_through():
    bars = BARS.copy()
    bars.iloc[200:] *= 1.02
    table = guide(BARS, "rules")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(3):
            run_backtest(bars, LLMOnly, guidance=table)
            table.check_bars(bars)
    assert len([one for one in said if "saw different prices" in str(one.message)]) == 1


def test_the_indicator_for_vectorbt_refuses_it_for_every_column():
    from llmguide.sweeps.indicators import GuidanceIndicator

    both = pd.DataFrame({"own": BARS["close"], "other": OTHER["close"]})
    GuidanceIndicator.run(both[["own"]], TABLE)
    with pytest.raises(GuidanceError, match="made from other bars"):
        GuidanceIndicator.run(both, TABLE)


def test_of_hourly_bars_guidance_is_that_of_their_days_and_of_longer_ones_it_is_refused():
    days = walk(3, 120)
    hours = pd.DatetimeIndex([day + pd.Timedelta(hours=h) for day in days.index for h in range(10, 17)], name="date")
    hourly = days.loc[hours.normalize()].set_axis(hours) * np.random.default_rng(4).uniform(0.99, 1.01, (840, 1))
    hourly["volume"] = 10.0
    whole = daily_bars(hourly)
    assert whole["close"].iloc[5] == hourly["close"].iloc[6 + 5 * 7]
    assert whole["volume"].eq(70.0).all()
    table = guide(hourly, "rules")
    assert table == guide(whole, "rules")
    assert [row.issued_at for row in table.rows] == [days.index[i] for i in range(30, 120, 20)]
    table.check_bars(hourly)
    later = hourly.copy()
    later.iloc[70 * 7 :] *= 1.5  # from the 71st day on
    assert guide(later, "rules").rows[:3] == table.rows[:3]
    run = run_backtest(hourly, LLMOnly, guidance=table)
    assert run.periods == 7 * 252
    weekly = walk(3, 400).resample("W-FRI").last().dropna()
    with pytest.raises(DataError, match=r"52 weekly bars a year; make it from daily bars"):
        guide(weekly, "rules")
    guide(walk(3, 400), "rules").check_bars(weekly)
