"""How good must guidance be for a mixture to gain from it, and what does it cost where it is worthless?

The guidance is Algorithm 1's labels of the future (arXiv 2508.02366), each right with a known probability: a control.
Agents are trained once for each instrument and meet every draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from llmguide.bars import Bound
from llmguide.errors import LlmguideError
from llmguide.experiments.arms import ARMS, Arm
from llmguide.experiments.markets import SPLIT, find_markets
from llmguide.experiments.mixture.measure import measure_market
from llmguide.experiments.mixture.result import MixtureStudy
from llmguide.experiments.plan import Plan, put_together
from llmguide.experiments.run_folder import RunFolder
from llmguide.experiments.train_grid import train_grid
from llmguide.rl.agent import Agent
from llmguide.rl.config import DQNConfig
from llmguide.rl.training import as_seeds

__all__ = ["ACCURACIES", "study_mixture"]

ACCURACIES = (0.5, 0.6, 0.7, 0.85, 1.0)
"""Chances of a right direction: from a coin to perfect foresight."""


def study_mixture(
    data: Path | str,
    *,
    symbols: Sequence[str] | None = None,
    accuracies: Sequence[float] = ACCURACIES,
    draws: int = 100,
    seeds: int | Sequence[int] = 2,
    episodes: int = 50,
    holdout: int | None = None,
    config: DQNConfig | None = None,
    device: str = "auto",
    split: Bound = SPLIT,
    tz: str | None = None,
    adjust: bool = False,
    strict: bool = False,
    periods: float | None = None,
    out: Path | str | None = None,
    resume: bool = True,
    ray: str | None = None,
    progress: bool = True,
    announce: Callable[[str], None] | None = None,
) -> MixtureStudy:
    """Mix an agent, guidance of known accuracy, and holding, on every instrument. **Uses the future.**

    Args:
        data: folder of bars (see `llmguide.experiments.markets`).
        symbols: which instruments; all that the folder has where None.
        accuracies: chances in [0, 1] that a month's direction is right.
        draws: of the guidance, for each instrument and accuracy. Draw k of an instrument takes the same months for
            wrong at every accuracy, and more of them at a lower one.
        seeds: how many agents for each instrument (0, 1, ...), or which seeds; 0 mixes guidance and holding alone.
        episodes: episodes of training per agent.
        holdout: training bars at the end from which the agents do not learn; None is a year of bars.
        config: the agent's settings, capital and cost included; the published ones where None.
        device, ray, progress: of the training, as in `llmguide.replicate`.
        split: first test day of instruments that have a single file.
        tz, adjust, strict: how every file is read (see `llmguide.read_bars`).
        periods: bars per year; None reads it from the dates of each instrument's test bars.
        out: folder. Every instrument has a run folder in it with its agents; a second call with the same settings
            trains none again, whatever the accuracies and draws.
        resume: False begins anew: agents that `out` holds for these instruments are removed.
        announce: called with one line on each thing that is being done.

    Raises:
        DataError: instruments that cannot be used, or a `holdout` that leaves no bars to train on.
        LlmguideError: impossible accuracies or draws; or `out` holds a run with other settings.
    """
    if not accuracies or not all(0.0 <= accuracy <= 1.0 for accuracy in accuracies):
        raise LlmguideError(f"accuracies are chances of a right direction in [0, 1], got {list(accuracies)}")
    if draws < 1:
        raise LlmguideError(f"draws must be at least 1, got {draws}")
    say = announce or (lambda line: None)
    settings, chosen = config or DQNConfig(), () if seeds == 0 else tuple(as_seeds(seeds))
    markets = {
        market.symbol: market
        for market in find_markets(data, symbols, split=split, tz=tz, adjust=adjust, strict=strict)
    }
    plans = {
        symbol: Plan(
            market.train, market.test, None, chosen, episodes, settings, device, False, periods, holdout
        )
        for symbol, market in markets.items()
    }  # fmt: skip
    arm = ARMS["mixture"]
    described = {symbol: plan.describe([arm]) for symbol, plan in plans.items()}
    agents: dict[str, dict[int, Agent]] = {symbol: {} for symbol in markets}

    def finished(symbol: str, arm: Arm, agent: Agent) -> None:
        agents[symbol][agent.seed] = agent

    if chosen:
        folders = None
        if out is not None:
            folders = {symbol: RunFolder.open(Path(out) / symbol, described[symbol], resume=resume) for symbol in plans}
        train_grid(plans, [arm], folders, finished=finished, progress=progress, announce=say, ray=ray)
    say(f"mixing {draws} draws of each of {len(accuracies)} accuracies on {len(markets)} instruments")
    rows = [
        row
        for symbol, market in markets.items()
        for row in measure_market(
            market,
            [agents[symbol][seed] for seed in chosen],
            accuracies=accuracies,
            draws=draws,
            config=settings,
            periods=plans[symbol].year,
        )
    ]
    shaped = {"accuracies": [float(accuracy) for accuracy in accuracies], "draws": draws, "uses_future": True}
    return MixtureStudy(pd.DataFrame(rows), shaped | put_together(described))
