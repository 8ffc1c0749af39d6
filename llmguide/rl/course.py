"""What every run trains on: smoothed closes to trade at, and observations to look up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.periods import DEFAULT, periods_of
from llmguide.rl.config import DQNConfig
from llmguide.rl.experience import Market, Rules
from llmguide.trading.observation import MarketArrays, Scaler, market_features, observe, smooth

__all__ = ["Course"]


@dataclass(frozen=True)
class Course:
    """Prices and observations of the training bars, shared by all seeds and read only.

    Attributes:
        prices: smoothed closes, shape ``(bars,)``: training trades on them.
        rows: the observation for the decision at bar ``lookback + row`` with side 0, shape
            ``(bars - lookback + 1, inputs)``; the last row is the state after the last bar.
        guided: whether tau is the observation's last value. After the last bar nothing is decided, so its row repeats
            the tau of the one before.
        periods: bars per year, by which the Sharpe ratios of the curves are annualised.
    """

    prices: NDArray[np.float64]
    rows: NDArray[np.float32]
    guided: bool
    config: DQNConfig
    periods: float = DEFAULT

    @classmethod
    def lay(cls, bars: pd.DataFrame, tau: NDArray[np.float64] | None, scaler: Scaler, config: DQNConfig) -> Course:
        """Prepare training bars (raw; they are smoothed here) with guidance at every bar, shape ``(bars,)``."""
        market = MarketArrays.of(bars)
        features = market_features(market, scaler, lookback=config.lookback, smoothing=config.smoothing)
        line = None if tau is None else np.append(tau, tau[-1])[config.lookback :]
        return cls(
            prices=np.ascontiguousarray(smooth(market.close, config.smoothing)),
            rows=np.ascontiguousarray(observe(features, 0.0, line)),
            guided=tau is not None,
            config=config,
            periods=periods_of(bars),
        )

    @property
    def bars(self) -> int:
        """Number of training bars."""
        return len(self.prices)

    @property
    def inputs(self) -> int:
        """Number of values in an observation."""
        return int(self.rows.shape[1])

    @cached_property
    def market(self) -> Market:
        """What a run walks over."""
        return Market(self.prices, self.rows, self.config.lookback, self.inputs - 1 - self.guided)

    @cached_property
    def rules(self) -> Rules:
        """What a run's steps follow."""
        return Rules(self.config.cost, self.config.reward_clip, self.config.sticky)
