"""The guidance table: what goes in, what a bar may see, what comes back from a file."""

from __future__ import annotations

import math
import pickle
from dataclasses import FrozenInstanceError
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmguide.errors import GuidanceError
from llmguide.guidance import Guidance, GuidanceRow

ROW = {"issued_at": "2018-01-02", "direction": 1, "confidence": 2, "entropy": 0.5}

stamps = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def rows(draw, *, when=stamps):
    direction = draw(st.sampled_from([1, 0, None]))
    return {
        "issued_at": draw(when),
        "direction": direction,
        "confidence": None if direction is None else draw(st.integers(1, 3)),
        "entropy": draw(st.none() | st.floats(0, 1)),
        "perplexity": draw(st.none() | st.floats(1, 1e9)),
        "explanation": draw(texts),
        "provider": draw(texts),
        "model": draw(texts),
        "direction_entropy": draw(st.none() | st.floats(0, 1)),
        "confidence_entropy": draw(st.none() | st.floats(0, 1)),
        "prompt_version": draw(texts),
        "prompt_hash": draw(texts),
        "fingerprint": draw(texts),
        "uses_future": draw(st.booleans()),
    }


def tables(when=stamps, **size):
    listed = st.lists(rows(when=when), unique_by=lambda row: row["issued_at"], max_size=8, **size)
    return listed.map(lambda found: Guidance.from_rows(sorted(found, key=lambda row: row["issued_at"])))


def seen_by(guidance: Guidance, bar: datetime) -> GuidanceRow | None:
    """The rule of visibility, spelled out row by row."""
    midnight = datetime(bar.year, bar.month, bar.day)
    visible = [row for row in guidance.rows if row.issued_at <= midnight]
    return visible[-1] if visible else None


def test_strength_and_tau_are_computed():
    frame = Guidance.from_rows([ROW, ROW | {"issued_at": "2018-02-01", "direction": 0, "entropy": None}]).frame
    np.testing.assert_allclose(frame["strength"], [0.3366666666666667, 2 / 3], rtol=1e-14)
    np.testing.assert_allclose(frame["tau"], [0.3366666666666667, -2 / 3], rtol=1e-14)


def test_given_strength_and_tau_must_agree():
    kept = Guidance.from_rows([ROW | {"strength": 0.3366666666666667, "tau": 0.3366666666666667}])
    assert kept == Guidance.from_rows([ROW])
    with pytest.raises(GuidanceError, match=r"row 0 .*'tau': expected 0\.336666667.*got -0\.3.*leave the column out"):
        Guidance.from_rows([ROW | {"tau": -0.3366666666666667}])
    with pytest.raises(GuidanceError, match=r"'strength': expected 0\.336666667"):
        Guidance.from_rows([ROW | {"strength": 1.0}])


def test_what_is_left_out_is_missing_or_empty():
    (row,) = Guidance.from_rows([{"issued_at": date(2018, 1, 2), "direction": None, "confidence": pd.NA}]).rows
    assert row == GuidanceRow(datetime(2018, 1, 2), *[None] * 6, 0.0, 0.0, *[""] * 6, False)


