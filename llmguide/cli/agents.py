"""Commands that train agents and compare them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmguide.cli.app import app
from llmguide.cli.config_text import command_again
from llmguide.cli.flag import FLAG_SEEDS, FlagOrder, train_policies
from llmguide.cli.groups import LanguagePolicy
from llmguide.cli.instrument import instrument_of
from llmguide.cli.options import (
    PROVIDERS,
    Actions,
    Agreement,
    AnyBars,
    CacheFile,
    Cash,
    Controls,
    Cost,
    Device,
    Discount,
    Episodes,
    FirstTestDay,
    GuidanceFile,
    Holdout,
    Json,
    ModelFile,
    Out,
    Periods,
    RawBars,
    RawPrices,
    Ray,
    Resume,
    RuleBook,
    Seeds,
    SettingsFile,
    Shuffles,
    Tau,
)
from llmguide.cli.outputs import writable
from llmguide.cli.reading import (
    NOTHING,
    Beside,
    Reading,
    find_guidance,
    parse_seeds,
    reads_bars,
    refuse_models,
    split_names,
)
from llmguide.cli.settings import Settings
from llmguide.cli.spans import parts_of, training_and_test
from llmguide.errors import GuidanceError, LlmguideError

_DEMO_EVERY = 120  # trading days between two questions to a local model: 13 in all

if TYPE_CHECKING:
    import pandas as pd

    from llmguide.experiments.placebo import ControlPlan
    from llmguide.guidance import Guidance
    from llmguide.rl.config import DQNConfig
    from llmguide.rl.flag.plan import FlagPlan


@app.command()
def demo(
    seeds: Seeds = "3",
    episodes: Episodes = 3,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic market.")] = 0,
    out: Out = Path("runs/demo"),
    resume: Resume = True,
    device: Device = "auto",
    provider: Annotated[str, typer.Option(help="Source of the guidance: rules, or local with --model-file.")] = "rules",
    model_file: ModelFile = None,
    settings: SettingsFile = None,
    cache: CacheFile = Path("llm.sqlite"),
    as_json: Json = False,
) -> None:
    """Compare agents with and without guidance on a synthetic market.

    The guidance comes from rules, so no data, key or network is needed. With --provider local it comes from a local
    language model, asked every 120 trading days with the shortest prompt.
    """
    from llmguide.bars import sample_bars
    from llmguide.console import err
    from llmguide.rl.config import DQNConfig

    if provider not in ("rules", "local") or (provider == "local") != (model_file is not None):
        raise GuidanceError("expected --provider rules, or --provider local with --model-file MODEL.gguf")

    writable(out, folder=True)
    market = sample_bars(years=6, seed=seed)
    train, test = market.iloc[: 4 * 252], market.iloc[4 * 252 :]
    if not as_json:
        guide = "rules (no language model)" if model_file is None else f"{model_file.name}, asked every half year"
        err.print(
            f"A synthetic market (4 years to train on, 2 to test on), guidance by {guide}, and far "
            "fewer episodes than the 50 of the paper: this shows that everything runs, not what guidance is worth.",
            highlight=False,
        )
    if model_file is None:
        table = find_guidance(market, None, "rules")
    else:
        table = _ask_for_demo(market, model_file, settings, cache, quiet=as_json)
    _compare(
        train, test, table, seeds, episodes, None, None, DQNConfig(), device, None, None, None, out, resume, as_json,
        name="Synthetic market",
    )  # fmt: skip


def _ask_for_demo(
    market: pd.DataFrame, model_file: Path, settings: Path | None, cache: Path, *, quiet: bool
) -> Guidance:
    """Return the guidance of a local model for the synthetic market, few questions with the shortest prompt."""
    from llmguide.cli.asking import Asking, print_costs, print_timed_out
    from llmguide.cli.groups import Endpoint
    from llmguide.guidance.strategist import Subject
    from llmguide.guidance.study import guidance_of

    asking = Asking(Endpoint(cache=cache, settings=settings, model_file=model_file))
    study = asking.study([Subject("SAMPLE", market)], ["P0"], every=_DEMO_EVERY)
    advice, costs, _ = asking.ask(study, quiet=quiet)
    if not quiet:
        print_timed_out(advice)
        print_costs(costs)
    return guidance_of(advice, symbol="SAMPLE", prompt="P0", bars=market)


@app.command()
@reads_bars
def train(
    *,
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="BARS", help="Training bars.")],
    split: FirstTestDay = None,
    guidance: GuidanceFile = None,
    any_bars: AnyBars = False,
    provider: Annotated[str | None, typer.Option(help=f"Make the guidance on the fly: {PROVIDERS}.")] = None,
    agent: Annotated[
        str,
        typer.Option(
            metavar="dqn|flag",
            help="What to train: the double DQN (dqn), or a language model (flag; see --base and after).",
        ),
    ] = "dqn",
    test: Annotated[
        Path | None, typer.Option(help="Test bars for the training curves; nothing is selected on them.")
    ] = None,
    holdout: Annotated[
        int, typer.Option(min=0, help="Bars held out from the end of training, for an out-of-sample record.")
    ] = 0,
    seeds: Seeds = "25",
    episodes: Episodes = 50,
    tau: Tau = "published",
    raw_bars: RawBars = False,
    raw_prices: RawPrices = False,
    agreement: Agreement = 0.0,
    discount: Discount = 0.4,
    actions: Actions = 2,
    settings: Settings,
    cash: Cash = 100_000.0,
    cost: Cost = 0.001,
    device: Device = "auto",
    ray: Ray = None,
    out: Out = Path("runs/agents"),
    resume: Resume = True,
    policy: LanguagePolicy,
    rules: RuleBook = "house",
    beside: Beside = NOTHING,
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Train agents, with or without guidance.

    Checkpoints are written as hybrid-SEED.safetensors or rl-SEED.safetensors, each as soon as its agent is trained. The
    training settings, --tau to --actions, default to the published ones; `llmguide levers` compares them.

    With --agent flag, this is the same as `llmguide flag train`.
    """
    from dataclasses import replace

    if _learner(context, agent, settings) == "flag":
        own = {name: context.params[name] if _is_given(context, name) else None for name in ("cash", "cost")}
        order = FlagOrder(
            policy, settings, seeds if _is_given(context, "seeds") else FLAG_SEEDS, rules, own["cash"], own["cost"],
            device,
        )  # fmt: skip
        train_policies(
            order, file, test, split, guidance, provider, any_bars=any_bars, beside=beside, periods=None, out=out,
            resume=resume, as_json=as_json, reading=reading,
        )  # fmt: skip
        return

    from llmguide.cli.stopping import resumable
    from llmguide.console import err, number, print_json, print_table, records
    from llmguide.experiments.arms import ARMS
    from llmguide.experiments.plan import Plan
    from llmguide.experiments.run_folder import RunFolder
    from llmguide.experiments.train_grid import train_arms
    from llmguide.rl.training import as_seeds, refuse_unguided

    config = settings.agent(
        cash=cash,
        cost=cost,
        tau=tau,
        raw_prices=raw_prices,
        agreement=agreement,
        discount=discount,
        actions=actions,
        **({"smoothing": 0} if raw_bars else {}),
    )
    if not (guidance or provider):
        refuse_unguided(config)
    writable(out, folder=True)
    bars = parts_of(reading, file, test, split)
    table = find_guidance(bars.whole, guidance, provider, any_bars=any_bars) if guidance or provider else None
    arm = replace(ARMS["hybrid" if table is not None else "rl"], held_out=True)
    chosen = tuple(as_seeds(parse_seeds(seeds)))
    plan = Plan(bars.earlier, bars.later, table, chosen, episodes, config, device, holdout=holdout)
    folder = RunFolder.open(out, plan.describe([arm]), resume=resume)
    if table is not None:
        table.save(out / "guidance.parquet")
    with resumable(out):
        agents = train_arms(
            plan,
            [arm],
            folder,
            progress=not as_json,
            announce=lambda line: err.print(line, highlight=False),
            ray=ray,
        )[arm.name]
    last = agents.curves.groupby("seed").last().reset_index()
    last["checkpoint"] = [str(folder.agent_path(arm.name, int(seed))) for seed in last["seed"]]
    if as_json:
        print_json({"arm": arm.name, "agents": records(last)})
        return
    columns = ["train_sr", *(["test_sr"] if bars.later is not None else [])]
    rows = [[row["checkpoint"], *(number(row[name]) for name in columns)] for row in records(last)]
    print_table("Sharpe ratio after the last episode", ["agent", *(name.replace("_sr", "") for name in columns)], rows)


