"""Counts in words: "1 seed", "3 seeds"."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural where there is not exactly one; of nouns whose plural ends in s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
