"""The one door to transformers and peft: nobody who trains no language model waits for them or needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from llmguide.errors import MissingExtra

__all__ = ["library"]


def library(name: str) -> Any:
    """Return a library of the extra ``flag``: transformers, tokenizers, peft or gguf. Raises MissingExtra."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise MissingExtra(name, "flag") from error
