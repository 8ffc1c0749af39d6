"""Factors of the news: which count on a day, what a file of them keeps, and what is refused."""

from __future__ import annotations

from datetime import date, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.errors import DataError
from llmguide.states.factors import Factor, Factors, as_factors

JANUARY, FEBRUARY, MARCH = datetime(2018, 1, 2), datetime(2018, 2, 1, 18), datetime(2018, 3, 1)
SMALL, LARGE = Factor("a small matter, with a comma", -1, 1), Factor('an "order"\rof the Company', 1, 3)
NEWS = Factors.of([(FEBRUARY, SMALL), (JANUARY, SMALL), (FEBRUARY, LARGE), (MARCH, None)])


def test_those_count_that_were_issued_last_and_the_weightiest_comes_first():
    assert NEWS.at(date(2018, 1, 1)) == ()
    assert NEWS.at(date(2018, 1, 2)) == NEWS.at(datetime(2018, 2, 1, 23)) == (SMALL,)
    assert NEWS.at(date(2018, 2, 2)) == (LARGE, SMALL)  # the evening before
    assert NEWS.at(date(2018, 3, 1)) == ()  # nothing was found then
    assert (len(NEWS), len(NEWS.issues), Factors(()).at(date(2018, 1, 1))) == (3, 3, ())


stamps = st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(microsecond=0))
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1)
factors = st.builds(Factor, texts, st.sampled_from([-1, 0, 1]), st.sampled_from([1, 2, 3]))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@given(rows=st.lists(st.tuples(stamps, st.none() | factors), max_size=6))
def test_a_file_keeps_everything(tmp_path_factory, suffix, rows):
    news = Factors.of(rows)
    path = news.save(tmp_path_factory.mktemp("factors") / f"factors{suffix}")
    assert Factors.read(path) == as_factors(str(path)) == as_factors(news.frame) == news


def test_a_file_by_hand(tmp_path):
    path = tmp_path / "factors.csv"
    path.write_text(
        "impact,issued_at,text,sentiment\n3,2018-02-01 18:00,large,1\n1,2018-01-02,small,-1\n,2018-03-01,,\n"
    )
    assert Factors.read(path) == Factors.of(
        [(JANUARY, Factor("small", -1, 1)), (FEBRUARY, Factor("large", 1, 3)), (MARCH, None)]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sentiment": 2}, r"row 1, column 'sentiment': expected -1 \(bad\), 0 or 1 \(good\), got '2'"),
        ({"impact": 0}, r"column 'impact': expected 1 \(weak\), 2 or 3 \(strong\), got '0'"),
        ({"impact": 1.5}, "column 'impact': expected 1"),
        ({"text": " "}, "column 'text': expected a text, or none of text, sentiment and impact"),
        ({"sentiment": None}, "column 'sentiment': expected -1"),
        ({"issued_at": "2018-01"}, "column 'issued_at': expected a date or time like"),
        ({"issued_at": "2018-01-02 10:00Z"}, "column 'issued_at': expected a naive stamp"),
        ({"weight": 1}, "unknown column 'weight'"),
    ],
)
def test_a_row_that_cannot_be_is_refused(change, message):
    row = {"issued_at": "2018-01-02", "text": "small", "sentiment": -1, "impact": 1}
    assert len(Factors.from_frame(pd.DataFrame([row]))) == 1
    with pytest.raises(DataError, match=message):
        Factors.from_frame(pd.DataFrame([row | change]))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"there is no file of factors .*; write one with: llmguide guide --factors FILE"
    ):
        Factors.read(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"expected a file ending in \.parquet or \.csv, got 'factors.txt'; rename it"):
        NEWS.save(tmp_path / "factors.txt")
    (tmp_path / "more.csv").write_text("issued_at,text,sentiment,impact\n2018-01-02,small, matter,-1,1\n")
    with pytest.raises(DataError, match="more fields than the header; quote texts"):
        Factors.read(tmp_path / "more.csv")
    (tmp_path / "broken.parquet").write_bytes(b"no")
    with pytest.raises(DataError, match="is not a readable parquet file"):
        Factors.read(tmp_path / "broken.parquet")
    with pytest.raises(DataError, match=r"expected factors as a frame with the columns .*, got int"):
        as_factors(3)
