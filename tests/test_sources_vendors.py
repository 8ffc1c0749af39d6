"""Files as vendors write them give the bars that are in them, or a sentence that says what to do."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmguide.bars import inspect_bars, sample_bars
from llmguide.errors import DataError

N = 60
BARS = (sample_bars(years=1).iloc[:N] * [20, 20, 20, 20, 1]).round(2)
BARS.index = pd.bdate_range("2018-01-02", periods=N, name="date")
DAYS = BARS.set_axis(pd.date_range("2024-12-01", periods=N, name="date"))  # of a market that never closes
PRICES = ("open", "high", "low", "close")
Row = Callable[[pd.Timestamp, Any], str]


def lines(row: Row, bars: pd.DataFrame = BARS, *, newest_first: bool = False) -> str:
    frame = bars.iloc[::-1] if newest_first else bars
    return "\n".join(row(date, values) for date, values in frame.iterrows())


def german(number: float, digits: int = 2) -> str:
    return f"{number:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def french(number: float) -> str:
    return f"{number:,.2f}".replace(",", " ").replace(".", ",")


GERMAN = "Datum;Eröffnung;Hoch;Tief;Schluss;Volumen\n" + lines(
    lambda d, r: f"{d:%d.%m.%Y};" + ";".join(german(r[c]) for c in PRICES) + f";{german(r.volume, 0)}"
)
FRENCH = "Date;Open;High;Low;Close;Volume\n" + lines(
    lambda d, r: f"{d:%d/%m/%Y};" + ";".join(french(r[c]) for c in (*PRICES, "volume"))
)
INVESTING = '"Date","Price","Open","High","Low","Vol.","Change %"\n' + lines(
    lambda d, r: (
        f'"{d:%b %d, %Y}","{r.close:,.2f}","{r.open:,.2f}","{r.high:,.2f}","{r.low:,.2f}",'
        f'"{r.volume / 1e6:.6f}M","-0.1%"'
    ),
    newest_first=True,
)
NASDAQ = "Date,Close/Last,Volume,Open,High,Low\n" + lines(
    lambda d, r: f"{d:%m/%d/%Y},${r.close},{r.volume:.0f},${r.open},${r.high},${r.low}", newest_first=True
)
METATRADER = "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n" + lines(
    lambda d, r: f"{d:%Y.%m.%d}\t{r.open}\t{r.high}\t{r.low}\t{r.close}\t5\t{r.volume:.0f}\t1"
)
TIINGO = "date,close,high,low,open,volume,adjClose,adjHigh,adjLow,adjOpen,adjVolume,divCash,splitFactor\n" + lines(
    lambda d, r: f"{d:%Y-%m-%d},{r.close},{r.high},{r.low},{r.open},{r.volume},1,1,1,1,1,0,1"
)
NSE = "Date ,OPEN ,HIGH ,LOW ,close ,VOLUME \n" + lines(
    lambda d, r: f"{d:%d-%b-%Y}," + ",".join(f'"{r[c]:,.2f}"' for c in PRICES) + f',"{r.volume:,.0f}"'
)


def klines(per: int) -> str:
    """Binance's, without a header; `per` nanoseconds are one of their units."""
    return lines(
        lambda d, r: (
            f"{d.value // per},{r.open},{r.high},{r.low},{r.close},{r.volume},{d.value // per + 1000},1.0,5,1,1,0"
        ),
        DAYS,
    )


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.csv", text)
    return buffer.getvalue()


MS, US = 10**6, 10**3
CCXT = "\n".join(",".join(line.split(",")[:6]) for line in klines(MS).splitlines())
SWITCHED = "\n".join([*klines(MS).splitlines()[:31], *klines(US).splitlines()[31:]])  # Binance did, in 2025

READ: dict[str, tuple[str | bytes, pd.DataFrame]] = {
    "a German spreadsheet": (GERMAN, BARS),
    "the same in Windows-1252": (GERMAN.encode("cp1252"), BARS),
    "the same in UTF-16": (GERMAN.encode("utf-16"), BARS),
    "the same with a byte order mark": (GERMAN.encode("utf-8-sig"), BARS),
    "a spreadsheet that names its separator": ("sep=;\n" + GERMAN, BARS),
    "a French spreadsheet": (FRENCH, BARS),
    "Investing.com": (INVESTING, BARS),
    "Nasdaq": (NASDAQ, BARS),
    "MetaTrader": (METATRADER, BARS),
    "Tiingo": (TIINGO, BARS),
    "the NSE": (NSE, BARS),
    "semicolons and points": (BARS.to_csv(sep=";"), BARS),
    "a title above the header": ("Title of it\n\nsome, text\n" + BARS.to_csv(), BARS),
    "Binance in milliseconds": (klines(MS), DAYS),
    "Binance in microseconds": (klines(US), DAYS),
    "Binance across the switch": (SWITCHED, DAYS),
    "Binance in a zip file": (zipped(a=klines(MS)), DAYS),
    "CCXT": (CCXT, DAYS),
}

