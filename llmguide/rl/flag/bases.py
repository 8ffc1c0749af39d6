"""Which language model is meant: by a word, a path or a name; and policies built on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from llmguide.errors import ModelError
from llmguide.rl.flag.base import FlagBase, load_base
from llmguide.rl.flag.checkpoint import read_trained
from llmguide.rl.flag.policy import FlagPolicy, PolicyConfig
from llmguide.rl.flag.tiny import tiny_base
from llmguide.rl.flag.trained import TrainedPolicy, load_trained
from llmguide.rl.training import find_device

__all__ = ["TINY", "Base", "find_base", "open_trained", "policy_factory"]

TINY = "tiny"
"""The name of the tiny model with random weights (see `llmguide.rl.flag.tiny.tiny_base`)."""

Base = FlagBase | Path | str
"""A language model to build a policy on: in memory, the path of a file or folder, a name on the Hugging Face hub, or
"tiny".
"""


def find_base(source: Base, *, device: str = "cpu") -> FlagBase:
    """Return the language model that `source` names; one in memory stays where it is.

    Args:
        source: a `FlagBase`, a GGUF file, a folder, a name on the Hugging Face hub, or "tiny".
        device: "cpu", "cuda" or "auto", which is a GPU where there is one.

    Raises ModelError for another device, and ModelError or MissingExtra as `llmguide.rl.flag.base.load_base` does.
    """
    if isinstance(source, FlagBase):
        return source
    if str(source) == TINY:
        base = _tiny()
        base.model.to(find_device(device))
        return base
    return load_base(source, device=find_device(device))


def policy_factory(base: FlagBase, config: PolicyConfig | None = None) -> Callable[[int], FlagPolicy]:
    """Return a function that makes a new policy for a seed, for `llmguide.rl.flag.training.train_flag`.

    Args:
        base: the language model, whose frozen layers all policies share.
        config: what is trained; None is ``PolicyConfig()``. Its own seed is not used.
    """
    settings = config or PolicyConfig()

    def make(seed: int) -> FlagPolicy:
        return FlagPolicy(base, replace(settings, seed=seed))

    return make


def open_trained(path: Path | str, base: Base | None = None, *, device: str = "cpu") -> TrainedPolicy:
    """Read a checkpoint, build its policy on the language model that it was trained on, and return it.

    Args:
        path: the checkpoint.
        base: that language model; None finds it by the name in the checkpoint, where that is "tiny" or a name on the
            hub. Its name may differ from the one in training; its weights are compared.
        device: where it computes, unless the base is in memory already.

    Raises:
        ModelError: no such checkpoint or language model; another one than it was trained on; or none is given, and the
            checkpoint does not say where to find it.
        MissingExtra: transformers is not installed.
    """
    identity = read_trained(path).identity
    try:
        config = PolicyConfig(**{field.name: identity[field.name] for field in fields(PolicyConfig)})
        name, digest = str(identity["base"]), str(identity["base_sha256"])
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"{path} holds no policy over a language model ({error}); train one: llmguide flag train"
        ) from error
    found = find_base(_named(path, name) if base is None else base, device=device)
    if found.digest != digest:
        raise ModelError(
            f"{path} was trained on the language model {name} (SHA-256 {digest[:12]}...), but got "
            f"{found.name} ({found.digest[:12]}...); give the one that it was trained on as base="
        )
    return load_trained(path, FlagPolicy(replace(found, name=name), config))


def _tiny() -> FlagBase:
    """Return the language model that "tiny" stands for: wide enough to tell rising from falling closes."""
    return tiny_base(0, layers=2, width=64)


def _named(path: Path | str, name: str) -> Base:
    """Return what a checkpoint calls its language model, if it can be found by that."""
    if name == _tiny().name:
        return TINY
    if "/" in name:  # on the hub: files and folders are called by their last part
        return name
    raise ModelError(f"{path} was trained on the language model {name}; give its file or folder as base=")
