"""What strategies with guidance have in common."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from llmguide.errors import RunWarning
from llmguide.indicators import LLMGuidance
from llmguide.indicators.llm_guidance import as_guidance
from llmguide.strategies.base import AccountStrategy

__all__ = ["GuidedStrategy"]


class GuidedStrategy(AccountStrategy):
    """Base class of strategies with guidance, which a subclass reads as ``self.guidance[0]`` or
    ``self.guidance.tau[0]``.

    Params:
        guidance: a `llmguide.Guidance`, or the path of one; `cerebro.optstrategy` needs a path.
        provider: what to ask while the backtest runs, instead of a table: "llm", "replay", "rules", a
            `llmguide.LanguageModel`, or a function ``(known_bars, issued_at)``.
        history: for `provider`, the bars before the feed's first one; it is asked about their months too.
        any_bars: True uses a table on bars other than those it was made from; by default such bars are refused.

    Further params are those of `AccountStrategy`.

    Attributes:
        guidance: the `llmguide.indicators.LLMGuidance` on the traded feed; None where a subclass may do without.

    Raises GuidanceError as `llmguide.indicators.LLMGuidance` does. Warns (DataWarning) where no bar of the run saw any
    guidance, or all of them saw the same last row.
    """

    params: ClassVar[Any] = (("guidance", None), ("provider", None), ("history", None), ("any_bars", False))

    _needs_guidance: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.guidance: Any = None
        table, given = self.p.guidance, (self.p.guidance, self.p.provider, self.p.history)
        if not self._needs_guidance and all(one is None for one in given):
            return
        if self.p.provider is None:
            table = as_guidance(table, needed_by=type(self).__name__)
        self.guidance = LLMGuidance(
            self.traded,
            guidance=table,
            provider=self.p.provider,
            history=self.p.history,
            any_bars=self.p.any_bars,
        )

    def stop(self) -> None:
        """Warn where the guidance and the bars do not overlap in time: nothing else would show it."""
        super().stop()
        if self.guidance is None:
            return
        if self.p.provider is None:
            self.guidance.check_bars()
        rows = self.guidance.table.rows
        if self.first_date is None or self.last_date is None:
            return
        if self.guidance.table.at(self.last_date) is None:
            fault = f"no bar saw any guidance; it begins {rows[0].issued_at}" if rows else "the guidance has no rows"
        elif rows[-1].issued_at.date() < self.first_date:
            fault = f"all bars saw the same guidance, the last one, of {rows[-1].issued_at}"
        else:
            return
        warnings.warn(
            f"{type(self).__name__} ran from {self.first_date} to {self.last_date}, but {fault}, so that its "
            "result says little of the guidance; give it guidance for these bars",
            RunWarning,
            stacklevel=2,
        )
