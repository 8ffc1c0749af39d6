"""The account of an agent that sells, holds or buys, where somebody else carries its actions out, such as a broker."""

from __future__ import annotations

from collections import deque

from llmguide.trading.flag_accounts import HISTORY, AccountView
from llmguide.trading.flag_rules import FlagRules, legal_actions, sharpe

__all__ = ["WatchedAccount"]


class WatchedAccount:
    """Tells an account as `llmguide.trading.flag_accounts.FlagAccounts` does, from what is seen of it.

    One episode, which begins with the first look and never ends. A step is from one look to the next: its action is
    what became of the shares in between. Where the actions are carried out by the rules of
    `llmguide.trading.flag_rules`, the view is that of `FlagAccounts`, to the bit.

    Args:
        rules: of the reward; capital and cost are those of the account itself.
        cost: fraction of each traded value, by which it is known whether a share can be paid.
    """

    def __init__(self, rules: FlagRules, *, cost: float) -> None:
        self._rules, self._cost = rules, cost
        self._capital = self._worth = self._shares = 0.0
        self._steps = -1  # taken: the first look ends none
        self._mean = self._squares = self._ratio = 0.0
        self._rewards: deque[float] = deque(maxlen=HISTORY)
        self._values: deque[float] = deque(maxlen=HISTORY)
        self._actions: deque[int] = deque(maxlen=HISTORY)

    def look(self, bar: int, shares: float, cash: float, price: float) -> AccountView:
        """Return the account at the decision for a bar; call it once for each.

        Args:
            bar: the bar at whose close the action will be carried out.
            shares, cash: what the account has.
            price: the close of the bar before.
        """
        worth = cash + shares * price
        if self._steps < 0:
            self._capital = worth
        else:
            self._count(worth, shares)
        self._worth, self._shares = worth, shares
        self._steps += 1
        sell, hold, buy = legal_actions(float(shares), cash, price, self._cost)
        return AccountView(
            bar=bar,
            cash=cash / worth,
            position=shares * price / worth,
            value=worth / self._capital,
            rewards=tuple(self._rewards),
            values=tuple(self._values),
            actions=tuple(self._actions),
            legal=(bool(sell), bool(hold), bool(buy)),
        )

    def _count(self, worth: float, shares: float) -> None:
        """Take in the step that has ended."""
        pnl = (worth - self._worth) / self._capital
        count = self._steps + 1  # Welford's update, in the order of FlagAccounts
        distance = pnl - self._mean
        self._mean += distance / count
        self._squares += distance * (pnl - self._mean)
        ratio = sharpe(count, self._mean, self._squares, self._rules.risk_free, self._rules.sharpe_limit)
        self._rewards.append(ratio - self._ratio)
        self._values.append(worth / self._capital)
        self._actions.append(0 if shares == self._shares else (1 if shares > self._shares else -1))
        self._ratio = ratio
