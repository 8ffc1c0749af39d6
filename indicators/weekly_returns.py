"""The returns of the last four weeks."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.features import rolling
from llmguide.indicators.windowed import Windowed

__all__ = ["WeeklyReturns"]

WEEKS = 4


class WeeklyReturns(Windowed):
    """Returns over the last four spans of five bars, as fractions.

    Lines:
        week1: return over the newest five bars. All four values at bar t are known at the close of bar t; NaN for the
            first 20 bars.
        week2: return over the five bars before those.
        week3: return over the five bars before those.
        week4: return over the oldest five bars.

    Formula:
      - week1 = close / close(-5) - 1, week2 = close(-5) / close(-10) - 1, and so on

    Raises DataError for a missing price, or one that is not above 0, in the feed.

    See: `llmguide.features.rolling.weekly_returns`.
    """

    lines: ClassVar[Any] = tuple(f"week{week}" for week in range(1, WEEKS + 1))
    divides = True
    plotinfo: ClassVar[Any] = {"subplot": True, "plothlines": [0.0]}

    def __init__(self) -> None:
        super().__init__()
        self.look_back(rolling.WEEK * WEEKS, self.data.lines[0], before=1)

    def compute(self, *inputs: rolling.Values) -> rolling.Values:
        """Return the returns of all weeks at every bar of the `inputs`, shape ``(n, 4)``."""
        return rolling.weekly_returns(inputs[0], weeks=WEEKS)
