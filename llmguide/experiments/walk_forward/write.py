"""Write what a walk found into its folder.

walk.json            settings of all windows, in one
windows.csv          every instrument, window, arm and seed: SR, MDD, return, trades, exposure, and the dates
stitched.csv         the same of the whole account
spread.csv           how the windows of each arm differ
intervals.csv        95 % intervals over all traded bars
luck.csv             deflated Sharpe ratio and probability of backtest overfitting
tests.csv            paired tests, over seeds and over windows
values.parquet       the account after each bar: columns date, symbol, arm, seed, value, side, shares, cash
decisions.parquet    what was decided on each bar
orders.csv           every order, with the number of its window as ``leg``
walk.html            the page to read
SYMBOL/WINDOW/       run folder of a window (see `llmguide.experiments.run_folder`): agents and guidance
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from llmguide.files import write_csv, write_json, write_parquet
from llmguide.report.walk_page import WalkData, Walked, write_walk_page

if TYPE_CHECKING:
    from llmguide.experiments.walk_forward.result import WalkResult

__all__ = ["page_data", "write_walk"]


def write_walk(walk: WalkResult, folder: Path, *, command: str = "") -> Path:
    """Write everything (see the module) and return the path of the page."""
    for name in ("windows", "stitched", "spread", "intervals", "luck", "tests"):
        write_csv(getattr(walk, name), folder / f"{name}.csv")
    write_parquet(_accounts(walk), folder / "values.parquet")
    write_parquet(_decisions(walk), folder / "decisions.parquet")
    orders = [
        run.orders.assign(symbol=symbol, arm=arm, seed=seed)
        for (symbol, arm, seed), run in walk.runs.items()
        if len(run.orders)
    ]
    if orders:
        write_csv(pd.concat(orders, ignore_index=True), folder / "orders.csv")
    write_json(folder / "walk.json", dict(walk.settings))
    return write_walk_page(page_data(walk, command=command), folder / "walk.html")


def page_data(walk: WalkResult, *, command: str = "") -> WalkData:
    """Return what the page shows."""
    shown = {
        symbol: Walked(
            values={arm: walk.values(symbol, arm) for arm in walk.arms},
            edges=tuple(laid.bars.index[window.trades[0]] for window in laid.windows),
            stitched=_of(walk.stitched, symbol),
            windows=_of(walk.windows, symbol),
            spread=_of(walk.spread, symbol),
            intervals=_of(walk.intervals, symbol),
            luck=_of(walk.luck, symbol),
            tests=_of(walk.tests, symbol),
        )
        for symbol, laid in walk.laid.items()
    }
    settings = walk.settings
    guidance = settings.get("guidance") or {}
    providers = sorted({name for one in guidance.values() if one for name in one["provider"]})
    flag = settings.get("flag")
    rolling = settings["train"] != "anchored"
    return WalkData(
        shown,
        {
            "Windows": f"{settings['window']} each, from {settings['start']}"
            + (f" to {settings['until']}" if settings["until"] else ""),
            "Training": f"the last {settings['train']} before each window (rolling)"
            if rolling
            else "all bars before each window (anchored)",
            "Seeds": ", ".join(map(str, settings["seeds"])),
            "Episodes": str(settings["episodes"]),
            **({"Guidance": ", ".join(providers)} if providers else {}),
            **({"Language model of flag": f"{flag['base']}, {flag['training']['steps']} steps"} if flag else {}),
            "Capital": f"{settings['agent']['cash']:,.0f}",
            "Cost": f"{100 * settings['agent']['cost']:g} % of each trade",
            "Bars a year": ", ".join(dict.fromkeys(f"{laid.periods:g}" for laid in walk.laid.values())),
        },
        command,
        walk.uses_future,
    )


def _of(frame: pd.DataFrame, symbol: str) -> pd.DataFrame:
    return frame[frame["symbol"] == symbol].drop(columns="symbol").reset_index(drop=True)


def _accounts(walk: WalkResult) -> pd.DataFrame:
    frames = [
        run.account[["value", "side", "shares", "cash"]]
        .rename_axis("date")
        .reset_index()
        .assign(symbol=symbol, arm=arm, seed=seed)
        for (symbol, arm, seed), run in walk.runs.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _decisions(walk: WalkResult) -> pd.DataFrame:
    frames = [
        run.decisions.rename_axis("date").reset_index().assign(symbol=symbol, arm=arm, seed=seed)
        for (symbol, arm, seed), run in walk.runs.items()
    ]
    return pd.concat(frames, ignore_index=True)
