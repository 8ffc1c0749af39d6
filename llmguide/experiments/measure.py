"""Backtest one run of one arm on the test bars, and put what came of it in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from llmguide.backtest import BacktestResult, run_backtest
from llmguide.experiments.arms import Arm
from llmguide.experiments.learners.learner import learner_of
from llmguide.experiments.usage import Usage, agreement
from llmguide.guidance import Guidance
from llmguide.mixture import Mix
from llmguide.rl.config import DQNConfig

if TYPE_CHECKING:
    from llmguide.experiments.arms import Trained

__all__ = ["NO_SEED", "Measured", "measure"]

NO_SEED = -1
"""Stands for the seed where nothing is random."""

_NO_USAGE = Usage(*[float("nan")] * len(Usage._fields))


class Measured(NamedTuple):
    """A backtest, and its row: arm, seed, sr, mdd, final_value, trades, exposure and the fields of `Usage`.

    `mixed` is what the experts came to, where the arm mixes some.
    """

    result: BacktestResult
    row: dict[str, Any]
    mixed: Mix | None = None


def measure(
    arm: Arm,
    agent: Trained | None,
    *,
    train: pd.DataFrame,
    test: pd.DataFrame,
    guidance: Guidance | None,
    config: DQNConfig,
    periods: float | None = None,
) -> Measured:
    """Run an arm in Backtrader at close fills, and measure how its agent used the guidance.

    Of a mixture only the agreement on the test bars is measured: that of its position's sign, flat agreeing with
    nothing.

    Args:
        arm: what trades.
        agent: the trained agent or policy, None where the arm has none.
        train: raw training bars; an arm with moving averages chooses their windows on them.
        test: raw test bars, on which it trades.
        guidance: a table that covers both, or None where there is none.
        config: capital, cost and lookback.
        periods: bars per year; None reads it from the dates of the test bars.
    """
    mixed = arm.mix(agent, guidance, train, test, config)
    result = run_backtest(
        test, arm.strategy, cash=config.cash, cost=config.cost, start=config.lookback, periods=periods,
        **arm.params(agent, guidance, train, config, mixed),
    )  # fmt: skip
    usage = _NO_USAGE
    if agent is not None and guidance is not None:
        aligned = [guidance.align(pd.DatetimeIndex(bars.index)) for bars in (train, test)]
        if mixed is None:
            usage = learner_of(arm).measure_usage(agent, result, train, test, *aligned)
        else:
            said = aligned[1]["direction"].iloc[config.lookback :]
            usage = usage._replace(agreement_test=agreement(mixed.decisions, said))
    row = {
        "arm": arm.name,
        "seed": NO_SEED if agent is None else agent.seed,
        "sr": result.sharpe,
        "mdd": result.max_drawdown,
        "final_value": float(result.values.iloc[-1]),
        "trades": result.trade_count,
        "exposure": result.exposure,
        **usage._asdict(),
    }
    return Measured(result, row, mixed)
