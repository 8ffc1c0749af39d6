"""How strong must guidance be to be followed, and for how long? Every threshold and holding time at once.

    python examples/sweep_guidance_threshold.py                                          # the synthetic market
    python examples/sweep_guidance_threshold.py TRAIN.csv TEST.csv --guidance guidance.parquet --out runs/threshold

The best setting is chosen on the first bars and tried on the later ones, and beside it stands how likely its advantage
is to be luck, which the best of many settings always has. On the synthetic market the guidance is a control that knows
the future and is right two times in three: it shows what comes out, not what guidance is worth.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from llmguide import Guidance, guide, read_bars, sample_bars, sweep

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", nargs="*", help="training and test bars; the synthetic market where they are left out")
    parser.add_argument("--guidance", type=Path, help="a table for both")
    parser.add_argument("--out", type=Path, default=Path("runs/sweep_guidance_threshold"))
    given = parser.parse_args()

    if given.bars:
        train, test = (read_bars(path) for path in given.bars)
    else:
        market = sample_bars(years=8)
        train, test = market.iloc[:1512], market.iloc[1512:]
    if given.guidance:
        guidance = Guidance.read(given.guidance)
    elif given.bars:
        guidance = guide(pd.concat([train, test]), "rules")
    else:
        guidance = guide(market, "oracle", accuracy=2 / 3, confidence="varying")

    found = sweep(
        train,
        "guidance",
        guidance=guidance,
        threshold=np.linspace(0.0, 0.9, 19).round(2),  # strength below which a row is not followed
        hold=[1, 2, 3, 4, 6, 9, 12, np.inf],  # rows until a side is left, if none was followed since
        stop_loss=[0.1, np.inf],
    )
    best = found.best(min_trades=5)
    print(f"{found}\n\nThe best with five trades or more")
    print(pd.Series(found.parameters(best)).to_string())
    print(best.round(3).to_string())

    judged = found.validate(test, min_trades=5)
    print("\nOn later bars")
    print(judged.table.T.round(3).to_string(header=False))

    figure = found.heatmap("threshold", "hold", at=best, min_trades=5, validation=judged)
    print(f"\nheatmap: {figure.write_html(given.out / 'heatmap.html')}")
    print(f"tearsheet: {found.tearsheet(best, given.out / 'best.html').path}")
