"""What an endpoint can do is found with few questions, and said in one line."""

from __future__ import annotations

import asyncio

import pytest
from openai_server import REPLY_KINDS, OpenAIServer

from llmguide.errors import EndpointError
from llmguide.llm.openai_client import OpenAIClient
from llmguide.llm.probe import Capabilities, probe
from llmguide.llm.protocol import Sampling


def found(server, *, top_logprobs=5):
    async def ask():
        client = OpenAIClient(base_url=server.url, api_key="of-nobody", max_retries=0)
        try:
            return await probe(client.send, "scripted", sampling=Sampling(top_logprobs=top_logprobs))
        finally:
            await client.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("response_format", "logprobs", "expected", "questions"),
    [
        ("json_schema", True, ("json_schema", True), 1),
        ("json_schema", "drop", ("json_schema", False), 2),
        ("json_schema", "refuse", ("json_schema", False), 2),
        ("json_object", True, ("json_object", True), 3),
        ("json_object", "drop", ("json_object", False), 4),
        ("json_object", "refuse", ("json_object", False), 4),
        ("ignore", True, ("text", True), 5),
        ("ignore", "drop", ("text", False), 5),
        ("ignore", "refuse", ("text", False), 6),
        ("refuse", True, ("text", True), 5),
        ("refuse", "drop", ("text", False), 6),
        ("refuse", "refuse", ("text", False), 6),
    ],
)
def test_every_kind_of_endpoint_is_told_apart(response_format, logprobs, expected, questions):
    with OpenAIServer(response_format=response_format, logprobs=logprobs) as server:
        got = found(server)
        assert (got.reply_format, got.logprobs) == expected
        assert len(server.requests) == questions
        assert bool(got.note) == (questions > 1)


def test_log_probabilities_that_are_not_wanted_are_not_asked_for():
    with OpenAIServer(logprobs="refuse") as server:
        assert found(server, top_logprobs=None) == Capabilities("json_schema", False, "")
        assert "logprobs" not in server.requests[0]


@pytest.mark.parametrize("kind", sorted({*REPLY_KINDS} - {"slow"}))
def test_one_bad_reply_does_not_lower_what_an_endpoint_can_do(kind):
    with OpenAIServer(faults=[kind]) as server:
        assert found(server) == Capabilities("json_schema", True, "")
        assert len(server.requests) == 2
        assert server.requests[0]["messages"] != server.requests[1]["messages"]


@pytest.mark.parametrize(("settings", "status"), [({"key": "another"}, 401), ({"models": ["other"]}, 404)])
def test_a_key_or_a_model_that_is_refused_ends_the_probe(settings, status):
    with OpenAIServer(**settings) as server:
        with pytest.raises(EndpointError) as caught:
            found(server)
        assert caught.value.status == status
        assert len(server.requests) <= 1


def test_an_endpoint_that_is_not_there_ends_the_probe():
    with OpenAIServer() as server:
        pass
    with pytest.raises(EndpointError, match="is the server running"):
        found(server)


def test_an_endpoint_that_refuses_every_way_to_ask_is_an_error():
    asked = []

    async def refuse(request):
        bounded = "maxLength" in request.schema_json
        asked.append((request.reply_format, bounded, request.sampling.top_logprobs is not None))
        raise EndpointError("no", status=422)

    with pytest.raises(EndpointError, match="no"):
        asyncio.run(probe(refuse, "m", sampling=Sampling()))
    ways = (("json_schema", True), ("json_schema", False), ("json_object", False), ("text", False))
    assert asked == [(*way, told) for way in ways for told in (True, False)]


def test_a_model_that_never_answers_in_json_is_asked_in_words_and_it_is_said():
    with OpenAIServer(answer=lambda body: "I cannot say.") as server:
        got = found(server)
        assert (got.reply_format, got.logprobs) == ("text", True)
        assert "no reply to the probe was JSON" in got.describe()
        assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("capabilities", "line"),
    [
        (Capabilities("json_schema", True, ""), "structured output by schema; log-probabilities"),
        (
            Capabilities("json_object", False, "log-probabilities are left out"),
            "JSON mode, replies checked here; no log-probabilities: no entropy term, certainty 1 "
            "(log-probabilities are left out)",
        ),
    ],
)
def test_capabilities_are_told_in_one_line(capabilities, line):
    assert capabilities.describe() == line


@pytest.mark.parametrize(
    ("lengths", "logprobs", "questions", "note"),
    [
        (True, True, 1, ""),
        ("ignore", True, 1, "lengths in a schema are ignored"),
        ("refuse", True, 2, "lengths in a schema are refused"),
        ("refuse", "refuse", 4, "log-probabilities are refused; lengths in a schema are refused"),
        ("refuse vaguely", True, 3, "lengths in a schema are refused"),
    ],
)
def test_lengths_in_a_schema_are_sent_only_where_they_hold(lengths, logprobs, questions, note):
    with OpenAIServer(lengths=lengths, logprobs=logprobs) as server:
        got = found(server)
        assert got.reply_format == "json_schema"
        assert (got.bounds, got.note) == ("set" if lengths is True else "none", note)
        assert len(server.requests) == questions


def test_lengths_are_no_matter_of_an_endpoint_without_schemas():
    assert Capabilities("json_object", True, "").bounds == "none"
