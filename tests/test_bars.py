"""Bars are refused when they cannot be used, and repaired only with a count."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from llmguide.bars import COLUMNS, MIN_BARS, BarsReport, inspect_bars, read_bars, sample_bars
from llmguide.errors import DataError, DataWarning

N = 60


@pytest.fixture
def bars() -> pd.DataFrame:
    """Bars in order: nothing in them is to be reported."""
    dates = pd.bdate_range("2018-01-02", periods=N).to_numpy("datetime64[ns]")
    return sample_bars(years=1).iloc[:N].set_axis(pd.DatetimeIndex(dates, name="date"))


def quiet(source: object, **options: object) -> pd.DataFrame:
    """The bars of a source that gives nothing to report: a warning would be an error here."""
    return read_bars(source, **options)  # type: ignore[arg-type]  # sources of any kind are the point of these tests


def refuse(source: object, match: str, **options: object) -> str:
    with pytest.raises(DataError, match=match) as caught:
        read_bars(source, **options)  # type: ignore[arg-type]  # as above
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.real_bars
def test_all_files_of_the_benchmark_are_read_and_their_quirks_counted(data_folder: Path):
    files = sorted(data_folder.glob("*.csv"))
    assert len(files) == 60
    outside = total = 0
    for path in files:
        bars, report = inspect_bars(path)
        raw = pd.read_csv(path)
        assert report.closes_outside == ((raw.Close > raw.High) | (raw.Close < raw.Low)).sum(), path.name
        assert report.missing_volumes == (raw.Volume == 0).sum(), path.name
        assert report.missing_prices == 0
        np.testing.assert_array_equal(bars["close"], raw["Close"])
        assert list(bars.index.strftime("%Y-%m-%d")) == list(raw["Timestamp"])
        outside += report.closes_outside
        total += report.bars
    assert (outside, total) == (44_933, 59_064)


def test_jumbled_dates_are_refused(bars: pd.DataFrame):
    order = np.arange(N)
    order[[10, 11]] = order[[11, 10]]
    earlier, later = (f"{day:%Y-%m-%d}" for day in bars.index[[10, 11]])
    refuse(bars.iloc[order], f"not sorted by date: {earlier} comes after {later}")


@pytest.mark.parametrize("step", [1, -1])
def test_duplicate_dates_are_refused_with_their_count(bars: pd.DataFrame, step: int):
    double = pd.concat([bars.iloc[:5], bars.iloc[3:]]).sort_index().iloc[::step]
    refuse(double, f"2 duplicate dates, the first {bars.index[3]:%Y-%m-%d}")


def test_future_dates_are_refused(bars: pd.DataFrame):
    last = bars.index[-1].date()
    assert len(quiet(bars, today=last + timedelta(days=1))) == N
    refuse(bars, f"1 dates in the future, the first {last}", today=last - timedelta(days=1))
    tomorrow_everywhere = datetime.now(UTC).date() + timedelta(days=2)
    moved = bars.set_axis(pd.bdate_range(end=tomorrow_everywhere + timedelta(days=7), periods=N))
    refuse(moved, "dates in the future")


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(
    ("value", "problem"),
    [("abc", "not numbers"), ("1,23.4", "not numbers"), ("inf", "infinite"), ("-inf", "infinite"), ("-1", "negative")],
)
def test_a_value_that_cannot_be_is_refused_with_its_column_and_date(
    bars: pd.DataFrame, tmp_path: Path, column: str, value: str, problem: str
):
    frame = bars.astype(object)
    frame.loc[frame.index[9], column] = value
    day = f"{bars.index[9]:%Y-%m-%d}"
    refuse(frame, f"1 values of '{column}' are {problem}, the first on {day}: '{value}'")
    frame.to_csv(tmp_path / "bars.csv")
    refuse(tmp_path / "bars.csv", f"1 values of '{column}' are {problem}, the first on {day}: '{value}'")


@pytest.mark.parametrize("nothing", [0.0, np.nan])
@pytest.mark.parametrize("gaps", ["forward", "interpolate"])
def test_a_column_without_any_price_is_refused(bars: pd.DataFrame, nothing: float, gaps: str):
    refuse(bars.assign(open=nothing), "no value of 'open' is above zero", gaps=gaps)


def test_a_high_below_the_low_is_refused(bars: pd.DataFrame):
    crossed = bars.copy()
    crossed.iloc[[4, 8], crossed.columns.get_loc("high")] = 1.0
    refuse(crossed, f"high is below low on 2 bars, the first {bars.index[4]:%Y-%m-%d}")


def test_too_few_bars_are_refused_and_just_enough_are_not(bars: pd.DataFrame):
    assert len(quiet(bars.iloc[:MIN_BARS])) == MIN_BARS == 32
    refuse(bars.iloc[: MIN_BARS - 1], "the frame is too short: 31 bars, at least 32")


def test_an_unknown_rule_for_gaps_is_refused(bars: pd.DataFrame):
    refuse(bars, "'forward' or 'interpolate', got 'interpolated'; did you mean 'interpolate'", gaps="interpolated")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2018-01-10", "2018-03-05"),
        (date(2018, 1, 10), date(2018, 3, 5)),
        (datetime(2018, 1, 10), pd.Timestamp("2018-03-05", tz="UTC")),
    ],
)
def test_start_and_end_are_both_included(bars: pd.DataFrame, start: object, end: object):
    assert_frame_equal(quiet(bars, start=start, end=end), bars.loc["2018-01-10":"2018-03-05"])


def test_a_year_or_a_month_means_all_of_it(bars: pd.DataFrame):
    assert_frame_equal(quiet(bars, start="2018", end="2018-02"), bars.loc[:"2018-02-28"])
    assert_frame_equal(quiet(bars, start="2018-02"), bars.loc["2018-02-01":])


def test_bounds_with_a_time_of_day_cut_intraday_bars_there(bars: pd.DataFrame):
    intraday = bars.set_axis(pd.date_range("2018-01-02 09:30", periods=N, freq="5min"))
    read = quiet(intraday, start=datetime(2018, 1, 2, 10, 0), end=pd.Timestamp("2018-01-02 13:00"))
    assert (str(read.index[0]), str(read.index[-1])) == ("2018-01-02 10:00:00", "2018-01-02 13:00:00")
    assert len(quiet(intraday, end=date(2018, 1, 2))) == N


def test_a_span_without_bars_is_refused_with_what_there_is(bars: pd.DataFrame):
    refuse(bars, r"no bars from 2020 to the last; it has 60, 2018-01-02 to 2018-03-26", start="2020")
    refuse(bars, "no bars from 2018-03-01 to 2018-02-01", start="2018-03-01", end="2018-02-01")
    refuse(bars, r"the frame from 2018-03 to the last is too short: 18 bars.*it has 60", start="2018-03")


@pytest.mark.parametrize("bad", ["yesterday", "", "NaT", pd.NaT, 3.5j])
def test_a_bound_that_is_no_date_is_refused(bars: pd.DataFrame, bad: object):
    refuse(bars, "expected start to be a date such as '2018-01-31'", start=bad)


def test_values_outside_the_span_are_neither_checked_nor_used(bars: pd.DataFrame):
    broken = bars.copy()
    broken.iloc[:5, :4] = 0.0
    broken.iloc[3, 4] = -1.0
    assert_frame_equal(quiet(broken, start=bars.index[5]), bars.iloc[5:])


def test_bars_in_order_have_nothing_to_report(bars: pd.DataFrame):
    _, report = inspect_bars(bars)
    assert report == BarsReport("the frame", N, bars.index[0], bars.index[-1])
    assert report.notes() == []
    assert str(report) == "the frame: 60 bars, 2018-01-02 to 2018-03-26"


def test_gaps_are_filled_with_the_last_known_value(bars: pd.DataFrame):
    gappy = bars.copy()
    gappy.iloc[10:13, :] = np.nan
    gappy.iloc[20, :] = 0.0
    expected = bars.copy()
    expected.iloc[10:13, :] = bars.iloc[9].to_numpy()
    expected.iloc[20, :] = bars.iloc[19].to_numpy()
    read, report = inspect_bars(gappy)
    assert_frame_equal(read, expected)
    assert (report.missing_prices, report.missing_volumes, report.filled_forward) == (16, 4, 20)
    assert (report.filled_linear, report.filled_backward, report.longest_gap) == (0, 0, 3)


def test_one_warning_names_each_repair_with_its_count(bars: pd.DataFrame, tmp_path: Path):
    gappy = bars.copy()
    gappy.iloc[10:13, :] = np.nan
    gappy.iloc[30:32, 4] = 0.0
    gappy.iloc[0, 4] = 0.0
    gappy.iloc[40, 3] *= 2
    size = (gappy.iloc[40, 3] / gappy.iloc[39, 3] - 1) * 100
    gappy.iloc[::-1].to_csv(tmp_path / "gappy.csv")
    with pytest.warns(DataWarning) as caught:
        read_bars(tmp_path / "gappy.csv")
    assert [str(w.message) for w in caught] == [
        "gappy.csv: 60 bars, 2018-01-02 to 2018-03-26; the newest bar came first: order reversed (harmless); Close "
        "outside [Low, High] on 1 bars (harmless for fills at the close; for fills at the open, adjust=True puts all "
        "prices on one scale); 12 prices and 6 volumes zero or missing, 17 values filled (17 forward), at most 3 bars "
        "in a row (matters: repeated prices understate volatility and overstate Sharpe ratios; complete the file); "
        "volume is 0 on the 1 bars before the first known one (harmless: an agent sees no volume there); "
        f"close rose {size:.0f} % on {gappy.index[40]:%Y-%m-%d} and fell back the next bar: looks like a wrong price "
        "(matters if it is a data error: Sharpe ratios and drawdowns would be wrong; correct the file, or refuse it "
        "with strict=True)"
    ]
    assert caught[0].filename == __file__


def test_interpolation_follows_the_rule_of_the_benchmarks_authors(bars: pd.DataFrame):
    frame = bars.assign(open=90.0, high=200.0, low=50.0, close=100.0, volume=1000.0)
    close, volume = frame.columns.get_loc("close"), frame.columns.get_loc("volume")
    frame.iloc[10:13, close] = 0.0
    frame.iloc[13, close] = 104.0  # 100, then three missing, then 104: 101, 102, 103
    frame.iloc[20:28, close] = np.nan
    frame.iloc[28, close] = 109.0  # eight missing: 101 to 105, of which five are filled, then 105 three times
    frame.iloc[0:2, volume] = 0.0
    frame.iloc[-2:, volume] = np.nan
    read, report = inspect_bars(frame, gaps="interpolate")
    np.testing.assert_allclose(read["close"].iloc[10:13], [101, 102, 103], rtol=1e-15)
    np.testing.assert_allclose(read["close"].iloc[20:28], [101, 102, 103, 104, 105, 105, 105, 105], rtol=1e-15)
    assert (read["volume"] == 1000.0).all()
    assert (report.filled_linear, report.filled_forward, report.filled_backward) == (3 + 5, 3 + 2, 2)
    assert report.longest_gap == 8


def test_a_first_bar_without_a_price_is_refused_rather_than_filled_from_the_future(bars: pd.DataFrame):
    frame = bars.copy()
    frame.iloc[:3, 0] = 0.0
    first_complete = f"{bars.index[3]:%Y-%m-%d}"
    message = refuse(frame, f"the first bar, 2018-01-02, has no open.*start='{first_complete}'")
    assert_frame_equal(quiet(frame, start=first_complete), bars.iloc[3:])
    assert "earlier bars only" in message
    read, report = inspect_bars(frame, gaps="interpolate")
    assert (read["open"].iloc[:3] == bars["open"].iloc[3]).all()
    assert report.filled_backward == 3


@pytest.mark.parametrize("gaps", ["forward", "interpolate"])
def test_without_volume_it_is_zero_and_reported(bars: pd.DataFrame, gaps: str):
    for frame in (bars.drop(columns="volume"), bars.assign(volume=0), bars.assign(volume=None)):
        with pytest.warns(DataWarning, match=r"60 volumes zero or missing \(harmless .* volume is 0 on the 60 bars"):
            read = read_bars(frame, gaps=gaps)
        assert (read["volume"] == 0).all()


def test_a_filled_high_or_low_does_not_cross_the_other(bars: pd.DataFrame):
    frame = bars.assign(open=100.0, high=101.0, low=99.0, close=100.0)
    frame.iloc[10, :4] = [110.0, np.nan, 109.0, 110.0]
    frame.iloc[20, :4] = [90.0, 91.0, np.nan, 90.0]
    read, _ = inspect_bars(frame)
    assert read.iloc[10, :4].to_list() == [110.0, 109.0, 109.0, 110.0]
    assert read.iloc[20, :4].to_list() == [90.0, 91.0, 91.0, 90.0]


def test_closes_outside_are_counted_but_rounding_is_not(bars: pd.DataFrame):
    frame = bars.copy()
    frame["close"] = frame["high"] * (1 + 1e-12)
    assert inspect_bars(frame)[1].closes_outside == 0
    frame.iloc[:7, 3] = frame["high"].iloc[:7] * 1.001
    frame.iloc[7:9, 3] = frame["low"].iloc[7:9] * 0.999
    assert inspect_bars(frame)[1].closes_outside == 9


def test_an_adjusted_close_that_says_the_same_is_not_reported(bars: pd.DataFrame):
    assert_frame_equal(quiet(bars.assign(adj_close=bars["close"])), bars)


def test_the_input_is_never_modified(bars: pd.DataFrame):
    frame = bars.rename(columns=str.title).tz_localize("America/New_York")
    frame.iloc[10:13] = np.nan
    before = frame.copy(deep=True)
    read, _ = inspect_bars(frame)
    read.iloc[:] = -1.0
    assert_frame_equal(frame, before)


@st.composite
def unusual_bars(draw: st.DrawFn) -> pd.DataFrame:
    """Bars with closes anywhere and with zeros and NaN anywhere but in the first bar's prices."""
    n = draw(st.integers(MIN_BARS, MIN_BARS + 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low = rng.uniform(1, 100, n)
    high = low + rng.uniform(0, 20, n)
    values = np.column_stack([rng.uniform(1, 120, n), high, low, rng.uniform(1, 120, n), rng.integers(1, 99, n)])
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 0.95]))
    for nothing in (0.0, np.nan):
        gone = rng.random(values.shape) < share / 2
        gone[0, :4] = False
        values[gone] = nothing
    index = pd.DatetimeIndex(pd.bdate_range("2015-01-01", periods=n), name="date")
    return pd.DataFrame(values, index=index, columns=list(COLUMNS))


