"""The figures of the report as inline SVG, drawn without pyplot: the hybrid paper's figures 2 to 5 (arXiv 2508.02366).

Every function takes plain frames and returns the text of one `<svg>` element. The caller's matplotlib settings neither
matter nor change, and the same data give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.metrics import drawdowns
from llmguide.report.thinning import sample, thin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from llmguide.report.report_data import QCurves

__all__ = [
    "LONG",
    "SHORT",
    "band",
    "drawdown",
    "equity",
    "guidance",
    "house_style",
    "learning",
    "logarithmic",
    "new_figure",
    "plain",
    "q_gap",
    "records",
    "runs_of",
    "smoothed_gap",
    "styles",
    "svg",
    "training",
    "weights",
    "yearly",
]

# Okabe and Ito's colours, told apart by colour-blind readers too; lines differ in dash as well.
_BLUE, _ORANGE, _GREEN, _RED, _SKY, _PINK, _YELLOW, _GREY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#56b4e9",
    "#cc79a7",
    "#b8a800",
    "#666666",
)
_KNOWN: Mapping[str, tuple[str, str]] = {
    "hybrid": (_BLUE, "-"),
    "rl": (_RED, "-"),
    "llm": (_GREEN, "-"),
    "hold": (_GREY, "--"),
    "sell": (_GREY, ":"),
    # A mixture's experts look like the arms that follow them alone.
    "agent": (_RED, "-"),
    "guidance": (_GREEN, "-"),
    "the mixture": ("#222222", "-"),
}
_OTHERS = ((_PINK, "-"), (_ORANGE, "-"), (_SKY, "-"), (_YELLOW, "-"), (_PINK, "--"), (_ORANGE, "--"), (_SKY, "--"))
LONG, SHORT = _SKY, _ORANGE
"""Of what is long and what is short."""

_SMOOTH = 21  # bars, about a month
_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "grid.color": "#e4e7ea",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "path.simplify": True,
    "svg.fonttype": "none",  # text stays text: selectable, and set in a font that the reader has
    "svg.hashsalt": "llmguide",
}

Style = tuple[str, str]


def styles(arms: Sequence[str]) -> dict[str, Style]:
    """Colour and dash of each arm: the usual arms always look the same, others take the remaining ones in order."""
    others = [arm for arm in arms if arm not in _KNOWN]
    return {arm: _KNOWN.get(arm) or _OTHERS[others.index(arm) % len(_OTHERS)] for arm in arms}


def equity(values: Mapping[str, pd.DataFrame], *, marks: Sequence[pd.Timestamp] = ()) -> str:
    """Portfolio value over time: each arm's mean over seeds as a line, its lowest to highest seed as a band.

    `values` maps an arm to a frame with one row per bar and one column per seed. A dotted line stands at each of
    `marks`.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    log = logarithmic(values)
    with house_style():
        figure = new_figure(8, 4.2)
        axes = figure.subplots()
        _bands(axes, values)
        for at in _numbers(pd.DatetimeIndex(list(marks))) if marks else ():
            axes.axvline(at, color="#999999", lw=0.8, ls=":")
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(_money())
        axes.set_ylabel("portfolio value" + (" (log scale)" if log else ""))
        _legend_above(axes, len(values))
        _dates(axes)
        return svg(figure)


def logarithmic(values: Mapping[str, pd.DataFrame]) -> bool:
    """Whether values are drawn on a logarithmic scale: all are positive and span more than a factor of five."""
    everything = np.concatenate([frame.to_numpy(dtype=float).ravel() for frame in values.values()])
    return bool(everything.min() > 0 and everything.max() / everything.min() > 5)


def drawdown(values: Mapping[str, pd.DataFrame]) -> str:
    """How far each arm lies below its highest value so far: mean and band over seeds, of frames as in `equity`."""
    from matplotlib.ticker import PercentFormatter

    falls = {arm: frame.apply(lambda column: -drawdowns(column)) for arm, frame in values.items()}
    with house_style():
        figure = new_figure(8, 3.4)
        axes = figure.subplots()
        _bands(axes, falls)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_ylabel("drawdown from the highest value so far")
        _legend_above(axes, len(falls))
        _dates(axes)
        return svg(figure)


