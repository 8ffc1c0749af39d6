"""The command that measures what a mixture makes of guidance: of known accuracy, by rules, and of tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmguide.cli.app import app
from llmguide.cli.options import (
    AnyBars,
    Cash,
    Cost,
    DataFolder,
    Device,
    Episodes,
    Holdout,
    Json,
    Out,
    Periods,
    Ray,
    Resume,
    Split,
    Symbols,
)
from llmguide.cli.outputs import writable
from llmguide.cli.reading import AS_IT_IS, Reading, parse_seeds, reads_bars, split_names
from llmguide.cli.settings import AS_PUBLISHED, AgentSettings
from llmguide.errors import LlmguideError

if TYPE_CHECKING:
    from llmguide.experiments.mixture import MixtureStudy
    from llmguide.mixture import Prior


@app.command()
@reads_bars
def mixture(
    data: DataFolder,
    symbols: Symbols = None,
    split: Split = "2018-01-01",
    accuracy: Annotated[
        str,
        typer.Option(
            help="Probabilities of a correct direction, separated by commas: 0.5 is a coin flip, 1 is perfect "
            "foresight."
        ),
    ] = "0.5,0.55,0.6,0.7,0.85,1",
    guidance: Annotated[
        list[Path] | None,
        typer.Option(
            "--guidance",
            help="Folder of guidance tables named after their instruments (AAPL.parquet), or one such file; shown "
            "under the folder's name. Can be repeated.",
        ),
    ] = None,
    any_bars: AnyBars = False,
    draws: Annotated[
        int,
        typer.Option(
            min=1, help="Number of random draws of the errors at each accuracy and of the order of shuffled guidance."
        ),
    ] = 10,
    seeds: Annotated[
        str, typer.Option(help="Number of agents per instrument, or a list of seeds; 0 mixes without an agent.")
    ] = "5",
    episodes: Episodes = 50,
    holdout: Holdout = None,
    agent_prior: Annotated[
        str,
        typer.Option(
            metavar="MEAN,COUNT",
            help="Prior of an agent before it has a record: mean result per bar in standard deviations, and number "
            "of bars.",
        ),
    ] = "0,252",
    settings: AgentSettings = AS_PUBLISHED,
    cash: Cash = 100_000.0,
    cost: Cost = 0.001,
    device: Device = "auto",
    ray: Ray = None,
    periods: Periods = None,
    out: Out = Path("runs/mixture"),
    resume: Resume = True,
    only_trained: Annotated[
        bool,
        typer.Option(
            "--only-trained",
            help="Train no agents: mix those already in the run folder, and report which are missing.",
        ),
    ] = False,
    as_json: Json = False,
    reading: Reading = AS_IT_IS,
) -> None:
    """Measure how well a mixture of agent, guidance and holding uses its guidance.

    The guidance is perfect foresight with each month flipped with a known probability (a control, never a result),
    guidance from rules, and tables of your own; each is also shuffled, and left out. Agents are trained once per
    instrument and mixed with every draw. Reports Sharpe ratios, drawdowns and the aims that the mixture reaches, on all
    instruments and on those that fell; see report.html.
    """
    from llmguide.cli.stopping import resumable
    from llmguide.console import err, print_json, records
    from llmguide.experiments.mixture import read_tables, study_mixture

    config = settings.agent(cash=cash, cost=cost)
    writable(out, folder=True)
    tables = read_tables(guidance or (), any_bars=any_bars)
    with resumable(out):
        study = study_mixture(
            data,
            symbols=split_names(symbols),
            accuracies=_accuracies(accuracy),
            tables=tables,
            draws=draws,
            seeds=parse_seeds(seeds),
            episodes=episodes,
            holdout=holdout,
            agent_prior=_prior(agent_prior),
            config=config,
            device=device,
            split=split,
            **reading.options,
            periods=periods,
            out=out,
            resume=resume,
            only_trained=only_trained,
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
                "uses_future": True,
                "missing": study.missing,
                "aims": records(study.aims),
                "table": records(study.table),
                "differences": records(study.differences),
                "instruments": records(study.instruments),
            }
        )
        return
    _print(study)
    typer.echo(f"page: {page}")


def _accuracies(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        message = f"expected --accuracy to be probabilities separated by commas, such as 0.5,0.7, got {text!r}"
        raise LlmguideError(message) from None


def _prior(text: str) -> Prior:
    from llmguide.mixture import Prior

    try:
        mean, count = (float(part) for part in text.split(","))
    except ValueError:
        message = (
            f"expected --agent-prior to be a mean result per bar and a number of bars, such as 0,252, got {text!r}"
        )
        raise LlmguideError(message) from None
    return Prior(mean, count)


def _print(study: MixtureStudy) -> None:
    from llmguide.console import number, out, print_table
    from llmguide.experiments.rows import aims_table

    whole = study.table[study.table["group"] == "all"]
    cells = whole.set_index(["guidance", "arm"])
    arms = [arm.replace("_", " ") for arm in study.arms]
    for measure, title in (("sr", "Mean Sharpe ratio"), ("mdd", "Mean maximum drawdown, a fraction")):
        found = cells[measure].to_dict()
        rows = [
            [name, *(number(found.get((name, arm))) for arm in study.arms)] for name in dict.fromkeys(whole["guidance"])
        ]
        print_table(f"{title}, by the guidance", ["guidance", *arms], rows)
    print_table(*aims_table(study.aims))
    out.print(f"\n{study.summary}")
    if study.missing:
        lacking = sum(len(seeds) for seeds in study.missing.values())
        out.print(f"{lacking} agents are not trained yet: {', '.join(study.missing)}", style="yellow")
    out.print(
        "Oracle and shuffled guidance were made with knowledge of later bars: controls, not results.", style="bold red"
    )
