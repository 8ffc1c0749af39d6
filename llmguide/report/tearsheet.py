"""The quantstats tearsheet of one account, with its traps closed.

quantstats guesses whether it was given prices or returns, downloads a benchmark given by name, cuts leading idle bars,
fails on accounts that never move, and leaves its style in matplotlib. Here it only ever gets checked returns, draws
under a backend and a style of its own, and is not asked where it would mislead: those accounts get a plain page that
says why.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from llmguide.errors import DataError, DataWarning
from llmguide.files import write_text
from llmguide.metrics import annual_volatility, max_drawdown, sharpe_ratio
from llmguide.periods import calendar_of, periods_of
from llmguide.report.accounts import HOLD, Account, account_of
from llmguide.report.html import document, number, paragraph, percent, table
from llmguide.report.inline import inline_page
from llmguide.report.quantstats_page import quantstats_page
from llmguide.report.returns import value_of
from llmguide.report.tearsheet_header import header_of, heading_of

__all__ = ["Tearsheet", "tearsheet"]

_FEWEST_BARS = 30
_LARGEST_MOVE = 0.25  # of a usual day, as a fraction: beyond it the returns are percent
_UNNAMED = ("", "close", "price", "return", "returns", "value")  # names of columns, which name nobody


@dataclass(frozen=True, eq=False, repr=False)
class Tearsheet:
    """One account's page and measures; shows itself in a notebook, and stands for its file where a path is asked for.

    Attributes:
        html: the page, which needs no network.
        path: the file it was written to; None where it was not.
        title: of the page.
        strategy: which account it is, such as "hybrid, seed 0"; empty where the source does not say.
        benchmark: what it is compared with, such as "buy and hold of AAPL"; empty where there is none, or no name.
        instrument: what was traded; empty where the source does not say.
        returns: of the account per bar, fractions, on dates without a time zone.
        benchmark_returns: on the same dates; None where there is no benchmark.
        periods: bars per year, by which it is annual.
    """

    html: str
    path: Path | None
    title: str
    strategy: str
    benchmark: str
    instrument: str
    returns: pd.Series[Any]
    benchmark_returns: pd.Series[Any] | None
    periods: float

    @property
    def sharpe(self) -> float:
        """Annual Sharpe ratio without a risk-free rate (`llmguide.sharpe_ratio`); NaN where nothing ever moved."""
        return sharpe_ratio(self.returns, periods=self.periods)

    @property
    def max_drawdown(self) -> float:
        """Deepest fall below the highest value so far, a positive fraction (`llmguide.max_drawdown`)."""
        return max_drawdown(value_of(self.returns))

    @property
    def total_return(self) -> float:
        """Of the whole time, a fraction."""
        return float(value_of(self.returns)[-1] - 1.0)

    @property
    def start(self) -> pd.Timestamp:
        """The first bar."""
        return pd.Timestamp(self.returns.index[0])

    @property
    def end(self) -> pd.Timestamp:
        """The last bar."""
        return pd.Timestamp(self.returns.index[-1])

    def write(self, path: Path | str) -> Tearsheet:
        """Write the page, complete or not at all; return the tearsheet with that path."""
        return replace(self, path=write_text(path, self.html))

    def __fspath__(self) -> str:
        if self.path is None:
            raise DataError("this tearsheet has no file; call .write(path), or give llmguide.tearsheet an output")
        return str(self.path)

    def __repr__(self) -> str:
        where = "" if self.path is None else f"; {self.path}"
        measures = f"Sharpe ratio {self.sharpe:.2f}, maximum drawdown {self.max_drawdown:.1%}"
        return f"Tearsheet({self.title}, {self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}: {measures}{where})"

    def _repr_html_(self) -> str:
        return inline_page(self.html, label=self.title, height=720)


def tearsheet(
    source: object,
    output: Path | str | None = None,
    *,
    benchmark: object = None,
    title: str = "",
    strategy: str = "",
    benchmark_name: str = "",
    instrument: str = "",
    parameters: Mapping[str, object] | None = None,
    arm: str | None = None,
    seed: int | None = None,
    periods: float | None = None,
) -> Tearsheet:
    """Make the tearsheet of one account, one HTML page that needs no network, and return it with its measures.

    Args:
        source: returns, or what has them: a Cerebro that has run (or its strategy, or what ``cerebro.run()`` returned),
            the result of `llmguide.backtest.run_backtest`, a vectorbt Portfolio of one column, or the path of a
            comparison's run folder. Returns are a Series of simple returns per bar as fractions, idle bars included, on
            an increasing DatetimeIndex. Time zones are dropped, the local dates kept.
        output: the file; None writes none. What is returned shows itself in a notebook either way.
        benchmark: returns or a source of them, with a return for each of those dates (others are left out). By default
            it is a run folder's hold arm, or a Cerebro's `TimeReturn` of a data.
        title: plain text; where it is empty, strategy, instrument and benchmark, as far as they are known.
        strategy: name of the strategy on the page, where the source does not have one, or has another.
        benchmark_name: name of the benchmark, likewise.
        instrument: name of the instrument, likewise. Nothing is guessed: what has no name is called that.
        parameters: shown below the title, after those of the strategy or the run.
        arm: which arm of a run folder; needed where it has several.
        seed: which seed of that arm; its first one by default.
        periods: bars per year; None reads it from the dates (see `llmguide.periods`). The page states it.

    The Sharpe ratio (no risk-free rate) and the maximum drawdown on the page are those of `llmguide.metrics`, bar by
    bar. Everything else is drawn by quantstats; bars within a day are compounded to days for it.

    Fewer than 30 bars, returns that never vary, an account that lost everything on one bar, and returns that quantstats
    would take for prices get a plain page with the reason and those two measures. So does an account on which
    quantstats itself fails; a DataWarning then reports it.

    Raises DataError for anything but finite returns: prices, missing values, a benchmark by name or without some of the
    dates, dates that are not increasing; and for a source of several accounts of which none was chosen. The folder is
    created, and the file is written atomically.
    """
    account = account_of(source, arm=arm, seed=seed)
    mine = _checked(account.returns, "returns")
    peer, peer_name = account.benchmark, account.benchmark_name
    if benchmark is not None:
        given = Account(benchmark) if isinstance(benchmark, str) else account_of(benchmark)  # text is refused below
        peer, peer_name = given.returns, given.title or _named(benchmark)
    if peer is not None:
        peer = _aligned(_checked(peer, "benchmark"), mine.index)
    year = periods_of(mine, periods)
    rhythm = str(calendar_of(mine.index)) if periods is None else f"{year:g} bars a year, as given"
    who = strategy or account.title or _named(source)
    against = (benchmark_name or peer_name) if peer is not None else ""
    what = instrument or account.instrument
    shown = {str(key): str(value) for key, value in {**account.parameters, **(parameters or {})}.items()}
    heading = title or heading_of(who, what, against)
    short, against = against, f"{HOLD} of {what}" if against == HOLD and what else against

    reason, fit = _why_not(mine), peer
    if peer is not None and reason is None and (unfit := _why_not(peer)):
        shown["Benchmark left out"] = unfit
        fit = None
    header = header_of(heading, who, what, against, mine, peer, year, rhythm)
    page = None
    if reason is None:
        try:
            page = quantstats_page(mine, fit, year, title=heading, header=header, names=(who, short), shown=shown)
        except OSError:
            raise
        except Exception as error:  # whatever a chart fails on, the account's measures are still to be had
            reason = f"quantstats could not draw this account ({type(error).__name__}: {error})"
            said = "a plain page was written instead" if output is not None else "the page is plain"
            warnings.warn(
                f"{output or heading}: {reason}; {said}, with the same measures and no charts",
                DataWarning,
                stacklevel=2,
            )
    if page is None:
        page = _plain(mine, peer, heading, header, str(reason), shown, year)
    made = Tearsheet(page, None, heading, who, against, what, mine, peer, year)
    return made if output is None else made.write(output)


def _named(returns: object) -> str:
    """What a Series is called, where that is the name of somebody, and not of a column; of other sources nothing."""
    name = returns.name if isinstance(returns, pd.Series) else None
    return name if isinstance(name, str) and name.lower() not in _UNNAMED else ""


def _checked(returns: object, name: str) -> pd.Series[Any]:
    """A copy with float values and naive dates, or DataError."""
    if not isinstance(returns, pd.Series):
        hint = "; a ticker would be downloaded" if isinstance(returns, str) else ""
        raise DataError(f"expected {name} as a pandas Series of returns, got {type(returns).__name__}{hint}")
    index = returns.index
    if not isinstance(index, pd.DatetimeIndex):
        raise DataError(f"expected {name} on a DatetimeIndex, got {type(index).__name__}; set the dates as index")
    if not len(returns):
        raise DataError(f"expected {name} with at least one bar, got an empty Series")
    naive = index.tz_localize(None)
    if naive.hasnans or not naive.is_monotonic_increasing or not naive.is_unique:
        raise DataError(f"expected {name} with increasing dates, each once; sort the index and drop its duplicates")
    try:
        values = returns.to_numpy(dtype=np.float64, copy=True)
    except (TypeError, ValueError) as error:
        raise DataError(f"expected {name} as numbers, got values of type {returns.dtype}") from error
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(f"expected finite {name}, got {values[bad[0]]} on {naive[bad[0]]} and {bad.size} such in all")
    moves = np.abs(values[values != 0])
    if np.median(np.abs(values)) >= 1 or (moves.size >= _FEWEST_BARS and np.median(moves) >= _LARGEST_MOVE):
        raise DataError(
            f"expected {name} as fractions per bar, got values around {np.median(values):g}, moves of "
            f"{np.median(moves):g}, which no account earns; of prices or portfolio values pass "
            "value.pct_change().fillna(0), percent divide by 100"
        )
    return pd.Series(values, index=naive, name=name)


def _aligned(benchmark: pd.Series[Any], dates: pd.Index[Any]) -> pd.Series[Any]:
    missing = dates.difference(benchmark.index)
    if len(missing):
        raise DataError(
            f"expected a benchmark return for each of the {len(dates)} bars, got none for {missing[0]:%Y-%m-%d} and "
            f"{len(missing)} such in all; pass both on the same dates"
        )
    return benchmark.reindex(dates)


def _why_not(returns: pd.Series[Any]) -> str | None:
    """Why quantstats should not be asked about these returns, or None."""
    low, high = float(returns.min()), float(returns.max())
    if len(returns) < _FEWEST_BARS:
        return f"{len(returns)} bars are too few for a tearsheet, which takes {_FEWEST_BARS}"
    if math.isnan(sharpe_ratio(returns)):
        return "the returns never vary, so ratios of them are undefined"
    if low <= -1:
        return f"the account lost everything on {returns.idxmin():%Y-%m-%d}, so that its later returns do not compound"
    if low >= 0 and high >= 1:
        return "no return is negative and one is 100 % or more, which quantstats mistakes for prices"
    return None


def _plain(
    mine: pd.Series[Any],
    peer: pd.Series[Any] | None,
    title: str,
    header: str,
    reason: str,
    shown: Mapping[str, str],
    periods: float,
) -> str:
    """Our own page: the reason, and the measures that can be had."""
    arms = [mine] if peer is None else [mine, peer]
    rows = [
        ["Bars", *(str(len(arm)) for arm in arms)],
        ["First", *(f"{arm.index[0]:%Y-%m-%d}" for arm in arms)],
        ["Last", *(f"{arm.index[-1]:%Y-%m-%d}" for arm in arms)],
        ["Sharpe ratio", *(number(sharpe_ratio(arm, periods=periods)) for arm in arms)],
        ["Maximum drawdown", *(percent(max_drawdown(value_of(arm)), 2) for arm in arms)],
        ["Total return", *(percent(value_of(arm)[-1] - 1, 2) for arm in arms)],
        ["Volatility per year", *(percent(annual_volatility(arm, periods=periods), 2) for arm in arms)],
    ]
    body = [
        header.partition("\n")[2],  # without the title, which the page has
        paragraph(f"No tearsheet was drawn: {reason}.", "warning"),
        table(["", "Strategy"] if peer is None else ["", "Strategy", "Benchmark"], rows),
        table(["Parameter", "Value"], shown.items(), text=True) if shown else "",
    ]
    return document(title, "\n".join(body))
