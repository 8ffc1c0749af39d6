"""The command that tunes a prompt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmguide.cli.app import app
from llmguide.cli.groups import Endpoint, Limits, grouped
from llmguide.cli.options import (
    Cash,
    Cost,
    InsteadOfFiles,
    Json,
    NamesFile,
    Out,
    PlanOnly,
    Replay,
    Symbol,
    Symbols,
    TablesFolder,
)
from llmguide.cli.outputs import writable
from llmguide.cli.reading import Reading, one_history, split_names
from llmguide.errors import GuidanceError

if TYPE_CHECKING:
    from llmguide.experiments.tuning import Tuned
    from llmguide.guidance.tuning.training import HeldOut, TrainingBars


@app.command()
@grouped
def tune(
    *,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[BARS...]", help="Files of training bars of one instrument, oldest first."),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="File of later bars, on which the tuned prompt is tested once.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="First test day, if BARS holds the test bars too; with --data, 2018-01-01 by default."
        ),
    ] = None,
    data: InsteadOfFiles = None,
    symbol: Symbol = None,
    symbols: Symbols = None,
    prompt: Annotated[
        str, typer.Option(help="Prompt to tune: P0 to P4, or a template file that extends one of them.")
    ] = "P0",
    exemplars: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Decisions that experts consider right (.csv or .json); see docs/tuning.md."),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="Number of non-overlapping years drawn from each instrument.")
    ] = 5,
    rounds: Annotated[int, typer.Option(min=1, help="Maximum number of prompts tried on each of them.")] = 3,
    window: Annotated[int, typer.Option(min=2, metavar="BARS", help="Bars per year.")] = 252,
    target: Annotated[float, typer.Option(help="Sharpe ratio that a prompt should reach.")] = 0.8,
    every: Annotated[int | None, typer.Option(help="Trading days between two decisions; 20 by default.")] = None,
    seed: Annotated[
        int, typer.Option(help="Random seed for the years, the groups of rationales and the bootstrap.")
    ] = 0,
    cash: Cash = 100_000.0,
    cost: Cost = 0.001,
    tables: TablesFolder = None,
    names: NamesFile = None,
    endpoint: Endpoint,
    limits: Limits,
    replay: Replay = False,
    plan: PlanOnly = False,
    out: Out = Path("runs/tune"),
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Let a model write its own prompt: Writer, Trainer and Judge, on training bars (docs/tuning.md).

    For each of several random years, the model explains decisions that were right in hindsight, turns the explanations
    into instructions, sees what following them earned, criticises and rewrites them. The best become OUT/tuned.md, a
    template for the --prompt option of any command. Tuning never reads test bars; with --test or --split, the tuned
    prompt is then tested on them once, beside the untuned one.
    """
    from llmguide.cli.asking import Asking, print_plan
    from llmguide.experiments.tuning import plan_tuning, tune_study
    from llmguide.experiments.tuning.account import Account
    from llmguide.experiments.tuning.run import questions, tuning_asker
    from llmguide.files import write_csv
    from llmguide.guidance.tuning.exemplars import read_exemplars
    from llmguide.guidance.tuning.study import TuningStudy

    asking = Asking(endpoint, limits, replay)
    training, tests = _read(files or [], test, split, data, symbol, symbols, tables, names, reading)
    subjects = [one.subject for one in training]
    study = TuningStudy(
        tuple(training),
        prompt,
        asking.study(subjects, [prompt], every=every).brief,
        repeats=repeats,
        rounds=rounds,
        length=window,
        target=target,
        experts=() if exemplars is None else read_exemplars(exemplars),
        seed=seed,
    )
    account = Account(cash, cost)
    access = asking.access()
    if plan:
        print_plan(plan_tuning(study, access, tests=tests, account=account), as_json=as_json)
        return
    writable(out, folder=True)
    asker = tuning_asker(study, access)

    def run(on_each: Any, **said: Any) -> Tuned:
        return tune_study(study, asker, tests=tests, account=account, on_answer=on_each, **said)

    tuned = asking.walked(run, asker, questions(study, tests), quiet=as_json, unit="questions")
    page = tuned.write(out)
    costs = asker.costs()
    write_csv(costs, out / "llm_costs.csv")
    _show(tuned, costs, page, out, as_json=as_json)


