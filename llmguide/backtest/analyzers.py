"""Analyzers: the account bar by bar with its Sharpe ratio and drawdown, every order, every trade.

They hold plain numbers and dates only, so that `cerebro.optstrategy` can send them between processes.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import backtrader as bt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.backtest.feed_checks import adopt_zone, bar_of, check_now
from llmguide.errors import DataError
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.periods import periods_of
from llmguide.trading.simulate import returns_of

__all__ = ["OrderLog", "SharpeDrawdown", "TradeLog"]


class _Bar(NamedTuple):
    date: float  # Backtrader's number
    side: int
    shares: float
    cash: float
    value: float


class SharpeDrawdown(bt.Analyzer):
    """Measures the account's Sharpe ratio and maximum drawdown, and records the account after each bar's trade.

    Bars are those of the data that the strategy trades (`strategy.traded`, else the first), idle ones included. The
    first bar's return is against the account's value before it, and the drawdown counts from there.

    `get_analysis()` returns ``sharpe`` (annual), ``max_drawdown`` (positive fraction), ``bars``, ``periods`` (bars per
    year), ``start_value`` (before the first bar) and ``end_value``; `account`, `values` and `returns` are series by
    date.

    Params:
        periods: bars per year; None reads it from the bars' dates (see `llmguide.periods`).

    Raises DataError for a bar on which the account has no value, because a feed has no price.
    """

    params: ClassVar[Any] = (("periods", None),)

    def start(self) -> None:
        """Begin with an empty record."""
        self._bars: list[_Bar] = []
        self._length = 0
        self._before = float(self.strategy.broker.getvalue())
        for data in self.datas:
            adopt_zone(data)

    def next(self) -> None:
        """Record the bar, and record it again where it changes (a replayed bar, or another feed's turn)."""
        strategy = self.strategy
        traded: Any = getattr(strategy, "traded", self.data)
        if not len(traded):
            return
        if len(traded) == self._length:
            self._bars.pop()
        self._length = len(traded)
        shares = strategy.getposition(traded).size
        side = getattr(strategy, "side", (shares > 0) - (shares < 0))
        value = strategy.broker.getvalue()
        if not math.isfinite(value):
            for data in self.datas:
                if len(data):
                    check_now(data, ("close",), needed_by="the account's value", positive=False)
            raise DataError(f"the account's value is {value} on {bar_of(traded, len(traded) - 1)}; look at its orders")
        date = bt.date2num(traded.datetime.datetime(0))
        self._bars.append(_Bar(date, side, shares, strategy.broker.getcash(), value))

    def stop(self) -> None:
        """Compute the two measures."""
        values = self._values()
        periods = periods_of(_dates(pd.Series([bar.date for bar in self._bars], dtype="float64")), self.p.periods)
        self.rets["sharpe"] = sharpe_ratio(returns_of(values)[1:], periods=periods)
        self.rets["max_drawdown"] = max_drawdown(values)
        self.rets["bars"] = len(self._bars)
        self.rets["periods"] = periods
        self.rets["start_value"] = float(values[0]) if len(values) else float("nan")
        self.rets["end_value"] = float(values[-1]) if len(values) else float("nan")

    @property
    def account(self) -> pd.DataFrame:
        """The account after each bar, with the columns of `llmguide.simulate` from side to returns."""
        frame = pd.DataFrame(self._bars, columns=list(_Bar._fields))
        value, cash = frame["value"].to_numpy(np.float64), frame["cash"].to_numpy(np.float64)
        return pd.DataFrame(
            {
                "side": frame["side"].to_numpy(np.int8),
                "shares": _whole(np.abs(frame["shares"].to_numpy(np.float64))),
                "cash": cash,
                "holdings": value - cash,
                "value": value,
                "returns": returns_of(self._values())[1:],
            },
            index=_dates(frame["date"]),
        )

    @property
    def values(self) -> pd.Series:
        """The account's value after each bar."""
        return self.account["value"]

    @property
    def returns(self) -> pd.Series:
        """The relative change of the value at each bar."""
        return self.account["returns"]

    def _values(self) -> NDArray[np.float64]:
        """The account's value before the first bar and after each; nothing where there was no bar."""
        return np.array([self._before, *(bar.value for bar in self._bars)] if self._bars else [])


class OrderLog(bt.Analyzer):
    """Records every order with its last known status, rejected ones too.

    `frame` has one row per order, as sent, with the columns ``date`` (sent), ``ref`` (1, 2, ...), ``side`` ("buy" or
    "sell"), ``kind`` ("Market", ...), ``size`` (shares asked for), ``status``, ``filled`` (shares), ``filled_on``
    (date), ``price`` (mean fill, NaN without one) and ``commission`` (money).
    """

    COLUMNS = ("date", "ref", "side", "kind", "size", "status", "filled", "filled_on", "price", "commission")

    def start(self) -> None:
        """Begin with an empty record."""
        self._orders: dict[int, tuple[Any, ...]] = {}

    def notify_order(self, order: Any) -> None:
        """Keep the order as it stands now."""
        done = order.executed
        self._orders[order.ref] = (
            _wall(order.data, order.created.dt),
            "buy" if order.isbuy() else "sell",
            order.getordername(),
            abs(order.created.size),
            order.getstatusname(),
            abs(done.size),
            _wall(order.data, done.exbits[-1].dt) if done.size else float("nan"),
            done.price if done.size else float("nan"),
            done.comm,
        )

    def get_analysis(self) -> dict[str, int]:
        """Return the number of orders by their last status."""
        statuses = [order[4] for order in self._orders.values()]
        return {status: statuses.count(status) for status in sorted(set(statuses))}

    @property
    def frame(self) -> pd.DataFrame:
        """One row per order."""
        rows = [(date, number, *rest) for number, (date, *rest) in enumerate(self._orders.values(), start=1)]
        frame = pd.DataFrame(rows, columns=list(self.COLUMNS))
        return frame.assign(date=_dates(frame["date"]), filled_on=_dates(frame["filled_on"]))


class TradeLog(bt.Analyzer):
    """Records every trade: a position from its opening to its closing.

    `frame` has one row per trade, with the columns ``ref`` (1, 2, ...), ``side`` ("long" or "short"), ``size`` (shares
    at the opening), ``opened`` and ``closed`` (dates; no closing date while open), ``bars`` (its length), ``entry``
    (price), ``gross`` and ``net`` (profit in money before and after commission, NaN while open).
    """

    COLUMNS = ("ref", "side", "size", "opened", "closed", "bars", "entry", "gross", "net")

    def start(self) -> None:
        """Begin with an empty record."""
        self._trades: dict[int, tuple[Any, ...]] = {}
        self._filled: dict[int, float] = {}

    def notify_order(self, order: Any) -> None:
        """Remember when a data was last traded: a trade itself only knows when its strategy was notified."""
        if order.executed.size:
            self._filled[id(order.data)] = _wall(order.data, order.executed.exbits[-1].dt)

    def notify_trade(self, trade: Any) -> None:
        """Keep the trade as it stands now."""
        nan = float("nan")
        date = self._filled[id(trade.data)]
        if trade.ref not in self._trades:
            side = "long" if trade.long else "short"
            self._trades[trade.ref] = (side, abs(trade.size), date, nan, nan, trade.price, nan, nan)
        if trade.isclosed:
            side, size, opened, *_, entry, _, _ = self._trades[trade.ref]
            self._trades[trade.ref] = (
                *(side, size, opened, date, float(trade.barlen), entry),
                *(trade.pnl, trade.pnlcomm),
            )

    def get_analysis(self) -> dict[str, int]:
        """Return how many trades there were, and how many of them were closed."""
        closed = sum(trade[3] == trade[3] for trade in self._trades.values())
        return {"trades": len(self._trades), "closed": closed}

    @property
    def frame(self) -> pd.DataFrame:
        """One row per trade."""
        rows = [(number, *trade) for number, trade in enumerate(self._trades.values(), start=1)]
        frame = pd.DataFrame(rows, columns=list(self.COLUMNS))
        return frame.assign(opened=_dates(frame["opened"]), closed=_dates(frame["closed"]))


def _whole(shares: NDArray[np.float64]) -> NDArray[Any]:
    """Return whole shares as int64, as `llmguide.simulate` has them; fractions stay as they are."""
    return shares.astype(np.int64) if (shares == np.floor(shares)).all() and (shares < 2.0**63).all() else shares


def _wall(data: Any, number: float) -> float:
    """Return Backtrader's number of a time as that of the feed's wall clock."""
    return number if data._tz is None else float(bt.date2num(data.num2date(number)))


def _dates(numbers: pd.Series) -> pd.DatetimeIndex:
    """Turn Backtrader's date numbers into dates; NaN becomes NaT."""
    dates = [pd.NaT if number != number else bt.num2date(number) for number in numbers]
    return pd.DatetimeIndex(dates, dtype="datetime64[us]", name="date")
