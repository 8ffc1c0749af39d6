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
from made_report import TEST_COLUMNS, comparison

from llmguide.errors import DataError
from llmguide.report import figures, interactive
from llmguide.report.arm_tables import significance_section
from llmguide.report.page import ReportData, render_report, summary, write_report


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
        if not {"svg", "style", "title", "script", "nav"}.isdisjoint(self.open):
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
        "AAPL, 2018-01-02 to 2018-06-18",
        *("hybrid", "rl", "llm", "hold"),  # tiles
        "Before you trust it",
        "Arms",
        "Are the differences significant?",
        "Drawdown",
        "Price, guidance and positions",
        "Guidance by month",
        "How the arms use the guidance",
        "Training",
        "Q-values",
        "Every run",
        "Other costs, slippage and fills",
        "Settings",
        "Reproduce this run",
    ]
    assert page.count("<svg") == 7
    assert all(attrs.get("aria-label") for tag, attrs in outline.tags if tag == "svg")
    anchors = [attrs["id"] for tag, attrs in outline.tags if tag == "h2" and "id" in attrs]
    assert [attrs["href"] for tag, attrs in outline.tags if tag == "a"] == [f"#{anchor}" for anchor in anchors]


def test_tables_show_the_numbers_that_were_given_and_nan_as_not_available(page):
    arms, tests, between, months, usage, runs, sensitivity, settings = Outline.of(page).tables
    assert arms[2:] == [
        ["hybrid", "1.70 (0.43)", "0.90 to 2.41", "29.0 % (10.0 %)", "20.0 % to 40.0 %", "41.5", "94.0 %", "3"],
        ["rl", "1.42 (0.05)", "0.10 to 2.00", "45.0 % (2.0 %)", "30.0 % to 60.0 %", "60.0", "94.0 %", "3"],
        ["llm", "2.09", "n/a", "28.0 %", "n/a", "12.0", "94.0 %", "1"],
        ["hold", "0.00", "n/a", "n/a", "n/a", "1.0", "94.0 %", "1"],
    ]
    assert between[2:] == [["hybrid − rl", "0.28", "−0.50 to 1.10", "−16.0 pp", "−30.0 pp to −2.0 pp"]]
    assert [row[1:7] for row in months[1:]] == [
        ["long", "3 of 3", "0.25", "0.75", "3.1 %", "yes"],
        ["short", "2 of 3", "n/a", "0.67", "1.2 %", "no"],
        ["abstained", "–", "n/a", "0.00", "n/a", "–"],
    ]
    assert sensitivity[2:4] == [
        ["cost 0.00 %", "1.50", "30.0 %", "1.00", "30.0 %"],
        ["cost 0.10 %", "1.20", "30.0 %", "1.00", "30.0 %"],
    ]
    assert [row[0] for row in sensitivity[4:]] == ["slippage 0.20 %", "fill at the close", "fill at the next open"]
    assert tests == [
        ["", "Sharpe ratio", "Maximum drawdown"],
        ["Arms", "difference", "t", "p", "difference", "t", "p"],
        ["hybrid − rl", "0.28", "2.10", "0.170", "−16.0 pp", "−5.00", "< 0.001"],
    ]
    assert usage[0] == [
        "Arm",
        "Agrees with the guidance, test bars",
        "Decisions that change when it is inverted",
        "own <measure>",
    ]
    assert usage[1:] == [["hybrid", "68.0 %", "22.0 %", "10.0 %"], ["rl", "51.0 %", "n/a", "20.0 %"]]
    assert len(runs) == 1 + 8
    assert settings[1:] == [["seeds", "0, 1, 2"], ["agent.gamma", "0.4"], ["agent.net.width", "512"]]


def test_where_pairs_differ_in_number_each_says_its_own():
    tests = comparison().tests
    other = tests.assign(arm_b="llm", n=2)
    text = " ".join(significance_section(dataclasses.replace(comparison(), tests=pd.concat([tests, other]))))
    assert re.findall(r">(\d)</td></tr>", text) == ["3", "2"]
    assert "over seeds;" in text
    assert "over 3 seeds;" in " ".join(significance_section(comparison()))


def test_the_first_sentence_says_what_guidance_does_and_does_not_claim_what_the_test_does_not_show(page):
    assert Outline.of(page).words[1] == (
        "Guidance makes no significant difference to the agent's Sharpe ratio: 1.70 with it, 1.42 without (p = 0.170 "
        "over 3 seeds); the best arm is llm with 2.09."
    )


