"""Macroeconomic figures are those of the first release, dated by it: no revision reaches a moment before it."""

from __future__ import annotations

import logging
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from recorded_http import Answer, Asked, RecordedHttp

from llmguide.errors import DataError
from llmguide.sources import _http, fred
from llmguide.sources.fred import download_macro
from llmguide.sources.tables import Tables, read_table

KEY = "abcdefghijklmnopqrstuvwxyz012345"
Vintages = dict[str, dict[str, str]]  # release date -> the whole series as it then stood


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.delenv("FRED_API_KEY", raising=False)


class FakeFred:
    """ALFRED as documented at https://fred.stlouisfed.org/docs/api/fred/: vintages asked for by real-time periods.

    An observation is listed once for each time during which it had one value, clipped to the time asked for; more than
    `cap` vintages at once are refused.
    """

    def __init__(self, series: dict[str, Vintages], *, cap: int = 2000, page: int = 100_000) -> None:
        self.series, self.cap, self.page = series, cap, page

    def __call__(self, asked: Asked) -> Answer:
        query = asked.query
        if query.get("api_key") != KEY or query.get("file_type") != "json":
            return Answer({"error_code": 400, "error_message": "Bad Request.  The api_key is not registered."}, 400)
        vintages = self.series.get(query["series_id"], {"2000-01-03": {}})
        if asked.path == "/fred/series/vintagedates":
            return Answer({"count": len(vintages), "offset": 0, "limit": 10000, "vintage_dates": sorted(vintages)})
        assert asked.path == "/fred/series/observations"
        rows = self.rows(vintages, query)
        if isinstance(rows, Answer):
            return rows
        offset = int(query["offset"])
        page = rows[offset : offset + min(self.page, int(query["limit"]))]
        return Answer({"output_type": 1, "count": len(rows), "offset": offset, "observations": page})

    def rows(self, vintages: Vintages, query: dict[str, str]) -> list[dict[str, str]] | Answer:
        today = "2026-11-21"
        begin, end = query.get("realtime_start", today), query.get("realtime_end", today)
        dates = sorted(vintages)
        if sum(begin <= day <= end for day in dates) > self.cap:
            return Answer({"error_code": 400, "error_message": "This exceeds the maximum number of vintage dates"}, 400)
        rows: list[dict[str, str]] = []
        for observed in sorted({observed for values in vintages.values() for observed in values}):
            if not query.get("observation_start", "") <= observed <= query.get("observation_end", "9999"):
                continue
            spans: list[list[str]] = []  # value, from, to
            for number, released in enumerate(dates):
                value = vintages[released].get(observed)
                if value is None:
                    continue
                until = "9999-12-31"
                if number + 1 < len(dates):
                    until = str(date.fromordinal(date.fromisoformat(dates[number + 1]).toordinal() - 1))
                if spans and spans[-1][0] == value:
                    spans[-1][2] = until
                else:
                    spans.append([value, released, until])
            rows += [
                {"realtime_start": max(a, begin), "realtime_end": min(b, end), "date": observed, "value": value}
                for value, a, b in spans
                if a <= end and b >= begin
            ]
        return rows


# Levels like those of real GDP around the change from 2009 to 2012 dollars in July 2018, with the growth as announced.
GDP: Vintages = {
    "2018-01-26": {"2017-07-01": "17163.894", "2017-10-01": "17272.468"},
    "2018-02-28": {"2017-07-01": "17163.894", "2017-10-01": "17271.702"},
    "2018-04-27": {"2017-07-01": "17163.894", "2017-10-01": "17286.497", "2018-01-01": "17385.831"},
    "2018-07-27": {
        "2017-07-01": "18163.558",
        "2017-10-01": "18322.464",
        "2018-01-01": "18323.963",
        "2018-04-01": "18507.207",
    },
}


def download(series: dict[str, Vintages], **options: Any) -> pd.DataFrame:
    with RecordedHttp(FakeFred(series)) as server:
        return download_macro(api_key=KEY, base_url=server.url, **options)


def values(macro: pd.DataFrame, moment: str) -> dict[str, float]:
    """What was known at a moment: period end -> value."""
    known = Tables(macro=macro).until(pd.Timestamp(moment)).macro
    assert known is not None
    return {str(row.period_end.date()): row.value for row in known.itertuples()}


def test_a_period_counts_from_the_end_of_the_day_of_its_first_release():
    macro = download({"GDPC1": GDP})
    assert_frame_equal(read_table("macro", macro), macro)
    assert values(macro, "2018-01-26 16:00") == {}
    assert values(macro, "2018-01-27") == {"2017-09-30": 17163.894, "2017-12-31": 17272.468}
    assert values(macro, "2018-04-27 23:59") == values(macro, "2018-01-27")
    assert set(macro["series"]) == {"GDP"}


