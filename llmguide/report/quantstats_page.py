"""quantstats' page of an account, with our header and measures, and room for narrow, dark and printed pages.

quantstats draws under a backend and a style of its own here, and leaves the caller's matplotlib as it was. What its
page would load, run or date is taken out.
"""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.periods import periods_of
from llmguide.report.figures import yearly
from llmguide.report.returns import value_of

__all__ = ["quantstats_page"]

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
# quantstats' page gives every drawing a height that its width does not have, fixes its columns at 960 pixels, is white
# in the dark, and pulls its drawings over one another in print. Its yellow is too pale to be seen as a line.
_LAYOUT = """
:root{color-scheme:light dark}h1{font-size:1.6em;line-height:1.25}p.who{font-size:15px;margin:.5em 0}b{font-weight:700}
p.how,h4{color:#57606a;font-size:13px;line-height:1.45;margin:.5em 0;max-width:60em}
svg{height:auto}#left svg,#monthly_heatmap svg{margin:0 0 12px!important}
#eoy_returns text{font-family:'DejaVu Sans',Verdana,sans-serif!important}
@media (max-width:1020px){body{margin:12px}
#left,#right{float:none!important;width:100%!important;margin:0!important}#right{overflow-x:auto}}
@media screen and (prefers-color-scheme:dark){body{background:#14181d;color:#e6e9ec}table thead th{background:#1e242a}
p.how,h4{color:#a4adb6}h4 a{color:#56b4e9}hr{border-color:#363d45}svg{filter:invert(.9) hue-rotate(180deg)}}
@media print{#left,#right{float:none!important;width:100%!important}#left div,tr{break-inside:avoid}
#left svg,#left svg:first-of-type{width:80%;margin:0 10% 8px!important}#right table{font-size:8pt}}
"""
_COLOURS = {"#fedd78": "#d98200"}
_SHORT = re.compile(r"[A-Za-z0-9][\w ,.()-]{0,21}")


def quantstats_page(
    mine: pd.Series[Any],
    peer: pd.Series[Any] | None,
    periods: float,
    *,
    title: str,
    header: str,
    names: tuple[str, str],
    shown: Mapping[str, str],
) -> str:
    """Return the page of an account, beside a benchmark where there is one: returns per bar on the same naive dates.

    `header` is our HTML above its drawings, `shown` the parameters in it. `names` are those of the account and the
    benchmark; such as are too long for a legend are Strategy and Benchmark there. Bars within a day are compounded to
    days. Raises what quantstats raises, and ValueError for a page of another layout than the one that is known.
    """
    own, other = _by_day(mine), None if peer is None else _by_day(peer)
    drawn = periods if own is mine else periods_of(own)
    called = _legend(*names)
    with tempfile.TemporaryDirectory(prefix="llmguide-") as folder:
        path = Path(folder) / "page.html"
        _quantstats(own, other, path, called, round(drawn))
        page = path.read_text(encoding="utf-8")
    years = yearly({called[0]: own} if other is None else {called[1]: other, called[0]: own})
    page = _mended(page, title, header, shown, years)
    return _measured(page, [mine] if peer is None else [peer, mine], periods)


def _legend(strategy: str, benchmark: str) -> tuple[str, str]:
    """Names that fit into a legend, and that neither matplotlib nor quantstats takes for anything else."""
    own = strategy if _SHORT.fullmatch(strategy) else "Strategy"
    other = benchmark if _SHORT.fullmatch(benchmark) else "Benchmark"
    return (own, other) if own.casefold() != other.casefold() else ("Strategy", "Benchmark")


def _quantstats(
    mine: pd.Series[Any], peer: pd.Series[Any] | None, path: Path, names: tuple[str, str], periods: int
) -> None:
    """Have quantstats write its page to `path`."""
    with _headless():
        import quantstats

        strategy, benchmark = names
        quantstats.reports.html(  # type: ignore[no-untyped-call]  # quantstats leaves its parameters without types
            mine.rename(strategy),
            benchmark=None if peer is None else peer.rename(benchmark),
            output=str(path),
            strategy_title=strategy,
            benchmark_title=None if peer is None else benchmark,
            match_dates=False,
            periods_per_year=periods,
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


def _mended(page: str, title: str, header: str, shown: Mapping[str, str], years: str) -> str:
    """quantstats' page without what it would load, run or date, with our header.

    Its chart of yearly returns, which names the years wrongly, gives way to the drawing `years`.
    """
    page = re.sub(r'<link rel="shortcut icon"[^>]*>', "", page)
    page = page.replace(' onload="save()"', "")
    page = page.replace("CAGR\N{SMALL PERCENT SIGN}", "CAGR %")  # few fonts have the sign
    page = re.sub(r"<metadata>.*?</metadata>", "", page, flags=re.DOTALL)
    page = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), page)
    page = re.sub(r"<title>.*?</title>", lambda _: f"<title>{escape(title)}</title>", page, count=1, flags=re.DOTALL)
    page = re.sub(r'(<div id="eoy_returns">).*?(?=</div>)', lambda found: found[1] + years, page, flags=re.DOTALL)
    for pale, clear in _COLOURS.items():
        page = page.replace(pale, clear)
    version = re.search(r"\(v\. ([\w.]+)\)", page)
    details = [f"{escape(key)}: {escape(value)}" for key, value in shown.items()]
    drawn = f"Drawn by quantstats{f' {version[1]}' if version else ''}"
    ours = f"{header}\n<h4>{' &bull; '.join([*details, drawn])}</h4>"
    page, found = re.subn(r"<h1>.*?</h1>\s*<h4>.*?</h4>", lambda _: ours, page, count=1, flags=re.DOTALL)
    if found != 1:
        raise ValueError("expected a heading and a line of parameters")
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


def _by_day(returns: pd.Series[Any]) -> pd.Series[Any]:
    """The returns compounded to one a calendar date; the very same where each date has one already."""
    dates = pd.DatetimeIndex(returns.index).normalize()
    return returns if dates.is_unique else (1.0 + returns).groupby(dates).prod() - 1.0