@given(unusual_bars(), st.data())
@settings(max_examples=30)
def test_reading_the_first_bars_gives_the_first_bars_of_reading_all(frame: pd.DataFrame, data: st.DataObject):
    n = data.draw(st.integers(MIN_BARS, len(frame)))
    assert_frame_equal(inspect_bars(frame.iloc[:n])[0], inspect_bars(frame)[0].iloc[:n], check_freq=False)


@given(unusual_bars(), st.data())
@settings(max_examples=30)
def test_nothing_up_to_a_bar_depends_on_the_bars_after_it(frame: pd.DataFrame, data: st.DataObject):
    t = data.draw(st.integers(0, len(frame) - 2))
    changed = frame.copy()
    changed.iloc[t + 1 :] = [50.0, 70.0, 40.0, 60.0, 5.0]
    assert_frame_equal(inspect_bars(changed)[0].iloc[: t + 1], inspect_bars(frame)[0].iloc[: t + 1])


def test_interpolation_does_use_the_next_known_value_as_its_documentation_says(bars: pd.DataFrame):
    frame = bars.copy()
    frame.iloc[10, 3] = np.nan
    changed = frame.copy()
    changed.iloc[11, 3] *= 1.001
    before, after = (inspect_bars(f, gaps="interpolate")[0].iloc[10, 3] for f in (frame, changed))
    assert before != after


