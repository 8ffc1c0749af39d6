"""Prompts that name nobody: no level in them tells a model that has read the years which day it is."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise, takewhile

import numpy as np
import pandas as pd
import pytest

from llmguide import sample_bars
from llmguide.errors import GuidanceError
from llmguide.features.levels import LEVELS
from llmguide.guidance.advice import EXPLANATION_WORDS, FACTOR_WORDS, FACTORS, Factor, FeatureUse, StrategistReply
from llmguide.guidance.language_model import LanguageModel, study_name
from llmguide.guidance.preview import preview
from llmguide.guidance.strategist import Brief, Subject, prepare, write_prompt
from llmguide.guidance.study import Study, run_study
from llmguide.llm.prices import estimate_tokens
from llmguide.sources.kinds import FUNDAMENTALS, INDICES, OPTIONS
from llmguide.sources.tables import Tables

CONTEXT = 8_000  # tokens: a quarter of 32k, since estimates are off and the reply wants its place
RELATIVE, ABSOLUTE = Brief(), Brief(levels="absolute")
each_brief = pytest.mark.parametrize("brief", [RELATIVE, ABSOLUTE], ids=LEVELS)


@pytest.fixture(scope="module")
def full() -> Subject:
    """An instrument with every column of every table, at levels of four digits and more."""
    bars, random = sample_bars(years=3, seed=5), np.random.default_rng(5)
    days, count = bars.index, len(bars)
    months = pd.date_range(days[0] - pd.DateOffset(years=2), days[-1], freq="ME")
    quarters = months[::3]
    market = {name: np.round(2000.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, count))), 2) for name in INDICES}
    macro = [
        pd.DataFrame(
            {
                "published_at": months + pd.Timedelta(days=2),
                "series": series,
                "period_end": months,
                "value": random.uniform(90.0, 110.0, len(months)),
            }
        )
        for series in ("GDP", "PMI", "PPI", "CCI", "M2")
    ]
    macro += [
        pd.DataFrame(
            {
                "published_at": days + pd.Timedelta(days=1),
                "series": series,
                "period_end": days,
                "value": random.uniform(0.5, 3.0, count),
            }
        )
        for series in ("DGS10", "T10Y2Y")
    ]
    filings = pd.DataFrame(random.uniform(-0.9, 0.9, (len(quarters), len(FUNDAMENTALS))), columns=list(FUNDAMENTALS))
    options = pd.DataFrame(random.uniform(0.01, 0.3, (count, len(OPTIONS))), columns=list(OPTIONS))
    return Subject(
        "ACME",
        bars,
        Tables(
            market=pd.DataFrame({"date": days, **market}),
            macro=pd.concat(macro, ignore_index=True),
            fundamentals=filings.assign(published_at=quarters + pd.Timedelta(days=30), period_end=quarters),
            options=options.assign(date=days),
        ),
    )


def month_at(subject, t, brief=RELATIVE):
    return prepare(subject, subject.bars.index[t], subject.bars.iloc[:t], levels=brief.levels)


def prompt(subject, t, brief=RELATIVE, version="P4", **what):
    return write_prompt(version, subject, month_at(subject, t, brief), brief, **what)


def text_of(messages):
    return "\n".join(message.content for message in messages)


def days_remembered(text: str, memory: dict[str, pd.Timestamp]) -> list[pd.Timestamp]:
    """Return what a model finds that knows every close by heart: the days whose level stands in the text."""
    return [memory[number] for number in re.findall(r"\d+\.\d{2}(?!\d)", text) if number in memory]


@pytest.mark.parametrize("t", [31, 251, 252, 700])
@pytest.mark.parametrize("index", ["SPX", "NDX"])
def test_a_model_that_knows_every_close_by_heart_finds_the_day_from_absolute_levels_only(full, t, index):
    market = full.tables.market
    memory = {f"{level:.2f}": day for day, level in zip(market["date"], market[index], strict=True)}
    assert full.bars.index[t - 1] in days_remembered(text_of(prompt(full, t, ABSOLUTE)), memory)
    assert days_remembered(text_of(prompt(full, t, RELATIVE)), memory) == []


@pytest.mark.parametrize("t", [300, 700])
def test_a_model_that_knows_the_share_s_prices_finds_the_days_from_absolute_levels_only(full, t):
    dear = replace(
        full, bars=full.bars.assign(**{name: 10 * full.bars[name] for name in ("open", "high", "low", "close")})
    )
    assert dear.bars["close"].min() > 200
    memory = {f"{level:.2f}": day for day, level in dear.bars["close"].items()}
    found = days_remembered(text_of(prompt(dear, t, ABSOLUTE)), memory)
    assert set(dear.bars.index[t - 20 : t]) <= set(found)
    assert days_remembered(text_of(prompt(dear, t, RELATIVE)), memory) == []


@pytest.mark.parametrize("version", ["P0", "P4"])
def test_no_scale_changes_a_byte_of_a_relative_prompt(full, version):
    market = full.tables.market
    scaled = replace(
        full,
        bars=full.bars * [4.0, 4.0, 4.0, 4.0, 1024.0],
        tables=replace(full.tables, market=market.assign(**{name: 8.0 * market[name] for name in INDICES})),
    )
    assert prompt(full, 600, RELATIVE, version) == prompt(scaled, 600, RELATIVE, version)
    assert prompt(full, 600, ABSOLUTE, version) != prompt(scaled, 600, ABSOLUTE, version)


def test_bars_of_which_only_the_closes_are_adjusted_are_told_by_close_and_range_and_the_prompt_says_so(full):
    adjusted = replace(full, bars=full.bars.assign(close=0.8 * full.bars["close"]))
    text = text_of(prompt(adjusted, 300))
    assert "Open, high and low are left out" in text
    assert "days ago | close | range | volume\n20 | 100.00 | " in text
    assert "days ago | open | high | low | close | volume" not in text
    for other in (text_of(prompt(full, 300)), text_of(prompt(adjusted, 300, ABSOLUTE))):
        assert "days ago | open | high | low | close | volume" in other
        assert "left out" not in other.partition("# Prices")[2]


@each_brief
@pytest.mark.parametrize("version", ["P0", "P1", "P2", "P3", "P4"])
def test_the_first_message_is_the_same_in_every_month_and_for_every_instrument(full, brief, version):
    bare = Subject("OTHER", sample_bars(years=1, seed=8))
    first = {prompt(subject, t, brief, version)[0] for subject, t in ((full, 31), (full, 700), (bare, 31), (bare, 200))}
    assert len(first) == 1


@each_brief
def test_everything_that_is_told_is_explained(full, brief):
    system, user = prompt(full, 700, brief)
    explained = re.findall(r"^((?:[a-z]+\.[a-z0-9_*]+(?:, )?)+): ", system.content, re.M)
    patterns = [re.escape(name).replace(r"\*", ".*") for line in explained for name in line.split(", ")]
    names = re.findall(r"^([a-z]+\.[a-z0-9_]+): ", user.content, re.M)
    assert len(names) > 80
    assert [name for name in names if not re.fullmatch("|".join(patterns), name)] == []


def test_what_changes_slowly_stands_before_what_changes_daily(full):
    headings = re.findall(r"^# (\w+)", prompt(full, 700)[1].content, re.M)
    assert headings == ["Fundamentals", "The", "Prices", "Trend", "More", "The", "The", "Options", "Your", "News"]


@each_brief
@pytest.mark.parametrize("version", ["P0", "P1", "P2", "P3", "P4"])
def test_more_than_half_of_a_prompt_is_the_beginning_of_the_one_before(full, brief, version):
    texts = [text_of(prompt(full, t, brief, version)) for t in range(500, 700, 20)]
    common = [
        len(list(takewhile(lambda letters: letters[0] == letters[1], zip(*pair, strict=False))))
        for pair in pairwise(texts)
    ]
    assert sum(common) > 0.5 * sum(map(len, texts[1:]))


def test_the_largest_prompt_leaves_most_of_a_context_of_32k_tokens_free(full, access):
    reply = StrategistReply(
        explanation=" ".join(["explanation"] * EXPLANATION_WORDS),
        features=[FeatureUse(name="technical.macd_strength_zscore", direction="NEUTRAL", weight=2)] * 12,
        direction="LONG",
        confidence=2,
    )
    short = replace(full, bars=full.bars.iloc[:111], tables=Tables())
    past = [replace(one, reply=reply) for one in run_study(Study((short,), ("P0",)), access.asker())][:3]
    factors = [Factor(text=" ".join(["development"] * FACTOR_WORDS), sentiment=-1, impact=3)] * FACTORS
    for brief in (RELATIVE, ABSOLUTE):
        text = text_of(prompt(full, 700, brief, past=past, factors=factors))
        assert text.count("explanation explanation") > 3 * 100
        assert text.count("- development") == FACTORS
        assert estimate_tokens(text) < CONTEXT


def test_studies_of_different_levels_have_different_names(access):
    names = {study_name(access, ["ACME"], ["P4"], brief) for brief in (RELATIVE, ABSOLUTE)}
    assert len(names) == 2


def test_a_study_asks_with_the_levels_of_its_brief(full, access, server):
    short = replace(full, bars=full.bars.iloc[:32], tables=Tables())
    for brief in (RELATIVE, ABSOLUTE):
        (advice,) = run_study(Study((short,), ("P1",), brief), access.asker())
        assert advice.messages == prompt(short, 30, brief, "P1")
        assert [month.facts.levels for month in Study((short,), ("P1",), brief).months(short)] == [brief.levels]
    sent = [body["messages"][-1]["content"] for body in server.requests if "StrategistReply" in str(body)]
    assert ["| 100.00 |" in text for text in sent] == [True, False]


@each_brief
def test_a_live_run_asks_with_the_levels_of_its_brief(full, server, tmp_path, brief):
    model = LanguageModel(
        base_url=server.url, api_key="sk-test", cache=tmp_path / "live.sqlite", prompt="P1", brief=brief
    )
    model.follow()(full.bars.iloc[:30], full.bars.index[30])
    (shown,) = [body["messages"][-1]["content"] for body in server.requests if "StrategistReply" in str(body)]
    assert ("| 100.00 |" in shown) == (brief is RELATIVE)


def test_a_template_of_a_user_s_own_may_use_the_legend_or_do_without(full, tmp_path):
    own = tmp_path / "own.md"
    own.write_text(
        '{% extends "layout.md" %}{% block user %}{{ legend("stock.beta") }}\n{{ lines("stock.beta") }}\n'
        "{% for bar in bars[-1:] %}\n{{ bar.high }} {{ bar.range }}\n{% endfor %}\n"
        '{{ "failed" if news_failed else "fine" }}{% endblock %}',
        encoding="utf-8",
    )
    month = month_at(full, 700)
    (message,) = write_prompt(own, full, month, RELATIVE)
    assert message.content.splitlines() == [
        "stock.beta: slope of the daily returns on those of SPX, over a year",
        f"stock.beta: {month.facts['stock.beta'].text}",
        f"{month.facts.bars[-1].high} {month.facts.bars[-1].range}",
        "fine",
    ]


def test_both_roles_are_told_the_horizon_of_the_schedule(full, access):
    news = pd.DataFrame({"published_at": full.bars.index + pd.Timedelta(hours=9), "headline": "Orders rose"})
    study = Study((replace(full, tables=Tables(news=news)),), ("P4",), Brief(every=60))
    for role in ("strategist", "analyst"):
        (request, *_) = preview(study, access, day="2000-01-01", following=True, role=role).requests
        text = "\n".join(message["content"] for message in request["messages"])
        assert "next 60 trading days" in text
        assert "of the last 60 trading days" in text


def test_levels_that_are_none_are_refused():
    with pytest.raises(GuidanceError, match="levels relative or absolute, got 'percent'"):
        Brief(levels="percent")
