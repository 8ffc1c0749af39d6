"""Two ways to measure every combination: one pass of our own kernel, and vectorbt, its slow twin."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import LlmguideError
from llmguide.metrics import annual_return, sortino_ratio
from llmguide.periods import DEFAULT
from llmguide.sweeps import kernels
from llmguide.sweeps.following import Follow, Trajectory
from llmguide.sweeps.grid import Grid
from llmguide.sweeps.market import Market
from llmguide.sweeps.rules import Decide

__all__ = [
    "ENGINES",
    "Progress",
    "account_of",
    "carried_out",
    "chunks",
    "portfolio_of",
    "stream",
    "threads_used",
    "vbt",
    "vbt_returns",
]

# As in llmguide.metrics; vectorbt adds up in another order, and a loss of rounding would count as one.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)
Progress = Callable[[int], None]
Measures = NDArray[np.float64]
CHUNK = 4 * 2**20
"""Bytes of what rules want that exist at a time."""
VBT_COLUMNS = 500
"""Columns of a vectorbt portfolio at a time: it holds some 70 kB for each bar and thousand of them."""


def stream(market: Market, decide: Decide, follow: Follow, grid: Grid, cash: float, advance: Progress) -> Measures:
    """Return the measures of every combination, shape ``(combinations, 8)``, by the kernel; nothing else is kept."""
    measures = np.empty((len(grid), len(kernels.MEASURES)))
    years = _years(market.bars.index)
    for rows, wanted in chunks(market, decide, follow, grid):
        follow.measure(market, wanted, grid, rows, cash, years, measures[rows])
        advance(len(wanted))
    return measures


def vbt(market: Market, decide: Decide, follow: Follow, grid: Grid, cash: float, advance: Progress) -> Measures:
    """Return the same measures from vectorbt's own accounts, which hold the shares that ours hold.

    Only an account that lost more than everything and then changes its side does not come out the same: its rules go on
    as formulas (see `llmguide.trading.account`).
    """
    measures = np.empty((len(grid), len(kernels.MEASURES)))
    for rows, wanted in chunks(market, decide, follow, grid, most=VBT_COLUMNS):
        paths = []
        for place, row in enumerate(wanted):
            setting = grid.setting(rows.start + place)
            paths.append(follow.path(market, follow.carried_out(market, row, setting, cash), setting, cash))
        measures[rows] = _measure_portfolio(market, paths, grid.column("cost", rows).astype(np.float64), cash)
        gc.collect()  # a portfolio holds itself in a circle
        advance(len(wanted))
    return measures


ENGINES: dict[str, Callable[[Market, Decide, Follow, Grid, float, Progress], Measures]] = {"stream": stream, "vbt": vbt}


def carried_out(
    market: Market, decide: Decide, follow: Follow, setting: dict[str, Any], row: int, cash: float
) -> NDArray[Any]:
    """Return what one combination carries out at each bar from `start` on, after delay and limits."""
    wanted: NDArray[Any] = np.empty((1, market.tradable), dtype=follow.dtype)
    decide(slice(row, row + 1), wanted)
    return follow.carried_out(market, wanted[0], setting, cash)


def account_of(market: Market, path: Trajectory) -> pd.DataFrame:
    """Return an account as a frame: side, shares, cash, holdings, value, returns at every bar."""
    side, shares, money = path
    holdings = side * shares * market.prices
    worth = money + holdings
    returns = np.zeros(len(worth))
    np.divide(worth[1:] - worth[:-1], worth[:-1], out=returns[1:], where=worth[:-1] != 0)
    columns = {"side": side.astype(np.int8), "shares": shares.astype(np.int64), "cash": money}
    return pd.DataFrame(columns | {"holdings": holdings, "value": worth, "returns": returns}, index=market.bars.index)


def portfolio_of(
    market: Market, paths: Sequence[Trajectory], cash: float, costs: NDArray[np.float64], columns: pd.Index[Any]
) -> tuple[Any, NDArray[np.float64]]:
    """Return a vectorbt Portfolio that holds what accounts hold, one a column, and the cash that each was lent.

    vectorbt never lets the cash fall below zero, as a short that lost more than everything does: such a column begins
    with that much more of it.
    """
    import vectorbt  # type: ignore[import-untyped]  # has no types

    targets = np.zeros((len(market.prices), len(paths)))
    loans = np.zeros(len(paths))
    for column, (side, shares, money) in enumerate(paths):
        targets[:, column] = side * shares
        if money.min() < 0:
            loans[column] = math.ceil(-2 * money.min() * (1.0 + costs[column]))
    dates = market.bars.index
    portfolio = vectorbt.Portfolio.from_orders(
        pd.Series(market.prices, index=dates),
        pd.DataFrame(targets, index=dates, columns=columns),
        size_type="targetamount",
        fees=costs[None, :],
        init_cash=cash + loans,
        freq="1D",
    )
    return portfolio, loans


def vbt_returns(returns: Any) -> Any:
    """Return vectorbt's accessor of returns with 252 bars a year; its default has 365."""
    return returns.vbt.returns(freq="1D", year_freq=f"{DEFAULT} days")


