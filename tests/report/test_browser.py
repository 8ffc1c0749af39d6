"""The report as a browser shows it: on a wide and a narrow screen, with its plots and without, in the dark, in print.

Needs Chromium or Chrome on the PATH, or its path in LLMGUIDE_CHROMIUM; skipped, and said so, where there is none.
"""

from __future__ import annotations

import re

import matplotlib.image
import numpy as np
import pytest
from chromium import Browser, find_chromium
from made_flag_page import made_up
from made_report import comparison

from llmguide import mix, sample_bars
from llmguide.mixture import MovingAverages, review
from llmguide.report.flag_page import write_flag_page
from llmguide.report.html import document, figure, table
from llmguide.report.page import write_report
from llmguide.report.trust_page import write_trust_page

# What the page looks like, when two frames have been painted.
PROBE = """new Promise(requestAnimationFrame).then(() => new Promise(requestAnimationFrame)).then(() => {
  const root = document.documentElement;
  const boxes = [...document.querySelectorAll("figure")].map((figure) => {
    const shown = [...figure.querySelectorAll(":scope > div > svg, .plot > svg")]
      .map((svg) => svg.getBoundingClientRect());
    return Math.max(...shown.map((box) => Math.min(box.width, box.height)));
  });
  const plots = [...document.querySelectorAll(".plot > svg")].map((svg) => svg.getBoundingClientRect().right);
  return {
    widest: Math.max(...[...document.querySelectorAll("table")].map((table) => table.getBoundingClientRect().right)),
    width: innerWidth, page: root.scrollWidth, boxes, reach: Math.max(0, ...plots),
    requests: performance.getEntriesByType("resource").length,
    plots: document.querySelectorAll(".plot > svg path").length,
    buttons: document.querySelectorAll("figure > button").length,
    paper: getComputedStyle(document.body).backgroundColor,
    filter: getComputedStyle(document.querySelector("figure > div")).filter,
  };
})"""


