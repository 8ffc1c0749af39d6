"""Backtrader's store, feed and broker for the market on paper."""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar

import backtrader as bt

from llmguide.errors import LlmguideError
from llmguide.live.book import Book, make_order, position_key, wanted_of
from llmguide.live.orders import Report

__all__ = ["PaperBroker", "PaperData", "PaperStore"]

RETRY, TRIES = 0.05, 20
"""Seconds between two attempts to connect again, and how many there are where somebody waits for the answer."""


class _Connection:
    """A line to the exchange that is set up anew whenever it broke."""

    def __init__(self, port: int, timeout: float) -> None:
        self._port, self._timeout = port, timeout
        self._file: Any = None

    def ask(self, **request: Any) -> dict[str, Any]:
        """Return the answer; ConnectionError where the line breaks before it is there."""
        try:
            if self._file is None:
                line = socket.create_connection(("127.0.0.1", self._port), timeout=self._timeout)
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._file = line.makefile("rwb")
                line.close()  # the file keeps it open
            self._file.write(json.dumps(request).encode() + b"\n")
            self._file.flush()
            answer = self._file.readline()
        except OSError as error:
            self.close()
            raise ConnectionError(f"the exchange on port {self._port}: {error}") from error
        if not answer.endswith(b"\n"):
            self.close()
            raise ConnectionError(f"the exchange on port {self._port} hung up")
        told: dict[str, Any] = json.loads(answer)
        if "error" in told:
            raise LlmguideError(f"the exchange says: {told['error']}")
        return told

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()


class _OneEach(type(bt.Store)):  # type: ignore[misc]
    """Makes a store for each call, where Backtrader's own metaclass makes one for each class."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        cls._singleton = None
        return super().__call__(*args, **kwargs)


class PaperStore(bt.Store, metaclass=_OneEach):
    """The market of `llmguide.live.paper_exchange` on a port of this machine: ``PaperStore(port=7610)``.

    ``getdata(dataname="AAPL")`` is its feed and ``getbroker()`` its broker. ``now()`` is the market's time, for
    ``attach(..., clock=store.now)``; ConnectionError where it was never reached.
    """

    params: ClassVar[Any] = (("port", 7610), ("timeout", 5.0))

    def __init__(self) -> None:
        super().__init__()
        self._line = _Connection(self.p.port, self.p.timeout)
        self._now: float | None = None
        self.notifs: deque[Any] = deque()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Return the exchange's answer; ConnectionError where the line breaks, LlmguideError where it refuses."""
        answer = self._line.ask(**request)
        self._now = answer["now"]
        return answer

    def getdata(self, *args: Any, **kwargs: Any) -> PaperData:
        """Return a feed of ``dataname=``, a symbol."""
        return PaperData(*args, store=self, **kwargs)

    def getbroker(self, *args: Any, **kwargs: Any) -> PaperBroker:
        """Return the broker of the exchange's one account."""
        return PaperBroker(*args, store=self, **kwargs)

    def now(self) -> datetime:
        """Return the market's time when it was last heard of, naive and in UTC."""
        for tried in range(TRIES):
            if self._now is not None:
                break
            try:
                self.ask(do="account", since=0)
            except ConnectionError:
                if tried == TRIES - 1:
                    raise
                time.sleep(RETRY)
        moment: datetime = bt.num2date(self._now)
        return moment

    def stop(self) -> None:
        """Hang up."""
        self._line.close()


class PaperData(bt.feed.DataBase):
    """A live feed of one symbol: first what is over already, then each bar as it comes.

    Where the line breaks it says so (DISCONNECTED), connects again and fills in what was missed (DELAYED, then LIVE).
    """

    params: ClassVar[Any] = (("store", None), ("qcheck", 0.5))

    def islive(self) -> bool:
        """Return True."""
        return True

    def haslivedata(self) -> bool:
        """Return whether bars wait to be taken."""
        return bool(self._waiting)

    def start(self) -> None:
        """Begin with the exchange's first bar."""
        super().start()
        self._waiting: deque[list[float]] = deque()
        self._after: float | None = None
        self._broken = False

    def _load(self) -> bool | None:
        if not self._waiting:
            try:
                told = self.p.store.ask(do="bars", symbol=self.p.dataname, after=self._after)
            except ConnectionError:
                self._broken = True
                self.put_notification(self.DISCONNECTED)
                time.sleep(RETRY)
                return None
            if told["over"]:
                return False
            self._waiting.extend(told["bars"])
            if not self._waiting:
                self.put_notification(self.LIVE)
                time.sleep(self._qcheck)
                return None
            if self._broken or len(self._waiting) > 1:
                self._broken = False
                self.put_notification(self.DELAYED)
        row = self._waiting.popleft()
        if not self._waiting:
            self.put_notification(self.LIVE)
        lines = self.lines
        lines.datetime[0], lines.open[0], lines.high[0], lines.low[0], lines.close[0], lines.volume[0] = row
        lines.openinterest[0] = 0.0
        self._after = row[0] if self._after is None else max(self._after, row[0])
        return True


