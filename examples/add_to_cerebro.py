"""Add a guided agent to a Cerebro of your own, with Backtrader's own feed and broker.

    python examples/add_to_cerebro.py            # made bars, and a tiny agent trained here
    python examples/add_to_cerebro.py TEST.csv --model hybrid-0.safetensors --guidance guidance.parquet

Backtrader's broker fills an order at the next open. No order of the strategy is rejected for margin there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import backtrader as bt

import llmguide
from llmguide.backtest import OrderLog, SharpeDrawdown
from llmguide.rl.config import DQNConfig


def train_tiny_agent(folder: Path) -> tuple[Path, Path, Path]:
    """Make bars, guidance by rules and a small agent; return the files of the test bars, the agent and the guidance."""
    market = llmguide.sample_bars(years=4)
    train, test = market.iloc[:756], market.iloc[756:]
    guidance = llmguide.guide(market, "rules")
    agents = llmguide.train_dqn(train, guidance, seeds=1, episodes=1, config=DQNConfig(hidden=32))
    (model,) = agents.save(folder, "hybrid")
    bars = folder / "test.csv"
    test.to_csv(bars)
    return bars, model, guidance.save(folder / "guidance.parquet")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", nargs="?", type=Path)
    parser.add_argument("--model", type=Path, help="checkpoint of an agent trained with guidance")
    parser.add_argument("--guidance", type=Path, help="guidance table")
    parser.add_argument("--out", type=Path, default=Path("runs/add_to_cerebro"), help="where a tiny agent is stored")
    given = parser.parse_args()
    files = (given.bars, given.model, given.guidance)
    if not all(files):
        if any(files):
            parser.error("give bars, --model and --guidance together, or none of them")
        files = train_tiny_agent(given.out)
    bars, model, guidance = files

    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=llmguide.read_bars(bars)))
    cerebro.addstrategy(llmguide.strategies.LLMGuidedDQN, model=model, guidance=guidance)
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=0.001)
    cerebro.addanalyzer(SharpeDrawdown)
    cerebro.addanalyzer(OrderLog)
    (strategy,) = cerebro.run()

    print(f"final value {cerebro.broker.getvalue():,.2f}")
    for name, value in strategy.analyzers.sharpedrawdown.get_analysis().items():
        print(f"{name} {value:,.3f}")
    print(f"orders {dict(strategy.analyzers.orderlog.get_analysis())}")
