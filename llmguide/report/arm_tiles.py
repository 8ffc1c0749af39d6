"""The arms of a comparison side by side: what each earned, what it risked, and how that differs from holding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import NamedTuple

import pandas as pd

from llmguide.report.figures import styles
from llmguide.report.html import number, percent, points
from llmguide.report.report_data import ReportData
from llmguide.report.verdict import LEVEL, p_text

__all__ = ["Gain", "Tile", "arm_tiles", "draw_tiles"]

_ORDER = ("hybrid", "mixture", "flag", "rl", "llm")
_LEFT_OUT = {"sell"}  # a foil for the tables
_ROLES = {
    "hybrid": "agent with guidance",
    "mixture": "weighted experts",
    "flag": "language model trades",
    "rl": "agent without guidance",
    "llm": "guidance alone",
    "hold": "buy and hold",
    "sell": "sell and hold",
    "trend": "trend following",
    "reversion": "mean reversion",
}
_BENCHMARK = "hold"
_IDLE, _UNTESTED = "it never traded", "not tested"
_ROW = 5  # tiles that stand in a row in their full size


class Gain(NamedTuple):
    """An arm's difference from holding, as text, and why it is not significant; "" where it is."""

    text: str
    doubt: str


class Tile(NamedTuple):
    """What is shown of one arm; the gains are None for holding itself, and where holding is no arm."""

    arm: str
    role: str
    sharpe: str
    drawdown: str
    sharpe_gain: Gain | None
    drawdown_gain: Gain | None


def arm_tiles(data: ReportData) -> Iterator[Tile]:
    """Yield a tile for every arm, holding last; not for selling, where there is another."""
    arms = [str(arm) for arm in data.table.index]
    shown = [arm for arm in arms if arm not in _LEFT_OUT] or arms
    places = {arm: place for place, arm in enumerate(_ORDER)} | {_BENCHMARK: len(_ORDER) + 1}
    for arm in sorted(shown, key=lambda arm: places.get(arm, len(_ORDER))):
        row = data.table.loc[arm]
        yield Tile(
            arm,
            _ROLES.get(arm, ""),
            number(row["sr_mean"]),
            percent(row["mdd_mean"]),
            _gain(data, arm, "sr"),
            _gain(data, arm, "mdd"),
        )


def draw_tiles(data: ReportData) -> str:
    """Return the tiles as a list, each in its arm's colour."""
    looks = styles([str(arm) for arm in data.table.index])
    tiles = [_tile(tile, looks[tile.arm][0]) for tile in arm_tiles(data)]
    return f'<ul class="tiles{" many" if len(tiles) > _ROW else ""}">{"".join(tiles)}</ul>'


def _tile(tile: Tile, color: str) -> str:
    parts = [
        _measure("Sharpe", tile.sharpe, tile.sharpe_gain),
        _measure("drawdown", tile.drawdown, tile.drawdown_gain),
    ]
    return (
        f'<li class="tile" style="--arm: {color}"><h2>{escape(tile.arm)}</h2><span>{escape(tile.role)}</span>'
        f"<dl>{''.join(parts)}</dl>{_reading(tile)}</li>"
    )


def _measure(name: str, value: str, gain: Gain | None) -> str:
    kind = "gain unsure" if gain and gain.doubt else "gain"
    below = "" if gain is None else f'<dd class="{kind}">{escape(gain.text)}</dd>'
    return f'<div><dt>{escape(name)}</dt><dd class="value">{escape(value)}</dd>{below}</div>'


def _reading(tile: Tile) -> str:
    """What the differences are from, and in words what their grey says."""
    if tile.sharpe_gain is None or tile.drawdown_gain is None:
        return ""
    sharpe, drawdown = tile.sharpe_gain.doubt, tile.drawdown_gain.doubt
    if not sharpe and not drawdown:
        said = "both significant"
    elif sharpe == drawdown:
        said = sharpe if sharpe in (_IDLE, _UNTESTED) else f"not significant: {sharpe}"
    elif sharpe and drawdown:
        said = f"not significant: {sharpe} (Sharpe), {drawdown} (drawdown)"
    else:
        what, doubt = ("Sharpe", sharpe) if sharpe else ("drawdown", drawdown)
        said = f"{what} not significant: {doubt}"
    return f"<p>against hold; {escape(said).replace(' %', '&nbsp;%')}</p>"


def _gain(data: ReportData, arm: str, measure: str) -> Gain | None:
    """The difference from holding; it is significant where neither other seeds nor other bars could have turned it."""
    if arm == _BENCHMARK or _BENCHMARK not in data.table.index:
        return None
    column = f"{measure}_mean"
    if math.isnan(float(data.table["sr_mean"][arm])):
        return Gain("n/a", _IDLE)
    x = float(data.table[column][arm]) - float(data.table[column][_BENCHMARK])
    text = points(x) if measure == "mdd" else number(x)
    if math.isnan(x):
        return Gain(text, _UNTESTED)
    return Gain(f"+{text}" if x > 0 else text, _doubt(data, arm, measure))


def _doubt(data: ReportData, arm: str, measure: str) -> str:
    low, high = _interval(data.intervals, arm, measure)
    p = _p(data.tests, arm, measure)
    if math.isnan(low) and math.isnan(p):
        return _UNTESTED
    if low <= 0 <= high:
        return "95 % interval includes zero"
    return f"p = {p_text(p)} over seeds" if p >= LEVEL else ""


def _interval(found: pd.DataFrame | None, arm: str, measure: str) -> tuple[float, float]:
    """Bounds over bars of an arm's difference from holding; NaN where it has none."""
    for _, row in () if found is None else found.iterrows():
        if {row["arm"], row["minus"]} == {arm, _BENCHMARK}:
            low, high = float(row[f"{measure}_low"]), float(row[f"{measure}_high"])
            return (low, high) if row["arm"] == arm else (-high, -low)
    return math.nan, math.nan


def _p(tests: pd.DataFrame, arm: str, measure: str) -> float:
    """p over seeds of that difference; NaN where it was not tested."""
    pairs = tests[tests["measure"] == measure]
    both = pairs["arm_a"].isin([arm, _BENCHMARK]) & pairs["arm_b"].isin([arm, _BENCHMARK])
    found = pairs.loc[both, "p"]
    return math.nan if found.empty else float(found.iloc[0])
