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

__all__ = ["LEAST", "FlagEncoded", "Prefix", "gather", "shared_tokens"]

LEAST = 8
"""Tokens that a beginning must have to be worth its own computation."""


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
