"""A measure over two parameters of a sweep: the drawing, the best cell in words, and whether to believe it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.counting import counted
from llmguide.files import write_text
from llmguide.report.heat_figure import STYLE, Axis, Panel, coarser, heat_figure, script
from llmguide.report.html import document, paragraph, section, table
from llmguide.report.inline import inline_page
from llmguide.sweeps.validation import verdict_for
from llmguide.sweeps.verdict import Verdict
from llmguide.sweeps.wording import MEASURED, cell, many, measured, setting, summary

if TYPE_CHECKING:
    from llmguide.sweeps.result import SweepResult, Which
    from llmguide.sweeps.validation import Validation

__all__ = ["Heatmap", "heatmap_of"]

MOST_CELLS = 40_000
"""In all maps of a page, which is to stay below 300 kB: of more, a drawn cell is the mean of several."""
MOST_PANELS = 9


@dataclass(frozen=True, eq=False, repr=False)
class Heatmap:
    """What `Sweep.heatmap` returns; shows itself in a notebook.

    Attributes:
        found: the sweep.
        x, y, by: the two parameters, to the right and upwards, and the measure.
        rows: the combinations shown, as positions in the sweep's frame.
        held: the other parameters, each with the value at which it is held.
        best: the best combination shown, as a row of the sweep's frame; None where none can be.
        leads: whether that is the best of all.
        slices: a third parameter, of which every value has a map of its own; "" for one map.
        verdict: whether the best was checked for overfitting, and what came of it.
        name: what the bars are of, for the title.
    """

    found: SweepResult
    x: str
    y: str
    by: str
    rows: NDArray[np.intp]
    held: Mapping[str, Any]
    best: pd.Series[Any] | None
    leads: bool
    slices: str
    verdict: Verdict
    name: str

    def __repr__(self) -> str:
        return f"Heatmap({self.by} over {self.x} and {self.y}, {self.words})"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The measure, rows by y and columns by x; NaN where it is undefined or was not tried.

        With slices the rows have that parameter's value before y.
        """
        parts = {value: panel.values for value, panel in self._panels}
        x, y = (self._values(name) for name in (self.x, self.y))
        frames = {
            value: pd.DataFrame(cells, index=y.rename(self.y), columns=x.rename(self.x))
            for value, cells in parts.items()
        }
        return pd.concat(frames, names=[self.slices]) if self.slices else frames[None]

    @property
    def title(self) -> str:
        """What is shown of what: rule, instrument where it is known, dates, cost, measure and parameters."""
        plan = self.found.plan
        instrument = self.name or self._labels("symbol")
        what = [f"{plan.rule.name.capitalize()} on {instrument}" if instrument else plan.rule.name.capitalize()]
        what += [span for span in [self._span] if span]
        if "cost" not in (self.x, self.y, self.slices):
            what.append(f"cost {measured_cost(self.held['cost'])}")
        over = [self.x, self.y, *([self.slices] if self.slices else [])]
        return f"{', '.join(what)}: {MEASURED[self.by].label} by {', '.join(over[:-1])} and {over[-1]}"

    @property
    def words(self) -> str:
        """The best combination shown, its parameters and measures, and where it stands."""
        tried = len(self.found)
        if self.best is None:
            return (
                f"None of the {counted(len(self.rows), 'combination')} shown can be the best: none has a "
                f"{MEASURED[self.by].label}, or none trades."
            )
        parameters = self.found.parameters(self.best)
        varied = [name for name in parameters if self.found.frame.index.unique(name).size > 1] or [self.x, self.y]
        of = f"all {tried:,} combinations tried" if tried > 1 else "one combination"
        first = f"The best of {of}" if self.leads else f"The best of the {counted(len(self.rows), 'combination')} shown"
        return f"{first} is {setting(parameters, varied)}: {summary(self.best, self.by)}."

    def write_html(self, path: Path | str) -> Path:
        """Write the page as one HTML file that needs no network, complete or not at all; return its path."""
        return write_text(path, self.html)

    @cached_property
    def html(self) -> str:
        """The page."""
        label = f"{self.title}. {self.words}"
        figure, notes = self._drawn(label)
        warned = "" if self.verdict.holds else "warning"
        reasons = " ".join(self.verdict.reasons)
        body = [
            paragraph(self.words, "lead"),
            f'<p class="{warned or "plain"}"><strong>{self.verdict.headline}.</strong> {paragraph(reasons)[3:-4]}</p>',
            figure,
            *(paragraph(note) for note in [*self._remarks(), *notes]),
            section("What was tried"),
            table(["Setting", "Value"], self._tried(), text=True),
        ]
        return document(self.title, "\n".join(part for part in body if part), style=STYLE, script=script())

    def _repr_html_(self) -> str:
        return inline_page(self.html, label=self.title, height=760)

    def _values(self, name: str) -> pd.Index[Any]:
        """A parameter's values in the order in which they are drawn: numbers upwards, others as given."""
        level = self.found.frame.index.unique(name)
        return level.sort_values() if pd.api.types.is_numeric_dtype(level) else level

    @cached_property
    def _panels(self) -> list[tuple[Any, Panel]]:
        """The maps by the value of the sliced parameter, None for the only one; cells that were not tried are NaN."""
        index = self.found.frame.index[self.rows]
        values = self.found.frame[self.by].to_numpy(dtype=np.float64)[self.rows]
        places = [self._values(name).get_indexer(index.get_level_values(name)) for name in (self.y, self.x)]
        shape = len(self._values(self.y)), len(self._values(self.x))
        third = index.get_level_values(self.slices) if self.slices else None
        best = None if self.best is None else self.found.parameters(self.best)
        made = []
        for value in [None] if third is None else self._values(self.slices):
            inside = np.ones(len(index), dtype=bool) if third is None else np.asarray(third == value)
            cells, tried = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
            at = tuple(place[inside] for place in places)
            cells[at], tried[at] = values[inside], True
            ring: tuple[int, int] | None = None
            if best is not None and (third is None or best[self.slices] == value):
                row, column = (
                    int(self._values(name).get_indexer(pd.Index([best[name]]))[0]) for name in (self.y, self.x)
                )
                ring = (row, column)
            title = "" if third is None else f"{self.slices} {cell(value)}"
            made.append((value, Panel(cells, tried, ring, title)))
        return made

    def _drawn(self, label: str) -> tuple[str, list[str]]:
        """The figure, and what is to be said of how it was drawn."""
        panels, notes = [panel for _, panel in self._panels], []
        if len(panels) > MOST_PANELS:
            keep = np.unique(np.linspace(0, len(panels) - 1, MOST_PANELS).round().astype(int))
            ringed = next((place for place, panel in enumerate(panels) if panel.best is not None), None)
            if ringed is not None and ringed not in keep:
                keep[np.abs(keep - ringed).argmin()] = ringed
            notes.append(f"{len(keep)} of the {len(panels)} values of {self.slices} are shown.")
            panels = [panels[place] for place in keep]
        most = int(np.sqrt(MOST_CELLS / len(panels)))
        axes = [Axis(name, tuple(map(cell, self._values(name)))) for name in (self.x, self.y)]
        thinned = [coarser(panel, most) for panel in panels]
        rows, columns = thinned[0][1]
        if (rows, columns) != (1, 1):
            notes.append(
                f"There are too many values for one picture: a drawn cell is the mean of up to {columns} by {rows} "
                "combinations, and the ring marks the one with the best combination in it."
            )
        x, y = (_joined(axis, step) for axis, step in zip(axes, (columns, rows), strict=True))
        caption = self._caption()
        drawn = heat_figure([panel for panel, _ in thinned], x, y, MEASURED[self.by], label=label, caption=caption)
        return drawn, notes

    def _caption(self) -> str:
        """What a cell is, with the parameters that are held."""
        index = self.found.frame.index
        fixed = [name for name in self.held if index.unique(name).size == 1]
        chosen = [name for name in self.held if name not in fixed]
        text = f"Each cell is one combination on the same bars: its {MEASURED[self.by].label}."
        if chosen:
            text += (
                f" More than two parameters were varied: shown is the slice at {setting(self.held, chosen)}, "
                f"{len(self.rows):,} of {counted(len(self.found), 'combination')} tried, not the best over them."
            )
        return text

    def _remarks(self) -> Iterator[str]:
        """What a reader should see in the map: ties, the edge of the grid, the neighbours of the best."""
        if self.best is None:
            return
        measure, value = MEASURED[self.by], float(self.best[self.by])
        if measure.signed and value < 0:
            yield f"Even the best combination shown has a negative {measure.label}."
        shown = self.found.frame[self.by].to_numpy(dtype=np.float64)[self.rows]
        ties = int((shown == value).sum())
        if ties > 1:
            yield f"{ties:,} of the combinations shown share this value; the first of them is ringed."
        best = self.found.parameters(self.best)
        for name in (self.x, self.y):
            level = self._values(name)
            ends = {} if len(level) < 3 or name not in self.found.plan.rule.defaults else {level[-1]: "largest"}
            if ends and level[0] not in (0, 1):  # where counts and fractions begin
                ends[level[0]] = "smallest"
            if pd.api.types.is_numeric_dtype(level) and best[name] in ends:
                yield (
                    f"The best lies at the edge of the grid: {name} {cell(best[name])} is the {ends[best[name]]} value "
                    "tried, and a better one may lie beyond it."
                )
        panel = next(panel for _, panel in self._panels if panel.best is not None)
        row, column = panel.best or (0, 0)
        around = panel.values[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].ravel()
        around = np.sort(around[np.isfinite(around)])
        near = np.delete(around, np.flatnonzero(around == value)[:1])
        if len(near) >= 3:
            low, mean, high = (measured(self.by, part) for part in (near[0], near.mean(), near[-1]))
            yield (
                f"The {len(near)} combinations next to it have {mean} on average, {low} to {high}: a best cell far "
                "from its neighbours is luck more often than a plateau is."
            )

    def _tried(self) -> Iterator[list[str]]:
        """What was swept, line by line."""
        plan, index = self.found.plan, self.found.frame.index
        market = self._markets()[0]
        if self.name:
            yield ["Bars of", self.name]
        for label in market.labels:
            yield [label, many(index.unique(label))]
        if self._span:
            yield ["Dates", f"{self._span}, {len(market.prices):,} bars, the first {market.start} without a position"]
        else:
            yield ["Bars", f"{len(market.prices):,}, the first {market.start} without a position"]
        yield ["Rule", plan.rule.name]
        for name in plan.grid.levels:
            values = many(index.unique(name))
            if name == "stop_loss":
                values = values.replace("inf", "none")
            yield [name, f"{values} (a fraction of each traded value)" if name == "cost" else values]
        yield ["Combinations", f"{len(self.found):,} tried, {len(self.rows):,} shown"]
        yield ["Annualised by", f"{market.periods:g} bars a year; the Sharpe ratio has no risk-free rate"]
        yield ["Checked for overfitting", self.verdict.headline]

    def _markets(self) -> list[Any]:
        """The markets shown."""
        held = {name: value for name, value in self.held.items() if name in self.found.plan.markets[0].labels}
        return [market for market in self.found.plan.markets if held.items() <= market.labels.items()]

    def _labels(self, name: str) -> str:
        """The instruments shown, by name where they are few."""
        names = list(dict.fromkeys(market.labels[name] for market in self._markets() if name in market.labels))
        return ", ".join(names) if len(names) <= 3 else f"{len(names)} instruments"

    @property
    def _span(self) -> str:
        """First to last date of the bars; empty where they have none."""
        dates = [market.bars.index for market in self._markets() if isinstance(market.bars.index, pd.DatetimeIndex)]
        return f"{min(d[0] for d in dates):%Y-%m-%d} to {max(d[-1] for d in dates):%Y-%m-%d}" if dates else ""


