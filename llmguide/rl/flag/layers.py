"""Decoder layers, computed from the parts of a Hugging Face model, for tokens whose prefix was computed before.

`Block` does what the model's own layer does, with two differences that the model has no door for: keys and values of a
prefix are given, once for a whole batch, with or without gradient; and of the last layer only one token's output is
computed. Two kinds of layer are known: two norms (Llama, SmolLM, Mistral, Qwen 2 and 3) and four (Gemma 3). Whether a
model is of a kind that is known is not believed but computed (`llmguide.rl.flag.base`).

Shapes: hidden ``(batch, tokens, width)``; keys and values ``(batch or 1, key heads, tokens, head width)``. Sequences of
one batch are padded on the right; a token sees itself and those before it, so that padding needs no mask of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import rms_norm, scaled_dot_product_attention

__all__ = ["KV", "Block", "Sight", "blocks_of", "last_output", "prefix_keys", "through"]

FULL = "full_attention"


class KV(NamedTuple):
    """Keys and values of some tokens in one layer."""

    keys: Tensor
    values: Tensor

    def cut(self, tokens: int) -> KV:
        """Return those of the first tokens."""
        return KV(self.keys[:, :, :tokens], self.values[:, :, :tokens])

    def then(self, new: KV) -> KV:
        """Return these for each of a batch, and then the new ones."""
        batch = new.keys.shape[0]
        return KV(*(torch.cat((old.expand(batch, -1, -1, -1), one), dim=2) for old, one in zip(self, new, strict=True)))


@dataclass
class Sight:
    """Where tokens stand and what they see: rotations and masks of one batch, computed once for all layers.

    Attributes:
        rotary: the model's module of rotary embeddings.
        positions: of the tokens computed, shape ``(tokens,)``, or ``(batch, 1)`` for one token of each sequence.
        keys: number of tokens with keys, from position 0.
        like: a tensor of the dtype and device wanted.
    """

    rotary: Any
    positions: Tensor
    keys: int
    like: Tensor
    _rotations: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    _masks: dict[tuple[int | None, int], Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, hidden: Tensor, rotary: Any, start: int = 0) -> Sight:
        """Return that of tokens which follow each other from `start` on; `hidden` has the shape ``(_, tokens, _)``."""
        tokens = hidden.shape[1]
        return cls(rotary, torch.arange(start, start + tokens, device=hidden.device), start + tokens, hidden)

    def rotation(self, kind: str) -> tuple[Tensor, Tensor]:
        """Return cosines and sines for a kind of layer, each of shape ``(batch or 1, 1, tokens, head width)``."""
        if kind not in self._rotations:
            takes_kind = "layer_type" in inspect.signature(self.rotary.forward).parameters
            where = self.positions if self.positions.dim() == 2 else self.positions[None]
            cos, sin = self.rotary(self.like, where, *[kind] * takes_kind)
            self._rotations[kind] = cos[:, None], sin[:, None]
        return self._rotations[kind]

    def mask(self, window: int | None, share: int) -> Tensor:
        """Return what is added to the scores, 0 for what is seen, else -inf; ``(batch or 1, 1, share * tokens, keys)``.

        A token sees itself and those before it, of a sliding window the last `window` only.
        """
        window = None if window is None or window >= self.keys else window
        if (window, share) not in self._masks:
            at = self.positions if self.positions.dim() == 2 else self.positions[None]
            distance = at[:, None, :, None] - torch.arange(self.keys, device=at.device)
            seen = distance >= 0 if window is None else (distance >= 0) & (distance < window)
            nothing = torch.zeros((), dtype=self.like.dtype, device=self.like.device)
            self._masks[window, share] = torch.where(seen, nothing, float("-inf")).repeat(1, 1, share, 1)
        return self._masks[window, share]


class Block:
    """One decoder layer.

    Args:
        layer: the model's module, or a copy of it.
        kind: its kind of attention by the model's configuration, which chooses the rotation.
        window: tokens that it sees, itself among them; None for all.
    """

    def __init__(self, layer: Any, *, head_width: int, kind: str = FULL, window: int | None = None) -> None:
        self.layer, self.attention = layer, layer.self_attn
        self.head_width, self.kind, self.window = head_width, kind, window
        self.four_norms = hasattr(layer, "pre_feedforward_layernorm")
        self._norms = {name: _fused(norm) for name, norm in layer.named_children() if name.endswith("layernorm")}

    def keys_values(self, hidden: Tensor, sight: Sight) -> KV:
        """Return keys and values of the tokens: all that the last layer has to know of a prefix."""
        return self._keys_values(self._norm("input", hidden), sight)

    def __call__(self, hidden: Tensor, sight: Sight, past: KV | None) -> tuple[Tensor, KV]:
        """Return the output of every token, and their keys and values; `past` are those of the tokens before."""
        normed = self._norm("input", hidden)
        new = self._keys_values(normed, sight)
        return self._output(hidden, normed, sight, past.then(new) if past else new), new

    def last(self, hidden: Tensor, sight: Sight, past: KV | None, ends: Tensor) -> Tensor:
        """Return the output of one token of each sequence, shape ``(batch, width)``.

        Args:
            ends: the token's index in `hidden`, shape ``(batch,)``.
        """
        normed = self._norm("input", hidden)
        new = self._keys_values(normed, sight)
        whole = past.then(new) if past else new
        rows = torch.arange(len(ends), device=ends.device)
        at = Sight(sight.rotary, sight.positions[ends][:, None], sight.keys, sight.like)
        return self._output(hidden[rows, ends][:, None], normed[rows, ends][:, None], at, whole)[:, 0]

    def _keys_values(self, normed: Tensor, sight: Sight) -> KV:
        keys = self._heads(self.attention.k_proj(normed), "k_norm")
        return KV(_rotate(keys, *sight.rotation(self.kind)), self._heads(self.attention.v_proj(normed), ""))

    def _output(self, hidden: Tensor, normed: Tensor, sight: Sight, whole: KV) -> Tensor:
        """Return attention to `whole` and the feed-forward part, added to what came in."""
        queries = _rotate(self._heads(self.attention.q_proj(normed), "q_norm"), *sight.rotation(self.kind))
        # Heads that share keys are taken for further tokens: no key is copied.
        share = queries.shape[1] // whole.keys.shape[1]
        asked = queries.reshape(len(queries), -1, share * queries.shape[2], self.head_width)
        mask = sight.mask(self.window, share)
        seen = scaled_dot_product_attention(asked, *whole, attn_mask=mask, scale=self.attention.scaling)
        attended = self.attention.o_proj(seen.view(queries.shape).transpose(1, 2).flatten(2))
        if not self.four_norms:
            hidden = hidden + attended
            return hidden + self._fed(self._norm("post_attention", hidden))
        hidden = hidden + self._norm("post_attention", attended)
        fed = self._fed(self._norm("pre_feedforward", hidden))
        return hidden + self._norm("post_feedforward", fed)

    def _fed(self, normed: Tensor) -> Tensor:
        fed: Tensor = self.layer.mlp(normed)
        return fed

    def _norm(self, place: str, hidden: Tensor) -> Tensor:
        return self._norms[f"{place}_layernorm"](hidden)

    def _heads(self, projected: Tensor, norm: str) -> Tensor:
        """Return ``(batch, heads, tokens, head width)``, normed where the model has such a norm."""
        parted = projected.view(*projected.shape[:-1], -1, self.head_width)
        normed: Tensor = getattr(self.attention, norm)(parted) if hasattr(self.attention, norm or " ") else parted
        return normed.transpose(1, 2)


def blocks_of(layers: Iterable[Any], config: Any, *, first: int = 0) -> list[Block]:
    """Return blocks over a model's layers, or copies of them; `first` is the index of the first in the model."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    kinds, window = getattr(config, "layer_types", None), getattr(config, "sliding_window", None)
    blocks = []
    for at, layer in enumerate(layers, start=first):
        kind = kinds[at] if kinds else FULL
        slides = kind == "sliding_attention" if kinds else window is not None
        blocks.append(Block(layer, head_width=width, kind=kind, window=window if slides else None))
    return blocks


