"""llmguide's own strategies, indicators and examples, audited: the second table of docs/audit.md.

python tests/audited_own.py
"""

from __future__ import annotations

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

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def llm_only(bars: pd.DataFrame, **settings: Any) -> Any:
    """Follow a table that the rule vote makes of the same bars."""
    return make_cerebro(bars, strategies.LLMOnly, guidance=llmguide.guide(bars, "rules"), **settings)


def own(strategy: Any, **params: Any) -> Any:
    """Return a factory of a strategy with fills at the close."""
    return lambda bars: make_cerebro(bars, strategy, **params)


def subjects() -> dict[str, Any]:
    """Return what is audited, by name; a trained agent is trained on other bars."""
    agents = llmguide.train_dqn(sample_bars(years=1, seed=9), seeds=1, episodes=1)
    return {
        "BuyAndHold": own(strategies.BuyAndHold),
        "SellAndHold": own(strategies.SellAndHold),
        "TrendFollowing": own(strategies.TrendFollowing, short=2, long=21),
        "TrendFollowing, next open": own(strategies.TrendFollowing, short=2, long=21, fill="next_open"),
        "MeanReversion": own(strategies.MeanReversion, short=2, long=21),
        "LLMOnly, rules": llm_only,
        "LLMOnly, rules, next open": partial(llm_only, fill="next_open"),
        "DQN": own(strategies.DQN, model=agents[0]),
        **{
            name: getattr(indicators, name)
            for name in ("Slope", "ZScore", "WeeklyReturns", "HistoricalVolatility", "VWAP", "MACDStrength")
        },
        "examples/mixture.py, its indicator": load_code(f"{EXAMPLES / 'mixture.py'}:Contrarian")[0],
        "examples/tearsheet_from_cerebro.py": load_code(str(EXAMPLES / "tearsheet_from_cerebro.py"))[0],
    }


def results(bars: pd.DataFrame) -> dict[str, AuditResult]:
    """Audit everything."""
    found = {name: audit(code, bars, name=name) for name, code in subjects().items()}
    momentum: Any = load_code(f"{EXAMPLES / 'your_own_guidance.py'}:momentum")[0]
    found["examples/your_own_guidance.py"] = audit_guidance(momentum, bars)
    return found


def main() -> None:
    """Print the table."""
    print("| what | found as | lines | orders or rows | told beside |\n|---|---|---|---|---|")
    for name, result in results(sample_bars(years=2)).items():
        kinds = " and ".join(dict.fromkeys(found.kind for found in result.findings)) or "clean"
        beside = [f"{fill.kind} ({fill.orders} orders)" for fill in result.fills]
        beside += [f"{drift.line} depends on where history starts" for drift in result.drifts]
        kinds = kinds if result.exit_code < 2 else "not audited"
        print(f"| {name} | {kinds} | {result.lines} | {result.events} | {', '.join(beside)} |", flush=True)
        if result.exit_code:
            print(result)


if __name__ == "__main__":
    main()
