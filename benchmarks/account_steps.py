"""Account steps per second: the compiled rollout, the same rules in plain Python, and vectorbt.

    python benchmarks/account_steps.py [--quick] [--repeats N] [--threads N]

A step is one decision of one run: side, shares, cash and value at one bar. The decisions are random with a tenth of
flips, over two years of the synthetic market. All three give the same values, which is checked.

vectorbt is called as its users do: `Portfolio.from_orders` with target amounts, then `.value()`. The amounts come from
the rollout and their making is not measured, so vectorbt only keeps the books; it has no rules to follow. On the other
hand it keeps more of them (every order). It uses one thread, as plain Python does. Compilation is not measured: each
contender runs once before.
"""

from __future__ import annotations

import math
from functools import partial

import numba
import numpy as np
import pandas as pd
import vectorbt as vbt
from _bench import Figure, Options, rates, run
from numpy.typing import NDArray

from llmguide import sample_bars, simulate
from llmguide.trading.account import rollout

CASH, COST, START = 100_000.0, 0.001, 30
Array = NDArray[np.float64]


def plain_python(prices: list[float], decisions: list[int]) -> list[float]:
    """Return the value at every bar of one run: `llmguide.trading.account` once more, in ordinary Python."""
    side, shares, cash = 0, 0, CASH
    values = [CASH] * START
    for t in range(START, len(prices)):
        price, previous = prices[t], prices[t - 1]
        if decisions[t - START] == 1:
            if side <= 0:
                cash -= shares * price * (1 + COST)
                shares = math.floor(cash / (price * (1 + COST)))
                cash -= shares * price * (1 + COST)
            side = 1
        elif side >= 0:
            cash += shares * price * (1 - COST)
            shares = math.floor(cash / (price * (1 + COST)))
            cash += shares * price * (1 - COST)
            side = -1
        else:
            deficit = shares * previous * 1.1 * (1 + COST) - cash
            bound = deficit / (previous * (0.1 * (1 + COST) + (2 * COST if deficit < 0 else 0)))
            if bound > 0:
                bought = min(math.floor(bound), shares)
                shares -= bought
                cash -= bought * price * (1 + COST)
        values.append(cash + side * shares * price)
    return values


def keep_books(closes: pd.Series, amounts: Array) -> Array:
    """Return the values of many runs by vectorbt; `amounts` are the shares after each bar, shape ``(bars, runs)``."""
    portfolio = vbt.Portfolio.from_orders(
        closes, size=amounts, size_type="targetamount", fees=COST, init_cash=CASH, freq="1D"
    )
    values: Array = portfolio.value().to_numpy()
    return values


def measure(options: Options) -> list[Figure]:
    """Time them in turn."""
    few, many, calls = (4, 40, 1) if options.quick else (1_000, 4_000, 20)
    bars = sample_bars(years=2)
    prices = bars["close"].to_numpy()
    steps = len(prices) - START
    random = np.random.default_rng(0)
    decisions = ((random.random((many, steps)) < 0.1).cumsum(axis=1) % 2).astype(np.int8)

    accounts = [simulate(bars, row, cash=CASH, cost=COST, start=START) for row in decisions[:few]]
    amounts = np.stack([account["side"] * account["shares"] for account in accounts], axis=1).astype(np.float64)
    price_list, scripts = prices.tolist(), decisions[:few].tolist()

    def roll(threads: int) -> int:
        numba.set_num_threads(threads)
        for _ in range(calls):
            values = rollout(prices, decisions, CASH, COST, START)
        return calls * steps * len(values)

    ours = rollout(prices, decisions[:few], CASH, COST, START)
    np.testing.assert_allclose([plain_python(price_list, script) for script in scripts], ours, rtol=1e-9)
    np.testing.assert_allclose(keep_books(bars["close"], amounts).T, ours, rtol=1e-9)

    threads = {f"{count} thread{'s' * (count > 1)}": count for count in sorted({1, options.threads})}
    measured = rates(
        {
            **{name: partial(roll, count) for name, count in threads.items()},
            "python": lambda: len([plain_python(price_list, script) for script in scripts]) * steps,
            "vectorbt": lambda: keep_books(bars["close"], amounts).shape[1] * steps,
        },
        options.repeats,
    )
    return [
        Figure.of(f"account steps, {name}", measured[name], peer, measured[key])
        for name in threads
        for peer, key in (("plain Python", "python"), ("vectorbt from_orders", "vectorbt"))
    ]


if __name__ == "__main__":
    run(__doc__, measure)
