"""Guidance of your own: any function of the bars that returns a `Guidance` table.

    python examples/your_own_guidance.py [BARS.csv] [--out FOLDER]

Here it is the momentum of the last twelve weeks, asked for on the first bar of each quarter. The one rule: a row's
`issued_at` must be later than every bar it was made from. The table is stored, and `LLMOnly` follows it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from llmguide import Guidance, guide, read_bars, sample_bars
from llmguide.backtest import run_backtest
from llmguide.strategies import LLMOnly

WEEKS = 12


def momentum(bars: pd.DataFrame) -> Guidance:
    """Say long on the first bar of a quarter if the twelve weeks before it rose; surer, the further they went."""
    quarters = pd.DatetimeIndex(bars.index).to_period("Q")
    rows = []
    for t in range(5 * WEEKS + 1, len(bars)):
        if quarters[t] == quarters[t - 1]:
            continue
        known = bars["close"].iloc[:t]  # the bars before this one
        change = known.iloc[-1] / known.iloc[-1 - 5 * WEEKS] - 1.0
        rows.append(
            {
                "issued_at": bars.index[t],
                "direction": int(change > 0),
                "confidence": 1 + (abs(change) > 0.05) + (abs(change) > 0.15),
                "entropy": None,
                "explanation": f"{WEEKS} weeks moved by {change:+.1%}",
                "provider": "momentum",
            }
        )
    return Guidance.from_rows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", nargs="?", help="a file of bars; the synthetic market where it is left out")
    parser.add_argument("--out", type=Path, default=Path("runs/your_own_guidance"), help="folder for the table")
    given = parser.parse_args()
    bars = read_bars(given.bars) if given.bars else sample_bars(years=4)

    path = guide(bars, momentum).save(given.out / "momentum.parquet")
    table = Guidance.read(path).frame
    print(table[["issued_at", "direction", "confidence", "strength", "tau", "explanation"]].head().to_string())

    result = run_backtest(bars, LLMOnly, guidance=path)
    print(f"\n{path}: {len(table)} rows")
    print(f"Sharpe ratio {result.sharpe:.2f}, max drawdown {result.max_drawdown:.2f}, {result.trade_count} trades")
