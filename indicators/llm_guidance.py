"""Guidance as lines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import backtrader as bt

from llmguide.errors import GuidanceError
from llmguide.guidance import Guidance

__all__ = ["LLMGuidance", "as_guidance"]


class LLMGuidance(bt.Indicator):
    """What the language model said last, as of the bar's calendar date and never before it was issued.

    ``LLMGuidance(data, guidance="aapl.parquet")``; `guidance` is a `llmguide.Guidance` or the path of one.

    Lines: direction (1 long, 0 short), confidence (1..3), entropy (0..1), strength (0..1), tau (-1..1). Before the
    first row direction, confidence and entropy are NaN, strength and tau 0; so they are on an abstention, but for its
    entropy.

    See: arXiv 2508.02366, eq. 5-8.
    """

    lines: ClassVar[Any] = ("direction", "confidence", "entropy", "strength", "tau")
    params: ClassVar[Any] = (("guidance", None),)
    plotinfo: ClassVar[Any] = {"subplot": True, "plotname": "LLM guidance", "plotyhlines": [-1.0, 0.0, 1.0]}
    plotlines: ClassVar[Any] = {
        "direction": {"_plotskip": True},
        "confidence": {"_plotskip": True},
        "entropy": {"_plotskip": True},
        "strength": {"_plotskip": True},
        "tau": {"color": "tab:blue", "drawstyle": "steps-post"},
    }

    def __init__(self) -> None:
        super().__init__()
        self.table = as_guidance(self.p.guidance, needed_by="LLMGuidance")

    def _plotlabel(self) -> list[str]:
        source = self.p.guidance
        return [f"{len(source)} rows" if isinstance(source, Guidance) else Path(source).name]

    def next(self) -> None:
        """Look the bar's date up."""
        row = self.table.at(self.data.datetime.date(0))
        lines = self.lines
        for name in ("direction", "confidence", "entropy"):
            value = None if row is None else getattr(row, name)
            getattr(lines, name)[0] = math.nan if value is None else float(value)
        lines.strength[0] = row.strength if row else 0.0
        lines.tau[0] = row.tau if row else 0.0


def as_guidance(source: Any, *, needed_by: str) -> Guidance:
    """Return the table that `source` is or is the path of."""
    if isinstance(source, Guidance):
        return source
    if isinstance(source, str | Path):
        return Guidance.read(source)
    raise GuidanceError(
        f"{needed_by} needs guidance=, a llmguide.Guidance or the path of one, got {source!r}; "
        "make one with: llmguide guide"
    )
