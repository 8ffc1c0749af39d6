"""Train one arm into a run folder, going on from the agents, and the unfinished training, that are there already."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from llmguide.errors import ModelError
from llmguide.experiments.arms import Arm
from llmguide.experiments.plan import Plan
from llmguide.experiments.run_folder import RunFolder
from llmguide.rl.agent import Agent
from llmguide.rl.training import Agents, Lesson, train_agents, training_data

__all__ = ["train_arm"]


def train_arm(
    arm: Arm, plan: Plan, *, folder: RunFolder | None, progress: bool, announce: Callable[[str], None]
) -> Agents:
    """Return an agent per seed; those that `folder` lacks are trained, and stored there as soon as they are.

    Raises ModelError where the folder holds an agent that was trained on something else, or in another way.
    """
    ready = folder.load_agents(arm.name, plan.seeds) if folder else {}
    if ready:
        _check_origin(ready, arm, plan)
        announce(f"{arm.name}: {len(ready)} of {len(plan.seeds)} agents are already trained")

    missing = [seed for seed in plan.seeds if seed not in ready]
    if missing:
        lesson = Lesson.prepare(
            plan.train, plan.guidance if arm.guided else None, config=plan.config, test=plan.test, curves=plan.curves
        )
        jobs = {
            lesson.job(
                seed,
                plan.episodes,
                name=f"{arm.name}-{seed}",
                state=folder.state_path(arm.name, seed) if folder else None,
            ): lesson
            for seed in missing
        }
        for job, agent in train_agents(jobs, device=plan.device, progress=progress, title=f"training {arm.name}"):
            ready[job.seed] = agent
            if folder is not None:
                folder.save_agent(arm.name, agent)
    return Agents(tuple(ready[seed] for seed in plan.seeds))


def _check_origin(agents: dict[int, Agent], arm: Arm, plan: Plan) -> None:
    """Refuse agents that this plan would not have trained."""
    tau = plan.guidance.tau(pd.DatetimeIndex(plan.train.index)) if arm.guided and plan.guidance is not None else None
    expected = {"episodes": plan.episodes, "trained_on": training_data(plan.train, tau)}
    for seed, agent in agents.items():
        if agent.config != plan.config or any(agent.notes.get(name) != value for name, value in expected.items()):
            raise ModelError(
                f"the agent {arm.name}-{seed} in this folder was trained on other bars or guidance, or with other "
                "settings; delete it, or choose another folder"
            )
