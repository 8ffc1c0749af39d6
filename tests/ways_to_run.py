"""The ways in which Cerebro can be told to run, and those among them that differ."""

from __future__ import annotations

import itertools
from typing import NamedTuple

__all__ = ["DISTINCT", "WAYS", "Way"]


class Way(NamedTuple):
    runonce: bool
    preload: bool
    exactbars: int
    live: bool  # of the feed

    def as_run(self) -> Way:
        """What Cerebro makes of it: a live feed or exactbars=1 is never preloaded, and runonce takes preloaded bars."""
        preload = self.preload and not self.live and self.exactbars != 1
        return self._replace(preload=preload, runonce=self.runonce and preload and not self.exactbars)


WAYS = [Way(*way) for way in itertools.product([True, False], [True, False], [False, 1, -1, -2], [False, True])]
DISTINCT = list(dict.fromkeys(way.as_run() for way in WAYS))
"""Each way once, for tests that take longer; `tests/strategies/test_modes.py` walks all of them."""