def test_the_frame_has_nullable_integers_and_can_be_given_back():
    guidance = Guidance.from_rows([ROW, {"issued_at": "2018-02-01", "direction": None, "confidence": None}])
    frame = guidance.frame
    assert list(frame.columns) == list(GuidanceRow._fields)
    assert frame["direction"].dtype == "Int8"
    assert frame["confidence"].dtype == "Int8"
    assert frame["direction"].isna().tolist() == [False, True]
    assert Guidance.from_rows(frame) == guidance
    assert Guidance.from_rows(guidance.rows) == guidance


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"direction": 2}, r"row 0 \(issued 2018-01-02 .*'direction': expected 1 \(long\), 0 \(short\).*got 2"),
        ({"direction": "LONG"}, "'direction'.*got 'LONG'"),
        ({"direction": True}, "'direction'.*got True"),
        ({"direction": None}, "'direction': expected a value beside confidence 2"),
        ({"confidence": None}, "'confidence': expected a value beside direction 1.*neither to abstain"),
        ({"confidence": 0}, "'confidence': expected 1, 2 or 3, got 0"),
        ({"confidence": 2.5}, r"'confidence': expected 1, 2 or 3, got 2\.5; map the scale"),
        ({"entropy": 1.01}, r"'entropy': expected 0\.\.1 or missing, got 1\.01; divide eq\. 4 by"),
        ({"entropy": -0.01}, "'entropy'"),
        ({"perplexity": 0.99}, "'perplexity': expected >= 1 or missing"),
        ({"perplexity": math.inf}, "'perplexity'"),
        ({"explanation": 3}, "'explanation': expected a text"),
        ({"explanation": "\ud83d"}, "'explanation': .*UTF-8"),
        ({"uses_future": None}, "'uses_future': expected True or False"),
        ({"uses_future": "maybe"}, "'uses_future'"),
        ({"issued_at": None}, "'issued_at': expected a naive date.*got None"),
        ({"issued_at": pd.NaT}, "'issued_at'.*got NaT"),
        ({"issued_at": 20180102}, "'issued_at'.*got 20180102"),
        ({"issued_at": "02/01/2018"}, "'issued_at'.*got '02/01/2018'; write it like 2018-01-02"),
        ({"issued_at": "2018-01-02T09:00:00Z"}, "time zone; convert it to the exchange's own time"),
        ({"issued_at": pd.Timestamp("2018-01-02", tz="America/New_York")}, "time zone"),
        ({"issued_at": pd.Timestamp("2018-01-02").as_unit("ns") + pd.Timedelta(1, "ns")}, "microseconds"),
        ({"confidnce": 2}, "unknown column 'confidnce'; did you mean 'confidence'"),
        ({"zzz": 2}, "unknown column 'zzz'; known: issued_at, direction"),
    ],
)
def test_a_bad_value_is_refused_with_its_place_and_the_fix(change, message):
    with pytest.raises(GuidanceError, match=message):
        Guidance.from_rows([ROW | change])


def test_the_message_counts_rows_from_zero():
    with pytest.raises(GuidanceError, match=r"row 1 \(issued 2018-02-01 00:00:00\), column 'entropy'"):
        Guidance.from_rows([ROW, ROW | {"issued_at": "2018-02-01", "entropy": 7}])


@pytest.mark.parametrize("second", ["2018-01-02", "2018-01-01"])
def test_dates_must_increase_strictly(second):
    with pytest.raises(GuidanceError, match="row 1, column 'issued_at': expected later than row 0"):
        Guidance.from_rows([ROW, ROW | {"issued_at": second}])


def test_needed_columns_are_asked_for():
    with pytest.raises(GuidanceError, match="the frame: column 'confidence' is missing"):
        Guidance.from_rows(pd.DataFrame({"issued_at": [], "direction": []}))
    with pytest.raises(GuidanceError, match="row 0: column 'direction' is missing"):
        Guidance.from_rows([{"issued_at": "2018-01-02", "confidence": 1}])
    with pytest.raises(GuidanceError, match="row 0: expected a mapping"):
        Guidance.from_rows(["2018-01-02"])
    with pytest.raises(GuidanceError, match="'direction' appears 2 times"):
        Guidance.from_rows(
            pd.DataFrame([["2018-01-02", 1, 0, 2]], columns=["issued_at", *["direction"] * 2, "confidence"])
        )


def test_a_table_cannot_be_changed():
    guidance = Guidance.from_rows([ROW])
    frame = guidance.frame
    frame.loc[0, "direction"] = 0
    given_frame = guidance.frame
    copy = Guidance.from_rows(given_frame)
    given_frame.loc[0, "direction"] = 0
    guidance.tau(pd.DatetimeIndex(["2018-01-03"]))[0] = -1.0
    assert copy == guidance == Guidance.from_rows([ROW])
    assert guidance.tau(pd.DatetimeIndex(["2018-01-03"]))[0] > 0
    with pytest.raises(FrozenInstanceError):
        guidance.rows = ()


