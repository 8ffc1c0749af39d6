"""Commands for a live or paper run: see it, stop it, go on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmguide.cli.app import app
from llmguide.cli.configured import Commands
from llmguide.cli.options import Json

__all__ = ["live"]

live = Commands(
    help="Inspect a live or paper run through its journal, and stop it (docs/live.md).",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(live, name="live")

JournalFile = Annotated[Path, typer.Argument(help="Journal of the run (SQLite).")]


@live.command()
def status(journal: JournalFile, *, as_json: Json = False) -> None:
    """Print the account, orders and notes of a run, even while it is running."""
    from dataclasses import asdict

    from llmguide.console import out, print_json, print_table
    from llmguide.live import status as read

    found = read(journal)
    if as_json:
        told = asdict(found)
        told["open"] = [{"id": intent.id, **intent.wanted._asdict()} for intent in found.open]
        told["unknown"] = [{"id": intent.id, **intent.wanted._asdict()} for intent in found.unknown]
        told["notes"] = [note._asdict() for note in found.notes]
        print_json(told)
        return
    held = ", ".join(f"{size:g} {feed}" for feed, size in found.positions.items()) or "nothing"
    lines = [
        f"{'dry run: nothing is sent' if found.dry_run else 'live'}, {found.steps} steps"
        + (f", the last on {found.day}" if found.day else ""),
        f"cash {found.cash:,.2f}, value {found.value:,.2f}, holds {held}",
        f"{found.sent} orders sent, {found.refused} refused, {len(found.open)} open, {len(found.unknown)} "
        "unaccounted for",
        f"kill switch: {'on: ' + found.killed if found.killed else 'off'}",
    ]
    for line in lines:
        out.print(line, markup=False, highlight=False)
    waiting = [("open", intent) for intent in found.open] + [("unaccounted for", intent) for intent in found.unknown]
    if waiting:
        print_table("Open orders", ["order", "", "what"], [[i.id, how, str(i.wanted)] for how, i in waiting])
    if found.notes:
        rows = [[note.at, str(note.step), note.text] for note in found.notes]
        print_table("Latest notes", ["UTC", "step", "note"], rows)


@live.command()
def kill(journal: JournalFile, *, why: Annotated[str, typer.Option(help="Kept in the journal.")] = "by hand") -> None:
    """Turn the kill switch on: cancel open orders, and send no new ones."""
    from llmguide.console import out
    from llmguide.live import kill as turn_on

    out.print(f"kill switch on: {turn_on(journal, why)}", markup=False, highlight=False, soft_wrap=True)


@live.command()
def reset(journal: JournalFile, *, why: Annotated[str, typer.Option(help="Kept in the journal.")]) -> None:
    """Turn the kill switch off again."""
    from llmguide.console import out
    from llmguide.live import reset as turn_off

    turn_off(journal, why)
    out.print("kill switch off", markup=False, highlight=False)


@live.command()
def settle(
    journal: JournalFile,
    order: Annotated[str, typer.Argument(help="Name of the order, as printed by `llmguide live status`.")],
    *,
    filled: Annotated[float, typer.Option(min=0.0, help="Number of shares filled; 0 for none.")] = 0.0,
    price: Annotated[float, typer.Option(min=0.0, help="Average fill price.")] = 0.0,
    fee: Annotated[float, typer.Option(help="Total fees.")] = 0.0,
) -> None:
    """Record the outcome of an order that the broker cannot report; the trader must not be running."""
    from llmguide.console import out
    from llmguide.live import settle as tell

    tell(journal, order, filled=filled, price=price, fee=fee)
    out.print(f"{order}: {filled:g} filled", markup=False, highlight=False)
