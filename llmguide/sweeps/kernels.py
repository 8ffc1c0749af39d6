"""What runs once per bar and combination: the rules' decisions, and the account that follows them.

Decisions are int8, one for each bar from the first tradable one on: 1 long, 0 short, -1 flat. The account is that of
`llmguide.trading.account.step`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from llmguide.compiling import njit
from llmguide.periods import DEFAULT
from llmguide.trading.account import FLAT, LONG, SHORT, step, value
from llmguide.trading.moving_averages import choose, write_means

__all__ = [
    "MEASURES",
    "act",
    "blend_decisions",
    "effective",
    "guidance_decisions",
    "measure",
    "moving_average_decisions",
    "path",
    "values_of",
    "window_means",
    "write_measures",
]

MEASURES = ("sharpe", "sortino", "max_drawdown", "total_return", "annual_return", "trades", "exposure", "turnover")
"""Columns of `measure`'s result, in this order."""

# As in llmguide.metrics: a spread of returns that is no more than their rounding counts as none.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)
_CANCELLED = 1e-6  # part of a sum of squares below which what is left of it is computed anew
_FREE = -2  # no decision is blocked


@njit(cache=True, forceinline=True)  # as a call, it would make a sweep take a quarter longer
def act(
    side: float, shares: float, cash: float, decision: int, price: float, previous_price: float, cost: float
) -> tuple[float, float, float]:
    """Carry out one decision at the close of a bar; return side, shares and cash after it."""
    side, shares, cash, _ = step(side, shares, cash, decision, price, previous_price, cost)
    return side, shares, cash


@njit(cache=True)
def _stop(decision: int, blocked: int, side: float, entry: float, close: float, limit: float) -> tuple[int, int]:
    """Return the decision after the stop-loss, and the one that stays blocked.

    A position whose price has moved by `limit` or more against it since its entry, at `close`, the newest that is
    known, is left. The decision that led to it is blocked until the rule decides something else.
    """
    if decision == blocked:
        return FLAT, blocked
    held = LONG if side > 0 else SHORT
    if side != 0.0 and decision == held and side * (close / entry - 1.0) <= -limit:
        return FLAT, decision
    return decision, _FREE


@njit(cache=True)
def effective(
    prices: NDArray[np.float64],
    wanted: NDArray[np.int8],
    cash: float,
    cost: float,
    start: int,
    delay: int,
    limit: float,
) -> NDArray[np.int8]:
    """Return what is carried out at each bar from `start` on, once delay and stop-loss have had their say.

    Shapes: prices ``(bars,)``, wanted and result ``(bars - start,)``.
    """
    done = np.full(len(prices) - start, FLAT, dtype=np.int8)
    side, shares, entry, blocked = 0.0, 0.0, prices[0], _FREE
    for t in range(start + delay, len(prices)):
        decision, blocked = _stop(int(wanted[t - delay - start]), blocked, side, entry, prices[t - 1], limit)
        before = side
        side, shares, cash = act(side, shares, cash, decision, prices[t], prices[t - 1], cost)
        if side != before:
            entry = prices[t]
        done[t - start] = decision
    return done


