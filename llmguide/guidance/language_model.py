"""Providers "llm" and "replay": guidance for one instrument from a language model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd

from llmguide.guidance.advice import Advice, StrategistReply
from llmguide.guidance.doubt.calibrate import calibrate, calibrate_last
from llmguide.guidance.news.anonymise import Names
from llmguide.guidance.row import GuidanceRow
from llmguide.guidance.strategist import Brief, Subject, advise, condense_news, prepare, uses_news
from llmguide.guidance.study import Study, guidance_of, run_study
from llmguide.guidance.study_bar import StudyBar
from llmguide.guidance.table import Guidance
from llmguide.llm.access import Access
from llmguide.llm.protocol import Client
from llmguide.llm.templates import PromptTemplate, prompt_hash, prompt_version, read_template
from llmguide.llm.waiting import wait_for
from llmguide.sources.tables import Tables
from llmguide.stats.calibration import Method, check_method

__all__ = ["LanguageModel", "study_name"]

_LATER = ("debias", "samples")


@dataclass(frozen=True, kw_only=True)
class LanguageModel(Access):
    """The Strategist for one instrument: called with bars, it returns their guidance table.

    ``LanguageModel(model="gpt-4o-mini", prompt="P4", symbol="AAPL", tables="tables")(bars)``. Each month's row is made
    from the bars before its date and from what was public by then.

    Attributes:
        prompt: P0 to P4, or the path of a template.
        symbol: the instrument's symbol, which names its tables and is hidden from the model.
        tables: external tables, or the folder to read them from; None for bars alone.
        names: what to hide from the model, or the file to read it from; None hides the symbol alone.
        brief: schedule, memory, objective and risk profile.
        calibrate: "platt" or "isotonic" to calibrate each direction's probability on the months known before it (see
            `llmguide.guidance.doubt.calibrate`); None to leave it as it is. The model does not see it.
        progress: show a progress bar on a terminal or in a notebook while months are asked for.

    All other attributes, which say how the model is reached, are those of `llmguide.llm.access.Access`. Calling it
    raises LanguageModelError where the model cannot be asked, BudgetError where the budget would be exceeded,
    GuidanceError for a prompt or bars that cannot be used.
    """

    prompt: str | Path = "P4"
    symbol: str = "instrument"
    tables: Tables | Path | str | None = None
    names: Names | Path | str | None = None
    brief: Brief = field(default_factory=Brief)
    calibrate: Method | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Refuse an unknown method before anything is asked."""
        super().__post_init__()
        if self.calibrate is not None:
            check_method(self.calibrate)

    def __call__(self, bars: pd.DataFrame) -> Guidance:
        """Return the guidance of all months of `bars`; each from the bars before its date.

        Raises as `run_study` does.
        """
        study = Study((self.subject(bars),), (self.prompt,), self.brief)
        asker = self.asker(study=self._name(study.prompts))
        with StudyBar(study.advice_count, lambda: asker.spending, shown=self.progress) as bar:
            advice = run_study(study, asker, on_advice=lambda one: bar.advance(), on_stopping=bar.stopping)
        table = guidance_of(advice, symbol=self.symbol, prompt=prompt_version(self.prompt)).made_from(
            bars, symbol=self.known_symbol
        )
        if self.calibrate is None:
            return table
        return calibrate(table, bars, method=self.calibrate, every=self.brief.every)

    def follow(self) -> Callable[[pd.DataFrame, datetime], GuidanceRow]:
        """Return a function ``(known_bars, issued_at)`` that remembers its earlier answers: for a live run.

        The template is read at every question, so that an edited one counts from the next question on. The server of a
        model in a file starts with the first question, and ends with the function.
        """
        subject = self.subject(pd.DataFrame())
        past: list[Advice] = []
        local = None if self.replay or self.model_file is None else self.client(stays=True)
        method, every = self.calibrate, self.brief.every

        def ask(known: pd.DataFrame, issued_at: datetime) -> GuidanceRow:
            advice = wait_for(self._advise(subject, known, pd.Timestamp(issued_at), tuple(past), local))
            past.append(advice)
            if method is None:
                return advice.row
            return calibrate_last(Guidance(tuple(one.row for one in past)), known, method=method, every=every)

        return ask

    @property
    def known_symbol(self) -> str:
        """The symbol, empty where none was given."""
        return "" if self.symbol == type(self).symbol else self.symbol

    def subject(self, bars: pd.DataFrame) -> Subject:
        """Return the instrument of `bars`, with its tables and names read."""
        tables, names = self.tables, self.names
        if isinstance(tables, str | Path):
            tables = Tables.read(tables, self.symbol)
        if isinstance(names, str | Path):
            names = Names.read(names)
        return Subject(self.symbol, bars, tables or Tables(), names)

    def _name(self, prompts: Sequence[str | Path | PromptTemplate]) -> str:
        return study_name(self, [self.symbol], prompts, self.brief)

    async def _advise(
        self,
        subject: Subject,
        known: pd.DataFrame,
        issued_at: pd.Timestamp,
        past: Sequence[Advice],
        client: Client | None,
    ) -> Advice:
        month = prepare(subject, issued_at, known, every=self.brief.every, levels=self.brief.levels)
        prompt = read_template(self.prompt)
        asker = self.asker(study=self._name([prompt]), client=client)
        try:
            news = await condense_news(subject, month, self.brief, asker) if uses_news(prompt) else None
            return await advise(prompt, subject, month, self.brief, asker, past=past, news=news)
        finally:
            await asker.close()


def study_name(
    access: Access, symbols: Sequence[str], prompts: Sequence[str | Path | PromptTemplate], brief: Brief
) -> str:
    """Return a name for a study that is the same in every run of it: its model and a hash of its settings.

    Budget and ledger count by it.
    """
    settings = [
        access.model,
        asdict(access.sampling),
        sorted(symbols),
        sorted((prompt_version(prompt), prompt_hash(prompt, StrategistReply)) for prompt in prompts),
        # What is not asked for has no part in the name: studies from before there was such an option keep theirs.
        {name: value for name, value in asdict(brief).items() if value is not None and (value or name not in _LATER)},
    ]
    return f"{access.model}-{hashlib.sha256(json.dumps(settings, default=str).encode()).hexdigest()[:12]}"
