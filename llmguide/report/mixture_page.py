"""The page of a study of the mixture: which aims it reached, with what guidance, and on which instruments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide._version import __version__
from llmguide.counting import counted
from llmguide.files import write_text
from llmguide.report.html import document, figure, fold, items, number, paragraph, percent, section, table
from llmguide.report.intervals import between, between_numbers
from llmguide.report.mixture_figures import LABELS, draw_by_accuracy
from llmguide.report.tables import p_value

__all__ = ["MixtureData", "render_mixture_page", "summary", "write_mixture_page"]

_TITLE = "What a mixture makes of guidance"
_STYLE = """
body { max-width: 78rem; } figure { max-width: 60rem; }
summary { cursor: pointer; padding: .3rem 0; }
@media (max-width: 40rem) {
  th, td { padding: .35rem .45rem; } thead th { min-width: 0; } tbody th { white-space: normal; min-width: 6.5rem; }
}
"""
_WORDS = {"all": "all instruments", "fell": "those that fell", "rose": "those that rose"}
_MEANT = {
    "near the best parent": "Sharpe ratio at most 0.05 below that of the best parent",
    "above every parent": "Sharpe ratio above that of every parent, p < 0.05, at accuracies 0.7 and 0.85",
    "rises with accuracy": "Sharpe ratio not lower with more accurate guidance: the smallest step",
    "shuffled costs little": "shuffled guidance costs at most 0.05 beside the mixture without guidance",
    "shallower than the best parent": "maximum drawdown below that of the best parent",
}
_SHALLOWER = "shallower than the best parent"
_NOT_SAID = (
    "What any guidance is worth. Oracle guidance is made from later bars and then corrupted: a control. Its "
    "errors fall on random months, which a model's errors need not do.",
    "What other years would show. Intervals resample instruments, and these rise and fall together: other "
    "years would differ by more.",
    "The effect of many tests: aims are tested one by one, and p is not corrected for their number.",
    "Which instruments will fall. That was unknown beforehand, as was the best parent of a group.",
    "Whether a language model had read about these months. If it had, its record before the test is worth little.",
)


@dataclass(frozen=True, eq=False)
class MixtureData:
    """What the page shows: frames and settings of `llmguide.experiments.mixture.MixtureStudy`.

    `flat` is how many runs never traded, and so count with a Sharpe ratio of 0.
    """

    instruments: pd.DataFrame
    table: pd.DataFrame
    differences: pd.DataFrame
    aims: pd.DataFrame
    settings: Mapping[str, Any]
    flat: int

    def count(self, group: str) -> int:
        """How many instruments a group has."""
        rows = self.instruments.drop_duplicates("symbol")
        return len(rows) if group == "all" else int((rows["fell"] == (group == "fell")).sum())

    @property
    def arms(self) -> list[str]:
        """The arms there are: parents, then mixtures."""
        there = set(self.instruments["arm"])
        return [arm for arm in ("agent", "guidance", "hold", "mixture", "mixture_all_in") if arm in there]

    @property
    def groups(self) -> list[str]:
        """The groups that have instruments."""
        return [group for group in _WORDS if self.count(group)]

    @property
    def guidance(self) -> list[str]:
        """Names of all guidance: none, then what is as it is, then what is shuffled."""
        names = [str(name) for name in dict.fromkeys(self.instruments["guidance"])]
        return sorted(names, key=lambda name: name.startswith("shuffled "))


def write_mixture_page(data: MixtureData, path: Path | str) -> Path:
    """Write the page as one self-contained HTML file, atomically; return the path."""
    return write_text(path, render_mixture_page(data))


def render_mixture_page(data: MixtureData) -> str:
    """The page as HTML."""
    return document(_TITLE, "\n".join(_parts(data)), style=_STYLE)


def summary(aims: pd.DataFrame, group: str = "all") -> str:
    """How far the sized mixture is from its best parent in a group, and which aims it reaches; in a few sentences."""
    reached: list[str] = []
    missed: list[str] = []
    own = aims[(aims["group"] == group) & (aims["arm"] == "mixture")]
    for aim, rows in own.groupby("aim", sort=False):
        good, of = int(rows["reached"].sum()), len(rows)
        (reached if good == of else missed).append(str(aim) if of == 1 else f"{aim} ({good} of {of})")
    near = own[own["aim"] == "near the best parent"].set_index("guidance")["value"]
    text = (
        f"On the mean of {_counted(int(own['instruments'].max()), group)} the Sharpe ratio of the sized mixture minus "
        f"that of its best parent is {number(near.min())} ({near.idxmin()}) to {number(near.max())} ({near.idxmax()}). "
        f"It reaches {len(reached)} of {len(reached) + len(missed)} aims"
    )
    text += f": {', '.join(reached)}." if reached else "."
    return f"{text} Not reached: {', '.join(missed)}." if missed else text


def _counted(count: int, group: str) -> str:
    name = counted(count, "instrument")
    return f"all {name}" if group == "all" else f"the {name} that {group}"


def _parts(data: MixtureData) -> Iterator[str]:
    yield paragraph(summary(data.aims), "lead")
    if "fell" in data.groups:
        yield paragraph(summary(data.aims, "fell"), "lead")
    yield paragraph(
        "Oracle and shuffled guidance were made with knowledge of later bars: controls, not results.", "warning"
    )
    missing = data.settings.get("missing", {})
    if missing:
        yield paragraph(f"Not trained yet, and left out: {_missing(missing)}.", "warning")
    yield items(_remarks(data))
    if any(name.startswith("oracle ") for name in data.guidance):
        yield _figure(data, "all")
    yield section("Aims")
    yield _counts(data)
    yield items(f"{aim}: {_MEANT[aim]}." for aim in dict.fromkeys(data.aims["aim"]))
    yield paragraph(
        "The best parent is the expert (agent, guidance or holding) with the highest mean Sharpe ratio of the "
        "group beside the same guidance, chosen once. An aim is judged by the realised mean, the second one "
        "by its p; the 95 % interval over instruments shows the uncertainty.",
        "soft",
    )
    for arm in ("mixture", "mixture_all_in"):
        yield fold(f"Every aim of the {LABELS[arm]}", _aims(data, arm))
    for group in data.groups:
        yield section(f"Sharpe ratio and drawdown, {_WORDS[group]}")
        if group == "fell" and any(name.startswith("oracle ") for name in data.guidance):
            yield _figure(data, group)
        yield _means(data, group, "sr")
        yield paragraph("Maximum drawdown:")
        yield _means(data, group, "mdd")
        yield fold("The mixture minus each parent, and minus itself without guidance", _differences(data, group))
    yield section("By instrument")
    yield _instruments(data)
    yield section("Limits of this page")
    yield items(_NOT_SAID)
    yield f"<footer>llmguide {__version__}</footer>"


def _remarks(data: MixtureData) -> Iterator[str]:
    settings = data.settings
    agents = len(settings.get("seeds", []))
    trained = f"{counted(agents, 'agent')} each, {counted(int(settings.get('episodes', 0)), 'episode')}"
    draws = f"{counted(int(settings.get('draws', 0)), 'draw')} of each random guidance"
    yield f"{counted(data.count('all'), 'instrument')}, {trained if agents else 'no agents'}, {draws}."
    for name, of_name in settings.get("tables", {}).items():
        known = " It uses the future." if any(table["uses_future"] for table in of_name.values()) else ""
        yield f"Guidance {name}: {len(of_name)} of {data.count('all')} instruments ({', '.join(of_name)}).{known}"
    if data.flat:
        yield f"{data.flat} runs never traded; they count with a Sharpe ratio of 0, as cash does."


def _missing(missing: Mapping[str, Iterable[int]]) -> str:
    by_seeds: dict[str, list[str]] = {}
    for symbol, seeds in missing.items():
        by_seeds.setdefault(", ".join(map(str, seeds)), []).append(symbol)
    return "; ".join(f"seed {seeds} of {', '.join(symbols)}" for seeds, symbols in by_seeds.items())


def _figure(data: MixtureData, group: str) -> str:
    caption = (
        f"{_counted(data.count(group), group).capitalize()}. Left: mean Sharpe ratio. Right: the mixture "
        "minus its best parent; dotted: the 0.05 that it may lose. Bars are 95 % intervals over instruments; "
        "those on the left are wide because instruments differ, which cancels in the paired ones on the "
        "right."
    )
    drawn = draw_by_accuracy(data.table, data.aims, group)
    return figure(drawn, "Sharpe ratio of mixture and parents by accuracy of the guidance", caption)


def _counts(data: MixtureData) -> str:
    """How often each aim is reached, by mixture and group."""
    found = data.aims.groupby(["aim", "arm", "group"], sort=False)["reached"]
    cells = {key: f"{rows.sum()} of {len(rows)} {'✓' if rows.all() else '✗'}" for key, rows in found}
    pairs = [(arm, group) for arm in ("mixture", "mixture_all_in") for group in data.groups]
    rows = [[aim, *(cells.get((aim, *pair), "n/a") for pair in pairs)] for aim in dict.fromkeys(data.aims["aim"])]
    short = {"mixture": "Sized", "mixture_all_in": "All in"}
    return table(["Aim", *(f"{short[arm]}: {group}" for arm, group in pairs)], rows)


def _aims(data: MixtureData, arm: str) -> str:
    own = data.aims[data.aims["arm"] == arm]
    cells = {(row.aim, row.guidance if row.aim != "rises with accuracy" else "", row.group): row for row in _rows(own)}
    keys = dict.fromkeys((aim, guidance) for aim, guidance, _ in cells)
    lines = []
    for aim, guidance in keys:
        found = [cells.get((aim, guidance, group)) for group in data.groups]
        lines.append([aim, guidance or "all accuracies", *("n/a" if row is None else _aim(row) for row in found)])
    return table(["Aim", "Guidance", *(_WORDS[group].capitalize() for group in data.groups)], lines, text=True)


def _aim(row: Any) -> str:
    """One verdict: number, interval, p, what it is compared with, and whether the aim is reached."""
    shallower = row.aim == _SHALLOWER
    value = percent(row.value) if shallower else number(row.value, 3)
    reach = between(row.low, row.high) if shallower else between_numbers(row.low, row.high, 3)
    p = "" if pd.isna(row.p) else f", p {p_value(row.p)}"
    minus = {"without guidance": "itself without guidance", "lower accuracy": f"itself, up to {row.guidance}"}
    return f"{'✓' if row.reached else '✗'} {value} ({reach}){p}, less {minus.get(row.minus, row.minus)}"


def _means(data: MixtureData, group: str, measure: str) -> str:
    """Means of every guidance and arm."""
    own = data.table[data.table["group"] == group]
    arms = data.arms
    cells = own.set_index(["guidance", "arm"])
    show = number if measure == "sr" else percent
    lines = []
    for name in (name for name in data.guidance if name in set(own["guidance"])):
        values = [show(cells.loc[(name, arm), measure]) if (name, arm) in cells.index else "" for arm in arms]
        count = int(own.loc[own["guidance"] == name, "instruments"].iloc[0])
        lines.append([name, *values, str(count)])
    return table(["Guidance", *(LABELS.get(arm, arm).capitalize() for arm in arms), "Instruments"], lines)


def _differences(data: MixtureData, group: str) -> str:
    own = data.differences[(data.differences["group"] == group) & (data.differences["minus"] != "lower accuracy")]
    lines = [
        [
            row.guidance,
            LABELS[row.arm],
            row.minus,
            f"{number(row.sr)} ({between_numbers(row.sr_low, row.sr_high)})",
            f"{percent(row.mdd)} ({between(row.mdd_low, row.mdd_high)})",
            str(row.instruments),
        ]
        for row in _rows(own)
    ]
    return table(["Guidance", "Arm", "Less", "Sharpe ratio", "Maximum drawdown", "Instruments"], lines)


def _instruments(data: MixtureData) -> str:
    """Sharpe ratios of each instrument: its own parents, and the sized mixture with each guidance that is as it is."""
    names = [name for name in data.guidance if not name.startswith("shuffled ")]
    cells = data.instruments.set_index(["symbol", "guidance", "arm"])["sr"]
    alone = [arm for arm in ("agent", "hold") if arm in data.arms]
    lines = []
    for symbol, rows in data.instruments.groupby("symbol", sort=False):
        own = [number(cells[symbol, "none", arm]) for arm in alone]
        mixed = [number(cells[key]) if (key := (symbol, name, "mixture")) in cells.index else "" for name in names]
        lines.append([str(symbol), "fell" if rows["fell"].iloc[0] else "rose", *own, *mixed])
    told = paragraph("Sharpe ratios, means over agents and draws; of the sized mixture with each guidance.", "soft")
    return told + table(["Instrument", "Test bars", *(arm.capitalize() for arm in alone), *names], lines)


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
