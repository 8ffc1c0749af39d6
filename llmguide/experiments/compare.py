"""Does guidance help? The same agent with and without it, the guidance alone, and holding, on the same test bars.

Every arm is evaluated in Backtrader at close fills. Training arms use the same seeds, so that their runs are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from llmguide.backtest import BacktestResult, run_backtest
from llmguide.errors import DataError, GuidanceError
from llmguide.experiments.arms import ARMS, Arm, choose_arms
from llmguide.experiments.run_folder import RunFolder
from llmguide.experiments.settings import describe_run
from llmguide.experiments.training import train_arm
from llmguide.experiments.usage import Usage, measure_usage
from llmguide.guidance import Guidance
from llmguide.rl.agent import SIDES, Agent
from llmguide.rl.config import DQNConfig
from llmguide.rl.training import Agents, as_seeds
from llmguide.stats import paired_t

__all__ = ["Comparison", "compare"]

MEASURES = ("sr", "mdd")


@dataclass(frozen=True)
class Comparison:
    """What came of every arm and seed.

    Attributes:
        runs: one row per arm and seed (seed -1 where there is nothing random): ``sr`` and ``mdd`` on the test bars
        (annual
            Sharpe ratio, positive fraction), ``final_value``, ``trades`` (positions opened), ``exposure`` (share of
            bars with shares held) and how the guidance was used (see `llmguide.experiments.usage`).
        results: the backtests by arm and seed.
        agents: the trained agents by arm.
        train, test, guidance: what it was made from.
        settings: everything that shaped it, with versions and hashes of the data.
    """

    runs: pd.DataFrame
    results: Mapping[tuple[str, int], BacktestResult]
    agents: Mapping[str, Agents]
    train: pd.DataFrame
    test: pd.DataFrame
    guidance: Guidance | None
    settings: Mapping[str, Any]

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in the order asked for."""
        return tuple(dict.fromkeys(self.runs["arm"]))

    @property
    def table(self) -> pd.DataFrame:
        """One row per arm: mean and standard deviation (ddof 1) over seeds of SR and MDD, mean trades and exposure."""
        groups = self.runs.groupby("arm", sort=False)
        columns = {
            "sr_mean": groups["sr"].mean(),
            "sr_std": groups["sr"].std(),
            "mdd_mean": groups["mdd"].mean(),
            "mdd_std": groups["mdd"].std(),
            "trades_mean": groups["trades"].mean(),
            "exposure_mean": groups["exposure"].mean(),
            "seeds": [int(size) if ARMS[str(arm)].trained else 0 for arm, size in groups.size().items()],
        }
        return pd.DataFrame(columns)

    @property
    def tests(self) -> pd.DataFrame:
        """Two-sided paired t tests over seeds of the first trained arm against every other arm.

        An arm without seeds has the same value in every pair. Columns measure, arm_a, arm_b, mean_difference (a - b),
        t, p and n; t and p are NaN where they are undefined.
        """
        columns = ["measure", "arm_a", "arm_b", "mean_difference", "t", "p", "n"]
        first = next((arm for arm in self.arms if ARMS[arm].trained), None)
        rows = []
        for measure in MEASURES if first else ():
            ours = self._by_seed(str(first), measure)
            for other in self.arms:
                if other != first:
                    theirs = self._by_seed(other, measure)
                    outcome = paired_t(ours, np.broadcast_to(theirs, ours.shape))
                    rows.append(
                        (measure, first, other, outcome.mean_difference, outcome.statistic, outcome.p, outcome.n)
                    )
        return pd.DataFrame(rows, columns=columns)

    @property
    def usage(self) -> pd.DataFrame:
        """How each arm uses the guidance, means over seeds; empty without guidance."""
        if self.guidance is None:
            return pd.DataFrame(columns=list(Usage._fields))
        return self.runs.groupby("arm", sort=False)[list(Usage._fields)].mean().dropna(how="all")

    @property
    def curves(self) -> pd.DataFrame:
        """Sharpe ratio of every trained arm after every episode (see `llmguide.rl.training.Agents.curves`)."""
        frames = [agents.curves.assign(arm=arm) for arm, agents in self.agents.items()]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def values(self, arm: str) -> pd.DataFrame:
        """Return the value after each test bar, one column per seed."""
        return pd.DataFrame({seed: r.values for (name, seed), r in self.results.items() if name == arm})

    def sides(self, arm: str) -> pd.DataFrame:
        """Return the side held after each test bar (+1, 0, -1), one column per seed."""
        return pd.DataFrame({seed: r.sides for (name, seed), r in self.results.items() if name == arm})

    def q_values(self, arm: str) -> pd.DataFrame:
        """Return the first seed's Q-values on each test bar for the side held before it: columns q_long, q_short."""
        agent = self.agents[arm][0]
        tau = self.guidance.tau(pd.DatetimeIndex(self.test.index)) if agent.guided and self.guidance else None
        start = agent.config.lookback
        table = agent.q_table(self.test, tau)
        before = self.results[arm, agent.seed].sides.shift(1).iloc[start:]
        chosen = table[np.arange(len(table)), [SIDES.index(int(side)) for side in before]]
        return pd.DataFrame(chosen, index=self.test.index[start:], columns=["q_short", "q_long"])

    def write(self, folder: Path | str) -> Path:
        """Write the run folder and return the path of its ``report.html``."""
        from llmguide.experiments.write import write_comparison  # it reads comparisons

        return write_comparison(self, Path(folder))

    def _by_seed(self, arm: str, measure: str) -> np.ndarray[Any, Any]:
        rows = self.runs[self.runs["arm"] == arm].sort_values("seed")
        return rows[measure].to_numpy(dtype=np.float64)


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
    numbers = as_seeds(seeds)
    settings = config or DQNConfig()
    _check(train, test, guidance, chosen)
    described = describe_run(
        train=train,
        test=test,
        guidance=guidance,
        arms=[arm.name for arm in chosen],
        seeds=numbers,
        episodes=episodes,
        config=settings,
        curves=curves,
    )
    folder = RunFolder.open(Path(out), described) if out is not None else None
    say = announce or (lambda line: None)
    agents = {
        arm.name: train_arm(
            arm,
            train,
            guidance,
            seeds=numbers,
            episodes=episodes,
            config=settings,
            device=device,
            curves=curves,
            test=test,
            folder=folder,
            progress=progress,
            announce=say,
        )
        for arm in chosen
        if arm.trained
    }
    say("backtesting every arm on the test bars")
    results, rows = _evaluate(chosen, agents, train, test, guidance, settings)
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
