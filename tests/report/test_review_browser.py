"""The review's page in a real browser, by keyboard alone: served and as a file, on a wide and on a narrow screen."""

from __future__ import annotations

import json
import time

import pytest
from chromium import Browser, find_chromium
from command_line import run_here
from made_review import packet

from llmguide.guidance.advice import FeatureUse
from llmguide.guidance.review.packet import Packet
from llmguide.guidance.review.sheet import Sheet, find_sheets, open_sheet
from llmguide.report.review_page import render_review, write_review
from llmguide.review_server import ReviewServer

NASTY = '</script><script>window.ran = true</script><img src=x onerror="window.ran = true">'
STATUS = "document.getElementById('status').textContent"
PROBLEM = "document.getElementById('problem').textContent"
# The least contrast of all text that is seen with what is behind it (WCAG 2.2, 1.4.3), and its text.
CONTRAST = """(() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((x) => x / 255)
    .map((x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
    .reduce((sum, x, at) => sum + x * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = numbers(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility() && !one.disabled
      && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((one) => {
      const [a, b] = [light(numbers(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
      return [(a + 0.05) / (b + 0.05), one.textContent.slice(0, 40)];
    }).sort((x, y) => x[0] - y[0])[0];
})()"""
# Controls that are seen, and have no name for those who do not see them.
NAMELESS = """[...document.querySelectorAll("button, input, textarea, pre, progress")]
  .filter((one) => one.checkVisibility() && !one.textContent.trim())
  .filter((one) => !one.labels?.length && !one.ariaLabel && !one.getAttribute("aria-labelledby"))
  .map((one) => one.id || one.name)"""


@pytest.fixture(scope="module")
def chromium():
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium or Chrome here (set LLMGUIDE_CHROMIUM): the review is not opened in a browser")
    return path


@pytest.fixture
def browser(chromium, tmp_path):
    with Browser(chromium, tmp_path / "profile") as running:
        yield running
    assert running.console == []


@pytest.fixture(scope="module")
def nasty():
    """A packet of three months whose first answer is an attack."""
    made = packet(3)
    first = made.months[0]
    reply = first.reply.model_copy(
        update={"explanation": NASTY, "features": [FeatureUse(name=NASTY[:80], direction="LONG", weight=3)]}
    )
    return Packet(seed=0, months=(first.model_copy(update={"reply": reply}), *made.months[1:]))


def shown(browser, name):
    return browser.wait_for(f"document.getElementById('{name}').checkVisibility()")


def at_month(browser, number):
    browser.wait_for(f"document.getElementById('place').textContent.startsWith('Month {number} ')")


def tab_to(browser, focus, limit=15):
    for _ in range(limit):
        browser.press("Tab")
        if browser.focus() == focus:
            return
    raise AssertionError(f"{focus} is not reached by Tab; the focus is on {browser.focus()}")


def check_looks(browser, width):
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(NAMELESS) == []
    for dark in (False, True):
        browser.shows(dark=dark)
        least, text = browser.value(CONTRAST)
        assert least >= 4.5, (dark, text)
    browser.shows()


