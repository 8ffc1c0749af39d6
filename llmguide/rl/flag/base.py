"""The language model that a policy is built on, before anything is trained: weights, tokenizer, fingerprint."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llmguide.errors import ModelError
from llmguide.rl.flag.layers import Sight, blocks_of, through
from llmguide.rl.flag.libraries import library

__all__ = ["FlagBase", "load_base"]

_CHECKED_TOKENS = 12
_TOLERANCE = 1e-3
"""Of the largest value of a layer's output: rounding of float32 through some dozens of layers stays far below."""
_GROWING = ("dynamic", "longrope")
"""Rotations that depend on how long the sequence is: a prefix has no keys of its own then."""


@dataclass(frozen=True)
class FlagBase:
    """A causal language model from Hugging Face, its weights frozen, with its tokenizer.

    Attributes:
        name: its name, not a path.
        model: the causal model, in evaluation mode, float32.
        tokenizer: its tokenizer.
    """

    name: str
    model: Any
    tokenizer: Any

    @classmethod
    def of(cls, name: str, model: Any, tokenizer: Any, *, device: torch.device | str = "cpu") -> FlagBase:
        """Return a base from a `model` and `tokenizer` in memory; it is frozen and, where needed, moved to `device`.

        `name` is its name. Raises ModelError where its layers are of an unknown kind.
        """
        model.eval().requires_grad_(False).to(device)
        base = cls(name, model, tokenizer)
        base._check()
        return base

    @property
    def decoder(self) -> Any:
        """The model without its final projection to the vocabulary."""
        return self.model.model

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.decoder.layers)

    @property
    def width(self) -> int:
        """Size of a hidden state."""
        return int(self.decoder.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """The device on which it computes."""
        return torch.device(self.model.device)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each of `texts`, with those that the tokenizer puts before every text."""
        return [list(one) for one in self.tokenizer(list(texts))["input_ids"]]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the decoder's weights and the vocabulary; it takes seconds for a model of gigabytes."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.decoder.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        vocabulary = sorted(self.tokenizer.get_vocab().items())
        digest.update(json.dumps(vocabulary, separators=(",", ":")).encode())
        return digest.hexdigest()

    @torch.no_grad()
    def _check(self) -> None:
        """Refuse a model for which `Block` and the model's own layers do not agree on a few tokens."""
        kind = type(self.model).__name__
        refusal = (
            f"{self.name} ({kind}) is not a language model whose layers can be computed in parts; give one of the "
            "kinds Llama (SmolLM2), Mistral, Qwen 2, Qwen 3 or Gemma 3"
        )
        try:
            ids = torch.arange(_CHECKED_TOKENS, device=self.device)[None] % self.decoder.config.vocab_size
            rotations = json.dumps(getattr(self.decoder.config, "rope_parameters", None) or {})
            if any(f'"{one}"' in rotations for one in _GROWING):
                raise ValueError("a rotation that depends on the length")
            blocks = blocks_of(self.decoder.layers, self.decoder.config)
            hidden = self.decoder.embed_tokens(ids)
            ours, _ = through(blocks, hidden, Sight.of(hidden, self.decoder.rotary_emb), [None] * len(blocks))
            ours, theirs = self.decoder.norm(ours), self.decoder(input_ids=ids, use_cache=False).last_hidden_state
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{refusal} ({error})") from error
        if not _close(ours, theirs):
            raise ModelError(f"{refusal} (its layers compute something else)")


def load_base(source: Path | str, *, device: torch.device | str = "cpu") -> FlagBase:
    """Read a language model, in float32, and return it.

    Args:
        source: a GGUF file, whose weights are dequantized; a folder with a Hugging Face model (safetensors); or a
            model's name on the Hugging Face hub, such as ``HuggingFaceTB/SmolLM2-135M-Instruct``, which transformers
            downloads where it is not in its cache.
        device: where it computes, "cpu" or "cuda".

    Raises:
        ModelError: no such model, weights that are neither safetensors nor GGUF, or layers of an unknown kind.
        MissingExtra: transformers is not installed.
    """
    transformers = library("transformers")
    path = Path(source)
    where, options = str(source), dict[str, Any](use_safetensors=True)
    gguf = path.suffix == ".gguf"
    if gguf:
        library("gguf")
        if not path.is_file():
            raise ModelError(f"there is no model file {path}; give the path of a GGUF file")
        where, options = str(path.parent), {"gguf_file": path.name}
    name = path.stem if gguf else path.resolve().name if path.is_dir() else str(source)
    try:
        with _quiet(transformers):
            tokenizer = transformers.AutoTokenizer.from_pretrained(where, **options if gguf else {})
            model = transformers.AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"{source} cannot be read as a language model ({first}); give a GGUF file, a folder with a Hugging Face "
            "model or a model's name on its hub"
        ) from error
    return FlagBase.of(name, model, tokenizer, device=device)


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep transformers' progress bars from the terminal, also the one of GGUF files, which has no switch."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _close(ours: Tensor, theirs: Tensor) -> bool:
    return bool((ours - theirs).abs().max() <= _TOLERANCE * theirs.abs().max())
