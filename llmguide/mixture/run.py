"""The door: bars and experts in, weights and positions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from llmguide.mixture.experts import find_experts, sides_of_all
from llmguide.mixture.kernels import deviations, follow_draws
from llmguide.mixture.live import WINDOW, check_cost, check_sides
from llmguide.mixture.prior import Prior, means_and_counts
from llmguide.mixture.result import Mix, changes_of, mixed_of
from llmguide.trading.simulate import check_account, closes

__all__ = ["mix", "mix_draws"]

Array = NDArray[np.float64]


def mix(bars: pd.DataFrame, experts: Mapping[str, Any], *, cost: float = 0.001, start: int = 30) -> Mix:
    """Weigh experts by what they have earned so far, out of sample, and hold the weighted mean of their sides.

    ``mix(bars, {"agent": agent, "guidance": table, "hold": "hold"})``

    An expert's result on bar t is ``x[t-1] R[t] - c |x[t] - x[t-1]|`` over the standard deviation of the 60 returns up
    to t-1, where x is its side, taken at a bar's close, R the bar's return, and c the cost. Its record is the mean of
    the results so far and of a prior, its weight the positive part of that, and the position the weighted mean of the
    sides.

    **Timing.** The position for bar t is taken at the close of t. Its sides use bars up to and including t-1, and
    guidance issued by the date of t; its weights use results up to and including that of bar t-1, so no close after
    that of t-1.

    Args:
        bars: as `llmguide.read_bars` returns them; include the bars before the test, since records are made of them.
        experts: by name, each of: "hold"; a `llmguide.Guidance`, an agent, a language-model policy, or the path of one;
            "llm", "replay", "rules" or a `llmguide.LanguageModel`, which are asked month by month; an array of sides; a
            function of the bars; or an expert of `llmguide.mixture`, with a prior or first bar of its own.
        cost: fraction of each traded value.
        start: idle bars at the beginning; records are kept, but nothing is held.

    Returns:
        A `llmguide.mixture.Mix`.

    Raises:
        LlmguideError: no experts, impossible sides, a function that looks ahead, or an expert without bars that it has
            not learned from.
        DataError: bars, cost or start that cannot be used.
        GuidanceError: guidance that does not fit the bars.
        ModelError: an agent or policy that cannot be used.
    """
    prices = closes(bars)
    check_account(cash=1.0, cost=cost, start=start, bars=len(prices))
    found = find_experts(experts)
    sides = sides_of_all(found, bars)
    return mixed_of(
        pd.Series(prices, bars.index, name="close"),
        sides,
        {name: expert.belief for name, expert in found.items()},
        cost=cost,
        start=start,
        uses_future=any(expert.uses_future for expert in found.values()),
    )


def mix_draws(bars: pd.DataFrame, sides: ArrayLike, priors: Sequence[Prior], *, cost: float = 0.001) -> Array:
    """Return the positions of many draws of the same experts, on all cores: for studies of how a mixture behaves.

    Args:
        bars: a frame with a column ``close``.
        sides: shape ``(draws, bars, experts)``; see `llmguide.mixture.experts`.
        priors: one for each expert.
        cost: fraction of each traded value.

    Returns:
        Positions, shape ``(draws, bars)``: those of `mix`, each draw by itself, with no idle bars.

    Raises LlmguideError for impossible sides and costs, DataError for unusable bars.
    """
    prices = closes(bars)
    draws = len(np.asarray(sides))
    given = check_sides(sides, (draws, len(prices), len(priors)), "sides of (draws, bars, experts)")
    means, strengths = means_and_counts(priors)
    changes = changes_of(prices)
    positions = np.empty(given.shape[:2])
    follow_draws(changes, deviations(changes, WINDOW), given, means, strengths, check_cost(cost), positions)
    return positions
