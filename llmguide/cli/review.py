"""Commands of the expert review: its page, a language model as a judge, and what came of it."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmguide.cli.app import app
from llmguide.cli.configured import Commands
from llmguide.cli.groups import Endpoint, Limits, grouped
from llmguide.cli.options import Json, PlanOnly, Replay
from llmguide.cli.outputs import writable
from llmguide.cli.reading import split_names
from llmguide.counting import counted
from llmguide.errors import GuidanceError

if TYPE_CHECKING:
    from llmguide.experiments.review import ReviewResult
    from llmguide.guidance.review.packet import Packet

__all__ = ["review"]

review = Commands(
    help="Have people review a model's decisions blind: first their own direction, then the model's reasons.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(review, name="review")

Run = Annotated[
    Path | None,
    typer.Argument(
        metavar="[RUN]",
        help="Run folder of `llmguide prompts`, or a file of `llmguide guide --advice`; leave out to continue a "
        "review.",
    ),
]
Folder = Annotated[Path, typer.Option("--out", help="Folder of the review: its months and the reviewers' answers.")]
Months = Annotated[int | None, typer.Option(min=1, help="Number of months shown to each reviewer; 10 by default.")]
Reviewed = Annotated[
    str | None,
    typer.Option("--prompts", help="Prompts whose answers are reviewed, separated by commas; all by default."),
]
Seed = Annotated[int | None, typer.Option(help="Random seed for the draw of months and their order; 0 by default.")]


@review.command("open")
def open_(
    run: Run = None,
    reviewers: Annotated[
        str, typer.Option("--reviewers", help="Names of the reviewers, separated by commas; each gets a link.")
    ] = "reviewer",
    months: Months = None,
    prompts: Reviewed = None,
    seed: Seed = None,
    out: Folder = Path("runs/review"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Local port; any free one by default.")] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the first reviewer's page in a browser.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Serve a review on this machine, and save every answer as it is given.

    The page is reachable only from this machine, and only through the printed link. Ctrl-C ends the review; the same
    command, or `llmguide review open --out FOLDER`, resumes where each reviewer stopped.
    """
    import sys
    import webbrowser

    from llmguide.cli.stopping import Interrupted, exit_code
    from llmguide.console import err, print_json
    from llmguide.experiments.folder_lock import FolderLock
    from llmguide.guidance.review.sheet import check_reviewers
    from llmguide.review_server import ReviewServer

    names = check_reviewers(split_names(reviewers) or [])
    writable(out, folder=True)
    packet = _packet(run, out, months, prompts, seed)
    lock = FolderLock(out)
    _begin(packet, out)

    def told(name: str, done: int, of: int) -> None:
        err.print(f"{name}: {done} of {of} months", style="green" if done == of else None)

    with ReviewServer(packet, out, names, port=port, on_month=told) as server:
        if as_json:
            print_json({"folder": str(out), "months": len(packet.months), "links": server.links})
        for name, link in () if as_json else server.links.items():
            typer.echo(f"{name}: {link}")
        sys.stdout.flush()
        err.print("Ctrl-C ends the review; every answer is kept as it is given")
        if browser:
            webbrowser.open(next(iter(server.links.values())))
        try:
            server.wait()
        except KeyboardInterrupt as stop:
            counts = ", ".join(f"{name} {sheet.turn(packet)}" for name, sheet in server.sheets.items())
            raise Interrupted(
                f"review ended; {out} keeps all answers (months done of {len(packet.months)}: {counts}); "
                f"see them with: llmguide review results {out}",
                exit_code(stop),
            ) from None
        finally:
            del lock


@review.command()
def page(
    run: Run = None,
    months: Months = None,
    prompts: Reviewed = None,
    seed: Seed = None,
    out: Folder = Path("runs/review"),
    as_json: Json = False,
) -> None:
    """Export the review as one HTML file to send to reviewers; each sends back a file of answers.

    It works without a server and sends nothing. The model's answers are inside it, merely encoded: someone who wants to
    look at them before answering can.
    """
    from llmguide.console import print_json
    from llmguide.report.review_page import write_review

    writable(out, folder=True)
    packet = _packet(run, out, months, prompts, seed)
    _begin(packet, out)
    path = write_review(packet, out / "review.html")
    if as_json:
        print_json({"page": str(path), "months": len(packet.months), "packet": packet.id})
        return
    typer.echo(f"{path}: {counted(len(packet.months), 'month')}")
    typer.echo(f"with the files that come back: llmguide review results {out} review-NAME.json ...")


@review.command()
@grouped
def judge(
    *,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the review.")] = Path("runs/review"),
    endpoint: Endpoint,
    limits: Limits,
    replay: Replay = False,
    plan: PlanOnly = False,
    as_json: Json = False,
) -> None:
    """Have a language model score the same months by the same rubric.

    Preferably use a different model from the one that answered. Its scores are shown beside people's, never pooled with
    them.
    """
    from datetime import UTC, datetime

    from llmguide.cli.asking import Asking, print_costs, print_plan
    from llmguide.console import out as screen
    from llmguide.console import print_json, records
    from llmguide.guidance.planning import plan_judge
    from llmguide.guidance.review.judge import judge_sheet, run_judge
    from llmguide.guidance.review.packet import Packet
    from llmguide.guidance.review.sheet import save_sheet

    packet = Packet.read(folder)
    asking = Asking(endpoint, limits, replay)
    access = asking.access()
    if plan:
        print_plan(plan_judge(packet, access), as_json=as_json)
        return
    name = f"judge-{packet.id}-{access.model}"
    judged, costs = asking.put(partial(run_judge, packet), len(packet.months), name=name, quiet=as_json)
    sheet = judge_sheet(packet, judged, model=access.model, at=datetime.now(UTC))
    path = save_sheet(folder, sheet)
    missing = len(packet.months) - len(sheet.answers)
    if as_json:
        print_json({"path": str(path), "months": len(sheet.answers), "missing": missing, "costs": records(costs)})
        return
    typer.echo(f"{path}: {len(sheet.answers)} of {len(packet.months)} months")
    if missing:
        screen.print(f"{missing} without a usable answer: left out", style="yellow")
    print_costs(costs)
    typer.echo(f"see them with: llmguide review results {folder}")


