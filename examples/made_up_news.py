"""A table of made-up news for instruments of which you have none, to try the Analyst and prompt P4.

    python examples/made_up_news.py AAPL KO [--bars FOLDER] [--out tables] [--seed 0]

Writes TABLES/SYMBOL/news.csv, about two headlines a week over the days of the bars (of the sample bars without
--bars). They are drawn at random and know nothing of prices: guidance that rests on them is worth nothing. Each row's
`source` says "made up".
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from llmguide import read_bars, sample_bars
from llmguide.sources.tables import Tables

WHO = ("The company", "A supplier", "A large customer", "A competitor", "The regulator", "A group of shareholders")
WHAT = (
    "raises its outlook for the year",
    "cuts its outlook for the year",
    "reports orders above expectations",
    "reports orders below expectations",
    "announces a new product line",
    "delays a product by two quarters",
    "opens an inquiry into pricing",
    "settles a dispute out of court",
    "plans to buy back shares",
    "replaces its chief financial officer",
    "expands a factory",
    "closes a factory",
)
PER_DAY = 0.4  # headlines, on average


def made_up(days: pd.DatetimeIndex, seed: int) -> pd.DataFrame:
    """Return headlines published at noon on some of `days`."""
    random = np.random.default_rng(seed)
    counts = random.poisson(PER_DAY, len(days))
    stamps = days.normalize().repeat(counts) + pd.Timedelta(hours=12)
    lines = [f"{random.choice(WHO)} {random.choice(WHAT)}" for _ in stamps]
    return pd.DataFrame({"published_at": stamps, "headline": lines, "source": "made up"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("symbols", nargs="+", metavar="SYMBOL")
    parser.add_argument("--bars", type=Path, help="folder with files SYMBOL_*.csv")
    parser.add_argument("--out", type=Path, default=Path("tables"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for symbol in options.symbols:
        bars = sample_bars()
        if options.bars is not None:
            bars = pd.concat([read_bars(path) for path in sorted(options.bars.glob(f"{symbol}_*.csv"))])
        path = options.out / symbol / "news.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        made_up(pd.DatetimeIndex(bars.index), zlib.crc32(f"{symbol} {options.seed}".encode())).to_csv(path, index=False)
        read = Tables.read(options.out, symbol).news  # as the commands read it
        assert read is not None
        print(f"{path}: {len(read)} made-up headlines")


if __name__ == "__main__":
    main()
