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
    """How the policies of the arm ``flag`` are trained (see `llmguide.compare`).

    Attributes:
        base: the language model: a GGUF file, a folder, a name on the Hugging Face hub, "tiny", or one in memory.
        policy: which parts of it are trained, and how they are initialised; None is ``PolicyConfig()``. Its seed is not
            used.
        config: how it is trained; by default with the published settings.
        template: renders the states as text: a name, or the path of a file (see `llmguide.states.text`).
    """

    base: Base
    policy: PolicyConfig | None = None
    config: FlagConfig = field(default_factory=FlagConfig)
    template: str | Path | StateTemplate = DEFAULT
