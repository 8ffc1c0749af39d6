"""The policy of FLAG-Trader: a language model, its first layers frozen, with a policy head and a value head.

Source: FLAG-Trader (arXiv 2502.11433). A state is a text; its last token's hidden state behind all layers gives the
logits of sell, hold and buy, and a value. Open in the paper, and chosen here:

- *How many layers are frozen*: two thirds (`PolicyConfig.frozen`), and the embeddings with them. The later layers are
  the ones that turn what was read into what is said; a third of them trains with Adam in memory that a desktop has.
- *Pooling*: the last token, the only one that has seen the whole state; no mean over tokens of the template.
- *Heads*: linear, on the final norm's output brought to unit root mean square (`Heads`).
- *The final norm* trains with the layers, and is frozen with LoRA.
- *LoRA*: on every linear map of the trainable layers, alpha twice the rank, no dropout: `evaluate` is a function.
- *The reference* is the policy before its first step: the base's own layers, and heads as they began.

What is fast, and why nothing changes by it: see `encode` and `evaluate`. `tests/rl/flag/test_policy.py` holds logits,
values and gradients to the model's own forward pass over whole states.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from llmguide.errors import ModelError
from llmguide.rl.flag.base import FlagBase
from llmguide.rl.flag.heads import Heads
from llmguide.rl.flag.layers import KV, Block, Sight, blocks_of, last_output, prefix_keys, through
from llmguide.rl.flag.libraries import library
from llmguide.rl.flag.prefix import LEAST, FlagEncoded, Prefix, gather, going_on_alike, shared_tokens
from llmguide.rl.flag.protocol import Encoded

__all__ = ["FlagPolicy", "PolicyConfig"]

_ROWS = 8
"""States computed side by side on a processor: enough for its products, few enough that padding is small."""
_ROWS_GPU = 64

_LOOKED_AT = 64
"""Values of each tensor by which a change is noticed that torch does not count."""


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Which parts of a language model are trained, and how they are initialised.

    Attributes:
        frozen: number of layers, from the first on, that stay as they are; at least one is left to train; None is two
            thirds.
        lora_rank: rank of the adapter (LoRA) on the trainable layers; 0 trains their weights themselves.
        lora_alpha: scale of the adapter times its rank; None is twice the rank.
        half: compute the frozen layers in bfloat16: another policy, whose logits differ in the third digit. Meant for
            GPUs; a CPU may become slower (docs/flag_trader.md).
        seed: seed of the heads and the adapter.

    Raises ModelError for values out of range.
    """

    frozen: int | None = None
    lora_rank: int = 0
    lora_alpha: float | None = None
    half: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.lora_rank < 0:
            raise ModelError(f"expected lora_rank of at least 0 (no adapter), got {self.lora_rank}")
        if self.lora_alpha is not None and not (self.lora_rank and self.lora_alpha > 0):
            raise ModelError(f"expected lora_alpha above 0, together with lora_rank, got {self.lora_alpha}")

    def of(self, base: FlagBase) -> PolicyConfig:
        """Return this config with every number filled in for `base`. Raises ModelError where no layer is left to
        train.
        """
        frozen = 2 * base.layers // 3 if self.frozen is None else self.frozen
        if not 0 <= frozen < base.layers:
            raise ModelError(
                f"{base.name} has {base.layers} layers; frozen lies between 0 and {base.layers - 1}, got {frozen}"
            )
        alpha = self.lora_alpha if self.lora_alpha is not None else 2.0 * self.lora_rank
        return PolicyConfig(
            frozen=frozen, lora_rank=self.lora_rank, lora_alpha=alpha or None, half=self.half, seed=self.seed
        )


class Trained(nn.Module):
    """The layers behind the frozen ones, the final norm and the heads."""

    def __init__(self, layers: nn.ModuleList, norm: Any, heads: Heads) -> None:
        super().__init__()
        self.layers, self.norm, self.heads = layers, norm, heads