def guidance(price: pd.Series[Any], signal: pd.DataFrame | None, decisions: Mapping[str, pd.DataFrame]) -> str:
    """Price with the guidance, its tau, and what the first seed of every arm held.

    `signal` has one row per bar, as `Guidance.align` returns it: direction (1 long, 0 short, NaN none), strength, tau
    and issued_at. `decisions` maps an arm to sides (+1, 0, -1), one column per seed. The background is shaded by the
    guidance, deeper for greater strength.
    """
    heights = [4.0] + [1.3] * (signal is not None) + [0.34 * len(decisions) + 0.2] * bool(decisions)
    with house_style():
        figure = new_figure(8, 0.8 + 0.82 * sum(heights))
        panels = list(np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)))
        places, drawn = thin({"close": price.to_numpy(dtype=float)})
        panels[0].plot(_numbers(price.index[places]), drawn["close"], color="#222222", lw=1.1)
        panels[0].set_ylabel("close")
        if signal is not None:
            _shade(panels[0], signal)
            _tau(panels[1], signal)
        if decisions:
            _strips(panels[-1], decisions)
        if signal is not None or decisions:
            key = [_patch(LONG, "long"), _patch(SHORT, "short")]
            figure.legend(handles=key, loc="outside upper left", ncols=len(key))
        _dates(panels[-1])
        figure.align_ylabels(panels)
        return svg(figure)


def training(curves: pd.DataFrame) -> str:
    """Sharpe ratio per training episode, on train and on test bars: mean and band over seeds.

    `curves` has columns arm, seed, episode, train_sr and test_sr.
    """
    with house_style():
        figure = new_figure(8, 3.4)
        panels = figure.subplots(1, 2, sharey=True)
        looks = styles(list(dict.fromkeys(curves["arm"])))
        for axes, column, title in zip(panels, ("train_sr", "test_sr"), ("train bars", "test bars"), strict=True):
            for arm, rows in curves.groupby("arm", sort=False):
                wide = rows.pivot(index="episode", columns="seed", values=column)
                _band(axes, wide.index.to_numpy(dtype=float), wide, str(arm), looks[str(arm)])
            axes.axhline(0, color="#999999", lw=0.8)
            axes.set_title(title)
            axes.set_xlabel("episode")
            axes.xaxis.get_major_locator().set_params(integer=True)
        panels[0].set_ylabel("Sharpe ratio")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
        return svg(figure)


def learning(curves: pd.DataFrame) -> str:
    """How policies that read learned: mean and band over seeds, each a running mean over ten rollouts.

    `curves` has columns seed, steps, reward (mean of a rollout's) and entropy (of the three actions' probabilities).
    """
    panels_of = {"reward": "reward a step", "entropy": "entropy of the policy"}
    with house_style():
        figure = new_figure(8, 3.2)
        for axes, (column, title) in zip(figure.subplots(1, 2), panels_of.items(), strict=True):
            wide = curves.pivot(index="steps", columns="seed", values=column).astype(float)
            smooth = wide.rolling(10, min_periods=1).mean()
            _band(axes, smooth.index.to_numpy(dtype=float), smooth, column, (_BLUE, "-"))
            axes.set_title(title)
            axes.set_xlabel("steps")
        return svg(figure)


def q_gap(arms: Mapping[str, QCurves]) -> str:
    """What long is worth above short to each arm's agents: `smoothed_gap`, mean and band over seeds, sign shaded."""
    with house_style():
        figure = new_figure(8, 0.7 + 1.7 * len(arms))
        panels = np.atleast_1d(figure.subplots(len(arms), 1, sharex=True))
        looks = styles(list(arms))
        for axes, (arm, curves) in zip(panels, arms.items(), strict=True):
            gap = smoothed_gap(curves)
            when, mean = _numbers(gap.index), gap.mean(axis=1).to_numpy()
            for part, color in ((np.maximum(mean, 0), LONG), (np.minimum(mean, 0), SHORT)):
                places, drawn = thin({"gap": part})
                axes.fill_between(when[places], 0, drawn["gap"], color=color, alpha=0.5, lw=0)
            _band(axes, when, gap, arm, (looks[arm][0], "-"))
            axes.axhline(0, color="#999999", lw=0.8)
            axes.set_title(plain(arm))
            axes.set_ylabel("Q(long) − Q(short)")
        key = [_patch(LONG, "long is worth more"), _patch(SHORT, "short is worth more")]
        figure.legend(handles=key, loc="outside upper left", ncols=len(key))
        _dates(panels[-1])
        figure.align_ylabels(list(panels))
        return svg(figure)


