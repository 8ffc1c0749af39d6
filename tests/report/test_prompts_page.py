"""The page of a study of prompts: every month is there, nothing of a model's is markup, and it needs nothing else."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pandas as pd
import pytest
from made_advice import PROMPTS, SYSTEM, abstention, advice, market, study

from llmguide.errors import DataError
from llmguide.experiments.prompts import judge_prompts
from llmguide.experiments.prompts.write import page_data
from llmguide.guidance.advice import Factor, FeatureUse, StrategistReply
from llmguide.llm.protocol import Message
from llmguide.report.prompt_figures import FIGURES, draw_figures
from llmguide.report.prompts_page import render_prompts_page, summary, write_prompts_page

MARKETS = (market("AAPL", 1), market("KO", 2))
DAYS = [MARKETS[0].test.index[at].to_pydatetime() for at in range(30, 504, 20)]


def page_of(all_advice, markets=MARKETS):
    data = page_data(judge_prompts(all_advice, markets))
    drawn = draw_figures(data.table, data.means, data.calibration, data.reliability)
    return render_prompts_page(data, {name: figure.svg for name, figure in drawn.items()})


@pytest.fixture(scope="module")
def all_advice():
    return study(MARKETS)


@pytest.fixture(scope="module")
def data(all_advice):
    return page_data(judge_prompts(all_advice, MARKETS))


@pytest.fixture(scope="module")
def page(all_advice):
    return page_of(all_advice)


class Outline(HTMLParser):
    """Tags, text outside of drawings, and the text of every card and month; fails on tags that do not nest."""

    VOID = frozenset({"meta", "br", "hr", "img", "link"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.headings, self.words = [], [], [], []
        self.cards, self.lines, self.ids = [], [], set()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if "id" in attrs and "svg" not in {open_tag for open_tag, _ in self.open}:
            self.ids.add(attrs["id"])
        if tag not in self.VOID:
            self.open.append((tag, attrs.get("class", "")))
        if attrs.get("class") == "card":
            self.cards.append("")
        if tag == "summary":
            self.lines.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        around = {tag for tag, _ in self.open}
        if around & {"svg", "style", "title"}:
            return
        if ("section", "card") in self.open:
            self.cards[-1] += data + " "
        if "summary" in around:
            self.lines[-1] += data + " "
        if self.open and self.open[-1][0] in ("h1", "h2"):
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


def test_the_page_has_every_part_in_order_and_a_card_for_every_advice(page, all_advice):
    outline = Outline.of(page)
    assert outline.headings == [
        "Prompts compared",
        "Prompts",
        "Sharpe ratio",
        "Were the directions right?",
        "Uncertainty of the replies",
        "Is confidence justified?",
        "Did it rise as often as the model said?",
        "Are the differences significant?",
        "Costs",
        "AAPL",
        "KO",
        "Messages sent more than once",
    ]
    assert len(outline.cards) == len(all_advice)
    assert sum(attrs.get("class") == "month" for tag, attrs in outline.tags if tag == "details") == 2 * len(DAYS)
    assert all(attrs.get("aria-label") for tag, attrs in outline.tags if tag == "svg")
    assert page.count("<svg") == len(FIGURES) - 1  # nobody reviewed


def test_a_month_shows_what_each_prompt_said_and_what_became_of_it():
    reply = StrategistReply(
        explanation="Momentum & breadth agree.",
        features=[
            FeatureUse(name="RSI 14", direction="NEUTRAL", weight=2),
            FeatureUse(name="VIX close", direction="SHORT", weight=1),
        ],
        direction="SHORT",
        confidence=3,
    )
    factor = Factor(text="A recall was announced.", sentiment=-1, impact=3)
    made = [advice("AAPL", "P1", day) for day in DAYS[:2]]
    made.append(advice("AAPL", "P4", DAYS[0], reply=reply, factors=(factor,), entropy=0.5, perplexity=1.75))
    made.append(abstention("AAPL", "P4", DAYS[1], failure="the reply ended at the limit of tokens"))
    close = MARKETS[0].test["close"]
    gain = close.iloc[50] / close.iloc[30] - 1
    outline = Outline.of(page_of(made))
    p1, p4, _, silent = outline.cards
    assert f"{gain:+.1%}".replace("-", "−").replace("%", " %") in p4
    assert ("wrong" in p4, "right" in p1) == (gain > 0, gain > 0)
    for words in (
        *(
            "SHORT, confidence 3",
            "Momentum & breadth agree.",
            "RSI 14: neutral, weight 2",
            "VIX close: short, weight 1",
        ),
        "41 headlines, 2 flagged, 17 names replaced",
        *("A recall was announced.", "(bad, impact 3)", "0.500", "1.750", "0.51", "−0.51"),  # 0.505, the strength
    ):
        assert words in p4
    assert f"AAPL P4 {DAYS[0]:%Y-%m-%d}: closes 1 2 3" in p4
    assert "News" not in p1
    assert "Abstained: the reply ended at the limit of tokens" in silent
    months = [line for line in outline.lines if line.startswith(f"{DAYS[1]:%Y-%m-%d}")]
    assert len(months) == 1
    assert "P4 abstained" in months[0]


def test_what_a_model_wrote_is_never_markup():
    evil = "<script>alert('1')</script><img src=x onerror=alert(1)> & $x^2$ \x00"
    reply = StrategistReply(
        explanation=evil,
        features=[FeatureUse(name=evil, direction="LONG", weight=1)],
        direction="LONG",
        confidence=1,
    )
    factors = (Factor(text=evil, sentiment=0, impact=1),)
    messages = (Message("system", evil), Message("user", evil + "\ud800"), Message("user", evil + "more"))
    prompt = "P4<b>"
    made = [
        advice("AAPL", prompt, DAYS[0], reply=reply, factors=factors, messages=messages[:2], model=evil[:40]),
        advice("AAPL", prompt, DAYS[1], reply=reply, factors=factors, messages=(messages[0], messages[2])),
        abstention("AAPL", prompt, DAYS[2], failure="</pre></details><script>"),
    ]
    page = page_of(made)
    outline = Outline.of(page)
    assert not {tag for tag, _ in outline.tags} & {"script", "img", "b<"}
    assert not [attrs for _, attrs in outline.tags if any(name.startswith("on") for name in attrs)]
    assert page.count("&lt;script&gt;alert") >= 8
    assert "Abstained: </pre></details><script>" in outline.cards[2]
    page.encode("utf-8")


def test_every_message_is_there_word_by_word_and_a_repeated_one_once(page, all_advice):
    assert page.count(SYSTEM.content) == 1
    for one in all_advice:
        assert page.count(one.messages[1].content) == 1 or one.reply is None
    outline = Outline.of(page)
    links = {attrs["href"] for tag, attrs in outline.tags if tag == "a"}
    assert links
    assert {link[1:] for link in links} <= outline.ids


def test_messages_too_long_for_a_page_are_left_out_and_that_is_said(data, monkeypatch):
    monkeypatch.setattr("llmguide.report.prompts_page._MOST", 1000)
    page = render_prompts_page(data, {})
    assert SYSTEM.content not in page
    assert "too long for this page" in page
    assert "What was sent" not in page


def test_the_page_loads_and_runs_nothing(page):
    outline = Outline.of(page)
    assert not {tag for tag, _ in outline.tags} & {"script", "link", "img", "iframe", "image", "object"}
    outside = [value for _, attrs in outline.tags for name, value in attrs.items() if name in ("src", "href")]
    assert all(value.startswith("#") for value in outside)
    assert not re.search(r"@import|url\((?!#)", page)


@pytest.mark.slow
def test_the_same_study_gives_the_same_bytes_under_any_style_of_the_caller(page, all_advice):
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "svg.hashsalt": "x"}):
        before = dict(matplotlib.rcParams)
        assert page_of(all_advice[::-1]) == page
        assert dict(matplotlib.rcParams) == before


def test_the_first_sentence_names_the_best_prompt_and_claims_no_more_than_the_test(data):
    means = data.means.set_index("prompt")["sr"].sort_values(ascending=False)
    words = summary(data)
    assert words.startswith(f"Highest mean Sharpe ratio over 2 instruments: {means.index[0]} with ")
    assert "not significant at the 5 % level. 2 instruments are few" in words
    words = summary(dataclasses.replace(data, tests=data.tests.assign(p=0.026)))
    assert words.endswith(
        "2 instruments are few: the test assumes normally distributed differences, which so few cannot confirm."
    )
    tests = data.tests.assign(t=9.0, p=0.0004, n=12, mean_difference=-0.5)
    words = summary(dataclasses.replace(data, tests=tests))
    assert words.endswith("Against P1, P4 loses 0.50 (two-sided paired t test over 12 instruments, p <0.001): "
                          "significant at the 5 % level.")  # fmt: skip
    undefined = dataclasses.replace(data, tests=data.tests.assign(p=np.nan))
    assert summary(undefined).endswith("do not vary, so no test is possible.")
    alone = dataclasses.replace(data, tests=data.tests[data.tests["over"] != "instruments"])
    assert summary(alone).endswith("One instrument cannot show which prompt is better: no test is possible.")


def test_abstentions_and_missing_probabilities_are_counted_at_the_top(page, all_advice):
    outline = Outline.of(page)
    silent = sum(one.reply is None for one in all_advice)
    bare = sum(one.reply is not None and one.entropy is None for one in all_advice)
    assert f"{silent} of {len(all_advice)} questions have no usable answer" in " ".join(outline.words)
    assert f"{bare} answers came without token probabilities" in " ".join(outline.words)


def test_two_instruments_of_24_months_with_prompts_of_8000_tokens_stay_below_ten_megabytes(tmp_path):
    lengths = dict(zip(PROMPTS, (4_000, 8_000, 14_000, 26_000, 33_000), strict=True))
    long = [
        dataclasses.replace(one, messages=(SYSTEM, Message("user", f"{one.symbol} {one.prompt} {one.issued_at} "
                                                           + "x" * lengths[one.prompt])))
        for one in study(MARKETS)
    ]  # fmt: skip
    data = page_data(judge_prompts(long, MARKETS))
    assert len(data.months) == 2 * 24 * 5
    path = write_prompts_page(data, {}, tmp_path / "new" / "prompts.html")
    assert 4_000_000 < path.stat().st_size < 10_000_000
    assert [file.name for file in path.parent.iterdir()] == ["prompts.html"]


def test_a_month_without_its_advice_is_refused(data):
    with pytest.raises(DataError, match="expected the advice of every month, got none of AAPL by P0"):
        dataclasses.replace(data, all_advice=[one for one in data.all_advice if one.prompt != "P0"])


def test_there_is_no_figure_of_what_is_not_known(data):
    table = data.table.assign(entropy=np.nan, perplexity=np.nan)
    drawn = draw_figures(table, data.means, data.calibration, data.reliability)
    assert set(drawn) == {"sharpe", "calibration", "reliability"}
    assert draw_figures(table.assign(sr=np.nan), data.means, data.calibration[:0], data.reliability[:0]) == {}


def test_names_with_dollar_signs_are_no_formulas_in_the_figures(data):
    frames = data.table, data.means, data.calibration, data.reliability
    named = [frame[:1].assign(prompt="$x^2$") for frame in frames]
    for name, figure in draw_figures(*named).items():
        assert "$x^2$</text>" in figure.svg, name


def test_a_model_no_better_than_the_base_rate_is_told_so():
    def page(p_of):
        days = MARKETS[0].test.index[30:470:20]
        close = MARKETS[0].test["close"]
        rose = [bool(close.iloc[at + 20] > close.iloc[at]) for at in range(30, 470, 20)]
        made = [advice("AAPL", "P1", day.to_pydatetime(), p_long=p_of(up)) for day, up in zip(days, rose, strict=True)]
        data = page_data(judge_prompts(made, MARKETS, calibrate="platt"))
        return " ".join(Outline.of(render_prompts_page(data, {})).words), data.scores.set_index("probability")

    words, scores = page(lambda up: 0.8 if up else 0.2)
    assert "The model's own probability with P1 is better than always saying the base rate, by the Brier" in words
    assert "P1, calibrated" in words
    assert scores.loc["said", "brier"] == pytest.approx(0.04)
    words, scores = page(lambda up: 0.2 if up else 0.8)
    assert (
        "The model's own probability with P1 is no better than always saying the base rate, by the Brier score."
        in words
    )
    assert "The calibrated probability with P1 is better than always saying the base rate" in words
    assert scores.loc["said", "brier"] == pytest.approx(0.64)


def test_without_probabilities_nothing_is_said_of_them():
    page = page_of([advice("AAPL", "P1", day) for day in DAYS])
    assert "as often as the model said" not in page
    assert "Brier" not in page


def test_rows_of_one_month_stand_side_by_side_even_where_a_prompt_is_missing(data):
    some = data.months[(data.months["prompt"] != "P2") | (data.months["symbol"] != "KO")]
    outline = Outline.of(render_prompts_page(dataclasses.replace(data, months=some), {}))
    assert len(outline.cards) == len(some)
    assert pd.Series(outline.lines).str.contains("P1 (?:long|short|abstained)").sum() == 2 * len(DAYS)
