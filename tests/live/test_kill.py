"""kill -9 of a trader in a process of its own, at random moments, while broker and market go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from live_market import executed, made_bars, run_trader, running, trade

from llmguide.live import status
from llmguide.live.paper_exchange import PaperExchange

TESTS = Path(__file__).resolve().parents[1]
TRADER = """
import sys
from live_market import run_trader
run_trader(int(sys.argv[1]), sys.argv[2])
"""


class Killer:
    """Kills the trader a moment after certain requests to the exchange; the moments are random, by a seed."""

    def __init__(self, seed: int, requests: list[int]) -> None:
        self._random, self._left = np.random.default_rng(seed), list(requests)
        self.counted, self.victim = 0, None

    def __call__(self, request, answer):
        told = answer()
        self.counted += 1
        if self._left and self.counted >= self._left[0] and self.victim is not None:
            del self._left[0]
            victim, self.victim = self.victim, None
            threading.Timer(self._random.uniform(0.0, 0.003), kill, [victim]).start()
        return told


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


class Forked:
    """Traders as forks of this process, which has loaded everything; they wait for a port before they begin."""

    def __init__(self, journal: Path, lives: int) -> None:
        self._waiting = deque(self._fork(journal) for _ in range(lives))

    def start(self, port: int):
        pid, pipe = self._waiting.popleft()
        os.write(pipe, f"{port}\n".encode())
        os.close(pipe)
        return pid, lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    @staticmethod
    def _fork(journal: Path) -> tuple[int, int]:
        read, write = os.pipe()
        pid = os.fork()
        if pid:
            os.close(read)
            return pid, write
        code = 1
        try:
            run_trader(int(os.read(read, 16)), journal)
            code = 0
        finally:
            os._exit(code)


class Started:
    """Traders as a user starts them."""

    def __init__(self, journal: Path, lives: int) -> None:
        self._journal = journal

    def start(self, port: int):
        trader = subprocess.Popen([sys.executable, "-c", TRADER, str(port), str(self._journal)], cwd=TESTS)
        return trader.pid, trader.wait


def trade_on(market: PaperExchange, traders, *, kills: int, requests: int, seed: int) -> int:
    """Let traders die and follow each other until the market is over; return how many were killed."""
    random = np.random.default_rng(seed)
    killer = Killer(seed, sorted(random.choice(np.arange(5, requests), kills, replace=False).tolist()))
    killed = 0
    with running(market, killer) as port:
        while True:
            pid, wait = traders.start(port)
            killer.victim = pid
            code = wait()
            if code == 0:
                return killed
            assert code == -signal.SIGKILL
            killed += 1


@pytest.fixture
def uninterrupted(folder):
    """The run that nothing happens to: market, requests and decisions."""

    def run(bars):
        market, counter = PaperExchange({"X": bars}, history=3, share=0.6), Killer(0, [])
        with running(market, counter) as port:
            ran, _ = trade(port, folder / "whole")
        return market, counter.counted, [list(map(str, entry)) for entry in ran.decision_log]

    return run


# The forks are made before the market's thread is; newer Pythons warn of any thread, those of BLAS too.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "count", "kills"),
    [(Forked, 120, 10), pytest.param(Started, 24, 2, marks=pytest.mark.slow)],
    ids=["ten times", "twice, started as a user does"],
)
def test_a_killed_trader_sends_no_order_twice_and_loses_none(folder, uninterrupted, kind, count, kills):
    bars, traders = made_bars(count, seed=11), kind(folder / "journal", kills + 1)
    whole, requests, decisions = uninterrupted(bars)
    market = PaperExchange({"X": bars}, history=3, share=0.6)
    killed = trade_on(market, traders, kills=kills, requests=requests, seed=5)
    assert killed == kills
    assert len(executed(whole)) > count // 4
    assert executed(market) == executed(whole)
    assert (market.positions, market.cash) == (whole.positions, whole.cash)
    assert json.loads((folder / "journal.decided").read_text(encoding="utf-8")) == decisions
    told = status(folder / "journal")
    assert told.positions == {"X": whole.positions["X"][0]}
    assert told.unknown == []
