"""A language model as a judge: what it is shown, and what becomes of its answers."""

from __future__ import annotations

import json

import pytest
from made_review import AT, packet
from scripted_client import ScriptedClient, body

from llmguide.errors import MissingAnswers
from llmguide.guidance.review.judge import RubricReply, judge_question, judge_sheet, run_judge
from llmguide.guidance.review.sheet import find_sheets, save_sheet
from llmguide.llm.access import Access

PACKET = packet(4)
FULL = {"comment": "the risks are not weighed", "rationale": 3, "fidelity": 2, "safety": 1}


def ask(tmp_path, answer, **settings):
    """Everything asked of a scripted model; returns the answers and the client."""
    client = ScriptedClient(answer)
    access = Access(cache=tmp_path / "cache.sqlite", model="judge/model:1", **settings)
    return run_judge(PACKET, access.asker(study="judge", client=client)), client


def test_the_judge_sees_data_answer_and_rubric_and_neither_date_prompt_nor_outcome():
    month = PACKET.months[0]
    system, user = judge_question(month)
    for word in ("flawed", "partial", "sound", "unrealistic", "plausible", "professional"):
        assert word in system.content
    for word in ("ignored", "mentioned", "addressed", "next 20 trading days"):
        assert word in system.content
    assert month.question[1].content in user.content
    assert month.question[0].content not in user.content
    for said in (month.reply.direction, month.reply.explanation, *(one.name for one in month.reply.features)):
        assert said in user.content
    changed = month.model_copy(update={"realised": -0.9, "hindsight": 0, "prompt": "PX", "model": "other"})
    assert judge_question(changed) == (system, user)


def test_scores_become_a_sheet_of_a_model_that_is_read_back(tmp_path):
    judged, client = ask(tmp_path, lambda request: body(json.dumps(FULL), prompt=700))
    assert [one.month.id for one in judged] == [month.id for month in PACKET.months]
    sheet = judge_sheet(PACKET, judged, model="judge/model:1", at=AT)
    assert (sheet.reviewer, sheet.kind) == ("judge-judge-model-1", "model")
    entry = sheet.answers[PACKET.months[0].id]
    assert (entry.own, entry.comment, entry.scores.model_dump()) == (
        None,
        FULL["comment"],
        {"rationale": 3, "fidelity": 2, "safety": 1},
    )
    save_sheet(tmp_path, sheet)
    assert find_sheets(tmp_path, PACKET) == (sheet,)
    again, client = ask(tmp_path, lambda request: pytest.fail("asked again"), replay=True)
    assert (again, client.sent) == (judged, [])


def test_an_answer_outside_the_rubric_is_no_score(tmp_path):
    bad = PACKET.months[1].question[1].content

    def answer(request):
        reply = FULL | {"safety": 4} if any(bad in one.content for one in request.messages) else FULL
        return body(json.dumps(reply), prompt=700)

    judged, _ = ask(tmp_path, answer)
    usable = [one for one in judged if one.reply is not None]
    assert [one.month.id for one in usable] == [month.id for month in PACKET.months if month != PACKET.months[1]]
    sheet = judge_sheet(PACKET, judged, model="m", at=AT)
    assert sheet.answers.keys() == {one.month.id for one in usable}


def test_a_replay_that_lacks_answers_says_of_which_months(tmp_path):
    ask(tmp_path, lambda request: body(json.dumps(FULL), prompt=700))
    access = Access(cache=tmp_path / "cache.sqlite", model="another", replay=True)
    with pytest.raises(MissingAnswers, match=f"lacks 4 answers of another: judge {PACKET.months[0].symbol}"):
        run_judge(PACKET, access.asker(study="judge"))


def test_the_comment_stands_before_the_scores():
    assert list(RubricReply.model_fields) == ["comment", "rationale", "fidelity", "safety"]
