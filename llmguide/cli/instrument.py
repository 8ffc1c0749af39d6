"""What two files of bars are of, as far as their names say."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["instrument_of"]

_DATE = re.compile(r"(?<![^\W_])(19|20)\d{2}([-.]?\d{1,2}){0,2}(?![^\W_])")  # a year, or a date, between other words
_GENERAL = (
    *("train", "training", "test", "testing", "in", "out", "of", "sample", "oos", "from", "to"),
    *("bars", "bar", "data", "prices", "price", "ohlc", "ohlcv", "history", "market", "stock", "quotes", "my"),
    *("daily", "weekly", "monthly", "hourly", "intraday", "day", "1d", "1h", "1w", "1m", "5m", "15m", "60m"),
)
_SAYS_NOTHING = re.compile(rf"(?<![^\W_])({'|'.join(_GENERAL)})(?![^\W_])", re.IGNORECASE)


def instrument_of(*files: Path) -> str:
    """Return the instrument that all of these files are named after, "" where their names do not say.

    A name says it where nothing but one word is left without dates and words such as train, test, bars and daily, and
    all files have the same one.

    >>> instrument_of(Path("AAPL_2012-1-1_2018-1-1.csv"), Path("AAPL_2018-1-1_2020-1-1.csv"))
    'AAPL'
    >>> instrument_of(Path("train.csv"), Path("test.csv"))
    ''
    """
    names = {tuple(_words(file.stem)) for file in files}
    words = names.pop() if len(names) == 1 else ()
    return words[0] if len(words) == 1 else ""


def _words(stem: str) -> list[str]:
    left = _SAYS_NOTHING.sub(" ", _DATE.sub(" ", stem))
    return [word for part in re.split(r"[_\s]+", left) if (word := part.strip("-."))]
