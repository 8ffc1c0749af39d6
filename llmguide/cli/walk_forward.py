"""The command that walks forward."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmguide.cli.app import app
from llmguide.cli.config_text import command_again
from llmguide.cli.groups import LanguagePolicy
from llmguide.cli.options import (
    PROVIDERS,
    AnyBars,
    Cash,
    Cost,
    Device,
    Episodes,
    Holdout,
    InsteadOfFiles,
    Json,
    Out,
    Periods,
    Ray,
    Resume,
    Seeds,
    Symbol,
    Symbols,
)
from llmguide.cli.outputs import writable
from llmguide.cli.reading import Reading, parse_seeds, reads_bars, refuse_models, split_names
from llmguide.cli.settings import Settings
from llmguide.errors import DataError, GuidanceError
from llmguide.inline import FUTURE

if TYPE_CHECKING:
    import pandas as pd

    from llmguide.experiments.walk_forward import Walk


@app.command("walk-forward")
@reads_bars
def walk_forward(
    *,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[BARS...]", help="Files of bars of one instrument, oldest first, read as one history."),
    ] = None,
    data: InsteadOfFiles = None,
    symbol: Symbol = None,
    symbols: Symbols = None,
    start: Annotated[str, typer.Option("--from", metavar="DATE", help="First day to trade.")],
    until: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Last day to trade; the last bar by default.")
    ] = None,
    window: Annotated[
        str,
        typer.Option(
            metavar="LENGTH", help="Length of a window in years, months, weeks, days or bars, such as 1y, 6m or 250b."
        ),
    ] = "1y",
    train: Annotated[
        str,
        typer.Option(
            metavar="LENGTH", help="Train on all bars before a window (anchored), or on a rolling length such as 3y."
        ),
    ] = "anchored",
    guidance: Annotated[
        Path | None,
        typer.Option(help="Guidance table; with --data, a folder of tables, SYMBOL.parquet or .csv."),
    ] = None,
    any_bars: AnyBars = False,
    provider: Annotated[
        str | None, typer.Option(help=f"Make the guidance afresh for each window: {PROVIDERS}.")
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option(
            help="Arms, separated by commas; rl,hold by default, with guidance hybrid,rl,llm,hold. The arm flag is "
            "a language model trained to trade (see --base and the options after it)."
        ),
    ] = None,
    seeds: Seeds = "5",
    episodes: Episodes = 50,
    settings: Settings,
    cash: Cash = 100_000.0,
    cost: Cost = 0.001,
    device: Device = "auto",
    ray: Ray = None,
    periods: Periods = None,
    holdout: Holdout = None,
    policy: LanguagePolicy,
    out: Out = Path("runs/walk"),
    resume: Resume = True,
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Walk forward: train on the past, trade the next window, retrain.

    The test bars are split into windows. For each window, every arm is retrained on the bars before it and trades it
    with the account carried over from the previous window, so that one account runs through all of them. The page shows
    every window, their spread, the whole account with confidence intervals, and how much of it may be luck
    (docs/walk_forward.md).
    """
    from llmguide.cli.stopping import resumable
    from llmguide.console import err
    from llmguide.experiments.walk_forward import walk_forward as run

    if guidance is not None and provider is not None:
        raise GuidanceError("give either --guidance or --provider NAME, not both")
    refuse_models(provider)
    names = split_names(arms)
    flag, config = policy.plan_of(names or (), settings), settings.agent(cash=cash, cost=cost)
    bars = _read(files or [], data, symbol, symbols, start, reading)
    source = _guidance(guidance, provider, list(bars), folder=data is not None)
    writable(out, folder=True)
    with resumable(out):
        walk = run(
            bars,
            source,
            start=start,
            until=until,
            window=window,
            train=train,
            arms=names,
            seeds=parse_seeds(seeds),
            episodes=episodes,
            any_bars=any_bars,
            config=config,
            flag=flag,
            device=device,
            periods=periods,
            holdout=holdout,
            out=out,
            resume=resume,
            ray=ray,
            progress=not as_json,
            announce=lambda line: err.print(line, highlight=False),
        )
        page = walk.write(out, command=command_again(out))
    _show(walk, page, as_json=as_json)


def _read(
    files: list[Path], data: Path | None, symbol: str | None, symbols: str | None, start: str, reading: Reading
) -> dict[str, pd.DataFrame]:
    """Return the bars that the options name, by symbol; a folder's must go on from before the first traded day."""
    from llmguide.experiments.markets import find_markets

    if bool(files) == (data is not None):
        raise DataError("give either files of BARS, or --data FOLDER")
    if data is None:
        if symbols is not None:
            raise DataError("--symbols is for --data; the instrument of files of BARS is named by --symbol")
        return {symbol or files[0].stem.split("_")[0]: reading.history(files)}
    if symbol is not None:
        raise DataError("--symbol is for files of BARS; with --data use --symbols")
    markets = find_markets(data, split_names(symbols), split=start, **reading.options)
    return {market.symbol: market.bars for market in markets}


def _guidance(table: Path | None, provider: str | None, symbols: list[str], *, folder: bool) -> Any:
    """Return where the guidance comes from; None where none was asked for."""
    from functools import partial

    from llmguide.guidance import Guidance
    from llmguide.guidance import guide as make

    if provider is not None:
        made: Callable[..., Any] = partial(make, provider=provider)
        return made
    if table is None or folder:
        return table
    return {symbols[0]: Guidance.read(table)}


def _show(walk: Walk, page: Path, *, as_json: bool) -> None:
    from llmguide.console import number, print_json, print_table, records
    from llmguide.console import out as screen
    from llmguide.experiments.rows import walk_table

    names = ("stitched", "windows", "spread", "intervals", "luck", "tests")
    if as_json:
        tables = {name: records(getattr(walk, name)) for name in names}
        print_json({"page": str(page), "uses_future": walk.uses_future} | tables)
        return
    print_table(*walk_table(walk.stitched, walk.spread))
    rows = [
        [row["symbol"], _named(row), number(row["sr"]), number(row["hurdle"]), number(row["deflated"]),
         number(row["pbo"])]
        for row in records(walk.luck)
    ]  # fmt: skip
    print_table(
        "The best run, and whether it may be luck", ["instrument", "run", "SR", "hurdle", "deflated SR", "PBO"], rows
    )
    if walk.uses_future:
        screen.print(FUTURE, style="bold red")
    typer.echo(f"page: {page}")


def _named(row: dict[str, Any]) -> str:
    if row["arm"] is None or row["arm"] != row["arm"]:
        return "n/a"
    return str(row["arm"]) if row["seed"] < 0 else f"{row['arm']}, seed {row['seed']:.0f}"
