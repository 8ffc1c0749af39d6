"""The technical columns, against TA-Lib and against twins written out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import talib

from llmguide.errors import DataError
from llmguide.features.technical import technical, technical_facts

NAMES = [
    "sma_20",
    "sma_50",
    "sma_100",
    "sma_200",
    "rsi_14",
    "macd",
    "macd_signal",
    "macd_strength",
    "atr_14",
    "vwap_20",
]
ZSCORES = ["sma_20", "sma_50", "sma_100", "sma_200", "vwap_20"]  # of the close around them
OSCILLATORS = ["rsi_14", "macd", "macd_strength"]  # of their own last values
SYMBOLS = ["AAPL", "KO", "0700.HK"]


def wilder(values: np.ndarray, period: int) -> np.ndarray:
    """Wilder's average, seeded by the plain mean of the first values; `values` begin at bar 1."""
    averages = np.full(len(values) + 1, np.nan)
    averages[period] = values[:period].mean()
    for t in range(period + 1, len(values) + 1):
        averages[t] = (averages[t - 1] * (period - 1) + values[t - 1]) / period
    return averages


def twin(bars: pd.DataFrame) -> pd.DataFrame:
    """The columns without slopes and z-scores, slowly."""
    close = bars["close"]
    columns = {f"sma_{n}": close.rolling(n).mean() for n in (20, 50, 100, 200)}

    change = close.diff().to_numpy()[1:]
    rises, falls = wilder(np.maximum(change, 0.0), 14), wilder(np.maximum(-change, 0.0), 14)
    columns["rsi_14"] = 100.0 * rises / (rises + falls)

    def exponential(values, period, first):
        """Seeded at `first` by the mean of the values up to it."""
        averages = np.full(len(values), np.nan)
        averages[first] = values[first - period + 1 : first + 1].mean()
        for t in range(first + 1, len(values)):
            averages[t] = averages[t - 1] + 2.0 / (period + 1) * (values[t] - averages[t - 1])
        return averages

    values = close.to_numpy()
    macd = exponential(values, 12, 25) - exponential(values, 26, 25)
    signal = exponential(macd, 9, 33)
    columns |= {"macd": np.where(np.arange(len(values)) < 33, np.nan, macd), "macd_signal": signal}
    columns["macd_strength"] = (macd - signal) / values

    held = close.clip(bars["low"], bars["high"]).shift().to_numpy()[1:]
    reach = np.maximum(bars["high"].to_numpy()[1:], held) - np.minimum(bars["low"].to_numpy()[1:], held)
    columns["atr_14"] = wilder(reach, 14)
    amounts = (close * bars["volume"]).rolling(20).sum()
    columns["vwap_20"] = amounts / bars["volume"].rolling(20).sum()
    return pd.DataFrame(columns, index=bars.index)


def assert_is_twin(bars):
    found, expected = technical(bars), twin(bars)
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-8, atol=1e-9, err_msg=name)


def test_every_column_is_its_twin(bars):
    assert_is_twin(bars)


@pytest.mark.real_bars
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_column_is_its_twin_on_real_bars(real_bars, symbol):
    assert_is_twin(real_bars(symbol, "test"))


def test_columns_are_talibs_where_prices_agree(bars):
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    found = technical(bars)
    np.testing.assert_allclose(found["rsi_14"], talib.RSI(close, timeperiod=14), rtol=1e-9)
    np.testing.assert_array_equal(found["atr_14"], talib.ATR(high, low, close, timeperiod=14))


def test_slopes_of_prices_are_fractions_of_the_close_and_those_of_the_rsi_are_points(bars):
    found = technical(bars)
    for name in NAMES:
        t = 300
        fitted = np.polyfit(np.arange(20), found[name].iloc[t - 19 : t + 1], 1)[0]
        unit = 1.0 if name in ("rsi_14", "macd_strength") else bars["close"].iloc[t]
        assert found[f"{name}_slope"].iloc[t] == pytest.approx(fitted / unit, rel=1e-7, abs=1e-12)


def test_the_zscores_of_oscillators_are_those_of_their_last_values(bars):
    found, t = technical(bars), 300
    for name in ("rsi_14", "macd", "macd_strength"):
        window = found[name].iloc[t - 19 : t + 1]
        expected = (window.iloc[-1] - window.mean()) / window.std(ddof=0)
        assert found[f"{name}_zscore"].iloc[t] == pytest.approx(expected, rel=1e-7)
    assert set(found.filter(like="_zscore")) == {f"{name}_zscore" for name in (*ZSCORES, *OSCILLATORS)}


def test_the_zscore_of_an_average_is_that_of_the_close_as_in_bollingers_bands(bars):
    found, t = technical(bars), 300
    close = bars["close"].to_numpy()
    for period in (20, 50, 100, 200):
        upper, middle, lower = talib.BBANDS(close, timeperiod=period, nbdevup=1.0, nbdevdn=1.0)
        expected = (close - middle) / ((upper - lower) / 2)
        np.testing.assert_allclose(found[f"sma_{period}_zscore"], expected, rtol=1e-6, atol=1e-6)
    window, weights = close[t - 19 : t + 1], bars["volume"].iloc[t - 19 : t + 1]
    mean = np.average(window, weights=weights)
    deviation = np.sqrt(np.average((window - mean) ** 2, weights=weights))
    assert found["vwap_20_zscore"].iloc[t] == pytest.approx((window[-1] - mean) / deviation)


