"""An expert of your own beside the agent and a guidance table: whom would you have trusted?

    python examples/mixture.py                                                       # the synthetic market
    python examples/mixture.py BARS.csv --guidance guidance.parquet                  # your own
    python examples/mixture.py BARS.csv --guidance gpt.parquet --guidance gemma.parquet --model runs/rl-0.safetensors

Your own expert is an indicator, `Contrarian` below: its value at a bar is its side for the next one. The last third of
the bars is traded in a Cerebro; records are made on the bars before. The run ends with a tearsheet, and with a page of
whom the mixture trusted, on what record, and what came from each.

Without files an agent is trained here, shortly and with a small network, on the first two years of a synthetic market,
and the guidance is a control that knows the future and is right as often as `--accuracy` says: the mixture does not
know how often, and finds out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import ClassVar

import backtrader as bt

import llmguide
from llmguide import Guidance, guide, load_agent, mix, read_bars, sample_bars, train_dqn
from llmguide.backtest import SharpeDrawdown, use_close_fills
from llmguide.mixture import review
from llmguide.report.trust_page import summary, write_trust_page
from llmguide.rl.config import DQNConfig
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
    parser.add_argument("--guidance", type=Path, action="append", help="a table for them; several are several experts")
    parser.add_argument("--model", type=Path, help="an agent that was trained without guidance, on earlier bars")
    parser.add_argument("--accuracy", type=float, default=0.8, help="of the control (default 0.8)")
    parser.add_argument("--out", type=Path, default=Path("runs/mixture"), help="folder of tearsheet and page")
    given = parser.parse_args()

    bars = read_bars(given.bars) if given.bars else sample_bars(years=6)
    if given.guidance:
        tables = {path.stem: Guidance.read(path) for path in given.guidance}
    elif given.bars:
        tables = {"guidance": guide(bars, "rules")}
    else:
        tables = {"guidance": guide(bars, "oracle", accuracy=given.accuracy)}
    experts = {**tables, "hold": "hold"}
    if given.model:
        experts["agent"] = load_agent(given.model)  # its record begins after its last training bar
    elif not given.bars:
        small = DQNConfig(hidden=16, batch=8)  # the published one is trained for minutes
        experts["agent"] = train_dqn(bars.iloc[:504], seeds=1, episodes=1, config=small, progress=False)[0]

    mixed = mix(bars, experts)
    print(mixed)
    table = mixed.weights.assign(position=mixed.positions).groupby(mixed.weights.index.year).last()
    print("\nWeights and position at the end of each year")
    print(table.rename_axis("year").round(2).to_string())

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

    print("\nIn Cerebro, with your own expert: weights at the end of each quarter")
    print(strategy.weights.groupby(strategy.weights.index.to_period("Q")).last().round(2).to_string())
    control = ", USES THE FUTURE" if strategy.mixture.uses_future else ""
    sheet = llmguide.tearsheet(cerebro, given.out / "tearsheet.html", title=f"A mixture of experts{control}")
    found = review(strategy.mixed, feed.index[0], start=len(feed) - len(strategy.weight_log))
    page = write_trust_page(found, given.out / "mixture.html")
    measures = strategy.analyzers.sharpedrawdown.get_analysis()
    print(f"\n{sheet.path}: Sharpe ratio {measures['sharpe']:.2f}, max drawdown {measures['max_drawdown']:.2f}")
    print(f"{page}: {summary(found)}")
