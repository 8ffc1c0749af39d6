"""The command line, in this process or in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmguide import cli


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
