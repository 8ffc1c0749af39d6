"""The figures of the report to explore, beside the static ones: their data in the page, and a small viewer of our own.

The viewer (`viewer.js`, 15 kB) is in the page too, and nothing is loaded. A page shows the static drawings until its
reader asks for the others; without JavaScript, and in print, it stays with them. A charting library would weigh more
than all the rest of the page: plotly.js takes 2 MB of it, compressed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from llmguide.metrics import drawdowns
from llmguide.report.figures import LONG, SHORT, band, logarithmic, runs_of, smoothed_gap, styles
from llmguide.report.report_data import QCurves
from llmguide.report.thinning import sample, thin

__all__ = ["Plot", "drawdown", "embed", "equity", "market", "q_gap", "training", "viewer", "weights"]

Plot = Mapping[str, Any]
"""``x`` (ascending), ``times`` ("days" or "seconds" since 1970 that x is in, None for episodes) and ``panels``, which
`viewer.js` describes."""

_INK = "#222222"
_BUYS, _SELLS = "#0072b2", "#d55e00"


def embed(plots: Mapping[str, Plot]) -> str:
    """The elements that make the figures of a page interactive: their data by name, and the viewer."""
    if not plots:
        return ""
    parts = [f'<script type="application/json" id="plot-{name}">{_json(plot)}</script>' for name, plot in plots.items()]
    return "\n".join([*parts, f"<script>{viewer()}</script>"])


def viewer() -> str:
    """The script that draws the plots of a page."""
    return files("llmguide.report").joinpath("viewer.js").read_text(encoding="utf-8")


def equity(values: Mapping[str, pd.DataFrame]) -> Plot:
    """Portfolio value: mean over seeds and band, as `llmguide.report.figures.equity`."""
    return _curves(values, title="Portfolio value", format="money", height=300, log=logarithmic(values))


def drawdown(values: Mapping[str, pd.DataFrame]) -> Plot:
    """How far each arm lies below its highest value so far, as `llmguide.report.figures.drawdown`."""
    falls = {arm: frame.apply(lambda column: -drawdowns(column)) for arm, frame in values.items()}
    return _curves(falls, title="Drawdown from the highest value so far", format="percent", ticks="whole", height=260)


def weights(experts: Mapping[str, pd.DataFrame]) -> Plot:
    """The weight of each expert of a mixture, as `llmguide.report.figures.weights`."""
    return _curves(experts, title="Weight", format="percent", ticks="whole", height=260, range=[0, 1])


def market(
    price: pd.Series[Any], signal: pd.DataFrame | None, decisions: Mapping[str, pd.DataFrame], *, trades_of: str | None
) -> Plot:
    """Price, guidance and positions as `llmguide.report.figures.guidance`, and the trades of one arm's first seed."""
    index = price.index
    curves = {"close": price.to_numpy(dtype=float)}
    if signal is not None:
        curves["tau"] = signal["tau"].to_numpy(dtype=float)
    places, drawn = thin(curves)
    panels = [_panel("Close", [_line("close", _INK, drawn["close"])], format="number", height=260)]
    if trades_of is not None:
        panels[0]["marks"] = _trades(price, decisions[trades_of].iloc[:, 0], trades_of)
    if signal is not None:
        panels[0]["spans"] = [
            {**_span(index, start, stop, direction == 1), "opacity": round(0.10 + 0.35 * max(strength, 0.0), 3)}
            for start, stop, (direction, strength) in runs_of(signal[["direction", "strength"]])
            if direction >= 0
        ]
        tau = {**_line("tau", "#56b4e9", drawn["tau"]), "step": True, "signs": [LONG, SHORT]}
        panels.append(_panel("Guidance", [tau], format="number", height=80, range=[-1.05, 1.05]))
    if decisions:
        spans = [
            {**_span(frame.index, start, stop, side > 0), "row": row}
            for row, frame in enumerate(sample(sides) for sides in decisions.values())
            for start, stop, (side,) in runs_of(frame.iloc[:, [0]])
            if side != 0
        ]
        rows = [str(arm) for arm in decisions]
        key = {"long": LONG, "short": SHORT}
        panels.append(_panel("Positions", [], format="number", height=20 * len(rows), rows=rows, spans=spans, key=key))
    return _plot(index[places], panels)


def training(curves: pd.DataFrame) -> Plot:
    """Sharpe ratio per episode on train and on test bars, as `llmguide.report.figures.training`."""
    looks = styles(list(dict.fromkeys(curves["arm"])))
    episodes = pd.Index(sorted(curves["episode"].unique()))
    panels = []
    for column, title in (("train_sr", "Sharpe ratio, train bars"), ("test_sr", "Sharpe ratio, test bars")):
        lines = []
        for arm, rows in curves.groupby("arm", sort=False):
            wide = rows.pivot(index="episode", columns="seed", values=column).reindex(episodes)
            lines.append(_banded(str(arm), band(wide), looks[str(arm)]))
        panels.append(_panel(title, lines, format="number", height=170, zero=True))
    return {"x": [int(x) for x in episodes], "times": None, "panels": panels}


