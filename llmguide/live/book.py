"""Backtrader's orders and positions, made from what a broker reports."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import backtrader as bt

from llmguide.errors import LlmguideError
from llmguide.live.orders import Report, Wanted

__all__ = ["Book", "make_order", "position_key", "wanted_of"]

_KINDS = {bt.Order.Market: "market", bt.Order.Limit: "limit", bt.Order.Stop: "stop"}
_EXECTYPES = {kind: exectype for exectype, kind in _KINDS.items()}


def make_order(side: type, owner: Any, data: Any, size: float, price: Any, exectype: Any, **options: Any) -> Any:
    """Return Backtrader's order, `bt.BuyOrder` or `bt.SellOrder`; `options` are the other arguments of ``buy``.

    Raises LlmguideError for what cannot be sent one order at a time: brackets, OCO, trailing and at-the-close orders.
    """
    for name in ("oco", "parent", "trailamount", "trailpercent", "plimit"):
        if options.get(name) is not None:
            raise LlmguideError(
                f"{name}= is not supported live: send market, limit and stop orders one by one, and cancel the other "
                "order when one is filled"
            )
    if not options.get("transmit", True):
        raise LlmguideError("transmit=False is not supported live: every order is sent at once")
    kind = bt.Order.Market if exectype is None else exectype
    if kind not in _KINDS:
        raise LlmguideError(
            f"orders of the type {bt.Order.ExecTypes[kind]} are not supported live; expected one of "
            f"{', '.join(bt.Order.ExecTypes[known] for known in _KINDS)}"
        )
    if kind != bt.Order.Market and price is None:
        raise LlmguideError(f"a {_KINDS[kind]} order needs price=")
    valid = options.get("valid")
    if valid is not None and not isinstance(valid, date | timedelta):
        raise LlmguideError(f"valid= is a date, a datetime or a timedelta live, got {valid!r}")
    return side(
        owner=owner,
        data=data,
        size=size,
        price=price if kind != bt.Order.Market else None,
        exectype=kind,
        valid=valid,
        tradeid=options.get("tradeid", 0),
    )


def wanted_of(order: Any, *, strategy: str, feed: str) -> Wanted:
    """Return a Backtrader order as what is written down of it."""
    kind = _KINDS[order.exectype]
    price = None if kind == "market" else float(order.price)
    valid = None if order.valid is None else float(order.valid)
    return Wanted(strategy, feed, float(order.created.size), kind, price, valid)


def order_from(wanted: Wanted, owner: Any, data: Any) -> Any:
    """Return Backtrader's order for one that was written down."""
    side = bt.BuyOrder if wanted.size > 0 else bt.SellOrder
    order = make_order(side, owner, data, abs(wanted.size), wanted.price, _EXECTYPES[wanted.kind])
    order.valid = wanted.valid
    return order


def position_key(data: Any) -> str:
    """Return the name under which a feed's position and orders are kept."""
    name = getattr(data, "_name", "") or getattr(data, "_dataname", "")
    return name if isinstance(name, str) and name else f"data{data._id}"


class Book:
    """Orders by the name they were sent under, positions by feed, and the notifications that strategies wait for."""

    def __init__(self, commission: Callable[[Any], Any]) -> None:
        self._commission = commission
        self.orders: dict[str, Any] = {}
        self.reports: dict[str, Report] = {}
        self.positions: dict[str, Any] = {}
        self._notifications: deque[Any] = deque()

    def position(self, data: Any) -> Any:
        """Return the `bt.Position` of a feed."""
        return self.positions.setdefault(position_key(data), bt.Position())

    def submit(self, id: str, order: Any, broker: Any) -> None:
        """Take an order in that is on its way."""
        order.addcomminfo(self._commission(order.data))
        order.addinfo(client_id=id)
        order.submit(broker)
        self.orders[id] = order
        self.notify(order)

    def refuse(self, id: str, order: Any, broker: Any) -> None:
        """Take an order in that is not sent."""
        self.submit(id, order, broker)
        order.reject(broker)
        self.notify(order)

    def apply(self, report: Report) -> bool:
        """Bring an order and its feed's position to what a report says; return whether it says anything new."""
        known, order = self.reports.get(report.id), self.orders[report.id]
        if not report.follows(known):
            return False
        self.reports[report.id] = report
        before = known or Report(report.id, "")
        size = report.filled - before.filled
        if known is None and report.status in ("open", "filled"):
            order.accept(order.broker)
            self.notify(order)
        if size:
            price = (report.filled * report.price - before.filled * before.price) / size
            self._execute(order, size, price, report.fee - before.fee)
        if report.over:
            _close(order, report.status)
        if size or report.over:
            self.notify(order)
        return True

    def open(self, feed: str | None = None) -> list[str]:
        """Return the names of orders that may still be filled."""
        return [
            id for id, order in self.orders.items() if order.alive() and feed in (None, position_key(order.data))
        ]  # oldest first

    def notify(self, order: Any) -> None:
        """Queue an order as it is now for its strategy."""
        self._notifications.append(order.clone())

    def next_notification(self) -> Any:
        """Return the oldest notification, None where there is none."""
        return self._notifications.popleft() if self._notifications else None

    def _execute(self, order: Any, size: float, price: float, fee: float) -> None:
        position, scheme = self.position(order.data), order.comminfo
        price_before = position.price
        held, mean, opened, closed = position.update(size, price)
        fee_closed = fee * closed / size
        order.execute(
            order.data.datetime[0],
            size,
            price,
            closed,
            scheme.getoperationcost(closed, price_before),
            fee_closed,
            opened,
            scheme.getoperationcost(opened, price),
            fee - fee_closed,
            price,
            scheme.profitandloss(-closed, price_before, price),
            held,
            mean,
        )
        order.addcomminfo(scheme)


def _close(order: Any, status: str) -> None:
    if status == "filled":
        order.completed()
    elif status == "canceled":
        order.cancel()
    elif status == "expired":
        order.status = bt.Order.Expired
    else:
        order.reject(order.broker)
