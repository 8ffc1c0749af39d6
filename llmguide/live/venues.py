"""Where orders go: to a broker of Backtrader, or in a dry run nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import backtrader as bt

from llmguide.live.book import order_from, position_key
from llmguide.live.fills import fill_price
from llmguide.live.journal import Position
from llmguide.live.orders import OPEN, Intent, Report

__all__ = ["Account", "BrokerVenue", "DryVenue", "Names", "Venue"]


Names = Callable[[str], Mapping[str, Any]]
"""Returns, for the name of an order, arguments for a broker's ``buy`` and ``sell``: {"orderRef": name}."""

_ON_ITS_WAY = (bt.Order.Created, bt.Order.Submitted)


class Account(NamedTuple):
    """What a broker says the account holds."""

    cash: float
    positions: dict[str, Position]  # by feed


class Venue(Protocol):
    """What the guard needs of a place to send orders to. Where it cannot be reached it raises ConnectionError."""

    knows_ids: bool  # it finds an order by the name it was sent under, and never takes two of one name

    def send(self, intent: Intent, owner: Any, data: Any) -> Report | None:
        """Send an order; return what is known of it at once."""

    def cancel(self, id: str) -> Report | None:
        """Ask that an order be cancelled; return what is known of it at once."""

    def find(self, id: str) -> Report | None:
        """Return what the venue knows of an order, None where it never got it. Only asked where `knows_ids`."""

    def adopt(self, intent: Intent, report: Report, data: Any) -> None:
        """Go on with an order that was open before a restart."""

    def poll(self) -> list[Report]:
        """Return what is new of the orders."""

    def account(self, datas: Sequence[Any]) -> Account:
        """Return the account, not older than what `poll` returned last."""


class DryVenue:
    """Sends nothing: orders are filled on paper, on the feed's next bar, by the rule of `fill_price`.

    Args:
        commission: gives Backtrader's commission scheme for a feed.
        cash: before the first order, or after the last one of an earlier run.
        positions: by feed, likewise.
    """

    knows_ids = True

    def __init__(self, commission: Any, cash: float, positions: dict[str, Position]) -> None:
        self._commission = commission
        self._cash = cash
        self._positions = dict(positions)
        self._open: dict[str, tuple[Intent, Any]] = {}

    def send(self, intent: Intent, owner: Any, data: Any) -> Report:
        self._open[intent.id] = intent, data
        return Report(intent.id, OPEN)

    def cancel(self, id: str) -> Report | None:
        return Report(id, "canceled") if self._open.pop(id, None) else None

    def find(self, id: str) -> Report | None:
        return Report(id, OPEN) if id in self._open else None

    def adopt(self, intent: Intent, report: Report, data: Any) -> None:
        self._open[intent.id] = intent, data

    def poll(self) -> list[Report]:
        reports = []
        for intent, data in list(self._open.values()):
            report = self._next(intent, data)
            if report is not None:
                del self._open[intent.id]
                reports.append(report)
        return reports

    def account(self, datas: Sequence[Any]) -> Account:
        return Account(self._cash, {key: held for key, held in self._positions.items() if held.size})

    def _next(self, intent: Intent, data: Any) -> Report | None:
        wanted, now = intent.wanted, data.lines.datetime[0]
        if not now > intent.stamp:
            return None
        if wanted.valid is not None and now > wanted.valid:
            return Report(intent.id, "expired")
        lines = data.lines
        price = fill_price(
            wanted.kind, wanted.size, wanted.price, open=lines.open[0], high=lines.high[0], low=lines.low[0]
        )
        if price is None:
            return None
        fee = float(self._commission(data).getcommission(wanted.size, price))
        self._cash -= wanted.size * price + fee
        held = self._positions.get(wanted.feed, Position(0.0, 0.0))
        position = bt.Position(*held)
        position.update(wanted.size, price)
        self._positions[wanted.feed] = Position(position.size, position.price)
        return Report(intent.id, "filled", wanted.size, price, fee)


