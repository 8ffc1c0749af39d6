"""The heatmap of a sweep: its cells, its best one, what it says in words, and what it weighs."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest
from chromium import Browser, find_chromium
from page_text import text_of_page

from llmguide import sample_bars, sweep
from llmguide.errors import LlmguideError
from llmguide.report.heat_figure import Axis, Measure, Panel, coarser, heat_figure

BARS = sample_bars(years=3, seed=8)
TRAIN, TEST = BARS.iloc[:504], BARS.iloc[504:]


@pytest.fixture(scope="module")
def found():
    """Pairs of windows, of which those with short >= long are no combinations, at two costs."""
    return sweep(TRAIN, "trend", short=[2, 6, 10, 14], long=[5, 10, 20], cost=[0.0, 0.002])


@pytest.fixture(scope="module")
def judged(found):
    return found.validate(TEST)


def told(page):
    """What the page's script reads."""
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page).group(1))


def cells_of(panel, shape):
    """The cells that a script decodes: floats, NaN for undefined ones, None for those that were not tried."""
    numbers = np.frombuffer(base64.b64decode(panel["data"]), dtype="<i2").reshape(shape)
    scale = 10.0 ** panel["digits"]
    return [[None if cell == -32002 else np.nan if cell == -32001 else cell / scale for cell in row] for row in numbers]


def test_the_ringed_cell_is_the_highest_by_an_independent_search(found):
    for by in ("sharpe", "total_return", "sortino"):
        heat = found.heatmap("short", "long", by, at={"cost": 0.002})
        highest, where = -np.inf, None
        for label, row in found.frame.iterrows():
            if label[2] == 0.002 and row[by] > highest:
                highest, where = row[by], label
        assert heat.best.name == where
        ((_, panel),) = heat._panels
        assert panel.values[panel.best] == highest == np.nanmax(panel.values)
        assert (heat.frame.columns[panel.best[1]], heat.frame.index[panel.best[0]]) == where[:2]


def test_where_less_is_better_the_ring_is_at_the_lowest_that_trades():
    given = np.full((60, 3), -1)
    given[:, 1:] = np.random.default_rng(0).integers(0, 2, (60, 2))
    heat = sweep(BARS.iloc[:60], given, cost=[0.0, 0.01]).heatmap("column", "cost", "max_drawdown")
    assert heat.best["trades"] > 0
    assert heat.best["max_drawdown"] == np.min(heat.frame.to_numpy()[:, 1:])
    assert heat.frame.to_numpy().min() == 0.0  # that of the column that never trades


def test_the_cells_are_those_of_the_frame_and_pairs_that_were_not_tried_stay_empty(found):
    heat = found.heatmap("short", "long", "max_drawdown", at={"cost": 0.002})
    for short in (2, 6, 10, 14):
        for long in (5, 10, 20):
            cell = heat.frame.loc[long, short]
            if short < long:
                assert cell == found.frame["max_drawdown"].loc[(short, long, 0.002)].item()
            else:
                assert np.isnan(cell)
    ((_, panel),) = heat._panels
    assert panel.tried.sum() == len(heat.rows) == 7
    page = told(heat.html)
    shown = cells_of(page["panels"][0], panel.values.shape)
    for row, line in enumerate(shown):
        for column, cell in enumerate(line):
            if panel.tried[row, column]:
                assert cell == pytest.approx(100 * panel.values[row, column], abs=0.051)
            else:
                assert cell is None


def test_the_title_names_rule_instrument_dates_cost_measure_and_parameters(found, tmp_path):
    path = found.heatmap("short", "long", at={"cost": 0.002}, name="ACME <x>").write_html(tmp_path / "heat.html")
    span = f"{TRAIN.index[0]:%Y-%m-%d} to {TRAIN.index[-1]:%Y-%m-%d}"
    title = f"Trend on ACME <x>, {span}, cost 0.2 %: Sharpe ratio by short and long"
    text = text_of_page(path)
    assert title in text
    assert "<x>" not in path.read_text(encoding="utf-8")
    assert "shown is the slice at cost 0.002, 7 of 14 combinations tried, not the best over them" in text


def test_the_best_is_said_in_words_and_whether_it_is_that_of_all(found):
    whole = found.heatmap("short", "long")
    best = found.best()
    short, long, cost, *_ = best.name
    assert whole.words.startswith(
        f"The best of all 14 combinations tried is short {short}, long {long}, cost {cost:g}: "
    )
    assert (
        f"Sharpe ratio {best['sharpe']:.2f}, maximum drawdown {best['max_drawdown']:.1%}".replace("%", " %")
        in whole.words
    )
    other = 0.002 if cost == 0.0 else 0.0
    assert found.heatmap("short", "long", at={"cost": other}).words.startswith(
        "The best of the 7 combinations shown is"
    )


