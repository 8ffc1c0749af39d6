"""Policies that decide side by side about one bar, each in its own account: what they have in common is computed once.

Of policies over one language model with the same frozen layers a single one encodes the states of all. A text that
comes twice is encoded once, and so is what the texts have in common (see `FlagPolicy.encode`). The layers behind them
are each policy's own, but those of untrained ones, which are the language model's: of these, too, each text is computed
once. None of it changes what a policy answers, other than by rounding (``tests/rl/flag/test_together.py``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import torch

from llmguide.rl.flag.choosing import Chosen, choose, likeliest
from llmguide.rl.flag.controls import UntrainedPolicy
from llmguide.rl.flag.policy import FlagPolicy
from llmguide.rl.flag.protocol import TradingPolicy

__all__ = ["SideBySide", "Told"]


class Told(NamedTuple):
    """What a policy is asked about: its state as text, and whether sell, hold and buy are possible."""

    state: str
    legal: Sequence[bool]


class SideBySide:
    """Several policies.

    Args:
        policies: any; the same one may come several times, with several accounts.
        beginnings: the text with which all states of each policy begin.
    """

    def __init__(self, policies: Sequence[TradingPolicy], beginnings: Sequence[str]) -> None:
        self._policies = tuple(policies)
        self._models = {at: one for at, one in enumerate(policies) if isinstance(one, FlagPolicy)}
        first: dict[Hashable, int] = {}
        self._readers = {  # by policy, the place of the one that encodes for it
            at: first.setdefault((one.reading, beginnings[at]), at) for at, one in self._models.items()
        }
        for at, (policy, beginning) in enumerate(zip(policies, beginnings, strict=True)):
            if self._readers.get(at, at) == at:
                policy.encode([beginning])  # as at the beginning of a training

    def choose(self, asked: Mapping[int, Told]) -> dict[int, Chosen]:
        """Return the likeliest possible action of some policies, by their places (see `choosing.choose`)."""
        alike: defaultdict[int, list[int]] = defaultdict(list)
        chosen = {}
        for at, told in asked.items():
            if at in self._readers:
                alike[self._readers[at]].append(at)
            else:
                chosen[at] = choose(self._policies[at], *told)
        for reader, places in alike.items():
            chosen |= self._read(self._models[reader], {at: asked[at] for at in places})
        return chosen

    @torch.no_grad()
    def _read(self, reader: FlagPolicy, asked: Mapping[int, Told]) -> dict[int, Chosen]:
        """Return what policies choose for which one encodes."""
        texts = list(dict.fromkeys(told.state for told in asked.values()))
        encoded = dict(zip(texts, reader.encode(texts), strict=True))
        thinking: defaultdict[int, list[int]] = defaultdict(list)
        for at in asked:
            own = self._models[at]
            thinking[0 if isinstance(own, UntrainedPolicy) else id(own)].append(at)
        chosen = {}
        for places in thinking.values():
            texts = list(dict.fromkeys(asked[at].state for at in places))
            outputs = self._models[places[0]].last([encoded[text] for text in texts])
            last = dict(zip(texts, outputs, strict=True))
            for at in places:
                logits, values = self._models[at].judge(last[asked[at].state][None])
                chosen[at] = likeliest(logits[0], values[0], asked[at].legal)
        return chosen
