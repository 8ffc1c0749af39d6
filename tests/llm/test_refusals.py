"""A prompt that a filter stopped is told from an error, and a refused parameter is known by its name."""

from __future__ import annotations

import json
import sqlite3

import pytest
from openai_server import OpenAIServer, _Handler

from llmguide.errors import FilteredError, TruncatedError
from llmguide.guidance.language_model import LanguageModel
from llmguide.llm.cache import Cache
from llmguide.llm.probe import Capabilities, Readiness
from llmguide.llm.protocol import Sampling
from llmguide.llm.refusals import is_filtered, refused_parameter
from llmguide.llm.replies import read_completion, read_object
from llmguide.sources.synthetic import sample_bars

AZURE = {
    "error": {
        "message": "The response was filtered due to the prompt triggering the content policy.",
        "param": "prompt",
        "code": "content_filter",
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
}


def refusing(monkeypatch, refuse):
    """Let the server answer with the (status, error) that `refuse` gives for a body, where it gives one."""
    post = _Handler._write

    def write(self, status, body, headers=None):
        asked = self.server.owner.requests[-1]
        if found := refuse(asked):
            status, body = found[0], json.dumps(found[1]).encode()
        post(self, status, body, headers)

    monkeypatch.setattr(_Handler, "_write", write)


@pytest.mark.parametrize(
    ("body", "filtered"),
    [
        (AZURE, True),
        (AZURE["error"], True),
        ({"error": {"code": "content_policy_violation"}}, True),
        ({"error": {"code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, True),
        ({"error": {"code": "invalid_request", "message": "the content_filter setting is unknown"}}, False),
        ({"error": "content_filter"}, False),
        (None, False),
    ],
)
def test_only_a_code_says_that_a_prompt_was_filtered(body, filtered):
    assert is_filtered(body) is filtered


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ({"param": "seed", "code": "unsupported_parameter", "message": ""}, "seed"),
        ({"message": "Unrecognized request argument supplied: seed"}, "seed"),
        ({"message": "Unsupported value: 'temperature' does not support 0 with this model."}, "temperature"),
        (
            {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."},
            "max_tokens",
        ),
        ({"detail": [{"loc": ["body", "seed"], "msg": "extra fields not permitted"}]}, "seed"),
        ({"message": "temperature must be at most 1", "param": "temperature", "code": "invalid_value"}, ""),
        ({"message": "This model is not supported."}, ""),
    ],
)
def test_a_refused_parameter_is_known_by_its_name(error, name):
    assert refused_parameter(error) == name


def test_a_filtered_prompt_is_read_as_filtered():
    with pytest.raises(FilteredError, match="stopped the prompt"):
        read_completion(json.dumps(AZURE))


def test_a_month_whose_prompt_was_filtered_abstains_and_is_not_asked_again(monkeypatch, tmp_path):
    months = []

    def refuse(body):
        if "ready" in json.dumps(body.get("response_format")):
            return None
        if body["messages"] not in months:
            months.append(body["messages"])
        return (400, AZURE) if months.index(body["messages"]) == 1 else None

    refusing(monkeypatch, refuse)
    bars = sample_bars().iloc[:100]
    with OpenAIServer() as server:
        settings = {"model": "scripted", "prompt": "P0", "base_url": server.url, "cache": tmp_path / "c.sqlite"}
        settings |= {"in_flight": 1}  # `refusing` looks at the request that came last
        table = LanguageModel(**settings)(bars)
        assert sum(row.direction is None for row in table.rows) == 1
        asked = len(server.requests)
        assert LanguageModel(**settings)(bars).rows == table.rows
        assert len(server.requests) == asked
    assert LanguageModel(**settings, replay=True)(bars).rows == table.rows
    with pytest.raises(FilteredError):
        LanguageModel(**settings, replay=True, strict=True)(bars)


def test_what_an_endpoint_refuses_is_left_out_remembered_and_replayed_elsewhere(monkeypatch, tmp_path):
    def refuse(body):
        for name in ("max_tokens", "temperature", "seed", "logprobs"):
            if name in body:
                error = {"message": f"Unsupported parameter: '{name}'", "param": name, "code": "unsupported_parameter"}
                return 400, {"error": error}
        return None

    refusing(monkeypatch, refuse)
    bars = sample_bars().iloc[:60]
    with OpenAIServer() as server:
        settings = {"model": "scripted", "prompt": "P0", "base_url": server.url}
        table = LanguageModel(**settings, cache=tmp_path / "c.sqlite")(bars)
        assert all(row.direction is not None for row in table.rows)
        last = server.requests[-1]
        assert "max_completion_tokens" in last
        assert not {"max_tokens", "temperature", "seed", "logprobs"} & last.keys()
        with Cache(tmp_path / "c.sqlite") as cache:
            found = cache.capabilities(server.url, "scripted")
            assert found is not None
            assert found.refused == ("temperature", "seed", "max_tokens")
            assert "temperature 0 is refused and not sent" in found.describe()
            assert found.sampling(Sampling()).max_tokens == 2000  # sent under its other name
            cache.export_jsonl(tmp_path / "answers.jsonl")
        asked = len(server.requests)
        LanguageModel(**settings, cache=tmp_path / "c.sqlite")(sample_bars().iloc[:90])  # as a new process does
        assert len(server.requests) == asked + 1
        assert "max_tokens" not in server.requests[-1]
    with Cache(tmp_path / "other.sqlite") as other:
        other.import_jsonl(tmp_path / "answers.jsonl")
    assert LanguageModel(**settings, cache=tmp_path / "other.sqlite", replay=True)(bars).rows == table.rows


def test_a_cache_of_the_first_format_keeps_what_it_knows(tmp_path):
    path = tmp_path / "c.sqlite"
    with Cache(path) as cache:
        cache.set_capabilities("http://e/v1", "m", Capabilities("text", False, "prose"))
    old = sqlite3.connect(path)
    old.execute("ALTER TABLE capabilities DROP COLUMN refused")
    old.execute("ALTER TABLE calls DROP COLUMN batched")
    for table in ("under_way", "batches", "batch_requests"):
        old.execute(f"DROP TABLE {table}")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    with Cache(path) as cache:
        assert cache.capabilities("http://e/v1", "m") == Capabilities("text", False, "prose")


def test_what_is_refused_is_not_sampled():
    can = Capabilities("json_schema", False, "", ("temperature",))
    assert can.sampling(Sampling()) == Sampling(temperature=None, top_logprobs=None)


def test_a_limit_that_was_spent_on_thinking_tells_to_raise_it():
    choice = {"finish_reason": "length", "message": {"role": "assistant", "content": ""}}
    usage = {"completion_tokens": 2000, "completion_tokens_details": {"reasoning_tokens": 2000}}
    with pytest.raises(TruncatedError, match=r"spent \(2000 of them for thinking\).*raise max_tokens"):
        read_object(read_completion(json.dumps({"choices": [choice], "usage": usage})), Readiness)
