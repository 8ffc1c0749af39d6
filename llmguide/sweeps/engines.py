"""Two ways to measure every combination: one pass of our own kernel, and vectorbt, its slow twin."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import LlmguideError
from llmguide.metrics import annual_return, sortino_ratio
from llmguide.periods import DEFAULT
from llmguide.sweeps import kernels
from llmguide.sweeps.grid import Grid
from llmguide.sweeps.market import Market
from llmguide.sweeps.rules import Decide

__all__ = [
    "ENGINES",
    "Progress",
    "account_of",
    "decisions_of",
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
"""Bytes of decisions that exist at a time."""
VBT_COLUMNS = 500
"""Columns of a vectorbt portfolio at a time: it holds some 70 kB for each bar and thousand of them."""


def stream(market: Market, decide: Decide, grid: Grid, cash: float, advance: Progress) -> Measures:
    """Return the measures of every combination, shape ``(combinations, 8)``, by the kernel; nothing else is kept."""
    measures = np.empty((len(grid), len(kernels.MEASURES)))
    for rows, decisions in _chunks(market, decide, grid, max(1, CHUNK // market.tradable)):
        kernels.measure(
            market.prices,
            decisions,
            cash,
            grid.column("cost", rows).astype(np.float64),
            market.start,
            grid.column("delay", rows).astype(np.int64),
            grid.column("stop_loss", rows).astype(np.float64),
            _years(market.bars.index),
            measures[rows],
        )
        advance(len(decisions))
    return measures


def vbt(market: Market, decide: Decide, grid: Grid, cash: float, advance: Progress) -> Measures:
    """Return the same measures from vectorbt's own accounts.

    Only an account that lost more than everything and then changes its side does not come out the same: its rules go on
    as formulas (see `llmguide.trading.account`).
    """
    measures = np.empty((len(grid), len(kernels.MEASURES)))
    for rows, decisions in _chunks(market, decide, grid, VBT_COLUMNS):
        done = np.stack(
            [_effective(market, row, grid.setting(rows.start + k), cash) for k, row in enumerate(decisions)]
        )
        measures[rows] = _measure_portfolio(market, done, grid.column("cost", rows).astype(np.float64), cash)
        gc.collect()  # a portfolio holds itself in a circle
        advance(len(decisions))
    return measures


ENGINES: dict[str, Callable[[Market, Decide, Grid, float, Progress], Measures]] = {"stream": stream, "vbt": vbt}


def decisions_of(market: Market, decide: Decide, setting: dict[str, Any], row: int, cash: float) -> NDArray[np.int8]:
    """Return what one combination carries out at each bar from `start` on, after delay and stop-loss."""
    wanted = np.empty((1, market.tradable), dtype=np.int8)
    decide(slice(row, row + 1), wanted)
    return _effective(market, wanted[0], setting, cash)


def account_of(market: Market, done: NDArray[np.int8], cash: float, cost: float) -> pd.DataFrame:
    """Return the account that carries decisions out: side, shares, cash, holdings, value, returns at every bar."""
    side, shares, money = kernels.path(market.prices, done, cash, cost, market.start)
    holdings = side * shares * market.prices
    worth = money + holdings
    returns = np.zeros(len(worth))
    np.divide(worth[1:] - worth[:-1], worth[:-1], out=returns[1:], where=worth[:-1] != 0)
    columns = {"side": side.astype(np.int8), "shares": shares.astype(np.int64), "cash": money}
    return pd.DataFrame(columns | {"holdings": holdings, "value": worth, "returns": returns}, index=market.bars.index)


def portfolio_of(
    market: Market, done: NDArray[np.int8], cash: float, costs: NDArray[np.float64], columns: pd.Index[Any]
) -> tuple[Any, NDArray[np.float64]]:
    """Return a vectorbt Portfolio that holds what the account holds, and the cash that each column was lent.

    `done` has shape ``(columns, bars - start)``. vectorbt never lets the cash fall below zero, as a short that lost
    more than everything does: such a column begins with that much more of it.
    """
    import vectorbt  # type: ignore[import-untyped]  # has no types

    targets = np.zeros((len(market.prices), len(done)))
    loans = np.zeros(len(done))
    for column, decisions in enumerate(done):
        side, shares, money = kernels.path(market.prices, decisions, cash, costs[column], market.start)
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
    market: Market, done: NDArray[np.int8], costs: NDArray[np.float64], cash: float
) -> NDArray[np.float64]:
    columns = pd.RangeIndex(len(done))
    portfolio, loans = portfolio_of(market, done, cash, costs, columns)
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


def _effective(market: Market, wanted: NDArray[np.int8], setting: dict[str, Any], cash: float) -> NDArray[np.int8]:
    return kernels.effective(
        market.prices,
        wanted,
        cash,
        float(setting["cost"]),
        market.start,
        int(setting["delay"]),
        float(setting["stop_loss"]),
    )


def _chunks(market: Market, decide: Decide, grid: Grid, rows: int) -> Iterator[tuple[slice, NDArray[np.int8]]]:
    """Write the decisions of so many combinations at a time, always into the same memory."""
    buffer = np.empty((min(rows, len(grid)), market.tradable), dtype=np.int8)
    for first in range(0, len(grid), rows):
        last = min(first + rows, len(grid))
        decisions = buffer[: last - first]
        decide(slice(first, last), decisions)
        yield slice(first, last), decisions


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
