"""The state of an unfinished run on disk: everything that its remaining steps depend on.

One safetensors file: the trainable tensors, Adam's moments and the accounts; its header carries progress and origin as
JSON. Random streams need no state.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from llmguide.errors import ModelError
from llmguide.rl.state import read_header, write_whole
from llmguide.trading.flag_accounts import Ledgers

__all__ = ["Boundary", "FlagOrigin", "FlagState", "as_stored", "load_state", "save_state"]

FORMAT = "llmguide.flag_state.1"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class FlagOrigin(NamedTuple):
    """What a run's numbers depend on."""

    seed: int
    settings: dict[str, Any]
    bars: str  # the lesson's fingerprint: bars and all that is told of them
    policy: dict[str, Any]  # its identity


class Boundary(NamedTuple):
    """Where a run stands between two rollouts, beside weights and moments."""

    rollouts: int
    episodes: int  # begun
    ledgers: Ledgers


@dataclass(frozen=True, eq=False)
class FlagState:
    """Where a run stands.

    Attributes:
        trained: the trainable tensors by name.
        moments: what Adam knows of each, {} before the first update.
        boundary: see there.
        curve: a point for every rollout.
    """

    trained: Mapping[str, Tensor]
    moments: Mapping[str, Mapping[str, Tensor]]
    boundary: Boundary
    curve: tuple[dict[str, Any], ...]


def save_state(path: Path, origin: FlagOrigin, state: FlagState) -> None:
    """Write a run's state; at any moment the file is the last whole state."""
    arrays = {f"trained.{name}": tensor for name, tensor in state.trained.items()}
    for name, moments in state.moments.items():
        arrays |= {f"adam.{key}.{name}": tensor for key, tensor in moments.items()}
    ledgers = state.boundary.ledgers._asdict().items()
    arrays |= {f"accounts.{name}": torch.from_numpy(array) for name, array in ledgers}
    header = {
        "format": FORMAT,
        "origin": origin._asdict(),
        "progress": {"rollouts": state.boundary.rollouts, "episodes": state.boundary.episodes},
        "curve": list(state.curve),
    }
    metadata = {"llmguide": json.dumps(header)}
    write_whole(path, save({name: as_stored(tensor) for name, tensor in arrays.items()}, metadata=metadata))


def as_stored(tensor: Tensor) -> Tensor:
    """Return a tensor as a file takes it: on the processor, contiguous, in memory of its own."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def load_state(path: Path, origin: FlagOrigin, trained: Mapping[str, Tensor]) -> FlagState | None:
    """Return a run's state, or None where there is none.

    Raises ModelError where the file is damaged, or of a run of other bars, settings, seed or policy.
    """
    if not path.exists():
        return None
    again = f"delete it to train seed {origin.seed} from the start"
    try:
        header, arrays = read_header(path), load_file(path)
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']!r}")
        stored, progress = header["origin"], header["progress"]
        boundary = Boundary(
            int(progress["rollouts"]),
            int(progress["episodes"]),
            Ledgers._make(arrays[f"accounts.{name}"].numpy() for name in Ledgers._fields),
        )
        curve = tuple(header["curve"])
        if len(curve) != boundary.rollouts:
            raise ValueError(f"{len(curve)} points of {boundary.rollouts} rollouts")
    except (SafetensorError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ModelError(f"{path} is damaged ({type(error).__name__}: {error}); {again}") from error
    own = json.loads(json.dumps(origin._asdict()))
    different = [name for name, value in own.items() if stored.get(name) != value]
    if different:
        raise ModelError(f"{path} is the state of another training (other {', '.join(different)}); {again}")
    try:
        for name, tensor in trained.items():
            if arrays[f"trained.{name}"].shape != tensor.shape:
                raise ValueError(f"shape of {name}")
        weights = {name: arrays[f"trained.{name}"] for name in trained}
        moments = {
            name: {key: arrays[f"adam.{key}.{name}"] for key in MOMENTS if f"adam.{key}.{name}" in arrays}
            for name in trained
        }
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({type(error).__name__}: {error}); {again}") from error
    return FlagState(weights, moments, boundary, curve)
