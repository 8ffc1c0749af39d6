"""Backtrader's own plot, written to a file on a machine without a screen."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np

from llmguide.errors import LlmguideError
from llmguide.files import atomic_path

__all__ = ["save_plot"]

DATES_SHOWN = 9


def save_plot(
    cerebro: bt.Cerebro,
    path: Path | str,
    *,
    start: date | None = None,
    end: date | None = None,
    width: float = 16.0,
    height: float = 9.0,
    **style: Any,
) -> Path:
    """Write the plot of a Cerebro that has run to an image file and return the path.

    Args:
        cerebro: the Cerebro; the first of several strategies is drawn.
        path: file ending in ``.png``, ``.svg`` or ``.pdf``.
        start: first date to draw; None is the first bar's.
        end: last date to draw; None is the last bar's.
        width: in inches.
        height: in inches.
        style: options of `cerebro.plot`, such as ``style="candle"`` and ``volume=False``.

    Raises LlmguideError if there is nothing to draw.
    """
    import backtrader.plot  # switches matplotlib to a backend that needs a screen: it must come first, ...
    import matplotlib

    screen = matplotlib.get_backend()
    matplotlib.use("Agg")  # ... then this, ...
    import matplotlib.pyplot as plt  # ... then this

    plotter = backtrader.plot.Plot(**style)
    others = set(plt.get_fignums())
    try:
        drawn = [figures for figures in cerebro.plot(plotter, iplot=False, start=start, end=end) or [] if figures]
        if not drawn:
            raise LlmguideError("there is nothing to draw: run the Cerebro first, without exactbars=1")
        figure = drawn[0][0]
        figure.set_size_inches(width, height)
        _label_dates(figure, list(plotter.pinf.xreal))
        with atomic_path(path) as temporary:
            figure.savefig(temporary)
    finally:
        for number in set(plt.get_fignums()) - others:
            plt.close(number)
        with suppress(ImportError):  # there is no screen: nothing to go back to
            matplotlib.use(screen)
    return Path(path)


def _label_dates(figure: Any, numbers: list[float]) -> None:
    """Write dates below the lowest plot; Backtrader's own labels count from an epoch that matplotlib gave up."""
    shown = np.unique(np.linspace(0, len(numbers) - 1, DATES_SHOWN).astype(int))
    lowest = min(figure.axes, key=lambda axes: axes.get_position().y0)
    limits = lowest.get_xlim()
    lowest.set_xticks(shown, [f"{bt.num2date(numbers[i]):%Y-%m-%d}" for i in shown])
    lowest.set_xlim(limits)
    for axes in figure.axes:
        axes.tick_params(axis="x", labelbottom=axes is lowest)
