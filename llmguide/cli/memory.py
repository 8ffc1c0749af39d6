"""The command that measures what a language model remembers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmguide.cli.app import app
from llmguide.cli.options import (
    BaseUrl,
    Budget,
    CacheFile,
    Cutoff,
    InFlight,
    Json,
    Model,
    ModelFile,
    NamesFile,
    Out,
    PlanOnly,
    PricesFile,
    Replay,
    SettingsFile,
    Split,
    Strict,
    Symbols,
    TablesFolder,
)
from llmguide.cli.outputs import writable
from llmguide.cli.reading import AS_IT_IS, Reading, reads_bars, split_names
from llmguide.errors import GuidanceError

if TYPE_CHECKING:
    from llmguide.experiments.memory import MemoryResult
    from llmguide.guidance.memory_study import MemoryAnswer, MemoryStudy


@app.command()
@reads_bars
def memory(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[BARS...]", help="Files of bars, oldest first: training, then test."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of bars, for several instruments instead of BARS.")] = None,
    symbol: Annotated[
        str | None, typer.Option(help="The instrument; by default the file's name up to the first _.")
    ] = None,
    symbols: Symbols = None,
    split: Split = "2018-01-01",
    all_months: Annotated[
        bool, typer.Option("--all-months", help="With --data: ask about the training months too.")
    ] = False,
    measures: Annotated[
        str, typer.Option(help="Which of recall, identification and counterfactual, separated by commas.")
    ] = "recall,identification,counterfactual",
    prompt: Annotated[
        str, typer.Option(help="Prompt whose data are shown: P0 to P4, or a template file, without news and memory.")
    ] = "P1",
    cutoff: Cutoff = None,
    seed: Annotated[int, typer.Option(help="Of the lists of instruments, the swapped months and the bootstrap.")] = 0,
    guidance: Annotated[
        Path | None,
        typer.Option(help="Guidance table of the one instrument, written to OUT with its column recall filled."),
    ] = None,
    tables: TablesFolder = None,
    names: NamesFile = None,
    model: Model = "gpt-4o-mini",
    cache: CacheFile = Path("llm.sqlite"),
    base_url: BaseUrl = None,
    model_file: ModelFile = None,
    settings: SettingsFile = None,
    budget: Budget = None,
    prices: PricesFile = None,
    in_flight: InFlight = 8,
    strict: Strict = False,
    replay: Replay = False,
    plan: PlanOnly = False,
    out: Out = Path("runs/memory"),
    as_json: Json = False,
    reading: Reading = AS_IT_IS,
) -> None:
    """Measure what the model remembers of the months asked about.

    Recall: the direction for a name and a date, without data. Identification: which instrument and month an anonymous
    prompt describes. Counterfactual: whether the answer follows changed facts, or stays. Each is compared with chance.
    The result is measured with later bars: it is for judging a study, never for guiding an agent.
    """
    from llmguide.cli.asking import Asking, print_costs, print_plan, read_cutoff, subject_of, subjects_of
    from llmguide.console import print_json, records
    from llmguide.experiments.markets import find_markets
    from llmguide.experiments.memory import judge_memory
    from llmguide.files import write_csv
    from llmguide.guidance import Guidance
    from llmguide.guidance.memory_study import MemoryStudy
    from llmguide.guidance.planning import plan_memory
    from llmguide.guidance.settings import read_settings

    if (not files) == (data is None):
        raise GuidanceError("give either files of BARS, or --data FOLDER")
    if files:
        name = symbol or files[0].stem.split("_")[0]
        subjects = [subject_of(name, reading.history(files), tables, names)]
    else:
        if symbol is not None or names is not None or data is None:
            raise GuidanceError(
                "--symbol and --names are for files of BARS; with --data use --symbols and TABLES/SYMBOL/names.csv"
            )
        markets = find_markets(data, split_names(symbols), split=split, **reading.options)
        subjects = subjects_of(markets, tables, test_only=not all_months)
    if guidance is not None and len(subjects) > 1:
        raise GuidanceError(f"--guidance is of one instrument, got {len(subjects)}; choose one with --symbols")
    table = None if guidance is None else Guidance.read(guidance)
    study = MemoryStudy(
        tuple(subjects),
        prompt,
        read_settings(settings).brief,
        seed=seed,
        cutoff=read_cutoff(cutoff),
        measures=tuple(split_names(measures) or []),
    )
    if table is not None:
        table.with_recall(dict.fromkeys((stamp.to_pydatetime() for _, stamp in study.outcomes), None))
    asking = Asking(model, cache, base_url, settings, budget, prices, in_flight, strict, replay, model_file)
    if plan:
        print_plan(plan_memory(study, asking.access()), as_json=as_json)
        return
    writable(out, folder=True)
    answers, costs = _ask(asking, study, quiet=as_json)
    result = judge_memory(study, answers)
    page = result.write(out)
    write_csv(costs, out / "llm_costs.csv")
    written = None
    if table is not None and guidance is not None:
        written = table.with_recall(result.scores(subjects[0].symbol)).save(out / guidance.name)
    if as_json:
        found = {"page": str(page), "measures": records(result.measures), **result.settings}
        print_json(found | {"guidance": None if written is None else str(written), "costs": records(costs)})
        return
    _show(result)
    print_costs(costs)
    if written is not None:
        typer.echo(f"guidance with recall: {written}")
    typer.echo(f"page: {page}")


def _ask(asking: Any, study: MemoryStudy, *, quiet: bool) -> tuple[tuple[MemoryAnswer, ...], Any]:
    """Return the answers, and what they have cost."""
    from llmguide.cli.stopping import Interrupted, exit_code
    from llmguide.cli.study_bar import StudyBar
    from llmguide.console import err
    from llmguide.guidance.language_model import study_name
    from llmguide.guidance.memory_study import run_memory

    access = asking.access()
    symbols = [subject.symbol for subject in study.subjects]
    name = study_name(access, symbols, [study.prompt], study.brief)
    asker = access.asker(study=f"memory-{study.seed}-{name}")
    with StudyBar(len(study.questions), lambda: asker.spending, shown=not quiet) as bar:
        try:
            answers = run_memory(
                study,
                asker,
                on_answer=lambda one: bar.advance(),
                on_ready=lambda can: err.print(can.describe(), style="yellow", soft_wrap=True) if can.note else None,
                on_stopping=lambda: err.print(
                    "stopping: waiting for the answers under way, so that nothing is paid for twice; press Ctrl-C "
                    "again to drop them",
                    highlight=False,
                ),
            )
        except KeyboardInterrupt as stop:
            raise Interrupted(
                f"interrupted; {asking.cache} keeps all answers so far; run the same command again to resume",
                exit_code(stop),
            ) from None
    return answers, asker.ledger.summary(asker.prices, asker.study)


def _show(result: MemoryResult) -> None:
    from llmguide.console import out as screen
    from llmguide.console import percent, print_table

    def between(low: float, high: float) -> str:
        return "n/a" if low != low else f"{100 * low:.0f}-{100 * high:.0f} %"

    pooled = result.measures[result.measures["symbol"] == "all"]
    for period, of_period in pooled.groupby("period", sort=False):
        lines: Any = of_period.itertuples(index=False)
        rows = [
            [
                row.measure,
                f"{row.hits}/{row.n}",
                *(percent(value) for value in (row.share, row.chance, row.base_rate)),
                between(row.low, row.high),
                between(row.cluster_low, row.cluster_high),
            ]
            for row in lines
        ]
        columns = ["measure", "hits", "share", "chance", "base", "Wilson", "by month"]
        print_table(f"What the model remembers, cut-off: {period}; 95 % intervals", columns, rows)
    if result.settings["failures"]:
        failed = f"{result.settings['failures']} of {result.settings['questions']} questions have no usable answer"
        screen.print(failed, style="yellow")
