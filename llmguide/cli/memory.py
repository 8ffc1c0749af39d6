"""The command that measures what a language model remembers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmguide.cli.app import app
from llmguide.cli.groups import Endpoint, Instruments, Limits, grouped
from llmguide.cli.options import (
    Audited,
    Cutoff,
    Json,
    NamesFile,
    Out,
    PlanOnly,
    Replay,
    TablesFolder,
)
from llmguide.cli.outputs import writable
from llmguide.cli.reading import Reading, split_names
from llmguide.errors import GuidanceError

if TYPE_CHECKING:
    from llmguide.experiments.memory import MemoryResult


@app.command()
@grouped
def memory(
    *,
    instruments: Instruments,
    measures: Annotated[
        str, typer.Option(help="Measures to take: recall, identification, counterfactual, separated by commas.")
    ] = "recall,identification,counterfactual",
    prompt: Audited = "P1",
    cutoff: Cutoff = None,
    seed: Annotated[
        int, typer.Option(help="Random seed for the lists of instruments, the swapped months and the bootstrap.")
    ] = 0,
    guidance: Annotated[
        Path | None,
        typer.Option(help="Guidance table of a single instrument; written to OUT with its recall column filled in."),
    ] = None,
    tables: TablesFolder = None,
    names: NamesFile = None,
    endpoint: Endpoint,
    limits: Limits,
    replay: Replay = False,
    plan: PlanOnly = False,
    out: Out = Path("runs/memory"),
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Measure what a language model remembers of the months asked about.

    Recall: the direction for a name and a date, without data. Identification: which instrument and month an anonymous
    prompt describes. Counterfactual: whether the answer follows changed facts, or stays. Each is compared with chance.
    The result uses later bars: it is for evaluating a study, never for guiding an agent.
    """
    from llmguide.cli.asking import Asking, print_costs, print_plan, read_cutoff, read_subjects
    from llmguide.console import print_json, records
    from llmguide.experiments.memory import judge_memory
    from llmguide.files import write_csv
    from llmguide.guidance import Guidance
    from llmguide.guidance.inquiries.memory_study import MemoryStudy, run_memory
    from llmguide.guidance.planning import plan_memory

    subjects = read_subjects(instruments, tables, names, reading)
    if guidance is not None and len(subjects) > 1:
        raise GuidanceError(f"--guidance needs a single instrument, got {len(subjects)}; choose one with --symbols")
    table = None if guidance is None else Guidance.read(guidance)
    asking = Asking(endpoint, limits, replay)
    study = MemoryStudy(
        tuple(subjects),
        prompt,
        asking.study(subjects, [prompt]).brief,
        seed=seed,
        cutoff=read_cutoff(cutoff),
        measures=tuple(split_names(measures) or []),
    )
    if table is not None:
        table.with_recall(dict.fromkeys((stamp.to_pydatetime() for _, stamp in study.outcomes), None))
    if plan:
        print_plan(plan_memory(study, asking.access()), as_json=as_json)
        return
    writable(out, folder=True)
    answers, costs = asking.inquire(study, run_memory, name=f"memory-{study.seed}", quiet=as_json)
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


def _show(result: MemoryResult) -> None:
    from llmguide.console import out as screen
    from llmguide.console import print_table
    from llmguide.experiments.rows import memory_tables

    for table in memory_tables(result.measures):
        print_table(*table)
    if result.settings["failures"]:
        failed = f"{result.settings['failures']} of {result.settings['questions']} questions have no usable answer"
        screen.print(failed, style="yellow")
