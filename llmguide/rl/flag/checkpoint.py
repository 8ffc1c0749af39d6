"""Policies on disk: what was trained, and which language model and settings it belongs to. The base is not stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from llmguide.errors import ModelError
from llmguide.rl.described import Kind
from llmguide.rl.flag.base import FlagBase
from llmguide.rl.flag.policy import FlagPolicy, PolicyConfig
from llmguide.rl.flag.protocol import TradingPolicy

__all__ = ["load_policy", "load_weights", "save_policy"]

KIND = Kind("llmguide.flag_policy", 1, "policy", "give a file written by save_policy")


def save_policy(policy: TradingPolicy, path: Path | str, *, notes: Mapping[str, Any] | None = None) -> Path:
    """Write a policy to a ``.safetensors`` file, whole or not at all; `notes` are kept beside it, as JSON."""
    arrays = {name: one.detach().cpu().numpy() for name, one in policy.trainable().items()}
    return KIND.write(path, arrays, {"identity": policy.identity(), "notes": dict(notes or {})})


def load_policy(path: Path | str, base: FlagBase) -> FlagPolicy:
    """Read a policy over the language model that it was trained on.

    Raises:
        ModelError: no such file, not a policy of llmguide, trained on another language model, or damaged.
    """
    stored = _identity(path)
    _refuse_other(path, stored, {"base_sha256": base.digest, "layers": base.layers}, called=base.name)
    try:
        config = PolicyConfig(**{field.name: stored[field.name] for field in fields(PolicyConfig)})
    except (KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged ({error}); train the policy again") from error
    policy = FlagPolicy(base, config)
    load_weights(policy, path)
    return policy


def load_weights(policy: TradingPolicy, path: Path | str) -> None:
    """Set a policy's trainable tensors to those of a file that a policy with the same identity wrote.

    Raises ModelError, and changes nothing, where the identity is another, or tensors are missing, of another shape or
    not finite.
    """
    ours = policy.identity()
    _refuse_other(path, _identity(path), ours, called=str(ours.get("base")))
    try:
        arrays = load_file(path)
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({type(error).__name__}: {error}); train the policy again") from error
    tensors = policy.trainable()
    shapes = {name: tuple(one.shape) for name, one in tensors.items()}
    found = {name: array.shape for name, array in arrays.items()}
    if shapes != found:
        wrong = sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))
        raise ModelError(
            f"{path} is damaged: {wrong[0]} is missing, unknown or of another shape; train the policy again"
        )
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ModelError(f"{path} is damaged: its tensors are not all finite; train the policy again")
    with torch.no_grad():
        for name, one in tensors.items():
            one.copy_(torch.from_numpy(arrays[name]))


def _identity(path: Path | str) -> dict[str, Any]:
    stored = KIND.describe(path).get("identity")
    if not isinstance(stored, dict):
        raise ModelError(f"{path} is damaged: it does not say what it belongs to; train the policy again")
    return stored


def _refuse_other(path: Path | str, stored: Mapping[str, Any], ours: Mapping[str, Any], *, called: str) -> None:
    """Refuse a policy of another base or other settings, by what matters most."""
    theirs_sha, ours_sha = (str(one.get("base_sha256"))[:12] for one in (stored, ours))
    if stored.get("base_sha256") != ours.get("base_sha256"):
        raise ModelError(
            f"{path} was trained on the language model {stored.get('base')} (sha256 {theirs_sha}), but {called} "
            f"(sha256 {ours_sha}) came; load the base that it was trained on"
        )
    for name in ours:
        if name != "base" and stored.get(name) != ours[name]:  # the same weights may be called otherwise
            raise ModelError(
                f"{path} was trained with {name} {stored.get(name)!r}, but {ours[name]!r} came; make the policy with "
                "the same settings, or use load_policy"
            )
