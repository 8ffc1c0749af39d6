"""The command that asks whether code uses the future."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmguide.cli.app import app
from llmguide.cli.groups import grouped
from llmguide.cli.options import Json, NamesFile, Symbol, TablesFolder
from llmguide.cli.reading import Reading
from llmguide.errors import AuditError, LlmguideError

if TYPE_CHECKING:
    from llmguide.audit import Audit, AuditResult, Table

SHOWN = 12
"""Findings that are printed; --json has all of them."""


@app.command()
@grouped
def audit(
    *,
    code: Annotated[
        str,
        typer.Argument(
            metavar="CODE",
            help="A Python file with a strategy, an indicator, make_cerebro(bars) or signals(bars); FILE.py:NAME; "
            "module:NAME. With --guidance a provider, with --prompt a prompt.",
        ),
    ],
    file: Annotated[Path, typer.Argument(metavar="BARS", help="File of bars.")],
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Strategy to audit, if the file has several.")
    ] = None,
    function: Annotated[str | None, typer.Option(metavar="NAME", help="Function of the bars to audit.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="Parameter of the code; repeat for each."),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            metavar="NAME=FILE:COLUMN",
            help="Further data that the code takes as NAME; each row is known from the date in COLUMN.",
        ),
    ] = None,
    guidance: Annotated[
        bool, typer.Option("--guidance", help="CODE is rules, oracle, shuffled, inverted, constant, or FILE.py:NAME.")
    ] = False,
    prompt: Annotated[bool, typer.Option("--prompt", help="CODE is P0 to P4, or a template file.")] = False,
    symbol: Symbol = None,
    tables: TablesFolder = None,
    names: NamesFile = None,
    cuts: Annotated[int, typer.Option(min=1, help="Number of alternative futures to run it on.")] = 8,
    seed: Annotated[int, typer.Option(help="Random seed of the alternative futures.")] = 0,
    timeout: Annotated[float, typer.Option(min=1.0, help="Time limit per run, in seconds.")] = 300.0,
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Check a strategy, rule, indicator, guidance or prompt for look-ahead bias.

    The code is run on the bars, and again on bars that end earlier or continue differently; its output up to that point
    must not change. The code need not use llmguide. Exit status 0: nothing found; 1: look-ahead found; 2: the audit
    could not be run.
    """
    from llmguide.audit import Audit
    from llmguide.console import print_json

    try:
        if guidance and prompt:
            raise AuditError("give either --guidance or --prompt, not both")
        settings = Audit(cuts=cuts, seed=seed, timeout=timeout)
        bars = reading.bars(file)
        given = _parameters(param or [])
        if prompt:
            result = _audit_prompt(code, bars, symbol or file.stem.partition("_")[0], tables, names, settings)
        elif guidance:
            result = _audit_guidance(code, bars, settings, given)
        else:
            result = _audit_code(code, bars, settings, given, _tables(table or []), strategy, function)
    except AuditError:
        raise
    except LlmguideError as error:
        raise AuditError(str(error)) from error
    except OSError as error:
        raise AuditError(f"{error.filename}: {error.strerror}") from error
    if as_json:
        print_json(result.to_dict())
    else:
        _show(result)
    raise typer.Exit(result.exit_code)


def _audit_code(
    code: str,
    bars: Any,
    settings: Audit,
    given: dict[str, Any],
    tables: dict[str, Table],
    strategy: str | None,
    function: str | None,
) -> AuditResult:
    from llmguide.audit import audit as run
    from llmguide.audit.loading import load_code

    found, name = load_code(code, strategy=strategy, function=function)
    return run(found, bars, tables=tables, name=name, settings=settings, **given)


def _audit_guidance(code: str, bars: Any, settings: Audit, given: dict[str, Any]) -> AuditResult:
    from llmguide.audit.loading import load_code
    from llmguide.cli.reading import refuse_models
    from llmguide.experiments.auditing import audit_guidance
    from llmguide.guidance import PROVIDERS

    refuse_models(code)
    if code == "file":
        raise AuditError("a finished table cannot be audited; audit the code that makes it")
    if code in PROVIDERS:
        return audit_guidance(code, bars, settings=settings, **given)
    function: Any
    function, name = load_code(code)
    return audit_guidance(function, bars, name=name, settings=settings, **given)


def _audit_prompt(
    code: str, bars: Any, symbol: str, tables: Path | None, names: Path | None, settings: Audit
) -> AuditResult:
    from llmguide.cli.asking import subject_of
    from llmguide.experiments.auditing import audit_prompt

    return audit_prompt(code, subject_of(symbol, bars, tables, names), settings=settings)


def _parameters(given: list[str]) -> dict[str, Any]:
    """Return ``name=value`` as keywords; a value is a Python literal, or else text."""
    import ast

    parameters: dict[str, Any] = {}
    for word in given:
        name, sign, text = word.partition("=")
        if not sign or not name.isidentifier():
            raise AuditError(f"expected --param NAME=VALUE, such as period=20, got {word!r}")
        try:
            parameters[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            parameters[name] = text
    return parameters


def _tables(given: list[str]) -> dict[str, Table]:
    """Return ``NAME=FILE:COLUMN`` as tables by name."""
    import pandas as pd

    from llmguide.audit import Table

    tables = {}
    for word in given:
        name, sign, rest = word.partition("=")
        path, colon, column = rest.rpartition(":")
        if not (sign and colon and name.isidentifier()):
            raise AuditError(f"expected --table NAME=FILE:COLUMN, such as news=news.csv:published, got {word!r}")
        if not Path(path).is_file():
            raise AuditError(f"there is no file {path}; --table is NAME=FILE:COLUMN, such as news=news.csv:published")
        frame = pd.read_parquet(path) if path.endswith(".parquet") else pd.read_csv(path)
        if column in frame:
            frame[column] = pd.to_datetime(frame[column], errors="coerce")
        tables[name] = Table(frame, column)
    return tables


def _show(result: AuditResult) -> None:
    from llmguide.console import out as screen

    colour = ("green", "bold red", "yellow")[result.exit_code]
    screen.print(result.verdict, style=colour, soft_wrap=True)
    first, last = f"{result.first:%Y-%m-%d}", f"{result.last:%Y-%m-%d}"
    screen.print(
        f"{result.runs} runs on {result.bars} bars, {first} to {last}, in {result.seconds:.1f} s; compared up to each "
        f"cut: {result.lines} lines, {result.events} orders or other events",
        soft_wrap=True,
    )
    for finding in result.findings[:SHOWN]:
        screen.print(f"{finding}", soft_wrap=True)
    if len(result.findings) > SHOWN:
        screen.print(f"and {len(result.findings) - SHOWN} more; --json has all of them")
    for note in result.notes():
        screen.print(f"note: {note}", style="yellow", soft_wrap=True)
