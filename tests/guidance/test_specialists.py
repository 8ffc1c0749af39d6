"""Specialists: each sees its own group and no other, and says nothing where nothing is known of it."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from scripted_client import ScriptedClient, body

from llmguide.guidance.strategist import prepare, uses_news, write_prompt
from llmguide.guidance.study import Study, guidance_of, run_study
from llmguide.llm.asking import Asker
from llmguide.llm.cache import Cache
from llmguide.llm.templates import NothingKnown, packaged
from llmguide.sources.tables import Tables

sys.path.insert(0, str(Path(__file__).parents[1]))
from recorded.study import recorded_study

GROUPS = ("stock", "technical", "market", "fundamentals", "macro", "options")
STUDY = recorded_study()
(SUBJECT,) = STUDY.subjects


def answer(request):
    if request.schema_name == "Readiness":
        return body('{"ready": "yes", "count": "one"}')
    if request.schema_name == "AnalystReply":
        return body(json.dumps({"factors": [{"text": "Orders rise.", "sentiment": 1, "impact": 2}]}), prompt=2000)
    said = {"explanation": "So.", "features": [], "direction": "LONG", "confidence": 2}
    return body(json.dumps(said), prompt=2000)


def asked_by(prompts, folder, subject=SUBJECT):
    client = ScriptedClient(answer)
    asker = Asker(Cache(folder / "llm.sqlite"), model="scripted", client=client, study="one")
    advice = run_study(Study((subject,), tuple(prompts), STUDY.brief), asker)
    return advice, [request for request in client.sent if request.schema_name == "StrategistReply"]


@pytest.mark.parametrize("group", GROUPS)
def test_a_specialist_sees_its_group_and_no_other(tmp_path, group):
    advice, sent = asked_by([group], tmp_path)
    told = {request.messages[1].content for request in sent}  # quarterly data may be the same in both months
    assert len(told) == len(sent) in (1, 2)
    assert [one.row.direction for one in advice] == [1, 1]
    for request in sent:
        system, user = (message.content for message in request.messages)
        named = set(re.findall(r"^(\w+)\.[\w*]+", f"{system}\n{user}", re.MULTILINE))
        assert named == {group}
        assert ("# Prices" in user) == (group == "technical")
        assert "You are one of several specialists" in system
        assert "confidence" in system


def test_the_specialist_for_news_sees_the_factors_alone(tmp_path):
    advice, sent = asked_by(["news"], tmp_path)
    assert uses_news("news")
    assert {request.messages[1].content for request in sent} == {
        "# News of the last 20 trading days, condensed\n- Orders rise. (sentiment +1, impact 2)"
    }
    assert guidance_of(advice, symbol="MADE", prompt="news").rows[0].direction == 1


@pytest.mark.parametrize("group", ["market", "fundamentals", "macro", "options", "news"])
def test_where_nothing_is_known_nothing_is_asked_and_the_month_abstains(tmp_path, group):
    bare = replace(SUBJECT, tables=Tables())
    advice, sent = asked_by([group, "technical"], tmp_path, bare)
    assert len(sent) == 2  # the other specialist's
    table = guidance_of(advice, symbol="MADE", prompt=group)
    assert [row.direction for row in table.rows] == [None, None]
    assert all(row.explanation.startswith("Abstained: not asked: ") for row in table.rows)
    assert [row.tau for row in table.rows] == [0.0, 0.0]
    assert [one.cost.calls for one in advice if one.prompt == group] == [0, 0]


def test_the_reason_is_told_where_a_prompt_is_only_shown():
    known = SUBJECT.bars.iloc[:301]
    month = prepare(replace(SUBJECT, tables=Tables()), pd.Timestamp(SUBJECT.bars.index[301]), known)
    with pytest.raises(NothingKnown, match="nothing is known of the economy"):
        write_prompt("macro", SUBJECT, month, STUDY.brief)


def test_every_group_of_the_last_prompt_has_its_specialist():
    assert {*GROUPS, "news"} <= set(packaged())