@given(unusual_bars(), st.sampled_from(["forward", "interpolate"]))
@settings(max_examples=30)
def test_bars_that_were_read_need_no_repair(frame: pd.DataFrame, gaps: str):
    once, first = inspect_bars(frame, gaps=gaps)  # type: ignore[arg-type]  # a str that is one of the two
    twice, second = inspect_bars(once, gaps=gaps)  # type: ignore[arg-type]  # as above
    assert_frame_equal(once, twice)
    assert second.filled == second.missing_prices == 0
    assert second.zero_volumes == second.missing_volumes == first.zero_volumes
    assert second.closes_outside == first.closes_outside


@given(unusual_bars(), st.sampled_from(["forward", "interpolate"]))
@settings(max_examples=30)
def test_bars_are_complete_and_every_missing_value_is_accounted_for(frame: pd.DataFrame, gaps: str):
    read, report = inspect_bars(frame, gaps=gaps)  # type: ignore[arg-type]  # as above
    known = frame.notna() & (frame != 0)
    assert list(read.columns) == list(COLUMNS)
    assert set(read.dtypes) == {np.dtype("float64")}
    assert np.isfinite(read).all(axis=None)
    assert (read[["open", "high", "low", "close"]] > 0).all(axis=None)
    assert (read["high"] >= read["low"]).all()
    assert report.missing_prices + report.missing_volumes == (~known).sum().sum()
    assert report.filled + report.zero_volumes == (~known).sum().sum()
    assert ((read == frame) | ~known).all(axis=None)