def test_without_a_validation_the_page_says_so_and_how_many_were_tried(found):
    page = found.heatmap("short", "long").html
    assert "<strong>Not checked for overfitting.</strong>" in page
    assert "The best of 14 combinations owes part of its result to luck. Give --validate" in page


def test_with_a_validation_the_page_has_its_measures(found, judged):
    heat, row = found.heatmap("short", "long", validation=judged), judged.table.iloc[0]
    for part in (f"{100 * row['pbo']:.0f} %", f"{100 * row['deflated_sharpe']:.0f} %", f"{row['hurdle']:.2f}"):
        assert part in heat.html
    assert "Not checked" not in heat.html


def test_a_validation_of_another_choice_is_refused(found, judged):
    again = sweep(TRAIN, "trend", short=[2, 6, 10, 14], long=[5, 10, 20], cost=[0.0, 0.002])
    with pytest.raises(LlmguideError, match="of another sweep"):
        again.heatmap("short", "long", validation=judged)
    busiest = found.best("trades")
    assert busiest.name != found.best().name
    with pytest.raises(LlmguideError, match="which is not the best combination here"):
        found.heatmap("short", "long", "trades", validation=judged)


def test_slices_have_a_map_for_each_value_and_one_ring_in_all(found):
    heat = found.heatmap("short", "long", slices="cost")
    page = told(heat.html)
    assert [panel["title"] for panel in page["panels"]] == ["cost 0", "cost 0.002"]
    assert sum(panel.best is not None for _, panel in heat._panels) == 1
    assert heat.frame.index.names == ["cost", "long"]
    assert heat.frame.loc[(0.002, 20), 2] == found.frame["sharpe"].loc[(2, 20, 0.002)].item()
    assert "slice" not in heat.html


def test_of_many_slices_some_are_shown_and_the_page_says_how_many():
    heat = sweep(TRAIN, "trend", short=[2, 4], long=[10, 20], cost=[k / 1000 for k in range(21)]).heatmap(
        "short", "long", slices="cost"
    )
    panels = told(heat.html)["panels"]
    assert len(panels) == 9
    assert "9 of the 21 values of cost are shown." in heat.html
    assert f"cost {heat.best.name[2]:g}" in [panel["title"] for panel in panels]


@pytest.mark.parametrize(
    "parameters",
    [
        {"short": [3], "long": range(5, 30)},
        {"short": range(2, 20), "long": [25]},
        {"short": [3], "long": [9]},
        {"short": [2, 3], "long": [8, 9]},
    ],
)
def test_a_line_a_cell_and_four_cells_are_maps_too(parameters):
    heat = sweep(TRAIN, "trend", **parameters).heatmap("short", "long")
    assert heat.frame.shape == (len(parameters["long"]), len(parameters["short"]))
    assert heat.html.count("<svg") == 1


def test_where_nothing_trades_nothing_is_ringed_and_the_page_says_so(tmp_path):
    swept = sweep(BARS.iloc[:60], np.full((60, 2), -1), cost=[0.0, 0.001])
    for at in ({}, None):
        heat = swept.heatmap("column", "cost", at=at)
        assert heat.best is None
        assert heat.frame.isna().all(axis=None)
    assert "None of the 4 combinations shown can be the best" in heat.html
    assert (swept.heatmap("column", "cost", "exposure").frame == 0).all(axis=None)


def test_all_equal_cells_are_said_to_be():
    given = np.ones((60, 4), dtype=int)
    heat = sweep(BARS.iloc[:60], given).heatmap("column", "cost")
    assert "4 of the combinations shown share this value; the first of them is ringed." in heat.html


def test_a_best_that_loses_is_called_so():
    close = np.linspace(100, 50, 120) * (1 + 0.01 * np.sin(np.arange(120)))
    falling = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close), index=BARS.index[:120])
    falling["volume"] = 1.0
    heat = sweep(falling, np.ones((120, 2), dtype=int), cost=[0.001, 0.002]).heatmap("column", "cost")
    assert heat.best["sharpe"] < 0
    assert "Even the best combination shown has a negative Sharpe ratio." in heat.html


def test_the_neighbours_of_the_best_are_counted_without_it(found):
    heat = sweep(TRAIN, "trend", short=[2, 3, 4], long=[20, 21, 22]).heatmap("short", "long")
    cells = heat.frame.to_numpy()
    ((_, panel),) = heat._panels
    row, column = panel.best
    near = [
        cells[r, c]
        for r in range(3)
        for c in range(3)
        if (r, c) != (row, column) and abs(r - row) <= 1 and abs(c - column) <= 1
    ]
    assert f"The {len(near)} combinations next to it have {np.mean(near):.2f}".replace("-", "−") in heat.html


