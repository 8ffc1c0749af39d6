"""How much a price moves."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.features import rolling
from llmguide.indicators.windowed import Windowed

__all__ = ["HistoricalVolatility"]


class HistoricalVolatility(Windowed):
    """Annualised standard deviation of the last `period` returns, as a fraction per year.

    Params:
        period: length of the window in returns, at least 2.
        periods: bars per year: 252 for daily bars, 52 for weekly ones.

    Lines:
        volatility: 0.2 is 20 % a year. The value at bar t is known at the close of bar t; NaN before the window is
            full.

    Formula:
      - volatility = sqrt(periods) * stddev(close / close(-1) - 1, period), ddof 1

    Raises LlmguideError for a `period` below 2, DataError for a missing price, or one that is not above 0, in the feed.

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
        """Return the volatility at every bar of the `inputs`, shape ``(n,)``."""
        return rolling.historical_volatility(inputs[0], period=self.p.period, periods=self.p.periods)
