"""How much a price moves."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.features import rolling
from llmguide.indicators.windowed import Windowed

__all__ = ["HistoricalVolatility"]


class HistoricalVolatility(Windowed):
    """Standard deviation of the last `period` returns, annualised: a fraction a year.

    `period` is the length of the window, `periods` the number of bars in a year: 252 of days, 52 of weeks.

    Formula:
      - volatility = sqrt(periods) * stddev(close / close(-1) - 1, period), with n - 1

    See: `llmguide.features.rolling.historical_volatility`.
    """

    lines: ClassVar[Any] = ("volatility",)
    params: ClassVar[Any] = (("period", 20), ("periods", 252))
    divides = True
    plotinfo: ClassVar[Any] = {"subplot": True}

    def __init__(self) -> None:
        super().__init__()
        self.look_back(self.p.period, self.data.lines[0], before=1)

    def compute(self, *inputs: rolling.Values) -> rolling.Values:
        """See `Windowed`."""
        return rolling.historical_volatility(inputs[0], period=self.p.period, periods=self.p.periods)
