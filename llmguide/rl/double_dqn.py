"""The double-DQN learner of one seed on one core of a processor.

    y_t = r_t + gamma * Q_target(s_{t+1}, argmax_a Q_policy(s_{t+1}, a))        (y_t = r_t at the last bar)

The policy network chooses the next action in training mode (dropout on, statistics of the batch), the target network
values it in evaluation mode; acting uses evaluation mode. The states before and after go through the policy network as
one matrix of twice the rows, so that its weights are read once; batch norm treats the halves apart.

Matrix products are oneDNN's (see `llmguide.rl.products`), all else is `llmguide.rl.kernels` and `llmguide.rl.adam`.
`llmguide.rl.batched_dqn` is the same for many seeds in torch operations on any device, and this one's slow twin.

Source: arXiv 1509.06461, eq. 4; arXiv 2004.06627, algorithm 1 and the authors' code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llmguide.rl.adam import clip_and_step
from llmguide.rl.agent import BATCH_NORM_EPSILON, HIDDEN_LAYERS, LEAKY_SLOPE, Weights
from llmguide.rl.config import DQNConfig
from llmguide.rl.experience import Batch, Network
from llmguide.rl.kernels import norm_backward, norm_forward, output_backward, td_gradient, wide_output_backward
from llmguide.rl.network import Layout, initial_parameters
from llmguide.rl.noise import Keys, factor, threshold
from llmguide.rl.products import product

__all__ = ["Learner", "LearnerState", "named_weights"]


class LearnerState(NamedTuple):
    """The numbers that learning changes, float32.

    Attributes:
        flat, target: parameters of both networks, shape ``(parameters,)`` (see `llmguide.rl.network.Layout`).
        running, target_running: their running statistics, shape ``(layers, 2, hidden)``.
        mean, square: Adam's moments, shape ``(parameters,)``.
        updates: gradient steps so far.
    """

    flat: NDArray[np.float32]
    target: NDArray[np.float32]
    running: NDArray[np.float32]
    target_running: NDArray[np.float32]
    mean: NDArray[np.float32]
    square: NDArray[np.float32]
    updates: int


@dataclass(frozen=True)
class _Parameters:
    """One network's numbers as torch tensors for the products, all views of one flat tensor."""

    matrices: list[Tensor]  # (inputs, hidden), then (hidden, hidden) each
    biases: list[Tensor]  # (hidden,) each
    last: Tensor  # (hidden, actions)
    last_bias: Tensor  # (actions,)

    @classmethod
    def of(cls, layout: Layout, flat: Tensor) -> _Parameters:
        """Cut a flat tensor of shape ``(parameters,)``."""
        views = {name: view[0] for name, view in layout.views(flat[None]).items()}
        layers = range(1, HIDDEN_LAYERS + 1)
        last = HIDDEN_LAYERS + 1
        return cls(
            [views[f"fc{layer}.weight"] for layer in layers],
            [views[f"fc{layer}.bias"][0] for layer in layers],
            views[f"fc{last}.weight"],
            views[f"fc{last}.bias"][0],
        )

    def vectors(self, layout: Layout, flat: Tensor) -> Tensor:
        """Return the hidden layers' biases, scales and shifts, shape ``(layers, 3, hidden)``."""
        count = HIDDEN_LAYERS * 3 * layout.hidden
        return flat[layout.matrices : layout.matrices + count].view(HIDDEN_LAYERS, 3, layout.hidden)


