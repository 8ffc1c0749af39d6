"""Every rule against a slow twin or the part of llmguide that it stands for; none looks ahead."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numba import njit

from llmguide.backtest import run_backtest
from llmguide.errors import LlmguideError
from llmguide.guidance import Guidance
from llmguide.strategies import LLMOnly
from llmguide.sweeps import sweep
from llmguide.trading import moving_averages


@njit
def breakout(close, length, band, out):
    """Long above the highest of the last closes, short below the lowest, else what it was."""
    for t in range(length + 1, len(close)):
        window = close[t - 1 - length : t - 1]
        if close[t - 1] > window.max() * (1.0 + band):
            out[t] = 1
        elif close[t - 1] < window.min() * (1.0 - band):
            out[t] = 0
        else:
            out[t] = out[t - 1]


def slow_guidance(bars, table, start, threshold, hold, max_entropy, min_confidence):
    """Row by row and bar by bar, with `Guidance.at`."""
    state, since, said = -1, None, {}
    for number, row in enumerate(table.rows):
        entropy = row.entropy
        sure = max_entropy >= 1 if entropy is None else entropy <= max_entropy
        followed = row.direction is not None and row.strength >= threshold and sure
        if followed and row.confidence >= min_confidence:
            state, since = row.direction, number
        elif since is None or number - since >= hold:
            state = -1
        said[row.issued_at] = state
    seen = [table.at(day) for day in bars.index[start:]]
    return [-1 if row is None else said[row.issued_at] for row in seen]


def slow_blend(agent, bars, table, start, weight, scale, band):
    """One bar at a time."""
    tau = table.tau(bars.index)
    values = agent.q_table(bars, tau if agent.guided else None)[start - agent.config.lookback :]
    state, out = -1, []
    for t, by_side in enumerate(values):
        short, long = by_side[{-1: 1, 0: 0, 1: 2}[state]]
        score = weight * tau[start + t] + (1 - weight) * min(1.0, max(-1.0, (long - short) / scale))
        state = 1 if score > band else 0 if score <= -band else state
        out.append(state)
    return out


def rows(swept):
    return [dict(zip(swept.frame.index.names, label, strict=True)) for label in swept.frame.index]


@pytest.mark.parametrize("rule", ["trend", "reversion"])
def test_moving_averages_decide_as_the_benchmarks_do(make_bars, rule):
    bars = make_bars(120, seed=3)
    swept = sweep(bars, rule, short=[1, 3, 7], long=[2, 7, 20], start=25)
    assert {(row["short"], row["long"]) for row in rows(swept)} == {(1, 2), (1, 7), (1, 20), (3, 7), (3, 20), (7, 20)}
    for row in rows(swept):
        expected = moving_averages.decisions(bars, row["short"], row["long"], rule=rule, start=25)
        np.testing.assert_array_equal(swept.decisions(row), expected)


@pytest.mark.real_bars
@pytest.mark.parametrize("rule", ["trend", "reversion"])
def test_the_default_windows_are_the_search_of_the_benchmark(real_bars, rule):
    bars = real_bars("AAPL", "train")
    swept = sweep(bars, rule)
    grid = moving_averages.sharpe_grid(bars, rule)
    assert len(swept) == 406
    for short, long in [(1, 2), (2, 21), (8, 13), (28, 29)]:
        setting = {"short": short, "long": long}
        assert swept.frame["sharpe"].loc[short, long].item() == pytest.approx(grid.loc[short, long], abs=1e-12)
        assert swept.parameters(setting)["cost"] == 0.001
    windows = moving_averages.choose_windows(bars, rule)
    assert swept.best().name[:2] == (windows.short, windows.long)


def test_guidance_is_followed_as_a_slow_twin_does(make_bars, make_guidance):
    bars = make_bars(150)
    table = make_guidance(bars)
    swept = sweep(
        bars, "guidance", guidance=table, start=5,
        threshold=[0.0, 0.3], hold=[1, 2, math.inf], max_entropy=[0.4, 1.0], min_confidence=[1, 2],
    )  # fmt: skip
    names = ("threshold", "hold", "max_entropy", "min_confidence")
    different = set()
    for row in rows(swept):
        expected = slow_guidance(bars, table, 5, *(row[name] for name in names))
        assert swept.decisions(row).tolist() == expected
        different.add(tuple(expected))
    assert len(different) > 12


def test_guidance_without_limits_is_the_arm_that_follows_the_model(make_bars, make_guidance):
    bars = make_bars(150, seed=1)
    table = make_guidance(bars)
    swept = sweep(bars, "guidance", guidance=table, start=20)
    result = run_backtest(bars, LLMOnly, guidance=table, start=20)
    np.testing.assert_allclose(swept.account()["value"], result.values, rtol=1e-12)


def test_guidance_is_held_for_as_many_rows_as_it_says(make_bars):
    bars = make_bars(12)
    days = bars.index[[2, 4, 6, 8]]
    table = Guidance.from_rows(
        [{"issued_at": days[0], "direction": 1, "confidence": 3, "entropy": 0.0}]
        + [{"issued_at": day, "direction": None, "confidence": None} for day in days[1:]]
    )
    swept = sweep(bars, "guidance", guidance=table, hold=[1, 2, math.inf], start=1)
    held = {hold: "".join("-SL"[d + 1] for d in swept.decisions({"hold": hold})) for hold in (1, 2, math.inf)}
    assert held == {1: "-LL--------", 2: "-LLLL------", math.inf: "-LLLLLLLLLL"}


@pytest.mark.parametrize("guided", [True, False])
def test_a_blend_decides_as_a_slow_twin_does(make_bars, make_guidance, random_agent, guided):
    bars = make_bars(150)
    table, agent = make_guidance(bars), random_agent(bars, guided=guided)
    swept = sweep(
        bars, "blend", guidance=table, agent=agent, start=33, weight=[0.0, 0.4, 1.0], scale=[0.01, 1.0], band=[0.0, 0.2]
    )
    different = set()
    for row in rows(swept):
        expected = slow_blend(agent, bars, table, 33, row["weight"], row["scale"], row["band"])
        assert swept.decisions(row).tolist() == expected
        different.add(tuple(expected))
    assert len(different) > 4


def test_a_blend_without_guidance_is_the_agent(make_bars, random_agent):
    bars = make_bars(200)
    for seed in range(5):
        agent = random_agent(bars, guided=False, seed=seed)
        swept = sweep(bars, "blend", agent=agent, weight=0.0, scale=[0.001, 10.0])
        for scale in (0.001, 10.0):
            np.testing.assert_array_equal(swept.decisions({"scale": scale}), agent.decide(bars))


def test_a_function_of_the_user_is_called_with_each_combination(make_bars):
    bars = make_bars(120)
    for function in (breakout, breakout.py_func):
        swept = sweep(bars, function, length=[5, 10], band=[0.0, 0.01])
        assert swept.plan.rule.name == "breakout"
        assert swept.frame.index.names == ["length", "band", "cost", "delay", "stop_loss"]
        out = np.full(len(bars), -1, dtype=np.int8)
        breakout(bars["close"].to_numpy(), 10, 0.01, out)
        np.testing.assert_array_equal(swept.decisions({"length": 10, "band": 0.01}), out[30:])
    assert len(np.unique(out)) == 3


def test_a_function_may_have_an_explicit_signature_and_change_its_own_closes(make_bars):
    @njit("void(float64[::1], int64, int8[::1])")
    def relative(close, length, out):
        close /= close[0]
        for t in range(length + 1, len(close)):
            out[t] = 1 if close[t - 1] > close[t - 1 - length] else 0

    bars = make_bars(100)
    before = bars["close"].copy()
    swept = sweep(bars, relative, length=[3, 5])
    assert len(swept) == 2
    assert len(relative.signatures) == 1
    pd.testing.assert_series_equal(bars["close"], before)


def test_decisions_can_be_given_for_all_bars_or_from_the_first_tradable_one(make_bars):
    bars = make_bars(60)
    table = np.random.default_rng(0).integers(-1, 2, (60, 3))
    named = pd.DataFrame(table, index=bars.index, columns=["a", "b", "c"])
    whole, cut, frame = (sweep(bars, given, start=20) for given in (table, table[20:], named))
    np.testing.assert_array_equal(whole.frame, cut.frame)
    np.testing.assert_array_equal(whole.frame, frame.frame)
    np.testing.assert_array_equal(frame.decisions({"column": "b"}), table[20:, 1])
    assert sweep(bars, table[:, 0], start=20).frame.iloc[0].equals(whole.frame.iloc[0])


@pytest.mark.parametrize("rule", ["trend", "reversion", "guidance", "blend", breakout])
@pytest.mark.parametrize("t", [31, 60, 98])
def test_no_rule_looks_at_the_bar_that_it_decides_or_later_ones(make_bars, make_guidance, random_agent, rule, t):
    bars = make_bars(100, seed=5)
    later = bars.copy()
    later.iloc[t:] = make_bars(100, seed=6).iloc[t:].to_numpy() * 1.7
    table = make_guidance(bars)
    changed = Guidance.from_rows(
        {"issued_at": row.issued_at, "confidence": row.confidence, "entropy": row.entropy,
         "direction": None if row.direction is None else row.direction ^ (row.issued_at > bars.index[t])}
        for row in table.rows
    )  # fmt: skip
    parameters = {"trend": {"short": [1, 4], "long": [9, 20]}, "reversion": {"short": [1, 4], "long": [9, 20]},
                  "guidance": {"hold": [1, 3]}, "blend": {"weight": [0.2, 0.8], "band": [0.0, 0.1]},
                  breakout: {"length": [3, 8], "band": [0.0]}}[rule]  # fmt: skip
    agent = random_agent(bars, guided=True) if rule == "blend" else None
    now, then = (
        sweep(b, rule, guidance=g, agent=agent, delay=[0, 2], stop_loss=[0.04, math.inf], **parameters)
        for b, g in ((bars, table), (later, changed))
    )
    assert len(now) >= 8
    for row in rows(now):
        decided, again = (np.asarray(swept.decisions(row)) for swept in (now, then))
        np.testing.assert_array_equal(decided[: t - 30 + 1], again[: t - 30 + 1])


def test_a_function_that_looks_ahead_is_refused(make_bars):
    def peek(close, length, out):
        out[:-length] = close[length:] > close[:-length]

    with pytest.raises(LlmguideError, match=r"the rule peek looks ahead: its decision for bar \d+ changes"):
        sweep(make_bars(80), peek, length=[1, 2])


@pytest.mark.parametrize(
    ("rule", "settings", "message"),
    [
        ("trent", {}, "unknown rule 'trent'.*did you mean 'trend'"),
        ("trend", {"shrot": 3}, "no parameter 'shrot', only short, long, cost, delay, stop_loss; did you mean 'short'"),
        ("trend", {"short": 1.5}, "short is a whole number of bars"),
        ("trend", {"short": 5, "long": 4}, "no pair of windows has short < long"),
        ("trend", {"long": [40]}, "pass start=40"),
        ("guidance", {}, "needs a table; pass guidance="),
        ("guidance", {"threshold": 30}, "threshold lies between 0 and 1"),
        ("blend", {}, "needs a trained agent; pass agent="),
        ("blend", {"scale": 0.0}, "scale is a Q-gap above 0"),
        (breakout, {"band": 0.0}, "the rule breakout needs length="),
        (lambda close, out: out.fill(3), {}, "but 3 is among them"),
        (lambda close, cost, out: None, {}, "has a parameter 'cost', which is the account's"),
        (lambda out: None, {}, r"a function \(close, parameters ..., out\)"),
        (np.full((80, 2), 0.5), {}, "but 0.5 is among them"),
        (np.ones((10, 2)), {}, "expected decisions for 80 bars"),
        ("trend", {"cost": "0.1 %"}, "cost is a fraction"),
        ("trend", {"cost": 1.0}, "cost is a fraction"),
        ("trend", {"delay": -1}, "delay is a whole number of bars"),
        ("trend", {"delay": 60}, "leaves none of the 50"),
        ("trend", {"stop_loss": 0.0}, "stop_loss is a fraction of the price above 0"),
        ("trend", {"stop_loss": [0.1, None]}, "no limit"),
        ("trend", {"short": []}, "short has no values"),
        ("trend", {"short": [1, 1]}, "the value 1 more than once"),
        ("trend", {"where": lambda p: p["short"] > 99}, "keeps none of the 406"),
        ("trend", {"where": lambda p: 1}, "one True or False per combination"),
        ("trend", {"engine": "steam"}, "did you mean 'stream'"),
    ],
)
def test_bad_input_gets_one_clear_error(make_bars, rule, settings, message):
    with pytest.raises(LlmguideError, match=message):
        sweep(make_bars(80), rule, **settings)
