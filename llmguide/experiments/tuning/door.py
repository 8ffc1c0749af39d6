"""`llmguide.tune`: bars in, a tuned prompt out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from llmguide.errors import DataError
from llmguide.experiments.tuning.account import Account
from llmguide.experiments.tuning.run import questions, tune_study, tuning_asker
from llmguide.experiments.tuning.tuned import Tuned
from llmguide.guidance.news.anonymise import Names
from llmguide.guidance.strategist import Brief, Subject
from llmguide.guidance.study_bar import StudyBar
from llmguide.guidance.tuning.exemplars import read_exemplars
from llmguide.guidance.tuning.study import TARGET, TuningStudy
from llmguide.guidance.tuning.training import TrainingBars, split_subject
from llmguide.guidance.tuning.windows import YEAR
from llmguide.llm.access import Access
from llmguide.sources.tables import Tables

__all__ = ["tune"]


def tune(
    train: pd.DataFrame,
    access: Access,
    *,
    test: pd.DataFrame | None = None,
    symbol: str = "instrument",
    prompt: str | Path = "P0",
    tables: Tables | None = None,
    names: Names | None = None,
    brief: Brief | None = None,
    exemplars: Path | str | None = None,
    repeats: int = 5,
    rounds: int = 3,
    window: int = YEAR,
    target: float = TARGET,
    seed: int = 0,
    cash: float = 100_000.0,
    cost: float = 0.001,
    progress: bool = True,
) -> Tuned:
    """Let a model write its own prompt on training bars, and try it once on the bars after them.

    ``tune(train, Access(model="gpt-4o-mini"), test=test).write("runs/tune")``; as `llmguide tune` (docs/tuning.md).

    Args:
        train: training bars of one instrument, as `read_bars` returns them.
        access: which model, where, and for how much. Every answer is kept: the same call goes on where it was stopped.
        test: the bars after them; None leaves the test out.
        symbol: of the instrument; hidden from the model.
        prompt: P0 to P4, or the path of a template that extends one of them.
        tables, names: external tables, and what the model must not see.
        brief: schedule, objective and risk profile.
        exemplars: a file of decisions that people hold to be right (`llmguide.guidance.tuning.exemplars`).
        repeats, rounds, window, target, seed: years drawn, prompts tried in each, bars of a year, V*, of the draws.
        cash, cost: of the account that follows the guidance.
        progress: show a bar on a terminal or in a notebook.

    Raises DataError for a test that does not begin after the training, GuidanceError for what cannot be tuned, and what
    `run_study` raises.
    """
    if test is not None and not train.index[-1] < test.index[0]:
        raise DataError(
            f"expected a test that begins after the training has ended, got training up to {train.index[-1]} and a "
            f"test from {test.index[0]}"
        )
    bars = train if test is None else pd.concat([train, test])
    subject = Subject(symbol, bars, tables or Tables(), names)
    if test is None:
        training, tests = TrainingBars(subject), []
    else:
        training, held_out = split_subject(subject, test.index[0].normalize())
        tests = [held_out]
    study = TuningStudy(
        (training,),
        prompt,
        brief or Brief(),
        repeats=repeats,
        rounds=rounds,
        length=window,
        target=target,
        experts=() if exemplars is None else read_exemplars(exemplars),
        seed=seed,
    )
    asker, total = tuning_asker(study, access), questions(study, tests)
    with StudyBar(total, lambda: asker.spending, shown=progress, unit="questions") as bar:
        return tune_study(
            study,
            asker,
            tests=tests,
            account=Account(cash, cost),
            on_answer=lambda one: bar.advance(),
            on_stopping=bar.stopping,
        )
