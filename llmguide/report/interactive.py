"""The figures of the report as plotly's, beside the static ones: data in the page, the library packed into it.

A figure is a mapping of `data` and `layout` as plotly.js reads it. The page shows the static drawing until its reader
asks for the other; without JavaScript, and in print, it stays static. plotly.js (4.8 MB) goes into the page compressed,
2 MB of text, and is unpacked by the browser at the first figure that is asked for.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from llmguide.metrics import drawdowns
from llmguide.report.figures import logarithmic, styles
from llmguide.report.report_data import QCurves

__all__ = ["SCRIPT", "drawdown", "embed", "equity", "library", "market", "q_values", "scatter", "training", "weights"]

Plot = Mapping[str, Any]

_DASHES = {"-": "solid", "--": "dash", ":": "dot"}
_LONG, _SHORT, _FLAT = "#0072b2", "#d55e00", "#6e6e6e"
_LAYOUT: Plot = {
    "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#222222"},
    "hovermode": "x unified",
    "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    "margin": {"l": 64, "r": 36, "t": 40, "b": 44},
    "modebar": {"orientation": "v"},
    "paper_bgcolor": "#ffffff",
    "plot_bgcolor": "#ffffff",
}
_AXIS: Plot = {"automargin": True, "gridcolor": "#e4e7ea", "zerolinecolor": "#999999"}

SCRIPT = """
(() => {
  const packed = document.getElementById("plotly");
  if (!packed || !("DecompressionStream" in window)) return;
  let loading;
  const load = () => loading ??= (async () => {
    const bytes = Uint8Array.from(atob(packed.textContent.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  })();
  const show = async (figure, button) => {
    const card = figure.querySelector("div");
    let plot = card.querySelector(".plot");
    const wanted = !figure.classList.contains("live");
    if (wanted && !plot) {
      button.disabled = true;
      await load();
      plot = card.appendChild(document.createElement("div"));
      plot.className = "plot";
      figure.classList.add("live");
      const { data, layout } = JSON.parse(document.getElementById("plot-" + figure.dataset.plot).textContent);
      const small = matchMedia("(pointer: coarse), (max-width: 40rem)").matches;
      layout.dragmode = small ? false : "zoom";  // a finger scrolls the page
      await Plotly.newPlot(plot, data, layout, { responsive: true, displaylogo: false, displayModeBar: !small });
      new ResizeObserver(() => figure.classList.contains("live") && Plotly.Plots.resize(plot)).observe(card);
      button.disabled = false;
    } else {
      figure.classList.toggle("live", wanted);
      if (wanted) Plotly.Plots.resize(plot);
    }
    button.textContent = wanted ? "Show the drawing" : "Zoom and hover";
  };
  for (const figure of document.querySelectorAll("figure[data-plot]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Zoom and hover";
    button.addEventListener("click", () => show(figure, button));
    figure.prepend(button);
    if (location.hash === "#interactive") button.click();
  }
})();
"""


def embed(plots: Mapping[str, Plot]) -> str:
    """The elements that make the figures of a page interactive: their data by name, the library, and the script."""
    if not plots:
        return ""
    parts = [f'<script type="application/json" id="plot-{name}">{_json(plot)}</script>' for name, plot in plots.items()]
    parts.append(f'<script type="text/plain" id="plotly">{library()}</script>')
    return "\n".join([*parts, f"<script>{SCRIPT}</script>"])


@cache
def library() -> str:
    """plotly.js as the plotly package has it, compressed by gzip and written in base64."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]  # it has no types

    source = str(get_plotlyjs())
    return base64.b64encode(gzip.compress(source.encode(), mtime=0)).decode("ascii")


def equity(values: Mapping[str, pd.DataFrame]) -> Plot:
    """Portfolio value: mean over seeds and band, as `llmguide.report.figures.equity`."""
    looks = styles(list(values))
    data = [trace for arm, frame in values.items() for trace in _band(frame, arm, looks[arm], hover=",.0f")]
    scale = "log" if logarithmic(values) else "linear"
    axis: dict[str, Any] = {"title": {"text": "portfolio value"}, "tickformat": ",.0f", "type": scale}
    if scale == "log":
        axis["dtick"] = "D2"  # 1, 2 and 5 of each power of ten
    return {"data": data, "layout": _layout(yaxis=axis)}


def drawdown(values: Mapping[str, pd.DataFrame]) -> Plot:
    """How far each arm lies below its highest value so far, as `llmguide.report.figures.drawdown`."""
    looks = styles(list(values))
    falls = {arm: frame.apply(lambda column: -drawdowns(column)) for arm, frame in values.items()}
    data = [trace for arm, frame in falls.items() for trace in _band(frame, arm, looks[arm], hover=".1%")]
    return {"data": data, "layout": _layout(yaxis={"title": {"text": "below the highest value"}, "tickformat": ".0%"})}


def market(
    price: pd.Series[Any], signal: pd.DataFrame | None, decisions: Mapping[str, pd.DataFrame], *, trades_of: str | None
) -> Plot:
    """Price with new guidance and one arm's trades, and tau below, as `llmguide.report.figures.guidance`."""
    data: list[Plot] = [{**_line(price.index, price, "close", "#222222"), "hovertemplate": "%{y:.2f}"}]
    below: Plot = {}
    if signal is not None:
        renewed = signal["issued_at"].ne(signal["issued_at"].shift()) & signal["direction"].notna()
        for direction, mark, name in (
            (1, "triangle-up-open", "guidance: long"),
            (0, "triangle-down-open", "guidance: short"),
        ):
            at = signal.index[renewed & signal["direction"].eq(direction)]
            data.append(_marks(at, price.reindex(at) * (0.97 if direction else 1.03), name, mark, "#222222"))
        tau = _line(signal.index, signal["tau"], "tau", "#56b4e9") | {"yaxis": "y2", "fill": "tozeroy"}
        data.append({**tau, "line": {**tau["line"], "shape": "hv"}, "hovertemplate": "%{y:.2f}"})
        below = {"yaxis2": {"title": {"text": "tau"}, "domain": [0, 0.22], "range": [-1, 1]}}
    if trades_of is not None:
        side = decisions[trades_of].iloc[:, 0]
        change = np.sign(np.diff(side.to_numpy(dtype=float), prepend=0.0))
        for sign, mark, name, color in ((1, "triangle-up", "buys", _LONG), (-1, "triangle-down", "sells", _SHORT)):
            at = side.index[change == sign]
            data.append(_marks(at, price.reindex(at), f"{trades_of} {name}", mark, color))
    top = {"title": {"text": "close"}, "domain": [0.3, 1] if below else [0, 1]}
    return {"data": data, "layout": _layout(yaxis=top, height=520, **below)}


def training(curves: pd.DataFrame) -> Plot:
    """Sharpe ratio per episode on train and on test bars, as `llmguide.report.figures.training`."""
    looks = styles(list(dict.fromkeys(curves["arm"])))
    data: list[Plot] = []
    for axis, column in (("", "train_sr"), ("2", "test_sr")):
        for arm, rows in curves.groupby("arm", sort=False):
            wide = rows.pivot(index="episode", columns="seed", values=column)
            for trace in _band(wide, str(arm), looks[str(arm)], hover=".2f"):
                data.append({**trace, "xaxis": f"x{axis}", "showlegend": bool(trace.get("name") and not axis)})
    whole = {"dtick": max(1, round(curves["episode"].max() / 8))}
    return {
        "data": data,
        "layout": _layout(
            yaxis={"title": {"text": "Sharpe ratio"}},
            xaxis={"title": {"text": "episode, train bars"}, "domain": [0, 0.48], **whole},
            xaxis2={"title": {"text": "episode, test bars"}, "domain": [0.52, 1], **whole},
        ),
    }


def q_values(arms: Mapping[str, QCurves]) -> Plot:
    """The agents' values of their actions, an arm below the other, as `llmguide.report.figures.q_values`."""
    data: list[Plot] = []
    axes: dict[str, Any] = {}
    for at, (arm, curves) in enumerate(arms.items()):
        axis = "" if at == 0 else str(at + 1)
        top = 1 - at / len(arms)
        axes[f"yaxis{axis}"] = {"title": {"text": f"Q, {_text(arm)}"}, "domain": [top - 0.88 / len(arms), top]}
        lines = (("long", curves.long, (_LONG, "-")), ("short", curves.short, (_SHORT, "--")))
        for name, frame, look in (*lines, ("flat", curves.flat, (_FLAT, ":"))):
            for trace in () if frame is None else _band(frame, name, look, hover=".4f"):
                data.append({**trace, "yaxis": f"y{axis}", "showlegend": bool(trace.get("name") and not at)})
    return {"data": data, "layout": _layout(height=120 + 220 * len(arms), **axes)}


def weights(experts: Mapping[str, pd.DataFrame]) -> Plot:
    """The weight of each expert of a mixture, as `llmguide.report.figures.weights`."""
    looks = styles(list(experts))
    data = [trace for name, frame in experts.items() for trace in _band(frame, name, looks[name], hover=".1%")]
    return {"data": data, "layout": _layout(yaxis={"title": {"text": "weight"}, "tickformat": ".0%", "range": [0, 1]})}


def scatter(runs: pd.DataFrame) -> Plot:
    """Sharpe ratio against maximum drawdown of every run, as `llmguide.report.run_figures.scatter`."""
    looks = styles(list(dict.fromkeys(runs["arm"])))
    data = []
    for arm, rows in runs.groupby("arm", sort=False):
        fixed = bool((rows["seed"] < 0).all())
        names = [_text(str(arm)) + ("" if fixed else f", seed {seed}") for seed in rows["seed"]]
        color, dash = looks[str(arm)]
        symbol = ("square" if dash == ":" else "diamond") if fixed else "circle"
        marker = {"color": color, "size": 11 if fixed else 9, "symbol": symbol}
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": _text(str(arm)),
                "marker": marker,
                "text": names,
                "x": _numbers(rows["mdd"]),
                "y": _numbers(rows["sr"]),
                "hovertemplate": "%{text}<br>SR %{y:.2f}, MDD %{x:.1%}<extra></extra>",
            }
        )
    axes: dict[str, Any] = {
        "xaxis": {"title": {"text": "maximum drawdown"}, "tickformat": ".0%"},
        "yaxis": {"title": {"text": "Sharpe ratio"}},
    }
    return {"data": data, "layout": {**_layout(**axes), "hovermode": "closest"}}


def _layout(*, height: int = 420, **axes: Any) -> dict[str, Any]:
    named = {"xaxis": {}, "yaxis": {}} | axes
    return {**_LAYOUT, "height": height, **{name: {**_AXIS, **axis} for name, axis in named.items()}}


def _band(frame: pd.DataFrame, name: str, look: tuple[str, str], *, hover: str) -> Iterator[Plot]:
    """Mean over the columns as a line, above a band from the lowest to the highest where there are several."""
    table = frame.to_numpy(dtype=float)
    color, dash = look
    if table.shape[1] > 1:
        edge = {"mode": "lines", "type": "scatter", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        x = _positions(frame.index)
        yield {**edge, "x": x, "y": _numbers(table.max(axis=1)), "legendgroup": name}
        fill = {"fill": "tonexty", "fillcolor": _faint(color), "legendgroup": name}
        yield {**edge, **fill, "x": x, "y": _numbers(table.min(axis=1))}
    line = _line(frame.index, table.mean(axis=1), name, color, dash=_DASHES[dash])
    yield {**line, "legendgroup": name, "hovertemplate": f"%{{y:{hover}}}"}


def _line(index: pd.Index[Any], y: Any, name: str, color: str, *, dash: str = "solid") -> dict[str, Any]:
    line = {"color": color, "width": 1.6, "dash": dash}
    return {
        "type": "scatter",
        "mode": "lines" if len(index) > 1 else "markers",  # a line through one point shows nothing
        "name": _text(name),
        "x": _positions(index),
        "y": _numbers(y),
        "line": line,
    }


def _marks(index: pd.Index[Any], y: Any, name: str, symbol: str, color: str) -> Plot:
    marker = {"symbol": symbol, "size": 9, "color": color}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": _text(name),
        "marker": marker,
        "x": _positions(index),
        "y": _numbers(y),
        "hovertemplate": "%{x|%Y-%m-%d}",
    }


def _positions(index: pd.Index[Any]) -> list[Any]:
    if isinstance(index, pd.DatetimeIndex):
        return [f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else stamp.isoformat() for stamp in index]
    return [int(x) for x in index]


def _numbers(values: Iterable[Any]) -> list[float | None]:
    """Six digits, which is more than a screen shows; None where there is no number, which JSON lacks."""
    return [float(f"{x:.6g}") if math.isfinite(x) else None for x in np.asarray(values, dtype=float)]


def _faint(color: str) -> str:
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.14)"


def _text(name: str) -> str:
    """plotly reads some tags in names; this one is letters only."""
    return name.replace("&", "&amp;").replace("<", "&lt;")


def _json(plot: Plot) -> str:
    """JSON that no text in it can end the element it stands in."""
    text = json.dumps(plot, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
