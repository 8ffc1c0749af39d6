"""The quantstats tearsheet of one account, with its traps closed.

quantstats guesses whether it was given prices or returns, downloads a benchmark given by name, cuts leading idle bars,
fails on accounts that never move, and leaves its style in matplotlib. Here it only ever gets checked returns, draws
under a backend and a style of its own, and is not asked where it would mislead: those accounts get a plain page that
says why.
"""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from llmguide.errors import DataError, DataWarning
from llmguide.files import atomic_path, write_text
from llmguide.metrics import annual_volatility, max_drawdown, sharpe_ratio
from llmguide.periods import calendar_of, periods_of
from llmguide.report.accounts import account_of
from llmguide.report.figures import yearly
from llmguide.report.html import document, number, paragraph, percent, table

__all__ = ["tearsheet", "value_of"]

_FEWEST_BARS = 30
_LARGEST_MOVE = 0.25  # of a usual day, as a fraction: beyond it the returns are percent
_STYLE: Any = {
    "axes.edgecolor": "#cccccc",
    "axes.facecolor": "white",
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "font.family": ["DejaVu Sans"],
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "svg.hashsalt": "llmguide",
    "text.color": "#333333",
    "xtick.color": "#666666",
    "ytick.color": "#666666",
}
# quantstats' page gives every drawing a height that its width does not have, and fixes its columns at 960 pixels.
_LAYOUT = (
    "svg{height:auto}#left svg,#monthly_heatmap svg{margin:0 0 12px!important}"
    "#eoy_returns text{font-family:'DejaVu Sans',Verdana,sans-serif!important}"
    "@media screen and (max-width:1020px){body{margin:12px}"
    "#left,#right{float:none!important;width:100%!important;margin:0!important}#right{overflow-x:auto}}"
)


def tearsheet(
    source: object,
    output: Path | str,
    *,
    benchmark: object = None,
    title: str = "",
    parameters: Mapping[str, object] | None = None,
    arm: str | None = None,
    seed: int | None = None,
    periods: float | None = None,
) -> Path:
    """Write the tearsheet of one account as one HTML file that needs no network, and return its path.

    Args:
        source: returns, or what has them: a Cerebro that has run (or its strategy, or what ``cerebro.run()`` returned),
            the result of `llmguide.backtest.run_backtest`, a vectorbt Portfolio of one column, or the path of a
            comparison's run folder. Returns are a Series of simple returns per bar as fractions, the idle bars
            included, on an increasing DatetimeIndex. Time zones are dropped, the local dates kept.
        output: the file.
        benchmark: returns or a source of them, with a return for each of those dates (others are left out). Where none
            is given a run folder's hold arm, and a Cerebro's `TimeReturn` of a data, take its place.
        title: plain text; what the source is called where it is empty.
        parameters: shown below the title, after those of the strategy or the run.
        arm, seed: which account of a run folder; its first seed by default.
        periods: bars per year; None reads it from the dates (see `llmguide.periods`). The page says it.

    The Sharpe ratio (no risk-free rate) and the maximum drawdown on the page are those of `llmguide.metrics`, bar by
    bar. Everything else is drawn by quantstats; bars within a day are compounded to days for it.

    Fewer than 30 bars, returns that never vary, an account that lost everything on one bar, and returns that quantstats
    would take for prices get a plain page with the reason and those two measures. So does an account on which
    quantstats itself fails; a DataWarning then says so.

    Raises DataError for anything but finite returns: prices, missing values, a benchmark by name or without some of the
    dates, dates that are not increasing; and for a source of several accounts of which none was
    chosen. The folder is made, and the file appears complete or not at all.
    """
    account = account_of(source, arm=arm, seed=seed)
    mine = _checked(account.returns, "returns")
    against = account.benchmark if benchmark is None else _benchmark(benchmark)
    peer = None if against is None else _aligned(_checked(against, "benchmark"), mine.index)
    year = periods_of(mine, periods)
    rhythm = str(calendar_of(mine.index)) if periods is None else f"{year:g} bars a year, as given"
    details = {**account.parameters, **(parameters or {}), "Annualised by": rhythm}
    shown = {str(key): str(value) for key, value in details.items()}
    heading = title or account.title or "Tearsheet"

    reason = _why_not(mine)
    if peer is not None and reason is None and (unfit := _why_not(peer)):
        shown["Benchmark left out"] = unfit
        peer = None
    if reason is None:
        try:
            with atomic_path(output) as temporary:
                own, other = _by_day(mine), None if peer is None else _by_day(peer)
                drawn = year if own is mine else periods_of(own)
                _quantstats(own, other, temporary, heading, shown, round(drawn))
                years = yearly({"Strategy": own} if other is None else {"Benchmark": other, "Strategy": own})
                page = _mended(temporary.read_text(encoding="utf-8"), heading, years)
                page = _measured(page, [mine] if peer is None else [peer, mine], year)
                temporary.write_text(page, encoding="utf-8", newline="\n")
            return Path(output)
        except OSError:
            raise
        except Exception as error:  # whatever a chart fails on, the account's measures are still to be had
            reason = f"quantstats could not draw this account ({type(error).__name__}: {error})"
            warnings.warn(
                f"{output}: {reason}; a plain page was written instead, with the same measures and no charts",
                DataWarning,
                stacklevel=2,
            )
    return write_text(output, _plain(mine, peer, heading, reason, shown, year))


def _benchmark(benchmark: object) -> object:
    """The returns of a benchmark; text stays text, and is refused."""
    return benchmark if isinstance(benchmark, str) else account_of(benchmark).returns


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