def _is_given(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name != "DEFAULT"


def _learner(context: typer.Context, agent: str, settings: Settings) -> str:
    """Return who learns; LlmguideError for somebody unknown, and for options and settings of the other one."""
    options = {
        "dqn": (*("episodes", "holdout", "ray", "tau", "raw_bars", "raw_prices", "agreement", "discount", "actions"),),
        "flag": (
            *("base", "frozen", "lora_rank", "steps", "template", "rules", "algorithm", "tables", "factors", "symbol"),
        ),
    }
    if agent not in options:
        raise LlmguideError(f"expected --agent to be dqn or flag, got {agent!r}")
    (other,) = options.keys() - {agent}
    for name in options[other]:
        if _is_given(context, name):
            raise LlmguideError(
                f"--{name.replace('_', '-')} is for --agent {other}; leave it out, or choose that agent"
            )
    of_other = "agent" if other == "dqn" else "flag"
    for name in settings.of(of_other):
        raise LlmguideError(f"--set {of_other}.{name} is for --agent {other}; leave it out, or choose that agent")
    return agent


@app.command()
@reads_bars
def compare(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="[BARS]", help="One file with training and test bars; needs --split.")
    ] = None,
    split: FirstTestDay = None,
    train: Annotated[Path | None, typer.Option(help="Training bars, instead of BARS; needs --test.")] = None,
    test: Annotated[Path | None, typer.Option(help="Test bars, after the training bars.")] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Instrument, for the title of the report; taken from the file names by default."),
    ] = None,
    guidance: GuidanceFile = None,
    any_bars: AnyBars = False,
    provider: Annotated[
        str | None, typer.Option(help=f"Make the guidance on the fly, from all bars: {PROVIDERS}; rules by default.")
    ] = None,
    arms: Annotated[
        str,
        typer.Option(
            help="Arms, separated by commas. Also available: trend, reversion, mixture, and flag, a language model "
            "trained to trade (see --base and the options after it)."
        ),
    ] = "hybrid,rl,llm,hold,sell",
    seeds: Seeds = "25",
    episodes: Episodes = 50,
    settings: Settings,
    cash: Cash = 100_000.0,
    cost: Cost = 0.001,
    device: Device = "auto",
    ray: Ray = None,
    periods: Periods = None,
    holdout: Holdout = None,
    controls: Controls = False,
    shuffles: Shuffles = None,
    policy: LanguagePolicy,
    out: Out = Path("runs/compare"),
    resume: Resume = True,
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Compare agents with and without guidance, and benchmarks, over many seeds.

    Trains agents, backtests every arm on the test bars, and writes tables, a report and tearsheets. With --controls,
    also tests whether the guidance is worth more than its shuffled self.
    """
    plan = _control_plan(controls, shuffles, given=bool(guidance or provider))
    names = [name.strip() for name in arms.split(",")]
    flag, config = policy.plan_of(names, settings), settings.agent(cash=cash, cost=cost)
    writable(out, folder=True)
    before, after, whole = training_and_test(reading, file, train, test, split)
    table = find_guidance(whole, guidance, None if guidance else provider or "rules", any_bars=any_bars)
    _compare(
        before, after, table, seeds, episodes, names, flag, config, device, ray, periods, holdout, out, resume,
        as_json, controls=plan, name=instrument_of(*filter(None, (file, train, test))) if name is None else name,
    )  # fmt: skip


@app.command()
@reads_bars
def replicate(
    *,
    data: Annotated[
        Path, typer.Option(help="Folder of bars: SYMBOL.csv, or SYMBOL_FIRST_LAST.csv twice (training, test).")
    ],
    symbols: Annotated[str | None, typer.Option(help="Instruments, separated by commas; all by default.")] = None,
    guidance: Annotated[Path | None, typer.Option(help="Folder of guidance tables, SYMBOL.parquet or .csv.")] = None,
    any_bars: AnyBars = False,
    provider: Annotated[
        str | None, typer.Option(help=f"Make the guidance on the fly, from all bars: {PROVIDERS}.")
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option(
            help="Arms, separated by commas; rl by default, with guidance hybrid,rl,llm. The arm flag is a "
            "language model trained to trade (see --base and the options after it)."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="First test day of instruments that have one file.")] = "2018-01-01",
    seeds: Seeds = "25",
    episodes: Episodes = 50,
    settings: Settings,
    cash: Cash = 100_000.0,
    cost: Cost = 0.001,
    curves: Annotated[bool, typer.Option(help="Record the Sharpe ratio after every episode.")] = False,
    device: Device = "auto",
    ray: Ray = None,
    periods: Periods = None,
    holdout: Holdout = None,
    policy: LanguagePolicy,
    out: Out = Path("runs/replicate"),
    resume: Resume = True,
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Replicate the published benchmark.

    Trains and backtests on every instrument in a folder, and writes tables and a figure that set the published numbers
    beside the replicated ones.
    """
    from functools import partial

    from llmguide.cli.stopping import resumable
    from llmguide.console import err, print_json, print_replication, records
    from llmguide.experiments.replicate import replicate as run
    from llmguide.guidance import guide as make

    if guidance is not None and provider is not None:
        raise GuidanceError("give either --guidance FOLDER or --provider NAME, not both")
    refuse_models(provider)
    names = split_names(arms)
    flag, config = policy.plan_of(names or (), settings), settings.agent(cash=cash, cost=cost)
    writable(out, folder=True)
    with resumable(out):
        replication = run(
            data,
            symbols=split_names(symbols),
            arms=names,
            seeds=parse_seeds(seeds),
            episodes=episodes,
            guidance=guidance if provider is None else partial(make, provider=provider),
            any_bars=any_bars,
            config=config,
            flag=flag,
            device=device,
            split=split,
            **reading.options,
            curves=curves,
            periods=periods,
            holdout=holdout,
            out=out,
            resume=resume,
            ray=ray,
            progress=not as_json,
            announce=lambda line: err.print(line, highlight=False),
        )
        replication.write(out)
    if as_json:
        tables = ("appendix_e", "experiment_2", "tests", "summary", "runs")
        print_json(
            {"out": str(out), "uses_future": replication.uses_future, "fit": replication.fit}
            | {name: records(getattr(replication, name)) for name in tables}
        )
        return
    print_replication(replication)
    typer.echo(f"written to {out}")


