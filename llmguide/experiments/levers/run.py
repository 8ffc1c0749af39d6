"""Which of the settings that the papers do not have help an agent to use its guidance?

For every instrument and seed the published agent is trained, and one for each lever, on the same bars and guidance;
what is reported are paired differences.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from llmguide.bars import Bound
from llmguide.errors import LlmguideError
from llmguide.experiments.arms import ARMS, Arm
from llmguide.experiments.levers.lever import LEVERS, PUBLISHED, find_levers
from llmguide.experiments.levers.measure import measure_agent, measure_references
from llmguide.experiments.levers.result import LeverStudy
from llmguide.experiments.markets import SPLIT, Market, find_markets
from llmguide.experiments.plan import Plan, put_together
from llmguide.experiments.run_folder import RunFolder
from llmguide.experiments.train_grid import train_grid
from llmguide.guidance import Guidance
from llmguide.guidance.controls import oracle
from llmguide.guidance.rules import rules
from llmguide.periods import periods_of
from llmguide.rl.agent import Agent
from llmguide.rl.config import DQNConfig
from llmguide.rl.training import as_seeds

__all__ = ["study_levers"]


def study_levers(
    data: Path | str,
    *,
    symbols: Sequence[str] | None = None,
    levers: Sequence[str] = tuple(LEVERS),
    accuracy: float | None = 0.8,
    seeds: int | Sequence[int] = 3,
    episodes: int = 50,
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
) -> LeverStudy:
    """Train the published agent and one for each lever, with guidance, on every instrument.

    Args:
        data: folder of bars (see `llmguide.experiments.markets`).
        symbols: which instruments; None is all that the folder has.
        levers: names from `LEVERS`, with numbers (``discount=0.7``) or joined by ``+``.
        accuracy: probability in [0, 1] that a month's direction is right: guidance by
            `llmguide.guidance.controls.oracle` of varying strength, which **uses the future**. None is guidance by
            rules, which does not.
        seeds: number of agents for each instrument and lever (with seeds 0, 1, ...), or which seeds.
        episodes: episodes of training per agent.
        config: settings that all agents share; None is the published ones.
        device: "cpu", "cuda" or "auto".
        split: first test day of instruments that have a single file.
        tz: the exchange's time zone, for every file (see `llmguide.read_bars`).
        adjust: put all prices on one scale, in every file (see `llmguide.read_bars`).
        strict: refuse bars that look wrong, in every file (see `llmguide.read_bars`).
        periods: bars per year; None reads it from the dates of each instrument's bars.
        out: folder. Every instrument and lever has a run folder in it, ``SYMBOL/LEVER``, with its agents; a second call
            with the same settings resumes from there, and trains only what other levers and seeds need.
        resume: False starts over: agents that `out` holds for these instruments and levers are removed.
        ray: train on this Ray cluster, HOST:PORT or "auto"; the results are the same.
        progress: show a progress bar on a terminal.
        announce: called with one line on each thing that is being done.

    Returns:
        A `LeverStudy`.

    Raises:
        DataError: instruments that cannot be used.
        LlmguideError: unknown levers, one that changes nothing, an impossible accuracy; or `out` holds a run with other
            settings.
    """
    if accuracy is not None and not 0.0 <= accuracy <= 1.0:
        raise LlmguideError(f"expected accuracy, the probability of a correct direction, in [0, 1], got {accuracy}")
    say = announce or (lambda line: None)
    settings, chosen = config or DQNConfig(), tuple(as_seeds(seeds))
    tried = (PUBLISHED, *find_levers(levers))
    for lever in tried[1:]:
        if lever.apply(settings) == settings:
            raise LlmguideError(
                f"the lever {lever.name} changes nothing: the settings already include it; leave it out"
            )
    markets = {
        market.symbol: market
        for market in find_markets(data, symbols, split=split, tz=tz, adjust=adjust, strict=strict)
    }
    guidance = {symbol: _guide(market, accuracy) for symbol, market in markets.items()}
    cells = {f"{symbol}/{lever.name}": (symbol, lever) for symbol in markets for lever in tried}
    plans = {
        cell: Plan(
            markets[symbol].train, markets[symbol].test, guidance[symbol], chosen, episodes, lever.apply(settings),
            device, False, periods,
        )
        for cell, (symbol, lever) in cells.items()
    }  # fmt: skip
    arm = ARMS["hybrid"]
    described = {cell: plan.describe([arm]) for cell, plan in plans.items()}
    folders = None
    if out is not None:
        folders = {cell: RunFolder.open(Path(out) / cell, described[cell], resume=resume) for cell in cells}
    agents: dict[str, dict[int, Agent]] = {cell: {} for cell in cells}

    def finished(cell: str, arm: Arm, agent: Agent) -> None:
        agents[cell][agent.seed] = agent

    train_grid(plans, [arm], folders, finished=finished, progress=progress, announce=say, ray=ray)
    say(f"measuring {len(cells) * len(chosen)} agents on {len(markets)} instruments")
    rows = []
    for cell, (symbol, lever) in cells.items():
        market, year = markets[symbol], plans[cell].year
        years = periods_of(market.train, periods), year
        rows += [
            measure_agent(market, lever.name, agents[cell][seed], guidance[symbol], periods=years) for seed in chosen
        ]
        if lever is tried[-1]:
            rows += measure_references(market, guidance[symbol], settings, periods=year)
    shaped = {
        "levers": {lever.name: lever.changes for lever in tried[1:]},
        "accuracy": accuracy,
        "uses_future": any(table.uses_future for table in guidance.values()),
    }
    usual = {symbol: described[f"{symbol}/{PUBLISHED.name}"] for symbol in markets}
    return LeverStudy(pd.DataFrame(rows), shaped | put_together(usual))


def _guide(market: Market, accuracy: float | None) -> Guidance:
    """Return the guidance of an instrument; those of a known accuracy are not wrong in the same months."""
    if accuracy is None:
        table = rules(market.bars)
    else:
        seed = zlib.crc32(market.symbol.encode())
        table = oracle(market.bars, accuracy=accuracy, seed=seed, confidence="varying")
    return table.made_from(market.bars, symbol=market.symbol)
