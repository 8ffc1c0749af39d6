"""What a sweep is measured on: one instrument's bars, with the guidance and the agent for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import LlmguideError
from llmguide.guidance.in_force import check_in_force
from llmguide.guidance.table import Guidance
from llmguide.periods import DEFAULT

if TYPE_CHECKING:
    from llmguide.rl.agent import Agent

__all__ = ["Market", "check_guidance", "kind_of"]


@dataclass(frozen=True)
class Market:
    """What a rule may look at: one instrument's bars, and the guidance and agent for it.

    Attributes:
        labels: where it stands in the frame of a sweep: symbol, guidance, or neither.
        bars: as `llmguide.read_bars` returns them.
        prices: their closes, shape ``(bars,)``.
        guidance, agent: None where the sweep has none.
        start: the first tradable bar.
        history: bars before these, for rules that look back on them; None where there are none.
        periods: bars per year.
    """

    labels: dict[str, str]
    bars: pd.DataFrame
    prices: NDArray[np.float64]
    guidance: Guidance | None
    agent: Agent | None
    start: int
    periods: float = DEFAULT
    history: pd.DataFrame | None = None

    @property
    def tradable(self) -> int:
        """Number of bars with a decision."""
        return len(self.prices) - self.start

    @property
    def so_far(self) -> pd.DataFrame:
        """The history and the bars as one frame."""
        return self.bars if self.history is None else pd.concat([self.history, self.bars])

    @property
    def dates(self) -> pd.DatetimeIndex:
        """The dates of the bars; LlmguideError where they have none."""
        if not isinstance(self.bars.index, pd.DatetimeIndex):
            raise LlmguideError(
                f"guidance needs bars with dates, got an index of type {type(self.bars.index).__name__}"
            )
        return self.bars.index


def kind_of(index: pd.Index[Any]) -> str:
    """Return in words what an index consists of, as far as two can be compared."""
    if not isinstance(index, pd.DatetimeIndex):
        return "no dates" if len(index) == 0 or isinstance(index, pd.RangeIndex) else f"an index of {index.dtype}"
    return f"dates {'without' if index.tz is None else 'with'} a time zone"


def check_guidance(market: Market) -> None:
    """Refuse guidance of another time than the tradable bars, and warn where it ends long before they do."""
    if market.guidance is not None:
        name, symbol = " ".join(["guidance", *market.labels.values()]), market.labels.get("symbol", "")
        check_in_force(market.guidance, market.bars, market.dates, start=market.start, name=name, symbol=symbol)