def _measure_portfolio(
    market: Market, paths: Sequence[Trajectory], costs: NDArray[np.float64], cash: float
) -> NDArray[np.float64]:
    columns = pd.RangeIndex(len(paths))
    portfolio, loans = portfolio_of(market, paths, cash, costs, columns)
    value = portfolio.value() - loans
    before = value.shift(1)
    returns = ((value - before) / before.where(before != 0)).fillna(0.0)
    accessor = vbt_returns(returns)
    orders = portfolio.orders.records
    traded = (orders["size"] * orders["price"]).groupby(orders["col"]).sum().reindex(columns, fill_value=0.0)
    mean = value.mean()
    dated = _years(market.bars.index) > 0
    table = pd.DataFrame(
        {
            "sharpe": accessor.sharpe_ratio(),
            "sortino": [
                sortino_ratio(returns[column].where(returns[column].abs() > _ROUNDING, 0.0), periods=DEFAULT)
                for column in columns
            ],
            "max_drawdown": -accessor.max_drawdown() if not loans.any() else _drawdown(value),
            "total_return": value.iloc[-1] / cash - 1.0,
            "annual_return": [
                annual_return(returns[column], returns.index) if dated else math.nan for column in columns
            ],
            "trades": portfolio.positions.count(),
            "exposure": (portfolio.assets() != 0).mean(),
            "turnover": (traded / mean.where(mean > 0)) * DEFAULT / len(value),
        }
    )
    # A column without a trade has an infinite Sharpe ratio there.
    return table[list(kernels.MEASURES)].replace([np.inf, -np.inf], np.nan).to_numpy(dtype=np.float64)


def _drawdown(value: pd.DataFrame) -> pd.Series[Any]:
    peak = value.cummax()
    return ((peak - value) / peak).max()


def chunks(
    market: Market, decide: Decide, follow: Follow, grid: Grid, *, most: int | None = None
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Write what some combinations at a time want, always into the same memory of some `CHUNK` bytes."""
    size = market.tradable * np.dtype(follow.dtype).itemsize
    at_once = max(1, CHUNK // size) if most is None else most
    buffer: NDArray[Any] = np.empty((min(at_once, len(grid)), market.tradable), dtype=follow.dtype)
    for first in range(0, len(grid), at_once):
        last = min(first + at_once, len(grid))
        wanted = buffer[: last - first]
        decide(slice(first, last), wanted)
        yield slice(first, last), wanted


def _years(index: pd.Index[Any]) -> float:
    """Return calendar days from the first bar to the last over 365; 0 without dates."""
    return (index[-1] - index[0]).days / 365 if isinstance(index, pd.DatetimeIndex) else 0.0


@contextmanager
def threads_used(count: int | None) -> Iterator[None]:
    """Let the kernels use so many threads; None leaves numba's setting as it is."""
    import numba

    before = numba.get_num_threads()
    if count is not None:
        try:
            numba.set_num_threads(count)
        except ValueError as error:
            raise LlmguideError(f"threads={count!r} cannot be had: {error}") from None
    try:
        yield
    finally:
        numba.set_num_threads(before)
