"""What is drawn, and that it can be drawn without a screen."""

from __future__ import annotations

import os
import subprocess
import sys

import backtrader as bt
import matplotlib
import numpy as np
import pytest

from llmguide.backtest import GuidanceAction, make_cerebro, save_plot
from llmguide.errors import LlmguideError
from llmguide.guidance import Guidance
from llmguide.strategies import BuyAndHold, LLMOnly


@pytest.fixture
def guided(make_bars):
    bars = make_bars(60)
    rows = [
        {"issued_at": bars.index[34], "direction": 1, "confidence": 2},
        {"issued_at": bars.index[44], "direction": 0, "confidence": 3},
        {"issued_at": bars.index[54], "direction": None, "confidence": None},
    ]
    return bars, Guidance.from_rows(rows)


@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"exactbars": -1}])
def test_guidance_and_action_are_those_of_the_bar(guided, mode):
    bars, guidance = guided
    cerebro = make_cerebro(bars, LLMOnly, guidance=guidance)
    cerebro.addobserver(GuidanceAction)
    (ran,) = cerebro.run(**mode)
    lines = ran.observers.guidanceaction.lines
    aligned = guidance.align(bars.index)
    np.testing.assert_array_equal(lines.tau.plot(), aligned["tau"])
    np.testing.assert_array_equal(lines.direction.plot(), aligned["direction"])
    assert list(lines.side.plot()) == [0] * 34 + [1] * 10 + [-1] * 16


def test_it_shows_the_side_of_a_strategy_without_guidance(make_bars):
    class Foreign(bt.Strategy):
        def next(self):
            if len(self) == 3:
                self.sell(size=1)

    for strategy, sides in ((BuyAndHold, [0] * 30 + [1] * 10), (Foreign, [0] * 2 + [-1] * 38)):
        cerebro = make_cerebro(make_bars(40), strategy)
        cerebro.addobserver(GuidanceAction)
        lines = cerebro.run()[0].observers.guidanceaction.lines
        assert list(lines.side.plot()) == sides
        assert np.isnan(lines.tau.plot()).all()


def test_buys_and_sells_are_drawn_on_the_bar_of_their_fill(guided):
    bars, guidance = guided
    cerebro = make_cerebro(bars, LLMOnly, guidance=guidance)
    cerebro.addobserver(bt.observers.BuySell)
    (ran,) = cerebro.run()
    lines = ran.observers.buysell.lines
    assert np.flatnonzero(~np.isnan(lines.buy.array)).tolist() == [34]
    assert np.flatnonzero(~np.isnan(lines.sell.array)).tolist() == [44]
    assert lines.buy.array[34] == bars["close"].iloc[34]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_plot_is_written_without_a_screen(guided, tmp_path, suffix):
    bars, guidance = guided
    screen = matplotlib.get_backend()
    cerebro = make_cerebro(bars, LLMOnly, guidance=guidance)
    cerebro.addobserver(GuidanceAction)
    cerebro.addobserver(bt.observers.Value)
    cerebro.run()
    path = save_plot(cerebro, tmp_path / f"plots/run.{suffix}", volume=False, width=8, height=6)
    assert path.stat().st_size > 10_000
    assert matplotlib.get_backend() == screen
    if suffix == "svg":
        drawn = path.read_text()
        for text in ("Guidance and action", "LLM guidance (3 rows)", f"{bars.index[0]:%Y-%m-%d}"):
            assert f"<!-- {text}" in drawn


@pytest.mark.slow
def test_a_script_of_its_own_can_plot_without_a_screen(tmp_path):
    """In a fresh process Backtrader picks a backend that needs a screen; a test's process has another one already."""
    code = (
        "import llmguide\n"
        "from llmguide.backtest import make_cerebro, save_plot\n"
        "cerebro = make_cerebro(llmguide.sample_bars(years=1), llmguide.strategies.BuyAndHold)\n"
        "cerebro.run()\n"
        "save_plot(cerebro, 'run.png')\n"
    )
    without_screen = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=without_screen, check=True)
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_cerebros_own_plot_works_too(guided):
    import backtrader.plot

    screen = matplotlib.get_backend()
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    bars, guidance = guided
    cerebro = make_cerebro(bars, LLMOnly, guidance=guidance)
    cerebro.addobserver(GuidanceAction)
    cerebro.run()
    ((figure,),) = cerebro.plot(backtrader.plot.Plot(), iplot=False)
    assert len(figure.axes) >= 3  # observer, price, guidance
    plt.close("all")
    matplotlib.use(screen)


def test_a_run_that_kept_nothing_cannot_be_drawn(guided, tmp_path):
    bars, guidance = guided
    cerebro = make_cerebro(bars, LLMOnly, guidance=guidance)
    cerebro.run(exactbars=1)
    with pytest.raises(LlmguideError, match="nothing to draw"):
        save_plot(cerebro, tmp_path / "run.png")
    assert not list(tmp_path.iterdir())
