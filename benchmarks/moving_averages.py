"""Window pairs per second: the search of the classical baselines in one pass, and pair by pair in NumPy and Python.

    python benchmarks/moving_averages.py [--quick] [--repeats N] [--threads N]

A search values all 406 pairs of windows up to 29 bars under one rule over six years of the synthetic market, as many as
in the published training, and takes the one with the highest Sharpe ratio: `choose_windows`. The peer does the same
with NumPy's means, the account's rules in plain Python (those of account_steps.py) and NumPy's Sharpe ratio; the second
peer carries out the same decisions by `simulate`. All three choose the same pair, which is checked. Each uses one
thread. Not measured: compilation, as each contender runs once before.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
from _bench import Figure, Options, rates, run
from account_steps import START, plain_python
from numpy.typing import NDArray

from llmguide import sample_bars, sharpe_ratio, simulate
from llmguide.trading.moving_averages import LONGEST, choose_windows

SharpeOf = Callable[[NDArray[np.int8]], float]


def search(closes: NDArray[np.float64], longest: int, sharpe_of: SharpeOf) -> tuple[int, int]:
    """Return the best pair of windows for trend following; `sharpe_of` says what a row of decisions earns."""
    means = {
        window: np.lib.stride_tricks.sliding_window_view(closes, window)[START - window : -1].mean(axis=1)
        for window in range(1, longest + 1)
    }
    found = {
        (short, long): sharpe_of((means[short] >= means[long]).astype(np.int8))
        for short, long in combinations(means, 2)
    }
    return max(found, key=lambda pair: found[pair])


def measure(options: Options) -> list[Figure]:
    """Time them in turn."""
    longest, calls = (4, 1) if options.quick else (LONGEST, 10)
    bars = sample_bars(years=6)
    closes = bars["close"].to_numpy()
    prices = closes.tolist()
    pairs = longest * (longest - 1) // 2

    def in_python(decisions: NDArray[np.int8]) -> float:
        values = np.array(plain_python(prices, decisions.tolist()))
        returns = np.append(0.0, np.diff(values) / values[:-1])
        return float(np.sqrt(252) * returns.mean() / returns.std(ddof=1))

    def by_simulate(decisions: NDArray[np.int8]) -> float:
        return sharpe_ratio(simulate(bars, decisions)["returns"])

    def one_pass() -> int:
        for _ in range(calls):
            choose_windows(bars, "trend", longest=longest)
        return calls * pairs

    def pair_by_pair(sharpe_of: SharpeOf) -> Callable[[], int]:
        def work() -> int:
            search(closes, longest, sharpe_of)
            return pairs

        return work

    ours = choose_windows(bars, "trend", longest=longest)[:2]
    assert search(closes, longest, in_python) == search(closes, longest, by_simulate) == ours
    measured = rates(
        {"ours": one_pass, "python": pair_by_pair(in_python), "simulate": pair_by_pair(by_simulate)}, options.repeats
    )
    name = f"window pairs, all {pairs} over {len(bars):,} bars"
    return [
        Figure.of(name, measured["ours"], peer, measured[key])
        for peer, key in (("NumPy and plain Python", "python"), ("NumPy and `simulate`", "simulate"))
    ]


if __name__ == "__main__":
    run(__doc__, measure)
