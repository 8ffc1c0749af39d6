"""The rule "mixture": experts weighed by what each has earned, under many priors, costs and limits at once."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import LlmguideError
from llmguide.mixture.experts import Expert, find_experts, sides_of_all
from llmguide.mixture.kernels import deviations
from llmguide.mixture.live import WINDOW
from llmguide.mixture.result import changes_of
from llmguide.sweeps.following import SIZED
from llmguide.sweeps.grid import Grid
from llmguide.sweeps.market import Market
from llmguide.sweeps.rules import Decide, Rule, between
from llmguide.sweeps.sized_kernels import mixture_weights
from llmguide.trading.simulate import closes
from llmguide.trading.sizing import BAND

__all__ = ["MixtureRule"]

Array = NDArray[np.float64]


class MixtureRule(Rule):
    """Positions of `llmguide.mix` on history and bars, with the sweep's cost: sized, or all in by their sign.

    `experts` are those that `llmguide.mix` takes, by name; with several instruments such a mapping for each symbol, all
    of the same names and priors. Parameters: ``m0_NAME`` and ``n0_NAME`` of every expert, its prior unless given;
    ``all_in``, ``long_only``, ``max_leverage`` and ``band``, as in `llmguide.strategies.MixtureOfExperts`.
    """

    name = "mixture"
    follow = SIZED

    def __init__(self, experts: Any, *, symbols: tuple[str, ...] = ()) -> None:
        if symbols and not (isinstance(experts, Mapping) and set(map(str, experts)) == set(symbols)):
            raise LlmguideError(f"experts are of one instrument; pass experts={{symbol: {{name: ...}}}} for {symbols}")
        given = {str(symbol): own for symbol, own in experts.items()} if symbols else {"": experts}
        self._experts = {symbol: find_experts(own) for symbol, own in given.items()}
        first, *others = self._experts.values()
        self.names = tuple(first)
        priors = {name: expert.belief for name, expert in first.items()}
        for own in others:
            if {name: expert.belief for name, expert in own.items()} != priors:
                raise LlmguideError("the experts of all instruments have the same names and priors; these do not")
        self.defaults = {
            **{f"m0_{name}": prior.mean for name, prior in priors.items()},
            **{f"n0_{name}": prior.count for name, prior in priors.items()},
            "all_in": False,
            "long_only": False,
            "max_leverage": 1.0,
            "band": BAND,
        }
        self._made: dict[int, tuple[pd.DataFrame, tuple[Array, Array, Array]]] = {}

    @property
    def uses_future(self) -> bool:
        """Whether an expert was made with knowledge of its future."""
        return any(expert.uses_future for own in self._experts.values() for expert in own.values())

    def restrict(self, grid: Grid) -> Grid:
        """Check the values."""
        for name in self.names:
            between(grid, f"m0_{name}", -inf, inf)
            between(grid, f"n0_{name}", 0.0, inf)
            for part in (f"m0_{name}", f"n0_{name}"):
                if not np.isfinite(grid.levels[part].to_numpy(dtype=np.float64)).all():
                    raise LlmguideError(f"{part} is a finite number, got {list(grid.levels[part])[:5]}")
            if grid.levels[f"n0_{name}"].min() == 0:
                raise LlmguideError(f"n0_{name} is a number of bars above 0, got 0")
        for name in ("all_in", "long_only"):
            if not set(grid.levels[name]) <= {False, True}:
                raise LlmguideError(f"{name} is False or True (0 or 1), got {list(grid.levels[name])[:5]}")
        between(grid, "max_leverage", 0.0, 1.0)
        if grid.levels["max_leverage"].min() == 0:
            raise LlmguideError("max_leverage must be a fraction of the account in (0, 1], got 0")
        between(grid, "band", 0.0, 1.0)
        if grid.levels["stop_loss"].min() < inf:
            raise LlmguideError(
                "a mixture has no stop-loss: its positions are fractions, which have no entry; leave stop_loss= out, "
                "or sweep mixed.decisions, which go all in"
            )
        return grid

    def prepare(self, market: Market, grid: Grid) -> Decide:
        """Ask the experts once."""
        changes, spreads, sides = self._heard(market)

        def decide(rows: slice, weights: NDArray[Any]) -> None:
            size = grid.column("max_leverage", rows).astype(np.float64)
            mixture_weights(
                changes,
                spreads,
                sides,
                grid.numbers([f"m0_{name}" for name in self.names], rows),
                grid.numbers([f"n0_{name}" for name in self.names], rows),
                grid.column("cost", rows).astype(np.float64),
                grid.column("all_in", rows).astype(np.bool_),
                np.where(grid.column("long_only", rows).astype(np.bool_), 0.0, -size),
                size,
                weights,
            )

        return decide

    def _heard(self, market: Market) -> tuple[Array, Array, Array]:
        """Return changes, deviations and sides on history and bars; the same bars are asked about once."""
        if id(market.bars) not in self._made:
            bars = market.so_far
            changes = changes_of(closes(bars))
            experts: dict[str, Expert] = self._experts[market.labels.get("symbol", "")]
            heard = changes, deviations(changes, WINDOW), sides_of_all(experts, bars)
            self._made[id(market.bars)] = market.bars, heard  # the bars too, so that no others get their number
        return self._made[id(market.bars)][1]
