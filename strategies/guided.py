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
    """A strategy with guidance, as the indicator `self.guidance` on the feed that it trades; None where it has none.

    Params:
        guidance: a table: a `llmguide.Guidance` or the path of one; `cerebro.optstrategy` wants a path.
        provider: asked while the backtest runs, instead of a table: "llm", "replay", "rules", a
            `llmguide.LanguageModel`, or a function of the known bars and the date.
        history: bars before the first one of the feed, for the provider, which is asked about their months too.
        any_bars: use a table on other bars than those that it remembers; without it they are refused.
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
        """Warn where the guidance and the bars are of different times: nothing else would show it."""
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
