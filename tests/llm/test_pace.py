"""How many questions an endpoint bears: halved when it pushes back, raised one at a time."""

import time

from hypothesis import given
from hypothesis import strategies as st

from llmguide.llm.pace import Pace


def now() -> float:
    return time.monotonic()


def test_the_most_at_first_half_after_a_push_back_and_one_more_after_as_many_answers():
    pace = Pace(8)
    assert pace.limit == 8
    pace.pushed_back(now())
    assert pace.limit == 4
    for _ in range(4):
        pace.answered(now(), retries=0)
    assert pace.limit == 5


def test_questions_under_way_together_halve_it_once():
    pace, sent_at = Pace(8), now()
    for _ in range(8):
        pace.pushed_back(sent_at)
    assert pace.limit == 4
    pace.answered(now(), retries=2)  # sent after that, and pushed back again
    assert pace.limit == 2


def test_an_endpoint_that_tells_its_slots_is_never_asked_more():
    pace = Pace(8)
    pace.lower(2)
    for _ in range(50):
        pace.answered(now(), retries=0)
    assert pace.limit == 2


@given(st.integers(1, 20), st.lists(st.sampled_from(["answer", "retried", "silence"])))
def test_whatever_happens_it_stays_between_one_and_the_most(most, events):
    pace = Pace(most)
    for event in events:
        if event == "silence":
            pace.pushed_back(now())
        else:
            pace.answered(now(), retries=int(event == "retried"))
        assert 1 <= pace.limit <= most


@given(st.integers(1, 12), st.integers(2, 16))
def test_an_endpoint_that_bears_so_many_is_soon_asked_about_as_many(bears, most):
    """A server that pushes back whenever more than it bears are in flight."""
    pace = Pace(most)
    seen = []
    for _ in range(60):
        in_flight = pace.limit
        seen.append(in_flight)
        for _ in range(in_flight):
            pace.answered(now(), retries=int(in_flight > bears))
    assert max(seen[8:]) <= max(min(bears, most) + 1, 1)
    assert sum(seen[8:]) / len(seen[8:]) >= min(bears, most) / 2
