"""What the report of one comparison shows, as plain frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from llmguide.errors import DataError, did_you_mean

__all__ = ["QCurves", "ReportData"]

_COLUMNS = {
    "table": ("sr_mean", "sr_std", "mdd_mean", "mdd_std", "trades_mean", "exposure_mean", "seeds"),
    "tests": ("measure", "arm_a", "arm_b", "mean_difference", "t", "p", "n"),
    "curves": ("arm", "seed", "episode", "train_sr", "test_sr"),
    "rollouts": ("seed", "steps", "reward", "entropy"),
    "guidance": ("direction", "strength", "tau", "issued_at"),
    "intervals": ("arm", "minus", "sr", "sr_low", "sr_high", "mdd", "mdd_low", "mdd_high"),
    "runs": ("arm", "seed", "sr", "mdd"),
    "months": ("issued_at", "direction", "confidence", "entropy", "strength", "realised", "explanation"),
    "sensitivity": ("what", "level", "arm", "seed", "sr", "mdd"),
    "controls": ("arm", "control", "accuracy", "seed", "sr", "mdd"),
    "placebo": ("arm", "sr", "shuffled_mean", "shuffled_low", "shuffled_high", "shuffles", "p", "changes"),
}


@dataclass(frozen=True, eq=False)
class QCurves:
    """The values that an arm's agents gave to their actions on each test bar, one column per seed; few have flat."""

    long: pd.DataFrame
    short: pd.DataFrame
    flat: pd.DataFrame | None = None


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything that the report of one comparison shows, measured by the caller. Fractions, never percent; NaN is n/a.

    Attributes:
        title: plain text, which names the instrument and the dates.
        about: one line under it: what was trained and tested on, how often, and by whom the guidance is.
        table: one row per arm (the index), columns sr_mean, sr_std, mdd_mean, mdd_std, trades_mean (positions opened),
            exposure_mean (share of bars in the market) and seeds; the spread of an arm without seeds is NaN.
        tests: paired tests, columns measure ("sr" or "mdd"), arm_a, arm_b, mean_difference (a - b), t, p and n; and,
            where there are, p_wilcoxon and p_holm.
        values: arm -> portfolio value on each test bar, one column per seed.
        price: close of each test bar.
        intervals: 95 % intervals over bars, columns arm, minus (None in an arm's own row, else the row is of the
            difference arm - minus), sr, sr_low, sr_high, mdd, mdd_low and mdd_high.
        guidance: what the test bars saw, as `Guidance.align` returns it (direction, strength, tau, issued_at).
        months: the guidance of the test bars as it was issued: columns issued_at, direction (1, 0, missing),
            confidence, entropy, strength, realised (change of the price until the next one) and explanation.
        decisions: arm -> side held on each test bar (+1, 0, -1), one column per seed.
        runs: one row per arm and seed, columns arm, seed (-1 where nothing is random), sr and mdd.
        curves: columns arm, seed, episode, train_sr, test_sr.
        rollouts: how the policies of the arm flag learned, columns seed, steps, reward and entropy.
        q_values: arm -> the Q-values of its agents.
        weights: expert of the mixture -> its weight on each test bar, one column per seed.
        sensitivity: arms under other conditions, as `llmguide.experiments.compare.sensitivity` returns them.
        controls: arms with other guidance, and placebo: the test of the guidance against its shuffled self, as
            `llmguide.experiments.placebo.run.measure_controls` returns them.
        usage: how arms use the guidance, one row per arm; the columns agreement_train, agreement_test, changed_inverted
            and changed_permuted are known, others are shown under their own name.
        settings: nested mapping, folded away at the end.
        reproduce: commands or code that make the comparison again, shown as it is.
        notes: remarks on how it was measured.
        uses_future: the guidance was made with knowledge of later bars, which the page then says above everything.

    Raises DataError for missing columns or arms.
    """

    title: str
    table: pd.DataFrame
    tests: pd.DataFrame
    values: Mapping[str, pd.DataFrame]
    price: pd.Series[Any]
    about: str = ""
    intervals: pd.DataFrame | None = None
    guidance: pd.DataFrame | None = None
    months: pd.DataFrame | None = None
    decisions: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    runs: pd.DataFrame | None = None
    curves: pd.DataFrame | None = None
    rollouts: pd.DataFrame | None = None
    q_values: Mapping[str, QCurves] | None = None
    weights: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    sensitivity: pd.DataFrame | None = None
    controls: pd.DataFrame | None = None
    placebo: pd.DataFrame | None = None
    usage: pd.DataFrame | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    reproduce: str = ""
    notes: tuple[str, ...] | list[str] = ()
    uses_future: bool = False

    def __post_init__(self) -> None:
        for what, columns in _COLUMNS.items():
            frame = getattr(self, what)
            for name in columns if frame is not None else ():
                if name not in frame.columns:
                    near = did_you_mean(name, frame.columns)
                    raise DataError(f"expected {what} with a column {name!r}, got {list(frame.columns)}{near}")
        if not len(self.table):
            raise DataError("expected a table with at least one arm, got none")
        for arm in self.table.index:
            if arm not in self.values:
                raise DataError(f"expected values of every arm, got none for {arm!r}{did_you_mean(arm, self.values)}")
