"""vectorbt signals shifted in the wrong direction."""

import vectorbt as vbt

FOUND_AS = "looks ahead"


def signals(bars):
    average = vbt.MA.run(bars["close"], 10).ma
    tomorrow = bars["close"].shift(-1)
    return (tomorrow > average) & (bars["close"] <= average), (tomorrow < average) & (bars["close"] >= average)
