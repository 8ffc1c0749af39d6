"""Two vectorbt moving averages."""

import vectorbt as vbt


def signals(bars, fast=10, slow=30):
    quick, calm = vbt.MA.run(bars["close"], fast), vbt.MA.run(bars["close"], slow)
    return quick.ma_crossed_above(calm), quick.ma_crossed_below(calm)
