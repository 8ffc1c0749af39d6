"""Trained policies on disk: one safetensors file of what was trained, whose header carries everything else as JSON.

The frozen base is not in it: a checkpoint is loaded into a policy on the same base, and refuses any other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from llmguide.errors import ModelError
from llmguide.rl.flag.checkpoint import KIND, read_trained
from llmguide.rl.flag.choosing import Chosen, choose
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.protocol import TradingPolicy
from llmguide.rl.flag.state import as_stored
from llmguide.states.text import StateTemplate, prefix

__all__ = ["TrainedPolicy", "load_trained", "save_trained"]


@dataclass(frozen=True, eq=False)
class TrainedPolicy:
    """A trained policy, with what it needs to read its states.

    Attributes:
        policy: the policy itself.
        config: the settings it was trained with, among them the rules and the number of bars shown in its states.
        template: renders its states, as it was in training.
        seed: seed of its training.
        notes: what else its checkpoint holds: ``trained_on``, ``curve``, ``versions``.
    """

    policy: TradingPolicy
    config: FlagConfig
    template: StateTemplate
    seed: int
    notes: dict[str, Any]

    def begin(self) -> None:
        """Read the text that all its states begin with, as at the start of a training."""
        self.policy.encode([prefix(self.template, shown=self.config.shown)])

    def choose(self, state: str, legal: Sequence[bool]) -> Chosen:
        """Return the most likely action in `state` among those that are `legal` (sell, hold, buy)."""
        return choose(self.policy, state, legal)


def save_trained(trained: TrainedPolicy, path: Path | str) -> Path:
    """Write a trained policy to a ``.safetensors`` file, atomically, and return its path.

    Args:
        trained: the policy.
        path: the file.
    """
    description = {
        "identity": trained.policy.identity(),
        "notes": {
            "seed": trained.seed,
            "config": trained.config.to_dict(),
            "template": {"given": trained.template.given, "texts": trained.template.texts},
            "training": trained.notes,
        },
    }
    tensors = {name: as_stored(tensor).numpy() for name, tensor in trained.policy.trainable().items()}
    return KIND.write(path, tensors, description)


def load_trained(path: Path | str, policy: TradingPolicy) -> TrainedPolicy:
    """Read a checkpoint into a policy on the same base and return the trained policy.

    Args:
        path: the checkpoint.
        policy: a policy on the same base, whose trainable tensors are overwritten.

    Raises ModelError for a file that is not a checkpoint, a policy of another identity, and tensors that are missing,
    of the wrong shape or not finite; the policy is then left as it was.
    """
    source = Path(path)
    checkpoint = read_trained(source)
    own = json.loads(json.dumps(policy.identity()))
    names = sorted({*own, *checkpoint.identity})
    different = [name for name in names if own.get(name) != checkpoint.identity.get(name)]
    if different:
        name = different[0]
        raise ModelError(
            f"{source} was trained from another policy: its {name} is {checkpoint.identity.get(name)!r}, and this "
            f"one's is {own.get(name)!r}; build the policy that the checkpoint names"
        )
    again = "train the policy again"
    try:
        stored = load_file(source)
        trained = policy.trainable()
        for name, tensor in trained.items():
            if stored[name].shape != tensor.shape or not bool(stored[name].isfinite().all()):
                raise ValueError(f"{name} has shape {tuple(stored[name].shape)}, or is not finite")
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{source} is damaged ({type(error).__name__}: {error}); {again}") from error
    with torch.no_grad():
        for name, tensor in trained.items():
            tensor.copy_(stored[name])
    return TrainedPolicy(policy, checkpoint.config, checkpoint.template, checkpoint.seed, checkpoint.notes)