def test_the_page_begins_with_the_answer_the_arms_their_curves_and_the_doubts(page):
    body = page[page.index("<main>") :]
    order = [
        "<h1>",
        'class="under"',
        'class="lead"',
        'class="tiles"',
        "Portfolio value of each arm",
        "Before you trust",
    ]
    places = [body.index(part) for part in [*order, "<nav", ">Arms</h2>"]]
    assert places == sorted(places)
    assert "−0.50 to 1.10, includes zero" in page
    assert "3 seeds are few: only a large difference would be significant." in page


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            ("sr", "hybrid", "rl", 0.28, 3.0, 0.01, 25),
            "significantly raises the agent's Sharpe ratio, from 1.42 to 1.70",
        ),
        (("sr", "rl", "hybrid", 0.28, 3.0, 0.01, 25), "significantly lowers the agent's Sharpe ratio, from 1.42"),
        (
            ("sr", "hybrid", "rl", 0.28, 1.0, 0.4, 25),
            "no significant difference to the agent's Sharpe ratio: 1.70 with",
        ),
        (("sr", "hybrid", "rl", 0.28, 9.0, 0.0004, 25), "(p < 0.001 over 25 seeds)"),
        (("sr", "hybrid", "rl", 0.28, np.nan, np.nan, 1), "1.70 with guidance, 1.42 without; 1 seed cannot test the"),
        (
            ("sr", "hybrid", "rl", np.nan, np.nan, np.nan, 3),
            "at least one run of hybrid or rl never traded",
        ),
        (
            ("sr", "hybrid", "hold", 0.5, 3.0, 0.01, 25),
            "llm has the highest Sharpe ratio on the test bars, 2.09, ahead",
        ),
        (("mdd", "hybrid", "rl", 0.5, 3.0, 0.01, 25), "llm has the highest Sharpe ratio on the test bars, 2.09, ahead"),
    ],
)
def test_the_verdict_follows_the_paired_test_of_hybrid_and_rl(data, row, words):
    said = summary(dataclasses.replace(data, tests=pd.DataFrame([row], columns=TEST_COLUMNS)))
    assert words in said
    assert said.count(". ") == 0  # one sentence


def test_few_seeds_are_a_doubt_whatever_the_test_says(data):
    one = dataclasses.replace(
        data, tests=pd.DataFrame([("sr", "hybrid", "rl", 0.5, 57.8, 0.011, 2)], columns=TEST_COLUMNS)
    )
    assert "2 seeds are few: the test assumes normally distributed differences" in doubts_of(one)


def doubts_of(data, **changed):
    from llmguide.report.verdict import doubts

    return " ".join(doubts(dataclasses.replace(data, **changed)))


FEW = "3 seeds are few: only a large difference would be significant."


def test_what_speaks_against_the_result_is_said_and_nothing_else(data):
    said = doubts_of(data)
    assert "interval of hybrid − rl over bars, −0.50 to 1.10, includes zero" in said
    assert "The order of hybrid and rl is reversed at a slippage of 0.20 %." in said
    assert "hold" not in said
    sure = data.intervals.assign(sr_low=0.1)
    calm = data.sensitivity[data.sensitivity["what"] != "slippage"]
    assert doubts_of(data, intervals=sure, sensitivity=calm) == FEW
    best = data.table.copy()
    best.loc["hold", "sr_mean"] = 3.0
    assert "No other arm beats hold, which needs no agent" in doubts_of(data, table=best)
    assert "No other arm" not in doubts_of(data, table=best.loc[["hold"]])
    tests = data.tests.assign(p=0.04, p_wilcoxon=0.05, p_holm=0.09)
    assert "(Holm), p is 0.090: not significant" in doubts_of(data, tests=tests)


def tried(first, later, *, seeds=3):
    """A sensitivity in which hybrid is ahead of rl by `first` as usual, and by `later` at the next open."""
    rows = [
        (*condition, arm, seed, 1.0 + (gain if arm == "hybrid" else 0.0), 0.3)
        for condition, gain in ((("cost", 0.001), first), (("fill", 0.0), first), (("fill", 1.0), later))
        for arm in ("hybrid", "rl")
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=["what", "level", "arm", "seed", "sr", "mdd"])


@pytest.mark.parametrize(
    ("first", "later", "said"),
    [
        (0.2, 0.1, ""),
        (0.2, -0.1, "The order of hybrid and rl is reversed at fills at the next open, over the first 3 seeds."),
        (-0.2, 0.1, "Over the first 3 seeds alone, the order of hybrid and rl is reversed."),
        (-0.2, -0.1, "Over the first 3 seeds alone, the order of hybrid and rl is reversed."),
        (0.0, -0.1, "The order of hybrid and rl is reversed at fills at the next open, over the first 3 seeds."),
        (np.nan, 0.1, ""),
    ],
)
def test_the_order_under_other_conditions_is_held_against_that_of_all_seeds(data, first, later, said):
    calm = data.intervals.assign(sr_low=0.1)
    for arms, sign in ((("hybrid", "rl"), 1), (("rl", "hybrid"), -1)):
        rows = [("sr", *arms, sign * 0.284, 2.1, 0.17, 25), ("mdd", *arms, -0.1, -5.0, 0.01, 25)]
        tests = pd.DataFrame(rows, columns=TEST_COLUMNS)
        assert doubts_of(data, tests=tests, intervals=calm, sensitivity=tried(first, later)) == said