@pytest.fixture(scope="module")
def chromium():
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium or Chrome here (set LLMGUIDE_CHROMIUM): the report is not opened in a browser")
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_report(comparison(), tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def look(chromium, report, tmp_path):
    """`look(width, ...)`: what the probe found, what the console said, and the picture."""

    def look(width, *, page=report, interactive=False, dark=False, paper=False, change=lambda page: page):
        copy = tmp_path / "copy.html"
        copy.write_text(change(page.read_text(encoding="utf-8")), encoding="utf-8")
        with Browser(chromium, tmp_path / "profile", width=width, height=4000) as browser:
            browser.shows(dark=dark, paper=paper)
            browser.open(f"{copy.as_uri()}{'#interactive' * interactive}")
            if interactive:
                drawn = "figure => figure.querySelector('.plot > svg path')"
                browser.wait_for(f"[...document.querySelectorAll('figure[data-plot]')].every({drawn})")
            found = browser.value(PROBE)
            return found, browser.console, browser.picture(tmp_path / "picture.png")

    return look


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_shows_every_figure_within_the_screen_and_without_errors(look, width):
    found, console, picture = look(width)
    assert console == []
    assert found["width"] == width
    assert found["page"] <= width  # nothing but its own boxes scrolls sideways
    assert len(found["boxes"]) == 7
    assert min(found["boxes"]) > 100
    assert found["plots"] == 0
    assert found["requests"] == 0
    assert found["buttons"] == 5
    assert picture_varies(picture)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_of_a_mixture_fits_the_screen_with_all_its_figures(look, tmp_path, width):
    bars = sample_bars(years=3, seed=4)
    experts = {"a name of some length": MovingAverages(3, 15), "gemma": MovingAverages(8, 13), "hold": "hold"}
    page = write_trust_page(review(mix(bars, experts), bars.index[252]), tmp_path / "mixture.html")
    found, console, picture = look(width, page=page)
    assert console == []
    assert found["page"] <= width
    assert len(found["boxes"]) == 3
    assert min(found["boxes"]) > 100
    assert found["requests"] == 0
    assert picture_varies(picture)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_of_a_policy_fits_the_screen_with_all_its_figures(look, tmp_path, width):
    page = write_flag_page(made_up(), tmp_path / "flag.html")
    found, console, picture = look(width, page=page)
    assert console == []
    assert found["page"] <= width
    assert len(found["boxes"]) == 3
    assert min(found["boxes"]) > 100
    if width == 1280:  # on a narrow screen it scrolls in a box of its own
        assert found["widest"] <= width
    assert picture_varies(picture)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_every_interactive_figure_is_drawn_without_errors_and_without_the_network(look, width):
    found, console, picture = look(width, interactive=True)
    assert console == []
    assert found["plots"] >= 30  # lines, bands and marks
    assert found["reach"] <= width
    assert found["page"] <= width
    assert min(found["boxes"]) > 100
    assert found["requests"] == 0
    assert picture_varies(picture)


@pytest.mark.slow
def test_without_scripts_the_drawings_stand_and_no_button_promises_more(look):
    found, console, _ = look(
        1280, change=lambda page: re.sub(r"<script>/\* The interactive.*?</script>", "", page, flags=re.DOTALL)
    )
    assert console == []
    assert (found["plots"], found["buttons"]) == (0, 0)
    assert min(found["boxes"]) > 100


@pytest.mark.slow
def test_a_script_error_would_be_seen(look):
    _, console, _ = look(600, change=lambda page: page.replace("(() => {", "(() => { missing();", 1))
    assert any("missing is not defined" in line for line in console)


@pytest.mark.slow
def test_in_the_dark_the_page_is_dark_and_on_paper_nothing_is_cut_off(look):
    dark, *_ = look(600, dark=True)
    assert dark["paper"] == "rgb(20, 24, 29)"
    assert "invert" in dark["filter"]  # drawings are made for white paper
    # A4 between the browser's own margins; the rules for narrow screens do not hold on paper.
    paper, *_ = look(718, dark=True, paper=True)
    assert paper["paper"] == "rgb(255, 255, 255)"
    assert paper["filter"] == "none"
    assert paper["page"] <= 718
    assert paper["widest"] <= 718


@pytest.mark.slow
def test_a_table_too_wide_for_paper_wraps_there_and_scrolls_on_a_screen(look, tmp_path):
    heads = ["Change", *["95 % (calendar months)"] * 10]
    rows = [["LONG and SHORT instead of X and Y", *["−0.90 to 2.19"] * 10]]
    page = tmp_path / "wide.html"
    page.write_text(document("Wide", table(heads, rows) + figure("<svg />", "", "")), encoding="utf-8")
    paper, *_ = look(718, page=page, paper=True)
    assert paper["widest"] <= paper["page"] <= 718
    screen, *_ = look(718, page=page)
    assert screen["widest"] > screen["page"]


def picture_varies(path):
    """Whether the upper part of a picture shows something, and not one colour."""
    pixels = matplotlib.image.imread(path)[:600]
    return float(np.std(pixels)) > 0.02


@pytest.mark.slow
def test_the_viewer_reads_values_zooms_and_hides_lines(chromium, report, tmp_path):
    with Browser(chromium, tmp_path / "profile", width=1280, height=900) as browser:
        browser.open(report.as_uri())
        plot = "document.querySelector('figure[data-plot=market] .plot')"
        browser.value("document.querySelector('figure[data-plot=market] > button').click()")
        browser.wait_for(f"{plot}.querySelector('path') !== null")
        when, whole = f"{plot}.querySelector('output').textContent", "All"
        last = browser.value(when)
        assert re.fullmatch(r"2018-\d\d-\d\d", last)
        browser.value(f"{plot}.focus()")
        browser.press("ArrowLeft", "ArrowLeft")
        assert browser.value(when) < last
        count = f"{plot}.querySelector('path[stroke=\"#222222\"]').getAttribute('d').match(/L/g).length"
        everything = browser.value(count)
        press = "[...{}.querySelectorAll('button')].find((one) => one.textContent.startsWith('{}')).click()"
        browser.value(press.format(plot, "Zoom in"))
        assert browser.value(count) < 0.6 * everything
        browser.value(press.format(plot, whole))
        assert browser.value(count) == everything
        browser.value(press.format(plot, "close"))
        assert browser.value(f"{plot}.querySelector('path[stroke=\"#222222\"]') === null")
        assert browser.console == []
        assert [url for url in browser.requests if not url.startswith("file:")] == []


@pytest.mark.slow
def test_the_first_screen_has_the_answer_and_the_top_of_the_curves(chromium, report, tmp_path):
    with Browser(chromium, tmp_path / "profile", width=1280, height=800) as browser:
        browser.open(report.as_uri())
        bottom = "document.querySelector('{}').getBoundingClientRect().{}"
        assert browser.value(bottom.format(".lead", "bottom")) < browser.value(bottom.format(".tiles", "top"))
        assert browser.value(bottom.format("figure", "top")) < 500
