"""What a study of prompts found: every month, the measures of each prompt, tests between prompts, and costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from llmguide.experiments.paired import paired_table
from llmguide.experiments.prompts.probabilities import reliability, scores
from llmguide.experiments.prompts.published import published_sharpe
from llmguide.experiments.review import ReviewResult
from llmguide.guidance import Guidance
from llmguide.guidance.advice import Advice
from llmguide.llm.ledger import Spending
from llmguide.stats import paired_tests, wilson_interval

__all__ = ["PromptResult"]

REFERENCE, FINAL = "P1", "P4"
"""The prompt that others are tested against, and the one that is tested first, as in arXiv 2508.02366."""

_ENTROPIES = ("entropy", "direction_entropy", "confidence_entropy")
_UNCERTAINTY = ("perplexity", *_ENTROPIES)


@dataclass(frozen=True, eq=False)
class PromptResult:
    """The result of every instrument and prompt of a study.

    Sharpe ratios are annual and of the test bars, drawdowns and returns fractions, entropies in [0, 1]. What is
    undefined, unknown or not published is NaN. Measures of guidance are of the months issued on test bars.

    Attributes:
        runs: one row per instrument and prompt, for following the guidance alone on the test bars: ``symbol``,
            ``prompt``, ``sr``, ``mdd``, ``final_value``, ``trades``.
        months: one row per advice: ``symbol``, ``prompt``, ``issued_at``, what was advised (``direction``,
            ``confidence``, ``strength``, ``tau``, the uncertainties, ``failure`` where it abstained), ``p_long``, the
            probability that the direction rests on (revised where it was), ``p_calibrated`` where that was asked for
            and enough months were known before, what became of it (see `llmguide.experiments.outcomes`; ``right`` where
            direction and return have the same sign), ``model`` and what it cost.
        guidance: the table of each (symbol, prompt), all months.
        all_advice: the advice all of it was made from.
        settings: capital, cost and how probabilities were calibrated, if they were.
        reviews: experts' reviews of these answers, where there are any; of the study's prompts alone.
    """

    runs: pd.DataFrame
    months: pd.DataFrame
    guidance: Mapping[tuple[str, str], Guidance]
    all_advice: tuple[Advice, ...]
    settings: Mapping[str, Any]
    reviews: ReviewResult | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """The instruments, in the order of their bars."""
        return tuple(dict.fromkeys(self.runs["symbol"]))

    @property
    def prompts(self) -> tuple[str, ...]:
        """Names of the prompts, sorted."""
        return tuple(sorted(set(self.runs["prompt"])))

    @property
    def test_months(self) -> pd.DataFrame:
        """The rows of `months` that were issued on test bars."""
        return self.months[self.months["part"] == "test"].reset_index(drop=True)

    @property
    def table(self) -> pd.DataFrame:
        """`runs` with the published Sharpe ratio, and a summary of each prompt's test months.

        ``sr_published``; ``months``, of which ``abstentions`` without an answer; ``hit_rate``, the share of answers
        whose direction was right; ``up_rate``, the share of months in which the price rose, which is the hit rate of
        always long; the means of ``perplexity`` and of the entropies over the months that have them, and ``measured``,
        how many have an entropy.
        """
        months = self.test_months
        up = (months["realised"] > 0).astype("float64").where(months["realised"].notna())
        groups = months.assign(
            abstained=months["direction"].isna(), right=months["right"].astype("Float64"), up=up
        ).groupby(["symbol", "prompt"], sort=False)  # fmt: skip
        summed = pd.DataFrame(
            {
                "months": groups.size(),
                "abstentions": groups["abstained"].sum(),
                "hit_rate": groups["right"].mean().astype("float64"),
                "up_rate": groups["up"].mean(),
                **{name: groups[name].mean() for name in _UNCERTAINTY},
                "measured": groups["entropy"].count(),
            }
        ).reset_index()
        there = [published_sharpe(run.symbol, run.prompt) for run in _rows(self.runs)]
        return self.runs.assign(sr_published=there).merge(summed, on=["symbol", "prompt"], how="left")

    @property
    def means(self) -> pd.DataFrame:
        """Each prompt over all instruments, with means of the columns of `table` (NaN left out) and sums of its counts.

        ``instruments`` says how many have the prompt. ``sr_published`` is NaN unless every one of them was published.
        """
        groups = self.table.groupby("prompt")
        averaged = ("sr", "sr_published", "mdd", "hit_rate", "up_rate", *_UNCERTAINTY)
        means = pd.DataFrame(
            {
                "instruments": groups.size(),
                **{name: groups[name].mean() for name in averaged},
                **{name: groups[name].sum() for name in ("months", "abstentions", "measured")},
            }
        )
        means["sr_published"] = means["sr_published"].where(groups["sr_published"].count() == means["instruments"])
        return means.reset_index()

    @property
    def tests(self) -> pd.DataFrame:
        """Two-sided paired tests of every prompt against P1 (the first prompt where there is no P1), P4 first.

        Columns ``over``, ``measure``, ``prompt_a``, ``prompt_b``, ``mean_difference`` (a - b), ``t``, ``p`` and ``n``
        of the t test, ``p_wilcoxon`` of the signed-rank test, and ``p_holm``, the t test's p corrected for the number
        of prompts compared by the same measure and over the same pairs. Over "instruments", each instrument is a pair,
        for "sr", "perplexity" and "entropy"; over a symbol, each of its test months, for the latter two. Pairs of which
        either is undefined are left out, and so are tests with fewer than two pairs; t and p are NaN where differences
        have no spread.
        """
        reference = REFERENCE if REFERENCE in self.prompts else self.prompts[0]
        others = sorted(set(self.prompts) - {reference}, key=lambda prompt: (prompt != FINAL, prompt))
        groups: list[tuple[str, pd.DataFrame, str, tuple[str, ...]]] = [
            ("instruments", self.table, "symbol", ("sr", "perplexity", "entropy"))
        ]
        for symbol, months in self.test_months.groupby("symbol", sort=False):
            groups.append((str(symbol), months, "issued_at", ("perplexity", "entropy")))
        rows = []
        for over, frame, pair, measures in groups:
            for measure in measures:
                wide = frame.pivot(index=pair, columns="prompt", values=measure)
                for other in others:
                    both = wide.reindex(columns=[other, reference]).dropna()
                    if len(both) > 1:
                        rows.append((over, measure, other, reference, *paired_tests(both[other], both[reference])))
        return paired_table(rows, ["over", "measure", "prompt_a", "prompt_b"], family=["over", "measure"])

    @property
    def costs(self) -> pd.DataFrame:
        """What each prompt cost when it was first asked, and what all of them cost together (prompt "all").

        ``months``, ``calls`` (answered), ``prompt_tokens``, ``completion_tokens``, ``tokens_per_advice``, ``seconds``
        (the answers' times added up, however many were under way at once) and ``dollars``. A sum of which a part is
        unknown is NA or NaN, never 0. All months count, those before the test included. An answer that several prompts
        share, such as the Analyst's of a month, counts in each of them, as if it had been asked alone, and once in
        "all". Calls that were not answered belong to no advice: the ledger has them.
        """
        lines = []
        for prompt in (*self.prompts, "all"):
            asked = [advice for advice in self.all_advice if prompt in (advice.prompt, "all")]
            total = Spending.total(advice.cost for advice in asked).less(_counted_again(asked))
            known = total.prompt_tokens is not None and total.completion_tokens is not None
            tokens = (total.prompt_tokens or 0) + (total.completion_tokens or 0) if known else None
            lines.append(
                {
                    "prompt": prompt,
                    "months": len(asked),
                    "calls": total.calls,
                    "prompt_tokens": total.prompt_tokens,
                    "completion_tokens": total.completion_tokens,
                    "tokens_per_advice": None if tokens is None else tokens / len(asked),
                    "seconds": total.seconds,
                    "dollars": total.dollars,
                }
            )
        whole = dict.fromkeys(("prompt_tokens", "completion_tokens"), "Int64")
        return pd.DataFrame(lines).astype({**whole, **dict.fromkeys(("tokens_per_advice", "dollars"), "float64")})

    @property
    def answers(self) -> int:
        """Number of test months with an answer, over all prompts and instruments; the others are abstentions."""
        return int((self.means["months"] - self.means["abstentions"]).sum())

    @property
    def without_entropy(self) -> int:
        """Number of answers that came without log-probabilities; their certainty is 1."""
        return self.answers - int(self.means["measured"].sum())

    @property
    def calibration(self) -> pd.DataFrame:
        """How often each confidence of each prompt was right, over the test months of all instruments.

        Columns ``prompt``, ``confidence``, ``months``, ``right`` (how many), ``hit_rate`` and its 95 % interval by
        Wilson, ``low`` to ``high``. The interval takes months as independent, which those of one market hardly are.
        """
        known = self.test_months.dropna(subset="right")
        groups = known.assign(right=known["right"].astype("int64")).groupby(["prompt", "confidence"])["right"]
        table = groups.agg(months="size", right="sum").reset_index().astype({"confidence": "int64"})
        table["hit_rate"] = table["right"] / table["months"]
        return table.join(_intervals(table["right"], table["months"]))

    @property
    def shares(self) -> pd.DataFrame:
        """How many answers of each prompt were usable, and right, over the test months of all instruments.

        Columns ``prompt``, ``months``, ``usable`` and ``usable_share``; ``known``, the answers whose outcome is known,
        ``right``, how many of them had the sign of the price, ``hit_rate``, its 95 % interval by Wilson, ``low`` to
        ``high``, and ``up_rate``, the hit rate of always long in the same months.
        """
        rows = []
        for prompt, months in self.test_months.groupby("prompt"):
            usable, known = int(months["direction"].notna().sum()), months.dropna(subset="right")
            rows.append(
                {
                    "prompt": prompt,
                    "months": len(months),
                    "usable": usable,
                    "usable_share": usable / len(months),
                    "known": len(known),
                    "right": int(known["right"].sum()),
                    "hit_rate": float(known["right"].mean()) if len(known) else np.nan,
                    "up_rate": float((known["realised"] > 0).mean()) if len(known) else np.nan,
                }
            )
        table = pd.DataFrame(rows)
        return table.join(_intervals(table["right"], table["known"]))

    @property
    def agreement(self) -> pd.DataFrame:
        """How often two prompts gave the same direction, over the test months in which both gave one.

        Columns ``prompt_a``, ``prompt_b``, ``months``, ``same``, ``share``, its 95 % interval by Wilson, ``low`` to
        ``high``, and Cohen's ``kappa``: agreement beyond that of two independent prompts which say LONG as often as
        these; NaN where both always say the same. Empty where there is one prompt.
        """
        wide = self.test_months.pivot(index=["symbol", "issued_at"], columns="prompt", values="direction")
        rows = []
        for one, other in combinations(self.prompts, 2):
            both = wide[[one, other]].dropna().astype("int64")
            same, n = int((both[one] == both[other]).sum()), len(both)
            long_a, long_b = (float(both[name].mean()) if n else np.nan for name in (one, other))
            by_chance = long_a * long_b + (1.0 - long_a) * (1.0 - long_b)
            share = same / n if n else np.nan
            kappa = (share - by_chance) / (1.0 - by_chance) if n and by_chance < 1.0 else np.nan
            rows.append((one, other, n, same, share, kappa))
        table = pd.DataFrame(rows, columns=["prompt_a", "prompt_b", "months", "same", "share", "kappa"])
        return table.join(_intervals(table["same"], table["months"]))

    @property
    def reliability(self) -> pd.DataFrame:
        """How often the price rose in months with about the same stated probability of a rise (see `probabilities`)."""
        return reliability(self.test_months)

    @property
    def scores(self) -> pd.DataFrame:
        """Brier score and calibration error of each prompt's probabilities (see `probabilities`)."""
        return scores(self.test_months)


def _counted_again(all_advice: Iterable[Advice]) -> Spending:
    """The cost of answers, but for their first time: the Analyst's of a month, the Strategist's to equal messages."""
    again: list[Spending] = []
    seen: set[object] = set()
    parts: list[tuple[object, Spending]]
    for advice in all_advice:
        month = advice.symbol, advice.issued_at
        parts = [((*month, advice.messages), advice.cost.less(advice.news_cost))]
        if advice.news_cost.calls:
            parts.append((month, advice.news_cost))
        for question, cost in parts:
            if question in seen:
                again.append(cost)
            seen.add(question)
    return Spending.total(again)


def _intervals(hits: pd.Series[int], counts: pd.Series[int]) -> pd.DataFrame:
    """The 95 % intervals of shares by Wilson's score: columns low and high."""
    found = [wilson_interval(int(hit), int(n)) for hit, n in zip(hits, counts, strict=True)]
    return pd.DataFrame(found, columns=["low", "high"], index=hits.index)


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
