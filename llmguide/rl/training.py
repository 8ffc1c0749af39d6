"""Train double-DQN agents on bars, with or without guidance: the library's door to `llmguide.rl`."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from llmguide.errors import ModelError
from llmguide.hashing import hash_bars
from llmguide.metrics import sharpe_ratio
from llmguide.rl.agent import Agent
from llmguide.rl.checkpoint import save_agent
from llmguide.rl.config import DQNConfig
from llmguide.rl.course import Course
from llmguide.rl.evaluation import follow
from llmguide.rl.parallel import train_seeds
from llmguide.rl.progress import TrainingBar
from llmguide.rl.runs import EpisodeEnd, planned_steps
from llmguide.trading.observation import GuidanceLine, Scaler
from llmguide.trading.simulate import closes, returns_of

__all__ = ["Agents", "as_seeds", "train_dqn", "training_data"]


@dataclass(frozen=True)
class Agents(Sequence[Agent]):
    """Trained agents, one per seed, in the order of the seeds."""

    agents: tuple[Agent, ...]

    @property
    def curves(self) -> pd.DataFrame:
        """One row per seed and episode, where curves were asked for; else an empty frame.

        Columns ``seed``, ``episode``, ``updates``, ``train_sr`` and, where test bars were given, ``test_sr``: annual
        Sharpe ratios of the greedy agent after the episode (on the training bars it trades at smoothed closes, as in
        training). For plots: nothing is selected by them. They travel in each agent's ``notes["curve"]``.
        """
        return pd.DataFrame([{"seed": agent.seed} | point for agent in self for point in agent.notes.get("curve", [])])

    @overload
    def __getitem__(self, index: int) -> Agent: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Agent, ...]: ...
    def __getitem__(self, index: int | slice) -> Agent | tuple[Agent, ...]:
        return self.agents[index]

    def __len__(self) -> int:
        return len(self.agents)

    def save(self, folder: Path | str, name: str) -> list[Path]:
        """Write each agent to ``folder/name-SEED.safetensors`` and return the paths."""
        return [save_agent(agent, Path(folder) / f"{name}-{agent.seed}.safetensors") for agent in self.agents]


def train_dqn(
    bars: pd.DataFrame,
    guidance: GuidanceLine | None = None,
    *,
    seeds: int | Sequence[int] = 25,
    episodes: int = 50,
    device: str = "auto",
    config: DQNConfig | None = None,
    curves: bool = False,
    test: pd.DataFrame | None = None,
    finished: Callable[[Agent], None] | None = None,
    progress: TrainingBar | bool = True,
    title: str = "training",
) -> Agents:
    """Train one agent per seed.

    Args:
        bars: raw training bars (see `llmguide.read_bars`); the agent observes and trades them smoothed.
        guidance: a table whose tau joins the observation (see `llmguide.Guidance`), or None.
        seeds: how many (0, 1, ...), or which. The same seed gives the same agent on the same machine.
        episodes: walks through the bars, each from a random bar to the last; about half the bars long on average.
        device: "cpu", "cuda" or "auto" (CUDA where there is one).
        config: settings; the published ones where None.
        curves: record the Sharpe ratio after every episode, for plots. Costs about a tenth more time.
        test: test bars for the curves; they are never learned from and select nothing.
        finished: called with each agent as soon as its seed has finished.
        progress: show a bar on a terminal; or one to go on with.
        title: what stands in front of the bar.

    Raises:
        ModelError: impossible seeds, episodes or device; or guidance without a row for the training bars.
        DataError: too few bars.

    Source: arXiv 2004.06627, algorithm 1; arXiv 2508.02366, section II (tau in the observation).
    """
    chosen = as_seeds(seeds)
    if episodes < 1:
        raise ModelError(f"episodes must be at least 1, got {episodes}")
    settings = config or DQNConfig()
    closes(bars)
    place = _device(device)
    scaler = Scaler.fit(bars, smoothing=settings.smoothing)
    tau = None if guidance is None else guidance.tau(pd.DatetimeIndex(bars.index))
    if tau is not None and not tau.any():
        raise ModelError(
            "the guidance says nothing on any training bar, so nothing could be learned from it; make a table that "
            "covers the training bars too"
        )
    test_tau = None if guidance is None or test is None else guidance.tau(pd.DatetimeIndex(test.index))
    course = Course.lay(bars, tau, scaler, settings, place)
    notes = {
        "episodes": episodes,
        "trained_on": training_data(bars, tau),
        "device": place.type,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }

    def agent_of(event: EpisodeEnd) -> Agent:
        extra = {"curve": points[event.seed]} if curves else {}
        return Agent(event.weights, scaler, settings, guidance is not None, event.seed, notes | extra)

    def point(event: EpisodeEnd) -> dict[str, float | None]:
        agent = agent_of(event)
        row: dict[str, float | None] = {"episode": event.episode, "updates": event.updates}
        row["train_sr"] = _finite(sharpe_ratio(returns_of(follow(agent, bars, tau, training=True).values)))
        if test is not None:
            row["test_sr"] = _finite(sharpe_ratio(returns_of(follow(agent, test, test_tau).values)))
        return row

    points: dict[int, list[dict[str, float | None]]] = {seed: [] for seed in chosen}
    agents: dict[int, Agent] = {}
    with ExitStack() as stack:
        bar = stack.enter_context(TrainingBar()) if progress is True else progress or None
        if bar is not None:
            bar.begin(title, steps=planned_steps(course, chosen, episodes), episodes=len(chosen) * episodes)
        for event in train_seeds(course, chosen, episodes, place):
            if bar is not None:
                bar(event)
            if not isinstance(event, EpisodeEnd):
                continue
            if curves:
                points[event.seed].append(point(event))
            if event.finished:
                agents[event.seed] = agent_of(event)
                if finished is not None:
                    finished(agents[event.seed])
    return Agents(tuple(agents[seed] for seed in chosen))


def as_seeds(seeds: int | Sequence[int]) -> list[int]:
    """Return the seeds as a list: a number means 0, 1, ...; they must be different and not negative."""
    chosen = list(range(seeds)) if isinstance(seeds, int | np.integer) else [int(seed) for seed in seeds]
    if not chosen or min(chosen) < 0 or len(set(chosen)) < len(chosen):
        raise ModelError(f"seeds are a positive number of runs, or different numbers from 0 on; got {seeds!r}")
    return chosen


def _finite(number: float) -> float | None:
    """Return the number, or None where it is undefined: JSON has no NaN."""
    return number if math.isfinite(number) else None


def _device(name: str) -> torch.device:
    """Return the device by name, and refuse one that is not there."""
    if name not in ("auto", "cpu", "cuda"):
        raise ModelError(f"device is 'auto', 'cpu' or 'cuda', got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError("device 'cuda' was asked for, but torch finds no GPU; use 'cpu', or install torch with CUDA")
    use_cuda = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_cuda else "cpu")


def training_data(bars: pd.DataFrame, tau: NDArray[np.float64] | None) -> dict[str, Any]:
    """Say what an agent was trained on, as its checkpoint does: dates and hashes of the bars and of tau on them."""
    return {
        "first": str(bars.index[0]),
        "last": str(bars.index[-1]),
        "sha256": hash_bars(bars),
        "tau_sha256": None if tau is None else hashlib.sha256(np.ascontiguousarray(tau).tobytes()).hexdigest(),
    }
