"""With the close-fill broker, the account in Cerebro is that of `llmguide.simulate`, to the cent at every bar.

    python examples/close_fills.py [BARS.csv]

The benchmark trades at the close of the bar on which it decides. Backtrader's own broker fills at the next open: the
same decisions, another account.
"""

from __future__ import annotations

import argparse

import backtrader as bt
import pandas as pd

import llmguide
from llmguide.backtest import SharpeDrawdown, use_close_fills


def run(bars: pd.DataFrame, guidance: llmguide.Guidance, *, at_close: bool) -> bt.Strategy:
    """Return the strategy after its run."""
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.addstrategy(llmguide.strategies.LLMOnly, guidance=guidance)
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=0.001)
    if at_close:
        use_close_fills(cerebro)
    cerebro.addanalyzer(SharpeDrawdown)
    (strategy,) = cerebro.run()
    return strategy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", nargs="?", help="a file of bars; the synthetic market where it is left out")
    given = parser.parse_args()
    bars = llmguide.read_bars(given.bars) if given.bars else llmguide.sample_bars(years=2)
    guidance = llmguide.guide(bars, "rules")

    strategy = run(bars, guidance, at_close=True)
    decisions = [decided.decision for decided in strategy.decision_log]
    start = len(bars) - len(decisions)
    accounts = pd.DataFrame(
        {
            "Cerebro, at the close": strategy.analyzers.sharpedrawdown.values,
            "simulate": llmguide.simulate(bars, decisions, start=start)["value"],
            "Cerebro, next open": run(bars, guidance, at_close=False).analyzers.sharpedrawdown.values,
        }
    )
    print(accounts.iloc[start::80].round(2).to_string())
    difference = (accounts["Cerebro, at the close"] - accounts["simulate"]).abs().max()
    print(f"largest difference between the first two on any bar: {difference:.2g}")
    if not difference < 0.01:
        raise SystemExit("they differ by a cent or more")
