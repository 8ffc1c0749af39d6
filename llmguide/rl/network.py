"""Many copies of one multilayer perceptron in a leading seed dimension, with their gradient written out.

All parameters of a seed lie in one row of a flat matrix ``(seeds, parameters)``, so that the gradient's norm, the
clipping, Adam and the copy into the target network each are one pass over memory. `Layout` names the slices.

Every hidden layer is Linear, BatchNorm, LeakyReLU, Dropout; a last Linear gives the Q-values. Seeds never mix: each
row's result is the product of its own slices.

Source: arXiv 2004.06627, table 2 and the authors' code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from llmguide.rl.agent import BATCH_NORM_EPSILON, HIDDEN_LAYERS, LEAKY_SLOPE
from llmguide.rl.kernels import MOMENTUM

__all__ = ["BatchedMLP", "Forward", "Layout", "initial_parameters"]


@dataclass(frozen=True)
class Layout:
    """Where each array of the network lies in a seed's row."""

    inputs: int
    hidden: int
    actions: int = 2

    @cached_property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Names and shapes in order of storage: the hidden layers' matrices, then their vectors, then the last layer.

        Vectors have a leading 1.
        """
        shapes: dict[str, tuple[int, int]] = {}
        width = self.inputs
        for layer in range(1, HIDDEN_LAYERS + 1):
            shapes[f"fc{layer}.weight"] = (width, self.hidden)
            width = self.hidden
        for layer in range(1, HIDDEN_LAYERS + 1):
            for name in (f"fc{layer}.bias", f"bn{layer}.weight", f"bn{layer}.bias"):
                shapes[name] = (1, self.hidden)
        shapes[f"fc{HIDDEN_LAYERS + 1}.weight"] = (width, self.actions)
        shapes[f"fc{HIDDEN_LAYERS + 1}.bias"] = (1, self.actions)
        return shapes

    @cached_property
    def matrices(self) -> int:
        """Numbers in the hidden layers' matrices, which come first."""
        return (self.inputs + (HIDDEN_LAYERS - 1) * self.hidden) * self.hidden

    @cached_property
    def size(self) -> int:
        """Parameters of one seed."""
        return sum(rows * columns for rows, columns in self.shapes.values())

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Cut ``(seeds, size)`` into views of shape ``(seeds, rows, columns)``."""
        views, begin = {}, 0
        for name, (rows, columns) in self.shapes.items():
            end = begin + rows * columns
            views[name] = flat[:, begin:end].view(len(flat), rows, columns)
            begin = end
        return views


def initial_parameters(layout: Layout, generator: torch.Generator) -> Tensor:
    """Draw Xavier-uniform weights, and biases as `torch.nn.Linear` does, shape ``(parameters,)``."""
    flat = torch.empty(layout.size)
    for name, view in layout.views(flat[None]).items():
        rows, columns = layout.shapes[name]
        if name.startswith("bn"):
            view.fill_(1.0 if name.endswith("weight") else 0.0)
        elif name.endswith("weight"):
            bound = math.sqrt(6.0 / (rows + columns))
            view.uniform_(-bound, bound, generator=generator)
        else:
            bound = 1.0 / math.sqrt(layout.shapes[name.replace("bias", "weight")][0])
            view.uniform_(-bound, bound, generator=generator)
    return flat


@dataclass(frozen=True)
class Forward:
    """What one pass in training mode leaves for the backward pass; entries by hidden layer."""

    inputs: list[Tensor]  # (seeds, batch, width) each
    normalised: list[Tensor]  # (seeds, batch, hidden)
    inverse_std: list[Tensor]  # (seeds, 1, hidden)
    slope: list[Tensor]  # (seeds, batch, hidden): leaky ReLU's derivative times the dropout's factor


class BatchedMLP:
    """Parameters and running statistics of many seeds' networks.

    Attributes:
        flat: all parameters, shape ``(seeds, size)``.
        running: running mean and variance of each hidden layer, shape ``(seeds, layers, 2, hidden)``.
    """

    def __init__(self, layout: Layout, flat: Tensor, running: Tensor) -> None:
        self.layout = layout
        self.flat = flat
        self.running = running
        self.params = layout.views(flat)

    @classmethod
    def initialise(cls, layout: Layout, generators: list[torch.Generator], device: torch.device) -> BatchedMLP:
        """Draw the initial parameters of each seed from its own generator (see `initial_parameters`)."""
        flat = torch.stack([initial_parameters(layout, generator) for generator in generators])
        running = torch.zeros(len(generators), HIDDEN_LAYERS, 2, layout.hidden)
        running[:, :, 1] = 1.0
        return cls(layout, flat.to(device), running.to(device))

    def clone(self) -> BatchedMLP:
        """Return an independent copy."""
        return BatchedMLP(self.layout, self.flat.clone(), self.running.clone())

    def copy_from(self, other: BatchedMLP) -> None:
        """Take over all numbers of `other`."""
        self.flat.copy_(other.flat)
        self.running.copy_(other.running)

    def keep(self, rows: Tensor) -> BatchedMLP:
        """Return a network of only these seeds."""
        return BatchedMLP(self.layout, self.flat[rows].clone(), self.running[rows].clone())

    def evaluate(self, x: Tensor) -> Tensor:
        """Return Q-values in evaluation mode: ``(seeds, batch, inputs)`` -> ``(seeds, batch, actions)``."""
        p = self.params
        for layer in range(1, HIDDEN_LAYERS + 1):
            x = torch.baddbmm(p[f"fc{layer}.bias"], x, p[f"fc{layer}.weight"])
            mean, variance = (self.running[:, layer - 1, i, None] for i in (0, 1))
            scale = p[f"bn{layer}.weight"] * torch.rsqrt(variance + BATCH_NORM_EPSILON)
            x = torch.addcmul(p[f"bn{layer}.bias"], x - mean, scale)
            x = torch.nn.functional.leaky_relu(x, LEAKY_SLOPE, inplace=True)
        last = HIDDEN_LAYERS + 1
        return torch.baddbmm(p[f"fc{last}.bias"], x, p[f"fc{last}.weight"])

    def train_forward(self, x: Tensor, masks: Tensor) -> tuple[Tensor, Forward]:
        """Return Q-values in training mode, and what the backward pass needs.

        Args:
            x: shape ``(seeds, batch, inputs)``.
            masks: the dropout's factor, 0 or 1 / (1 - dropout), shape ``(seeds, layers, batch, hidden)``.

        The running statistics move, as they do in any pass in training mode.
        """
        p, batch = self.params, x.shape[1]
        inputs, normalised, inverse_std, slopes = [], [], [], []
        for layer in range(1, HIDDEN_LAYERS + 1):
            inputs.append(x)
            z = torch.baddbmm(p[f"fc{layer}.bias"], x, p[f"fc{layer}.weight"])
            mean = z.mean(dim=1, keepdim=True)  # (seeds, 1, hidden)
            centred = z.sub_(mean)
            variance = (centred * centred).mean(dim=1, keepdim=True)
            statistics = torch.cat([mean, variance * (batch / (batch - 1))], dim=1)
            self.running[:, layer - 1].lerp_(statistics, MOMENTUM)
            inverse = torch.rsqrt(variance + BATCH_NORM_EPSILON)
            hat = centred.mul_(inverse)
            y = torch.addcmul(p[f"bn{layer}.bias"], hat, p[f"bn{layer}.weight"])
            slope = (y > 0).to(y.dtype).clamp_(min=LEAKY_SLOPE).mul_(masks[:, layer - 1])
            x = y.mul_(slope)
            normalised.append(hat)
            inverse_std.append(inverse)
            slopes.append(slope)
        inputs.append(x)
        last = HIDDEN_LAYERS + 1
        q = torch.baddbmm(p[f"fc{last}.bias"], x, p[f"fc{last}.weight"])
        return q, Forward(inputs, normalised, inverse_std, slopes)

    def backward(self, q_gradient: Tensor, forward: Forward, out: dict[str, Tensor]) -> None:
        """Write the gradient of every parameter.

        Args:
            q_gradient: gradient with respect to the Q-values, shape ``(seeds, batch, actions)``.
            forward: from `train_forward` of the same batch.
            out: views of a flat gradient, as `Layout.views` gives them.
        """
        p, last = self.params, HIDDEN_LAYERS + 1
        out[f"fc{last}.weight"].copy_(torch.bmm(forward.inputs[-1].mT, q_gradient))
        out[f"fc{last}.bias"].copy_(q_gradient.sum(dim=1, keepdim=True))
        gradient = torch.bmm(q_gradient, p[f"fc{last}.weight"].mT)
        for layer in range(HIDDEN_LAYERS, 0, -1):
            hat = forward.normalised[layer - 1]
            dy = gradient.mul_(forward.slope[layer - 1])
            d_scale = (dy * hat).sum(dim=1, keepdim=True)
            d_shift = dy.sum(dim=1, keepdim=True)
            out[f"bn{layer}.weight"].copy_(d_scale)
            out[f"bn{layer}.bias"].copy_(d_shift)
            batch = dy.shape[1]
            centred = dy.sub_(d_shift / batch).sub_(hat * (d_scale / batch))
            dz = centred.mul_(p[f"bn{layer}.weight"] * forward.inverse_std[layer - 1])
            out[f"fc{layer}.weight"].copy_(torch.bmm(forward.inputs[layer - 1].mT, dz))
            out[f"fc{layer}.bias"].copy_(dz.sum(dim=1, keepdim=True))
            if layer > 1:
                gradient = torch.bmm(dz, p[f"fc{layer}.weight"].mT)
