"""Whether somebody else's function of the bars looks at bars that it could not have known.

It is asked again with everything from some bar on raised, then lowered: nothing that it says up to that bar may change.
What passes may still look ahead elsewhere; what does not pass looks ahead, or leaves something to chance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOVED", "PROBES", "LookAhead", "find_look_ahead"]

PROBES = 16
"""Bars at which a function is tried."""
MOVED = 1.37
"""Factor by which the values from there on are raised, and by which they are lowered."""
_ROUNDING = 1e-9  # a rule that adds up in another order says the same


class LookAhead(NamedTuple):
    """What a function said for bar `said` changed with the values from bar `changed` on."""

    said: int
    changed: int


def find_look_ahead(
    function: Callable[[NDArray[np.float64]], NDArray[Any]],
    values: NDArray[np.float64],
    said: NDArray[Any],
    *,
    start: int,
) -> LookAhead | None:
    """Return where a function of the bars looks ahead, None where it was not found to.

    Args:
        function: gets values like `values` and returns numbers, shape ``(bars, ...)``; what it says for bar t may use
            ``values[:t]``. It may keep and change what it gets.
        values: closes, shape ``(bars,)``, or several columns, shape ``(bars, columns)``.
        said: what it said to `values`.
        start: the first bar from which on values are changed; what it says before is of no consequence.
    """
    for t in np.unique(np.linspace(start, len(values) - 1, PROBES).astype(np.int64)):
        for factor in (MOVED, 1.0 / MOVED):
            changed = values.copy()
            changed[t:] *= factor
            now, before = np.asarray(function(changed))[: t + 1], said[: t + 1]
            same = np.isclose(now, before, rtol=0.0, atol=_ROUNDING, equal_nan=True)
            if not same.all():
                return LookAhead(int(np.argwhere(~same)[0][0]), int(t))
    return None