def smoothed_gap(curves: QCurves) -> pd.DataFrame:
    """Q of long less Q of short, one column per seed: the mean of each bar and the 20 before it, fewer at the start."""
    return (curves.long - curves.short).rolling(_SMOOTH, min_periods=1).mean()


def weights(experts: Mapping[str, pd.DataFrame]) -> str:
    """The weight of each expert of a mixture over time: mean and band over seeds, of frames as in `equity`."""
    from matplotlib.ticker import PercentFormatter

    with house_style():
        figure = new_figure(8, 3.4)
        axes = figure.subplots()
        _bands(axes, experts)
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_ylabel("weight")
        _legend_above(axes, len(experts))
        _dates(axes)
        return svg(figure)


def records(earned: pd.DataFrame, since: pd.Timestamp) -> str:
    """What the experts of a mixture have earned so far, a column for each; a line marks the first traded bar."""
    with house_style():
        figure = new_figure(8, 3.4)
        axes = figure.subplots()
        _bands(axes, {str(name): earned[[name]] for name in earned})
        axes.axhline(0, color="#999999", lw=0.8)
        axes.axvline(_numbers(pd.DatetimeIndex([since]))[0], color="#222222", lw=0.9, ls="--")
        axes.set_ylabel("sum of results")
        _legend_above(axes, len(earned.columns))
        _dates(axes)
        return svg(figure)


def yearly(returns: Mapping[str, pd.Series[Any]]) -> str:
    """Compounded return of each calendar year as bars, for one or two series of returns per bar, on dates."""
    from matplotlib.ticker import PercentFormatter

    table = pd.DataFrame(
        {name: (1 + r).groupby(pd.DatetimeIndex(r.index).year).prod() - 1 for name, r in returns.items()}
    )
    with house_style():
        figure = new_figure(8, 3.4)
        axes = figure.subplots()
        width = 0.8 / len(table.columns)
        colors = ("#fedd78", "#348dc1")[-len(table.columns) :]  # quantstats' own, beside whose charts it stands
        for at, (name, column) in enumerate(table.items()):
            x = np.arange(len(table)) + width * (at - (len(table.columns) - 1) / 2)
            axes.bar(x, column.to_numpy(), width, label=plain(str(name)), color=colors[at])
        axes.set_xticks(np.arange(len(table)), [str(year) for year in table.index])
        axes.grid(visible=False, axis="x")
        axes.axhline(0, color="#222222", lw=0.8)
        axes.set_title("Return per calendar year")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        figure.legend(loc="outside upper right", ncols=2)
        return svg(figure)


@contextmanager
def house_style() -> Iterator[None]:
    """matplotlib under our settings alone, and the caller's again afterwards."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def svg(figure: Figure) -> str:
    """The `<svg>` element of a figure, sized by its page, without metadata, its paths to a hundredth of a point."""
    sink = io.StringIO()
    figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None})
    text = sink.getvalue()
    element = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :].strip(), flags=re.DOTALL)
    for size in ("width", "height"):
        element = re.sub(rf'(<svg[^>]*?) {size}="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'<g id="[^"]*"', "<g", element)  # never referred to, and the same in every figure of a page
    return re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), element)


def plain(text: str) -> str:
    """`text` for a label, in which matplotlib would take a pair of dollar signs for a formula."""
    return text.replace("$", r"\$")


def _numbers(index: pd.Index[Any]) -> Any:
    from matplotlib.dates import date2num

    return date2num(index.to_numpy())  # type: ignore[no-untyped-call]  # matplotlib leaves it without types


def _dates(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]  # as date2num
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as date2num
    axes.margins(x=0.01)


def _money() -> Any:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda x, _: f"{x:,.0f}")


def _legend_above(axes: Axes, entries: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=min(entries, 6), borderaxespad=0.2)


def _patch(color: str, label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=color, alpha=0.6, lw=0, label=label)


def _bands(axes: Axes, frames: Mapping[str, pd.DataFrame]) -> None:
    looks = styles(list(frames))
    for arm, frame in frames.items():
        _band(axes, _numbers(frame.index), frame, arm, looks[arm])


def band(frame: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Mean over the columns, and lowest and highest where there are several, each of shape (rows,)."""
    table = frame.to_numpy(dtype=float)
    mean = {"mean": table.mean(axis=1)}
    return mean if table.shape[1] == 1 else mean | {"low": table.min(axis=1), "high": table.max(axis=1)}


