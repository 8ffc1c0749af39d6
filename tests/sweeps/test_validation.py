"""Validation: what was best before, on bars that come after."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmguide.errors import LlmguideError
from llmguide.stats import deflated_sharpe, pbo
from llmguide.sweeps import sweep


@pytest.fixture(scope="module")
def halves(make_bars):
    bars = make_bars(400, seed=4)
    return bars.iloc[:250], bars.iloc[250:]


GRID = {"short": [1, 2, 4, 6], "long": [8, 12, 16, 24]}


def test_the_best_before_is_measured_after(halves):
    train, test = halves
    swept = sweep(train, "trend", **GRID)
    outcome = swept.validate(test)
    later = sweep(test, "trend", **GRID)
    pd.testing.assert_frame_equal(outcome.test.frame, later.frame)
    best = swept.best()
    row = outcome.table.loc["trend"]
    assert outcome.chosen.loc["trend"].to_dict() == dict(zip(swept.frame.index.names, best.name, strict=True))
    assert (row["train"], row["test"]) == (best["sharpe"], later.frame["sharpe"].loc[best.name])
    others = later.frame["sharpe"].drop(best.name)
    assert row["beaten"] == (others < row["test"]).mean()
    from scipy.stats import spearmanr

    expected = spearmanr(swept.frame["sharpe"], later.frame["sharpe"]).statistic
    assert row["rank_correlation"] == pytest.approx(expected, abs=1e-12)


def test_overfitting_and_deflation_are_those_of_the_statistics(halves):
    train, test = halves
    swept = sweep(train, "trend", **GRID)
    row = swept.validate(test, blocks=8).table.loc["trend"]
    returns = pd.concat([swept.account(label)["returns"] for label in swept.frame.index], axis=1).to_numpy()
    assert row["pbo"] == pbo(returns[30:], blocks=8).probability
    deflated = deflated_sharpe(swept.account()["returns"], swept.frame["sharpe"])
    assert (row["deflated_sharpe"], row["hurdle"]) == (deflated.probability, deflated.hurdle)
    assert row["settings"] == row["trials"] == 16


def test_a_sample_bounds_the_combinations_and_is_the_same_for_the_same_seed(halves):
    train, test = halves
    swept = sweep(train, "trend", **GRID)
    few = [swept.validate(test, settings=6, seed=seed).table.loc["trend"] for seed in (0, 0, 1)]
    assert few[0]["settings"] == 6
    pd.testing.assert_series_equal(few[0], few[1])
    assert few[0]["pbo"] != few[2]["pbo"]


def test_skill_that_lasts_is_told_from_luck(make_bars):
    bars = make_bars(600, seed=7)
    up = (bars["close"].shift(-1) > bars["close"]).astype(int).to_numpy()  # what no one can know
    random = np.random.default_rng(0)
    knows = np.where(random.random((600, 20)) < np.linspace(0.5, 0.9, 20), up[:, None], 1 - up[:, None])
    guesses = random.integers(0, 2, (600, 20))
    for given, low, high in ((knows, 0.0, 0.05), (guesses, 0.2, 1.0)):
        swept = sweep(bars.iloc[:400], given[:400])
        row = swept.validate(bars.iloc[400:], rule=given[400:]).table.iloc[0]
        assert low <= row["pbo"] <= high
        assert (row["deflated_sharpe"] > 0.95) == (given is knows)
        assert (row["rank_correlation"] > 0.8) == (given is knows)


def test_where_less_is_better_the_best_beats_those_with_more(halves):
    train, test = halves
    swept = sweep(train, "trend", **GRID)
    outcome = swept.validate(test, by="max_drawdown")
    row, later = outcome.table.loc["trend"], outcome.test.frame["max_drawdown"]
    assert row["train"] == swept.frame["max_drawdown"].min()
    assert row["beaten"] == (later.drop(swept.best("max_drawdown").name) > row["test"]).mean()


def test_every_instrument_chooses_among_its_own(make_bars, make_guidance):
    bars = {symbol: make_bars(300, seed) for seed, symbol in enumerate("AB")}
    train, test = ({s: b.iloc[cut] for s, b in bars.items()} for cut in (slice(200), slice(200, None)))
    tables = {s: {"one": make_guidance(b, seed=1), "two": make_guidance(b, seed=2)} for s, b in bars.items()}
    swept = sweep(train, "guidance", guidance=tables, hold=[1, 2, 3])
    outcome = swept.validate(dict(reversed(test.items())))
    assert outcome.table.index.tolist() == ["A", "B"]
    assert outcome.table["trials"].tolist() == [6, 6]
    assert set(outcome.chosen.columns) >= {"guidance", "hold"}
    alone = sweep(train["B"], "guidance", guidance=tables["B"], hold=[1, 2, 3]).validate(test["B"])
    pd.testing.assert_series_equal(outcome.table.loc["B"], alone.table.iloc[0], check_names=False)
    again = swept.validate(test, guidance=tables)
    pd.testing.assert_frame_equal(again.table, outcome.table)


def test_bars_that_chose_cannot_judge(halves, make_bars):
    train, test = halves
    swept = sweep(train, "trend", **GRID)
    with pytest.raises(LlmguideError, match="validate on bars that come after all of them"):
        swept.validate(train)
    with pytest.raises(LlmguideError, match="this sweep had bars of one instrument"):
        swept.validate({"A": test})
    with pytest.raises(LlmguideError, match="expected bars of A, got B"):
        sweep({"A": train}, "trend", **GRID).validate({"B": test})
    given = sweep(train, np.ones((250, 2), int))
    with pytest.raises(LlmguideError, match="pass those for the later bars as rule="):
        given.validate(test)
    with pytest.raises(LlmguideError, match="other columns"):
        given.validate(test, rule=np.ones((150, 3), int))
