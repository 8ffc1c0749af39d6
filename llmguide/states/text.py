"""A moment told as text by a template that a user can edit.

A template has two blocks. `task`: what is to be done, which actions there are and how to answer. It is the same at
every step and comes first, so that a model needs to read it only once (`prefix`). `state`: what is known now. Those
that come with llmguide are in `llmguide/states/templates`; a user's own is the path of a file that extends one of them
(``{% extends "flag.md" %}``) or begins anew (``{% extends "layout.md" %}``). The same moment gives the same text, to
the letter.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from llmguide.errors import ModelError, did_you_mean
from llmguide.features.bar_lines import RECENT
from llmguide.features.fact import as_number, as_percent, matcher
from llmguide.features.facts import Facts
from llmguide.features.legend import legend, meanings
from llmguide.sandbox import compiled, gather, named, packaged_texts, tidy
from llmguide.states.moment import Moment
from llmguide.trading.flag_accounts import HISTORY
from llmguide.trading.flag_rules import ACTIONS

__all__ = ["DEFAULT", "StateTemplate", "packaged", "prefix", "read_state_template", "render"]

DEFAULT = "flag"
LAYOUT = "layout.md"

_STATIC = ("actions", "shown", "history", "legend")
_CHANGING = (
    "closes", "bars", "close_only", "cash", "position", "value", "possible", "rewards", "values", "moves", "guidance",
    "factors", "lines",
)  # fmt: skip

_TOLD_BY = {"guidance": "guidance", "factors": "factors", "tables": "lines"}


@dataclass(frozen=True)
class StateTemplate:
    """A template as it was when it was read, with all that it extends.

    Attributes:
        given: what it was asked for by, such as "flag" or a path.
        texts: name and text of the template and of those that it extends, its own first.
    """

    given: str
    texts: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return self.given

    @property
    def hash(self) -> str:
        """SHA-256 of all its texts, in hexadecimal."""
        return hashlib.sha256(json.dumps([text for _, text in self.texts]).encode()).hexdigest()

    @property
    def uses_facts(self) -> bool:
        """Whether it tells indicators or facts, which a moment must then have."""
        return self.tells("lines")

    def tells(self, value: str) -> bool:
        """Whether it, or what it extends, asks for a value of the state, such as "guidance"."""
        return any(value in named(text).values for _, text in self.texts)

    def can_tell(self, what: str) -> bool:
        """Whether a state may say anything of "guidance", "factors" or "tables"."""
        return self.tells(_TOLD_BY[what])

    def refuse_untold(self, *, guidance: object = None, factors: object = None, tables: object = None) -> None:
        """Refuse what was given for the states, but which they would never tell; None is not given.

        Raises ModelError.
        """
        for name, given in (("guidance", guidance), ("factors", factors), ("tables", tables)):
            if given is not None and not self.can_tell(name):
                raise ModelError(
                    f"the state template {self} does not ask for {_TOLD_BY[name]!r}, so its states would "
                    f"ignore the {name} given; leave them out, or choose a template that uses them"
                )


def packaged() -> tuple[str, ...]:
    """Return the names of the templates that come with llmguide, without suffix."""
    return tuple(sorted(name.removesuffix(".md") for name in _packaged() if name != LAYOUT))


def read_state_template(template: str | Path | StateTemplate = DEFAULT) -> StateTemplate:
    """Read a template, by name or path, and all that it extends.

    Raises ModelError for one that does not exist, has a fault, does not rest on the layout, or asks for a value that
    states do not have.
    """
    if isinstance(template, StateTemplate):
        return template
    texts = gather(template, _packaged(), kind="state", own=packaged(), fault=ModelError)
    if LAYOUT not in texts:
        raise ModelError(
            f'the state template {template} must begin with {{% extends "flag.md" %}}, or with '
            f'{{% extends "{LAYOUT}" %}}, and write its texts into the blocks task and state'
        )
    known = (*_STATIC, *_CHANGING)
    for name, text in texts.items():
        for value in sorted(named(text).values - {*known, "part"}):
            raise ModelError(
                f"the state template {name} asks for {value!r}, which states do not have"
                f"{did_you_mean(value, known)}; known: {', '.join(known)}"
            )
    return StateTemplate(str(template), tuple(texts.items()))


def prefix(template: str | Path | StateTemplate = DEFAULT, *, shown: int = RECENT) -> str:
    """Return the text with which every state of a template begins: its task, and the blank line behind it.

    `shown` is the number of bars that the moments tell. Raises ModelError for a fault in the template.
    """
    return _prefix(read_state_template(template), shown)


@lru_cache(maxsize=16)
def _prefix(template: StateTemplate, shown: int) -> str:
    static = {"actions": ACTIONS, "shown": shown, "history": HISTORY, "legend": _legend}
    hint = f"; the block task is the same at every step, so it has only {', '.join(_STATIC)}"
    return _fill(template, "task", static, hint) + "\n\n"


def render(template: str | Path | StateTemplate, moment: Moment, *, shown: int | None = None) -> str:
    """Return a moment as text: it begins with `prefix` and then tells the state.

    Args:
        template: name, path, or one that was read already, which is faster.
        moment: what is known at the decision.
        shown: the number of bars that the task speaks of; those that the moment tells, where None.

    Raises ModelError for a fault in the template, for a fact that does not exist, and for facts where the moment has
    none.
    """
    read = read_state_template(template)
    market, account = moment.market, moment.account
    bars = len(market.bars) if shown is None else shown
    values = {
        "actions": ACTIONS,
        "shown": bars,
        "history": HISTORY,
        "legend": _legend,
        "closes": [bar.close for bar in market.bars],
        "bars": market.bars,
        "close_only": market.close_only,
        "cash": as_percent(account.cash, sign=False),
        "position": as_percent(account.position, sign=False),
        "value": as_number(100.0 * account.value, sign=False),
        "possible": [name for name, legal in zip(ACTIONS, account.legal, strict=True) if legal],
        "rewards": [as_number(reward, decimals=3) for reward in account.rewards],
        "values": [as_number(100.0 * value, sign=False) for value in account.values],
        "moves": [ACTIONS[action + 1] for action in account.actions],
        "guidance": market.advice or False,
        "factors": market.factors,
        "lines": partial(_lines, market.facts),
    }
    return _prefix(read, bars) + _fill(read, "state", values)


def _fill(template: StateTemplate, part: str, values: dict[str, Any], hint: str = "") -> str:
    import jinja2

    try:
        text = tidy(compiled(template.texts).render(**values, part=part))
    except ModelError:
        raise
    except Exception as error:  # a template is a program of its author's: {{ 1 / 0 }} is a ZeroDivisionError
        kind = "" if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: "
        why = hint if isinstance(error, jinja2.UndefinedError) else ""
        what = " ".join(f"{kind}{error}".split())
        raise ModelError(f"the state template {template} cannot be filled: {what}{why}") from error
    if not text:
        raise ModelError(f"the state template {template} renders to no text; write it into the block {part}")
    return text


def _packaged() -> dict[str, str]:
    return packaged_texts("llmguide.states.templates")


def _legend(*patterns: str) -> str:
    _check_facts(patterns)
    return legend(*patterns)


def _lines(facts: Facts | None, *patterns: str) -> str:
    _check_facts(patterns)
    if facts is None:
        raise ModelError("the template tells facts, but the moment has none; read it with facts=True")
    return facts.lines(*patterns)


def _check_facts(patterns: tuple[str, ...]) -> None:
    known = _fact_names()
    for pattern in patterns:
        chosen = matcher([pattern])
        if not any(chosen.fullmatch(name) for name in known):
            raise ModelError(
                f"there is no fact {pattern!r}{did_you_mean(pattern, known)}; llmguide.features.legend lists all"
            )


@lru_cache(maxsize=1)
def _fact_names() -> tuple[str, ...]:
    return tuple(name for meaning in meanings("relative") for name in meaning.names)
