"""What an order must not do, however much the strategy wants it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import backtrader as bt

from llmguide.errors import LlmguideError

__all__ = ["Exposure", "Limits", "fresh_until", "not_live"]

ROUNDING = 1e-6


class Exposure(NamedTuple):
    """What an order would do to the account, at the feed's last close."""

    before: float  # value of the feed's position and open orders, with their sign
    after: float  # the same with the order
    others: float  # absolute values of all other positions and open orders
    account: float  # value of the account


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on the orders of a live run; an order beyond one is rejected.

    Orders that only reduce a position pass `position_value` and `leverage`.

    Attributes:
        orders_per_day: the most orders in one day of the clock (UTC), cancelled and rejected ones included.
        position_value: the largest position in one feed, long or short, in money; None for no limit.
        leverage: the largest sum of all positions as a fraction of the account's value; None for no limit.
        daily_loss: the fraction of the account that may be lost in a day, counted from the last value of the day
            before. Beyond it the kill switch is turned on. None for no limit.
        stale_after: how much older than the clock a bar may be for orders to follow from it. None is the end of the
            next weekday for daily bars, two bars for shorter ones, and one bar and four days for longer ones.
        on_kill: "hold" keeps the positions when the kill switch is turned on, "flatten" closes them at the market. Open
            orders are cancelled either way.

    Raises LlmguideError for values out of range.
    """

    orders_per_day: int = 20
    position_value: float | None = None
    leverage: float | None = 1.0
    daily_loss: float | None = None
    stale_after: timedelta | None = None
    on_kill: Literal["hold", "flatten"] = "hold"

    def __post_init__(self) -> None:
        if self.orders_per_day < 1:
            raise LlmguideError(f"expected orders_per_day of at least 1, got {self.orders_per_day}")
        for name in ("position_value", "leverage"):
            value = getattr(self, name)
            if value is not None and not value > 0.0:
                raise LlmguideError(f"expected {name} above 0, or None for no limit, got {value}")
        if self.daily_loss is not None and not 0.0 < self.daily_loss < 1.0:
            raise LlmguideError(f"expected daily_loss as a fraction in (0, 1), got {self.daily_loss}; 5 % is 0.05")
        if self.on_kill not in ("hold", "flatten"):
            raise LlmguideError(f"expected on_kill to be 'hold' or 'flatten', got {self.on_kill!r}")

    def refuses(self, exposure: Exposure, *, sent_today: int) -> str:
        """Return why an order must not be sent, "" where it may be.

        Args:
            exposure: what the order would do to the account.
            sent_today: number of orders sent today.
        """
        if sent_today >= self.orders_per_day:
            return f"{sent_today} orders today, and orders_per_day is {self.orders_per_day}"
        reduces = abs(exposure.after) <= abs(exposure.before) and exposure.after * exposure.before >= 0.0
        if reduces:
            return ""
        if self.position_value is not None and abs(exposure.after) > self.position_value * (1.0 + ROUNDING):
            return f"the position would be worth {abs(exposure.after):,.2f}; position_value is {self.position_value:,g}"
        gross = abs(exposure.after) + exposure.others
        if self.leverage is not None and gross > self.leverage * exposure.account * (1.0 + ROUNDING):
            return (
                f"all positions would be worth {gross:,.2f}, the account {exposure.account:,.2f}; "
                f"leverage is {self.leverage:g}"
            )
        return ""

    def lost_too_much(self, value: float, before: float | None) -> str:
        """Return a text where the account's `value` is too far below the one of the day `before`, else ""."""
        if self.daily_loss is None or before is None or not value < before * (1.0 - self.daily_loss):
            return ""
        return f"the account fell from {before:,.2f} to {value:,.2f} in a day; daily_loss is {self.daily_loss:g}"

    def too_old(self, data: bt.AbstractDataBase, now: datetime) -> str:
        """Return what is wrong with the age of the last bar of the feed `data` at the time `now`, "" where it is recent
        enough.
        """
        stamp = bt.num2date(data.lines.datetime[0])
        until = fresh_until(data, stamp) if self.stale_after is None else stamp + self.stale_after
        return "" if now < until else f"the bar of {_words(stamp)} is old at {now:%Y-%m-%d %H:%M} UTC"


def fresh_until(data: Any, stamp: datetime) -> datetime:
    """Return when a bar is too old to trade on, where no age is given; naive, in UTC like Backtrader's numbers."""
    units: dict[int, timedelta] = {
        bt.TimeFrame.Seconds: timedelta(seconds=1),
        bt.TimeFrame.Minutes: timedelta(minutes=1),
        bt.TimeFrame.Days: timedelta(days=1),
        bt.TimeFrame.Weeks: timedelta(days=7),
        bt.TimeFrame.Months: timedelta(days=31),
        bt.TimeFrame.Years: timedelta(days=366),
    }
    length: timedelta = units.get(data._timeframe, timedelta(seconds=1)) * int(data._compression)
    if data._timeframe < bt.TimeFrame.Days:
        return stamp + 2 * length + timedelta(seconds=5)
    if data._timeframe > bt.TimeFrame.Days:
        return stamp + length + timedelta(days=4)
    day = datetime(stamp.year, stamp.month, stamp.day) + length
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return day + timedelta(days=1)


def not_live(data: Any) -> str:
    """Return what a live feed last said of itself where that is not being live, else ""."""
    bad = (data.DISCONNECTED, data.CONNBROKEN, data.DELAYED, data.NOTSUBSCRIBED, data.NOTSUPPORTED_TF)
    return f"the feed is {data._getstatusname(data._laststatus)}" if data._laststatus in bad else ""


def _words(stamp: datetime) -> str:
    return f"{stamp:%Y-%m-%d}" if stamp.time() == stamp.min.time() else f"{stamp:%Y-%m-%d %H:%M:%S}"