@review.command()
def results(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER] [FILES...]", help="Folder of the review, and files of answers from its page."),
    ] = None,
    exemplars: Annotated[
        Path | None,
        typer.Option(help="Write the reviewers' directions and reasons to this JSON file, for tune --exemplars."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the bootstrap.")] = 0,
    as_json: Json = False,
) -> None:
    """Show the results of a review: scores by prompt, agreement between reviewers, and accuracy of the directions.

    Writes tables into the review folder. The outcomes of the months are used only here.
    """
    from llmguide.console import print_json, records
    from llmguide.experiments.review import write_results
    from llmguide.files import write_json

    if exemplars is not None:
        writable(exemplars)
    folder, result = find_review(sources or [Path("runs/review")], seed=seed)
    write_results(result, folder)
    if exemplars is not None:
        write_json(exemplars, result.exemplars)
    if as_json:
        tables = {name: records(getattr(result, name)) for name in ("scores", "alpha", "agreement", "judges")}
        print_json({"folder": str(folder), **result.settings, **tables, "exemplars": len(result.exemplars)})
        return
    show_review(result)
    if exemplars is not None:
        typer.echo(f"{len(result.exemplars)} exemplars in {exemplars}")
    typer.echo(f"tables: {folder}")


def find_review(sources: list[Path], *, seed: int = 0) -> tuple[Path, ReviewResult]:
    """Return the folder among paths of a review's folder and files of answers, and what came of the review."""
    from llmguide.experiments.review import judge_review
    from llmguide.guidance.review.packet import Packet
    from llmguide.guidance.review.sheet import find_sheets

    folders = [path for path in sources if path.is_dir()]
    if len(folders) != 1:
        raise GuidanceError(
            f"expected the folder of one review among {', '.join(map(str, sources))}, got {len(folders)}; give the "
            "folder that `llmguide review` wrote, and files of answers beside it"
        )
    packet = Packet.read(folders[0])
    files = [path for path in sources if not path.is_dir()]
    return folders[0], judge_review(packet, find_sheets(folders[0], packet, files), seed=seed)


def show_review(result: ReviewResult) -> None:
    """Print the tables of a review."""
    from llmguide.console import number, print_table
    from llmguide.console import out as screen
    from llmguide.experiments.review import review_data
    from llmguide.experiments.review.result import PEOPLE
    from llmguide.report.review_tables import review_tables

    for by, scores in result.scores.groupby("by", sort=False):
        lines: Any = scores.itertuples(index=False)
        rows = [
            [
                f"{row.prompt} {row.criterion}",
                number(row.score),
                f"{number(row.low)} to {number(row.high)}" if math.isfinite(row.low) else "n/a",
                str(row.months),
                str(row.reviewers),
            ]
            for row in lines
        ]
        title = "Expert review by prompt" if by == PEOPLE else f"Scored by a language model, {by}"
        print_table(title, ["prompt, criterion", "score", "95 %", "months", "reviewers"], rows)
    tables = review_tables(review_data(result))
    for table in tables[result.scores["by"].nunique() :]:
        print_table(table.title, list(table.columns), [list(row) for row in table.rows])
    for note in (note for table in tables for note in table.notes):
        screen.print(note, style="dim", soft_wrap=True)


def _packet(run: Path | None, out: Path, months: int | None, prompts: str | None, seed: int | None) -> Packet:
    """Return the packet of a review's folder, drawn from a run where there is none yet; nothing is written."""
    from llmguide.guidance.review.kept import read_kept
    from llmguide.guidance.review.packet import MONTHS, PACKET_FILE, Packet, choose

    there = Packet.read(out) if (out / PACKET_FILE).exists() else None
    if run is None:
        if there is None:
            raise GuidanceError(
                f"{out} holds no review yet; name the run folder of `llmguide prompts` whose answers are to be reviewed"
            )
        if (months, prompts, seed) != (None, None, None):
            raise GuidanceError("--months, --prompts and --seed draw the months of a RUN; name it, or leave them out")
        return there
    packet = choose(read_kept(run), months=months or MONTHS, prompts=split_names(prompts), seed=seed or 0)
    if there is not None and there.id != packet.id:
        raise GuidanceError(
            f"{out} holds another review: {len(there.months)} months, seed {there.seed}; leave {run} out to "
            "continue it, or choose another --out"
        )
    return packet


def _begin(packet: Packet, out: Path) -> None:
    """Store the packet, with what is known by now of its months' outcomes, and say what is wrong with its months."""
    from llmguide.console import err

    packet.write(out)
    if packet.named:
        err.print(
            f"note: {len(packet.named)} of {len(packet.months)} months name their instrument in the data or the "
            "reasons: reviewers may recognise it",
            style="yellow",
            soft_wrap=True,
        )
