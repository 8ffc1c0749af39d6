"""What the studies need of whoever is trained for an arm: training, files, and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd

from llmguide.backtest import BacktestResult
from llmguide.experiments.arms import Arm, LearnerName
from llmguide.experiments.learners import dqn, flag
from llmguide.experiments.plan import Plan
from llmguide.experiments.run_folder import RunFolder
from llmguide.experiments.usage import Usage

__all__ = ["LEARNERS", "Learner", "learner_of"]

T = TypeVar("T")


class Learner(Protocol[T]):
    """A module of this package; `T` is what is trained for one seed. It has a ``seed``."""

    def train(
        self,
        plans: Mapping[str, Plan],
        arms: Sequence[Arm],
        folders: Mapping[str, RunFolder] | None,
        *,
        finished: Callable[[str, Arm, T], None],
        progress: bool,
        announce: Callable[[str], None],
        ray: str | None = None,
    ) -> None:
        """Train arms of this kind; see `llmguide.experiments.train_grid.train_grid`."""

    def collect(self, trained: Sequence[T]) -> Sequence[T]:
        """Return those of one arm, in the order of the seeds, as what also has their curves."""

    def save(self, trained: T, path: Path) -> Path:
        """Write a checkpoint."""

    def fingerprint(self, trained: T) -> str:
        """Return a hash of what was learned."""

    def measure_usage(
        self,
        trained: T,
        result: BacktestResult,
        train: pd.DataFrame,
        test: pd.DataFrame,
        aligned_train: pd.DataFrame,
        aligned_test: pd.DataFrame,
    ) -> Usage:
        """Measure how the guidance was used (see `llmguide.experiments.usage.measure_usage`).

        `result` is the backtest on the test bars.
        """


LEARNERS: dict[LearnerName, Learner[Any]] = {"dqn": dqn, "flag": flag}
"""In the order in which they are trained."""


def learner_of(arm: Arm) -> Learner[Any]:
    """Return who is trained for an arm that is trained."""
    assert arm.learner is not None
    return LEARNERS[arm.learner]
