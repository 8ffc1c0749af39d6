"""Several accounts that sell, hold or buy side by side over the same bars, each in an episode of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmguide.compiling import njit
from llmguide.errors import DataError
from llmguide.trading.flag_rules import ACTIONS, FlagRules, legal_actions, sharpe, trade

__all__ = ["HISTORY", "AccountView", "FlagAccounts", "Ledgers"]

HISTORY = 10
"""Steps that a state tells of: their rewards, net values and actions."""


class AccountView(NamedTuple):
    """One account at the decision for a bar: everything up to the close of the bar before it."""

    bar: int  # the bar at whose close the action will be filled
    cash: float  # fraction of the account's value
    position: float  # likewise; the two add up to 1
    value: float  # multiple of the capital at the beginning
    rewards: tuple[float, ...]  # of the last steps of the episode, oldest first, at most HISTORY of them
    values: tuple[float, ...]  # likewise, after each step, as multiples of the capital
    actions: tuple[int, ...]  # likewise, what was carried out: -1 sell, 0 hold, 1 buy
    legal: tuple[bool, bool, bool]  # whether sell, hold and buy are possible


class Ledgers(NamedTuple):
    """The numbers of all accounts, changed in place; the first dimension of each is ``accounts``."""

    shares: NDArray[np.float64]
    cash: NDArray[np.float64]
    bar: NDArray[np.int64]  # of the next decision
    steps: NDArray[np.int64]  # taken in the episode
    mean: NDArray[np.float64]  # of the episode's pnl
    squares: NDArray[np.float64]  # sum of their squared distances from it
    ratio: NDArray[np.float64]  # running Sharpe ratio
    rewards: NDArray[np.float64]  # (accounts, HISTORY), the newest last
    values: NDArray[np.float64]  # likewise
    actions: NDArray[np.int64]  # likewise

    @classmethod
    def empty(cls, accounts: int) -> Ledgers:
        """Return ledgers without money, to be reset."""
        wide = (accounts, HISTORY)
        return cls(
            shares=np.zeros(accounts),
            cash=np.zeros(accounts),
            bar=np.zeros(accounts, dtype=np.int64),
            steps=np.zeros(accounts, dtype=np.int64),
            mean=np.zeros(accounts),
            squares=np.zeros(accounts),
            ratio=np.zeros(accounts),
            rewards=np.zeros(wide),
            values=np.zeros(wide),
            actions=np.zeros(wide, dtype=np.int64),
        )

    def copy(self) -> Ledgers:
        """Return the same numbers in memory of their own."""
        return Ledgers._make(array.copy() for array in self)


class FlagAccounts:
    """Accounts that trade the same closes, each from a bar of its own.

    Args:
        prices: closes, shape ``(bars,)``, float64, as `llmguide.trading.simulate.closes` returns them.
        rules: see there.
        accounts: how many.
        whole: an episode goes on to the last bar instead of ending after ``rules.episode`` steps.
    """

    def __init__(
        self, prices: NDArray[np.float64], rules: FlagRules, accounts: int = 1, *, whole: bool = False
    ) -> None:
        self.rules = rules
        self.ledgers = Ledgers.empty(accounts)
        self._prices = prices
        self._episode = len(prices) if whole else rules.episode

    def reset(self, account: int, start: int) -> None:
        """Begin an account's episode with the decision for bar `start`."""
        if not 1 <= start < len(self._prices):
            raise DataError(f"start must lie between 1 and {len(self._prices) - 1}, got {start}")
        for array in self.ledgers:
            array[account] = 0
        self.ledgers.cash[account] = self.rules.cash
        self.ledgers.bar[account] = start

    def legal(self) -> NDArray[np.bool_]:
        """Return whether each account can sell, hold and buy, shape ``(accounts, 3)``."""
        mask = np.empty((len(self.ledgers.bar), len(ACTIONS)), dtype=np.bool_)
        _mark_legal(self.ledgers, self._prices, self.rules.cost, mask)
        return mask

    def step(self, actions: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Carry out one action in each account at the close of its bar.

        Args:
            actions: 0 sell, 1 hold, 2 buy, shape ``(accounts,)``; what is not possible is carried out as hold.

        Returns:
            Rewards and whether the episode is over, shape ``(accounts,)`` each. An account whose episode is over must
            be reset before the next step.
        """
        chosen = np.ascontiguousarray(actions, dtype=np.int64)
        ledgers, rules = self.ledgers, self.rules
        if chosen.shape != ledgers.bar.shape or ((chosen < 0) | (chosen >= len(ACTIONS))).any():
            raise DataError(
                f"expected {len(ledgers.bar)} actions of 0 (sell), 1 (hold) and 2 (buy), one for each account, got "
                f"{np.asarray(actions).tolist()}"
            )
        if self.over().any():
            raise DataError("an episode is over; reset the account before the next step")
        rewards = np.empty(len(chosen))
        _advance(ledgers, chosen, self._prices, rules.cost, rules.cash, rules.risk_free, rules.sharpe_limit, rewards)
        return rewards, self.over()

    def over(self) -> NDArray[np.bool_]:
        """Return whether each account's episode is over, shape ``(accounts,)``."""
        over: NDArray[np.bool_] = (self.ledgers.steps >= self._episode) | (self.ledgers.bar >= len(self._prices))
        return over

    def view(self, account: int) -> AccountView:
        """Return an account as it stands before its next decision."""
        ledgers = self.ledgers
        bar, shares, cash = int(ledgers.bar[account]), float(ledgers.shares[account]), float(ledgers.cash[account])
        price = float(self._prices[bar - 1])
        worth = cash + shares * price
        told = HISTORY - min(int(ledgers.steps[account]), HISTORY)
        sell, hold, buy = legal_actions(shares, cash, price, self.rules.cost)
        return AccountView(
            bar=bar,
            cash=cash / worth,
            position=shares * price / worth,
            value=worth / self.rules.cash,
            rewards=tuple(ledgers.rewards[account, told:].tolist()),
            values=tuple(ledgers.values[account, told:].tolist()),
            actions=tuple(ledgers.actions[account, told:].tolist()),
            legal=(bool(sell), bool(hold), bool(buy)),
        )


@njit(cache=True)
def _mark_legal(ledgers: Ledgers, prices: NDArray[np.float64], cost: float, mask: NDArray[np.bool_]) -> None:
    for i in range(len(ledgers.bar)):
        known = prices[ledgers.bar[i] - 1]
        mask[i, 0], mask[i, 1], mask[i, 2] = legal_actions(ledgers.shares[i], ledgers.cash[i], known, cost)


@njit(cache=True)
def _advance(
    ledgers: Ledgers,
    actions: NDArray[np.int64],
    prices: NDArray[np.float64],
    cost: float,
    capital: float,
    risk_free: float,
    limit: float,
    rewards: NDArray[np.float64],
) -> None:
    """Take one step in each account; `rewards` is written."""
    for i in range(len(actions)):
        t = ledgers.bar[i]
        held = ledgers.shares[i]
        before = ledgers.cash[i] + held * prices[t - 1]
        shares, cash = trade(held, ledgers.cash[i], actions[i], prices[t], cost)
        after = cash + shares * prices[t]
        pnl = (after - before) / capital

        count = ledgers.steps[i] + 1  # Welford's update of mean and sum of squares
        distance = pnl - ledgers.mean[i]
        ledgers.mean[i] += distance / count
        ledgers.squares[i] += distance * (pnl - ledgers.mean[i])
        ratio = sharpe(count, ledgers.mean[i], ledgers.squares[i], risk_free, limit)
        rewards[i] = ratio - ledgers.ratio[i]

        ledgers.shares[i], ledgers.cash[i], ledgers.ratio[i] = shares, cash, ratio
        ledgers.bar[i], ledgers.steps[i] = t + 1, count
        for column in range(ledgers.rewards.shape[1] - 1):
            ledgers.rewards[i, column] = ledgers.rewards[i, column + 1]
            ledgers.values[i, column] = ledgers.values[i, column + 1]
            ledgers.actions[i, column] = ledgers.actions[i, column + 1]
        ledgers.rewards[i, -1] = rewards[i]
        ledgers.values[i, -1] = after / capital
        ledgers.actions[i, -1] = 0 if shares == held else (1 if shares > held else -1)
