"""Guidance lines say what `Guidance.align` says, in every mode, under every name of a day."""

from __future__ import annotations

import itertools

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from llmguide.backtest import BarsData
from llmguide.errors import GuidanceError
from llmguide.guidance import Guidance
from llmguide.indicators import LLMGuidance

LINES = ("direction", "confidence", "entropy", "strength", "tau")


class LiveBars(BarsData):
    def islive(self):
        return True


class Keeps(bt.Strategy):
    """A user's own strategy with the indicator on its first feed."""

    params = (("guidance", None),)

    def __init__(self):
        self.indicator = LLMGuidance(self.data, guidance=self.p.guidance)
        self.dates, self.seen = [], []

    def next(self):
        self.dates.append(self.data.datetime.datetime(0))
        self.seen.append([getattr(self.indicator.lines, name)[0] for name in LINES])


def run(guidance, *feeds, prepare=None, **mode):
    cerebro = bt.Cerebro(stdstats=False, **mode)
    for feed in feeds:
        cerebro.adddata(feed)
    if prepare is not None:
        prepare(cerebro)
    cerebro.addstrategy(Keeps, guidance=guidance)
    (ran,) = cerebro.run()
    return pd.DataFrame(ran.seen, columns=list(LINES), index=pd.DatetimeIndex(ran.dates))


def assert_aligned(seen, guidance):
    expected = guidance.align(seen.index)[list(LINES)]
    np.testing.assert_array_equal(seen.to_numpy(), expected.to_numpy())


@pytest.mark.parametrize(
    ("runonce", "preload", "exactbars", "live"),
    list(itertools.product([True, False], [True, False], [False, 1, -1, -2], [False, True])),
)
def test_every_mode_sees_the_row_in_force_on_the_bars_date(bars, guidance, runonce, preload, exactbars, live):
    feed = (LiveBars if live else BarsData)(dataname=bars)
    seen = run(guidance, feed, runonce=runonce, preload=preload, exactbars=exactbars)
    assert seen.index.equals(pd.DatetimeIndex(bars.index))
    assert_aligned(seen, guidance)


def test_the_rows_are_where_a_reader_of_the_table_expects_them(bars, guidance):
    seen = run(guidance, BarsData(dataname=bars))
    assert np.isnan(seen["direction"].iloc[:36]).all()
    assert (seen["tau"].iloc[:36] == 0).all()
    assert seen["direction"].iloc[36] == 1
    # Issued in the evening of bar 41: seen from bar 42 on.
    assert seen["direction"].iloc[[41, 42]].tolist() == [1, 0]
    assert seen.iloc[42].tolist()[1:] == [3.0, pytest.approx(np.nan, nan_ok=True), 1.0, -1.0]
    # An abstention keeps its entropy and nothing else.
    np.testing.assert_array_equal(seen.iloc[50].to_numpy(), [np.nan, np.nan, 0.5, 0.0, 0.0])
    # Issued on a Sunday: seen on Monday.
    assert bars.index[70].day_of_week == 0
    assert seen["direction"].iloc[[69, 70]].tolist() == [0, 1]


@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"exactbars": 1}])
@pytest.mark.parametrize("kind", ["resampledata", "replaydata"])
def test_resampled_and_replayed_bars_see_the_row_of_their_last_day_so_far(bars, guidance, mode, kind):
    def prepare(cerebro):
        getattr(cerebro, kind)(BarsData(dataname=bars), timeframe=bt.TimeFrame.Weeks)

    seen = run(guidance, prepare=prepare, **mode)
    assert len(seen) == (18 if kind == "resampledata" else 90)
    assert_aligned(seen, guidance)


@pytest.mark.parametrize("mode", [{}, {"runonce": False}])
def test_another_feeds_days_do_not_move_the_guidance(bars, guidance, mode):
    other = bars.copy()
    other.index = pd.date_range(bars.index[0], periods=90, freq="D", name="date")
    seen = run(guidance, BarsData(dataname=bars), BarsData(dataname=other), **mode)
    assert len(seen) > 90
    assert_aligned(seen, guidance)


def test_intraday_bars_see_the_row_of_their_calendar_day(bars, guidance):
    hours = bars.copy()
    hours.index = pd.date_range(bars.index[33], periods=90, freq="5h", name="date")
    assert_aligned(run(guidance, BarsData(dataname=hours)), guidance)


def test_later_rows_change_nothing_before_them(bars, guidance):
    kept = [row for row in guidance.rows if row.issued_at <= bars.index[51]]
    others = [{"issued_at": day, "direction": 1, "confidence": 1} for day in bars.index[52::5]]
    changed = Guidance.from_rows([*(row._asdict() for row in kept), *others])
    one, two = (run(table, BarsData(dataname=bars)) for table in (guidance, changed))
    assert one.iloc[:52].equals(two.iloc[:52])
    assert not one.iloc[52:].equals(two.iloc[52:])


def test_a_path_is_as_good_as_a_table_and_names_the_plot(bars, guidance, tmp_path):
    path = guidance.save(tmp_path / "aapl.parquet")
    for source in (path, str(path)):
        assert_aligned(run(source, BarsData(dataname=bars)), guidance)

    class Labels(bt.Strategy):
        def __init__(self):
            self.labels = [LLMGuidance(self.data, guidance=source).plotlabel() for source in (path, guidance)]

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsData(dataname=bars))
    cerebro.addstrategy(Labels)
    assert cerebro.run()[0].labels == ["LLM guidance (aapl.parquet)", "LLM guidance (5 rows)"]


@pytest.mark.parametrize("wrong", [None, 3, [1, 2]])
def test_anything_else_is_refused(bars, wrong):
    with pytest.raises(GuidanceError, match="LLMGuidance needs guidance="):
        run(wrong, BarsData(dataname=bars))