def test_guidance_is_never_visible_before_the_day_after_an_evening_issue():
    guidance = Guidance.from_rows([ROW | {"issued_at": "2018-01-02 18:00"}])
    index = pd.DatetimeIndex(["2018-01-02", "2018-01-02 23:59", "2018-01-03"])
    assert guidance.align(index)["direction"].tolist()[2] == 1.0
    assert guidance.align(index)["direction"].isna().tolist() == [True, True, False]


def test_guidance_of_midnight_is_seen_by_every_bar_of_that_day():
    guidance = Guidance.from_rows([ROW])
    index = pd.DatetimeIndex(["2018-01-01 23:59", "2018-01-02", "2018-01-02 09:30", "2018-03-01"])
    assert (guidance.tau(index) != 0).tolist() == [False, True, True, True]


def test_before_the_first_row_there_is_no_guidance():
    aligned = Guidance.from_rows([ROW]).align(pd.DatetimeIndex(["2018-01-01"], name="date"))
    assert aligned.index.name == "date"
    assert aligned[["direction", "confidence", "entropy", "issued_at"]].isna().all(axis=None)
    assert aligned[["strength", "tau"]].to_numpy().tolist() == [[0.0, 0.0]]


def test_an_abstention_ends_the_guidance_before_it():
    guidance = Guidance.from_rows([ROW, {"issued_at": "2018-02-01", "direction": None, "confidence": None}])
    aligned = guidance.align(pd.DatetimeIndex(["2018-01-31", "2018-02-01"]))
    assert aligned["tau"].tolist() == [pytest.approx(0.3366666666666667), 0.0]
    assert aligned["direction"].isna().tolist() == [False, True]


def test_an_empty_table_says_nothing():
    empty = Guidance.from_rows([])
    index = pd.date_range("2018-01-01", periods=2)
    assert (len(empty), empty.at(date(2018, 1, 1)), empty.tau(index).tolist()) == (0, None, [0.0, 0.0])
    assert empty.align(index)["issued_at"].isna().all()
    assert empty.align(index).dtypes.to_dict() == Guidance.from_rows([ROW]).align(index).dtypes.to_dict()


@given(tables(), st.lists(stamps, max_size=8), st.sampled_from(["s", "ms", "us", "ns"]))
def test_align_tau_and_at_agree_with_the_rule_spelled_out(guidance, bars, unit):
    edges = [row.issued_at + timedelta(microseconds=shift) for row in guidance.rows for shift in (-1, 0, 1)]
    bars = [*bars, *edges, *(edge + timedelta(days=1) for edge in edges)]
    index = pd.DatetimeIndex(bars).as_unit(unit)
    aligned = guidance.align(index)
    for position, bar in enumerate(index.to_pydatetime()):
        expected = seen_by(guidance, bar)
        found = aligned.iloc[position]
        assert guidance.at(bar) == guidance.at(bar.date()) == expected
        if expected is None:
            assert found[["direction", "confidence", "entropy", "issued_at"]].isna().all()
            assert (found["strength"], found["tau"]) == (0.0, 0.0)
        else:
            for name in ("direction", "confidence", "entropy", "strength", "tau"):
                value = getattr(expected, name)
                assert math.isnan(found[name]) if value is None else found[name] == value
            assert found["issued_at"] == expected.issued_at
    np.testing.assert_array_equal(guidance.tau(index), aligned["tau"].to_numpy())


@given(tables(), stamps, st.data())
def test_changing_all_rows_after_a_bar_changes_nothing_up_to_it(guidance, bar, data):
    kept = [row for row in guidance.rows if row.issued_at <= bar]
    later = data.draw(tables(when=stamps.filter(lambda stamp: stamp > bar)))
    changed = Guidance((*kept, *later.rows))
    index = pd.DatetimeIndex([bar - timedelta(days=back) for back in (400, 30, 1, 0)])
    pd.testing.assert_frame_equal(changed.align(index), guidance.align(index))


