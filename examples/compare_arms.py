"""Compare the agent with and without guidance, the guidance alone, and holding: the tables of `llmguide compare`.

    python examples/compare_arms.py                                           # a quick look on the synthetic market
    python examples/compare_arms.py TRAIN.csv TEST.csv --seeds 25 --episodes 50 --hidden 512

The quick look shows what comes out, not what guidance is worth: its network and its training are too small for that.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from llmguide import compare, guide, read_bars, sample_bars
from llmguide.rl.config import DQNConfig

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", nargs="*", help="training and test bars; the synthetic market where they are left out")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=64, help="units of a hidden layer; the published network has 512")
    parser.add_argument("--out", type=Path, default=Path("runs/compare_arms"))
    given = parser.parse_args()

    if given.bars:
        train, test = (read_bars(path) for path in given.bars)
    else:
        market = sample_bars(years=4)
        train, test = market.iloc[:756], market.iloc[756:]

    result = compare(
        train,
        test,
        guide(pd.concat([train, test]), "rules"),  # the first test months may look back into the training bars
        seeds=given.seeds,
        episodes=given.episodes,
        config=DQNConfig(hidden=given.hidden),
        out=given.out,
    )
    print("Test bars: Sharpe ratio and maximum drawdown of every arm\n")
    print(result.table.round(3).to_string())
    print("\nTwo-sided paired t tests over seeds, the hybrid minus the other arm\n")
    print(result.tests.round(3).to_string(index=False))
    print(f"\nreport: {result.write(given.out)}")
