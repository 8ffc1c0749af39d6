"""llmguide's own strategies, indicators and examples, audited: the second table of docs/audit.md.

python tests/audited_own.py
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

import llmguide
from llmguide import indicators, sample_bars, strategies
from llmguide.audit import AuditResult, audit
from llmguide.audit.loading import load_code
from llmguide.backtest import make_cerebro
from llmguide.experiments.auditing import audit_guidance
from llmguide.rl.flag.bases import find_base, policy_factory
from llmguide.rl.flag.policy import PolicyConfig
from llmguide.rl.flag.training import train_flag

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def llm_only(bars: pd.DataFrame, **settings: Any) -> Any:
    """Follow a table that the rule vote makes of the same bars."""
    return make_cerebro(bars, strategies.LLMOnly, guidance=llmguide.guide(bars, "rules"), **settings)


def guided(strategy: Any, bars: pd.DataFrame, **params: Any) -> Any:
    """Give a strategy a table that the rule vote makes of the same bars."""
    return make_cerebro(bars, strategy, guidance=llmguide.guide(bars, "rules"), **params)


def mixture(agent: Any, bars: pd.DataFrame) -> Any:
    """Mix an agent, the rule vote on the same bars, and holding."""
    experts = {"agent": agent, "rules": llmguide.guide(bars, "rules"), "hold": "hold"}
    return make_cerebro(bars, strategies.MixtureOfExperts, experts=experts)


def policy(bars: pd.DataFrame) -> Any:
    """Train a tiny language model for a few steps; with this seed it trades."""
    factory = policy_factory(find_base("tiny", device="cpu"), PolicyConfig())
    return train_flag(bars, factory, steps=80, template="brief", seeds=[3], progress=False)[0]


def own(strategy: Any, **params: Any) -> Any:
    """Return a factory of a strategy with fills at the close."""
    return lambda bars: make_cerebro(bars, strategy, **params)


def subjects() -> Iterator[tuple[str, Any]]:
    """Yield what is audited, with its name; the agent is trained on other bars."""
    yield "BuyAndHold", own(strategies.BuyAndHold)
    yield "SellAndHold", own(strategies.SellAndHold)
    yield "TrendFollowing", own(strategies.TrendFollowing, short=2, long=21)
    yield "TrendFollowing, next open", own(strategies.TrendFollowing, short=2, long=21, fill="next_open")
    yield "MeanReversion", own(strategies.MeanReversion, short=2, long=21)
    yield "LLMOnly, rules", llm_only
    yield "LLMOnly, rules, next open", partial(llm_only, fill="next_open")
    for name in ("Slope", "ZScore", "WeeklyReturns", "HistoricalVolatility", "VWAP", "MACDStrength"):
        yield name, getattr(indicators, name)
    yield "examples/tearsheet_from_cerebro.py", load_code(str(EXAMPLES / "tearsheet_from_cerebro.py"))[0]
    yield "examples/mixture.py, its indicator", load_code(f"{EXAMPLES / 'mixture.py'}:Contrarian")[0]
    before = sample_bars(years=1, seed=9)
    (agent,) = llmguide.train_dqn(before, seeds=1, episodes=1)
    yield "DQN", own(strategies.DQN, model=agent)
    (hybrid,) = llmguide.train_dqn(before, llmguide.guide(before, "rules"), seeds=1, episodes=1)
    yield "LLMGuidedDQN, rules", partial(guided, strategies.LLMGuidedDQN, model=hybrid)
    yield "MixtureOfExperts", partial(mixture, agent)
    yield "FlagTrader, tiny", own(strategies.FlagTrader, model=policy(before))


def results(bars: pd.DataFrame) -> Iterator[tuple[str, AuditResult]]:
    """Audit everything."""
    momentum: Any = load_code(f"{EXAMPLES / 'your_own_guidance.py'}:momentum")[0]
    yield "examples/your_own_guidance.py", audit_guidance(momentum, bars)
    for name, code in subjects():
        yield name, audit(code, bars, name=name)


def main() -> None:
    """Print the table."""
    print("| what | found as | lines | orders or rows | also reported |\n|---|---|---|---|---|")
    for name, result in results(sample_bars(years=2)):
        kinds = " and ".join(dict.fromkeys(found.kind for found in result.findings)) or "clean"
        beside = [f"{fill.kind}: {fill.orders}" for fill in result.fills]
        beside += [f"{drift.line} depends on where history starts" for drift in result.drifts]
        kinds = kinds if result.exit_code < 2 else "not audited"
        print(f"| {name} | {kinds} | {result.lines} | {result.events} | {', '.join(beside)} |", flush=True)
        if result.exit_code:
            print(result)


if __name__ == "__main__":
    main()
