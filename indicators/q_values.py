"""A trained agent's Q-values as lines."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any, ClassVar

import backtrader as bt
import numpy as np
from numpy.typing import NDArray

from llmguide.backtest.feed_checks import check_values
from llmguide.errors import DataError, ModelError
from llmguide.indicators.llm_guidance import LLMGuidance
from llmguide.rl.agent import Agent
from llmguide.rl.checkpoint import load_agent
from llmguide.trading.observation import MarketArrays

__all__ = ["QValues", "as_agent"]

TABLE = ("short_if_short", "long_if_short", "short_if_none", "long_if_none", "short_if_long", "long_if_long")
"""Lines of the table of Q-values, in the order of `Agent.q_values`: side -1, 0, +1 by action short, long."""


class QValues(bt.Indicator):
    """Q-values of going long and short at bar t, from the bars up to and including t-1.

    ``QValues(data, model="hybrid-0.safetensors", guidance="aapl.parquet")``; `model` is an `Agent` or the path of a
    checkpoint, `guidance` a `Guidance`, the path of one, or an `LLMGuidance` on the same data; the agent sees the row
    in force on the date of bar t. An agent without guidance takes none.

    Lines: `long` and `short`, the Q-values for the *current side*. A Q-value depends on the side that is held, which an
    indicator cannot know; so the lines follow the agent's own greedy path (from side 0 on, always taking the larger
    Q-value; a tie is short), and a strategy that holds another side calls `select` in its `next`. The line `side` is
    that path's side before bar t; the other six are the table for all three sides.

    The first value is at bar t = lookback. All bars are computed in one batch when they are preloaded, and one by one
    when they are not; the two agree to about 1e-15.
    """

    lines: ClassVar[Any] = ("long", "short", "side", *TABLE)
    params: ClassVar[Any] = (("model", None), ("guidance", None))
    plotinfo: ClassVar[Any] = {"subplot": True, "plotname": "Q-values"}
    plotlines: ClassVar[Any] = {
        "long": {"color": "tab:green"},
        "short": {"color": "tab:red"},
        "side": {"_plotskip": True},
        **{name: {"_plotskip": True} for name in TABLE},
    }

    def __init__(self) -> None:
        super().__init__()
        self.agent = as_agent(self.p.model, needed_by="QValues")
        if self.agent.guided != (self.p.guidance is not None):
            raise ModelError(
                "this agent was trained with guidance; give QValues guidance="
                if self.agent.guided
                else "this agent was trained without guidance; give QValues no guidance"
            )
        self._tau = self._find_tau()
        config = self.agent.config
        # Bars before t that the observation is made of: the lookback, and the history of the oldest smoothed bar.
        self._reach = config.lookback + max(config.smoothing - 1, 0)
        self.addminperiod(config.lookback + 1)

    def select(self, side: int) -> tuple[float, float]:
        """Make the current bar's lines those of `side` (+1, -1, 0); return ``(short, long)``."""
        short, long = self._table_at(0, side)
        self.lines.short[0], self.lines.long[0] = short, long
        return short, long

    def qbuffer(self, savemem: int = 0) -> None:
        """Keep the data's last bars where Backtrader saves memory: the smoothing needs more than the warm-up does."""
        super().qbuffer(savemem)
        for data in self.datas:
            data.minbuffer(self._reach + 1)

    def next(self) -> None:
        """Compute the current bar."""
        t = len(self.data) - 1
        first = max(0, t - self._reach)
        market = [np.array(line.get(ago=-1, size=t - first), dtype=np.float64) for line in self._market_lines()]
        tau = None if self._tau is None else np.array([self._tau[0]])
        (row,) = self._compute(MarketArrays(*market), first, 1, tau)
        for name, value in zip(TABLE, row, strict=True):
            getattr(self.lines, name)[0] = value
        side = _next_side(self.lines.side[-1], *self._table_at(-1, self.lines.side[-1]))
        self.lines.side[0] = side
        self.select(side)

    def once(self, start: int, end: int) -> None:
        """Compute the preloaded bars `start` to `end` - 1 in one batch."""
        end = min(end, self.data.buflen())
        if start >= end:
            return
        first = max(0, start - self._reach)
        market = [np.array(line.array[first : end - 1], dtype=np.float64) for line in self._market_lines()]
        tau = None if self._tau is None else np.array(self._tau.array[start:end])
        rows = self._compute(MarketArrays(*market), first, end - start, tau)
        for name, column in zip(TABLE, rows.T, strict=True):
            getattr(self.lines, name).array[start:end] = array("d", column)
        table = [getattr(self.lines, name).array for name in TABLE]
        long, short, sides = self.lines.long.array, self.lines.short.array, self.lines.side.array
        for t in range(start, end):
            side = _next_side(sides[t - 1], short[t - 1], long[t - 1])
            column = 2 * (side + 1)
            sides[t], short[t], long[t] = side, table[column][t], table[column + 1][t]

    def _plotlabel(self) -> list[str]:
        model = self.p.model
        return [f"seed {model.seed}" if isinstance(model, Agent) else Path(model).name]

    def _find_tau(self) -> Any:
        guidance = self.p.guidance
        if guidance is None:
            return None
        if not isinstance(guidance, LLMGuidance):
            guidance = LLMGuidance(self.data, guidance=guidance)
        return guidance.lines.tau

    def _market_lines(self) -> tuple[Any, ...]:
        return tuple(getattr(self.data.lines, name) for name in MarketArrays._fields)

    def _table_at(self, ago: int, side: float) -> tuple[float, float]:
        """Return ``(short, long)`` of one side."""
        column = 2 * (int(side) + 1) if side == side else 0
        return getattr(self.lines, TABLE[column])[ago], getattr(self.lines, TABLE[column + 1])[ago]

    def _compute(
        self, market: MarketArrays, first: int, count: int, tau: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Return the table of the last `count` bars, shape ``(count, 6)``.

        `market` goes from bar `first` to the bar before the last of these.
        """
        for name, values in market._asdict().items():
            check_values(self.data, name, values, first=first, needed_by="the agent", positive=name != "volume")
        features = self.agent.features(market, first=first)[-count:]
        if not np.isfinite(features).all():
            raise DataError(
                f"the agent cannot observe missing or zero prices and volumes (near bar {first + len(market.close)}); "
                "pass the bars through llmguide.read_bars"
            )
        return self.agent.q_values(features, tau).reshape(count, len(TABLE))


def _next_side(side: float, short: float, long: float) -> int:
    """Return the side after the larger Q-value was followed; 0 where there was no bar before."""
    if side != side:
        return 0
    return 1 if long > short else -1


def as_agent(model: Any, *, needed_by: str, guided: bool | None = None) -> Agent:
    """Return the agent that `model` is or is the path of; it must have been trained with (or without) guidance."""
    if isinstance(model, str | Path):
        return load_agent(model, guided=guided)
    if not isinstance(model, Agent):
        raise ModelError(
            f"{needed_by} needs model=, an agent or the path of a checkpoint, got {model!r}; "
            "train one with: llmguide train"
        )
    if guided is not None and model.guided != guided:
        raise ModelError(
            f"{needed_by} needs an agent trained {'with' if guided else 'without'} guidance, and this one was trained "
            f"{'with' if model.guided else 'without'}; use {'LLMGuidedDQN' if model.guided else 'DQN'} for it"
        )
    return model
