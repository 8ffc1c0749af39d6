"""A vectorbt Portfolio, traded at the open after the signal."""

import vectorbt as vbt


def signals(bars):
    rsi = vbt.RSI.run(bars["close"], window=14).rsi
    entries, exits = rsi < 35, rsi > 65
    return vbt.Portfolio.from_signals(
        bars["close"],
        entries.shift(1, fill_value=False),
        exits.shift(1, fill_value=False),
        price=bars["open"],
        freq="1D",
    )
