"""A page of a policy that reads, of a study that was made up."""

from __future__ import annotations

import numpy as np
import pandas as pd

from llmguide.report.flag_page import FlagPage


def made_up(seeds=2, **more) -> FlagPage:
    measures = ("sharpe", "max_drawdown", "total_return", "trades")
    flag = {"sharpe": (0.5, 0.25, 0.75), "max_drawdown": (0.2, 0.1, 0.3), "total_return": (-0.05, -0.1, 0.0)}
    flag["trades"] = (3.5, 3.0, 4.0)
    rows = {"flag": flag, "hold": dict.fromkeys(measures, (0.4,) * 3) | {"trades": (1.0,) * 3}}
    kinds = ("mean", "low", "high")
    table = pd.DataFrame(
        {arm: {f"{name}_{kind}": x for name in measures for kind, x in zip(kinds, row[name], strict=True)}
         for arm, row in rows.items()}
    ).T.assign(never_traded=[1, 0])  # fmt: skip
    days = pd.bdate_range("2018-01-01", periods=50)
    values = {
        arm: pd.DataFrame({seed: 1e5 + np.arange(50.0) * (seed + 1) for seed in range(count)}, index=days)
        for arm, count in (("flag", seeds), ("hold", 1))
    }
    curves = pd.DataFrame(
        [{"seed": seed, "steps": 40 * at, "reward": 0.1 * seed, "entropy": 0.5} for seed in (0, 1) for at in range(9)]
    )
    return FlagPage(table, values, curves, {"Training": "PPO, 360 steps"}, "flag", **more)
