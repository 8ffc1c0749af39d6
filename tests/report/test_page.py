"""The report of a comparison: whole, self-contained, escaped, the same every time, and honest in its words."""

from __future__ import annotations

import dataclasses
import logging
import re
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pandas as pd
import pytest

from llmguide.errors import DataError
from llmguide.report.page import ReportData, render_report, summary, write_report

SEEDS = 3
TEST_COLUMNS = ["measure", "arm_a", "arm_b", "mean_difference", "t", "p", "n"]


def comparison(bars=120, seeds=SEEDS):
    """A comparison of four arms on made bars, with every part that a report can show."""
    g = np.random.default_rng(5)
    dates = pd.bdate_range("2018-01-02", periods=bars, name="date")
    price = pd.Series(100 * np.exp(np.cumsum(g.normal(0, 0.01, bars))), index=dates, name="close")
    runs = {"hybrid": seeds, "rl": seeds, "llm": 1, "hold": 1}

    def paths(n):
        return pd.DataFrame(1e5 * np.exp(np.cumsum(g.normal(0, 0.01, (bars, n)), axis=0)), index=dates)

    def sides(n):
        held = np.where(g.random((bars, n)) < 0.5, -1, 1)
        held[:30] = 0
        return pd.DataFrame(held, index=dates)

    month = np.arange(bars) // 20
    signal = pd.DataFrame({"direction": (month % 2).astype(float), "strength": 0.2 + 0.1 * (month % 5)}, index=dates)
    signal["tau"] = (2 * signal["direction"] - 1) * signal["strength"]
    signal["issued_at"] = dates[20 * month]
    signal.loc[dates[:20], ["direction", "issued_at"]] = [np.nan, pd.NaT]
    signal.loc[dates[:20], ["strength", "tau"]] = 0.0
    curves = pd.DataFrame(
        [(arm, seed, episode, g.normal(), g.normal()) for arm in ("hybrid", "rl") for seed in range(seeds)
         for episode in range(1, 6)],
        columns=["arm", "seed", "episode", "train_sr", "test_sr"],
    )  # fmt: skip
    table = pd.DataFrame(
        {
            "sr_mean": [1.704, 1.42, 2.09, -0.001],
            "sr_std": [0.43, 0.05, np.nan, np.nan],
            "mdd_mean": [0.29, 0.45, 0.28, np.nan],
            "mdd_std": [0.1, 0.02, np.nan, np.nan],
            "trades_mean": [41.5, 60.0, 12.0, 1.0],
            "exposure_mean": [0.94, 0.94, 0.94, 0.94],
            "seeds": [seeds, seeds, 1, 1],
        },
        index=list(runs),
    )
    return ReportData(
        title="AAPL 2018-2019",
        table=table,
        tests=pd.DataFrame(
            [("sr", "hybrid", "rl", 0.284, 2.1, 0.17, seeds), ("mdd", "hybrid", "rl", -0.16, -5.0, 0.0004, seeds)],
            columns=TEST_COLUMNS,
        ),
        values={arm: paths(n) for arm, n in runs.items()},
        price=price,
        guidance=signal,
        decisions={arm: sides(n) for arm, n in runs.items()},
        curves=curves,
        q_values={
            arm: pd.DataFrame(g.normal(size=(bars, 2)), dates, ["q_long", "q_short"]) for arm in ("hybrid", "rl")
        },
        usage=pd.DataFrame(
            {"agreement_test": [0.68, 0.51], "changed_inverted": [0.22, np.nan], "own <measure>": [0.1, 0.2]},
            index=["hybrid", "rl"],
        ),
        settings={"seeds": [0, 1, 2], "agent": {"gamma": 0.4, "net": {"width": 512}}},
        notes=["Closes lie outside [low, high] on 3 bars."],
    )


@pytest.fixture(scope="module")
def data():
    return comparison()


@pytest.fixture(scope="module")
def page(data):
    return render_report(data)


class Outline(HTMLParser):
    """Tables, headings and text outside of drawings; fails on tags that do not nest."""

    VOID = frozenset({"meta", "br", "hr", "img", "link"})

    def __init__(self):
        super().__init__()
        self.open, self.tables, self.headings, self.words, self.tags = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"svg", "style", "title"}.isdisjoint(self.open):
            return
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        elif self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)
        elif data.strip():
            self.words.append(data.strip())

    @classmethod
    def of(cls, page):
        outline = cls()
        outline.feed(page)
        outline.close()
        assert outline.open == []
        return outline


def test_the_report_has_every_part_in_order_and_its_tags_nest(page):
    outline = Outline.of(page)
    assert outline.headings == [
        "AAPL 2018-2019",
        "Arms",
        "Are the differences more than luck?",
        "How the arms use the guidance",
        "Portfolio value",
        "Drawdown",
        "Price, guidance and positions",
        "Training",
        "Q-values",
        "Settings",
    ]
    assert page.count("<svg") == 5
    assert all(attrs.get("aria-label") for tag, attrs in outline.tags if tag == "svg")


