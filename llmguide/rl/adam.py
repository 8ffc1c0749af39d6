"""Gradient clipping and Adam.

`clip_and_step` is what one seed on a processor uses: two fused passes over memory. `reference_step` is its plain twin
in torch operations, for many seeds on any device; a test holds them to each other and to `torch.optim.Adam`.

Both follow `torch.nn.utils.clip_grad_norm_` and `torch.optim.Adam` (weight decay added to the gradient).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llmguide.compiling import njit
from llmguide.rl.config import DQNConfig

__all__ = ["Adam", "clip_and_step", "reference_step"]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
CLIP_EPSILON = 1e-6
CHUNK = 4_096
"""Squares that are added up in single precision before they join a sum in double."""
_FAST = {"contract", "reassoc", "nsz"}
Vector = NDArray[np.float32]


@dataclass
class Adam:
    """Moments of every parameter and the number of steps taken, which all seeds share.

    Attributes:
        mean, square: shape ``(seeds, parameters)``.
    """

    config: DQNConfig
    mean: Tensor
    square: Tensor
    steps: int = 0

    @classmethod
    def like(cls, flat: Tensor, config: DQNConfig) -> Adam:
        """Return an optimiser that has not stepped yet."""
        return cls(config, torch.zeros_like(flat), torch.zeros_like(flat))

    def keep(self, rows: Tensor) -> Adam:
        """Return the state of only these seeds."""
        return Adam(self.config, self.mean[rows].clone(), self.square[rows].clone(), self.steps)


def clip_and_step(
    config: DQNConfig,
    steps: int,
    flat: Vector,
    matrices: tuple[NDArray[np.float32], ...],
    rest: Vector,
    mean: Vector,
    square: Vector,
) -> None:
    """Clip one seed's gradient to the norm ``config.gradient_clip`` and step; parameters and moments in place.

    Args:
        steps: how many steps there have been with this one, from 1.
        flat, mean, square: shape ``(parameters,)``.
        matrices, rest: the gradient in the order of `flat`: first matrices, then all else, shape ``(others,)``.
    """
    _fused_step(
        flat,
        matrices,
        rest,
        mean,
        square,
        np.float32(config.gradient_clip),
        np.float32(config.weight_decay),
        np.float32(config.learning_rate / (1.0 - BETA1**steps)),
        np.float32(1.0 / math.sqrt(1.0 - BETA2**steps)),
    )


def reference_step(adam: Adam, flat: Tensor, gradient: Tensor) -> None:
    """Clip each seed's gradient and step; all of shape ``(seeds, parameters)``, `flat` in place."""
    adam.steps += 1
    config = adam.config
    norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    gradient = gradient * (config.gradient_clip / (norm + CLIP_EPSILON)).clamp(max=1.0) + config.weight_decay * flat
    adam.mean.lerp_(gradient, 1.0 - BETA1)
    adam.square.mul_(BETA2).addcmul_(gradient, gradient, value=1.0 - BETA2)
    denominator = adam.square.sqrt().div_(math.sqrt(1.0 - BETA2**adam.steps)).add_(EPSILON)
    flat.addcdiv_(adam.mean, denominator, value=-config.learning_rate / (1.0 - BETA1**adam.steps))


@njit(cache=True, nogil=True, error_model="numpy")
def _fused_step(
    flat: Vector,
    matrices: tuple[NDArray[np.float32], ...],
    rest: Vector,
    mean: Vector,
    square: Vector,
    clip: np.float32,
    weight_decay: np.float32,
    rate: np.float32,
    square_scale: np.float32,
) -> None:
    total = _squares(rest)
    for matrix in matrices:
        total += _squares(matrix.reshape(matrix.size))
    scale = np.float32(min(np.float32(1.0), clip / (np.float32(math.sqrt(total)) + np.float32(CLIP_EPSILON))))
    begin = 0
    for matrix in matrices:
        end = begin + matrix.size
        gradient = matrix.reshape(matrix.size)
        _step(flat[begin:end], gradient, mean[begin:end], square[begin:end], scale, weight_decay, rate, square_scale)
        begin = end
    _step(flat[begin:], rest, mean[begin:], square[begin:], scale, weight_decay, rate, square_scale)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _step(
    x: Vector,
    g: Vector,
    m: Vector,
    v: Vector,
    scale: np.float32,
    weight_decay: np.float32,
    rate: np.float32,
    square_scale: np.float32,
) -> None:
    beta1, beta2 = np.float32(BETA1), np.float32(BETA2)
    fresh1, fresh2 = np.float32(1.0 - BETA1), np.float32(1.0 - BETA2)
    epsilon = np.float32(EPSILON)
    for i in range(len(x)):
        slope = g[i] * scale + weight_decay * x[i]
        m[i] = beta1 * m[i] + fresh1 * slope
        v[i] = beta2 * v[i] + fresh2 * slope * slope
        x[i] -= rate * m[i] / (np.sqrt(v[i]) * square_scale + epsilon)


@njit(cache=True, nogil=True, error_model="numpy")
def _squares(row: Vector) -> float:
    """Sum in chunks, each in single precision and all of them in double: fast, and exact enough."""
    total = 0.0
    for begin in range(0, len(row), CHUNK):
        total += float(_squares_of_chunk(row[begin : begin + CHUNK]))
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _squares_of_chunk(row: Vector) -> np.float32:
    total = np.float32(0.0)
    for i in range(row.size):  # LLVM vectorises this form only
        total += row[i] * row[i]
    return total
