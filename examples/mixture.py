"""Whom would you have trusted? Guidance, holding and moving averages, weighed by what each has earned so far.

    python examples/mixture_of_experts.py                                            # the synthetic market
    python examples/mixture_of_experts.py BARS.csv --guidance guidance.parquet       # your own
    python examples/mixture_of_experts.py BARS.csv --guidance guidance.parquet --model runs/aapl/rl-0.safetensors

Without files the guidance is a control that knows the future and is right as often as `--accuracy` says: the mixture
does not know how often, and finds out. The table shows the weights at the end of each year.

Then the same in a Cerebro, on the last third of the bars, with an indicator as one more expert; records are made on the
bars before too. It ends with a tearsheet.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import ClassVar

import backtrader as bt

import llmguide
from llmguide import Guidance, guide, load_agent, mix, read_bars, sample_bars
from llmguide.backtest import SharpeDrawdown, use_close_fills
from llmguide.mixture import MovingAverages
from llmguide.strategies import MixtureOfExperts


class Contrarian(bt.Indicator):
    """An expert of your own: its value at a bar, in [-1, 1], is its side for the next one."""

    lines: ClassVar = ("side",)
    params: ClassVar = (("period", 14),)

    def __init__(self) -> None:
        super().__init__()
        self.lines.side = (50.0 - bt.ind.RSI(self.data, period=self.p.period, safediv=True)) / 50.0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", type=Path, nargs="?", help="bars; the synthetic market where they are left out")
    parser.add_argument("--guidance", type=Path, help="a table for them")
    parser.add_argument("--model", type=Path, help="an agent that was trained without guidance, on earlier bars")
    parser.add_argument("--accuracy", type=float, default=0.8, help="of the control (default 0.8)")
    parser.add_argument("--out", type=Path, default=Path("runs/mixture.html"), help="tearsheet of the run in Cerebro")
    given = parser.parse_args()

    bars = read_bars(given.bars) if given.bars else sample_bars(years=6)
    if given.guidance:
        guidance = Guidance.read(given.guidance)
    elif given.bars:
        guidance = guide(bars, "rules")
    else:
        guidance = guide(bars, "oracle", accuracy=given.accuracy)

    experts = {"guidance": guidance, "hold": "hold", "trend": MovingAverages(5, 20)}
    if given.model:
        experts["agent"] = load_agent(given.model)
    mixed = mix(bars, experts)

    print(mixed)
    table = mixed.weights.assign(position=mixed.positions).groupby(mixed.weights.index.year).last()
    print("\nWeights and position at the end of each year")
    print(table.rename_axis("year").round(2).to_string())
    print("\nMean result of each expert a day, in standard deviations of the market, after cost")
    print(mixed.results.mean().round(3).to_string())

    cut = len(bars) * 2 // 3
    history, feed = bars.iloc[:cut], bars.iloc[cut:]
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=feed))
    cerebro.addstrategy(MixtureOfExperts, experts=experts | {"contrarian": Contrarian}, history=history, start=1)
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=0.001)
    use_close_fills(cerebro)
    cerebro.addanalyzer(SharpeDrawdown)
    (strategy,) = cerebro.run()

    print("\nIn Cerebro, with an indicator as one more expert: weights at the end of each quarter")
    print(strategy.weights.groupby(strategy.weights.index.to_period("Q")).last().round(2).to_string())
    title = "A mixture of experts" + (", USES THE FUTURE" if strategy.mixture.uses_future else "")
    path = llmguide.tearsheet(cerebro, given.out, title=title)
    measures = strategy.analyzers.sharpedrawdown.get_analysis()
    print(f"\n{path}: Sharpe ratio {measures['sharpe']:.2f}, max drawdown {measures['max_drawdown']:.2f}")
