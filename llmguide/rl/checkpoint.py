"""Agents on disk: one safetensors file, whose header carries everything else as JSON. Nothing is ever unpickled."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from llmguide.errors import ModelError
from llmguide.rl.agent import HIDDEN_LAYERS, Agent, Weights
from llmguide.rl.config import DQNConfig
from llmguide.rl.described import Kind
from llmguide.trading.observation import Scaler

__all__ = ["FORMAT_VERSION", "load_agent", "save_agent"]

FORMAT_VERSION = 1
KIND = Kind("llmguide.double_dqn", FORMAT_VERSION, "checkpoint", "train one with: llmguide train")


def save_agent(agent: Agent, path: Path | str) -> Path:
    """Write an agent to a ``.safetensors`` file, atomically, and return its path.

    Args:
        agent: the agent.
        path: the file.
    """
    description = {
        "guided": agent.guided,
        "seed": agent.seed,
        "config": agent.config.to_dict(),
        "scaler": agent.scaler.to_dict(),
        "notes": agent.notes,
    }
    return KIND.write(path, agent.weights, description)


def load_agent(path: Path | str, *, guided: bool | None = None) -> Agent:
    """Read an agent from a checkpoint, and return it.

    Args:
        path: a file written by `save_agent`.
        guided: refuse the file unless the agent was trained with (True) or without (False) guidance; None takes either.

    Raises:
        ModelError: the file does not exist, is not a checkpoint of llmguide or of an unknown version, lacks arrays or
            has them in the wrong shape, or holds an agent of the other kind.
    """
    source = Path(path)
    description = _describe(source)
    try:
        weights: Weights = load_file(source)
        config = DQNConfig.from_dict(description["config"])
        scaler = Scaler.from_dict(description["scaler"])
        is_guided, seed, notes = bool(description["guided"]), int(description["seed"]), dict(description["notes"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{source} is damaged ({type(error).__name__}: {error}); train the agent again") from error
    _check_weights(weights, source, config.actions)
    if guided is not None and guided != is_guided:
        has, needs = ("with", "without") if is_guided else ("without", "with")
        raise ModelError(
            f"{source} was trained {has} guidance ({len(weights['fc1.weight'])} values in its observation), but one "
            f"trained {needs} is needed here; use {'LLMGuidedDQN' if is_guided else 'DQN'} for this checkpoint"
        )
    return Agent(weights=weights, scaler=scaler, config=config, guided=is_guided, seed=seed, notes=notes)


def _describe(source: Path) -> dict[str, Any]:
    """Return the JSON in the file's header."""
    return KIND.describe(source)


def _check_weights(weights: Weights, source: Path, actions: int) -> None:
    """Refuse missing arrays and shapes that do not chain."""
    shapes = {name: array.shape for name, array in weights.items()}
    try:
        hidden = shapes["fc1.bias"]
        chain = [shapes[f"fc{layer}.weight"] for layer in range(1, HIDDEN_LAYERS + 2)]
        fits = all(a[1] == b[0] for a, b in itertools.pairwise(chain)) and chain[-1][1] == actions
        for layer in range(1, HIDDEN_LAYERS + 1):
            names = [f"fc{layer}.bias"]
            names += [f"bn{layer}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
            fits = fits and all(shapes[name] == hidden for name in names)
    except (KeyError, IndexError) as error:
        raise ModelError(f"{source} is damaged: {error} is missing; train the agent again") from error
    if not fits or not all(np.isfinite(array).all() for array in weights.values()):
        raise ModelError(
            f"{source} is damaged: its arrays do not fit together or are not finite; train the agent again"
        )
