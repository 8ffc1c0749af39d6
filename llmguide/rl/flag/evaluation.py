"""How a trained policy does on bars: one walk, its likeliest possible action at every bar."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from llmguide.errors import DataError
from llmguide.rl.flag.checkpoint import check_told
from llmguide.rl.flag.choosing import choose
from llmguide.rl.flag.lesson import FlagLesson
from llmguide.rl.flag.trained import TrainedPolicy
from llmguide.sources.tables import Tables
from llmguide.states.factors import FactorsSource
from llmguide.states.moment import GuidanceAt
from llmguide.states.text import StateTemplate

__all__ = ["walk_flag"]


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
    """Let a policy trade bars from `start` to the last one.

    The action for bar t is decided from bars up to t-1 and filled at the close of t, as in training; of equally likely
    actions the first of sell, hold, buy is taken.

    Args:
        trained: see there.
        bars: raw bars.
        start: the bar of the first decision; the first with a whole state before it where None.
        template: another one than it was trained with.
        guidance, factors, tables: what the states tell of, as in training.

    Returns:
        A frame with one row per decision, indexed like the bars: ``action`` (-1 sell, 0 hold, 1 buy), its
        probabilities ``p_sell``, ``p_hold`` and ``p_buy`` (0 where not possible), ``expected`` (the policy's value
        before the bar), and after the bar ``shares``, ``cash``, ``value`` and ``reward``.

    Raises DataError for too few bars, ModelError where the states would tell of something else than in training.
    """
    check_told(trained.notes, guidance=guidance, factors=factors, tables=tables)
    lesson = FlagLesson.prepare(
        bars,
        config=trained.config,
        template=trained.template if template is None else template,
        guidance=guidance,
        factors=factors,
        tables=tables,
    )
    first = trained.config.shown if start is None else start
    if not trained.config.shown <= first < len(bars):
        raise DataError(f"start must lie between {trained.config.shown} and {len(bars) - 1}, got {first}")
    trained.policy.encode([lesson.prefix])  # as at the beginning of a training
    accounts = lesson.accounts(1, whole=True)
    accounts.reset(0, first)
    rows = []
    while not accounts.over()[0]:
        before = accounts.view(0)
        chosen = choose(trained.policy, lesson.texts([before])[0], before.legal)
        rewards, _ = accounts.step([chosen.action])
        view = accounts.view(0)
        rows.append(
            {
                "action": view.actions[-1],
                **dict(zip(("p_sell", "p_hold", "p_buy"), chosen.probabilities, strict=True)),
                "expected": chosen.expected,
                "shares": int(accounts.ledgers.shares[0]),
                "cash": float(accounts.ledgers.cash[0]),
                "value": view.value * trained.config.rules.cash,
                "reward": float(rewards[0]),
            }
        )
    return pd.DataFrame(rows, index=bars.index[first:])
