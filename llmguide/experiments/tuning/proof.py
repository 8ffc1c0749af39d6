"""The test of a tuned prompt: once, on bars that came after everything it was tuned on, beside the untuned one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from llmguide.errors import DataError
from llmguide.experiments.tuning.account import Account, table_of
from llmguide.experiments.tuning.exchange import Pair, exchange_test
from llmguide.guidance.advice import Advice
from llmguide.guidance.study import Study, run_study
from llmguide.guidance.tuning.study import TuningStudy
from llmguide.guidance.tuning.training import HeldOut
from llmguide.llm.asking import Asker
from llmguide.llm.probe import Capabilities
from llmguide.llm.templates import PromptTemplate, prompt_version
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.periods import periods_of
from llmguide.stats import Interval, bootstrap_difference
from llmguide.trading.account import LONG
from llmguide.trading.simulate import simulate

__all__ = ["UNTUNED", "Proof", "check_tests", "judge_test", "prove"]

TUNED, UNTUNED, HOLD = "tuned", "untuned", "hold"
LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Proof:
    """What following the tuned and the untuned prompt earned on the test bars.

    Attributes:
        table: one row per instrument and account (tuned, untuned, hold): ``symbol``, ``account``, ``sr`` (annual, NaN
            where nothing was traded), ``mdd``, ``total_return`` (fractions), ``bars``, ``months``, ``abstentions``.
        returns: of each account on the test bars of each instrument, by (symbol, account).
        difference: Sharpe ratio of the tuned minus that of the untuned, mean over instruments, with its interval by the
            stationary bootstrap.
        bars: test bars that all instruments have, of which the interval is.
        p: of the difference where the prompts' months are exchanged at random (`exchange_test`).
    """

    table: pd.DataFrame
    returns: Mapping[tuple[str, str], pd.Series[float]]
    difference: Interval
    bars: int
    p: float

    @property
    def verdict(self) -> str:
        """ "higher" or "lower" where the interval leaves out 0 and p is at most 0.05, else "open"."""
        low, high = self.difference.low, self.difference.high
        if self.p > LEVEL or low <= 0 <= high:
            return "open"
        return "higher" if self.difference.estimate > 0 else "lower"

    def mean(self, account: str) -> float:
        """Return the mean Sharpe ratio of an account over instruments."""
        return float(self.table.loc[self.table["account"] == account, "sr"].mean())


def check_tests(study: TuningStudy, tests: Sequence[HeldOut]) -> None:
    """Refuse test bars that are not those after the training bars of the study's instruments, each once.

    Raises DataError.
    """
    if not tests:
        return
    known = {training.symbol: training for training in study.training}
    symbols = [test.symbol for test in tests]
    if sorted(symbols) != sorted(known):
        raise DataError(f"expected test bars of {', '.join(known)}, got those of {', '.join(symbols)}")
    for test in tests:
        ends, begins = known[test.symbol].bars.index[-1], test.subject.bars.index[test.first]
        if not ends < begins:
            raise DataError(
                f"{test.symbol}: the test must begin after the training has ended, but training ends on "
                f"{ends:%Y-%m-%d} and the test begins on {begins:%Y-%m-%d}"
            )


def prove(
    study: TuningStudy,
    tuned: PromptTemplate,
    tests: Sequence[HeldOut],
    asker: Asker,
    account: Account,
    *,
    on_ready: Callable[[Capabilities], None] = lambda capabilities: None,
    on_answer: Callable[[object], None] = lambda answer: None,
    on_stopping: Callable[[], None] = lambda: None,
) -> Proof:
    """Ask both prompts about the test months, and follow their guidance."""
    asked = Study(tuple(test.subject for test in tests), (study.template, tuned), study.brief)
    advice = run_study(asked, asker, on_ready=on_ready, on_advice=on_answer, on_stopping=on_stopping)
    versions = {UNTUNED: prompt_version(study.template), TUNED: prompt_version(tuned)}
    by_account = {name: [one for one in advice if one.prompt == version] for name, version in versions.items()}
    return judge_test(tests, by_account, account, seed=study.seed)


def judge_test(
    tests: Sequence[HeldOut], advice: Mapping[str, Sequence[Advice]], account: Account, *, seed: int
) -> Proof:
    """Return what following the advice of the accounts "tuned" and "untuned" earned, beside holding."""
    rows, returns = [], {}
    for test in tests:
        bars, first = test.subject.bars, test.first
        for name, asked in advice.items():
            own = [one for one in asked if one.symbol == test.symbol]
            found = returns[test.symbol, name] = account.returns(own, bars, symbol=test.symbol, first=first)
            rows.append({**_row(test.symbol, name, found), "months": len(own), "abstentions": _abstained(own)})
        held = simulate(
            bars.iloc[first - 1 :],
            np.full(len(bars) - first, LONG, dtype=np.int8),
            cash=account.cash,
            cost=account.cost,
            start=1,
        )
        found = returns[test.symbol, HOLD] = held["returns"].iloc[1:]
        rows.append({**_row(test.symbol, HOLD, found), "months": 0, "abstentions": 0})
    both = [
        pd.concat([returns[test.symbol, name].rename(test.symbol) for test in tests], axis=1, join="inner")
        for name in (TUNED, UNTUNED)
    ]
    year = periods_of(both[0])
    difference = bootstrap_difference(both[0].to_numpy(), both[1].to_numpy(), periods=year, seed=seed).sharpe
    pairs = [
        Pair(
            table_of(advice[TUNED], symbol=test.symbol),
            table_of(advice[UNTUNED], symbol=test.symbol),
            test.subject.bars,
            test.first,
        )
        for test in tests
    ]
    p = exchange_test(pairs, cash=account.cash, cost=account.cost, seed=seed)
    return Proof(pd.DataFrame(rows), returns, difference, len(both[0]), p)


def _row(symbol: str, name: str, returns: pd.Series[float]) -> dict[str, object]:
    value = (1.0 + returns).cumprod()
    return {
        "symbol": symbol,
        "account": name,
        "sr": sharpe_ratio(returns),
        "mdd": max_drawdown(np.concatenate([[1.0], value.to_numpy()])),
        "total_return": float(value.iloc[-1] - 1.0),
        "bars": len(returns),
    }


def _abstained(advice: Sequence[Advice]) -> int:
    return sum(one.reply is None for one in advice)
