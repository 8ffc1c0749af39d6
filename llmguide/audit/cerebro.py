"""What a Cerebro does, recorded bar by bar.

At each bar, after the strategy's `next`, the present value of every line is kept: a line that is filled in later, as an
indicator that repaints is, did not have that value then. Orders are kept as they are sent, and not as they are filled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.audit.feeds import FrameData
from llmguide.audit.isolation import failure_of
from llmguide.audit.naming import feed_name, named_lines
from llmguide.audit.trace import ACCOUNT, OPENING, ORDERS, Event, Failure, Fill, Trace, Value, no_stamps
from llmguide.errors import AuditError

__all__ = ["cerebro_of", "trace_cerebro"]


def cerebro_of(
    bars: pd.DataFrame,
    strategy: type[bt.Strategy] = bt.Strategy,
    indicators: tuple[type[bt.Indicator], ...] = (),
    **params: Any,
) -> bt.Cerebro:
    """Return an ordinary Cerebro of these bars: Backtrader's own broker and settings."""
    cerebro = bt.Cerebro()
    cerebro.adddata(FrameData(dataname=bars))
    for indicator in indicators:
        cerebro.addindicator(indicator, **params)
    cerebro.addstrategy(strategy, **({} if indicators else params))
    return cerebro


def trace_cerebro(cerebro: bt.Cerebro) -> Trace:
    """Run a Cerebro, and return what its strategies said.

    Raises AuditError for one that has run already, or that optimises.
    """
    if getattr(cerebro, "runstrats", None):
        raise AuditError("make_cerebro(bars) returned a Cerebro that has already run; leave cerebro.run() out")
    if cerebro._dooptimize:
        raise AuditError("make_cerebro(bars) uses optstrategy; use addstrategy, with one set of parameters")
    orders = OrderTape(cerebro.broker)
    cerebro.addanalyzer(Recorder, orders=orders, several=len(cerebro.strats) > 1)
    failure: Failure | None = None
    try:
        cerebro.run()
    except Exception as error:  # whatever a user's strategy raises, what it said before counts
        failure = failure_of(error)
    return orders.trace(failure)


class OrderTape:
    """Notes each order and each cancellation as a broker is given it, and hands them to the strategy's recorder."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.recorders: list[Recorder] = []
        self.opening = True  # until the broker has worked on a bar, strategies know no more of it than its open
        self._sent: list[tuple[Any, bool, tuple[Value, ...], Any]] = []
        self._numbers: dict[int, int] = {}
        for side in ("buy", "sell"):
            setattr(broker, side, self._noting(side, getattr(broker, side)))
        broker.cancel = self._noting_cancel(broker.cancel)
        broker.next = self._noting_next(broker.next)

    def taken(self, strategy: Any) -> list[tuple[bool, tuple[Value, ...], Any]]:
        """Return what a strategy has sent since it was last asked."""
        mine = [(opening, values, order) for owner, opening, values, order in self._sent if owner is strategy]
        self._sent = [entry for entry in self._sent if entry[0] is not strategy]
        return mine

    def trace(self, failure: Failure | None) -> Trace:
        """Return what all strategies said; steps are the first one's."""
        if not self.recorders or not self.recorders[0].names:
            return Trace(failure=failure)
        first = self.recorders[0]
        steps = len(first.stamps)
        lines: dict[str, NDArray[np.float64]] = {}
        for recorder in self.recorders:
            values = np.array(recorder.values, dtype=np.float64).reshape(-1, len(recorder.names))[:steps]
            lines |= {name: values[:, place] for place, name in enumerate(recorder.names)}
        events = [event for recorder in self.recorders for event in recorder.events]
        return Trace(
            stamps=np.array(first.stamps, dtype="datetime64[us]") if steps else no_stamps(),
            lines=lines,
            events=tuple(sorted(events, key=lambda event: event.at)),
            lengths=np.array(first.lengths, dtype=np.int64).reshape(steps, len(first.strategy.datas)),
            fills=tuple(fill for recorder in self.recorders for fill in recorder.fills()),
            failure=failure,
        )

    def _number(self, order: Any) -> float:
        return float(self._numbers.get(getattr(order, "ref", 0), 0)) if order is not None else 0.0

    def _noting(self, side: str, send: Callable[..., Any]) -> Callable[..., Any]:
        def sent(owner: Any, data: Any, size: float, *args: Any, **given: Any) -> Any:
            opening = self.opening
            place = len(self._sent)
            order = send(owner, data, size, *args, **given)
            if order is not None:
                self._numbers[order.ref] = len(self._numbers) + 1
                values = (side, *self._described(order, data, size))
                self._sent.insert(place, (owner, opening, values, order))
            return order

        return sent

    def _described(self, order: Any, data: Any, size: float) -> tuple[Value, ...]:
        params = order.p
        words: list[Value] = [
            float(size),
            feed_name(data, _place(order.owner, data)),
            bt.Order.ExecTypes[order.exectype],
        ]
        named = {
            "at": params.price,
            "limit": params.pricelimit,
            "trail": params.trailamount,
            "trail share": params.trailpercent,
            "valid": params.valid,
            "child of": self._number(params.parent) or None,
            "either": self._number(params.oco) or None,
        }
        for name, value in named.items():
            if value is not None:
                words += [name, float(value) if isinstance(value, int | float) else str(value)]
        return tuple(words)

    def _noting_cancel(self, cancel: Callable[..., Any]) -> Callable[..., Any]:
        def cancelled(order: Any, *args: Any, **given: Any) -> Any:
            if order is not None and order.ref in self._numbers:
                values = ("cancel", "order", self._number(order))
                self._sent.append((order.owner, self.opening, values, None))
            return cancel(order, *args, **given)

        return cancelled

    def _noting_next(self, work: Callable[[], Any]) -> Callable[[], Any]:
        def worked() -> Any:
            self.opening = False
            return work()

        return worked