def test_an_index_that_bars_cannot_have_is_refused():
    guidance = Guidance.from_rows([ROW])
    with pytest.raises(GuidanceError, match="expected the bars' DatetimeIndex, got RangeIndex"):
        guidance.align(pd.RangeIndex(3))
    with pytest.raises(GuidanceError, match="time zone UTC"):
        guidance.tau(pd.date_range("2018-01-01", periods=2, tz="UTC"))
    with pytest.raises(GuidanceError, match="got 1 missing ones"):
        guidance.align(pd.DatetimeIndex(["2018-01-01", None]))


def test_between_keeps_calendar_dates_with_both_ends():
    issues = ["2018-01-02", "2018-02-01", "2018-02-28 18:00", "2018-03-01"]
    guidance = Guidance.from_rows([ROW | {"issued_at": day} for day in issues])
    february = guidance.between("2018-02-01", date(2018, 2, 28))
    assert [str(row.issued_at) for row in february.rows] == ["2018-02-01 00:00:00", "2018-02-28 18:00:00"]
    assert len(guidance.between(end="2018-01-31")) == 1
    assert len(guidance.between(start="2018-03-02")) == 0
    assert guidance.between() == guidance
    assert Guidance.concat([guidance.between(end="2018-02-01"), guidance.between("2018-02-02")]) == guidance


def test_concat_refuses_tables_that_overlap():
    guidance = Guidance.from_rows([ROW])
    with pytest.raises(GuidanceError, match="row 1, column 'issued_at': expected later"):
        Guidance.concat([guidance, guidance])


@given(tables(), tables())
def test_hash_and_equality_say_the_same(one, other):
    again = Guidance.from_rows(one.frame)
    assert again == one
    assert again.hash == one.hash
    assert (one == other) == (one.hash == other.hash)


def test_every_column_counts_in_the_hash():
    changes = [
        {"issued_at": "2018-01-03"},
        {"direction": 0},
        {"confidence": 3},
        {"entropy": 0.25},
        {"perplexity": 1.5},
        {"explanation": "x"},
        {"provider": "x"},
        {"model": "x"},
        {"prompt_version": "x"},
        {"prompt_hash": "x"},
        {"fingerprint": "x"},
        {"direction_entropy": 0.25},
        {"confidence_entropy": 0.25},
        {"uses_future": True},
        {"symbol": "x"},
        {"seen_until": "2017-12-29"},
        {"seen_return": 0.5},
        {"p_long": 0.5},
        {"said_direction": 0},
        {"said_confidence": 3},
        {"recall": 0.5},
        {"p_calibrated": 0.5},
    ]
    hashes = {Guidance.from_rows([ROW | change]).hash for change in [{}, *changes]}
    assert len(hashes) == len(changes) + 1


def test_the_hash_is_the_same_on_every_machine():
    assert Guidance.from_rows([ROW | {"entropy": -0.0}]).hash == Guidance.from_rows([ROW | {"entropy": 0}]).hash
    assert Guidance.from_rows([ROW]).hash == "bf53442ad2eb17b8704bd2e4c83c6f36eeacb8dc5f7d02c1184bc2e7e94e54c0"


def test_a_control_is_marked_wherever_it_is_shown():
    guidance = Guidance.from_rows([ROW | {"provider": "oracle", "uses_future": True}])
    assert guidance.uses_future
    assert repr(guidance) == "Guidance(1 rows, 2018-01-02..2018-01-02, oracle, USES THE FUTURE)"
    assert not Guidance.from_rows([ROW]).uses_future
    assert "FUTURE" not in repr(Guidance.from_rows([ROW]))


@given(tables())
def test_a_table_travels_to_another_process(guidance):
    guidance.tau(pd.DatetimeIndex(["2018-01-03"]))
    travelled = pickle.loads(pickle.dumps(guidance))
    assert travelled == guidance
    assert travelled.at(date(2030, 1, 1)) == guidance.at(date(2030, 1, 1))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@settings(max_examples=30)
