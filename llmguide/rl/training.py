"""Train double-DQN agents on bars, with or without guidance: the library's door to `llmguide.rl`."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from llmguide.counting import counted
from llmguide.errors import DataError, ModelError
from llmguide.hashing import hash_bars
from llmguide.inline import Inline, Shown, Table, note_files
from llmguide.numbers import number
from llmguide.rl.agent import Agent, Weights
from llmguide.rl.checkpoint import save_agent
from llmguide.rl.config import DQNConfig
from llmguide.rl.course import Course
from llmguide.rl.evaluation import quick_sharpe_ratio
from llmguide.rl.parallel import train_jobs
from llmguide.rl.progress import TrainingBar
from llmguide.rl.runs import EpisodeEnd, Event, Job, Point, planned_steps
from llmguide.rl.state import STATE_SUFFIX, remove_state
from llmguide.trading.observation import GuidanceLine, Scaler, check_origin
from llmguide.trading.simulate import closes

__all__ = [
    "Agents",
    "Lesson",
    "as_seeds",
    "check_episodes",
    "deliver",
    "find_device",
    "refuse_unguided",
    "train_agents",
    "train_dqn",
    "training_bars",
    "training_data",
]


@dataclass(frozen=True, repr=False)
class Agents(Inline, Sequence[Agent]):
    """Trained agents, one per seed, in the order of the seeds: a sequence.

    Attributes:
        agents: the agents.
    """

    agents: tuple[Agent, ...]

    @property
    def curves(self) -> pd.DataFrame:
        """One row per seed and episode, where curves were asked for; otherwise an empty frame.

        Columns ``seed``, ``episode``, ``updates``, ``train_sr`` and, where test bars were given, ``test_sr``: annual
        Sharpe ratios of the greedy agent after the episode (on the training bars it trades at smoothed closes, as in
        training). They are for plots, and select nothing. Each agent carries its own in ``notes["curve"]``.
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
        """Write each agent to ``FOLDER/NAME-SEED.safetensors``, of `folder` and `name`, and return the paths."""
        note_files(self, Path(folder))
        return [save_agent(agent, Path(folder) / f"{name}-{agent.seed}.safetensors") for agent in self.agents]

    def _shown(self) -> Shown:
        if not self.agents:
            return Shown("No agents.")
        first, curves = self.agents[0], self.curves
        columns = [name for name in ("train_sr", "test_sr") if name in curves]
        last = curves.groupby("seed", sort=False).last() if columns else curves
        rows = [[f"seed {seed}", *(number(row[name]) for name in columns)] for seed, row in last.iterrows()]
        title, head = "Sharpe ratio after the last episode", [name.removesuffix("_sr") for name in columns]
        return Shown(
            f"{counted(len(self), 'double-DQN agent')} {first.training}.",
            [Table(title, ["agent", *head], rows)],
            notes=[] if columns else ["What they earn is not known yet: backtest them, or train with curves=True."],
        )


