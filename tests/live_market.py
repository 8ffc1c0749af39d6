"""A market on paper in this process, its faults, and a trader for it."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import backtrader as bt
import numpy as np
import pandas as pd

from llmguide.live import Limits, attach
from llmguide.live.paper_exchange import PaperExchange, serve
from llmguide.live.paper_store import PaperStore
from llmguide.strategies import AccountStrategy

SHM = Path("/dev/shm")


def journal_folder() -> Path:
    """A folder in memory where there is one: a killed process loses nothing there, and a commit takes no time."""
    return Path(tempfile.mkdtemp(prefix="llmguide-", dir=SHM if SHM.is_dir() else None))


def made_bars(count: int, seed: int = 0, *, start: str = "2024-01-01") -> pd.DataFrame:
    random = np.random.default_rng(seed)
    moves = np.exp(random.normal(0.0, 0.02, count))
    close = 50.0 * np.cumprod(moves)
    opens = close / moves * np.exp(random.normal(0.0, 0.004, count))
    top, bottom = np.maximum(opens, close), np.minimum(opens, close)
    return pd.DataFrame(
        {
            "open": opens,
            "high": top * (1.0 + random.random(count) * 0.01),
            "low": bottom / (1.0 + random.random(count) * 0.01),
            "close": close,
            "volume": random.integers(1_000, 9_000, count).astype(float),
        },
        index=pd.bdate_range(start, periods=count, name="date"),
    )


class Restless(AccountStrategy):
    """Changes its mind often: long where the hash of the last close says so."""

    params = (("start", 3),)

    def decide(self) -> int:
        return int(self.traded.close[-1] * 1e6) % 3 > 0


class Eager(bt.Strategy):
    """Wants something on every bar: ten shares where it has none, none where it has some."""

    def next(self) -> None:
        if self.position:
            self.close()
        else:
            self.buy(size=10)


@contextmanager
def running(exchange: PaperExchange, fault=None):
    """Serve an exchange from a thread; yields its port."""
    server = serve(exchange, fault=fault)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def trade(
    port, journal, strategy=Restless, *, symbols=("X",), limits=None, dry_run=False, notes=None, prepare=None, **p
):
    """Run a strategy on the market until it is over; return the strategy and its guard."""
    store = PaperStore(port=port, timeout=2.0)
    cerebro = bt.Cerebro(stdstats=False)
    broker = store.getbroker()
    broker.setcommission(commission=0.001)
    cerebro.broker = broker
    for symbol in symbols:
        cerebro.adddata(store.getdata(dataname=symbol, qcheck=0.005), name=symbol)
    cerebro.addstrategy(strategy, **p)
    guard = attach(
        cerebro,
        journal=journal,
        dry_run=dry_run,
        limits=limits or Limits(leverage=1.5),
        clock=store.now,
        on_note=(lambda text: None) if notes is None else notes.append,
    )
    if prepare is not None:
        prepare(cerebro, guard)
    try:
        (ran,) = cerebro.run()
    finally:
        store.stop()
    return ran, guard


def executed(exchange: PaperExchange) -> list[tuple]:
    """What was filled of each order that a strategy sent, by its name."""
    return sorted((o.id, o.symbol, o.size, o.status, o.filled, o.mean) for o in exchange.orders.values() if o.size)


class Faulty:
    """Loses requests before and after they are answered, is slow, repeats and delays bars; all by a seed."""

    def __init__(self, seed: int, *, often: float = 0.15, slow: float = 0.0) -> None:
        self._random = np.random.default_rng(seed)
        self._often, self._slow = often, slow
        self._last: dict[str, list] = {}
        self.made = {"lost request": 0, "lost answer": 0, "repeated": 0, "late": 0, "slow": 0}

    def __call__(self, request, answer):
        if self._random.random() < self._often:
            self.made["lost request"] += 1
            return None
        told = answer()
        if self._random.random() < self._often:
            self.made["lost answer"] += 1
            return None
        if self._slow and self._random.random() < self._often:
            self.made["slow"] += 1
            time.sleep(self._slow)
        if request["do"] == "bars" and told.get("bars"):
            symbol, bars = request["symbol"], list(told["bars"])
            if symbol in self._last and self._random.random() < self._often:
                self.made["repeated"] += 1
                told = {**told, "bars": [self._last[symbol], *bars]}
            self._last[symbol] = bars[-1]
        return told


def run_trader(port: int, journal: Path | str) -> None:
    """A trader's whole life; what it decided is written beside the journal."""
    ran, _ = trade(port, journal)
    decided = [list(map(str, entry)) for entry in ran.decision_log]
    Path(f"{journal}.decided").write_text(json.dumps(decided), encoding="utf-8")
