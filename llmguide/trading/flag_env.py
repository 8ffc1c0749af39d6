"""The environment of FLAG-Trader for gymnasium: sell, hold or buy, rewarded by the running Sharpe ratio's change."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import DataError
from llmguide.trading.flag_accounts import HISTORY, AccountView, FlagAccounts
from llmguide.trading.flag_rules import ACTIONS, FlagRules, Rulebook, as_rules
from llmguide.trading.simulate import closes

__all__ = ["SHOWN", "FlagEnv", "check_start"]

SHOWN = 20
"""Bars before the decision that a state shows."""


class FlagEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """Trade one instrument by selling, holding or buying at every bar.

    Actions: 0 sell everything, 1 hold, 2 buy with all cash. The one for bar t is chosen from bars up to and including
    t-1 and filled at the close of t. What is not possible is carried out as hold; `action_masks` and ``info["legal"]``
    say what is. Account and reward: `llmguide.trading.flag_rules`.

    The observation is the state in numbers, float32: the last `shown` closes relative to the newest one (oldest first),
    the position as a fraction of the account, its value relative to the beginning; then of the last 10 steps, oldest
    first and 0 where there were none: rewards, values relative to the beginning, actions (-1, 0, 1). As text it is made
    of `account` by `llmguide.states`, which a policy that reads takes instead.

    ``info``: ``date``, ``value``, ``shares`` and ``cash`` after the bar, ``sharpe`` (the episode's so far, per bar),
    ``legal`` for the next decision.

    Args:
        bars: raw bars (see `llmguide.read_bars`).
        rules: "house" (0.1 % cost), "paper" (none), or rules of your own.
        shown: closes in an observation.
        training: start each episode at a random bar and end it after ``rules.episode`` steps; else one episode walks
            from the first bar with a whole observation to the last.

    ``reset(options={"start": t})`` begins with the decision for bar t. An episode *terminates*: its rewards add up to
    its Sharpe ratio, and nothing after its end counts.

    Source: arXiv 2502.11433v3, section 3.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - gymnasium declares it so

    def __init__(
        self,
        bars: pd.DataFrame,
        *,
        rules: FlagRules | Rulebook = "house",
        shown: int = SHOWN,
        training: bool = False,
    ) -> None:
        self.rules = as_rules(rules)
        self._prices = closes(bars)
        self._dates = bars.index
        self._shown, self._training = shown, training
        self._last_start = check_start(len(self._prices), self.rules, shown=shown, whole=not training)
        self._accounts = FlagAccounts(self._prices, self.rules, whole=not training)
        self._begun = False
        largest = np.finfo(np.float32).max
        self.observation_space = gymnasium.spaces.Box(-largest, largest, (shown + 2 + 3 * HISTORY,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))

    @property
    def account(self) -> AccountView:
        """The account before the next decision."""
        return self._accounts.view(0)

    def action_masks(self) -> NDArray[np.bool_]:
        """Return whether sell, hold and buy are possible, shape ``(3,)``."""
        mask: NDArray[np.bool_] = self._accounts.legal()[0]
        return mask

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode; see the class for `options`."""
        super().reset(seed=seed)
        start = self._shown
        if options and "start" in options:
            start = int(options["start"])
            if not self._shown <= start < len(self._prices):
                raise DataError(f"start must lie between {self._shown} and {len(self._prices) - 1}, got {start}")
        elif self._training:
            start = int(self.np_random.integers(self._shown, self._last_start + 1))
        self._accounts.reset(0, start)
        self._begun = True
        return self._observe(), self._info()

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Carry out one action at the close of the next bar."""
        if not self._begun or self._accounts.over()[0]:
            raise DataError("the episode is over, or none has begun; call reset() before the next step")
        if not self.action_space.contains(np.int64(action)):
            raise DataError(f"actions must be 0 (sell), 1 (hold) or 2 (buy), got {action}")
        rewards, over = self._accounts.step([int(action)])
        return self._observe(), float(rewards[0]), bool(over[0]), False, self._info()

    def _observe(self) -> NDArray[np.float32]:
        account = self.account
        seen = self._prices[account.bar - self._shown : account.bar]
        history = np.zeros((3, HISTORY))
        if account.actions:
            told = len(account.actions)
            history[0, -told:] = account.rewards
            history[1, -told:] = np.array(account.values) - 1.0
            history[2, -told:] = account.actions
        parts = (seen / seen[-1] - 1.0, [account.position, account.value - 1.0], history.ravel())
        return np.concatenate(parts).astype(np.float32)

    def _info(self) -> dict[str, Any]:
        account, ledgers = self.account, self._accounts.ledgers
        return {
            "date": self._dates[account.bar - 1],
            "value": account.value * self.rules.cash,
            "shares": int(ledgers.shares[0]),
            "cash": float(ledgers.cash[0]),
            "sharpe": float(ledgers.ratio[0]),
            "legal": np.array(account.legal),
        }


def check_start(bars: int, rules: FlagRules, *, shown: int, whole: bool) -> int:
    """Return the last bar at which an episode can start; DataError unless the bars hold one.

    An episode starts behind `shown` bars. One of ``rules.episode`` steps fits as a whole; one that is `whole` ends with
    the bars.
    """
    if not shown >= 1:
        raise DataError(f"shown must be at least 1 bar, got {shown}")
    last = bars - (1 if whole else rules.episode)
    if last < shown:
        needed = shown + (1 if whole else rules.episode)
        steps = "one step" if whole else f"an episode of {rules.episode} steps"
        raise DataError(
            f"expected at least {needed} bars, {shown} to be shown and {steps}, got {bars}; give more bars"
            + ("" if whole else ", or rules with a shorter episode")
        )
    return last
