"""A trained agent's Q-values as lines."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import backtrader as bt
import numpy as np
from numpy.typing import NDArray

from llmguide.backtest.feed_checks import check_values
from llmguide.errors import DataError, ModelError
from llmguide.indicators.llm_guidance import LLMGuidance
from llmguide.rl.agent import Agent, best_decision
from llmguide.rl.checkpoint import load_agent
from llmguide.trading.account import side_of
from llmguide.trading.observation import MarketArrays

__all__ = ["QValues", "as_agent"]

TABLE = ("short_if_short", "long_if_short", "short_if_none", "long_if_none", "short_if_long", "long_if_long")
"""Lines of the table of Q-values, in the order of `Agent.q_values`: side -1, 0, +1 by action short, long."""
FLAT_TABLE = ("flat_if_short", "flat_if_none", "flat_if_long")
"""Those of the third action, which some agents have."""


class QValues(bt.Indicator):
    """Q-values of a trained agent for going long, short or flat at bar t.

    For example::

        QValues(data, model="hybrid-0.safetensors", guidance="aapl.parquet")

    A Q-value depends on the side that is held, which an indicator cannot know. The lines `long`, `short` and `flat`
    therefore follow the agent's own greedy path, from side 0 on, always taking the largest Q-value; a tie is short. A
    strategy that may hold another side calls `select` in its `next`.

    Params:
        model: an `Agent`, or the path of a checkpoint.
        guidance: for an agent that was trained with guidance: a `Guidance`, the path of one, or an `LLMGuidance` on the
            same data. The agent sees the row in force on the date of bar t. None for an agent without guidance.

    Lines:
        long: Q-value of going long, for the current side. All lines at bar t are known at the close of bar t-1, except
            that guidance may be of bar t's date; the first value is at bar t = lookback.
        short: Q-value of going short, for the current side.
        flat: Q-value of holding nothing, for the current side; NaN where the agent has two actions.
        side: the side before bar t on the agent's greedy path: +1, -1 or 0.
        short_if_short: Q-value of going short while short; the lines below are named in the same way.
        long_if_short: of going long while short.
        flat_if_short: of going flat while short; NaN where the agent has two actions.
        short_if_none: of going short while nothing is held.
        long_if_none: of going long while nothing is held.
        flat_if_none: of staying flat; NaN where the agent has two actions.
        short_if_long: of going short while long.
        long_if_long: of staying long.
        flat_if_long: of going flat while long; NaN where the agent has two actions.

    Attributes:
        agent: the `llmguide.rl.agent.Agent`.

    Preloaded bars are computed in one batch, others one by one; the two agree to about 1e-15.

    Raises:
        ModelError: no agent or checkpoint; guidance for an agent without it, or none for an agent that needs it.
        DataError: missing prices or volumes.
    """

    lines: ClassVar[Any] = ("long", "short", "side", *TABLE, "flat", *FLAT_TABLE)
    params: ClassVar[Any] = (("model", None), ("guidance", None))
    plotinfo: ClassVar[Any] = {"subplot": True, "plotname": "Q-values"}
    plotlines: ClassVar[Any] = {
        "long": {"color": "tab:green"},
        "short": {"color": "tab:red"},
        "flat": {"color": "tab:gray"},
        "side": {"_plotskip": True},
        **{name: {"_plotskip": True} for name in (*TABLE, *FLAT_TABLE)},
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
        self._current: tuple[str, ...] = ("short", "long")
        self._table: tuple[str, ...] = TABLE
        if config.actions == 3:
            pairs = zip(TABLE[::2], TABLE[1::2], FLAT_TABLE, strict=True)
            self._current, self._table = ("short", "long", "flat"), tuple(name for names in pairs for name in names)
        # Bars before t that the observation is made of: the lookback, and the history of the oldest smoothed bar.
        self._reach = config.lookback + max(config.smoothing - 1, 0)
        self.addminperiod(config.lookback + 1)

    def select(self, side: int) -> tuple[float, ...]:
        """Set the current bar's lines to those of `side` (+1, -1, 0) and return ``(short, long)``, or ``(short, long,
        flat)``.
        """
        values = self._table_at(0, side)
        for name, value in zip(self._current, values, strict=True):
            getattr(self.lines, name)[0] = value
        return values

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
        for name, value in zip(self._table, row, strict=True):
            getattr(self.lines, name)[0] = value
        side = _next_side(self.lines.side[-1], self._table_at(-1, self.lines.side[-1]))
        self.lines.side[0] = side
        self.select(side)

    def once(self, start: int, end: int) -> None:
        """Compute the preloaded bars from `start` to `end` - 1 in one batch."""
        end = min(end, self.data.buflen())
        if start >= end:
            return
        first = max(0, start - self._reach)
        market = [np.array(line.array[first : end - 1], dtype=np.float64) for line in self._market_lines()]
        tau = None if self._tau is None else np.array(self._tau.array[start:end])
        rows = self._compute(MarketArrays(*market), first, end - start, tau)
        for name, column in zip(self._table, rows.T, strict=True):
            getattr(self.lines, name).array[start:end] = array("d", column)
        table = [getattr(self.lines, name).array for name in self._table]
        current, sides = [getattr(self.lines, name).array for name in self._current], self.lines.side.array
        for t in range(start, end):
            side = _next_side(sides[t - 1], [values[t - 1] for values in current])
            sides[t] = side
            for values, column in zip(current, table[self._columns(side)], strict=True):
                values[t] = column[t]

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

    def _table_at(self, ago: int, side: float) -> tuple[float, ...]:
        """Return the values of one side, in the order of the actions."""
        names = self._table[self._columns(int(side) if side == side else -1)]
        return tuple(getattr(self.lines, name)[ago] for name in names)

    def _columns(self, side: int) -> slice:
        """Return where in the table the values of a side stand."""
        actions = len(self._current)
        return slice(actions * (side + 1), actions * (side + 2))

    def _compute(
        self, market: MarketArrays, first: int, count: int, tau: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Return the table of the last `count` bars, shape ``(count, 3 * actions)``.

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
        return self.agent.q_values(features, tau).reshape(count, len(self._table))


def _next_side(side: float, values: Sequence[float]) -> int:
    """Return the side after the largest Q-value was followed; 0 where there was no bar before."""
    if side != side:
        return 0
    return side_of(best_decision(values))


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
