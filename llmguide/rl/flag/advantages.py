"""What each action was worth beyond what was expected: generalised advantage estimation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["estimate_advantages"]

Array = NDArray[np.float64]


def estimate_advantages(
    rewards: Array, values: Array, over: NDArray[np.bool_], last_values: Array, *, discount: float, trace: float
) -> tuple[Array, Array]:
    """Return advantages and returns of a rollout.

        delta_t = r_t + discount V_{t+1} - V_t,   A_t = delta_t + discount trace A_{t+1},   return_t = A_t + V_t

    where V_{t+1} and A_{t+1} are 0 after the end of an episode. With a trace of 1, return_t is the discounted sum of
    the rewards up to the episode's end, or up to the rollout's and the value expected there.

    Args:
        rewards: of each step, shape ``(steps, environments)``.
        values: expected before each step, same shape.
        over: whether the episode ended with the step, same shape.
        last_values: expected after the last step, shape ``(environments,)``.
        discount, trace: gamma and lambda.

    Source: Schulman et al., arXiv 1506.02438, equation 16.
    """
    advantages = np.empty_like(rewards)
    following, advantage = last_values, np.zeros_like(last_values)
    for t in reversed(range(len(rewards))):
        goes_on = 1.0 - over[t]
        delta = rewards[t] + discount * following * goes_on - values[t]
        advantage = delta + discount * trace * goes_on * advantage
        advantages[t], following = advantage, values[t]
    return advantages, advantages + values
