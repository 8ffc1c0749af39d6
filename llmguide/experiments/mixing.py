"""A strategy for positions that were mixed before."""

from __future__ import annotations

from typing import Any, ClassVar

from llmguide.strategies import SizedStrategy

__all__ = ["HoldPositions"]


class HoldPositions(SizedStrategy):
    """Holds positions that were made beforehand, such as `llmguide.mixture.Mix.positions`.

    Each is a fraction of the account, taken at the close of its bar; whoever made it has looked at earlier bars only.

    Params:
        positions: one for each bar of the traded feed, in [-1, 1].
    """

    params: ClassVar[Any] = (("positions", ()),)

    def decide(self) -> float:
        """Return the position of the bar."""
        return float(self.p.positions[len(self.traded) - 1])
