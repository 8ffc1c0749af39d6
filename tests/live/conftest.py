"""A folder for journals, removed afterwards, and the end of those that traders who died have left open."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress

import pytest
from live_market import journal_folder

from llmguide.live.journal import Journal


@pytest.fixture
def folder():
    made = journal_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture(autouse=True)
def _left_open(monkeypatch):
    """What a dead process leaves open is closed with it; here Python 3.13 would warn of it, in any later test."""
    opened, begin = [], Journal.__init__

    def remembered(self, *words, **options):
        begin(self, *words, **options)
        opened.append(self)

    monkeypatch.setattr(Journal, "__init__", remembered)
    yield
    for journal in opened:
        with suppress(sqlite3.ProgrammingError):  # another thread's, which has closed it
            journal.close()
