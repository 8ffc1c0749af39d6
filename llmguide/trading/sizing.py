"""The second account rule: a position that is a fraction of the account.

A *target weight* w is the wanted value of the position as a fraction of the account's value: 1 all of it long, -1 all
of it short, 0 nothing. Account, costs and whole shares are those of `llmguide.trading.account`, whose decisions go all
in; opened from cash, a weight of 1 or -1 buys or sells the same number of shares to the bit.

What differs from the all-in rule: a position is brought back to its weight when the price has carried it further away
than the band, so that a short grows after a fall and shrinks after a rise. That leaves nothing to do for the rule by
which an all-in short buys shares back (`COVER_MARGIN`): weight and band are at most 1, a short that is left alone is
therefore worth at most twice the account, and the cash is at least 1.5 times what it is worth. An account that is worth
nothing or less, after a rise within one bar, closes its position and stays flat.

There is no leverage above 1: it would take a loan, and the account knows no interest.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import ArrayLike, NDArray

from llmguide.compiling import njit
from llmguide.errors import DataError
from llmguide.trading.account import FLAT, step, value

__all__ = ["BAND", "check_sizing", "check_weights", "limit_weights", "rebalance", "rollout", "trajectory"]

BAND = 0.05
"""Distance from its target, as a fraction of the account, that a weight may reach before it is traded.

Reasoned, not tuned. Correcting a distance d costs c d of the account; leaving it costs about half the risk aversion
times d^2 variance for as long as it lasts. What balances the two for a proportional cost c, a weight w and a relative
risk aversion p is a half-width of (3 w^2 (1 - w)^2 c / (2 p))^(1/3), whatever the volatility (Janecek and Shreve 2004,
Finance and Stochastics 8, pages 181-206). For c = 0.1 %, p = 1 (logarithmic utility) and w = 1/2, where it is widest,
this is 0.045. There one trades back to the edge of that region, here to the target, which costs more each time: hence
rounded up, to 0.05. The cube root makes the choice a lenient one: ten times the cost would only double it.
"""


@njit(cache=True)
def rebalance(
    side: float, shares: float, cash: float, weight: float, price: float, cost: float, band: float
) -> tuple[float, float, float]:
    """Bring the position to a target weight at the close of a bar.

    The new position is the largest whole number of shares whose value is at most ``abs(weight)`` of the account's value
    after the trade and its cost. Cost is paid on the shares that change hands only. Cash is never negative after a
    purchase (rounding aside), since a long position is never worth more than the account.

    Within the band nothing is traded. Opening, closing and changing sides are always traded, however small.

    Args:
        side, shares, cash: the account before the bar's close.
        weight: target in [-1, 1], as `limit_weights` returns it.
        price: close of the bar, at which everything is executed.
        cost: fraction of each traded value.
        band: in [0, 1]; a present weight no further than this from the target is left alone.

    Returns:
        ``(side, shares, cash)`` after the close; side 0 where no share is held.
    """
    worth = value(side, shares, cash, price)
    held = side * shares
    if held * weight > 0.0 and abs(weight * worth - held * price) <= band * worth:
        return side, shares, cash
    if held * weight <= 0.0 or worth <= 0.0:
        side, shares, cash, _ = step(side, shares, cash, FLAT, price, price, cost)
        worth = cash
        if weight == 0.0 or worth <= 0.0:
            return side, shares, cash

    # n shares after the trade leave a value of worth - cost * price * abs(n - shares); size is the part for n * price.
    size, toward = abs(weight), math.copysign(1.0, weight)
    more = shares * price <= size * worth
    rate = cost if more else -cost
    wanted = max(0.0, math.floor(size * (worth + shares * price * rate) / (price * (1.0 + size * rate))))
    bought = toward * (wanted - shares)
    cash -= bought * price * (1.0 + cost if bought > 0.0 else 1.0 - cost)
    return (toward if wanted > 0.0 else 0.0), wanted, cash


@njit(cache=True)
def trajectory(
    prices: NDArray[np.float64], weights: NDArray[np.float64], cash: float, cost: float, start: int, band: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return side, shares and cash at the close of every bar, each of shape ``(bars,)``.

    `weights` has shape ``(bars - start,)``; before bar `start` the account is idle.
    """
    bars = len(prices)
    sides, counts, money = np.zeros(bars), np.zeros(bars), np.full(bars, cash)
    side, shares = 0.0, 0.0
    for t in range(start, bars):
        side, shares, cash = rebalance(side, shares, cash, weights[t - start], prices[t], cost, band)
        sides[t], counts[t], money[t] = side, shares, cash
    return sides, counts, money


@njit(cache=True, parallel=True)
def rollout(
    prices: NDArray[np.float64], weights: NDArray[np.float64], cash: float, cost: float, start: int, band: float
) -> NDArray[np.float64]:
    """Return the value at every bar of many runs over the same prices.

    Args:
        prices: closes, shape ``(bars,)``, float64.
        weights: targets in [-1, 1], as `limit_weights` returns them, shape ``(runs, bars - start)``.
        cash, cost, start: as in `llmguide.simulate`.
        band: as in `rebalance`.

    Returns:
        Values, shape ``(runs, bars)``.
    """
    runs, bars = len(weights), len(prices)
    values = np.empty((runs, bars))
    for run in prange(runs):
        side, shares, money = 0.0, 0.0, cash
        values[run, :start] = cash
        for t in range(start, bars):
            side, shares, money = rebalance(side, shares, money, weights[run, t - start], prices[t], cost, band)
            values[run, t] = value(side, shares, money, prices[t])
    return values


def limit_weights(weights: ArrayLike, *, long_only: bool, max_leverage: float) -> NDArray[np.float64]:
    """Return weights of any shape within ``[-max_leverage, max_leverage]``, or ``[0, max_leverage]`` if long only."""
    return np.clip(np.asarray(weights, dtype=np.float64), 0.0 if long_only else -max_leverage, max_leverage)


def check_sizing(*, max_leverage: float, band: float) -> None:
    """Refuse an impossible limit or band."""
    if max_leverage > 1.0:
        raise DataError(
            f"max_leverage is the largest position as a fraction of the account, at most 1, got {max_leverage}: more "
            "would take a loan, and the account knows no interest"
        )
    if not max_leverage > 0.0:
        raise DataError(f"max_leverage must be a fraction of the account in (0, 1], got {max_leverage}")
    if not 0.0 <= band <= 1.0:
        raise DataError(f"band must be a fraction of the account in [0, 1], got {band}; 5 % is 0.05")


def check_weights(weights: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return target weights as float64 of the expected shape; they must lie in [-1, 1]."""
    try:
        given = np.ascontiguousarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError("expected weights as numbers in [-1, 1], fractions of the account") from None
    if given.shape != shape:
        raise DataError(
            f"expected weights of shape {shape}, one for each bar from the first tradable one on, got {given.shape}"
        )
    fits = np.abs(given) <= 1.0
    if not fits.all():
        odd = given[~fits].flat[0]
        hint = "fill the gap, or begin later with start=" if np.isnan(odd) else "50 % is 0.5"
        raise DataError(f"weights must be fractions of the account in [-1, 1], but {odd} is among them; {hint}")
    return given
