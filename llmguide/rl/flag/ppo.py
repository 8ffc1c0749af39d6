"""One update of a policy from a rollout: PPO, or REINFORCE with the value as its baseline.

PPO's loss, averaged over a minibatch, with the advantage A, the return G, the value V and the probabilities' ratio
w = pi(a|s) / pi_old(a|s), all over the actions that are possible:

      max(-A w, -A clip(w, 1 - c, 1 + c))
    + value   1/2 max((V - G)^2, (V_old + clip(V - V_old, -c, c) - G)^2)
    - entropy H(pi)
    + kl      KL(pi || pi_ref)

REINFORCE's has -A log pi(a|s) first and 1/2 (V - G)^2 second. The reference is the policy as it was before training.

Source: arXiv 2502.11433v3, section 3.3; arXiv 1707.06347 (PPO); the arithmetic is that of vwxyzjn/cleanrl's ppo.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.protocol import Encoded, TradingPolicy

__all__ = ["Losses", "Rollout", "Update", "losses", "masked_log_probabilities", "minibatches", "update"]

_IMPOSSIBLE = -1e9  # a logit: its probability is 0, and its logarithm is finite


@dataclass(frozen=True, eq=False)
class Rollout:
    """What was collected, one row per transition.

    Attributes:
        encoded: the states.
        legal: possible actions, shape ``(rows, 3)``.
        actions: taken, shape ``(rows,)``.
        log_probabilities: of the actions when they were taken, shape ``(rows,)``.
        values: expected then, shape ``(rows,)``.
        advantages, returns: see `llmguide.rl.flag.advantages`, shape ``(rows,)`` each.
    """

    encoded: Sequence[Encoded]
    legal: NDArray[np.bool_]
    actions: NDArray[np.int64]
    log_probabilities: NDArray[np.float64]
    values: NDArray[np.float64]
    advantages: NDArray[np.float64]
    returns: NDArray[np.float64]


class Losses(NamedTuple):
    """The parts of the loss, one value per row, not yet weighted."""

    policy: Tensor
    value: Tensor
    entropy: Tensor
    kl: Tensor
    clipped: Tensor  # 1 where the ratio left its bounds
    moved: Tensor  # estimate of KL(pi_old || pi)

    def total(self, config: FlagConfig) -> Tensor:
        """Return what is minimised, one value per row."""
        return self.policy + config.value * self.value - config.entropy * self.entropy + config.kl * self.kl


class Update(NamedTuple):
    """Means over all minibatches of an update."""

    policy_loss: float
    value_loss: float
    entropy: float
    kl: float  # to the reference
    clipped: float  # share of the rows
    moved: float  # KL from the policy that collected
    gradient_norm: float  # before it was clipped


def masked_log_probabilities(logits: Tensor, legal: Tensor) -> Tensor:
    """Return log-probabilities among the possible actions, shape ``(rows, 3)``, float32."""
    return logits.float().masked_fill(~legal, _IMPOSSIBLE).log_softmax(-1)


def losses(
    log_pi: Tensor,
    values: Tensor,
    *,
    actions: Tensor,
    old_log_probabilities: Tensor,
    old_values: Tensor,
    advantages: Tensor,
    returns: Tensor,
    log_reference: Tensor | None,
    config: FlagConfig,
) -> Losses:
    """Return the parts of the loss; `log_pi` and `log_reference` have shape ``(rows, 3)``, all others ``(rows,)``."""
    taken = log_pi.gather(1, actions[:, None]).squeeze(1)
    log_ratio = taken - old_log_probabilities
    ratio = log_ratio.exp()
    with torch.no_grad():
        clipped = ((ratio - 1.0).abs() > config.clip).to(ratio.dtype)
        moved = (ratio - 1.0) - log_ratio
    if config.algorithm == "ppo":
        bounded = ratio.clamp(1.0 - config.clip, 1.0 + config.clip)
        policy = torch.maximum(-advantages * ratio, -advantages * bounded)
        near = old_values + (values - old_values).clamp(-config.clip, config.clip)
        value = 0.5 * torch.maximum((values - returns) ** 2, (near - returns) ** 2)
    else:
        policy = -advantages * taken
        value = 0.5 * (values - returns) ** 2
    pi = log_pi.exp()
    entropy = -(pi * log_pi).sum(1)
    kl = torch.zeros_like(entropy) if log_reference is None else (pi * (log_pi - log_reference)).sum(1)
    return Losses(policy, value, entropy, kl, clipped, moved)


def minibatches(order: NDArray[np.int64], config: FlagConfig) -> list[NDArray[np.int64]]:
    """Return the rows of each minibatch: an order of all rows, cut into equal parts (one more or less) of bounded size.

    40 rows in minibatches of 32 at most are two of 20, rather than 32 and a noisy rest of 8 that counts as much.
    """
    if config.algorithm == "reinforce":
        return [order]
    return np.array_split(order, -(-len(order) // config.minibatch))


def update(
    policy: TradingPolicy,
    optimiser: torch.optim.Optimizer,
    rollout: Rollout,
    orders: Sequence[NDArray[np.int64]],
    config: FlagConfig,
) -> Update:
    """Take one optimiser step for each minibatch of each epoch.

    A minibatch is taken in ``config.accumulation`` backward passes over equal parts of it, which bounds the memory;
    gradient and advantages' scale are those of the whole minibatch.

    Args:
        policy: what learns.
        optimiser: of its trainable tensors, with its learning rate set.
        rollout: what was collected.
        orders: the rows in the order of each epoch, which chance gave.
        config: see there.
    """
    trained = list(policy.trainable().values())
    device = trained[0].device
    rows = _as_tensors(rollout, device)
    references: dict[int, Tensor] = {}
    sums: list[NDArray[np.float64]] = []
    norms: list[float] = []
    for order in orders if config.algorithm == "ppo" else orders[:1]:
        for chosen in minibatches(order, config):
            advantages = rows.advantages[chosen]
            if config.normalise and len(chosen) > 1:
                advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
            optimiser.zero_grad(set_to_none=True)
            parts = np.array_split(np.arange(len(chosen)), min(config.accumulation, len(chosen)))
            with _accumulating(policy, len(parts)):
                for part in parts:
                    at = chosen[part]
                    encoded = [rollout.encoded[row] for row in at]
                    logits, values = policy.evaluate(encoded)
                    legal = rows.legal[at]
                    told = losses(
                        masked_log_probabilities(logits, legal),
                        values.float(),
                        actions=rows.actions[at],
                        old_log_probabilities=rows.log_probabilities[at],
                        old_values=rows.values[at],
                        advantages=advantages[part],
                        returns=rows.returns[at],
                        log_reference=_reference(policy, encoded, at, legal, references) if config.kl else None,
                        config=config,
                    )
                    (told.total(config).sum() / len(chosen)).backward()  # type: ignore[no-untyped-call]
                    sums.append(np.array([float(each.detach().sum()) for each in told]))
            norms.append(float(torch.nn.utils.clip_grad_norm_(trained, config.gradient_clip)))
            optimiser.step()
    seen = len(rollout.actions) * (len(orders) if config.algorithm == "ppo" else 1)
    return Update._make([*(np.sum(sums, axis=0) / seen).tolist(), float(np.mean(norms))])


class _Tensors(NamedTuple):
    legal: Tensor
    actions: Tensor
    log_probabilities: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


def _as_tensors(rollout: Rollout, device: torch.device) -> _Tensors:
    def tensor(array: NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=device)

    return _Tensors(
        torch.as_tensor(rollout.legal, device=device),
        torch.as_tensor(rollout.actions, device=device),
        tensor(rollout.log_probabilities),
        tensor(rollout.values),
        tensor(rollout.advantages),
        tensor(rollout.returns),
    )


def _accumulating(policy: TradingPolicy, passes: int) -> AbstractContextManager[None]:
    """Return what a policy has for several backward passes that make one gradient; nothing where it has nothing."""
    own: Callable[[], AbstractContextManager[None]] = getattr(policy, "accumulating", nullcontext)
    return own() if passes > 1 else nullcontext()


def _reference(
    policy: TradingPolicy, encoded: Sequence[Encoded], at: NDArray[np.int64], legal: Tensor, known: dict[int, Tensor]
) -> Tensor:
    """Return the reference's log-probabilities of some rows, asked for once however many the epochs are."""
    if any(row not in known for row in at.tolist()):
        with torch.no_grad():
            log_reference = masked_log_probabilities(policy.reference(encoded), legal)
        known.update(zip(at.tolist(), log_reference, strict=True))
    return torch.stack([known[row] for row in at.tolist()])