def test_a_revision_alone_is_left_out_and_growth_is_taken_within_one_release():
    macro = download({"GDPC1": GDP})
    assert pd.Timestamp("2018-02-28") not in set(macro["published_at"].dt.normalize())
    april, july = values(macro, "2018-04-28"), values(macro, "2018-07-28")
    # As the Bureau of Economic Analysis announced them: 2.3 % and 4.1 % a year.
    assert (april["2018-03-31"] / april["2017-12-31"]) ** 4 - 1 == pytest.approx(0.023, abs=5e-4)
    assert (july["2018-06-30"] / july["2018-03-31"]) ** 4 - 1 == pytest.approx(0.041, abs=5e-4)
    # Two first releases, one in 2009 dollars and one in 2012 dollars, would give 28 %.
    assert (july["2018-06-30"] / april["2018-03-31"]) ** 4 - 1 == pytest.approx(0.284, abs=5e-4)


def test_a_revised_value_changes_nothing_before_its_release():
    first = download({"GDPC1": GDP})
    revised = download({"GDPC1": {**GDP, "2018-07-27": dict.fromkeys(GDP["2018-07-27"], "99999")}})
    before, after = Tables(macro=first), Tables(macro=revised)
    for moment in pd.date_range("2018-01-26", "2018-07-27 23:59", freq="29h"):
        assert_frame_equal(before.until(moment).macro, after.until(moment).macro)
    assert values(revised, "2018-07-28")["2018-06-30"] == 99999


@pytest.mark.slow
@settings(max_examples=30)
@given(st.data())
def test_first_releases_equal_those_found_by_hand(data: st.DataObject):
    """Any history, any number of vintages per request: the same rows as a search through whole vintages."""
    months = [str(day.date()) for day in pd.date_range("2014-10-01", periods=8, freq="MS")]
    released = [str(day.date()) for day in pd.date_range("2015-06-15", periods=6, freq="17D")]
    vintages: Vintages = {}
    shown = data.draw(st.integers(1, 3))
    for day in released:
        shown = min(8, shown + data.draw(st.integers(0, 2)))
        vintages[day] = {month: data.draw(st.sampled_from(["1.0", "2.0", "3.5", "."])) for month in months[:shown]}

    expected, told, seen = [], {}, set()
    for day in released:
        there = {month: float(value) for month, value in vintages[day].items() if value != "."}
        new = set(there) - seen
        seen |= new
        if not new:
            continue
        earliest = pd.Timestamp(min(new)) - pd.DateOffset(years=1)
        for month in sorted(seen):
            last = [v[month] for d, v in vintages.items() if d <= day and v.get(month, ".") != "."][-1]
            if earliest <= pd.Timestamp(month) <= pd.Timestamp(max(new)) and told.get(month) != float(last):
                told[month] = float(last)
                expected.append((day, month, float(last)))

    size, page = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fred, "VINTAGES_PER_REQUEST", size)
        with RecordedHttp(FakeFred({"M2SL": vintages}, cap=size, page=page)) as server:
            if expected:
                macro = download_macro(api_key=KEY, base_url=server.url)
            else:
                with pytest.raises(DataError, match="no observations"):
                    download_macro(api_key=KEY, base_url=server.url)
                return
    got = [
        (str(row.published_at.date()), str(row.period_end.replace(day=1).date()), row.value)
        for row in macro.itertuples()
    ]
    assert got == expected


def test_more_vintages_than_fred_sends_at_once_are_asked_for_in_parts():
    weeks = [str(day.date()) for day in pd.date_range("1979-01-04", periods=2200, freq="7D")]
    vintages = {day: {"1978-12-01": f"{number % 7}"} for number, day in enumerate(weeks)}
    vintages[weeks[-1]] |= {"1979-01-01": "8.5"}
    with RecordedHttp(FakeFred({"M2SL": vintages})) as server:
        macro = download_macro(api_key=KEY, base_url=server.url)
    assert [(str(row.published_at.date()), row.value) for row in macro.itertuples()] == [
        (weeks[0], 0.0),
        (weeks[-1], 2199 % 7),
        (weeks[-1], 8.5),
    ]


def test_daily_yields_are_public_on_the_next_business_day_of_the_federal_reserve():
    # Friday, the Monday of Martin Luther King, Tuesday; FRED writes a dot for a holiday.
    days = {"2018-01-11": "2.54", "2018-01-12": "2.55", "2018-01-15": ".", "2018-01-16": "2.54"}
    with RecordedHttp(FakeFred({"DGS10": {"2018-01-17": days}, "T10Y2Y": {"2018-01-17": {"2018-01-12": "0.56"}}})) as s:
        macro = download_macro(api_key=KEY, base_url=s.url)
    rows = [(r.series, str(r.period_end.date()), str(r.published_at.date()), r.value) for r in macro.itertuples()]
    assert rows == [
        ("DGS10", "2018-01-11", "2018-01-12", 2.54),
        ("DGS10", "2018-01-12", "2018-01-16", 2.55),
        ("T10Y2Y", "2018-01-12", "2018-01-16", 0.56),
        ("DGS10", "2018-01-16", "2018-01-17", 2.54),
    ]
    assert not any(
        "vintagedates" in asked.path and asked.query["series_id"] in ("DGS10", "T10Y2Y") for asked in s.asked
    )


