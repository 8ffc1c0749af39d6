"""The interactive figures: they hold the numbers of the static ones, every trade, and no text ends the page."""

from __future__ import annotations

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


def draws(seeds, *, seed=0, index=DATES):
    steps = np.random.default_rng(seed).normal(0, 0.01, (len(index), seeds))
    return pd.DataFrame(1e5 * np.exp(np.cumsum(steps, axis=0)), index=index)


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


def day(date):
    return int((date - pd.Timestamp(0)).days)


def lines(plot, panel=0):
    return {line["name"]: line for line in plot["panels"][panel]["lines"]}


def test_lines_are_means_and_bands_reach_from_the_lowest_to_the_highest_seed():
    plot = interactive.equity(VALUES)
    table = VALUES["hybrid"].to_numpy()
    hybrid = lines(plot)["hybrid"]
    for name, expected in (("mean", table.mean(axis=1)), ("low", table.min(axis=1)), ("high", table.max(axis=1))):
        np.testing.assert_allclose(hybrid[name], expected, atol=0.5)  # whole units of money
    assert "low" not in lines(plot)["hold"]  # one seed has no band
    assert plot["times"] == "days"
    assert plot["x"] == [day(date) for date in DATES]


def test_guidance_trades_and_positions_are_on_the_bars_on_which_they_came():
    close, tau, positions = interactive.market(PRICE, SIGNAL, SIDES, trades_of="hybrid")["panels"]
    assert [span["start"] for span in close["spans"]] == [day(DATES[20]), day(DATES[40])]
    assert len({span["color"] for span in close["spans"]}) == 2  # long, then short
    assert [(mark["name"], mark["x"]) for mark in close["marks"]] == [
        ("hybrid buys", [day(DATES[10])]),
        ("hybrid sells", [day(DATES[30])]),
    ]
    assert tau["lines"][0]["mean"][19:21] == [0.0, 0.5]
    assert positions["rows"] == ["hybrid"]
    assert [(span["start"], span["stop"]) for span in positions["spans"]] == [
        (day(DATES[10]), day(DATES[30])),
        (day(DATES[30]), day(DATES[59])),
    ]


def test_without_guidance_and_decisions_there_is_the_price():
    (panel,) = interactive.market(PRICE, None, {}, trades_of=None)["panels"]
    assert panel["title"] == "Close"
    assert "marks" not in panel


def test_the_gap_is_that_of_long_and_short_smoothed_over_21_bars():
    long, short = draws(2) / 1e5, draws(2, seed=3) / 1e5
    (panel,) = interactive.q_gap({"rl": QCurves(long, short)})["panels"]
    (line,) = panel["lines"]
    expected = (long - short).iloc[10:31].mean().mean()
    assert line["mean"][30] == pytest.approx(expected, rel=1e-3)
    assert line["mean"][0] == pytest.approx((long - short).iloc[0].mean(), rel=1e-3)


def test_bars_within_a_day_have_their_seconds():
    hours = pd.date_range("2018-01-02 09:30", periods=20, freq="h")
    plot = interactive.equity({"hold": draws(1, index=hours)})
    assert plot["times"] == "seconds"
    assert plot["x"][1] - plot["x"][0] == 3600


def test_long_histories_are_thinned_and_trades_stay_on_their_bars():
    hours = pd.date_range("2018-01-02", periods=5000, freq="h")
    price = draws(1, index=hours)[0]
    sides = {"hybrid": pd.DataFrame({0: [0] * 2501 + [1] * 2499}, index=hours)}
    plot = interactive.market(price, None, sides, trades_of="hybrid")
    assert len(plot["x"]) == 1200
    assert max(plot["panels"][0]["lines"][0]["mean"]) == pytest.approx(price.max(), rel=1e-4)
    (bought,) = plot["panels"][0]["marks"][0]["x"]
    assert pd.Timestamp(bought, unit="s") == hours[2501]


def test_a_number_that_is_missing_is_null_in_the_page():
    page = interactive.embed({"training": interactive.training(CURVES)})
    text = re.search(r'id="plot-training">(.*?)</script>', page).group(1)
    plot = json.loads(text)
    assert plot["x"] == [1, 2]
    assert lines(plot, 1)["rl"]["mean"] == [None, None]


def test_no_name_can_end_the_script_it_stands_in():
    evil = "</script><b>&"
    page = interactive.embed({"equity": interactive.equity({evil: VALUES["hold"]})})
    assert page.count("</script>") == 2
    assert "<b>" not in page
    text = re.search(r'id="plot-equity">(.*?)</script>', page).group(1)
    assert list(lines(json.loads(text))) == [evil]


def test_the_viewer_makes_no_markup_of_texts_and_asks_for_nothing():
    source = interactive.viewer()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function\(|fetch|XMLHttp|import", source
    )
    assert "</" not in source
    assert len(source) < 20_000


def test_a_page_without_figures_has_no_script():
    assert interactive.embed({}) == ""


def test_importing_the_figures_loads_no_plotting_library():
    code = "import sys, llmguide.report.interactive; sys.exit(bool({'plotly', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
