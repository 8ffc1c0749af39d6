"""At which price a bar fills an order: the rule of Backtrader's own broker, without its slippage."""

from __future__ import annotations

__all__ = ["fill_price"]


def fill_price(kind: str, size: float, price: float | None, *, open: float, high: float, low: float) -> float | None:
    """Return the price at which an order that waits for this bar is filled, None where it goes on waiting.

    A market order is filled at the open. A limit order is filled at the open where that is as good as its price or
    better, else at its price if the bar reaches it; a stop order is filled at the open where the market is beyond its
    price, else at its price if the bar reaches it.
    """
    if kind == "market":
        return open
    if price is None:
        raise ValueError(f"a {kind} order needs a price")
    falls = (size > 0) == (kind == "limit")  # whether it waits for prices to fall to it
    if open <= price if falls else open >= price:
        return open
    return price if (low <= price if falls else high >= price) else None
