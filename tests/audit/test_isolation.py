"""Each run begins from the same state, and what becomes of it stays its own."""

from __future__ import annotations

import os
import random
import time

import numpy as np
import pytest

from llmguide.audit.isolation import run_apart
from llmguide.audit.trace import Trace

STATE = []


def said(*values):
    return Trace(lines={"said": np.array(values, dtype=float)})


def test_nothing_is_carried_from_one_run_into_the_next_nor_into_this_process():
    def job():
        STATE.append(1)
        return said(len(STATE))

    assert [trace.lines["said"][0] for trace in run_apart([(job, True)] * 3, workers=2)] == [1.0, 1.0, 1.0]
    assert STATE == []


def test_answers_come_in_the_order_of_the_jobs():
    def job(number):
        return lambda: time.sleep(0.2 - number * 0.1) or said(number)

    answers = run_apart([(job(number), True) for number in range(3)], workers=3)
    assert [trace.lines["said"][0] for trace in answers] == [0.0, 1.0, 2.0]


def test_what_is_drawn_without_a_seed_is_the_same_only_where_it_is_pinned():
    def job():
        drawn = np.random.random()  # noqa: NPY002  # as much code does
        return said(random.random(), drawn, np.random.default_rng().random(), np.random.default_rng(5).random())

    one, two, free = (trace.lines["said"] for trace in run_apart([(job, True), (job, True), (job, False)]))
    np.testing.assert_array_equal(one, two)
    assert (one[:3] != free[:3]).all()
    assert one[3] == free[3] == np.random.default_rng(5).random()


@pytest.mark.slow
def test_exceptions_crashes_and_endless_runs_are_failures_that_say_what_happened():
    def fails():
        raise ZeroDivisionError("by zero")

    jobs = [(fails, True), (lambda: os._exit(3), True), (lambda: time.sleep(60), True), (lambda: said(1), True)]
    failed, crashed, endless, well = run_apart(jobs, workers=4, timeout=5.0)
    assert str(failed.failure).startswith("ZeroDivisionError: by zero (test_isolation.py, line ")
    assert crashed.failure.message == "the run's process ended with exit code 3"
    assert endless.failure.message == "the run took more than 5 seconds"
    assert well.failure is None


def test_what_a_run_prints_is_not_seen(capfd):
    run_apart([(lambda: (print("seen"), os.write(2, b"seen"), said(1))[-1], True)])
    assert capfd.readouterr() == ("", "")


def test_a_system_that_cannot_fork_is_told_so(monkeypatch):
    from llmguide.errors import AuditError

    monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(AuditError, match="use Linux, macOS or WSL"):
        run_apart([(lambda: said(1), True)])
