"""Guidance and trained agents as vectorbt indicators, usable without anything else of llmguide.

    from llmguide.sweeps.indicators import AgentIndicator, GuidanceIndicator

    followed = GuidanceIndicator.run(close, guidance=table, threshold=[0.3, 0.5])
    portfolio = vbt.Portfolio.from_signals(close, followed.decision_equal(1), short_entries=followed.decision_equal(0))

They have what `vbt.IndicatorFactory` gives every indicator: lists of parameters and ``param_product=True``, one column
for each combination, comparisons such as ``tau_above(0.5)``, `wrapper`, plots. Every value at bar t was known at the
close of t-1 (guidance: issued by the date of t), so ``from_signals`` at the close of t, its default, does not look
ahead. Importing this module imports vectorbt.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import vectorbt  # type: ignore[import-untyped]  # has no types
from numpy.typing import NDArray

from llmguide.guidance.table import Guidance
from llmguide.sweeps.grid import make_grid
from llmguide.sweeps.market import Market
from llmguide.sweeps.rules import RULES
from llmguide.trading.account import FLAT, LONG, SHORT

__all__ = ["AgentIndicator", "GuidanceIndicator"]

Column = NDArray[np.float64]


def _decisions(rule: str, market: Market, settings: dict[str, Any]) -> NDArray[np.int8]:
    """Return what a rule of `llmguide.sweep` decides at each bar, flat before the first one."""
    grid = make_grid(settings)
    RULES[rule].restrict(grid)  # refuses what means nothing
    RULES[rule].check(market)
    wanted = np.empty((1, market.tradable), dtype=np.int8)
    RULES[rule].prepare(market, grid)(slice(0, 1), wanted)
    return np.concatenate([np.full(market.start, FLAT, dtype=np.int8), wanted[0]])


def _guidance(
    close: pd.DataFrame, guidance: Guidance, threshold: float, hold: float, max_entropy: float, min_confidence: float
) -> tuple[Column, ...]:
    """Return the outputs of `GuidanceIndicator`, shape ``(bars, columns)`` each: alike for all columns of `close`."""
    aligned = guidance.align(pd.DatetimeIndex(close.index))
    for name in close:
        guidance.check_bars(close[[name]].set_axis(["close"], axis=1))
    bars = pd.DataFrame({"close": close.iloc[:, 0]})
    market = Market({}, bars, np.ones(len(bars)), guidance, None, 0)
    settings = {"threshold": threshold, "hold": hold, "max_entropy": max_entropy, "min_confidence": min_confidence}
    columns = [aligned[name].to_numpy() for name in ("direction", "confidence", "entropy", "strength", "tau")]
    columns.append(_decisions("guidance", market, settings).astype(np.float64))
    return tuple(np.repeat(column[:, None], close.shape[1], axis=1) for column in columns)


def _agent(
    close: pd.DataFrame,
    high: pd.DataFrame,
    low: pd.DataFrame,
    volume: pd.DataFrame,
    agent: Any,
    guidance: Guidance | None,
    weight: float,
    scale: float,
    band: float,
) -> tuple[Column, Column]:
    """Return the outputs of `AgentIndicator`, shape ``(bars, columns)`` each."""
    gap, decision = np.full(close.shape, np.nan), np.empty(close.shape)
    start = agent.config.lookback
    for column in range(close.shape[1]):
        bars = pd.DataFrame(
            {
                "close": close.iloc[:, column],
                "high": high.iloc[:, column],
                "low": low.iloc[:, column],
                "volume": volume.iloc[:, column],
            }
        )
        market = Market({}, bars, bars["close"].to_numpy(dtype=np.float64), guidance, agent, start)
        done = _decisions("blend", market, {"weight": weight, "scale": scale, "band": band})
        tau = guidance.tau(market.dates) if agent.guided and guidance is not None else None
        values = agent.q_table(bars, tau)
        before = np.concatenate([[FLAT], done[start:-1]])  # the side that the gap is that of
        side = np.where(before == FLAT, 1, np.where(before == LONG, 2, 0))
        at_side = values[np.arange(len(values)), side]
        gap[start:, column] = at_side[:, LONG] - at_side[:, SHORT]
        decision[:, column] = done
    return gap, decision


GuidanceIndicator = vectorbt.IndicatorFactory(
    class_name="GuidanceIndicator",
    class_docstring="""What a guidance table says at each bar, and what follows from it.

    Input: close; a table that was made from other bars is refused. Params: guidance (a `llmguide.Guidance`), threshold,
    hold, max_entropy, min_confidence, as the rule "guidance" of `llmguide.sweep` has them. Outputs: direction,
    confidence, entropy, strength, tau, as `Guidance.align` has them; decision: 1 long, 0 short, -1 flat.""",
    module_name=__name__,
    short_name="guidance",
    input_names=["close"],
    param_names=["guidance", "threshold", "hold", "max_entropy", "min_confidence"],
    output_names=["direction", "confidence", "entropy", "strength", "tau", "decision"],
).from_apply_func(_guidance, keep_pd=True, **RULES["guidance"].defaults)

AgentIndicator = vectorbt.IndicatorFactory(
    class_name="AgentIndicator",
    class_docstring="""What a trained agent thinks of each bar, and what it decides.

    Inputs: close, high, low, volume. Params: agent (as `llmguide.load_agent` returns it), guidance (a
    `llmguide.Guidance`, needed where the agent is guided), weight, scale, band, as the rule "blend" of `llmguide.sweep`
    has them; by default the agent alone decides. Outputs: gap, the Q-value of long minus that of short, NaN before the
    first decision; decision: 1 long, 0 short, -1 flat.""",
    module_name=__name__,
    short_name="agent",
    input_names=["close", "high", "low", "volume"],
    param_names=["agent", "guidance", "weight", "scale", "band"],
    output_names=["gap", "decision"],
).from_apply_func(_agent, keep_pd=True, guidance=None, **(dict(RULES["blend"].defaults) | {"weight": 0.0}))
