"""A market on paper, in a process of its own: it plays bars, fills orders on them, and knows every order by its name.

    python -m llmguide.live.paper_exchange AAPL=aapl.csv --port 7610 --history 250

It speaks JSON, a line each way, on a loopback socket, and lives as long as its process. Two ways to pass the time: with
an interval a new bar comes whenever it is over, whether somebody watches or not; without one the market waits until
every feed has taken the current bar and asks for the next.
"""

from __future__ import annotations

import argparse
import json
import math
import socketserver
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmguide.errors import DataError, LlmguideError
from llmguide.live.fills import fill_price

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Fault", "PaperExchange", "serve"]

Fault = Callable[[Mapping[str, Any], Callable[[], dict[str, Any]]], dict[str, Any] | None]
"""Stands between a request and its answer, for tests: may call for the answer or not, and change it; None hangs up."""

COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass
class _Order:
    id: str
    symbol: str
    size: float
    kind: str
    price: float | None
    valid: float | None
    status: str = "open"
    filled: float = 0.0
    mean: float = 0.0
    fee: float = 0.0
    changed: int = 0  # the revision of its last change

    def told(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "status": self.status,
            "filled": self.filled,
            "price": self.mean,
            "fee": self.fee,
            "changed": self.changed,
        }


@dataclass
class PaperExchange:
    """Bars, one account, and its orders.

    Args:
        bars: frames as `llmguide.read_bars` returns them, by symbol.
        cash: at the beginning. Nothing is refused for lack of it.
        fee: of every fill, a fraction of its value.
        history: bars that are over when the market opens.
        interval: seconds from bar to bar, from the first request on; None waits for the feeds.
        share: the largest part of a bar's volume that one order gets; what is left waits for the next bar. None: all.
    """

    bars: Mapping[str, pd.DataFrame]
    cash: float = 100_000.0
    fee: float = 0.001
    history: int = 1
    interval: float | None = None
    share: float | None = None
    orders: dict[str, _Order] = field(default_factory=dict, init=False)
    positions: dict[str, list[float]] = field(default_factory=dict, init=False)  # shares and their mean price

    def __post_init__(self) -> None:
        import backtrader as bt

        self._rows = {
            symbol: [
                [bt.date2num(stamp.to_pydatetime()), *map(float, row)]
                for stamp, *row in frame[list(COLUMNS)].itertuples()
            ]
            for symbol, frame in self.bars.items()
        }
        self._stamps = {symbol: [row[0] for row in rows] for symbol, rows in self._rows.items()}
        self._times = sorted({stamp for stamps in self._stamps.values() for stamp in stamps})
        if not 1 <= self.history <= len(self._times):
            raise DataError(f"history is from 1 to the number of bars, {len(self._times)}, got {self.history}")
        self._at = self.history - 1
        self._taken: dict[str, float] = {}
        self._revision = 0
        self._opened: float | None = None  # with the first request
        self._lock = threading.Lock()

    def handle(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request: ``do`` is bars, send, cancel, find or account."""
        with self._lock:
            if self._opened is None:
                self._opened = time.monotonic()
            if self.interval is not None:
                passed = int((time.monotonic() - self._opened) / self.interval)
                while self._at < min(self.history - 1 + passed, len(self._times) - 1):
                    self._advance()
            answers = {
                "bars": self._tell_bars,
                "send": self._take,
                "cancel": self._cancel,
                "find": self._find,
                "account": self._tell_account,
            }
            try:
                answer = answers[request["do"]](request)
            except KeyError as error:
                return {"error": f"expected a request with {error}, got {dict(request)}"}
            return {"now": self._times[self._at], **answer}

    def _tell_bars(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the bars of a symbol after a stamp."""
        symbol, after = request["symbol"], request["after"]
        if symbol not in self._rows:
            return {"error": f"there is no {symbol!r} here, only {', '.join(self._rows)}"}
        self._taken[symbol] = -math.inf if after is None else after
        if self.interval is None and all(self._is_up_to_date(symbol) for symbol in self._taken):
            if self._at == len(self._times) - 1:
                return {"bars": [], "over": True}
            self._advance()
        stamps = self._stamps[symbol]
        first, end = bisect_right(stamps, self._taken[symbol]), bisect_right(stamps, self._times[self._at])
        over = self.interval is not None and self._at == len(self._times) - 1 and first >= end
        return {"bars": self._rows[symbol][first:end], "over": over}

    def _is_up_to_date(self, symbol: str) -> bool:
        end = bisect_right(self._stamps[symbol], self._times[self._at])
        return not end or self._taken[symbol] >= self._stamps[symbol][end - 1]

    def _take(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Take an order, unless one of its name is known: then say how that one is."""
        if request["id"] not in self.orders:
            order = _Order(*(request[name] for name in ("id", "symbol", "size", "kind", "price", "valid")))
            self._touch(order)
            self.orders[order.id] = order
        return self._find(request)

    def _cancel(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Cancel an order; one that is not known is remembered, so that it is not taken when it comes late."""
        order = self.orders.setdefault(request["id"], _Order(request["id"], "", 0.0, "market", None, None))
        if order.status == "open":
            order.status = "canceled"
            self._touch(order)
        return self._find(request)

    def _find(self, request: Mapping[str, Any]) -> dict[str, Any]:
        order = self.orders.get(request["id"])
        return {"order": None if order is None else order.told()}

    def _tell_account(self, request: Mapping[str, Any]) -> dict[str, Any]:
        changed = [order.told() for order in self.orders.values() if order.changed > request["since"]]
        return {"cash": self.cash, "positions": self.positions, "orders": changed, "revision": self._revision}

    def _advance(self) -> None:
        """Let the next bar come, and fill on it what waited."""
        self._at += 1
        now = self._times[self._at]
        for order in self.orders.values():
            if order.status != "open":
                continue
            stamps = self._stamps.get(order.symbol, [])
            end = bisect_right(stamps, now)
            if order.valid is not None and now > order.valid:
                order.status = "expired"
                self._touch(order)
            elif end and stamps[end - 1] == now:
                self._fill(order, self._rows[order.symbol][end - 1])

    def _fill(self, order: _Order, row: list[float]) -> None:
        _, opened, high, low, _, volume = row
        price = fill_price(order.kind, order.size, order.price, open=opened, high=high, low=low)
        size = order.size - order.filled
        if self.share is not None:
            size = math.copysign(min(abs(size), math.floor(self.share * volume)), size)
        if price is None or not size:
            return
        fee = self.fee * abs(size) * price
        self.cash -= size * price + fee
        order.mean = (order.filled * order.mean + size * price) / (order.filled + size)
        order.filled += size
        order.fee += fee
        if order.filled == order.size:
            order.status = "filled"
        self._touch(order)
        held, mean = self.positions.get(order.symbol, [0.0, 0.0])
        after = held + size
        if held * size >= 0.0:
            mean = (held * mean + size * price) / after
        elif after * held <= 0.0:
            mean = price if after else 0.0
        self.positions[order.symbol] = [after, mean]

    def _touch(self, order: _Order) -> None:
        self._revision += 1
        order.changed = self._revision


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        for line in self.rfile:
            request = json.loads(line)
            answer = server.fault(request, partial(server.exchange.handle, request))
            if answer is None:
                return
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, exchange: PaperExchange, port: int, fault: Fault) -> None:
        self.exchange, self.fault = exchange, fault
        super().__init__(("127.0.0.1", port), _Handler)


def serve(exchange: PaperExchange, *, port: int = 0, fault: Fault | None = None) -> _Server:
    """Return a server of an exchange, bound to a port of the loopback address; 0 takes a free one.

    Its ``server_address[1]`` is the port; ``serve_forever()`` runs it, ``shutdown()`` from another thread stops it.
    """
    return _Server(exchange, port, fault or (lambda request, answer: answer()))


def _main() -> None:
    from llmguide.bars import read_bars

    parser = argparse.ArgumentParser(description="A market on paper, for trying live trading.")
    parser.add_argument("bars", nargs="+", metavar="SYMBOL=FILE", help="bars to play")
    parser.add_argument("--port", type=int, default=7610, help="of the loopback address (default 7610)")
    parser.add_argument("--cash", type=float, default=100_000.0)
    parser.add_argument("--fee", type=float, default=0.001, help="a fraction of each fill (default 0.001)")
    parser.add_argument("--history", type=int, default=1, help="bars that are over at the beginning (default 1)")
    parser.add_argument("--interval", type=float, help="seconds from bar to bar; without it the market waits")
    parser.add_argument("--share", type=float, help="largest part of a bar's volume that an order gets")
    given = parser.parse_args()
    named = dict(pair.partition("=")[::2] for pair in given.bars)
    try:
        exchange = PaperExchange(
            {symbol: read_bars(Path(path)) for symbol, path in named.items()},
            cash=given.cash,
            fee=given.fee,
            history=given.history,
            interval=given.interval,
            share=given.share,
        )
        server = serve(exchange, port=given.port)
    except (LlmguideError, OSError) as error:
        parser.error(str(error))
    print(f"listening on 127.0.0.1:{server.server_address[1]}", flush=True)
    with suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    _main()
