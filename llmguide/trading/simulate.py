"""A trajectory of the benchmark's account, as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import DataError, did_you_mean
from llmguide.trading import account, sizing
from llmguide.trading.sizing import BAND, check_sizing, check_weights, limit_weights

__all__ = ["check_account", "check_decisions", "closes", "simulate"]


def simulate(
    bars: pd.DataFrame,
    decisions: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    flat: bool = False,
    long_only: bool = False,
    max_leverage: float = 1.0,
    band: float = BAND,
    cash: float = 100_000.0,
    cost: float = 0.001,
    start: int = 30,
) -> pd.DataFrame:
    """Carry out scripted decisions, or target weights, on the benchmark's account.

    Give one of the two. ``decisions[i]`` or ``weights[i]`` is executed at the close of bar ``start + i``, and should
    have been made from bars up to ``start + i - 1`` only.

    Args:
        bars: a frame with a column ``close`` (see `llmguide.read_bars`).
        decisions: 1 long or 0 short, all in, shape ``(len(bars) - start,)``.
        weights: target positions as fractions of the account, from -1 (fully short) through 0 (flat) to 1 (fully long),
            of the same shape.
        flat: decisions may also be -1, which holds nothing, as agents with three actions decide.
        long_only: short decisions and negative weights become flat.
        max_leverage: largest position as a fraction of the account, in (0, 1]. Below 1 decisions are carried out as
            weights of that size.
        band: a position no further than this fraction of the account from its weight is left alone (see
            `llmguide.trading.sizing`); without effect on all-in decisions.
        cash: initial capital, in the bars' currency.
        cost: fraction of each traded value; 0.001 is 0.1 %.
        start: number of idle bars at the beginning.

    Returns:
        A frame indexed like `bars`, each row after the bar's close: ``side`` (+1, -1, 0), ``shares`` (whole number),
        ``cash``, ``holdings`` (negative when short), ``value``, ``returns`` (fraction, 0 on the first bar) and
        ``reward`` (the agent's reward before clipping, or the return for weights; NaN on idle bars).

    Raises:
        DataError: neither or both of decisions and weights, a wrong number of them, decisions other than 0 and 1 (with
            `flat` also -1), weights outside [-1, 1], bars that are not oldest first, an impossible cash, cost, start,
            limit or band.

    Source: arXiv 2004.06627; the rules are in `llmguide.trading.account`, those of weights in
    `llmguide.trading.sizing`.
    """
    prices = closes(bars)
    check_account(cash=cash, cost=cost, start=start, bars=len(prices))
    check_sizing(max_leverage=max_leverage, band=band)
    if (decisions is None) == (weights is None):
        raise DataError("expected either decisions (1 long, 0 short) or weights= (fractions of the account in [-1, 1])")
    shape = (len(prices) - start,)
    if decisions is not None:
        chosen = check_decisions(decisions, shape, flat=flat)
        if max_leverage < 1.0:
            weights = np.where(chosen == account.LONG, 1.0, np.where(chosen == account.SHORT, -1.0, 0.0))
        elif long_only:
            chosen = np.where(chosen == account.LONG, chosen, np.int8(account.FLAT))
    if weights is not None:
        targets = limit_weights(check_weights(weights, shape), long_only=long_only, max_leverage=max_leverage)
        side, shares, money = sizing.trajectory(prices, targets, float(cash), float(cost), start, float(band))
        reward = returns_of(money + side * shares * prices)
    else:
        side, shares, money, reward = account.trajectory(prices, chosen, float(cash), float(cost), start)
    holdings = side * shares * prices
    worth = money + holdings
    reward[:start] = np.nan
    return pd.DataFrame(
        {
            "side": side.astype(np.int8),
            "shares": shares.astype(np.int64),
            "cash": money,
            "holdings": holdings,
            "value": worth,
            "returns": returns_of(worth),
            "reward": reward,
        },
        index=bars.index,
    )


def returns_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the relative change per bar along the last axis; 0 on the first bar and after a value of exactly zero."""
    returns = np.zeros_like(values)
    before = values[..., :-1]
    np.divide(values[..., 1:] - before, before, out=returns[..., 1:], where=before != 0)
    return returns


def closes(bars: pd.DataFrame) -> NDArray[np.float64]:
    """Return the closes as a contiguous float64 array; they must be finite, positive, and oldest first."""
    if not isinstance(bars, pd.DataFrame):
        raise DataError(f"expected bars as a DataFrame, got {type(bars).__name__}; read a file with llmguide.read_bars")
    if "close" not in bars.columns:
        raise DataError(
            f"bars have no column 'close', only {list(bars.columns)}{did_you_mean('close', bars.columns)}; "
            "pass them through llmguide.read_bars first"
        )
    prices = np.ascontiguousarray(bars["close"], dtype=np.float64)
    if not (np.isfinite(prices).all() and (prices > 0).all()):
        bad = int(np.flatnonzero(~(np.isfinite(prices) & (prices > 0)))[0])
        raise DataError(f"close must be finite and positive, but row {bad} ({bars.index[bad]}) is {prices[bad]}")
    index = bars.index
    ordered = isinstance(index, pd.DatetimeIndex) or pd.api.types.is_numeric_dtype(index.dtype)  # text has an order too
    if ordered and not (index.is_monotonic_increasing and index.is_unique):
        later = next(row for row in range(1, len(index)) if not index[row] > index[row - 1])
        raise DataError(
            f"expected every bar after the one before it, but row {later} ({index[later]}) follows {index[later - 1]}; "
            "sort them by date and keep one of each, as llmguide.read_bars does"
        )
    return prices


def check_account(*, cash: float, cost: float, start: int, bars: int) -> None:
    """Refuse an impossible cash, cost or start."""
    if not (np.isfinite(cash) and cash > 0):
        raise DataError(f"cash must be a positive number, got {cash}")
    if not 0 <= cost < 1:
        raise DataError(f"cost must be a fraction of the traded value in [0, 1), got {cost}; 0.1 % is 0.001")
    if not 1 <= start < bars:
        raise DataError(f"start must lie between 1 and {bars - 1} for {bars} bars, got {start}")


def check_decisions(decisions: ArrayLike, shape: tuple[int, ...], *, flat: bool = False) -> NDArray[np.int8]:
    """Return decisions as int8 of the expected shape; they must be 0 (short) or 1 (long), or with `flat` -1 (flat)."""
    given: NDArray[Any] = np.asarray(decisions)
    if given.shape != shape:
        raise DataError(
            f"expected decisions of shape {shape}, one for each bar from the first tradable one on, got {given.shape}"
        )
    known = np.isin(given, account.ACTIONS if flat else (account.SHORT, account.LONG))
    if not known.all():
        odd = given[~known].flat[0]
        also = "" if flat or odd != account.FLAT else ", and where -1 is flat, pass flat=True"
        raise DataError(
            f"decisions must be 1 (long) or 0 (short), but {odd} is among them; fractions of the account, in [-1, 1], "
            f"go into weights={also}"
        )
    return np.ascontiguousarray(given, dtype=np.int8)
