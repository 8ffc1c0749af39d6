"""The levers: changes of an agent's settings, by name (docs/levers.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmguide.errors import LlmguideError, did_you_mean
from llmguide.rl.config import DQNConfig

__all__ = ["LEVERS", "PUBLISHED", "Lever", "find_levers"]


@dataclass(frozen=True)
class Lever:
    """A change of some of an agent's settings (docs/levers.md).

    Attributes:
        name: its name, as asked for.
        changes: the settings that it changes, with their new values.
        words: what it does.
    """

    name: str
    changes: dict[str, Any]
    words: str

    def apply(self, config: DQNConfig) -> DQNConfig:
        """Return the settings `config` with the lever's changes."""
        return replace(config, **self.changes)


PUBLISHED = Lever("published", {}, "the published settings")

LEVERS = {
    lever.name: lever
    for lever in (
        Lever("jittered", {"tau": "jittered"}, "in training the strength of each month is drawn anew in every episode"),
        Lever("constant", {"tau": "constant"}, "only the direction of the guidance is observed"),
        Lever("raw-bars", {"smoothing": 0}, "bars are observed and traded as they are"),
        Lever("raw-prices", {"raw_prices": True}, "training trades at raw closes, and observes smoothed bars"),
        Lever("agreement", {"agreement": 0.01}, "a position on the side of the guidance has more reward"),
        Lever("discount", {"discount": 0.9}, "the next bar's value counts more"),
        Lever("flat", {"actions": 3}, "the agent can hold nothing"),
    )
}
"""Every lever by name; one that changes a number takes another one after ``=``, as in ``discount=0.7``."""


def find_levers(names: Sequence[str]) -> tuple[Lever, ...]:
    """Return the levers of given names.

    Args:
        names: each is a lever's name, perhaps with a number (``discount=0.7``), or several of them joined by ``+``.

    Raises LlmguideError for unknown or repeated names, for an impossible number, and for two that are joined and change
    the same setting.
    """
    found = tuple(_joined([_find(part.strip()) for part in name.split("+")]) for name in names)
    if not found or len({lever.name for lever in found}) < len(found):
        raise LlmguideError(f"expected one or more different levers, got {list(names)}")
    return found


def _find(name: str) -> Lever:
    kind, given, text = name.partition("=")
    if kind not in LEVERS:
        raise LlmguideError(f"unknown lever {kind!r}, choose from {', '.join(LEVERS)}{did_you_mean(kind, LEVERS)}")
    lever = LEVERS[kind]
    ((setting, value),) = lever.changes.items()
    if not isinstance(value, float):
        if given:
            raise LlmguideError(f"the lever {kind!r} takes no number, got {name!r}")
        return lever
    try:
        value = float(text) if given else value
    except ValueError:
        raise LlmguideError(f"the lever {kind!r} takes a number, as in {kind}={value:g}, got {name!r}") from None
    return Lever(f"{kind}={value:g}", {setting: value}, lever.words)


def _joined(levers: Sequence[Lever]) -> Lever:
    changes: dict[str, Any] = {}
    for lever in levers:
        if changes.keys() & lever.changes:
            raise LlmguideError(
                f"two of the levers {'+'.join(lever.name for lever in levers)} change the same setting; choose one"
            )
        changes |= lever.changes
    return Lever("+".join(lever.name for lever in levers), changes, "; ".join(lever.words for lever in levers))
