"""The command that measures what a language model and a prompt lean to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmguide.cli.app import app
from llmguide.cli.groups import Endpoint, Instruments, Limits, grouped
from llmguide.cli.options import (
    Audited,
    Json,
    NamesFile,
    Out,
    PlanOnly,
    Replay,
    TablesFolder,
)
from llmguide.cli.outputs import writable
from llmguide.cli.reading import Reading

if TYPE_CHECKING:
    from llmguide.experiments.bias import BiasResult


@app.command()
@grouped
def bias(
    *,
    instruments: Instruments,
    prompt: Audited = "P1",
    seed: Annotated[int, typer.Option(help="Random seed of the bootstrap.")] = 0,
    tables: TablesFolder = None,
    names: NamesFile = None,
    endpoint: Endpoint,
    limits: Limits,
    replay: Replay = False,
    plan: PlanOnly = False,
    out: Out = Path("runs/bias"),
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Measure the biases of a language model and a prompt, whatever the data show.

    Each month is asked about again with one thing changed: neutral labels in both assignments, the data groups
    reversed, the text paraphrased, the bars mirrored; and there is a month in which nothing moved. The directions are
    compared with constant LONG. That comparison uses later bars: it is for evaluating a model, never for guiding an
    agent.
    """
    from llmguide.cli.asking import Asking, print_costs, print_plan, read_subjects
    from llmguide.console import print_json, records
    from llmguide.experiments.bias import judge_bias
    from llmguide.files import write_csv
    from llmguide.guidance.inquiries.bias_study import BiasStudy, run_bias
    from llmguide.guidance.planning import plan_bias

    subjects = read_subjects(instruments, tables, names, reading)
    asking = Asking(endpoint, limits, replay)
    brief = asking.study(subjects, [prompt]).brief
    study = BiasStudy(tuple(subjects), prompt, brief, seed)
    if plan:
        print_plan(plan_bias(study, asking.access()), as_json=as_json)
        return
    writable(out, folder=True)
    answers, costs = asking.inquire(study, run_bias, name="bias", quiet=as_json)
    result = judge_bias(study, answers)
    page = result.write(out)
    write_csv(costs, out / "llm_costs.csv")
    if as_json:
        frames = {"measures": result.measures, "skill": result.skill, "nulls": result.nulls, "costs": costs}
        found = {name: records(frame.astype(object).where(frame.notna(), None)) for name, frame in frames.items()}
        print_json({"page": str(page), "summary": result.summary, **result.settings, **found})
        return
    _show(result)
    print_costs(costs)
    typer.echo(f"page: {page}")


def _show(result: BiasResult) -> None:
    from llmguide.console import number, percent, print_table, share_interval
    from llmguide.console import out as screen
    from llmguide.experiments.bias.result import CHANGES
    from llmguide.experiments.rows import turned_table

    def shares(row: Any) -> list[str]:
        around = [share_interval(row.low, row.high), share_interval(row.cluster_low, row.cluster_high)]
        return [f"{row.hits}/{row.n}", percent(row.value), *around]

    def mean(row: Any, digits: int = 2) -> list[str]:
        low, high = row.cluster_low, row.cluster_high
        around = "n/a" if low != low else f"{number(low, digits)} to {number(high, digits)}"
        return [number(row.value, digits), around]

    screen.print(result.summary, soft_wrap=True)
    print_table(*turned_table(result.turned))
    rows = [
        [text, *mean(result.measure(name, "log-odds")), *mean(result.measure(name, "p(LONG)"))]
        for name, text in CHANGES.items()
    ]
    columns = ["the same month", "log-odds", "by month", "p(LONG)", "by month"]
    print_table("Shift of the direction towards LONG", columns, rows)
    rows = [[what, *shares(result.measure("mirror", what))] for what in ("opposite", "both LONG", "both SHORT")]
    print_table("A month and its mirror image", ["directions", "months", "share", "Wilson", "by month"], rows)
    lines: Any = result.nulls.itertuples(index=False)
    rows = [[row.form, _word(row.direction), number(row.p_long), number(row.log_odds)] for row in lines]
    print_table("A month in which nothing moved", ["asked", "direction", "p(LONG)", "log-odds"], rows)
    rows = [
        [
            answer,
            *(percent(result.worth(answer, measure).value) for measure in ("says LONG", "accuracy")),
            *mean(result.worth(answer, "balanced accuracy")),
            number(result.worth(answer, "MCC").value),
            number(result.worth(answer, "Brier score").value, 3),
        ]
        for answer in dict.fromkeys(result.skill["answer"])
    ]
    columns = ["direction", "LONG", "accuracy", "balanced", "by month", "MCC", "Brier"]
    print_table(f"Skill, on {result.worth('plain', 'accuracy').n} months with an outcome", columns, rows)
    if result.settings["failures"]:
        failed = f"{result.settings['failures']} of {result.settings['questions']} questions have no usable answer"
        screen.print(failed, style="yellow")


def _word(direction: Any) -> str:
    return {"1": "LONG", "0": "SHORT"}.get(str(direction), "n/a")