class Learner:
    """Policy and target network and optimiser of one seed.

    Attributes:
        updates: steps of gradient descent so far.
        network: views of the policy network for `llmguide.rl.experience.live`.
    """

    def __init__(self, inputs: int, config: DQNConfig, keys: Keys) -> None:
        self.config = config
        self.updates = 0
        actions = config.actions
        self._layout = Layout(inputs, config.hidden, actions)
        self._key = keys.dropout
        self._flat = initial_parameters(self._layout, keys.generator())
        self._target = self._flat.clone()
        self._running = np.zeros((HIDDEN_LAYERS, 2, config.hidden), dtype=np.float32)
        self._running[:, 1] = 1.0
        self._target_running = self._running.copy()
        self._mean, self._square = (np.zeros(self._layout.size, dtype=np.float32) for _ in range(2))

        self._policy = _Parameters.of(self._layout, self._flat)
        self._vectors = self._policy.vectors(self._layout, self._flat).numpy()
        self._last = self._policy.last.numpy()
        self.network = Network(
            tuple(matrix.numpy() for matrix in self._policy.matrices),
            self._vectors,
            self._running,
            self._last,
            self._policy.last_bias.numpy(),
        )
        self._rest = np.zeros(self._layout.size - self._layout.matrices, dtype=np.float32)
        self._d_vectors = self._rest[: self._vectors.size].reshape(self._vectors.shape)
        self._d_last = self._rest[self._vectors.size : -actions].reshape(config.hidden, actions)
        self._d_last_bias = self._rest[-actions:]
        shape = (HIDDEN_LAYERS, config.batch, config.hidden)
        self._normalised, self._slope = (np.empty(shape, dtype=np.float32) for _ in range(2))
        self._inverse_std = np.empty((HIDDEN_LAYERS, config.hidden), dtype=np.float32)
        self._q_gradient = np.empty((config.batch, actions), dtype=np.float32)
        self._fold_target()

    def update(self, batch: Batch) -> float:
        """Take one step of gradient descent and return the loss."""
        states = torch.from_numpy(batch.states)  # (2 * batch, inputs)
        size = self.config.batch
        q, inputs = self._train_forward(states)
        q_target = self._evaluate_target(states[size:]).numpy()
        loss = td_gradient(
            q, q_target, batch.action, batch.reward, batch.live, np.float32(self.config.discount), self._q_gradient
        )
        matrices = self._backward([x[:size] for x in inputs])
        self.updates += 1
        clip_and_step(self.config, self.updates, self._flat.numpy(), matrices, self._rest, self._mean, self._square)
        return float(loss)

    def copy_to_target(self) -> None:
        """Copy the policy network into the target network."""
        self._target.copy_(self._flat)
        self._target_running[:] = self._running
        self._fold_target()

    def state(self) -> LearnerState:
        """Return all that learning changes; the arrays are the learner's own."""
        return LearnerState(
            self._flat.numpy(),
            self._target.numpy(),
            self._running,
            self._target_running,
            self._mean,
            self._square,
            self.updates,
        )

    def restore(self, state: LearnerState) -> None:
        """Take over a state."""
        for name, ours in self.state()._asdict().items():
            if name != "updates":
                ours[:] = getattr(state, name)
        self.updates = state.updates
        self._fold_target()

    def weights(self) -> Weights:
        """Return a copy of the policy network as named arrays (see `llmguide.rl.checkpoint`)."""
        return named_weights(self._layout, self._flat, self._running)

    def _train_forward(self, x: Tensor) -> tuple[NDArray[np.float32], list[Tensor]]:
        """Return the Q-values in training mode, shape ``(2 * batch, actions)``, and the input of every layer."""
        hidden, batch = self.config.hidden, self.config.batch
        pairs = batch * hidden // 2  # of the dropout's numbers, in a layer
        first = self.updates * 2 * HIDDEN_LAYERS * pairs
        least, kept = threshold(self.config.dropout), factor(self.config.dropout)
        inputs = [x]
        for layer, (matrix, bias) in enumerate(zip(self._policy.matrices, self._policy.biases, strict=True)):
            x = product(x, matrix, bias)
            norm_forward(
                x.numpy(),
                self._vectors[layer, 1],
                self._vectors[layer, 2],
                self._running[layer],
                self._key,
                np.uint64(first + layer * pairs),
                np.uint64(HIDDEN_LAYERS * pairs),
                least,
                kept,
                self._normalised[layer],
                self._slope[layer],
                self._inverse_std[layer],
            )
            inputs.append(x)
        return product(x, self._policy.last, self._policy.last_bias).numpy(), inputs

    def _backward(self, inputs: list[Tensor]) -> tuple[NDArray[np.float32], ...]:
        """Return the gradients of the hidden layers' matrices; all others are written into their place."""
        gradient = torch.empty_like(inputs[-1])
        through_output = output_backward if self.config.actions == 2 else wide_output_backward
        through_output(
            self._q_gradient, inputs[-1].numpy(), self._last, self._d_last, self._d_last_bias, gradient.numpy()
        )
        matrices = []
        for layer in reversed(range(HIDDEN_LAYERS)):
            bias, scale, shift = self._d_vectors[layer]
            norm_backward(
                gradient.numpy(),
                self._normalised[layer],
                self._slope[layer],
                self._inverse_std[layer],
                self._vectors[layer, 1],
                bias,
                scale,
                shift,
            )
            matrices.append(product(inputs[layer].t(), gradient).numpy())
            if layer > 0:
                gradient = product(gradient, self._policy.matrices[layer].t())
        return tuple(reversed(matrices))

    def _fold_target(self) -> None:
        """Fold each of the target network's batch norms into its linear layer: evaluation mode needs no more."""
        folded = self._target.clone()
        parameters = _Parameters.of(self._layout, folded)
        vectors = parameters.vectors(self._layout, folded)
        running = torch.from_numpy(self._target_running)
        for layer in range(HIDDEN_LAYERS):
            scale = vectors[layer, 1] * torch.rsqrt(running[layer, 1] + BATCH_NORM_EPSILON)
            parameters.matrices[layer].mul_(scale)
            vectors[layer, 0].sub_(running[layer, 0]).mul_(scale).add_(vectors[layer, 2])
        self._folded = parameters

    def _evaluate_target(self, x: Tensor) -> Tensor:
        """Return the target network's Q-values: ``(batch, inputs)`` -> ``(batch, actions)``."""
        for matrix, bias in zip(self._folded.matrices, self._folded.biases, strict=True):
            x = product(x, matrix, bias, leaky_slope=LEAKY_SLOPE)
        return product(x, self._folded.last, self._folded.last_bias)


def named_weights(layout: Layout, flat: Tensor, running: NDArray[np.float32]) -> Weights:
    """Return copies of a network's numbers as named arrays: flat ``(parameters,)``, running ``(layers, 2, hidden)``."""
    arrays = {
        name: np.array((view[0] if name.startswith("fc") and name.endswith("weight") else view[0, 0]).numpy())
        for name, view in layout.views(flat[None]).items()
    }
    for layer in range(HIDDEN_LAYERS):
        for part, name in enumerate(("running_mean", "running_var")):
            arrays[f"bn{layer + 1}.{name}"] = running[layer, part].copy()
    return arrays
