"""Walk forward: train on the past, trade the next window, train again, with one account that goes through all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmguide.bars import Bound
from llmguide.errors import DataError
from llmguide.experiments.arms import Arm, choose_arms
from llmguide.experiments.guidance_source import GuidanceSource, refuse_missing
from llmguide.experiments.learners.flag import find_trainer
from llmguide.experiments.measure import NO_SEED
from llmguide.experiments.plan import Plan
from llmguide.experiments.train_grid import train_grid
from llmguide.experiments.walk_forward.plan import Step, guidance_of_windows, open_folders, put_steps_together
from llmguide.experiments.walk_forward.relay import Leg, Relayed, run_relay
from llmguide.experiments.walk_forward.result import Laid
from llmguide.experiments.walk_forward.walk import Walk
from llmguide.experiments.walk_forward.windows import ANCHORED, lay_windows
from llmguide.periods import periods_of
from llmguide.rl.config import DQNConfig
from llmguide.rl.flag.plan import FlagPlan
from llmguide.rl.training import as_seeds

if TYPE_CHECKING:
    from llmguide.experiments.arms import Trained

__all__ = ["walk_forward"]


def walk_forward(
    bars: Mapping[str, pd.DataFrame],
    guidance: GuidanceSource | None = None,
    *,
    start: Bound,
    until: Bound | None = None,
    window: str = "1y",
    train: str = ANCHORED,
    arms: Sequence[str] | None = None,
    seeds: int | Sequence[int] = 5,
    episodes: int = 50,
    any_bars: bool = False,
    config: DQNConfig | None = None,
    flag: FlagPlan | None = None,
    device: str = "auto",
    periods: float | None = None,
    holdout: int | None = None,
    out: Path | str | None = None,
    resume: bool = True,
    ray: str | None = None,
    progress: bool = True,
    announce: Callable[[str], None] | None = None,
) -> Walk:
    """Train every arm anew for every window, and let it trade the window with the account that the last window left.

    For each window every trained arm is trained from scratch, and windows of moving averages are chosen anew, on bars
    before the window alone. Then one run of Cerebro per arm and seed goes through all windows
    (`llmguide.experiments.walk_forward.relay`): on the first bar of a window the newly trained arm takes over position
    and cash as they are, and there are no idle bars, since the bars before are known.

    Args:
        bars: raw bars by symbol, those to train on and those to trade as one history.
        guidance: tables by symbol; a folder with SYMBOL.parquet or SYMBOL.csv; or a function of an instrument's bars,
            which is called anew for every window with the bars up to its end.
        start: first day that is traded.
        until: last day that is traded; None is that of the last bar.
        window: length of a window: ``1y``, ``6m``, ``2w``, ``90d``, or ``250b`` for bars. The last one may be shorter.
        train: "anchored", all bars before the window; or the length of a rolling training window, such as ``3y``.
        arms: names from `llmguide.experiments.arms.ARMS`; None is rl and hold, and with guidance also hybrid and llm.
        seeds: number of runs of each trained arm (with seeds 0, 1, ...), or which seeds; the same in every window.
        episodes: episodes of training per run.
        any_bars: use tables on bars or instruments other than those that they were made from, instead of refusing.
        config: the agent's settings; None is the published ones. Their capital and cost hold for every arm.
        flag: how the language model of the arm ``flag`` is trained (see `llmguide.compare`).
        device: "cpu", "cuda" or "auto".
        periods: bars per year, by which Sharpe ratios are annual; None reads it from the dates of the bars.
        holdout: number of training bars at the end from which the agents of the arm ``mixture`` do not learn, and on
            which their record begins; None is a year of bars.
        out: folder. OUT/SYMBOL/WINDOW is the run folder of a window, in which each agent is stored as soon as it is
            trained; a second call with the same settings resumes from it. `Walk.write` writes the rest.
        resume: False starts over: agents and states that `out` holds for these windows are removed.
        ray: train on this Ray cluster, HOST:PORT or "auto" (see `llmguide.rl.cluster`; needs llmguide[cluster]); the
            results are the same.
        progress: show a progress bar on a terminal or in a notebook.
        announce: called with one line on each thing that is being done.

    Returns:
        A `Walk` with all accounts, tables and tests.

    Raises:
        DataError: bars that do not hold the windows or the training before the first one.
        GuidanceError: an arm needs guidance and an instrument has none.
        LlmguideError: unknown arms; a length of time that cannot be read; a `holdout` without the arm mixture; `flag`
            without the arm flag, or the arm without it; or `out` holds a walk with other settings.
        ModelError: a language model that cannot be used.
        MissingExtra: llmguide[flag] or llmguide[cluster] is needed and not installed.
    """
    usual = ("rl", "hold") if guidance is None else ("hybrid", "rl", "llm", "hold")
    chosen = choose_arms(list(usual if arms is None else arms), holdout=holdout)
    refuse_missing(chosen, guidance)
    if not isinstance(bars, Mapping) or not bars:
        raise DataError('expected bars by symbol, such as {"AAPL": read_bars("AAPL.csv")}')
    own_seeds, settings = tuple(as_seeds(seeds)), config or DQNConfig()
    say = announce or (lambda line: None)
    trainer = find_trainer(flag, chosen, settings, device=device, ray=ray)
    year = {symbol: periods_of(own, periods) for symbol, own in bars.items()}

    steps: dict[str, Step] = {}
    for symbol, own in bars.items():
        try:
            windows = lay_windows(
                own, start=start, until=until, window=window, train=train, least=settings.lookback + 2
            )
        except DataError as error:
            raise DataError(f"{symbol}: {error}") from None
        asked = guidance_of_windows(symbol, own, windows, guidance, any_bars=any_bars)
        for one, table in zip(windows, asked, strict=True):
            learned, traded = one.training(own), one.traded(own)
            plan = Plan(
                learned, traded, table, own_seeds, episodes, settings, device, False, year[symbol], holdout, trainer
            )
            step = Step(symbol, one, plan)
            steps[step.key] = step
    described = {key: step.plan.describe(chosen) for key, step in steps.items()}
    folders = None if out is None else open_folders(Path(out), steps, described, resume=resume)

    trained: dict[tuple[str, str, int], Trained] = {}

    def finished(key: str, arm: Arm, one: Trained) -> None:
        trained[key, arm.name, one.seed] = one

    learning = [arm for arm in chosen if arm.trained]
    say(
        f"instruments: {len(bars)}; windows in all: {len(steps)}; arms: {', '.join(arm.name for arm in chosen)}; "
        f"trainings: {len(steps) * len(learning) * len(own_seeds)}"
    )
    plans = {key: step.plan for key, step in steps.items()}
    if learning:
        train_grid(plans, learning, folders, finished=finished, progress=progress, announce=say, ray=ray)
    say("walking every arm through its windows")
    runs: dict[tuple[str, str, int], Relayed] = {}
    for symbol, own in bars.items():
        mine = [step for step in steps.values() if step.symbol == symbol]
        for arm in chosen:
            for seed in own_seeds if arm.trained else (NO_SEED,):
                legs = [_leg(step, arm, trained.get((step.key, arm.name, seed)), own) for step in mine]
                runs[symbol, arm.name, seed] = run_relay(
                    own, legs, cash=settings.cash, cost=settings.cost, periods=year[symbol]
                )
    walked = {
        symbol: Laid(own, tuple(step.window for step in steps.values() if step.symbol == symbol), year[symbol])
        for symbol, own in bars.items()
    }
    tables = [step.plan.guidance for step in steps.values() if any(arm.guided for arm in chosen)]
    future = any(table is not None and table.uses_future for table in tables)
    laid_by = {"start": str(start), "until": None if until is None else str(until), "window": window, "train": train}
    return Walk(walked, runs, laid_by | put_steps_together(steps, described), future)


def _leg(step: Step, arm: Arm, agent: Trained | None, bars: pd.DataFrame) -> Leg:
    """Return what trades a window: the arm's strategy, with what was trained and chosen on the bars before it."""
    plan, window = step.plan, step.window
    learned, traded = window.training(bars), window.traded(bars)
    mixed = arm.mix(agent, plan.guidance, learned, traded, plan.config, idle=0)
    params: dict[str, Any] = arm.params(agent, plan.guidance, learned, plan.config, mixed)
    if mixed is not None:  # one for each bar of the feed
        params["positions"] = np.concatenate([np.zeros(window.trades[0]), params["positions"]])
    return Leg(arm.strategy, params, window.trades)
