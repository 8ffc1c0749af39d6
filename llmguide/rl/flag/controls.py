"""What a trained policy is held against: itself before training, the language model asked for a word, and holding.

A control is a `TradingPolicy` too, so that every one of them trades by the same rules, on the same states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from llmguide.errors import ModelError
from llmguide.rl.flag.base import FlagBase
from llmguide.rl.flag.heads import Heads
from llmguide.rl.flag.policy import FlagPolicy, PolicyConfig, Trained
from llmguide.rl.flag.protocol import Encoded
from llmguide.rl.flag.trained import TrainedPolicy
from llmguide.trading.flag_rules import ACTIONS

__all__ = ["NO_SEED", "HoldPolicy", "UntrainedPolicy", "ZeroShotPolicy", "controls_of", "first_tokens"]

NO_SEED = -1
"""Seed of a control in which nothing is random."""


class UntrainedPolicy(FlagPolicy):
    """A policy as it was before its first step: all of its layers are the language model's own, none is copied.

    What they make of a state is the same for all seeds (see `llmguide.rl.flag.together`).
    """

    def last(self, encoded: Sequence[Encoded]) -> Tensor:
        """Return what the model's own layers make of each state's last token, ``(batch, width)``; no gradient."""
        with torch.no_grad():
            return self._last(encoded, reference=True)

    def trainable(self) -> dict[str, Tensor]:
        """Return nothing."""
        return {}

    def _begin(self, first: int) -> Trained:
        decoder, heads = self.base.decoder, Heads(self.base.width, self.config.seed).to(self.base.device)
        return Trained(decoder.layers[first:], decoder.norm, heads)


class ZeroShotPolicy(UntrainedPolicy):
    """The language model as it is, asked to go on with the state: the probability of a word is its action's.

    A word counts with its first token (see `first_tokens`); the text is that of the state, without a chat's frame.
    Nothing is trained, and all values are 0. `frozen` says only in which of two parts a layer is computed.

    Raises ModelError where the tokenizer does not tell the three words apart.
    """

    def __init__(self, base: FlagBase, *, frozen: int | None = None) -> None:
        super().__init__(base, PolicyConfig(frozen=frozen))
        self._words = first_tokens(base)

    @torch.no_grad()
    def judge(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities of the words' first tokens, shape ``(batch, 3)``, and zeros ``(batch,)``."""
        scores = self.base.model.get_output_embeddings()(last)  # (batch, vocabulary)
        log_p = torch.log_softmax(scores, dim=-1)
        logits = torch.stack([log_p[:, tokens].logsumexp(dim=-1) for tokens in self._words], dim=-1)
        return logits, torch.zeros(len(logits), device=logits.device)

    def identity(self) -> dict[str, Any]:
        """Return name and hash of the base, and what is asked for."""
        return {"base": self.base.name, "base_sha256": self.base.digest, "words": self._words}


class HoldPolicy:
    """Buys as soon as it can and holds; it does not read."""

    def encode(self, states: Sequence[str]) -> list[None]:
        """Return nothing for each state."""
        return [None] * len(states)

    def evaluate(self, encoded: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
        """Return logits ``(batch, 3)`` by which buy comes before hold and hold before sell, and zeros ``(batch,)``."""
        return torch.tensor([[0.0, 50.0, 100.0]]).expand(len(encoded), -1), torch.zeros(len(encoded))

    def reference(self, encoded: Sequence[Encoded]) -> Tensor:
        """Return the same logits."""
        return self.evaluate(encoded)[0]

    def trainable(self) -> dict[str, Tensor]:
        """Return nothing."""
        return {}

    def identity(self) -> dict[str, Any]:
        """Return what it is."""
        return {"base": "none", "rule": "hold"}


def first_tokens(base: FlagBase) -> list[list[int]]:
    """Return by which tokens each of sell, hold and buy can begin, as a word by itself and behind a space.

    A token by which two of them begin, such as a space of its own, tells nothing and is left out. Raises ModelError
    where a word has none left.
    """
    found = []
    for word in ACTIONS:
        spelled = [base.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (word, f" {word}")]
        found.append({int(tokens[0]) for tokens in spelled if len(tokens)})
    own = [
        sorted(tokens - set().union(*(others for place, others in enumerate(found) if place != at)))
        for at, tokens in enumerate(found)
    ]
    if not all(own):
        raise ModelError(
            f"the tokenizer of {base.name} does not tell {', '.join(ACTIONS)} apart by their first tokens; "
            "this language model cannot be used zero-shot"
        )
    return own


def controls_of(trained: Sequence[TrainedPolicy]) -> dict[str, list[TrainedPolicy]]:
    """Return the controls of policies that were trained on one language model with the same settings.

    Args:
        trained: the policies.

    Returns:
        By name: ``untrained``, one for each of them as it was before its first step; ``zero-shot``, the language model
        asked for a word; ``hold``.

    Raises ModelError for no policy, or one that is not over a language model.
    """
    policies = [one.policy for one in trained if isinstance(one.policy, FlagPolicy)]
    if not policies or len(policies) < len(trained):
        raise ModelError("expected one or more policies over a language model; only these have controls")
    first, model = trained[0], policies[0]
    fresh = [UntrainedPolicy(policy.base, policy.config) for policy in policies]
    return {
        "untrained": [replace(one, policy=policy, notes={}) for one, policy in zip(trained, fresh, strict=True)],
        "zero-shot": [
            replace(first, policy=ZeroShotPolicy(model.base, frozen=model.config.frozen), seed=NO_SEED, notes={})
        ],
        "hold": [replace(first, policy=HoldPolicy(), seed=NO_SEED, notes={})],
    }
