"""The instrument of two files: named where their names say it, and never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmguide.cli.instrument import instrument_of


@pytest.mark.parametrize(
    ("train", "test", "name"),
    [
        ("AAPL_2012-1-1_2018-1-1.csv", "AAPL_2018-1-1_2020-1-1.csv", "AAPL"),
        ("0700.HK_2012-1-1_2018-1-1.csv", "0700.HK_2018-1-1_2020-1-1.csv", "0700.HK"),
        ("AAPL_train.csv", "AAPL_test.csv", "AAPL"),
        ("data/aapl-train.parquet", "other/aapl-test.csv", "aapl"),
        ("BTC-USD_train.csv", "BTC-USD_test.csv", "BTC-USD"),
        ("train_AAPL.csv", "test_AAPL.csv", "AAPL"),
        ("EURUSD_1h_in_sample.csv", "EURUSD_1h_out_of_sample.csv", "EURUSD"),
        ("BRK.B_20120101.csv", "BRK.B_20180101.csv", "BRK.B"),
        ("KO_2012_2017.csv", "KO_2018_2019.csv", "KO"),
        ("KO.csv", "KO.csv", "KO"),
        ("train.csv", "test.csv", ""),
        ("bars.csv", "bars.csv", ""),
        ("AAPL_train.csv", "MSFT_test.csv", ""),
        ("AAPL_train.csv", "test.csv", ""),
        ("first_half.csv", "second_half.csv", ""),
        ("AAPL_MSFT_train.csv", "AAPL_MSFT_test.csv", ""),
    ],
)
def test_the_name_is_the_one_word_that_both_files_have_beside_dates_and_general_words(train, test, name):
    assert instrument_of(Path(train), Path(test)) == name
