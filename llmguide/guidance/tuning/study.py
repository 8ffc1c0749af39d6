"""What is to be tuned, and the walk through it: Writer-Trainer, then Writer-Judge, on one year after another.

One repeat: a random year of each instrument. The untuned prompt's guidance is followed in it: V_baseline. The year's
decisions, labelled in hindsight, and people's exemplars give the lessons, and the writer's first instructions. Their
guidance is followed: V_1. While the regret, the sum of V* - V_t with V* = max(V_baseline, 0.8) (arXiv 2508.02366v3,
eq. 1), is above 0 and t < T, the judge criticises and the writer writes again; it remembers the best and the worst
instructions, and no others.

After all repeats the best instructions of each, and the untuned prompt, are followed in every year that was drawn; the
highest mean decides. So a prompt is not chosen by the year that it was written for alone.

What an account earned is said by a function that is given: it gets guidance and a year of training bars.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel

from llmguide.errors import GuidanceError
from llmguide.guidance.advice import Advice
from llmguide.guidance.inquiries.inquiry import ask_side_by_side
from llmguide.guidance.schedule import close_prices
from llmguide.guidance.strategist import Brief
from llmguide.guidance.study import Study, run_study
from llmguide.guidance.tuning.draft import Draft, check_base
from llmguide.guidance.tuning.exemplars import Exemplar, ExpertExemplar, FoundExemplars, hindsight, place_experts
from llmguide.guidance.tuning.lessons import Lessons, Reason, learn
from llmguide.guidance.tuning.replies import JudgeReply, WriterReply
from llmguide.guidance.tuning.training import TrainingBars, check_training
from llmguide.guidance.tuning.windows import YEAR, Window, draw_windows
from llmguide.guidance.tuning.writer_judge import Tried, decisions_of, judge_question, writer_question
from llmguide.guidance.tuning.writer_trainer import draw, explain
from llmguide.llm.asking import Asker
from llmguide.llm.ledger import Purpose
from llmguide.llm.probe import Capabilities
from llmguide.llm.protocol import Message
from llmguide.llm.templates import PromptTemplate

__all__ = ["TARGET", "Final", "Repeat", "Trial", "TuningRun", "TuningStudy", "Worth", "realised_in", "run_tuning"]

TARGET = 0.8
"""The Sharpe ratio that a prompt should reach at least (arXiv 2508.02366v3, section II-B3)."""

T = TypeVar("T", bound=BaseModel)
Q = TypeVar("Q")
A = TypeVar("A")


class Worth(Protocol):
    """Says what following guidance in some windows earned: the mean of the windows' annual Sharpe ratios."""

    def __call__(self, advice: Sequence[Advice], windows: Sequence[Window]) -> float: ...


