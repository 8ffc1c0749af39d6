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
    arm: Annotated[str | None, typer.Option(help="Run folder: arm to show.")] = None,
    seed: Annotated[int | None, typer.Option(help="Run folder: seed to show; the first by default.")] = None,
    all_seeds: Annotated[
        bool, typer.Option("--all-seeds", help="Run folder: write one page with the measures and curves of every seed.")
    ] = False,
    returns: Annotated[str | None, typer.Option(help="File: column of returns per bar, as fractions.")] = None,
    value: Annotated[str | None, typer.Option(help="File: column of portfolio values, instead of returns.")] = None,
    periods: Periods = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("tearsheet.html"),
    as_json: Json = False,
) -> None:
    """Write a quantstats tearsheet.

    A tearsheet shows one run: the arm's first seed, or --seed. With --all-seeds, the page covers every seed of the arm
    instead.
    """
    from llmguide.console import number, print_json
    from llmguide.report.returns import read_returns
    from llmguide.report.tearsheet import tearsheet as write

    writable(out)
    if not source.exists():
        raise DataError(f"there is no file or folder {source}; give a comparison's run folder, or a file of returns")
    if source.is_dir():
        if all_seeds and arm is not None:
            _write_seeds(source, arm, seed, out, title, periods, as_json)
            return
        made = write(source, out, arm=arm, seed=seed, title=title, periods=periods)
    else:
        if arm is not None or seed is not None or all_seeds:
            raise DataError(
                f"--arm, --seed and --all-seeds are for a run folder, and {source} is a file; leave them out"
            )
        if (returns is None) == (value is None):
            raise DataError("name the column to read: --returns COLUMN (fractions per bar) or --value COLUMN (money)")
        series = read_returns(source, returns=returns, value=value)
        made = write(series, out, strategy=source.stem, title=title, periods=periods)
    if as_json:
        print_json(
            {
                "path": str(made.path),
                "account": made.strategy,
                "instrument": made.instrument,
                "benchmark": made.benchmark,
                "sharpe": made.sharpe,
                "max_drawdown": made.max_drawdown,
                "total_return": made.total_return,
                "periods": made.periods,
            }
        )
        return
    on = f" on {made.instrument}" if made.instrument else ""
    against = f", beside {made.benchmark}" if made.benchmark else ""
    measures = f"Sharpe ratio {number(made.sharpe)}, max drawdown {number(made.max_drawdown)}"
    typer.echo(f"{made.path}: {made.strategy}{on}{against}: {measures}")


def _write_seeds(
    folder: Path, arm: str, seed: int | None, out: Path, title: str, periods: float | None, as_json: bool
) -> None:
    """Write the page of all seeds, and say what is on it."""
    from llmguide.console import number, print_json, records
    from llmguide.counting import counted
    from llmguide.report.seeds_page import write_seeds

    if seed is not None:
        raise DataError("give either --seed or --all-seeds, not both")
    found = write_seeds(folder, arm, out, title=title, periods=periods)
    if as_json:
        print_json({"path": str(out), "arm": arm, "seeds": records(found.reset_index())})
        return
    means = [number(found[name].mean()) for name in ("sharpe", "max_drawdown")]
    typer.echo(
        f"{out}: {arm}, {counted(len(found), 'seed')}: mean Sharpe ratio {means[0]}, mean max drawdown {means[1]}"
    )
