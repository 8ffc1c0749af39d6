"""The audit: the same code on the same past and other futures.

1. It is run on all bars; once more, which has to give the same; once more with other draws of what has no seed; and
   once without the first quarter of the bars, to see what depends on where history starts.
2. It is run on bars that end at some bar, and on bars that are others from there on (`planning`, `futures`). Nothing
   that it said up to there may change.
3. What only the end of the data changes is tried again with other bars at the same place, which tells code that reads
   later bars from code that knows where the data end.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from llmguide.audit.comparing import RELATIVE, Difference, differences
from llmguide.audit.futures import Future, How, Inputs, Table, other_future
from llmguide.audit.isolation import run_apart
from llmguide.audit.planning import plan
from llmguide.audit.result import AuditResult, Drift, FailedRun, Fills, Finding
from llmguide.audit.trace import ACCOUNT, OPENING, ORDERS, Trace
from llmguide.audit.tracing import Code, Tracer, tracer_of
from llmguide.errors import AuditError

__all__ = ["LEAST_BARS", "Audit", "audit", "audit_trace"]

LEAST_BARS = 60
LATE = 0.25
"""Fraction of the bars left out at the beginning to see what depends on where history starts."""
TAIL = 0.25
"""Fraction of the bars at the end on which that is judged."""
AGAIN: tuple[How, ...] = ("mirrored", "raised", "calmed")
RUN = "the run"


@dataclass(frozen=True, kw_only=True)
class Audit:
    """How thoroughly code is audited.

    Attributes:
        cuts: number of altered futures it is run on, at least 1.
        seed: seed of where they begin and what they hold.
        workers: runs at once; None is one for each processor.
        timeout: seconds that one run may take.

    Raises AuditError for `cuts` below 1.
    """

    cuts: int = 8
    seed: int = 0
    workers: int | None = None
    timeout: float = 300.0

    def __post_init__(self) -> None:
        if self.cuts < 1:
            raise AuditError(f"an audit needs cuts >= 1, got {self.cuts}; the default is 8")


def audit(
    code: Code,
    bars: pd.DataFrame,
    *,
    tables: Mapping[str, Table] | None = None,
    name: str | None = None,
    settings: Audit | None = None,
    **params: Any,
) -> AuditResult:
    """Return whether code uses the future: it is run again on bars whose end is changed, and the past is compared.

    Args:
        code: a `bt.Strategy` or a `bt.Indicator`, run with Backtrader's own broker and settings; a function
            ``make_cerebro(bars)`` that returns a Cerebro ready to run, with whatever feeds, strategies, sizers and
            broker; or a function that returns values for each bar, such as entries and exits for vectorbt (see
            `llmguide.audit.functions`). Such a value may use its own bar; when it is traded is not audited.
        bars: a frame with the columns open, high, low, close and volume, and naive, increasing dates.
        tables: further data that the code takes, by name, each row with the time from which it may be used.
        name: the code's name in the result; None takes its own.
        settings: how thoroughly it is audited; None is ``Audit()``.
        params: params of the strategy or indicator, or further arguments of the function.

    Returns:
        An `AuditResult`, with the first bar, the line and both values of whatever uses the future.

    Raises:
        AuditError: the code fails on the bars as they are, is not one of the above, or there are too few bars.
    """
    return audit_trace(tracer_of(code, **params), bars, tables=tables, name=name or _name_of(code), settings=settings)


def audit_trace(
    tracer: Tracer,
    bars: pd.DataFrame,
    *,
    tables: Mapping[str, Table] | None = None,
    name: str,
    settings: Audit | None = None,
) -> AuditResult:
    """Return whether anything that reports values bar by bar uses the future.

    Args:
        tracer: runs the code on given bars and returns what it reported.
        bars: as for `audit`.
        tables: as for `audit`.
        name: the code's name in the result.
        settings: as for `audit`.

    Raises AuditError as `audit` does.
    """
    _check_bars(bars)
    return _Runs(tracer, Inputs(bars, dict(tables or {})), name, settings or Audit()).result()


def _name_of(thing: Any) -> str:
    return str(getattr(thing, "__name__", type(thing).__name__))


def _check_bars(bars: pd.DataFrame) -> None:
    index = bars.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is not None:
        raise AuditError("an audit needs bars with naive dates as their index; read them with llmguide.read_bars")
    if not index.is_monotonic_increasing or index.has_duplicates or "close" not in bars:
        raise AuditError("an audit needs bars with a close and increasing dates; read them with llmguide.read_bars")
    if len(bars) < LEAST_BARS:
        raise AuditError(f"an audit needs at least {LEAST_BARS} bars, got {len(bars)}; give it more history")


@dataclass
class _Trial:
    future: Future
    trace: Trace
    found: dict[str, Difference]


@dataclass
class _Runs:
    """One audit under way."""

    tracer: Tracer
    inputs: Inputs
    name: str
    settings: Audit
    count: int = 0
    trials: list[_Trial] = field(default_factory=list)

    def result(self) -> AuditResult:
        began = time.monotonic()
        index = self.index
        late = int(LATE * len(index))
        base, again, free, short = self.run(
            [(self.inputs, True), (self.inputs, True), (self.inputs, False), (_without_first(self.inputs, late), True)]
        )
        self.check_base(base)
        for repeated in (again, free):
            if (repeated.failure is None) != (base.failure is None):
                failure = repeated.failure or base.failure
                raise AuditError(f"{self.name} fails on some runs on the same bars and not on others: {failure}")
        unaudited = set(differences(base, again))
        drawn = set(differences(base, free))
        self.try_futures(base, plan(base, index, cuts=self.settings.cuts, seed=self.settings.seed))
        ends = {channel for trial in self.trials for channel in trial.found if trial.future.how == "cut"}
        unclear = ends - {channel for trial in self.trials for channel in trial.found if trial.future.how != "cut"}
        unclear -= unaudited
        if unclear:
            at = next(t.future.t for t in self.trials if t.future.how == "cut" and unclear & set(t.found))
            self.try_futures(base, [Future(at, how) for how in AGAIN])
        if drawn - unaudited and any(trial.found for trial in self.trials):
            unaudited |= self.changing()
        findings = self.findings(base, unaudited)
        channels = {event.channel for event in base.events}
        return AuditResult(
            subject=self.name,
            bars=len(index),
            first=index[0],
            last=index[-1],
            runs=self.count,
            seconds=round(time.monotonic() - began, 2),
            lines=len(base.lines),
            events=len(base.events),
            findings=tuple(findings),
            fills=_fills(base),
            not_reproducible=tuple(sorted(drawn)),
            unaudited=tuple(sorted(unaudited)),
            drifts=tuple(_drifts(base, short, late, unaudited | drawn | channels)),
            failed=tuple(self.failed(base)),
            ended=base.failure,
        )

    @property
    def index(self) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(self.inputs.bars.index)

    def run(self, wanted: Sequence[tuple[Inputs, bool]]) -> list[Trace]:
        self.count += len(wanted)
        jobs = [(partial(self.tracer, inputs), pinned) for inputs, pinned in wanted]
        return run_apart(jobs, workers=self.settings.workers, timeout=self.settings.timeout)

    def check_base(self, base: Trace) -> None:
        """Refuse code that fails on the bars as they are; only what reads past the last bar can be audited up to it."""
        if base.failure is not None and base.failure.kind == AuditError.__name__:
            raise AuditError(base.failure.message)
        if base.failure is not None and not (
            base.failure.kind == "IndexError"
            and len(base.stamps)
            and base.stamps[-1] >= self.stamp(len(self.index) - 2)
        ):
            raise AuditError(
                f"{self.name} fails on all {len(self.index)} bars: {base.failure}; an audit needs code that runs"
            )
        if not base.lines and not base.events:
            raise AuditError(f"{self.name} produced no output: no order, no line and no value")

    def try_futures(self, base: Trace, futures: list[Future]) -> None:
        inputs = [(other_future(self.inputs, future, seed=self.settings.seed), True) for future in futures]
        for future, trace in zip(futures, self.run(inputs), strict=True):
            found = differences(
                base,
                trace,
                before=self.stamp(future.t + 1),
                opened=self.stamp(future.t + 2) if future.keep_open else None,
                ends=future.how == "cut",
            )
            if base.failure is None and self.fails_at_the_end(base, future, trace):
                steps = len(trace.stamps)
                found[RUN] = Difference(base.stamps[steps], "goes on", str(trace.failure))
            self.trials.append(_Trial(future, trace, found))

    def stamp(self, bar: int) -> np.datetime64 | None:
        """Return the stamp of a bar; None after the last one."""
        return self.index[bar].to_datetime64().astype("datetime64[us]") if bar < len(self.index) else None

    def fails_at_the_end(self, base: Trace, future: Future, trace: Trace) -> bool:
        """Return whether bars that end make code fail at their last one, which goes on there where more follow."""
        if future.how != "cut" or trace.failure is None or trace.failure.kind == "timeout":
            return False
        steps = len(trace.stamps)
        return 0 < steps < len(base.stamps) and self.place(base.stamps[steps]) == future.t

    def changing(self) -> set[str]:
        """Return what differs between two runs of the same trial, among those that found something."""
        found = [trial for trial in self.trials if trial.found]
        inputs = [(other_future(self.inputs, trial.future, seed=self.settings.seed), True) for trial in found]
        again = self.run(inputs)
        return {
            channel
            for trial, trace in zip(found, again, strict=True)
            for channel in differences(trial.trace, trace)
            if channel in trial.found
        }

    def findings(self, base: Trace, unaudited: set[str]) -> list[Finding]:
        channels = dict.fromkeys(channel for trial in self.trials for channel in trial.found)
        if any(channel.endswith((ORDERS, OPENING)) for channel in channels):
            channels = {name: None for name in channels if not _of_the_account(name)}  # it follows from the orders
        found = [self.finding(base, channel) for channel in channels if channel not in unaudited]
        return sorted(found, key=lambda finding: (finding.bar, finding.kind))

    def finding(self, base: Trace, channel: str) -> Finding:
        trials = [trial for trial in self.trials if channel in trial.found]
        changed = [trial for trial in trials if trial.future.how != "cut"]
        telling = changed or trials
        places = [self.place(trial.found[channel].stamp) for trial in telling]
        reaches = [trial.future.t + 1 - place for trial, place in zip(telling, places, strict=True)]
        begins = self.begins(base, channel)
        whole = all(
            reach > 1 and reach >= 0.9 * (trial.future.t + 1 - begins)
            for reach, trial in zip(reaches, telling, strict=True)
        )
        first = int(np.argmin(places))
        difference = telling[first].found[channel]
        return Finding(
            kind="looks ahead" if changed else "knows where the data end",
            line=channel,
            bar=places[first],
            date=pd.Timestamp(difference.stamp),
            one=difference.one,
            other=difference.other,
            future=telling[first].future.told(self.index),
            reach=None if whole else max(reaches),
        )

    def begins(self, base: Trace, channel: str) -> int:
        """Return the bar on which something is first said."""
        if channel in base.lines:
            known = np.flatnonzero(np.isfinite(base.lines[channel]))
            return self.place(base.stamps[known[0]]) if len(known) else 0
        return min((self.place(event.at) for event in base.events if event.channel == channel), default=0)

    def place(self, stamp: np.datetime64) -> int:
        return max(0, int(self.index.searchsorted(pd.Timestamp(stamp), side="right")) - 1)

    def failed(self, base: Trace) -> list[FailedRun]:
        """Return the runs that failed where the run on all bars did not."""
        return [
            FailedRun(trial.future.told(self.index), self.length(trial.future), trial.trace.failure)
            for trial in self.trials
            if trial.trace.failure is not None and RUN not in trial.found and base.failure is None
        ]

    def length(self, future: Future) -> int:
        return future.t + 1 if future.how == "cut" else len(self.index)


def _without_first(inputs: Inputs, bars: int) -> Inputs:
    return Inputs(inputs.bars.iloc[bars:].copy(), inputs.tables)


def _fills(base: Trace) -> tuple[Fills, ...]:
    closing = [fill for fill in base.fills if not fill.opening]
    opening = [fill for fill in base.fills if fill.opening]
    told = []
    if closing:
        told.append(Fills("cheat-on-close", len(closing), pd.Timestamp(closing[0].at), closing[0].price))
    if opening:
        told.append(Fills("cheat-on-open", len(opening), pd.Timestamp(opening[0].at), opening[0].price))
    return tuple(told)


def _of_the_account(line: str) -> bool:
    return line.endswith(ACCOUNT)


def _drifts(base: Trace, short: Trace, without: int, left_out: set[str]) -> list[Drift]:
    """Return the lines that differ over the last quarter of the bars where the first ones are missing."""
    steps = min(int(TAIL * len(base.stamps)), len(short.stamps))
    if short.failure is not None or steps == 0 or not np.array_equal(base.stamps[-steps:], short.stamps[-steps:]):
        return []
    found = []
    for name, values in base.lines.items():
        if name in left_out or name not in short.lines or _of_the_account(name):
            continue
        one, other = values[-steps:], short.lines[name][-steps:]
        size = float(np.max(np.abs(one), initial=0.0, where=np.isfinite(one)))
        if not np.isclose(one[-1], other[-1], rtol=RELATIVE, atol=RELATIVE * size, equal_nan=True):
            found.append(Drift(name, float(one[-1]), float(other[-1]), without))
    return found
