"""Does guidance help? The same agent with and without it, the guidance alone, and holding, on the same test bars.

Every arm is evaluated in Backtrader at close fills. Training arms use the same seeds, so that their runs are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.backtest import BacktestResult, run_backtest
from llmguide.errors import DataError, GuidanceError
from llmguide.experiments.arms import ARMS, Arm, choose_arms
from llmguide.experiments.comparison import Comparison
from llmguide.experiments.plan import Plan
from llmguide.experiments.run_folder import RunFolder
from llmguide.experiments.train_arm import train_arm
from llmguide.experiments.usage import Usage, measure_usage
from llmguide.guidance import Guidance
from llmguide.rl.agent import Agent
from llmguide.rl.config import DQNConfig
from llmguide.rl.training import Agents, as_seeds

__all__ = ["compare"]


def compare(
    train: pd.DataFrame,
    test: pd.DataFrame,
    guidance: Guidance | None,
    *,
    seeds: int | Sequence[int] = 25,
    episodes: int = 50,
    arms: Sequence[str] = tuple(ARMS),
    config: DQNConfig | None = None,
    device: str = "auto",
    curves: bool = True,
    out: Path | str | None = None,
    progress: bool = True,
    announce: Callable[[str], None] | None = None,
) -> Comparison:
    """Train and evaluate the arms.

    Args:
        train: raw training bars.
        test: raw test bars, all after the last training bar.
        guidance: a table that covers both; it may be None when no arm needs it.
        seeds: how many runs of each trained arm (0, 1, ...), or which seeds; the same for each arm.
        episodes: episodes of training per run.
        arms: names from `llmguide.experiments.arms.ARMS`.
        config: the agent's settings, capital and cost included; the published ones where None.
        device: "cpu", "cuda" or "auto".
        curves: record SR after every episode, for plots; nothing is selected by it.
        out: run folder. Every agent is stored there as soon as it is trained, and a second call with the same settings
            goes on from what is there. `Comparison.write` writes the rest.
        progress: show bars on a terminal.
        announce: called with one line on each thing that is being done.

    Raises:
        DataError: test bars that do not follow the training bars.
        GuidanceError: an arm needs guidance and there is none.
        LlmguideError: unknown arms; or `out` holds a run with other settings.
    """
    chosen = choose_arms(list(arms))
    _check(train, test, guidance, chosen)
    plan = Plan(train, test, guidance, tuple(as_seeds(seeds)), episodes, config or DQNConfig(), device, curves)
    described = plan.describe([arm.name for arm in chosen])
    folder = RunFolder.open(Path(out), described) if out is not None else None
    say = announce or (lambda line: None)
    agents = {
        arm.name: train_arm(arm, plan, folder=folder, progress=progress, announce=say) for arm in chosen if arm.trained
    }
    say("backtesting every arm on the test bars")
    results, rows = _evaluate(chosen, agents, train, test, guidance, plan.config)
    return Comparison(pd.DataFrame(rows), results, agents, train, test, guidance, described)


def _evaluate(
    arms: tuple[Arm, ...],
    agents: Mapping[str, Agents],
    train: pd.DataFrame,
    test: pd.DataFrame,
    guidance: Guidance | None,
    config: DQNConfig,
) -> tuple[dict[tuple[str, int], BacktestResult], list[dict[str, Any]]]:
    """Backtest every arm and seed in Backtrader, and measure how it used the guidance."""
    aligned = None if guidance is None else [guidance.align(pd.DatetimeIndex(bars.index)) for bars in (train, test)]
    results, rows = {}, []
    for arm in arms:
        team: tuple[Agent | None, ...] = tuple(agents[arm.name]) if arm.trained else (None,)
        for agent in team:
            seed = -1 if agent is None else agent.seed
            result = run_backtest(
                test, arm.strategy, cash=config.cash, cost=config.cost, start=config.lookback,
                **arm.params(agent, guidance),
            )  # fmt: skip
            usage = measure_usage(agent, train, test, *aligned) if agent is not None and aligned else _NO_USAGE
            results[arm.name, seed] = result
            rows.append(
                {
                    "arm": arm.name,
                    "seed": seed,
                    "sr": result.sharpe,
                    "mdd": result.max_drawdown,
                    "final_value": float(result.values.iloc[-1]),
                    "trades": result.trade_count,
                    "exposure": result.exposure,
                    **usage._asdict(),
                }
            )
    return results, rows


_NO_USAGE = Usage(*[float("nan")] * len(Usage._fields))


def _check(train: pd.DataFrame, test: pd.DataFrame, guidance: Guidance | None, arms: tuple[Arm, ...]) -> None:
    """Refuse bars in the wrong order and missing guidance."""
    if not train.index[-1] < test.index[0]:
        raise DataError(
            f"the test bars must come after the training bars, but training ends on {train.index[-1]:%Y-%m-%d} and the "
            f"test begins on {test.index[0]:%Y-%m-%d}; cut them with read_bars(start=, end=)"
        )
    needy = [arm.name for arm in arms if arm.guided]
    if needy and guidance is None:
        raise GuidanceError(f"the arms {needy} need guidance; pass a table, or leave them out of arms")
