"""The benchmark's account rules, written once.

Everything that moves money in llmguide calls `step`: the simulator, the training environment, the untaken action's
transition, the vectorised rollout and the Backtrader strategies. `llmguide.trading.sizing` has the second rule, for
positions that are a fraction of the account.

An account is three numbers: `side` (+1 long, -1 short, 0 nothing), `shares` (a whole number) and `cash` (a short's
proceeds are in it). Its value at price p is ``cash + side * shares * p``.

Insolvency. A short can lose more than the account has. The rules then go on as formulas, as they do in the authors'
environment: the shares are bought back, the cash stays negative, and "long" means a negative number of shares. Whoever
trades (see `llmguide.strategies`) does not take such a flip.

Source: arXiv 2004.06627, sections 3 and 4.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from llmguide.compiling import njit

__all__ = [
    "ACTIONS",
    "COVER_MARGIN",
    "FLAT",
    "LONG",
    "SHORT",
    "advance",
    "count_shares",
    "rollout",
    "side_of",
    "step",
    "transition",
    "value",
]

LONG, SHORT = 1, 0
FLAT = -1
"""Hold nothing, as before the first decision. The benchmark does not know it: sweeps, `long_only` and agents with three
actions do."""
ACTIONS = (SHORT, LONG, FLAT)
"""The decision that each of an agent's actions stands for; one of two actions has the first two."""
COVER_MARGIN = 0.1
"""Relative price move that a short must be able to survive (epsilon in the paper)."""


@njit(cache=True)
def side_of(decision: int) -> int:
    """Return the side that a decision leads to: +1, -1, or 0 of flat."""
    return 0 if decision == FLAT else 2 * decision - 1


@njit(cache=True)
def value(side: float, shares: float, cash: float, price: float) -> float:
    """Return the account's value at `price`."""
    return cash + side * shares * price


@njit(cache=True)
def count_shares(cash: float, price: float, cost: float) -> float:
    """Return the whole number of shares that `cash` pays for, cost included; negative where cash is negative."""
    return math.floor(cash / (price * (1.0 + cost)))


@njit(cache=True)
def step(
    side: float, shares: float, cash: float, decision: int, price: float, previous_price: float, cost: float
) -> tuple[float, float, float, bool]:
    """Carry out one decision at the close of a bar.

    Args:
        side, shares, cash: the account before the bar's close.
        decision: 1 long, 0 short, -1 flat.
        price: close of the bar, at which everything is executed.
        previous_price: close of the bar before, from which a short decides how much it must buy back.
        cost: fraction of each traded value.

    Returns:
        ``(side, shares, cash, covered)`` after the close; `covered` says that a short which stays short had to buy
        back.
    """
    if decision == FLAT:
        rate = 1.0 - cost if side > 0 else 1.0 + cost
        return 0.0, 0.0, cash + side * shares * price * rate, False

    if decision == LONG:
        if side > 0:
            return side, shares, cash, False
        if side < 0:
            cash -= shares * price * (1.0 + cost)
        shares = count_shares(cash, price, cost)
        cash -= shares * price * (1.0 + cost)
        return 1.0, shares, cash, False

    if side >= 0:
        if side > 0:
            cash += shares * price * (1.0 - cost)
        shares = count_shares(cash, price, cost)
        cash += shares * price * (1.0 - cost)
        return -1.0, shares, cash, False

    # Short stays short: enough cash must remain to buy everything back after an adverse move of COVER_MARGIN.
    deficit = shares * previous_price * (1.0 + COVER_MARGIN) * (1.0 + cost) - cash
    if deficit <= 0:  # the published bound has another divisor here, is not positive either, and buys nothing
        return side, shares, cash, False
    bound = deficit / (previous_price * COVER_MARGIN * (1.0 + cost))
    bought = min(math.floor(bound), shares)
    return side, shares - bought, cash - bought * price * (1.0 + cost), True


@njit(cache=True)
def transition(
    side: float, shares: float, cash: float, decision: int, price: float, previous_price: float, cost: float
) -> tuple[float, float, float, float]:
    """Carry out one decision and return ``(side, shares, cash, reward)``.

    The reward is the bar's relative change of value, or the price's relative fall where a short had to buy back; it is
    not clipped here. Called with another decision on the same account it gives an untaken action's transition. A bar
    that begins with a value of exactly zero has reward 0.
    """
    before = value(side, shares, cash, previous_price)
    side, shares, cash, covered = step(side, shares, cash, decision, price, previous_price, cost)
    if covered:
        return side, shares, cash, (previous_price - price) / previous_price
    if before == 0.0:
        return side, shares, cash, 0.0
    return side, shares, cash, value(side, shares, cash, price) / before - 1.0


@njit(cache=True)
def trajectory(
    prices: NDArray[np.float64], decisions: NDArray[np.int8], cash: float, cost: float, start: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return side, shares, cash and reward at the close of every bar, each of shape ``(bars,)``.

    `decisions` has shape ``(bars - start,)``; before bar `start` the account is idle.
    """
    bars = len(prices)
    sides, counts, money, rewards = np.zeros(bars), np.zeros(bars), np.full(bars, cash), np.zeros(bars)
    side, shares = 0.0, 0.0
    for t in range(start, bars):
        side, shares, cash, reward = transition(
            side, shares, cash, decisions[t - start], prices[t], prices[t - 1], cost
        )
        sides[t], counts[t], money[t], rewards[t] = side, shares, cash, reward
    return sides, counts, money, rewards


@njit(cache=True, parallel=True)
def rollout(
    prices: NDArray[np.float64], decisions: NDArray[np.int8], cash: float, cost: float, start: int
) -> NDArray[np.float64]:
    """Return the value at every bar of many runs over the same prices.

    Args:
        prices: closes, shape ``(bars,)``, float64.
        decisions: shape ``(runs, bars - start)``: 1 long, 0 short, -1 flat.
        cash, cost, start: as in `llmguide.simulate`.

    Returns:
        Values, shape ``(runs, bars)``.
    """
    runs, bars = len(decisions), len(prices)
    values = np.empty((runs, bars))
    for run in prange(runs):
        side, shares, money = 0.0, 0.0, cash
        for t in range(start):
            values[run, t] = cash
        for t in range(start, bars):
            side, shares, money, _ = step(
                side, shares, money, decisions[run, t - start], prices[t], prices[t - 1], cost
            )
            values[run, t] = value(side, shares, money, prices[t])
    return values


@njit(cache=True)
def advance(
    side: NDArray[np.float64],
    shares: NDArray[np.float64],
    cash: NDArray[np.float64],
    time: NDArray[np.int64],
    decisions: NDArray[np.int8],
    prices: NDArray[np.float64],
    cost: float,
    rewards: NDArray[np.float64],
) -> None:
    """Carry out one decision in each of many accounts, in place, and value the decision not taken.

    Args:
        side, shares, cash: the accounts, shape ``(runs,)`` each; changed in place.
        time: the bar at whose close each account trades, shape ``(runs,)``; the runs need not be at the same bar.
        decisions: shape ``(runs,)``.
        prices: closes, shape ``(bars,)``.
        cost: fraction of each traded value.
        rewards: written, shape ``(runs, 2)``: the unclipped reward of short and of long. Both start from the same
        account.
    """
    for run in range(len(side)):
        t = time[run]
        before = (side[run], shares[run], cash[run])
        for decision in (SHORT, LONG):
            after = transition(before[0], before[1], before[2], decision, prices[t], prices[t - 1], cost)
            rewards[run, decision] = after[3]
            if decision == decisions[run]:
                side[run], shares[run], cash[run] = after[0], after[1], after[2]
