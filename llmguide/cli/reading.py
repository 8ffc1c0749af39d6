"""What the options name, read: bars, tables of guidance, lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmguide.cli.groups import grouped
from llmguide.cli.options import Adjust, FactorsFile, StrictBars, TablesFolder, TablesOf, Zone
from llmguide.errors import DataError, GuidanceError, LlmguideError

if TYPE_CHECKING:
    import pandas as pd

    from llmguide.guidance import Guidance

__all__ = [
    "AS_IT_IS",
    "NOTHING",
    "Beside",
    "Reading",
    "day",
    "find_guidance",
    "one_history",
    "parse_seeds",
    "reads_bars",
    "refuse_models",
    "split_names",
]


def parse_seeds(text: str) -> int | list[int]:
    """Return a number of runs, or the list of seeds."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        message = f"expected --seeds to be a number of seeds, or seeds separated by commas such as 0,3,7, got {text!r}"
        raise LlmguideError(message) from None
    return numbers if "," in text else numbers[0]


def split_names(text: str | None) -> list[str] | None:
    """Return the names in a list separated by commas."""
    return None if text is None else [name.strip() for name in text.split(",")]


@dataclass(frozen=True)
class Reading:
    """How bars are read: the options of every command that takes them."""

    tz: Zone = None
    adjust: Adjust = False
    strict: StrictBars = False

    def bars(self, path: Path, *, start: str | None = None, end: str | None = None) -> pd.DataFrame:
        """Return the bars of a file from one date to another; what is unusual in them is said."""
        from llmguide.bars import read_bars

        return read_bars(path, start=start, end=end, **self.options)

    def history(self, files: Sequence[Path]) -> pd.DataFrame:
        """Return the bars of several files as one history; what is unusual in them is said."""
        return one_history([(path, self.bars(path)) for path in files])

    @property
    def options(self) -> dict[str, Any]:
        """The options as keywords of `read_bars`, `find_markets` and `replicate`."""
        return {"tz": self.tz, "adjust": self.adjust, "strict": self.strict}


AS_IT_IS = Reading()


def one_history(parts: Sequence[tuple[Path, pd.DataFrame]]) -> pd.DataFrame:
    """Return the bars of several files, oldest first, as one history; DataError where they are not in that order."""
    import pandas as pd

    for (_, before), (path, after) in pairwise(parts):
        if not before.index[-1] < after.index[0]:
            ends = day(before, -1)
            raise DataError(
                f"{path} begins on {day(after, 0)}, but the file before it ends on {ends}; order them by date"
            )
    return pd.concat([frame for _, frame in parts])


@dataclass(frozen=True)
class Beside:
    """What states tell of beside bars and guidance: options of the commands with a policy that reads."""

    tables: TablesFolder = None
    factors: FactorsFile = None
    symbol: TablesOf = None

    @property
    def given(self) -> dict[str, Any]:
        """The options by name; None was not given."""
        return {"--tables": self.tables, "--factors": self.factors, "--symbol": self.symbol}

    def read(self, bars: Path) -> dict[str, Any]:
        """Return `tables` and `factors` as keywords of the library, those only that were given.

        `bars` is the file after whose name the folder of the tables is called. Raises DataError for what cannot be
        read.
        """
        from llmguide.sources.tables import Tables
        from llmguide.states.factors import Factors

        if self.symbol is not None and self.tables is None:
            raise DataError("--symbol names a folder in --tables; give that too, or leave it out")
        read: dict[str, Any] = {}
        if self.tables is not None:
            read["tables"] = Tables.read(self.tables, self.symbol or bars.stem.split("_")[0])
        if self.factors is not None:
            read["factors"] = Factors.read(self.factors)
        return read


NOTHING = Beside()

reads_bars = grouped
"""What a command that takes `Reading` is marked with."""


def find_guidance(bars: pd.DataFrame, file: Path | None, provider: str | None, *, any_bars: bool = False) -> Guidance:
    """Return the table of a file, or make one; a table of other bars is refused, unless `any_bars`."""
    from llmguide.guidance import Guidance
    from llmguide.guidance import guide as make

    if file is not None and provider is not None:
        raise GuidanceError("give either --guidance FILE or --provider NAME, not both")
    refuse_models(provider)
    if file is None:
        return make(bars, provider or "rules")
    table = Guidance.read(file)
    return make(bars, "file", source=table.of_any_bars() if any_bars else table)


def refuse_models(provider: str | None) -> None:
    """Raise GuidanceError for a language model where its settings cannot be given."""
    if provider in ("llm", "replay"):
        raise GuidanceError(
            f"ask a language model first, with `llmguide guide --provider {provider}`, which takes its "
            "settings; then give the table it writes with --guidance"
        )


def day(frame: pd.DataFrame, row: int) -> str:
    return f"{frame.index[row]:%Y-%m-%d}"
