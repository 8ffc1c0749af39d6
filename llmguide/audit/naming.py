"""Dotted names of all lines that a strategy has: its own, those of its indicators, of theirs, and of its feeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import backtrader as bt

__all__ = ["feed_name", "named_lines"]


def named_lines(strategy: Any) -> dict[str, Any]:
    """Return the buffers of a strategy's lines by name: ``signal``, ``sma``, ``macd.signal``, ``bands.mid.sma``.

    An indicator has the name of the attribute that holds it, or that of its class, with a number where there are more.
    A single line has no name of its own. Lines of feeds come first: ``data0.close``.
    """
    lines: dict[str, Any] = {}
    for place, data in enumerate(strategy.datas):
        for name, line in _lines_of(data):
            if name != "datetime":
                lines[f"{feed_name(data, place)}.{name}"] = line
    for name, line in _lines_of(strategy):
        if name != "datetime":
            lines[name] = line
    seen: set[int] = set()
    for name, line in _inner_lines(strategy, "", seen):
        lines.setdefault(name, line)
    return lines


def feed_name(data: Any, place: int) -> str:
    """Return the name that a feed was given, or ``data0``."""
    return str(getattr(data, "_name", "") or f"data{place}")


def _inner_lines(owner: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    held = _held(owner)
    counts: Counter[str] = Counter()
    for indicator in owner._lineiterators[bt.LineIterator.IndType]:
        if id(indicator) in seen:
            continue
        seen.add(id(indicator))
        name = held.get(id(indicator), type(indicator).__name__.strip("_"))
        counts[name] += 1
        path = f"{prefix}{name}" + (f"#{counts[name]}" if counts[name] > 1 else "")
        lines = list(_lines_of(indicator))
        for line_name, line in lines:
            yield path if len(lines) == 1 else f"{path}.{line_name}", line
        if hasattr(indicator, "_lineiterators"):
            yield from _inner_lines(indicator, f"{path}.", seen)


def _held(owner: Any) -> dict[int, str]:
    """Return the names of the attributes of an object by the identity of what they hold."""
    names: dict[int, str] = {}
    for name, value in vars(owner).items():
        if name.startswith("_") and not name.startswith("__") and isinstance(value, list | dict):
            continue  # Backtrader's own lists
        names.setdefault(id(value), name)
        if isinstance(value, list | tuple):
            names |= {id(item): f"{name}[{place}]" for place, item in enumerate(value)}
        elif isinstance(value, Mapping):
            names |= {id(item): f"{name}[{_key(key)}]" for key, item in value.items()}
    return names


def _key(key: Any) -> str:
    return feed_name(key, 0) if isinstance(key, bt.feed.AbstractDataBase) else str(key)


def _lines_of(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield a thing's lines; what compares or adds lines is a single line itself."""
    if not isinstance(thing, bt.LineSeries):
        yield "", thing
        return
    for place in range(thing.lines.size()):
        yield thing.lines._getlinealias(place), thing.lines[place]
