"""The published benchmark again: instruments x arms x seeds from a folder of bars, beside the published numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from llmguide.bars import Bound
from llmguide.errors import LlmguideError
from llmguide.experiments.arms import Arm, choose_arms
from llmguide.experiments.guidance_source import GuidanceSource, find_table, refuse_missing
from llmguide.experiments.learners.flag import find_trainer
from llmguide.experiments.markets import SPLIT, find_markets
from llmguide.experiments.measure import NO_SEED
from llmguide.experiments.plan import Plan, put_together
from llmguide.experiments.replicate.grid import measure_cell
from llmguide.experiments.replicate.replication import Replication
from llmguide.experiments.run_folder import RunFolder
from llmguide.experiments.train_grid import train_grid
from llmguide.rl.config import DQNConfig
from llmguide.rl.flag.plan import FlagPlan
from llmguide.rl.training import as_seeds

if TYPE_CHECKING:
    from llmguide.experiments.arms import Trained

__all__ = ["replicate"]


def replicate(
    data: Path | str,
    *,
    symbols: Sequence[str] | None = None,
    arms: Sequence[str] | None = None,
    seeds: int | Sequence[int] = 25,
    episodes: int = 50,
    guidance: GuidanceSource | None = None,
    any_bars: bool = False,
    config: DQNConfig | None = None,
    flag: FlagPlan | None = None,
    device: str = "auto",
    split: Bound = SPLIT,
    tz: str | None = None,
    adjust: bool = False,
    strict: bool = False,
    curves: bool = False,
    periods: float | None = None,
    holdout: int | None = None,
    out: Path | str | None = None,
    resume: bool = True,
    ray: str | None = None,
    progress: bool = True,
    announce: Callable[[str], None] | None = None,
) -> Replication:
    """Train and evaluate every arm on every instrument, and compare the results with the published ones.

    Args:
        data: folder of bars (see `llmguide.experiments.markets`).
        symbols: which instruments; None is all that the folder has.
        arms: names from `llmguide.experiments.arms.ARMS`; None is rl, and with guidance hybrid, rl and llm.
        seeds: number of runs of each trained arm (with seeds 0, 1, ...), or which seeds; the same for each arm and
            instrument.
        episodes: episodes of training per run.
        guidance: tables by symbol; or a folder with SYMBOL.parquet or SYMBOL.csv; or a function of an instrument's
            bars, training and test together.
        any_bars: use tables on bars or instruments other than those that they were made from, instead of refusing.
        config: the agent's settings; None is the published ones. Their capital, cost and idle bars hold for every arm.
        flag: how the language model of the arm ``flag`` is trained (see `llmguide.compare`); it is loaded once for all
            instruments.
        device: "cpu", "cuda" or "auto".
        split: first test day of instruments that have a single file.
        tz: the exchange's time zone, for every file (see `llmguide.read_bars`).
        adjust: put all prices on one scale, in every file (see `llmguide.read_bars`).
        strict: refuse bars that look wrong, in every file (see `llmguide.read_bars`).
        curves: record the Sharpe ratio after every episode, for plots; nothing is selected by it.
        periods: bars per year, by which Sharpe ratios are annual; None reads it from the dates of each instrument's
            test bars. The published ratios have 252.
        holdout: number of training bars at the end from which the agents of the arm ``mixture`` do not learn, and on
            which their record begins; None is a year of bars.
        out: folder. Every instrument has a run folder in it, in which every agent is stored as soon as it is trained
            and every row as soon as it is measured; a second call with the same settings resumes from it.
            `Replication.write` writes the tables.
        resume: False starts over: agents and states that `out` holds for these instruments are removed.
        ray: train on this Ray cluster, HOST:PORT or "auto" (see `llmguide.rl.cluster`; needs llmguide[cluster]); the
            results are the same.
        progress: show a progress bar on a terminal or in a notebook.
        announce: called with one line on each thing that is being done.

    Returns:
        A `Replication` with all runs, tables and tests.

    Raises:
        DataError: instruments that cannot be used (see `llmguide.experiments.markets.find_markets`).
        GuidanceError: an arm needs guidance and an instrument has none.
        LlmguideError: unknown arms; a `holdout` without the arm mixture; `flag` without the arm flag, or the arm
            without it; or `out` holds a run with other settings.
        ModelError: a language model that cannot be used.
        MissingExtra: llmguide[flag] or llmguide[cluster] is needed and not installed.

    Source: arXiv 2004.06627; arXiv 2508.02366, experiment 2 and appendix E.
    """
    usual = ("rl",) if guidance is None else ("hybrid", "rl", "llm")
    chosen = choose_arms(list(usual if arms is None else arms), holdout=holdout)
    seeds = tuple(as_seeds(seeds))
    say = announce or (lambda line: None)
    markets = {
        market.symbol: market
        for market in find_markets(data, symbols, split=split, tz=tz, adjust=adjust, strict=strict)
    }
    refuse_missing(chosen, guidance)
    settings = config or DQNConfig()
    trainer = find_trainer(flag, chosen, settings, device=device, ray=ray)
    plans = {
        symbol: Plan(
            market.train,
            market.test,
            find_table(symbol, market.bars, guidance, any_bars=any_bars),
            seeds,
            episodes,
            settings,
            device,
            curves,
            periods,
            holdout,
            trainer,
        )
        for symbol, market in markets.items()
    }
    described = {symbol: plan.describe(chosen) for symbol, plan in plans.items()}
    folders = None if out is None else _open(Path(out), plans, described, resume)

    rows: dict[tuple[str, str, int], dict[str, Any]] = {}

    def finished(symbol: str, arm: Arm, agent: Trained | None) -> None:
        folder = None if folders is None else folders[symbol]
        row = measure_cell(markets[symbol], arm, agent, plans[symbol], folder)
        rows[symbol, arm.name, row["seed"]] = row

    runs = sum(len(seeds) if arm.trained else 1 for arm in chosen) * len(markets)
    say(f"instruments: {len(markets)}; arms: {', '.join(arm.name for arm in chosen)}; runs in all: {runs}")
    for arm in chosen:
        for symbol in markets if not arm.trained else ():
            finished(symbol, arm, None)
    trained = [arm for arm in chosen if arm.trained]
    if trained:
        train_grid(plans, trained, folders, finished=finished, progress=progress, announce=say, ray=ray)

    of_arm = {arm.name: seeds if arm.trained else (NO_SEED,) for arm in chosen}
    order = [(symbol, arm, seed) for symbol in markets for arm in of_arm for seed in of_arm[arm]]
    return Replication(pd.DataFrame([rows[cell] for cell in order]), put_together(described))


def _open(
    out: Path, plans: Mapping[str, Plan], described: Mapping[str, dict[str, Any]], resume: bool
) -> dict[str, RunFolder]:
    """Make the run folder of every instrument, or go on with those that are there."""
    if out.exists() and not out.is_dir():
        raise LlmguideError(f"{out} is a file; a replication needs a folder")
    folders = {symbol: RunFolder.open(out / symbol, described[symbol], resume=resume) for symbol in plans}
    for symbol, plan in plans.items():
        if plan.guidance is not None:
            plan.guidance.save(out / symbol / "guidance.parquet")
    return folders
