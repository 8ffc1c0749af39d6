"""An array of TA-Lib, without dates."""

import talib


def signals(bars):
    return talib.MOM(bars["close"].to_numpy(), timeperiod=10) > 0
