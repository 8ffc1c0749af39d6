"""The double-DQN learner: acts and updates for many seeds at once.

    y_t = r_t + gamma * Q_target(s_{t+1}, argmax_a Q_policy(s_{t+1}, a))        (y_t = r_t at the last bar)

The policy network chooses the next action in training mode (dropout on, statistics of the batch), the target network
values it in evaluation mode; acting uses evaluation mode.

Source: arXiv 1509.06461, eq. 4; arXiv 2004.06627, algorithm 1 and the authors' code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llmguide.rl.adam import Adam, clip_and_step
from llmguide.rl.agent import HIDDEN_LAYERS, Weights
from llmguide.rl.config import DQNConfig
from llmguide.rl.network import BatchedMLP, Layout
from llmguide.rl.noise import Streams, dropout_masks

__all__ = ["Learner", "Transitions"]


class Transitions(NamedTuple):
    """A batch for every seed, on the learner's device."""

    s_tm1: Tensor  # (seeds, batch, inputs)
    a_tm1: Tensor  # (seeds, batch) int64
    r_t: Tensor  # (seeds, batch), clipped
    live_t: Tensor  # (seeds, batch): 0 where the episode ended with this transition, else 1
    s_t: Tensor  # (seeds, batch, inputs)


class Learner:
    """Policy and target network, optimiser and dropout of many seeds. Seeds never mix."""

    def __init__(self, inputs: int, config: DQNConfig, streams: list[Streams], device: torch.device) -> None:
        self.config = config
        self.device = device
        self.updates = 0
        self.policy = BatchedMLP.initialise(
            Layout(inputs, config.hidden), [stream.weights for stream in streams], device
        )
        self.target = self.policy.clone()
        self.adam = Adam.like(
            self.policy.flat,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            clip=config.gradient_clip,
        )
        self.keys = np.array([stream.dropout_key for stream in streams], dtype=np.uint64)
        self._allocate()

    def _allocate(self) -> None:
        """Make room for the gradient and the dropout's factors of one update."""
        seeds = len(self.keys)
        self.gradient = torch.zeros_like(self.policy.flat)
        self._gradients = self.policy.layout.views(self.gradient)
        shape = (seeds, 2 * HIDDEN_LAYERS, self.config.batch, self.config.hidden)
        self._masks = torch.empty(shape, device=self.device)

    def act(self, observations: Tensor) -> NDArray[np.int8]:
        """Return the greedy actions for one observation per seed: ``(seeds, inputs)`` -> ``(seeds,)``."""
        q = self.policy.evaluate(observations[:, None])  # (seeds, 1, 2)
        return q[:, 0].argmax(dim=1).to(torch.int8).cpu().numpy()

    def update(self, batch: Transitions) -> Tensor:
        """Take one step of gradient descent in every seed and return the losses, shape ``(seeds,)``."""
        dropout_masks(self.keys, self.updates, self.config.dropout, self._masks)
        q_tm1, forward = self.policy.train_forward(batch.s_tm1, self._masks[:, :HIDDEN_LAYERS])  # (seeds, batch, 2)
        q_t_selector, _ = self.policy.train_forward(batch.s_t, self._masks[:, HIDDEN_LAYERS:])
        q_t_value = self.target.evaluate(batch.s_t)
        best = q_t_selector.argmax(dim=2, keepdim=True)
        bootstrap = q_t_value.gather(2, best)[..., 0] * batch.live_t
        action = batch.a_tm1[..., None]
        error = q_tm1.gather(2, action)[..., 0] - (batch.r_t + self.config.discount * bootstrap)  # (seeds, batch)
        slope = error.clamp(-1.0, 1.0)  # derivative of the Huber loss
        q_gradient = torch.zeros_like(q_tm1).scatter_(2, action, slope[..., None] / error.shape[1])
        self.policy.backward(q_gradient, forward, self._gradients)
        clip_and_step(self.adam, self.policy.flat, self.gradient)
        self.updates += 1
        return (slope * (error - 0.5 * slope)).mean(dim=1)

    def copy_to_target(self) -> None:
        """Copy the policy network into the target network."""
        self.target.copy_from(self.policy)

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Go on with only these seeds."""
        index = torch.from_numpy(rows).to(self.device)
        self.policy, self.target = self.policy.keep(index), self.target.keep(index)
        self.adam = self.adam.keep(index)
        self.keys = self.keys[rows]
        self._allocate()

    def weights(self, row: int) -> Weights:
        """Return a copy of one seed's policy network as named arrays (see `llmguide.rl.checkpoint`)."""
        arrays = {
            name: view[row].cpu().numpy().copy() if name.startswith("fc") and name.endswith("weight")
            else view[row, 0].cpu().numpy().copy()
            for name, view in self.policy.params.items()
        }  # fmt: skip
        for layer in range(HIDDEN_LAYERS):
            for part, name in enumerate(("running_mean", "running_var")):
                arrays[f"bn{layer + 1}.{name}"] = self.policy.running[row, part, layer].cpu().numpy().copy()
        return arrays
