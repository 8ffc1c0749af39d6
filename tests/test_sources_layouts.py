"""Every usual layout of a table of bars is recognised; what is none is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from llmguide.bars import inspect_bars, read_bars, sample_bars
from llmguide.errors import DataError, DataWarning

N = 60


@pytest.fixture
def bars() -> pd.DataFrame:
    """Bars in order: nothing in them is to be reported."""
    dates = pd.bdate_range("2018-01-02", periods=N).to_numpy("datetime64[ns]")
    return sample_bars(years=1).iloc[:N].set_axis(pd.DatetimeIndex(dates, name="date"))


@pytest.fixture
def yahoo(bars: pd.DataFrame) -> pd.DataFrame:
    """`yfinance.Ticker.history(auto_adjust=False)`: midnights of New York, in seconds, winter and summer."""
    frame = bars.rename(columns=str.title).astype({"Volume": "int64"})
    frame.insert(4, "Adj Close", frame["Close"] * 0.9)
    frame["Dividends"] = 0.0
    frame["Stock Splits"] = 0.0
    return frame.set_axis(bars.index.as_unit("s").tz_localize("America/New_York").rename("Date"))


def quiet(source: object, **options: object) -> pd.DataFrame:
    """The bars of a source that gives nothing to report: a warning would be an error here."""
    return read_bars(source, **options)  # type: ignore[arg-type]  # sources of any kind are the point of these tests


def refuse(source: object, match: str, **options: object) -> str:
    with pytest.raises(DataError, match=match) as caught:
        read_bars(source, **options)  # type: ignore[arg-type]  # as above
    assert "\n" not in str(caught.value)
    return str(caught.value)


def yfinance_download(frame: pd.DataFrame, tickers: list[str], group_by: str) -> pd.DataFrame:
    """`yfinance.download`: naive dates, columns of (Price, Ticker), or (Ticker, Price) with group_by="ticker"."""
    wide = pd.concat(dict.fromkeys(tickers, frame), axis=1, names=["Ticker", "Price"])
    if group_by == "column":
        wide = wide.swaplevel(axis=1).sort_index(level=0, axis=1)
    return wide.set_axis(wide.index.tz_localize(None))


def test_a_frame_of_bars_comes_back_equal(bars: pd.DataFrame):
    assert_frame_equal(quiet(bars), bars, check_freq=True)


def test_yfinance_history_becomes_naive_exchange_dates(yahoo: pd.DataFrame, bars: pd.DataFrame):
    read = quiet(yahoo.drop(columns="Adj Close"))
    assert_frame_equal(read, bars)
    assert read.index.tz is None


def test_an_adjusted_close_is_ignored_and_reported_unless_renamed_by_the_user(yahoo: pd.DataFrame, bars: pd.DataFrame):
    with pytest.warns(DataWarning, match=f"Adj Close ignored, it differs from Close on {N} bars"):
        assert_frame_equal(read_bars(yahoo), bars)
    adjusted = yahoo.drop(columns="Close").rename(columns={"Adj Close": "Close"})
    read, _ = inspect_bars(adjusted)
    np.testing.assert_array_equal(read["close"], 0.9 * bars["close"])


@pytest.mark.parametrize("group_by", ["column", "ticker"])
def test_yfinance_download_of_one_ticker_is_read(yahoo: pd.DataFrame, bars: pd.DataFrame, group_by: str):
    frame = yfinance_download(yahoo[["Open", "High", "Low", "Close", "Volume"]], ["AAPL"], group_by)
    assert_frame_equal(quiet(frame), bars)


@pytest.mark.parametrize("group_by", ["column", "ticker"])
@pytest.mark.parametrize("as_csv", [False, True])
def test_yfinance_download_of_several_tickers_is_refused_by_name(
    yahoo: pd.DataFrame, tmp_path: Path, group_by: str, as_csv: bool
):
    frame = yfinance_download(yahoo, ["MSFT", "AAPL"], group_by)
    frame.to_csv(tmp_path / "two.csv")
    refuse(tmp_path / "two.csv" if as_csv else frame, r"2 tickers \(AAPL, MSFT\); select one")


@pytest.mark.parametrize("group_by", ["column", "ticker"])
@pytest.mark.parametrize("names", [("Ticker", "Price"), (None, None)])
@pytest.mark.parametrize("index_name", ["Date", None])
def test_the_header_of_a_saved_yfinance_download_is_understood(
    yahoo: pd.DataFrame, bars: pd.DataFrame, tmp_path: Path, group_by: str, names: tuple[str, str], index_name: str
):
    frame = yfinance_download(yahoo[["Open", "High", "Low", "Close", "Volume"]], ["OPEN"], group_by)
    frame.columns.names = names if group_by == "ticker" else names[::-1]
    frame.rename_axis(index_name).to_csv(tmp_path / "saved.csv")
    assert_frame_equal(quiet(tmp_path / "saved.csv"), bars)


def test_a_saved_yfinance_history_with_offsets_in_its_dates_is_read(
    yahoo: pd.DataFrame, bars: pd.DataFrame, tmp_path: Path
):
    yahoo.drop(columns="Adj Close").to_csv(tmp_path / "history.csv")
    text = (tmp_path / "history.csv").read_text()
    assert "2018-01-02 00:00:00-05:00" in text
    assert "2018-03-26 00:00:00-04:00" in text
    assert_frame_equal(quiet(tmp_path / "history.csv"), bars)


def test_vectorbt_frames_in_utc_get_the_date_of_the_exchange_when_its_zone_is_given(
    yahoo: pd.DataFrame, bars: pd.DataFrame
):
    frame = yahoo.drop(columns="Adj Close").tz_convert("UTC")
    assert str(frame.index[0]) == "2018-01-02 05:00:00+00:00"
    refuse(frame, "by the clock of UTC, which may be the midnight of another time zone")
    assert_frame_equal(quiet(frame, tz="America/New_York"), bars)


@pytest.mark.parametrize("as_csv", [False, True])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Europe/Berlin"])
def test_daily_bars_in_utc_that_may_belong_to_the_next_day_are_refused(
    bars: pd.DataFrame, tmp_path: Path, zone: str, as_csv: bool
):
    local = bars.tz_localize(zone)
    assert_frame_equal(quiet(local), bars)
    in_utc = local.tz_convert("UTC")
    in_utc.to_csv(tmp_path / "utc.csv")
    source = tmp_path / "utc.csv" if as_csv else in_utc
    refuse(source, "may belong to that day or to the next; give the exchange's time zone")
    assert_frame_equal(quiet(source, tz=zone), bars)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Hong_Kong"])  # 16:00 is Hong Kong's midnight in UTC
@pytest.mark.parametrize("aware", [False, True])
def test_daily_bars_stamped_at_the_close_get_their_date_in_the_exchanges_zone(
    bars: pd.DataFrame, zone: str, aware: bool
):
    at_close = bars.set_axis(bars.index + pd.Timedelta(hours=16))
    frame = at_close.tz_localize(zone) if aware else at_close
    refuse(frame, "daily bars are stamped 2018-01-02 16:00.*give the exchange's time zone")
    assert_frame_equal(quiet(frame, tz=zone), bars)


def test_intraday_stamps_are_kept_in_wall_time(bars: pd.DataFrame):
    stamps = pd.date_range("2018-01-02 09:30", periods=N, freq="30min", tz="America/New_York")
    read = quiet(bars.set_axis(stamps))
    assert list(read.index) == list(stamps.tz_localize(None))
    assert read.index.name == "date"


def alpha_vantage_csv(bars: pd.DataFrame, path: Path) -> Path:
    frame = bars.iloc[::-1].reset_index(names="timestamp").astype({"volume": "int64"})
    frame.to_csv(path, index=False)
    return path


def test_alpha_vantage_csv_is_turned_oldest_first_and_reported(bars: pd.DataFrame, tmp_path: Path):
    path = alpha_vantage_csv(bars, tmp_path / "daily_IBM.csv")
    assert path.read_text().startswith("timestamp,open,high,low,close,volume\n2018-03-26,")
    with pytest.warns(DataWarning, match="the newest bar came first: order reversed"):
        assert_frame_equal(read_bars(path), bars)


def test_alpha_vantage_json_as_a_frame_of_text_is_read(bars: pd.DataFrame):
    series = {
        f"{day:%Y-%m-%d}": {
            "1. open": str(row.open),
            "2. high": str(row.high),
            "3. low": str(row.low),
            "4. close": str(row.close),
            "5. adjusted close": str(row.close * 0.5),
            "6. volume": str(int(row.volume)),
            "7. dividend amount": "0.0000",
            "8. split coefficient": "1.0",
        }
        for day, row in bars.iloc[::-1].iterrows()
    }
    frame = pd.DataFrame(json.loads(json.dumps(series))).T
    read, report = inspect_bars(frame)
    assert_frame_equal(read, bars)
    assert report.reversed
    assert report.adjusted_ignored == N


def test_stooq_csv_of_its_site_is_read(bars: pd.DataFrame, tmp_path: Path):
    bars.rename(columns=str.title).rename_axis("Date").to_csv(tmp_path / "aapl_us_d.csv", lineterminator="\r\n")
    assert_frame_equal(quiet(tmp_path / "aapl_us_d.csv"), bars)


STOOQ = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"


def stooq_text(bars: pd.DataFrame, period: str = "D") -> str:
    rows = (
        f"AAPL.US,{period},{day:%Y%m%d},{day:%H%M%S},{r.open},{r.high},{r.low},{r.close},{r.volume:.0f},0"
        for day, r in bars.iterrows()
    )
    return "\n".join([STOOQ, *rows]) + "\n"


def test_stooq_bulk_file_is_read(bars: pd.DataFrame, tmp_path: Path):
    (tmp_path / "aapl.us.txt").write_text(stooq_text(bars))
    assert_frame_equal(quiet(tmp_path / "aapl.us.txt"), bars)
    assert_frame_equal(quiet(pd.read_csv(tmp_path / "aapl.us.txt")), bars)  # dates and times as integers


def test_stooq_intraday_file_keeps_its_times(bars: pd.DataFrame, tmp_path: Path):
    stamps = pd.date_range("2018-01-02 09:30", periods=N, freq="5min", name="date", unit="ns")
    (tmp_path / "5min.txt").write_text(stooq_text(bars.set_axis(stamps), period="5"))
    assert_frame_equal(quiet(tmp_path / "5min.txt"), bars.set_axis(pd.DatetimeIndex(stamps.to_numpy(), name="date")))


def test_a_time_column_of_hours_and_minutes_belongs_to_the_date(bars: pd.DataFrame):
    stamps = pd.date_range("2018-01-02 09:30", periods=N, freq="5min")
    split = bars.assign(Date=stamps.strftime("%Y-%m-%d"), Time=stamps.strftime("%H:%M")).reset_index(drop=True)
    assert list(quiet(split).index) == list(stamps)


def test_several_tickers_in_one_column_are_refused_by_name(bars: pd.DataFrame, tmp_path: Path):
    text = stooq_text(bars) + stooq_text(bars).replace("AAPL", "MSFT").split("\n", 1)[1]
    (tmp_path / "two.txt").write_text(text)
    refuse(tmp_path / "two.txt", r"2 tickers \(AAPL.US, MSFT.US\)")


@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz", "bars.parquet", "bars.data"])
def test_the_kind_of_file_is_told_by_its_content(bars: pd.DataFrame, tmp_path: Path, name: str):
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(bars.to_csv().encode()))
    elif name.endswith(".csv"):
        path.write_text("\ufeff" + bars.to_csv(), encoding="utf-8")  # a byte-order mark, as Excel writes it
    else:
        bars.to_parquet(path)
    assert_frame_equal(quiet(path), bars)
    assert_frame_equal(quiet(str(path)), bars)


def test_names_of_columns_may_differ_in_case_and_spaces(bars: pd.DataFrame):
    frame = bars.reset_index().set_axis([" DATE", "Open ", "HIGH", "lOw", " Close", "Vol"], axis=1)
    assert_frame_equal(quiet(frame), bars)


@pytest.mark.parametrize("name", ["Date", "timestamp", "Datetime", "time", "index", "Unnamed: 0", ""])
def test_the_date_column_is_found_by_its_name(bars: pd.DataFrame, name: str):
    assert_frame_equal(quiet(bars.reset_index(names=name)), bars)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S+0000"])
def test_dates_that_can_be_read_in_one_way_only_are_read(bars: pd.DataFrame, form: str):
    assert_frame_equal(quiet(bars.set_axis(bars.index.strftime(form))), bars)


def test_numbers_are_read_exactly(bars: pd.DataFrame, tmp_path: Path):
    bars.to_csv(tmp_path / "bars.csv")
    np.testing.assert_array_equal(quiet(tmp_path / "bars.csv").to_numpy(), bars.to_numpy())


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    refuse(tmp_path / "AAPL.csv", "there is no file .*AAPL.csv")
    refuse(tmp_path, "is a folder; name a file in it")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"\n\n", "neither a CSV nor a Parquet"),
        (b"Date,Open,High,Low,Close,Volume\n", "holds no bars"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "neither a CSV nor a Parquet"),
        (b"PAR1 but not really", "neither a CSV nor a Parquet"),
        (b"\x1f\x8b\x08 but not really", "neither a CSV nor a Parquet"),
        (b"Date,Close\n2018-01-02,1,2,3\n", "neither a CSV nor a Parquet"),
        (b"Date;Open;High;Low;Close;Volume\n2018-01-02;1;1;1;1;1\n", "too short: 1 bars"),
        (b'{\n    "Information": "rate limit"\n}\n', "neither an index of dates nor a column"),
    ],
)
def test_what_is_no_table_of_bars_is_refused(tmp_path: Path, content: bytes, match: str):
    (tmp_path / "bars.csv").write_bytes(content)
    refuse(tmp_path / "bars.csv", match)


@pytest.mark.parametrize("source", [None, 3, [1, 2], pd.Series([1.0])])
def test_what_is_neither_a_path_nor_a_frame_is_refused(source: object):
    refuse(source, "as a path or a pandas DataFrame, got")


def test_an_empty_frame_is_refused(bars: pd.DataFrame):
    refuse(bars.iloc[:0], "holds no bars")


def test_a_missing_column_is_refused_with_the_nearest_name(bars: pd.DataFrame):
    refuse(bars.rename(columns={"close": "Clsoe"}), "no column 'close'; did you mean 'Clsoe'")
    refuse(bars.rename(columns={"close": "Adj Close"}), "no column 'close'; did you mean 'Adj Close'")
    refuse(bars.drop(columns="high"), r"no column 'high' \(its columns: 'open', 'low', 'close', 'volume'\)")
    refuse(bars.rename(columns={"volume": "volumne"}), "no column 'volume'; did you mean 'volumne'")
    refuse(bars.reset_index(drop=True), "neither an index of dates nor a column 'date'")


def test_a_column_that_is_there_twice_is_refused(bars: pd.DataFrame, tmp_path: Path):
    twice = pd.concat([bars, bars[["close"]]], axis=1)
    twice.to_csv(tmp_path / "twice.csv")
    refuse(twice, "2 columns for 'close'")
    refuse(tmp_path / "twice.csv", "2 columns for 'close'")


def test_levels_of_columns_that_are_not_price_and_ticker_are_refused(bars: pd.DataFrame):
    refuse(pd.concat({"x": pd.concat({"AAPL": bars}, axis=1)}, axis=1), "3 levels of columns; expected")
    refuse(pd.concat({"AAPL": bars[["close"]]}, axis=1), r"expected \(price, ticker\)")


@pytest.mark.parametrize("bad", ["31.01.2018", "1/31/2018", "2018-02-30", "2018", "2018-01", "1514851200", "soon", ""])
def test_a_date_that_cannot_be_read_in_one_way_only_is_shown_with_its_row(bars: pd.DataFrame, bad: str):
    dates = bars.index.strftime("%Y-%m-%d").to_list()
    dates[7] = bad
    refuse(bars.assign(date=dates).reset_index(drop=True), rf"1 dates cannot be read, the first in row 8: '{bad}'")


def test_a_missing_date_is_refused(bars: pd.DataFrame):
    refuse(bars.set_axis(bars.index.where(bars.index != bars.index[3])), "1 dates cannot be read, the first in row 4")


def test_a_time_that_cannot_be_read_is_refused(bars: pd.DataFrame):
    refuse(bars.assign(time="noon").reset_index(), f"{N} dates cannot be read")


def test_a_running_bar_beside_the_daily_one_is_a_duplicate_and_not_an_intraday_bar(bars: pd.DataFrame):
    stamps = [*bars.index, bars.index[-1] + pd.Timedelta(hours=15)]
    refuse(pd.concat([bars, bars.iloc[-1:]]).set_axis(stamps), "1 duplicate dates")


DST = pd.bdate_range("2017-10-02", periods=120)  # clocks were set in Europe, America and Brazil within these


def dated(bars: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    return pd.concat([bars, bars]).set_axis(index)


SHIFTED = {
    "Tokyo by New York's clock": ("Asia/Tokyo", DST.tz_localize("Asia/Tokyo").tz_convert("America/New_York")),
    "Tokyo by Berlin's clock": ("Asia/Tokyo", DST.tz_localize("Asia/Tokyo").tz_convert("Europe/Berlin")),
    "Berlin by London's clock": ("Europe/Berlin", DST.tz_localize("Europe/Berlin").tz_convert("Europe/London")),
    "Berlin in naive UTC": ("Europe/Berlin", DST.tz_localize("Europe/Berlin").tz_convert("UTC").tz_localize(None)),
    "London in naive UTC, 00:00 in winter and 23:00 before": (
        "Europe/London",
        DST.tz_localize("Europe/London").tz_convert("UTC").tz_localize(None),
    ),
    "London in UTC+1, 00:00 in summer and 01:00 after": (
        "Europe/London",
        DST.tz_localize("Europe/London").tz_convert("Etc/GMT-1"),
    ),
}


@pytest.mark.parametrize("case", SHIFTED)
@pytest.mark.parametrize("form", ["index", "column", "objects", "csv", "epoch"])
def test_midnights_by_another_clock_are_refused_and_dated_right_in_the_exchanges_zone(
    bars: pd.DataFrame, tmp_path: Path, case: str, form: str
):
    zone, stamps = SHIFTED[case]
    frame = dated(bars, stamps)
    source: object = frame
    if form == "column":
        source = frame.reset_index(names="Date")
    elif form == "objects":
        source = frame.set_axis(pd.Index(list(stamps.to_pydatetime()), dtype=object))
    elif form == "csv":
        frame.to_csv(tmp_path / "bars.csv", index_label="Date")
        source = tmp_path / "bars.csv"
    elif form == "epoch":
        in_utc = stamps if stamps.tz is not None else stamps.tz_localize("UTC")
        source = frame.reset_index(drop=True).assign(t=in_utc.as_unit("ms").asi8)
    refuse(source, "may be the midnight of another time zone.*tz='Asia/Tokyo'")
    assert list(quiet(source, tz=zone).index) == list(DST)


def test_dates_taken_from_another_clock_are_told_by_their_weekdays(bars: pd.DataFrame):
    refuse(dated(bars, DST - pd.Timedelta(days=1)), "bars on Sundays and none on the Fridays of those weeks")
    refuse(dated(bars, DST + pd.Timedelta(days=1)), "bars on Saturdays and none on the Mondays of those weeks")
    half = DST.where(DST >= "2017-10-30", DST - pd.Timedelta(days=1))  # London's dates in UTC
    refuse(dated(bars, half), "bars on Sundays and none on the Fridays")
    refuse(dated(bars, DST - pd.Timedelta(days=1)), "no exchange of Asia/Tokyo has such weeks", tz="Asia/Tokyo")


@pytest.mark.parametrize("zone", ["Asia/Riyadh", "Asia/Jerusalem"])
def test_a_week_from_sunday_to_thursday_is_read_where_the_zone_has_such_markets(bars: pd.DataFrame, zone: str):
    days = DST - pd.Timedelta(days=1)
    assert list(quiet(dated(bars, days), tz=zone).index) == list(days)
    assert list(quiet(dated(bars, days.tz_localize(zone).tz_convert("UTC")), tz=zone).index) == list(days)


@pytest.mark.parametrize("freq", ["D", "W-SUN", "W-MON", "W-SAT", "MS", "ME"])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_markets_of_all_days_and_longer_bars_have_weeks_of_their_own(bars: pd.DataFrame, freq: str, zone: str | None):
    stamps = pd.date_range("2010-01-01", periods=N, freq=freq, tz=zone)
    assert list(quiet(bars.set_axis(stamps)).index) == list(stamps.tz_localize(None))


def test_a_running_bar_may_have_the_time_of_its_last_trade(bars: pd.DataFrame):
    stamps = [*bars.index[:-1], bars.index[-1] + pd.Timedelta("15:59:30")]
    assert_frame_equal(quiet(bars.set_axis(pd.DatetimeIndex(stamps).tz_localize("America/New_York"))), bars)
    refuse(bars.set_axis(pd.DatetimeIndex([*bars.index[:-1], bars.index[-1] - pd.Timedelta("01:00:00")])), "stamped")


def test_intraday_stamps_are_converted_to_the_exchanges_zone(bars: pd.DataFrame):
    stamps = pd.date_range("2018-01-02 09:30", periods=N, freq="30min", tz="America/New_York")
    read = quiet(bars.set_axis(stamps.tz_convert("UTC")), tz="America/New_York")
    assert list(read.index) == list(stamps.tz_localize(None))
    assert list(quiet(bars.set_axis(stamps.tz_localize(None)), tz="Asia/Tokyo").index) == list(stamps.tz_localize(None))


def test_naive_stamps_of_several_times_of_day_are_refused_in_any_other_zone(bars: pd.DataFrame):
    refuse(dated(bars, SHIFTED["Berlin in naive UTC"][1]), "set their time zone first", tz="Asia/Tokyo")


def test_dates_that_say_utc_are_not_moved_by_a_zone(bars: pd.DataFrame):
    dates = bars.index.strftime("%Y-%m-%dT00:00:00.000Z")  # Tiingo's
    assert_frame_equal(quiet(bars.set_axis(dates)), bars)
    refuse(bars.set_axis(dates), "they are dates already", tz="America/New_York")


@pytest.mark.parametrize(
    ("zone", "hint"), [("Tokyo", "Asia/Tokyo"), ("asia/tokyo", "Asia/Tokyo"), ("America/Nowhere", "")]
)
def test_an_unknown_zone_is_refused_with_the_nearest_name(bars: pd.DataFrame, zone: str, hint: str):
    refuse(bars, f"IANA name .*not '{zone}'.*{hint}", tz=zone)
    refuse(bars, "IANA name", tz=3)


def test_periods_and_dates_are_read_as_days(bars: pd.DataFrame):
    assert_frame_equal(quiet(bars.set_axis(bars.index.to_period("D"))), bars)
    assert_frame_equal(quiet(bars.set_axis(pd.Index([day.date() for day in bars.index], dtype=object))), bars)
    weeks = pd.period_range("2010-01-01", periods=N, freq="W")
    refuse(bars.set_axis(weeks), "60 dates cannot be read, the first in row 1: '2009-12-28/2010-01-03'")


def test_dates_with_and_without_an_offset_are_refused(bars: pd.DataFrame):
    mixed = [f"{day:%Y-%m-%d}" + ("T00:00:00-05:00" if i > 30 else "") for i, day in enumerate(bars.index)]
    refuse(bars.set_axis(pd.Index(mixed)), "dates with an offset from UTC .* and dates without one")
