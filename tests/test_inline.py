"""Results show themselves: verdict first, then a small table, then the files; in a notebook and on a terminal."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import llmguide
from llmguide.backtest import run_backtest
from llmguide.inline import FUTURE, Inline, Shown, Table, note_files
from llmguide.rl.training import Agents
from llmguide.sketches import diverging, strip

HOSTILE = '<img src=x onerror=alert(1)> & "quoted" \x1b[2J'
VOID = {"img", "br", "meta", "link", "input"}


class Page(HTMLParser):
    """Reads HTML, and fails on tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.open, self.attributes, self.texts = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


class Market(NamedTuple):
    bars: pd.DataFrame
    train: pd.DataFrame
    test: pd.DataFrame
    guidance: llmguide.Guidance


@pytest.fixture(scope="module")
def market():
    bars = llmguide.sample_bars(years=3, seed=4)
    return Market(bars, bars.iloc[:500], bars.iloc[500:], llmguide.guide(bars, "rules"))


@pytest.fixture(scope="module")
def compared(market):
    return llmguide.compare(market.train, market.test, market.guidance, arms=("llm", "hold"))


@pytest.fixture(scope="module")
def swept(market):
    return llmguide.sweep(market.train, "trend", short=range(2, 6), long=range(6, 12), start=60)


@pytest.fixture(scope="module")
def results(market, compared, swept, random_agent):
    """One of every kind that costs little to make, by its class."""
    mixed = llmguide.mix(market.bars, {"gpt": market.guidance, "hold": "hold"})
    found = (
        market.guidance,
        compared,
        swept,
        swept.validate(market.test),
        Agents((random_agent(market.train, guided=True), random_agent(market.train, guided=True, seed=1))),
        run_backtest(market.test, llmguide.strategies.BuyAndHold),
        mixed,
        llmguide.mixture.review(mixed, since=market.test.index[0]),
    )
    return {type(one).__name__: one for one in found}


KINDS = ("Guidance", "Comparison", "Sweep", "Validation", "Agents", "BacktestResult", "Mix", "Review")


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_shows_its_verdict_first_then_a_table_and_loads_and_runs_nothing(results, kind):
    result = results[kind]
    html = result._repr_html_()
    page, shown = Page(html), result._shown()
    assert shown.verdict
    assert page.text.startswith(shown.verdict)
    assert shown.verdict in str(result).partition("\n")[0]
    if any(table.rows for table in shown.tables):
        assert page.tags.index("table") > page.tags.index("strong")
    assert not {"script", "iframe", "link", "img", "object", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]
    assert "url(" not in html
    assert "@import" not in html


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_keeps_the_colours_of_the_notebook_light_or_dark(results, kind):
    html = results[kind]._repr_html_()
    (style,) = re.findall(r"<style>(.*?)</style>", html)
    for rule in style.split("}")[:-1]:
        selectors, _, declarations = rule.partition("{")
        assert all(selector.startswith(".llmguide") for selector in selectors.split(","))  # nothing else is touched
        assert not re.search(r"(^|;)(color|background)[^;]*:", declarations)
    for drawn in re.findall(r'(?:fill|stroke)="([^"]+)"', html):
        assert drawn in ("currentColor", "none") or drawn.startswith("#")
    for words in re.findall(r"<text [^>]*>", html):
        assert 'fill="currentColor"' in words


@pytest.mark.parametrize("kind", KINDS)
def test_no_result_dumps_whole_frames(results, kind):
    text = str(results[kind])
    assert len(text.splitlines()) < 40
    assert len(text) < 5_000
    assert len(results[kind]._repr_html_()) < 100_000


def test_the_verdict_of_a_comparison_is_the_reports(compared):
    from llmguide.experiments.compare.write import report_data
    from llmguide.report.verdict import summary

    assert compared.verdict == summary(report_data(compared))


def test_the_tables_of_a_notebook_are_the_command_lines(compared, capsys):
    from llmguide.console import print_comparison

    print_comparison(compared)
    printed = capsys.readouterr().out
    (table,) = compared._shown().tables
    for row in table.rows:
        line = next(line for line in printed.splitlines() if re.match(rf"│ {row[0]} ", line))
        assert [cell.strip() for cell in line.strip("│").split("│")] == list(row)


def test_guidance_that_uses_the_future_says_so_above_everything(market):
    oracle = llmguide.guide(market.bars, "oracle")
    assert Page(oracle._repr_html_()).text.startswith(FUTURE)
    assert str(oracle).startswith(FUTURE)
    assert FUTURE not in str(market.guidance)


class Named(Inline):
    """A result of which everything is hostile."""

    def _shown(self) -> Shown:
        table = Table(HOSTILE, [HOSTILE, "why"], [[HOSTILE, HOSTILE]])
        return Shown(HOSTILE, [table], warning=HOSTILE, notes=[HOSTILE])


