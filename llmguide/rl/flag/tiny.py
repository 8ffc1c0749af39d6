"""Language models with random weights that take milliseconds: for tests, and to see that everything runs."""

from __future__ import annotations

from typing import Any, Literal

import torch

from llmguide.rl.flag.base import FlagBase
from llmguide.rl.flag.libraries import library

__all__ = ["tiny_base"]


def tiny_base(seed: int, *, kind: Literal["llama", "gemma3"] = "llama", layers: int = 3, width: int = 32) -> FlagBase:
    """Return a tiny model with random weights whose tokens are bytes; it has learned nothing.

    Args:
        seed: seed of the weights.
        kind: layers as in Llama and SmolLM, or as in Gemma 3, every second of which sees 24 tokens only.
        layers: number of layers.
        width: size of a hidden state, a multiple of 8; four query heads share two key heads.

    Raises ModelError for an impossible width, MissingExtra without transformers.
    """
    transformers = library("transformers")
    tokenizer = _bytes_tokenizer(transformers)
    fields: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": width // 4,
        "max_position_embeddings": 8192,
        "initializer_range": 0.2,
        "pad_token_id": None,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "tie_word_embeddings": True,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "llama":
            model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**fields))
        else:
            kinds = ["sliding_attention" if layer % 2 == 0 else "full_attention" for layer in range(layers)]
            gemma = {"layer_types": kinds, "sliding_window": 24, "query_pre_attn_scalar": width // 4}
            model = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**fields, **gemma))
    return FlagBase.of(f"tiny-{kind}-{layers}x{width}-{seed}", model, tokenizer)


def _bytes_tokenizer(transformers: Any) -> Any:
    """Return a tokenizer with a token for each byte, and one that begins every text."""
    tokenizers = library("tokenizers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0} | {letter: number for number, letter in enumerate(alphabet, start=1)}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")