def test_tables_show_the_numbers_that_were_given_and_nan_as_not_available(page):
    arms, tests, usage, settings = Outline.of(page).tables
    assert arms[1:] == [
        ["hybrid", "1.70 (0.43)", "29.0 % (10.0 %)", "41.5", "94.0 %", "3"],
        ["rl", "1.42 (0.05)", "45.0 % (2.0 %)", "60.0", "94.0 %", "3"],
        ["llm", "2.09", "28.0 %", "12.0", "94.0 %", "1"],
        ["hold", "0.00", "n/a", "1.0", "94.0 %", "1"],
    ]
    assert tests[1:] == [
        ["hybrid − rl", "Sharpe ratio", "0.28", "2.10", "0.170", "3"],
        ["hybrid − rl", "maximum drawdown", "−16.0 %", "−5.00", "< 0.001", "3"],
    ]
    assert usage[0] == [
        "Arm",
        "Agrees with the guidance, test bars",
        "Decisions that change when it is inverted",
        "own <measure>",
    ]
    assert usage[1:] == [["hybrid", "68.0 %", "22.0 %", "10.0 %"], ["rl", "51.0 %", "n/a", "20.0 %"]]
    assert settings[1:] == [["seeds", "0, 1, 2"], ["agent.gamma", "0.4"], ["agent.net.width", "512"]]


def test_the_first_sentence_names_the_best_arm_and_does_not_claim_what_the_test_does_not_show(page):
    assert Outline.of(page).words[0] == (
        "Highest mean Sharpe ratio on the test bars: llm with 2.09, then hybrid with 1.70. Against rl, hybrid gains "
        "0.28 (two-sided paired t test over 3 seeds, p = 0.170): not significant at the 5 % level. 3 seeds are few: "
        "only a large difference could show."
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(("sr", "hybrid", "rl", 0.5, 3.0, 0.01, 25), "p = 0.010): significant at the 5 % level.", id="won"),
        pytest.param(
            ("sr", "rl", "hybrid", 0.5, 3.0, 0.01, 25), "p = 0.010): significant at the 5 % level.", id="lost"
        ),
        pytest.param(
            ("sr", "hybrid", "rl", 0.5, 1.0, 0.4, 25), "p = 0.400): not significant at the 5 % level.", id="tie"
        ),
        pytest.param(("sr", "hybrid", "rl", 0.5, np.nan, np.nan, 1), "with 1 seed no test is possible.", id="one seed"),
        pytest.param(("sr", "hybrid", "hold", 0.5, 3.0, 0.01, 25), "then hybrid with 1.70.", id="another pair"),
        pytest.param(("mdd", "hybrid", "rl", 0.5, 3.0, 0.01, 25), "then hybrid with 1.70.", id="another measure"),
    ],
)
def test_the_verdict_follows_the_paired_test_of_hybrid_and_rl(data, row, words):
    assert summary(dataclasses.replace(data, tests=pd.DataFrame([row], columns=TEST_COLUMNS))).endswith(words)


def test_the_verdict_turns_the_sign_with_the_order_of_the_arms(data):
    for arms, word in ((("hybrid", "rl"), "gains"), (("rl", "hybrid"), "loses")):
        tests = pd.DataFrame([("sr", *arms, 0.5, 3.0, 0.01, 25)], columns=TEST_COLUMNS)
        assert f"Against rl, hybrid {word} 0.50 (" in summary(dataclasses.replace(data, tests=tests))


def test_guidance_that_knows_the_future_is_said_above_everything(data, page):
    assert "knowledge of later bars" not in page
    outline = Outline.of(render_report(dataclasses.replace(data, uses_future=True)))
    assert "knowledge of later bars" in outline.words[0]
    assert ("p", {"class": "warning"}) in outline.tags


def test_the_page_loads_and_runs_nothing(page):
    outline = Outline.of(page)
    assert not {tag for tag, _ in outline.tags} & {"script", "link", "img", "iframe", "image", "object"}
    assert not [value for _, attrs in outline.tags for name, value in attrs.items() if name in ("src", "href")]
    assert not re.search(r"@import|url\((?!#)", page)
    assert not [attrs for _, attrs in outline.tags if any(name.startswith("on") for name in attrs)]


def test_the_same_data_give_the_same_bytes_under_any_style_of_the_caller(data, page):
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.facecolor": "black", "font.size": 30, "svg.hashsalt": "x"}):
        before = dict(matplotlib.rcParams)
        assert render_report(data) == page
        assert dict(matplotlib.rcParams) == before


