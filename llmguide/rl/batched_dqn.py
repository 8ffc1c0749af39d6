"""The double-DQN learner of many seeds at once, in torch operations on any device: what a GPU runs.

It computes what `llmguide.rl.double_dqn` does, seed by seed, and is that one's slow twin; a test holds the two
together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llmguide.rl.adam import Adam, reference_step
from llmguide.rl.agent import HIDDEN_LAYERS, Weights
from llmguide.rl.config import DQNConfig
from llmguide.rl.double_dqn import LearnerState, named_weights
from llmguide.rl.network import BatchedMLP, Layout
from llmguide.rl.noise import Keys, dropout_masks

__all__ = ["BatchedLearner", "Transitions"]


class Transitions(NamedTuple):
    """A batch for every seed, on the learner's device."""

    s_tm1: Tensor  # (seeds, batch, inputs)
    a_tm1: Tensor  # (seeds, batch) int64
    r_t: Tensor  # (seeds, batch), clipped
    live_t: Tensor  # (seeds, batch): 0 where the episode ended with this transition, else 1
    s_t: Tensor  # (seeds, batch, inputs)


class BatchedLearner:
    """Policy and target network, optimiser and dropout of many seeds. Seeds never mix."""

    def __init__(self, inputs: int, config: DQNConfig, keys: list[Keys], device: torch.device) -> None:
        self.config = config
        self.device = device
        self.updates = 0
        layout = Layout(inputs, config.hidden, config.actions)
        self.policy = BatchedMLP.initialise(layout, [key.generator() for key in keys], device)
        self.target = self.policy.clone()
        self.adam = Adam.like(self.policy.flat, config)
        self.keys = np.array([key.dropout for key in keys], dtype=np.uint64)
        self._allocate()

    def _allocate(self) -> None:
        """Make room for the gradient and the dropout's factors of one update."""
        self.gradient = torch.zeros_like(self.policy.flat)
        self._gradients = self.policy.layout.views(self.gradient)
        shape = (len(self.keys), 2 * HIDDEN_LAYERS, self.config.batch, self.config.hidden)
        self._masks = torch.empty(shape, device=self.device)

    def act(self, observations: Tensor) -> Tensor:
        """Return the greedy actions for one observation per seed, shape ``(seeds, inputs)``; a tie is short."""
        q = self.policy.evaluate(observations[:, None])[:, 0]  # (seeds, actions)
        return _largest(q).to(torch.int8)

    def update(self, batch: Transitions) -> Tensor:
        """Take one step of gradient descent in every seed and return the losses, shape ``(seeds,)``."""
        dropout_masks(self.keys, self.updates, self.config.dropout, self._masks)
        q_tm1, forward = self.policy.train_forward(
            batch.s_tm1, self._masks[:, :HIDDEN_LAYERS]
        )  # (seeds, batch, actions)
        q_t_selector, _ = self.policy.train_forward(batch.s_t, self._masks[:, HIDDEN_LAYERS:])
        q_t_value = self.target.evaluate(batch.s_t)
        best = _largest(q_t_selector)[..., None]
        bootstrap = q_t_value.gather(2, best)[..., 0] * batch.live_t
        action = batch.a_tm1[..., None]
        error = q_tm1.gather(2, action)[..., 0] - (batch.r_t + self.config.discount * bootstrap)  # (seeds, batch)
        slope = error.clamp(-1.0, 1.0)  # derivative of the Huber loss
        q_gradient = torch.zeros_like(q_tm1).scatter_(2, action, slope[..., None] / error.shape[1])
        self.policy.backward(q_gradient, forward, self._gradients)
        reference_step(self.adam, self.policy.flat, self.gradient)
        self.updates += 1
        return (slope * (error - 0.5 * slope)).mean(dim=1)

    def copy_to_target(self) -> None:
        """Copy the policy network into the target network."""
        self.target.copy_from(self.policy)

    def keep(self, rows: Tensor) -> None:
        """Go on with only these seeds; `rows` lies on the learner's device."""
        self.policy, self.target = self.policy.keep(rows), self.target.keep(rows)
        self.adam = self.adam.keep(rows)
        self.keys = self.keys[rows.cpu().numpy()]
        self._allocate()

    def weights(self, row: int) -> Weights:
        """Return a copy of one seed's policy network as named arrays (see `llmguide.rl.checkpoint`)."""
        return named_weights(self.policy.layout, self.policy.flat[row].cpu(), _host(self.policy.running[row]))

    def state(self, row: int) -> LearnerState:
        """Return a copy of all that learning changes in one seed."""
        return LearnerState._make((*(_host(tensor[row]) for tensor in self._tensors()), self.updates))

    def restore(self, row: int, state: LearnerState) -> None:
        """Take over one seed's state; all seeds of a learner have taken the same number of updates."""
        *arrays, self.updates = state
        for ours, stored in zip(self._tensors(), arrays, strict=True):
            ours[row] = torch.from_numpy(stored).to(self.device)
        self.adam.steps = self.updates

    def _tensors(self) -> tuple[Tensor, ...]:
        """The tensors of a state, in its order."""
        policy, target, adam = self.policy, self.target, self.adam
        return policy.flat, target.flat, policy.running, target.running, adam.mean, adam.square


def _largest(q: Tensor) -> Tensor:
    """Return the action with the largest Q-value, int64; of equal ones the first: ``(..., actions)`` -> ``(...)``."""
    best = torch.zeros_like(q[..., 0], dtype=torch.int64)
    value = q[..., 0]
    for action in range(1, q.shape[-1]):
        larger = q[..., action] > value
        best, value = torch.where(larger, action, best), torch.where(larger, q[..., action], value)
    return best


def _host(tensor: Tensor) -> NDArray[np.float32]:
    return np.array(tensor.cpu().numpy())
