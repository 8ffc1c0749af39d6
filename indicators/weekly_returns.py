"""The returns of the last four weeks."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.features import rolling
from llmguide.indicators.windowed import Windowed

__all__ = ["WeeklyReturns"]

WEEKS = 4


class WeeklyReturns(Windowed):
    """Returns of the last four spans of 5 bars, fractions; week1 is the newest.

    Formula:
      - week1 = close / close(-5) - 1, week2 = close(-5) / close(-10) - 1, and so on

    See: `llmguide.features.rolling.weekly_returns`.
    """

    lines: ClassVar[Any] = tuple(f"week{week}" for week in range(1, WEEKS + 1))
    divides = True
    plotinfo: ClassVar[Any] = {"subplot": True, "plothlines": [0.0]}

    def __init__(self) -> None:
        super().__init__()
        self.look_back(rolling.WEEK * WEEKS, self.data.lines[0], before=1)

    def compute(self, *inputs: rolling.Values) -> rolling.Values:
        """See `Windowed`."""
        return rolling.weekly_returns(inputs[0], weeks=WEEKS)
