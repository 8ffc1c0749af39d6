"""A strategy that trades one feed by the benchmark's account rules; what it decides is left to its subclasses."""

from __future__ import annotations

import math
import warnings
from datetime import date, datetime
from functools import partial
from typing import Any, ClassVar, NamedTuple

import backtrader as bt
import numpy as np

from llmguide.backtest.broker import CloseFillBroker, cost_rate
from llmguide.backtest.feed_checks import (
    adopt_zone,
    check_now,
    check_values,
    closes_outside,
    name_of,
    refuse_two_scales,
)
from llmguide.errors import LlmguideError, RunWarning, did_you_mean
from llmguide.trading.account import FLAT, LONG, SHORT, side_of, step
from llmguide.trading.sizing import BAND, check_sizing, limit_weights, rebalance

__all__ = ["AccountStrategy", "Decided"]

ROUNDING = 1e-9
"""Part of the money involved within which two sums count as equal: far more than rounding, far less than a share."""


class Decided(NamedTuple):
    """One entry of a strategy's log: what was decided at a bar, and the position it aims for.

    Attributes:
        date: date, or time, of the bar.
        decision: 1 long, 0 short, or -1 flat for an agent with three actions; the target weight for a `SizedStrategy`.
        side: the side aimed for: +1, -1 or 0.
        shares: whole shares to be held, short or long.
    """

    date: datetime
    decision: float
    side: int
    shares: int


