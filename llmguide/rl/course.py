"""What every run trains on: closes to trade at, and observations to look up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.periods import DEFAULT, periods_of
from llmguide.rl.config import DQNConfig
from llmguide.rl.experience import Market, Rules
from llmguide.rl.jitter import jittered, months_of
from llmguide.trading.observation import MarketArrays, Scaler, market_features, observe, smooth

__all__ = ["Course", "training_prices"]


@dataclass(frozen=True)
class Course:
    """Prices and observations of the training bars, shared by all seeds and read only.

    Attributes:
        prices: closes at which training trades, shape ``(bars,)``: smoothed, or with ``raw_prices`` raw ones.
        rows: the observation for the decision at bar ``lookback + row`` with side 0, shape
            ``(bars - lookback + 1, inputs)``; the last row is the state after the last bar.
        tau: guidance at every bar, shape ``(bars,)``, as the agent observes it in use; None where it observes none. It
            is the observation's last value. After the last bar nothing is decided, so its row repeats the tau of the
            one before.
        periods: bars per year, by which the Sharpe ratios of the curves are annualised.
    """

    prices: NDArray[np.float64]
    rows: NDArray[np.float32]
    tau: NDArray[np.float64] | None
    config: DQNConfig
    periods: float = DEFAULT

    @classmethod
    def lay(cls, bars: pd.DataFrame, tau: NDArray[np.float64] | None, scaler: Scaler, config: DQNConfig) -> Course:
        """Prepare training bars (raw; they are smoothed here) with guidance at every bar, shape ``(bars,)``."""
        market = MarketArrays.of(bars)
        features = market_features(market, scaler, lookback=config.lookback, smoothing=config.smoothing)
        if tau is not None and config.tau == "constant":
            tau = np.sign(tau)
        line = None if tau is None else np.append(tau, tau[-1])[config.lookback :]
        return cls(
            prices=training_prices(market.close, config),
            rows=np.ascontiguousarray(observe(features, 0.0, line)),
            tau=tau,
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

    @property
    def guided(self) -> bool:
        """Whether the agent observes guidance."""
        return self.tau is not None

    @cached_property
    def market(self) -> Market:
        """What a run walks over."""
        bonus, month = np.zeros(self.bars), np.zeros(self.bars + 1, dtype=np.int64)
        if self.tau is not None:
            bonus = self.config.agreement * np.sign(self.tau)
            month = months_of(np.append(self.tau, self.tau[-1]))
        return Market(self.prices, self.rows, self.config.lookback, self.inputs - 1 - self.guided, bonus, month)

    def taus(self, key: np.uint64, episodes: int) -> NDArray[np.float32]:
        """Return the tau that a run observes in place of that of `rows`, shape ``(episodes, months)``.

        Nothing, shape ``(0, 0)``, where it observes `rows` as they are (see `llmguide.rl.jitter`).
        """
        if self.tau is None or self.config.tau != "jittered":
            return np.zeros((0, 0), dtype=np.float32)
        return jittered(self.tau, key, episodes)

    @cached_property
    def rules(self) -> Rules:
        """What a run's steps follow."""
        return Rules(self.config.cost, self.config.reward_clip, self.config.sticky, self.config.actions)


def training_prices(close: NDArray[np.float64], config: DQNConfig) -> NDArray[np.float64]:
    """Return the closes at which training trades, of raw ones; both of shape ``(bars,)``."""
    return np.ascontiguousarray(smooth(close, 0 if config.raw_prices else config.smoothing))
