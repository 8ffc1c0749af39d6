"""The published numbers: complete, unchanged, and absent where there is none."""

from __future__ import annotations

import math

import pytest

from llmguide.experiments.published import BENCHMARK, GUIDED, published, published_arm


def test_every_instrument_of_appendix_e_is_there_with_its_numbers():
    assert len(BENCHMARK) == 29
    assert len({entry.name for entry in BENCHMARK.values()}) == 29
    # Sums over the paper's list: a number that was changed or mistyped shows here.
    sums = [sum(entry[at] for entry in BENCHMARK.values()) for at in (1, 2, 3, 4)]
    assert sums == pytest.approx([11.889, 14.45, 10.32, 9.27])
    assert published("GOOGL") == ("Google", 0.227, -0.54, 0.59, 0.43)
    assert published("0700.HK") == ("Tencent", -0.198, -0.19, 0.33, 0.10)


def test_the_guided_arms_have_the_papers_numbers():
    assert {symbol: tuple(arm.sr_mean for arm in arms.values()) for symbol, arms in GUIDED.items()} == {
        "AAPL": (1.70, 1.42, 2.09),
        "AMZN": (1.21, 0.42, 0.84),
        "FB": (0.46, 0.15, 0.77),
        "GOOGL": (1.16, 0.23, 1.12),
        "MSFT": (1.16, 0.99, 0.50),
        "TSLA": (0.92, 0.62, 0.87),
    }
    arms = [arm for symbol in GUIDED.values() for arm in symbol.values()]
    assert sum(arm.mdd for arm in arms) == pytest.approx(6.06)
    assert sum(arm.sr_std for arm in arms if not math.isnan(arm.sr_std)) == pytest.approx(4.56)


def test_the_papers_rl_column_repeats_the_benchmarks_sharpe_ratios():
    for symbol, arms in GUIDED.items():
        assert arms["rl"].sr_mean == pytest.approx(BENCHMARK[symbol].sr_benchmark, abs=0.00501)


def test_what_was_not_published_is_none_and_never_zero():
    assert published("TWTR") is None
    assert published_arm("KO", "hybrid") is None
    assert published_arm("AAPL", "hold") is None
    assert math.isnan(GUIDED["AAPL"]["llm"].sr_std)


def test_meta_is_fb():
    assert published("META") == published("FB") == BENCHMARK["FB"]
    assert published_arm("META", "hybrid") == GUIDED["FB"]["hybrid"]
