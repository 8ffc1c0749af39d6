"""Which prompt gives the better guidance? Experiment 1 of arXiv 2508.02366, on advice that was asked for before.

Every prompt's guidance is followed alone, by the arm "llm", on the same test bars; its uncertainty is that of the
replies. No model is asked here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pandas as pd

from llmguide.errors import DataError, GuidanceError, did_you_mean
from llmguide.experiments.arms import ARMS
from llmguide.experiments.markets import Market
from llmguide.experiments.measure import measure
from llmguide.experiments.outcomes import Outcome, outcomes
from llmguide.experiments.prompts.study import PromptStudy
from llmguide.experiments.review import ReviewResult
from llmguide.guidance import Guidance
from llmguide.guidance.advice import Advice
from llmguide.guidance.doubt.calibrate import calibrate_each, said_probability
from llmguide.guidance.schedule import EVERY
from llmguide.rl.config import DQNConfig
from llmguide.stats.calibration import Method

__all__ = ["judge_prompts"]


def judge_prompts(
    all_advice: Sequence[Advice],
    markets: Sequence[Market],
    *,
    cash: float = 100_000.0,
    cost: float = 0.001,
    calibrate: Method | None = None,
    every: int = EVERY,
    reviews: ReviewResult | None = None,
) -> PromptStudy:
    """Follow every prompt's guidance on the test bars, and return how each prompt did and what became of each month.

    Args:
        all_advice: advice for any number of instruments, prompts and months, in any order; one for each of them.
        markets: the instruments' bars; those without advice are left out.
        cash: initial capital.
        cost: fraction of each traded value; 0.001 is 0.1 %.
        calibrate: "platt" or "isotonic" to calibrate each prompt's probabilities, walking forward through the months of
            all instruments, and to show them beside the stated ones. The guidance that is followed stays as it is.
        every: trading days from a month to its outcome, from which calibration learns.
        reviews: experts' reviews of these answers (`llmguide.experiments.review`); those of other prompts are left out.

    Returns:
        A `PromptStudy`.

    Raises:
        DataError: no advice, or advice for an instrument without bars.
        GuidanceError: advice given twice for one month, or none on an instrument's test bars.
        ModelError: an impossible cash or cost.

    Source: arXiv 2508.02366, experiment 1.
    """
    known = {market.symbol: market for market in markets}
    _check(all_advice, known)
    config = DQNConfig(cash=cash, cost=cost)
    tables: dict[tuple[str, str], Guidance] = {}
    runs, months = [], []
    for symbol, market in known.items():
        asked = [advice for advice in all_advice if advice.symbol == symbol]
        became = outcomes(market, (advice.issued_at for advice in asked))
        for prompt in sorted({advice.prompt for advice in asked}):
            chosen = sorted((advice for advice in asked if advice.prompt == prompt), key=lambda a: a.issued_at)
            table = _table(symbol, prompt, chosen, became).made_from(market.bars, symbol=symbol)
            found = measure(ARMS["llm"], None, train=market.train, test=market.test, guidance=table, config=config)
            row = {name: found.row[name] for name in ("sr", "mdd", "final_value", "trades")}
            runs.append({"symbol": symbol, "prompt": prompt, **row})
            months += [_month(advice, became[advice.issued_at]) for advice in chosen]
            tables[symbol, prompt] = table
    frame = _months(months)
    settings: dict[str, object] = {"cash": cash, "cost": cost}
    if calibrate is not None:
        frame["p_calibrated"] = _calibrated(frame, tables, known, calibrate, every)
        settings |= {"calibrate": calibrate, "every": every}
    reviewed = None if reviews is None else reviews.of_prompts([prompt for _, prompt in tables])
    return PromptStudy(pd.DataFrame(runs), frame, tables, tuple(all_advice), settings, reviewed)


def _calibrated(
    months: pd.DataFrame,
    tables: Mapping[tuple[str, str], Guidance],
    known: Mapping[str, Market],
    method: Method,
    every: int,
) -> list[float | None]:
    """Return the calibrated probability of each month; each prompt learns from all instruments."""
    found: dict[tuple[str, str, datetime], float | None] = {}
    for prompt in dict.fromkeys(prompt for _, prompt in tables):
        pairs = {symbol: (table, known[symbol].bars) for (symbol, one), table in tables.items() if one == prompt}
        for symbol, table in calibrate_each(pairs, method=method, every=every).items():
            found |= {(symbol, prompt, row.issued_at): row.p_calibrated for row in table.rows}
    places = zip(months["symbol"], months["prompt"], months["issued_at"], strict=True)
    return [found[symbol, prompt, issued_at.to_pydatetime()] for symbol, prompt, issued_at in places]


def _check(all_advice: Sequence[Advice], known: Mapping[str, Market]) -> None:
    if not all_advice:
        raise DataError("expected the advice of a study, got none; ask for it with `llmguide guide`")
    for symbol in dict.fromkeys(advice.symbol for advice in all_advice):
        if symbol not in known:
            raise DataError(
                f"there is advice for {symbol!r}, but bars only of {', '.join(known) or 'no instrument'}"
                f"{did_you_mean(symbol, known)}; give its bars, or leave its advice out"
            )


def _table(symbol: str, prompt: str, chosen: Sequence[Advice], became: Mapping[datetime, Outcome]) -> Guidance:
    if not any(became[advice.issued_at].part == "test" for advice in chosen):
        raise GuidanceError(
            f"{symbol} {prompt}: expected advice issued on test bars, got {len(chosen)} issued before; ask for more"
        )
    try:
        return Guidance(tuple(advice.row for advice in chosen))
    except GuidanceError as error:
        raise GuidanceError(f"{symbol} {prompt}: {error}") from None


def _month(advice: Advice, outcome: Outcome) -> dict[str, object]:
    row = advice.row
    known = row.direction is not None and outcome.realised == outcome.realised
    return {
        "symbol": advice.symbol,
        "prompt": advice.prompt,
        "issued_at": advice.issued_at,
        "direction": row.direction,
        "confidence": row.confidence,
        "strength": row.strength,
        "tau": row.tau,
        "entropy": row.entropy,
        "perplexity": row.perplexity,
        "direction_entropy": row.direction_entropy,
        "confidence_entropy": row.confidence_entropy,
        "p_long": said_probability(row),
        "p_calibrated": None,
        "failure": advice.failure,
        **outcome._asdict(),
        "right": (outcome.realised > 0 if row.direction else outcome.realised < 0) if known else None,
        "model": advice.model,
        **{name: value for name, value in advice.cost._asdict().items() if name != "failed"},  # advice is answered
    }


def _months(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    dtypes = dict.fromkeys(("direction", "confidence"), "Int8")
    dtypes |= dict.fromkeys(("entropy", "perplexity", "direction_entropy", "confidence_entropy", "dollars"), "float64")
    dtypes |= dict.fromkeys(("p_long", "p_calibrated"), "float64")
    dtypes |= dict.fromkeys(("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens"), "Int64")
    dtypes |= dict.fromkeys(("issued_at", "first", "until"), "datetime64[us]")
    return pd.DataFrame(rows).astype({**dtypes, "right": "boolean"})