@dataclass(frozen=True, eq=False)
class Lesson:
    """What the agents of one arm learn from: training bars, with guidance or without.

    Attributes:
        bars: raw training bars.
        tau: guidance at each of them, shape ``(bars,)``, or None.
        course: what training walks over.
        curves: whether to measure after every episode.
        test: what the curves show beside the training bars, or None.
        test_prices: raw closes to trade at there.
    """

    bars: pd.DataFrame
    tau: NDArray[np.float64] | None
    scaler: Scaler
    course: Course
    curves: bool
    test: Course | None
    test_prices: NDArray[np.float64] | None

    @classmethod
    def prepare(
        cls,
        bars: pd.DataFrame,
        guidance: GuidanceLine | None,
        *,
        config: DQNConfig | None = None,
        test: pd.DataFrame | None = None,
        curves: bool = False,
        holdout: int = 0,
    ) -> Lesson:
        """Check and prepare everything; see `train_dqn` for the arguments and errors."""
        settings = config or DQNConfig()
        closes(bars)
        bars = training_bars(bars, holdout)
        scaler = Scaler.fit(bars, smoothing=settings.smoothing)
        check_origin(guidance, bars)
        tau = None if guidance is None else guidance.tau(pd.DatetimeIndex(bars.index))
        if tau is not None and not tau.any():
            raise ModelError(
                "the guidance has no direction on any training bar, so agents cannot learn from it; make a "
                "table that covers the training bars too"
            )
        course = Course.lay(bars, tau, scaler, settings)
        if test is None or not curves:
            return cls(bars, tau, scaler, course, curves, None, None)
        test_tau = None if guidance is None else guidance.tau(pd.DatetimeIndex(test.index))
        return cls(bars, tau, scaler, course, curves, Course.lay(test, test_tau, scaler, settings), closes(test))

    @property
    def config(self) -> DQNConfig:
        """The agent's settings."""
        return self.course.config

    def job(self, seed: int, episodes: int, *, name: str, state: Path | None = None) -> Job:
        """Return the job of training one agent; `state` is where an unfinished training is kept, or None."""
        return Job(name, self.course, seed, episodes, self._measure if self.curves else None, state)

    def agent(self, event: EpisodeEnd, device: torch.device) -> Agent:
        """Return the agent of a job's last event."""
        assert event.weights is not None
        notes: dict[str, Any] = {
            "episodes": event.episode,
            "trained_on": training_data(self.bars, self.tau),
            "device": device.type,
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        }
        if self.curves:
            notes["curve"] = list(event.curve)
        return Agent(event.weights, self.scaler, self.config, self.tau is not None, event.job.seed, notes)

    def _measure(self, weights: Weights) -> Point:
        point: Point = {"train_sr": _finite(quick_sharpe_ratio(weights, self.course, self.course.prices))}
        if self.test is not None and self.test_prices is not None:
            point["test_sr"] = _finite(quick_sharpe_ratio(weights, self.test, self.test_prices))
        return point


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
    holdout: int = 0,
    states: Path | str | None = None,
    finished: Callable[[Agent], None] | None = None,
    progress: TrainingBar | bool = True,
    title: str = "training",
) -> Agents:
    """Train one double-DQN agent per seed.

    Args:
        bars: raw training bars (see `llmguide.read_bars`); the agent observes and trades them smoothed.
        guidance: a table whose tau joins the observation (see `llmguide.Guidance`), or None.
        seeds: number of runs (with seeds 0, 1, ...), or which seeds. The same seed gives the same agent on the same
            machine.
        episodes: passes through the bars, each from a random bar to the last; about half the bars long on average.
        device: "cpu", "cuda" or "auto" (CUDA where there is one).
        config: settings; None is the published ones.
        curves: record the Sharpe ratio after every episode, for plots.
        test: test bars for the curves; nothing is learned from them or selected by them.
        holdout: number of bars at the end that are kept from training; 252 daily ones are a year. The agents are those
            of ``bars[:-holdout]``, and their checkpoints record it: what they do on the bars held out is out of sample,
            and a mixture's record of them begins there (see `llmguide.mixture`).
        states: a folder in which unfinished training is kept, every few episodes and when it is interrupted; the same
            call resumes from there and gives the same agents, bit by bit. None keeps nothing.
        finished: called with each agent as soon as its seed has finished.
        progress: show a progress bar on a terminal or in a notebook; or an existing bar to continue.
        title: label of the bar.

    Returns:
        The `Agents`, one per seed.

    Raises:
        ModelError: impossible seeds, episodes or device; guidance without a row for the training bars; settings that
            need guidance where there is none; or `states` holds a damaged file, or one of a training with other bars,
            guidance or settings.
        DataError: too few bars, or a `holdout` that leaves none.

    Source: arXiv 2004.06627, algorithm 1; arXiv 2508.02366, section II (tau in the observation).
    """
    chosen = as_seeds(seeds)
    if guidance is None and config is not None:
        refuse_unguided(config)
    lesson = Lesson.prepare(bars, guidance, config=config, test=test, curves=curves, holdout=holdout)
    folder = None if states is None else Path(states)
    jobs = [
        lesson.job(seed, episodes, name=f"seed {seed}", state=folder and folder / f"seed-{seed}{STATE_SUFFIX}")
        for seed in chosen
    ]
    agents: dict[int, Agent] = {}
    with closing(train_agents(dict.fromkeys(jobs, lesson), device=device, progress=progress, title=title)) as trained:
        for job, agent in trained:
            agents[job.seed] = agent
            if finished is not None:
                finished(agent)
    return Agents(tuple(agents[seed] for seed in chosen))


