"""Bars come into Backtrader as they are."""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from llmguide.backtest import BarsData
from llmguide.errors import DataError

LINES = ("datetime", "open", "high", "low", "close", "volume")


class Keeps(bt.Strategy):
    def __init__(self):
        self.seen = []

    def next(self):
        self.seen.append([getattr(self.data.lines, name)[0] for name in LINES])


def seen(feed, **settings):
    cerebro = bt.Cerebro(stdstats=False, **settings)
    cerebro.adddata(feed)
    cerebro.addstrategy(Keeps)
    return cerebro.run()[0].seen


@pytest.mark.parametrize("mode", [{}, {"preload": False}, {"exactbars": 1}])
@pytest.mark.parametrize("freq", ["B", "37min"])
def test_it_delivers_what_backtraders_own_feed_delivers(make_bars, mode, freq):
    bars = make_bars(50)
    bars.index = pd.date_range("2018-01-01 09:30", periods=50, freq=freq, name="date")
    assert seen(BarsData(dataname=bars), **mode) == seen(bt.feeds.PandasData(dataname=bars), **mode)


def test_it_can_be_run_again(make_bars):
    feed = BarsData(dataname=make_bars(20))
    assert np.array_equal(seen(feed), seen(feed))


def test_dates_can_be_cut(make_bars):
    bars = make_bars(30)
    feed = BarsData(dataname=bars, fromdate=bars.index[5].to_pydatetime(), todate=bars.index[9].to_pydatetime())
    assert len(seen(feed)) == 5


def test_anything_but_bars_is_refused(make_bars):
    bars = make_bars(5)
    with pytest.raises(DataError, match=r"expected bars with \['volume'\].*read_bars"):
        BarsData(dataname=bars.drop(columns="volume"))
    with pytest.raises(DataError, match="expected bars as a frame with dates, got str"):
        BarsData(dataname="bars.csv")
    with pytest.raises(DataError, match="with dates"):
        BarsData(dataname=bars.reset_index(drop=True))
