"""The run folder: everything a run was made from and gave, each file whole or not there.

config.json             settings, seeds, versions, hashes of the data
config.toml             options of the command, to be given back with --config; written by the command line
guidance.parquet        the guidance table
ARM-SEED.safetensors    agents, and policies of the arm flag, each stored as soon as it is trained
ARM-SEED.training       the state of an unfinished training; removed when what it becomes is stored
runs.csv                every arm and seed: SR, MDD, trades, exposure, use of the guidance
table.csv, tests.csv    means over seeds, tests of significance
intervals.csv           95 % intervals over bars, by arm and for differences
sensitivity.csv         SR and MDD of every arm under other costs, slippages and fills
controls.csv            SR and MDD of the arms with other guidance, where asked for
placebo.csv             whether the guidance is worth more than its shuffled self, where asked for
values.parquet          value after each test bar: columns date, arm, seed, value, side
curves.parquet          SR after each episode
rollouts.parquet        what the policies of the arm flag were after each rollout
mixture.parquet         side, record and weight of the mixture's experts at each bar, training bars included
orders.csv, trades.csv  every order, rejected ones too, and every trade, by arm and seed
report.html             the page to read
tearsheets/ARM.html     quantstats, first seed
.lock                   which process works in the folder
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmguide.errors import LlmguideError, ModelError
from llmguide.experiments.folder_lock import FolderLock
from llmguide.files import write_json
from llmguide.rl.agent import Agent
from llmguide.rl.checkpoint import load_agent, save_agent
from llmguide.rl.state import STATE_SUFFIX

__all__ = ["RunFolder"]

CONFIG = "config.json"
AGENT_SUFFIX = ".safetensors"
FREE = ("seeds", "arms", "versions", "controls", "name")
"""Settings that may differ when a run is resumed: more seeds, arms and controls use the agents that are there, and a
name is for its readers."""

OF_SOME_ARMS = ("holdout", "flag")
"""Settings that a run has only where one of its arms needs them: there they must be the same."""

SHOWN = 4
"""Differences that an error names."""


@dataclass(frozen=True)
class RunFolder:
    """A folder for one set of settings, which one process at a time works in."""

    path: Path
    lock: FolderLock | None = field(default=None, repr=False, compare=False)

    @classmethod
    def open(cls, path: Path, settings: Mapping[str, Any], *, resume: bool = True) -> RunFolder:
        """Make the folder, or go on with one that was made with the same settings.

        With ``resume=False`` a run that is there, whatever its settings, loses its agents and unfinished training, and
        begins anew. Raises LlmguideError for other settings, and where another process works in the folder.
        """
        if path.exists() and not path.is_dir():
            raise LlmguideError(f"{path} is a file; a run needs a folder")
        config = path / CONFIG
        lock = FolderLock(path)
        if config.exists() and not resume:
            for pattern in (f"*-*{AGENT_SUFFIX}", f"*-*{STATE_SUFFIX}"):
                for file in path.glob(pattern):
                    file.unlink()
        elif config.exists():
            _check(config, settings)
        write_json(config, dict(settings))
        return cls(path, lock)

    @classmethod
    def look(cls, path: Path, settings: Mapping[str, Any]) -> RunFolder:
        """Return a folder to read what is there, also while another process works in it; nothing is made or changed.

        Raises LlmguideError for other settings.
        """
        if (path / CONFIG).exists():
            _check(path / CONFIG, settings)
        return cls(path)

    def agent_path(self, arm: str, seed: int) -> Path:
        """Return where an agent is stored."""
        return self.path / f"{arm}-{seed}{AGENT_SUFFIX}"

    def state_path(self, arm: str, seed: int) -> Path:
        """Return where the state of an agent's unfinished training is kept."""
        return self.path / f"{arm}-{seed}{STATE_SUFFIX}"

    def load_agents(self, arm: str, seeds: Sequence[int]) -> dict[int, Agent]:
        """Return the agents that are there already."""
        paths = {seed: self.agent_path(arm, seed) for seed in seeds}
        try:
            return {seed: load_agent(path) for seed, path in paths.items() if path.exists()}
        except ModelError as error:
            raise ModelError(f"cannot resume this run: {error}") from error

    def save_agent(self, arm: str, agent: Agent) -> None:
        """Store an agent."""
        save_agent(agent, self.agent_path(arm, agent.seed))


def _check(config: Path, settings: Mapping[str, Any]) -> None:
    """Refuse to go on with a run that was made with other settings."""
    try:
        stored = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{config} is damaged ({error}); choose another folder, or delete this one"
        raise LlmguideError(message) from error
    different = [
        name
        for name in settings
        if name not in FREE and stored.get(name) != settings[name] and not (name in OF_SOME_ARMS and name not in stored)
    ]
    if different:
        pairs = [pair for name in different for pair in _differences(stored.get(name), settings[name], name)]
        more = f", and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
        raise LlmguideError(
            f"{config.parent} holds a run with other settings: {'; '.join(pairs[:SHOWN])}{more}; choose "
            "another folder, or start over with resume=False, which deletes its agents"
        )


def _differences(stored: Any, given: Any, name: str) -> list[str]:
    """Return where two settings differ, each with both values."""
    if isinstance(stored, Mapping) and isinstance(given, Mapping):
        keys = dict.fromkeys([*stored, *given])
        return [
            pair
            for key in keys
            if stored.get(key) != given.get(key)
            for pair in _differences(stored.get(key), given.get(key), f"{name}.{key}")
        ]
    return [f"{name} is {_short(stored)} there and {_short(given)} here"]


def _short(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= 40 else text[:16] + "..."
