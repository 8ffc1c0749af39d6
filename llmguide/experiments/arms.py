"""The arms of a comparison: what each one trains, observes and trades with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import backtrader as bt
import pandas as pd

from llmguide.errors import LlmguideError, did_you_mean
from llmguide.experiments.mixing import HoldPositions
from llmguide.guidance import Guidance
from llmguide.mixture import Mix, mix
from llmguide.rl.config import DQNConfig
from llmguide.strategies import (
    DQN,
    BuyAndHold,
    FlagTrader,
    LLMGuidedDQN,
    LLMOnly,
    MeanReversion,
    SellAndHold,
    TrendFollowing,
)
from llmguide.trading.moving_averages import LONGEST, Rule, choose_windows

if TYPE_CHECKING:
    from llmguide.rl.agent import Agent
    from llmguide.rl.flag.trained import TrainedPolicy

    Trained: TypeAlias = Agent | TrainedPolicy

__all__ = ["ARMS", "DEFAULT_ARMS", "FLAG", "Arm", "LearnerName", "choose_arms"]

LearnerName = Literal["dqn", "flag"]
"""Who learns: a double-DQN, or a language model (FLAG-Trader). `llmguide.experiments.learners` has both."""


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        strategy: the Backtrader strategy that trades it.
        learner: who is trained, once for each seed; None where nobody is.
        guided: whether it is given the guidance.
        needs_guidance: whether it cannot do without, if it is guided.
        windows: the rule by which its moving averages are chosen on the training bars, if it has any.
        mixed: whether it mixes its agent, the guidance and holding by their records (see `llmguide.mixture`). Its agent
            does not observe the guidance, which has a record of its own.
        held_out: whether its agents learn nothing from the last training bars (see `llmguide.experiments.plan.Plan`),
            which are then the beginning of their record.
    """

    name: str
    strategy: type[bt.Strategy]
    learner: LearnerName | None = None
    guided: bool = False
    needs_guidance: bool = True
    windows: Rule | None = None
    mixed: bool = False
    held_out: bool = False

    @property
    def trained(self) -> bool:
        """Whether there is one agent per seed."""
        return self.learner is not None

    @property
    def observes(self) -> bool:
        """Whether its agents observe the guidance."""
        return self.guided and not self.mixed

    @property
    def follows_q_values(self) -> bool:
        """Whether it trades by its agents' Q-values, and by nothing else."""
        return self.learner == "dqn" and not self.mixed

    def mix(
        self,
        agent: Trained | None,
        guidance: Guidance | None,
        train: pd.DataFrame,
        test: pd.DataFrame,
        config: DQNConfig,
        *,
        idle: int | None = None,
    ) -> Mix | None:
        """Return what its experts come to on training and test bars, which are raw; None where it mixes none.

        Positions are held on the test bars only, after `idle` of them; None is as many as in every arm.
        """
        if not self.mixed:
            return None
        experts = {"agent": agent, "guidance": guidance, "hold": "hold"}
        waits = config.lookback if idle is None else idle
        return mix(pd.concat([train, test]), experts, cost=config.cost, start=len(train) + waits)

    def params(
        self,
        agent: Trained | None,
        guidance: Guidance | None,
        train: pd.DataFrame,
        config: DQNConfig,
        mixed: Mix | None = None,
    ) -> dict[str, Any]:
        """Return the strategy's parameters; `train` are the training bars, raw, `mixed` is what `mix` returned."""
        if mixed is not None:
            return {"positions": mixed.positions.to_numpy()[len(train) :]}
        params: dict[str, Any] = {}
        if self.trained:
            params["model"] = agent
        if self.guided and self._reads_guidance(agent):
            params["guidance"] = guidance
        if self.windows:
            start = config.lookback
            chosen = choose_windows(
                train, self.windows, cash=config.cash, cost=config.cost, start=start, longest=min(LONGEST, start)
            )
            params["short"], params["long"] = chosen.short, chosen.long
        return params

    def _reads_guidance(self, agent: Trained | None) -> bool:
        """Whether it takes the guidance that is there: of a policy the template says so."""
        return self.learner != "flag" or cast("TrainedPolicy", agent).template.can_tell("guidance")


ARMS = {
    arm.name: arm
    for arm in (
        Arm("hybrid", LLMGuidedDQN, learner="dqn", guided=True),
        Arm("rl", DQN, learner="dqn"),
        Arm("llm", LLMOnly, guided=True),
        Arm("hold", BuyAndHold),
        Arm("sell", SellAndHold),
        Arm("trend", TrendFollowing, windows="trend"),
        Arm("reversion", MeanReversion, windows="reversion"),
        Arm("mixture", HoldPositions, learner="dqn", guided=True, mixed=True, held_out=True),
        Arm("flag", FlagTrader, learner="flag", guided=True, needs_guidance=False),
    )
}
"""Every arm by name."""

FLAG = ARMS["flag"]
"""The language model that is itself the policy; its template says whether it reads the guidance."""

DEFAULT_ARMS = ("hybrid", "rl", "llm", "hold", "sell")
"""The arms of a comparison that names none."""


def choose_arms(names: tuple[str, ...] | list[str], *, holdout: int | None = None) -> tuple[Arm, ...]:
    """Return the arms of these names; unknown and repeated ones are refused, and a holdout that none of them has."""
    for name in names:
        if name not in ARMS:
            raise LlmguideError(f"unknown arm {name!r}, choose from {', '.join(ARMS)}{did_you_mean(name, ARMS)}")
    if not names or len(set(names)) < len(names):
        raise LlmguideError(f"expected one or more different arms, got {list(names)}")
    chosen = tuple(ARMS[name] for name in names)
    if holdout is not None and not any(arm.held_out for arm in chosen):
        raise LlmguideError(
            f"holdout= is for the arm mixture, which is not among {list(names)}, whose agents learn from all "
            "training bars; add it with arms=, or leave holdout= out"
        )
    return chosen
