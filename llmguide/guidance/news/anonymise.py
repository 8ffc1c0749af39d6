"""What names an instrument or a day, replaced by what it is: "Apple's CEO Tim Cook, on Feb. 1" by "the Company's ...".

A model may have read what came of it: the name or the date in a headline lets it remember instead of judge. Two things
find them: a user's table of names, and rules for what has a form of its own (dates, marked tickers, people behind a
title, companies with a legal form, addresses). The rules know no names: "Samsung" alone is found only by a table.
`docs/anonymising.md` lists both, with what they miss.
"""

from __future__ import annotations

import csv
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from llmguide.errors import GuidanceError, did_you_mean
from llmguide.guidance.news.level_patterns import hide_levels
from llmguide.guidance.news.name_patterns import END, EXCHANGE, LEGAL_FORM, LINKS, PHRASES, RULES, START, TIDY

__all__ = ["KINDS", "Anonymised", "Name", "Names", "plain"]

KINDS: Mapping[str, str] = {
    "company": "the Company",
    "ticker": "the Company",
    "product": "a product of the Company",
    "person": "a manager of the Company",
    "other": "another company",
}
"""What a name of each kind is replaced by, unless the table says otherwise."""

_COLUMNS = ("name", "kind", "replacement")
_PASSES = 10


class Name(NamedTuple):
    """One line of a table of names; without a replacement, that of its kind counts."""

    name: str
    kind: str
    replacement: str = ""


class Anonymised(NamedTuple):
    """A text without names, and how many were replaced: by kind of `KINDS`, "date", "level" or "link" (addresses)."""

    text: str
    replaced: Counter[str]


@dataclass(frozen=True)
class Names:
    """The names that give an instrument away, and their replacements.

    A name is found wherever it is a word of its own, in any case, with or without an accent, a legal form ("Inc.") or
    an article before it; of several the longest counts. A name of up to four letters, all capitals, is found only as it
    is written. A ticker is found in capitals where it has three letters or more; one of two letters only before
    "shares" or "stock"; any ticker where it is marked: $T, #T, (T), NYSE: T.

    Attributes:
        entries: names with their kinds and, where wanted, replacements of their own.

    Raises GuidanceError for an unknown kind, a name that is empty or duplicated, and a replacement that would itself be
    replaced.
    """

    entries: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        seen: set[tuple[str, bool]] = set()
        for number, entry in enumerate(self.entries, start=1):
            where = f"name {number} ({entry.name!r})"
            if entry.kind not in KINDS:
                hint = did_you_mean(entry.kind, KINDS) or f"; known: {', '.join(KINDS)}"
                raise GuidanceError(f"{where}: unknown kind {entry.kind!r}{hint}")
            if not any(character.isalnum() for character in plain(entry.name)):
                raise GuidanceError(f"{where}: expected a name with at least one letter or digit")
            key = (plain(entry.name).casefold(), entry.kind == "ticker")
            if key in seen:
                raise GuidanceError(f"{where} appears twice; keep one")
            seen.add(key)
        for phrase in dict.fromkeys([*map(_phrase, self.entries), *PHRASES]):
            found = self.anonymise(phrase)
            if found != (phrase, {}):
                raise GuidanceError(
                    f"the replacement {phrase!r} would itself be replaced, by {found.text!r}; "
                    "choose another replacement, or a longer name"
                )

    @classmethod
    def of(cls, symbol: str) -> Names:
        """Return a table of the ticker `symbol` alone, which does not hide the company's name."""
        return cls((Name(symbol, "ticker"),))

    @classmethod
    def read(cls, path: str | Path) -> Names:
        """Return the names in the file at `path`: CSV with the columns name, kind and optionally replacement, or TOML
        with [[names]].

        Raises GuidanceError, naming file and line, for what cannot be read, and as the class does.
        """
        path = Path(path)
        readers = {".csv": _read_csv, ".toml": _read_toml}
        if path.suffix.lower() not in readers:
            raise GuidanceError(f"expected a table of names ending in .csv or .toml, got {path.name!r}")
        if not path.is_file():
            raise GuidanceError(f"there is no table of names at {path}")
        try:
            return cls(tuple(readers[path.suffix.lower()](path)))
        except (UnicodeDecodeError, csv.Error, tomllib.TOMLDecodeError) as error:
            raise GuidanceError(f"{path} cannot be read as {path.suffix[1:].upper()} in UTF-8: {error}") from None
        except GuidanceError as error:
            raise GuidanceError(f"{path}: {error}") from None

    def including(self, symbol: str) -> Names:
        """Return the same names and the ticker `symbol`."""
        known = {entry.name.casefold() for entry in self.entries if entry.kind == "ticker"}
        return self if symbol.casefold() in known else Names((*self.entries, Name(symbol, "ticker")))

    def text(self, text: str) -> str:
        """Return `text` without names."""
        return self.anonymise(text).text

    def anonymise(self, text: str, *, levels: bool = False) -> Anonymised:
        """Return `text`, as `plain` gives it, without names, and with `levels` without those, and what was replaced.

        Doing it again changes nothing: the rules are applied until nothing is left to replace. The time is linear in
        the length of the text.
        """
        replaced: Counter[str] = Counter()
        for _ in range(_PASSES):
            before, text = text, plain(text)
            if levels:  # before a level such as 2045 is taken for a year
                text = hide_levels(text, replaced)
            text = self._once(text, replaced)
            if text == before:
                break
        return Anonymised(text, replaced)

    def _once(self, text: str, replaced: Counter[str]) -> str:
        for rule in LINKS:
            text = rule(text, replaced)
        folded = text.casefold()
        for search in self._searches:
            if any(spelling in folded for spelling in search.spellings):
                text, count = search.pattern.subn(search.replacement, text)
                replaced.update({search.kind: count} if count else {})
        for rule in RULES:
            text = rule(text, replaced)
        for pattern, replacement in TIDY:
            text = pattern.sub(replacement, text)
        return text.strip()

    @cached_property
    def _searches(self) -> tuple[_Search, ...]:
        """One per entry, the longest name first."""
        entries = sorted(self.entries, key=lambda entry: (-len(entry.name), entry))
        return tuple(
            _Search(
                entry.kind,
                tuple(spelling.casefold() for spelling in _spellings(entry)),
                re.compile(f"{START}(?:{_pattern_of(entry)})"),
                _phrase(entry).replace("\\", r"\\"),
            )
            for entry in entries
        )


