"""Double-DQN agents: those of all arms and instruments are one pool of jobs, on this machine or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.backtest import BacktestResult
from llmguide.errors import ModelError
from llmguide.experiments import usage
from llmguide.experiments.arms import Arm
from llmguide.experiments.plan import Plan
from llmguide.experiments.run_folder import RunFolder
from llmguide.experiments.usage import Usage
from llmguide.hashing import hash_arrays
from llmguide.rl.agent import Agent
from llmguide.rl.checkpoint import save_agent
from llmguide.rl.cluster import train_on_cluster
from llmguide.rl.runs import Job
from llmguide.rl.training import Agents, Lesson, train_agents, training_bars, training_data

__all__ = ["collect", "fingerprint", "measure_usage", "save", "train", "trained_agents"]


def train(
    plans: Mapping[str, Plan],
    arms: Sequence[Arm],
    folders: Mapping[str, RunFolder] | None,
    *,
    finished: Callable[[str, Arm, Agent], None],
    progress: bool,
    announce: Callable[[str], None],
    ray: str | None = None,
) -> None:
    """Train every arm on every instrument with every seed; see `llmguide.experiments.train_grid.train_grid`."""
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


def collect(trained: Sequence[Agent]) -> Agents:
    """Return the agents of one arm with their curves."""
    return Agents(tuple(trained))


def save(trained: Agent, path: Path) -> Path:
    """Write a checkpoint."""
    return save_agent(trained, path)


def fingerprint(trained: Agent) -> str:
    """Return the SHA-256 of the weights."""
    return hash_arrays(trained.weights)


def measure_usage(
    trained: Agent,
    result: BacktestResult,
    train: pd.DataFrame,
    test: pd.DataFrame,
    aligned_train: pd.DataFrame,
    aligned_test: pd.DataFrame,
) -> Usage:
    """Measure how an agent used the guidance; it decides again, so the backtest is not looked at."""
    return usage.measure_usage(trained, train, test, aligned_train, aligned_test)


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
