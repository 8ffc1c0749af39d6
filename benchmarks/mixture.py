"""Mixtures per second: many draws of three experts by `mix_draws`, in plain Python, and side by side in NumPy.

    python benchmarks/mixture.py [--quick] [--repeats N] [--threads N]

A study of the mixture asks what it would have held if the guidance had been another draw: here 1,000 draws of an agent
and of guidance, which change their sides once a month, beside holding, over 503 bars, as many as in the two test years
of the published benchmark. One unit is one draw, from the sides of its experts to its position at every bar. The first
peer is the formulas as a loop in Python over bars and experts, timed on fewer draws; the second one is a loop over the
bars in NumPy that carries all draws along, on one thread. All three agree to 1e-9, which is checked. Not measured:
compilation, as each contender runs once before.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import stdev

import numpy as np
import pandas as pd
from _bench import Figure, Options, rates, run
from numpy.typing import NDArray

from llmguide import sample_bars
from llmguide.mixture import Prior, mix_draws

BARS, WINDOW, COST = 503, 60, 0.001
PRIORS = [Prior(0.0, 252), Prior(0.02, 252), Prior(0.02, 1000)]
Array = NDArray[np.float64]


def in_python(closes: list[float], draws: list[list[list[float]]]) -> list[list[float]]:
    """Return the positions of every draw, bar by bar and expert by expert."""
    returns = [0.0] + [after / before - 1.0 for before, after in pairwise(closes)]
    spreads = [stdev(returns[t - WINDOW : t]) if t > WINDOW else 0.0 for t in range(len(closes))]
    positions = []
    for sides in draws:
        sums, counts = [0.0] * len(PRIORS), [0] * len(PRIORS)
        held: list[float] | None = None
        row = []
        for t, now in enumerate(sides):
            total = mean = 0.0
            for expert, prior in enumerate(PRIORS):
                record = (prior.count * prior.mean + sums[expert]) / (prior.count + counts[expert])
                if record > 0.0:
                    total += record
                    mean += record * now[expert]
            row.append(mean / total if total else 0.0)
            if held is not None and spreads[t]:
                for expert, (before, after) in enumerate(zip(held, now, strict=True)):
                    sums[expert] += (before * returns[t] - COST * abs(after - before)) / spreads[t]
                    counts[expert] += 1
            held = now
        positions.append(row)
    return positions


def in_numpy(closes: Array, sides: Array) -> Array:
    """Return the positions of all draws, bar by bar."""
    returns = np.append(0.0, closes[1:] / closes[:-1] - 1.0)
    spreads = pd.Series(returns).rolling(WINDOW).std().shift(1).to_numpy()
    means, strengths = (np.array([getattr(prior, name) for prior in PRIORS]) for name in ("mean", "count"))
    sums, counts, positions = np.zeros(sides.shape[::2]), 0, np.zeros(sides.shape[:2])
    for t in range(sides.shape[1]):
        weights = np.maximum(0.0, (strengths * means + sums) / (strengths + counts))
        total = weights.sum(axis=1)
        np.divide((weights * sides[:, t]).sum(axis=1), total, out=positions[:, t], where=total > 0.0)
        if t > WINDOW:
            change = np.abs(sides[:, t] - sides[:, t - 1])
            sums += (sides[:, t - 1] * returns[t] - COST * change) / spreads[t]
            counts += 1
    return positions


def measure(options: Options) -> list[Figure]:
    """Time them in turn."""
    count, few = (20, 2) if options.quick else (1000, 20)
    bars = sample_bars(years=3, seed=1).iloc[:BARS]
    random = np.random.default_rng(0)
    months = np.arange(BARS) // 20
    monthly = random.choice([-1.0, 1.0], size=(count, months[-1] + 1, 2))[:, months]
    sides = np.concatenate([monthly, np.ones((count, BARS, 1))], axis=2)
    closes, some = bars["close"].to_numpy(), sides[:few].tolist()

    ours = mix_draws(bars, sides, PRIORS, cost=COST)
    np.testing.assert_allclose(in_numpy(closes, sides), ours, atol=1e-9)
    np.testing.assert_allclose(in_python(closes.tolist(), some), ours[:few], atol=1e-9)

    def by_mix_draws() -> int:
        mix_draws(bars, sides, PRIORS, cost=COST)
        return count

    def by_numpy() -> int:
        in_numpy(closes, sides)
        return count

    def by_python() -> int:
        in_python(closes.tolist(), some)
        return few

    measured = rates({"ours": by_mix_draws, "python": by_python, "numpy": by_numpy}, options.repeats)
    name = f"mixtures, {count:,} draws, threads: {options.threads}"
    peers = (("plain Python", "python"), ("NumPy, draws side by side", "numpy"))
    return [Figure.of(name, measured["ours"], peer, measured[key]) for peer, key in peers]


if __name__ == "__main__":
    run(__doc__, measure)
