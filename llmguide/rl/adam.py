"""Gradient clipping and Adam over many seeds' flat parameters, in one pass over memory on the CPU.

`clip_and_step` is what training calls. On the CPU it runs a fused numba kernel, elsewhere `reference_step`, its plain
twin in torch operations; a test holds them to each other and to `torch.optim.Adam`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Adam", "clip_and_step", "reference_step"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
CLIP_EPSILON = 1e-6
CHUNK = 4_096
"""Squares that are added up in single precision before they join a sum in double."""


@dataclass
class Adam:
    """Moments of every parameter and the number of steps taken, which all seeds share.

    Attributes:
        mean, square: shape ``(seeds, parameters)``.
    """

    learning_rate: float
    weight_decay: float
    clip: float
    mean: Tensor
    square: Tensor
    steps: int = 0

    @classmethod
    def like(cls, flat: Tensor, *, learning_rate: float, weight_decay: float, clip: float) -> Adam:
        """Return an optimiser that has not stepped yet."""
        return cls(learning_rate, weight_decay, clip, torch.zeros_like(flat), torch.zeros_like(flat))

    def keep(self, rows: Tensor) -> Adam:
        """Return the state of only these seeds."""
        mean, square = self.mean[rows].clone(), self.square[rows].clone()
        return Adam(self.learning_rate, self.weight_decay, self.clip, mean, square, self.steps)


def clip_and_step(adam: Adam, flat: Tensor, gradient: Tensor) -> None:
    """Clip each seed's gradient to the norm `adam.clip` and step; all ``(seeds, parameters)``, `flat` in place.

    Follows `torch.nn.utils.clip_grad_norm_` and `torch.optim.Adam` (weight decay added to the gradient).
    """
    if flat.device.type != "cpu":
        reference_step(adam, flat, gradient)
        return
    adam.steps += 1
    _fused_step(
        flat.numpy(),
        gradient.numpy(),
        adam.mean.numpy(),
        adam.square.numpy(),
        np.float32(adam.clip),
        np.float32(adam.weight_decay),
        np.float32(adam.learning_rate / (1.0 - BETA1**adam.steps)),
        np.float32(1.0 / math.sqrt(1.0 - BETA2**adam.steps)),
    )


def reference_step(adam: Adam, flat: Tensor, gradient: Tensor) -> None:
    """Do what `clip_and_step` does, in torch operations on any device."""
    adam.steps += 1
    norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    gradient = gradient * (adam.clip / (norm + CLIP_EPSILON)).clamp(max=1.0) + adam.weight_decay * flat
    adam.mean.lerp_(gradient, 1.0 - BETA1)
    adam.square.mul_(BETA2).addcmul_(gradient, gradient, value=1.0 - BETA2)
    denominator = adam.square.sqrt().div_(math.sqrt(1.0 - BETA2**adam.steps)).add_(EPSILON)
    flat.addcdiv_(adam.mean, denominator, value=-adam.learning_rate / (1.0 - BETA1**adam.steps))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _fused_step(
    flat: NDArray[np.float32],
    gradient: NDArray[np.float32],
    mean: NDArray[np.float32],
    square: NDArray[np.float32],
    clip: np.float32,
    weight_decay: np.float32,
    rate: np.float32,
    square_scale: np.float32,
) -> None:
    """Two passes over each seed's row.

    The norm is summed in chunks, each in single precision and all of them in double: fast, and exact enough.
    """
    seeds, size = flat.shape
    beta1, beta2 = np.float32(BETA1), np.float32(BETA2)
    fresh1, fresh2 = np.float32(1.0 - BETA1), np.float32(1.0 - BETA2)
    epsilon = np.float32(EPSILON)
    for seed in range(seeds):
        x, g, m, v = flat[seed], gradient[seed], mean[seed], square[seed]
        total = 0.0
        for begin in range(0, size, CHUNK):
            total += float(_squares(g[begin : begin + CHUNK]))
        norm = np.float32(math.sqrt(total))
        scale = np.float32(min(np.float32(1.0), clip / (norm + np.float32(CLIP_EPSILON))))
        for i in range(size):
            slope = g[i] * scale + weight_decay * x[i]
            m[i] = beta1 * m[i] + fresh1 * slope
            v[i] = beta2 * v[i] + fresh2 * slope * slope
            x[i] -= rate * m[i] / (np.sqrt(v[i]) * square_scale + epsilon)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _squares(row: NDArray[np.float32]) -> np.float32:
    total = np.float32(0.0)
    for i in range(row.size):  # LLVM vectorises this form only
        total += row[i] * row[i]
    return total
