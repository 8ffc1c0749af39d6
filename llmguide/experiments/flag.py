"""Trained policies beside their controls on test bars: measures, curves and a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from llmguide.errors import DataError
from llmguide.experiments.rows import flag_table
from llmguide.files import write_csv, write_parquet
from llmguide.inline import Inline, Shown, note_files
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.periods import periods_of
from llmguide.report.flag_page import FlagPage, summary, write_flag_page
from llmguide.rl.flag.controls import controls_of
from llmguide.rl.flag.evaluation import walk_flags
from llmguide.rl.flag.trained import TrainedPolicy
from llmguide.rl.flag.training import TrainedPolicies
from llmguide.sources.tables import Tables
from llmguide.states.factors import FactorsSource
from llmguide.states.moment import GuidanceAt

__all__ = ["IDLE", "TRAINED", "FlagStudy", "study_flag"]

TRAINED = "flag"
IDLE = 30
"""Bars before the first decision, as of every strategy of llmguide; more where a state shows more."""

MEASURES = ("sharpe", "max_drawdown", "total_return", "reward", "trades")


@dataclass(frozen=True, repr=False)
class FlagStudy(Inline):
    """What trained policies and their controls made of test bars.

    Attributes:
        runs: one row per arm and seed (-1 where nothing is random): ``sharpe`` (annual), ``max_drawdown`` and
            ``total_return`` (fractions), ``reward`` (sum over the walk), ``trades`` (purchases).
        values: by arm, the account's value after each bar, the idle ones included, a column per seed.
        curves: one row per seed and rollout of the training (see `TrainedPolicies.curves`).
        periods: bars per year.
        settings: what was trained on what, in words.
    """

    runs: pd.DataFrame
    values: Mapping[str, pd.DataFrame]
    curves: pd.DataFrame
    periods: float
    settings: Mapping[str, str]

    @property
    def table(self) -> pd.DataFrame:
        """By arm, the mean, lowest and highest of each measure over seeds: ``sharpe_mean``, ``sharpe_low``, ...

        An account that never trades has no Sharpe ratio; it counts as 0 here, as cash does, since to leave it out would
        give its arm the mean of those that dared. ``never_traded`` says how many there are.
        """
        grouped = self.runs.fillna({"sharpe": 0.0}).groupby("arm", sort=False)
        columns = {
            f"{name}_{kind}": getattr(grouped[name], how)()
            for name in MEASURES
            for kind, how in (("mean", "mean"), ("low", "min"), ("high", "max"))
        }
        columns["never_traded"] = grouped["trades"].apply(lambda trades: int((trades == 0).sum()))
        columns["seeds"] = grouped["seed"].apply(lambda seeds: int((seeds >= 0).sum()))
        return pd.DataFrame(columns)

    def write(self, folder: Path, *, remarks: Sequence[str] = ()) -> Path:
        """Write runs.csv, table.csv, curves.csv, values.parquet and report.html; return the path of the last.

        `remarks` stand above all else on the page.
        """
        write_csv(self.runs, folder / "runs.csv")
        write_csv(self.table.reset_index(), folder / "table.csv")
        write_csv(self.curves, folder / "curves.csv")
        long = [
            pd.DataFrame({"date": frame.index, "arm": arm, "seed": seed, "value": frame[seed].to_numpy()})
            for arm, frame in self.values.items()
            for seed in frame
        ]
        write_parquet(pd.concat(long, ignore_index=True), folder / "values.parquet")
        return note_files(self, write_flag_page(self._page(remarks), folder / "report.html"))

    def _page(self, remarks: Sequence[str] = ()) -> FlagPage:
        return FlagPage(self.table, self.values, self.curves, self.settings, TRAINED, remarks)

    def _shown(self) -> Shown:
        return Shown(summary(self._page()), [flag_table(self.table, self.periods)])


def study_flag(
    trained: Sequence[TrainedPolicy],
    bars: pd.DataFrame,
    *,
    guidance: GuidanceAt | None = None,
    factors: FactorsSource | None = None,
    tables: Tables | None = None,
    periods: float | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> FlagStudy:
    """Let trained policies and their controls trade test bars by the rules that the policies were trained by.

    The first decision is at bar `IDLE`, so that the account is that of `llmguide.strategies.FlagTrader` on these bars.
    All of them walk side by side, so that what they have in common is computed once.

    Args:
        trained: policies of one training, a seed each.
        bars: raw bars after those of the training.
        guidance, factors, tables: what the states tell of, as in training.
        periods: bars per year; None reads it from the dates.
        announce: called with a line on the arms, and with one after each tenth of the bars.

    Raises ModelError as `controls_of` does, DataError for too few bars, or bars that begin within the training.
    """
    arms = {TRAINED: list(trained), **controls_of(trained)}
    first = trained[0]
    last_seen = first.notes.get("trained_on", {}).get("last")
    if last_seen is not None and not bars.index[0] > pd.Timestamp(last_seen):
        raise DataError(
            f"the policies were trained on bars up to {last_seen}, and the test begins on {bars.index[0]:%Y-%m-%d}; "
            "test on later bars"
        )
    start, year = max(IDLE, first.config.shown), periods_of(bars, periods)
    announce(f"evaluating {', '.join(arms)} on the test bars")
    walkers = [(arm, one) for arm, policies in arms.items() for one in policies]
    walks = walk_flags(
        [one for _, one in walkers], bars, start=start, guidance=guidance, factors=factors, tables=tables,
        progress=_tenths(announce),
    )  # fmt: skip
    columns: dict[str, dict[int, Any]] = {arm: {} for arm in arms}
    rows = []
    for (arm, one), walk in zip(walkers, walks, strict=True):
        value = np.concatenate([np.full(start, one.config.rules.cash), walk["value"].to_numpy()])
        columns[arm][one.seed] = value
        rows.append(
            {
                "arm": arm,
                "seed": one.seed,
                "sharpe": sharpe_ratio(np.append(0.0, value[1:] / value[:-1] - 1.0), periods=year),
                "max_drawdown": max_drawdown(value),
                "total_return": value[-1] / value[0] - 1.0,
                "reward": float(walk["reward"].sum()),
                "trades": int((walk["action"] == 1).sum()),
            }
        )
    values = {arm: pd.DataFrame(of_seeds, index=bars.index) for arm, of_seeds in columns.items()}
    given = {"guidance": guidance, "factors of the news": factors, "tables": tables}
    told = [name for name, value in given.items() if value is not None]
    settings = _settings(first, bars, start, told, year)
    return FlagStudy(pd.DataFrame(rows), values, TrainedPolicies(tuple(trained)).curves, year, settings)


def _tenths(announce: Callable[[str], None]) -> Callable[[int, int], None]:
    """Return what tells a line whenever another tenth of the decisions is made."""
    told = 0

    def progress(done: int, decisions: int) -> None:
        nonlocal told
        if (tenths := 10 * done // decisions) > told:
            told = tenths
            announce(f"test bars: {done:,} of {decisions:,} decisions")

    return progress


def _settings(
    trained: TrainedPolicy, bars: pd.DataFrame, start: int, told: Sequence[str], periods: float
) -> dict[str, str]:
    """Return what was trained on what, for people."""
    config, identity = trained.config, trained.policy.identity()
    learned: dict[str, Any] = trained.notes.get("trained_on", {})
    adapter = f", LoRA of rank {identity['lora_rank']}" if identity["lora_rank"] else ""
    trainable = identity["layers"] - identity["frozen"]
    last = "the last" if trainable == 1 else f"the last {trainable}"
    return {
        "Language model": f"{identity['base']} (SHA-256 {identity['base_sha256'][:12]}...)",
        "Trained of it": f"{last} of {identity['layers']} layers{adapter}",
        "Training": f"{config.algorithm.upper()}, {config.steps:,} steps",
        "Training bars": " to ".join(
            str(learned.get(end, "unknown")).removesuffix(" 00:00:00") for end in ("first", "last")
        ),
        "Test bars": f"{bars.index[0]:%Y-%m-%d} to {bars.index[-1]:%Y-%m-%d}, {len(bars)} bars, the first {start} idle",
        "Account": f"{config.rules.cash:,.0f}, cost {config.rules.cost:.2%} of each trade",
        "State template": str(trained.template),
        **({"Told beside bars and account": ", ".join(told)} if told else {}),
        "Sharpe ratios": f"annual, of {periods:g} bars a year",
    }
