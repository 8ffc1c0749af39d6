"""The guidance that an instrument's experts are mixed with: of known accuracy, by rules, and tables that a user has.

| guidance | what it is | draws |
|---|---|---|
| oracle 0.7 | Algorithm 1's labels of the future (arXiv 2508.02366), each right with that probability | errors |
| shuffled oracle 0.7 | the same draw, its months permuted | errors and order |
| rules | `llmguide.guidance.rules`, each month from the bars before it | none |
| NAME | a table that was given | none |
| shuffled rules, shuffled NAME | its months permuted | order |
| none | the mixture without guidance | none |

What is shuffled says as often long and short, at no particular time. **It uses the future**, as the oracle does: that
the months of an instrument which rose are more often long stays known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import GuidanceError
from llmguide.experiments.markets import Market
from llmguide.experiments.mixture.draws import draw_seed, oracle_sides, shuffle_seed, shuffled_sides
from llmguide.guidance import Guidance
from llmguide.guidance.in_force import check_in_force
from llmguide.guidance.rules import rules
from llmguide.mixture import FollowGuidance

__all__ = [
    "NO_GUIDANCE",
    "ORACLE",
    "RULES",
    "SHUFFLED",
    "Source",
    "Tables",
    "guidance_of",
    "read_tables",
]

NO_GUIDANCE, ORACLE, RULES, SHUFFLED = "none", "oracle", "rules", "shuffled"
"""Names, and first words of names, of guidance."""

Tables = Mapping[str, Mapping[str, Guidance]]
"""Tables by name and symbol."""


class Source(NamedTuple):
    """One kind of guidance of an instrument: its sides at every bar, shape (draws, bars)."""

    guidance: str
    accuracy: float  # NaN where it is not known
    sides: NDArray[np.float64]
    drawn: bool  # whether chance has a part in it


def guidance_of(
    market: Market, *, accuracies: Sequence[float], draws: int, tables: Mapping[str, Guidance]
) -> Iterator[Source]:
    """Yield all guidance of an instrument over its training and test bars; `tables` are its own, by name."""
    bars, symbol = market.bars, market.symbol
    errors = [draw_seed(symbol, draw) for draw in range(draws)]
    orders = [shuffle_seed(symbol, draw) for draw in range(draws)]
    for accuracy in accuracies:
        name = f"{ORACLE} {accuracy:g}"
        yield Source(name, accuracy, oracle_sides(bars, accuracy=accuracy, seeds=errors), True)
        mixed_up = oracle_sides(bars, accuracy=accuracy, seeds=errors, shuffles=orders)
        yield Source(f"{SHUFFLED} {name}", accuracy, mixed_up, True)
    for name, table in {RULES: rules(bars), **tables}.items():
        yield Source(name, np.nan, FollowGuidance(table).sides(bars)[None], False)
        yield Source(f"{SHUFFLED} {name}", np.nan, shuffled_sides(table, bars, shuffles=orders), True)


def read_tables(paths: Sequence[Path | str], *, any_bars: bool = False) -> Tables:
    """Read tables of guidance that are named after their instruments, such as ``answers/AAPL.parquet``, and return
    them.

    Args:
        paths: folders of such files (.parquet or .csv), or single ones. A folder's name is the name of its guidance.
        any_bars: take tables for whatever bars they were made from.

    Raises GuidanceError for a path without a table, and for two of one name and instrument.
    """
    found: dict[str, dict[str, Guidance]] = {}
    for path in map(Path, paths):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        own = [file for file in files if file.suffix.lower() in (".parquet", ".csv") and file.is_file()]
        if not own:
            raise GuidanceError(f"no guidance at {path}; give a folder of SYMBOL.parquet or SYMBOL.csv, or such a file")
        for file in own:
            name = file.resolve().parent.name
            of_name = found.setdefault(name, {})
            if file.stem in of_name:
                raise GuidanceError(
                    f"{file} is a second table of {file.stem} under the name {name!r}; give each guidance a "
                    "folder of its own name"
                )
            table = Guidance.read(file)
            of_name[file.stem] = table.of_any_bars() if any_bars else table
    return found


def tables_of(tables: Tables, markets: Mapping[str, Market], *, lookback: int) -> dict[str, dict[str, Guidance]]:
    """Return the tables of each instrument by name; those of other instruments are left.

    Raises GuidanceError for a name that the study has for its own guidance, for a name without a table of these
    instruments, and for tables of other bars or of another time.
    """
    own: dict[str, dict[str, Guidance]] = {symbol: {} for symbol in markets}
    for name, of_name in tables.items():
        if not name.strip() or name.split()[0] in (NO_GUIDANCE, ORACLE, RULES, SHUFFLED):
            raise GuidanceError(
                f"guidance cannot be called {name!r}, a name that the study uses itself; rename the folder"
            )
        there = [symbol for symbol in markets if symbol in of_name]
        if not there:
            raise GuidanceError(
                f"the guidance {name!r} is of {', '.join(of_name) or 'nothing'}, and none of the instruments "
                "is; name its files after the instruments"
            )
        for symbol in there:
            market, table = markets[symbol], of_name[symbol]
            dates = pd.DatetimeIndex(market.bars.index)
            start = len(market.train) + lookback
            label = f"the guidance {name!r} of {symbol}"
            check_in_force(table, market.bars, dates, start=start, name=label, symbol=symbol)
            own[symbol][name] = table
    return own
