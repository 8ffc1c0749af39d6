"""The door: every control of every arm that takes guidance, and the test of the guidance against its shuffled self."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.experiments.arms import Arm
from llmguide.experiments.measure import NO_SEED
from llmguide.experiments.placebo.follow import follow_tables
from llmguide.experiments.placebo.plan import is_controlled
from llmguide.experiments.placebo.tables import GIVEN, SHUFFLED, Control
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.rl.config import DQNConfig
from llmguide.trading.simulate import returns_of

__all__ = ["CONTROLS", "PLACEBO", "PermutationTest", "Placebo", "measure_controls", "permutation_test"]

CONTROLS = ("arm", "control", "accuracy", "draw", "seed", "sr", "mdd", "uses_future")
PLACEBO = ("arm", "sr", "shuffled_mean", "shuffled_low", "shuffled_high", "shuffles", "as_good", "p", "changes")
_ROUNDING = 1e-12


class Placebo(NamedTuple):
    """What was measured.

    Attributes:
        controls: one row per arm, table and seed of the agent: columns `CONTROLS`. ``control`` is guidance, shuffled,
            inverted, constant, rules or oracle; ``accuracy`` that of the oracle, else NaN; ``draw`` the seed of a
            shuffle or an oracle's mistakes, else -1; ``sr`` (annual; NaN for an account that never trades) and ``mdd``
            (positive fraction) are of the test bars.
        placebo: the permutation test, one row per arm: columns `PLACEBO`. ``sr`` is the arm's with the guidance, mean
            over seeds; ``shuffled_mean``, ``shuffled_low`` and ``shuffled_high`` are mean, 5 % and 95 % quantile of the
            shuffles; ``as_good`` counts those that are at least as high, and ``p`` is (1 + as_good) / (1 + shuffles).
            ``changes`` says whether any shuffle told the arm something else than the guidance does; where none did,
            nothing was tested.
    """

    controls: pd.DataFrame
    placebo: pd.DataFrame


def measure_controls(
    controls: Sequence[Control],
    arms: Sequence[Arm],
    agents: Mapping[str, Any],
    *,
    train: pd.DataFrame,
    test: pd.DataFrame,
    config: DQNConfig,
    periods: float,
    announce: Callable[[str], None],
) -> Placebo:
    """Trade the test bars by the guidance and by each control; arms that take no guidance are left out.

    Args:
        controls: the guidance and the tables beside it, as `control_tables` returns them.
        arms: of the comparison.
        agents: what was trained for each arm, by name; nothing is trained here.
        train, test: raw bars.
        config: capital, cost and lookback.
        periods: bars per year.
        announce: called with one line for each arm.
    """
    kinds = np.array([control.name for control in controls])
    rows: list[tuple[Any, ...]] = []
    tests: list[tuple[Any, ...]] = []
    for arm in arms:
        if not is_controlled(arm):
            continue
        announce(f"backtesting {arm.name} on {len(controls) - 1} control tables")
        own = list(agents[arm.name]) if arm.trained else []
        told = follow_tables(arm, own, [control.table for control in controls], train=train, test=test, config=config)
        ratios = np.array([[_sharpe(one, periods) for one in by_table] for by_table in told.values])  # (agents, tables)
        for seed, ours, accounts in zip([agent.seed for agent in own] or [NO_SEED], ratios, told.values, strict=True):
            rows += [
                (arm.name, one.name, one.accuracy, one.draw, seed, ratio, max_drawdown(value), one.table.uses_future)
                for one, ratio, value in zip(controls, ours, accounts, strict=True)
            ]
        means = np.nan_to_num(ratios).mean(axis=0)  # an account that never trades has earned nothing
        drawn = kinds == SHUFFLED
        changes = not _same(told.inputs[drawn], told.inputs[kinds == GIVEN])
        tests.append((arm.name, *permutation_test(float(means[kinds == GIVEN][0]), means[drawn]), changes))
    return Placebo(pd.DataFrame(rows, columns=list(CONTROLS)), pd.DataFrame(tests, columns=list(PLACEBO)))


class PermutationTest(NamedTuple):
    """What happened beside what other orders gave: see `Placebo.placebo` for each."""

    sr: float
    shuffled_mean: float
    shuffled_low: float
    shuffled_high: float
    shuffles: int
    as_good: int
    p: float


def permutation_test(ours: float, drawn: NDArray[np.float64]) -> PermutationTest:
    """Return the one-sided test of a Sharpe ratio against those of random orders, shape ``(shuffles,)``.

    p = (1 + k) / (1 + n), with k the orders that are at least as good: what happened is one of the orders too, and a p
    that leaves it out is 0 now and then, and at most 5 % too often (Phipson and Smyth 2010, Statistical Applications in
    Genetics and Molecular Biology 9, article 39).
    """
    as_good = int((drawn >= ours - _ROUNDING).sum())
    low, high = (float(bound) for bound in np.quantile(drawn, [0.05, 0.95]))
    p = (1 + as_good) / (1 + len(drawn))
    return PermutationTest(ours, float(drawn.mean()), low, high, len(drawn), as_good, p)


def _sharpe(values: NDArray[np.float64], periods: float) -> float:
    return sharpe_ratio(returns_of(values), periods=periods)


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return bool(np.array_equal(one, np.broadcast_to(other, one.shape), equal_nan=True))
