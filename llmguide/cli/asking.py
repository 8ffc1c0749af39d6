"""What the commands that ask a language model have in common: its settings, the walk through a study, the bill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from llmguide.cli.groups import Endpoint, Instruments, Limits
from llmguide.counting import counted
from llmguide.errors import GuidanceError

if TYPE_CHECKING:
    from datetime import date

    import pandas as pd

    from llmguide.cli.reading import Reading
    from llmguide.experiments.markets import Market
    from llmguide.guidance.advice import Advice
    from llmguide.guidance.doubt.suppression import Suppression
    from llmguide.guidance.inquiries.inquiry import Inquiry
    from llmguide.guidance.news.anonymise import Names
    from llmguide.guidance.strategist import Subject
    from llmguide.guidance.study import Study
    from llmguide.llm.access import Access
    from llmguide.llm.asking import Asker, Plan

__all__ = [
    "Asking",
    "print_costs",
    "print_plan",
    "print_revisions",
    "print_timed_out",
    "print_without_factors",
    "read_cutoff",
    "read_subjects",
    "revisions",
    "subject_of",
    "subjects_of",
    "timed_out",
    "without_factors",
]

A = TypeVar("A")
T = TypeVar("T")


class Asking(NamedTuple):
    """How a command asks: the options that say so, as they were given."""

    endpoint: Endpoint
    limits: Limits = Limits()
    replay: bool = False
    batch: bool = False

    def access(self) -> Access:
        """Return them as settings of the library."""
        from llmguide.guidance.settings import Settings, read_settings
        from llmguide.llm.access import Access

        endpoint = self.endpoint
        options: dict[str, Any] = {
            "cache": endpoint.cache,
            "replay": self.replay,
            "base_url": endpoint.base_url,
            **asdict(self.limits),
        }
        if endpoint.model_file is None:
            read = read_settings(endpoint.settings)
            options["model"] = endpoint.model
        else:
            own = Access.local(endpoint.model_file)
            defaults = Settings(timeout=own.timeout, max_retries=own.max_retries, terse=own.terse)
            read = read_settings(endpoint.settings, defaults)
            options |= {"model": own.model, "model_file": endpoint.model_file, "local_settings": read.local}
        return Access(
            **options,
            sampling=read.sampling,
            timeout=read.timeout,
            max_retries=read.max_retries,
            terse=read.terse,
        )

    def study(
        self,
        subjects: Sequence[Subject],
        prompts: Sequence[str],
        *,
        every: int | None = None,
        suppress: Suppression | None = None,
        debias: bool = False,
        samples: int | None = None,
    ) -> Study:
        """Return the study of these instruments and prompts; what is None is as the settings file has it."""
        from llmguide.features.levels import check_levels
        from llmguide.guidance.settings import read_settings
        from llmguide.guidance.study import Study

        brief = read_settings(self.endpoint.settings).brief
        if every is not None:
            brief = replace(brief, every=every)
        if self.endpoint.levels is not None:
            brief = replace(brief, levels=check_levels(self.endpoint.levels))
        if debias + (samples is not None) + (suppress is not None) > 1:
            raise GuidanceError(
                "give only one of --debias, --samples and --suppress-memory: each determines the direction in its "
                "own way"
            )
        brief = replace(brief, suppress=suppress, debias=debias, samples=samples or 0)
        return Study(tuple(subjects), tuple(prompts), brief)

    def plan(self, study: Study) -> Plan:
        """Return what the study still needs."""
        from llmguide.guidance.planning import plan_study

        plan = plan_study(study, self.access())
        if not self.batch:
            return plan
        from llmguide.guidance.batching import refuse_memory
        from llmguide.llm.prices import Prices

        refuse_memory(study)
        part = Prices.read(self.limits.prices).batch
        half = [None if dollars is None else part * dollars for dollars in (plan.dollars, plan.most_dollars)]
        return plan._replace(dollars=half[0], most_dollars=half[1])

    def ask(self, study: Study, *, quiet: bool) -> tuple[tuple[Advice, ...], pd.DataFrame, list[str]]:
        """Return the advice of the whole study, what it has cost, and the settings that the endpoint does not take.

        Ctrl-C says what is kept.
        """
        from llmguide.console import err
        from llmguide.guidance.language_model import study_name
        from llmguide.guidance.study import run_study

        access = self.access()
        if access.sampling.frequency_penalty or access.sampling.presence_penalty:
            err.print(
                "frequency_penalty and presence_penalty punish the label that the features have used most, "
                "and can flip a direction; leave them out of [sampling] for guidance",
                style="yellow",
                soft_wrap=True,
            )
        symbols = [subject.symbol for subject in study.subjects]
        name = study_name(access, symbols, study.prompts, study.brief)
        if self.batch:
            self._ask_by_batch(study, access, name, quiet=quiet)
        asker = access.asker(study=name)

        def run(on_each: Callable[[object], None], **said: Any) -> tuple[Advice, ...]:
            return run_study(study, asker, on_advice=on_each, **said)

        advice = self.walked(run, asker, study.advice_count, quiet=quiet)
        can = asker.capabilities
        left_out = [*can.refused, *([] if can.logprobs or access.sampling.top_logprobs is None else ["top_logprobs"])]
        return advice, asker.costs(), left_out

    def inquire(
        self, study: Inquiry, run: Callable[..., tuple[A, ...]], *, name: str, quiet: bool
    ) -> tuple[tuple[A, ...], pd.DataFrame]:
        """Return the answers to all questions of an audit, as `run` asks them, and what they have cost.

        The ledger has them under `name` and the settings. Ctrl-C says what is kept.
        """
        from llmguide.guidance.language_model import study_name

        symbols = [subject.symbol for subject in study.subjects]
        full_name = f"{name}-{study_name(self.access(), symbols, [study.prompt], study.brief)}"
        return self.put(partial(run, study), len(study.questions), name=full_name, quiet=quiet)

    def put(
        self, run: Callable[..., tuple[A, ...]], count: int, *, name: str, quiet: bool
    ) -> tuple[tuple[A, ...], pd.DataFrame]:
        """Return the answers to so many questions, as `run` asks them of an asker, and what they have cost.

        The ledger has them under `name`. Ctrl-C says what is kept.
        """
        asker = self.access().asker(study=name)

        def ask(on_each: Callable[[object], None], **said: Any) -> tuple[A, ...]:
            return run(asker, on_answer=on_each, **said)

        answers = self.walked(ask, asker, count, quiet=quiet)
        return answers, asker.costs()

    def walked(self, run: Callable[..., T], asker: Asker, total: int, *, quiet: bool, unit: str = "months") -> T:
        """Return what `run` does, with a bar of `total` steps, and with words for what the user should know."""
        from llmguide.cli.stopping import Interrupted, exit_code
        from llmguide.console import err
        from llmguide.guidance.study_bar import StudyBar

        with StudyBar(total, lambda: asker.spending, shown=not quiet, unit=unit) as bar:
            try:
                return run(
                    lambda one: bar.advance(),
                    on_ready=lambda can: (
                        err.print(can.describe(), style="yellow", soft_wrap=True) if can.note else None
                    ),
                    on_stopping=lambda: err.print(
                        "stopping: waiting for the answers in flight, so that nothing is paid for twice; "
                        "press Ctrl-C again to drop them",
                        highlight=False,
                    ),
                )
            except KeyboardInterrupt as stop:
                kept = f"{self.endpoint.cache} keeps all answers so far"
                raise Interrupted(
                    f"interrupted; {kept}; run the same command again to resume", exit_code(stop)
                ) from None

    def _ask_by_batch(self, study: Study, access: Access, name: str, *, quiet: bool) -> None:
        from llmguide.cli.stopping import Interrupted, exit_code
        from llmguide.console import err
        from llmguide.guidance.batching import batch_study

        if self.replay:
            raise GuidanceError("--batch sends questions, and a replay sends none; leave one of them out")
        try:
            batch_study(
                study,
                access,
                name=name,
                on_state=lambda line: None if quiet else err.print(line, soft_wrap=True, highlight=False),
            )
        except KeyboardInterrupt as stop:
            raise Interrupted(
                "interrupted; a submitted batch keeps running at the endpoint; run the same command again to "
                "fetch its answers",
                exit_code(stop),
            ) from None


def read_cutoff(text: str | None) -> date | None:
    """Return the day of --cutoff."""
    from datetime import date

    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise GuidanceError(f"expected --cutoff to be a day, got {text!r}; write it like 2024-06-30") from None


def read_subjects(asked: Instruments, tables: Path | None, names: Path | None, reading: Reading) -> list[Subject]:
    """Return the instruments that the options name: one of files, or those of a folder."""
    from llmguide.cli.reading import split_names
    from llmguide.experiments.markets import find_markets

    files = asked.files or []
    if bool(files) == (asked.data is not None):
        raise GuidanceError("give either files of BARS, or --data FOLDER")
    if asked.data is None:
        name = asked.symbol or files[0].stem.split("_")[0]
        return [subject_of(name, reading.history(files), tables, names)]
    if asked.symbol is not None or names is not None:
        raise GuidanceError(
            "--symbol and --names are for files of BARS; with --data use --symbols and TABLES/SYMBOL/names.csv"
        )
    markets = find_markets(asked.data, split_names(asked.symbols), split=asked.split, **reading.options)
    return subjects_of(markets, tables, test_only=not asked.all_months)


def subject_of(symbol: str, bars: pd.DataFrame, tables: Path | None, names: Path | None) -> Subject:
    """Return an instrument with its tables and names, read from the folder of tables unless named."""
    from llmguide.guidance.strategist import Subject
    from llmguide.sources.tables import Tables

    known = Tables() if tables is None else Tables.read(tables, symbol)
    return Subject(symbol, bars, known, _names(symbol, tables, names))


def subjects_of(markets: Sequence[Market], tables: Path | None, *, test_only: bool = False) -> list[Subject]:
    """Return the same for instruments of a folder of bars; `test_only` leaves the training months out."""
    from llmguide.guidance.strategist import Subject
    from llmguide.sources.tables import Tables

    known = {} if tables is None else Tables.read_many(tables, [market.symbol for market in markets])
    return [
        Subject(
            market.symbol,
            market.bars,
            known.get(market.symbol, Tables()),
            _names(market.symbol, tables, None),
            market.test.index[0] if test_only else None,
        )
        for market in markets
    ]


def _names(symbol: str, tables: Path | None, names: Path | None) -> Names | None:
    """Return the names of a file, or those beside the tables."""
    from llmguide.guidance.news.anonymise import Names

    if names is None and tables is not None:
        found = [
            path
            for path in sorted((tables / symbol).glob("*"))
            if path.stem.lower() == "names" and path.suffix.lower() in (".csv", ".toml") and path.is_file()
        ]
        if len(found) > 1:
            raise GuidanceError(f"expected one table of names, got {found[0]} and {found[1]}; keep one")
        names = found[0] if found else None
    return None if names is None else Names.read(names)


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """Print what a study still needs."""
    from llmguide.console import print_json, print_table

    if as_json:
        print_json(plan._asdict())
        return
    rows = [
        ["calls", f"{plan.calls:,}"],
        ["answers in the cache", f"{plan.kept:,}"],
        ["prompt tokens, about", f"{plan.prompt_tokens:,}"],
        ["completion tokens, about", f"{plan.completion_tokens:,}"],
        ["dollars, about", _dollars(plan.dollars)],
        ["dollars, at most", _dollars(plan.most_dollars)],
    ]
    print_table("Still to ask; nothing was sent", ["needed", "amount"], rows)


def without_factors(advice: Iterable[Advice]) -> int:
    """Return for how many months of an instrument there was news, but no usable answer of the Analyst."""
    return len({(one.symbol, one.issued_at) for one in advice if one.news_failure})


def print_without_factors(advice: Iterable[Advice]) -> None:
    """Say how many months have no factors of the Analyst for want of an answer; nothing where all have."""
    from llmguide.console import out

    if count := without_factors(advice):
        months = counted(count, "month")
        out.print(f"{months} without the Analyst's factors: no usable answer", style="yellow")


def timed_out(advice: Iterable[Advice]) -> int:
    """Return how many months were not answered in time."""
    return sum(one.timed_out for one in advice)


def print_timed_out(advice: Iterable[Advice]) -> None:
    """Say how many months were not answered in time; nothing where all were."""
    from llmguide.console import out

    if count := timed_out(advice):
        months = (
            "1 month was not answered in time: it abstains"
            if count == 1
            else (f"{count} months were not answered in time: they abstain")
        )
        out.print(f"{months}; the same command asks again. A longer timeout (--settings) may help.", style="yellow")


def revisions(advice: Iterable[Advice]) -> dict[str, int]:
    """Return in how many months the direction was revised, turned by that, or could not be revised."""
    advice = list(advice)
    revised = [one for one in advice if one.revision is not None]
    return {
        "revised": len(revised),
        "direction_turned": sum(one.row.direction != one.row.said_direction for one in revised),
        "unrevised": sum(one.unrevised for one in advice),
    }


def print_revisions(study: Study, advice: Sequence[Advice]) -> None:
    """Say how many months were revised, and how; nothing where none was to be."""
    from llmguide.console import out

    brief = study.brief
    if brief.suppress is None and not brief.debias and not brief.samples:
        return
    what = "memory suppressed" if brief.suppress is not None else "debiased" if brief.debias else "decided by votes"
    count, months = revisions(advice), counted(len(advice), "month")
    out.print(f"{what} in {count['revised']} of {months}, direction turned in {count['direction_turned']}")
    if missing := count["unrevised"]:
        lacking = "log-probabilities of the direction" if brief.suppress is not None else "usable answers"
        they = "1 month is" if missing == 1 else f"{missing} months are"
        out.print(f"{they} left as the model answered: too few {lacking}", style="yellow")


def print_costs(costs: pd.DataFrame) -> None:
    """Print what a study has cost, by instrument and prompt (Table VIII of arXiv 2508.02366v3)."""
    from llmguide.console import print_table, records

    if costs.empty:
        return
    rows = [
        [
            _asked_for(row["instrument"], row["prompt"]),
            str(row["calls"]),
            str(row["failed"]),
            str(row["unusable"]),
            _count(row["prompt_tokens"]),
            _count(row["completion_tokens"]),
            f"{row['seconds']:.0f} s",
            _dollars(row["dollars"]),
        ]
        for row in records(costs)
    ]
    columns = ["asked", "calls", "failed", "unusable", "tokens in", "out", "time", "$"]
    print_table("Cost of the answers, over all runs of this study", columns, rows)


def _asked_for(instrument: str, prompt: str) -> str:
    return f"{instrument} {prompt or 'news'}" if instrument else "probe"


def _count(value: Any) -> str:
    return "unknown" if value is None or value != value or str(value) == "<NA>" else f"{int(value):,}"


def _dollars(value: float | None) -> str:
    return "unknown" if value is None or value != value else f"{value:,.4f}"
