"""Guidance from a language model: first what it would cost, then the questions, then a backtest of the answers.

    export OPENAI_API_KEY=...
    python examples/guide_with_openai.py BARS.csv                 # gpt-4o-mini, prompt P2, at most half a dollar
    python examples/guide_with_openai.py BARS.csv --base-url http://localhost:11434/v1 --model llama3.1 --budget none

Any OpenAI-compatible endpoint will do. Every answer is kept in the cache: the same command costs nothing the second
time, and goes on where it was stopped. The model sees neither symbol nor dates.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import backtrader as bt

from llmguide import LanguageModel, LlmguideError, guide, read_bars
from llmguide.backtest import SharpeDrawdown
from llmguide.guidance.planning import plan_study
from llmguide.guidance.study import Study
from llmguide.strategies import LLMOnly


def dollars(amount: float | None) -> str:
    """Return an amount as text; the price of a model that the table of prices does not have is unknown, not 0."""
    return "unknown" if amount is None else f"{amount:.4f} $"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", type=Path)
    parser.add_argument("--base-url", help="of another endpoint than OpenAI's")
    parser.add_argument("--model", default="gpt-4o-mini")
    parser.add_argument("--prompt", default="P2", help="P0 to P4, or a template file")
    parser.add_argument(
        "--budget",
        type=lambda text: None if text == "none" else float(text),
        default="0.5",
        help="dollars that it may cost at most; none where no price is known",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/guide_with_openai"))
    given = parser.parse_args()

    bars = read_bars(given.bars)
    model = LanguageModel(
        model=given.model,
        prompt=given.prompt,
        symbol=given.bars.stem.partition("_")[0],
        base_url=given.base_url,
        cache=given.out / "llm.sqlite",
        budget=given.budget,
    )
    try:
        plan = plan_study(Study((model.subject(bars),), (model.prompt,), model.brief), model)
        print(f"to ask: {plan.calls} questions, {plan.kept} more have their answers in the cache")
        print(f"tokens: about {plan.prompt_tokens:,} in, {plan.completion_tokens:,} out")
        print(f"cost:   expected {dollars(plan.dollars)}, at most {dollars(plan.most_dollars)}")
        guidance = guide(bars, model)
    except LlmguideError as error:
        raise SystemExit(f"error: {error}") from None

    shown = guidance.frame[["issued_at", "direction", "confidence", "strength", "tau", "explanation"]]
    print(f"\n{shown.to_string(index=False, max_colwidth=48)}\n")
    asker = model.asker()
    spent = asker.ledger.spent(None, asker.prices)
    print(f"cost so far: {spent.calls} answers, {dollars(spent.dollars)}")
    print(f"table: {guidance.save(given.out / 'guidance.parquet')}")

    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.addstrategy(LLMOnly, guidance=guidance)
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=0.001)
    cerebro.addanalyzer(SharpeDrawdown)
    (strategy,) = cerebro.run()
    print(f"final value {cerebro.broker.getvalue():,.2f}")
    for name, value in strategy.analyzers.sharpedrawdown.get_analysis().items():
        print(f"{name} {value:,.3f}")
