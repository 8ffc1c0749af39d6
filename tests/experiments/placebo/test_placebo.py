"""Controls beside the guidance: held to Backtrader, worked by hand, seeded, and without look-ahead."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from llmguide import compare, guide, sample_bars
from llmguide.backtest import run_backtest
from llmguide.errors import DataError, GuidanceError, LlmguideError
from llmguide.experiments.arms import ARMS
from llmguide.experiments.compare.script import script_of
from llmguide.experiments.compare.write import write_comparison
from llmguide.experiments.placebo import ControlPlan
from llmguide.experiments.placebo.follow import follow_tables
from llmguide.experiments.placebo.run import CONTROLS, permutation_test
from llmguide.experiments.placebo.tables import control_tables, schedule_of
from llmguide.guidance import Guidance
from llmguide.report.placebo import placebo_sentence
from llmguide.rl.config import DQNConfig

BARS = sample_bars(years=2, seed=6)
CUT = 300
TRAIN, TEST = BARS.iloc[:CUT], BARS.iloc[CUT:]
CONFIG = DQNConfig(hidden=16, batch=8, cost=0.002)
SETTINGS = {"seeds": 2, "episodes": 1, "config": CONFIG, "progress": False, "curves": False, "holdout": 60}
PLAN = ControlPlan(shuffles=19, accuracies=(0.7, 1.0), draws=2)
GUIDED = ("hybrid", "llm", "mixture")


def with_an_abstention(table):
    """The table with its first row in the test, and one later, saying nothing."""
    first = next(place for place, row in enumerate(table.rows) if row.issued_at > BARS.index[CUT + 30])
    silent = {"direction": None, "confidence": None, "entropy": None, "strength": 0.0, "tau": 0.0}
    rows = [row._replace(**silent) if place in (first - 1, first + 2) else row for place, row in enumerate(table.rows)]
    return Guidance(tuple(rows))


@pytest.fixture(scope="module")
def guidance():
    return with_an_abstention(guide(BARS, "rules"))


@pytest.fixture(scope="module")
def comparison(guidance):
    return compare(TRAIN, TEST, guidance, **SETTINGS, arms=("rl", *GUIDED, "hold"), controls=PLAN)


@pytest.fixture(scope="module")
def tables(guidance):
    return control_tables(guidance, BARS, start=CUT + 30, plan=PLAN)


def zigzag(blocks, per_block=10):
    """Bars that rise and fall in turns, no two blocks by the same, and the table that says each before it begins."""
    g = np.random.default_rng(3)
    up = g.permutation(np.arange(blocks) % 2 == 0)
    change = np.repeat(np.where(up, 0.01, -0.01), per_block) * (1 + 0.3 * g.random(blocks * per_block))
    # The side taken at the close of bar t earns the change to bar t + 1.
    close = 100 * np.cumprod(1 + np.concatenate([np.zeros(40), [0.0], change]))
    index = pd.bdate_range("2015-01-01", periods=len(close), name="date")
    bars = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": 1e6}, index=index)
    issued = [index[40 + block * per_block] for block in range(blocks)]
    rows = [{"issued_at": day, "direction": int(side), "confidence": 3} for day, side in zip(issued, up, strict=True)]
    return bars, Guidance.from_rows(rows)


def follow_zigzag(table, bars, **plan):
    plain = DQNConfig(cost=0.0)
    return compare(
        bars.iloc[:10], bars.iloc[10:], table, arms=("llm", "hold"), config=plain, progress=False,
        controls=ControlPlan(**{"shuffles": 99, "accuracies": (1.0,), **plan}),
    )  # fmt: skip


@pytest.mark.slow
def test_each_control_earns_what_the_arm_in_backtrader_does_with_its_table(comparison, tables):
    frame = comparison.controls
    chosen = [one for one in tables if one.draw in (-1, 1)]
    assert {one.name for one in chosen} == {"guidance", "shuffled", "inverted", "constant", "rules", "oracle"}
    for name in GUIDED:
        arm = ARMS[name]
        for one in chosen:
            for agent in comparison.agents[name] if arm.trained else (None,):
                mixed = arm.mix(agent, one.table, TRAIN, TEST, CONFIG)
                params = arm.params(agent, one.table, TRAIN, CONFIG, mixed)
                slow = run_backtest(TEST, arm.strategy, cost=CONFIG.cost, start=CONFIG.lookback, **params)
                (row,) = frame[
                    (frame["arm"] == name)
                    & (frame["control"] == one.name)
                    & (frame["draw"] == one.draw)
                    & (frame["seed"] == (-1 if agent is None else agent.seed))
                    & ((frame["accuracy"] == one.accuracy) | np.isnan(one.accuracy))
                ].itertuples()
                assert row.sr == pytest.approx(slow.sharpe, rel=1e-9, abs=1e-9)
                assert row.mdd == pytest.approx(slow.max_drawdown, rel=1e-9)


def test_arms_that_take_no_guidance_are_shown_once(comparison):
    frame = comparison.controls
    assert tuple(frame.columns) == CONTROLS
    same = frame[frame["control"] == "none"]
    assert list(zip(same["arm"], same["seed"], strict=True)) == [("rl", 0), ("rl", 1), ("hold", -1)]
    assert not frame[frame["arm"].isin(["rl", "hold"]) & (frame["control"] != "none")].size
    # 1 + 19 shuffles + inverted, constant, rules + 2 draws at 0.7 + the oracle that is always right
    assert frame.groupby(["arm", "seed"]).size().loc["hybrid"].tolist() == [26, 26]


def test_only_the_oracle_and_what_is_shuffled_use_the_future(comparison):
    frame = comparison.controls
    assert set(frame.loc[frame["uses_future"].astype(bool), "control"]) == {"oracle", "shuffled"}
    assert frame.loc[frame["control"].isin(["oracle", "shuffled"]), "uses_future"].all()


def test_p_counts_the_order_that_happened_and_every_tie():
    test = permutation_test(1.0, np.array([0.5, 1.0, 1.0 - 1e-14, 2.0]))
    assert (test.as_good, test.p) == (3, 4 / 5)
    assert test.shuffled_mean == pytest.approx(4.5 / 4)
    assert permutation_test(3.0, np.array([0.5, 1.0, 2.0, 2.0])).p == 1 / 5


def test_a_table_that_is_always_right_has_the_smallest_p():
    bars, table = zigzag(40)
    found = follow_zigzag(table, bars)
    (row,) = found.placebo.itertuples()
    assert (row.arm, row.as_good, row.p, row.changes) == ("llm", 0, 1 / 100, True)
    assert row.sr == pytest.approx(found.runs.loc[found.runs["arm"] == "llm", "sr"].iloc[0], rel=1e-9)
    assert "is worth more than its shuffled self" in placebo_sentence(found.placebo)
    inverted = found.controls[found.controls["control"] == "inverted"]["sr"].iloc[0]
    assert inverted < found.placebo["shuffled_low"].iloc[0]


def test_a_table_that_is_always_wrong_has_a_p_of_one():
    bars, table = zigzag(40)
    wrong = Guidance(tuple(row._replace(direction=1 - row.direction, tau=-row.tau) for row in table.rows))
    found = follow_zigzag(wrong, bars)
    assert found.placebo["p"].iloc[0] == 1.0
    assert "is not shown to be worth more" in placebo_sentence(found.placebo)


@pytest.mark.parametrize("months", [1, 40])
def test_a_table_that_shuffling_cannot_change_is_said_to_be_untestable(months):
    bars, table = zigzag(40)
    rows = [row._replace(direction=1, tau=abs(row.tau)) for row in table.rows[:months]]
    found = follow_zigzag(Guidance(tuple(rows)), bars)
    (row,) = found.placebo.itertuples()
    assert (row.p, row.changes) == (1.0, False)
    assert "cannot be tested" in placebo_sentence(found.placebo)


@pytest.mark.slow
def test_p_of_guidance_by_chance_is_as_often_small_as_it_should_be():
    """Of tables that know nothing 5 % may have p <= 0.05: of 60, more than 8 have so with a probability of 0.1 %."""
    g = np.random.default_rng(0)
    bars, table = zigzag(24)
    tables = [
        Guidance(tuple(row._replace(direction=int(side), tau=(2 * side - 1) * row.strength)
                       for row, side in zip(table.rows, g.random(len(table)) < 0.5, strict=True)))
        for _ in range(60)
    ]  # fmt: skip
    plan = ControlPlan(shuffles=39, accuracies=())
    values = []
    for one in tables:
        shuffles = control_tables(one, bars, start=40, plan=plan)[:40]
        told = follow_tables(
            ARMS["llm"], [], [each.table for each in shuffles], train=bars.iloc[:10], test=bars.iloc[10:],
            config=DQNConfig(cost=0.0),
        )  # fmt: skip
        final = told.values[0, :, -1]
        values.append(permutation_test(final[0], final[1:]).p)
    assert sum(p <= 0.05 for p in values) <= 8
    assert 0.3 < np.mean(values) < 0.7


def test_shuffles_are_seeded_and_more_of_them_begin_with_the_same(guidance, tables):
    again = control_tables(guidance, BARS, start=CUT + 30, plan=PLAN)
    assert [one.table.hash for one in again] == [one.table.hash for one in tables]
    more = control_tables(guidance, BARS, start=CUT + 30, plan=dataclasses.replace(PLAN, shuffles=25))
    shuffles = [[one.table.hash for one in some if one.name == "shuffled"] for some in (tables, more)]
    assert shuffles[1][:19] == shuffles[0]
    assert len(set(shuffles[1])) == 25


def test_a_shuffle_says_as_often_long_on_the_test_bars_as_the_guidance(guidance, tables):
    since = guidance.at(BARS.index[CUT + 30]).issued_at
    for early in (True, False):
        kept = [
            Counter((row.direction, row.tau) for row in one.table.rows if (row.issued_at < since) == early)
            for one in tables
            if one.name in ("guidance", "shuffled")
        ]
        assert all(one == kept[0] for one in kept)


def test_rows_that_no_bar_sees_are_not_shuffled_in(guidance):
    later = guidance.rows[-1]._replace(issued_at=BARS.index[-1] + pd.Timedelta(days=30), confidence=1, seen_until=None)
    later = later._replace(strength=1 / 3, tau=(2 * later.direction - 1) / 3, seen_return=None)
    longer = Guidance((*guidance.rows, later))
    ours, theirs = (control_tables(one, BARS, start=CUT + 30, plan=PLAN) for one in (guidance, longer))
    assert [one.table for one in ours] == [one.table for one in theirs]


def test_rules_and_oracle_are_on_the_schedule_of_the_guidance():
    weekly = guide(BARS, "rules", every=5, first=12)
    assert schedule_of(weekly, BARS) == (5, 12)
    for one in control_tables(weekly, BARS, start=CUT + 30, plan=PLAN):
        assert [row.issued_at for row in one.table.rows] == [row.issued_at for row in weekly.rows]


@pytest.mark.parametrize("t", [CUT + 40, CUT + 111, len(BARS) - 2])
def test_later_bars_change_no_control_but_the_oracle(guidance, comparison, t):
    changed = BARS.copy()
    changed.iloc[t + 1 :] *= np.random.default_rng(1).uniform(0.5, 2.0, (len(BARS) - t - 1, 1))
    changed[["open", "high", "low", "close"]] = changed[["close"] * 4].to_numpy()
    changed.iloc[: t + 1] = BARS.iloc[: t + 1]
    table = guidance.of_any_bars()
    for name in GUIDED:
        own = [] if name == "llm" else list(comparison.agents[name])
        told = {}
        for what, bars in (("before", BARS), ("after", changed)):
            controls = control_tables(table, bars, start=CUT + 30, plan=PLAN)
            causal = [one.table for one in controls if one.name != "oracle"]
            told[what] = follow_tables(
                ARMS[name], own, causal, train=bars.iloc[:CUT], test=bars.iloc[CUT:], config=CONFIG
            )
        np.testing.assert_array_equal(
            told["before"].values[..., : t + 1 - CUT], told["after"].values[..., : t + 1 - CUT]
        )
    early, late = (
        [one.table for one in control_tables(table, bars, start=CUT + 30, plan=PLAN) if one.name == "oracle"]
        for bars in (BARS, changed)
    )
    assert early != late


@pytest.mark.slow
def test_the_folder_says_which_controls_and_keeps_no_older_ones(guidance, tmp_path, undrawn):
    def run(**more):
        made = compare(TRAIN, TEST, guidance, **{**SETTINGS, "holdout": None}, arms=("hybrid", "llm"), out=out, **more)
        return made, json.loads((out / "config.json").read_text()).get("controls")

    out, lines = tmp_path / "run", []
    plain, told = run()
    assert told is None
    before = {path.name: path.read_bytes() for path in out.glob("*.safetensors")}
    assert sorted(before) == ["hybrid-0.safetensors", "hybrid-1.safetensors"]

    found, told = run(controls=PLAN, announce=lines.append)
    assert told == {"shuffles": 19, "accuracies": [0.7, 1.0], "draws": 2}
    assert "2 of 2 agents are already trained" in lines
    assert before == {path.name: path.read_bytes() for path in out.glob("*.safetensors")}
    with undrawn():
        write_comparison(found, out, seeds=0)
    pd.testing.assert_frame_equal(pd.read_csv(out / "placebo.csv"), found.placebo, check_dtype=False)
    assert len(pd.read_csv(out / "controls.csv")) == len(found.controls) == 3 * 26
    page = (out / "report.html").read_text(encoding="utf-8")
    assert placebo_sentence(found.placebo) in page
    assert "controls = ControlPlan(shuffles=19, accuracies=(0.7, 1.0), draws=2)" in page

    assert run(controls=dataclasses.replace(PLAN, shuffles=20))[1]["shuffles"] == 20
    with undrawn():
        write_comparison(plain, out, seeds=0)
    assert "controls" not in json.loads((out / "config.json").read_text())
    assert not (out / "controls.csv").exists()
    assert not (out / "placebo.csv").exists()


def test_the_lines_that_make_it_again_have_the_same_controls(comparison, guidance):
    made = {}
    lines = script_of(comparison).splitlines()
    exec("\n".join(line for line in lines if "ControlPlan" in line), made)
    assert made["controls"] == PLAN
    assert "    controls=controls," in lines
    plain = compare(TRAIN, TEST, guidance, arms=("llm",), progress=False)
    assert "controls" not in script_of(plain)
    assert plain.controls.empty
    assert plain.placebo.empty


def test_controls_without_guidance_are_refused():
    with pytest.raises(GuidanceError, match="controls need guidance to compare with, and there is none"):
        compare(TRAIN, TEST, None, arms=("rl",), progress=False, controls=True)


def test_controls_without_an_arm_that_takes_guidance_are_refused(guidance):
    with pytest.raises(LlmguideError, match=r"hybrid, llm and mixture, and none of them is among \['rl', 'hold'\]"):
        compare(TRAIN, TEST, guidance, arms=("rl", "hold"), progress=False, controls=True)
    with pytest.raises(LlmguideError, match="True, False or a ControlPlan, got int"):
        compare(TRAIN, TEST, guidance, arms=("llm",), progress=False, controls=99)


def test_bars_that_no_rules_are_made_of_are_refused_before_anything_is_trained(tmp_path):
    weeks = BARS.set_axis(pd.date_range("2010-01-01", periods=len(BARS), freq="W-FRI", name="date"))
    table = Guidance.from_rows([{"issued_at": day, "direction": 1, "confidence": 3} for day in weeks.index[30::10]])
    with pytest.raises(DataError, match="made from daily bars"):
        compare(weeks.iloc[:CUT], weeks.iloc[CUT:], table, **SETTINGS, arms=("hybrid", "mixture"), controls=True,
                out=tmp_path / "run")  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_hourly_bars_have_controls_that_are_made_by_the_day():
    hours = pd.concat([BARS.set_axis(BARS.index + pd.Timedelta(hours=hour)) for hour in (10, 11)]).sort_index()
    table = guide(hours, "rules")
    found = compare(hours.iloc[:600], hours.iloc[600:], table, arms=("llm",), progress=False, controls=PLAN)
    frame = found.controls.set_index("control")["sr"]
    assert frame["rules"] == frame["guidance"] == pytest.approx(found.runs["sr"].iloc[0], rel=1e-9)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"shuffles": 18}, "at least 19 shuffles"),
        ({"draws": 0}, "at least 1 draw"),
        ({"accuracies": (60,)}, "a share of right directions in 0..1, got 60"),
        ({"accuracies": (0.6, 0.6)}, "different accuracies"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(settings, fault):
    with pytest.raises(LlmguideError, match=fault):
        ControlPlan(**settings)
