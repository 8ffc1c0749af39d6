"""Train one arm into a run folder, going on from the agents that are there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from llmguide.errors import ModelError
from llmguide.experiments.arms import Arm
from llmguide.experiments.run_folder import RunFolder
from llmguide.guidance import Guidance
from llmguide.rl.agent import Agent
from llmguide.rl.config import DQNConfig
from llmguide.rl.training import Agents, train_dqn, training_data

__all__ = ["train_arm"]


def train_arm(
    arm: Arm,
    train: pd.DataFrame,
    guidance: Guidance | None,
    *,
    seeds: Sequence[int],
    episodes: int,
    config: DQNConfig,
    device: str,
    curves: bool,
    test: pd.DataFrame | None,
    folder: RunFolder | None,
    progress: bool,
    announce: Callable[[str], None],
) -> Agents:
    """Return an agent per seed; those that `folder` lacks are trained, and stored there as soon as they are.

    See `llmguide.compare` for the arguments.
    """
    given = guidance if arm.guided else None
    ready = folder.load_agents(arm.name, seeds) if folder else {}
    tau = None if given is None else given.tau(pd.DatetimeIndex(train.index))
    expected = {"episodes": episodes, "trained_on": training_data(train, tau)}
    for seed, agent in ready.items():
        if agent.config != config or any(agent.notes.get(name) != value for name, value in expected.items()):
            raise ModelError(
                f"the agent {arm.name}-{seed} in this folder was trained on other bars or guidance, or with other "
                "settings; delete it, or choose another folder"
            )
    missing = [seed for seed in seeds if seed not in ready]
    if ready:
        announce(f"{arm.name}: {len(ready)} of {len(seeds)} agents are already trained")

    def store(agent: Agent) -> None:
        if folder is not None:
            folder.save_agent(arm.name, agent)

    if missing:
        fresh = train_dqn(
            train,
            given,
            seeds=missing,
            episodes=episodes,
            device=device,
            config=config,
            curves=curves,
            test=test,
            finished=store,
            progress=progress,
            title=f"training {arm.name}",
        )
        ready |= {agent.seed: agent for agent in fresh}
    return Agents(tuple(ready[seed] for seed in seeds))
