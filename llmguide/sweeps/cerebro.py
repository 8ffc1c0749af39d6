"""One setting of a sweep, carried out by Backtrader."""

from __future__ import annotations

from typing import Any, ClassVar

import backtrader as bt
import numpy as np
from numpy.typing import NDArray

from llmguide.backtest.run import make_cerebro
from llmguide.errors import DataError
from llmguide.strategies.base import AccountStrategy
from llmguide.strategies.sized import SizedStrategy
from llmguide.sweeps.following import SIZED, Follow
from llmguide.sweeps.market import Market
from llmguide.trading.account import FLAT, LONG, SHORT

__all__ = ["FollowDecisions", "FollowWeights", "cerebro_of"]


class FollowDecisions(AccountStrategy):
    """Carries out decisions that were made before: one for each bar from `start` on, 1 long, 0 short, -1 flat.

    Params:
        decisions: shape ``(bars - start,)``, as `llmguide.sweeps.Sweep.decisions` returns them.
    """

    params: ClassVar[Any] = (("decisions", ()),)
    _decisions: ClassVar[tuple[int, ...]] = (LONG, SHORT, FLAT)

    def decide(self) -> int:
        """Return the decision of this bar."""
        return int(self.p.decisions[len(self.traded) - 1 - self.p.start])


class FollowWeights(SizedStrategy):
    """Holds target weights that were made before: one for each bar from `start` on, in [-1, 1].

    Params:
        weights: shape ``(bars - start,)``, as `llmguide.sweeps.Sweep.decisions` returns them of a mixture.
    """

    params: ClassVar[Any] = (("weights", ()),)

    def decide(self) -> float:
        """Return the weight of this bar."""
        return float(self.p.weights[len(self.traded) - 1 - self.p.start])


def cerebro_of(
    market: Market, follow: Follow, done: NDArray[Any], setting: dict[str, Any], *, cash: float
) -> bt.Cerebro:
    """Return a Cerebro with the bars, a broker that fills at the close, and a strategy that carries `done` out."""
    missing = [name for name in ("open", "high", "low", "close", "volume") if name not in market.bars.columns]
    if missing:
        raise DataError(f"Backtrader needs whole bars, and these lack {missing}; pass them through llmguide.read_bars")
    account: dict[str, Any] = {"cash": cash, "cost": float(setting["cost"]), "start": market.start}
    if follow is SIZED:
        return make_cerebro(market.bars, FollowWeights, **account, weights=np.array(done), band=float(setting["band"]))
    return make_cerebro(market.bars, FollowDecisions, **account, decisions=np.array(done))
