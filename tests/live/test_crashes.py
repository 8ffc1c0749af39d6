"""Whenever a trader dies, the next one goes on: no order twice, none lost, the strategy as it would have been."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_market import Faulty, executed, journal_folder, made_bars, running, trade

from llmguide.live.journal import Journal
from llmguide.live.paper_exchange import PaperExchange
from llmguide.live.paper_store import _Connection

BARS = made_bars(16, seed=3)
NEVER = 10**9


class Crash(BaseException):
    """The process is gone."""


class Points:
    """Counts the moments at which it matters whether a trader dies, and lets it die at one of them."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.dies_at = NEVER

    def here(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) >= self.dies_at:
            raise Crash


@contextmanager
def crash_points():
    """Before and after every transaction of the journal, and every request to the exchange."""
    points, transaction, ask = Points(), Journal._transaction, _Connection.ask

    @contextmanager
    def dying_transaction(self):
        with transaction(self):
            yield
            points.here("before a commit")
        points.here("after a commit")

    def dying_ask(self, **request):
        points.here(f"before {request['do']}")
        answer = ask(self, **request)
        points.here(f"after {request['do']}")
        return answer

    Journal._transaction, _Connection.ask = dying_transaction, dying_ask
    try:
        yield points
    finally:
        Journal._transaction, _Connection.ask = transaction, ask


def exchange(share=0.6):
    return PaperExchange({"X": BARS}, history=3, share=share)


@pytest.fixture(scope="module")
def uninterrupted():
    """The run that nothing happens to, and its moments."""
    folder, market = journal_folder(), exchange()
    with running(market) as port, crash_points() as points:
        ran, _ = trade(port, folder / "journal")
    shutil.rmtree(folder)
    assert {order[3] for order in executed(market)} >= {"filled", "canceled"}  # partial fills, and their remainders
    assert len(executed(market)) >= 6
    return executed(market), market.positions, market.cash, ran.decision_log, points.passed


def run_with_crashes(deaths, *, fault=None):
    """Die after so many moments of each run, and run to the end at last; return market, strategy and deaths."""
    folder, market, died = journal_folder(), exchange(), 0
    try:
        with running(market, fault) as port:
            for moments in (*deaths, NEVER):
                with crash_points() as points:
                    points.dies_at = moments
                    try:
                        ran, _ = trade(port, folder / "journal")
                    except Crash:
                        died += 1
                    else:
                        break
    finally:
        shutil.rmtree(folder)
    return market, ran, died


def assert_same(market, ran, uninterrupted):
    orders, positions, cash, decisions, _ = uninterrupted
    assert executed(market) == orders
    assert market.positions == positions
    assert market.cash == cash
    assert ran.decision_log == decisions


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deaths=st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_a_trader_that_dies_at_any_moments_sends_the_orders_of_one_that_does_not(uninterrupted, deaths):
    market, ran, _ = run_with_crashes(deaths)
    assert_same(market, ran, uninterrupted)


@pytest.mark.parametrize("moment", ["before send", "after send", "before cancel", "after cancel", "after bars"])
def test_the_moments_at_which_an_order_is_on_its_way(uninterrupted, moment):
    times = [number for number, name in enumerate(uninterrupted[-1], 1) if name == moment]
    for number in (times[1], times[-1]):
        market, ran, died = run_with_crashes([number])
        assert died == 1
        assert_same(market, ran, uninterrupted)


@pytest.mark.slow
def test_there_is_no_moment_at_which_dying_costs_or_doubles_an_order(uninterrupted):
    for moment in range(1, len(uninterrupted[-1]) + 1):
        market, ran, died = run_with_crashes([moment])
        assert died == 1
        assert_same(market, ran, uninterrupted)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deaths=st.lists(st.integers(1, 400), max_size=4), seed=st.integers(0, 99))
def test_nor_does_it_where_requests_and_answers_are_lost_too(uninterrupted, deaths, seed):
    market, ran, _ = run_with_crashes(deaths, fault=Faulty(seed, often=0.05))
    assert_same(market, ran, uninterrupted)
