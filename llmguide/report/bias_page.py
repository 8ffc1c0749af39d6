"""The page of an audit of biases: what each change of the question does, and what the directions are worth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide._version import __version__
from llmguide.counting import counted
from llmguide.files import write_text
from llmguide.report.figures import house_style, new_figure, svg
from llmguide.report.html import document, figure, fold, items, number, paragraph, percent, section, table
from llmguide.report.intervals import Line, between, between_numbers, draw_lines, widest

__all__ = ["CHANGES", "BiasData", "render_bias_page", "summary", "write_bias_page"]

_TITLE = "Biases of the model"
_STYLE = """
body { max-width: 78rem; } figure { max-width: 60rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
summary { cursor: pointer; padding: .3rem 0; }
"""
CHANGES = {
    "labels": "LONG and SHORT instead of X and Y",
    "codes": "LONG called X instead of Y",
    "order": "Order of data groups reversed",
    "paraphrase": "First paragraph paraphrased",
}
"""What differs between the two sides of each contrast."""

_MIRROR = {"opposite": "Opposite", "both LONG": "Both LONG", "both SHORT": "Both SHORT"}
_SKILL = ("says LONG", "accuracy", "balanced accuracy", "MCC", "Brier score")
_WAYS = {
    "plain": "As asked",
    "long_x": "LONG is X",
    "long_y": "LONG is Y",
    "long_x_reversed": "X, reversed",
    "long_y_reversed": "Y, reversed",
    "debiased": "Debiased",
    "paraphrase": "Paraphrase",
    "bare": "Bars alone",
    "mirrored": "Mirrored",
}


@dataclass(frozen=True, eq=False)
class BiasData:
    """What the page shows: the frames and settings of `BiasResult`."""

    months: pd.DataFrame
    nulls: pd.DataFrame
    measures: pd.DataFrame
    skill: pd.DataFrame
    settings: Mapping[str, Any]

    def bias(self, measure: str, what: str, symbol: str = "all") -> Any:
        """Return one row of the measures."""
        frame = self.measures
        at = (frame["measure"] == measure) & (frame["what"] == what) & (frame["symbol"] == symbol)
        return next(_rows(frame[at]))

    def worth(self, answer: str, measure: str, symbol: str = "all") -> Any:
        """Return one row of the skill."""
        frame = self.skill
        at = (frame["answer"] == answer) & (frame["measure"] == measure) & (frame["symbol"] == symbol)
        return next(_rows(frame[at]))

    @property
    def symbols(self) -> list[str]:
        """The instruments, in their order."""
        return [str(symbol) for symbol in dict.fromkeys(self.months["symbol"])]


def write_bias_page(data: BiasData, path: Path | str) -> Path:
    """Write the page as one self-contained HTML file, atomically; return the path."""
    return write_text(path, render_bias_page(data))


def render_bias_page(data: BiasData) -> str:
    """The page as HTML."""
    return document(_TITLE, "\n".join(_parts(data)), style=_STYLE)


def summary(data: BiasData) -> str:
    """What the words and orders do, whether the data count, and what the directions are worth; in a few sentences."""
    texts = [text for text in (_of_labels(data), _of_orders(data), _of_mirror(data), _of_skill(data)) if text]
    return " ".join(texts) or "No month has answers that can be compared."


def _of_labels(data: BiasData) -> str:
    moved, turned = data.bias("labels", "p(LONG)"), data.bias("labels", "turned")
    if not moved.n:
        return ""
    what = "p(LONG)" if data.bias("labels", "log-odds").n else "the share of LONG"
    sure = f"95 % interval {_signed(moved.cluster_low)} to {_signed(moved.cluster_high)}"
    return (
        f"Calling the directions LONG and SHORT instead of X and Y moves {what} by {_signed(moved.value)} ({sure}) and "
        f"turns {_of(turned)} directions."
    )


def _of_orders(data: BiasData) -> str:
    said = {
        "codes": "swapping the codes",
        "order": "reversing the groups of data",
        "paraphrase": "paraphrasing the first paragraph",
    }
    turned = {name: data.bias(name, "turned") for name in said}
    found = [f"{text} turns {_of(turned[name])}" for name, text in said.items() if turned[name].n]
    if not found:
        return ""
    *before, last = found
    text = f"{', '.join(before)} and {last}" if before else last
    return f"{text[0].upper()}{text[1:]}."


def _of_mirror(data: BiasData) -> str:
    opposite = data.bias("mirror", "opposite")
    if not opposite.n:
        return ""
    low, high = widest(_share_line(opposite, ""))
    verdict = "" if not low <= 0.5 <= high else ", which a model that ignores them would reach too"
    return (
        f"Shown a month's bars and their mirror image, the model gives opposite directions in {_of(opposite)} months "
        f"(95 % interval {percent(low, 0)} to {percent(high, 0)}){verdict}."
    )


def _of_skill(data: BiasData) -> str:
    rows = {name: data.worth(name, "balanced accuracy") for name in ("plain", "debiased")}
    n = rows["plain"].n
    if not n:
        return ""
    if math.isnan(rows["plain"].value):
        return (
            f"All {n} months with an outcome went the same way: they cannot distinguish skill from a constant "
            "direction."
        )
    shown = {
        name: f"{name} {number(row.value)}, 95 % interval {between_numbers(row.cluster_low, row.cluster_high)}"
        for name, row in rows.items()
    }
    better = [name for name, row in rows.items() if row.cluster_low > 0.5]
    which = {
        0: "neither the direction as asked nor the debiased one beats",
        1: f"only the {'direction as asked' if better == ['plain'] else 'debiased direction'} beats",
        2: "both the direction as asked and the debiased one beat",
    }[len(better)]
    return f"On {n} months with an outcome {which} constant LONG (balanced accuracy: {'; '.join(shown.values())})."


def _parts(data: BiasData) -> Iterator[str]:
    yield paragraph(summary(data), "lead")
    yield items(_remarks(data))
    yield section("The same month, asked differently")
    yield _contrasts(data, [(name, text, "all") for name, text in CHANGES.items()], "Change")
    yield figure(_drawing(data), "What each change does to the directions and to the log-odds of LONG", _CAPTION)
    yield section("Months and their mirror images")
    yield _mirror(data, [(what, text, "all") for what, text in _MIRROR.items()], "Directions")
    lean, probability = data.bias("mirror", "log-odds"), data.bias("mirror", "p(LONG)")
    yield paragraph(
        f"Over a month and its mirror image together the log-odds of LONG are {number(lean.value)} on average "
        f"(95 % interval {between_numbers(lean.cluster_low, lean.cluster_high)}), and p(LONG) less a half is "
        f"{_signed(probability.value)}. An unbiased model has 0 for both.",
        "soft",
    )
    yield section("A month in which nothing moved")
    yield _null_table(data.nulls)
    yield section("Skill of the directions")
    yield _skill(data, [(name, name, "all") for name in dict.fromkeys(data.skill["answer"])], "Direction")
    yield paragraph(_WORTH, "soft")
    yield section("Definitions")
    yield items(_MEANT)
    yield section("By instrument")
    for name, text in CHANGES.items():
        yield f"<h3>{escape(text)}</h3>"
        yield _contrasts(data, [(name, symbol, symbol) for symbol in data.symbols], "Instrument")
    yield "<h3>Opposite directions for mirror images</h3>"
    yield _mirror(data, [("opposite", symbol, symbol) for symbol in data.symbols], "Instrument")
    for name, title in (("plain", "The direction as asked"), ("debiased", "The debiased direction")):
        yield f"<h3>{title}</h3>"
        yield _skill(data, [(name, symbol, symbol) for symbol in data.symbols], "Instrument")
    yield section("Month by month")
    for symbol, rows_of in data.months.groupby("symbol", sort=False):
        yield fold(escape(str(symbol)), _month_table(rows_of))
    yield f"<footer>llmguide {__version__}</footer>"


_CAPTION = (
    "Left: share of months whose direction flips when the question is changed, and share of mirror images "
    "with opposite directions, with the 95 % interval by Wilson (thick) and over calendar months (thin). "
    "Right: what the change adds to the log-odds of LONG, with the interval over calendar months. The "
    "vertical marks are the values of an unbiased model."
)
_WORTH = (
    "Only months with an outcome, a direction as asked and a debiased one count. Balanced accuracy is the "
    "mean of the shares of rises and of falls that were right: 0.5 for any constant direction. MCC is the "
    "Matthews correlation coefficient; for a constant direction it is undefined and counts as 0. The Brier "
    "score, where log-probabilities came, is the mean of (p(LONG) - outcome) squared: the lower, the better. "
    "The base rate is the more frequent direction, with its share as probability: both are known only "
    "afterwards. All of it is measured with realised returns, and months that the model has read about may be "
    "remembered: none of it may guide an agent."
)
_MEANT = (
    "Flipped: the share of months in which the two ways of asking give different directions. Log-odds and "
    "p(LONG): how much more LONG the first way is than the second, on average; absolute: whichever way it "
    "moves.",
    "Labels: the question as asked against the mean of both assignments of the codes X and Y, with groups in "
    "the same order. The difference is due to the word LONG, or to its being named first.",
    "Codes: LONG called X against LONG called Y. It is twice the bias towards X, or towards the code named first.",
    "Order: all groups of data reversed, against the order of the prompt. It shows a bias towards what comes "
    "last, or first.",
    "Paraphrase: the first paragraph of the system message paraphrased, against the question as asked.",
    "Mirror images: the bars with all returns' signs flipped, indicators computed anew, against the same bars; neither "
    "with external tables. 1 for a model that judges by the bars alone, 0.5 for one that answers by chance.",
    "A month in which nothing moved: prices and volume all the same, no table. It is its own mirror image: whatever is "
    "said of it leans.",
    "Debiased: the mean log-odds of the four forms with codes, as --debias has it.",
    "Wilson's interval takes months as independent; those of several instruments in one calendar month are not, so the "
    "other interval draws whole calendar months.",
)


def _remarks(data: BiasData) -> Iterator[str]:
    months, settings = data.months, data.settings
    first, last = months["issued_at"].min(), months["issued_at"].max()
    count = f"{counted(len(months), 'month')} of {counted(len(data.symbols), 'instrument')}"
    yield (
        f"{count}, {first:%Y-%m-%d} to {last:%Y-%m-%d}, asked of {settings['model'] or 'an unnamed model'} with prompt "
        f"{settings['prompt']}, without news and earlier decisions; seed {settings['seed']}."
    )
    if not settings["paraphrases_own"]:
        yield (
            "The template's first paragraph is not one of llmguide's: that of the paraphrase stands in its place, and "
            "may say less than it did."
        )
    if settings["failures"]:
        yield f"{settings['failures']} of {settings['questions']} questions have no usable answer and are left out."
    if settings["without_logprobs"]:
        yield (
            f"{settings['without_logprobs']} answers came without log-probabilities: their directions count as p(LONG) "
            "of 0 or 1, and the log-odds leave them out."
        )


def _contrasts(data: BiasData, wanted: Iterable[tuple[str, str, str]], head: str) -> str:
    lines = []
    for measure, label, symbol in wanted:
        turned, odds, absolute, p = (
            data.bias(measure, what, symbol) for what in ("turned", "log-odds", "absolute log-odds", "p(LONG)")
        )
        lines.append(
            [
                label,
                _of(turned),
                percent(turned.value),
                between(turned.low, turned.high),
                between(turned.cluster_low, turned.cluster_high),
                number(odds.value),
                between_numbers(odds.cluster_low, odds.cluster_high),
                number(absolute.value),
                number(p.value, 3),
                between_numbers(p.cluster_low, p.cluster_high, 3),
                f"{turned.left_out}",
            ]
        )
    columns = [
        head,
        "Directions turned",
        "Share",
        "95 % (Wilson)",
        "95 % (calendar months)",
        "Log-odds of LONG",
        "95 %",
    ]
    return table([*columns, "Absolute log-odds", "p(LONG)", "95 %", "Left out"], lines)


def _mirror(data: BiasData, wanted: Iterable[tuple[str, str, str]], head: str) -> str:
    lines = []
    for what, label, symbol in wanted:
        row = data.bias("mirror", what, symbol)
        intervals = [between(row.low, row.high), between(row.cluster_low, row.cluster_high)]
        lines.append([label, _of(row), percent(row.value), *intervals, f"{row.left_out}"])
    return table([head, "Months", "Share", "95 % (Wilson)", "95 % (calendar months)", "Left out"], lines)


def _null_table(nulls: pd.DataFrame) -> str:
    rows = [
        [str(row.form), _direction(row.direction), number(row.p_long, 3), number(row.log_odds)] for row in _rows(nulls)
    ]
    return table(["Asked", "Direction", "p(LONG)", "Log-odds of LONG"], rows)


def _skill(data: BiasData, wanted: Iterable[tuple[str, str, str]], head: str) -> str:
    lines = []
    for answer, label, symbol in wanted:
        says, right, balanced, mcc, brier = (data.worth(answer, measure, symbol) for measure in _SKILL)
        lines.append(
            [
                label,
                f"{says.n}",
                percent(says.value),
                percent(right.value),
                between(*widest(_share_line(right, ""))),
                number(balanced.value),
                between_numbers(balanced.cluster_low, balanced.cluster_high),
                number(mcc.value),
                between_numbers(mcc.cluster_low, mcc.cluster_high),
                number(brier.value, 3),
                between_numbers(brier.cluster_low, brier.cluster_high, 3),
            ]
        )
    columns = [head, "Months", "Says LONG", "Accuracy", "95 %", "Balanced accuracy", "95 %", "MCC", "95 %"]
    return table([*columns, "Brier score", "95 %"], lines)


def _month_table(rows: pd.DataFrame) -> str:
    lines = [
        [f"{row.issued_at:%Y-%m-%d}", percent(row.realised), *(_answer(row, way) for way in _WAYS)]
        for row in _rows(rows)
    ]
    return table(["Issued", "Price", *_WAYS.values()], lines)


def _answer(row: Any, way: str) -> str:
    direction, p_long = _direction(getattr(row, way)), getattr(row, f"p_{way}")
    return direction if pd.isna(p_long) else f"{direction} {number(p_long)}"


def _drawing(data: BiasData) -> str:
    """Shares on the left, log-odds on the right; one line per contrast, and one for the mirror images."""
    shares = [_share_line(data.bias(name, "turned"), text) for name, text in CHANGES.items()]
    shares.append(_share_line(data.bias("mirror", "opposite"), "Mirror images: opposite"))
    odds = [data.bias(name, "log-odds") for name in (*CHANGES, "mirror")]
    means = [Line("", row.value, cluster_low=row.cluster_low, cluster_high=row.cluster_high, mark=0.0) for row in odds]
    with house_style():
        canvas = new_figure(8, 3.4)
        left, right = canvas.subplots(1, 2)
        draw_lines(left, shares)
        left.set_xlim(-0.02, 1.02)
        left.set_xlabel("share of months")
        draw_lines(right, means)
        right.set_xlabel("log-odds of LONG")
        return svg(canvas)


def _share_line(row: Any, name: str) -> Line:
    return Line(
        name, row.value, row.low, row.high, row.cluster_low, row.cluster_high, getattr(row, "unbiased", math.nan)
    )


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)


def _of(row: Any) -> str:
    return f"{row.hits} of {row.n}"


def _signed(value: float) -> str:
    text = number(value)
    return text if text[0] in "−n" or not float(text) else f"+{text}"


def _direction(value: Any) -> str:
    return "n/a" if pd.isna(value) else "long" if value else "short"
