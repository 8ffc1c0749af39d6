"""Commands that make guidance, show how it is asked for, and compare prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmguide.cli.app import app
from llmguide.cli.groups import Endpoint, Instruments, Limits, grouped
from llmguide.cli.options import (
    PROVIDERS,
    Batch,
    Calibrate,
    Cash,
    Cost,
    Cutoff,
    DataFolder,
    Debias,
    Json,
    NamesFile,
    Out,
    PlanOnly,
    Replay,
    Samples,
    Split,
    Symbols,
    TablesFolder,
)
from llmguide.cli.outputs import writable
from llmguide.cli.reading import Reading, split_names
from llmguide.errors import GuidanceError
from llmguide.inline import FUTURE

if TYPE_CHECKING:
    from llmguide.guidance import Guidance
    from llmguide.guidance.advice import Advice
    from llmguide.guidance.doubt.suppression import Suppression
    from llmguide.guidance.review.kept import KeptMonth
    from llmguide.guidance.study import Study
    from llmguide.stats.calibration import Method

MODELS = ("llm", "local", "replay")
FOR_MODELS = (
    *("prompt", "symbol", "data", "symbols", "split", "tables", "names", "model", "model_file", "cache", "base_url"),
    *("settings", "levels", "budget", "prices", "in_flight", "plan", "batch", "suppress_memory"),
    *("alpha", "cutoff", "debias", "samples", "calibrate", "advice", "factors"),
)
FOR_OTHERS = ("accuracy", "confidence", "direction", "source", "seed")


@app.command()
@grouped
def guide(
    *,
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[BARS...]", help="Files of bars, oldest first: training, then test."),
    ] = None,
    provider: Annotated[
        str,
        typer.Option(
            help=f"Source of the guidance: llm, local (--model-file), replay (cached answers only), {PROVIDERS}, or "
            "file."
        ),
    ] = "rules",
    every: Annotated[int | None, typer.Option(help="Trading days between rows; 20 by default.")] = None,
    accuracy: Annotated[float | None, typer.Option(help="oracle: share of correct directions.")] = None,
    confidence: Annotated[str | None, typer.Option(help="oracle: constant or varying; constant: 1, 2 or 3.")] = None,
    direction: Annotated[int | None, typer.Option(help="constant: 1 long, 0 short.")] = None,
    source: Annotated[Path | None, typer.Option(help="file, shuffled, inverted: source table.")] = None,
    seed: Annotated[int | None, typer.Option(help="oracle, shuffled: random seed.")] = None,
    prompt: Annotated[
        str, typer.Option(help="llm, replay: P0 to P4, or a template file; several with --data, separated by commas.")
    ] = "P4",
    symbol: Annotated[
        str | None,
        typer.Option(help="llm, replay: name of the instrument; by default the file name up to the first _."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="llm, replay: folder of bars of several instruments, instead of BARS.")
    ] = None,
    symbols: Symbols = None,
    split: Split = "2018-01-01",
    tables: TablesFolder = None,
    names: NamesFile = None,
    endpoint: Endpoint,
    limits: Limits,
    batch: Batch = False,
    plan: PlanOnly = False,
    suppress_memory: Annotated[
        bool,
        typer.Option(
            "--suppress-memory",
            help="llm, replay: remove from each direction what the model answers from memory alone, given only "
            "name and date.",
        ),
    ] = False,
    alpha: Annotated[
        float | None,
        typer.Option(
            help="--suppress-memory: how much of it to remove; by default as estimated from the months whose outcome "
            "was known by then."
        ),
    ] = None,
    cutoff: Cutoff = None,
    debias: Debias = False,
    samples: Samples = None,
    calibrate: Calibrate = None,
    factors: Annotated[
        Path | None,
        typer.Option(
            help="llm, replay: also write the Analyst's factors (.parquet or .csv) for the states of `llmguide "
            "flag`; with --data, a folder for SYMBOL.parquet."
        ),
    ] = None,
    advice: Annotated[
        Path | None,
        typer.Option(
            "--advice",
            metavar="FILE",
            help="Also write each month's question and answer (.json) for `llmguide review`.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Table to write (.parquet or .csv); with --data, a folder for SYMBOL.parquet or PROMPT/SYMBOL.parquet."
        ),
    ] = None,
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Make guidance tables for bars.

    Several files are read as one history, so that the first test months can look back into the training bars. With a
    language model (llm), every answer is cached: the same command resumes after an interruption, and costs nothing the
    second time.
    """
    from llmguide.cli.asking import Asking, print_plan, read_subjects
    from llmguide.cli.calibrating import read_method
    from llmguide.guidance import PROVIDERS as known_providers
    from llmguide.guidance.news.telling import factors_of
    from llmguide.guidance.review.kept import write_kept

    if (not files) == (data is None):
        raise GuidanceError("give either files of BARS, or --data FOLDER")
    if provider not in MODELS:
        if provider in known_providers:
            _refuse(context, FOR_MODELS, f"is for --provider llm, local or replay, not for {provider}; leave it out")
        options: dict[str, Any] = {
            "every": every,
            "accuracy": accuracy,
            "confidence": int(confidence) if confidence and confidence.isdigit() else confidence,
            "direction": direction,
            "source": source,
            "seed": seed,
        }
        _guide_without_model(list(files or []), provider, options, out or Path("guidance.parquet"), as_json, reading)
        return
    _refuse(
        context,
        FOR_OTHERS,
        f"is not for --provider {provider}, which takes its settings from --settings FILE; leave it out",
    )
    if provider == "local" and endpoint.model_file is None:
        raise GuidanceError("--provider local needs --model-file MODEL.gguf")
    if provider == "llm" and endpoint.model_file is not None:
        raise GuidanceError(
            "--model-file is for --provider local, which serves the file; --provider llm asks an endpoint"
        )
    if data is None and out is not None and out.suffix.lower() not in (".parquet", ".csv"):
        # Before anything is paid for, not when it is to be written.
        raise GuidanceError(f"expected --out to end in .parquet or .csv, got {str(out)!r}; rename it")
    asking = Asking(endpoint, limits, provider == "replay", batch)
    prompts = split_names(prompt) or []
    asked = Instruments(files=files, data=data, symbol=symbol, symbols=symbols, split=split, all_months=True)
    subjects = read_subjects(asked, tables, names, reading)
    if data is None and len(prompts) > 1:
        raise GuidanceError("several prompts give several tables; use --data FOLDER --out FOLDER, or llmguide prompts")
    suppress, method = _suppression(suppress_memory, alpha, cutoff), read_method(calibrate)
    study = asking.study(subjects, prompts, every=every, suppress=suppress, debias=debias, samples=samples)
    news = {} if factors is None else _factor_paths(study, factors, folder=data is not None)
    if plan:
        print_plan(asking.plan(study), as_json=as_json)
        return
    place = out or Path("guidance.parquet" if data is None else "guidance")
    writable(place, folder=data is not None)
    for path in _paths(study, place).values() if data is not None else ():
        writable(path)
    for path in (*news.values(), *(() if advice is None else (advice,))):
        writable(path)
    all_advice, costs, left_out = asking.ask(study, quiet=as_json)
    for name, path in news.items():
        factors_of(all_advice, symbol=name).save(path)
    if advice is not None:
        write_kept(_kept(study, all_advice), advice)
    _write_guidance(study, all_advice, costs, left_out, provider, place, data is not None, as_json, method)
    if not as_json:
        for path in news.values():
            typer.echo(f"news factors: {path}")