def _place(owner: Any, data: Any) -> int:
    return next((place for place, known in enumerate(getattr(owner, "datas", ())) if known is data), 0)


class Recorder(bt.Analyzer):
    """Keeps the values of one strategy's lines, and its orders, at each bar.

    What is sent after the last bar, in `stop`, belongs to no bar: it is never executed, and is left out.
    """

    params = (("orders", None), ("several", False))

    def start(self) -> None:
        """Begin with nothing."""
        tape: OrderTape = self.p.orders
        self._tape = tape
        self._prefix = f"{type(self.strategy).__name__}{len(tape.recorders)}." if self.p.several else ""
        tape.recorders.append(self)
        self._buffers: list[Any] | None = None
        self._orders: list[Any] = []
        self.names: list[str] = []
        self.stamps: list[Any] = []
        self.values: list[list[float]] = []
        self.lengths: list[list[int]] = []
        self.events: list[Event] = []

    def next(self) -> None:
        """Keep this bar."""
        if self._buffers is None:
            lines = named_lines(self.strategy)
            self.names = [f"{self._prefix}{name}" for name in (*lines, *ACCOUNT)]
            self._buffers = list(lines.values())
        stamp = np.datetime64(bt.num2date(self.strategy.datetime[0]), "us")
        broker = self._tape.broker
        values = [_present(buffer) for buffer in self._buffers]
        self.values.append([*values, broker.getcash(), broker.getvalue()])
        self.stamps.append(stamp)
        self.lengths.append([len(data) for data in self.strategy.datas])
        for opening, said, order in self._tape.taken(self.strategy):
            channel = f"{self._prefix}{OPENING if opening else ORDERS}"
            self.events.append(Event(stamp, stamp, channel, said, len(self.stamps) - 1))
            if order is not None:
                self._orders.append((stamp, opening, order))
        if self is self._tape.recorders[-1]:
            self._tape.opening = True

    def prenext(self) -> None:
        """Keep a bar before the strategy begins."""
        self.next()

    def fills(self) -> list[Fill]:
        """Return the orders that were executed on the bar on which they were sent."""
        return [
            Fill(stamp, opening, float(order.executed.price))
            for stamp, opening, order in self._orders
            if order.executed.size and order.executed.exbits and order.executed.exbits[0].dt <= order.created.dt
        ]


def _present(buffer: Any) -> float:
    """Return a line's value at this bar; NaN before its first one, where Python would count from the end."""
    if buffer.idx < 0:
        return math.nan
    try:
        return float(buffer.array[buffer.idx])
    except (IndexError, TypeError, ValueError):
        return math.nan