def _read(
    files: list[Path],
    test: Path | None,
    split: str | None,
    data: Path | None,
    symbol: str | None,
    symbols: str | None,
    tables: Path | None,
    names: Path | None,
    reading: Reading,
) -> tuple[list[TrainingBars], list[HeldOut]]:
    """Return the training bars that the options name, and apart from them the test bars, if there are any."""
    from llmguide.bars import bound_period
    from llmguide.cli.asking import subject_of, subjects_of
    from llmguide.experiments.markets import SPLIT, find_markets
    from llmguide.guidance.tuning.training import TrainingBars, split_subject

    if bool(files) == (data is not None):
        raise GuidanceError("give either files of BARS, or --data FOLDER")
    if data is not None:
        if symbol is not None or names is not None or test is not None:
            raise GuidanceError(
                "--symbol, --names and --test are for files of BARS; with --data use --symbols, --split"
            )
        markets = find_markets(data, split_names(symbols), split=split or SPLIT, **reading.options)
        subjects = subjects_of(markets, tables)
        cut = [split_subject(one, market.test.index[0]) for one, market in zip(subjects, markets, strict=True)]
        return [training for training, _ in cut], [held_out for _, held_out in cut]
    if symbols is not None:
        raise GuidanceError("--symbols is for --data; the instrument of files of BARS is named by --symbol")
    if test is not None and split is not None:
        raise GuidanceError("give either --test FILE, or --split DATE where BARS hold the test bars too")
    name = symbol or files[0].stem.split("_")[0]
    parts = [(path, reading.bars(path)) for path in (files if test is None else [*files, test])]
    history = one_history(parts)
    subject = subject_of(name, history, tables, names)
    if test is not None:
        first = parts[-1][1].index[0]
    elif split is not None:
        first = bound_period("split", split).start_time
    else:
        return [TrainingBars(subject)], []
    training, held_out = split_subject(subject, first.normalize())
    return [training], [held_out]


def _show(tuned: Tuned, costs: Any, page: Path, out: Path, *, as_json: bool) -> None:
    from llmguide.cli.asking import print_costs
    from llmguide.console import number, print_json, print_table, records
    from llmguide.console import out as screen

    template = None if tuned.template is None else str(out / "tuned.md")
    outside = tuned.run.study.placed.outside
    if as_json:
        frames = {"rounds": tuned.rounds, "finals": tuned.finals, "costs": costs}
        found = {name: records(frame.astype(object).where(frame.notna(), None)) for name, frame in frames.items()}
        proof = None if tuned.proof is None else records(tuned.proof.table)
        pedigree = tuned.pedigree
        print_json(
            {
                "page": str(page),
                "template": template,
                "summary": tuned.summary,
                **tuned.settings,
                **found,
                "test_accounts": proof,
                "pedigree": pedigree,
            }
        )
        return
    screen.print(tuned.summary, soft_wrap=True)
    rows = [
        [
            f"repeat {row['repeat']}, round {row['round']}",
            number(row["sharpe"]),
            number(row["baseline"]),
            number(row["target"]),
            number(row["regret"]),
            row["failure"] or row["why"],
        ]
        for row in records(tuned.rounds)
    ]
    print_table("Prompts tried on the training bars", ["prompt", "V_t", "untuned", "V*", "regret", "why"], rows)
    if tuned.proof is not None:
        rows = [
            [f"{row['symbol']} {row['account']}", number(row["sr"]), number(row["mdd"]), str(row["abstentions"])]
            for row in records(tuned.proof.table)
        ]
        print_table("Test bars", ["account", "SR", "MDD", "abstained"], rows)
    if outside:
        screen.print(
            f"{outside} of the exemplars are for other instruments or outside the training days, and were left out",
            style="yellow",
        )
    print_costs(costs)
    if template is not None:
        typer.echo(f"template: {template} (use it with --prompt {template})")
    typer.echo(f"page: {page}")
