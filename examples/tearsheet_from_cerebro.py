"""A tearsheet of any Backtrader strategy, from Backtrader's own TimeReturn analyzer.

    python examples/tearsheet_from_cerebro.py [BARS.csv] [--out FILE.html]

`llmguide.tearsheet` takes the Cerebro that ran, and finds TimeReturn's returns of the account and of the instrument.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, ClassVar

import backtrader as bt
import pandas as pd

import llmguide


class Crossing(bt.Strategy):
    """Long while the fast mean is above the slow one, out otherwise."""

    params: ClassVar[Any] = (("fast", 20), ("slow", 60))

    def __init__(self) -> None:
        super().__init__()
        self.above = bt.ind.SMA(period=self.p.fast) - bt.ind.SMA(period=self.p.slow)

    def next(self) -> None:
        """Follow the means with nine tenths of the account."""
        self.order_target_percent(target=0.9 if self.above[0] > 0 else 0.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", nargs="?", help="a file of bars; the synthetic market where it is left out")
    parser.add_argument("--out", type=Path, default=Path("runs/crossing.html"))
    given = parser.parse_args()

    cerebro = bt.Cerebro()
    bars = llmguide.read_bars(given.bars) if given.bars else llmguide.sample_bars(years=4)
    data = bt.feeds.PandasData(dataname=bars)
    cerebro.adddata(data)
    cerebro.addstrategy(Crossing)
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=0.001)
    cerebro.addanalyzer(bt.analyzers.TimeReturn, _name="account")
    cerebro.addanalyzer(bt.analyzers.TimeReturn, data=data, firstopen=False, _name="instrument")
    (strategy,) = cerebro.run()

    sheet = llmguide.tearsheet(cerebro, given.out, strategy="Crossing means")
    returns = pd.Series(strategy.analyzers.account.get_analysis())
    sharpe, drawdown = llmguide.sharpe_ratio(returns), llmguide.max_drawdown((1.0 + returns).cumprod())
    print(f"{sheet.path}: Sharpe ratio {sharpe:.2f}, max drawdown {drawdown:.2f}")
