"""How well a replication meets the published numbers of the unguided agent: per instrument, over all, and in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from llmguide.counting import counted
from llmguide.experiments.published import RUNS, published
from llmguide.stats import one_sample_t

__all__ = ["LEVEL", "fit_in_words", "fit_summary", "fit_table", "p_from_summary"]

LEVEL = 0.05
"""Differences with a p below it are counted; the intervals cover the rest."""

_PAPER = "arXiv 2508.02366"
_FEW_INSTRUMENTS = 3  # a correlation of fewer says nothing
_FEW_RUNS = 10
_TABLE = (
    *("symbol", "name", "sr_published", "sr_paper", "sr_paper_std", "sr_mean", "sr_std", "n", "low", "high"),
    *("t", "p", "lies", "mdd_paper", "mdd_mean", "mdd_tdqn_mean"),
)
_SUMMARY = ("source", "instruments", "mean_absolute_difference", "correlation", "tested", "differ", "by_chance")


def fit_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per instrument; see `llmguide.experiments.replicate.result.Replication.appendix_e`.

    `runs` are those of the unguided agent, with columns symbol, sr, mdd and mdd_tdqn.
    """
    rows = []
    for symbol, group in runs.groupby("symbol", sort=False):
        sr, n = group["sr"].to_numpy(), len(group)
        mean, std = group["sr"].mean(), group["sr"].std()
        determined = np.isfinite(one_sample_t(sr, 0.0).statistic)
        reach = _reach(std, n) if determined else np.nan
        row: dict[str, Any] = {
            "symbol": symbol,
            "sr_mean": mean,
            "sr_std": std,
            "n": n,
            "low": mean - reach,
            "high": mean + reach,
            "mdd_mean": group["mdd"].mean(),
            "mdd_tdqn_mean": group["mdd_tdqn"].mean(),
        }
        there = published(str(symbol))
        if there is not None:
            test = one_sample_t(sr, there.sr_benchmark)
            row |= {
                "name": there.name,
                "sr_published": there.sr_benchmark,
                "sr_paper": there.sr_mean,
                "sr_paper_std": there.sr_std,
                "mdd_paper": there.mdd,
                "t": test.statistic,
                "p": test.p,
                "lies": _lies(test.statistic, test.p),
            }
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(_TABLE))
    words = ["symbol", "name", "lies"]
    table[words] = table[words].astype(object).where(table[words].notna(), None)
    return table.astype(dict.fromkeys((name for name in _TABLE if name not in [*words, "n"]), "float64"))


def fit_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for what came out here and one for the paper's own replication.

    `table` is `fit_table`'s; see `llmguide.experiments.replicate.result.Replication.summary` for the columns.
    """
    known = table[table["sr_published"].notna()]
    if known.empty:
        return pd.DataFrame(columns=list(_SUMMARY))
    target = known["sr_published"].to_numpy()
    paper = known["sr_paper"].to_numpy()
    p_paper = p_from_summary(paper - target, known["sr_paper_std"], RUNS)
    rows = []
    for source, mean, p in (
        ("llmguide", known["sr_mean"].to_numpy(), known["p"].to_numpy()),
        (_PAPER, paper, p_paper),
    ):
        tested = int(np.isfinite(p).sum())
        rows.append(
            {
                "source": source,
                "instruments": len(known),
                "mean_absolute_difference": float(np.abs(mean - target).mean()),
                "correlation": _correlation(mean, target),
                "tested": tested,
                "differ": int((p < LEVEL).sum()),
                "by_chance": LEVEL * tested,
            }
        )
    return pd.DataFrame(rows, columns=list(_SUMMARY))


def fit_in_words(table: pd.DataFrame) -> str:
    """Say what `fit_table`'s table and its summary show; empty without a published Sharpe ratio to compare with."""
    summary = fit_summary(table)
    if summary.empty:
        return ""
    here: Any
    paper: Any
    here, paper = summary.itertuples(index=False)
    instruments = counted(here.instruments, "instrument")
    text = (
        f"On {instruments} the mean Sharpe ratio here is {here.mean_absolute_difference:.2f} away from the published "
        f"one on average{_correlated(here.correlation)}. "
    )
    if not here.tested:
        return text + "No test is possible with one run on each instrument."
    text += (
        f"It differs significantly (p < {LEVEL}) on {here.differ} of {here.tested}, where about {here.by_chance:.1f} "
        f"would by chance. In the replication of {_PAPER} itself: {paper.mean_absolute_difference:.2f} away"
        f"{_correlated(paper.correlation)}, and {paper.differ} of {paper.tested}."
    )
    runs = int(table["n"].min())
    if runs < _FEW_RUNS:
        text += f" {runs} runs are few: that the others do not differ significantly does not show that they agree."
    return text


def _reach(std: float, n: int) -> float:
    """Return half the width of the 95 % interval of a mean of n > 1 runs with this standard deviation (ddof 1)."""
    from scipy import stats  # type: ignore[import-untyped]  # scipy ships no types; here since its import takes a second

    return float(stats.t.ppf(1 - LEVEL / 2, n - 1) * std / np.sqrt(n))


def p_from_summary(difference: ArrayLike, std: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return the two-sided p of the t test of a mean difference, from the standard deviation (ddof 1) over n runs."""
    from scipy import stats  # as in _reach

    t = np.asarray(difference, dtype=np.float64) / (np.asarray(std, dtype=np.float64) / np.sqrt(n))
    return np.asarray(2 * stats.t.sf(np.abs(t), n - 1), dtype=np.float64)


def _lies(t: float, p: float) -> str | None:
    """Say where a published figure lies, as seen from the interval of the runs."""
    if not np.isfinite(p):
        return None
    if p >= LEVEL:
        return "inside"
    return "below" if t > 0 else "above"


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson's, NaN where it is undefined or says nothing."""
    if len(a) < _FEW_INSTRUMENTS or not (np.isfinite(a).all() and a.std() > 0 and b.std() > 0):
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _correlated(correlation: float) -> str:
    return f" (correlation {correlation:.2f})" if np.isfinite(correlation) else ""
