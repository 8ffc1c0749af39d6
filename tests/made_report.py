"""A made comparison with every part that a report can show."""

from __future__ import annotations

import numpy as np
import pandas as pd

from llmguide.report.page import QCurves, ReportData

TEST_COLUMNS = ["measure", "arm_a", "arm_b", "mean_difference", "t", "p", "n"]


def comparison(bars=120, seeds=3):
    """A comparison of four arms on made bars, with every part that a report can show."""
    g = np.random.default_rng(5)
    dates = pd.bdate_range("2018-01-02", periods=bars, name="date")
    price = pd.Series(100 * np.exp(np.cumsum(g.normal(0, 0.01, bars))), index=dates, name="close")
    runs = {"hybrid": seeds, "rl": seeds, "llm": 1, "hold": 1}

    def paths(n):
        return pd.DataFrame(1e5 * np.exp(np.cumsum(g.normal(0, 0.01, (bars, n)), axis=0)), index=dates)

    def sides(n):
        held = np.where(g.random((bars, n)) < 0.5, -1, 1)
        held[:30] = 0
        return pd.DataFrame(held, index=dates)

    month = np.arange(bars) // 20
    signal = pd.DataFrame({"direction": (month % 2).astype(float), "strength": 0.2 + 0.1 * (month % 5)}, index=dates)
    signal["tau"] = (2 * signal["direction"] - 1) * signal["strength"]
    signal["issued_at"] = dates[20 * month]
    signal.loc[dates[:20], ["direction", "issued_at"]] = [np.nan, pd.NaT]
    signal.loc[dates[:20], ["strength", "tau"]] = 0.0
    curves = pd.DataFrame(
        [(arm, seed, episode, g.normal(), g.normal()) for arm in ("hybrid", "rl") for seed in range(seeds)
         for episode in range(1, 6)],
        columns=["arm", "seed", "episode", "train_sr", "test_sr"],
    )  # fmt: skip
    table = pd.DataFrame(
        {
            "sr_mean": [1.704, 1.42, 2.09, -0.001],
            "sr_std": [0.43, 0.05, np.nan, np.nan],
            "mdd_mean": [0.29, 0.45, 0.28, np.nan],
            "mdd_std": [0.1, 0.02, np.nan, np.nan],
            "trades_mean": [41.5, 60.0, 12.0, 1.0],
            "exposure_mean": [0.94, 0.94, 0.94, 0.94],
            "seeds": [seeds, seeds, 1, 1],
        },
        index=list(runs),
    )
    return ReportData(
        title=f"AAPL, {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}",
        about="Trained on made bars · 3 seeds",
        table=table,
        tests=pd.DataFrame(
            [("sr", "hybrid", "rl", 0.284, 2.1, 0.17, seeds), ("mdd", "hybrid", "rl", -0.16, -5.0, 0.0004, seeds)],
            columns=TEST_COLUMNS,
        ),
        values={arm: paths(n) for arm, n in runs.items()},
        price=price,
        guidance=signal,
        decisions={arm: sides(n) for arm, n in runs.items()},
        curves=curves,
        q_values={
            arm: QCurves(*(pd.DataFrame(g.normal(size=(bars, seeds)), dates) for _ in range(2)))
            for arm in ("hybrid", "rl")
        },
        intervals=pd.DataFrame(
            [
                ("hybrid", None, 1.704, 0.9, 2.41, 0.29, 0.2, 0.4),
                ("rl", None, 1.42, 0.1, 2.0, 0.45, 0.3, 0.6),
                ("hold", None, -0.001, np.nan, np.nan, np.nan, np.nan, np.nan),
                ("hybrid", "rl", 0.284, -0.5, 1.1, -0.16, -0.3, -0.02),
            ],
            columns=["arm", "minus", "sr", "sr_low", "sr_high", "mdd", "mdd_low", "mdd_high"],
        ),
        months=pd.DataFrame(
            [
                (dates[20], 1, 3, 0.25, 0.75, 0.031, "Momentum is up."),
                (dates[40], 0, 2, np.nan, 0.67, 0.012, "A long word " * 20 + "& <end>"),
                (dates[60], None, None, np.nan, 0.0, np.nan, ""),
            ],
            columns=["issued_at", "direction", "confidence", "entropy", "strength", "realised", "explanation"],
        ),
        runs=pd.DataFrame(
            [(arm, seed if n > 1 else -1, g.normal(), g.random()) for arm, n in runs.items() for seed in range(n)],
            columns=["arm", "seed", "sr", "mdd"],
        ),
        sensitivity=pd.DataFrame(
            [
                (what, level, arm, seed, sr + seed - 1, 0.3)
                for what, level, lead in (
                    ("cost", 0.0, 0.5),
                    ("cost", 0.001, 0.2),
                    ("slippage", 0.002, -0.1),
                    ("fill", 0.0, 0.2),
                    ("fill", 1.0, 0.1),
                )
                for arm, sr in (("hybrid", 1 + lead), ("rl", 1.0))
                for seed in range(seeds)
            ],
            columns=["what", "level", "arm", "seed", "sr", "mdd"],
        ),
        reproduce="llmguide compare --out 'runs/<a> & b'",
        usage=pd.DataFrame(
            {"agreement_test": [0.68, 0.51], "changed_inverted": [0.22, np.nan], "own <measure>": [0.1, 0.2]},
            index=["hybrid", "rl"],
        ),
        settings={"seeds": [0, 1, 2], "agent": {"gamma": 0.4, "net": {"width": 512}}},
        notes=["Closes lie outside [low, high] on 3 bars."],
    )
