"""Questions about the months of some instruments, of which none depends on the answer to another.

What the studies of a model have in common (`llmguide memory`, `llmguide bias`): the instruments and the prompt, what
became of each month, and all questions asked side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from llmguide.errors import LlmguideError, MissingAnswers
from llmguide.guidance.schedule import close_prices, horizon_returns
from llmguide.guidance.strategist import Brief, Month, Subject
from llmguide.guidance.study import Study, stopping
from llmguide.llm.asking import Asker, Halted
from llmguide.llm.probe import Capabilities
from llmguide.llm.templates import PromptTemplate, prompt_version
from llmguide.llm.waiting import wait_for

__all__ = ["Inquiry", "ask_side_by_side"]

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(frozen=True, eq=False)
class Inquiry:
    """What is to be asked about the months of some instruments.

    Attributes:
        subjects: the instruments.
        prompt: of the Strategist; its news and earlier decisions are left out.
        brief: schedule, objective and risk profile.
        seed: of all that is drawn.

    Raises GuidanceError as `Study` does.
    """

    subjects: tuple[Subject, ...]
    prompt: str | Path | PromptTemplate = "P1"
    brief: Brief = field(default_factory=Brief)
    seed: int = 0

    def __post_init__(self) -> None:
        """Read the template now: who edits it later does not change what is asked."""
        object.__setattr__(self, "prompt", self._study.prompts[0])

    @cached_property
    def _study(self) -> Study:
        return Study(self.subjects, (self.prompt,), self.brief)

    @property
    def version(self) -> str:
        """Name of the prompt."""
        return prompt_version(self.prompt)

    @property
    def questions(self) -> Sequence[Any]:
        """All questions, in a fixed order; the same seed gives the same ones."""
        raise NotImplementedError

    def positions(self, subject: Subject) -> list[int]:
        """Return the positions of the bars on whose dates guidance is issued."""
        return list(self._study.positions(subject))

    def months(self, subject: Subject) -> Iterator[Month]:
        """Yield what may be used for each decision, oldest first."""
        return self._study.months(subject)

    @cached_property
    def outcomes(self) -> Mapping[tuple[str, pd.Timestamp], float]:
        """The return over `brief.every` bars from the close of each issue; NaN where the bars end before."""
        found: dict[tuple[str, pd.Timestamp], float] = {}
        for subject in self.subjects:
            close, index = close_prices(subject.bars), subject.bars.index
            positions = self.positions(subject)
            realised = horizon_returns(close, positions, every=self.brief.every).tolist()
            found |= {(subject.symbol, index[i]): change for i, change in zip(positions, realised, strict=True)}
        return found


def ask_side_by_side(
    questions: Sequence[Q],
    answer: Callable[[Q], Awaitable[A]],
    asker: Asker,
    *,
    on_ready: Callable[[Capabilities], None] = lambda capabilities: None,
    on_answer: Callable[[A], None] = lambda answer: None,
    on_stopping: Callable[[], None] = lambda: None,
) -> tuple[A, ...]:
    """Ask everything and return the answers in the order of the questions; what goes wrong is as in `run_study`.

    What was not asked for a signal is left out: the signal takes effect when all that is under way has been answered.
    """

    async def ask(question: Q) -> A:
        try:
            found = await answer(question)
        except MissingAnswers:  # the others go on, to find all that is missing
            raise
        except LlmguideError:
            asker.halt()
            raise
        on_answer(found)
        return found

    async def everything() -> tuple[A, ...]:
        try:
            on_ready(await asker.open())
            found = await asyncio.gather(*map(ask, questions), return_exceptions=True)
            failures = [one for one in found if isinstance(one, BaseException) and not isinstance(one, Halted)]
            for failure in sorted(failures, key=lambda one: isinstance(one, MissingAnswers)):
                raise asker.missing_answers() if isinstance(failure, MissingAnswers) else failure
            return tuple(one for one in found if not isinstance(one, BaseException))
        except Halted:
            return ()
        finally:
            await asker.close()

    with stopping(asker, on_stopping):
        return wait_for(everything())
