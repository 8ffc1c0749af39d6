"""What following guidance alone earns: all in, long or short, at the close, by the account of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from llmguide.guidance import Guidance
from llmguide.guidance.advice import Advice
from llmguide.guidance.tuning.windows import Window
from llmguide.metrics import sharpe_ratio
from llmguide.trading.account import FLAT
from llmguide.trading.simulate import simulate

__all__ = ["Account", "follow", "mean_sharpe", "table_of"]


@dataclass(frozen=True)
class Account:
    """The rules by which guidance is followed: capital, and the cost of each traded value as a fraction."""

    cash: float = 100_000.0
    cost: float = 0.001

    def returns(self, advice: Sequence[Advice], bars: pd.DataFrame, *, symbol: str, first: int) -> pd.Series[float]:
        """Return the account's returns on bars `first` on, fractions, of following one instrument's advice."""
        return follow(table_of(advice, symbol=symbol), bars, first=first, cash=self.cash, cost=self.cost)

    def worth(self, advice: Sequence[Advice], windows: Sequence[Window]) -> float:
        """Return the mean over windows of the annual Sharpe ratio, as the walk asks for it (`Worth`)."""
        return mean_sharpe(
            [self.returns(advice, window.subject.bars, symbol=window.symbol, first=window.first) for window in windows]
        )


def table_of(advice: Sequence[Advice], *, symbol: str) -> Guidance:
    """Return the guidance table of one instrument's advice, in whatever order it is given."""
    own = sorted((one for one in advice if one.symbol == symbol), key=lambda one: one.issued_at)
    return Guidance(tuple(one.row for one in own))


def follow(guidance: Guidance, bars: pd.DataFrame, *, first: int, cash: float, cost: float) -> pd.Series[float]:
    """Return the returns on bars `first` on of an account that follows each direction from the bar that first sees it.

    As `llmguide.strategies.LLMOnly` at close fills: nothing is held before the first direction, and an abstention keeps
    what is held. The account begins at the bar before `first`, with cash.
    """
    traded = bars.iloc[first - 1 :]
    seen = guidance.align(pd.DatetimeIndex(traded.index))["direction"].iloc[1:]
    held = seen.ffill().fillna(float(FLAT)).to_numpy(dtype=np.float64).astype(np.int8)
    account = simulate(traded, held, flat=True, cash=cash, cost=cost, start=1)
    returns: pd.Series[float] = account["returns"].iloc[1:]
    return returns


def mean_sharpe(returns: Sequence[pd.Series[float]]) -> float:
    """Return the mean of annual Sharpe ratios. An account that never traded has none: it counts as 0, as it earned."""
    found = [sharpe_ratio(one) for one in returns]
    return float(np.mean([0.0 if one != one else one for one in found]))
