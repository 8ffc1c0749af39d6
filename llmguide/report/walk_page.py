"""The page of a walk forward: every window, their spread, the whole account, and how much of it may be luck."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide._version import __version__
from llmguide.counting import counted
from llmguide.files import write_text
from llmguide.inline import FUTURE
from llmguide.report import figures
from llmguide.report.html import document, figure, fold, number, paragraph, percent, section, table
from llmguide.report.intervals import between_numbers
from llmguide.report.walk_figures import window_sharpes

__all__ = ["WalkData", "Walked", "render_walk_page", "summary", "write_walk_page"]

_TITLE = "Walk-forward backtest"
_STYLE = """
body { max-width: 78rem; } figure { max-width: 60rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
summary { cursor: pointer; padding: .3rem 0; }
"""
_MEASURES = {"sr": "Sharpe ratio", "mdd": "maximum drawdown"}


@dataclass(frozen=True, eq=False)
class Walked:
    """One instrument; frames as `llmguide.experiments.walk_forward.Walk` has them, without its name.

    `values` has by arm the account after each bar, a column per seed; `edges` the first bar of each window.
    """

    values: Mapping[str, pd.DataFrame]
    edges: tuple[pd.Timestamp, ...]
    stitched: pd.DataFrame
    windows: pd.DataFrame
    spread: pd.DataFrame
    intervals: pd.DataFrame
    luck: pd.DataFrame
    tests: pd.DataFrame


@dataclass(frozen=True, eq=False)
class WalkData:
    """What the page shows: instruments by symbol, settings in words, the command that makes it again."""

    instruments: Mapping[str, Walked]
    settings: Mapping[str, str]
    command: str
    uses_future: bool


def write_walk_page(data: WalkData, path: Path | str) -> Path:
    """Write the page as one self-contained HTML file, atomically; return the path."""
    return write_text(path, render_walk_page(data))


def render_walk_page(data: WalkData) -> str:
    """Return the page as HTML."""
    return document(f"{_TITLE}: {', '.join(data.instruments)}", "\n".join(_parts(data)), style=_STYLE)


def _parts(data: WalkData) -> Iterator[str]:
    if data.uses_future:
        yield paragraph(FUTURE, "warning")
    for line in summary(data):
        yield paragraph(line, "lead")
    yield paragraph(
        "For every window, all arms were retrained and reselected on the bars before it. One account runs "
        "through all windows: each newly trained agent takes over position and cash at the close of its first "
        "bar."
    )
    if len(data.instruments) > 1:
        links = "".join(f'<a href="#{_anchor(symbol)}">{escape(symbol)}</a>' for symbol in data.instruments)
        yield f"<nav>{links}</nav>"
    for symbol, walked in data.instruments.items():
        yield from _instrument(symbol, walked)
    yield section("Settings", "settings")
    yield table(["Setting", ""], list(data.settings.items()), text=True)
    if data.command:
        yield section("Reproduce this run", "again")
        yield f"<pre>{escape(data.command)}</pre>"
    yield f"<footer>llmguide {__version__}</footer>"


def summary(data: WalkData) -> Iterator[str]:
    """One sentence per instrument: the best run, and whether it is more than luck."""
    for symbol, walked in data.instruments.items():
        (row,) = _rows(walked.luck)
        if row.sr != row.sr:
            yield f"{symbol}: no arm ever traded, so there is nothing to evaluate."
            continue
        named = _run(row.arm, row.seed)
        if row.trials == 1:
            yield f"{symbol}: a single run, {named}, with a Sharpe ratio of {number(row.sr)}."
            continue
        verdict = (
            "which distinguishes it from luck"
            if row.deflated >= 0.95
            else "below the 95 % that would distinguish it from luck"
        )
        yield (
            f"{symbol}: of {counted(row.trials, 'run')} the best was {named}, with a Sharpe ratio of "
            f"{number(row.sr)}. The probability that its true one is above what the best of as many runs "
            f"without skill would reach is {percent(row.deflated, 0)} (deflated Sharpe ratio), "
            f"{verdict}.{_beside_hold(walked)}"
        )


def _beside_hold(walked: Walked) -> str:
    """How the first trained arm did beside holding, where both are there."""
    for row in _rows(walked.intervals):
        if row.minus == "hold":
            side = "above" if row.sr_low > 0 else "below" if row.sr_high < 0 else "not told from"
            return (
                f" The Sharpe ratio of {row.arm} minus that of hold is {number(row.sr)} (95 % interval "
                f"{between_numbers(row.sr_low, row.sr_high)}): {side} holding."
            )
    return ""


def _instrument(symbol: str, walked: Walked) -> Iterator[str]:
    yield section(symbol, _anchor(symbol))
    yield figure(
        figures.equity(walked.values, marks=walked.edges),
        f"Account value of {symbol}",
        "The account through all windows. Line: mean over seeds; band: lowest to highest. Dotted lines mark "
        "the first bar of each window.",
    )
    yield "<h3>The whole account</h3>"
    yield paragraph(
        "Means over seeds. Brackets: 95 % intervals by the stationary bootstrap over all traded bars, which "
        "show what other periods of this market could have brought."
    )
    yield _whole(walked)
    yield "<h3>Every window</h3>"
    yield figure(
        window_sharpes(walked.windows),
        f"Sharpe ratio of {symbol} in every window",
        "Marks: mean over seeds in one window; lines: lowest to highest seed.",
    )
    yield _by_window(walked.windows)
    yield "<h3>Spread over windows</h3>"
    yield paragraph("Statistics over windows, of the mean over seeds in each.")
    yield _spread(walked.spread)
    yield "<h3>Luck</h3>"
    yield from _luck(walked.luck)
    if len(walked.tests):
        explained = paragraph(
            "Two-sided paired t tests: over seeds, of the whole account, and over windows, of the mean over seeds. "
            "Holm's p corrects for the number of arms."
        )
        first = escape(str(walked.tests["arm_a"].iloc[0]))
        yield fold(f"Paired tests of {first} against every other arm", explained + _tests(walked.tests))


def _whole(walked: Walked) -> str:
    intervals = walked.intervals[walked.intervals["minus"].isna()]
    bounds_of = {row.arm: row for row in _rows(intervals)}
    rows = []
    for arm, runs in walked.stitched.groupby("arm", sort=False):
        bounds = bounds_of[arm]
        rows.append(
            [
                str(arm),
                f"{number(bounds.sr)} [{between_numbers(bounds.sr_low, bounds.sr_high)}]",
                f"{percent(bounds.mdd)} [{between_numbers(100 * bounds.mdd_low, 100 * bounds.mdd_high, 1)}]",
                percent(runs["total_return"].mean()),
                f"{runs['final_value'].mean():,.0f}",
                number(runs["trades"].mean(), 0 if len(runs) == 1 else 1),
                str(len(runs)) if (runs["seed"] >= 0).all() else "none",
            ]
        )
    head = ["Arm", "Sharpe ratio", "Maximum drawdown", "Return", "Final value", "Trades", "Seeds"]
    return table(head, rows)


def _by_window(windows: pd.DataFrame) -> str:
    """Sharpe ratio and return of each arm by window, and what was learned from."""
    arms = list(dict.fromkeys(windows["arm"]))
    rows = []
    for _, own in windows.groupby("window", sort=False):
        first = own.iloc[0]
        means = own.groupby("arm")[["sr", "total_return"]].mean()
        cells = [f"{number(means.loc[arm, 'sr'])} ({percent(means.loc[arm, 'total_return'], 0)})" for arm in arms]
        rows.append(
            [
                f"{first['first']:%Y-%m-%d} to {first['last']:%Y-%m-%d}",
                f"{first['learned_first']:%Y-%m-%d} to {first['learned_last']:%Y-%m-%d}",
                *cells,
            ]
        )
    return table(["Traded", "Trained on", *(f"{arm}: SR (return)" for arm in arms)], rows)


def _spread(spread: pd.DataFrame) -> str:
    rows = [
        [
            str(row.arm),
            str(row.windows),
            f"{number(row.sr_mean)} ± {number(row.sr_std)}",
            between_numbers(row.sr_low, row.sr_high),
            f"{percent(row.total_return_low, 0)} to {percent(row.total_return_high, 0)}",
            f"{percent(row.mdd_low, 0)} to {percent(row.mdd_high, 0)}",
            percent(row.positive, 0),
        ]
        for row in _rows(spread)
    ]
    head = ["Arm", "Windows", "SR, mean ± std", "SR, lowest to highest", "Return", "Maximum drawdown", "SR above 0"]
    return table(head, rows)


def _luck(luck: pd.DataFrame) -> Iterator[str]:
    (row,) = _rows(luck)
    yield table(
        ["Best run", "Sharpe ratio", "Runs tried", "Hurdle", "Deflated Sharpe ratio", "Probability of overfitting"],
        [
            [
                _run(row.arm, row.seed),
                number(row.sr),
                str(row.trials),
                number(row.hurdle),
                number(row.deflated),
                number(row.pbo),
            ]
        ],
    )
    yield paragraph(
        "The hurdle is the Sharpe ratio that the best of as many runs without skill would reach; the "
        "deflated Sharpe ratio is the probability that the true one is above it (Bailey & Lopez de Prado "
        "2014). The probability of overfitting is the share of ways to halve the bars in which the run that "
        f"is best on one half is not above the median on the other ({row.blocks} blocks; Bailey, Borwein, "
        "Lopez de Prado & Zhu 2017); about 0.5 where there is no skill.",
        "soft",
    )


def _tests(tests: pd.DataFrame) -> str:
    rows = [
        [
            f"{row.arm_a} - {row.arm_b}",
            _MEASURES[row.measure],
            f"{row.n} {row.over}",
            number(row.mean_difference, 3),
            number(row.p, 3),
            number(row.p_holm, 3),
        ]
        for row in _rows(tests)
    ]
    return table(["Arms", "Measure", "Over", "Difference", "p", "Holm's p"], rows)


def _run(arm: str, seed: float) -> str:
    return arm if seed < 0 else f"{arm} with seed {seed:.0f}"


def _anchor(symbol: str) -> str:
    return "i-" + "".join(letter if letter.isalnum() else "-" for letter in symbol)


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
