"""Every rule against a slow twin or the part of llmguide that it stands for; none looks ahead."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numba import njit

from llmguide.backtest import run_backtest
from llmguide.errors import DataError, DataWarning, GuidanceError, LlmguideError
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
        silent = score == 0 and weight > 0
        state = 1 if score > band else 0 if score <= -band and not silent else state
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


@njit
def tomorrow(close, length, out):
    """Knows the next close."""
    for t in range(len(close) - 1):
        out[t] = 1 if close[t + 1] > close[t] else 0


@njit
def today(close, length, out):
    """Uses the close that it is filled at."""
    for t in range(1, len(close)):
        out[t] = 0 if close[t] > close[t - 1] else 1


@njit
def between(close, length, out):
    """Knows the next close with a length in the middle only."""
    for t in range(1, len(close) - 1):
        ahead = 1 if length == 2 else -1
        out[t] = 1 if close[t + ahead] > close[t - 1] else 0


@pytest.mark.parametrize("rule", [tomorrow, today])
def test_looking_ahead_is_found_whatever_the_bars(make_bars, rule):
    for seed in range(40):
        with pytest.raises(LlmguideError, match="looks ahead"):
            sweep(make_bars(80, seed), rule, length=[1, 2])


@pytest.mark.real_bars
@pytest.mark.parametrize("rule", [tomorrow, today])
def test_looking_ahead_is_found_on_every_instrument_of_the_benchmark(data_folder, real_bars, rule):
    symbols = {path.name.split("_")[0] for path in data_folder.glob("*_2018-1-1_2020-1-1.csv")}
    assert len(symbols) == 30
    for symbol in symbols:
        with pytest.raises(LlmguideError, match="looks ahead"):
            sweep(real_bars(symbol, "test"), rule, length=1)


def test_a_setting_that_looks_ahead_is_found_when_it_is_asked_for(make_bars):
    swept = sweep(make_bars(200), between, length=[1, 2, 3])
    assert swept.frame["sharpe"].idxmax()[0] == 2
    for ask in (swept.best, swept.account, swept.decisions, lambda: swept.account({"length": 2})):
        with pytest.raises(LlmguideError, match="the rule between looks ahead"):
            ask()
    assert len(swept.account({"length": 1})) == 200


def test_settings_of_the_same_hash_are_tried_each(make_bars):
    """In CPython -1 and -2 have the same hash."""

    @njit
    def shifted(close, shift, out):
        for t in range(5, len(close) - 1):
            ahead = 1 if shift == -2 else -1
            out[t] = 1 if close[t + ahead] > close[t - 2] else 0

    with pytest.raises(LlmguideError, match="the rule shifted looks ahead"):
        sweep(make_bars(200), shifted, shift=[-1, -2, -3]).best()


def test_a_rule_is_tried_once_on_the_same_closes(make_bars):
    calls = []

    def counted(close, length, out):
        calls.append(length)
        out[length:] = close[length - 1 : -1] > close[: len(close) - length]

    swept = sweep(make_bars(100), counted, length=[2, 3, 4])
    made = len(calls)
    assert made < 2 * 34 + 4
    swept.best()
    swept.best()
    assert len(calls) - made <= 33  # the one in the middle; the others were tried before


@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_a_blend_keeps_what_it_has_where_nobody_has_an_opinion(make_bars, random_agent, weight, monkeypatch):
    bars = make_bars(100)
    agent = random_agent(bars, guided=False)
    days = bars.index
    silent = {"direction": None, "confidence": None, "entropy": None}
    table = Guidance.from_rows([
        {"issued_at": days[33], **silent},
        {"issued_at": days[45], "direction": 1, "confidence": 3, "entropy": 0.0},
        {"issued_at": days[60], **silent},
        {"issued_at": days[75], "direction": 0, "confidence": 3, "entropy": 0.0},
        {"issued_at": days[90], **silent},
    ])  # fmt: skip
    if weight < 1:  # an agent to which both sides are alike
        monkeypatch.setattr(type(agent), "q_table", lambda *_: np.zeros((70, 3, 2)))
    decided = sweep(bars, "blend", agent=agent, guidance=table, weight=weight).decisions()
    assert decided.tolist() == [-1] * 15 + [1] * 30 + [0] * 25
    if weight == 1:
        assert decided.equals(sweep(bars, "guidance", guidance=table).decisions())


def test_a_blend_with_weight_needs_guidance(make_bars, random_agent):
    bars = make_bars(100)
    agent = random_agent(bars, guided=False)
    with pytest.raises(LlmguideError, match="a weight above 0 needs guidance"):
        sweep(bars, "blend", agent=agent, weight=[0.0, 0.5])
    sweep(bars, "blend", agent=agent, weight=0.0)


@pytest.mark.parametrize("rule", ["guidance", "blend"])
def test_guidance_of_another_time_is_refused(make_bars, make_guidance, random_agent, rule):
    bars = make_bars(700)
    early, late = make_guidance(bars.iloc[:100]), make_guidance(bars.iloc[650:])
    agent = random_agent(bars, guided=False) if rule == "blend" else None
    with pytest.raises(GuidanceError, match=r"guidance ends on 2018-05-\d\d, \d+ days before the first tradable bar"):
        sweep(bars.iloc[300:400], rule, guidance=early, agent=agent)
    with pytest.raises(GuidanceError, match=r"no bar sees any guidance: it begins .*, and the last bar is of"):
        sweep(bars.iloc[300:400], rule, guidance=late, agent=agent)
    with pytest.raises(GuidanceError, match="guidance has no rows"):
        sweep(bars, rule, guidance=Guidance(()), agent=agent)
    both = Guidance.concat([early, late])  # rows that no bar sees make no difference
    with pytest.raises(GuidanceError, match=r"guidance ends on 2018-05-\d\d"):
        sweep(bars.iloc[300:400], rule, guidance=both, agent=agent)
    with pytest.raises(GuidanceError, match="guidance old ends on"):
        sweep(bars.iloc[300:400], rule, guidance={"old": early}, agent=agent)
    with pytest.warns(DataWarning, match=r"the bars go on for \d+ days, to .*, and all of these see the last row"):
        sweep(bars.iloc[:400], rule, guidance=early, agent=agent)


def test_a_table_with_few_rows_a_year_may_be_as_old_as_it_is_slow(make_bars):
    bars = make_bars(800)
    sure = {"direction": 1, "confidence": 3, "entropy": 0.0}
    table = Guidance.from_rows([{"issued_at": bars.index[place], **sure} for place in (40, 300)])
    assert len(sweep(bars.iloc[290:650], "guidance", guidance=table)) == 1
    alone = Guidance(table.rows[1:])
    with pytest.warns(DataWarning, match="the bars go on for"):
        sweep(bars.iloc[290:650], "guidance", guidance=alone)
    with pytest.warns(DataWarning, match="all bars from .* see the same row, the last one"):
        sweep(bars.iloc[310:400], "guidance", guidance=alone)


def test_dated_decisions_are_those_of_the_same_dates(make_bars):
    bars = make_bars(60)
    given = pd.Series(np.random.default_rng(0).integers(-1, 2, 60), index=bars.index)
    whole = sweep(bars, given).frame
    for same in (given.iloc[30:], given.to_frame(), given.reset_index(drop=True), given.to_numpy()):
        np.testing.assert_array_equal(sweep(bars, same).frame, whole)
    for other in (given.sample(frac=1, random_state=0), given.iloc[:30], given.shift(freq="D")):
        with pytest.raises(LlmguideError, match=r"the decisions are of other dates than the bars: row [01] is"):
            sweep(bars, other)
    for other, kind in (
        (given.tz_localize("UTC"), "dates with a time zone"),
        (given.set_axis(list("ab" * 30)), "index of"),
    ):
        with pytest.raises(LlmguideError, match=f"the decisions have .*{kind}.*, the bars dates without a time zone"):
            sweep(bars, other)
    with pytest.raises(LlmguideError, match="row 7 is"):
        sweep(bars, given.rename({bars.index[7]: pd.Timestamp("2000-01-01")}))


def test_bars_out_of_order_are_refused(make_bars):
    bars = make_bars(60)
    for wrong, row in ((bars.iloc[::-1], 1), (bars.iloc[[*range(50), 49, *range(50, 60)]], 50)):
        with pytest.raises(DataError, match=f"but row {row} .* follows"):
            sweep(wrong, "trend")
    assert len(sweep(bars.reset_index(drop=True), "trend", short=1, long=2)) == 1


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
        ("trend", {"cost": "0.1 %"}, "cost must be a fraction"),
        ("trend", {"cost": 1.0}, "cost must be a fraction"),
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
