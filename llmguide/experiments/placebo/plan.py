"""Which controls are measured beside the guidance of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmguide.errors import GuidanceError, LlmguideError
from llmguide.experiments.arms import Arm
from llmguide.guidance import Guidance

__all__ = ["ControlPlan", "as_plan", "is_controlled"]

_FEWEST = 19  # of fewer shuffles no p is at most 0.05


@dataclass(frozen=True)
class ControlPlan:
    """How many control tables of each kind are made; draw k has seed k, so that the same plan gives the same tables.

    Attributes:
        shuffles: number of orders of the guidance's rows; the smallest p is 1 / (shuffles + 1).
        accuracies: shares of right directions that the oracle has.
        draws: tables of the oracle for each accuracy, wrong in different months; a perfect one is drawn once.

    Raises LlmguideError for fewer than 19 shuffles, no draws, or accuracies outside [0, 1].
    """

    shuffles: int = 199
    accuracies: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    draws: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "accuracies", tuple(float(one) for one in self.accuracies))
        if self.shuffles < _FEWEST:
            raise LlmguideError(f"expected at least {_FEWEST} shuffles, of which p can be 0.05, got {self.shuffles}")
        if self.draws < 1:
            raise LlmguideError(f"expected at least 1 draw of the oracle for each accuracy, got {self.draws}")
        for accuracy in self.accuracies:
            if not 0.0 <= accuracy <= 1.0:
                raise LlmguideError(f"an accuracy is a share of right directions in 0..1, got {accuracy}")
        if len(set(self.accuracies)) < len(self.accuracies):
            raise LlmguideError(f"expected different accuracies, got {list(self.accuracies)}")

    def describe(self) -> dict[str, Any]:
        """Return the plan, ready for JSON."""
        return {"shuffles": self.shuffles, "accuracies": list(self.accuracies), "draws": self.draws}


def is_controlled(arm: Arm) -> bool:
    """Whether other guidance can be given to an arm: it has some, and no language model reads all bars again."""
    return arm.guided and arm.learner != "flag"


def as_plan(controls: bool | ControlPlan, arms: Sequence[Arm], guidance: Guidance | None) -> ControlPlan | None:
    """Return the plan that is meant, None for no controls.

    Raises GuidanceError where there is no guidance, LlmguideError where no arm could take other guidance.
    """
    if controls is False:
        return None
    if controls is not True and not isinstance(controls, ControlPlan):
        raise LlmguideError(f"expected controls to be True, False or a ControlPlan, got {type(controls).__name__}")
    if guidance is None:
        raise GuidanceError(
            "controls need guidance to compare with, and there is none; give a table, or leave controls out"
        )
    if not any(is_controlled(arm) for arm in arms):
        raise LlmguideError(
            f"controls are for the arms hybrid, llm and mixture, and none of them is among {[arm.name for arm in arms]}"
        )
    return ControlPlan() if controls is True else controls
