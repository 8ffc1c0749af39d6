"""A broker before the broker: it writes everything down, lets no order pass twice, and keeps to limits."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import backtrader as bt

from llmguide.errors import JournalError, LlmguideError
from llmguide.live.book import Book, make_order, order_from, position_key, wanted_of
from llmguide.live.journal import Cancel, Journal, Position
from llmguide.live.limits import Limits, not_live
from llmguide.live.orders import Intent, Report, Wanted, client_id
from llmguide.live.sending import KILL_SWITCH, Sender, by_name, journal_lock
from llmguide.live.tape import Steps, Tape
from llmguide.live.venues import BrokerVenue, DryVenue, Names

__all__ = ["Guard"]


class Guard(bt.BrokerBase):
    """The broker that strategies see in a live run; `attach` makes it.

    Cash, positions and orders are those of the journal. On a restart the steps of the journal are replayed while
    nothing is sent, and every order is compared with the one that was recorded. In the last step, which may have been
    cut off, orders that were not recorded yet are sent.

    Attributes:
        dry_run: whether orders are only filled on paper.
        steps: number of steps so far.

    Raises JournalError where a strategy decides otherwise than recorded, naming the bar; LlmguideError where the
    Cerebro cannot run live.
    """

    def __init__(
        self,
        broker: Any,
        journal: Path,
        limits: Limits,
        *,
        dry_run: bool,
        account: str,
        cash: float | None,
        clock: Callable[[], datetime],
        names: Names | None,
        on_note: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._broker, self._path, self._limits = broker, journal, limits
        self.dry_run, self._account, self._clock, self._on_note = dry_run, account, clock, on_note
        self._first_cash, self._names = cash, names
        self.steps = Steps()

    # What Cerebro calls

    def start(self) -> None:
        """Open the journal, and subscribe to the feeds."""
        super().start()
        if self.cerebro._dooptimize:
            raise LlmguideError("cerebro.optstrategy cannot run live; use addstrategy")
        self._broker.start()
        self._lock = journal_lock(self._path)
        self._journal = Journal(self._path)
        try:
            self._begin_run()
        except BaseException:
            self._journal.close()
            raise

    def _begin_run(self) -> None:
        """Read from the journal where the run stands, and begin to listen."""
        own = [data for data in self.cerebro.datas if not data._clone]
        self._datas = by_name(self.cerebro.datas)
        if len(self._datas) < len(self.cerebro.datas):
            raise LlmguideError("give every feed a name of its own: cerebro.adddata(feed, name='AAPL')")
        self._agree_on(dry_run=self.dry_run, account=self._account, feeds=[position_key(data) for data in own])
        self._book = Book(self.getcommissioninfo)
        for key, (size, price) in (self._journal.meta("base") or {}).items():
            self._book.positions[key] = bt.Position(size, price)
        self._cash = self._cash_at_first()
        self.startingcash = self.startingvalue = self._cash
        self.steps = Steps(recorded=self._journal.last_step)
        self._tapes = [Tape(data, self._journal.bars(position_key(data)), self.steps, self._note) for data in own]
        self._sender: Sender | None = None
        self._seen = tuple(len(data) for data in self.cerebro.datas)
        self._numbers = Counter(
            (KILL_SWITCH, intent.wanted.feed, intent.stamp)
            for intent in self._journal.intents("strategy = ?", KILL_SWITCH)
        )
        self._expected: deque[Intent] = deque()
        self._expected_cancels: deque[Cancel] = deque()
        self._cancelled: set[str] = set()
        self._finished = True

    def stop(self) -> None:
        """Release broker, feeds and journal; the last step is replayed at the next start."""
        for tape in self._tapes:
            tape.remove()
        self._broker.stop()
        self._journal.close()

    def next(self) -> None:
        """Begin a step where a feed has a new bar; otherwise poll the broker."""
        self.steps.passes += 1
        seen = tuple(len(data) for data in self.cerebro.datas)
        if seen != self._seen:
            self._seen = seen
            self._begin()
        elif not self.steps.replaying:
            self._between()

    def get_notification(self) -> Any:
        """Return the next notification for a strategy, None where there is none."""
        return self._book.next_notification()

    # What strategies call

    def getcash(self) -> float:
        """Return the cash when the step began."""
        return self._cash

    def getvalue(self, datas: Any = None) -> float:
        """Return cash plus positions at the last closes; for given `datas`, the value of their positions alone."""
        chosen = list(self._datas.values()) if datas is None else datas
        worth = sum(self._book.position(data).size * float(data.close[0]) for data in chosen if len(data))
        return float(worth if datas is not None else self._cash + worth)

    def getposition(self, data: Any, clone: bool = True) -> Any:
        """Return the position in a feed, as it follows from the broker's reports."""
        position = self._book.position(data)
        return position.clone() if clone else position

    get_cash, get_value = getcash, getvalue

    def getcommissioninfo(self, data: Any) -> Any:
        """Return the commission scheme of the underlying broker."""
        return self._broker.getcommissioninfo(data)

    def setcommission(self, *args: Any, **kwargs: Any) -> None:
        """Set the commission of the underlying broker."""
        self._broker.setcommission(*args, **kwargs)

    def addcommissioninfo(self, comminfo: Any, name: str | None = None) -> None:
        """Set the commission scheme of the underlying broker."""
        self._broker.addcommissioninfo(comminfo, name=name)

    def buy(self, owner: Any, data: Any, size: float, price: Any = None, plimit: Any = None, **options: Any) -> Any:
        """Record a purchase and, where allowed, send it; return Backtrader's order."""
        return self._order(bt.BuyOrder, owner, data, size, price, plimit, options)

    def sell(self, owner: Any, data: Any, size: float, price: Any = None, plimit: Any = None, **options: Any) -> Any:
        """Record a sale and, where allowed, send it; return Backtrader's order."""
        return self._order(bt.SellOrder, owner, data, size, price, plimit, options)

    def cancel(self, order: Any) -> None:
        """Cancel an order; it stays alive until the broker confirms."""
        id = order.info.client_id
        if not order.alive() or id in self._cancelled:
            return
        self._cancelled.add(id)
        if self._expected_cancels:
            expected = self._expected_cancels.popleft()
            if expected.id != id:
                raise self._departed(f"cancels {id}", f"it cancelled {expected.id}")
            answer = expected.answer
        else:
            self._must_be_new(f"cancels {id}", "it cancelled nothing more")
            answer = self._live().cancel(id)
            self._journal.cancel(self.steps.now, id, answer)
        if answer is not None:
            self._apply(answer)

    # Steps

    def _begin(self) -> None:
        self._all_done_again()
        if self.steps.now >= self.steps.recorded:
            self._live().settle(None, send=False)  # what it finds belongs to the step that begins
        self.steps.now += 1
        self._cancelled.clear()
        self._finished = False
        if self.steps.now <= self.steps.recorded:
            step = self._journal.step(self.steps.now)
            self._expected = deque(intent for intent in step.intents if intent.wanted.strategy != KILL_SWITCH)
            self._expected_cancels = deque(step.cancels)
            self._step_was_done = step.done
            self._cash = step.cash
            for report in step.reports:
                self._apply(report)
            return
        self._step_was_done = False
        self._begin_live()

    def _begin_live(self) -> None:
        sender, step = self._live(), self.steps.now
        sender.unreachable = ""
        reports: list[Report] = []
        try:
            reports = sender.poll()
            account = sender.account(self.cerebro.datas)
        except ConnectionError as error:
            if self._journal.meta("base") is None:
                raise LlmguideError(f"the broker must be reachable when a journal is created: {error}") from None
            sender.unreachable = str(error)
            self._note(f"the broker cannot be reached: {error}")
        for report in (*self._journal.reports(step), *reports):
            self._apply(report)
        first: dict[str, Any] = {}
        if not sender.unreachable:
            self._cash = account.cash
            if self._journal.meta("base") is None:
                first = {"base": account.positions, "cash": account.cash}
                self._adopt(account.positions)
            self._compare(account.positions, sender)
        value = self.getvalue()
        lost = self._limits.lost_too_much(value, self._journal.value_before(sender.today))
        bars = [(tape.name, bar) for tape in self._tapes for bar in tape.fresh]
        self._journal.begin(
            step, day=sender.today, bars=bars, reports=reports, cash=self._cash, value=value, keep=first
        )
        for tape in self._tapes:
            tape.fresh.clear()
        self._watch(sender, lost)

    def _between(self) -> None:
        sender = self._live()
        if not self._finished:
            self._all_done_again()
            self._journal.finish(self.steps.now)
            self._finished = True
        sender.settle(self._default_owner())
        sender.listen()
        self._watch(sender)

    def _watch(self, sender: Sender, lost: str = "") -> None:
        if sender.watch_kill_switch(lost) and self._limits.on_kill == "flatten" and self.steps.now:
            sender.flatten(self._default_owner(), self._name)

    def _live(self) -> Sender:
        """Return what sends orders; made when the journal has been shown to its last step."""
        if self._sender is None:
            positions = {key: Position(held.size, held.price) for key, held in self._book.positions.items()}
            self._sender = Sender(
                DryVenue(self.getcommissioninfo, self._cash, positions)
                if self.dry_run
                else BrokerVenue(self._broker, self._names),
                self._journal,
                self._book,
                self.steps,
                self._limits,
                datas=self._datas,
                clock=self._clock,
                note=self._note,
            )
        return self._sender

    # Orders

    def _order(
        self, side: type, owner: Any, data: Any, size: float, price: Any, plimit: Any, options: dict[str, Any]
    ) -> Any:
        order = make_order(side, owner, data, size, price, options.pop("exectype", None), plimit=plimit, **options)
        wanted = wanted_of(order, strategy=self._strategy(owner), feed=position_key(data))
        id = self._name(wanted, data)
        if self._expected:
            intent = self._expected.popleft()
            if intent.wanted != wanted or intent.id != id:
                raise self._departed(f"now wants {wanted}", f"the journal has {intent.wanted}")
            self._enter(intent, order)
            if self.steps.now == self.steps.recorded:
                self._live().settle(owner)
            return order
        self._must_be_new(f"now wants {wanted}", "the journal has no such order")
        sender = self._live()
        refused = sender.refusal(wanted, self.getvalue())
        intent = Intent(id, self.steps.now, wanted, float(data.datetime[0]), sender.today, refused)
        self._journal.intend(intent)
        self._enter(intent, order)
        if not refused:
            sender.send(intent, owner)
        elif not not_live(data):  # of history that a feed fills in nobody wants to hear
            self._note(f"refused: {wanted}; {refused}")
        return order

    def _enter(self, intent: Intent, order: Any) -> None:
        if intent.refused:
            self._book.refuse(intent.id, order, self)
        else:
            self._book.submit(intent.id, order, self)

    def _apply(self, report: Report) -> None:
        """Take a report in; the kill switch's orders are entered with their first one."""
        if report.id not in self._book.orders:
            (intent,) = self._journal.intents("id = ?", report.id)
            data = self._datas[intent.wanted.feed]
            self._book.submit(report.id, order_from(intent.wanted, self._default_owner(), data), self)
        self._book.apply(report)

    def _name(self, wanted: Wanted, data: Any) -> str:
        """Return the name of a new order: the same for the same order after a restart."""
        stamp = float(data.datetime[0])
        number = self._numbers[wanted.strategy, wanted.feed, stamp]
        self._numbers[wanted.strategy, wanted.feed, stamp] += 1
        return client_id(self._account, wanted, bt.num2date(stamp), number)

    # What must agree with the journal

    def _all_done_again(self) -> None:
        """Refuse to go on from a recorded step in which the strategies did less than the first time."""
        if self._expected:
            raise self._departed("now wants nothing more", f"the journal has {self._expected[0].wanted}")
        if self._expected_cancels:
            raise self._departed("cancels nothing more", f"it cancelled {self._expected_cancels[0].id}")

    def _must_be_new(self, now: str, then: str) -> None:
        if self.steps.now < self.steps.recorded or (self.steps.now == self.steps.recorded and self._step_was_done):
            raise self._departed(now, then)

    def _departed(self, now: str, then: str) -> JournalError:
        stamps = ", ".join(f"{key} {bt.num2date(data.datetime[0])}" for key, data in self._datas.items() if len(data))
        return JournalError(
            f"on the bar of {stamps} the strategy departs from {self._path}: {now}, {then}; start it with the "
            "settings, model, history and guidance that it had, or begin a new journal"
        )

    def _agree_on(self, **settings: Any) -> None:
        for key, now in settings.items():
            then = self._journal.meta(key)
            if then is not None and then != now:
                raise JournalError(
                    f"{self._path} was created with {key}={then!r}, and it is now {now!r}; use a new journal for that"
                )
        self._journal.keep(**settings)

    def _cash_at_first(self) -> float:
        kept = self._journal.meta("cash")
        cash = kept if kept is not None else self._first_cash if self.dry_run else None
        return float(self._broker.getcash() if cash is None else cash)

    def _adopt(self, positions: dict[str, Position]) -> None:
        """Begin with the positions that the account has already."""
        for key, held in positions.items():
            if held.size:
                self._book.positions[key] = bt.Position(held.size, held.price)
                self._note(f"the account holds {held.size:g} {key} at the start: they are the strategy's from now on")

    def _compare(self, positions: dict[str, Position], sender: Sender) -> None:
        own = {key: self._book.position(data).size for key, data in self._datas.items()}
        others = {key: positions[key].size if key in positions else 0.0 for key in own}
        differs = ", ".join(
            f"{own[key]:g} {key} by its reports, {others[key]:g} by its account"
            for key in own
            if abs(own[key] - others[key]) > 1e-9 * max(1.0, abs(own[key]))
        )
        if differs and differs != sender.differs:
            self._note(f"positions differ: {differs}; no orders until they agree")
        sender.differs = differs

    def _strategy(self, owner: Any) -> str:
        alike = [ran for ran in self.cerebro.runningstrats if type(ran) is type(owner)]
        name = type(owner).__name__
        return name if len(alike) < 2 else f"{name} {1 + next(k for k, ran in enumerate(alike) if ran is owner)}"

    def _default_owner(self) -> Any:
        return self.cerebro.runningstrats[0] if self.cerebro.runningstrats else None

    def _note(self, text: str) -> None:
        self._journal.note(self.steps.now, text)
        self._on_note(text)
