"""Did it rise as often as the model said? Its probability of LONG against what became of the months.

Both functions take months as `PromptResult.test_months` has them, and use those with a probability and an outcome. A
month rose where the price did until the next guidance. "said" is the model's own p(LONG), "calibrated" what walking
forward made of it (see `llmguide.guidance.doubt.calibrate`), where that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from llmguide.stats import brier_score, expected_calibration_error, reliability_curve

__all__ = ["reliability", "scores"]

_COLUMNS = ["prompt", "probability", "mean_p", "share", "months", "low", "high"]
_SCORES = ["prompt", "probability", "months", "brier", "brier_base", "ece", "base_rate"]


def reliability(months: pd.DataFrame) -> pd.DataFrame:
    """Return the reliability curve of each prompt over all instruments, in ten bins of equal width.

    Columns ``prompt``, ``probability`` ("said" or "calibrated"), ``mean_p`` of the bin, the ``share`` of its ``months``
    that rose, and its 95 % interval by Wilson, ``low`` to ``high``, which takes months as independent.
    """
    rows = [
        (prompt, kind, *one)
        for prompt, kind, p, rose in _said_and_calibrated(months)
        if kind != "said, same months"
        for one in reliability_curve(p, rose)
    ]
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"months": "int64"})


def scores(months: pd.DataFrame) -> pd.DataFrame:
    """Return how good the probabilities of each prompt are over all instruments.

    Columns ``prompt``, ``probability``, ``months``, ``brier`` (the Brier score), ``brier_base`` (that of always saying
    ``base_rate``, the share of these months that rose, which was not known before: the best that a constant can have),
    and ``ece``, the expected calibration error in ten bins of equal width. Beside "calibrated" stands "said, same
    months": what the model said of the months that could be calibrated.
    """
    rows = []
    for prompt, kind, p, rose in _said_and_calibrated(months):
        base = float(rose.mean())
        constant = brier_score([base] * len(rose), rose)
        rows.append((prompt, kind, len(p), brier_score(p, rose), constant, expected_calibration_error(p, rose), base))
    return pd.DataFrame(rows, columns=_SCORES).astype({"months": "int64"})


def _said_and_calibrated(months: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series[float], pd.Series[bool]]]:
    """Yield prompt, kind, probability and whether it rose, where there is at least one month."""
    known = months[months["realised"].notna() & months["p_long"].notna()]
    for prompt, rows in known.groupby("prompt"):
        calibrated = rows[rows["p_calibrated"].notna()]
        for kind, some, column in (
            ("said", rows, "p_long"),
            ("said, same months", calibrated, "p_long"),
            ("calibrated", calibrated, "p_calibrated"),
        ):
            if len(some):
                yield str(prompt), kind, some[column], some["realised"] > 0
