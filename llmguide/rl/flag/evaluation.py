"""How trained policies do on bars: a walk takes the likeliest possible action at every bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.errors import DataError
from llmguide.rl.flag.checkpoint import check_told
from llmguide.rl.flag.choosing import Chosen
from llmguide.rl.flag.lesson import FlagLesson
from llmguide.rl.flag.together import SideBySide, Told
from llmguide.rl.flag.trained import TrainedPolicy
from llmguide.sources.tables import Tables
from llmguide.states.factors import FactorsSource
from llmguide.states.moment import GuidanceAt
from llmguide.states.text import StateTemplate

__all__ = ["walk_flag", "walk_flags"]


def walk_flag(
    trained: TrainedPolicy,
    bars: pd.DataFrame,
    *,
    start: int | None = None,
    template: str | Path | StateTemplate | None = None,
    guidance: GuidanceAt | None = None,
    factors: FactorsSource | None = None,
    tables: Tables | None = None,
) -> pd.DataFrame:
    """Let a trained policy trade bars, from `start` to the last one, and return what it did.

    The action for bar t is chosen from bars up to t-1 and filled at the close of t, as in training; of equally likely
    actions the first of sell, hold, buy is taken.

    Args:
        trained: the policy.
        bars: raw bars.
        start: the bar of the first decision; None is the first with enough bars before it for a whole state.
        template: a template other than that of the training.
        guidance: guidance, where the states mention it, as in training.
        factors: news factors, where the states mention them.
        tables: external tables, where the states mention facts.

    Returns:
        A frame with one row per decision, indexed like the bars: ``action`` (-1 sell, 0 hold, 1 buy), its probabilities
        ``p_sell``, ``p_hold`` and ``p_buy`` (0 where not possible), ``expected`` (the policy's value before the bar),
        and after the bar ``shares``, ``cash``, ``value`` and ``reward``.

    Raises DataError for too few bars, ModelError where the states would show other data than in training.
    """
    (walk,) = walk_flags(
        [trained], bars, start=start, template=template, guidance=guidance, factors=factors, tables=tables
    )
    return walk


def walk_flags(
    trained: Sequence[TrainedPolicy],
    bars: pd.DataFrame,
    *,
    start: int | Sequence[int] | None = None,
    template: str | Path | StateTemplate | None = None,
    guidance: GuidanceAt | None = None,
    factors: FactorsSource | None = None,
    tables: Tables | None = None,
    progress: Callable[[int, int], None] = lambda done, decisions: None,
) -> list[pd.DataFrame]:
    """Let several policies trade the same bars side by side, each with an account of its own, as `walk_flag` does with
    one.

    Policies over one language model share much of the work (see `llmguide.rl.flag.together`). Probabilities differ from
    those of single walks by rounding, and so do actions where two are equally likely but for rounding.

    Args:
        trained: the policies; the same one several times, to begin at several bars.
        bars: as for `walk_flag`.
        start: the bar of the first decision, or one for each policy.
        template: as for `walk_flag`.
        guidance: as for `walk_flag`.
        factors: as for `walk_flag`.
        tables: as for `walk_flag`.
        progress: called after each bar with the number of decisions made, and of all decisions.

    Returns:
        A frame for each policy, in their order, as `walk_flag` returns it.

    Raises ModelError and DataError as `walk_flag` does.
    """
    starts = [start] * len(trained) if start is None or isinstance(start, int) else list(start)
    if len(starts) != len(trained):
        raise DataError(f"expected a start, or one for each of {len(trained)} policies, got {len(starts)}")
    lessons: dict[Any, FlagLesson] = {}
    walks = []
    for one, first in zip(trained, starts, strict=True):
        check_told(one.notes, guidance=guidance, factors=factors, tables=tables)
        told = one.template if template is None else template
        if (one.config, told) not in lessons:
            lessons[one.config, told] = FlagLesson.prepare(
                bars, config=one.config, template=told, guidance=guidance, factors=factors, tables=tables
            )
        walks.append(_Walk(lessons[one.config, told], one.config.shown if first is None else first))
    together = SideBySide([one.policy for one in trained], [walk.lesson.prefix for walk in walks])
    done, decisions = 0, sum(len(bars) - walk.start for walk in walks)
    for bar in range(min((walk.start for walk in walks), default=len(bars)), len(bars)):
        asked = {at: walk.ask() for at, walk in enumerate(walks) if walk.start <= bar}
        for at, chosen in together.choose(asked).items():
            walks[at].take(chosen)
        done += len(asked)
        progress(done, decisions)
    return [walk.table() for walk in walks]


class _Walk:
    """One account on its way from a bar to the last one."""

    def __init__(self, lesson: FlagLesson, start: int) -> None:
        if not lesson.config.shown <= start < len(lesson.prices):
            raise DataError(f"start must lie between {lesson.config.shown} and {len(lesson.prices) - 1}, got {start}")
        self.lesson, self.start = lesson, start
        self._accounts = lesson.accounts(1, whole=True)
        self._accounts.reset(0, start)
        self._rows: list[dict[str, Any]] = []

    def ask(self) -> Told:
        """Return what the next decision is about."""
        view = self._accounts.view(0)
        return Told(self.lesson.texts([view])[0], view.legal)

    def take(self, chosen: Chosen) -> None:
        """Carry a decision out and write down what became of it."""
        rewards, _ = self._accounts.step([chosen.action])
        view, ledgers = self._accounts.view(0), self._accounts.ledgers
        self._rows.append(
            {
                "action": view.actions[-1],
                **dict(zip(("p_sell", "p_hold", "p_buy"), chosen.probabilities, strict=True)),
                "expected": chosen.expected,
                "shares": int(ledgers.shares[0]),
                "cash": float(ledgers.cash[0]),
                "value": view.value * self.lesson.config.rules.cash,
                "reward": float(rewards[0]),
            }
        )

    def table(self) -> pd.DataFrame:
        """Return a row per decision."""
        return pd.DataFrame(self._rows, index=self.lesson.bars.index[self.start :])