class FlagPolicy:
    """A `llmguide.rl.flag.protocol.TradingPolicy` over a language model.

    The base is not changed: the trainable layers are copies. The tensors of `trainable` may be updated by any
    optimiser, or changed in place at any time.

    Args:
        base: the language model; the policy computes on its device.
        config: what is trained; None is ``PolicyConfig()``.

    Methods take `states`, texts, and `encoded`, what `encode` returned.

    Raises:
        ModelError: no layer is left to train.
        MissingExtra: an adapter is asked for and peft is not installed.
    """

    def __init__(self, base: FlagBase, config: PolicyConfig | None = None) -> None:
        self.base, self.config = base, (config or PolicyConfig()).of(base)
        assert self.config.frozen is not None
        decoder, first = base.decoder, self.config.frozen
        self._rotary = decoder.rotary_emb
        below = decoder.layers[:first]
        self._embedding = decoder.embed_tokens
        self._dtype = torch.float32
        if self.config.half:
            self._dtype = torch.bfloat16
            below = copy.deepcopy(below).to(self._dtype)
        self._frozen = blocks_of(below, decoder.config)
        self.trained = self._begin(first)
        self._blocks = blocks_of(self.trained.layers, decoder.config, first=first)
        untouched = decoder.layers[first:]
        self._reference = Trained(untouched, decoder.norm, copy.deepcopy(self.trained.heads).requires_grad_(False))
        self._reference_blocks = blocks_of(untouched, decoder.config, first=first)
        self._prefix: Prefix | None = None
        self._nothing = Prefix((), (), torch.empty(0, base.width, device=base.device))
        self._pasts: dict[bool, tuple[Prefix, tuple[Any, ...], list[KV]]] = {}
        self._accumulated: dict[int, _Accumulated] | None = None  # by the prefix's id

    def encode(self, states: Sequence[str]) -> list[FlagEncoded]:
        """Return what the frozen layers make of each state; no gradient.

        Keys and values of the tokens that all states so far begin with are computed once and kept.
        """
        # Tensors made in inference mode could not be trained on later.
        with torch.inference_mode(False), torch.no_grad():
            tokens = self.base.tokens(states)
            self._prefix = prefix = self._shared(tokens)
            length = len(prefix.tokens)
            inside = [place for place, one in enumerate(tokens) if _begins(one, prefix)]
            found = dict(zip(inside, self._behind(prefix, [tokens[place][length:] for place in inside]), strict=True))
            outside = [place for place in range(len(tokens)) if place not in found]
            found |= dict(zip(outside, self._behind(self._nothing, [tokens[place] for place in outside]), strict=True))
            return [found[place] for place in range(len(tokens))]

    def evaluate(self, encoded: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
        """Return logits, shape ``(batch, 3)``, and values, shape ``(batch,)``, with gradient.

        The trainable layers' keys and values of the shared beginning are computed with today's weights, once for the
        batch, with gradient; without gradient they are kept until the weights change.
        """
        return self.judge(self.last(encoded))

    @contextmanager
    def accumulating(self) -> Iterator[None]:
        """Return a context in which the shared beginning is computed once for all evaluations with gradient, none of
        which sees a step.

        For a gradient that is the sum of several backward passes: the part of it that goes through the beginning is
        added when the context ends, in one further pass, and not at all after an error.
        """
        self._accumulated = {}
        try:
            yield
            for one in self._accumulated.values():
                one.pass_on()
        finally:
            self._accumulated = None

    def last(self, encoded: Sequence[Encoded]) -> Tensor:
        """Return what the trainable layers make of each state's last token, shape ``(batch, width)``."""
        return self._last(encoded, reference=False)

    def judge(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``(batch, 3)`` and values ``(batch,)`` from `last`, what the method of that name returned."""
        heads: tuple[Tensor, Tensor] = self.trained.heads(last)
        return heads

    @torch.no_grad()
    def reference(self, encoded: Sequence[Encoded]) -> Tensor:
        """Return the logits, shape ``(batch, 3)``, of the policy as it was before training; no gradient."""
        logits: Tensor = self._reference.heads(self._last(encoded, reference=True))[0]
        return logits

    @property
    def reading(self) -> tuple[Any, ...]:
        """What `encode` depends on; policies of which this is equal encode alike, and one can do it for all of them."""
        return id(self.base.model), self.config.frozen, self.config.half

    def trainable(self) -> dict[str, Tensor]:
        """Return by name what an optimiser steps and a checkpoint stores."""
        return {name: one for name, one in self.trained.named_parameters() if one.requires_grad}

    def identity(self) -> dict[str, Any]:
        """Return name and hash of the base, and what was chosen: what a checkpoint is checked against."""
        return {
            "base": self.base.name,
            "base_sha256": self.base.digest,
            "layers": self.base.layers,
            "heads": "linear on the last token, unit root mean square",
            **asdict(self.config),
        }

    def _begin(self, first: int) -> Trained:
        """Return copies of what is trained, as it begins."""
        decoder, heads = self.base.decoder, Heads(self.base.width, self.config.seed).to(self.base.device)
        if not self.config.lora_rank:
            layers, norm = copy.deepcopy((decoder.layers[first:], decoder.norm))
            return Trained(layers.requires_grad_(True), norm.requires_grad_(True), heads)
        peft = library("peft")
        # The adapter's layers are new; the weights below them are the base's own.
        shared = {id(one): one for one in decoder.layers[first:].parameters()}
        layers = copy.deepcopy(decoder.layers[first:], shared)
        linear = {name.rpartition(".")[2] for name, one in layers.named_modules() if isinstance(one, nn.Linear)}
        adapter = peft.LoraConfig(
            r=self.config.lora_rank, lora_alpha=self.config.lora_alpha, target_modules=sorted(linear)
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            layers = peft.inject_adapter_in_model(adapter, layers)
        return Trained(layers, decoder.norm, heads)

    def _shared(self, tokens: Sequence[Sequence[int]]) -> Prefix:
        """Return the beginning that these states share with those before."""
        if not tokens:
            return self._prefix or self._nothing
        old = self._prefix
        for known in ([old.tokens] if old is not None and old.tokens else []) + [tuple(tokens[0][:-1])]:
            length = len(known)
            for one in tokens:
                shared = shared_tokens(known, one[:-1])  # the last token is nobody's prefix: its output is wanted
                length = min(length, shared) if shared >= LEAST else length
            if any(tuple(one[:length]) == tuple(known[:length]) for one in tokens):
                break
        if length < LEAST:
            return self._nothing
        if old is not None and old.tokens[:length] == tuple(known[:length]):
            return old.cut(length)
        hidden, pasts = self._through_frozen(self._nothing, torch.tensor([known[:length]], device=self.base.device))
        return Prefix(tuple(known[:length]), tuple(pasts), hidden[0])

    def _behind(self, prefix: Prefix, suffixes: Sequence[Sequence[int]]) -> Iterator[FlagEncoded]:
        """Yield states that continue a prefix, a few at a time, similar lengths together."""
        made: dict[int, FlagEncoded] = {}
        alike, longer = going_on_alike(suffixes), prefix
        if alike:
            common = suffixes[0][:alike]
            hidden, pasts = self._through_frozen(prefix, torch.tensor([common], device=self.base.device))
            longer = prefix.then(common, pasts, hidden[0])
        for places in _rows([len(one) for one in suffixes], self._at_once):
            rest = [suffixes[place][alike:] for place in places]
            ids = pad_sequence([torch.tensor(one) for one in rest], batch_first=True)
            hidden, _ = self._through_frozen(longer, ids.to(self.base.device))
            for place, tokens, row in zip(places, rest, hidden, strict=True):
                kept = row[: len(tokens)].clone()  # without the padding's memory
                made[place] = FlagEncoded(longer, tuple(tokens), kept).behind(prefix)
        yield from (made[place] for place in range(len(suffixes)))

    def _through_frozen(self, prefix: Prefix, ids: Tensor) -> tuple[Tensor, list[KV]]:
        """Return what the trainable layers get, ``(batch, tokens, width)``, and the frozen layers' keys and values.

        `ids` has the shape ``(batch, tokens)``.
        """
        hidden = self._embedding(ids).to(self._dtype)
        pasts = prefix.pasts or [None] * len(self._frozen)
        sight = Sight.of(hidden, self._rotary, len(prefix.tokens))
        hidden, made = through(self._frozen, hidden, sight, pasts)
        return hidden.float(), made

    def _last(self, encoded: Sequence[Encoded], *, reference: bool) -> Tensor:
        """Return the last token's output of the final norm for each state, ``(batch, width)``."""
        if not encoded:
            raise ModelError("expected at least one encoded state, got none; pass what encode returned")
        blocks, trained = (self._reference_blocks, self._reference) if reference else (self._blocks, self.trained)
        rows: dict[int, Tensor] = {}
        for prefix, members in gather(cast(Sequence[FlagEncoded], encoded)):
            pasts, start = self._prefix_pasts(prefix, blocks, reference=reference), len(prefix.tokens)
            if alike := going_on_alike([one.tokens for _, one in members]):
                common = members[0][1].hidden[None, :alike]
                pasts = prefix_keys(blocks, common, self._rotary, start=start, pasts=pasts)
            for chosen in _rows([len(one.tokens) for _, one in members], self._at_once):
                hidden = pad_sequence([members[number][1].hidden[alike:] for number in chosen], batch_first=True)
                lengths = [len(members[number][1].tokens) - alike for number in chosen]
                ends = torch.tensor(lengths, device=hidden.device) - 1
                sight = Sight.of(hidden, self._rotary, start + alike)
                outputs = last_output(blocks, hidden, sight, pasts, ends)
                rows |= {members[number][0]: row for number, row in zip(chosen, outputs, strict=True)}
        last: Tensor = trained.norm(torch.stack([rows[place] for place in range(len(encoded))]))
        return last

    def _prefix_pasts(self, prefix: Prefix, blocks: Sequence[Block], *, reference: bool) -> Sequence[KV | None]:
        """Return the trainable layers' keys and values of a prefix."""
        if not prefix.tokens:
            return [None] * len(blocks)
        if torch.is_grad_enabled():
            if self._accumulated is None:
                return prefix_keys(blocks, prefix.hidden[None], self._rotary)
            if id(prefix) not in self._accumulated:
                made = prefix_keys(blocks, prefix.hidden[None], self._rotary)
                self._accumulated[id(prefix)] = _Accumulated.of(prefix, made)
            return self._accumulated[id(prefix)].given
        weights = () if reference else _state_of(self.trainable().values())
        known, by, pasts = self._pasts.get(reference, (None, (), []))
        if known is not prefix or by != weights:
            with torch.inference_mode(False), torch.no_grad():
                pasts = prefix_keys(blocks, prefix.hidden[None], self._rotary)
            self._pasts[reference] = prefix, weights, pasts
        return pasts

    @property
    def _at_once(self) -> int:
        return _ROWS if self.base.device.type == "cpu" else _ROWS_GPU


@dataclass(frozen=True, eq=False)
class _Accumulated:
    """Keys and values of a beginning whose gradient is summed up before it goes on.

    Attributes:
        prefix: kept, so that its id remains its own.
        made: as they were computed.
        given: the same numbers, cut off from how they were made; gradients arrive here.
    """

    prefix: Prefix
    made: list[KV]
    given: list[KV]

    @classmethod
    def of(cls, prefix: Prefix, made: list[KV]) -> _Accumulated:
        return cls(prefix, made, [KV(*(one.detach().requires_grad_(one.requires_grad) for one in kv)) for kv in made])

    def pass_on(self) -> None:
        """Go on with what has arrived, to the weights that made them."""
        pairs = [pair for both in zip(self.made, self.given, strict=True) for pair in zip(*both, strict=True)]
        arrived = [(made, given.grad) for made, given in pairs if given.grad is not None]
        if arrived:
            made, gradients = zip(*arrived, strict=True)
            torch.autograd.backward(made, gradients)


def _state_of(weights: Iterable[Tensor]) -> tuple[Any, ...]:
    """Return what is another after any change of the weights.

    Changes in place count a tensor's version up, but not those of fused optimisers, nor of ``.data``: some values of
    each tensor are looked at as well.
    """
    weights = list(weights)
    looked_at = [one.detach().flatten()[:: max(1, one.numel() // _LOOKED_AT)].double().sum() for one in weights]
    return tuple((one.data_ptr(), one._version) for one in weights), torch.stack(looked_at).tolist()


def _begins(tokens: Sequence[int], prefix: Prefix) -> bool:
    length = len(prefix.tokens)
    return len(tokens) > length and tuple(tokens[:length]) == prefix.tokens


def _rows(lengths: Sequence[int], at_once: int) -> Iterator[list[int]]:
    """Yield places, at most so many at once, by length: those of about the same length together."""
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    yield from (order[start : start + at_once] for start in range(0, len(order), at_once))