def test_rendering_is_silent_and_leaves_no_pyplot_figure(data, caplog, capfd):
    from matplotlib import pyplot as plt

    opened = plt.get_fignums()
    with caplog.at_level(logging.INFO):
        render_report(data)
    assert plt.get_fignums() == opened
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_text_is_never_markup_nor_formula(data):
    evil = "<script>alert('1')</script> & $x^2$"
    changed = {
        "title": evil,
        "notes": [evil],
        "settings": {evil: {"key": evil}},
        "table": data.table.rename(index={"llm": evil}),
        "tests": data.tests.assign(arm_a=evil, measure=evil),
        "usage": data.usage.rename(index={"rl": evil}, columns={"changed_inverted": evil}),
        "curves": data.curves.replace({"arm": {"rl": evil}}),
    }
    changed |= {
        name: {evil if arm == "llm" else arm: frame for arm, frame in getattr(data, name).items()}
        for name in ("values", "decisions", "q_values")
    }
    page = render_report(dataclasses.replace(data, **changed))
    outline = Outline.of(page)
    assert "script" not in {tag for tag, _ in outline.tags}
    assert outline.headings[0] == evil
    assert outline.tables[0][3][0] == evil
    assert page.count("$x^2$</text>") >= 4  # the legends and the strips show it letter by letter


def test_a_bare_comparison_without_guidance_training_or_tests_is_still_a_report(data):
    bare = ReportData("Bare", data.table, pd.DataFrame(columns=TEST_COLUMNS), data.values, data.price)
    outline = Outline.of(render_report(bare))
    assert outline.headings == ["Bare", "Arms", "Portfolio value", "Drawdown", "Price, guidance and positions"]
    assert outline.words[0] == "Highest mean Sharpe ratio on the test bars: llm with 2.09, then hybrid with 1.70."


def test_arms_that_never_traded_have_no_winner(data):
    nothing = dataclasses.replace(data, table=data.table.assign(sr_mean=np.nan), tests=data.tests[:0])
    assert summary(nothing).startswith("No arm has a Sharpe ratio")


def test_an_insolvent_account_is_drawn_on_a_linear_scale(data):
    ruined = data.values["hold"] * np.linspace(1, -0.2, len(data.price))[:, None]
    page = render_report(dataclasses.replace(data, values={**data.values, "hold": ruined}))
    assert "log scale" not in page
    rich = data.values["hold"] * np.linspace(1, 20, len(data.price))[:, None]
    assert "log scale" in render_report(dataclasses.replace(data, values={**data.values, "hold": rich}))


def test_guidance_is_shaded_only_from_the_bar_on_which_it_may_be_used(data):
    from llmguide.report import figures

    later = data.guidance.copy()
    later.iloc[80:, later.columns.get_indexer(["direction", "strength", "tau"])] = [1.0, 0.9, 0.9]
    pages = [figures.guidance(data.price, signal, {}, trades_of=None) for signal in (data.guidance, later)]
    spans = r'<path d="([^"]*)" clip-path="[^"]*" style="fill: (#\w+); opacity: ([\d.]+)"'
    shades = [re.findall(spans, svg) for svg in pages]
    # The first month has no guidance, so that five of six are shaded; the legend's patches are not clipped.
    assert [color for _, color, _ in shades[0][:5]] == ["#56b4e9", "#e69f00", "#56b4e9", "#e69f00", "#56b4e9"]
    # Months two to four, bars 20 to 79, look the same whatever comes later.
    assert shades[0][:3] == shades[1][:3]
    assert shades[0][3:] != shades[1][3:]


def test_a_report_of_25_seeds_and_two_years_stays_below_two_megabytes(tmp_path):
    path = write_report(comparison(bars=503, seeds=25), tmp_path / "new" / "report.html")
    assert path.stat().st_size < 2_000_000
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_missing_columns_and_arms_are_refused_with_the_nearest_name(data):
    with pytest.raises(DataError, match=r"table with a column 'sr_mean'.*did you mean 'sr_men'"):
        dataclasses.replace(data, table=data.table.rename(columns={"sr_mean": "sr_men"}))
    with pytest.raises(DataError, match="tests with a column 'p'"):
        dataclasses.replace(data, tests=data.tests.drop(columns="p"))
    with pytest.raises(DataError, match="guidance with a column 'tau'"):
        dataclasses.replace(data, guidance=data.guidance.drop(columns="tau"))
    with pytest.raises(DataError, match="curves with a column 'seed'"):
        dataclasses.replace(data, curves=data.curves.drop(columns="seed"))
    with pytest.raises(DataError, match="values of every arm, got none for 'hold'"):
        dataclasses.replace(data, values={arm: frame for arm, frame in data.values.items() if arm != "hold"})
    with pytest.raises(DataError, match="at least one arm"):
        dataclasses.replace(data, table=data.table[:0])


def test_importing_the_page_does_not_load_matplotlib():
    code = "import sys, llmguide.report.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
