"""Paper trading: a mixture of experts on a live feed, stopped in the middle and started again.

    python examples/paper_trading.py                           # the synthetic market
    python examples/paper_trading.py BARS.csv --journal aapl.sqlite
    python examples/paper_trading.py --dry-run                 # the same, and no order leaves this process

A market on paper, a process of its own, plays the bars: the first 150 are over when trading begins. The strategy is
that of a backtest, unchanged. Half-way through it is stopped, as by a crash; a second trader with the same journal goes
on with its position, weights and orders. At the end the kill switch is turned on.

For a real feed take a store's `getdata()` and `getbroker()` instead of PaperStore's, and keep `dry_run=True` until you
have seen it work (docs/live.md).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import backtrader as bt

from llmguide import live, read_bars, sample_bars
from llmguide.live.paper_store import PaperStore
from llmguide.strategies import MixtureOfExperts

EXCHANGE, HISTORY = "llmguide.live.paper_exchange", 150


class Momentum(bt.Indicator):
    """An expert of your own: its value at a bar is its side for the next one."""

    lines = ("side",)

    def __init__(self) -> None:
        super().__init__()
        self.lines.side = bt.Cmp(self.data.close, bt.ind.SMA(self.data, period=50))


class StopAfter(bt.Analyzer):
    """Stops the run after so many bars."""

    params = (("bars", None),)

    def next(self) -> None:
        if self.p.bars is not None and len(self.strategy) >= self.p.bars:
            self.strategy.cerebro.runstop()


def trade(port: int, journal: Path, *, dry_run: bool, bars: int | None = None) -> MixtureOfExperts:
    """Trade until the market is over, or for so many bars."""
    store = PaperStore(port=port)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = store.getbroker()
    cerebro.broker.setcommission(commission=0.001)
    cerebro.adddata(store.getdata(dataname="STOCK", qcheck=0.05), name="STOCK")
    cerebro.addstrategy(MixtureOfExperts, experts={"momentum": Momentum, "hold": "hold"})
    cerebro.addanalyzer(StopAfter, bars=bars)
    live.attach(
        cerebro,
        journal=journal,
        limits=live.Limits(orders_per_day=2, leverage=1.1, daily_loss=0.1, on_kill="flatten"),
        dry_run=dry_run,  # True where it is left out
        clock=store.now,
        on_note=lambda note: None,  # they are in the journal
    )
    (strategy,) = cerebro.run()
    store.stop()
    return strategy


def report(name: str, strategy: MixtureOfExperts, journal: Path) -> None:
    """Print where a trader stands."""
    status, (when, weights) = live.status(journal), list(strategy.weights.iterrows())[-1]
    shares = ", ".join(f"{expert} {weight:.2f}" for expert, weight in weights.items())
    print(f"{name}: {when:%Y-%m-%d}, {strategy.position.size:g} shares, weights {shares}, {status.sent} orders sent")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", type=Path, nargs="?", help="bars to play; the synthetic market where they are left out")
    parser.add_argument("--journal", type=Path, help="where it is written; a temporary file where it is left out")
    parser.add_argument("--dry-run", action="store_true", help="fill orders in this process, and send none")
    given = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        played = Path(folder) / "bars.csv"
        (read_bars(given.bars) if given.bars else sample_bars(years=1)).to_csv(played)
        journal = given.journal or Path(folder) / "paper.sqlite"
        market = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "llmguide.live.paper_exchange",
                f"STOCK={played}",
                f"--history={HISTORY}",
                "--port=0",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            port = int(re.search(r":(\d+)$", market.stdout.readline()).group(1))
            report("stopped", trade(port, journal, dry_run=given.dry_run, bars=HISTORY + 50), journal)
            report("went on", trade(port, journal, dry_run=given.dry_run), journal)
            live.kill(journal, "the example is over")
            status = live.status(journal)
            print(f"{status.refused} orders refused, of the bars before; {len(status.unknown)} that nobody heard of")
            print(f"value {status.value:,.2f}; kill switch on: {status.killed}")
        finally:
            market.terminate()
            market.wait()
            market.stdout.close()
