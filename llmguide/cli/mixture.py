"""The command that measures what a mixture makes of guidance of known accuracy."""

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
from llmguide.errors import LlmguideError

if TYPE_CHECKING:
    from llmguide.experiments.mixture import MixtureStudy


@app.command()
@reads_bars
def mixture(
    data: DataFolder,
    symbols: Symbols = None,
    split: Split = "2018-01-01",
    accuracy: Annotated[
        str, typer.Option(help="Chances of a right direction, separated by commas: 0.5 is a coin, 1 perfect foresight.")
    ] = "0.5,0.6,0.7,0.85,1",
    draws: Annotated[int, typer.Option(min=1, help="Draws of the guidance for each instrument and accuracy.")] = 100,
    seeds: Annotated[
        str, typer.Option(help="How many agents for each instrument, or which seeds; 0 mixes without an agent.")
    ] = "2",
    episodes: Episodes = 50,
    holdout: Holdout = None,
    cash: Cash = 100_000.0,
    cost: Cost = 0.001,
    device: Device = "auto",
    ray: Ray = None,
    periods: Periods = None,
    out: Out = Path("runs/mixture"),
    resume: Resume = True,
    as_json: Json = False,
    reading: Reading = AS_IT_IS,
) -> None:
    """Measure what a mixture makes of guidance that is right with a known probability.

    The guidance is perfect foresight with errors: a control, never a result. Agents are trained once for each
    instrument, and meet every draw. Mean Sharpe ratios of the agent, the guidance, holding and their mixture.
    """
    from llmguide.cli.stopping import resumable
    from llmguide.console import err, print_json, records
    from llmguide.experiments.mixture import study_mixture
    from llmguide.rl.config import DQNConfig

    writable(out, folder=True)
    with resumable(out):
        study = study_mixture(
            data,
            symbols=split_names(symbols),
            accuracies=_accuracies(accuracy),
            draws=draws,
            seeds=parse_seeds(seeds),
            episodes=episodes,
            holdout=holdout,
            config=DQNConfig(cash=cash, cost=cost),
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
        study.write(out)
    if as_json:
        print_json(
            {
                "out": str(out),
                "uses_future": True,
                "table": records(study.table.reset_index()),
                "differences": records(study.differences),
                "instruments": records(study.instruments),
            }
        )
        return
    _print(study)
    typer.echo(f"written to {out}")


def _accuracies(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        message = f"--accuracy is one or more chances separated by commas, as in 0.5,0.7; got {text!r}"
        raise LlmguideError(message) from None


def _print(study: MixtureStudy) -> None:
    from llmguide.console import number, out, print_table

    names = [arm.replace("_", " ") for arm in study.arms]
    rows = [[f"{accuracy:g}", *(number(value) for value in row)] for accuracy, row in study.table.iterrows()]
    print_table("Mean Sharpe ratio by the chance that the guidance is right", ["accuracy", *names], rows)
    differences = [
        [
            f"{row.accuracy:g}",
            f"{str(row.arm).replace('_', ' ')} − {row.minus}",
            number(row.difference),
            f"{number(row.low)} to {number(row.high)}",
        ]
        for row in study.differences.itertuples()
    ]
    columns = ["accuracy", "arms", "Sharpe ratio", "interval"]
    print_table("Differences, with 95 % intervals over instruments", columns, differences)
    out.print("This guidance was made with knowledge of later bars: a control, not a result.", style="bold red")