def test_a_run_without_a_sharpe_ratio_under_one_condition_turns_no_order(data):
    found = tried(0.2, 0.2)
    held = (found["what"] == "fill") & (found["level"] == 1.0)
    found.loc[held & (found["arm"] == "rl") & (found["seed"] > 0), "sr"] = np.nan
    found.loc[held & (found["arm"] == "hybrid") & (found["seed"] > 0), "sr"] = -9.0
    assert doubts_of(data, intervals=data.intervals.assign(sr_low=0.1), sensitivity=found) == FEW


def test_where_nothing_was_trained_no_trained_arm_is_spoken_of(data):
    table = data.table.loc[["llm", "hold"]].assign(sr_mean=[1.0, 2.0], seeds=0)
    said = doubts_of(data, table=table, tests=data.tests.iloc[:0], intervals=None, runs=None, sensitivity=None)
    assert said == "No other arm beats hold, which needs no agent and no guidance."


def test_where_no_arm_has_a_sharpe_ratio_the_figures_of_it_are_left_out(data):
    runs, found = data.runs.assign(sr=np.nan), data.sensitivity.assign(sr=np.nan)
    page = render_report(dataclasses.replace(data, runs=runs, sensitivity=found))
    outline = Outline.of(page)
    assert page.count("<svg") == 5
    assert "Every run" not in outline.headings
    assert "Other costs, slippage and fills" in outline.headings  # its table has the drawdowns
    assert 'id="plot-runs"' not in page


def test_agreement_of_an_arm_that_sees_no_guidance_is_not_called_chance(page):
    (said,) = [words for words in Outline.of(page).words if words.startswith("Agreement is")]
    assert "baseline agreement, since both read the same prices" in said
    assert "chance" not in said


def test_the_interval_turns_its_sign_with_the_order_of_the_arms(data):
    rows = data.intervals.assign(arm=["hybrid", "rl", "hold", "rl"], minus=[None, None, None, "hybrid"])
    assert "over bars, −1.10 to 0.50, includes zero" in doubts_of(data, intervals=rows)


def test_several_conditions_that_reverse_the_order_are_named_by_their_kind(data):
    found = pd.concat([data.sensitivity, data.sensitivity.query("what == 'slippage'").assign(level=0.005)])
    assert "reversed at slippages of 0.20 % and 0.50 %." in doubts_of(data, sensitivity=found)


def test_one_seed_is_a_doubt(data):
    said = doubts_of(data, runs=data.runs[data.runs["seed"] <= 0])
    assert "trained with a single seed" in said


def test_tests_with_corrections_show_them(data):
    page = render_report(dataclasses.replace(data, tests=data.tests.assign(p_wilcoxon=0.5, p_holm=0.34)))
    tests = Outline.of(page).tables[1]
    assert tests[1][3:6] == ["p", "p (Wilcoxon)", "p (Holm)"]
    assert tests[2][3:6] == ["0.170", "0.500", "0.340"]


def months(count):
    dates = pd.date_range("2018-01-31", periods=count, freq="ME")
    rows = [(date, at % 2, 2, 0.5, 0.5, 0.01, f"issue {at}") for at, date in enumerate(dates)]
    columns = ["issued_at", "direction", "confidence", "entropy", "strength", "realised", "explanation"]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.slow
def test_the_guidance_is_led_by_how_often_it_was_right_and_folds_after_six_rows(data):
    page = render_report(dataclasses.replace(data, months=months(27)))
    part = page[page.index(">Guidance by month</h2>") :]
    assert part.index("13 of 27 directions were right.") < part.index("<table")
    shown, folded = part.split("<summary>Show the other 21</summary>")
    assert shown.count("issue ") == 6
    assert folded.count("issue ") == 21
    few = render_report(dataclasses.replace(data, months=months(6)))
    assert "Show the other" not in few


def test_settings_are_folded(page):
    assert re.search(r"<details class=\"more\"><summary>Show all 3 settings</summary><div[^>]*><table", page)


def test_a_long_explanation_is_folded_and_whole(page):
    outline = Outline.of(page)
    assert "A long word " * 20 + "& <end>" in outline.words
    assert "Momentum is up." in outline.tables[3][1][-1]


