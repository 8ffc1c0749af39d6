"""How unusual a value is."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.features import rolling
from llmguide.indicators.windowed import Windowed

__all__ = ["ZScore"]


class ZScore(Windowed):
    """Distance from the mean of the last `period` values, in their standard deviations; NaN where all are equal.

    Formula:
      - zscore = (data - mean(data, period)) / stddev(data, period), of the population as in `bt.ind.StdDev`

    See: `llmguide.features.rolling.zscore`.
    """

    lines: ClassVar[Any] = ("zscore",)
    params: ClassVar[Any] = (("period", 20),)
    plotinfo: ClassVar[Any] = {"subplot": True, "plothlines": [-2.0, 0.0, 2.0]}

    def __init__(self) -> None:
        super().__init__()
        self.look_back(self.p.period, self.data.lines[0])

    def compute(self, *inputs: rolling.Values) -> rolling.Values:
        """See `Windowed`."""
        return rolling.zscore(inputs[0], period=self.p.period)
