"""The interactive figures: plotly accepts them, they hold the numbers of the static ones, and no text ends the page."""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from llmguide.report import interactive
from llmguide.report.report_data import QCurves

DATES = pd.bdate_range("2018-01-02", periods=60)


def draws(seeds, *, seed=0):
    steps = np.random.default_rng(seed).normal(0, 0.01, (len(DATES), seeds))
    return pd.DataFrame(1e5 * np.exp(np.cumsum(steps, axis=0)), index=DATES)


VALUES = {"hybrid": draws(3), "hold": draws(1, seed=1)}
PRICE = draws(1, seed=2)[0] / 1e3
SIGNAL = pd.DataFrame(
    {
        "direction": np.where(np.arange(60) < 20, np.nan, (np.arange(60) // 20) % 2),
        "strength": 0.5,
        "tau": np.where(np.arange(60) < 20, 0.0, 0.5),
        "issued_at": DATES[20 * (np.arange(60) // 20)],
    },
    index=DATES,
)
SIDES = {"hybrid": pd.DataFrame({0: [0] * 10 + [1] * 20 + [-1] * 30}, index=DATES)}
CURVES = pd.DataFrame(
    [(arm, seed, episode, seed + episode, np.nan) for arm in ("hybrid", "rl") for seed in (0, 1) for episode in (1, 2)],
    columns=["arm", "seed", "episode", "train_sr", "test_sr"],
)
RUNS = pd.DataFrame(
    [("hybrid", 0, 1.5, 0.2), ("hybrid", 1, np.nan, 0.3), ("sell", -1, -1.0, 0.8)], columns=["arm", "seed", "sr", "mdd"]
)
PLOTS = {
    "equity": interactive.equity(VALUES),
    "drawdown": interactive.drawdown(VALUES),
    "market": interactive.market(PRICE, SIGNAL, SIDES, trades_of="hybrid"),
    "bare market": interactive.market(PRICE, None, {}, trades_of=None),
    "training": interactive.training(CURVES),
    "q-values": interactive.q_values({arm: QCurves(draws(2), draws(2, seed=3)) for arm in ("hybrid", "rl")}),
    "runs": interactive.scatter(RUNS),
}


def named(plot, name):
    (trace,) = [trace for trace in plot["data"] if trace.get("name") == name]
    return trace


@pytest.mark.parametrize("name", PLOTS)
def test_plotly_knows_every_property_of_the_figure(name):
    from plotly.graph_objects import Figure

    Figure(data=PLOTS[name]["data"], layout=PLOTS[name]["layout"])  # it raises on the first that it does not know


def test_lines_are_means_and_bands_reach_from_the_lowest_to_the_highest_seed():
    upper, lower, mean = PLOTS["equity"]["data"][:3]
    table = VALUES["hybrid"].to_numpy()
    for trace, expected in ((upper, table.max(axis=1)), (lower, table.min(axis=1)), (mean, table.mean(axis=1))):
        np.testing.assert_allclose(trace["y"], expected, rtol=1e-5)
    assert lower["fill"] == "tonexty"
    assert mean["x"][:2] == ["2018-01-02", "2018-01-03"]
    assert len(PLOTS["equity"]["data"]) == 4  # one seed has no band


def test_guidance_and_trades_are_marked_on_the_bars_on_which_they_came():
    assert named(PLOTS["market"], "guidance: long")["x"] == [f"{DATES[20]:%Y-%m-%d}"]
    assert named(PLOTS["market"], "guidance: short")["x"] == [f"{DATES[40]:%Y-%m-%d}"]
    assert named(PLOTS["market"], "hybrid buys")["x"] == [f"{DATES[10]:%Y-%m-%d}"]
    assert named(PLOTS["market"], "hybrid sells")["x"] == [f"{DATES[30]:%Y-%m-%d}"]


def test_a_number_that_is_missing_is_null_in_the_page():
    page = interactive.embed({"runs": PLOTS["runs"]})
    text = re.search(r'id="plot-runs">(.*?)</script>', page).group(1)
    assert json.loads(text)["data"][0]["y"] == [1.5, None]


def test_no_name_can_end_the_script_it_stands_in():
    evil = "</script><b>&"
    page = interactive.embed({"equity": interactive.equity({evil: VALUES["hold"]})})
    assert page.count("</script>") == 3
    assert "<b>" not in page
    text = re.search(r'id="plot-equity">(.*?)</script>', page).group(1)
    assert json.loads(text)["data"][0]["name"] == "&lt;/script>&lt;b>&amp;"


def test_the_library_in_the_page_is_plotlys_and_the_same_every_time():
    from plotly.offline import get_plotlyjs

    assert gzip.decompress(base64.b64decode(interactive.library())).decode() == get_plotlyjs()
    interactive.library.cache_clear()
    first = interactive.library()
    interactive.library.cache_clear()
    assert interactive.library() == first


def test_a_page_without_figures_has_no_script():
    assert interactive.embed({}) == ""


def test_importing_the_figures_loads_no_plotting_library():
    code = "import sys, llmguide.report.interactive; sys.exit(bool({'plotly', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