def answer_by_digits(browser, own, scores, comment):
    browser.press(own, "Enter")
    shown(browser, "answer")
    assert browser.focus() == "theirs"
    browser.press(*scores)
    assert browser.focus() == "comment"
    browser.type(comment)
    browser.press("Enter", ctrl=True)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_a_whole_review_by_keyboard_resumed_in_the_middle(browser, nasty, tmp_path, monkeypatch, capsys, width):
    folder = tmp_path / "review"
    nasty.write(folder)
    browser.resize(width, 900)
    with ReviewServer(nasty, folder, ["anna"]) as server:
        browser.open(server.links["anna"])
        shown(browser, "own")
        assert browser.focus() == "place"
        check_looks(browser, width)
        assert nasty.months[0].reply.explanation not in browser.value("document.documentElement.outerHTML")
        # The first month by Tab, arrows, Space and Enter.
        tab_to(browser, "data")
        tab_to(browser, "own LONG")
        browser.press("Space", "ArrowDown")
        assert browser.focus() == "own SHORT"
        tab_to(browser, "reason")
        browser.type("it falls")
        browser.press("Tab", "Enter")
        shown(browser, "answer")
        assert browser.value(STATUS).startswith("Your direction is locked.")
        assert browser.focus() == "theirs"
        assert browser.value("document.getElementById('explanation').textContent") == NASTY
        assert browser.value("document.getElementById('mine').textContent") == "Your own direction: SHORT. it falls"
        check_looks(browser, width)
        for name, presses in (("rationale", 2), ("fidelity", 1), ("safety", 0)):
            tab_to(browser, f"{name} 1")
            browser.press("Space", *["ArrowDown"] * presses)
        tab_to(browser, "comment")
        browser.type("12 say less")  # digits in a text are text
        browser.press("Tab", "Enter")
        at_month(browser, 2)
        assert browser.value(STATUS) == "Saved."
        entry = open_sheet(folder, nasty, "anna").answers[nasty.months[0].id]
        assert (entry.own, entry.reason, entry.comment) == ("SHORT", "it falls", "12 say less")
        assert entry.scores.model_dump() == {"rationale": 3, "fidelity": 2, "safety": 1}
        browser.press("1", "Enter")
        shown(browser, "answer")
    with ReviewServer(nasty, folder, ["anna"]) as server:  # the next day
        browser.open(server.links["anna"])
        at_month(browser, 2)
        shown(browser, "answer")
        browser.press("1", "2", "3")
        browser.press("Tab", "Enter")
        at_month(browser, 3)
        # Back to the first month: its scores can be changed, its direction cannot.
        tab_to(browser, "back")
        browser.press("Enter")
        at_month(browser, 2)
        tab_to(browser, "back", 30)
        browser.press("Enter")
        at_month(browser, 1)
        assert not browser.value("document.getElementById('own').checkVisibility()")
        assert browser.value("document.querySelector('[name=rationale]:checked').value") == "3"
        tab_to(browser, "rationale 3")
        browser.press("1", "Tab", "Tab", "Tab", "Enter")
        at_month(browser, 2)
        assert browser.value(STATUS) == "Saved."
        tab_to(browser, "on", 30)
        browser.press("Enter")
        at_month(browser, 3)
        answer_by_digits(browser, "2", "333", "fine")
        shown(browser, "done")
        assert browser.focus() == "finished"
        check_looks(browser, width)
    assert browser.value("window.ran === undefined")
    assert all(one.startswith(("http://127.0.0.1:", "about:")) for one in browser.requests)
    assert open_sheet(folder, nasty, "anna").turn(nasty) == 3
    assert open_sheet(folder, nasty, "anna").answers[nasty.months[0].id].scores.rationale == 1
    code, out, err = run_here(monkeypatch, capsys, "review", "results", folder)
    assert (code, err) == (0, "")
    assert "Expert review by prompt" in out


@pytest.mark.slow
def test_a_change_in_another_window_is_said_and_shown(browser, nasty, tmp_path):
    with ReviewServer(nasty, tmp_path / "review", ["anna"]) as server:
        browser.open(server.links["anna"])
        shown(browser, "own")
        own = {"month": nasty.months[0].id, "own": "SHORT", "reason": "elsewhere"}
        server.take("anna", "own", json.dumps(own).encode())
        browser.press("1", "Enter")
        browser.wait_for(f"{PROBLEM}.startsWith('Not saved: your own direction is SHORT and can no longer')")
        shown(browser, "answer")
        assert "SHORT. elsewhere" in browser.value("document.getElementById('mine').textContent")
    browser.press("3", "3", "3")
    browser.press("Enter", ctrl=True)
    browser.wait_for(f"{PROBLEM}.includes('This answer was not saved')")
    assert browser.value("document.querySelector('[name=safety]:checked').value") == "3"  # still there to be sent again
    assert all("status of 409" in one or "ERR_CONNECTION_REFUSED" in one for one in browser.console)
    browser.console.clear()


