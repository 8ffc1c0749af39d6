"""The cells of a replication, each one instrument, arm and seed: measured once, and again only where something changed.

A cell's row is stored in OUT/SYMBOL/cells/ARM-SEED.json (ARM.json where nothing is random) as soon as it is measured,
together with what it was made from. A stored row counts only where that is the same now, to the bit: a replication that
was killed goes on where it was, and never with the row of another agent, of other bars or of another version.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmguide._version import __version__
from llmguide.experiments.arms import Arm
from llmguide.experiments.learners.learner import learner_of
from llmguide.experiments.markets import Market
from llmguide.experiments.measure import measure
from llmguide.experiments.plan import Plan
from llmguide.experiments.run_folder import RunFolder
from llmguide.files import write_json
from llmguide.hashing import hash_bars
from llmguide.metrics import max_drawdown

if TYPE_CHECKING:
    from llmguide.experiments.arms import Trained

__all__ = ["cell_path", "measure_cell"]


def cell_path(folder: RunFolder, arm: Arm, agent: Trained | None) -> Path:
    """Return where a cell's row is stored."""
    return folder.path / "cells" / (f"{arm.name}.json" if agent is None else f"{arm.name}-{agent.seed}.json")


def measure_cell(
    market: Market, arm: Arm, agent: Trained | None, plan: Plan, folder: RunFolder | None
) -> dict[str, Any]:
    """Return the row of one cell; with a folder it is read from there where it is still valid, else stored there.

    The row holds the symbol, what `llmguide.experiments.measure.measure` puts in it, and ``mdd_tdqn``, the maximum
    drawdown as the benchmark's authors compute it.
    """
    made_from = _made_from(market, arm, agent, plan)
    path = None if folder is None else cell_path(folder, arm, agent)
    row = None if path is None else _stored(path, made_from)
    if row is not None:
        return row
    found = measure(
        arm,
        agent,
        train=market.train,
        test=market.test,
        guidance=plan.guidance,
        config=plan.config,
        periods=plan.year,
    )
    row = {
        "symbol": market.symbol,
        **found.row,
        "mdd_tdqn": max_drawdown(found.result.values, convention="tdqn"),
    }
    if path is not None:
        write_json(path, {"made_from": made_from, "row": {name: _null(value) for name, value in row.items()}})
    return row


def _made_from(market: Market, arm: Arm, agent: Trained | None, plan: Plan) -> dict[str, Any]:
    """Say everything that a row depends on."""
    made_from = {
        "llmguide": __version__,
        "symbol": market.symbol,
        "arm": arm.name,
        "train": hash_bars(market.train),
        "test": hash_bars(market.test),
        "guidance": None if plan.guidance is None else plan.guidance.hash,
        "config": plan.config.to_dict(),
        "periods": plan.year,
        "agent": None if agent is None else learner_of(arm).fingerprint(agent),
    }
    return made_from | _of_some_arms(arm, plan)


def _of_some_arms(arm: Arm, plan: Plan) -> dict[str, Any]:
    """Say what only the rows of some arms depend on."""
    if arm.learner == "flag" and plan.flag is not None:
        return {"flag": plan.flag.describe()}
    return {"holdout": plan.kept} if arm.held_out else {}


def _stored(path: Path, made_from: dict[str, Any]) -> dict[str, Any] | None:
    """Return a file's row; None where there is none, a damaged one, or one that was made from something else."""
    try:
        cell = json.loads(path.read_text(encoding="utf-8"))
        if cell["made_from"] != made_from:
            return None
        return {name: math.nan if value is None else value for name, value in cell["row"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _null(value: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value
