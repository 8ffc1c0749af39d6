"""Signals reach the command that they stop, wherever they come."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import numba
import numpy as np
import pytest

from llmguide.console import Interrupted, resumable, stop_like_ctrl_c

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@numba.njit
def sum_of_sines(count):
    total = np.zeros(1)
    for one in range(count):
        total[0] += np.sin(one)
    return total, total


def leave_numba_by(sent):
    """Send a signal while numba computes; its answer is a SystemError whose cause is the signal's exception."""
    sum_of_sines(1)
    threading.Timer(0.1, os.kill, (os.getpid(), sent)).start()
    sum_of_sines(30_000_000)
    time.sleep(10)


@pytest.mark.parametrize(("sent", "code"), SIGNALS)
def test_a_signal_while_numba_computes_ends_with_its_code(sent, code):
    with pytest.raises(SystemExit) as end, stop_like_ctrl_c():
        leave_numba_by(sent)
    assert end.value.code == code


@pytest.mark.parametrize(("sent", "code"), SIGNALS)
def test_a_signal_while_numba_computes_says_what_is_kept(sent, code, tmp_path):
    (tmp_path / "rl-0.safetensors").touch()
    with pytest.raises(Interrupted, match="keeps 1 trained agent") as stop, stop_like_ctrl_c(), resumable(tmp_path):
        leave_numba_by(sent)
    assert stop.value.code == code


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_python_would_ignore_comes_again(sent):
    class Deleted:
        def __del__(self):
            signal.raise_signal(sent)

    def work():
        one = Deleted()
        del one
        time.sleep(10)

    with pytest.raises(KeyboardInterrupt), stop_like_ctrl_c():
        work()


def test_any_other_error_stays_what_it_is(tmp_path):
    with pytest.raises(SystemError, match="a bug in C"), stop_like_ctrl_c(), resumable(tmp_path):
        raise SystemError("a bug in C")


def test_python_s_hooks_are_put_back():
    before = sys.unraisablehook, signal.getsignal(signal.SIGTERM)
    with stop_like_ctrl_c():
        assert (sys.unraisablehook, signal.getsignal(signal.SIGTERM)) != before
    assert (sys.unraisablehook, signal.getsignal(signal.SIGTERM)) == before
