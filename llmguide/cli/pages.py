"""Commands that write pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmguide.cli.app import app
from llmguide.cli.options import Json, Periods
from llmguide.cli.outputs import writable
from llmguide.errors import DataError


@app.command()
def tearsheet(
    source: Annotated[Path, typer.Argument(help="Run folder of a comparison, or a CSV or Parquet file.")],
    arm: Annotated[str | None, typer.Option(help="Run folder: which arm.")] = None,
    seed: Annotated[int | None, typer.Option(help="Run folder: which seed; the first by default.")] = None,
    returns: Annotated[str | None, typer.Option(help="File: the column of returns per bar, as fractions.")] = None,
    value: Annotated[str | None, typer.Option(help="File: the column of portfolio values, instead of returns.")] = None,
    periods: Periods = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("tearsheet.html"),
    as_json: Json = False,
) -> None:
    """Write a quantstats tearsheet."""
    from llmguide.console import number, print_json
    from llmguide.metrics import max_drawdown, sharpe_ratio
    from llmguide.report.accounts import run_returns
    from llmguide.report.returns import read_returns
    from llmguide.report.tearsheet import tearsheet as write
    from llmguide.report.tearsheet import value_of

    writable(out)
    if source.is_dir():
        if arm is None:
            raise DataError(f"{source} holds several arms; choose one with --arm")
        series, _ = run_returns(source, arm, seed)
        path = write(source, out, arm=arm, seed=seed, title=title or arm, periods=periods)
    else:
        if (returns is None) == (value is None):
            raise DataError("say what the file holds: --returns COLUMN (fractions per bar) or --value COLUMN (money)")
        series = read_returns(source, returns=returns, value=value)
        path = write(series, out, title=title or source.stem, periods=periods)
    sharpe, drawdown = sharpe_ratio(series, periods=periods), max_drawdown(value_of(series))
    if as_json:
        print_json({"path": str(path), "sharpe": sharpe, "max_drawdown": drawdown})
    else:
        typer.echo(f"{path}: Sharpe ratio {number(sharpe)}, max drawdown {number(drawdown)}")