def test_a_jump_stretches_the_zscores_of_averages_and_a_steady_rise_does_not():
    steady = 100.0 * 1.001 ** np.arange(300.0)
    jump = np.append(steady[:-1], 1.08 * steady[-2])

    def last(close):
        bars = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": 5.0})
        return technical(bars).filter(regex="(sma_.*|vwap_20)_zscore").iloc[-1]

    assert (last(steady) < 1.8).all()  # of a straight line 1.65 to 1.73, whatever its slope
    assert last(jump)["sma_20_zscore"] > 3.0
    assert (last(jump) > last(steady) + 0.5).all()


def test_columns_begin_when_their_windows_are_full(bars):
    first = technical(bars).notna().to_numpy().argmax(axis=0)
    begins = dict(zip(technical(bars).columns, first.tolist(), strict=True))
    plain = dict(zip(NAMES, [19, 49, 99, 199, 14, 33, 33, 33, 14, 19], strict=True))
    for name, bar in plain.items():
        assert [begins[name], begins[f"{name}_slope"]] == [bar, bar + 19]
    assert {name: begins[f"{name}_zscore"] for name in (*ZSCORES, *OSCILLATORS)} == (
        {name: plain[name] for name in ZSCORES} | {name: plain[name] + 19 for name in OSCILLATORS}
    )


@pytest.mark.parametrize("price", [0.1, 97.3, 187.26])
def test_prices_that_stand_still_are_neither_strong_nor_weak(price):
    flat = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), price) | {"volume": 5.0}, index=range(260))
    last = technical(flat).iloc[-1]
    assert last["rsi_14"] == 50.0
    assert last["atr_14"] == 0.0
    assert last.filter(like="_slope").abs().max() < 1e-12
    assert last.filter(like="_zscore").isna().all()


def test_what_rounding_leaves_of_an_old_move_is_no_spread():
    price = np.where(np.arange(400) < 50, 90.0, 97.3)
    last = technical(pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), price) | {"volume": 5.0})).iloc[-1]
    assert 0.0 < abs(last["macd"]) < 1e-10
    assert np.isnan(last["macd_zscore"])
    assert np.isnan(last["macd_strength_zscore"])


def test_adjusting_closes_alone_does_not_turn_the_true_range_into_the_adjustment(bars):
    adjusted = bars.assign(close=0.7 * bars["close"])
    expected = (bars["high"] - bars["low"]).mean()
    assert technical(adjusted)["atr_14"].iloc[-100:].mean() < 2.0 * expected
    ordinary = talib.ATR(*(adjusted[name].to_numpy() for name in ("high", "low", "close")), timeperiod=14)
    assert np.nanmean(ordinary[-100:]) > 10.0 * expected


def test_bars_to_come_change_nothing_to_the_last_bit(bars):
    whole = technical(bars)
    for t in (1, 2, 19, 20, 34, 130, 333):
        pd.testing.assert_frame_equal(technical(bars[:t]), whole[:t], check_exact=True)


@pytest.mark.real_bars
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_bars_to_come_change_nothing_on_real_bars(real_bars, symbol):
    bars = real_bars(symbol, "train")
    whole = technical(bars)
    for t in (90, 400, 1001):
        pd.testing.assert_frame_equal(technical(bars[:t]), whole[:t], check_exact=True)


def test_facts_are_the_last_row_and_nothing_that_is_missing(bars):
    for t in (60, 300):
        last = technical(bars[:t]).iloc[-1].dropna()
        facts = {fact.name: fact.value for fact in technical_facts(bars[:t], "absolute")}
        assert facts == {f"technical.{name}": value for name, value in last.items()}


def test_relative_facts_are_distances_and_shares_of_the_close_under_the_same_names(bars):
    last, close = technical(bars).iloc[-1], bars["close"].iloc[-1]
    facts = {fact.name.removeprefix("technical."): fact for fact in technical_facts(bars)}
    assert list(facts) == list(last.index)
    for name in ("sma_20", "sma_50", "sma_100", "sma_200", "vwap_20"):
        assert facts[name].value == pytest.approx(close / last[name] - 1)
    for name in ("macd", "macd_signal", "atr_14"):
        assert facts[name].value == pytest.approx(last[name] / close)
    rest = [name for name in last.index if name.endswith(("_slope", "_zscore")) or name in ("rsi_14", "macd_strength")]
    assert {name: facts[name].value for name in rest} == last[rest].to_dict()
    assert facts["atr_14"].text == f"{100 * last['atr_14'] / close:.2f} %"


def test_where_only_closes_are_adjusted_the_true_range_is_a_share_of_the_price_that_was_traded(bars):
    whole = technical(bars).iloc[-1]
    adjusted = bars.assign(close=0.25 * bars["close"])
    last = technical(adjusted).iloc[-1]
    facts = {fact.name: fact.value for fact in technical_facts(adjusted)}
    plain = {fact.name: fact.value for fact in technical_facts(bars)}
    assert facts["technical.atr_14"] == pytest.approx(plain["technical.atr_14"], rel=0.3)
    assert abs(last["atr_14_slope"]) < 3 * abs(whole["atr_14_slope"]) + 1e-3


def test_bars_that_are_not_complete_are_refused(bars):
    with pytest.raises(DataError, match="column 'volume'"):
        technical(bars.drop(columns="volume"))
    holed = bars.copy()
    holed.iloc[5, 3] = np.nan
    with pytest.raises(DataError, match="finite 'close'"):
        technical(holed)
