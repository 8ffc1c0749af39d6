"""What a run is made from, and how its ``config.json`` says so."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd

from llmguide._version import __version__
from llmguide.experiments.arms import Arm
from llmguide.guidance import Guidance
from llmguide.hashing import hash_bars
from llmguide.periods import periods_of
from llmguide.rl.config import DQNConfig

if TYPE_CHECKING:
    from llmguide.rl.flag.trainer import FlagTrainer

__all__ = ["Plan", "put_together"]

LIBRARIES = ("torch", "numpy", "pandas", "numba", "backtrader", "TA-Lib", "quantstats")
"""Whose versions a run records."""

LIBRARIES_OF_FLAG = ("transformers",)


@dataclass(frozen=True)
class Plan:
    """Everything that shapes the agents of a run; see `llmguide.compare` for each part.

    Attributes:
        holdout: bars at the end of `train` from which the agents of some arms do not learn (see `Arm.held_out`); None
            is a year of them.
        flag: what trains the policies of the arm flag, where there is one.
    """

    train: pd.DataFrame
    test: pd.DataFrame | None
    guidance: Guidance | None
    seeds: tuple[int, ...]
    episodes: int
    config: DQNConfig
    device: str = "auto"
    curves: bool = True
    periods: float | None = None
    holdout: int | None = None
    flag: FlagTrainer | None = None

    def __post_init__(self) -> None:
        """Refuse guidance that was made from other bars, and too few bars for an episode of the arm flag."""
        if self.guidance is not None:
            self.guidance.check_bars(self.train if self.test is None else pd.concat([self.train, self.test]))
        if self.flag is not None:
            self.flag.check(self.train)

    @property
    def year(self) -> float:
        """Bars per year: `periods`, or as the dates of the bars that are traded have it."""
        return periods_of(self.train if self.test is None else self.test, self.periods)

    @property
    def kept(self) -> int:
        """Bars at the end of `train` that are held out where an arm holds some out."""
        return round(self.year) if self.holdout is None else self.holdout

    def holdout_of(self, arm: Arm) -> int:
        """Return the bars at the end of `train` from which an arm's agents do not learn."""
        return self.kept if arm.held_out else 0

    def describe(self, arms: Sequence[Arm]) -> dict[str, Any]:
        """Return all settings, the versions of what runs, and hashes of the data, ready for JSON."""
        guidance = self.guidance
        flag = self.flag if any(arm.learner == "flag" for arm in arms) else None
        return {
            "arms": [arm.name for arm in arms],
            "seeds": list(self.seeds),
            "episodes": self.episodes,
            "curves": self.curves,
            "periods": self.year,
            "agent": self.config.to_dict(),
            **({"holdout": self.kept} if any(arm.held_out for arm in arms) else {}),
            **({} if flag is None else {"flag": flag.describe()}),
            "data": {"train": _summary(self.train), "test": None if self.test is None else _summary(self.test)},
            "guidance": None
            if guidance is None
            else {
                "provider": sorted({row.provider for row in guidance.rows}),
                "rows": len(guidance),
                "uses_future": guidance.uses_future,
                "sha256": guidance.hash,
            },
            "versions": {"llmguide": __version__, "python": platform.python_version()}
            | {name: version(name) for name in (*LIBRARIES, *(LIBRARIES_OF_FLAG if flag else ()))},
        }


def put_together(described: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the settings of many instruments as one: what they share, and what each has of its own by symbol."""
    shared = next(iter(described.values()))
    own = {
        name: {symbol: run[name] for symbol, run in described.items()}
        for name in ("data", "guidance", "periods", "holdout")
        if name in shared
    }
    return {"symbols": list(described)} | shared | own


def _summary(bars: pd.DataFrame) -> dict[str, Any]:
    return {
        "bars": len(bars),
        "first": f"{bars.index[0]:%Y-%m-%d}",
        "last": f"{bars.index[-1]:%Y-%m-%d}",
        "sha256": hash_bars(bars),
    }
