"""Instruments are found in a folder by their file names, and cut into training and test bars."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from llmguide import sample_bars
from llmguide.errors import DataError, DataWarning
from llmguide.experiments.markets import find_markets
from llmguide.experiments.published import BENCHMARK

BARS = sample_bars(years=2, seed=3)
TRAIN, TEST = BARS.iloc[:300], BARS.iloc[300:]
CUT = TEST.index[0]
THREE = ("K_2012-1-1_2012-5-1.csv", "K_2012-5-1_2012-9-1.csv", "K_2012-9-1_2014-1-1.csv")


@pytest.fixture
def folder(tmp_path):
    """KO and AAPL as pairs, 7203.T in one CSV file, BABA in one Parquet file, and things that are no bars."""
    for symbol in ("KO", "AAPL"):
        TRAIN.to_csv(tmp_path / f"{symbol}_2012-1-1_2013-3-1.csv")
        TEST.to_csv(tmp_path / f"{symbol}_2013-3-1_2014-1-1.csv")
    BARS.to_csv(tmp_path / "7203.T.csv")
    BARS.to_parquet(tmp_path / "BABA.parquet")
    (tmp_path / "README.md").write_text("bars")
    (tmp_path / ".hidden.csv").write_text("nothing")
    (tmp_path / "old.csv").mkdir()
    return tmp_path


def test_both_layouts_give_the_same_training_and_test_bars(folder):
    markets = find_markets(folder, split=CUT)
    assert [market.symbol for market in markets] == ["7203.T", "AAPL", "BABA", "KO"]
    for market in markets:
        pd.testing.assert_frame_equal(market.train, TRAIN, check_freq=False)
        pd.testing.assert_frame_equal(market.test, TEST, check_freq=False)
        pd.testing.assert_frame_equal(market.bars, BARS, check_freq=False)


def test_symbols_come_in_the_order_asked_for(folder):
    assert [market.symbol for market in find_markets(folder, ["KO", "AAPL"])] == ["KO", "AAPL"]


def test_the_earlier_date_is_for_training_whatever_the_order_of_the_names(tmp_path):
    TRAIN.to_csv(tmp_path / "X_2012-9-1_2013-1-1.csv")  # as text it would come after the next one
    TEST.to_csv(tmp_path / "X_2012-10-1_2014-1-1.csv")
    (market,) = find_markets(tmp_path)
    assert market.train.index[-1] < market.test.index[0]


def test_the_split_is_the_first_test_day_and_pairs_do_not_care(folder):
    early = CUT - pd.Timedelta(days=100)
    single, pair = find_markets(folder, ["BABA", "KO"], split=early)
    assert single.train.index[-1] < early <= single.test.index[0]
    assert pair.test.index[0] == CUT


def test_training_bars_do_not_depend_on_what_comes_after_the_split(tmp_path):
    gaps = BARS.copy()
    gaps.iloc[298:300, gaps.columns.get_loc("close")] = np.nan  # filled from the last known close, not the next one
    for name, after in (("A", 1.0), ("B", 3.0)):
        changed = gaps.copy()
        changed.iloc[300:] *= after
        changed.to_csv(tmp_path / f"{name}.csv")
    with pytest.warns(DataWarning, match="2 instruments"):
        one, other = find_markets(tmp_path, split=CUT)
    pd.testing.assert_frame_equal(one.train, other.train)
    assert not one.test["close"].equals(other.test["close"])


def test_what_is_unusual_is_one_warning_with_the_number_of_instruments(folder):
    odd = TRAIN.copy()
    odd.iloc[5, odd.columns.get_loc("volume")] = 0
    odd.iloc[7, odd.columns.get_loc("close")] *= 3
    odd.to_csv(folder / "KO_2012-1-1_2013-3-1.csv")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        find_markets(folder, split=CUT)
    assert [str(warning.message) for warning in caught] == [
        "4 instruments: Close outside [Low, High] in 1 (harmless for fills at the close; for fills at the open, "
        "adjust=True puts all prices on one scale); volumes zero or missing in 1 (harmless for prices and returns: "
        "only the volume that an agent sees is affected); KO: close rose 198 % on 2012-01-11 and fell back the next "
        "bar: looks like a wrong price (matters if it is a data error: Sharpe ratios and drawdowns would be wrong; "
        "correct the file, or refuse it with strict=True)"
    ]


def test_training_bars_that_the_test_has_too_are_left_out_and_counted(tmp_path):
    BARS.iloc[:302].to_csv(tmp_path / "X_2012-1-1_2013-3-1.csv")
    TEST.to_csv(tmp_path / "X_2013-3-1_2014-1-1.csv")
    with pytest.warns(DataWarning, match=r"1 instrument: training ended within the test and was cut, by .* in 1"):
        (market,) = find_markets(tmp_path)
    pd.testing.assert_frame_equal(market.train, TRAIN, check_freq=False)
    pd.testing.assert_frame_equal(market.test, TEST, check_freq=False)


@pytest.mark.parametrize(
    ("files", "symbols", "message"),
    [
        ({}, None, "holds no bars"),
        ({"AAPL.csv": BARS}, ["APPL"], "no bars of 'APPL', only of AAPL; did you mean 'AAPL'"),
        ({"FB.csv": BARS}, ["META"], "did you mean 'FB'"),
        ({"AAPL.csv": BARS}, ["AAPL", "AAPL"], "different symbols"),
        ({"AAPL.csv": BARS}, [], "one or more"),
        ({"AAPL_2012-1-1_2013-3-1.csv": TRAIN}, None, "AAPL: expected one file, or two .* got AAPL_2012-1-1_2013-3-1"),
        ({"AAPL.csv": BARS, "AAPL.parquet": BARS}, None, "AAPL: expected one file"),
        ({"K_2012-1-1_2013-3-1.csv": TRAIN, "K.csv": TEST}, None, "K: expected one file, or two"),
        (dict(zip(THREE, (BARS[:100], BARS[100:200], BARS[200:]), strict=True)), None, "K: expected one file, or two"),
        ({"K_2012-1-1_2013-3-1.csv": TEST, "K_2013-3-1_2014-1-1.csv": TRAIN}, None, "test bars of K must come after"),
        ({"K_2012-1-1_2013-3-1.csv": BARS.iloc[:306], "K_2013-3-1_2014-1-1.csv": TEST}, None, "test bars of K must"),
        ({"K_2012-1-1_2013-3-1.csv": TRAIN, "K_2013-3-1_2014-1-1.csv": TEST[:20]}, None, "K: .* too short: 20 bars"),
        ({"KO.csv": BARS.iloc[290:]}, None, "KO: KO.csv .* too short: 10 bars"),
        ({"KO.csv": TRAIN}, None, f"KO: KO.csv has no bars from {CUT:%Y-%m-%d} to the last"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used_are_refused_by_name(tmp_path, files, symbols, message):
    for name, bars in files.items():
        (bars.to_parquet if name.endswith("parquet") else bars.to_csv)(tmp_path / name)
    with pytest.raises(DataError, match=message):
        find_markets(tmp_path, symbols, split=CUT)


def test_a_folder_that_is_not_there_and_a_split_that_is_no_date_are_refused(folder):
    with pytest.raises(DataError, match="there is no folder"):
        find_markets(folder / "nowhere")
    with pytest.raises(DataError, match="split to be a date"):
        find_markets(folder, split="soon")


@pytest.mark.slow
@pytest.mark.real_bars
def test_the_benchmarks_folder_has_every_published_instrument_and_twitter(data_folder):
    with pytest.warns(
        DataWarning, match=r"30 instruments: Close outside \[Low, High\] in \d+ .* was cut, by 5 bars at most in 5"
    ):
        markets = {market.symbol: market for market in find_markets(data_folder)}
    assert set(markets) == {*BENCHMARK, "TWTR"}
    # Hong Kong's and Tokyo's training files end with one and two bars of the test.
    assert markets["0700.HK"].train.index[-1] == pd.Timestamp("2017-12-29")
    assert [len(markets[symbol].train) for symbol in ("AAPL", "0700.HK", "2503.T")] == [1509, 1477, 1479]
    assert [len(markets[symbol].test) for symbol in ("AAPL", "0700.HK", "2503.T")] == [503, 493, 502]
