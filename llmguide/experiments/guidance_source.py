"""The guidance of one instrument among many: out of a mapping, a folder of tables, or a function of its bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from llmguide.errors import GuidanceError
from llmguide.experiments.arms import Arm
from llmguide.guidance import Guidance, guide

__all__ = ["GuidanceSource", "find_table", "refuse_missing"]

GuidanceSource: TypeAlias = Mapping[str, Guidance] | Path | str | Callable[[pd.DataFrame], Guidance]


def refuse_missing(arms: Sequence[Arm], guidance: object) -> None:
    """Raise GuidanceError where an arm needs guidance and there is none."""
    needy = [arm.name for arm in arms if arm.guided and arm.needs_guidance]
    if needy and guidance is None:
        raise GuidanceError(f"the arms {needy} need guidance; pass a table per symbol, or leave them out of arms")


def find_table(
    symbol: str, bars: pd.DataFrame, source: GuidanceSource | None, *, any_bars: bool = False
) -> Guidance | None:
    """Return the guidance of one instrument, checked against its bars; None where the source is.

    Args:
        symbol: names the instrument in a mapping, and its file in a folder.
        bars: those that the guidance is for; a function is given them.
        source: tables by symbol; a folder with SYMBOL.parquet or SYMBOL.csv; or a function of the bars.
        any_bars: take a table of other bars too.

    Raises GuidanceError where there is no table, or one of other bars.
    """
    if source is None:
        return None
    try:
        if callable(source):
            return guide(bars, source).made_from(bars, symbol=symbol)
        if isinstance(source, Mapping):
            if symbol not in source:
                raise GuidanceError("there is no table for it; add one, or leave it out of symbols")
            return _checked(source[symbol], symbol, bars, any_bars)
        if not isinstance(source, Path | str):
            raise GuidanceError(
                f"expected tables by symbol, a folder of them, or a function of the bars, got {type(source).__name__}"
            )
        paths = [path for suffix in (".parquet", ".csv") if (path := Path(source) / f"{symbol}{suffix}").is_file()]
        if len(paths) != 1:
            found = "both" if paths else "neither"
            raise GuidanceError(f"expected {symbol}.parquet or {symbol}.csv in {source}, found {found}")
        return _checked(Guidance.read(paths[0]), symbol, bars, any_bars)
    except GuidanceError as error:
        raise GuidanceError(f"guidance of {symbol}: {error}") from None


def _checked(table: Guidance, symbol: str, bars: pd.DataFrame, any_bars: bool) -> Guidance:
    """Return a table that was made for the instrument's bars."""
    if any_bars:
        return guide(bars, "file", source=table.of_any_bars())
    table.check_bars(bars, symbol=symbol)
    return guide(bars, "file", source=table)
