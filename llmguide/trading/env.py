"""The benchmark as a gymnasium environment, for any agent that speaks gymnasium."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import DataError
from llmguide.trading import account
from llmguide.trading.observation import (
    LOOKBACK,
    SMOOTHING,
    GuidanceLine,
    MarketArrays,
    Scaler,
    check_origin,
    market_features,
    observation_size,
    observe,
    smooth,
)
from llmguide.trading.simulate import check_account, closes

__all__ = ["TradingEnv"]


class TradingEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """A Gymnasium environment: decide long or short, or with three actions flat, at every bar of one instrument.

    The observation has 117 values, 118 with guidance (see `llmguide.trading.observation`). Before the decision at bar t
    it uses bars up to and including t-1, and the guidance in force on bar t; the decision is carried out at the close
    of bar t.

    Actions: 0 short, 1 long, and with ``actions=3`` also 2 flat, which holds nothing. Reward: the account's relative
    change over the bar, clipped to [-1, 1] (see `llmguide.trading.account`). An episode ends after the last bar.
    ``info`` has ``date``, ``value``, ``side``, ``shares`` and ``cash`` after the bar, and ``untaken_reward``, the
    clipped reward of the action not taken; with three actions ``untaken_rewards`` instead, those of both other actions,
    by action.

    Args:
        bars: raw bars (see `llmguide.read_bars`).
        guidance: a table whose tau joins the observation (see `llmguide.Guidance`), or None.
        cash: initial capital.
        cost: fraction of each traded value.
        lookback: bars in an observation.
        smoothing: length in bars of the trailing mean over what is observed, 0 for none.
        training: trade at smoothed closes and start each episode at a random bar, as the published agent is trained.
        scaler: coefficients of the observation; a test environment takes its training environment's ``env.scaler``.
            None fits them on `bars`, which is right for training only.
        actions: 2, or 3.

    ``reset(options={"start": t})`` begins with the decision at bar t.

    Raises DataError for unusable bars, an impossible cash, cost, lookback, action or start, and a step after the end of
    an episode.

    Source: arXiv 2004.06627, sections 3 and 4.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - gymnasium declares it so

    def __init__(
        self,
        bars: pd.DataFrame,
        guidance: GuidanceLine | None = None,
        *,
        cash: float = 100_000.0,
        cost: float = 0.001,
        lookback: int = LOOKBACK,
        smoothing: int = SMOOTHING,
        training: bool = False,
        scaler: Scaler | None = None,
        actions: int = 2,
    ) -> None:
        prices = closes(bars)
        check_account(cash=cash, cost=cost, start=lookback, bars=len(prices))
        self.scaler = scaler or Scaler.fit(bars, smoothing=smoothing)
        self._features = market_features(MarketArrays.of(bars), self.scaler, lookback=lookback, smoothing=smoothing)
        self._prices = np.ascontiguousarray(smooth(prices, smoothing)) if training else prices
        self._dates = pd.DatetimeIndex(bars.index)
        check_origin(guidance, bars)
        tau = None if guidance is None else guidance.tau(self._dates)
        self._tau = None if tau is None else np.append(tau, tau[-1])  # after the last bar nothing is decided any more
        self._cash, self._cost, self._lookback, self._training = float(cash), float(cost), lookback, training
        size = observation_size(lookback, guided=guidance is not None)
        largest = np.finfo(np.float32).max
        self.observation_space = gymnasium.spaces.Box(-largest, largest, (size,), np.float32)
        if actions not in (2, 3):
            raise DataError(f"actions must be 2 (short, long) or 3 (short, long, flat), got {actions}")
        self._actions = actions
        self.action_space = gymnasium.spaces.Discrete(actions)
        self._account = (0.0, 0.0, self._cash)
        self._bar = lookback

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode and return ``(observation, info)``; see the class for `options`."""
        super().reset(seed=seed)
        last = len(self._prices) - 1
        if options and "start" in options:
            start = int(options["start"])
            if not self._lookback <= start <= last:
                raise DataError(f"start must lie between {self._lookback} and {last}, got {start}")
        elif self._training:
            start = max(int(self.np_random.integers(last + 1)), self._lookback)
        else:
            start = self._lookback
        self._bar = start
        self._account = (0.0, 0.0, self._cash)
        return self._observe(), self._info(start - 1)

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Carry out one decision at the close of the next bar; return ``(observation, reward, terminated, truncated,
        info)``.
        """
        if self._bar >= len(self._prices):
            raise DataError("the episode is over; call reset() before the next step")
        if not self.action_space.contains(np.int64(action)):
            flat = "" if self._actions == 2 else " or 2 (flat)"
            raise DataError(f"actions must be 1 (long) or 0 (short){flat}, got {action}")
        price, previous = self._prices[self._bar], self._prices[self._bar - 1]
        after = [
            account.transition(*self._account, decision, price, previous, self._cost)
            for decision in account.ACTIONS[: self._actions]
        ]
        rewards = {tried: float(np.clip(reward, -1.0, 1.0)) for tried, (*_, reward) in enumerate(after)}
        side, shares, cash, _ = after[int(action)]
        self._account = (side, shares, cash)
        reward = rewards.pop(int(action))
        info = self._info(self._bar)
        info |= {"untaken_rewards": rewards} if len(rewards) > 1 else {"untaken_reward": rewards[1 - int(action)]}
        self._bar += 1
        over = self._bar == len(self._prices)
        return self._observe(), reward, over, False, info

    def _observe(self) -> NDArray[np.float32]:
        row = self._bar - self._lookback
        tau = None if self._tau is None else self._tau[self._bar]
        observation: NDArray[np.float32] = observe(self._features[row : row + 1], self._account[0], tau)[0]
        return observation

    def _info(self, bar: int) -> dict[str, Any]:
        side, shares, cash = self._account
        return {
            "date": self._dates[bar],
            "value": account.value(side, shares, cash, self._prices[bar]),
            "side": int(side),
            "shares": int(shares),
            "cash": cash,
        }
