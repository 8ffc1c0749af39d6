"""The command that measures what the levers of training do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmguide.cli.app import app
from llmguide.cli.options import (
    Cash,
    Cost,
    DataFolder,
    Device,
    Episodes,
    Json,
    Out,
    Periods,
    Ray,
    Resume,
    Seeds,
    Split,
    Symbols,
)
from llmguide.cli.outputs import writable
from llmguide.cli.reading import AS_IT_IS, Reading, parse_seeds, reads_bars, split_names
from llmguide.cli.settings import AS_PUBLISHED, AgentSettings
from llmguide.counting import counted
from llmguide.errors import LlmguideError
from llmguide.inline import FUTURE

if TYPE_CHECKING:
    from llmguide.experiments.levers import LeverStudy


@app.command()
@reads_bars
def levers(
    data: DataFolder,
    symbols: Symbols = None,
    split: Split = "2018-01-01",
    levers: Annotated[
        str,
        typer.Option(
            help="Levers, separated by commas: jittered, constant, raw-bars, raw-prices, agreement, discount, "
            "flat; optionally with a value, such as discount=0.7, or combined, such as constant+flat."
        ),
    ] = "jittered,constant,raw-bars,raw-prices,agreement,discount,flat",
    guidance_accuracy: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Probability that oracle guidance is right in a month; 0.8 by default."),
    ] = None,
    provider: Annotated[
        str, typer.Option(help="Source of the guidance: oracle (foresight of known accuracy, a control) or rules.")
    ] = "oracle",
    seeds: Seeds = "3",
    episodes: Episodes = 50,
    settings: AgentSettings = AS_PUBLISHED,
    cash: Cash = 100_000.0,
    cost: Cost = 0.001,
    device: Device = "auto",
    ray: Ray = None,
    periods: Periods = None,
    out: Out = Path("runs/levers"),
    resume: Resume = True,
    as_json: Json = False,
    reading: Reading = AS_IT_IS,
) -> None:
    """Measure the effect of each training lever on an agent with guidance.

    Trains the published agent and one for each lever, on every instrument in a folder and with every seed, and reports
    paired differences on the test bars with intervals over instruments. Choosing a lever by them is tuning on the test
    set.
    """
    from llmguide.cli.stopping import resumable
    from llmguide.console import err, print_json, records
    from llmguide.experiments.levers import study_levers

    if provider not in ("oracle", "rules"):
        raise LlmguideError(f"expected --provider oracle or rules, got {provider!r}")
    if provider == "rules" and guidance_accuracy is not None:
        raise LlmguideError(
            "--guidance-accuracy is for --provider oracle; leave it out, since the accuracy of rules cannot be set"
        )
    accuracy = None if provider == "rules" else 0.8 if guidance_accuracy is None else guidance_accuracy
    config = settings.agent(cash=cash, cost=cost)
    writable(out, folder=True)
    with resumable(out):
        study = study_levers(
            data,
            symbols=split_names(symbols),
            levers=split_names(levers) or (),
            accuracy=accuracy,
            seeds=parse_seeds(seeds),
            episodes=episodes,
            config=config,
            device=device,
            split=split,
            **reading.options,
            periods=periods,
            out=out,
            resume=resume,
            ray=ray,
            progress=not as_json,
            announce=lambda line: err.print(line, highlight=False),
        )
        page = study.write(out)
    if as_json:
        print_json(
            {
                "out": str(out),
                "page": str(page),
                "uses_future": study.uses_future,
                "table": records(study.table.rename_axis("lever").reset_index()),
                "differences": records(study.differences),
                "instruments": records(study.instruments),
            }
        )
        return
    _print(study)
    typer.echo(f"page: {page}")


def _print(study: LeverStudy) -> None:
    from llmguide.console import number, out, percent, print_table
    from llmguide.experiments.rows import levers_table
    from llmguide.report.levers_page import summary

    means = [(str(lever), row) for lever, row in study.table.iterrows()]
    print_table(*levers_table(study.table))
    trained = [[lever, number(row.train_sr), percent(row.agreement_train)] for lever, row in means]
    print_table("Training bars", ["lever", "Sharpe", "agrees"], trained[: len(study.levers)])
    found = study.differences
    shown = [
        [
            str(row.lever),
            number(row.difference),
            f"{number(row.low)} to {number(row.high)}",
            f"{number(row.low_all)} to {number(row.high_all)}",
            str(row.verdict),
        ]
        for row in found[found["measure"] == "sr"].itertuples()
    ]
    columns = ["lever", "Sharpe", "95 %", "95 %, all levers", "verdict"]
    count = len(study.settings["symbols"])
    print_table(
        f"Test Sharpe ratio minus that of the published settings; intervals over {counted(count, 'instrument')}",
        columns,
        shown,
    )
    out.print(summary(found), highlight=False)
    if study.uses_future:
        out.print(FUTURE, style="bold red")
