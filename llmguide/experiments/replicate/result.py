"""What a replication found: all runs, and tables of them beside the published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from llmguide.experiments.arms import ARMS
from llmguide.experiments.paired import paired_table
from llmguide.experiments.published import published_arm
from llmguide.experiments.replicate.fit import fit_in_words, fit_summary, fit_table
from llmguide.stats import holm, paired_tests

__all__ = ["ReplicationResult"]

MEASURES = ("sr", "mdd")


@dataclass(frozen=True)
class ReplicationResult:
    """The result of every instrument, arm and seed of a replication.

    Sharpe ratios are annual and of the test bars, drawdowns positive fractions. What is undefined, or was not
    published, is NaN. Means leave out runs without a Sharpe ratio, and the tests that they belong to are NaN.

    Attributes:
        runs: one row per instrument, arm and seed (-1 where nothing is random): ``symbol``, ``arm``, ``seed``, ``sr``,
            ``mdd``, ``final_value``, ``trades``, ``exposure``, how the guidance was used (see
            `llmguide.experiments.usage`) and ``mdd_tdqn``, the drawdown as the benchmark's authors compute it.
        settings: everything that shaped the replication, with versions and hashes of the data.
    """

    runs: pd.DataFrame
    settings: Mapping[str, Any]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The instruments, in the order asked for."""
        return tuple(dict.fromkeys(self.runs["symbol"]))

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in the order asked for."""
        return tuple(dict.fromkeys(self.runs["arm"]))

    @property
    def uses_future(self) -> bool:
        """Whether any guidance was made with knowledge of later bars, as a control and not a result."""
        guidance: Mapping[str, Any] = self.settings["guidance"]
        return any(table is not None and table["uses_future"] for table in guidance.values())

    @property
    def appendix_e(self) -> pd.DataFrame:
        """The arm rl against the published results of the unguided agent, one row per instrument.

        ``sr_published`` is the benchmark's Sharpe ratio; ``sr_paper``, ``sr_paper_std`` and ``mdd_paper`` come from its
        replication in arXiv 2508.02366, appendix E. ``sr_mean`` and ``sr_std`` (ddof 1) are over the ``n`` runs here,
        ``low`` and ``high`` bound the 95 % interval of the mean. ``t`` and ``p`` are of the two-sided one-sample t test
        against ``sr_published``, which has no spread and counts as exact; ``p_holm`` is p corrected for the number of
        instruments (Holm). ``lies`` says where the published Sharpe ratio lies: "inside" the interval (p >= 0.05),
        "below" or "above" it; None where that is undefined. ``mdd_mean`` and ``mdd_tdqn_mean`` are the mean drawdowns
        by both conventions.
        """
        table = fit_table(self.runs[self.runs["arm"] == "rl"])
        return table.assign(p_holm=holm(table["p"]))

    @property
    def summary(self) -> pd.DataFrame:
        """How well published Sharpe ratios were reproduced, here and in arXiv 2508.02366, over the instruments that
        have one.

        Columns ``source``, ``instruments``, ``mean_absolute_difference``, ``correlation`` of mean and published Sharpe
        ratio (NaN for fewer than three instruments), ``tested`` (instruments with a p), ``differ`` (those with p <
        0.05) and ``by_chance``, how many of the tested ones would differ by chance alone if all agreed. The paper's row
        is the yardstick: its p follow from its rounded means and standard deviations over 25 runs. Empty where no
        instrument has a published Sharpe ratio.
        """
        return fit_summary(self.appendix_e)

    @property
    def fit(self) -> str:
        """The summary in words; empty without a published Sharpe ratio to compare with."""
        return fit_in_words(self.appendix_e)

    @property
    def experiment_2(self) -> pd.DataFrame:
        """Every instrument and arm beside what was published (arXiv 2508.02366, experiment 2); empty for a single arm.

        Means and standard deviations (ddof 1) over ``seeds`` runs, 0 for an arm in which nothing is random.
        """
        runs = self.runs if len(self.arms) > 1 else self.runs[:0]
        groups = runs.groupby(["symbol", "arm"], sort=False)
        table = pd.DataFrame(
            {
                "sr_mean": groups["sr"].mean(),
                "sr_std": groups["sr"].std(),
                "mdd_mean": groups["mdd"].mean(),
                "mdd_std": groups["mdd"].std(),
                "seeds": groups.size(),
            }
        ).reset_index()
        table.loc[[not ARMS[arm].trained for arm in table["arm"]], "seeds"] = 0
        there = [published_arm(symbol, arm) for symbol, arm in zip(table["symbol"], table["arm"], strict=True)]
        for at, name in enumerate(("sr_published", "sr_published_std", "mdd_published")):
            table[name] = pd.Series([np.nan if numbers is None else numbers[at] for numbers in there], dtype="float64")
        return table

    @property
    def tests(self) -> pd.DataFrame:
        """Two-sided paired tests over seeds, on each instrument, between any two arms of which one is trained.

        An arm without seeds has the same value in every pair. Columns symbol, measure ("sr" or "mdd"), arm_a, arm_b,
        mean_difference (a - b), t, p and n of the t test, p_wilcoxon of the signed-rank test, and p_holm, the t test's
        p corrected for the number of instruments on which the same arms are compared by the same measure; t and p are
        NaN where they are undefined.
        """
        pairs = [(a, b) for a, b in combinations(self.arms, 2) if ARMS[a].trained or ARMS[b].trained]
        by_seed = dict(list(self.runs.sort_values("seed").groupby(["symbol", "arm"])))
        rows = []
        for symbol in self.symbols if pairs else ():
            for measure in MEASURES:
                for a, b in pairs:
                    ours, theirs = (by_seed[symbol, arm][measure].to_numpy() for arm in (a, b))
                    rows.append((symbol, measure, a, b, *paired_tests(*np.broadcast_arrays(ours, theirs))))
        return paired_table(rows, ["symbol", "measure", "arm_a", "arm_b"], family=["measure", "arm_a", "arm_b"])
