"""Guidance made to test with, never to trade on: perfect foresight, the same answers in another order, or reversed.

A comparison is only worth something beside these: an agent that uses its guidance must gain from `oracle`, lose with
`inverted` and not care for `shuffled`. Every row made with knowledge of its future carries `uses_future`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import GuidanceError
from llmguide.guidance.schedule import EVERY, FIRST, close_prices, issue_positions
from llmguide.guidance.table import Guidance

__all__ = ["constant", "future_return", "inverted", "oracle", "shuffled"]


def oracle(
    bars: pd.DataFrame,
    *,
    accuracy: float = 1.0,
    seed: int = 0,
    every: int = EVERY,
    first: int = FIRST,
    confidence: str = "constant",
) -> Guidance:
    """Return labels made in hindsight by Algorithm 1, each flipped with probability 1 - accuracy.

    **Uses the future.** The row at bar i is labelled from the last close known, t = i-1: long if `future_return` there
    is >= 0.

    Args:
        bars: a frame with a column ``close``.
        accuracy: probability that a direction is right, in [0, 1]. Flips are independent; a higher accuracy with the
            same seed only takes flips back.
        seed: seed of the flips and of the entropies.
        every: bars from one decision to the next.
        first: the bar of the first decision, from 0.
        confidence: "constant" gives 3 on every row and no entropy, so that tau is +1 or -1. "varying" gives 1 to 3 by
            the tercile of abs(r) among the rows, and a uniform random entropy without information: the strength then
            differs from row to row, as a language model's does.

    Raises GuidanceError for settings out of range or too few bars, DataError for bars that cannot be used.

    Source: arXiv 2508.02366v3, Algorithm 1.
    """
    if not 0.0 <= accuracy <= 1.0:
        raise GuidanceError(f"expected an accuracy (share of correct directions) in [0, 1], got {accuracy}")
    if confidence not in ("constant", "varying"):
        raise GuidanceError(f"expected confidence 'constant' or 'varying', got {confidence!r}")
    positions = np.array(issue_positions(bars, every=every, first=first))
    r = future_return(close_prices(bars))[positions - 1]
    generator = np.random.default_rng(seed)
    flipped = generator.random(len(r)) < 1.0 - accuracy
    entropy = generator.random(len(r))
    if confidence == "constant":
        likert, entropy = np.full(len(r), 3), np.full(len(r), np.nan)
    else:
        likert = 1 + np.searchsorted(np.quantile(np.abs(r), [1 / 3, 2 / 3]), np.abs(r))
    return Guidance.from_rows(
        pd.DataFrame(
            {
                "issued_at": bars.index[positions],
                "direction": np.where(flipped, r < 0, r >= 0).astype(int),
                "confidence": likert,
                "entropy": entropy,
                "explanation": [_foresight(*row) for row in zip(r, flipped, strict=True)],
                "provider": "oracle",
                "uses_future": True,
            }
        )
    )


def future_return(close: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return r_t = 0.4 (P_{t+10}/P_t - 1) + 0.6 (P_{t+20}/P_t - 1) for every bar.

    **Uses the future.** A horizon beyond the last bar ends there; at the last bar itself r is NaN.

    Args:
        close: closes, shape ``(bars,)``.

    Source: arXiv 2508.02366v3, Algorithm 1.
    """
    last = len(close) - 1
    t = np.arange(len(close))
    r10 = close[np.minimum(t + 10, last)] / close - 1.0
    r20 = close[np.minimum(t + 20, last)] / close - 1.0
    return np.where(t < last, 0.4 * r10 + 0.6 * r20, np.nan)


def shuffled(guidance: Guidance, *, seed: int = 0, since: datetime | None = None) -> Guidance:
    """Return the same rows in a random order on the same dates: as many longs and shorts, but at random times.

    Every row is marked `uses_future`, whatever the original's rows are: some now stand before the bars they were made
    from.

    Args:
        guidance: the table.
        seed: seed of the order.
        since: rows issued before this time are shuffled among themselves, and so are the others: each part keeps its
            longs and shorts.
    """
    dates = [row.issued_at for row in guidance.rows]
    early = 0 if since is None else sum(day < since for day in dates)
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(early), early + generator.permutation(len(dates) - early)])
    return Guidance(
        tuple(
            guidance.rows[source]._replace(
                issued_at=dates[place],
                seen_until=guidance.rows[place].seen_until,
                seen_return=guidance.rows[place].seen_return,
                recall=guidance.rows[place].recall,
                explanation=f"Shuffled; issued {dates[source]}: {guidance.rows[source].explanation}",
                provider=f"shuffled:{guidance.rows[source].provider}",
                uses_future=True,
            )
            for place, source in enumerate(order)
        )
    )


def inverted(guidance: Guidance) -> Guidance:
    """Return the table with every direction flipped, and tau therefore negated; abstentions and all else stay.

    Args:
        guidance: the table.
    """
    return Guidance(
        tuple(
            row._replace(
                direction=None if row.direction is None else 1 - row.direction,
                tau=0.0 - row.tau,
                provider=f"inverted:{row.provider}",
            )
            for row in guidance.rows
        )
    )


def constant(
    bars: pd.DataFrame | pd.DatetimeIndex,
    *,
    direction: int = 1,
    confidence: int = 3,
    every: int = EVERY,
    first: int = FIRST,
) -> Guidance:
    """Return the same direction and confidence on every date of the schedule, without an entropy.

    Args:
        bars: bars, or their dates.
        direction: 1 long or 0 short.
        confidence: 1, 2 or 3.
        every: bars from one decision to the next.
        first: the bar of the first decision, from 0.

    Raises GuidanceError for values out of range or too few bars.
    """
    index = bars.index if isinstance(bars, pd.DataFrame) else bars
    dates: Sequence[pd.Timestamp] = [index[i] for i in issue_positions(bars, every=every, first=first)]
    row = {"direction": direction, "confidence": confidence, "provider": "constant"}
    return Guidance.from_rows([row | {"issued_at": day, "explanation": "The same on every date."} for day in dates])


def _foresight(r: float, flipped: bool) -> str:
    return f"Uses the future: weighted return over the next 10 and 20 bars {r:+.2%}{', flipped' if flipped else ''}."
