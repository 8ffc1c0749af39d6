"""The page of a tuned prompt: what was tried on training bars, what was chosen, and what it gained on later bars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from llmguide._version import __version__
from llmguide.files import write_text
from llmguide.report import figures
from llmguide.report.html import document, figure, fold, items, number, paragraph, percent, section, table
from llmguide.report.intervals import between_numbers

__all__ = ["Gain", "TuningData", "Year", "render_tuning_page", "summary", "write_tuning_page"]

_TITLE = "A prompt tuned on training bars"
_STYLE = """
body { max-width: 78rem; } figure { max-width: 60rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
summary { cursor: pointer; padding: .3rem 0; }
"""
_ACCOUNTS = {"tuned": "Tuned", "untuned": "Untuned", "hold": "Held"}
_MARKS = "osD^vPX"


class Gain(NamedTuple):
    """What tuning gained on the test bars: a difference of Sharpe ratios, mean over instruments."""

    difference: float
    low: float
    high: float
    level: float
    bars: int
    p: float  # of exchanging the prompts' months
    verdict: str  # higher, lower, open
    table: pd.DataFrame  # see `llmguide.experiments.tuning.proof.Proof`
    values: Mapping[str, pd.DataFrame]  # account: value after each test bar, one column an instrument


class Year(NamedTuple):
    """One repeat: its years, and what its exemplars taught."""

    repeat: int
    windows: tuple[str, ...]
    exemplars: int
    unusable: int
    groups: tuple[tuple[str, int, int], ...]  # rationale, how many are like it, how many of these were LONG
    features: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TuningData:
    """What the page shows; frames as `llmguide.experiments.tuning.Tuned` has them.

    `deflated` is the probability that the chosen prompt has any skill on the training bars, given how many were tried;
    NaN without one.
    """

    rounds: pd.DataFrame
    finals: pd.DataFrame
    years: Sequence[Year]
    base: str
    text: str
    chosen: str
    deflated: float
    test: Gain | None
    settings: Mapping[str, Any]
    grouped_by: str


def write_tuning_page(data: TuningData, path: Path | str) -> Path:
    """Write the page as one self-contained HTML file, atomically; return the path."""
    return write_text(path, render_tuning_page(data))


def render_tuning_page(data: TuningData) -> str:
    """Return the page as HTML."""
    return document(_TITLE, "\n".join(_parts(data)), style=_STYLE)


def summary(data: TuningData) -> str:
    """Return what was tried, what it was worth in training, and what it gained out of sample, in a few sentences."""
    tried, unusable = data.settings["tried"], data.settings["unusable"]
    count = f"{tried} prompt{'' if tried == 1 else 's'} {'was' if tried == 1 else 'were'} tried on training bars"
    skipped = f", and {unusable} proposal{'' if unusable == 1 else 's'} could not be used" if unusable else ""
    if not data.text:
        return f"{count}{skipped}: there is no tuned prompt, and {data.base} is unchanged."
    means = data.finals.groupby("prompt", sort=False)["sharpe"].mean()
    training = (
        f"The chosen one earned a mean Sharpe ratio of {number(means[data.chosen])} in the training years that were "
        f"drawn, the untuned {data.base} {number(means[data.base])}."
    )
    return f"{count}{skipped}. {training} {_of_test(data.test)}"


def _of_test(test: Gain | None) -> str:
    if test is None:
        return "It was not tested on later bars: its out-of-sample gain is unknown."
    if test.difference != test.difference:
        return (
            f"On {test.bars} test bars, on which nothing was selected, one of the two prompts led to no "
            "trade: there is no difference to measure."
        )
    gained = (
        f"On {test.bars} test bars, on which nothing was selected, tuning changed the Sharpe ratio by "
        f"{_signed(test.difference)} ({percent(test.level, 0)} interval "
        f"{between_numbers(test.low, test.high)}, p {number(test.p, 3)})"
    )
    verdict = {
        "higher": "a gain.",
        "lower": "a loss.",
        "open": "no gain that can be distinguished from chance.",
    }[test.verdict]
    return f"{gained}: {verdict}"


def _parts(data: TuningData) -> Iterator[str]:
    yield paragraph(summary(data), "lead")
    yield section("The template", "template")
    if data.text:
        yield paragraph(
            "The model wrote only the lines of the list; the rest is llmguide's. The list is from "
            f"{data.chosen}, selected by its mean over all years drawn."
        )
        yield f"<pre>{escape(data.text)}</pre>"
    else:
        yield paragraph("The writer gave nothing usable.", "warning")
    if data.test is not None:
        yield from _test(data.test)
    yield section("All rounds", "rounds")
    yield paragraph(
        "V_t is the Sharpe ratio of following a round's guidance in the repeat's year; V* the higher of the untuned "
        f"prompt's there and {number(data.settings['target'])}; the regret the sum of V* - V_t so far. A repeat ends "
        "when it is 0 or less."
    )
    if (data.rounds["failure"] == "").any():
        yield figure(_drawing(data.rounds), "Sharpe ratio and regret by round", "One line per repeat.")
    yield table(
        ["Repeat", "Round", "V_t", "Untuned", "V*", "Regret"],
        [[str(row.repeat), str(row.round), *_round_cells(row)] for row in _rows(data.rounds)],
    )
    for row in _rows(data.rounds):
        yield fold(escape(f"Repeat {row.repeat}, round {row.round}: the list"), _round_text(row))
    yield section("Final selection", "finals")
    yield paragraph(
        "The best prompt of each repeat, and the untuned one, in every year drawn. Each prompt was written on "
        "its own year; the other years are training bars too."
    )
    yield _finals(data.finals)
    if data.deflated == data.deflated:
        yield paragraph(
            f"Deflated Sharpe ratio of the chosen prompt in these years: {percent(data.deflated, 0)}, the "
            f"probability that it has any skill there, given that {data.settings['tried']} prompts were tried "
            "(Bailey & Lopez de Prado 2014).",
            "soft",
        )
    yield section("Lessons from the exemplars", "lessons")
    yield paragraph(
        f"Decisions of the year, labelled in hindsight (Algorithm 1), and people's. Rationales grouped by "
        f"{data.grouped_by}; features ranked by the model, the top quartile kept."
    )
    for year in data.years:
        yield _lessons(year)
    yield section("Settings", "settings")
    yield table(["Setting", ""], [[name, _setting(value)] for name, value in _shown(data.settings)], text=True)
    yield f"<footer>llmguide {__version__}. Method: arXiv 2508.02366v3, section II-B3.</footer>"


def _test(test: Gain) -> Iterator[str]:
    yield section("Test", "test")
    yield paragraph(
        "Bars after training, used once. Difference of the mean Sharpe ratios, tuned less untuned: "
        f"{_signed(test.difference)}, {percent(test.level, 0)} interval "
        f"{between_numbers(test.low, test.high)} by the stationary bootstrap, which draws bars and takes the "
        "answers as given. With so few answers, that interval is too narrow. Exchanging the two prompts' "
        f"answers month by month at random gives p {number(test.p, 3)}. A gain counts only if the interval "
        "excludes 0 and p is at most 0.05."
    )
    rows = [
        [
            str(row.symbol),
            _ACCOUNTS[row.account],
            number(row.sr),
            percent(row.mdd),
            percent(row.total_return),
            str(row.bars),
            str(row.months) if row.months else "",
            str(row.abstentions) if row.months else "",
        ]
        for row in _rows(test.table)
    ]
    head = ["Instrument", "Prompt", "Sharpe ratio", "Maximum drawdown", "Return", "Bars", "Months", "Abstentions"]
    yield table(head, rows)
    values = {_ACCOUNTS[name]: frame for name, frame in test.values.items()}
    yield figure(
        figures.equity(values),
        "Account value on the test bars",
        "Line: mean over instruments; band: lowest to highest.",
    )


def _round_cells(row: Any) -> list[str]:
    return [
        number(row.sharpe) if not row.failure else "not used",
        number(row.baseline),
        number(row.target),
        number(row.regret),
    ]


def _round_text(row: Any) -> str:
    if row.failure:
        return paragraph(f"Not used: {row.failure}", "soft")
    parts = [paragraph(row.why, "soft"), items(str(row.instructions).split("\n"))]
    if row.features:
        parts.append(paragraph(f"Features: {row.features}"))
    if row.criticism:
        parts.append(paragraph(f"The judge: {row.criticism}"))
    return "".join(parts)


def _finals(finals: pd.DataFrame) -> str:
    wide = finals.pivot(index="prompt", columns="repeat", values="sharpe").reindex(finals["prompt"].unique())
    head = ["Prompt", *(f"Years of repeat {repeat}" for repeat in wide.columns), "Mean"]
    return table(
        head,
        [
            [str(name), *map(number, row), number(row.mean())]
            for name, row in zip(wide.index, wide.to_numpy(), strict=True)
        ],
    )


def _lessons(year: Year) -> str:
    groups = [f"{size} ({long} LONG): {text}" for text, size, long in year.groups]
    counted = f"{year.exemplars} exemplars" + (f", {year.unusable} without a usable answer" if year.unusable else "")
    body = [paragraph(f"{counted}. Features kept: {', '.join(year.features) or 'none'}."), items(groups)]
    return fold(escape(f"Repeat {year.repeat}: {'; '.join(year.windows)}"), "".join(body))


def _drawing(rounds: pd.DataFrame) -> str:
    """Left the Sharpe ratio of each round, right the regret; one line and mark for each repeat."""
    known = rounds[rounds["failure"] == ""]
    with figures.house_style():
        canvas = figures.new_figure(8, 3.2)
        left, right = canvas.subplots(1, 2)
        drawn = figures.styles([f"repeat {repeat}" for repeat in known["repeat"].unique()])
        for place, ((name, (color, dash)), (_, own)) in enumerate(
            zip(drawn.items(), known.groupby("repeat"), strict=True)
        ):
            look = {"color": color, "ls": dash, "marker": _MARKS[place % len(_MARKS)]}
            left.plot(own["round"], own["sharpe"], label=name, **look)
            left.axhline(own["target"].iloc[0], color=color, lw=0.8, ls=":")
            right.plot(own["round"], own["regret"], **look)
        right.axhline(0.0, color="#222222", lw=0.8)
        for axes, name in ((left, "Sharpe ratio (dotted: V*)"), (right, "regret")):
            axes.set_xticks(sorted(rounds["round"].unique()))
            axes.set_xlabel("round")
            axes.set_ylabel(name)
        canvas.legend(loc="outside upper center", ncols=5)
        return figures.svg(canvas)


def _shown(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if name not in ("deflated", "test", "summary"):
            yield name, value


def _setting(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _signed(value: float) -> str:
    text = number(value)
    return text if text[0] in "−n" or not float(text) else f"+{text}"


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
