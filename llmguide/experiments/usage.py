"""How an agent uses its guidance: does it follow it, and does it notice when the guidance is changed?

An agent with a good Sharpe ratio may have ignored its guidance, or learned the training months by their fingerprint of
tau. These shares tell: agreement with the direction in force, and decisions that change when tau is inverted or when
the months of tau are permuted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from llmguide.rl.agent import Agent
from llmguide.rl.evaluation import follow

__all__ = ["Usage", "agreement", "measure_usage", "permute_months"]

PERMUTATIONS = 10


class Usage(NamedTuple):
    """Shares of decisions, each in [0, 1]; NaN where there is nothing to compare."""

    agreement_train: float
    agreement_test: float
    changed_inverted: float
    changed_permuted: float


def agreement(decisions: ArrayLike, direction: ArrayLike) -> float:
    """Return the share of decisions that equal the direction in force; bars without a direction (NaN) do not count."""
    chosen, said = np.asarray(decisions, dtype=float), np.asarray(direction, dtype=float)
    known = ~np.isnan(said)
    return float(np.mean(chosen[known] == said[known])) if known.any() else float("nan")


def permute_months(aligned: pd.DataFrame, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return tau with the contents of the guidance rows in force exchanged at random, each over the dates of another.

    `aligned` is `Guidance.align` of some bars. Bars before the first row keep their tau of zero.
    """
    tau = aligned["tau"].to_numpy(dtype=np.float64, copy=True)
    month, _ = pd.factorize(aligned["issued_at"])  # -1 before the first row
    rows = month >= 0
    if rows.any():
        contents = tau[[int(np.flatnonzero(month == m)[0]) for m in range(month.max() + 1)]]
        tau[rows] = generator.permutation(contents)[month[rows]]
    return tau


def measure_usage(
    agent: Agent, train: pd.DataFrame, test: pd.DataFrame, aligned_train: pd.DataFrame, aligned_test: pd.DataFrame
) -> Usage:
    """Measure one agent; without guidance in its observation only its agreement is defined.

    Args:
        agent: trained on `train`.
        train: its training bars, on which it decides as it did in training.
        test: the test bars.
        aligned_train: `Guidance.align` of the training bars.
        aligned_test: `Guidance.align` of the test bars.

    The inverted and permuted guidance is given on the test bars; the share for permuted months is the mean of ten
    permutations drawn with the agent's seed.
    """
    start = agent.config.lookback
    tau_train, tau_test = (frame["tau"].to_numpy(dtype=np.float64) for frame in (aligned_train, aligned_test))
    if not agent.guided:
        on_train, on_test = follow(agent, train, None, training=True), follow(agent, test, None)
        changed = [float("nan")] * 2
    else:
        on_train, on_test = follow(agent, train, tau_train, training=True), follow(agent, test, tau_test)
        generator = np.random.default_rng(agent.seed)
        permuted = [permute_months(aligned_test, generator) for _ in range(PERMUTATIONS)]
        changed = [
            float(np.mean([agent.decide(test, tau) != on_test.decisions for tau in variants]))
            for variants in ([-tau_test], permuted)
        ]
    return Usage(
        agreement(on_train.decisions, aligned_train["direction"].iloc[start:]),
        agreement(on_test.decisions, aligned_test["direction"].iloc[start:]),
        *changed,
    )
