"""The beginning that all states share, and what the frozen layers make of it and of what follows.

States are texts of one template: the task and the legible actions first, then what changes. The shared beginning is
found among the tokens that came, not in the text (a token may cover both sides of the border), and nothing depends on
it but time: a state that begins otherwise is computed whole. It only ever gets shorter, which costs nothing, since what
the layers make of a token does not depend on the tokens after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from llmguide.rl.flag.layers import KV

__all__ = ["LEAST", "FlagEncoded", "Prefix", "gather", "going_on_alike", "shared_tokens"]

LEAST = 8
"""Tokens that a beginning must have to be worth its own computation."""
_ALIKE = 32
"""The same of what some states have in common behind it, which is computed anew for each batch."""


@dataclass(frozen=True, eq=False)
class Prefix:
    """The tokens at the beginning of some states.

    Attributes:
        tokens: their numbers; empty for states computed whole.
        pasts: keys and values in every frozen layer, ``(1, key heads, tokens, head width)``.
        hidden: what the trainable layers get, ``(tokens, width)``.
    """

    tokens: tuple[int, ...]
    pasts: tuple[KV, ...]
    hidden: Tensor

    def cut(self, tokens: int) -> Prefix:
        """Return that of the first tokens only."""
        if tokens == len(self.tokens):
            return self
        return Prefix(self.tokens[:tokens], tuple(past.cut(tokens) for past in self.pasts), self.hidden[:tokens])

    def then(self, tokens: Sequence[int], pasts: Sequence[KV], hidden: Tensor) -> Prefix:
        """Return a longer one: `tokens` follow, with their keys and values and what the trainable layers get."""
        longer = (old.then(new) for old, new in zip(self.pasts, pasts, strict=True)) if self.tokens else pasts
        return Prefix(self.tokens + tuple(tokens), tuple(longer), torch.cat((self.hidden, hidden)))


@dataclass(frozen=True, eq=False)
class FlagEncoded:
    """One state behind the frozen layers.

    Attributes:
        prefix: its beginning.
        tokens: the numbers of the tokens after it.
        hidden: what the trainable layers get for these, ``(tokens, width)``.
    """

    prefix: Prefix
    tokens: tuple[int, ...]
    hidden: Tensor

    @property
    def length(self) -> int:
        """Tokens of the whole state."""
        return len(self.prefix.tokens) + len(self.tokens)

    def behind(self, prefix: Prefix) -> FlagEncoded:
        """Return the same state with a shorter beginning."""
        if prefix is self.prefix:
            return self
        cut = len(prefix.tokens)
        hidden = torch.cat((self.prefix.hidden[cut:], self.hidden))
        return FlagEncoded(prefix, self.prefix.tokens[cut:] + self.tokens, hidden)


def shared_tokens(one: Sequence[int], other: Sequence[int]) -> int:
    """Return at how many places from the beginning on two sequences are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def going_on_alike(suffixes: Sequence[Sequence[int]]) -> int:
    """Return how many tokens several states have in common behind their beginning, 0 where they are too few to matter.

    States of one bar tell the same prices before each tells its own account.
    """
    if len(suffixes) < 2:
        return 0
    alike = min(shared_tokens(suffixes[0], one[:-1]) for one in suffixes)  # the last token's output is wanted
    return alike if alike >= _ALIKE else 0


def gather(encoded: Sequence[FlagEncoded]) -> list[tuple[Prefix, list[tuple[int, FlagEncoded]]]]:
    """Return the states by beginning, with their places, so that each beginning is computed once.

    Where one beginning begins with another the shorter one serves both.
    """
    groups: list[tuple[Prefix, list[tuple[int, FlagEncoded]]]] = []
    known: dict[int, int] = {}  # which group a beginning belongs to
    prefixes = {id(one.prefix): one.prefix for one in encoded}
    for key, prefix in sorted(prefixes.items(), key=lambda item: len(item[1].tokens)):
        for number, (shorter, _) in enumerate(groups):
            length = len(shorter.tokens)
            if (length or not prefix.tokens) and prefix.tokens[:length] == shorter.tokens:
                known[key] = number
                break
        else:
            known[key] = len(groups)
            groups.append((prefix, []))
    for place, one in enumerate(encoded):
        prefix, members = groups[known[id(one.prefix)]]
        members.append((place, one.behind(prefix)))
    return groups
