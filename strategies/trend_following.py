"""Go with the trend."""

from __future__ import annotations

from llmguide.strategies.moving_averages import MovingAverageStrategy

__all__ = ["TrendFollowing"]


class TrendFollowing(MovingAverageStrategy):
    """Long while the mean of the last `short` closes is at least that of the last `long` ones, short otherwise.

    ``TrendFollowing(short=2, long=21)``; params are those of `MovingAverageStrategy` and `AccountStrategy`. Uses bars
    up to and including t-1.

    Source: a baseline of arXiv 2004.06627, section 5.2.
    """

    rule = "trend"
