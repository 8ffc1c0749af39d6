"""A TA-Lib array, without dates."""

import talib


def signals(bars):
    return talib.MOM(bars["close"].to_numpy(), timeperiod=10) > 0