def _compare(
    train: pd.DataFrame,
    test: pd.DataFrame,
    guidance: Guidance,
    seeds: str,
    episodes: int,
    arms: list[str] | None,
    flag: FlagPlan | None,
    config: DQNConfig,
    device: str,
    ray: str | None,
    periods: float | None,
    holdout: int | None,
    out: Path,
    resume: bool,
    as_json: bool,
    controls: ControlPlan | None = None,
    name: str = "",
) -> None:
    """Run a comparison, write its folder, and say where the report is."""
    from llmguide.cli.stopping import resumable
    from llmguide.console import err, print_comparison, print_json, records
    from llmguide.experiments.arms import DEFAULT_ARMS
    from llmguide.experiments.compare import compare as run

    def say(line: str) -> None:
        err.print(line, highlight=False)

    with resumable(out):
        comparison = run(
            train,
            test,
            guidance,
            seeds=parse_seeds(seeds),
            episodes=episodes,
            arms=arms or DEFAULT_ARMS,
            config=config,
            flag=flag,
            device=device,
            periods=periods,
            holdout=holdout,
            controls=controls or False,
            name=name,
            out=out,
            resume=resume,
            ray=ray,
            progress=not as_json,
            announce=say,
        )
        say("backtesting every arm under other costs, and writing tables, report and tearsheets")
        report = comparison.write(out, command=command_again(out))
    if as_json:
        tested = {"controls": records(comparison.controls), "placebo": records(comparison.placebo)} if controls else {}
        print_json(
            {
                "report": str(report),
                "uses_future": guidance.uses_future,
                "periods": comparison.settings["periods"],
                "table": records(comparison.table.rename_axis("arm").reset_index()),
                "tests": records(comparison.tests),
                "intervals": records(comparison.intervals),
                "usage": records(comparison.usage.rename_axis("arm").reset_index()),
                "runs": records(comparison.runs),
            }
            | tested
        )
        return
    print_comparison(comparison)
    typer.echo(f"report: {report}")


def _control_plan(controls: bool, shuffles: int | None, *, given: bool) -> ControlPlan | None:
    """Return the plan of --controls, None without; GuidanceError where no guidance was named, which they are about."""
    from llmguide.experiments.placebo import ControlPlan

    if not controls:
        if shuffles is not None:
            raise LlmguideError("--shuffles is for --controls; add that, or leave it out")
        return None
    if not given:
        raise GuidanceError(
            "--controls compares guidance with its shuffled self, and no guidance was given; add --guidance "
            "FILE, or --provider rules to test the rules"
        )
    return ControlPlan() if shuffles is None else ControlPlan(shuffles=shuffles)
