"""The questions of an audit: the Strategist's own, and what is changed in them, one thing at a time."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from leaning import Leaning
from remembering import asker_of

from llmguide import sample_bars
from llmguide.errors import GuidanceError, MissingAnswers
from llmguide.features.facts import facts_at
from llmguide.guidance.doubt.coding import FORMS
from llmguide.guidance.inquiries.bias_questions import flat_bars, paraphrased, replaces_own
from llmguide.guidance.inquiries.bias_study import BiasStudy, run_bias
from llmguide.guidance.inquiries.mirror import mirrored
from llmguide.guidance.planning import plan_bias
from llmguide.guidance.strategist import Brief, Subject, prepare, write_prompt
from llmguide.guidance.study import Study, run_study
from llmguide.llm.access import Access
from llmguide.llm.protocol import Message

BARS = {"ACME": sample_bars(years=1, seed=10), "BETA": sample_bars(years=1, seed=5)}
SUBJECTS = tuple(Subject(symbol, bars) for symbol, bars in BARS.items())
STUDY = BiasStudy(SUBJECTS, "P0")
MONTHS = sum(len(range(30, len(bars), 20)) for bars in BARS.values())


def of_kind(study, kind, symbol="ACME", form=None):
    return {q.issued_at: q.messages for q in study.questions if (q.kind, q.symbol, q.form) == (kind, symbol, form)}


def test_every_month_is_asked_in_eight_ways_and_a_month_without_news_of_prices_in_five():
    assert len(STUDY.questions) == 8 * MONTHS + 5
    assert [q.form for q in STUDY.questions if q.kind == "null"] == [None, *FORMS]


@pytest.mark.parametrize("prompt", ["P0", "P1"])
def test_guidance_that_is_debiased_shares_all_its_answers_with_the_audit(tmp_path, prompt):
    asker = asker_of(Leaning(), tmp_path)
    run_study(Study(SUBJECTS, (prompt,), Brief(debias=True)), asker)
    there = {request.key for request in asker._client.sent}
    again = asker_of(Leaning(), tmp_path)
    study = BiasStudy(SUBJECTS, prompt)
    run_bias(study, again)
    # Without tables the bare question is the plain one: only what is null, mirrored and in other words is new.
    assert len(again._client.sent) == 2 * MONTHS + 5
    assert not there & {request.key for request in again._client.sent}
    third = asker_of(Leaning(), tmp_path)
    run_bias(study, third)
    assert third._client.sent == []


@pytest.mark.parametrize("t", [110, 190])
def test_no_bar_after_t_changes_a_question_up_to_t(t):
    changed = BARS["ACME"].copy()
    changed.loc[changed.index[t:], ["open", "high", "low", "close"]] *= 1.7
    other = BiasStudy((Subject("ACME", changed), SUBJECTS[1]), "P1")
    study, until = BiasStudy(SUBJECTS, "P1"), changed.index[t]
    for kind in ("plain", "paraphrase", "bare", "mirrored"):
        old, new = of_kind(study, kind), of_kind(other, kind)
        assert all(old[day] == new[day] for day in old if day <= until)
        assert any(old[day] != new[day] for day in old if day > until)
    assert of_kind(study, "null", "") == of_kind(other, "null", "")


def test_mirrored_months_show_the_reflected_bars_and_neither_they_nor_their_twins_show_tables(make_tables):
    bars = BARS["ACME"]
    study = BiasStudy((Subject("ACME", bars, make_tables(bars)),), "P1")
    bare, day = Subject("ACME", bars), bars.index[150]
    for kind, known in (("bare", bars.iloc[:150]), ("mirrored", mirrored(bars.iloc[:150]))):
        assert of_kind(study, kind)[day] == write_prompt("P1", bare, prepare(bare, day, known), Brief())
    assert "# The market" in of_kind(study, "plain")[day][-1].content
    assert of_kind(study, "plain")[day] != of_kind(study, "bare")[day] != of_kind(study, "mirrored")[day]
    kinds = [q.kind for q in study.questions if q.issued_at == day]
    assert kinds == ["plain", *["coded"] * 4, "paraphrase", "bare", "mirrored"]


def test_nothing_moves_in_the_null_question_and_its_mirror_image_is_itself():
    bars = flat_bars()
    assert mirrored(bars).equals(bars)
    facts = facts_at(bars)
    assert facts["technical.rsi_14"].value == 50.0
    assert facts["technical.sma_200"].value == facts["technical.macd"].value == facts["stock.return_1w"].value == 0.0
    text = of_kind(STUDY, "null", "")[None][-1].content
    assert set(re.findall(r"^\d+ \| (.*)$", text, re.MULTILINE)) == {"100.00 | 100.00 | 100.00 | 100.00 | 1.00"}


@pytest.mark.parametrize("levels", ["relative", "absolute"])
def test_the_null_question_is_the_same_for_every_instrument_and_tells_no_name(levels):
    named = Brief(levels=levels, anonymous=False)
    first, second = (BiasStudy((one,), "P1", named).questions[:5] for one in SUBJECTS)
    assert first == second
    assert not any("2000" in message.content or "# Instrument" in message.content for message in first[0].messages)


@pytest.mark.parametrize("prompt", ["P0", "P1", "P2", "P3", "P4"])
def test_the_paraphrase_changes_the_first_paragraph_of_our_prompts_and_nothing_else(prompt):
    brief = Brief(every=15)
    study = BiasStudy(SUBJECTS[:1], prompt, brief)
    assert study.paraphrases_own
    for day, (system, user) in of_kind(study, "plain").items():
        other, same = of_kind(study, "paraphrase")[day]
        (first, *rest), (another, *remainder) = system.content.split("\n\n"), other.content.split("\n\n")
        assert (rest, user) == (remainder, same)
        assert first != another
        for words in ("LONG", "SHORT", "15 trading days", "capital", "Strategist"):
            assert words in first
            assert words in another


def test_another_template_s_first_paragraph_is_replaced_or_one_is_added(tmp_path):
    theirs = (Message("system", "Be brief.\n\nAnswer in JSON."), Message("user", "# Prices\n1, 2, 3"))
    assert not replaces_own(theirs, horizon=20)
    system, user = paraphrased(theirs, horizon=20)
    assert "Be brief" not in system.content
    assert system.content.endswith("\n\nAnswer in JSON.")
    assert user == theirs[1]
    alone = theirs[1:]
    assert not replaces_own(alone, horizon=20)
    assert paraphrased(alone, horizon=20)[1:] == alone
    template = tmp_path / "mine.md"
    template.write_text('{% extends "P0.md" %}{% block system %}Be brief. LONG or SHORT?{% endblock %}')
    assert not BiasStudy(SUBJECTS, template).paraphrases_own


def test_the_plan_counts_what_is_asked_and_a_replay_needs_no_endpoint(tmp_path):
    cache = tmp_path / "cache.sqlite"
    access = Access(model="scripted", cache=cache, base_url="http://scripted/v1")
    planned = plan_bias(STUDY, access).calls
    assert not cache.exists()
    asker = asker_of(Leaning(), tmp_path)
    answers = run_bias(STUDY, asker)
    assert planned == len({request.key for request in asker._client.sent}) - 1  # the probe
    assert len(asker._client.sent) == planned + 1
    assert set(asker.ledger.frame()["role"]) == {"bias", "probe"}
    assert plan_bias(STUDY, access)[:2] == (0, len(STUDY.questions))
    replay = replace(access, replay=True, base_url=None)
    assert [one[:3] for one in run_bias(STUDY, replay.asker())] == [one[:3] for one in answers]
    with pytest.raises(MissingAnswers, match=r"lacks \d+ answers"):
        run_bias(BiasStudy(SUBJECTS, "P1"), replay.asker())


def test_the_same_instrument_twice_is_refused():
    with pytest.raises(GuidanceError, match="expected every instrument once"):
        BiasStudy((SUBJECTS[0], SUBJECTS[0]))
