"""Randomness of the agents: every seed has its own streams, whatever else trains beside it.

Weights and choices (start, exploration, replay) come from ordinary generators. The dropout needs 131,072 numbers per
seed and update; they come from SplitMix64 as a function of (seed, update, position), which needs no state, costs next
to nothing and gives the same bits on every device.

Source of the mixing function: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Streams", "dropout_masks", "reference_masks"]

GOLDEN = 0x9E3779B97F4A7C15
MIX1, MIX2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class Streams:
    """The random streams of one seed.

    Attributes:
        weights: torch generator for the initial weights.
        choices: NumPy generator for starts, exploration and replay.
        dropout_key: key of the dropout's stateless stream.
    """

    def __init__(self, seed: int) -> None:
        weights, choices, dropout = np.random.SeedSequence(seed).spawn(3)
        self.weights = torch.Generator().manual_seed(int(weights.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        self.choices = np.random.default_rng(choices)
        self.dropout_key = int(dropout.generate_state(1, np.uint64)[0])


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
    _fill(keys, np.uint64(update * (flat.shape[1] // 2)), _threshold(rate), np.float32(1.0 / (1.0 - rate)), flat)


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
    out.copy_((halves >= int(_threshold(rate))).to(out.dtype)).mul_(1.0 / (1.0 - rate))


def _threshold(rate: float) -> np.uint32:
    return np.uint32(round(rate * 2**32))


def _signed(constant: int) -> int:
    """Return the int64 with the same bits: torch has no unsigned arithmetic."""
    return constant - 2**64 if constant >= 2**63 else constant


def _shift(z: Tensor, bits: int) -> Tensor:
    """Shift right without the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


@njit(cache=True, nogil=True)
def _fill(
    keys: NDArray[np.uint64], first: np.uint64, threshold: np.uint32, factor: np.float32, out: NDArray[np.float32]
) -> None:
    seeds, count = out.shape
    for seed in range(seeds):
        for i in range(count // 2):
            z = keys[seed] + (first + np.uint64(i)) * np.uint64(GOLDEN)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX1)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX2)
            z = z ^ (z >> np.uint64(31))
            out[seed, 2 * i] = factor if np.uint32(z) >= threshold else np.float32(0.0)
            out[seed, 2 * i + 1] = factor if np.uint32(z >> np.uint64(32)) >= threshold else np.float32(0.0)