def q_gap(arms: Mapping[str, QCurves]) -> Plot:
    """What long is worth above short to each arm's agents, as `llmguide.report.figures.q_gap`."""
    looks = styles(list(arms))
    gaps = {arm: band(smoothed_gap(curves)) for arm, curves in arms.items()}
    index = next(iter(arms.values())).long.index
    places, drawn = thin({f"{arm} {which}": curve for arm, own in gaps.items() for which, curve in own.items()})
    panels = [
        _panel(
            str(arm),
            [{**_banded("Q(long) − Q(short)", _of(arm, drawn), (looks[arm][0], "-")), "signs": [LONG, SHORT]}],
            format="fine",
            height=130,
            zero=True,
        )
        for arm in arms
    ]
    return _plot(index[places], panels)


def _curves(frames: Mapping[str, pd.DataFrame], **panel: Any) -> Plot:
    """One panel with the mean and the band of every frame; all have the same index."""
    looks = styles(list(frames))
    bands = {f"{name} {which}": curve for name, frame in frames.items() for which, curve in band(frame).items()}
    places, drawn = thin(bands)
    lines = [_banded(name, _of(name, drawn), looks[name], digits=0 if panel["format"] == "money" else 4)
             for name in frames]  # fmt: skip
    return _plot(next(iter(frames.values())).index[places], [_panel(panel.pop("title"), lines, **panel)])


def _of(name: str, drawn: Mapping[str, Any]) -> dict[str, Any]:
    return {which: drawn[f"{name} {which}"] for which in ("mean", "low", "high") if f"{name} {which}" in drawn}


def _plot(index: pd.Index[Any], panels: list[dict[str, Any]]) -> Plot:
    times = "days" if _daily(index) else "seconds"
    return {"x": _positions(index, times), "times": times, "panels": panels}


def _panel(title: str, lines: list[dict[str, Any]], *, format: str, height: int, **more: Any) -> dict[str, Any]:
    return {"title": title, "format": format, "height": height, "lines": lines, **more}


def _banded(name: str, curves: Mapping[str, Any], look: tuple[str, str], *, digits: int = 4) -> dict[str, Any]:
    return {"name": name, "color": look[0], "dash": look[1]} | {
        which: _numbers(curve, digits) for which, curve in curves.items()
    }


def _line(name: str, color: str, values: Any) -> dict[str, Any]:
    return _banded(name, {"mean": values}, (color, "-"))


def _span(index: pd.Index[Any], start: int, stop: int, long: bool) -> dict[str, Any]:
    """A coloured stretch, up to the next bar or the last one."""
    first, after = _positions(index[[start, min(stop, len(index) - 1)]], "days" if _daily(index) else "seconds")
    return {"start": first, "stop": after, "color": LONG if long else SHORT}


def _trades(price: pd.Series[Any], side: pd.Series[Any], arm: str) -> list[dict[str, Any]]:
    """Where the side rises and where it falls."""
    change = np.sign(np.diff(side.to_numpy(dtype=float), prepend=0.0))
    times = "days" if _daily(price.index) else "seconds"
    found = []
    for sign, name, color in ((1, "buys", _BUYS), (-1, "sells", _SELLS)):
        at = side.index[change == sign]
        where = {"x": _positions(at, times), "y": _numbers(price.reindex(at))}
        found.append({"name": f"{arm} {name}", "color": color, "up": sign > 0, **where})
    return found


def _daily(index: pd.Index[Any]) -> bool:
    dates = pd.DatetimeIndex(index)
    return bool((dates == dates.normalize()).all())


def _positions(index: pd.Index[Any], times: str) -> list[int]:
    since = pd.DatetimeIndex(index) - pd.Timestamp(0)
    return [int(x) for x in since // pd.Timedelta(1, "D" if times == "days" else "s")]


def _numbers(values: Iterable[Any], digits: int = 4) -> list[float | int | None]:
    """At least `digits` significant ones, whole numbers for 0; None where there is no number, which JSON lacks."""

    def shorter(x: float) -> float | int | None:
        if not math.isfinite(x):
            return None
        return round(x) if digits == 0 else float(f"{x:.{digits}g}") if abs(x) < 1 else round(x, digits - 1)

    return [shorter(float(x)) for x in np.asarray(values, dtype=float)]


def _json(plot: Plot) -> str:
    """JSON that no text in it can end the element it stands in."""
    text = json.dumps(plot, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