class _Search(NamedTuple):
    kind: str
    spellings: tuple[str, ...]  # one of them must be there: looking for it takes far less time than the pattern
    pattern: re.Pattern[str]
    replacement: str


def plain(text: str) -> str:
    """Return `text` in compatible characters (NFKC) on one line, without those that are not seen.

    Typographic apostrophes and hyphens become plain ones, so that no name hides behind them.
    """
    text = unicodedata.normalize("NFKC", _seen(text)).translate(_LOOK_ALIKES)
    return " ".join(_seen(text).split())


def _seen(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if c in "\t\n\v\f\r\x85" or not _is_unseen(c))


def _is_unseen(character: str) -> bool:
    # Controls, formats (zero-width, bidi, tags), surrogates, private and unassigned; marks and fillers without a shape.
    return unicodedata.category(character)[0] == "C" or bool(_SHAPELESS.match(character))


_SHAPELESS = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_LOOK_ALIKES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "′": "'", "`": "'", "‐": "-", "‑": "-"})


def _read_csv(path: Path) -> list[Name]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        _check_columns(list(rows.fieldnames or ()), where="the header")
        names = []
        for row in rows:
            if None in row or None in row.values():
                raise GuidanceError(
                    f"line {rows.line_num}: expected {len(rows.fieldnames or ())} fields, as the header has; "
                    "quote texts with commas"
                )
            names.append(_name(row))
    return names


def _read_toml(path: Path) -> list[Name]:
    table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    rows = table.get("names", [])
    if set(table) - {"names"} or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise GuidanceError(f"expected only tables [[names]], got {', '.join(table) or 'nothing'}")
    for number, row in enumerate(rows, start=1):
        _check_columns(list(row), where=f"name {number}")
        for column, value in row.items():
            if not isinstance(value, str):
                raise GuidanceError(f"name {number}, {column!r}: expected a text, got {value!r}; put it in quotes")
    return [_name(row) for row in rows]


def _check_columns(columns: list[str], *, where: str) -> None:
    for column in columns:
        if column not in _COLUMNS:
            hint = did_you_mean(column, _COLUMNS) or f"; known: {', '.join(_COLUMNS)}"
            raise GuidanceError(f"{where}: unknown column {column!r}{hint}")
    for column in ("name", "kind"):
        if columns.count(column) != 1:
            raise GuidanceError(f"{where}: expected the column {column!r} once, got it {columns.count(column)} times")


def _name(row: Mapping[str, str]) -> Name:
    return Name(row["name"].strip(), row["kind"].strip(), row.get("replacement", "").strip())


def _phrase(entry: Name) -> str:
    return plain(entry.replacement) or KINDS[entry.kind]


def _spellings(entry: Name) -> tuple[str, ...]:
    """Return the name with its accents and without."""
    name = plain(entry.name)
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return tuple(dict.fromkeys((name, bare)))


def _pattern_of(entry: Name) -> str:
    name, *_ = spellings = _spellings(entry)
    if entry.kind == "ticker":
        return _ticker_pattern(re.escape(name.upper()), letters=len(name))
    body = "|".join(map(re.escape, spellings))
    if not (len(name) <= 4 and name.isupper()):
        body = f"(?i:{body})"
    article = "(?:(?i:the|an?) )?" if re.match(r"(?i:the|an?|another)\b", _phrase(entry)) else ""
    legal = f"(?:,? {LEGAL_FORM})*" if entry.kind in ("company", "other") else ""
    return f"{article}#?(?:{body}){END}{legal}"


def _ticker_pattern(ticker: str, *, letters: int) -> str:
    bracketed = rf"\((?:{EXCHANGE} ?: ?)?{ticker}(?:\.[A-Z]{{1,2}})?\)"
    words = [f"{EXCHANGE} ?: ?{ticker}", f"[$#](?i:{ticker})"]
    if letters >= 3:
        words.append(ticker)
    elif letters == 2:
        words.append(f"{ticker}(?= (?i:shares?|stock){END})")
    return rf"{bracketed}|(?:{'|'.join(words)})(?:\.[A-Z]{{1,2}})?{END}"
