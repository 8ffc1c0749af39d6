"""What a language model is trained to trade by, as a user says it; nothing is read yet, and no torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from llmguide.rl.flag.config import FlagConfig
from llmguide.states.text import DEFAULT, StateTemplate

if TYPE_CHECKING:
    from llmguide.rl.flag.bases import Base
    from llmguide.rl.flag.policy import PolicyConfig

__all__ = ["FlagPlan"]


@dataclass(frozen=True)
class FlagPlan:
    """The policies of the arm ``flag`` (see `llmguide.compare`); `llmguide.rl.flag.trainer.FlagTrainer` trains them.

    Attributes:
        base: the language model: a GGUF file, a folder, a name on the Hugging Face hub, "tiny", or one in memory.
        policy: what is trained of it, and how it begins; None is ``PolicyConfig()``. Its seed is not used.
        config: how it is trained; the published settings where nothing is said.
        template: tells the states: a name, or the path of a file (see `llmguide.states.text`).
    """

    base: Base
    policy: PolicyConfig | None = None
    config: FlagConfig = field(default_factory=FlagConfig)
    template: str | Path | StateTemplate = DEFAULT
