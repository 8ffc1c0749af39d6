"""The report as a browser shows it: on a wide and a narrow screen, with its plots and without, in the dark, in print.

Needs Chromium or Chrome on the PATH, or its path in LLMGUIDE_CHROMIUM; skipped, and said so, where there is none.
"""

from __future__ import annotations

import json
import re
import subprocess

import matplotlib.image
import numpy as np
import pytest
from chromium import HEADLESS, Browser, find_chromium
from made_flag_page import made_up
from made_report import comparison

from llmguide import mix, sample_bars
from llmguide.mixture import MovingAverages, review
from llmguide.report.flag_page import write_flag_page
from llmguide.report.page import write_report
from llmguide.report.trust_page import write_trust_page

FLAGS = (
    *HEADLESS,
    *("--enable-logging=stderr", "--virtual-time-budget=20000", "--allow-file-access-from-files"),
)
# Runs in a copy of the page, and leaves what it found as JSON in an attribute.
PROBE = """<script>addEventListener("load", () => setTimeout(() => {
  const root = document.documentElement;
  const boxes = [...document.querySelectorAll("figure")].map((figure) => {
    const shown = [...figure.querySelectorAll(":scope > div > svg, .plot > svg")]
      .map((svg) => svg.getBoundingClientRect());
    return Math.max(...shown.map((box) => Math.min(box.width, box.height)));
  });
  const plots = [...document.querySelectorAll(".plot > svg")].map((svg) => svg.getBoundingClientRect().right);
  root.dataset.found = JSON.stringify({
    widest: Math.max(...[...document.querySelectorAll("table")].map((table) => table.getBoundingClientRect().right)),
    width: innerWidth, page: root.scrollWidth, boxes, reach: Math.max(0, ...plots),
    requests: performance.getEntriesByType("resource").length,
    plots: document.querySelectorAll(".plot > svg path").length,
    buttons: document.querySelectorAll("figure > button").length,
    paper: getComputedStyle(document.body).backgroundColor,
    filter: getComputedStyle(document.querySelector("figure > div")).filter,
  });
}, 5000));</script>"""


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

    def look(width, *, page=report, fragment="", change=lambda page: page, flags=()):
        copy = tmp_path / "copy.html"
        copy.write_text(
            change(page.read_text(encoding="utf-8")).replace("</head>", PROBE + "</head>"), encoding="utf-8"
        )
        picture = tmp_path / "picture.png"
        # A narrow screen is a narrow frame in a wide window: a browser's own window has a least width.
        frame = tmp_path / "frame.html"
        frame.write_text(
            f'<!DOCTYPE html><body style="margin:0"><iframe src="copy.html{fragment}" style="border:0" width="{width}" '
            'height="4000"></iframe><script>setInterval(() => { document.documentElement.dataset.found = '
            'document.querySelector("iframe").contentDocument.documentElement.dataset.found; }, 200)</script>',
            encoding="utf-8",
        )
        options = [*FLAGS, *flags, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={max(width, 600)},4000"]
        run = subprocess.run(
            [chromium, *options, "--dump-dom", f"--screenshot={picture}", frame.as_uri()],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        found = re.search(r'data-found="([^"]*)"', run.stdout)
        assert found, f"the browser gave no page: {run.stderr[-2000:]}"
        console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
        return json.loads(found[1].replace("&quot;", '"')), console, picture

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
    found, console, picture = look(width, page=page, change=_without_policy)
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
    found, console, picture = look(width, page=page, change=_without_policy)
    assert console == []
    assert found["page"] <= width
    assert len(found["boxes"]) == 3
    assert min(found["boxes"]) > 100
    if width == 1280:  # on a narrow screen it scrolls in a box of its own
        assert found["widest"] <= width
    assert picture_varies(picture)


def _without_policy(page: str) -> str:
    """Return a page that does not forbid every script, and so the probe."""
    return re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_every_interactive_figure_is_drawn_without_errors_and_without_the_network(look, width):
    found, console, picture = look(width, fragment="#interactive")
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
    dark, *_ = look(600, change=lambda page: page.replace("(prefers-color-scheme: dark)", "all"))
    assert dark["paper"] == "rgb(20, 24, 29)"
    assert "invert" in dark["filter"]  # drawings are made for white paper
    # A4 between the browser's own margins; the rules for narrow screens do not hold on paper.
    paper, *_ = look(
        718,
        change=lambda page: page.replace(
            "@media screen and (max-width", "@media (max-width: 0) and (max-width"
        ).replace("@media print", "@media all"),
    )
    assert paper["paper"] == "rgb(255, 255, 255)"
    assert paper["filter"] == "none"
    assert paper["page"] <= 718
    assert paper["widest"] <= 718


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
