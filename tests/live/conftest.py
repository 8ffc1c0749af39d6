"""A folder for journals, removed afterwards."""

from __future__ import annotations

import shutil

import pytest
from live_market import journal_folder


@pytest.fixture
def folder():
    made = journal_folder()
    yield made
    shutil.rmtree(made)
