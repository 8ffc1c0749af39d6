"""The command that runs one strategy in Backtrader."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from llmguide.cli.app import app
from llmguide.cli.options import (
    PROVIDERS,
    STRATEGIES,
    AnyBars,
    Cash,
    Cost,
    ExpertWords,
    GuidanceFile,
    History,
    Json,
    Periods,
    TrainedOn,
)
from llmguide.cli.outputs import writable
from llmguide.cli.reading import AS_IT_IS, NOTHING, Beside, Reading, day, find_guidance, one_history, reads_bars
from llmguide.cli.spans import WHOLE, Span
from llmguide.errors import DataError, DataWarning, LlmguideError

if TYPE_CHECKING:
    import pandas as pd

    from llmguide.backtest import BacktestResult
    from llmguide.backtest.run import Fill
    from llmguide.mixture import Expert, Mix, Review


@app.command()
@reads_bars
def backtest(
    file: Annotated[Path, typer.Argument(metavar="BARS", help="Bars to trade.")],
    span: Span = WHOLE,
    strategy: Annotated[str, typer.Option(help=f"Strategy: {', '.join(STRATEGIES)}.")] = "LLMGuidedDQN",
    model: Annotated[Path | None, typer.Option(help="Checkpoint for LLMGuidedDQN, DQN or FlagTrader.")] = None,
    base: TrainedOn = None,
    guidance: GuidanceFile = None,
    any_bars: AnyBars = False,
    provider: Annotated[str | None, typer.Option(help=f"Make the guidance on the fly: {PROVIDERS}.")] = None,
    beside: Beside = NOTHING,
    short: Annotated[
        int | None, typer.Option(help="Short window of TrendFollowing and MeanReversion, in bars.")
    ] = None,
    long: Annotated[int | None, typer.Option(help="Long window of TrendFollowing and MeanReversion, in bars.")] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            help="Training bars on which to choose both windows, instead of --short and --long, under the same "
            "account settings; of BARS itself, only those before --from are used."
        ),
    ] = None,
    expert: ExpertWords = None,
    history: History = None,
    all_in: Annotated[
        bool | None,
        typer.Option(
            "--all-in/--sized", help="MixtureOfExperts: trade only the sign of the position, or its size (default)."
        ),
    ] = None,
    long_only: Annotated[bool, typer.Option("--long-only", help="Stay flat where the strategy decides short.")] = False,
    max_leverage: Annotated[
        float, typer.Option(help="Largest position, long or short, as a fraction of the account, up to 1.")
    ] = 1.0,
    band: Annotated[
        float | None,
        typer.Option(
            help="No-trade band for fractional positions: no rebalancing while the position is within this "
            "distance of its target; 0.05 by default."
        ),
    ] = None,
    cash: Cash = 100_000.0,
    cost: Cost = 0.001,
    fill: Annotated[
        str,
        typer.Option(
            help="When orders are filled: at the close (the benchmark's rule) or next_open (Backtrader's default)."
        ),
    ] = "close",
    periods: Periods = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for account.csv, orders.csv, trades.csv and tearsheet.html; for a mixture, also "
            "mixture.csv and mixture.html."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="MixtureOfExperts: page that shows how it weighted its experts, and why."
        ),
    ] = None,
    as_json: Json = False,
    reading: Reading = AS_IT_IS,
) -> None:
    """Backtest one strategy in Backtrader."""
    from llmguide import strategies
    from llmguide.backtest import run_backtest
    from llmguide.cli.experts import parse_experts
    from llmguide.console import print_json
    from llmguide.errors import did_you_mean

    if strategy not in STRATEGIES:
        hint = did_you_mean(strategy, STRATEGIES)
        raise LlmguideError(f"unknown strategy {strategy!r}, choose from {', '.join(STRATEGIES)}{hint}")
    mixes = strategy == "MixtureOfExperts"
    if mixes:
        _check_mixture(expert, {"--model": model, "--guidance": guidance, "--provider": provider, "--train": train})
    else:
        of_mixtures = {"--expert": expert, "--history": history, "--report": report, "--all-in/--sized": all_in}
        _refuse_options(of_mixtures, f"for --strategy MixtureOfExperts, not for {strategy}")
        if max_leverage == 1.0:
            _refuse_options(
                {"--band": band},
                f"for fractional positions, and {strategy} goes all in; give --max-leverage below 1 as well",
            )  # fmt: skip
        if strategy != "FlagTrader":
            _refuse_options(
                {"--base": base, **beside.given}, f"for FlagTrader and for language-model experts, not for {strategy}"
            )
    if out is not None:
        writable(out, folder=True)
    if report is not None:
        writable(report)
    read = beside.read(file)
    frame = span.bars(file, reading)
    kind = getattr(strategies, strategy)
    windows = {name: length for name, length in (("short", short), ("long", long)) if length is not None}
    limits: dict[str, Any] = {"long_only": long_only, "max_leverage": max_leverage}
    limits |= {} if band is None else {"band": band}
    if train is not None:
        if windows:
            raise LlmguideError("give either --short and --long, or --train BARS to choose them on")
        windows = _choose_windows(
            kind, train, lambda: span.before(train, file, reading), frame, cash=cash, cost=cost, **limits
        )
    params: dict[str, Any] = windows | limits
    if model is not None:
        params["model"] = str(model)
    if strategy == "FlagTrader":
        params |= {"base": base, **read}
    if guidance or provider:
        params["guidance"] = find_guidance(frame, guidance, provider, any_bars=any_bars)
    mixed: Mix | None = None
    if mixes:
        before = None if history is None else span.before(history, file, reading)
        whole = frame if history is None or before is None else one_history([(history, before), (file, frame)])
        experts = parse_experts(expert or [], any_bars=any_bars, base=base, **read)
        mixed = _mix(experts, whole, frame, cost=cost)
        params |= {"experts": experts, "history": before, "all_in": bool(all_in)}
    result = run_backtest(frame, kind, cash=cash, cost=cost, fill=cast("Fill", fill), periods=periods, **params)
    summary: dict[str, Any] = {
        "strategy": strategy,
        **windows,
        **limits,
        "first": day(frame, 0),
        "last": day(frame, -1),
        "sharpe": result.sharpe,
        "periods": result.periods,
        "max_drawdown": result.max_drawdown,
        "final_value": float(result.values.iloc[-1]),
        "trades": result.trade_count,
        "orders": len(result.orders),
        "exposure": result.exposure,
    }
    if out is not None:
        parameters = {"Cash": cash, "Cost": cost, "Fill": fill} | windows | limits
        if mixes:
            parameters |= {"Experts": ", ".join(experts), "All in": bool(all_in)}
        _write_backtest(result, out, instrument=file.stem, parameters=parameters)
        summary["out"] = str(out)
    review = None
    if mixed is not None:
        review = _review(mixed, result, all_in=bool(all_in), cash=cash, limits=limits)
        pages = [*([report] if report else []), *([out / "mixture.html"] if out else [])]
        summary |= _report(review, pages, title=f"Expert weights of the mixture on {file.stem}", fill=fill)
        if out is not None:
            _write_weights(review, out / "mixture.csv")
    if as_json:
        print_json(summary)
        return
    _print(result, summary, windows, limits)
    if review is not None:
        _print_trust(review, summary)
    if out is not None:
        typer.echo(f"written to {out}")


def _check_mixture(experts: list[str] | None, others: dict[str, Any]) -> None:
    """Refuse a mixture of nobody, and options of other strategies."""
    from llmguide.cli.experts import FORMS

    _refuse_options(others, "not for MixtureOfExperts; give each expert by --expert NAME=EXPERT")
    if not experts:
        raise LlmguideError(
            "MixtureOfExperts needs experts, one --expert NAME=EXPERT for each, such as gpt=guidance.parquet and hold: "
            f"{FORMS}"
        )


def _refuse_options(given: dict[str, Any], why: str) -> None:
    for name, value in given.items():
        if value is not None and value != []:
            raise LlmguideError(f"{name} is {why}")


def _choose_windows(
    strategy: Any, train: Path, read: Callable[[], pd.DataFrame], test: pd.DataFrame, **account: Any
) -> dict[str, int]:
    """Return the windows of a strategy of moving averages that did best on the bars of `train`, on such an account."""
    from llmguide.strategies import MovingAverageStrategy
    from llmguide.trading.moving_averages import choose_windows

    if not issubclass(strategy, MovingAverageStrategy):
        raise LlmguideError(f"--train chooses moving-average windows, and {strategy.__name__} has none; leave it out")
    frame = read()
    if not frame.index[-1] < test.index[0]:
        raise DataError(
            f"windows must be chosen on bars before those to trade, but {train} ends on {day(frame, -1)} and "
            f"the bars to trade begin on {day(test, 0)}"
        )
    chosen = choose_windows(frame, strategy.rule, **account)
    return {"short": chosen.short, "long": chosen.long}


def _mix(experts: dict[str, Expert], whole: pd.DataFrame, test: pd.DataFrame, *, cost: float) -> Mix:
    """Return what comes of experts on all bars, which the strategy will find bar by bar."""
    from llmguide.cli.experts import refuse_silent
    from llmguide.mixture import mix
    from llmguide.strategies import MixtureOfExperts

    start = len(whole) - len(test) + MixtureOfExperts.params.start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the strategy says the same again
        mixed = mix(whole, experts, cost=cost, start=start)
    refuse_silent(mixed.sides.iloc[start:])
    return mixed


def _review(mixed: Mix, result: BacktestResult, *, all_in: bool, cash: float, limits: dict[str, Any]) -> Review:
    from llmguide.mixture import review

    account = result.account
    return review(mixed, account.index[0], all_in=all_in, cash=cash, periods=result.periods, account=account, **limits)


def _report(review: Review, pages: list[Path], *, title: str, fill: str) -> dict[str, Any]:
    """Write the pages, and return what is said of the mixture beside its account."""
    from llmguide.console import records
    from llmguide.report.trust_page import summary, write_trust_page

    remarks = (
        []
        if fill == "close"
        else ["The mixture's orders are filled at the next open, those of the experts alone at the close."]
    )
    for page in pages:
        write_trust_page(review, page, title=title, remarks=remarks)
    return {
        "uses_future": review.mixed.uses_future,
        "trusted": summary(review),
        "experts": records(review.trust.rename_axis("expert").reset_index()),
        "measures": records(review.measures.rename_axis("account").reset_index()),
        "contributions": records(review.contributions.rename_axis("from").reset_index()),
        "agreement": records(review.agreement),
        **({"report": str(pages[0])} if pages else {}),
    }


def _write_backtest(result: Any, folder: Path, *, instrument: str, parameters: dict[str, object]) -> None:
    from llmguide.files import write_csv
    from llmguide.report.tearsheet import tearsheet as write

    write_csv(result.account.rename_axis("date").reset_index(), folder / "account.csv")
    write_csv(result.orders, folder / "orders.csv")
    write_csv(result.trades, folder / "trades.csv")
    page = folder / "tearsheet.html"
    write(result, page, instrument=instrument, parameters=parameters, periods=result.periods)


def _write_weights(review: Review, path: Path) -> None:
    """Write position, and side, record and weight of each expert, at every test bar."""
    import pandas as pd

    from llmguide.files import write_csv

    mixed, dates = review.mixed, review.values.index
    columns = {
        f"{what}_{name}": frame[name]
        for name in mixed.names
        for what, frame in (("side", mixed.sides), ("record", mixed.records), ("weight", mixed.weights))
    }
    table = pd.DataFrame({"position": mixed.positions, **columns}).loc[dates]
    write_csv(table.rename_axis("date").reset_index(), path)


def _print(result: BacktestResult, summary: dict[str, Any], windows: dict[str, int], limits: dict[str, Any]) -> None:
    from llmguide.console import number, percent, print_table

    rows = [
        *([f"{name} window", f"{length} bars"] for name, length in windows.items()),
        *([["short decisions", "stay flat"]] if limits["long_only"] else []),
        *([["largest position", percent(limits["max_leverage"])]] if limits["max_leverage"] < 1.0 else []),
        *([["band", number(limits["band"], 3)]] if "band" in limits else []),
        *result.rows,
    ]
    print_table(f"{summary['strategy']}, {summary['first']} to {summary['last']}", ["measure", ""], rows)


def _print_trust(review: Review, summary: dict[str, Any]) -> None:
    from llmguide.console import number, out, percent, print_table

    rows = [
        [
            name,
            number(review.trust.loc[name, "weight"]),
            number(review.trust.loc[name, "record"], 3),
            f"{int(review.trust['last_bars'][name]):,}",
            number(review.measures.loc[name, "sharpe"]),
            number(review.measures.loc[name, "max_drawdown"]),
            percent(review.contributions.loc[name, "net"]),
        ]
        for name in review.mixed.names
    ]
    columns = ["expert", "weight", "record", "bars", "SR alone", "MDD alone", "contributed"]
    print_table("Expert weights of the mixture, means over the traded bars", columns, rows)
    out.print(summary["trusted"], soft_wrap=True)
    if review.mixed.uses_future:
        out.print("An expert was made with knowledge of later bars: a control, not a result.", style="bold red")
    if "report" in summary:
        typer.echo(f"page: {summary['report']}")
