"""Commands of the policy that reads (FLAG-Trader): train it, and see it run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmguide.cli.app import app
from llmguide.cli.configured import Commands
from llmguide.cli.groups import LanguagePolicy
from llmguide.cli.options import (
    PROVIDERS,
    AnyBars,
    Device,
    FirstTestDay,
    GuidanceFile,
    Json,
    Out,
    Periods,
    Resume,
    RuleBook,
    Seeds,
)
from llmguide.cli.outputs import writable
from llmguide.cli.reading import NOTHING, Beside, Reading, find_guidance, parse_seeds, reads_bars
from llmguide.cli.settings import FlagSettings, Settings
from llmguide.cli.spans import parts_of
from llmguide.counting import counted

if TYPE_CHECKING:
    import pandas as pd

    from llmguide.experiments.flag import FlagStudy
    from llmguide.rl.flag.plan import FlagPlan
    from llmguide.rl.flag.training import TrainedPolicies

__all__ = ["FLAG_SEEDS", "FlagOrder", "flag", "train_policies"]

flag = Commands(
    help="Train a language model to trade: its last layers, by reinforcement learning on states given as text.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(flag, name="flag")

FLAG_SEEDS = "3"
"""Trainings of a language model unless told otherwise: each takes hours on a processor."""
_DEMO_TRAINED = 420
"""Bars of the demonstration to train on: seven waves of 63 bars, and the beginning of one."""
_LAST = 10  # rollouts that a training's last measures are means of


@dataclass(frozen=True)
class FlagOrder:
    """What is to be trained, as the command line says it."""

    policy: LanguagePolicy
    settings: Settings
    seeds: str
    rules: str
    cash: float | None
    cost: float | None
    device: str

    def plan(self) -> FlagPlan:
        """Return language model and settings."""
        from dataclasses import replace

        from llmguide.trading.flag_rules import as_rules

        rules = as_rules(self.rules)  # type: ignore[arg-type]  # it says which there are
        cash, cost = (rules.cash if self.cash is None else self.cash), (rules.cost if self.cost is None else self.cost)
        return self.policy.plan(self.settings, replace(rules, cash=cash, cost=cost))

    def train(
        self, plan: FlagPlan, bars: pd.DataFrame, told: dict[str, Any], out: Path, *, resume: bool, quiet: bool
    ) -> TrainedPolicies:
        """Train, or go on with what the folder holds; `told` is what the states tell of beside the bars, by name."""
        from llmguide.cli.stopping import resumable
        from llmguide.experiments.folder_lock import FolderLock
        from llmguide.rl.flag.trainer import FlagTrainer

        trainer = FlagTrainer.of(plan, device=self.device)  # what cannot be read is refused before anything is removed
        lock = FolderLock(out)  # held while it is referred to
        if not resume:
            for file in (*out.glob("flag-*.safetensors"), *out.glob("flag-*.training")):
                file.unlink()
        with resumable(out):
            trained = trainer.train(bars, seeds=parse_seeds(self.seeds), **told, out=out, progress=not quiet)
        del lock
        return trained


@flag.command()
@reads_bars
def train(
    *,
    file: Annotated[Path, typer.Argument(metavar="BARS", help="Training bars.")],
    test: Annotated[
        Path | None, typer.Option(help="Later test bars, which the policies and their controls trade.")
    ] = None,
    split: FirstTestDay = None,
    policy: LanguagePolicy,
    settings: FlagSettings,
    rules: RuleBook = "house",
    guidance: GuidanceFile = None,
    any_bars: AnyBars = False,
    provider: Annotated[str | None, typer.Option(help=f"Make the guidance on the fly: {PROVIDERS}.")] = None,
    beside: Beside = NOTHING,
    seeds: Seeds = FLAG_SEEDS,
    cash: Annotated[float | None, typer.Option(help="Initial capital, overriding the account rules.")] = None,
    cost: Annotated[
        float | None,
        typer.Option(help="Transaction cost as a fraction of the traded value, overriding the account rules."),
    ] = None,
    device: Device = "auto",
    periods: Periods = None,
    out: Out = Path("runs/flag"),
    resume: Resume = True,
    as_json: Json = False,
    reading: Reading,
) -> None:
    """Train a language model to trade, one policy per seed.

    Checkpoints are written as flag-SEED.safetensors, each as soon as its policy is trained, and the learning curves as
    curves.csv. With --test or --split, a page compares the policies with the untrained policy, the zero-shot language
    model, and buy and hold.
    """
    order = FlagOrder(policy, settings, seeds, rules, cash, cost, device)
    train_policies(
        order, file, test, split, guidance, provider, any_bars=any_bars, beside=beside, periods=periods, out=out,
        resume=resume, as_json=as_json, reading=reading,
    )  # fmt: skip


def train_policies(
    order: FlagOrder,
    file: Path,
    test: Path | None,
    split: str | None,
    guidance: Path | None,
    provider: str | None,
    *,
    any_bars: bool,
    beside: Beside,
    periods: float | None,
    out: Path,
    resume: bool,
    as_json: bool,
    reading: Reading,
) -> None:
    """Train policies, study them where there are test bars, and print what came of it."""
    from llmguide.console import err
    from llmguide.states.text import read_state_template

    plan, told = order.plan(), beside.read(file)
    read_state_template(plan.template).refuse_untold(**told, guidance=guidance or provider)
    writable(out, folder=True)
    bars = parts_of(reading, file, test, split)
    if guidance is not None or provider is not None:
        table = find_guidance(bars.whole, guidance, provider, any_bars=any_bars)
        table.save(out / "guidance.parquet")
        told["guidance"] = table
    trained = order.train(plan, bars.earlier, told, out, resume=resume, quiet=as_json)
    study = None
    if bars.later is not None:
        from llmguide.experiments.flag import study_flag

        study = study_flag(
            trained, bars.later, **told, periods=periods, announce=lambda line: err.print(line, highlight=False)
        )
    _tell(trained, study, out, as_json=as_json)


@flag.command()
def demo(
    seeds: Seeds = FLAG_SEEDS,
    steps: Annotated[int, typer.Option(min=1, help="Steps per training run.")] = 4_800,
    out: Out = Path("runs/flag-demo"),
    resume: Resume = True,
    as_json: Json = False,
) -> None:
    """Train a tiny language model on a sinusoidal market, and trade it in Backtrader.

    One period of the wave lasts 63 bars: every fourth day of `sample_bars("sinusoidal")`. The model has random weights:
    this shows that everything runs, not what a language model is worth. No data, download or key is needed.
    """
    from dataclasses import asdict

    from llmguide.backtest import run_backtest
    from llmguide.bars import sample_bars
    from llmguide.console import err, number, percent
    from llmguide.experiments.flag import study_flag
    from llmguide.rl.flag.config import FlagConfig
    from llmguide.rl.flag.plan import FlagPlan
    from llmguide.strategies import FlagTrader

    writable(out, folder=True)
    market = sample_bars("sinusoidal", years=10).iloc[::4]
    bars, later = market.iloc[:_DEMO_TRAINED], market.iloc[_DEMO_TRAINED:]
    # Larger steps and batches and a shorter state than published: a model with random weights learns in seconds then.
    config = FlagConfig(
        steps=steps, environments=12, rollout=20, epochs=4, minibatch=120, accumulation=1, learning_rate=3e-3,
        entropy=0.02, kl=0.0, shown=8,
    )  # fmt: skip
    remark = (
        f"A sinusoidal market ({len(bars)} bars to train on, {len(later)} to test on) and a tiny language model with "
        "random weights: this shows that everything runs, not what a language model is worth."
    )
    if not as_json:
        err.print(remark, highlight=False)
    order = FlagOrder(LanguagePolicy(), FlagSettings(), seeds, "house", None, None, "cpu")
    plan = FlagPlan("tiny", config=config, template="brief")
    trained = order.train(plan, bars, {}, out, resume=resume, quiet=as_json)
    study = study_flag(trained, later, announce=lambda line: err.print(line, highlight=False))
    model = out / f"flag-{trained[0].seed}.safetensors"
    result = run_backtest(later, FlagTrader, model=model, cash=config.rules.cash, cost=config.rules.cost)
    backtest = {"model": str(model), "sharpe": result.sharpe, "max_drawdown": result.max_drawdown}
    _tell(trained, study, out, as_json=as_json, remarks=[remark], more={"backtest": backtest, "config": asdict(config)})
    if not as_json:
        typer.echo(
            f"in Backtrader, with fills at the close, {model.name} has a Sharpe ratio of "
            f"{number(result.sharpe)}, a maximum drawdown of {percent(result.max_drawdown)} and "
            f"{counted(result.trade_count, 'trade')}"
        )


def _tell(
    trained: TrainedPolicies,
    study: FlagStudy | None,
    out: Path,
    *,
    as_json: bool,
    remarks: Sequence[str] = (),
    more: dict[str, Any] | None = None,
) -> None:
    """Write curves, and a study's page and tables; print what came of the training."""
    from llmguide.console import number, print_json, print_table, records
    from llmguide.experiments.rows import flag_table
    from llmguide.files import write_csv

    write_csv(trained.curves, out / "curves.csv")
    report = None if study is None else study.write(out, remarks=remarks)
    policies = [
        {
            "seed": one.seed,
            "checkpoint": str(out / f"flag-{one.seed}.safetensors"),
            "episode_sharpe": _last(one.notes["curve"], "episode_sharpe"),
            "reward": _last(one.notes["curve"], "reward"),
        }
        for one in trained
    ]
    if as_json:
        told: dict[str, Any] = {"policies": policies}
        if study is not None:
            told |= {
                "report": str(report),
                "periods": study.periods,
                "table": records(study.table.reset_index()),
                "runs": records(study.runs),
            }
        print_json(told | (more or {}))
        return
    rows = [[str(one["seed"]), number(one["episode_sharpe"], 3), number(one["reward"], 4)] for one in policies]
    print_table("Last ten rollouts of each training run", ["seed", "episode Sharpe per bar", "reward per step"], rows)
    typer.echo(f"written to {out}")
    if study is None:
        return
    print_table(*flag_table(study.table, study.periods))
    idle = [f"{count} of {arm}" for arm, count in study.table["never_traded"].items() if count]
    if idle:
        typer.echo(f"never traded (Sharpe ratio counted as 0): {', '.join(idle)}")
    typer.echo(f"report: {report}")


def _last(curve: list[dict[str, Any]], name: str) -> float | None:
    """Return the mean of what was measured in the last rollouts; None where nothing was."""
    measured = [point[name] for point in curve[-_LAST:] if point[name] is not None]
    return sum(measured) / len(measured) if measured else None
