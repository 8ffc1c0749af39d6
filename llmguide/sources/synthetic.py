"""Made daily markets, for demonstrations and tests: no download, no vendor, the same every time."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from llmguide.errors import DataError, did_you_mean

__all__ = ["Kind", "sample_bars"]

Kind = Literal["regimes", "linear_up", "linear_down", "sinusoidal", "triangular"]

BARS_PER_YEAR = 252
FIRST_DAY = "2012-01-02"
MAX_YEARS = 14  # 3528 business days end in July 2025: none of them lies in the future.


class Regime(NamedTuple):
    drift: float  # expected log return a year
    volatility: float  # standard deviation of log returns a year
    length: float  # expected bars until it ends (geometric)


BULL, SIDEWAYS, BEAR = REGIMES = (Regime(0.30, 0.15, 160), Regime(0.0, 0.19, 100), Regime(-0.35, 0.29, 80))
# Which regime follows when one ends: rows from, columns to.
SUCCESSION = np.array([[0.0, 0.6, 0.4], [0.6, 0.0, 0.4], [0.6, 0.4, 0.0]])
PERSISTENCE, SHOCK = 0.97, 0.12  # of the log of the variance around its regime's level, per bar
OVERNIGHT = 0.25  # share of a day's variance between the previous close and the open
FIRST_CLOSE = 100.0
TYPICAL_VOLUME = 5e6

# The close after x years.
SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear_up": lambda x: 100 + 12.5 * x,
    "linear_down": lambda x: 200 - 12.5 * x,
    "sinusoidal": lambda x: 150 + 50 * np.sin(2 * np.pi * x),
    "triangular": lambda x: 100 + 100 * np.abs(1 - 2 * (x % 1)),
}


def sample_bars(kind: Kind = "regimes", *, years: int = 8, seed: int = 0) -> pd.DataFrame:
    """Return the bars of a synthetic market.

    Args:
        kind: "regimes" is a random market, described below; "linear_up", "linear_down", "sinusoidal" and "triangular"
            are shapes for which the best policy is known.
        years: length, 1 to 14, of 252 bars each on consecutive business days from 2012-01-02 (holidays are not left
            out). Fewer years of the same market are the beginning of more years.
        seed: an integer of at least 0; the same seed gives the same bits with the same version of numpy. Without effect
            on the shapes.

    Returns:
        Bars as `llmguide.read_bars` returns them, in which it finds nothing unusual.

    Raises DataError for an unknown `kind`, and for `years` or a `seed` out of range.

    **Regimes.** A hidden Markov chain of bull, sideways and bear regimes, each of which lasts some months. Log returns
    have the drift and the volatility of the hidden regime; the volatility also varies around its regime's level as an
    AR(1) process in the log of the variance, so that calm and turbulent days cluster. A quarter of a day's variance
    falls overnight. High and low are drawn from the distribution of the extremes of a Brownian bridge between open and
    close. Volume rises with the absolute return, in units of the day's volatility.

    **Shapes**, after the fictive markets in the code of arXiv 2004.06627. Nothing in them is random. The close of bar t
    (0, 1, ...), with x = t / 252::

        linear_up     100 + 12.5 x                  100 to 200 in eight years
        linear_down   200 - 12.5 x                  200 to 100 in eight years
        sinusoidal    150 + 50 sin(2 pi x)          100 to 200 and back every year
        triangular    100 + 100 |1 - 2 (x mod 1)|   200 to 100 and back every year

    Each bar opens at the close before it (the first at its own) and trades nowhere outside the two; volume is constant.
    (In the authors' code a bar is one price, and a line goes from 100 to 200 however many bars it has.)
    """
    if kind not in get_args(Kind):
        known = get_args(Kind)
        raise DataError(f"expected kind to be one of {', '.join(known)}, got {kind!r}{did_you_mean(str(kind), known)}")
    years = _whole("years", years, low=1, high=MAX_YEARS)
    seed = _whole("seed", seed, low=0)
    n = BARS_PER_YEAR * years
    columns = _regime_market(n, seed) if kind == "regimes" else _shaped_market(n, SHAPES[kind])
    return pd.DataFrame(
        columns,
        index=pd.DatetimeIndex(pd.bdate_range(FIRST_DAY, periods=n).to_numpy("datetime64[ns]"), name="date"),
    )


def _shaped_market(n: int, shape: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    close = shape(np.arange(n) / BARS_PER_YEAR)
    opening = np.concatenate([close[:1], close[:-1]])
    return {
        "open": opening,
        "high": np.maximum(opening, close),
        "low": np.minimum(opening, close),
        "close": close,
        "volume": np.full(n, TYPICAL_VOLUME),
    }


def _regime_market(n: int, seed: int) -> dict[str, np.ndarray]:
    # One stream for each kind of draw and one row for each bar: a shorter market is the beginning of a longer one.
    chain_draws, normal_draws, uniform_draws = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    regime = _regimes(chain_draws.random((n, 2)))
    normals = normal_draws.standard_normal((n, 4))
    uniforms = 1.0 - uniform_draws.random((n, 2))  # in (0, 1], for the logarithm

    level = np.array([r.volatility for r in REGIMES])[regime] / np.sqrt(BARS_PER_YEAR)
    drift = np.array([r.drift for r in REGIMES])[regime] / BARS_PER_YEAR
    log_variance = _ar1(SHOCK * normals[:, 0], PERSISTENCE)
    spread = SHOCK**2 / (1 - PERSISTENCE**2)
    volatility = level * np.exp((log_variance - spread / 2) / 2)  # mean square = level squared

    gap = volatility * np.sqrt(OVERNIGHT) * normals[:, 1]
    move_volatility = volatility * np.sqrt(1 - OVERNIGHT)
    move = drift + move_volatility * normals[:, 2]
    close = FIRST_CLOSE * np.exp(np.cumsum(gap + move))
    opening = close * np.exp(-move)

    # P(max of a bridge from 0 to x > m) = exp(-2 m (m - x) / s^2), inverted at a uniform draw; the minimum mirrored.
    reach = np.sqrt(move[:, None] ** 2 - 2 * move_volatility[:, None] ** 2 * np.log(uniforms))  # (n, 2), >= |move|
    high = np.maximum(opening * np.exp((move + reach[:, 0]) / 2), np.maximum(opening, close))
    low = np.minimum(opening * np.exp((move - reach[:, 1]) / 2), np.minimum(opening, close))

    surprise = np.abs(gap + move) / volatility
    volume = TYPICAL_VOLUME * np.exp(_ar1(0.15 * normals[:, 3], 0.8) + 0.35 * surprise)
    return {"open": opening, "high": high, "low": low, "close": close, "volume": np.round(volume)}


def _whole(name: str, value: int, *, low: int, high: int | None = None) -> int:
    try:
        number = operator.index(value)
    except TypeError as error:
        raise DataError(f"{name} is a whole number, not {value!r}") from error
    if number < low or (high is not None and number > high):
        allowed = f"at least {low}" if high is None else f"from {low} to {high}"
        raise DataError(f"{name} must be {allowed}, not {number}")
    return number


def _regimes(draws: np.ndarray) -> np.ndarray:
    """The hidden chain, begun in the bull regime; draws (n, 2) say whether a regime ends and which one is next."""
    leave = [1 / r.length for r in REGIMES]
    follows = np.cumsum(SUCCESSION, axis=1)
    state, chain = 0, np.empty(len(draws), dtype=np.intp)
    for t, (ends, next_one) in enumerate(draws):
        chain[t] = state
        if ends < leave[state]:
            state = int(np.searchsorted(follows[state], next_one, side="right"))
    return chain


def _ar1(shocks: np.ndarray, persistence: float) -> np.ndarray:
    """x_t = persistence * x_(t-1) + shock_t, from x = 0."""
    x, path = 0.0, np.empty_like(shocks)
    for t, shock in enumerate(shocks):
        x = persistence * x + shock
        path[t] = x
    return path
