"""How steeply a line rises."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.features import rolling
from llmguide.indicators.windowed import Windowed

__all__ = ["Slope"]


class Slope(Windowed):
    """Slope of the least-squares line through the last `period` values, per bar, in the unit of the data.

    Formula:
      - slope = sum((x - mean(x)) * y) / sum((x - mean(x))^2), x = 0 .. period - 1

    See: `llmguide.features.rolling.slope`.
    """

    lines: ClassVar[Any] = ("slope",)
    params: ClassVar[Any] = (("period", 20),)
    plotinfo: ClassVar[Any] = {"subplot": True, "plothlines": [0.0]}

    def __init__(self) -> None:
        super().__init__()
        self.look_back(self.p.period, self.data.lines[0])

    def compute(self, *inputs: rolling.Values) -> rolling.Values:
        """See `Windowed`."""
        return rolling.slope(inputs[0], period=self.p.period)
