"""Train policies that read text: the library's door to `llmguide.rl.flag`."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd
import torch

from llmguide.counting import counted
from llmguide.errors import ModelError
from llmguide.inline import Inline, Shown
from llmguide.rl.flag.checkpoint import TOLD, read_trained
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.lesson import FlagLesson
from llmguide.rl.flag.protocol import TradingPolicy
from llmguide.rl.flag.run import FlagResumed, FlagRun, RolloutEnd
from llmguide.rl.flag.trained import TrainedPolicy, load_trained, save_trained
from llmguide.rl.progress import TrainingBar
from llmguide.rl.state import STATE_SUFFIX, remove_file
from llmguide.rl.training import as_seeds, training_data
from llmguide.sources.tables import Tables
from llmguide.states.factors import FactorsSource
from llmguide.states.moment import GuidanceAt
from llmguide.states.text import DEFAULT, StateTemplate

__all__ = ["SAVE_EVERY", "TrainedPolicies", "train_flag"]

SAVE_EVERY = 10
"""Rollouts between two saves of an unfinished training."""

_NAME = "flag"


@dataclass(frozen=True, eq=False, repr=False)
class TrainedPolicies(Inline, Sequence[TrainedPolicy]):
    """Trained policies, one per seed, in the order of the seeds: a sequence.

    Attributes:
        policies: the policies.
    """

    policies: tuple[TrainedPolicy, ...]

    @property
    def curves(self) -> pd.DataFrame:
        """One row per seed and rollout; `llmguide.rl.flag.run.FlagRun` describes the columns.

        They are for plots, and select nothing. Each policy carries its own in ``notes["curve"]``.
        """
        points = pd.DataFrame([{"seed": one.seed} | point for one in self for point in one.notes["curve"]])
        first = ["seed", "steps", "episodes"]
        rest = sorted({str(name) for name in points} - set(first))  # one order, also of those read from checkpoints
        return points[first + rest]

    @overload
    def __getitem__(self, index: int) -> TrainedPolicy: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TrainedPolicy, ...]: ...
    def __getitem__(self, index: int | slice) -> TrainedPolicy | tuple[TrainedPolicy, ...]:
        return self.policies[index]

    def __len__(self) -> int:
        return len(self.policies)

    def _shown(self) -> Shown:
        seeds = ", ".join(str(one.seed) for one in self)
        return Shown(f"{counted(len(self), 'language model')} trained to trade, by seed: {seeds or 'none'}.")


def train_flag(
    bars: pd.DataFrame,
    policy_factory: Callable[[int], TradingPolicy],
    *,
    config: FlagConfig | None = None,
    seeds: int | Sequence[int] = 1,
    steps: int | None = None,
    template: str | Path | StateTemplate = DEFAULT,
    guidance: GuidanceAt | None = None,
    factors: FactorsSource | None = None,
    tables: Tables | None = None,
    out: Path | str | None = None,
    save_every: int = SAVE_EVERY,
    finished: Callable[[TrainedPolicy], None] | None = None,
    progress: TrainingBar | bool = True,
    title: str = "training",
) -> TrainedPolicies:
    """Train one language-model policy per seed, one after the other: a language model needs the whole machine.

    Args:
        bars: raw training bars (see `llmguide.read_bars`).
        policy_factory: returns a new policy for a seed, which draws its initial weights; frozen parts may be shared
            (see `llmguide.rl.flag.bases.policy_factory`).
        config: settings; None is the published ones.
        seeds: number of runs (with seeds 0, 1, ...), or which seeds. The same seed gives the same policy on the same
            machine.
        steps: number of transitions, instead of the config's.
        template: renders the states as text, by name or path (see `llmguide.states.text`).
        guidance: guidance, where the template mentions it (see `llmguide.states.moment.market_moment`).
        factors: news factors, where the template mentions them.
        tables: external tables, where the template mentions facts.
        out: a folder for ``flag-SEED.safetensors``, and for ``flag-SEED.training`` until it is there. The same call
            resumes from them: what is finished is loaded, what is not is continued and gives the same bits. None keeps
            nothing.
        save_every: rollouts between two saves; training is also saved when interrupted.
        finished: called with each policy as soon as its seed has finished.
        progress: show a progress bar on a terminal or in a notebook; or an existing bar to continue.
        title: label of the bar.

    Returns:
        The `TrainedPolicies`, one per seed.

    Raises:
        ModelError: impossible seeds or settings, a faulty template, a training that diverged; or `out` holds a damaged
            file, or one of another training.
        DataError: too few bars.

    Source: arXiv 2502.11433v3, section 3.
    """
    chosen = as_seeds(seeds)
    if save_every < 1:
        raise ModelError(f"save_every is a number of rollouts of at least 1, got {save_every}")
    settings = config or FlagConfig()
    if steps is not None:
        settings = replace(settings, steps=steps)
    lesson = FlagLesson.prepare(
        bars, config=settings, template=template, guidance=guidance, factors=factors, tables=tables
    )
    folder = None if out is None else Path(out)
    trained = []
    with ExitStack() as stack:
        own = stack.enter_context(TrainingBar(part="rollout", unit="steps")) if progress is True else None
        bar = own or (progress if isinstance(progress, TrainingBar) else None)
        if bar is not None:
            rollouts = -(-settings.steps // (settings.rollout * settings.environments))
            count = len(chosen)
            bar.begin(title, steps=settings.steps * count, episodes=rollouts * count, agents=count)
        for seed in chosen:
            trained.append(_train_one(lesson, policy_factory(seed), seed, folder, save_every, bar))
            if bar is not None:
                bar.end_agent()
            if finished is not None:
                finished(trained[-1])
    return TrainedPolicies(tuple(trained))


def _train_one(
    lesson: FlagLesson,
    policy: TradingPolicy,
    seed: int,
    folder: Path | None,
    save_every: int,
    bar: TrainingBar | None,
) -> TrainedPolicy:
    """Return the policy of one seed: read where it is finished, else trained to its end and written."""
    checkpoint = None if folder is None else folder / f"{_NAME}-{seed}.safetensors"
    state = None if folder is None else folder / f"{_NAME}-{seed}{STATE_SUFFIX}"
    if checkpoint is not None and state is not None and checkpoint.exists():
        done = _read_finished(checkpoint, policy, lesson, seed)
        remove_file(state)  # it was killed between writing the one and removing the other
        if bar is not None:
            bar.resume(len(done.notes["curve"]), lesson.config.steps)
        return done
    run = FlagRun(lesson, policy, seed, state=state)
    with closing(run.events(save_every)) as events:
        for event in events:
            if bar is None:
                continue
            match event:
                case FlagResumed(rollouts=rollouts, steps=taken):
                    bar.resume(rollouts, taken)
                case RolloutEnd(steps=taken):
                    bar.advance(taken)
                    bar.end_part()
    trained = TrainedPolicy(policy, lesson.config, lesson.template, seed, _notes(lesson, run))
    if checkpoint is not None and state is not None:
        save_trained(trained, checkpoint)
        remove_file(state)
    return trained


def _read_finished(checkpoint: Path, policy: TradingPolicy, lesson: FlagLesson, seed: int) -> TrainedPolicy:
    """Return a finished policy; ModelError where it is of another training."""
    found = read_trained(checkpoint)
    same = {
        "settings": found.config == lesson.config,
        "bars or template": found.notes.get("fingerprint") == lesson.fingerprint,
        "policy": found.identity == json.loads(json.dumps(policy.identity())),
        "seed": found.seed == seed,
    }
    different = [name for name, equal in same.items() if not equal]
    if different:
        raise ModelError(
            f"{checkpoint} is of another training (other {', '.join(different)}); choose another folder, or delete it "
            f"to train seed {seed} again"
        )
    return load_trained(checkpoint, policy)


def _notes(lesson: FlagLesson, run: FlagRun) -> dict[str, Any]:
    return {
        "trained_on": training_data(lesson.bars, None),
        "fingerprint": lesson.fingerprint,
        TOLD: list(lesson.told),
        "curve": list(run.curve),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }
