"""Means, differences and aims of a study of the mixture: hand-worked, on runs that are made up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmguide.experiments.mixture import MixtureStudy
from llmguide.experiments.mixture.aims import ABOVE, NEAR, RISES, SHALLOWER, SHUFFLED_COSTS
from llmguide.experiments.mixture.tables import by_instrument, means

COLUMNS = ["symbol", "arm", "guidance", "accuracy", "draw", "seed", "sr", "mdd", "total_return"]
ASKED = ("guidance", "mixture", "mixture_all_in")


def made(hold, drawn, *, none=None, agent=None):
    """Runs that are made up.

    `hold` has (Sharpe ratio, total return) by symbol, `agent` Sharpe ratios of each seed. `drawn` has, by guidance and
    symbol, for each draw the Sharpe ratios of guidance, mixture and all in. `none` has the Sharpe ratio of both
    mixtures without guidance by symbol, that of holding where None. Drawdowns are a tenth of 3 less Sharpe ratio.
    """
    rows = []

    def add(symbol, arm, guidance, sr, draw=-1, seed=-1, change=0.0):
        accuracy = float(guidance.split()[-1]) if "oracle" in guidance else np.nan
        rows.append((symbol, arm, guidance, accuracy, draw, seed, sr, (3 - sr) / 10, change))

    for symbol, (sr, change) in hold.items():
        add(symbol, "hold", "none", sr, change=change)
        for seed, own in enumerate((agent or {}).get(symbol, ())):
            add(symbol, "agent", "none", own, seed=seed)
        for arm in ("mixture", "mixture_all_in"):
            add(symbol, arm, "none", (none or {}).get(symbol, sr))
        for guidance, by_symbol in drawn.items():
            for draw, values in enumerate(by_symbol.get(symbol, ())):
                for arm, value in zip(ASKED, values, strict=True):
                    add(symbol, arm, guidance, value, draw=draw)
    return pd.DataFrame(rows, columns=COLUMNS)


HOLD = {"A": (0.4, 0.2), "B": (-0.2, -0.1)}


def test_means_are_over_draws_and_agents_then_over_instruments():
    drawn = {"oracle 0.7": {"A": [(0.0, 1.0, 0.5), (1.0, 2.0, 0.5)], "B": [(-1.0, 0.0, 0.25)]}}
    study = MixtureStudy(made(HOLD, drawn, agent={"A": (0.5, 0.7), "B": (0.1, 0.1)}), {})
    assert study.arms == ("agent", "guidance", "hold", "mixture", "mixture_all_in")
    found = study.instruments[study.instruments["guidance"] == "oracle 0.7"]
    by_symbol = (("A", False, (0.6, 0.5, 0.4, 1.5, 0.5)), ("B", True, (0.1, -1.0, -0.2, 0.0, 0.25)))
    expected = pd.DataFrame(
        [
            ("oracle 0.7", 0.7, symbol, fell, arm, sr)
            for symbol, fell, values in by_symbol
            for arm, sr in zip(study.arms, values, strict=True)
        ],
        columns=["guidance", "accuracy", "symbol", "fell", "arm", "sr"],
    )
    pd.testing.assert_frame_equal(found.drop(columns="mdd").reset_index(drop=True), expected)
    np.testing.assert_allclose(found["mdd"], (3 - found["sr"]) / 10)
    table = study.table.set_index(["group", "guidance", "arm"])
    assert table.loc[("all", "oracle 0.7"), "sr"].tolist() == pytest.approx([0.35, -0.25, 0.1, 0.75, 0.375])
    assert table.loc[("all", "oracle 0.7"), "mdd"].tolist() == pytest.approx([0.265, 0.325, 0.29, 0.225, 0.2625])
    assert table.loc[("fell", "none"), "sr"].to_dict() == {
        "agent": pytest.approx(0.1),
        "hold": -0.2,
        "mixture": -0.2,
        "mixture_all_in": -0.2,
    }
    assert table.loc[("rose", "oracle 0.7", "mixture"), "sr"] == 1.5
    assert table["instruments"].groupby("group").unique().map(list).to_dict() == {"all": [2], "fell": [1], "rose": [1]}


def test_intervals_are_of_instruments_drawn_anew_each_with_its_own_difference():
    study = MixtureStudy(made(HOLD, {"oracle 0.7": {"A": [(0.5, 1.4, 0.4)], "B": [(0.0, 0.0, -0.2)]}}), {})
    rows = study.differences.set_index(["group", "guidance", "arm", "minus"]).sort_index()
    row = rows.loc[("all", "oracle 0.7", "mixture", "hold")]
    # Of two instruments a resample has the first twice, both, or the second twice: one in four at either end.
    assert (row["sr"], row["sr_low"], row["sr_high"]) == pytest.approx((0.6, 0.2, 1.0))
    assert (row["mdd"], row["mdd_low"], row["mdd_high"]) == pytest.approx((-0.06, -0.1, -0.02))
    assert row["p"] == pytest.approx(1 / 10_001)  # no resample is below 0, the one that happened counts
    row = rows.loc[("all", "oracle 0.7", "mixture", "guidance")]  # gains 0.9 and 0: a quarter of resamples gain nothing
    assert row["p"] == pytest.approx(0.25, abs=0.02)
    same = rows.loc[("all", "oracle 0.7", "mixture_all_in", "hold")]
    assert same[["sr", "sr_low", "sr_high", "mdd", "p"]].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]
    alone = rows.loc["fell"]
    assert alone[["sr_low", "sr_high", "mdd_low", "mdd_high", "p"]].isna().all(axis=None)
    assert alone.loc[("oracle 0.7", "mixture", "hold"), "sr"] == pytest.approx(0.2)
    assert set(alone["instruments"]) == {1}


def test_a_table_that_few_instruments_have_is_compared_on_these():
    drawn = {"mine": {"B": [(0.3, 0.5, 0.5)]}, "rules": {name: [(0.0, 0.1, 0.1)] for name in HOLD}}
    study = MixtureStudy(made(HOLD, drawn, none={"A": 9.0, "B": 0.1}), {})
    rows = study.differences.set_index(["group", "guidance", "arm", "minus"]).sort_index()
    mine = rows.loc[("all", "mine", "mixture")]
    assert mine["sr"].to_dict() == pytest.approx({"guidance": 0.2, "hold": 0.7, "without guidance": 0.4})
    assert set(mine["instruments"]) == {1}
    assert rows.loc[("all", "rules", "mixture", "without guidance"), "sr"] == pytest.approx(0.1 - 4.55)
    assert "mine" not in set(study.table.loc[study.table["group"] == "rose", "guidance"])


def test_an_account_that_never_trades_counts_as_zero_and_is_none_in_the_runs():
    runs = made(HOLD, {}, none={"A": np.nan, "B": 0.3})
    assert runs["sr"].isna().sum() == 2
    table = means(by_instrument(runs)).set_index(["group", "arm"])["sr"]
    assert table["all", "mixture"] == pytest.approx(0.15)


def judged(drawn, *, hold=None, **options):
    """The aims of the sized mixture in group "all", by aim and guidance."""
    aims = MixtureStudy(made(hold or dict.fromkeys("ABCDE", (0.4, 0.1)), drawn, **options), {}).aims
    own = aims[(aims["group"] == "all") & (aims["arm"] == "mixture")]
    assert not own.duplicated(["aim", "guidance"]).any()
    return own.set_index(["aim", "guidance"])


def everywhere(guidance, mixture, *, of="ABCDE"):
    """The same Sharpe ratios on all instruments, of the mixture a little more or less."""
    return {name: [(guidance, mixture + 0.01 * (at - 2), 0.0)] for at, name in enumerate(of)}


def test_a_mixture_is_near_its_best_parent_up_to_the_tolerance():
    aims = judged(
        {"oracle 0.5": everywhere(0.1, 0.36), "oracle 0.7": everywhere(0.8, 0.74), "rules": everywhere(0.0, 0.5)}
    )
    near = aims.loc[NEAR]
    assert near["minus"].to_dict() == {"oracle 0.5": "hold", "oracle 0.7": "guidance", "rules": "hold"}
    assert near["value"].to_dict() == pytest.approx({"oracle 0.5": -0.04, "oracle 0.7": -0.06, "rules": 0.1})
    assert near["reached"].to_dict() == {"oracle 0.5": True, "oracle 0.7": False, "rules": True}
    assert (near["low"] < near["value"]).all()
    assert (near["value"] < near["high"]).all()
    assert near["p"].isna().all()
    assert set(near["bound"]) == {-0.05}
    # Drawdowns are made a tenth of what the Sharpe ratio lacks of 3, so they are below where it is above.
    shallower = aims.loc[SHALLOWER]
    assert shallower["value"].to_dict() == pytest.approx({"oracle 0.5": 0.004, "oracle 0.7": 0.006, "rules": -0.01})
    assert shallower["reached"].to_dict() == {"oracle 0.5": False, "oracle 0.7": False, "rules": True}


def test_the_best_parent_is_that_of_the_group_and_the_agent_may_be_it():
    hold = {"A": (0.9, 0.2), "B": (-0.5, -0.2), "C": (-0.5, -0.2)}
    drawn = {"rules": {name: [(0.2, 0.5, 0.5)] for name in hold}}
    aims = MixtureStudy(made(hold, drawn, agent=dict.fromkeys(hold, (0.3,))), {}).aims
    near = aims[(aims["aim"] == NEAR) & (aims["arm"] == "mixture")].set_index("group")
    assert near["minus"].to_dict() == {"all": "agent", "fell": "agent", "rose": "hold"}
    assert near["value"].to_dict() == pytest.approx({"all": 0.2, "fell": 0.2, "rose": -0.4})
    assert near["instruments"].to_dict() == {"all": 3, "fell": 2, "rose": 1}
    assert near["reached"].to_dict() == {"all": True, "fell": True, "rose": False}


def test_above_every_parent_takes_the_largest_p_at_two_accuracies():
    wild = {name: [(0.2, sr, 0.0)] for name, sr in zip("ABCDE", (0.9, 0.9, 0.9, -0.2, 0.9), strict=True)}
    aims = judged({"oracle 0.5": everywhere(0.1, 0.9), "oracle 0.7": everywhere(0.5, 0.6), "oracle 0.85": wild})
    above = aims.loc[ABOVE]
    assert list(above.index) == ["oracle 0.7", "oracle 0.85"]
    assert above["reached"].to_dict() == {"oracle 0.7": True, "oracle 0.85": False}
    assert above.loc["oracle 0.7", ["minus", "value"]].tolist() == ["guidance", pytest.approx(0.1)]
    assert above.loc["oracle 0.85", ["minus", "value"]].tolist() == ["hold", pytest.approx(0.28)]
    # Four gain 0.5 on holding and one loses 0.6: a mean of five is not above 0 where that one is drawn three times.
    # P(at least 3 of 5) with chance 1/5 each = 1 - (0.8^5 + 5 * 0.2 * 0.8^4 + 10 * 0.04 * 0.8^3) = 0.0579.
    assert above.loc["oracle 0.85", "p"] == pytest.approx(0.0579, abs=0.008)

    # Near to holding, the best parent, on every instrument; but guidance was far better on one of five, which takes the
    # mean below it where that one is drawn twice: 1 - (0.8^5 + 5 * 0.2 * 0.8^4) = 0.263.
    lucky = {name: [(sr, 0.6, 0.0)] for name, sr in zip("ABCDE", (3.0, -0.3, -0.3, -0.3, -0.3), strict=True)}
    row = judged({"oracle 0.85": lucky}).loc[(ABOVE, "oracle 0.85")]
    assert row[["minus", "value"]].tolist() == ["hold", pytest.approx(0.2)]
    assert row["p"] == pytest.approx(0.263, abs=0.015)
    assert not row["reached"]


def test_rises_with_accuracy_is_the_smallest_step():
    steps = {"oracle 0.5": everywhere(0.1, 0.4), "oracle 0.6": everywhere(0.2, 0.5), "oracle 1": everywhere(2.0, 2.0)}
    (row,) = judged(steps).loc[RISES].itertuples()
    assert (row.Index, row.value, row.reached) == ("oracle 0.6", pytest.approx(0.1), True)
    falls = steps | {"oracle 0.55": everywhere(0.15, 0.52)}
    (row,) = judged(falls).loc[RISES].itertuples()
    assert (row.Index, row.value, row.reached) == ("oracle 0.6", pytest.approx(-0.02), False)
    assert (row.low, row.high) == pytest.approx((-0.02, -0.02))  # the same step on every instrument
    assert RISES not in judged({"oracle 0.5": everywhere(0.1, 0.4)}).index


def test_shuffled_guidance_is_held_against_the_mixture_without_it():
    drawn = {
        "oracle 0.7": everywhere(0.8, 0.9),
        "shuffled oracle 0.7": everywhere(0.0, 0.21),
        "rules": everywhere(0.1, 0.3),
        "shuffled rules": everywhere(0.0, 0.19),
    }
    costs = judged(drawn, none=dict.fromkeys("ABCDE", 0.25)).loc[SHUFFLED_COSTS]
    assert costs["value"].to_dict() == pytest.approx({"shuffled oracle 0.7": -0.04, "shuffled rules": -0.06})
    assert costs["reached"].to_dict() == {"shuffled oracle 0.7": True, "shuffled rules": False}
    assert set(costs["minus"]) == {"without guidance"}


def test_the_summary_says_what_was_reached_and_what_not():
    hold = dict.fromkeys("ABC", (0.4, 0.1)) | {"D": (-0.4, -0.1)}
    drawn = {
        "oracle 0.5": {name: [(0.1, 0.0, 0.0)] for name in hold},
        "oracle 0.7": {name: [(0.5, 0.7, 0.0)] for name in hold},
    }
    assert MixtureStudy(made(hold, drawn), {}).summary == (
        "On the mean of all 4 instruments the Sharpe ratio of the sized mixture minus that of its best parent is −0.20 "
        "(oracle 0.5) to 0.20 (oracle 0.7). It reaches 2 of 4 aims: above every parent, rises with accuracy. Not "
        "reached: near the best parent (1 of 2), shallower than the best parent (1 of 2). "
        "On the mean of the 1 instrument that fell the Sharpe ratio of the sized mixture minus that of its best parent "
        "is −0.10 (oracle 0.5) to 0.20 (oracle 0.7). It reaches 1 of 4 aims: rises with accuracy. Not reached: near "
        "the best parent (1 of 2), above every parent, shallower than the best parent (1 of 2)."
    )