REFUSED: dict[str, tuple[str | bytes, str]] = {
    "thousands separator or three decimals": (
        "Date,Open,High,Low,Close\n" + lines(lambda d, r: f'{d:%Y-%m-%d},"1,234","1,334","1,134","1,201"'),
        r"may have a thousands separator.*decimal=','",
    ),
    "two files in a zip": (zipped(a=klines(MS), b="x"), "2 files|two files|several files"),
    "day or month first": (
        "Date,Open,High,Low,Close,Volume\n"
        + lines(
            lambda d, r: f"{d:%d/%m/%Y},{r.open},{r.high},{r.low},{r.close},{r.volume:.0f}",
            BARS.set_axis(pd.date_range("2015-01-01", periods=N, freq="MS")),
        ),
        "may have the day or the month first",
    ),
    "Coinbase's order of columns": (
        lines(
            lambda d, r: f"{d.value // 10**9},{r.low},{r.high},{r.open},{r.close},{r.volume}", DAYS, newest_first=True
        ),
        "no header|column|order",
    ),
    "stamps of the close by another clock": (
        "t,o,h,l,c,v\n"
        + lines(
            lambda d, r: (
                f"{d.tz_localize('America/New_York').tz_convert('UTC'):%Y-%m-%dT%H:%M:%SZ},"
                f"{r.open},{r.high},{r.low},{r.close},{r.volume}"
            )
        ),
        r"tz='Asia/Tokyo' \(--tz Asia/Tokyo\)",
    ),
}


@pytest.mark.parametrize("vendor", READ)
def test_the_bars_in_a_vendors_file_are_read(tmp_path, vendor):
    content, expected = READ[vendor]
    path = tmp_path / "bars.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    bars, _ = inspect_bars(path)
    assert list(bars.index) == list(expected.index)
    np.testing.assert_allclose(bars.to_numpy(), expected.to_numpy(), rtol=1e-12)


@pytest.mark.parametrize("vendor", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused_with_what_to_do(tmp_path, vendor):
    content, says = REFUSED[vendor]
    path = tmp_path / "bars.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=says):
        inspect_bars(path)


@pytest.mark.parametrize(
    ("again", "says"),
    [
        (BARS.iloc[-3:], "3 duplicate dates.*their rows are equal"),
        (BARS.iloc[-1:] * 1.001, "1 duplicate dates.*a running bar and a finished one"),
        (BARS * 3, "rows of several instruments"),
    ],
)
def test_dates_that_come_twice_are_told_with_what_they_look_like(again, says):
    with pytest.raises(DataError, match=says):
        inspect_bars(pd.concat([BARS, again]))


ZONES = ("Asia/Tokyo", "Europe/Berlin", "Europe/London", "America/New_York", "America/Sao_Paulo", "Australia/Sydney")


@settings(max_examples=30)
@given(st.sampled_from(ZONES), st.sampled_from((*ZONES, "UTC")), st.integers(0, 2000), st.integers(40, 200))
def test_true_days_shown_on_any_clock_are_dated_right_or_refused_and_right_with_their_zone(own, shown, offset, n):
    days = pd.bdate_range(pd.Timestamp("2012-01-02") + pd.Timedelta(days=offset), periods=n, name="date")
    frame = pd.DataFrame(dict.fromkeys(PRICES, np.linspace(10, 12, n)), index=days).assign(volume=1.0)
    try:
        stamps = days.tz_localize(own).tz_convert(shown)
    except Exception:  # a midnight that the clocks of the zone have left out
        return
    told = frame.set_axis(stamps)
    for given_frame in (told, told.set_axis(stamps.tz_convert("UTC").tz_localize(None))):
        try:
            dated = inspect_bars(given_frame)[0].index
        except DataError:
            continue
        assert list(dated) == list(days)
    assert list(inspect_bars(told, tz=own)[0].index) == list(days)
