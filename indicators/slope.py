"""How steeply a line rises."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.features import rolling
from llmguide.indicators.windowed import Windowed

__all__ = ["Slope"]


class Slope(Windowed):
    """Slope of the least-squares line through the last `period` values, per bar, in the unit of the data.

    Params:
        period: length of the window in bars, at least 2.

    Lines:
        slope: rise of the fitted line per bar. The value at bar t is known at the close of bar t; NaN before the window
            is full.

    Formula:
      - slope = sum((x - mean(x)) * y) / sum((x - mean(x))^2), x = 0 .. period - 1

    Raises LlmguideError for a `period` below 2, DataError for a missing price in the feed.

    See: `llmguide.features.rolling.slope`.
    """

    lines: ClassVar[Any] = ("slope",)
    params: ClassVar[Any] = (("period", 20),)
    plotinfo: ClassVar[Any] = {"subplot": True, "plothlines": [0.0]}

    def __init__(self) -> None:
        super().__init__()
        self.look_back(self.p.period, self.data.lines[0])

    def compute(self, *inputs: rolling.Values) -> rolling.Values:
        """Return the slope at every bar of the `inputs`, shape ``(n,)``."""
        return rolling.slope(inputs[0], period=self.p.period)
