"""How many questions an endpoint bears: fewer where it pushes back, or where more at once gain nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.llm.pace import Pace


@dataclass
class Server:
    """A server in simulated time that answers a queue: who asks keeps as many in flight as the limit allows.

    `slots` answer one question each, in the order of arrival; a `shared` server works on all at once, and is as fast as
    `slots` of them together. None: on all at once, each as fast as if it were alone.
    """

    slots: int | None = None
    shared: bool = False
    work: Callable[[int], float] = lambda number: 1.0  # seconds, alone, for the n-th question
    tokens: Callable[[int], int | None] = lambda number: None
    now: float = 0.0
    asked: int = 0
    under_way: list[tuple[list[float], int, object]] = field(default_factory=list)  # what is left to do, in seconds

    def answer(self, pace: Pace, answers: int, *, at_once: int | None = None) -> list[int]:
        """Return the limit after each of `answers`; at most `at_once` questions are there to be asked at a time."""
        limits = []
        for _ in range(answers):
            while len(self.under_way) < min(pace.limit, at_once or pace.limit):
                self.under_way.append(([self.work(self.asked)], self.asked, pace.sent(self.now)))
                self.asked += 1
            served = self.under_way if self.slots is None or self.shared else self.under_way[: self.slots]
            speed = min(1.0, self.slots / len(served)) if self.shared and self.slots else 1.0
            done = min(served, key=lambda one: one[0][0])
            spent = done[0][0]
            self.now += spent / speed
            for left, _, _ in served:
                left[0] -= spent
            self.under_way.remove(done)
            _, number, question = done
            pace.answered(question, self.now, retries=0, tokens=self.tokens(number))
            limits.append(pace.limit)
        return limits


def test_the_most_at_first_and_half_after_a_push_back():
    pace = Pace(8)
    assert pace.limit == 8
    pace.pushed_back(pace.sent(0.0))
    assert pace.limit == 4


def test_questions_under_way_together_halve_it_once():
    pace = Pace(8)
    for question in [pace.sent(0.0) for _ in range(8)]:
        pace.pushed_back(question)
    assert pace.limit == 4
    pace.answered(pace.sent(0.0), 1.0, retries=2, tokens=None)  # sent after that, and pushed back again
    assert pace.limit == 2


def test_an_endpoint_that_tells_its_slots_is_never_asked_more():
    pace = Pace(8)
    pace.lower(2)
    assert max(Server().answer(pace, 100)) == 2


@given(st.integers(1, 20), st.lists(st.tuples(st.sampled_from(["answer", "retried", "silence"]), st.floats(0, 1e6))))
def test_whatever_happens_it_stays_between_one_and_the_most(most, events):
    pace = Pace(most)
    questions = [pace.sent(0.0) for _ in range(most)]
    for number, (event, seconds) in enumerate(events):
        question = questions.pop(0)
        if event == "silence":
            pace.pushed_back(question)
        else:
            pace.answered(question, question.at + seconds, retries=int(event == "retried"), tokens=number % 3 or None)
        questions.append(pace.sent(float(number)))
        assert 1 <= pace.limit <= most


@given(st.integers(1, 12), st.integers(2, 16))
def test_an_endpoint_that_pushes_back_beyond_so_many_is_soon_asked_about_as_many(bears, most):
    pace, seen = Pace(most), []
    for now in range(200):
        in_flight = pace.limit
        seen.append(in_flight)
        for question in [pace.sent(now) for _ in range(in_flight)]:
            pace.answered(question, now + 1.0, retries=int(in_flight > bears), tokens=None)
    assert max(seen[8:]) <= min(bears + 1, most)
    assert fmean(seen[100:]) >= min(bears, most) / 2


@pytest.mark.parametrize("shared", [False, True], ids=["slots", "shared"])
@pytest.mark.parametrize("slots", [1, 2, 3, 4, 6])
def test_a_server_that_lets_the_others_wait_is_asked_about_as_many_as_it_has_slots(slots: int, shared: bool):
    pace, server = Pace(8), Server(slots, shared=shared)
    limits = server.answer(pace, 600)
    assert slots <= fmean(limits[200:]) <= 1.5 * slots
    assert server.now <= 1.05 * 600 / slots + 10  # and nothing is lost by it


@pytest.mark.parametrize("in_flight", [1, 2, 8, 32])
def test_a_server_that_answers_all_at_once_is_tried_once_with_half_as_many_and_then_asked_the_most(in_flight: int):
    pace, server = Pace(in_flight), Server()
    limits = server.answer(pace, 40 * in_flight)
    assert set(limits) == {in_flight, max(in_flight // 2, 1)}
    assert set(limits[5 * in_flight + 20 :]) == {in_flight}


def test_a_server_whose_latency_grows_less_than_what_it_answers_is_asked_the_most():
    """Answers that are computed in batches: eight at once take twice as long as one, and are four times as many."""
    pace, server = Pace(8), Server()
    server.work = lambda number: 1.0 + len(server.under_way) / 7
    assert set(server.answer(pace, 300)[60:]) == {8}


def test_latency_that_grows_later_lowers_the_limit_and_the_limit_grows_again_after_it():
    pace, server = Pace(8), Server()
    assert server.answer(pace, 100)[-1] == 8
    server.slots = 1
    assert set(server.answer(pace, 150)[-50:]) <= {1, 2}
    server.slots = None
    assert server.answer(pace, 400)[-1] == 8


def test_a_server_that_has_become_slower_for_all_alike_is_asked_as_many_as_before():
    pace, server = Pace(8), Server()
    server.answer(pace, 100)
    server.work = lambda number: 10.0
    limits = server.answer(pace, 300)
    assert set(limits) <= {4, 8}
    assert set(limits[60:]) == {8}


@pytest.mark.parametrize(("slots", "settled"), [(1, {1, 2}), (None, {8})])
def test_the_first_answer_may_take_as_long_as_loading_the_model(slots, settled):
    server = Server(slots, work=lambda number: 1.0 if number else 90.0)
    assert set(server.answer(Pace(8), 300)[100:]) == settled


@given(st.sampled_from([2, 8]), st.integers(0, 200), st.floats(1.0, 1e4))
def test_one_slow_answer_changes_nothing(in_flight, which, seconds):
    server = Server(work=lambda number: seconds if number == which else 1.0)
    limits = server.answer(Pace(in_flight), 300)
    assert set(limits[60:]) == {in_flight}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("slots", [2, None])
def test_answers_of_different_lengths_do_not_mislead(seed: int, slots: int | None):
    """Lengths spread by a factor of 20, some time before the first token, and 10% of noise."""
    generator = random.Random(seed)
    lengths = [generator.randint(50, 1000) for _ in range(700)]
    noise = [generator.lognormvariate(0.0, 0.1) for _ in lengths]
    server = Server(slots, work=lambda n: (1.0 + lengths[n] / 50) * noise[n], tokens=lambda n: lengths[n])
    limits = server.answer(Pace(8), 600)
    if slots is None:
        assert fmean(limits[60:]) > 7.5
    else:
        assert 1.5 <= fmean(limits[150:]) <= 4


def test_too_few_questions_to_reach_the_limit_say_nothing_about_it():
    pace = Pace(8)
    assert set(Server(slots=1).answer(pace, 100, at_once=7)) == {8}


def test_questions_that_failed_are_in_flight_no_more():
    pace = Pace(2)
    for _ in range(10):
        assert pace.sent(0.0).in_flight == 1
        pace.failed()
