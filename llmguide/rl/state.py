"""The state of an unfinished training on disk: everything that its remaining steps depend on.

One safetensors file, whose header carries progress and origin as JSON. Random streams need no state (see
`llmguide.rl.noise`). Training that goes on from it gives the same bits as training that never stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from llmguide.errors import ModelError
from llmguide.rl.course import Course
from llmguide.rl.double_dqn import LearnerState
from llmguide.rl.experience import Memory
from llmguide.rl.runs import Job, Point

__all__ = [
    "STATE_SUFFIX",
    "TrainingState",
    "load_state",
    "read_header",
    "remove_file",
    "remove_state",
    "save_state",
    "write_whole",
]

STATE_SUFFIX = ".training"
"""How the files of unfinished training end."""
FORMAT = "llmguide.training_state.1"


@dataclass(frozen=True)
class TrainingState:
    """Where a job stands between two steps.

    Attributes:
        learner: see there.
        memory: the replay, cut to what is stored.
        account: side, shares, cash.
        step: steps taken.
        episode: episodes finished.
        bar: the bar of the next decision.
        previous: the last action.
        curve: the points measured so far.
    """

    learner: LearnerState
    memory: Memory
    account: NDArray[np.float64]
    step: int
    episode: int
    bar: int
    previous: int
    curve: tuple[Point, ...]


LEARNER = tuple(name for name in LearnerState._fields if name != "updates")
PROGRESS = ("step", "episode", "bar", "previous")


def save_state(job: Job, state: TrainingState) -> None:
    """Write a job's state to its file; at any moment the file is the last whole state."""
    assert job.state is not None
    arrays = {name: getattr(state.learner, name) for name in LEARNER}
    arrays |= {f"memory.{name}": array for name, array in state.memory._asdict().items()}
    arrays["account"] = state.account
    progress = {name: int(getattr(state, name)) for name in PROGRESS}
    header = {
        "format": FORMAT,
        "origin": _origin(job),
        "progress": progress | {"updates": state.learner.updates, "curve": list(state.curve)},
    }
    packed = save({n: np.ascontiguousarray(a) for n, a in arrays.items()}, metadata={"llmguide": json.dumps(header)})
    write_whole(job.state, packed)


def write_whole(path: Path, packed: bytes) -> None:
    """Write a state's file; at any moment it is the last whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path)  # always the same name, so that a killed process leaves no more than one
    with part.open("wb") as file:
        file.write(packed)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def load_state(job: Job) -> TrainingState | None:
    """Return a job's state, or None where there is none.

    Raises ModelError where the file is damaged, or was made by training on other bars, guidance or settings.
    """
    if job.state is None or not job.state.exists():
        return None
    try:
        header, arrays = read_header(job.state), load_file(job.state)
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']!r}")
        origin, progress = header["origin"], header["progress"]
        # Files from before the replay knew of episodes: what they hold depends on none.
        arrays.setdefault("memory.episode", np.zeros_like(arrays["memory.bar"]))
        state = TrainingState(
            LearnerState._make((*(arrays[name] for name in LEARNER), progress["updates"])),
            Memory._make(arrays[f"memory.{name}"] for name in Memory._fields),
            arrays["account"],
            curve=tuple(progress["curve"]),
            **{name: progress[name] for name in PROGRESS},
        )
    except (SafetensorError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ModelError(
            f"{job.state} is damaged ({type(error).__name__}: {error}); delete it to train {job.name} from the start"
        ) from error
    different = [name for name, value in _origin(job).items() if origin.get(name) != value]
    if different:
        raise ModelError(
            f"{job.state} is the state of another training (other {', '.join(different)}); delete it to train "
            f"{job.name} from the start"
        )
    return state


def remove_state(job: Job) -> None:
    """Remove a job's file."""
    if job.state is not None:
        remove_file(job.state)


def remove_file(path: Path) -> None:
    """Remove a state's file, and what a killed process may have left of one."""
    path.unlink(missing_ok=True)
    _part(path).unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def read_header(path: Path) -> dict[str, Any]:
    """Return the JSON in the header of a safetensors file that llmguide wrote; ValueError or KeyError of others."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return dict(json.loads(json.loads(file.read(length))["__metadata__"]["llmguide"]))


def _origin(job: Job) -> dict[str, Any]:
    return {
        "seed": job.seed,
        "episodes": job.episodes,
        "curve": job.measure is not None,
        "settings": job.course.config.to_dict(),
        "bars": _hash(job.course),
    }


def _hash(course: Course) -> str:
    digest = hashlib.sha256(course.prices.tobytes())
    digest.update(course.rows.tobytes())
    return digest.hexdigest()
