"""Experts, each trusted as far as it has earned it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd

from llmguide.backtest.broker import cost_rate
from llmguide.indicators import ExpertWeights
from llmguide.mixture import Mix, Weighed
from llmguide.strategies.sized import SizedStrategy

__all__ = ["MixtureOfExperts"]


class MixtureOfExperts(SizedStrategy):
    """Holds the mean of its experts' sides, each weighted by what it has earned so far, out of sample and after cost.

    For example::

        MixtureOfExperts(experts={"agent": "rl-0.safetensors", "guidance": "aapl.parquet", "hold": "hold"})

    The positions are those of `llmguide.mix` on the history and the feed, with the broker's commission as the cost. The
    position taken at the close of bar t uses bars up to and including t-1.

    Params:
        experts: by name, each of: "hold"; a `llmguide.Guidance`, an agent, a language-model policy, or the path of one;
            "llm", "replay", "rules" or a `llmguide.LanguageModel`, which are asked as bars arrive; an array of sides
            for history and feed; a function of the bars, called anew at each bar; an expert of `llmguide.mixture`; or
            an indicator (see `llmguide.indicators.FollowLine`).
        history: bars before the feed's first one, for experts that look back and for their records.
        all_in: hold the sign of the position instead of the fraction: fully long, fully short, or flat.

    Further params are those of `AccountStrategy`, whose limits apply to weights as in `SizedStrategy`.

    Attributes:
        mixture: the `llmguide.indicators.ExpertWeights` on the feed.
        weight_log: a `llmguide.mixture.Weighed` for each bar with a decision: position, weights, records and sides.

    After a run, ``llmguide.mixture.review(strategy.mixed, ...)`` reports which experts were trusted, and why. Raises
    what `llmguide.mix` raises.
    """

    params: ClassVar[Any] = (("experts", None), ("history", None), ("all_in", False))

    def __init__(self) -> None:
        super().__init__()
        self.mixture = ExpertWeights(
            self.traded,
            experts=self.p.experts,
            history=self.p.history,
            cost=cost_rate(self.broker, self.traded),
        )
        self.weight_log: list[Weighed] = []

    @property
    def weights(self) -> pd.DataFrame:
        """The experts' weights at each bar with a decision, as a frame indexed by date with one column for each
        expert.
        """
        return pd.DataFrame(
            [weighed.weights for weighed in self.weight_log],
            pd.DatetimeIndex([weighed.date for weighed in self.weight_log], name="date"),
        )

    @property
    def mixed(self) -> Mix:
        """The `llmguide.mixture.Mix` of the history and the feed, up to the current bar; after a run, up to the last
        one.
        """
        idle = len(self.traded) - len(self.weight_log)
        return self.mixture.mixed(start=idle + (0 if self.p.history is None else len(self.p.history)))

    def decide(self) -> float:
        """Return the position, or its sign."""
        weighed = self.mixture.weight_log[len(self.traded) - 1]
        self.weight_log.append(weighed)
        return float(np.sign(weighed.position)) if self.p.all_in else weighed.position

    def stop(self) -> None:
        """Check that every table fits the bars; warn of experts that never had an opinion."""
        super().stop()
        self.mixture.check()
