"""The exchange test: exact by hand, uniform where there is nothing, small where there is much."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from llmguide import sample_bars, sharpe_ratio
from llmguide.experiments.tuning.account import follow
from llmguide.experiments.tuning.exchange import Pair, exchange_test
from llmguide.guidance import Guidance
from llmguide.stats import bootstrap_difference

BARS = sample_bars(years=1, seed=4)
ISSUES = np.arange(40, 120, 20)


def table(directions, bars=BARS, issues=ISSUES):
    rows = {"issued_at": bars.index[issues], "direction": directions}
    return Guidance.from_rows(pd.DataFrame({**rows, "confidence": [None if d is None else 2 for d in directions]}))


def difference(one, other, bars, first):
    found = [sharpe_ratio(follow(table(d, bars), bars, first=first, cash=1e5, cost=0.001)) for d in (one, other)]
    return found[0] - found[1]


def test_p_is_the_share_of_all_exchanges_that_differ_as_much():
    bars, one, other = BARS.iloc[:130], (1, 0, 1, 0), (0, 0, 1, 1)
    happened = abs(difference(one, other, bars, 40))
    drawn = []
    for swap in product((False, True), repeat=4):
        a = [y if s else x for x, y, s in zip(one, other, swap, strict=True)]
        b = [x if s else y for x, y, s in zip(one, other, swap, strict=True)]
        drawn.append(abs(difference(a, b, bars, 40)) >= happened - 1e-12)
    p = exchange_test([Pair(table(one), table(other), bars, 40)], cash=1e5, cost=0.001, seed=0, exchanges=1500)
    assert p == pytest.approx(np.mean(drawn), abs=0.05)


def test_equal_answers_have_p_one():
    pair = Pair(table((1, 0, None, 1)), table((1, 0, None, 1)), BARS.iloc[:130], 40)
    assert exchange_test([pair], cash=1e5, cost=0.001, seed=0, exchanges=20) == 1.0


def test_the_same_seed_gives_the_same_p_and_bars_before_the_first_have_no_part():
    one, other = table((1, 0, 1, 0)), table((0, 1, 1, 1))
    shifted = BARS.iloc[:130].copy()
    shifted.iloc[:39, shifted.columns.get_loc("close")] *= 0.5  # the bar before the first one traded is bar 39
    p = [
        exchange_test([Pair(one, other, bars, 40)], cash=1e5, cost=0.001, seed=3, exchanges=99)
        for bars in (BARS.iloc[:130], BARS.iloc[:130], shifted)
    ]
    assert p[0] == p[1] == p[2]


@pytest.mark.slow
@pytest.mark.real_bars
def test_between_coins_the_bootstrap_alone_sees_a_difference_too_often_and_both_together_do_not(
    real_bars,
):
    bars, pairs = real_bars("AAPL", "test"), 150
    issues = np.arange(0, len(bars), 20)
    random = np.random.default_rng(0)
    outside = better = 0
    for seed in range(pairs):
        one, other = (table(random.integers(0, 2, len(issues)).tolist(), bars, issues) for _ in range(2))
        returns = [follow(said, bars, first=1, cash=1e5, cost=0.001) for said in (one, other)]
        found = bootstrap_difference(*returns, resamples=400, seed=seed).sharpe
        p = exchange_test([Pair(one, other, bars, 1)], cash=1e5, cost=0.001, seed=seed, exchanges=99)
        left_out = not found.low <= 0 <= found.high
        outside += left_out
        better += left_out and p <= 0.05
    print(f"of {pairs} pairs the interval leaves out 0 in {outside}, p is at most 0.05 as well in {better}")
    assert outside / pairs > 0.05
    assert better / pairs <= 0.08  # 0.05 at most expected, standard error 0.018
