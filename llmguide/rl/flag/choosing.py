"""What a policy does in one state: the likeliest of the actions that are possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from llmguide.rl.flag.ppo import masked_log_probabilities
from llmguide.rl.flag.protocol import TradingPolicy

__all__ = ["Chosen", "choose", "likeliest"]


class Chosen(NamedTuple):
    """An action, and what the policy thought of it."""

    action: int  # 0 sell, 1 hold, 2 buy
    probabilities: tuple[float, float, float]  # of the three, 0 where not possible
    expected: float  # discounted sum of the rewards to come


def choose(policy: TradingPolicy, state: str, legal: Sequence[bool]) -> Chosen:
    """Return the likeliest possible action in a state; of equally likely ones the first of sell, hold, buy."""
    encoded = policy.encode([state])
    with torch.no_grad():
        logits, values = policy.evaluate(encoded)
        return likeliest(logits[0], values[0], legal)


def likeliest(logits: Tensor, expected: Tensor, legal: Sequence[bool]) -> Chosen:
    """Return the same for a state's three logits and its value, a number."""
    mask = torch.as_tensor(np.asarray(legal), device=logits.device)
    log_pi = masked_log_probabilities(logits, mask).double().cpu().numpy()
    sell, hold, buy = np.exp(log_pi).tolist()
    return Chosen(int(np.argmax(log_pi)), (sell, hold, buy), float(expected))
