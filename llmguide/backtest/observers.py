"""An observer that draws what was advised and what was done."""

from __future__ import annotations

from typing import Any, ClassVar

import backtrader as bt

from llmguide.backtest.feed_checks import check_now

__all__ = ["GuidanceAction"]


class GuidanceAction(bt.Observer):
    """Plots guidance and action together: tau and direction in force, and the side after the bar's trade.

    Lines:
        tau: signed strength of the guidance in force, in [-1, 1].
        direction: 1 long, 0 short; NaN where there is none.
        side: +1 long, -1 short, 0 nothing held, after the bar's trade.

    Guidance is read from `strategy.guidance` where the strategy has an `LLMGuidance` of that name; the side from
    `strategy.side`, else from the position.
    """

    _stclock = True
    lines: ClassVar[Any] = ("tau", "direction", "side")
    plotinfo: ClassVar[Any] = {
        "plot": True,
        "subplot": True,
        "plotname": "Guidance and action",
        "plotyhlines": [-1.0, 0.0, 1.0],
    }
    plotlines: ClassVar[Any] = {
        "tau": {"color": "tab:blue", "drawstyle": "steps-post"},
        "direction": {"_plotskip": True},
        "side": {"color": "black", "drawstyle": "steps-post", "alpha": 0.6},
    }

    def next(self) -> None:
        """Read the current bar."""
        strategy = self._owner
        lines = getattr(getattr(strategy, "guidance", None), "lines", None)
        if lines is not None and len(lines):
            self.lines.tau[0] = lines.tau[0]
            self.lines.direction[0] = lines.direction[0]
        traded: Any = getattr(strategy, "traded", self.data)
        if len(traded):
            check_now(traded, ("close",), needed_by="GuidanceAction", positive=False)
        size = strategy.getposition(traded).size
        self.lines.side[0] = getattr(strategy, "side", (size > 0) - (size < 0))