def measured_cost(cost: float) -> str:
    """A cost as a percentage, without digits that say nothing."""
    return f"{round(100 * cost, 6):g} %"


def _joined(axis: Axis, step: int) -> Axis:
    """An axis of which so many values are one."""
    if step == 1:
        return axis
    blocks = [axis.labels[start : start + step] for start in range(0, len(axis.labels), step)]
    return Axis(axis.name, tuple(part[0] if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in blocks))


def heatmap_of(
    found: SweepResult,
    x: str,
    y: str,
    by: str,
    *,
    at: Which,
    slices: str,
    min_trades: int | None,
    validation: Validation | None,
    name: str,
) -> Heatmap:
    """Return the heatmap of a sweep; see `llmguide.sweeps.Sweep.heatmap`."""
    inside, held = found.slice_at((x, y, slices) if slices else (x, y), by, at, min_trades)
    places = found.best_first(by, min_trades)
    shown = places[inside[places]]
    first = found.chosen(int(places[0])) if len(places) else None
    leads = len(shown) > 0 and shown[0] == places[0]
    best = first if leads else found.chosen(int(shown[0])) if len(shown) else None
    verdict = verdict_for(found, first, validation)
    return Heatmap(found, x, y, by, np.flatnonzero(inside), held, best, leads, slices, verdict, name)
