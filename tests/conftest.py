"""Fixtures that more than one test file uses."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
from hypothesis import settings

# Before the first library is loaded: tests are many small pieces of arithmetic, which threads only slow down.
for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# No deadline: the first example may compile a kernel. In CI the same examples every time; at home new ones.
settings.register_profile("house", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("house")

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("LLMGUIDE_DATA", ROOT.parent / "shared" / "data" / "tdqn"))
GOLDEN = Path(os.environ.get("LLMGUIDE_GOLDEN", DATA.parents[1] / "golden"))
TRAIN, TEST = "2012-1-1_2018-1-1", "2018-1-1_2020-1-1"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of the benchmark's bars; the test is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"the benchmark's bars are not at {DATA} (set LLMGUIDE_DATA)")
    return DATA


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """The folder of the golden trajectories; the test is skipped where it is absent."""
    if not GOLDEN.is_dir():
        pytest.skip(f"the golden trajectories are not at {GOLDEN} (set LLMGUIDE_GOLDEN)")
    return GOLDEN


@pytest.fixture(scope="session")
def real_bars(data_folder: Path):
    """`real_bars("AAPL", "test")`: the benchmark's bars of one instrument, train or test part."""
    from llmguide import read_bars
    from llmguide.errors import DataWarning

    def load(symbol: str, part: str):
        with warnings.catch_warnings():
            # These files have adjusted closes outside [Low, High]: known, and the subject of its own test.
            warnings.simplefilter("ignore", DataWarning)
            return read_bars(data_folder / f"{symbol}_{TRAIN if part == 'train' else TEST}.csv")

    return load
