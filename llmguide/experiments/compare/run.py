"""Does guidance help? The same agent with and without it, the guidance alone, and holding, on the same test bars.

Every arm is evaluated in Backtrader at close fills. Training arms use the same seeds, so that their runs are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from llmguide.errors import DataError, GuidanceError
from llmguide.experiments.arms import DEFAULT_ARMS, Arm, choose_arms
from llmguide.experiments.compare.comparison import Comparison
from llmguide.experiments.learners.flag import find_trainer
from llmguide.experiments.measure import measure
from llmguide.experiments.placebo.plan import ControlPlan, as_plan
from llmguide.experiments.placebo.run import measure_controls
from llmguide.experiments.placebo.tables import control_tables
from llmguide.experiments.plan import Plan
from llmguide.experiments.run_folder import RunFolder
from llmguide.experiments.train_grid import train_arms
from llmguide.guidance import Guidance
from llmguide.inline import note_files
from llmguide.rl.config import DQNConfig
from llmguide.rl.flag.plan import FlagPlan
from llmguide.rl.training import as_seeds

__all__ = ["compare"]


def compare(
    train: pd.DataFrame,
    test: pd.DataFrame,
    guidance: Guidance | None,
    *,
    seeds: int | Sequence[int] = 25,
    episodes: int = 50,
    arms: Sequence[str] = DEFAULT_ARMS,
    config: DQNConfig | None = None,
    flag: FlagPlan | None = None,
    device: str = "auto",
    curves: bool = True,
    periods: float | None = None,
    holdout: int | None = None,
    controls: bool | ControlPlan = False,
    name: str = "",
    out: Path | str | None = None,
    resume: bool = True,
    ray: str | None = None,
    progress: bool = True,
    announce: Callable[[str], None] | None = None,
) -> Comparison:
    """Train every arm over many seeds, backtest all of them on the test bars, and compare them.

    Args:
        train: raw training bars.
        test: raw test bars, all after the last training bar.
        guidance: a table that covers both; it may be None when no arm needs it.
        seeds: number of runs of each trained arm (with seeds 0, 1, ...), or which seeds; the same for each arm.
        episodes: episodes of training per run.
        arms: names from `llmguide.experiments.arms.ARMS`.
        config: the agent's settings; None is the published ones. Their capital, cost and idle bars hold for every arm.
        flag: how the language model of the arm ``flag`` is trained (see `llmguide.rl.flag.plan.FlagPlan`). Its policies
            have the same seeds, and see as much of the guidance as their template shows.
        device: "cpu", "cuda" or "auto".
        curves: record the Sharpe ratio after every episode, for plots; nothing is selected by it.
        periods: bars per year, by which Sharpe ratios are annual; None reads it from the dates of the test bars.
        holdout: number of training bars at the end from which the agents of the arm ``mixture`` do not learn, and on
            which their record begins; None is a year of bars. The agents of other arms learn from all training bars.
        controls: also trade the test bars by the guidance shuffled, inverted, constant, by rules and by an oracle, and
            test whether the guidance is worth more than its shuffled self (see `llmguide.experiments.placebo`); nothing
            is trained again. True is the default `ControlPlan`.
        name: what the bars are of, such as "AAPL", for the title of the report; bars do not say it themselves.
        out: run folder. Every agent is stored there as soon as it is trained, and a second call with the same settings
            resumes from what is there, unfinished training included. `Comparison.write` writes the rest.
        resume: False starts over: agents and states that `out` holds are removed.
        ray: train on this Ray cluster, HOST:PORT or "auto" (see `llmguide.rl.cluster`; needs llmguide[cluster]); the
            results are the same.
        progress: show a progress bar on a terminal or in a notebook.
        announce: called with one line on each thing that is being done.

    Returns:
        A `Comparison` with all tables, tests and curves.

    Raises:
        DataError: test bars that do not follow the training bars; a `holdout` that leaves no bars to train on;
            `controls` with bars longer than days, for which there are no rules.
        GuidanceError: an arm or `controls` need guidance, and there is none.
        LlmguideError: unknown arms; `controls` without an arm that takes guidance; a `holdout` without the arm mixture;
            `flag` without the arm flag, or the arm without it; or `out` holds a run with other settings.
        ModelError: a language model that cannot be used.
        MissingExtra: llmguide[flag] or llmguide[cluster] is needed and not installed.
    """
    chosen = choose_arms(list(arms), holdout=holdout)
    _check(train, test, guidance, chosen)
    asked = as_plan(controls, chosen, guidance)
    settings, own_seeds = config or DQNConfig(), tuple(as_seeds(seeds))
    trainer = find_trainer(flag, chosen, settings, device=device, ray=ray)
    plan = Plan(train, test, guidance, own_seeds, episodes, settings, device, curves, periods, holdout, trainer)
    described = ({"name": name} if name else {}) | plan.describe(chosen)
    described |= {} if asked is None else {"controls": asked.describe()}
    tables = None
    if asked is not None and guidance is not None:  # before anything is trained, since they may be refused
        both = pd.concat([train, test])
        tables = control_tables(guidance, both, start=len(train) + settings.lookback, plan=asked)
    folder = RunFolder.open(Path(out), described, resume=resume) if out is not None else None
    say = announce or (lambda line: None)
    trained = [arm for arm in chosen if arm.trained]
    agents = train_arms(plan, trained, folder, progress=progress, announce=say, ray=ray)
    say("backtesting every arm on the test bars")
    results, rows, mixed = {}, [], {}
    for arm in chosen:
        for agent in agents[arm.name] if arm.trained else (None,):
            found = measure(
                arm, agent, train=train, test=test, guidance=guidance, config=plan.config, periods=plan.year
            )
            results[arm.name, found.row["seed"]] = found.result
            rows.append(found.row)
            if found.mixed is not None:
                mixed[int(found.row["seed"])] = found.mixed
    placebo = None
    if tables is not None:
        placebo = measure_controls(
            tables, chosen, agents, train=train, test=test, config=plan.config, periods=plan.year, announce=say
        )
    compared = Comparison(pd.DataFrame(rows), results, agents, train, test, guidance, described, mixed, placebo)
    if out is not None:
        note_files(compared, Path(out))
    return compared


def _check(train: pd.DataFrame, test: pd.DataFrame, guidance: Guidance | None, arms: tuple[Arm, ...]) -> None:
    """Refuse bars in the wrong order and missing guidance."""
    if not train.index[-1] < test.index[0]:
        raise DataError(
            f"the test bars must come after the training bars, but training ends on {train.index[-1]:%Y-%m-%d} and the "
            f"test begins on {test.index[0]:%Y-%m-%d}; cut them with read_bars(start=, end=)"
        )
    needy = [arm.name for arm in arms if arm.guided and arm.needs_guidance]
    if needy and guidance is None:
        raise GuidanceError(f"the arms {needy} need guidance; pass a table, or leave them out of arms")
