"""What a comparison found: runs, tables, tests, and the series behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from llmguide.backtest import BacktestResult
from llmguide.errors import LlmguideError
from llmguide.experiments.arms import ARMS
from llmguide.experiments.bar_intervals import bar_intervals
from llmguide.experiments.paired import against_others
from llmguide.experiments.placebo.run import CONTROLS, PLACEBO, Placebo
from llmguide.experiments.usage import Usage
from llmguide.guidance import Guidance
from llmguide.mixture import Mix
from llmguide.rl.agent import SIDES
from llmguide.rl.flag.training import TrainedPolicies
from llmguide.rl.training import Agents

__all__ = ["ComparisonResult"]

MEASURES = ("sr", "mdd")


@dataclass(frozen=True)
class ComparisonResult:
    """The result of every arm and seed of a comparison.

    Attributes:
        runs: one row per arm and seed (seed -1 where nothing is random): ``sr`` and ``mdd`` on the test bars (annual
            Sharpe ratio, positive fraction), ``final_value``, ``trades`` (positions opened), ``exposure`` (share of
            bars with shares held) and how the guidance was used (see `llmguide.experiments.usage`).
        results: the backtests by arm and seed.
        agents: what was trained, by arm: double-DQN agents, and the policies of the arm flag.
        train: the training bars.
        test: the test bars.
        guidance: the table of guidance, or None.
        settings: everything that shaped the comparison, with versions and hashes of the data.
        mixed: the mixture's `llmguide.mixture.Mix` on training and test bars, by seed.
        measured_controls: the arms with other guidance, and whether the guidance is worth more than its shuffled self;
            None where controls were not asked for. `controls` and `placebo` are its tables.
    """

    runs: pd.DataFrame
    results: Mapping[tuple[str, int], BacktestResult]
    agents: Mapping[str, Agents | TrainedPolicies]
    train: pd.DataFrame
    test: pd.DataFrame
    guidance: Guidance | None
    settings: Mapping[str, Any]
    mixed: Mapping[int, Mix] = field(default_factory=dict)
    measured_controls: Placebo | None = None

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in the order asked for."""
        return tuple(dict.fromkeys(self.runs["arm"]))

    @property
    def table(self) -> pd.DataFrame:
        """One row per arm, with mean and deviation (ddof 1) over seeds of SR and MDD, and mean trades and exposure."""
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
        """Two-sided paired tests over seeds of the first trained arm against every other arm.

        An arm without seeds has the same value in every pair. Columns measure, arm_a, arm_b, mean_difference (a - b),
        t, p and n of the t test, p_wilcoxon of the signed-rank test, and p_holm, the t test's p corrected for the
        number of arms compared by the same measure; t and p are NaN where they are undefined.
        """
        return against_others(self._first_trained, self.arms, MEASURES, self._by_seed)

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """95 % intervals over the test bars, of every arm and of its differences from others.

        The differences are the first trained arm minus every other one, and every arm minus ``hold``.

        Columns arm, minus (None in an arm's own row), sr, sr_low, sr_high, mdd, mdd_low, mdd_high and block, the mean
        length of the bootstrap's blocks in bars. ``sr`` and ``mdd`` are the means over seeds of `table`, or their
        differences. All rows draw the same bars: 2,000 resamples by the stationary bootstrap (see
        `llmguide.stats.bootstrap`), and each takes the mean over all seeds, since any one seed would be an arbitrary
        choice and the mean curve is an account that nobody held.

        They say what other stretches of this market could have brought to these agents, where `tests` say what other
        seeds could have.
        """
        returns = {arm: self._returns(arm) for arm in self.arms}
        return bar_intervals(returns, first=self._first_trained, periods=self.settings["periods"], benchmark="hold")

    @property
    def usage(self) -> pd.DataFrame:
        """How much each arm uses the guidance, as means over seeds; empty without guidance."""
        if self.guidance is None:
            return pd.DataFrame(columns=list(Usage._fields))
        return self.runs.groupby("arm", sort=False)[list(Usage._fields)].mean().dropna(how="all")

    @property
    def controls(self) -> pd.DataFrame:
        """Every arm with the guidance and with each control, and the other arms, whose control is "none", once.

        Columns `llmguide.experiments.placebo.run.CONTROLS`, see `Placebo`; empty where controls were not asked for.
        """
        if self.measured_controls is None:
            return pd.DataFrame(columns=list(CONTROLS))
        found = self.measured_controls.controls
        others = self.runs.loc[~self.runs["arm"].isin(found["arm"]), ["arm", "seed", "sr", "mdd"]]
        if others.empty:
            return found
        same = others.assign(control="none", accuracy=np.nan, draw=-1, uses_future=False)
        return pd.concat([found, same[list(CONTROLS)]], ignore_index=True)

    @property
    def placebo(self) -> pd.DataFrame:
        """The permutation test of each arm that takes guidance; empty where controls were not asked for.

        Columns `llmguide.experiments.placebo.run.PLACEBO`, see `Placebo`.
        """
        return pd.DataFrame(columns=list(PLACEBO)) if self.measured_controls is None else self.measured_controls.placebo

    @property
    def curves(self) -> pd.DataFrame:
        """Sharpe ratio of every double-DQN arm after every episode (see `llmguide.rl.training.Agents.curves`).

        Of a mixture it is that of its agent alone. The arm flag has `rollouts`.
        """
        return self._curves_of(Agents)

    @property
    def rollouts(self) -> pd.DataFrame:
        """Progress of the policies of the arm flag, one row per seed and rollout; empty without that arm.

        Columns arm, and those of `llmguide.rl.flag.training.TrainedPolicies.curves`.
        """
        return self._curves_of(TrainedPolicies)

    @property
    def weights(self) -> dict[str, pd.DataFrame]:
        """The weight of each expert of the mixture on every test bar, by expert, one column per seed; empty without a
        mixture.
        """
        on_test = {seed: mixed.weights.loc[self.test.index] for seed, mixed in self.mixed.items()}
        experts = dict.fromkeys(str(expert) for weights in on_test.values() for expert in weights)
        return {name: pd.DataFrame({seed: weights[name] for seed, weights in on_test.items()}) for name in experts}

    def values(self, arm: str) -> pd.DataFrame:
        """Return the account's value after each test bar of `arm`, one column per seed."""
        return pd.DataFrame({seed: r.values for (name, seed), r in self.results.items() if name == arm})

    def sides(self, arm: str) -> pd.DataFrame:
        """Return the side held after each test bar of `arm` (+1, 0, -1), one column per seed."""
        return pd.DataFrame({seed: r.sides for (name, seed), r in self.results.items() if name == arm})

    def q_values(self, arm: str, seed: int | None = None) -> pd.DataFrame:
        """Return the Q-values of one `seed` of `arm` on each test bar, for the side held before it; None is the first
        seed.

        Columns q_short, q_long, and q_flat for agents with three actions. Raises LlmguideError for a mixture, which
        does not trade by its agent's Q-values alone, and for the arm flag, whose policy has none.
        """
        if ARMS[arm].mixed:
            raise LlmguideError(
                f"the arm {arm!r} does not trade by its agent's Q-values alone; see its weights instead"
            )
        agents = self.agents[arm]
        if not isinstance(agents, Agents):
            raise LlmguideError(
                f"the arm {arm!r} has no Q-values: its policy chooses by probabilities, which "
                "llmguide.rl.flag.evaluation.walk_flag(policy, bars) returns"
            )
        agent = next(agent for agent in agents if seed in (None, agent.seed))
        tau = self.guidance.tau(pd.DatetimeIndex(self.test.index)) if agent.guided and self.guidance else None
        start = agent.config.lookback
        table = agent.q_table(self.test, tau)
        before = self.results[arm, agent.seed].sides.shift(1).iloc[start:]
        chosen = table[np.arange(len(table)), [SIDES.index(int(side)) for side in before]]
        return pd.DataFrame(
            chosen, index=self.test.index[start:], columns=["q_short", "q_long", "q_flat"][: chosen.shape[1]]
        )

    @property
    def _first_trained(self) -> str | None:
        return next((arm for arm in self.arms if ARMS[arm].trained), None)

    def _curves_of(self, kind: type[Agents] | type[TrainedPolicies]) -> pd.DataFrame:
        frames = [found.curves.assign(arm=arm) for arm, found in self.agents.items() if isinstance(found, kind)]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def _returns(self, arm: str) -> np.ndarray[Any, Any]:
        """Returns on each test bar, shape (bars, seeds)."""
        return np.column_stack([r.returns for (name, _), r in self.results.items() if name == arm])

    def _by_seed(self, arm: str, measure: str) -> np.ndarray[Any, Any]:
        rows = self.runs[self.runs["arm"] == arm].sort_values("seed")
        return rows[measure].to_numpy(dtype=np.float64)
