"""Published against replicated numbers: hand-worked cases, scipy, and what the tests of significance promise."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from llmguide.experiments.replicate.fit import fit_in_words, fit_summary, fit_table, p_from_summary


def runs(**sharpe):
    """Runs of instruments by symbol; underscores stand for dots."""
    rows = [
        {"symbol": symbol.replace("_", "."), "sr": sr, "mdd": 0.2 + seed / 10, "mdd_tdqn": 0.1}
        for symbol, values in sharpe.items()
        for seed, sr in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["symbol", "sr", "mdd", "mdd_tdqn"])


def test_one_instrument_worked_by_hand():
    # Published 1.068. Runs 0.068, 1.068, 2.068 + 0.9: mean 1.368, differences -1, 0, 1.9.
    row = fit_table(runs(KO=[0.068, 1.068, 2.968])).iloc[0]
    std = math.sqrt((1.3**2 + 0.3**2 + 1.6**2) / 2)
    t = 0.3 / (std / math.sqrt(3))
    assert (row["symbol"], row["name"], row["n"], row["lies"]) == ("KO", "Coca Cola", 3, "inside")
    assert (row["sr_mean"], row["sr_std"]) == (pytest.approx(1.368), pytest.approx(std))
    assert row["t"] == pytest.approx(t)
    assert row["p"] == pytest.approx(1 - t / math.sqrt(t * t + 2))  # two degrees of freedom
    assert row["high"] - row["sr_mean"] == pytest.approx(4.302653 * std / math.sqrt(3), rel=1e-6)
    assert row["sr_mean"] - row["low"] == pytest.approx(row["high"] - row["sr_mean"])
    assert (row["mdd_mean"], row["mdd_tdqn_mean"], row["mdd_paper"]) == (pytest.approx(0.3), pytest.approx(0.1), 0.25)


@given(st.lists(st.floats(-3, 3, width=16), min_size=2, max_size=25))
def test_the_published_figure_lies_outside_the_interval_where_p_is_below_5_percent(values):
    assume(np.std(values) > 1e-3)
    row = fit_table(runs(AAPL=values)).iloc[0]
    assume(abs(row["p"] - 0.05) > 1e-9)
    place = "below" if row["low"] > 1.424 else "above" if row["high"] < 1.424 else "inside"
    assert row["lies"] == place
    assert (row["p"] < 0.05) == (place != "inside")
    peer = scipy.stats.ttest_1samp(values, 1.424)
    assert (row["t"], row["p"]) == (pytest.approx(peer.statistic), pytest.approx(peer.pvalue))
    low, high = peer.confidence_interval(0.95)
    assert (row["low"], row["high"]) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


@given(st.lists(st.floats(-3, 3, width=16), min_size=3, max_size=25))
def test_p_from_mean_and_spread_is_p_from_the_runs(values):
    assume(np.std(values) > 1e-3)
    p = p_from_summary(np.mean(values) - 0.5, np.std(values, ddof=1), len(values))
    assert float(p) == pytest.approx(scipy.stats.ttest_1samp(values, 0.5).pvalue)


@pytest.mark.parametrize("values", [[0.4], [0.4, 0.4, 0.4], [0.4, math.nan, 0.6]], ids=["one", "equal", "undefined"])
def test_what_the_runs_do_not_determine_is_nan_and_lies_nowhere(values):
    row = fit_table(runs(KO=values)).iloc[0]
    assert row[["low", "high", "t", "p"]].isna().all()
    assert row["lies"] is None
    assert 0.4 <= row["sr_mean"] <= 0.5  # the mean of those that have a Sharpe ratio


def test_an_instrument_without_a_published_number_has_an_interval_and_no_test():
    row = fit_table(runs(TWTR=[0.1, 0.3])).iloc[0]
    assert row["name"] is None
    assert row["lies"] is None
    assert row[["sr_published", "sr_paper", "mdd_paper", "t", "p"]].isna().all()
    assert row["low"] < 0.2 < row["high"]


def test_the_summary_counts_what_differs_here_and_in_the_paper():
    # Published 1.424, 1.068, 0.187; the paper's own 1.19 (0.55), 1.07 (0.53), 1.21 (0.30) over 25 runs.
    table = fit_table(runs(AAPL=[1.4, 1.5], KO=[3.0, 3.01], ABI_BR=[0.1, 0.4], TWTR=[5.0, 6.0]))
    here, paper = fit_summary(table).to_dict("records")
    assert (here["instruments"], here["tested"], here["differ"]) == (3, 3, 1)
    assert here["by_chance"] == pytest.approx(0.15)
    gaps = [1.45 - 1.424, 3.005 - 1.068, 0.25 - 0.187]
    assert here["mean_absolute_difference"] == pytest.approx(np.mean(np.abs(gaps)))
    assert here["correlation"] == pytest.approx(np.corrcoef([1.45, 3.005, 0.25], [1.424, 1.068, 0.187])[0, 1])
    # t of the paper: -0.234 / 0.11 = -2.13, 0.002 / 0.106 = 0.02, 1.023 / 0.06 = 17; 2.06 is critical.
    assert (paper["tested"], paper["differ"]) == (3, 2)
    assert paper["mean_absolute_difference"] == pytest.approx((0.234 + 0.002 + 1.023) / 3)


def test_words_say_how_many_differ_and_that_few_runs_show_little():
    words = fit_in_words(fit_table(runs(AAPL=[1.4, 1.5], KO=[3.0, 3.01], ABI_BR=[0.1, 0.4])))
    assert "On 3 instruments the mean Sharpe ratio here is 0.68 away" in words
    assert "differs significantly (p < 0.05) on 1 of 3" in words
    assert "In the replication of arXiv 2508.02366 itself: 0.42 away" in words
    assert "2 runs are few" in words
    assert "few" not in fit_in_words(fit_table(runs(AAPL=np.linspace(0, 1, 25))))
    assert "No test is possible" in fit_in_words(fit_table(runs(AAPL=[1.4])))


@pytest.mark.parametrize("table", [fit_table(runs()), fit_table(runs(TWTR=[1.0, 2.0]))], ids=["no runs", "unpublished"])
def test_nothing_to_compare_with_is_an_empty_summary_and_no_words(table):
    assert fit_summary(table).empty
    assert fit_in_words(table) == ""


def test_few_instruments_have_no_correlation():
    assert math.isnan(fit_summary(fit_table(runs(AAPL=[1.4, 1.5], KO=[3.0, 3.1])))["correlation"][0])