@given(guidance=tables())
def test_what_is_saved_is_read_back_exactly(tmp_path_factory, suffix, guidance):
    path = tmp_path_factory.mktemp("guidance") / f"table{suffix}"
    assert guidance.save(path) == path
    read = Guidance.read(path)
    assert read == guidance
    assert read.hash == guidance.hash
    pd.testing.assert_frame_equal(read.frame, guidance.frame, check_exact=True)


@pytest.mark.parametrize("suffix", [".csv", ".PARQUET"])
def test_explanations_survive_a_file_as_they_are(tmp_path, suffix):
    said = [
        'He said "no", twice;\nthen\r\nleft\rfor 日本 🙂',
        "",
        "NA",
        "nan",
        "  spaces  ",
        "\ufeffmark",
        "=1+1",
        "a\x00b",
    ]
    days = pd.date_range("2018-01-01", periods=len(said))
    guidance = Guidance.from_rows(
        [ROW | {"issued_at": day, "explanation": text} for day, text in zip(days, said, strict=True)]
    )
    guidance.save(tmp_path / f"table{suffix}")
    assert [row.explanation for row in Guidance.read(tmp_path / f"table{suffix}").rows] == said


def test_a_csv_written_by_hand_is_read(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "\ufeffissued_at,direction,confidence\n2018-01-02,1,3\n2018-02-01 18:00,,\n2018-03-01,0.0,2.0\n", "utf-8"
    )
    assert [row.tau for row in Guidance.read(path).rows] == [1.0, 0.0, pytest.approx(-2 / 3)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"issued_at,directon,confidence\n",
            "mine.csv: the frame: unknown column 'directon'; did you mean 'direction'",
        ),
        (b"issued_at,direction,confidence\n2018-01-02,1,9\n", "mine.csv: row 0 .*'confidence'.*got '9'"),
        (b"issued_at,direction,confidence\n2018-01-02,2018-01-02,1,2\n", "more fields than the header"),
        (b"issued_at,direction,confidence\n2018-01-02,1,2\n2018-01-03,1,2,7\n", "not a readable csv file"),
        (b"", "not a readable csv file"),
        (b"issued_at\xff\n", "not a readable csv file"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(GuidanceError, match=message):
        Guidance.read(path)


def test_a_file_that_is_not_there_or_of_no_known_kind_is_refused(tmp_path):
    with pytest.raises(GuidanceError, match=r"no guidance file at .*absent\.csv"):
        Guidance.read(tmp_path / "absent.csv")
    with pytest.raises(GuidanceError, match=r"ending in \.parquet or \.csv, got 'table\.xlsx'"):
        Guidance.read(tmp_path / "table.xlsx")
    with pytest.raises(GuidanceError, match=r"ending in \.parquet or \.csv"):
        Guidance.from_rows([ROW]).save(tmp_path / "table.txt")
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    with pytest.raises(GuidanceError, match="not a readable parquet file"):
        Guidance.read(tmp_path / "broken.parquet")


def test_what_the_model_recalls_never_reaches_a_bar():
    """A recall score is measured with the realised return: no way to see a table from a bar may show it."""
    plain = Guidance.from_rows([ROW, ROW | {"issued_at": "2018-02-01", "direction": 0}])
    scored = plain.with_recall({datetime(2018, 1, 2): 0.95, datetime(2018, 2, 1): 0.05})
    assert [row.recall for row in scored.rows] == [0.95, 0.05]
    days = pd.date_range("2018-01-01", "2018-03-01")
    pd.testing.assert_frame_equal(scored.align(days), plain.align(days))
    np.testing.assert_array_equal(scored.tau(days), plain.tau(days))
    assert [scored.at(day) for day in days] == [plain.at(day) for day in days]
    assert Guidance.from_rows(scored.frame) == scored != plain


def test_recall_of_other_months_is_refused():
    with pytest.raises(GuidanceError, match="expected recall scores of the table's months, got 1 of other months"):
        Guidance.from_rows([ROW]).with_recall({datetime(2019, 1, 2): 0.5})
    with pytest.raises(GuidanceError, match=r"'recall': expected a probability, 0\.\.1, or missing, got 1\.5"):
        Guidance.from_rows([ROW | {"recall": 1.5}])
