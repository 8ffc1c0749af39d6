"""Tau of a size that says nothing about the month: what an agent with ``tau="jittered"`` observes in training.

A strength that differs from month to month is a fingerprint of the month, by which an agent can memorise the way of the
training prices. So in every episode each month is given the size of a month drawn at random, with replacement, from
those of the training bars, and keeps its sign. Sizes stay those that occur. In use the agent observes tau as it is.

A month is a stretch of bars on which tau does not change; where it is 0 it stays 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmguide.rl.noise import below

__all__ = ["jittered", "months_of"]


def months_of(tau: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of the month that each bar belongs to, from 0; both of shape ``(bars,)``."""
    return np.concatenate([[0], np.cumsum(tau[1:] != tau[:-1])]).astype(np.int64)


def jittered(tau: NDArray[np.float64], key: np.uint64, episodes: int) -> NDArray[np.float32]:
    """Return the tau of every month in every episode, shape ``(episodes, months)``.

    Args:
        tau: guidance in force at every training bar, shape ``(bars,)``.
        key: the run's stream of sizes (see `llmguide.rl.noise.Keys`).
    """
    monthly = tau[np.flatnonzero(np.diff(months_of(tau), prepend=-1))]  # (months,)
    sizes = np.abs(monthly[monthly != 0])
    if not len(sizes):
        return np.zeros((episodes, len(monthly)), dtype=np.float32)
    count = episodes * len(monthly)
    drawn = np.array([below(key, np.uint64(index), len(sizes)) for index in range(count)], dtype=np.int64)
    taus: NDArray[np.float64] = np.sign(monthly) * sizes[drawn].reshape(episodes, len(monthly))
    return taus.astype(np.float32)
