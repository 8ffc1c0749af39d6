"""A real model's answers, recorded: today's prompts are the recorded ones, and its uncertainty is what its logits say.

`make record` makes the files in `tests/recorded` anew.
"""

from __future__ import annotations

import json

import pytest
from recorded.study import HERE, SETTINGS, run

from llmguide.llm.access import Access
from llmguide.llm.cache import Cache

LOGITS = json.loads((HERE / "logits.json").read_text())


@pytest.fixture(scope="module")
def advice(tmp_path_factory):
    """The recorded study, replayed; a question that is not byte for byte the recorded one has no answer."""
    path = tmp_path_factory.mktemp("recorded") / "llm.sqlite"
    with Cache(path) as cache:
        cache.import_jsonl(HERE / "study.jsonl")
    return {f"{one.prompt} {one.issued_at:%Y-%m-%d}": one for one in run(Access(**SETTINGS, cache=path, replay=True))}


def test_every_question_of_today_was_recorded_and_none_is_left_over(advice):
    lines = [json.loads(line) for line in (HERE / "study.jsonl").read_text().splitlines()]
    recorded = [line["request"] for line in lines if line["kind"] == "reply"]
    asked = {json.dumps([list(message) for message in one.messages]) for one in advice.values()}
    strategist = [one for one in recorded if one["schema_name"] == "StrategistReply"]
    assert asked <= {json.dumps(one["messages"]) for one in strategist}
    assert {one["schema_name"] for one in recorded} == {"Readiness", "AnalystReply", "StrategistReply"}


def test_the_file_is_small_and_names_no_machine():
    text = (HERE / "study.jsonl").read_text()
    assert len(text) <= 2**20
    assert "/tmp" not in text
    assert "127.0.0.1" not in text


def test_the_real_model_s_answers_are_usable(advice):
    assert len(advice) == len(LOGITS) == 4
    assert all(one.reply is not None and not one.tokens_misfit for one in advice.values())


@pytest.mark.parametrize("key", sorted(LOGITS))
@pytest.mark.parametrize("measure", ["perplexity", "entropy"])
def test_uncertainty_is_what_the_model_s_own_logits_say(advice, key, measure):
    assert getattr(advice[key], measure) == pytest.approx(LOGITS[key][measure], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("key", sorted(LOGITS))
def test_the_direction_s_own_odds_are_those_of_the_alternatives_that_came(advice, key):
    """The server names five alternatives. The rest of the vocabulary, other spellings among it, is in the logits."""
    ours, all_of_them = advice[key].p_long, LOGITS[key]["p_long"]
    if ours is None:  # one of the two is not among the five, and what they leave is too much to say
        assert key == "P4 2013-03-26"
        assert 0.05 < LOGITS[key]["p_long_of_five"] < 0.95
        return
    assert ours == pytest.approx(LOGITS[key]["p_long_of_five"], abs=1e-3)
    assert (ours - 0.5) * (all_of_them - 0.5) >= 0 or abs(all_of_them - 0.5) < 0.1
