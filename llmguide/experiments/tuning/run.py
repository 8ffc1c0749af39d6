"""Tune a prompt on training bars, then try it once on the bars that come after.

The walk on training bars gets `TrainingBars` and nothing else; the test bars come into play here, when it has ended and
the template is chosen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from llmguide.experiments.tuning.account import Account
from llmguide.experiments.tuning.pedigree import header, pedigree
from llmguide.experiments.tuning.proof import Proof, check_tests, prove
from llmguide.experiments.tuning.tuned import Tuned
from llmguide.guidance.language_model import study_name
from llmguide.guidance.planning import walked
from llmguide.guidance.tuning.draft import check_name
from llmguide.guidance.tuning.study import TuningStudy, run_tuning
from llmguide.guidance.tuning.training import HeldOut
from llmguide.llm.access import Access
from llmguide.llm.asking import Asker, Plan
from llmguide.llm.probe import Capabilities

__all__ = ["TEMPLATE", "plan_tuning", "questions", "tune_study", "tuning_asker", "tuning_name"]

TEMPLATE = "tuned"
"""What the template is called: tuned.md."""


def tune_study(
    study: TuningStudy,
    asker: Asker,
    *,
    tests: Sequence[HeldOut] = (),
    account: Account | None = None,
    on_ready: Callable[[Capabilities], None] = lambda capabilities: None,
    on_answer: Callable[[object], None] = lambda answer: None,
    on_stopping: Callable[[], None] = lambda: None,
    certain: Callable[[], bool] = lambda: True,
) -> Tuned:
    """Carry out a tuning study, choose a template, and test it on the test bars where there are some.

    Args:
        study: what is tuned, on training bars only.
        asker: asks the model; every answer is kept, so that the same call resumes where it was stopped.
        tests: the bars after the training of every instrument, or of none. Nothing is chosen by them.
        account: how guidance is followed; None is the default account.
        on_ready: called with what the endpoint can do, as in `llmguide.guidance.study.run_study`.
        on_answer: called with every answer, whatever was asked.
        on_stopping: called when the study is interrupted, before it waits for open questions.
        certain: see `llmguide.guidance.tuning.training.run_tuning`.

    Returns:
        The `Tuned` prompt with every round.

    Raises DataError for test bars that do not fit the training, GuidanceError for a base template named tuned.md, and
    LanguageModelError or BudgetError where the model cannot be asked.
    """
    account = account or Account()
    check_tests(study, tests)
    check_name(study.template, TEMPLATE)
    run = run_tuning(
        study,
        asker,
        account.worth,
        on_ready=on_ready,
        on_answer=on_answer,
        on_stopping=on_stopping,
        certain=certain,
    )
    chosen = run.chosen
    if chosen is None or chosen.trial is None or chosen.trial.draft is None:
        return Tuned(run, account, asker.model, None, None, None)
    top = header(run, chosen, model=asker.model)
    template = chosen.trial.draft.template(study.template, name=TEMPLATE, header=top)
    proof: Proof | None = None
    if tests:
        proof = prove(study, template, tests, asker, account, on_answer=on_answer, on_stopping=on_stopping)
    return Tuned(run, account, asker.model, template, pedigree(run, chosen, template, model=asker.model), proof)


def plan_tuning(
    study: TuningStudy, access: Access, *, tests: Sequence[HeldOut] = (), account: Account | None = None
) -> Plan:
    """Return the calls, tokens and dollars that tuning still needs at most, without sending anything.

    The study is carried out with the answers in the cache; after the first answer that is missing, every repeat is
    counted with all its rounds.

    Args:
        study: what is tuned, on training bars only.
        access: which model, where, and for how much.
        tests: the bars after the training of every instrument, or none.
        account: how guidance is followed; None is the default account.
    """
    return walked(
        access, lambda asker: tune_study(study, asker, tests=tests, account=account, certain=lambda: not asker.needed)
    )


def questions(study: TuningStudy, tests: Sequence[HeldOut] = ()) -> int:
    """Return how many questions it takes at most, repeated ones and the Analyst's not counted."""
    from llmguide.guidance.study import Study

    if not tests:
        return study.most_questions
    asked = Study(tuple(test.subject for test in tests), (study.template,), study.brief)
    return study.most_questions + 2 * asked.advice_count


def tuning_asker(study: TuningStudy, access: Access) -> Asker:
    """Return whom a study is asked; a model in a file is loaded once for all of it."""
    client = None if access.replay else access.client(stays=True)
    return access.asker(study=tuning_name(study, access), client=client)


def tuning_name(study: TuningStudy, access: Access) -> str:
    """Return a name that is the same in every run of it, by which budget and ledger count."""
    own: Sequence[Any] = [
        study.repeats,
        study.rounds,
        study.length,
        study.target,
        study.seed,
        [(one.symbol, str(one.day), one.direction, one.rationale) for one in study.experts],
        [f"{one.bars.index[0]} {one.bars.index[-1]}" for one in study.training],
    ]
    symbols = [one.symbol for one in study.training]
    name = study_name(access, symbols, [study.template], study.brief)
    return f"tune-{name}-{hashlib.sha256(json.dumps(own).encode()).hexdigest()[:8]}"
