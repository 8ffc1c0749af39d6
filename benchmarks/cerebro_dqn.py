"""Bars per second in Cerebro: a strategy that asks the agent, and a script that sends the same orders.

    python benchmarks/cerebro_dqn.py [--quick] [--repeats N] [--threads N]

503 bars of the synthetic market, as many as in the published test. `LLMGuidedDQN` with the published network (118
values observed, four layers of 512 units) and guidance by rules decides on each of them; the script reads the same
decisions from a list. Account, orders, fills and analyzers are the same code, and the accounts are checked to be equal.
A run is everything from making the Cerebro to its last bar. Not measured: training, reading the checkpoint, a first run
of each.

The ratio is the script's time over the agent's: what is missing to 1 is the share of the time that deciding takes.
Preloaded bars are decided in one batch, others one by one as in live trading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import backtrader as bt
import pandas as pd
from _bench import Figure, Options, rates, run

from llmguide import guide, sample_bars, train_dqn
from llmguide.backtest import make_cerebro
from llmguide.rl.config import DQNConfig
from llmguide.strategies import AccountStrategy, LLMGuidedDQN

BARS = 503


class Scripted(AccountStrategy):
    """Decisions from a list, one for each bar from `start` on."""

    params: ClassVar[Any] = (("script", ()),)

    def decide(self) -> int:
        """Return the bar's entry."""
        return int(self.p.script[len(self.traded) - 1 - self.p.start])


def measure(options: Options) -> list[Figure]:
    """Time them in turn."""
    years, tested = (1, 60) if options.quick else (4, BARS)
    market = sample_bars(years=years)
    train, test = market.iloc[:-tested], market.iloc[-tested:]
    guidance = guide(market, "rules")
    config = DQNConfig(hidden=32) if options.quick else DQNConfig()
    (agent,) = train_dqn(train, guidance, seeds=1, episodes=1, config=config, progress=False)

    def ran(strategy: type[bt.Strategy], params: dict[str, Any], live: bool) -> bt.Strategy:
        cerebro = make_cerebro(test, strategy, **params)
        (done,) = cerebro.run(runonce=not live, preload=not live)
        return done

    guided = LLMGuidedDQN, {"model": agent, "guidance": guidance}
    first = ran(*guided, live=False)
    scripted = Scripted, {"script": [decided.decision for decided in first.decision_log]}
    for live in (False, True):
        for contender in (guided, scripted):
            account = ran(*contender, live).analyzers.sharpedrawdown.account
            pd.testing.assert_frame_equal(account, first.analyzers.sharpedrawdown.account)

    def contender(strategy: type[bt.Strategy], params: dict[str, Any], live: bool) -> Callable[[], int]:
        return lambda: len(ran(strategy, params, live).data)

    measured = rates(
        {
            f"{name}, {way}": contender(*what, live=way == "one by one")
            for name, what in (("LLMGuidedDQN", guided), ("script", scripted))
            for way in ("preloaded", "one by one")
        },
        options.repeats,
    )
    orders = len(first.analyzers.orderlog.frame)
    return [
        Figure.of(
            f"Cerebro bars, LLMGuidedDQN, {way}",
            measured[f"LLMGuidedDQN, {way}"],
            f"the same {orders} orders by a script",
            measured[f"script, {way}"],
        )
        for way in ("preloaded", "one by one")
    ]


if __name__ == "__main__":
    run(__doc__, measure)
