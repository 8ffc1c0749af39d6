"""What every run trains on: smoothed closes to trade at, observations to look up, and tau."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from llmguide.rl.config import DQNConfig
from llmguide.rl.double_dqn import Transitions
from llmguide.rl.replay import Batch
from llmguide.trading.observation import MarketArrays, Scaler, market_features, smooth

__all__ = ["Course"]


@dataclass(frozen=True)
class Course:
    """Prices and observations of the training bars, shared by all seeds and read only.

    Attributes:
        prices: smoothed closes, shape ``(bars,)``: training trades on them.
        features: market part of the observation for the decision at bar ``lookback + row``, shape
            ``(bars - lookback + 1, 116)``, on the learner's device; the last row is the state after the last bar.
        tau: guidance for the same rows, or None. After the last bar nothing is decided, so that row repeats the one
        before.
    """

    prices: NDArray[np.float64]
    features: Tensor
    tau: Tensor | None
    config: DQNConfig

    @classmethod
    def lay(
        cls,
        bars: pd.DataFrame,
        tau: NDArray[np.float64] | None,
        scaler: Scaler,
        config: DQNConfig,
        device: torch.device,
    ) -> Course:
        """Prepare training bars (raw; they are smoothed here) with guidance at every bar, shape ``(bars,)``."""
        market = MarketArrays.of(bars)
        features = market_features(market, scaler, lookback=config.lookback, smoothing=config.smoothing)
        signal = None
        if tau is not None:
            signal = torch.from_numpy(np.append(tau, tau[-1])[config.lookback :].astype(np.float32)).to(device)
        return cls(
            prices=np.ascontiguousarray(smooth(market.close, config.smoothing)),
            features=torch.from_numpy(features).to(device),
            tau=signal,
            config=config,
        )

    @property
    def bars(self) -> int:
        """Number of training bars."""
        return len(self.prices)

    @property
    def inputs(self) -> int:
        """Number of values in an observation."""
        return self.features.shape[1] + 1 + (self.tau is not None)

    def observe(self, bar: NDArray[np.int64], side: NDArray[np.int8]) -> Tensor:
        """Return the observations for decisions at these bars: any shape -> the same with ``inputs`` values behind."""
        device = self.features.device
        row = torch.from_numpy(bar - self.config.lookback).to(device)
        out = torch.empty((*row.shape, self.inputs), device=device)
        market = self.features.shape[1]
        out[..., :market] = self.features[row]
        out[..., market] = torch.from_numpy(side).to(device)
        if self.tau is not None:
            out[..., market + 1] = self.tau[row]
        return out

    def transitions(self, batch: Batch) -> Transitions:
        """Look up the observations of a batch."""
        device = self.features.device
        return Transitions(
            s_tm1=self.observe(batch.bar, batch.side),
            a_tm1=torch.from_numpy(batch.action.astype(np.int64)).to(device),
            r_t=torch.from_numpy(batch.reward).to(device),
            live_t=torch.from_numpy((batch.bar + 1 < self.bars).astype(np.float32)).to(device),
            s_t=self.observe(batch.bar + 1, (2 * batch.action - 1).astype(np.int8)),
        )
