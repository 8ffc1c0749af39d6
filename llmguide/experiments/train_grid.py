"""Train whoever is trained for arms, on one instrument or many.

What the run folders hold already is not trained again: who is finished is taken as it is, unfinished training goes on
from its state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmguide.experiments.arms import Arm
from llmguide.experiments.learners.learner import LEARNERS, learner_of
from llmguide.experiments.plan import Plan
from llmguide.experiments.run_folder import RunFolder

if TYPE_CHECKING:
    from llmguide.experiments.arms import Trained

__all__ = ["train_arms", "train_grid"]


def train_arms(
    plan: Plan,
    arms: Sequence[Arm],
    folder: RunFolder | None,
    *,
    progress: bool,
    announce: Callable[[str], None],
    ray: str | None = None,
) -> dict[str, Any]:
    """Train every arm on one instrument (see `train_grid`).

    Returns by arm, in the order of the seeds, `llmguide.rl.training.Agents`, or
    `llmguide.rl.flag.training.TrainedPolicies` of the arm flag.
    """
    trained: dict[str, dict[int, Trained]] = {arm.name: {} for arm in arms}

    def finished(symbol: str, arm: Arm, one: Trained) -> None:
        trained[arm.name][one.seed] = one

    folders = None if folder is None else {"": folder}
    train_grid({"": plan}, arms, folders, finished=finished, progress=progress, announce=announce, ray=ray)
    return {arm.name: learner_of(arm).collect([trained[arm.name][seed] for seed in plan.seeds]) for arm in arms}


def train_grid(
    plans: Mapping[str, Plan],
    arms: Sequence[Arm],
    folders: Mapping[str, RunFolder] | None,
    *,
    finished: Callable[[str, Arm, Any], None],
    progress: bool,
    announce: Callable[[str], None],
    ray: str | None = None,
) -> None:
    """Train every arm on every instrument with every seed of its plan, one kind of learner after the other.

    Args:
        plans: what to train from, by symbol.
        arms: trained arms.
        folders: where what is trained for each symbol is stored as soon as it has finished, and looked for first.
        finished: called with symbol, arm and what was trained for one seed as soon as it is there, in the thread of the
            caller; first with those that were there already.
        progress: show a bar over everything on a terminal or in a notebook.
        announce: called with one line on what is being done.
        ray: address of a Ray cluster to train on, or "auto" (see `llmguide.rl.cluster`); None trains here.

    Raises ModelError where a folder holds an agent, or unfinished training, of something else.
    """
    for name, learner in LEARNERS.items():
        own = [arm for arm in arms if arm.learner == name]
        if own:
            learner.train(plans, own, folders, finished=finished, progress=progress, announce=announce, ray=ray)
