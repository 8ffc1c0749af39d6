"""What a walk trains: for each instrument and window a plan of its own, made from bars before the window alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.errors import LlmguideError
from llmguide.experiments.guidance_source import GuidanceSource, find_table
from llmguide.experiments.plan import Plan, put_together
from llmguide.experiments.run_folder import RunFolder
from llmguide.experiments.walk_forward.windows import Window

__all__ = ["Step", "guidance_of_windows", "open_folders", "put_steps_together"]


@dataclass(frozen=True)
class Step:
    """One window of one instrument."""

    symbol: str
    window: Window
    plan: Plan

    @property
    def key(self) -> str:
        """What it is called among all steps of a walk."""
        return f"{self.symbol} {self.window.name}"


def guidance_of_windows(
    symbol: str,
    bars: pd.DataFrame,
    windows: tuple[Window, ...],
    source: GuidanceSource | None,
    *,
    any_bars: bool,
) -> list[Any]:
    """Return the guidance of each window.

    A table counts for all of them: each bar sees what had been issued by its day. A function of bars is asked again for
    every window, and is shown the bars up to that window's last one.
    """
    if source is not None and callable(source):
        return [find_table(symbol, window.known(bars), source) for window in windows]
    table = find_table(symbol, bars.iloc[: windows[-1].trades[1]], source, any_bars=any_bars)
    return [table] * len(windows)


def open_folders(
    out: Path, steps: Mapping[str, Step], described: Mapping[str, dict[str, Any]], *, resume: bool
) -> dict[str, RunFolder]:
    """Make OUT/SYMBOL/WINDOW for every step, or go on with those that are there."""
    if out.exists() and not out.is_dir():
        raise LlmguideError(f"{out} is a file; a walk needs a folder")
    folders = {
        key: RunFolder.open(out / step.symbol / step.window.name, described[key], resume=resume)
        for key, step in steps.items()
    }
    for key, step in steps.items():
        if step.plan.guidance is not None:
            step.plan.guidance.save(folders[key].path / "guidance.parquet")
    return folders


def put_steps_together(steps: Mapping[str, Step], described: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the settings of all steps as one: what they share, and by instrument and window what each has."""
    settings = put_together(described)
    del settings["symbols"]
    symbols = list(dict.fromkeys(step.symbol for step in steps.values()))
    return {"symbols": symbols, "steps": list(steps)} | settings
