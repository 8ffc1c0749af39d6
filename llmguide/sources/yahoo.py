"""Daily bars from Yahoo Finance through yfinance (extra `data`), and the file that keeps them."""

from __future__ import annotations

import importlib
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.bars import Bound, bound_period, read_bars
from llmguide.errors import DataError, DataWarning, MissingExtra
from llmguide.files import atomic_path, write_csv

__all__ = ["daily_history", "download", "save_bars"]

REQUEST_SECONDS = 10.0
DEADLINE_SECONDS = 60.0


def download(ticker: str, *, start: Bound | None = None, end: Bound | None = None) -> pd.DataFrame:
    """Return the daily bars of one ticker as `read_bars` does, from `start` to `end`, both inclusive.

    Prices are adjusted for splits and dividends, all four by the same factor (yfinance's `auto_adjust=True`), so that
    the close lies within [low, high] and returns include dividends. Adjusted prices of the past change with every later
    dividend: keep the file (`save_bars`) to keep the result. The bar of the running day is left out, with a
    DataWarning where `end` includes it: its close is not known before the exchange has closed.

    Nothing is printed. Raises MissingExtra without yfinance, and DataError, in one line, when nothing comes back (no
    network, unknown ticker, no bars in that span), when nothing has come after a minute, and for bars that `read_bars`
    refuses.
    """
    return read_bars(daily_history(ticker, start=start, end=end), start=start, end=end)


def daily_history(ticker: str, *, start: Bound | None = None, end: Bound | None = None) -> pd.DataFrame:
    """Return the frame that `download` reads, as yfinance gives it: nothing is checked or repaired.

    Its days may reach beyond the span. Raises MissingExtra and DataError as `download` does when nothing comes back.
    """
    if not isinstance(ticker, str) or len(ticker.split()) != 1:
        raise DataError(f"expected one ticker like 'AAPL', not {ticker!r}")
    ticker = ticker.strip().upper()
    span = _span(start, end)
    try:
        yfinance = importlib.import_module("yfinance")
    except ImportError as error:
        raise MissingExtra("yfinance", "data") from error

    with _quiet() as log:
        frame, failure = _within_deadline(
            lambda: yfinance.Ticker(ticker).history(
                **span, interval="1d", auto_adjust=True, actions=False, timeout=REQUEST_SECONDS
            )
        )
    if frame is None or frame.empty:
        reason = failure or (log[0] if log else "no reason given")  # yfinance logs the cause first, then its guesses.
        asked = f"from {start if start is not None else 'the first'} to {end if end is not None else 'the last'}"
        raise DataError(
            f"Yahoo Finance returned no bars of {ticker} {asked}: {_one_line(reason)}; check the network, the "
            "ticker and the dates, or read a file of your own"
        )
    if "Adj Close" in frame:  # yfinance logs a failed adjustment and returns what it had.
        raise DataError(f"the bars of {ticker} could not be adjusted for splits and dividends; try again later")
    days = pd.DatetimeIndex(frame.index)
    running = days >= pd.Timestamp.now(tz=days.tz).normalize()
    if running.any() and end is not None:
        warnings.warn(
            f"{ticker}: the bar of {days[running][0]:%Y-%m-%d} is left out: the day is not over, and its close not "
            "final (harmless)",
            DataWarning,
            stacklevel=3,
        )
    return frame[~running]


def save_bars(bars: pd.DataFrame, path: Path | str) -> Path:
    """Write bars as Parquet or CSV, atomically, and return the path; `read_bars` of it gives the same bars.

    Raises DataError for a path that ends neither in .parquet nor in .csv.
    """
    path = Path(path)
    if path.suffix == ".csv":
        return write_csv(bars.rename_axis("date").reset_index(), path)
    if path.suffix != ".parquet":
        raise DataError(f"expected a path that ends in .parquet or .csv, got {path}")
    with atomic_path(path) as temporary:
        bars.to_parquet(temporary)
    return path


def _span(start: Bound | None, end: Bound | None) -> dict[str, Any]:
    """The span in yfinance's terms: its `end` is exclusive, and an end without a start would mean one month."""
    last = None if end is None else bound_period("end", end).end_time.normalize() + pd.Timedelta(days=1)
    if start is None:
        return {"period": "max"}
    return {"start": bound_period("start", start).start_time.normalize(), "end": last}


def _within_deadline(ask: Callable[[], pd.DataFrame]) -> tuple[pd.DataFrame | None, str]:
    """Return the answer, or None and why there is none, after a minute at most.

    yfinance passes its timeout to some of its requests only; where packets are dropped the others would add up to
    minutes. A thread cannot be ended from outside, so one that is late is left behind, as a daemon.
    """
    outcome: list[tuple[pd.DataFrame | None, str]] = []

    def work() -> None:
        try:
            outcome.append((ask(), ""))
        except Exception as error:  # Whatever fails in there has one meaning here: no bars.
            outcome.append((None, f"{type(error).__name__}: {error}"))

    worker = threading.Thread(target=work, name="yahoo", daemon=True)
    worker.start()
    worker.join(DEADLINE_SECONDS)
    return outcome[0] if outcome else (None, f"no answer within {DEADLINE_SECONDS:.0f} seconds")


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Keep what yfinance logs for the one message of ours, instead of letting it print line after line."""
    messages: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger = logging.getLogger("yfinance")
    handlers, propagate = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [Keep(logging.ERROR)], False
    try:
        with warnings.catch_warnings():
            # yfinance uses what pandas is about to remove: nothing that a caller could change.
            warnings.filterwarnings("ignore", module="yfinance")
            yield messages
    finally:
        logger.handlers, logger.propagate = handlers, propagate


def _one_line(text: str, length: int = 200) -> str:
    line = " ".join(text.split(" See http")[0].split()).removesuffix(".")
    return line if len(line) <= length else line[: length - 3] + "..."
