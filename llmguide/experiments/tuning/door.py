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
    """Let a language model write its own prompt on training bars, and test it once on the bars after them.

    ``tune(train, Access(model="gpt-4o-mini"), test=test).write("runs/tune")``; the same as ``llmguide tune``
    (docs/tuning.md).

    Args:
        train: training bars of one instrument, as `llmguide.read_bars` returns them.
        access: which model, where, and for how much (see `llmguide.llm.access.Access`). Every answer is kept, so that
            the same call resumes where it was stopped.
        test: the bars after them; None skips the test.
        symbol: the instrument's symbol, which is hidden from the model.
        prompt: P0 to P4, or the path of a template that extends one of them.
        tables: external tables; None for bars alone.
        names: what to hide from the model; None hides the symbol alone.
        brief: schedule, objective and risk profile.
        exemplars: a file of decisions that experts hold to be right (`llmguide.guidance.tuning.exemplars`).
        repeats: number of training windows drawn.
        rounds: most prompts tried in each window.
        window: length of a window, in bars.
        target: Sharpe ratio that a prompt has to reach in its window, or the baseline's where that is higher (V*).
        seed: seed of the draw of windows.
        cash: initial capital of the account that follows the guidance.
        cost: fraction of each traded value.
        progress: show a progress bar on a terminal or in a notebook.

    Returns:
        A `llmguide.experiments.tuning.Tuned`: every round, the template and its test.

    Raises:
        DataError: a test that does not begin after the training, or unusable bars.
        GuidanceError: a prompt or bars that cannot be tuned on.
        LanguageModelError: an endpoint that cannot be reached or used.
        BudgetError: a budget that would be exceeded.

    Source: arXiv 2508.02366v3, section II-B3.
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