def _by_day(returns: pd.Series[Any]) -> pd.Series[Any]:
    """The returns compounded to one a calendar date; the very same where each date has one already."""
    dates = pd.DatetimeIndex(returns.index).normalize()
    return returns if dates.is_unique else (1.0 + returns).groupby(dates).prod() - 1.0


def _aligned(benchmark: pd.Series[Any], dates: pd.Index[Any]) -> pd.Series[Any]:
    missing = dates.difference(benchmark.index)
    if len(missing):
        raise DataError(
            f"expected a benchmark return for each of the {len(dates)} bars, got none for {missing[0]:%Y-%m-%d} and "
            f"{len(missing)} such in all; pass both on the same dates"
        )
    return benchmark.reindex(dates)


def value_of(returns: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The value of an account of 1 that earns `returns`, before the first bar and after each."""
    return np.concatenate([[1.0], np.cumprod(1.0 + returns.to_numpy())])


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
        return "no return is negative and one is 100 % or more, which quantstats takes for prices"
    return None


def _quantstats(
    mine: pd.Series[Any], peer: pd.Series[Any] | None, path: Path, title: str, shown: dict[str, str], periods: int
) -> None:
    """Have quantstats write its page to `path`."""
    with _headless():
        import quantstats

        # The stub of the page replaces "{{...}}" in any text, and writes all of it unescaped.
        quantstats.reports.html(  # type: ignore[no-untyped-call]  # quantstats leaves its parameters without types
            mine.rename("Strategy"),
            benchmark=None if peer is None else peer.rename("Benchmark"),
            output=str(path),
            title=_literal(title),
            match_dates=False,
            periods_per_year=periods,
            parameters={_literal(key): _literal(value) for key, value in shown.items()},
        )


@contextmanager
def _headless() -> Iterator[None]:
    """Agg, one fixed style and silence while quantstats draws; the caller's matplotlib is as before afterwards."""
    import matplotlib
    from matplotlib import pyplot as plt

    before, open_before = matplotlib.get_backend(), set(plt.get_fignums())
    fonts = logging.getLogger("matplotlib.font_manager")
    fonts.addFilter(_not_findfont)
    try:
        with warnings.catch_warnings(), matplotlib.rc_context():
            # Deprecations between quantstats, seaborn, pandas and matplotlib, which nobody here can act upon.
            warnings.simplefilter("ignore")
            plt.switch_backend("agg")
            import quantstats  # noqa: F401  # its import sets a style, which must not outlast this block

            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            yield
    finally:
        fonts.removeFilter(_not_findfont)
        for opened in set(plt.get_fignums()) - open_before:
            plt.close(opened)
        if matplotlib.get_backend() != before:
            try:
                plt.switch_backend(before)
            except ImportError:  # the caller chose a backend by name that cannot start here; keep the choice
                matplotlib.rcParams["backend"] = before


def _not_findfont(record: logging.LogRecord) -> bool:
    """False for the line that matplotlib logs per text set in a font (quantstats': Arial) that is not installed."""
    return not record.getMessage().startswith("findfont")


def _literal(text: str) -> str:
    return escape(text).replace("{", "&#123;").replace("}", "&#125;")


def _mended(page: str, title: str, years: str) -> str:
    """quantstats' page without what it would load, run or date, with our title and room for narrow screens.

    Its chart of yearly returns, which names the years wrongly, gives way to the drawing `years`.
    """
    page = re.sub(r'<link rel="shortcut icon"[^>]*>', "", page)
    page = page.replace(' onload="save()"', "").replace("Benchmark: BENCHMARK &bull; ", "")
    page = page.replace("CAGR\N{SMALL PERCENT SIGN}", "CAGR %")  # few fonts have the sign
    page = re.sub(r"<dc:date>.*?</dc:date>", "", page)
    page = re.sub(r"<title>.*?</title>", lambda _: f"<title>{escape(title)}</title>", page, count=1)
    page = re.sub(r'(<div id="eoy_returns">).*?(?=</div>)', lambda found: found[1] + years, page, flags=re.DOTALL)
    return page.replace("</style>", f"{_LAYOUT}</style>", 1)


def _measured(page: str, accounts: list[pd.Series[Any]], periods: float) -> str:
    """The page with our Sharpe ratio and maximum drawdown in its table, in the order of its columns.

    They are quantstats' own wherever it has them; it leaves the drawdown empty for an account that falls from its first
    bar or never falls.
    """
    rows = {
        "Sharpe": [f"{sharpe_ratio(account, periods=periods):.2f}" for account in accounts],
        "Max Drawdown": [f"{-max_drawdown(value_of(account)) + 0.0:.2%}" for account in accounts],
    }
    for label, cells in rows.items():
        row = f"<tr><td>{label}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        page, found = re.subn(rf"<tr><td>{label}</td>(<td>[^<]*</td>){{{len(cells)}}}</tr>", row, page)
        if found != 1:
            raise ValueError(f"expected one row {label!r} of {len(cells)} in its table, got {found}")
    return page


def _plain(
    mine: pd.Series[Any],
    peer: pd.Series[Any] | None,
    title: str,
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
        paragraph(f"No tearsheet was drawn: {reason}.", "warning"),
        table(["", "Strategy"] if peer is None else ["", "Strategy", "Benchmark"], rows),
        table(["Parameter", "Value"], shown.items(), text=True) if shown else "",
    ]
    return document(title, "\n".join(body))
