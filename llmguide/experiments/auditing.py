"""What providers of guidance and prompts say, for `llmguide.audit`, which knows neither.

A row of guidance, and a prompt, issued at D may rest on the bars before D alone: an audit takes them as known with the
last of these, so that the bar of D itself already counts as the future.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from llmguide.audit import Audit, AuditResult, Table, audit_trace
from llmguide.audit.futures import Inputs
from llmguide.audit.trace import Event, Trace, Value
from llmguide.guidance import Guidance, guide
from llmguide.guidance.news.anonymise import Names
from llmguide.guidance.strategist import Brief, Subject, write_prompt
from llmguide.guidance.study import Study
from llmguide.llm.templates import NothingKnown
from llmguide.sources.tables import Tables

__all__ = ["audit_guidance", "audit_prompt"]


def audit_guidance(
    provider: str | Callable[[pd.DataFrame], Guidance],
    bars: pd.DataFrame,
    *,
    name: str | None = None,
    settings: Audit | None = None,
    **options: Any,
) -> AuditResult:
    """Return whether a provider of guidance uses bars from the day of issue on.

    Args:
        provider: the name of one that makes guidance from bars alone (rules, and the controls), or a function of them.
        bars, name, settings: as for `llmguide.audit`.
        options: of the provider, as `llmguide.guide` takes them.

    Raises AuditError as `llmguide.audit` does, also with what `llmguide.guide` refuses.
    """
    tracer = partial(_trace_guidance, provider, options)
    shown = provider if isinstance(provider, str) else getattr(provider, "__name__", "guidance")
    return audit_trace(tracer, bars, name=name or shown, settings=settings)


def audit_prompt(
    template: str,
    subject: Subject,
    *,
    brief: Brief | None = None,
    name: str | None = None,
    settings: Audit | None = None,
) -> AuditResult:
    """Return whether what a prompt shows of the bars and tables uses the future.

    Each month's text is compared, with its headlines; nothing is asked. What rests on answers, earlier decisions and
    the Analyst's factors, is left empty. Raises AuditError as `llmguide.audit` does.
    """
    brief = brief or Brief()
    (read,) = Study((subject,), (template,), brief).prompts  # a fault in it is found before the first run
    tracer = partial(_trace_prompts, read, brief, subject.symbol, subject.names)
    tables: dict[str, Table] = {str(kind): Table(frame, "published_at") for kind, frame in subject.tables.items()}
    return audit_trace(tracer, subject.bars, tables=tables, name=name or template, settings=settings)


def _trace_guidance(
    provider: str | Callable[[pd.DataFrame], Guidance], options: dict[str, Any], inputs: Inputs
) -> Trace:
    table = guide(inputs.bars.copy(), provider, **options)
    return Trace(
        events=tuple(_event(inputs.bars, row.issued_at, "guidance", _values(row._asdict())) for row in table.rows)
    )


def _trace_prompts(template: Any, brief: Brief, symbol: str, names: Names | None, inputs: Inputs) -> Trace:
    subject = Subject(symbol, inputs.bars.copy(), Tables(**inputs.frames), names)
    study = Study((subject,), (template,), brief)
    events = []
    for month in study.months(subject):
        try:
            messages = write_prompt(template, subject, month, brief)
            lines = [line for message in messages for line in message.content.splitlines()]
        except NothingKnown as why:
            lines = [f"not asked: {why}"]
        issued = month.issued_at.to_pydatetime()
        events.append(_event(subject.bars, issued, "prompt", tuple(lines)))
        events += [_event(subject.bars, issued, "headlines", tuple(map(str, one))) for one in month.headlines]
    return Trace(events=tuple(events))


def _event(bars: pd.DataFrame, issued_at: datetime, channel: str, values: tuple[Value, ...]) -> Event:
    """Return what was issued, as known with the last bar of an earlier day."""
    index = pd.DatetimeIndex(bars.index)
    before = max(0, int(index.searchsorted(pd.Timestamp(issued_at).normalize())) - 1)
    return Event(
        index[before].to_datetime64().astype("datetime64[us]"), np.datetime64(issued_at, "us"), channel, values
    )


def _values(row: dict[str, Any]) -> tuple[Value, ...]:
    return tuple(f"{name} {value}" for name, value in row.items())
