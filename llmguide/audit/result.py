"""What an audit found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pandas as pd

from llmguide.audit.futures import stamp_text
from llmguide.audit.trace import Failure, Value
from llmguide.inline import Inline, Shown, Table

__all__ = ["CLEAN", "FOUND", "UNAUDITED", "AuditResult", "Drift", "FailedRun", "Fills", "Finding", "Kind"]

CLEAN, FOUND, UNAUDITED = 0, 1, 2
"""Exit codes: nothing found, look-ahead found, could not be audited."""
_MOST = 10
"""Findings that a notebook shows."""
Kind = Literal["looks ahead", "knows where the data end"]


class Finding(NamedTuple):
    """A line, or a kind of event, whose past changes with the future.

    Attributes:
        kind: "looks ahead" where later values matter, "knows where the data end" where only their end does.
        line: dotted name, or "orders", "orders at the open", "guidance", "prompt".
        bar: position of the first bar that changes, from 0.
        date: its date.
        one: the value there with all bars.
        other: the value there with the changed future.
        future: that future, in words.
        reach: bars that it looks ahead, at least; 0 is its own bar, of which it could not know everything; None is all
            of the data.
    """

    kind: Kind
    line: str
    bar: int
    date: pd.Timestamp
    one: Value
    other: Value
    future: str
    reach: int | None

    def __str__(self) -> str:
        return (
            f"{self.line}: {self.kind} ({self.ahead}), first on bar {self.bar}, {stamp_text(self.date)}: "
            f"{value_text(self.one)}, but {value_text(self.other)} where {self.future}"
        )

    @property
    def ahead(self) -> str:
        """How far it looks, in words."""
        if self.reach is None:
            return "all of the data"
        return {0: "its own bar", 1: "1 bar"}.get(self.reach, f"{self.reach} bars")


class Fills(NamedTuple):
    """Orders filled on the bar on which they were sent: they use no later data, but a price from before the order.

    Attributes:
        kind: "cheat-on-close" or "cheat-on-open".
        orders: number of such orders.
        first: date of the first one.
        price: its fill price.
    """

    kind: Literal["cheat-on-close", "cheat-on-open"]
    orders: int
    first: pd.Timestamp
    price: float

    def __str__(self) -> str:
        which = "close" if self.kind == "cheat-on-close" else "open"
        return (
            f"{self.kind}: orders filled at the {which} of the bar on which they were sent: {self.orders}, the first "
            f"on {stamp_text(self.first)} at {self.price:g}: a price that is over once a strategy has decided by it"
        )


class Drift(NamedTuple):
    """A line that depends on where the history starts, and still does at the last bar.

    Attributes:
        line: dotted name.
        one: value at the last bar with all bars.
        other: value at the last bar without the first ones.
        without: number of bars left out.
    """

    line: str
    one: float
    other: float
    without: int

    def __str__(self) -> str:
        return (
            f"{self.line} depends on where history starts: {self.one:.6g} at the last bar, but {self.other:.6g} "
            f"without the first {self.without} bars"
        )


class FailedRun(NamedTuple):
    """A run that ended with an exception, although the run on all bars did not.

    Attributes:
        future: the changed future, in words.
        bars: number of bars of the run.
        failure: the exception.
    """

    future: str
    bars: int
    failure: Failure

    def __str__(self) -> str:
        return f"with {self.bars} bars, where {self.future}, it raised {self.failure}"


@dataclass(frozen=True, repr=False)
class AuditResult(Inline):
    """What an audit found.

    Attributes:
        subject: name of what was audited.
        bars: number of bars.
        first: date of the first bar.
        last: date of the last bar.
        runs: number of runs.
        seconds: how long they took.
        lines: number of lines compared.
        events: number of orders, rows of guidance or prompts.
        findings: what uses the future, the earliest bar first.
        fills: orders filled on the bar on which they were sent.
        not_reproducible: lines and events that differ between two runs on the same bars, since something is drawn
            without a seed. They were compared with the same draws in each run.
        unaudited: those that differ even then.
        drifts: lines that depend on where the history starts.
        failed: runs that ended with an exception.
        ended: the exception that ends every run at its last bar, if there is one.
    """

    subject: str
    bars: int
    first: pd.Timestamp
    last: pd.Timestamp
    runs: int
    seconds: float
    lines: int
    events: int
    findings: tuple[Finding, ...] = ()
    fills: tuple[Fills, ...] = ()
    not_reproducible: tuple[str, ...] = ()
    unaudited: tuple[str, ...] = ()
    drifts: tuple[Drift, ...] = ()
    failed: tuple[FailedRun, ...] = ()
    ended: Failure | None = None

    @property
    def exit_code(self) -> int:
        """0 where nothing was found, 1 where something uses the future, 2 where not all of it could be audited."""
        if self.findings:
            return FOUND
        return UNAUDITED if self.failed or self.unaudited or self.ended else CLEAN

    @property
    def verdict(self) -> str:
        """The outcome in one line."""
        if self.findings:
            kinds = " and ".join(dict.fromkeys(finding.kind for finding in self.findings))
            return f"{self.subject} {kinds}"
        if self.exit_code == UNAUDITED:
            return f"{self.subject} could not be audited"
        return f"{self.subject}: no look-ahead found"

    def __str__(self) -> str:
        return "\n  ".join([self.verdict, *map(str, self.findings), *self.notes()])

    def _shown(self) -> Shown:
        rows = [[finding.line, finding.ahead, stamp_text(finding.date), str(finding)] for finding in self.findings]
        table = Table("", ["line", "looks ahead", "first seen", "why"], rows[:_MOST])
        more = [f"and {len(rows) - _MOST} more in .findings"] if len(rows) > _MOST else []
        compared = (
            f"{self.runs} runs on {self.bars} bars, {stamp_text(self.first)} to {stamp_text(self.last)}: {self.lines} "
            f"lines and {self.events} orders or other events compared"
        )
        return Shown(self.verdict, [table], notes=[*more, *self.notes(), compared])

    def notes(self) -> list[str]:
        """Return what is not look-ahead but worth knowing, one sentence each."""
        notes = (
            [f"every run ends at its last bar with {self.ended}: it reads bars that are not there"]
            if self.ended
            else []
        )
        notes += map(str, (*self.failed, *self.fills))
        if self.unaudited:
            notes.append(
                f"could not be compared, differs between two runs on the same bars: {', '.join(self.unaudited)}"
            )
        drawn = [name for name in self.not_reproducible if name not in self.unaudited]
        if drawn:
            notes.append(f"not reproducible, drawn without a seed: {', '.join(drawn)}")
        return [*notes, *map(str, self.drifts)]

    def to_dict(self) -> dict[str, Any]:
        """Return the result, ready for JSON."""
        return {
            "subject": self.subject,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "bars": self.bars,
            "first": stamp_text(self.first),
            "last": stamp_text(self.last),
            "runs": self.runs,
            "seconds": self.seconds,
            "lines": self.lines,
            "events": self.events,
            "findings": [{**f._asdict(), "date": stamp_text(f.date)} for f in self.findings],
            "fills": [{**f._asdict(), "first": stamp_text(f.first)} for f in self.fills],
            "not_reproducible": list(self.not_reproducible),
            "unaudited": list(self.unaudited),
            "drifts": [drift._asdict() for drift in self.drifts],
            "failed": [{**run._asdict(), "failure": str(run.failure)} for run in self.failed],
            "ended": None if self.ended is None else str(self.ended),
        }


def value_text(value: Value, *, width: int = 60) -> str:
    """Return a value in short."""
    if not isinstance(value, str):
        return "no value" if value != value else f"{value:.6g}"
    return value if len(value) <= width else f"{value[: width - 3]}..."
