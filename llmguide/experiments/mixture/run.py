"""How good must guidance be for a mixture to gain from it, and what does it cost where it is worthless?

Algorithm 1's labels of the future (arXiv 2508.02366), each right with a known probability, are a control; rules and
tables of a language model are not. Each is shuffled too. Agents are trained once for each instrument, and meet every
draw of every guidance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.bars import Bound
from llmguide.errors import LlmguideError
from llmguide.experiments.arms import ARMS, Arm
from llmguide.experiments.learners.dqn import trained_agents
from llmguide.experiments.markets import SPLIT, find_markets
from llmguide.experiments.mixture.measure import measure_market
from llmguide.experiments.mixture.result import MixtureStudy
from llmguide.experiments.mixture.sources import Tables, tables_of
from llmguide.experiments.plan import Plan, put_together
from llmguide.experiments.run_folder import RunFolder
from llmguide.experiments.train_grid import train_grid
from llmguide.guidance import Guidance
from llmguide.mixture.prior import AGENT, Prior
from llmguide.rl.agent import Agent
from llmguide.rl.config import DQNConfig
from llmguide.rl.training import as_seeds

__all__ = ["ACCURACIES", "study_mixture"]

ACCURACIES = (0.5, 0.55, 0.6, 0.7, 0.85, 1.0)
"""Chances of a right direction: from a coin to perfect foresight."""

_ARM = ARMS["mixture"]


def study_mixture(
    data: Path | str,
    *,
    symbols: Sequence[str] | None = None,
    accuracies: Sequence[float] = ACCURACIES,
    tables: Tables | None = None,
    draws: int = 10,
    seeds: int | Sequence[int] = 5,
    episodes: int = 50,
    holdout: int | None = None,
    agent_prior: Prior = AGENT,
    config: DQNConfig | None = None,
    device: str = "auto",
    split: Bound = SPLIT,
    tz: str | None = None,
    adjust: bool = False,
    strict: bool = False,
    periods: float | None = None,
    out: Path | str | None = None,
    resume: bool = True,
    only_trained: bool = False,
    ray: str | None = None,
    progress: bool = True,
    announce: Callable[[str], None] | None = None,
) -> MixtureStudy:
    """Mix an agent, guidance and holding, on every instrument. **Uses the future** where it makes the guidance.

    The guidance is that of `llmguide.experiments.mixture.sources`: of every accuracy, by rules, and given tables, each
    as it is and shuffled; and none.

    Args:
        data: folder of bars (see `llmguide.experiments.markets`).
        symbols: which instruments; None is all that the folder has.
        accuracies: probabilities in [0, 1] that a month's direction is right.
        tables: guidance of your own, such as a language model's, by name and symbol (see `read_tables`); instruments
            may lack one.
        draws: number of draws of the guidance for each instrument and accuracy, and of every order in which it is
            shuffled. Draw k of an instrument takes the same months for wrong at every accuracy, and more of them at a
            lower one.
        seeds: number of agents for each instrument (with seeds 0, 1, ...), or which seeds; 0 mixes guidance and holding
            alone.
        episodes: episodes of training per agent.
        holdout: number of training bars at the end from which the agents do not learn; None is a year of bars.
        agent_prior: what is credited to an agent before its own record.
        config: the agent's settings, capital and cost included; None is the published ones.
        device: "cpu", "cuda" or "auto".
        split: first test day of instruments that have a single file.
        tz: the exchange's time zone, for every file (see `llmguide.read_bars`).
        adjust: put all prices on one scale, in every file (see `llmguide.read_bars`).
        strict: refuse bars that look wrong, in every file (see `llmguide.read_bars`).
        periods: bars per year; None reads it from the dates of each instrument's test bars.
        out: folder. Every instrument has a run folder in it with its agents; a second call with the same settings
            trains none again, whatever the accuracies and draws.
        resume: False starts over: agents that `out` holds for these instruments are removed.
        only_trained: mix with the agents that `out` holds already, train none, and leave out instruments without one;
            also while another process trains there. The settings and the page name the missing ones.
        ray: train on this Ray cluster, HOST:PORT or "auto"; the results are the same.
        progress: show a progress bar on a terminal.
        announce: called with one line on each thing that is being done.

    Returns:
        A `MixtureStudy`.

    Raises:
        DataError: instruments that cannot be used, or a `holdout` that leaves no bars to train on.
        GuidanceError: a table made from other bars or of another time, or a name that the study reserves for its own
            guidance.
        LlmguideError: impossible accuracies or draws; `out` holds a run with other settings, or no agent where only
            trained ones are to be mixed.
    """
    if not accuracies or not all(0.0 <= accuracy <= 1.0 for accuracy in accuracies):
        raise LlmguideError(
            f"expected accuracies, the probabilities of a correct direction, in [0, 1], got {list(accuracies)}"
        )
    if draws < 1:
        raise LlmguideError(f"draws must be at least 1, got {draws}")
    say = announce or (lambda line: None)
    settings, chosen = config or DQNConfig(), () if seeds == 0 else tuple(as_seeds(seeds))
    markets = {
        market.symbol: market
        for market in find_markets(data, symbols, split=split, tz=tz, adjust=adjust, strict=strict)
    }
    own_tables = tables_of(tables or {}, markets, lookback=settings.lookback)
    plans = {
        symbol: Plan(
            market.train, market.test, None, chosen, episodes, settings, device, False, periods, holdout
        )
        for symbol, market in markets.items()
    }  # fmt: skip
    if only_trained:
        if out is None or not chosen or not resume:
            raise LlmguideError(
                "only_trained uses the agents in a run folder; give the folder as out, with seeds and resume=True"
            )
        agents = _trained(plans, Path(out))
    else:
        agents = _train(plans, out, resume=resume, progress=progress, announce=say, ray=ray)
    mixed = [symbol for symbol in markets if agents[symbol] or not chosen]
    missing = {
        symbol: lacking for symbol in markets if (lacking := [seed for seed in chosen if seed not in agents[symbol]])
    }
    if not mixed:
        raise LlmguideError(f"{out} holds no trained agent of these instruments; train some, or choose another folder")
    if missing:
        number = sum(map(len, missing.values()))
        say(f"agents that are not trained yet: {number}; instruments without any: {len(markets) - len(mixed)}")
    for name in tables or {}:
        say(f"guidance {name}: of {sum(name in own_tables[symbol] for symbol in mixed)} of {len(mixed)} instruments")
    say(f"mixing rules, and {draws} draws of each of {len(accuracies)} accuracies, on {len(mixed)} instruments")
    rows = [
        row
        for symbol in mixed
        for row in measure_market(
            markets[symbol],
            [agents[symbol][seed] for seed in chosen if seed in agents[symbol]],
            accuracies=accuracies,
            draws=draws,
            tables=own_tables[symbol],
            agent_prior=agent_prior,
            config=settings,
            periods=plans[symbol].year,
        )
    ]
    shaped = {
        "accuracies": [float(accuracy) for accuracy in accuracies],
        "draws": draws,
        "agent_prior": asdict(agent_prior),
        "uses_future": True,
        "tables": {
            name: {symbol: _summary(own_tables[symbol][name]) for symbol in mixed if name in own_tables[symbol]}
            for name in tables or {}
        },
        "missing": missing,
    }
    described = put_together({symbol: plans[symbol].describe([_ARM]) for symbol in mixed})
    return MixtureStudy(pd.DataFrame(rows), shaped | described)


Trained = dict[str, dict[int, Agent]]
"""Agents by symbol and seed."""


def _trained(plans: Mapping[str, Plan], out: Path) -> Trained:
    """Return the agents that are there; nothing in the folder is changed."""
    return {
        symbol: trained_agents(plan, _ARM, RunFolder.look(out / symbol, plan.describe([_ARM])))
        for symbol, plan in plans.items()
    }


def _train(
    plans: Mapping[str, Plan],
    out: Path | str | None,
    *,
    resume: bool,
    progress: bool,
    announce: Callable[[str], None],
    ray: str | None,
) -> Trained:
    """Return all agents of the plans, trained where they are not there already."""
    agents: Trained = {symbol: {} for symbol in plans}

    def finished(symbol: str, arm: Arm, agent: Agent) -> None:
        agents[symbol][agent.seed] = agent

    if any(plan.seeds for plan in plans.values()):
        folders = None
        if out is not None:
            folders = {
                symbol: RunFolder.open(Path(out) / symbol, plan.describe([_ARM]), resume=resume)
                for symbol, plan in plans.items()
            }
        train_grid(plans, [_ARM], folders, finished=finished, progress=progress, announce=announce, ray=ray)
    return agents


def _summary(table: Guidance) -> dict[str, Any]:
    return {"rows": len(table), "uses_future": table.uses_future, "sha256": table.hash}