class AccountStrategy(bt.Strategy):
    """Base class of strategies that hold all of the account long or short in one feed; a subclass defines `decide`.

    `llmguide.strategies.SizedStrategy` is the same for any fraction of the account.

    **Timing.** In `next` at bar t a decision is taken from bars up to and including t-1, and its order is sent at the
    close of bar t. With `llmguide.backtest.CloseFillBroker` it is filled at that very close, which reproduces the
    benchmark's account (`llmguide.simulate`); with Backtrader's own broker it is filled at the next open: same
    decisions, other fills. The strategy acts once on each bar of the traded feed, whatever other feeds do. A replayed
    bar is acted on at its first tick, from the complete bars before it, at that tick's price.

    **Orders.** There is one at a time, its size from `llmguide.trading.account.step` on the broker's cash and position,
    or with `max_leverage` below 1 from `llmguide.trading.sizing.rebalance`. A flip that the account can no longer pay
    for (a short that lost more than everything) is not made: the side stays, and that is what `decision_log` records.
    No order is rejected for margin: where the fill price is unknown, a purchase is a limit order at ``close * (1 +
    reserve)`` whose every possible fill the cash can pay. If the market stays above that limit for the whole bar, the
    order is cancelled and the next bar decides anew; a warning reports it where most purchases ended this way.

    A strategy counts on all the cash of its broker, so give each strategy a Cerebro of its own. Sizers are not
    supported.

    Params:
        feed: position or name of the feed to trade.
        start: idle bars at the beginning; the first decision is at bar `start`, counted from 0.
        reserve: fraction above the close up to which a purchase is filled; used only where orders are filled after the
            close.
        long_only: short decisions mean flat: what is held is sold.
        max_leverage: largest position as a fraction of the account, in (0, 1]. Below 1, long and short are the target
            weights ``max_leverage`` and ``-max_leverage``.
        band: a position no further than this fraction of the account from its target weight is left alone; without
            effect on all-in positions.

    Attributes:
        traded: the feed.
        side: +1, -1, or 0 where nothing is held; an all-in short that was bought back in full stays short.
        decision_log: a `Decided` for each bar with a decision.
        first_date: date of the first bar so far; None before it.
        last_date: date of the newest bar so far; None before the first.

    Raises:
        LlmguideError: a param out of range, an unknown feed, a sizer, or a commission that is not a fraction of the
            traded value.
        DataError: a close that is missing or not above 0; where orders are filled after the close, also such opens,
            highs and lows, or closes outside [low, high] on many bars.

    Dates are in the time zone of a `PandasData`'s frame, where it has one and the feed has no ``tz=``.
    """

    params: ClassVar[Any] = (
        ("feed", 0),
        ("start", 30),
        ("reserve", 0.02),
        ("long_only", False),
        ("max_leverage", 1.0),
        ("band", BAND),
    )
    _decisions: ClassVar[tuple[int, ...]] = (LONG, SHORT)

    def __init__(self) -> None:
        super().__init__()
        name = type(self).__name__
        if self.p.start < 1:
            raise LlmguideError(f"{name} needs start >= 1, a bar before the first decision, got {self.p.start}")
        if not 0.0 <= self.p.reserve < 1.0:
            raise LlmguideError(f"reserve is a fraction of the price in [0, 1), got {self.p.reserve}; 2 % is 0.02")
        check_sizing(max_leverage=self.p.max_leverage, band=self.p.band)
        self._feed = _find_feed(self, self.p.feed)
        self.traded = self.datas[self._feed]
        adopt_zone(self.traded)
        self._own_sizer = self.getsizer()
        self.side = 0
        self.decision_log: list[Decided] = []
        # As an indicator, so that Backtrader keeps the bar before the current one in every memory mode.
        self._previous_close = self.traded.close(-1)
        self.first_date: date | None = None
        self.last_date: date | None = None
        self._bars = 0
        self._cash = math.nan
        self._order: Any = None
        self._ordered_side = 0
        self._purchases = self._unfilled = 0
        self._checked = self._outside = 0

    def qbuffer(self, savemem: int = 0, replaying: bool = False) -> None:
        """Keep more than one date where Backtrader saves memory: a pause of a live feed takes the newest one away."""
        super().qbuffer(savemem, replaying)
        self.traded.minbuffer(2)

    def decide(self) -> float | None:
        """Return 1 (long), 0 (short), or None to keep the side; use only what was known at the close of t-1.

        Raises NotImplementedError unless a subclass defines it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define decide()")

    def start(self) -> None:
        """Read the commission; refuse a sizer, and preloaded bars on which orders cannot be filled."""
        self._cost = cost_rate(self.broker, self.traded)
        self._fills_at_close = isinstance(self.broker, CloseFillBroker)
        name, sizer = type(self).__name__, self.getsizer()
        if sizer is not self._own_sizer:
            raise LlmguideError(
                f"{name} sizes its orders by the account's rules and cannot follow {type(sizer).__name__}; for smaller "
                "positions set max_leverage=, and leave the sizer out, or give it to other strategies only: "
                "cerebro.addsizer_byidx(cerebro.addstrategy(...), ...)"
            )
        lines = self.traded.lines
        if self.traded.buflen() and not len(self.traded):  # preloaded
            for line in self._needed():
                check_values(self.traded, line, getattr(lines, line).array, first=0, needed_by=name, positive=True)
            if not self._fills_at_close:
                low, high, close = (np.array(line.array) for line in (lines.low, lines.high, lines.close))
                refuse_two_scales(closes_outside(low, high, close), len(close), name_of(self.traded))

    def _needed(self) -> tuple[str, ...]:
        """Prices that every bar must have: the close, by which orders are sized, and what the broker fills them by."""
        return ("close",) if self._fills_at_close else ("close", "open", "high", "low")

    def _check_bar(self) -> None:
        """Refuse the current bar where it lacks a price, or shows that the feed's prices are on two scales."""
        check_now(self.traded, self._needed(), needed_by=type(self).__name__)
        if self._fills_at_close or len(self.traded) == self._checked:
            return
        self._checked = len(self.traded)
        lines = self.traded.lines
        outside = closes_outside(lines.low[0], lines.high[0], lines.close[0])
        self._outside += outside
        if outside:
            refuse_two_scales(self._outside, self._checked, name_of(self.traded))

    def next(self) -> None:
        """Decide and trade, if the traded feed has a new bar."""
        bars = len(self.traded)
        if bars:
            self._check_bar()
            self.last_date = self.traded.datetime.date(0)
            self.first_date = self.first_date or self.last_date
        ready = bars > self.p.start and bars >= self._minperiods[self._feed]
        if bars == self._bars or not ready:
            return
        self._bars = bars
        if not self._settle():
            return
        decision = self.decide()
        decision = self._kept() if decision is None else self._checked_decision(decision)
        if decision is not None:
            self._trade(decision)
        if self._fills_at_close:
            self.broker.deliver(self)

    def prenext(self) -> None:
        """Trade before other feeds have begun; their bars are not needed."""
        self.next()

    def stop(self) -> None:
        """Warn where most purchases were never filled."""
        if 2 * self._unfilled > self._purchases:
            warnings.warn(
                f"{self._unfilled} of {self._purchases} purchases of {type(self).__name__} were not filled: the market "
                f"stayed more than {self.p.reserve:.1%} above the last close, as it does where only closes are adjusted"
                ", so that its result says little of the strategy; raise reserve=, or use "
                "llmguide.backtest.CloseFillBroker",
                RunWarning,
                stacklevel=2,
            )

    def _checked_decision(self, decision: float) -> float:
        """Return what `decide` returned, if it is a decision."""
        if decision not in self._decisions:
            raise LlmguideError(
                f"{type(self).__name__}.decide() returned {decision!r}, expected 1 (long), 0 (short) or None; for a "
                "fraction of the account derive the class from llmguide.strategies.SizedStrategy"
            )
        return int(decision)

    def _weight(self, decision: float) -> float | None:
        """Return the target weight that a decision stands for, or None where it goes all in."""
        return None if self.p.max_leverage == 1.0 else self._limited(float(side_of(int(decision))))

    def _limited(self, weight: float) -> float:
        return float(limit_weights(weight, long_only=self.p.long_only, max_leverage=self.p.max_leverage))

    def _kept(self) -> float | None:
        """Return the decision that keeps the side, or None where there is none yet."""
        if self.side:
            return LONG if self.side > 0 else SHORT
        return self.decision_log[-1].decision if self.decision_log else None

    def _settle(self) -> bool:
        """Learn what became of the last order, cancel it if it waits; return whether a new one may be sent."""
        order = self._order
        if order is not None:
            if order.alive():
                self.cancel(order)
            if order.alive():
                return False
            if order.status == bt.Order.Completed:
                self.side = self._ordered_side
            elif order.exectype == bt.Order.Limit and not order.executed.size:
                self._unfilled += 1
            self._order = None
        held = self.getposition(self.traded).size
        if held:
            self.side = 1 if held > 0 else -1
        return True

    def _trade(self, decision: float) -> None:
        """Send the order that a decision needs, if any, and record the decision."""
        held = self.getposition(self.traded).size
        weight = self._weight(decision)
        side, shares, cash = self._account_after(decision, weight, held)
        if not self._affordable(side, shares, held):
            if weight is None:
                kept = self._kept()
                if kept is None:
                    return
                decision = kept
            else:
                weight = 0.0  # closed now, and opened on a later bar with what is left
            side, shares, cash = self._account_after(decision, weight, held)
        order = self._send(side * shares, held)
        if order is None or order.status == bt.Order.Completed:
            self.side = side
        elif order.alive():
            self._order, self._ordered_side = order, side
        self._cash = cash
        self.decision_log.append(Decided(self.traded.datetime.datetime(0), decision, side, shares))

    def _account_after(self, decision: float, weight: float | None, held: float) -> tuple[int, int, float]:
        """Return side, shares and cash after a decision, or its weight; negative shares: it cannot pay."""
        price = float(self.traded.close[0])
        cash = self._known_cash(held)
        side, shares = float(self.side), float(abs(held))
        if weight is not None:
            side, shares, cash = rebalance(side, shares, cash, weight, price, self._cost, self.p.band)
        else:
            done = FLAT if self.p.long_only and decision == SHORT else int(decision)
            side, shares, cash, _ = step(side, shares, cash, done, price, float(self._previous_close[0]), self._cost)
        return int(side), int(shares), cash

    def _known_cash(self, held: float) -> float:
        """Return the broker's cash, in the rules' order of adding where it can be: else a tie could cost a share."""
        cash = float(self.broker.getcash())
        same = abs(cash - self._cash) <= ROUNDING * (abs(cash) + abs(held) * float(self.traded.close[0]))
        return self._cash if same else cash

    def _affordable(self, side: int, shares: int, held: float) -> bool:
        if shares < 0:
            return False
        flips_up = side > 0 and held < 0
        return self._fills_at_close or not flips_up or self._payable(1.0 + self.p.reserve) >= -held

    def _payable(self, above_close: float) -> int:
        """Return how many shares the cash pays for at a multiple of the close."""
        price = float(self.traded.close[0]) * above_close
        return max(0, math.floor(float(self.broker.getcash()) * (1.0 - ROUNDING) / (price * (1.0 + self._cost))))

    def _send(self, target: int, held: float) -> Any:
        """Send one order towards `target` shares and return it; None if there is nothing to send."""
        if self._fills_at_close or target <= held:  # a sale, also one into a short, brings cash in
            return self.order_target_size(self.traded, target=target)
        if target <= 0:
            return self.buy(self.traded, size=min(target - held, self._payable(1.0)))
        price = self.traded.close[0] * (1.0 + self.p.reserve)
        size = min(target - held, self._payable(1.0 + self.p.reserve))
        order = self.buy(self.traded, size=size, exectype=bt.Order.Limit, price=price)
        if order is not None:
            # Backtrader tries a limit order as soon as any feed moves, on the traded feed's old bar.
            order.active = partial(_has_new_bar, self.traded, len(self.traded))
            self._purchases += 1
        return order


def _has_new_bar(data: Any, bars: int) -> bool:
    return len(data) > bars


def _find_feed(strategy: Any, feed: int | str) -> int:
    """Return the position of a feed given by position or name."""
    if isinstance(feed, str):
        names = [data._name for data in strategy.datas]
        if feed in names:
            return names.index(feed)
        raise LlmguideError(f"there is no feed {feed!r}, only {names}{did_you_mean(feed, names)}")
    if not 0 <= feed < len(strategy.datas):
        raise LlmguideError(f"there is no feed {feed}, only {len(strategy.datas)}; the first is 0")
    return feed