@pytest.mark.slow
def test_digits_can_be_turned_off(browser, nasty, tmp_path):
    with ReviewServer(nasty, tmp_path / "review", ["anna"]) as server:
        browser.open(server.links["anna"])
        shown(browser, "own")
        tab_to(browser, "keys")
        browser.press("Space", "1")
        assert browser.value("document.querySelector('[name=own]:checked') === null")
        browser.press("Space", "1")
        assert browser.focus() == "own LONG"


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_as_a_file_gives_back_what_a_server_would_have_kept(browser, nasty, tmp_path, width):
    page = write_review(nasty, tmp_path / "review.html")
    assert NASTY not in page.read_text()
    browser.resize(width, 900)
    browser.save_downloads(tmp_path / "down")
    browser.open(page.as_uri())
    shown(browser, "start")
    check_looks(browser, width)
    tab_to(browser, "name")
    browser.type("no spaces please")
    browser.press("Enter")
    assert browser.value("document.getElementById('start').checkVisibility()")
    browser.value("document.getElementById('name').value = ''")
    browser.type("Zoë")
    browser.press("Enter")
    shown(browser, "own")
    answer_by_digits(browser, "2", "321", "say less")
    at_month(browser, 2)
    browser.open(page.as_uri())  # the next day
    shown(browser, "start")
    tab_to(browser, "name")
    browser.type("Zoë")
    browser.press("Enter")
    at_month(browser, 2)
    answer_by_digits(browser, "1", "222", "")
    at_month(browser, 3)
    answer_by_digits(browser, "1", "333", "fine")
    shown(browser, "done")
    tab_to(browser, "BUTTON")
    browser.press("Enter")
    path = tmp_path / "down" / "review-Zoë.json"
    for _ in range(100):
        if path.exists():
            break
        time.sleep(0.05)
    (sheet,) = find_sheets(tmp_path, nasty, [path])
    assert (sheet.reviewer, sheet.turn(nasty)) == ("Zoë", 3)
    first = sheet.answers[nasty.months[0].id]
    assert (first.own, first.comment, first.version) == ("SHORT", "say less", 1)
    assert first.scores.model_dump() == {"rationale": 3, "fidelity": 2, "safety": 1}
    assert browser.value("window.ran === undefined")
    assert all(one.startswith(("file:", "about:", "blob:")) for one in browser.requests)


@pytest.mark.slow
def test_another_window_of_the_file_shows_what_was_answered_in_the_first(browser, nasty, tmp_path):
    page = write_review(nasty, tmp_path / "review.html")
    browser.open(page.as_uri())
    browser.value("document.getElementById('name').focus()")
    browser.type("anna")
    browser.press("Enter")
    shown(browser, "own")
    # What the browser tells a window when another one has stored something.
    first = nasty.months[0].id
    entry = {"own": "SHORT", "reason": "there", "own_at": "2026-11-29T12:00:00Z", "scores": None, "comment": ""}
    told = {"answers": {first: {**entry, "scored_at": None, "version": 0}}}
    browser.value(
        f"dispatchEvent(new StorageEvent('storage', {{key: 'llmguide review {nasty.id} anna', "
        f"newValue: {json.dumps(json.dumps(told))}}}))"
    )
    shown(browser, "answer")
    assert "SHORT. there" in browser.value("document.getElementById('mine').textContent")


def test_the_served_page_holds_nothing_of_any_month_and_the_file_no_outcome():
    made = packet(3)
    served, file = render_review(), render_review(made)
    for month in made.months:
        assert month.id not in served
        assert month.reply.explanation not in served + file
        assert month.id in file
    for secret in ("realised", "hindsight", "issued_at", '"symbol"', '"prompt"', '"model"'):
        assert secret not in served + file
    assert "merely encoded" in file


def test_the_policy_allows_the_pages_own_script_alone():
    page = render_review()
    policy = page.partition('Content-Security-Policy" content="')[2].partition('">')[0]
    assert "script-src &#x27;sha256-" in policy or "script-src 'sha256-" in policy
    assert page.count("<script") == 1
    assert " onclick" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_sheet_of_the_page_is_one_that_the_library_reads():
    """Field by field, as `review.js` writes them."""
    entry = {"own": "LONG", "reason": "", "own_at": "2026-11-29T12:00:00.000Z", "scores": None, "comment": ""}
    sheet = {"format": "llmguide review 1", "packet": "p", "reviewer": "a", "kind": "person"}
    text = json.dumps(sheet | {"answers": {"m": entry | {"scored_at": None, "version": 0}}})
    assert Sheet.model_validate_json(text).answers["m"].own == "LONG"