class BrokerVenue:
    """Any broker of Backtrader.

    A broker that can be asked for an order by the name that its client gave it says so by the attribute
    ``knows_client_ids = True``: ``buy`` and ``sell`` then take ``client_id=``, an id that is known is never taken a
    second time, ``find_order(client_id)`` returns a `Report` or None, and ``cancel_order(client_id)`` returns the
    order's last report; after it an order that never arrived must not be taken any more. Without all this an order
    whose acknowledgment was lost, or that was open at a restart, must be looked up by a person
    (`llmguide.live.settle`).
    """

    def __init__(self, broker: Any, names: Names | None = None) -> None:
        self._broker = broker
        self.knows_ids = bool(getattr(broker, "knows_client_ids", False))
        self._names = _as_client_id if self.knows_ids else names or _unnamed
        self._ids: dict[int, str] = {}  # by the broker's own order
        self._orders: dict[str, Any] = {}
        self._adopted: dict[str, Report] = {}
        self._news: list[Report] = []  # kept where the connection breaks before `poll` has asked for everything

    def send(self, intent: Intent, owner: Any, data: Any) -> Report | None:
        wanted = order_from(intent.wanted, owner, data)
        send = self._broker.buy if wanted.isbuy() else self._broker.sell
        valid = None if wanted.valid is None else bt.num2date(wanted.valid)
        order = send(
            owner,
            data,
            abs(intent.wanted.size),
            price=intent.wanted.price,
            plimit=None,
            exectype=wanted.exectype,
            valid=valid,
            tradeid=0,
            oco=None,
            trailamount=None,
            trailpercent=None,
            parent=None,
            transmit=True,
            **self._names(intent.id),
        )
        if order is None:  # some brokers say so of a failure, whether the order arrived or not
            raise ConnectionError("the broker returned no order")
        self._ids[order.ref], self._orders[intent.id] = intent.id, order
        return None if order.status in _ON_ITS_WAY else self._reported(order, intent.id)

    def cancel(self, id: str) -> Report | None:
        if id in self._orders:
            self._broker.cancel(self._orders[id])
            report = self._reported(self._orders[id], id)
            return report if report.over else None
        if not self.knows_ids:
            return None
        answer: Report | None = self._broker.cancel_order(id)
        return answer

    def find(self, id: str) -> Report | None:
        found: Report | None = self._broker.find_order(id)
        return found

    def adopt(self, intent: Intent, report: Report, data: Any) -> None:
        self._adopted[intent.id] = report

    def poll(self) -> list[Report]:
        self._broker.next()
        while True:
            order = self._broker.get_notification()
            if order is None:
                break
            if order.ref in self._ids and order.status not in _ON_ITS_WAY:
                self._news.append(self._reported(order, self._ids[order.ref]))
        for id, known in list(self._adopted.items()):
            report = self.find(id) if self.knows_ids else None
            if report is not None and report.follows(known):
                self._news.append(report)
                self._adopted[id] = report
                if report.over:
                    del self._adopted[id]
        news, self._news = self._news, []
        return news

    def account(self, datas: Iterable[Any]) -> Account:
        held = {position_key(data): self._broker.getposition(data) for data in datas}
        return Account(
            float(self._broker.getcash()),
            {key: Position(float(position.size), float(position.price)) for key, position in held.items()},
        )

    @staticmethod
    def _reported(order: Any, id: str) -> Report:
        status = {
            bt.Order.Completed: "filled",
            bt.Order.Canceled: "canceled",
            bt.Order.Expired: "expired",
            bt.Order.Margin: "rejected",
            bt.Order.Rejected: "rejected",
        }.get(order.status, OPEN)
        done = order.executed
        note = "margin" if order.status == bt.Order.Margin else ""
        return Report(id, status, float(done.size), float(done.price), float(done.comm), note)


def _as_client_id(id: str) -> dict[str, Any]:
    return {"client_id": id}


def _unnamed(id: str) -> dict[str, Any]:
    return {}
