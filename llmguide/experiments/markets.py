"""Instruments in a folder of bars, each cut into training bars and the test bars that follow them.

Two layouts, which may stand side by side:

SYMBOL_FIRST_LAST.csv   two files per instrument, as the benchmark's authors publish them (AAPL_2012-1-1_2018-1-1.csv
                        and AAPL_2018-1-1_2020-1-1.csv): the earlier one is for training. A few bars at its end
                        that are in the test too, or later than its first bar, are left out
SYMBOL.csv              one file per instrument, cut at a date

Parquet files serve as well as CSV.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from llmguide.bars import BarsReport, Bound, bound_period, inspect_bars
from llmguide.counting import counted
from llmguide.errors import DataError, DataWarning, did_you_mean
from llmguide.experiments.published import ALIASES
from llmguide.sources import consequences
from llmguide.sources.suspicion import Finding, describe

__all__ = ["SPLIT", "Market", "find_markets"]

SPLIT = "2018-01-01"
"""First test day of arXiv 2004.06627."""

SHARED = 5
"""Training bars at most that are left out because the test has them too: the benchmark's files share up to two."""

_SUFFIXES = (".csv", ".parquet")
_SPAN = re.compile(r"(?P<symbol>.+)_(?P<first>\d{4}-\d{1,2}-\d{1,2})_\d{4}-\d{1,2}-\d{1,2}")


@dataclass(frozen=True, eq=False)
class Market:
    """One instrument: raw training bars, and the raw test bars that follow them.

    Raises DataError unless the test begins after the training has ended.
    """

    symbol: str
    train: pd.DataFrame
    test: pd.DataFrame

    def __post_init__(self) -> None:
        if not self.train.index[-1] < self.test.index[0]:
            raise DataError(
                f"the test bars of {self.symbol} must come after its training bars, but training ends on "
                f"{self.train.index[-1]:%Y-%m-%d} and the test begins on {self.test.index[0]:%Y-%m-%d}; correct the "
                "files or their names"
            )

    @property
    def bars(self) -> pd.DataFrame:
        """Training and test bars as one history."""
        return pd.concat([self.train, self.test])


def find_markets(
    folder: Path | str,
    symbols: Sequence[str] | None = None,
    *,
    split: Bound = SPLIT,
    tz: str | None = None,
    adjust: bool = False,
    strict: bool = False,
) -> tuple[Market, ...]:
    """Read the instruments of a folder.

    Args:
        folder: holds the files; see the module for their names.
        symbols: which instruments, in this order; all of them by name where None.
        split: first test day of the instruments that have one file.
        tz, adjust, strict: how every file is read (see `llmguide.read_bars`).

    Returns:
        The instruments, their bars as `read_bars` returns them.

    Raises:
        DataError: no such folder or no bars in it; unknown or repeated symbols; an instrument whose files are not one
            or a pair, that has too few bars on either side, or whose spans overlap by more than a few bars; and what
            `read_bars` refuses.

    Warns:
        DataWarning: once for all instruments, with how many of them have what is unusual, and what looks wrong.
    """
    cut = bound_period("split", split).start_time
    files = _files(Path(folder))
    chosen = list(files) if symbols is None else list(symbols)
    _check_symbols(chosen, files, Path(folder))
    markets: list[Market] = []
    found: Counter[tuple[str, str]] = Counter()
    suspicious: list[str] = []
    for symbol in chosen:
        read = partial(inspect_bars, tz=tz, adjust=adjust, strict=strict)
        market, notes, findings = _read(symbol, files[symbol], cut, read)
        markets.append(market)
        if findings:
            suspicious.append(f"{symbol}: {describe(findings)} ({consequences.of_findings(findings)})")
        found.update(notes)
    if found or suspicious:
        count = counted(len(markets), "instrument")
        unusual = "; ".join(
            [*(f"{note} in {having} ({matters})" for (note, matters), having in found.items()), *suspicious]
        )
        warnings.warn(f"{count}: {unusual}", DataWarning, stacklevel=2)
    return tuple(markets)


def _files(folder: Path) -> dict[str, list[Path]]:
    """Return each symbol's files, the pair of one symbol in order of the dates in their names."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; give one with a file of bars for each instrument")
    files: dict[str, list[tuple[tuple[int, ...], Path]]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in _SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        span = _SPAN.fullmatch(path.stem)
        symbol = span["symbol"] if span else path.stem
        first = tuple(int(part) for part in span["first"].split("-")) if span else ()
        files.setdefault(symbol, []).append((first, path))
    if not files:
        raise DataError(
            f"{folder} holds no bars; expected SYMBOL.csv, or SYMBOL_FIRST_LAST.csv twice for each instrument "
            "(or Parquet)"
        )
    return {symbol: [path for _, path in sorted(found)] for symbol, found in sorted(files.items())}


def _check_symbols(chosen: Sequence[str], files: dict[str, list[Path]], folder: Path) -> None:
    for symbol in chosen:
        if symbol not in files:
            alias = ALIASES.get(symbol)
            hint = f"; did you mean {alias!r}?" if alias in files else did_you_mean(symbol, files)
            raise DataError(f"{folder} has no bars of {symbol!r}, only of {', '.join(files)}{hint}")
    if not chosen or len(set(chosen)) < len(chosen):
        raise DataError(f"expected one or more different symbols, got {list(chosen)}")


def _read(
    symbol: str, paths: list[Path], cut: pd.Timestamp, read: Callable[..., tuple[pd.DataFrame, BarsReport]]
) -> tuple[Market, list[tuple[str, str]], tuple[Finding, ...]]:
    """Return an instrument, what is unusual in its bars and whether it matters, and what looks wrong in them."""
    spans = [path for path in paths if _SPAN.fullmatch(path.stem)]
    try:
        if len(paths) == 1 and not spans:
            train, before = read(paths[0], end=(cut - pd.Timedelta(days=1)).date())
            test, after = read(paths[0], start=cut.date())
        elif len(paths) == len(spans) == 2:
            (train, before), (test, after) = (read(path) for path in spans)
        else:
            names = ", ".join(path.name for path in paths)
            raise DataError(
                "expected one file, or two with their dates in their names (training, then test), got "
                f"{names}; rename or remove the others"
            )
    except DataError as error:
        raise DataError(f"{symbol}: {error}") from None
    shared = int((train.index >= test.index[0]).sum())
    if shared <= SHARED:
        train = train[train.index < test.index[0]]
    filling = consequences.of_filling(
        prices=before.missing_prices + after.missing_prices,
        longest=max(before.longest_gap, after.longest_gap),
        bars=before.bars + after.bars,
        linear=before.filled_linear + after.filled_linear,
    )
    notes = (
        ("the newest bar came first", before.reversed or after.reversed, consequences.REVERSED),
        ("Adj Close ignored", before.adjusted_ignored or after.adjusted_ignored, consequences.ADJUSTED_IGNORED),
        ("Close outside [Low, High]", before.closes_outside or after.closes_outside, consequences.OUTSIDE),
        ("prices zero or missing", before.missing_prices or after.missing_prices, filling),
        ("volumes zero or missing", before.missing_volumes or after.missing_volumes, consequences.VOLUME_ONLY),
        (f"training ended within the test and was cut, by {SHARED} bars at most", shared, "harmless"),
    )
    findings = before.findings + after.findings
    return Market(symbol, train, test), [(note, matters) for note, there, matters in notes if there], findings
