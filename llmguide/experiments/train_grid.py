"""Train the agents of arms, on one instrument or many, as one pool of jobs.

What the run folders hold already is not trained again: finished agents are taken as they are, unfinished training goes
on from its state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import pandas as pd

from llmguide.errors import ModelError
from llmguide.experiments.arms import Arm
from llmguide.experiments.plan import Plan
from llmguide.experiments.run_folder import RunFolder
from llmguide.rl.agent import Agent
from llmguide.rl.cluster import train_on_cluster
from llmguide.rl.runs import Job
from llmguide.rl.training import Agents, Lesson, train_agents, training_bars, training_data

__all__ = ["train_arms", "train_grid", "trained_agents"]


def train_arms(
    plan: Plan,
    arms: Sequence[Arm],
    folder: RunFolder | None,
    *,
    progress: bool,
    announce: Callable[[str], None],
    ray: str | None = None,
) -> dict[str, Agents]:
    """Train every arm on one instrument (see `train_grid`) and return the agents by arm, in the order of the seeds."""
    trained: dict[str, dict[int, Agent]] = {arm.name: {} for arm in arms}

    def finished(symbol: str, arm: Arm, agent: Agent) -> None:
        trained[arm.name][agent.seed] = agent

    folders = None if folder is None else {"": folder}
    train_grid({"": plan}, arms, folders, finished=finished, progress=progress, announce=announce, ray=ray)
    return {name: Agents(tuple(agents[seed] for seed in plan.seeds)) for name, agents in trained.items()}


def train_grid(
    plans: Mapping[str, Plan],
    arms: Sequence[Arm],
    folders: Mapping[str, RunFolder] | None,
    *,
    finished: Callable[[str, Arm, Agent], None],
    progress: bool,
    announce: Callable[[str], None],
    ray: str | None = None,
) -> None:
    """Train every arm on every instrument with every seed of its plan.

    Args:
        plans: what to train from, by symbol.
        arms: trained arms.
        folders: where the agents of each symbol are stored as soon as they are trained, and looked for first.
        finished: called with symbol, arm and agent as soon as an agent is there, in the thread of the caller; first
            with those that were there already.
        progress: show one bar over everything on a terminal.
        announce: called with one line on what is being done.
        ray: address of a Ray cluster to train on, or "auto" (see `llmguide.rl.cluster`); None trains here.

    Raises ModelError where a folder holds an agent, or unfinished training, of something else.
    """
    jobs: dict[Job, Lesson] = {}
    cells: dict[Job, tuple[str, Arm]] = {}
    ready = 0
    for symbol, plan in plans.items():
        folder = None if folders is None else folders[symbol]
        for arm in arms:
            there = {} if folder is None else trained_agents(plan, arm, folder)
            for agent in there.values():
                if folder is not None:  # killed between storing the agent and removing what it was made from
                    folder.state_path(arm.name, agent.seed).unlink(missing_ok=True)
                finished(symbol, arm, agent)
            ready += len(there)
            missing = [seed for seed in plan.seeds if seed not in there]
            if missing:
                lesson = Lesson.prepare(
                    plan.train,
                    plan.guidance if arm.observes else None,
                    config=plan.config,
                    test=plan.test,
                    curves=plan.curves,
                    holdout=plan.holdout_of(arm),
                )
            for seed in missing:
                state = None if folder is None else folder.state_path(arm.name, seed)
                job = lesson.job(seed, plan.episodes, name=f"{symbol} {arm.name}-{seed}".strip(), state=state)
                jobs[job], cells[job] = lesson, (symbol, arm)
    if ready:
        announce(f"{ready} of {ready + len(jobs)} agents are already trained")
    if not jobs:
        return
    title = "training " + ", ".join(dict.fromkeys(arm.name for _, arm in cells.values()))
    device = next(iter(plans.values())).device
    trained = (
        train_agents(jobs, device=device, progress=progress, title=title)
        if ray is None
        else train_on_cluster(jobs, address=ray, device=device, progress=progress, title=title, announce=announce)
    )
    with closing(trained):  # Ctrl-C while an agent is stored: what the others have learned is saved before it is told
        for job, agent in trained:
            symbol, arm = cells[job]
            if folders is not None:
                folders[symbol].save_agent(arm.name, agent)
            finished(symbol, arm, agent)


def trained_agents(plan: Plan, arm: Arm, folder: RunFolder) -> dict[int, Agent]:
    """Return the agents of an arm that a folder holds already, by seed; ModelError where they are of something else."""
    there = folder.load_agents(arm.name, plan.seeds)
    _check_origin(there, arm, plan)
    return there


def _check_origin(agents: Mapping[int, Agent], arm: Arm, plan: Plan) -> None:
    """Refuse agents that this plan would not have trained."""
    if not agents:
        return
    bars = training_bars(plan.train, plan.holdout_of(arm))
    tau = plan.guidance.tau(pd.DatetimeIndex(bars.index)) if arm.observes and plan.guidance is not None else None
    expected: dict[str, Any] = {"episodes": plan.episodes, "trained_on": training_data(bars, tau)}
    for seed, agent in agents.items():
        if agent.config != plan.config or any(agent.notes.get(name) != value for name, value in expected.items()):
            raise ModelError(
                f"the agent {arm.name}-{seed} in this folder was trained on other bars or guidance, or with other "
                "settings; delete it, or choose another folder"
            )
