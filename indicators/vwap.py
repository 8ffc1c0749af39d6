"""The price at which most was traded lately."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.features import rolling
from llmguide.indicators.windowed import Windowed

__all__ = ["VWAP"]


class VWAP(Windowed):
    """Volume-weighted mean of the last `period` closes; NaN where nothing was traded.

    It averages closes, not typical prices: where only the closes are adjusted, a typical price would mix two scales.

    Params:
        period: length of the window in bars, at least 2.

    Lines:
        vwap: a price in the unit of the data. The value at bar t is known at the close of bar t; NaN before the window
            is full.

    Formula:
      - vwap = sum(close * volume, period) / sum(volume, period)

    Raises LlmguideError for a `period` below 2, DataError for a missing price or volume in the feed.

    See: `llmguide.features.rolling.vwap`.
    """

    lines: ClassVar[Any] = ("vwap",)
    params: ClassVar[Any] = (("period", 20),)
    plotinfo: ClassVar[Any] = {"subplot": False}

    def __init__(self) -> None:
        super().__init__()
        self.look_back(self.p.period, self.data.lines.close, self.data.lines.volume)

    def compute(self, *inputs: rolling.Values) -> rolling.Values:
        """Return the VWAP at every bar of the `inputs` (closes, volumes), shape ``(n,)``."""
        return rolling.vwap(*inputs, period=self.p.period)