@njit(cache=True)
def path(
    prices: NDArray[np.float64], decisions: NDArray[np.int8], cash: float, cost: float, start: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return side, shares and cash at the close of every bar, shape ``(bars,)`` each, for effective decisions."""
    bars = len(prices)
    sides, counts, money = np.zeros(bars), np.zeros(bars), np.full(bars, cash)
    side, shares = 0.0, 0.0
    for t in range(start, bars):
        side, shares, cash = act(side, shares, cash, decisions[t - start], prices[t], prices[t - 1], cost)
        sides[t], counts[t], money[t] = side, shares, cash
    return sides, counts, money


@njit(cache=True, parallel=True)
def measure(
    prices: NDArray[np.float64],
    wanted: NDArray[np.int8],
    cash: float,
    costs: NDArray[np.float64],
    start: int,
    delays: NDArray[np.int64],
    limits: NDArray[np.float64],
    years: float,
    measures: NDArray[np.float64],
) -> None:
    """Follow many rows of decisions and write what each account earned; nothing else is kept.

    Args:
        prices: closes, shape ``(bars,)``.
        wanted: what the rules want, shape ``(rows, bars - start)``.
        cash, start: as in `llmguide.simulate`.
        costs, delays, limits: cost, delay in bars and stop-loss of each row, shape ``(rows,)``.
        years: calendar days from the first bar to the last over 365; not above 0 where there is no day between.
        measures: written, shape ``(rows, 8)``, columns as in `MEASURES`, a year being 252 bars; NaN where undefined.
    """
    for row in prange(len(wanted)):
        values = np.empty(len(prices))
        trades, exposed, traded, depth = _follow(
            prices, wanted[row], cash, costs[row], start, delays[row], limits[row], values
        )
        write_measures(values, trades, exposed, traded, depth, years, measures[row])


@njit(cache=True, parallel=True)
def values_of(
    prices: NDArray[np.float64],
    wanted: NDArray[np.int8],
    cash: float,
    costs: NDArray[np.float64],
    start: int,
    delays: NDArray[np.int64],
    limits: NDArray[np.float64],
    values: NDArray[np.float64],
) -> None:
    """Follow many rows of decisions and write the value of each account at every bar, shape ``(rows, bars)``."""
    for row in prange(len(wanted)):
        _follow(prices, wanted[row], cash, costs[row], start, delays[row], limits[row], values[row])


@njit(cache=True, error_model="numpy", forceinline=True)
def _follow(
    prices: NDArray[np.float64],
    wanted: NDArray[np.int8],
    cash: float,
    cost: float,
    start: int,
    delay: int,
    limit: float,
    values: NDArray[np.float64],
) -> tuple[int, int, float, float]:
    """Follow one account: write its value at every bar, shape ``(bars,)``.

    Returns:
        ``(trades, exposed, traded, depth)``: positions opened, bars after which shares were held, money traded, and
        the maximum drawdown.
    """
    idle, guarded = start + delay, limit < math.inf
    side, shares, money, entry, blocked = 0.0, 0.0, cash, prices[0], _FREE
    held, peak, depth = 0.0, cash, 0.0
    trades, exposed, traded = 0, 0, 0.0
    values[:idle] = cash
    # Counted from 0 in each of these: an index that could be negative costs a test at every access.
    now, newest, after = prices[idle:], prices[idle - 1 :], values[idle:]
    for t in range(len(now)):
        price, decision = now[t], int(wanted[t])
        if guarded:
            decision, blocked = _stop(decision, blocked, side, entry, newest[t], limit)
        if decision != LONG or side <= 0.0:  # long stays long as it is
            old_side, old_held = side, held
            side, shares, money = act(side, shares, money, decision, price, newest[t], cost)
            held = side * shares
            if held != old_held:
                traded += abs(held - old_held) * price
            if side != old_side:
                entry = price
                trades += shares != 0.0
        exposed += held != 0.0
        after[t] = worth = value(side, shares, money, price)
        peak = worth if worth > peak else peak
        if peak - worth > depth * peak:
            depth = (peak - worth) / peak
    return trades, exposed, traded, depth


@njit(cache=True, error_model="numpy")
def write_measures(
    values: NDArray[np.float64],
    trades: int,
    exposed: int,
    traded: float,
    depth: float,
    years: float,
    measures: NDArray[np.float64],
) -> None:
    """Write the measures of one account, which `_follow` followed; the idle bars are returns of zero."""
    bars, cash = len(values), values[0]
    returns = _returns(values)
    total, total_return, squares, losses, loss, loss_squares = _sums(values, returns)
    mean = total_return / bars
    spread, loss_spread = _spread(total_return, squares, bars, 1), _spread(loss, loss_squares, losses, 0)
    if spread < 0.0 or loss_spread < 0.0:
        spread, loss_spread = _exact_spreads(returns)
    measures[:] = math.nan
    if spread > _ROUNDING:
        measures[0] = math.sqrt(DEFAULT) * mean / spread
    if loss_spread > _ROUNDING:
        measures[1] = math.sqrt(DEFAULT) * mean / loss_spread
    measures[2] = depth
    measures[3] = values[-1] / cash - 1.0
    growth = 1.0 + total_return
    if years > 0.0:
        measures[4] = growth ** (1.0 / years) - 1.0 if growth > 0.0 else -1.0
        if math.isinf(measures[4]):
            measures[4] = math.nan
    measures[5] = trades
    measures[6] = exposed / bars
    if total > 0.0:
        measures[7] = traded / (total / bars) * DEFAULT / bars


@njit(cache=True, error_model="numpy")
def _returns(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the relative changes of values, shape ``(bars,)``, 0 after a value of 0.

    Apart from the sums, whose order is kept, so that the processor makes several of these divisions at a time.
    """
    returns = np.zeros(len(values))
    before, after, changes = values[:-1], values[1:], returns[1:]
    for t in range(len(changes)):
        change = (after[t] - before[t]) / before[t]
        changes[t] = change if before[t] != 0.0 else 0.0
    return returns


@njit(cache=True)
def _sums(values: NDArray[np.float64], returns: NDArray[np.float64]) -> tuple[float, float, float, int, float, float]:
    """Return the sums of values, of returns and of their squares, and the number and sums of the losses."""
    total, total_return, squares, losses, loss, loss_squares = 0.0, 0.0, 0.0, 0, 0.0, 0.0
    for t in range(len(returns)):
        change = returns[t]
        # Without a branch, which no processor could foresee.
        lost = change if change < -_ROUNDING else 0.0
        total += values[t]
        total_return += change
        squares += change * change
        losses += lost != 0.0
        loss += lost
        loss_squares += lost * lost
    return total, total_return, squares, losses, loss, loss_squares


@njit(cache=True)
def _spread(total: float, squares: float, count: int, ddof: int) -> float:
    """Return the standard deviation from sums; -1 where their difference has lost too many digits."""
    if count < 2 or squares == 0.0:
        return 0.0
    rest = squares - total * total / count
    return math.sqrt(rest / (count - ddof)) if rest > _CANCELLED * squares else -1.0


@njit(cache=True)
def _exact_spreads(returns: NDArray[np.float64]) -> tuple[float, float]:
    """Return the standard deviations of returns and of the losses among them, about their means.

    0 where one is no more than the rounding of the largest of them; what `_spread` returns is far more than that.
    """
    return _deviation(returns, 1), _deviation(returns[returns < -_ROUNDING], 0)


@njit(cache=True)
def _deviation(returns: NDArray[np.float64], ddof: int) -> float:
    if len(returns) < 2:
        return 0.0
    deviation = math.sqrt(((returns - returns.mean()) ** 2).sum() / (len(returns) - ddof))
    return deviation if deviation > _ROUNDING * max(1.0, np.abs(returns).max()) else 0.0


@njit(cache=True)
def window_means(prices: NDArray[np.float64], windows: NDArray[np.int64], start: int) -> NDArray[np.float64]:
    """Return the mean of the last closes before each bar from `start` on, less the newest of them, for each window.

    Shape ``(windows, bars - start)``; the one for bar t uses closes up to and including t-1.
    """
    means = np.empty((len(windows), len(prices) - start))
    of_bar = np.empty(windows.max() + 1)
    for t in range(start, len(prices)):
        write_means(prices, t, of_bar)
        for row in range(len(windows)):
            means[row, t - start] = of_bar[windows[row]]
    return means


@njit(cache=True, parallel=True)
def moving_average_decisions(
    means: NDArray[np.float64],
    short: NDArray[np.int64],
    long: NDArray[np.int64],
    trend: bool,
    decisions: NDArray[np.int8],
) -> None:
    """Write what each pair of windows decides, shape ``(rows, bars - start)``; short and long are rows of `means`."""
    for row in prange(len(decisions)):
        short_means, long_means = means[short[row]], means[long[row]]
        for t in range(decisions.shape[1]):
            decisions[row, t] = choose(short_means[t], long_means[t], trend)


@njit(cache=True, parallel=True)
def guidance_decisions(
    direction: NDArray[np.float64],
    confidence: NDArray[np.float64],
    entropy: NDArray[np.float64],
    strength: NDArray[np.float64],
    seen: NDArray[np.int64],
    settings: NDArray[np.float64],
    decisions: NDArray[np.int8],
) -> None:
    """Write what following a guidance table decides, shape ``(rows, bars - start)``.

    Args:
        direction, confidence, entropy, strength: of each issue, shape ``(issues,)``, NaN where missing.
        seen: number of issues that each bar may see, shape ``(bars - start,)``.
        settings: threshold, hold, max_entropy and min_confidence of each row, shape ``(rows, 4)``.
        decisions: written.
    """
    for row in prange(len(decisions)):
        threshold, hold, max_entropy, min_confidence = settings[row]
        of_issue = np.full(len(direction) + 1, FLAT, dtype=np.int8)
        current, followed = FLAT, 0
        for issue in range(len(direction)):
            sure = entropy[issue] <= max_entropy or (max_entropy >= 1.0 and math.isnan(entropy[issue]))
            if sure and strength[issue] >= threshold and confidence[issue] >= min_confidence:
                current, followed = LONG if direction[issue] > 0.0 else SHORT, issue
            elif issue - followed >= hold:
                current = FLAT
            of_issue[issue + 1] = current
        for t in range(decisions.shape[1]):
            decisions[row, t] = of_issue[seen[t]]


@njit(cache=True, parallel=True)
def blend_decisions(
    gaps: NDArray[np.float64], tau: NDArray[np.float64], settings: NDArray[np.float64], decisions: NDArray[np.int8]
) -> None:
    """Write what guidance and Q-gap decide together, shape ``(rows, bars - start)``.

    Args:
        gaps: Q-value of long minus that of short on the sides -1, 0 and +1, shape ``(bars - start, 3)``.
        tau: guidance in force at each bar, shape ``(bars - start,)``.
        settings: weight, scale and band of each row, shape ``(rows, 3)``.
        decisions: written.
    """
    for row in prange(len(decisions)):
        weight, scale, band = settings[row]
        current = FLAT
        for t in range(decisions.shape[1]):
            side = 0 if current == FLAT else 1 if current == LONG else -1
            score = weight * tau[t] + (1.0 - weight) * max(-1.0, min(1.0, gaps[t, side + 1] / scale))
            if score > band:
                current = LONG
            elif score <= -band and not (score == 0.0 and weight > 0.0):  # which is no opinion
                current = SHORT
            decisions[row, t] = current
