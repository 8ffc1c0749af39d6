"""The command that measures many settings of a rule at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from llmguide.cli.app import app
from llmguide.cli.options import PROVIDERS, AnyBars, Cash, ExpertWords, History, Json, Periods, TrainedOn
from llmguide.cli.outputs import writable
from llmguide.cli.reading import AS_IT_IS, NOTHING, Beside, Reading, day, find_guidance, one_history, reads_bars
from llmguide.cli.spans import parts_of
from llmguide.errors import GuidanceError, LlmguideError, ModelError, did_you_mean
from llmguide.inline import FUTURE
from llmguide.numbers import CALLED as SHOWN

if TYPE_CHECKING:
    import pandas as pd

    from llmguide.guidance import Guidance
    from llmguide.mixture import Expert
    from llmguide.sweeps import Sweep
    from llmguide.sweeps.measure import Engine


@app.command()
@reads_bars
def sweep(
    file: Annotated[Path, typer.Argument(metavar="BARS", help="Bars to trade.")],
    rule: Annotated[str, typer.Option(help="Rule to sweep: trend, reversion, guidance, blend or mixture.")] = "trend",
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES",
            help="Values of a parameter: 5,10,20, or FIRST:LAST[:STEP], both ends included; repeat for each "
            "parameter. Every rule also has cost, delay and stop_loss; a mixture has no stop_loss, but "
            "m0_NAME and n0_NAME for each expert, all_in, long_only (0 or 1), max_leverage and band.",
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION", help="Keep only combinations that satisfy this, such as 'long - short >= 5'."
        ),
    ] = None,
    guidance: Annotated[
        list[Path] | None,
        typer.Option(
            help="Guidance table (.parquet or .csv) for the rules guidance and blend; repeat to compare several."
        ),
    ] = None,
    any_bars: AnyBars = False,
    provider: Annotated[str | None, typer.Option(help=f"Make the guidance on the fly: {PROVIDERS}.")] = None,
    model: Annotated[Path | None, typer.Option(help="Checkpoint of an agent, for the rule blend.")] = None,
    expert: ExpertWords = None,
    history: History = None,
    base: TrainedOn = None,
    beside: Beside = NOTHING,
    by: Annotated[str, typer.Option(help=f"Measure to rank by: {', '.join(SHOWN)}.")] = "sharpe",
    min_trades: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Minimum number of trades of the best combination; by default 1 if less is better, else 0.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of best combinations to print.")] = 10,
    validate: Annotated[
        Path | None,
        typer.Option(metavar="TEST", help="Later bars, on which to test the best combination out of sample."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="DATE",
            help="First day of the later bars, if BARS holds them too, instead of --validate.",
        ),
    ] = None,
    start: Annotated[
        int, typer.Option(min=1, help="Warm-up bars without trading, the same for all combinations.")
    ] = 30,
    cash: Cash = 100_000.0,
    periods: Periods = None,
    engine: Annotated[
        str, typer.Option(help="Backtest engine: stream, or vbt (vectorbt: same numbers, slower).")
    ] = "stream",
    heatmap: Annotated[
        tuple[str, Path] | None,
        typer.Option(
            metavar="X,Y FILE.html",
            help="Draw a heatmap of the measure over two parameters; with a third (X,Y,Z), one map for each of its "
            "values.",
        ),
    ] = None,
    tearsheet: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the tearsheet of the best combination.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all combinations (.csv or .parquet).")] = None,
    as_json: Json = False,
    reading: Reading = AS_IT_IS,
) -> None:
    """Backtest a rule over a grid of parameters.

    The best of many combinations looks better than it is: --validate or --split tests it on later bars, and reports how
    likely its advantage is to be luck.
    """
    from llmguide.cli.parameters import parse_condition, parse_parameters
    from llmguide.console import out as screen
    from llmguide.console import print_json, print_table
    from llmguide.counting import counted
    from llmguide.sweeps import sweep as run
    from llmguide.sweeps.rows import best_table, validation_table, varied
    from llmguide.sweeps.validation import verdict_for
    from llmguide.sweeps.wording import setting, summary

    parameters = parse_parameters(param or [])
    _check_options(rule, by, guidance, provider, model, out, parameters)
    of_mixtures = {"--expert": expert or None, "--history": history, "--base": base, **beside.given}
    experts = _experts(rule, expert, of_mixtures, any_bars=any_bars, base=base, **beside.read(file))
    _check_names(rule, parameters, heatmap, experts)
    for path in (out, tearsheet, None if heatmap is None else heatmap[1]):
        if path is not None:
            writable(path)
    parts = parts_of(reading, file, validate, split, option="--validate")
    bars, later = parts.earlier, parts.later
    before = None if history is None else reading.bars(history)
    if history is not None and before is not None:
        one_history([(history, before), (file, bars)])  # refuses those that are not in order
    tables = None
    if guidance or provider:
        tables = _tables(parts.whole, guidance, provider, any_bars)
    found = run(
        bars,
        rule,
        experts=experts,
        history=before,
        guidance=tables,
        agent=None if model is None else _agent(model),
        cash=cash,
        start=start,
        where=None if where is None else parse_condition(where),
        engine=cast("Engine", engine),
        periods=periods,
        progress=not as_json,
        **cast("dict[str, Any]", parameters),
    )
    written = {} if out is None else {"combinations": _write_all(found, out)}
    try:
        rows = found.ranked(by, min_trades=min_trades, top=top)
    except LlmguideError as error:
        raise LlmguideError(f"{error}" + ("" if out is None else f"; all combinations are in {out}")) from None
    best = rows[0]
    judged = None if later is None else found.validate(later, by=by, min_trades=min_trades)
    verdict = verdict_for(found, best, judged)
    drawing = {"by": by, "min_trades": min_trades, "validation": judged}
    written = _draw(found, best, heatmap, tearsheet, drawing, name=file.stem) | written
    known = [tables] if tables is None or not isinstance(tables, dict) else list(tables.values())
    uses_future = found.plan.rule.uses_future or any(table is not None and table.uses_future for table in known)
    if as_json:
        print_json(
            {
                "parameters": found.parameters(best),
                "best": best.to_dict(),
                "verdict": verdict._asdict(),
                "combinations": len(found),
                "periods": found.plan.markets[0].periods,
                "uses_future": uses_future,
                "top": [found.parameters(row) | row.to_dict() for row in rows],
                "validation": None
                if judged is None
                else judged.table.iloc[0].to_dict() | {"pbo_note": next(iter(judged.pbo_notes.values()))},
                "written": {name: str(path) for name, path in written.items()},
            }
        )
        return
    chosen = setting(found.parameters(best), varied(found))
    screen.print(f"Best of {counted(len(found), 'combination')}: {chosen}.", soft_wrap=True)
    screen.print(f"{summary(best, by)[:1].upper()}{summary(best, by)[1:]}.", soft_wrap=True)
    # What was measured on later bars is in a table below; why nothing was, is said here alone.
    reasons = verdict.reasons if judged is None else verdict.reasons[:1]
    screen.print(" ".join([f"{verdict.headline}.", *reasons]), style="" if verdict.holds else "yellow", soft_wrap=True)
    best_ones = best_table(found, rows, by)
    title = f"{rule} on {file.stem}, {day(bars, 0)} to {day(bars, -1)}: {best_ones.title}"
    print_table(*best_ones._replace(title=title))
    if judged is not None and later is not None:
        name = validate.stem if validate else f"{file.stem} from {day(later, 0)}"
        print_table(*validation_table(judged.table.iloc[0], by, name, next(iter(judged.pbo_notes.values()))))
    if uses_future:
        screen.print(FUTURE, style="bold red")
    for name, path in written.items():
        typer.echo(f"{name}: {path}")


def _check_options(
    rule: str,
    by: str,
    guidance: list[Path] | None,
    provider: str | None,
    model: Path | None,
    out: Path | None,
    parameters: dict[str, list[float]],
) -> None:
    """Refuse what would only be found wrong after the work, or not at all."""
    from llmguide.sweeps.rules import RULES

    rules = [*RULES, "mixture"]
    if rule not in rules:
        raise LlmguideError(
            f"unknown rule {rule!r}, choose from {', '.join(rules)}{did_you_mean(rule, rules)}; for rules of "
            "your own, use llmguide.sweep in Python"
        )
    if by not in SHOWN:
        raise LlmguideError(f"unknown measure {by!r}, choose from {', '.join(SHOWN)}{did_you_mean(by, SHOWN)}")
    if guidance and provider is not None:
        raise GuidanceError("give either --guidance FILE or --provider NAME, not both")
    guided = bool(guidance) or provider is not None
    if rule == "mixture" and (guided or model is not None):
        raise GuidanceError("the guidance and agents of a mixture are experts; give each as --expert NAME=FILE")
    if guided and rule not in ("guidance", "blend"):
        raise GuidanceError(f"the rule {rule} does not use guidance; choose --rule guidance or blend")
    if rule == "guidance" and not guided:
        raise GuidanceError("the rule guidance needs a table; give --guidance FILE or --provider NAME")
    if rule == "blend" and not guided and max(parameters.get("weight", [1.0])) > 0:
        raise GuidanceError("the rule blend needs guidance; give --guidance or --provider, or --param weight=0")
    if model is not None and rule != "blend":
        raise ModelError(f"the rule {rule} does not use an agent; choose --rule blend")
    if rule == "blend" and model is None:
        raise ModelError("the rule blend needs a trained agent; give --model FILE, as written by `llmguide train`")
    if out is not None and out.suffix.lower() not in (".csv", ".parquet"):
        raise LlmguideError(f"expected --out to end in .csv or .parquet, got {out.name!r}; rename it")


def _experts(
    rule: str, words: list[str] | None, of_mixtures: dict[str, Any], **options: Any
) -> dict[str, Expert] | None:
    """Return the experts of a mixture; refuse them for other rules."""
    from llmguide.cli.experts import FORMS, parse_experts

    if rule != "mixture":
        for name, given in of_mixtures.items():
            if given is not None:
                raise LlmguideError(f"{name} is for the rule mixture; choose --rule mixture, or leave it out")
        return None
    if not words:
        raise LlmguideError(
            f"the rule mixture needs experts; give each as --expert NAME=EXPERT, such as gpt=guidance.parquet: {FORMS}"
        )
    return parse_experts(words, **options)


def _check_names(
    rule: str,
    parameters: dict[str, list[float]],
    heatmap: tuple[str, Path] | None,
    experts: dict[str, Expert] | None,
) -> None:
    """Refuse parameters that the rule does not have, and a figure over them."""
    from llmguide.sweeps.mixture import MixtureRule
    from llmguide.sweeps.rules import RULES

    found = RULES[rule] if experts is None else MixtureRule(experts)
    known = [*found.defaults, "cost", "delay", "stop_loss"]
    if heatmap is not None and str(heatmap[1]).startswith("-"):
        raise LlmguideError(
            f"--heatmap takes parameters and a file, as in --heatmap short,long heat.html; its file was {heatmap[1]}"
        )
    axes = [] if heatmap is None else _axes(heatmap[0])
    if heatmap is not None and len(axes) not in (2, 3):
        raise LlmguideError(f"--heatmap takes two or three parameters, such as short,long, got {heatmap[0]!r}")
    for name in [*parameters, *axes]:
        if name not in known and not (name in axes and name == "guidance"):
            raise LlmguideError(
                f"the rule {rule} has no parameter {name!r}, only {', '.join(known)}{did_you_mean(name, known)}"
            )


def _axes(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _tables(
    bars: pd.DataFrame, files: list[Path] | None, provider: str | None, any_bars: bool
) -> Guidance | dict[str, Guidance]:
    """Return the one table, or several by the names of their files."""
    if not files or len(files) == 1:
        return find_guidance(bars, files[0] if files else None, provider, any_bars=any_bars)
    tables = {path.stem: find_guidance(bars, path, None, any_bars=any_bars) for path in files}
    if len(tables) < len(files):
        raise GuidanceError("guidance tables are told apart by their file names; rename those with the same name")
    return tables


def _agent(model: Path) -> Any:
    from llmguide.rl.checkpoint import load_agent

    return load_agent(model)


def _write_all(found: Sweep, out: Path) -> Path:
    """Write the table of all combinations."""
    from llmguide.files import write_csv, write_parquet

    write = write_csv if out.suffix.lower() == ".csv" else write_parquet
    return write(found.frame.reset_index(), out)


def _draw(
    found: Sweep,
    best: pd.Series[Any],
    heatmap: tuple[str, Path] | None,
    tearsheet: Path | None,
    drawing: dict[str, Any],
    *,
    name: str,
) -> dict[str, Path]:
    """Write the pages that were asked for, and return them by what they are."""
    written = {}
    if heatmap is not None:
        (x, y, *third), path = _axes(heatmap[0]), heatmap[1]
        shown = found.heatmap(x, y, at=best, slices="".join(third), name=name, **drawing)
        written["heatmap"] = shown.write_html(path)
    if tearsheet is not None:
        found.tearsheet(best, tearsheet, name=name)
        written["tearsheet"] = tearsheet
    return written
