"""Fixtures that more than one test file uses."""

from __future__ import annotations

import gc
import os
import shutil
import warnings
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings

# Before the first library is loaded: tests are many small pieces of arithmetic, which threads only slow down.
for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

os.environ.pop("COLUMNS", None)  # a narrow terminal of whoever runs the tests stacks tables

# Caches and journals wait for the disk at each commit; tests need files, and files in memory do not wait.
MEMORY = Path("/dev/shm")
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# No deadline: the first example may compile a kernel. In CI the same examples every time; at home new ones, so that
# many runs see many.
settings.register_profile("house", deadline=None, max_examples=40, derandomize=bool(os.environ.get("CI")))
settings.register_profile("few", settings.get_profile("house"), max_examples=5)
settings.load_profile("house")

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("LLMGUIDE_DATA", ROOT.parent / "shared" / "data" / "tdqn"))
GOLDEN = Path(os.environ.get("LLMGUIDE_GOLDEN", DATA.parents[1] / "golden"))
TRAIN, TEST = "2012-1-1_2018-1-1", "2018-1-1_2020-1-1"


def pytest_addoption(parser):
    few = "run every sixth test of a file, of one with parameters the first case, with few examples by Hypothesis"
    parser.addoption("--few", action="store_true", help=few)
    share = "run the K-th of N parts of the test files, such as 2/3"
    parser.addoption("--share", metavar="K/N", default="1/1", help=share)


def pytest_configure(config):
    if config.getoption("few"):
        settings.load_profile("few")


def pytest_collection_modifyitems(config, items):
    part, parts = map(int, config.getoption("share").split("/"))
    files = {}
    for item in items:
        file, _, test = item.nodeid.partition("::")
        if crc32(file.encode()) % parts == part - 1:  # where a file belongs does not depend on which others there are
            files.setdefault(file, {}).setdefault(test.partition("[")[0], []).append(item)
    tests = [cases for file in files.values() for cases in file.values()]
    if config.getoption("few"):
        tests = [cases[:1] for file in files.values() for cases in list(file.values())[::6]]
    ours = {item for cases in tests for item in cases}
    config.hook.pytest_deselected(items=[item for item in items if item not in ours])
    items[:] = [item for item in items if item in ours]


def pytest_collection_finish():
    """Let the collector of garbage pass over all that the imports made, a million objects that stay to the end."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session")
def undrawn():
    """`with undrawn():` a comparison leaves its tearsheets empty, which quantstats draws for seconds each."""

    def empty(returns, path, **_):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    @contextmanager
    def leave_empty():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("llmguide.experiments.compare.write.tearsheet", empty)
            yield

    return leave_empty


@pytest.fixture(scope="session")
def random_agent():
    """`random_agent(bars, guided=, seed=0, lookback=30, smoothing=5)`: a small agent with random weights, untrained.

    It takes other settings of `DQNConfig` too.
    """
    import numpy as np

    from llmguide.rl.agent import Agent
    from llmguide.rl.config import DQNConfig
    from llmguide.trading.observation import Scaler, observation_size

    def make(bars, *, guided, seed=0, lookback=30, smoothing=5, **settings):
        random = np.random.default_rng(seed)
        config = DQNConfig(lookback=lookback, smoothing=smoothing, hidden=16, **settings)
        sizes = [observation_size(lookback, guided=guided), 16, 16, 16, 16, config.actions]
        weights = {}
        for layer, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
            weights[f"fc{layer}.weight"] = random.normal(0.0, np.sqrt(2.0 / inputs), (inputs, outputs))
            weights[f"fc{layer}.bias"] = random.normal(0.0, 0.1, outputs)
            if layer < 5:
                weights[f"bn{layer}.weight"] = random.uniform(0.5, 1.5, outputs)
                weights[f"bn{layer}.bias"] = random.normal(0.0, 0.2, outputs)
                weights[f"bn{layer}.running_mean"] = random.normal(0.0, 0.2, outputs)
                weights[f"bn{layer}.running_var"] = random.uniform(0.5, 1.5, outputs)
        weights = {name: values.astype(np.float32) for name, values in weights.items()}
        return Agent(weights, Scaler.fit(bars, smoothing=smoothing), config, guided, seed)

    return make