def noise(size):
    """A map of noise, which compresses least, some of it not tried and some undefined."""
    draws = np.random.default_rng(0).normal(size=(size, size))
    draws[: size // 10] = np.nan
    tried = np.ones((size, size), dtype=bool)
    tried[:5, :5] = False
    axis = Axis("n", tuple(map(str, range(size))))
    return Panel(draws, tried, (size - 1, 3)), axis


def test_cells_with_more_digits_than_fit_lose_the_last_ones():
    values = np.array([[1234.567, -0.04], [np.nan, np.nan]])
    axis = Axis("n", ("1", "2"))
    figure = heat_figure(
        [Panel(values, np.array([[True, True], [True, False]]))], axis, axis, Measure("m"), label="", caption=""
    )
    assert told(figure)["panels"][0]["digits"] == 1
    (first, second), (third, fourth) = cells_of(told(figure)["panels"][0], (2, 2))
    assert (first, second) == (1234.6, -0.0)
    assert np.isnan(third)
    assert fourth is None


@pytest.mark.parametrize("digits", [2, 9])
def test_two_hundred_by_two_hundred_cells_of_noise_weigh_less_than_300_kb(digits):
    panel, axis = noise(200)
    figure = heat_figure([panel], axis, axis, Measure("noise", digits), label="", caption="")
    assert len(figure.encode()) < 290_000  # what the rest of a page weighs is below 10 kB


def test_of_more_cells_each_is_the_mean_of_its_block():
    values = np.arange(30.0).reshape(5, 6)
    values[0, 0] = np.nan
    panel, steps = coarser(Panel(values, np.isfinite(values), (4, 5)), 3)
    assert steps == (2, 2)
    expected = [[np.mean([1, 6, 7]), 5.5, 7.5], [15.5, 17.5, 19.5], [24.5, 26.5, 28.5]]
    np.testing.assert_allclose(panel.values, expected)
    assert panel.best == (2, 2)
    assert panel.tried.all()
    whole = Panel(values, np.isfinite(values))
    assert coarser(whole, 6) == (whole, (1, 1))


def test_a_page_of_too_many_values_says_that_it_draws_means():
    heat = sweep(TRAIN, np.tile(np.arange(450) % 2, (504, 1)), cost=[0.0, 0.001]).heatmap("column", "cost")
    page = heat.html
    assert "a drawn cell is the mean of up to 3 by 1 combinations" in page
    assert told(page)["x"]["labels"][:2] == ["0 to 2", "3 to 5"]
    assert len(page.encode()) < 300_000


def test_a_notebook_gets_the_page_in_a_frame(found):
    import html

    heat = found.heatmap("short", "long")
    shown = heat._repr_html_()
    assert shown.startswith("<iframe ")
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', shown).group(1)) == heat.html


def test_the_same_sweep_gives_the_same_page(found):
    assert found.heatmap("short", "long").html == found.heatmap("short", "long").html


@pytest.mark.skipif(find_chromium() is None, reason="needs Chromium on the PATH, or LLMGUIDE_CHROMIUM")
@pytest.mark.slow  # a browser
def test_a_pointer_and_the_arrow_keys_tell_a_cells_value(found, tmp_path):
    heat = found.heatmap("short", "long", at={"cost": 0.0})
    page = heat.write_html(tmp_path / "heat.html")
    with Browser(find_chromium(), tmp_path / "profile", width=390) as browser:
        browser.open(page.as_uri())
        assert browser.value("document.documentElement.scrollWidth") == 390
        browser.value("document.querySelector('figure.heat > div').focus()")
        browser.press("ArrowDown")  # first it goes to the best
        said = browser.value("document.querySelector('.cell').textContent")
        short, long, *_ = heat.best.name
        assert said == f"short {short}, long {long}: Sharpe ratio {heat.best['sharpe']:.2f}".replace("-", "−")
        left, top, width, height = told(heat.html)["panels"][0]["box"]
        place = f"new DOMPoint({left + 0.9 * width}, {top + 0.9 * height}).matrixTransform(svg.getScreenCTM())"
        browser.value(
            f"(svg => {{ const {{x, y}} = {place}; svg.dispatchEvent(new PointerEvent('pointermove', "
            "{clientX: x, clientY: y})) })(document.querySelector('figure.heat svg'))"
        )
        assert (
            browser.value("document.querySelector('.cell').textContent") == "short 14, long 5: Sharpe ratio not tried"
        )
        assert browser.console == []


def test_the_drawing_is_whole_without_a_script(found):
    page = found.heatmap("short", "long").html
    static = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "<svg" in static
    assert "Point at a cell" not in static
    svg = re.search(r"<svg.*?</svg>", static, re.DOTALL).group(0)
    for text in ("short", "long", "best", "not tried", "Sharpe ratio"):
        assert f">{text}</text>" in svg
    assert isinstance(found.frame, pd.DataFrame)
