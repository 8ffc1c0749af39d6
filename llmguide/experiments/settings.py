"""What shaped a run, as its ``config.json`` says it."""

from __future__ import annotations

import dataclasses
import platform
from importlib.metadata import version
from typing import Any

import pandas as pd

from llmguide._version import __version__
from llmguide.guidance import Guidance
from llmguide.hashing import hash_bars
from llmguide.rl.config import DQNConfig

__all__ = ["describe_run"]

LIBRARIES = ("torch", "numpy", "pandas", "numba", "backtrader", "TA-Lib", "quantstats")
"""Whose versions a run records."""


def describe_run(
    *,
    train: pd.DataFrame,
    test: pd.DataFrame | None,
    guidance: Guidance | None,
    arms: list[str],
    seeds: list[int],
    episodes: int,
    config: DQNConfig,
    curves: bool,
) -> dict[str, Any]:
    """Return all settings, the versions of what ran, and hashes of the data, ready for JSON."""
    return {
        "arms": arms,
        "seeds": seeds,
        "episodes": episodes,
        "curves": curves,
        "agent": dataclasses.asdict(config),
        "data": {"train": _summary(train), "test": None if test is None else _summary(test)},
        "guidance": None
        if guidance is None
        else {
            "provider": sorted({row.provider for row in guidance.rows}),
            "rows": len(guidance),
            "uses_future": guidance.uses_future,
            "sha256": guidance.hash,
        },
        "versions": {"llmguide": __version__, "python": platform.python_version()}
        | {name: version(name) for name in LIBRARIES},
    }


def _summary(bars: pd.DataFrame) -> dict[str, Any]:
    return {
        "bars": len(bars),
        "first": f"{bars.index[0]:%Y-%m-%d}",
        "last": f"{bars.index[-1]:%Y-%m-%d}",
        "sha256": hash_bars(bars),
    }
