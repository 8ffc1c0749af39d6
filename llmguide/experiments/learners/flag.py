"""Policies that read (FLAG-Trader): one after the other, since a language model takes the machine for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from llmguide.backtest import BacktestResult
from llmguide.errors import LlmguideError
from llmguide.experiments.arms import FLAG, Arm
from llmguide.experiments.plan import Plan
from llmguide.experiments.run_folder import RunFolder
from llmguide.experiments.usage import Usage, agreement
from llmguide.hashing import hash_arrays
from llmguide.rl.config import DQNConfig
from llmguide.rl.flag.plan import FlagPlan
from llmguide.rl.flag.trained import TrainedPolicy, save_trained
from llmguide.rl.flag.trainer import FlagTrainer
from llmguide.rl.flag.training import TrainedPolicies
from llmguide.rl.progress import TrainingBar
from llmguide.trading.flag_rules import FlagRules

__all__ = ["collect", "find_trainer", "fingerprint", "measure_usage", "save", "train"]


def find_trainer(
    flag: FlagPlan | None, arms: Sequence[Arm], config: DQNConfig, *, device: str, ray: str | None
) -> FlagTrainer | None:
    """Return what trains the arm flag in the account of a study; None where the arm is not among them.

    Capital and cost are those of `config`, the rules of the reward the plan's own. The language model is read here,
    before anything is trained.

    Raises LlmguideError for the arm without a plan or the other way round, for other capital or cost in the plan, for
    states that show more bars than the other arms wait for, and for a Ray cluster; and what `FlagTrainer.of` raises.
    """
    names = [arm.name for arm in arms]
    if FLAG not in arms:
        if flag is None:
            return None
        raise LlmguideError(
            f"flag= is for the arm flag, which is not among {names}; add it with arms=, or leave flag= out"
        )
    if not isinstance(flag, FlagPlan):
        got = "" if flag is None else f", got {type(flag).__name__}"
        raise LlmguideError(
            "the arm flag needs a language model: give flag=FlagPlan(base), of llmguide.rl.flag.plan; the base is a "
            f"GGUF file, a folder, a name on the Hugging Face hub, or 'tiny'{got}"
        )
    if ray is not None:
        raise LlmguideError(
            "the arm flag is trained on this machine, not on a Ray cluster; train the other arms there first, "
            "then run all of them without ray in the same folder, where finished agents are not retrained"
        )
    if flag.config.shown > config.lookback:
        raise LlmguideError(
            f"every arm decides from bar {config.lookback} of the test bars on (DQNConfig.lookback), but a "
            f"state that shows {flag.config.shown} bars needs more; show at most {config.lookback} "
            "(FlagConfig.shown)"
        )
    rules, usual = flag.config.rules, FlagRules()
    for name in ("cash", "cost"):
        own, here = getattr(rules, name), getattr(config, name)
        if own not in (here, getattr(usual, name)):
            raise LlmguideError(
                f"all arms trade the same account, whose {name} is {here:g}, but the rules of flag= have {own:g}; "
                f"leave it out there, or give DQNConfig({name}={own:g})"
            )
    rules = replace(rules, cash=config.cash, cost=config.cost)
    return FlagTrainer.of(replace(flag, config=replace(flag.config, rules=rules)), device=device)


def train(
    plans: Mapping[str, Plan],
    arms: Sequence[Arm],
    folders: Mapping[str, RunFolder] | None,
    *,
    finished: Callable[[str, Arm, TrainedPolicy], None],
    progress: bool,
    announce: Callable[[str], None],
    ray: str | None = None,
) -> None:
    """Train the arm on every instrument with every seed; see `llmguide.experiments.train_grid.train_grid`."""
    assert ray is None  # refused by `find_trainer`
    (arm,) = arms
    cells = [(symbol, seed) for symbol, plan in plans.items() for seed in plan.seeds]
    ready = [] if folders is None else [cell for cell in cells if _path(folders, arm, cell).exists()]
    if ready:
        announce(f"{len(ready)} of {len(cells)} policies are already trained")
    with TrainingBar(part="rollout", unit="steps") if progress else nullcontext() as bar:
        for symbol, plan in plans.items():
            assert plan.flag is not None
            plan.flag.train(
                plan.train,
                seeds=plan.seeds,
                guidance=plan.guidance if plan.flag.template.can_tell("guidance") else None,
                # Its files are flag-SEED, which is what the folder calls those of the arm flag.
                out=None if folders is None else folders[symbol].path,
                finished=partial(finished, symbol, arm),
                progress=bar or False,
                title=" ".join(filter(None, ("training", symbol, arm.name))),
            )


def _path(folders: Mapping[str, RunFolder], arm: Arm, cell: tuple[str, int]) -> Path:
    symbol, seed = cell
    return folders[symbol].agent_path(arm.name, seed)


def collect(trained: Sequence[TrainedPolicy]) -> TrainedPolicies:
    """Return the policies of one arm with their curves."""
    return TrainedPolicies(tuple(trained))


def save(trained: TrainedPolicy, path: Path) -> Path:
    """Write a checkpoint."""
    return save_trained(trained, path)


def fingerprint(trained: TrainedPolicy) -> str:
    """Return the SHA-256 of the trained tensors; what they stand on is described by the plan."""
    tensors = trained.policy.trainable()
    return hash_arrays({name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()})


def measure_usage(
    trained: TrainedPolicy,
    result: BacktestResult,
    train: pd.DataFrame,
    test: pd.DataFrame,
    aligned_train: pd.DataFrame,
    aligned_test: pd.DataFrame,
) -> Usage:
    """Measure on the test bars how often what is held is what the guidance says; nothing agrees with neither side.

    What other guidance would change is not measured: a language model would have to read all bars again.
    """
    said = aligned_test["direction"].reindex(result.decisions.index)
    unknown = float("nan")
    return Usage(unknown, agreement(result.decisions, said), unknown, unknown)