def test_periods_are_asked_for_by_their_first_day_and_end_on_their_last():
    series = {
        "GDPC1": GDP,
        "PPIACO": {"2018-03-14": {"2018-01-01": "197.9", "2018-02-01": "199.3"}},
        "UMCSENT": {"2018-03-30": {"2018-02-01": "99.7"}},
    }
    with RecordedHttp(FakeFred(series)) as server:
        macro = download_macro(api_key=KEY, start="2018-01-01", end="2018-02", base_url=server.url)
    assert {(row.series, str(row.period_end.date())) for row in macro.itertuples()} == {
        ("GDP", "2018-03-31"),
        ("PPI", "2018-01-31"),
        ("PPI", "2018-02-28"),
        ("CCI", "2018-02-28"),
    }
    spans = {
        (asked.query["observation_start"], asked.query["observation_end"])
        for asked in server.asked
        if asked.path.endswith("observations")
    }
    assert spans == {("2018-01-01", "2018-02-28")}


def test_every_series_is_one_that_macro_tables_know():
    from llmguide.sources.kinds import SERIES

    assert set(fred.SERIES) == set(SERIES) - {"PMI"}


def test_a_series_without_observations_is_absent_and_without_vintages_refused():
    assert set(download({"GDPC1": GDP})["series"]) == {"GDP"}
    with pytest.raises(DataError, match="FRED has no vintages of M2SL"):
        download({"GDPC1": GDP, "M2SL": {}})
    with pytest.raises(DataError, match="FRED has no observations from 1900 to 1901; widen the span"):
        download({"GDPC1": GDP}, start="1900", end="1901")


def test_a_key_that_fred_does_not_know_is_one_line_without_the_key():
    with RecordedHttp(FakeFred({})) as server, pytest.raises(DataError) as caught:
        download_macro(api_key=KEY[::-1], base_url=server.url)
    assert str(caught.value) == (
        "FRED did not accept the request for /fred/series/vintagedates (HTTP 400: Bad Request. The api_key is not "
        "registered); check the key in FRED_API_KEY (free keys: https://fredaccount.stlouisfed.org/apikeys)"
    )
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_the_key_is_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture):
    refused = Answer({"error_code": 400, "error_message": f"no {KEY} here"}, 400)
    with (
        caplog.at_level(logging.DEBUG),
        RecordedHttp(FakeFred({"GDPC1": GDP}), first=[Answer(b"", 500), Answer({}, fault="cut")]) as server,
    ):
        download_macro(api_key=KEY, base_url=server.url)
        server.first = [refused]
        with pytest.raises(DataError, match=r"no \*\*\* here") as caught:
            download_macro(api_key=KEY, base_url=server.url)
    assert KEY not in str(caught.value)
    assert "api_key=***" in caplog.text
    assert KEY not in caplog.text
    with pytest.raises(DataError, match="FRED was not reached") as caught:
        download_macro(api_key=KEY, base_url=server.url)  # closed
    assert KEY not in str(caught.value)
    assert logging.getLogger("urllib3.connectionpool").filters == []


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DataError, match=r"^a key for FRED is needed: set the environment variable FRED_API_KEY \(free"):
        download_macro()
    monkeypatch.setenv("FRED_API_KEY", KEY)
    with RecordedHttp(FakeFred({"GDPC1": GDP})) as server:
        assert len(download_macro(base_url=server.url))


@pytest.mark.parametrize("broken", [[], {"vintage_dates": None}, {"vintage_dates": 3}])
def test_an_answer_of_another_form_is_refused(broken: Any):
    with (
        RecordedHttp(lambda asked: Answer(broken)) as server,
        pytest.raises(DataError, match="no list 'vintage_dates'"),
    ):
        download_macro(api_key=KEY, base_url=server.url)


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="observations of GDPC1 that cannot be read"):
        download({"GDPC1": {"2018-01-26": {"2017-10-01": "many"}}})
    with pytest.raises(DataError, match=r"start \(2019\) is later than end \(2018\)"):
        download_macro(api_key=KEY, start="2019", end="2018")


def test_busy_days_of_the_calendar_are_the_federal_ones():
    """Independent oracle: Good Friday is a business day of the Federal Reserve, Juneteenth none since 2021."""
    days = ["2018-03-29", "2021-06-17", "2022-06-17", "2020-06-18", "2018-12-31", "2018-01-15"]
    frame = pd.DataFrame({"known": pd.NaT, "date": pd.to_datetime(days), "value": 1.0})
    published = fred._next_business_day(frame)["published_at"].to_numpy(dtype="datetime64[D]")
    expected = ["2018-03-30", "2021-06-21", "2022-06-21", "2020-06-19", "2019-01-02", "2018-01-16"]
    np.testing.assert_array_equal(published, np.array(expected, dtype="datetime64[D]"))
