"""The command line, in this process or in one of its own."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llmguide import cli
from llmguide.llm import leases


def run_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[Any, str, str]:
    """Run `llmguide` with these words; return its exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["llmguide", *map(str, words)])
    code: Any = 0
    try:
        cli.main()
    except SystemExit as stop:
        code = stop.code or 0
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def start(
    *words: object, folder: Path, stdout: int = subprocess.DEVNULL, stderr: Any = subprocess.PIPE, **environment: str
) -> subprocess.Popen[str]:
    """Start `llmguide` with these words in a folder, as a shell does in the foreground."""
    return subprocess.Popen(
        [sys.executable, "-m", "llmguide", *map(str, words)],
        cwd=folder,
        stdout=stdout,
        stderr=stderr,
        text=True,
        env=os.environ | environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job would ignore it
    )


def let_leases_lapse(cache: Path) -> None:
    """Do to a cache what half a minute does to the questions that a killed process holds there, without waiting."""
    with closing(sqlite3.connect(cache, isolation_level=None)) as connection:
        connection.execute("UPDATE under_way SET renewed_at = renewed_at - ?", (leases.SECONDS,))


def wait_until_signals_are_handled(process: subprocess.Popen[str]) -> None:
    """Wait until a started `llmguide` has its own handler of SIGTERM, where the system says so."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.is_file():
        time.sleep(5)
        return
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        caught = int(re.search(r"SigCgt:\s*([0-9a-f]+)", status.read_text())[1], base=16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.05)
    raise AssertionError(f"no handler of SIGTERM after a minute, exit code {process.poll()}")