@dataclass(frozen=True, eq=False)
class TuningStudy:
    """What is to be tuned, on what, and how long.

    Attributes:
        training: the instruments' training bars; one template is written for all of them.
        base: the prompt to tune: P0 to P4, or a template that extends one of them.
        brief: schedule, objective and risk profile, as the guidance is asked for.
        repeats: years drawn of each instrument, which do not overlap; each is walked through by itself.
        rounds: T, the most instructions that are tried in a repeat.
        length: bars of a year.
        target: V* is at least this.
        experts: people's exemplars, part of the lessons of every repeat.
        seed: of the years and of the groups of rationales.

    Raises DataError for anything but training bars, GuidanceError for what cannot be asked.
    """

    training: tuple[TrainingBars, ...]
    base: str | Path | PromptTemplate = "P0"
    brief: Brief = field(default_factory=Brief)
    repeats: int = 5
    rounds: int = 3
    length: int = YEAR
    target: float = TARGET
    experts: tuple[ExpertExemplar, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Read the template now, and draw the years: what cannot be tuned is refused before anything is asked."""
        for training in self.training:
            check_training(training)
        if self.rounds < 1:
            raise GuidanceError(f"expected at least 1 round, got {self.rounds}")
        if self.brief.suppress is not None or self.brief.debias or self.brief.samples:
            raise GuidanceError(
                "a prompt is tuned on the model's own directions; leave out suppress, debias and samples, and "
                "use them with the tuned template"
            )
        object.__setattr__(self, "base", check_base(self.base))
        Study(tuple(training.subject for training in self.training), (self.base,), self.brief)
        _ = self.windows

    @property
    def template(self) -> PromptTemplate:
        """The base as it was read."""
        return check_base(self.base)

    @cached_property
    def windows(self) -> tuple[tuple[Window, ...], ...]:
        """For each repeat one window of each instrument."""
        drawn = [
            draw_windows(one, count=self.repeats, length=self.length, first=self.brief.first, seed=self.seed)
            for one in self.training
        ]
        return tuple(zip(*drawn, strict=True))

    @cached_property
    def placed(self) -> FoundExemplars:
        """People's exemplars that are of these instruments and training bars."""
        return place_experts(self.experts, self.training, self.brief)

    def exemplars(self, repeat: int) -> tuple[Exemplar, ...]:
        """Return the exemplars of a repeat: those of its years by hindsight, and people's."""
        found = [exemplar for window in self.windows[repeat] for exemplar in hindsight(window, self.brief)]
        return (*found, *self.placed.exemplars)

    def months(self, windows: Sequence[Window]) -> int:
        """Return how many months of guidance some windows have."""
        return Study(tuple(window.subject for window in windows), (self.template,), self.brief).advice_count

    @property
    def most_questions(self) -> int:
        """How many questions it takes at most; repeated ones and the Analyst's are not counted."""
        count = 0
        for repeat, windows in enumerate(self.windows):
            months = self.months(windows)
            # The base, every round, and in the end the best of each other repeat.
            count += len(self.exemplars(repeat)) + months * (1 + self.rounds + self.repeats - 1)
            count += self.rounds + self.rounds - 1
        return count


@dataclass(frozen=True, eq=False)
class Trial:
    """One round: what the writer wrote, and what came of it.

    Attributes:
        repeat, round: counted from 1.
        draft, template: None where the writer gave nothing usable; `failure` says why.
        sharpe: V_t; NaN where there is no draft.
        regret: the sum of V* - V_t up to this round.
        why: the writer's reasons.
        parents: hashes of the drafts that the writer was shown: the best and the worst.
        judged: the judge's reply; None where it was not asked, or gave nothing usable (`judge_failure`).
        advice: the guidance of every month.
    """

    repeat: int
    round: int
    draft: Draft | None
    template: PromptTemplate | None
    sharpe: float
    regret: float
    why: str = ""
    parents: tuple[str, ...] = ()
    failure: str = ""
    judged: JudgeReply | None = None
    judge_failure: str = ""
    advice: tuple[Advice, ...] = ()


@dataclass(frozen=True, eq=False)
class Repeat:
    """One walk through a year of each instrument. `target` is V*."""

    number: int
    windows: tuple[Window, ...]
    lessons: Lessons
    baseline: float
    target: float
    trials: tuple[Trial, ...]
    baseline_advice: tuple[Advice, ...]

    @property
    def best(self) -> Trial | None:
        """The trial with the highest Sharpe ratio, the first of equal ones; None where no draft was usable."""
        tried = [trial for trial in self.trials if trial.draft is not None]
        return max(tried, key=lambda trial: trial.sharpe, default=None)


@dataclass(frozen=True, eq=False)
class Final:
    """A prompt followed in every year that was drawn; `trial` is None for the untuned one."""

    trial: Trial | None
    sharpes: tuple[float, ...]  # by repeat
    advice: tuple[tuple[Advice, ...], ...]  # by repeat

    @property
    def mean(self) -> float:
        """The mean over repeats, by which a prompt is chosen."""
        return float(np.mean(self.sharpes))


@dataclass(frozen=True, eq=False)
class TuningRun:
    """All that came of a walk. `finals` begin with the untuned prompt."""

    study: TuningStudy
    repeats: tuple[Repeat, ...]
    finals: tuple[Final, ...]

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All rounds of all repeats."""
        return tuple(trial for repeat in self.repeats for trial in repeat.trials)

    @property
    def chosen(self) -> Final | None:
        """The tuned prompt with the highest mean; None where no draft was usable."""
        return max(self.finals[1:], key=lambda final: final.mean, default=None)


def run_tuning(
    study: TuningStudy,
    asker: Asker,
    worth: Worth,
    *,
    on_ready: Callable[[Capabilities], None] = lambda capabilities: None,
    on_answer: Callable[[object], None] = lambda answer: None,
    on_stopping: Callable[[], None] = lambda: None,
    certain: Callable[[], bool] = lambda: True,
) -> TuningRun:
    """Walk through a study and return what came of it; what goes wrong is as in `run_study`.

    Every answer is kept: the same study goes on where it was stopped. `certain` says whether a regret of 0 may end a
    repeat: for a plan, whose answers are made up, it may not.
    """
    return _Walk(study, asker, worth, on_ready, on_answer, on_stopping, certain).all()


class _Walk:
    def __init__(
        self,
        study: TuningStudy,
        asker: Asker,
        worth: Worth,
        on_ready: Callable[[Capabilities], None],
        on_answer: Callable[[object], None],
        on_stopping: Callable[[], None],
        certain: Callable[[], bool],
    ) -> None:
        self.study, self.asker, self.worth, self.certain = study, asker, worth, certain
        self.on_answer, self.on_stopping = on_answer, on_stopping
        self._on_ready: list[Callable[[Capabilities], None]] = [on_ready]

    def all(self) -> TuningRun:
        repeats = tuple(self.repeat(number) for number in range(len(self.study.windows)))
        return TuningRun(self.study, repeats, self.finals(repeats))

    def repeat(self, number: int) -> Repeat:
        windows = self.study.windows[number]
        untuned = self.guidance(self.study.template, windows)
        baseline = self.worth(untuned, windows)
        target = max(baseline, self.study.target)
        lessons = self.lessons(number)
        trials: list[Trial] = []
        regret = 0.0
        for t in range(1, self.study.rounds + 1):
            trial = self.round(number, t, windows, lessons, target, trials)
            if trial.draft is not None:
                regret += target - trial.sharpe
            trial = replace(trial, regret=regret)
            enough = trial.draft is not None and regret <= 0 and self.certain()
            if trial.draft is not None and not enough and t < self.study.rounds:
                trial = self.judged(trial, windows, target)
            trials.append(trial)
            if enough:
                break
        return Repeat(number + 1, windows, lessons, baseline, target, tuple(trials), untuned)

    def lessons(self, number: int) -> Lessons:
        exemplars = self.study.exemplars(number)
        subjects = {training.symbol: training.subject for training in self.study.training}

        async def answer(exemplar: Exemplar) -> tuple[Reason | None]:
            return (await explain(exemplar, subjects[exemplar.symbol], self.study.brief, self.asker),)

        return learn([reason for (reason,) in self.ask(exemplars, answer)], seed=self.study.seed + number)

    def round(
        self,
        number: int,
        t: int,
        windows: Sequence[Window],
        lessons: Lessons,
        target: float,
        before: Sequence[Trial],
    ) -> Trial:
        tried = [Tried(trial.draft, trial.sharpe) for trial in before if trial.draft is not None]
        best = max(tried, key=lambda one: one.sharpe, default=None)
        worst = min(tried, key=lambda one: one.sharpe) if len(tried) > 1 else None
        judged = before[-1].judged if before else None
        messages = writer_question(lessons, self.study.brief, target=target, best=best, worst=worst, judged=judged)
        reply, failure = self.answer(messages, WriterReply, "writer", t)
        parents = tuple(one.draft.hash for one in (best, worst) if one is not None)
        empty = Trial(number + 1, t, None, None, float("nan"), 0.0, parents=parents, failure=failure)
        if reply is None:
            return empty
        try:
            draft = Draft(tuple(reply.instructions), lessons.features).hidden(self.hide)
        except GuidanceError as error:  # nothing is left of a line without its names
            return replace(empty, failure=str(error))
        if draft in [one.draft for one in tried]:
            return replace(empty, why=reply.why, failure="the writer repeated instructions that were tried before")
        template = draft.template(self.study.template, name=f"r{number + 1}-t{t}")
        advice = self.guidance(template, windows)
        return replace(
            empty, draft=draft, template=template, sharpe=self.worth(advice, windows), why=reply.why, advice=advice
        )

    def judged(self, trial: Trial, windows: Sequence[Window], target: float) -> Trial:
        assert trial.draft is not None
        decisions = decisions_of(trial.advice, realised_in(trial.advice, windows))
        tried, months = Tried(trial.draft, trial.sharpe), len(trial.advice)
        messages = judge_question(tried, decisions, self.study.brief, target=target, months=months)
        reply, failure = self.answer(messages, JudgeReply, "judge", trial.round)
        return replace(trial, judged=reply, judge_failure=failure)

    def finals(self, repeats: Sequence[Repeat]) -> tuple[Final, ...]:
        best = {one.best.draft: one.best for one in reversed(repeats) if one.best is not None}
        found = [self.final(None, repeats)]
        found += [self.final(trial, repeats) for trial in sorted(best.values(), key=lambda trial: trial.repeat)]
        return tuple(found)

    def final(self, trial: Trial | None, repeats: Sequence[Repeat]) -> Final:
        template = self.study.template if trial is None or trial.template is None else trial.template
        advice, sharpes = [], []
        for repeat in repeats:
            asked = repeat.baseline_advice if trial is None else self.guidance(template, repeat.windows)
            advice.append(asked)
            sharpes.append(self.worth(asked, repeat.windows))
        return Final(trial, tuple(sharpes), tuple(advice))

    def hide(self, text: str) -> str:
        """Take the instruments' names out of a text, where the model is not told them."""
        if self.study.brief.anonymous:
            for training in self.study.training:
                text = training.subject.hidden.text(text)
        return text

    def guidance(self, template: PromptTemplate, windows: Sequence[Window]) -> tuple[Advice, ...]:
        asked = Study(tuple(window.subject for window in windows), (template,), self.study.brief)
        return run_study(asked, self.asker, on_ready=self.ready, on_advice=self.on_answer, on_stopping=self.on_stopping)

    def answer(self, messages: tuple[Message, ...], kind: type[T], role: str, t: int) -> tuple[T | None, str]:
        """Return the reply to one question, or why there is none."""

        async def answer(asked: tuple[Message, ...]) -> tuple[T | None, str]:
            purpose = Purpose(self.asker.study, role, "tuning", role, "")
            found = await self.asker.ask(asked, kind, purpose=purpose, draw=draw(t))
            return found.value, "" if found.failure is None else str(found.failure)

        (found,) = self.ask([messages], answer)
        return found

    def ask(self, questions: Sequence[Q], answer: Callable[[Q], Awaitable[A]]) -> tuple[A, ...]:
        return ask_side_by_side(
            questions,
            answer,
            self.asker,
            on_ready=self.ready,
            on_answer=self.on_answer,
            on_stopping=self.on_stopping,
        )

    def ready(self, can: Capabilities) -> None:
        """Say once what the endpoint can do."""
        if self._on_ready:
            self._on_ready.pop()(can)


def realised_in(advice: Sequence[Advice], windows: Sequence[Window]) -> list[float]:
    """Return how the price moved from each advice to the next, or to the window's last bar; NaN where no bar follows.

    The first one counts from the window's first bar. **Uses the future** of each advice, up to the window's last bar.
    """
    found: dict[tuple[str, pd.Timestamp], float] = {}
    for window in windows:
        subject = window.subject
        close, index = close_prices(subject.bars), subject.bars.index
        issued = sorted({pd.Timestamp(one.issued_at) for one in advice if one.symbol == window.symbol})
        at = [max(window.first, int(index.searchsorted(day))) for day in issued] + [len(close) - 1]
        for day, start, end in zip(issued, at, at[1:], strict=False):
            found[window.symbol, day] = close[end] / close[start] - 1.0 if start < end else float("nan")
    return [found[one.symbol, pd.Timestamp(one.issued_at)] for one in advice]
