"""The one call that puts a guard before a Cerebro's broker."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import backtrader as bt

from llmguide.backtest.broker import CloseFillBroker
from llmguide.errors import LlmguideError
from llmguide.live.guard import Guard
from llmguide.live.limits import Limits
from llmguide.live.venues import Names

__all__ = ["attach"]

_log = logging.getLogger("llmguide.live")


def attach(
    cerebro: bt.Cerebro,
    *,
    journal: Path | str,
    limits: Limits | None = None,
    dry_run: bool = True,
    account: str = "",
    cash: float | None = None,
    clock: Callable[[], datetime] | None = None,
    names: Names | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Guard:
    """Put a `Guard` in front of a Cerebro's broker and return it; call it last, when feeds and broker are in place.

    For example::

        cerebro.broker = store.getbroker()
        cerebro.adddata(store.getdata(dataname="AAPL"), name="AAPL")
        cerebro.addstrategy(llmguide.strategies.MixtureOfExperts, experts=..., history=...)
        llmguide.live.attach(cerebro, journal="aapl.sqlite")
        cerebro.run()

    Args:
        cerebro: the Cerebro, with its feeds and broker.
        journal: an SQLite file, created if missing. Start again with the same file to continue a run.
        limits: limits on orders; None is ``Limits()``.
        dry_run: True sends nothing: orders are filled on paper, at the next bar's prices. False trades.
        account: a name that tells runs apart, where several journals trade the same feeds by the same strategies.
        cash: initial cash of a dry run; None takes the broker's.
        clock: function that returns the time, naive and in UTC; None is the computer's clock.
        names: for a broker that cannot be asked for its orders by name (see `llmguide.live.venues.BrokerVenue`): a
            function that returns, for the name of an order, further arguments of the broker's ``buy`` and ``sell``, so
            that a person can find it.
        on_note: called with every note for a person; None logs them to "llmguide.live". The journal keeps them too.

    Raises LlmguideError where the Cerebro has a guard already, fills at the close, or is to trade on a broker that only
    simulates. The run itself raises JournalError where the journal cannot be used, or a strategy departs from it.
    """
    before = cerebro.broker
    if isinstance(before, Guard):
        raise LlmguideError("this Cerebro has a guard already")
    if isinstance(before, CloseFillBroker):
        raise LlmguideError(
            "a live order cannot be filled at the close that it was decided on: leave use_close_fills(cerebro) out"
        )
    if isinstance(before, bt.brokers.BackBroker) and not dry_run:
        raise LlmguideError(
            "Backtrader's own broker only simulates, and forgets its orders at a restart: give the Cerebro a store's "
            "broker first (cerebro.broker = store.getbroker()), or leave dry_run=True"
        )
    guard = Guard(
        before,
        Path(journal),
        limits or Limits(),
        dry_run=dry_run,
        account=account,
        cash=cash,
        clock=clock or _utc,
        names=names,
        on_note=on_note or _log.warning,
    )
    cerebro.broker = guard
    cerebro._dolive = True  # as a live feed does: neither preload nor runonce
    cerebro.addstore(_Sentinel(cerebro, guard))
    return guard


class _Sentinel:
    """A store that refuses to run where the guard was replaced after `attach`: orders would go past it."""

    def __init__(self, cerebro: Any, guard: Guard) -> None:
        self._cerebro, self._guard = cerebro, guard

    def start(self) -> None:
        if self._cerebro.broker is not self._guard:
            raise LlmguideError("the broker was replaced after llmguide.live.attach(): call attach() last")

    def stop(self) -> None:
        pass

    def get_notifications(self) -> list[Any]:
        return []


def _utc() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