def train_agents(
    jobs: Mapping[Job, Lesson], *, device: str = "auto", progress: TrainingBar | bool = True, title: str = "training"
) -> Generator[tuple[Job, Agent], None, None]:
    """Train jobs, of one lesson or of many, and yield each agent as soon as it is there.

    A job's state is kept until the caller comes back for the next agent: store the agent before that. Close the
    generator when something goes wrong on the way: that is when unfinished training is saved.
    """
    check_episodes(jobs)
    place = find_device(device)
    return deliver(train_jobs(tuple(jobs), place), jobs, place, progress=progress, title=title)


def check_episodes(jobs: Iterable[Job]) -> None:
    """Refuse jobs without episodes."""
    for job in jobs:
        if job.episodes < 1:
            raise ModelError(f"episodes must be at least 1, got {job.episodes}")


def deliver(
    events: Generator[Event, None, None],
    jobs: Mapping[Job, Lesson],
    place: torch.device,
    *,
    progress: TrainingBar | bool,
    title: str,
) -> Generator[tuple[Job, Agent], None, None]:
    """Yield the agents that come of some jobs' events, show progress, and clean up behind them (see `train_agents`)."""
    with ExitStack() as stack:
        bar = stack.enter_context(TrainingBar()) if progress is True else progress or None
        if bar is not None:
            episodes = sum(job.episodes for job in jobs)
            bar.begin(title, steps=planned_steps(jobs), episodes=episodes, agents=len(jobs))
        for event in stack.enter_context(closing(events)):
            if bar is not None:
                bar(event)
            if isinstance(event, EpisodeEnd) and event.weights is not None:
                yield event.job, jobs[event.job].agent(event, place)
                remove_state(event.job)


def refuse_unguided(config: DQNConfig) -> None:
    """Refuse settings that do nothing to an agent without guidance."""
    if config.guided_only:
        raise ModelError(
            f"{' and '.join(config.guided_only)} change how an agent uses its guidance, but there is none; "
            "pass guidance=, or leave them at their defaults"
        )


def as_seeds(seeds: int | Sequence[int]) -> list[int]:
    """Return the seeds as a list: a number means 0, 1, ...; they must be different and not negative."""
    chosen = list(range(seeds)) if isinstance(seeds, int | np.integer) else [int(seed) for seed in seeds]
    if not chosen or min(chosen) < 0 or len(set(chosen)) < len(chosen):
        raise ModelError(f"seeds are a positive number of runs, or different numbers from 0 on; got {seeds!r}")
    return chosen


def _finite(number: float) -> float | None:
    """Return the number, or None where it is undefined: JSON has no NaN."""
    return number if math.isfinite(number) else None


def find_device(name: str) -> torch.device:
    """Return the device by name, and refuse one that is not there."""
    if name not in ("auto", "cpu", "cuda"):
        raise ModelError(f"expected device to be 'auto', 'cpu' or 'cuda', got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError("device 'cuda' was requested, but torch finds no GPU; use 'cpu', or install torch with CUDA")
    use_cuda = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_cuda else "cpu")


def training_bars(bars: pd.DataFrame, holdout: int) -> pd.DataFrame:
    """Return the bars without the last `holdout`; DataError unless some are left."""
    if not (isinstance(holdout, int | np.integer) and 0 <= holdout < len(bars)):
        raise DataError(
            f"expected holdout, the number of bars held out at the end of training, from 0 to {len(bars) - 1} "
            f"of these {len(bars)} bars, got {holdout}; hold out fewer, or give earlier bars too"
        )
    return bars.iloc[: len(bars) - holdout]


def training_data(bars: pd.DataFrame, tau: NDArray[np.float64] | None) -> dict[str, Any]:
    """Say what an agent was trained on, as its checkpoint does: dates and hashes of the bars and of tau on them."""
    return {
        "first": str(bars.index[0]),
        "last": str(bars.index[-1]),
        "sha256": hash_bars(bars),
        "tau_sha256": None if tau is None else hashlib.sha256(np.ascontiguousarray(tau).tobytes()).hexdigest(),
    }
