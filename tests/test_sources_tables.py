"""External tables are known from their publication on, and nothing that cannot be true gets in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.errors import DataError, DataWarning
from llmguide.sources import kinds
from llmguide.sources.tables import Tables, read_table


@pytest.fixture
def market() -> pd.DataFrame:
    return pd.DataFrame({"date": ["2018-01-02", "2018-01-03"], "SPX": [2696.0, 2713.0], "VIX": [9.8, None]})


@pytest.fixture
def macro() -> pd.DataFrame:
    rows = [
        ("2018-01-26 08:30", "GDP", "2017-12-31", 19739.0),
        ("2018-02-28 08:30", "GDP", "2017-12-31", 19737.0),
        ("2018-02-01", "PMI", "2018-01-31", 59.1),
    ]
    return pd.DataFrame(rows, columns=["published_at", "series", "period_end", "value"])


@pytest.fixture
def fundamentals() -> pd.DataFrame:
    rows = [("2018-02-02 16:05", "2017-12-30", 0.384, 88.3e9), ("2017-11-03", "2017-09-30", 0.379, None)]
    return pd.DataFrame(rows, columns=["published_at", "period_end", "gross_margin", "revenue"])


@pytest.fixture
def options() -> pd.DataFrame:
    return pd.DataFrame({"date": ["2018-01-02"], "otm_skew": [0.05], "implied_volatility": [0.22]})


@pytest.fixture
def news() -> pd.DataFrame:
    rows = [("2018-01-03", "NA", "of a date only"), ("2018-01-02 09:31:00", "A headline, quoted", None)]
    return pd.DataFrame(rows, columns=["published_at", "headline", "summary"])


@pytest.fixture
def every_kind(market, macro, fundamentals, options, news) -> dict[str, pd.DataFrame]:
    kinds = {"market": market, "macro": macro, "fundamentals": fundamentals, "options": options, "news": news}
    return dict(kinds)


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text)


def test_a_days_close_is_public_at_four_in_the_afternoon(market):
    read = read_table("market", market)
    assert read["published_at"].tolist() == [at("2018-01-02 16:00"), at("2018-01-03 16:00")]


def test_a_user_says_when_a_days_close_became_public_elsewhere(market):
    later = market.assign(published_at=["2018-01-03 06:00", "2018-01-04 06:00"])
    assert read_table("market", later)["published_at"].tolist() == [at("2018-01-03 06:00"), at("2018-01-04 06:00")]


def test_a_publication_without_an_hour_counts_from_the_end_of_its_day(macro, news):
    for kind, frame in (("macro", macro.iloc[2:]), ("news", news.iloc[:1])):
        tables = Tables(**{kind: frame})
        day = frame["published_at"].iloc[0]
        assert len(getattr(tables.until(at(f"{day} 23:59:59")), kind)) == 0
        assert len(getattr(tables.until(at(day) + pd.Timedelta(days=1)), kind)) == 1


def test_rows_come_back_sorted_by_publication_with_plain_types(every_kind):
    for kind, frame in every_kind.items():
        read = read_table(kind, frame)
        assert read["published_at"].is_monotonic_increasing
        assert read["published_at"].dtype == np.dtype("datetime64[ns]")
        assert read.columns[0] == "published_at"
        for name in {"SPX", "value", "revenue", "otm_skew"} & set(read.columns):
            assert read[name].dtype == np.float64
    assert read_table("news", every_kind["news"])["summary"].tolist() == ["", "of a date only"]


@pytest.mark.parametrize("kind", ["market", "macro", "fundamentals", "options", "news"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_was_read_once_reads_the_same_again(every_kind, kind, suffix, tmp_path):
    once = read_table(kind, every_kind[kind])
    path = tmp_path / f"{kind}.{suffix}"
    (once.to_csv(path, index=False) if suffix == "csv" else once.to_parquet(path))
    for again in (read_table(kind, once), read_table(kind, path)):
        pd.testing.assert_frame_equal(again, once)


def test_the_input_is_never_modified(every_kind):
    for kind, frame in every_kind.items():
        before = frame.copy()
        read_table(kind, frame)
        pd.testing.assert_frame_equal(frame, before)


def test_dates_may_be_the_index_and_names_may_have_any_case(market):
    indexed = market.rename(columns={"SPX": "spx"}).set_index(pd.DatetimeIndex(market["date"], name="Date"))
    pd.testing.assert_frame_equal(read_table("market", indexed.drop(columns="date")), read_table("market", market))


def test_a_headline_that_reads_like_a_missing_value_is_a_headline(news, tmp_path):
    news.to_csv(tmp_path / "news.csv", index=False)
    assert read_table("news", tmp_path / "news.csv")["headline"].tolist() == ["A headline, quoted", "NA"]


def test_a_column_without_any_value_is_left_out(market):
    assert "NDX" not in read_table("market", market.assign(NDX=["", "."]))


def write(folder: Path, every_kind, *, symbol: str = "AAPL") -> Path:
    (folder / symbol).mkdir(parents=True)
    for kind, frame in every_kind.items():
        place = folder if kind in ("market", "macro") else folder / symbol
        frame.to_csv(place / f"{kind}.csv", index=False)
    return folder


def test_a_folder_has_tables_for_all_instruments_and_tables_of_each(every_kind, tmp_path):
    folder = write(tmp_path / "tables", every_kind)
    tables = Tables.read(folder, "AAPL")
    assert [kind for kind, _ in tables.items()] == list(every_kind)
    assert tables.hash == Tables(**every_kind).hash
    (folder / "MSFT").mkdir()  # empty: it has no tables of its own
    other = Tables.read(str(folder), "MSFT")
    assert [kind for kind, _ in other.items()] == ["market", "macro"]
    assert other.news is None


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("aapl", r"no folder 'aapl'; did you mean 'AAPL'\? \(only AAPL\)"),
        ("APPL", r"no folder 'APPL'; did you mean 'AAPL'"),
        ("train", r"no folder 'train' \(only AAPL\); give the name of its folder \(with --symbol"),
    ],
)
def test_a_symbol_that_no_folder_has_is_refused_where_others_have_one(every_kind, tmp_path, symbol, message):
    folder = write(tmp_path / "tables", every_kind)
    with pytest.raises(DataError, match=message):
        Tables.read(folder, symbol)
    with pytest.raises(DataError, match=message):
        Tables.read_many(folder, [symbol])


def test_a_folder_of_names_alone_counts_as_that_of_an_instrument(every_kind, tmp_path):
    folder = write(tmp_path / "tables", {kind: every_kind[kind] for kind in ("market", "macro")})
    assert [kind for kind, _ in Tables.read(folder, "train").items()] == ["market", "macro"]
    (folder / "AAPL" / "names.csv").write_text("name,kind\n", encoding="utf-8")
    with pytest.raises(DataError, match="no folder 'train'"):
        Tables.read(folder, "train")


def test_tables_that_only_some_of_many_instruments_have_are_told_once(every_kind, tmp_path):
    folder = write(tmp_path / "tables", every_kind)
    with pytest.warns(DataWarning, match=r"no folder of KO, MSFT \(2 of 3 instruments\)") as told:
        many = Tables.read_many(folder, ["KO", "AAPL", "MSFT"])
    assert len([one for one in told if issubclass(one.category, DataWarning)]) == 1
    assert [len(list(tables.items())) for tables in many.values()] == [2, 5, 2]
    assert many["AAPL"].hash == Tables.read(folder, "AAPL").hash
    for symbols, message in ((["KO", "MSFT"], "no folder 'KO'"), (["AAPL", "aapl"], "did you mean 'AAPL'")):
        with pytest.raises(DataError, match=message):
            Tables.read_many(folder, symbols)


def test_a_suffix_may_have_any_case(every_kind, tmp_path):
    folder = write(tmp_path / "tables", every_kind)
    (folder / "AAPL" / "news.csv").rename(folder / "AAPL" / "news.CSV")
    (folder / "market.csv").unlink()
    every_kind["market"].to_parquet(folder / "market.Parquet")
    assert Tables.read(folder, "AAPL").hash == Tables(**every_kind).hash


def test_until_keeps_what_was_public_at_that_moment_and_not_a_second_more(every_kind):
    tables = Tables(**every_kind)
    moment = at("2018-02-02 16:05")
    cut = tables.until(moment)
    assert len(cut.fundamentals) == 2  # the one of that very minute is public
    assert len(tables.until(moment - pd.Timedelta(seconds=1)).fundamentals) == 1
    assert cut.macro["value"].tolist() == [19739.0, 59.1]
    assert [len(frame) for _, frame in tables.until(at("1990-01-01")).items()] == [0] * 5


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.integers(0, 50))
def test_until_is_a_filter_on_publication(days, moment):
    stamps = [at("2018-01-01 10:00") + pd.Timedelta(days=day) for day in days]
    news = pd.DataFrame({"published_at": stamps, "headline": [str(day) for day in days]})
    cut = Tables(news=news).until(at("2018-01-01 10:00") + pd.Timedelta(days=moment))
    assert cut.news["headline"].tolist() == [str(day) for day in sorted(day for day in days if day <= moment)]


def test_the_hash_tells_any_two_different_tables_apart(every_kind):
    tables = Tables(**every_kind)
    assert tables.hash == Tables(**every_kind).hash
    changes = {
        "market": ("SPX", 1.0),
        "macro": ("published_at", "2018-01-26 08:31"),
        "fundamentals": ("gross_margin", 0.1),
        "options": ("otm_skew", -0.05),
        "news": ("headline", "Another"),
    }
    hashes = {tables.hash, Tables().hash, tables.until(at("2018-01-02 16:00")).hash}
    for kind, (column, value) in changes.items():
        frame = every_kind[kind].copy()
        frame.loc[0, column] = value
        hashes.add(Tables(**{**every_kind, kind: frame}).hash)
        hashes.add(Tables(**{other: table for other, table in every_kind.items() if other != kind}).hash)
    assert len(hashes) == 3 + 2 * len(changes)


@pytest.mark.parametrize(
    ("kind", "column", "value", "message"),
    [
        ("market", "date", "02/01/2018", r"row 1, column 'date': expected a date or time like 2018-01-31"),
        ("market", "date", None, r"row 1, column 'date': expected a date"),
        ("market", "date", "2018-01-02 09:30", r"a date without a time of day"),
        ("market", "SPX", "2,696", r"row 1, column 'SPX': expected a finite number, or nothing, got '2,696'"),
        ("market", "SPX", np.inf, r"expected a finite number"),
        ("market", "SPX", 0.0, r"a close above zero, got '0.0'"),
        ("macro", "published_at", "2018-01-26T08:30:00Z", r"a naive stamp in the exchange's own time"),
        ("macro", "published_at", "2018-01-26 08:30-05:00", r"drop the zone"),
        ("macro", "series", "GPD", r"row 1: expected a series of GDP, .* did you mean 'GDP'"),
        ("macro", "value", ".", r"column 'value': expected a number, got 'nan'; leave the row out"),
        ("fundamentals", "gross_margin", 38.4, r"a fraction, 0.38 for 38 %, got '38.4'"),
        ("fundamentals", "published_at", "2017-12-30 18:00", r"a filing after its period's end"),
        ("options", "implied_volatility", 22.0, r"a fraction a year, 0.25 for 25 %"),
        ("news", "headline", "  ", r"expected a headline"),
        ("news", "headline", 3, r"column 'headline': expected a text, got '3'"),
    ],
)
def test_what_cannot_be_true_is_refused_with_its_row_and_column(every_kind, kind, column, value, message):
    frame = every_kind[kind].astype(object)
    frame.loc[0, column] = value
    with pytest.raises(DataError, match=message):
        read_table(kind, frame)


def test_a_time_zone_of_a_whole_column_is_refused_too(macro):
    zoned = macro.assign(published_at=pd.to_datetime(macro["published_at"], format="ISO8601").dt.tz_localize("UTC"))
    with pytest.raises(DataError, match="naive stamp"):
        read_table("macro", zoned)


@pytest.mark.parametrize(
    "stamp",
    [
        "2018",
        "2018-06",
        "2018/06",
        "201806",
        2018,
        pd.Period("2018-06", "M"),
        "2018-06-04 10",
        "2018-06-04T10",
        "10:30",
    ],
)
@pytest.mark.parametrize(("kind", "column"), [("news", "published_at"), ("market", "date"), ("macro", "period_end")])
def test_a_stamp_without_a_day_or_without_minutes_is_refused(every_kind, kind, column, stamp):
    frame = every_kind[kind].astype(object)
    frame.loc[0, column] = stamp
    with pytest.raises(DataError, match=rf"row 1, column '{column}': expected a date or time like 2018-01-31 or"):
        read_table(kind, frame)


@pytest.mark.parametrize("zone", ["Z", " UTC", "+00:00", "+0000", "-05", "+05", " -05", " EST", " America/New_York"])
@pytest.mark.parametrize(
    "time", ["2018-01-02 10:00", "2018-01-02T10:00:00", "20180102T100000", "2018-01-02T10:00:00.5"]
)
def test_a_time_zone_is_refused_however_it_is_written(news, time, zone):
    for stamps in ([time + zone, time + zone], ["2018-01-02 10:00", time + zone]):
        with pytest.raises(
            DataError, match=r"expected a naive stamp in the exchange's own time, .*; convert it and drop"
        ):
            read_table("news", news.assign(published_at=stamps))


@pytest.mark.parametrize("stamp", ["0218-05-01", "1500-01-01", "9999-12-31", "15000101"])
def test_a_year_that_cannot_be_meant_is_refused(news, stamp):
    parsed = pd.to_datetime(pd.Series([stamp, stamp]), format="ISO8601").astype("datetime64[s]")
    for stamps in ([stamp, "2018-01-02"], parsed):
        with pytest.raises(DataError, match="row 1, column 'published_at': expected a year from 1700 to 2199"):
            read_table("news", news.assign(published_at=stamps))


@pytest.mark.parametrize("stamp", ["2018-06-04 09:30", "2018/6/4 9:30", "20180604T0930", "20180604 093000.000"])
def test_a_stamp_may_be_written_in_several_ways(news, stamp):
    assert read_table("news", news.assign(published_at=stamp))["published_at"].tolist() == [at("2018-06-04 09:30")] * 2


def test_a_day_is_public_at_noon_at_the_earliest(market, options):
    for kind, frame in (("market", market.iloc[:1]), ("options", options)):
        read_table(kind, frame.assign(published_at="2018-01-02 12:00"))
        for early in ("2018-01-01 16:00", "2018-01-01", "2018-01-02 11:59"):
            with pytest.raises(DataError, match="expected noon of the row's own date, or later"):
                read_table(kind, frame.assign(published_at=early))


@pytest.mark.parametrize(
    ("series", "early", "message", "first"),
    [
        ("GDP", "2018-06-30", "a release after its period_end", "2018-07-01"),
        ("M2", "2018-06-30 16:00", "a release after its period_end", "2018-07-01 08:30"),
        ("PPI", "2018-05-01", "a release after its period_end", "2018-07-12 08:30"),
        ("PMI", "2018-05-31", "a release in the month of its period_end, or later", "2018-06-22 09:45"),
        ("CCI", "2018-05-31 10:00", "a release in the month of its period_end, or later", "2018-06-15 10:00"),
        ("DGS10", "2018-06-30 09:00", "noon of its period_end, or later", "2018-06-30 15:30"),
        ("T10Y2Y", "2018-06-29", "noon of its period_end, or later", "2018-06-30"),
    ],
)
def test_no_figure_is_public_before_it_can_be_known(series, early, message, first):
    row = {"published_at": [first], "series": [series], "period_end": ["2018-06-30"], "value": [50.0]}
    assert len(read_table("macro", pd.DataFrame(row))) == 1
    with pytest.raises(DataError, match=f"row 1, column 'published_at': expected {message}"):
        read_table("macro", pd.DataFrame(row).assign(published_at=early))


def quarters(**columns) -> pd.DataFrame:
    ends = pd.date_range("2017-03-31", periods=4, freq="QE")
    return pd.DataFrame({"published_at": ends + pd.Timedelta(days=40), "period_end": ends, **columns})


@pytest.mark.parametrize("name", kinds.MARGINS)
def test_margins_in_percent_are_refused(name):
    percent = quarters(**{name: [38.0, 0.5, 21.0, None]})
    amounts = {"revenue": [100.0] * 4, "net_income": [30.0] * 4}
    for frame in (percent, percent.assign(**{name: [38.0] * 4}), percent.assign(**amounts)):
        with pytest.raises(DataError, match=rf"row 1, column '{name}': expected a fraction, 0.38 for 38 %, got '38.0'"):
            read_table("fundamentals", frame)
    losses = percent.assign(**{name: [-38.0, -12.0, -20.0, -3.0]})
    with pytest.raises(DataError, match=r"a fraction, .*; divide the column by 100, or leave it out"):
        read_table("fundamentals", losses)


def test_a_small_net_margin_in_percent_is_found_by_revenue_and_income():
    thin = {"revenue": [100.0] * 4, "net_income": [0.8, 0.9, 0.7, 0.6]}
    with pytest.raises(DataError, match=r"'net_margin': expected a fraction, 0\.38 for 38 %, got '0\.8'"):
        read_table("fundamentals", quarters(net_margin=[0.8, 0.9, 0.7, 0.6]).assign(**thin))
    assert len(read_table("fundamentals", quarters(net_margin=[0.008, 0.009, 0.007, 0.006]).assign(**thin))) == 4


def test_true_margins_beyond_one_are_read():
    one = quarters(operating_margin=[0.2, -3.5, 0.25, 0.3], net_margin=[0.1, 2.5, 0.2, None])
    assert len(read_table("fundamentals", one)) == 4
    losses = [-900.0, -700.0, -800.0, -600.0]
    tiny = quarters(operating_margin=[-45.0, -36.0, -41.0, -29.0], net_margin=[-45.0, -35.0, -40.0, -30.0])
    assert len(read_table("fundamentals", tiny.assign(revenue=20.0, net_income=losses))) == 4


def test_the_same_row_twice_is_refused_and_a_revision_is_not(market, macro):
    assert len(read_table("macro", macro)) == 3
    with pytest.raises(DataError, match="row 3 has the same date and published_at"):
        read_table("market", pd.concat([market, market.iloc[:1]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"SPX": "SPY"}}, "unknown column 'SPY'; did you mean 'SPX'"),
        ({"columns": {"date": "Datum"}}, "unknown column 'Datum'"),
        ({"columns": {"VIX": "spx"}}, "expected one column 'SPX', got two"),
    ],
)
def test_columns_that_are_not_known_or_double_are_refused(market, change, message):
    with pytest.raises(DataError, match=message):
        read_table("market", market.rename(**change))
    with pytest.raises(DataError, match="no column 'date'"):
        read_table("market", market.drop(columns="date"))


def test_other_things_than_tables_are_refused(market, tmp_path):
    with pytest.raises(DataError, match="did you mean 'market'"):
        read_table("markets", market)
    with pytest.raises(DataError, match="as a path or a pandas DataFrame, got list"):
        read_table("market", [1])
    with pytest.raises(DataError, match="there is no file"):
        read_table("market", tmp_path / "market.csv")
    (tmp_path / "market.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match="neither a CSV"):
        read_table("market", tmp_path / "market.parquet")
    (tmp_path / "market.csv").write_bytes(b"date,SPX\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="neither a CSV"):
        read_table("market", tmp_path / "market.csv")
    (tmp_path / "market.csv").write_bytes(b"")
    with pytest.raises(DataError, match="neither a CSV"):
        read_table("market", tmp_path / "market.csv")


def test_a_folder_that_holds_no_table_or_a_mistyped_one_is_refused(every_kind, tmp_path):
    with pytest.raises(DataError, match="there is no folder of tables"):
        Tables.read(tmp_path / "none", "AAPL")
    with pytest.raises(DataError, match="holds no table"):
        Tables.read(tmp_path, "AAPL")
    folder = write(tmp_path / "tables", every_kind)
    with pytest.raises(DataError, match="can name a folder"):
        Tables.read(folder, "../AAPL")
    for neighbour in ("MARA.csv", "AAPL/names.csv"):
        (folder / neighbour).write_text("neither is a table\n")
    Tables.read(folder, "AAPL")
    (folder / "marco.csv").write_text("published_at\n")
    with pytest.raises(DataError, match="did you mean 'macro'"):
        Tables.read(folder, "AAPL")
    (folder / "marco.csv").rename(folder / "macro.parquet")
    with pytest.raises(DataError, match=r"one table 'macro' in .*, got macro.csv and macro.parquet"):
        Tables.read(folder, "AAPL")


def test_a_moment_with_a_time_zone_is_refused(every_kind):
    for wrong in (pd.Timestamp("2018-01-02", tz="UTC"), pd.NaT):
        with pytest.raises(DataError, match="naive time"):
            Tables(**every_kind).until(wrong)


def test_every_documented_column_is_one_that_is_read():
    documented = (Path(kinds.__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
    for name in (*kinds.INDICES, *kinds.SERIES, *kinds.FUNDAMENTALS, *kinds.OPTIONS):
        assert f"`{name}`" in documented
