"""One thing that was known, and how it reads in a prompt: rounded, with sign and unit, without a name or a date."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = [
    "Fact",
    "Meaning",
    "as_amount",
    "as_number",
    "as_percent",
    "as_points",
    "as_price",
    "is_known",
    "matcher",
]


class Fact(NamedTuple):
    """A value and its name; fractions are fractions in `value` and percent in `text`."""

    name: str  # dotted, such as technical.rsi_14
    value: float | str
    text: str  # the value for a prompt

    @property
    def group(self) -> str:
        """The part of the name before the dot."""
        return self.name.partition(".")[0]

    @property
    def line(self) -> str:
        """The fact as a line of a prompt."""
        return f"{self.name}: {self.text}"


class Meaning(NamedTuple):
    """What facts mean: a line of the legend."""

    shown: str  # their names, with a * for what differs
    text: str
    names: tuple[str, ...]  # of all of them


def matcher(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of whole names for `fullmatch`; a * stands for any text, and no pattern matches no name."""
    found = [".*".join(re.escape(part) for part in pattern.split("*")) for pattern in patterns]
    return re.compile("|".join(found) if found else r"\b\B")


def is_known(value: float | None) -> bool:
    """Whether a value is there: neither None, NaN nor infinite."""
    return value is not None and math.isfinite(value)


def as_price(value: float, *, sign: bool = False) -> str:
    """Two decimals, and four significant digits where those are more: 187.25, 0.08315."""
    decimals = 2 if abs(value) >= 10 or value == 0 else min(8, 3 - math.floor(math.log10(abs(value))))
    return _rounded(value, decimals, sign=sign)


def as_number(value: float, *, decimals: int = 2, sign: bool = True) -> str:
    """So many decimals."""
    return _rounded(value, decimals, sign=sign)


def as_percent(fraction: float, *, decimals: int = 1, sign: bool = True) -> str:
    """A fraction in percent."""
    return f"{_rounded(100 * fraction, decimals, sign=sign)} %"


def as_points(value: float, *, decimals: int = 2) -> str:
    """A difference of two percentages, given in percent."""
    return f"{_rounded(value, decimals, sign=True)} percentage points"


def as_amount(value: float) -> str:
    """Three significant digits and a unit: 12.3 million."""
    for unit, size in (("trillion", 1e12), ("billion", 1e9), ("million", 1e6), ("thousand", 1e3)):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def _rounded(value: float, decimals: int, *, sign: bool) -> str:
    """Return the number as text; what rounds to zero has no sign."""
    text = f"{value:{'+' if sign else ''}.{decimals}f}"
    return text if float(text) else text.lstrip("+-")