def through(
    blocks: Sequence[Block], hidden: Tensor, sight: Sight, pasts: Sequence[KV | None]
) -> tuple[Tensor, list[KV]]:
    """Return the output of all tokens, and their keys and values in every block.

    `pasts` are the keys and values of the tokens before, by block.
    """
    made = []
    for block, past in zip(blocks, pasts, strict=True):
        hidden, new = block(hidden, sight, past)
        made.append(new)
    return hidden, made


def prefix_keys(
    blocks: Sequence[Block], hidden: Tensor, rotary: Any, *, start: int = 0, pasts: Sequence[KV | None] | None = None
) -> list[KV]:
    """Return the keys and values in every block of tokens at the beginning of a sequence; no output is computed.

    Args:
        start: how many tokens are before those of `hidden`.
        pasts: the keys and values of these, which the result begins with.
    """
    sight = Sight.of(hidden, rotary, start)
    before = pasts or [None] * len(blocks)
    hidden, made = through(blocks[:-1], hidden, sight, before[:-1])
    made.append(blocks[-1].keys_values(hidden, sight))
    return [past.then(new) if past else new for past, new in zip(before, made, strict=True)]


def last_output(
    blocks: Sequence[Block], hidden: Tensor, sight: Sight, pasts: Sequence[KV | None], ends: Tensor
) -> Tensor:
    """Return the output of one token of each sequence, shape ``(batch, width)``.

    Args:
        pasts: keys and values of the tokens before, by block.
        ends: index of the token in `hidden`, shape ``(batch,)``.
    """
    hidden, _ = through(blocks[:-1], hidden, sight, pasts[:-1])
    return blocks[-1].last(hidden, sight, pasts[-1], ends)


def _fused(norm: Any) -> Callable[[Tensor], Tensor]:
    """Return a model's norm as one operation, whose backward pass is twice as fast, where it is one that torch has.

    Gemma's multiplies by one more than its weight; which it is is found by trying.
    """
    plain: Callable[[Tensor], Tensor] = norm
    eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
    if eps is None or norm.weight.dtype != torch.float32:
        return plain
    width = tuple(norm.weight.shape)
    probe = torch.linspace(-1.0, 2.0, norm.weight.numel(), device=norm.weight.device)
    for more in (0.0, 1.0):

        def fused(hidden: Tensor, more: float = more) -> Tensor:
            return rms_norm(hidden, width, norm.weight + more if more else norm.weight, eps)

        with torch.no_grad():
            if torch.allclose(fused(probe), norm(probe), rtol=1e-5, atol=1e-6):
                return fused
    return plain


def _rotate(each: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = each.chunk(2, dim=-1)
    return each * cos + torch.cat((-second, first), dim=-1) * sin
