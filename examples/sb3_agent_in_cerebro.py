"""An agent of stable-baselines3, trained on `llmguide.TradingEnv`, trades in Cerebro.

    pip install stable-baselines3                    # not needed by llmguide itself
    python examples/sb3_agent_in_cerebro.py          # a quick look on the synthetic market
    python examples/sb3_agent_in_cerebro.py TRAIN.csv TEST.csv --guidance guidance.parquet --steps 50000

`TradingEnv` is a gymnasium environment, so any agent of any library for those will do. In Cerebro a strategy asks it at
every bar, with the observation made from the bars before, and the account is that of the environment to the cent.
"""

from __future__ import annotations

import argparse
from typing import Any, ClassVar

import backtrader as bt
import numpy as np
import pandas as pd

import llmguide
from llmguide.backtest import SharpeDrawdown, use_close_fills
from llmguide.strategies.base import AccountStrategy
from llmguide.trading.observation import LOOKBACK, SMOOTHING, MarketArrays, market_features, observe

try:
    from stable_baselines3 import DQN
except ImportError:
    raise SystemExit("this example needs stable-baselines3; install it with: pip install stable-baselines3") from None

KNOWN = LOOKBACK + SMOOTHING - 1  # bars that an observation is made of


class FollowAgent(AccountStrategy):
    """Does what the agent says, from the bars before this one and the guidance in force on it."""

    params: ClassVar[Any] = (("agent", None), ("scaler", None), ("guidance", None), ("start", LOOKBACK))

    def decide(self) -> int:
        """Return 1 (long) or 0 (short)."""
        known = min(len(self.traded) - 1, KNOWN)
        lines = (self.traded.close, self.traded.high, self.traded.low, self.traded.volume)
        market = MarketArrays(*(np.array(line.get(ago=-1, size=known)) for line in lines))
        first = len(self.traded) - 1 - known
        features = market_features(market, self.p.scaler, first=first)[-1:]
        today = pd.DatetimeIndex([self.traded.datetime.datetime(0)])
        tau = None if self.p.guidance is None else self.p.guidance.tau(today)
        action, _ = self.p.agent.predict(observe(features, self.side, tau)[0], deterministic=True)
        return int(action)


def value_in_environment(env: llmguide.TradingEnv, agent: DQN) -> float:
    """Return the value at the end of one episode."""
    observation, info = env.reset()
    over = False
    while not over:
        action, _ = agent.predict(observation, deterministic=True)
        observation, _, over, _, info = env.step(action)
    return float(info["value"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", nargs="*", help="training and test bars; the synthetic market where they are left out")
    parser.add_argument("--guidance", help="a table for both; by rules where it is left out")
    parser.add_argument("--steps", type=int, default=600, help="of training; far too few by default")
    given = parser.parse_args()

    if given.bars:
        train, test = (llmguide.read_bars(path) for path in given.bars)
    else:
        market = llmguide.sample_bars(years=4)
        train, test = market.iloc[:756], market.iloc[756:]
    whole = pd.concat([train, test])
    guidance = llmguide.Guidance.read(given.guidance) if given.guidance else llmguide.guide(whole, "rules")

    env = llmguide.TradingEnv(train, guidance, training=True)
    agent = DQN(
        "MlpPolicy",
        env,
        policy_kwargs={"net_arch": [64, 64]},
        learning_starts=100,
        exploration_fraction=0.5,
        target_update_interval=200,
        seed=0,
    )
    agent.learn(total_timesteps=given.steps)

    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=test))
    cerebro.addstrategy(FollowAgent, agent=agent, scaler=env.scaler, guidance=guidance)
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=0.001)
    use_close_fills(cerebro)
    cerebro.addanalyzer(SharpeDrawdown)
    (strategy,) = cerebro.run()

    for name, value in strategy.analyzers.sharpedrawdown.get_analysis().items():
        print(f"{name} {value:,.3f}")
    print(f"long on {np.mean([decided.decision for decided in strategy.decision_log]):.0%} of the bars")
    in_cerebro = cerebro.broker.getvalue()
    in_environment = value_in_environment(llmguide.TradingEnv(test, guidance, scaler=env.scaler), agent)
    print(f"final value in Cerebro {in_cerebro:,.2f}, in the environment {in_environment:,.2f}")
    if abs(in_cerebro - in_environment) >= 0.01:
        raise SystemExit("they differ by a cent or more")
