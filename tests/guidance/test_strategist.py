"""One month's question: what it shows, what it hides, and that it never sees what came later."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from openai_server import Answer, OpenAIServer

from llmguide.errors import GuidanceError
from llmguide.features.levels import LEVELS
from llmguide.guidance.advice import Factor, StrategistReply
from llmguide.guidance.news.anonymise import Name, Names
from llmguide.guidance.strategist import Brief, Subject, advise, prepare, uses_memory, uses_news, write_prompt
from llmguide.guidance.study import Study, run_study
from llmguide.llm.templates import prompt_hash, source
from llmguide.llm.waiting import wait_for
from llmguide.sources.tables import Tables

BRIEF = Brief()


each_levels = pytest.mark.parametrize("brief", [BRIEF, replace(BRIEF, levels="absolute")], ids=LEVELS)


def months_of(subject, brief=BRIEF):
    return list(Study((subject,), ("P4",), brief).months(subject))


def question(subject, month, prompt="P4", brief=BRIEF, **what):
    return "\n".join(message.content for message in write_prompt(prompt, subject, month, brief, **what))


def test_a_prompt_shows_each_group_that_is_known(subject):
    text = question(subject, months_of(subject)[-1])
    for expected in ("technical.rsi_14:", "stock.beta:", "market.vix:", "fundamentals.revenue_yoy:", "macro.ppi_yoy:"):
        assert expected in text
    assert "options.otm_skew:" in text


def test_what_a_user_does_not_have_is_absent(subject):
    bare = Subject("ACME", subject.bars)
    text = write_prompt("P4", bare, months_of(bare)[-1], BRIEF)[-1].content  # the legend before it is always the same
    assert "technical.rsi_14:" in text
    assert not re.search(r"(macro|fundamentals|options|market)\.", text)
    assert "nan" not in text.lower().split()


def test_neither_symbol_nor_date_reaches_the_model_unless_the_user_wants_it(subject):
    month = months_of(subject)[-1]
    hidden = question(subject, month)
    assert "ACME" not in hidden
    assert not re.search(r"\b(19|20)\d\d\b", hidden)
    told = question(subject, month, brief=replace(BRIEF, anonymous=False))
    assert f"ACME, before {month.issued_at:%Y-%m-%d}" in told


def test_objective_and_risk_profile_are_the_user_s(subject):
    brief = replace(BRIEF, objective="beat a savings account", risk_profile="cannot sleep at night")
    text = question(subject, months_of(subject)[0], "P0", brief)
    assert "Objective: beat a savings account" in text
    assert "Risk profile: cannot sleep at night" in text


def test_factors_of_the_news_stand_in_p4_only(subject):
    month, factors = months_of(subject)[0], [Factor(text="Orders rose.", sentiment=1, impact=3)]
    assert "Orders rose. (sentiment +1, impact 3)" in question(subject, month, "P4", factors=factors)
    assert "Orders rose." not in question(subject, month, "P3", factors=factors)


def test_news_that_the_analyst_could_not_read_is_not_taken_for_a_month_without_news(subject, access, server):
    def silent(body):
        return Answer("", refusal="I would rather not.") if "AnalystReply" in str(body["response_format"]) else None

    server.answer = silent
    few = replace(subject, bars=subject.bars.iloc[:60])
    advice = run_study(Study((few,), ("P4",)), access.asker())
    for one in advice:
        assert one.messages[-1].content.endswith(
            "# News of the last 20 trading days, condensed\nThe news could not be read."
        )
        assert "rather not" in one.news_failure
        assert (one.factors, one.news_cost.calls, one.cost.calls) == ((), 1, 2)
    without = replace(few, tables=replace(few.tables, news=None))
    for one in run_study(Study((without,), ("P4",)), access.asker()):
        assert one.messages[-1].content.endswith("# News of the last 20 trading days, condensed\nNo news is available.")
        assert (one.news_failure, one.news_cost.calls, one.cost.calls) == ("", 0, 1)


def test_a_template_edited_between_two_studies_has_another_hash_and_gets_what_it_now_asks_for(
    subject, access, server, tmp_path
):
    own, few = tmp_path / "own.md", replace(subject, bars=subject.bars.iloc[:60])
    own.write_text(source("P0"), encoding="utf-8")
    before = run_study(Study((few,), (own,)), access.asker())
    added = "# Before: {{ memory | length }}\n# News: {{ factors | length }}\n# Trend and momentum"
    own.write_text(source("P0").replace("# Trend and momentum", added), encoding="utf-8")
    after = run_study(Study((few,), (own,)), access.asker())
    assert [uses_memory(own), uses_news(own)] == [True, True]
    assert not {one.prompt_hash for one in before} & {one.prompt_hash for one in after}
    assert [one.messages[-1].content.count("# Before: 1") for one in after] == [0, 1]
    assert all(one.factors for one in after)


def test_the_hash_of_an_advice_is_that_of_the_template_it_was_asked_with(subject, access, tmp_path):
    own = tmp_path / "own.md"
    own.write_text(source("P0"), encoding="utf-8")

    def edit(body):
        if "StrategistReply" in str(body["response_format"]):  # while the question is under way
            own.write_text(source("P1"), encoding="utf-8")

    month, expected = months_of(subject)[0], prompt_hash(own, StrategistReply)

    async def ask(url):
        async with replace(access, base_url=url).asker() as asker:
            return await advise(own, subject, month, BRIEF, asker)

    with OpenAIServer(answer=edit) as server:
        one = wait_for(ask(server.url))
    assert one.prompt_hash == expected != prompt_hash(own, StrategistReply)


def test_a_row_tells_absolute_levels_from_relative_ones(subject, access):
    few = replace(subject, bars=subject.bars.iloc[:60])
    told, absolute = (
        {one.prompt_hash for one in run_study(Study((few,), ("P0",), brief), access.asker())}
        for brief in (BRIEF, replace(BRIEF, levels="absolute"))
    )
    assert told == {prompt_hash("P0", StrategistReply)}  # as it has always been
    assert len(absolute) == 1
    assert not told & absolute


def test_only_prompts_with_memory_wait_and_only_those_with_news_need_the_analyst():
    assert [uses_memory(f"P{n}") for n in range(5)] == [False, False, True, True, True]
    assert [uses_news(f"P{n}") for n in range(5)] == [False, False, False, False, True]


def test_the_names_of_a_subject_always_include_its_symbol():
    bars = pd.DataFrame()
    assert Subject("ACME", bars, names=Names((Name("Acme", "company"),))).hidden.text("NYSE: ACME") == "the Company"
    assert "ACME" not in Subject("ACME", bars).hidden.text("ACME rose")


@pytest.mark.parametrize("memory", [-1])
def test_a_memory_below_nothing_is_refused(memory):
    with pytest.raises(GuidanceError, match="memory >= 0"):
        Brief(memory=memory)


# Look-ahead: everything after t is changed, delayed or removed, and every prompt up to t stays the same.


def changed_after(subject: Subject, t: int, how: str) -> Subject:
    bars, moment = subject.bars.copy(), subject.bars.index[t - 1] + pd.Timedelta(hours=16)
    if how == "bars":
        bars.iloc[t:] *= np.linspace(1.5, 3.0, len(bars) - t)[:, None]
        return replace(subject, bars=bars)
    changed = {}
    for kind, frame in subject.tables.items():
        later = frame["published_at"] > moment
        table = frame.copy()
        if how == "removed":
            table = table[~later]
        elif how == "delayed":
            table.loc[later, "published_at"] += pd.Timedelta(days=3)
        else:
            for name in table.select_dtypes("number").columns:
                table.loc[later, name] = table.loc[later, name] * 0.5
            if kind == "news":
                table.loc[later, "headline"] = "Something else entirely"
        changed[kind] = table
    return replace(subject, tables=Tables(**changed))


@each_levels
@pytest.mark.parametrize("how", ["bars", "values", "delayed", "removed"])
@pytest.mark.parametrize("number", [2, 7])
def test_nothing_after_t_changes_a_prompt_or_the_news_up_to_t(subject, how, number, brief):
    before = months_of(subject, brief)
    t = int(subject.bars.index.get_loc(before[number].issued_at))
    after = months_of(changed_after(subject, t, how), brief)
    for old, new in zip(before[: number + 1], after[: number + 1], strict=True):
        assert question(subject, old) == question(subject, new)
        assert old.headlines == new.headlines
    # The test would be worth nothing if later prompts stayed the same too.
    assert question(subject, before[number + 2]) != question(subject, after[number + 2])


@pytest.mark.parametrize("delay", ["1s", "30D"])
def test_publishing_later_takes_a_fact_out_of_the_prompts_before(subject, delay):
    month = months_of(subject)[5]
    market = subject.tables.market
    late = market.assign(published_at=market["published_at"].clip(lower=month.facts.known_at + pd.Timedelta(delay)))
    shown = prepare(replace(subject, tables=Tables(market=late)), month.issued_at, month.known)
    assert not [name for name in shown.facts if name.startswith("market.")]


def test_whole_advice_up_to_t_is_untouched_by_what_comes_later(subject, access, tmp_path):
    short = replace(subject, bars=subject.bars.iloc[:170])
    t = 130
    study = Study((short,), ("P1", "P4"))
    other = Study((changed_after(changed_after(short, t, "bars"), t, "values"),), ("P1", "P4"))
    advice = run_study(study, access.asker())
    changed = run_study(other, replace(access, cache=tmp_path / "other.sqlite").asker())
    until = short.bars.index[t]
    early = [(one.messages, one.factors, one.row) for one in advice if one.issued_at <= until]
    assert early == [(one.messages, one.factors, one.row) for one in changed if one.issued_at <= until]
    assert len(early) == 2 * 6
    assert [one.messages for one in advice] != [one.messages for one in changed]
