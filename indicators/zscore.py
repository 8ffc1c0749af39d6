"""How unusual a value is."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.features import rolling
from llmguide.indicators.windowed import Windowed

__all__ = ["ZScore"]


class ZScore(Windowed):
    """Distance from the mean of the last `period` values, in standard deviations; NaN where all of them are equal.

    Params:
        period: length of the window in bars, at least 2.

    Lines:
        zscore: signed distance from the mean. The value at bar t is known at the close of bar t; NaN before the window
            is full.

    Formula:
      - zscore = (data - mean(data, period)) / stddev(data, period), the population's (ddof 0) as in `bt.ind.StdDev`

    Raises LlmguideError for a `period` below 2, DataError for a missing price in the feed.

    See: `llmguide.features.rolling.zscore`.
    """

    lines: ClassVar[Any] = ("zscore",)
    params: ClassVar[Any] = (("period", 20),)
    plotinfo: ClassVar[Any] = {"subplot": True, "plothlines": [-2.0, 0.0, 2.0]}

    def __init__(self) -> None:
        super().__init__()
        self.look_back(self.p.period, self.data.lines[0])

    def compute(self, *inputs: rolling.Values) -> rolling.Values:
        """Return the z-score at every bar of the `inputs`, shape ``(n,)``."""
        return rolling.zscore(inputs[0], period=self.p.period)
