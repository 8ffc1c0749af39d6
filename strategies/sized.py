"""A strategy that holds a fraction of the account."""

from __future__ import annotations

from llmguide.errors import LlmguideError
from llmguide.strategies.base import AccountStrategy

__all__ = ["SizedStrategy"]


class SizedStrategy(AccountStrategy):
    """Base class of strategies that bring their position to a target weight at every bar; a subclass defines `decide`.

    For example::

        class Momentum(SizedStrategy):
            def __init__(self):
                super().__init__()
                self.change = bt.ind.PctChange(self.traded.close(-1), period=20)  # up to the bar before

            def decide(self):
                return max(-1.0, min(1.0, 10.0 * self.change[0]))

    A weight is the position's value as a fraction of the account's value: 1 is fully long, -1 fully short, 0 flat. The
    rules are those of `llmguide.trading.sizing`; with `llmguide.backtest.CloseFillBroker` the account is that of
    ``llmguide.simulate(bars, weights=...)``. Where orders are filled after the close, a flip to long that the cash
    cannot pay at every price up to `reserve` is made in two steps: the short is bought back first.

    Params, timing and errors are those of `AccountStrategy`; `long_only`, `max_leverage` and `band` apply to weights.
    """

    def decide(self) -> float | None:
        """Return a weight in [-1, 1], or None to keep the last one; use only what was known at the close of t-1."""
        raise NotImplementedError(f"{type(self).__name__} must define decide()")

    def _checked_decision(self, decision: float) -> float:
        if not -1.0 <= decision <= 1.0:
            raise LlmguideError(
                f"{type(self).__name__}.decide() returned {decision!r}, expected a fraction of the account in [-1, 1], "
                "or None to keep the last one; 50 % is 0.5"
            )
        return float(decision)

    def _weight(self, decision: float) -> float:
        return self._limited(decision)

    def _kept(self) -> float | None:
        return self.decision_log[-1].decision if self.decision_log else None
