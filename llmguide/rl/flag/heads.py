"""What turns the last token's hidden state into three logits and a value."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm

__all__ = ["ACTIONS", "Heads"]

ACTIONS = ("sell", "hold", "buy")

_POLICY_GAIN = 0.01
"""Norm of a logit's weights at the beginning, as usual for PPO: all actions are about as likely."""


class Heads(nn.Module):
    """A linear policy head and a linear value head on one hidden state, brought to a root mean square of 1.

    The models' last hidden states differ in scale by orders of magnitude (Gemma's final norm multiplies by up to some
    hundred); without this the same learning rate and beginning would mean something else for each of them.

    The policy head begins with small orthogonal weights, the value head with zeros: the first policy is close to
    uniform and the first values are 0, whatever the language model.
    """

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self.policy = nn.Linear(width, len(ACTIONS))
        self.value = nn.Linear(width, 1)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            nn.init.orthogonal_(self.policy.weight, _POLICY_GAIN, generator=generator)
            for zero in (self.policy.bias, self.value.weight, self.value.bias):
                zero.zero_()

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``(batch, 3)`` and values ``(batch,)`` for hidden states ``(batch, width)``."""
        even = rms_norm(hidden, hidden.shape[-1:], eps=1e-6)
        return self.policy(even), self.value(even).squeeze(-1)