def runs_of(frame: pd.DataFrame) -> Iterator[tuple[int, int, tuple[float, ...]]]:
    """First row, row after the last, and values of each stretch of equal rows; missing values are -1."""
    known = frame.astype(float).fillna(-1.0)
    starts = np.flatnonzero((known != known.shift()).any(axis=1).to_numpy())
    for start, stop in zip(starts, [*starts[1:], len(known)], strict=True):
        yield int(start), int(stop), tuple(float(value) for value in known.iloc[start])


def _band(axes: Axes, x: Any, frame: pd.DataFrame, arm: str, look: Style) -> None:
    """Mean over the columns as a line; lowest to highest column as a band where there is more than one.

    A single row is a point with a bar: a line through one point shows nothing.
    """
    color, dash = look
    places, curves = thin(band(frame))
    x = np.asarray(x)[places]
    mean, low, high = curves["mean"], curves.get("low"), curves.get("high")
    if low is not None and high is not None and len(mean) == 1:
        axes.vlines(x, low, high, color=color, alpha=0.4)
    elif low is not None and high is not None:
        axes.fill_between(x, low, high, color=color, alpha=0.14, lw=0)
    axes.plot(
        *(x, mean),
        color=color,
        ls=dash,
        lw=1.8 if arm == "hybrid" else 1.4,
        marker="o" if len(mean) == 1 else None,
        label=plain(arm),
    )


def _shade(axes: Axes, signal: pd.DataFrame) -> None:
    """One rectangle per stretch of equal guidance, over the bars on which it may be used."""
    when = _numbers(signal.index)
    for start, stop, (direction, strength) in runs_of(signal[["direction", "strength"]]):
        if direction >= 0:
            color = LONG if direction == 1 else SHORT
            end = when[min(stop, len(when) - 1)]
            axes.axvspan(when[start], end, color=color, alpha=0.10 + 0.35 * max(strength, 0.0), lw=0)


def _tau(axes: Axes, signal: pd.DataFrame) -> None:
    when, tau = _numbers(signal.index), signal["tau"].to_numpy(dtype=float)
    axes.fill_between(when, 0, tau, where=tau > 0, step="post", color=LONG, alpha=0.8, lw=0)
    axes.fill_between(when, 0, tau, where=tau < 0, step="post", color=SHORT, alpha=0.8, lw=0)
    axes.axhline(0, color="#999999", lw=0.8)
    axes.set_ylim(-1.05, 1.05)
    axes.set_ylabel("tau")


def _strips(axes: Axes, decisions: Mapping[str, pd.DataFrame]) -> None:
    """One row per arm: what its first seed held on each bar."""
    for row, sides in enumerate(decisions.values()):
        frame = sample(sides)
        when = _numbers(frame.index)
        edges = np.append(when, when[-1] + np.median(np.diff(when)) if len(when) > 1 else when[-1] + 1)
        stretches = list(runs_of(frame.iloc[:, [0]].astype(float).apply(np.sign)))
        for held, color in ((1, LONG), (-1, SHORT)):
            spans = [(edges[start], edges[stop] - edges[start]) for start, stop, (side,) in stretches if side == held]
            axes.broken_barh(spans, (row - 0.38, 0.76), color=color, lw=0)
    axes.set_yticks(range(len(decisions)), [plain(arm) for arm in decisions])
    axes.set_ylim(len(decisions) - 0.5, -0.5)
    axes.grid(visible=False)
