"""The price at which most was traded lately."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.features import rolling
from llmguide.indicators.windowed import Windowed

__all__ = ["VWAP"]


class VWAP(Windowed):
    """Mean of the last `period` closes, weighted by volume; NaN where nothing was traded.

    Closes and not typical prices: where only closes are adjusted, a typical price mixes two scales.

    Formula:
      - vwap = sum(close * volume, period) / sum(volume, period)

    See: `llmguide.features.rolling.vwap`.
    """

    lines: ClassVar[Any] = ("vwap",)
    params: ClassVar[Any] = (("period", 20),)
    plotinfo: ClassVar[Any] = {"subplot": False}

    def __init__(self) -> None:
        super().__init__()
        self.look_back(self.p.period, self.data.lines.close, self.data.lines.volume)

    def compute(self, *inputs: rolling.Values) -> rolling.Values:
        """See `Windowed`."""
        return rolling.vwap(*inputs, period=self.p.period)