class PaperBroker(bt.BrokerBase):
    """The broker of the account on paper.

    It knows orders by the names that their clients gave them (see `llmguide.live.venues.BrokerVenue`).
    """

    params: ClassVar[Any] = (("store", None),)
    knows_client_ids = True

    def __init__(self) -> None:
        super().__init__()
        self._book = Book(self.getcommissioninfo)
        self._found: dict[str, Report] = {}
        self._since = 0
        self._cash = self.startingcash = 0.0
        self._positions: dict[str, Any] = {}
        self._unnamed = 0

    def start(self) -> None:
        """Ask for the account."""
        super().start()
        with suppress(ConnectionError):  # `next` says so
            self._look()
        self.startingcash, self.startingvalue = self._cash, self.getvalue()

    def next(self) -> None:
        """Learn what is new of account and orders; ConnectionError where the line breaks."""
        self._look()
        for id, report in self._found.items():
            if id in self._book.orders:
                self._book.apply(report)

    def get_notification(self) -> Any:
        """Return the oldest notification, None where there is none."""
        return self._book.next_notification()

    def getcash(self) -> float:
        """Return the account's cash."""
        return self._cash

    def getvalue(self, datas: Any = None) -> float:
        """Return cash and positions at the last closes; of some feeds, their positions alone."""
        chosen = (self.cerebro.datas if self.cerebro else []) if datas is None else datas
        worth = sum(self.getposition(data).size * float(data.close[0]) for data in chosen if len(data))
        return float(worth if datas is not None else self._cash + worth)

    get_cash, get_value = getcash, getvalue
    cerebro: Any = None  # Cerebro sets it

    def getposition(self, data: Any, clone: bool = True) -> Any:
        """Return the account's position in a feed's symbol."""
        return bt.Position(*self._positions.get(data._dataname, (0.0, 0.0)))

    def find_order(self, client_id: str) -> Report | None:
        """Return what the exchange knows of an order, None where it never got it."""
        return _report(self.p.store.ask(do="find", id=client_id)["order"])

    def cancel_order(self, client_id: str) -> Report | None:
        """Cancel an order by its name, and return its last report."""
        return _report(self.p.store.ask(do="cancel", id=client_id)["order"])

    def buy(self, owner: Any, data: Any, size: float, price: Any = None, plimit: Any = None, **options: Any) -> Any:
        """Send a purchase; ConnectionError where the line breaks: it may have arrived then."""
        return self._send(bt.BuyOrder, owner, data, size, price, plimit, options)

    def sell(self, owner: Any, data: Any, size: float, price: Any = None, plimit: Any = None, **options: Any) -> Any:
        """Send a sale; ConnectionError where the line breaks: it may have arrived then."""
        return self._send(bt.SellOrder, owner, data, size, price, plimit, options)

    def cancel(self, order: Any) -> None:
        """Cancel an order, and learn at once what became of it."""
        report = self.cancel_order(order.info.client_id)
        if report is not None:
            self._book.apply(report)

    def _send(
        self, side: type, owner: Any, data: Any, size: float, price: Any, plimit: Any, options: dict[str, Any]
    ) -> Any:
        id, kind = options.pop("client_id", None), options.pop("exectype", None)
        if id is None:
            self._unnamed += 1
            id = f"order-{self._unnamed}-{time.time_ns()}"
        order = make_order(side, owner, data, size, price, kind, plimit=plimit, **options)
        wanted = wanted_of(order, strategy="", feed=position_key(data))
        told = self.p.store.ask(
            do="send",
            id=id,
            symbol=data._dataname,
            size=wanted.size,
            kind=wanted.kind,
            price=wanted.price,
            valid=wanted.valid,
        )
        self._book.submit(id, order, self)
        report = _report(told["order"])
        if report is not None:
            self._book.apply(report)
        return order

    def _look(self) -> None:
        told = self.p.store.ask(do="account", since=self._since)
        self._since = told["revision"]
        self._cash, self._positions = told["cash"], told["positions"]
        for order in told["orders"]:
            report = _report(order)
            if report is not None:
                self._found[report.id] = report


def _report(told: dict[str, Any] | None) -> Report | None:
    if told is None:
        return None
    return Report(told["id"], told["status"], told["filled"], told["price"], told["fee"])