@app.command()
@grouped
def prompt(
    *,
    files: Annotated[
        list[Path], typer.Argument(metavar="BARS...", help="Files of bars, oldest first: training, then test.")
    ],
    date: Annotated[
        str, typer.Option(help="Show the prompt behind the guidance in force on this day, such as 2018-02-14.")
    ],
    following: Annotated[
        bool, typer.Option("--next", help="Show the prompt of the next decision after that day instead.")
    ] = False,
    prompt: Annotated[str, typer.Option(help="Prompt to show: P0 to P4, or a template file.")] = "P4",
    role: Annotated[str, typer.Option(help="Role whose prompt to show: strategist or analyst.")] = "strategist",
    every: Annotated[int | None, typer.Option(help="Trading days between decisions; 20 by default.")] = None,
    symbol: Annotated[
        str | None, typer.Option(help="Name of the instrument; by default the file name up to the first _.")
    ] = None,
    tables: TablesFolder = None,
    names: NamesFile = None,
    endpoint: Endpoint,
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Show exactly what would be sent to the language model for one month; nothing is sent.

    Prints the messages; with --json, also the reply schema and the sampling settings. Earlier decisions and the
    Analyst's factors come from the cache; a placeholder in brackets marks what is not cached.
    """
    from llmguide.cli.asking import Asking, read_subjects
    from llmguide.console import err, print_json
    from llmguide.console import out as screen
    from llmguide.guidance.preview import preview

    asking = Asking(endpoint)
    (subject,) = read_subjects(Instruments(files=files, symbol=symbol), tables, names, reading)
    study = asking.study([subject], [prompt], every=every)
    shown = preview(study, asking.access(), day=date, following=following, role=role)
    if as_json:
        print_json({"issued_at": shown.issued_at, "missing": shown.missing, "requests": shown.requests})
        return
    for line in (f"the decision of {shown.issued_at:%Y-%m-%d}", *shown.missing):
        err.print(f"note: {line}", style="yellow", soft_wrap=True)
    for request in shown.requests:
        for message in request["messages"]:
            screen.print(f"----- {message['role']} -----", style="bold")
            typer.echo(f"{message['content']}\n")  # as it is: a Console would replace tabs and :codes:


@app.command()
@grouped
def prompts(
    *,
    data: DataFolder,
    symbols: Symbols = None,
    versions: Annotated[
        str, typer.Option("--prompts", help="Prompts, separated by commas: P0 to P4, or template files.")
    ] = "P0,P1,P2,P3,P4",
    split: Split = "2018-01-01",
    all_months: Annotated[
        bool,
        typer.Option(
            "--all-months", help="Ask about the training months too, not only those in force on the test bars."
        ),
    ] = False,
    tables: TablesFolder = None,
    endpoint: Endpoint,
    debias: Debias = False,
    samples: Samples = None,
    limits: Limits,
    replay: Replay = False,
    batch: Batch = False,
    plan: PlanOnly = False,
    calibrate: Calibrate = None,
    reviews: Annotated[
        list[Path] | None,
        typer.Option(
            "--reviews",
            metavar="FOLDER|FILE",
            help="Folder of an expert review of these answers (`llmguide review`), or a further file of answers; "
            "repeat for each.",
        ),
    ] = None,
    cash: Cash = 100_000.0,
    cost: Cost = 0.001,
    out: Out = Path("runs/prompts"),
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Compare prompts (Experiment 1).

    Asks for guidance for every month in force on the test bars, for each instrument and prompt, trades it, and writes
    tables, tests, costs and a page that shows each month's prompt, factors, reasons and outcome side by side.
    """
    from llmguide.cli.asking import (
        Asking,
        print_costs,
        print_plan,
        print_revisions,
        print_timed_out,
        print_without_factors,
        revisions,
        subjects_of,
        timed_out,
        without_factors,
    )
    from llmguide.cli.calibrating import read_method
    from llmguide.cli.review import find_review, show_review
    from llmguide.console import print_json, print_prompts, records
    from llmguide.experiments.markets import find_markets
    from llmguide.experiments.prompts import judge_prompts
    from llmguide.guidance.review.kept import ADVICE_FILE, write_kept

    asking = Asking(endpoint, limits, replay, batch)
    method = read_method(calibrate)
    markets = find_markets(data, split_names(symbols), split=split, **reading.options)
    subjects = subjects_of(markets, tables, test_only=not all_months)
    study = asking.study(subjects, split_names(versions) or [], debias=debias, samples=samples)
    if plan:
        print_plan(asking.plan(study), as_json=as_json)
        return
    writable(out, folder=True)
    reviewed = None if reviews is None else find_review(reviews)[1]
    advice, costs, left_out = asking.ask(study, quiet=as_json)
    kept = _kept(study, advice)
    write_kept(kept, out / ADVICE_FILE)
    if reviewed is not None:
        reviewed.check(kept)
    judged = judge_prompts(
        advice, markets, cash=cash, cost=cost, calibrate=method, every=study.brief.every, reviews=reviewed
    )
    page = judged.write(out)
    _write_costs(costs, out)
    if as_json:
        print_json(
            {
                "page": str(page),
                "table": records(judged.table),
                "tests": records(judged.tests),
                "scores": records(judged.scores),
                "reviews": [] if judged.reviews is None else records(judged.reviews.scores),
                "without_entropy": judged.without_entropy,
                "tokens_misfit": _misfits(advice),
                "timed_out": timed_out(advice),
                "left_out": left_out,
                **revisions(advice),
                "without_factors": without_factors(advice),
                "costs": records(costs),
            }
        )
        return
    print_prompts(judged)
    if judged.reviews is not None:
        show_review(judged.reviews)
    print_timed_out(advice)
    _print_misfits(advice)
    print_revisions(study, advice)
    print_without_factors(advice)
    print_costs(costs)
    typer.echo(f"page: {page}")


def _kept(study: Study, advice: Iterable[Advice]) -> tuple[KeptMonth, ...]:
    """Return the months of a study for its reviewers."""
    from llmguide.guidance.review.kept import keep

    return keep(advice, {subject.symbol: subject.bars for subject in study.subjects}, every=study.brief.every)


def _refuse(context: typer.Context, options: tuple[str, ...], why: str) -> None:
    """Raise GuidanceError if one of these options was given."""
    for option in options:
        source = context.get_parameter_source(option)
        if source is not None and source.name != "DEFAULT":
            raise GuidanceError(f"--{option.replace('_', '-')} {why}")


def _suppression(wanted: bool, alpha: float | None, cutoff: str | None) -> Suppression | None:
    from llmguide.cli.asking import read_cutoff
    from llmguide.guidance.doubt.suppression import Suppression

    if not wanted:
        if alpha is not None or cutoff is not None:
            raise GuidanceError("--alpha and --cutoff are settings of --suppress-memory; add it, or leave them out")
        return None
    return Suppression(alpha, read_cutoff(cutoff))


def _guide_without_model(
    files: list[Path], provider: str, options: dict[str, Any], out: Path, as_json: bool, reading: Reading
) -> None:
    from llmguide.guidance import guide as make

    writable(out)
    table = make(reading.history(files), provider, **options)
    table.save(out)
    _show_table(table, provider, out, as_json, {})


def _write_guidance(
    study: Any,
    advice: Any,
    costs: Any,
    left_out: list[str],
    provider: str,
    out: Path,
    folder: bool,
    as_json: bool,
    method: Method | None,
) -> None:
    """Write the tables of a study, and show what there is to see."""
    from llmguide.cli.asking import (
        print_costs,
        print_revisions,
        print_timed_out,
        print_without_factors,
        revisions,
        timed_out,
        without_factors,
    )
    from llmguide.cli.calibrating import calibration_counts, print_calibrated, tables_of
    from llmguide.console import print_json, print_table, records

    made = tables_of(study, advice, method)
    if not folder:
        (table,) = made.values()
        table.save(out)
        more: dict[str, Any] = {"without_entropy": _without_entropy(table), "tokens_misfit": _misfits(advice)}
        more |= {"timed_out": timed_out(advice), "without_factors": without_factors(advice), "left_out": left_out}
        more |= revisions(advice) | calibration_counts(made, advice)
        _show_table(table, provider, out, as_json, more | {"costs": records(costs)})
        if not as_json:
            print_timed_out(advice)
            _print_misfits(advice)
            print_revisions(study, advice)
            print_calibrated(made, advice, method)
            print_without_factors(advice)
            print_costs(costs)
        return
    written = []
    for (symbol, version), path in _paths(study, out).items():
        table = made[symbol, version]
        table.save(path)
        written.append((symbol, version, path, table))
    _write_costs(costs, out)
    if as_json:
        tables = [
            {
                "symbol": symbol,
                "prompt": version,
                "path": str(path),
                "rows": len(table),
                "without_entropy": _without_entropy(table),
                "tokens_misfit": _misfits(one for one in advice if (one.symbol, one.prompt) == (symbol, version)),
                "without_factors": without_factors(
                    one for one in advice if (one.symbol, one.prompt) == (symbol, version)
                ),
            }
            for symbol, version, path, table in written
        ]
        late = timed_out(advice)
        counts = revisions(advice) | calibration_counts(made, advice)
        print_json({"tables": tables, "timed_out": late, "left_out": left_out, **counts, "costs": records(costs)})
        return
    rows = [
        [
            f"{symbol} {version}",
            str(len(table)),
            str(sum(row.direction == 1 for row in table.rows)),
            str(sum(row.direction == 0 for row in table.rows)),
            str(sum(row.direction is None for row in table.rows)),
            str(_without_entropy(table)),
            str(path),
        ]
        for symbol, version, path, table in written
    ]
    columns = ["table", "rows", "long", "short", "abstains", "no entropy", "file"]
    print_table(f"Guidance by {provider}", columns, rows)
    print_timed_out(advice)
    _print_without_entropy([table for *_, table in written])
    _print_misfits(advice)
    print_revisions(study, advice)
    print_calibrated(made, advice, method)
    print_without_factors(advice)
    print_costs(costs)


def _paths(study: Any, out: Path) -> dict[tuple[str, str], Path]:
    """Return where the table of each (symbol, prompt) of a study goes in the folder `out`."""
    from llmguide.llm.templates import prompt_version

    versions = [prompt_version(prompt) for prompt in study.prompts]
    return {
        (subject.symbol, version): (out / version if len(versions) > 1 else out) / f"{subject.symbol}.parquet"
        for version in versions
        for subject in study.subjects
    }


def _factor_paths(study: Any, factors: Path, *, folder: bool) -> dict[str, Path]:
    """Return where the factors of each instrument with news go; GuidanceError where nobody is asked about news."""
    from llmguide.guidance.strategist import uses_news

    told = [subject.symbol for subject in study.subjects if subject.tables.news is not None]
    if not told or not any(uses_news(prompt) for prompt in study.prompts):
        lacking = "a prompt that includes news, such as P4" if told else "news, in --tables FOLDER as SYMBOL/news.csv"
        raise GuidanceError(
            f"--factors writes the Analyst's factors, which need {lacking}; add that, or leave --factors out"
        )
    if not folder and factors.suffix.lower() not in (".parquet", ".csv"):
        raise GuidanceError(f"expected --factors to end in .parquet or .csv, got {str(factors)!r}; rename it")
    return {symbol: factors / f"{symbol}.parquet" if folder else factors for symbol in told}


def _without_entropy(table: Guidance) -> int:
    """Return how many rows have a direction, but came without log-probabilities."""
    return sum(row.direction is not None and row.entropy is None for row in table.rows)


def _misfits(advice: Any) -> int:
    """Return how many answers have no entropy since their tokens do not fit their text."""
    return sum(one.tokens_misfit for one in advice)


def _print_misfits(advice: Any) -> None:
    from llmguide.console import print_tokens_misfit

    print_tokens_misfit(_misfits(advice))


def _print_without_entropy(tables: Sequence[Guidance]) -> None:
    from llmguide.console import print_without_entropy

    print_without_entropy(sum(map(_without_entropy, tables)), sum(map(len, tables)), "rows")


def _write_costs(costs: Any, folder: Path) -> None:
    from llmguide.files import write_csv

    write_csv(costs, folder / "llm_costs.csv")


def _show_table(table: Guidance, provider: str, path: Path, as_json: bool, more: dict[str, Any]) -> None:
    from llmguide.console import out as screen
    from llmguide.console import print_json, print_table, records

    if as_json:
        summary = {"path": str(path), "rows": len(table), "uses_future": table.uses_future}
        print_json(summary | {"guidance": records(table.frame)} | more)
        return
    columns = ["issued", "direction", "confidence", "tau", "why"]
    print_table(f"Guidance by {provider}: last rows", columns, table.last_rows())
    screen.print(f"{len(table)} rows in {path}", soft_wrap=True)
    abstained = sum(row.direction is None for row in table.rows)
    if abstained:
        screen.print(f"{abstained} of {len(table)} rows abstain: no usable answer (tau 0)", style="yellow")
    if provider in MODELS:  # the others give none, and are as certain as they say
        _print_without_entropy([table])
    if table.uses_future:
        screen.print(FUTURE, style="bold red")
