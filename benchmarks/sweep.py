"""Combinations per second: a sweep in one pass, and vectorbt on the same positions.

    python benchmarks/sweep.py [--quick] [--repeats N] [--threads N]

100,000 combinations of two moving averages and a cost over 503 bars of the synthetic market, each to all eight measures
of `llmguide.sweep`, Sharpe ratio and maximum drawdown among them, the frame of results included; with one thread and
with all. The peer gets 500 of these combinations at a time, as ready positions: `Portfolio.from_signals`,
`sharpe_ratio` and `max_drawdown`, all in and out, which is not quite the benchmark's account (``engine="vbt"`` is,
through `from_orders`). It is not given all 100,000 at once, which would take more memory than most machines have, and
finding its positions is not charged for. Not measured: compilation, as each contender runs once before.

Then, in a process of its own, the first call with compiled code in the cache, imports not counted, beside half a
second; and the largest amount of memory that Python and NumPy hold during a call beyond what they held before, the
result included, beside 32 MiB.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from functools import partial

import numpy as np
import pandas as pd
import vectorbt
from _bench import Figure, Options, rates, run

from llmguide import sample_bars
from llmguide.sweeps import Sweep, sweep

BARS, COLUMNS = 503, 500
FIRST_CALL = """
import time
from llmguide import sample_bars
from llmguide.sweeps import sweep
bars = sample_bars(years=2)
begin = time.perf_counter()
sweep(bars, "trend")
print(time.perf_counter() - begin)
"""


def every(bars: pd.DataFrame, costs: int, threads: int) -> Sweep:
    """Sweep 200 pairs of windows with so many costs each."""
    return sweep(
        bars, "trend", short=range(1, 11), long=range(11, 31), cost=np.linspace(0.0, 0.002, costs), threads=threads
    )


def held(bars: pd.DataFrame) -> float:
    """Return the MiB that a sweep of 100,000 combinations holds beyond what was held before."""
    gc.collect()
    tracemalloc.start()
    every(bars, 500, 1)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 2**20


def measure(options: Options) -> list[Figure]:
    """Time them in turn."""
    costs = 5 if options.quick else 500
    bars = sample_bars(years=2).iloc[:BARS]
    swept = every(bars, costs, 1)
    chosen = swept.frame.index[:: max(1, len(swept) // COLUMNS)][:COLUMNS]
    decisions = np.full((len(bars), len(chosen)), -1)
    for column, label in enumerate(chosen):
        decisions[30:, column] = swept.decisions(label)
    long, short = (pd.DataFrame(decisions == side, index=bars.index) for side in (1, 0))
    fees = chosen.get_level_values("cost").to_numpy()[None, :]

    def ours(threads: int) -> int:
        return len(every(bars, costs, threads))

    def theirs() -> int:
        portfolio = vectorbt.Portfolio.from_signals(bars["close"], long, short_entries=short, fees=fees, freq="1D")
        portfolio.sharpe_ratio(year_freq="252 days")
        portfolio.max_drawdown()
        return len(chosen)

    contenders = {"vectorbt": theirs} | {str(n): partial(ours, n) for n in sorted({1, options.threads})}
    measured = rates(contenders, options.repeats)
    size = f"{len(swept):,} x {len(bars)} bars"
    peer = f"vectorbt, {len(chosen)} columns at a time"
    figures = [
        Figure.of(f"sweep, {size}, threads: {name}", values, peer, measured["vectorbt"])
        for name, values in measured.items()
        if name != "vectorbt"
    ]
    call = [sys.executable, "-c", FIRST_CALL]
    if not options.quick:
        subprocess.check_call(call, stdout=subprocess.DEVNULL)  # fills the cache
    seconds = [float(subprocess.check_output(call)) for _ in range(options.repeats)]
    limit = np.full(options.repeats, 2.0)
    figures.append(Figure.of("a sweep's first call, calls per second", 1 / np.array(seconds), "the aim, 0.5 s", limit))
    memory = np.array([100_000 / held(bars) for _ in range(options.repeats)])
    aim = np.full(options.repeats, 100_000 / 32)
    figures.append(Figure.of("sweep memory, combinations per MiB", memory, "the aim, 32 MiB for 100,000", aim))
    return figures


if __name__ == "__main__":
    run(__doc__, measure)
