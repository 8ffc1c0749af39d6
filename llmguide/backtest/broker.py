"""A broker that fills market orders at the close of the bar on which they are sent, as the benchmark's account does."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

import backtrader as bt

from llmguide.errors import LlmguideError

__all__ = ["CloseFillBroker", "cost_rate", "use_close_fills"]

ROUNDING = 1e-12
"""Part of the money involved that two orders of the same additions may differ by."""


class CloseFillBroker(bt.brokers.BackBroker):
    """Backtrader's broker, except that market orders are executed at once, at the close of their data's current bar.

    Cash, position and value are those after the trade as soon as `buy` or `sell` returns, also inside `next`.
    Backtrader's cheat-on-close (``set_coc(True)``) takes the same price, but books the trade one bar later.

    - Commission: ``setcommission(commission=0.001)`` and nothing else (``commtype`` would make the asset a future).
    - An order that only reduces a position is executed even where it leaves the cash below zero: a short that lost the
      whole account must be closable. Any other order that the cash cannot pay gets ``Order.Margin``.
    - A purchase that takes the last cent is not refused because of rounding.
    - All other order types, market orders sent with ``coc=False``, children of a bracket and what a volume filler left
      of an order follow Backtrader's own rules from the next bar on.
    - Notifications reach a strategy at its next bar, as usual; `deliver` delivers them at once.
    """

    params: ClassVar[Any] = (("coc", True),)

    def submit(self, order: Any, check: bool = True) -> Any:
        """Accept an order, and execute it if it is a market order (or the last of a bracket whose entry is one)."""
        if self._reduces(order):
            check = False
            order.submit(self)
            self.notify(order)
        answer = super().submit(order, check=check)
        entry = order.parent or order
        if not (order.transmit and self._fills_now(entry)):
            return answer
        loan = ROUNDING * (abs(self.cash) + abs(entry.created.size * entry.created.pclose))
        self.cash += loan
        self.check_submitted()
        if entry.status == bt.Order.Accepted:
            self.pending.remove(entry)  # as `next` does: what is pending while it executes would be cancelled with it
            self._try_exec(entry)
            if entry.alive():
                entry.addinfo(coc=False)
                self.pending.append(entry)
            elif entry.status == bt.Order.Completed:
                self._bracketize(entry)
        self.cash -= loan
        self._get_value()
        return answer

    def deliver(self, strategy: bt.Strategy) -> None:
        """Deliver to `strategy` the notifications of its own orders now instead of before its next bar.

        Call it at the end of `next`: a fill is then notified, and drawn by the observers, on the bar on which it
        happened, which for the last bar is the only chance.
        """
        waiting = list(self.notifs)
        mine = [order for order in waiting if order.owner is strategy]
        self.notifs: deque[Any] = deque(order for order in waiting if order.owner is not strategy)
        settings = self.cerebro.p
        before, settings.quicknotify = settings.quicknotify, True  # else it would be kept for the next bar, and lost
        try:
            for order in mine:
                strategy._addnotification(order, quicknotify=True)
        finally:
            settings.quicknotify = before

    def _fills_now(self, order: Any) -> bool:
        is_new = order.status in (bt.Order.Submitted, bt.Order.Accepted) and order.active()
        return bool(self.p.coc and is_new and order.exectype == bt.Order.Market and order.info.get("coc", True))

    def _reduces(self, order: Any) -> bool:
        size = self.positions[order.data].size
        alone = order.exectype == bt.Order.Market and order.parent is None and order.transmit
        return bool(alone and order.size * size < 0 and abs(order.size) <= abs(size))


def use_close_fills(cerebro: bt.Cerebro) -> CloseFillBroker:
    """Give a Cerebro a `CloseFillBroker` with the cash and commissions of its current broker, and return it.

    Args:
        cerebro: a `bt.Cerebro` that has not run; set cash and commission before, or on the broker that is returned.
    """
    before = cerebro.broker
    broker = CloseFillBroker()
    broker.setcash(before.getcash())
    broker.comminfo.update(before.comminfo)
    cerebro.broker = broker
    return broker


def cost_rate(broker: bt.BrokerBase, data: bt.AbstractDataBase) -> float:
    """Return a broker's commission for a feed as a fraction of the traded value.

    Args:
        broker: the Cerebro's broker.
        data: the feed.

    Raises LlmguideError for futures, and for commissions that are not such a fraction.
    """
    scheme = broker.getcommissioninfo(data)
    rate = float(scheme.getcommission(1.0, 1.0))
    proportional = abs(scheme.getcommission(3.0, 7.0) - 21.0 * rate) <= 1e-9 * max(1.0, abs(rate))
    if not (scheme.stocklike and proportional and 0.0 <= rate < 1.0):
        raise LlmguideError(
            "llmguide's strategies need a commission that is a fraction of the traded value, in [0, 1): "
            "cerebro.broker.setcommission(commission=0.001) and no other argument, for 0.1 %"
        )
    return rate