@given(unusual_bars())
@settings(max_examples=15, deadline=None)
def test_a_file_and_its_frame_give_the_same_bars(tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame):
    folder = tmp_path_factory.mktemp("files")
    frame.to_csv(folder / "bars.csv")
    frame.to_parquet(folder / "bars.parquet")
    with warnings.catch_warnings():
        # What is reported is the subject of other tests.
        warnings.simplefilter("ignore", DataWarning)
        expected = read_bars(frame)
        assert_frame_equal(read_bars(folder / "bars.csv"), expected)
        assert_frame_equal(read_bars(folder / "bars.parquet"), expected)


def test_a_last_bar_of_today_may_be_unfinished_and_is_said(bars: pd.DataFrame):
    last = bars.index[-1].date()
    with pytest.warns(DataWarning, match="the last bar is of today: its close may not be final"):
        read_bars(bars, today=last)
    assert not inspect_bars(bars, today=last + timedelta(days=1))[1].last_today


def test_a_split_that_was_not_applied_is_named_and_strict_refuses_it(bars: pd.DataFrame):
    frame = bars.copy()
    frame.iloc[:30, :4] *= 7
    day = f"{bars.index[30]:%Y-%m-%d}"
    with pytest.warns(DataWarning, match=f"close fell 8. % on {day}: looks like a 7:1 split that was not applied"):
        read = read_bars(frame)
    assert_frame_equal(read, frame)
    refuse(frame, f"on {day}: looks like a 7:1 split", strict=True)


def test_adjusting_multiplies_all_four_prices_by_the_files_own_factor(bars: pd.DataFrame):
    factor = np.where(np.arange(N) < 20, 0.5, 1.0)
    raw = bars.copy()
    raw[["open", "high", "low", "close"]] = bars[["open", "high", "low", "close"]].div(factor, axis=0)
    read, report = inspect_bars(raw.assign(adj_close=bars["close"]), adjust=True)
    assert_frame_equal(read, bars, rtol=1e-12)
    assert report.notes() == ["Open, High, Low, Close scaled by Adj Close / Close, 0.5 to 1 (as asked)"]


@pytest.mark.slow
@pytest.mark.real_bars
def test_no_bar_of_the_benchmark_is_suspicious_and_all_its_closes_can_be_brought_into_range(data_folder: Path):
    for path in sorted(data_folder.glob("*.csv")):
        _, report = inspect_bars(path, strict=True, adjust=True)
        assert report.closes_outside == 0, path.name
