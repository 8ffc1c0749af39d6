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
    """Holds the mean of its experts' sides, weighted by what each has earned so far, out of sample and after cost.

        MixtureOfExperts(experts={"agent": "rl-0.safetensors", "guidance": "aapl.parquet", "hold": "hold"})

    The positions are those of `llmguide.mix` on the history and the feed, with the broker's commission as the cost.

    Params:
        experts: by name: "hold"; a `llmguide.Guidance`, an agent, a policy that reads, or the path of one; "llm",
            "replay", "rules" or a `llmguide.LanguageModel`, which are asked as bars come; an array of sides for history
            and feed; a function of the bars, which is asked anew at each bar; an expert of `llmguide.mixture`; or an
            indicator (see `llmguide.indicators.FollowLine`).
        history: bars before the feed's first one: experts look back on them, and records are made of them.
        all_in: take the position's sign instead of the fraction: all of the account long or short, or nothing.

    Attributes:
        mixture: the `llmguide.indicators.ExpertWeights` on the feed.
        weight_log: a `llmguide.mixture.Weighed` for each bar with a decision: position, weights, records and sides.

    After a run ``llmguide.mixture.review(strategy.mixed, ...)`` says whom it trusted, and why.
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
        """The experts' weights at each bar with a decision, by date."""
        return pd.DataFrame(
            [weighed.weights for weighed in self.weight_log],
            pd.DatetimeIndex([weighed.date for weighed in self.weight_log], name="date"),
        )

    @property
    def mixed(self) -> Mix:
        """What `llmguide.mix` makes of history and feed, up to the current bar; after a run, up to the last one."""
        idle = len(self.traded) - len(self.weight_log)
        return self.mixture.mixed(start=idle + (0 if self.p.history is None else len(self.p.history)))

    def decide(self) -> float:
        """Return the position, or its sign."""
        weighed = self.mixture.weight_log[len(self.traded) - 1]
        self.weight_log.append(weighed)
        return float(np.sign(weighed.position)) if self.p.all_in else weighed.position

    def stop(self) -> None:
        """Refuse a table of other bars or of another time; warn of experts who never had an opinion."""
        super().stop()
        self.mixture.check()
