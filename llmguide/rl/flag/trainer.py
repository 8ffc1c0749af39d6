"""Policies over one language model, which is read once for all seeds and instruments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.rl.flag.base import FlagBase
from llmguide.rl.flag.bases import find_base, policy_factory
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.libraries import library
from llmguide.rl.flag.plan import FlagPlan
from llmguide.rl.flag.policy import PolicyConfig
from llmguide.rl.flag.trained import TrainedPolicy
from llmguide.rl.flag.training import TrainedPolicies, train_flag
from llmguide.rl.progress import TrainingBar
from llmguide.sources.tables import Tables
from llmguide.states.factors import FactorsSource
from llmguide.states.moment import GuidanceAt
from llmguide.states.text import StateTemplate, prefix, read_state_template
from llmguide.trading.flag_env import check_start

__all__ = ["FlagTrainer"]


@dataclass(frozen=True, eq=False)
class FlagTrainer:
    """A `FlagPlan` with everything loaded and checked that needs no bars.

    Attributes:
        base: the language model, in memory.
        policy: which parts of it are trained, every number filled in.
        config: how it is trained.
        template: renders the states as text.
    """

    base: FlagBase
    policy: PolicyConfig
    config: FlagConfig
    template: StateTemplate

    @classmethod
    def of(cls, plan: FlagPlan, *, device: str = "auto") -> FlagTrainer:
        """Return the trainer of a plan, with everything that it names loaded.

        Args:
            plan: the plan.
            device: "cpu", "cuda" or "auto".

        Raises:
            ModelError: no such language model, template or device, or no layer that is left to train.
            MissingExtra: transformers is not installed, or peft, where an adapter is asked for.
        """
        template = read_state_template(plan.template)
        prefix(template, shown=plan.config.shown)  # a fault shows here, not after hours
        wanted = plan.policy or PolicyConfig()
        if wanted.lora_rank:
            library("peft")
        base = find_base(plan.base, device=device)
        return cls(base, wanted.of(base), plan.config, template)

    def describe(self) -> dict[str, Any]:
        """Return everything that shapes its policies apart from bars, guidance and seeds, ready for JSON."""
        policy = {name: value for name, value in asdict(self.policy).items() if name != "seed"}
        return {
            "base": self.base.name,
            "base_sha256": self.base.digest,
            "policy": policy | {"layers": self.base.layers},
            "training": self.config.to_dict(),
            "template": {
                "name": Path(self.template.given).name,
                "sha256": self.template.hash,
                "tells_guidance": self.template.can_tell("guidance"),
            },
        }

    def check(self, bars: pd.DataFrame) -> None:
        """Refuse training `bars` that are too few for an episode (DataError)."""
        check_start(len(bars), self.config.rules, shown=self.config.shown, whole=False)

    def train(
        self,
        bars: pd.DataFrame,
        *,
        seeds: int | Sequence[int],
        guidance: GuidanceAt | None = None,
        factors: FactorsSource | None = None,
        tables: Tables | None = None,
        out: Path | None = None,
        finished: Callable[[TrainedPolicy], None] | None = None,
        progress: TrainingBar | bool = True,
        title: str = "training flag",
    ) -> TrainedPolicies:
        """Train one policy per seed, or resume from what the folder holds, and return the policies.

        The arguments `bars`, `seeds`, `guidance`, `factors`, `tables`, `out`, `finished`, `progress` and `title` are
        those of `llmguide.rl.flag.training.train_flag`, and so are the errors.
        """
        return train_flag(
            bars,
            policy_factory(self.base, self.policy),
            config=self.config,
            seeds=seeds,
            template=self.template,
            guidance=guidance,
            factors=factors,
            tables=tables,
            out=out,
            finished=finished,
            progress=progress,
            title=title,
        )