def test_the_command_that_makes_it_again_is_shown_as_it_is(page):
    assert "llmguide compare --out 'runs/<a> & b'" in Outline.of(page).words


def test_guidance_that_knows_the_future_is_said_above_everything(data, page):
    assert "knowledge of later bars" not in page
    outline = Outline.of(render_report(dataclasses.replace(data, uses_future=True)))
    assert "knowledge of later bars" in outline.words[1]
    assert ("p", {"class": "warning"}) in outline.tags


def test_the_page_loads_nothing_and_tells_the_browser_to_load_nothing(page):
    outline = Outline.of(page)
    assert not {tag for tag, _ in outline.tags} & {"link", "img", "iframe", "image", "object"}
    assert not [attrs for _, attrs in outline.tags if "src" in attrs]
    assert all(attrs.get("href", "#").startswith("#") for _, attrs in outline.tags)
    drawn = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"@import|url\((?!#)", drawn)
    (policy,) = [attrs["content"] for tag, attrs in outline.tags if attrs.get("http-equiv")]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; script-src 'unsafe-inline'"
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
    changed["months"] = data.months.assign(explanation=evil)
    changed["runs"] = data.runs.replace({"arm": {"rl": evil}})
    changed["sensitivity"] = data.sensitivity.replace({"arm": {"rl": evil}})
    changed["intervals"] = data.intervals.assign(arm=evil)
    changed["reproduce"] = evil
    page = render_report(dataclasses.replace(data, **changed))
    outline = Outline.of(page)
    own = len([tag for tag, _ in Outline.of(render_report(data)).tags if tag == "script"])
    assert len([tag for tag, _ in outline.tags if tag == "script"]) == own
    assert "alert('1')</script>" not in page
    assert outline.headings[0] == evil
    assert outline.tables[0][4][0] == evil
    assert page.count("$x^2$</text>") >= 4  # the legends and the strips show it letter by letter


def test_a_bare_comparison_without_guidance_training_or_tests_is_still_a_report(data):
    bare = ReportData("Bare", data.table, pd.DataFrame(columns=TEST_COLUMNS), data.values, data.price)
    outline = Outline.of(render_report(bare))
    tiles = ["hybrid", "rl", "llm", "hold"]
    assert outline.headings == [
        *("Bare", *tiles, "Before you trust it", "Arms", "Drawdown", "Price, guidance and positions")
    ]
    assert outline.words[0] == "llm has the highest Sharpe ratio on the test bars, 2.09, ahead of hybrid with 1.70."


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
    pages = [figures.guidance(data.price, signal, {}) for signal in (data.guidance, later)]
    spans = r'<path d="([^"]*)" clip-path="[^"]*" style="fill: (#\w+); opacity: ([\d.]+)"'
    shades = [re.findall(spans, svg) for svg in pages]
    # The first month has no guidance, so that five of six are shaded; the legend's patches are not clipped.
    assert [color for _, color, _ in shades[0][:5]] == ["#56b4e9", "#e69f00", "#56b4e9", "#e69f00", "#56b4e9"]
    # Months two to four, bars 20 to 79, look the same whatever comes later.
    assert shades[0][:3] == shades[1][:3]
    assert shades[0][3:] != shades[1][3:]


def test_a_report_of_25_seeds_and_two_years_stays_below_a_megabyte(tmp_path):
    path = write_report(comparison(bars=503, seeds=25), tmp_path / "new" / "report.html")
    assert path.stat().st_size < 1_000_000
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
    with pytest.raises(DataError, match="intervals with a column 'sr_low'"):
        dataclasses.replace(data, intervals=data.intervals.drop(columns="sr_low"))
    with pytest.raises(DataError, match="at least one arm"):
        dataclasses.replace(data, table=data.table[:0])


def test_importing_the_page_does_not_load_matplotlib():
    code = "import sys, llmguide.report.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_a_report_of_years_of_hourly_bars_stays_below_a_megabyte_and_a_half(data):
    long = comparison(bars=20_000)
    page = render_report(dataclasses.replace(long, guidance=None, decisions={}))
    assert len(page) < 1_500_000
    assert "Lines of 20,000 bars are drawn with 1,200 points, which preserve every high and low." in page


@pytest.mark.parametrize(("episodes", "marks"), [(1, 3), (2, 0)])
def test_a_single_episode_is_drawn_as_a_point(episodes, marks):
    curves = pd.DataFrame(
        {"arm": "hybrid", "seed": 0, "episode": range(1, episodes + 1), "train_sr": 0.1, "test_sr": 0.2}
    )
    drawn = figures.training(curves)
    assert len(re.findall("<use [^>]*fill: #0072b2", drawn)) == marks  # on train, on test, and in the legend
    assert len(interactive.training(curves)["x"]) == episodes
