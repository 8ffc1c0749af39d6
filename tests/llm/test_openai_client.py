"""The door to the openai SDK, against a real local server: what is sent, what is retried, and what is never told."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import subprocess
import sys
import time
import traceback

import pytest
from openai_server import TRANSPORT_KINDS, Faults, OpenAIServer

from llmguide.errors import EndpointError, TimedOutError
from llmguide.llm.openai_client import OPENAI, OpenAIClient
from llmguide.llm.protocol import Client, Message, Request, Sampling

KEY = "sk-a-secret-of-the-user-49"
SCHEMA = {"type": "object", "properties": {"direction": {"enum": ["LONG", "SHORT"]}}}


@pytest.fixture(autouse=True)
def _no_key_from_outside(monkeypatch):
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(variable, raising=False)


def question(text="Up or down?", **settings):
    return Request("scripted", (Message("user", text),), "View", json.dumps(SCHEMA), **settings)


def send(client, *requests):
    """Send requests at once, and close; return replies and errors."""

    async def all_of_them():
        try:
            return await asyncio.gather(*map(client.send, requests), return_exceptions=True)
        finally:
            await client.close()

    return asyncio.run(all_of_them())


def failure(client, request=None):
    (error,) = send(client, request or question())
    assert isinstance(error, EndpointError)
    return error


def test_a_reply_comes_back_as_it_was_sent():
    with OpenAIServer(delay=0.05) as server:
        client = OpenAIClient(base_url=server.url, api_key=KEY)
        checked: Client = client
        (reply,) = send(checked, question())
        assert json.loads(reply.body) == server.completion(server.requests[0], None)
        assert reply.seconds >= 0.05
        assert client.endpoint == server.url


def test_everything_that_shapes_the_answer_is_sent():
    sampling = Sampling(temperature=0.7, seed=7, frequency_penalty=1.0, presence_penalty=0.25, max_tokens=99)
    with OpenAIServer() as server:
        send(OpenAIClient(base_url=server.url), question(sampling=sampling))
        assert server.requests == [
            {
                "model": "scripted",
                "messages": [{"role": "user", "content": "Up or down?"}],
                "temperature": 0.7,
                "seed": 7,
                "frequency_penalty": 1.0,
                "presence_penalty": 0.25,
                "max_tokens": 99,
                "logprobs": True,
                "top_logprobs": 5,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "View", "schema": SCHEMA, "strict": True},
                },
            }
        ]


def test_what_is_left_to_the_endpoint_is_not_sent():
    nothing = Sampling(temperature=None, seed=None, top_logprobs=None)
    with OpenAIServer() as server:
        send(OpenAIClient(base_url=server.url), question(sampling=nothing, reply_format="text"))
        send(OpenAIClient(base_url=server.url), question(sampling=nothing, reply_format="json_object"))
        text, json_object = server.requests
        assert text.keys() == {"model", "messages", "max_tokens"}
        assert json_object["response_format"] == {"type": "json_object"}


def test_openai_itself_is_told_the_limit_in_the_words_of_its_newer_models():
    settings = OpenAIClient(api_key=KEY)._settings(question())
    assert settings["max_completion_tokens"] == 2000
    assert "max_tokens" not in settings


@pytest.mark.parametrize("kind", TRANSPORT_KINDS)
def test_a_passing_fault_is_retried_and_answered_once(kind):
    with OpenAIServer(faults=[kind]) as server:
        (reply,) = send(OpenAIClient(base_url=server.url, timeout=0.3), question())
        assert json.loads(reply.body)["choices"]
        assert len(server.requests) == 2
        assert server.requests[0] == server.requests[1]
        assert server.faulted == {kind: 1}
        assert list(server.complete.values()) == [1]


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("429", 429, "after 1 retry: wait"),
        ("500", 500, "after 1 retry: try again later"),
        ("timeout", None, "no answer within 0.2 seconds after 1 retry"),
        ("reset", None, "lost after 1 retry"),
        ("truncated", 200, "JSON that ends early"),
    ],
)
def test_a_lasting_fault_is_one_clear_error_after_bounded_tries(kind, status, words):
    with OpenAIServer(faults=[kind] * 9) as server:
        error = failure(OpenAIClient(base_url=server.url, timeout=0.2, max_retries=1))
        assert len(server.requests) == 2
        assert error.status == status
        assert words in str(error)
        assert str(error).startswith(f"{server.url}, model 'scripted': ")
        assert "\n" not in str(error)


@pytest.mark.parametrize("faults", [["timeout"] * 9, ["429", "500", "timeout", "429", "timeout"] + ["timeout"] * 9])
def test_a_question_that_is_not_answered_in_time_is_sent_again_only_once(faults):
    with OpenAIServer(faults=faults) as server:
        error = failure(OpenAIClient(base_url=server.url, timeout=0.2, max_retries=5))
        assert isinstance(error, TimedOutError)
        assert server.faulted["timeout"] == 2
        assert "no answer within 0.2 seconds after 1 retry; is the server busy?" in str(error)
        assert error.__context__ is None


def test_after_a_time_out_rate_limits_are_still_waited_for():
    with OpenAIServer(faults=["429", "timeout", "429", "429", "500"]) as server:
        (reply,) = send(OpenAIClient(base_url=server.url, timeout=0.3, max_retries=5), question())
        assert json.loads(reply.body)["choices"]
        assert reply.retries >= 4
        assert len(server.requests) == 6


def test_without_retries_a_time_out_is_not_retried_either():
    with OpenAIServer(faults=["timeout"] * 9) as server:
        error = failure(OpenAIClient(base_url=server.url, timeout=0.2, max_retries=0))
        assert "no answer within 0.2 seconds; is the server busy?" in str(error)
        assert len(server.requests) == 1


def test_a_rate_limit_is_waited_for_as_long_as_the_server_says():
    import openai  # noqa: F401  # takes seconds on a busy machine

    with OpenAIServer(faults=["429"] * 3) as server:
        start = time.perf_counter()
        send(OpenAIClient(base_url=server.url), question())
        # 3 times the 50 ms of the header; the SDK's own pauses would add up to 2.6 s at least.
        assert 0.15 <= time.perf_counter() - start < 2.5


def test_many_requests_under_faults_are_all_answered_and_each_once():
    with OpenAIServer(
        faults=Faults(rate=0.2, kinds=("429", "500", "reset", "truncated"), seed=1), delay=0.05
    ) as server:
        replies = send(OpenAIClient(base_url=server.url), *[question(str(i)) for i in range(40)])
        assert all(json.loads(reply.body)["choices"] for reply in replies)
        assert sum(server.faulted.values()) >= 4
        assert len(server.complete) == 40
        assert set(server.complete.values()) == {1}
        assert server.max_in_flight > 5


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({"key": "another-key"}, 401, "set OPENAI_API_KEY"),
        ({"models": ["gpt-4o-mini"]}, 404, "is the model's name right"),
        ({"logprobs": "refuse"}, 403, "You are not allowed to request logprobs"),
        ({"response_format": "refuse"}, 400, "Unknown parameter: 'response_format'"),
    ],
)
def test_what_the_endpoint_refuses_is_told_at_once(settings, status, words):
    with OpenAIServer(**settings) as server:
        error = failure(OpenAIClient(base_url=server.url, api_key=KEY))
        assert len(server.requests) <= 1
        assert error.status == status
        assert words in str(error)
        copy = pickle.loads(pickle.dumps(error))
        assert (str(copy), copy.status) == (str(error), error.status)


def test_a_server_that_is_not_there_is_asked_after():
    with OpenAIServer() as server:
        url = server.url
    error = failure(OpenAIClient(base_url=url, max_retries=0))
    assert error.status is None
    assert "is the server running" in str(error)


def test_a_page_instead_of_an_answer_points_at_the_base_url(monkeypatch):
    client = OpenAIClient(base_url="http://127.0.0.1:1/v1")

    async def post(model, settings):
        return "<html>Log in</html>", 0

    monkeypatch.setattr(client, "_post", post)
    assert "is the base URL right?" in str(failure(client))


@pytest.mark.parametrize(
    ("code", "tries", "status"), [(502, 3, 502), (429, 3, 429), (402, 1, 402), ("no_credit", 1, 200)]
)
def test_an_error_under_status_200_is_an_error(monkeypatch, code, tries, status):
    # OpenRouter answers so where the provider behind it failed after the first byte.
    posts = []
    client = OpenAIClient(base_url="http://127.0.0.1:1/v1")

    async def post(model, settings):
        posts.append(settings)
        return json.dumps({"error": {"message": "Provider returned error", "code": code}}), 0

    monkeypatch.setattr(client, "_post", post)
    error = failure(client)
    assert (len(posts), error.status) == (tries, status)
    assert "Provider returned error" in str(error)


def test_the_settings_come_from_the_environment(monkeypatch):
    with OpenAIServer(key=KEY) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        client = OpenAIClient()
        assert client.endpoint == server.url
        send(client, question())
        assert list(server.complete.values()) == [1]


def test_only_openai_itself_needs_a_key():
    with pytest.raises(EndpointError, match="OPENAI_API_KEY"):
        OpenAIClient()
    assert OpenAIClient(api_key=KEY).endpoint == OPENAI
    with OpenAIServer() as server:
        send(OpenAIClient(base_url=server.url), question())
        assert len(server.complete) == 1


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host/v1", "http://", "http://host:99999/v1", "http://a host/v1"]
)
def test_a_base_url_that_is_none_is_refused(url):
    with pytest.raises(EndpointError, match="expected a base URL such as"):
        OpenAIClient(base_url=url)


@pytest.mark.parametrize("key", ["sk-two words", "sk-é", "sk-line\nbreak"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key):
    with pytest.raises(EndpointError, match="API key") as caught:
        OpenAIClient(base_url="http://127.0.0.1:1/v1", api_key=key)
    assert key not in str(caught.value)


def test_a_local_server_is_reached_past_the_proxy_of_the_environment(monkeypatch):
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with OpenAIServer() as server:
        (reply,) = send(OpenAIClient(base_url=server.url, max_retries=0), question())
        assert reply.body


def test_a_client_serves_one_event_loop_after_another_and_survives_a_pickle():
    with OpenAIServer(key=KEY) as server:
        client = OpenAIClient(base_url=server.url, api_key=KEY)
        send(client, question("1"))
        send(client, question("2"))
        send(pickle.loads(pickle.dumps(client)), question("3"))
        assert len(server.complete) == 3


def test_connections_are_never_taken_into_another_event_loop():
    client = OpenAIClient(base_url="http://127.0.0.1:1/v1")

    async def opened():
        return client._client()

    first, second = asyncio.run(opened()), asyncio.run(opened())
    assert first is not second

    async def twice():
        return client._client() is client._client()

    assert asyncio.run(twice())


def test_connections_are_kept_alive():
    with OpenAIServer() as server:

        async def one_after_another():
            client = OpenAIClient(base_url=server.url)
            for i in range(3):
                await client.send(question(str(i)))
            kept = len(server._connections)
            await client.close()
            return kept

        assert asyncio.run(one_after_another()) == 1


@pytest.mark.parametrize("fault", [None, "429", "timeout", "reset", "truncated"])
@pytest.mark.parametrize("accepted", [KEY, "another-key"])
def test_the_key_is_in_no_text_log_or_error(caplog, capfd, fault, accepted):
    # The server repeats the key that it was given, in its answer and in the message of its error.
    with OpenAIServer(faults=[fault] * 9, key=accepted, answer=lambda body: f"Your key is {KEY}.") as server:
        client = OpenAIClient(base_url=server.url, api_key=KEY, timeout=0.1, max_retries=1)
        with caplog.at_level(logging.DEBUG):
            (came,) = send(client, question())
    told = [repr(client), str(client), client.endpoint, repr(vars(client)), caplog.text, *capfd.readouterr()]
    seen = came
    while isinstance(seen, BaseException):
        told += ["".join(traceback.format_exception(seen)), repr(vars(seen))]
        assert seen.__context__ is None
        seen = seen.__cause__
    told.append(repr(came))
    assert KEY not in "\n".join(told)
    assert "httpcore" in caplog.text
    assert fault or "[API key]" in (came.body if accepted == KEY else str(came))


def test_a_base_url_with_secrets_in_it_is_refused_without_showing_them():
    for url in ("http://user:a-secret@127.0.0.1:1/v1", "http://127.0.0.1:1/v1?key=a-secret"):
        with pytest.raises(EndpointError, match="without user, password and query") as caught:
            OpenAIClient(base_url=url)
        assert "a-secret" not in str(caught.value)


def test_importing_the_client_does_not_import_the_sdk():
    code = "import sys, llmguide.llm.openai_client, llmguide.llm.probe; print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "escaped", ["ab/cd+efgh12==", r"ab\/cd+efgh12==", r"ab\/cd\u002Befgh12\u003d=", r"ab/cd\u002befgh12=="]
)
def test_a_key_is_found_as_json_may_escape_it(escaped):
    client = OpenAIClient(base_url="http://localhost:1/v1", api_key="ab/cd+efgh12==")
    assert client._redact(f'{{"echo": "{escaped}!"}}') == '{"echo": "[API key]!"}'
