"""What the checkpoint of a policy that reads says of itself: read without torch, and without its language model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmguide.errors import LlmguideError, ModelError
from llmguide.rl.described import Kind
from llmguide.rl.flag.config import FlagConfig
from llmguide.states.text import StateTemplate

__all__ = ["KIND", "TOLD", "FlagCheckpoint", "check_told", "read_trained"]

KIND = Kind(
    "llmguide.flag_policy",
    1,
    "checkpoint of a policy that reads text",
    "train one with: llmguide flag train",
)

TOLD = "told"
"""The note of what states told of in training, beside bars and account."""


@dataclass(frozen=True)
class FlagCheckpoint:
    """What a checkpoint's header says; see `llmguide.rl.flag.trained.TrainedPolicy`.

    `identity` is that of the policy that was trained.
    """

    identity: dict[str, Any]
    config: FlagConfig
    template: StateTemplate
    seed: int
    notes: dict[str, Any]


def read_trained(path: Path | str) -> FlagCheckpoint:
    """Read what a checkpoint says of itself, to build the policy that it is loaded into.

    Raises ModelError for no such file, one that is not such a checkpoint, is damaged, or has a version that this
    llmguide does not know.
    """
    description = KIND.describe(path)
    try:
        notes = description["notes"]
        template = notes["template"]
        return FlagCheckpoint(
            dict(description["identity"]),
            FlagConfig.from_dict(notes["config"]),
            StateTemplate(template["given"], tuple((name, text) for name, text in template["texts"])),
            int(notes["seed"]),
            dict(notes["training"]),
        )
    except (KeyError, TypeError, ValueError, LlmguideError) as error:
        raise ModelError(f"{path} is damaged ({type(error).__name__}: {error}); train the policy again") from error


def check_told(notes: Mapping[str, Any], **given: object) -> None:
    """Refuse a policy whose states would tell of something else than in its training; None is not given.

    ``check_told(trained.notes, guidance=table, factors=None, tables=None)``. A policy that does not say what it was
    trained with passes. Raises ModelError.
    """
    if TOLD not in notes:
        return
    trained, now = set(notes[TOLD]), {name for name, value in given.items() if value is not None}
    if missing := sorted(trained - now):
        raise ModelError(
            f"the policy was trained on states that include {' and '.join(missing)}; give "
            f"{', '.join(f'{name}=' for name in missing)} too"
        )
    if unknown := sorted(now - trained):
        raise ModelError(f"the policy was trained without {' and '.join(unknown)}, and cannot read it; leave it out")