def test_hostile_names_are_shown_as_they_are_and_obeyed_by_nobody(tmp_path):
    result = Named()
    note_files(result, tmp_path / "<b>runs & co")
    html, text = result._repr_html_(), repr(result)
    page = Page(html)
    assert not {"img", "b"} & set(page.tags)
    assert page.text.count(HOSTILE) == 7
    assert "<b>runs & co" in page.text
    assert "\x1b" not in text
    assert "<img src=x" in text


def test_what_a_language_model_wrote_is_escaped_in_a_table_of_guidance(market):
    rows = [row._replace(explanation="<script>alert(1)</script>") for row in market.guidance.rows]
    page = Page(llmguide.Guidance(tuple(rows))._repr_html_())
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text


def test_a_result_says_where_it_was_written_and_only_then(market, tmp_path):
    table = llmguide.guide(market.bars, "rules")
    assert "Files:" not in Page(table._repr_html_()).text
    path = table.save(tmp_path / "guidance.parquet")
    assert f"Files: {path}" in Page(table._repr_html_()).text
    assert str(table).endswith(f"files: {path}")
    assert table == market.guidance  # no part of its value


def test_a_comparison_with_a_run_folder_names_it(market, tmp_path):
    found = llmguide.compare(market.train, market.test, None, arms=("hold",), out=tmp_path / "run")
    assert str(found).endswith(f"files: {tmp_path / 'run'}")


def test_a_sweep_that_never_trades_says_why_and_raises_nothing(market):
    never = np.full((len(market.train) - 30, 2), -1, dtype=np.int8)
    found = llmguide.sweep(market.train, never)
    assert "ever trades" in str(found)
    assert "<table" not in found._repr_html_()


def test_guidance_without_rows_is_shown_too():
    assert Page(llmguide.Guidance(())._repr_html_()).text == "No guidance."


def test_an_agent_is_one_line_and_not_its_weights(random_agent, market):
    agent = random_agent(market.train, guided=False)
    assert repr(agent) == "Agent(seed 0, without guidance)"


def test_a_strip_draws_what_is_long_above_and_what_is_short_below():
    page = Page(strip([(0.0, 0.5, 1.0), (0.5, 1.0, -0.5)], "2018", "2019"))
    paths = [value for name, value in page.attributes if name == "d"]
    assert paths[:2] == ["M0.0 26h320.0V2.0h-320.0z", "M320.0 26h320.0V38.0h-320.0z"]
    assert strip([], "", "") == strip([(0, 1, 1.0)] * 5_001, "", "") == ""


def test_a_heat_map_frames_the_best_leaves_out_what_is_undefined_and_is_not_drawn_where_it_is_large():
    cells = [(0, 0, 1.0), (1, 0, -1.0), (0, 1, float("nan")), (1, 1, 0.0)]
    page = Page(diverging(cells, shape=(2, 2), best=(0, 0), label="made <b>"))
    assert [value for name, value in page.attributes if name == "d"] == ["M1 1h1v1h-1z", "M0 1h1v1h-1z"]
    assert ("x", "0") in page.attributes
    assert ("y", "1") in page.attributes
    assert diverging(cells, shape=(100, 100), best=(0, 0), label="") == ""


def test_a_sweep_over_two_numbers_is_drawn_and_one_over_instruments_is_not(market, swept):
    assert "<svg" in swept._repr_html_()
    assert "short from 2 to 5 (rightwards) and long from 6 to 11 (upwards)" in Page(swept._repr_html_()).text
    several = llmguide.sweep({"A": market.train, "B": market.train}, "trend", short=[2, 3], long=9, start=60)
    assert "<svg" not in several._repr_html_()
    judged = several.validate({"A": market.test, "B": market.test})
    assert [row[0] for row in judged._shown().tables[0].rows] == ["A", "B"]


def test_an_audit_shows_what_looks_ahead_and_how_far():
    from llmguide.audit.result import AuditResult, Finding

    day = pd.Timestamp("2020-01-02")
    finding = Finding("looks ahead", "Cheat.signal", 7, day, 1.0, 2.0, "later closes differ", 1)
    audited = {"bars": 90, "first": day, "last": day, "runs": 4, "seconds": 0.1, "lines": 3, "events": 2}
    found = AuditResult("Cheat <b>", **audited, findings=(finding,))
    page = Page(found._repr_html_())
    assert page.text.startswith("Cheat <b> looks ahead")
    assert "Cheat.signal1 bar" in page.text
    assert repr(found).startswith("AuditResult: Cheat <b> looks ahead\n")
    assert repr(AuditResult("Calm", **audited)).startswith("AuditResult: Calm: no look-ahead found\n")
