"""Signals reach the command that they stop, wherever they come."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time

import numba
import numpy as np
import pytest

from llmguide.cli import stopping
from llmguide.cli.stopping import Interrupted, Terminated, resumable, stopped_by_signals

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@numba.njit
def sum_of_sines(count):
    total = np.zeros(1)
    for one in range(count):
        total[0] += np.sin(one)
    return total, total


def send_soon(sent):
    threading.Timer(0.1, os.kill, (os.getpid(), sent)).start()


@pytest.mark.parametrize(("sent", "code"), SIGNALS)
def test_a_signal_while_numba_computes_ends_with_its_code(sent, code):
    def work():
        sum_of_sines(1)
        send_soon(sent)
        sum_of_sines(30_000_000)
        time.sleep(10)

    with pytest.raises(SystemExit) as end, stopped_by_signals():
        work()
    assert end.value.code == code


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_what_numba_makes_of_it_says_what_is_kept(stop, code, tmp_path):
    """Where a compiled function is left by a signal's exception, CPython reports a SystemError of that cause."""
    (tmp_path / "rl-0.safetensors").touch()
    (tmp_path / ".rl-1.safetensors.abc").mkdir()
    (tmp_path / ".rl-1.safetensors.abc" / "rl-1.safetensors").touch()  # is being written
    with pytest.raises(Interrupted, match="keeps 1 trained agent") as end, stopped_by_signals(), resumable(tmp_path):
        raise SystemError("returned a result with an exception set") from stop()
    assert end.value.code == code
    with pytest.raises(SystemExit) as end, stopped_by_signals():
        raise SystemError("returned a result with an exception set") from stop()
    assert end.value.code == code


@pytest.mark.parametrize(("sent", "code"), SIGNALS)
def test_a_signal_whose_exception_python_ignores_comes_again(sent, code):
    class Deleted:
        def __del__(self):
            signal.raise_signal(sent)

    def work():
        one = Deleted()
        del one
        time.sleep(10)

    with pytest.raises(SystemExit) as end, stopped_by_signals():
        work()
    assert end.value.code == code


@pytest.mark.parametrize(("sent", "code"), SIGNALS)
def test_a_signal_waits_until_a_module_is_imported(sent, code, tmp_path, monkeypatch):
    """The module catches everything, as libraries do that look whether another one is there."""
    name = f"imported_while_signal_{sent}_comes"
    (tmp_path / f"{name}.py").write_text(
        "import time\ntry:\n    time.sleep(0.4)\nexcept BaseException:\n    lost = True\nelse:\n    lost = False\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def work():
        send_soon(sent)
        importlib.import_module(name)
        time.sleep(10)

    with pytest.raises(SystemExit) as end, stopped_by_signals():
        work()
    assert end.value.code == code
    assert not sys.modules.pop(name).lost


def test_a_signal_does_not_wait_for_an_import_for_ever(tmp_path, monkeypatch):
    (tmp_path / "imported_for_ever.py").write_text("import time\ntime.sleep(20)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(stopping, "PATIENCE", 0.2)

    def work():
        send_soon(signal.SIGINT)
        importlib.import_module("imported_for_ever")

    begun = time.monotonic()
    with pytest.raises(SystemExit), stopped_by_signals():
        work()
    assert time.monotonic() - begun < 10


def test_a_signal_waits_until_a_function_is_compiled():
    """An exception in the middle of numba's compiler can crash the process."""
    compiled = []

    def compile_it():
        signal.raise_signal(signal.SIGINT)
        compiled.append(True)

    # The same function, as if it were one of numba's modules'.
    compile_it = type(compile_it)(
        compile_it.__code__, globals() | {"__name__": "numba.core"}, closure=compile_it.__closure__
    )

    def work():
        compile_it()
        time.sleep(10)

    with pytest.raises(SystemExit), stopped_by_signals():
        work()
    assert compiled


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_while_the_first_one_waits_is_one_stop(second, tmp_path, monkeypatch):
    """What is kept on the way out is not interrupted by the first one's second coming."""
    (tmp_path / "imported_while_two_signals_come.py").write_text(
        f"import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nos.kill(os.getpid(), {int(second)})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    kept = []

    def work():
        try:
            importlib.import_module("imported_while_two_signals_come")
            signal.raise_signal(signal.SIGINT)
        finally:
            time.sleep(0.2)
            kept.append(True)

    try:
        with pytest.raises(SystemExit), stopped_by_signals():
            work()
    finally:
        sys.modules.pop("imported_while_two_signals_come", None)
    assert kept


def test_a_signal_that_waits_does_not_outlive_the_command(tmp_path, monkeypatch):
    (tmp_path / "imported_at_the_end.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with stopped_by_signals():
        importlib.import_module("imported_at_the_end")
    time.sleep(0.2)  # SIGTERM would end this process


def test_a_background_job_goes_on_at_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopped_by_signals():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_any_other_error_stays_what_it_is(tmp_path):
    with pytest.raises(SystemError, match="a bug in C"), stopped_by_signals(), resumable(tmp_path):
        raise SystemError("a bug in C")


def test_python_s_handlers_are_put_back():
    def handlers():
        return sys.unraisablehook, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    before = handlers()
    with stopped_by_signals():
        assert all(now != then for now, then in zip(handlers(), before, strict=True))
    assert handlers() == before
