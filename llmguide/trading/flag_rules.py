"""The account of an agent that sells, holds or buys, and its reward: the running Sharpe ratio's change.

Three actions: *sell* everything, *hold*, *buy* with all cash. The account is long or flat, never short. Its money moves
by `llmguide.trading.account.step`: whole shares, cost on what is traded, and what does not pay for a whole share stays
in cash. The action for bar t is chosen from bars up to t-1 and filled at the close of t, the "next price" of the paper.

With V the account's value, C its cash at the beginning and pnl_t = (V_t - V_{t-1}) / C, the reward of the t-th step is

    SR_t - SR_{t-1},   SR_t = (mean of pnl_1..t - risk_free) / standard deviation of pnl_1..t (ddof 1), not annualised

so that the rewards of an episode add up to its Sharpe ratio per bar. Where it is undefined, SR is 0: before the second
step, and while the pnl has not changed. It is kept within ``sharpe_limit``: the first few pnl may happen to be nearly
equal, and their ratio would then say nothing and outweigh all others.

Source: arXiv 2502.11433v3, sections 3.1 and 4; docs/flag_trader.md has what it leaves open.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from llmguide.compiling import njit
from llmguide.errors import DataError, did_you_mean
from llmguide.trading.account import FLAT, LONG, count_shares, step

__all__ = ["ACTIONS", "BUY", "HOLD", "SELL", "FlagRules", "Rulebook", "as_rules", "legal_actions", "sharpe", "trade"]

SELL, HOLD, BUY = 0, 1, 2
"""Positions of the actions among a policy's three logits; less 1 they are the paper's -1, 0, 1."""
ACTIONS = ("sell", "hold", "buy")

_SAME = 1e-12  # a smaller standard deviation of fractions of the capital is rounding

Rulebook = Literal["house", "paper"]


@dataclass(frozen=True)
class FlagRules:
    """Rules of FLAG-Trader's account and its reward; the defaults are the benchmark's capital and cost.

    Raises DataError for values out of range.

    Source: arXiv 2502.11433v3, sections 3.1 and 4; docs/flag_trader.md lists what the paper leaves open.
    """

    cash: float = 100_000.0
    """Initial capital, in money."""
    cost: float = 0.001
    """Fraction of each traded value."""
    episode: int = 65
    """Steps of an episode, as published; it ends earlier where the bars do."""
    risk_free: float = 0.0
    """Risk-free gain per bar, as a fraction of the initial capital."""
    sharpe_limit: float = 10.0
    """Bound of the running Sharpe ratio per bar, either sign."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.cash) and self.cash > 0):
            raise DataError(f"cash must be a positive number, got {self.cash}")
        if not 0 <= self.cost < 1:
            raise DataError(f"cost must be a fraction of the traded value in [0, 1), got {self.cost}; 0.1 % is 0.001")
        if not self.episode >= 2:
            raise DataError(f"episode must be at least 2 steps, since one has no Sharpe ratio, got {self.episode}")
        if not math.isfinite(self.risk_free):
            raise DataError(f"risk_free must be a fraction of the capital per bar, got {self.risk_free}")
        if not self.sharpe_limit > 0:
            raise DataError(f"sharpe_limit must be positive, got {self.sharpe_limit}")

    def to_dict(self) -> dict[str, Any]:
        """Return the rules by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> FlagRules:
        """Return the rules of `stored`, the result of `to_dict`; DataError for an unknown name."""
        known = {field.name for field in fields(cls)}
        for name in stored:
            if name not in known:
                raise DataError(f"unknown rule {name!r}{did_you_mean(name, known)}")
        return cls(**stored)


_BOOKS: dict[str, FlagRules] = {"house": FlagRules(), "paper": FlagRules(cost=0.0)}


def as_rules(rules: FlagRules | Rulebook) -> FlagRules:
    """Return rules by name: "house" is ``FlagRules()``, "paper" the same without cost, since the paper names none."""
    if isinstance(rules, FlagRules):
        return rules
    if rules not in _BOOKS:
        raise DataError(f"rules must be 'house', 'paper' or FlagRules(...), got {rules!r}{did_you_mean(rules, _BOOKS)}")
    return _BOOKS[rules]


@njit(cache=True)
def legal_actions(shares: float, cash: float, known_price: float, cost: float) -> tuple[bool, bool, bool]:
    """Return whether each of sell, hold and buy is possible, by the last price that is known.

    To sell takes a share, to buy takes none held and cash for one; to hold is always possible.
    """
    held = shares > 0.0
    return held, True, not held and count_shares(cash, known_price, cost) >= 1.0


@njit(cache=True)
def trade(shares: float, cash: float, action: int, price: float, cost: float) -> tuple[float, float]:
    """Carry out one action at a bar's close and return ``(shares, cash)``; what is not possible is to hold.

    A buy that was possible at the price known before may pay for no share at `price`: it is to hold, too.
    """
    if action == SELL and shares > 0.0:
        _, shares, cash, _ = step(1.0, shares, cash, FLAT, price, price, cost)
    elif action == BUY and shares <= 0.0 and count_shares(cash, price, cost) >= 1.0:
        _, shares, cash, _ = step(0.0, 0.0, cash, LONG, price, price, cost)
    return shares, cash


@njit(cache=True)
def sharpe(count: int, mean: float, squares: float, risk_free: float, limit: float) -> float:
    """Return the Sharpe ratio per bar of `count` pnl with this mean and this sum of squared distances from it."""
    if count < 2:
        return 0.0
    deviation = math.sqrt(squares / (count - 1))
    if deviation <= _SAME:
        return 0.0
    return min(max((mean - risk_free) / deviation, -limit), limit)
