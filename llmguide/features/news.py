"""The month's headlines."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from llmguide.features.moment import close_of, known_at

__all__ = ["Headline", "headlines"]


class Headline(NamedTuple):
    """One piece of news, as it was published."""

    published_at: pd.Timestamp  # naive, exchange time
    text: str  # the headline, and the summary where there is one


def headlines(bars: pd.DataFrame, news: pd.DataFrame | None, *, every: int = 20) -> tuple[Headline, ...]:
    """Return the news of the last `every` bars, oldest first; none where there is no table.

    Published after the close of the bar `every` bars before the last given one (of the first bar, where there are not
    so many), and not after the close of the last one. `news` is as `read_table("news", ...)` returns it.
    """
    if news is None:
        return ()
    after = close_of(bars, max(0, len(bars) - 1 - every))
    published = pd.DatetimeIndex(news["published_at"])
    recent = news[(published > after) & (published <= known_at(bars))]
    summaries = recent["summary"] if "summary" in recent else pd.Series("", index=recent.index)
    return tuple(
        Headline(stamp, f"{headline}: {summary}" if summary else headline)
        for stamp, headline, summary in zip(recent["published_at"], recent["headline"], summaries, strict=True)
    )
