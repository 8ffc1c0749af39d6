"""One fingerprint for a table, so that a run folder or a checkpoint can say what it was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["hash_arrays", "hash_bars"]


def hash_bars(bars: pd.DataFrame) -> str:
    """Return the SHA-256 of the dates, column names and numbers of a frame of bars, in hexadecimal."""
    digest = hashlib.sha256()
    digest.update(np.ascontiguousarray(pd.DatetimeIndex(bars.index).as_unit("ns").asi8).tobytes())
    for name in bars.columns:
        digest.update(str(name).encode())
        digest.update(np.ascontiguousarray(bars[name], dtype=np.float64).tobytes())
    return digest.hexdigest()


def hash_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of names and numbers of arrays, such as an agent's weights, in hexadecimal."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
