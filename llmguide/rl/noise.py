"""Randomness of the agents: every number is a function of the seed and of what it is for.

Initial weights come from a torch generator. Everything else - the bar where an episode starts, exploration, the batch
drawn from the replay, the dropout - is SplitMix64 of (key, index): it has no state, so that a run can be stopped and
continued at any step, costs next to nothing, and has the same bits on every device, whatever else trains beside it.

Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (the mixing function);
Bentley and Floyd, "A sample of brilliance", CACM 30 (9), 1987 (drawing without repetition).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llmguide.compiling import njit

__all__ = [
    "Choice",
    "Keys",
    "below",
    "choose",
    "draw_batch",
    "draw_starts",
    "dropout_masks",
    "mix",
    "reference_masks",
]

GOLDEN = 0x9E3779B97F4A7C15
MIX1, MIX2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
CHOICES = 3
"""Numbers that the choice of an action takes from its step's part of the stream; the batch has the rest."""


class Keys(NamedTuple):
    """The streams of one seed."""

    weights: int
    starts: np.uint64
    choices: np.uint64
    dropout: np.uint64
    sizes: np.uint64

    @classmethod
    def of(cls, seed: int) -> Keys:
        """Return the keys of a seed; different seeds have unrelated keys."""
        weights, *others = (s.generate_state(1, np.uint64)[0] for s in np.random.SeedSequence(seed).spawn(5))
        return cls(int(weights >> np.uint64(1)), *others)

    def generator(self) -> torch.Generator:
        """Return the generator of the initial weights."""
        return torch.Generator().manual_seed(self.weights)


class Choice(NamedTuple):
    """What chance says at one step, whether it is heeded or not."""

    explore: float  # in [0, 1): below epsilon, the action is random
    sticky: float  # in [0, 1): below the chance of it, a greedy step repeats the previous action
    action: int  # the random action


@njit(cache=True, nogil=True)
def mix(key: np.uint64, index: np.uint64) -> np.uint64:
    """Return 64 random bits for a position in a key's stream."""
    z = key + index * np.uint64(GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX2)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def uniform(key: np.uint64, index: np.uint64) -> float:
    """Return a number in [0, 1)."""
    return float(mix(key, index) >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True)
def below(key: np.uint64, index: np.uint64, bound: int) -> int:
    """Return a whole number in [0, bound); `bound` is far below 2**32, so that all are as good as equally likely."""
    return int(((mix(key, index) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@njit(cache=True)
def draw_starts(key: np.uint64, episodes: int, bars: int, lookback: int) -> NDArray[np.int64]:
    """Return the bar of each episode's first decision: uniform over the bars, with a whole observation behind it."""
    starts = np.empty(episodes, dtype=np.int64)
    for episode in range(episodes):
        starts[episode] = max(below(key, np.uint64(episode), bars), lookback)
    return starts


@njit(cache=True, nogil=True)
def choose(key: np.uint64, step: int, batch: int, actions: int) -> Choice:
    """Return the draws for the action of one step."""
    first = np.uint64(step * (CHOICES + batch))
    action = below(key, first + np.uint64(2), actions)
    return Choice(uniform(key, first), uniform(key, first + np.uint64(1)), action)


@njit(cache=True, nogil=True)
def draw_batch(key: np.uint64, step: int, stored: int, out: NDArray[np.int64]) -> None:
    """Fill `out`, shape ``(batch,)``, with different numbers from [0, stored), by Floyd's algorithm."""
    batch = len(out)
    first = np.uint64(step * (CHOICES + batch) + CHOICES)
    for i in range(batch):
        last = stored - batch + i
        drawn = below(key, first + np.uint64(i), last + 1)
        for j in range(i):
            if out[j] == drawn:
                drawn = last
                break
        out[i] = drawn


def dropout_masks(keys: NDArray[np.uint64], update: int, rate: float, out: Tensor) -> None:
    """Fill `out` with the dropout's factors: 0 with probability `rate`, else ``1 / (1 - rate)``.

    Args:
        keys: shape ``(seeds,)``.
        update: number of the update, from 0.
        rate: the share of units that is dropped.
        out: float32, contiguous, first dimension ``seeds``, an even number of values each.
    """
    if out.device.type != "cpu":
        reference_masks(keys, update, rate, out)
        return
    flat = out.view(len(keys), -1).numpy()
    _fill(keys, np.uint64(update * (flat.shape[1] // 2)), threshold(rate), factor(rate), flat)


def reference_masks(keys: NDArray[np.uint64], update: int, rate: float, out: Tensor) -> None:
    """Do what `dropout_masks` does, in torch operations on any device."""
    pairs = out[0].numel() // 2
    counters = torch.arange(update * pairs, (update + 1) * pairs, device=out.device)
    start = torch.from_numpy(keys.view(np.int64).copy()).to(out.device)
    z = start[:, None] + counters * _signed(GOLDEN)
    z = (z ^ _shift(z, 30)) * _signed(MIX1)
    z = (z ^ _shift(z, 27)) * _signed(MIX2)
    z = z ^ _shift(z, 31)
    halves = torch.stack([z & 0xFFFFFFFF, _shift(z, 32)], dim=-1).view_as(out)
    out.copy_((halves >= int(threshold(rate))).to(out.dtype)).mul_(float(factor(rate)))


def threshold(rate: float) -> np.uint32:
    """Return the 32 random bits below which a unit is dropped."""
    return np.uint32(round(rate * 2**32))


def factor(rate: float) -> np.float32:
    """Return the factor of a unit that is kept."""
    return np.float32(1.0 / (1.0 - rate))


@njit(cache=True, nogil=True)
def mask_row(key: np.uint64, first: np.uint64, least: np.uint32, kept: np.float32, out: NDArray[np.float32]) -> None:
    """Fill `out`, an even number of values, with the dropout's factors from position `first` of the stream on."""
    for i in range(len(out) // 2):
        z = mix(key, first + np.uint64(i))
        out[2 * i] = kept if np.uint32(z) >= least else np.float32(0.0)
        out[2 * i + 1] = kept if np.uint32(z >> np.uint64(32)) >= least else np.float32(0.0)


@njit(cache=True, nogil=True)
def _fill(
    keys: NDArray[np.uint64], first: np.uint64, least: np.uint32, kept: np.float32, out: NDArray[np.float32]
) -> None:
    for seed in range(len(keys)):
        mask_row(keys[seed], first, least, kept, out[seed])


def _signed(constant: int) -> int:
    """Return the int64 with the same bits: torch has no unsigned arithmetic."""
    return constant - 2**64 if constant >= 2**63 else constant


def _shift(z: Tensor, bits: int) -> Tensor:
    """Shift right without the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
