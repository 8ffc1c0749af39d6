"""The local server that other tests stand on: real HTTP, the same answers in any order, faults as told."""

from __future__ import annotations

import http.client
import json
import math
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import openai_server
import pytest
from openai_server import KINDS, TRANSPORT_KINDS, Answer, Faults, OpenAIServer, body_hash

SCHEMA = {
    "type": "object",
    "properties": {
        "why": {"type": "string"},
        "factors": {"type": "array", "items": {"$ref": "#/$defs/Factor"}, "minItems": 2, "maxItems": 3},
        "direction": {"enum": ["LONG", "SHORT"], "type": "string"},
        "confidence": {"enum": [1, 2, 3], "type": "integer"},
    },
    "$defs": {"Factor": {"type": "object", "properties": {"impact": {"type": "integer", "minimum": 1, "maximum": 3}}}},
}


def body(text="Up or down?", **fields):
    schema = {"type": "json_schema", "json_schema": {"name": "View", "schema": SCHEMA, "strict": True}}
    asked = {"model": "scripted", "messages": [{"role": "user", "content": text}], "response_format": schema}
    return asked | {"logprobs": True, "top_logprobs": 5} | fields


def post(server, content, *, timeout=5.0, path="/chat/completions"):
    """Return (status, parsed body) of one request."""
    request = urllib.request.Request(
        server.url + path, json.dumps(content).encode(), {"Authorization": "Bearer k", "X-Trial": "1"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def said(reply):
    return reply["choices"][0]["message"]["content"]


def wait_for(condition):
    """Wait for what the server does in its own time."""
    until = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_the_default_answer_fits_the_schema_and_depends_on_the_messages_alone():
    with OpenAIServer() as server, OpenAIServer() as another:
        answers = [said(post(server, body(str(i)))[1]) for i in range(8)]
        assert answers == [said(post(another, body(str(i), seed=1))[1]) for i in reversed(range(8))][::-1]
    views = [json.loads(answer) for answer in answers]
    assert {view["direction"] for view in views} == {"LONG", "SHORT"}
    for view in views:
        assert list(view) == ["why", "factors", "direction", "confidence"]
        assert view["confidence"] in (1, 2, 3)
        assert 2 <= len(view["factors"]) <= 3
        assert all(factor["impact"] in (1, 2, 3) for factor in view["factors"])


def test_tokens_add_up_to_the_text_and_probabilities_to_at_most_one():
    with OpenAIServer() as server:
        reply = post(server, body())[1]
    entries = reply["choices"][0]["logprobs"]["content"]
    assert b"".join(bytes(entry["bytes"]) for entry in entries) == said(reply).encode()
    for entry in entries:
        top = [other["logprob"] for other in entry["top_logprobs"]]
        assert 1 <= len(top) <= 5
        assert top == sorted(top, reverse=True)
        assert sum(map(math.exp, top)) <= 1.0 + 1e-6
        assert entry["token"] in [other["token"] for other in entry["top_logprobs"]]
    direction = next(entry for entry in entries if entry["token"] in ("LONG", "SHORT"))
    assert math.exp(direction["logprob"]) < 0.96


def test_an_answer_may_be_given():
    def answer(asked):
        return {"1": {"a": 1}, "2": "words", "3": Answer("cut", finish_reason="length", tokens=[], usage={"n": 1})}[
            asked["messages"][0]["content"]
        ]

    with OpenAIServer(answer=answer) as server:
        assert said(post(server, body("1"))[1]) == '{"a": 1}'
        assert said(post(server, body("2"))[1]) == "words"
        third = post(server, body("3"))[1]
    assert third["choices"][0]["finish_reason"] == "length"
    assert third["choices"][0]["logprobs"]["content"] == []
    assert third["usage"] == {"n": 1}


def test_requests_are_kept_without_the_key_and_complete_replies_are_counted():
    with OpenAIServer() as server:
        for _ in range(2):
            post(server, body())
        assert server.requests == [body(), body()]
        assert server.headers[0]["x-trial"] == "1"
        assert "authorization" not in server.headers[0]
        assert server.complete == {body_hash(body()): 2}


def test_scripted_faults_come_in_their_order():
    with OpenAIServer(faults=["429", None, "500"]) as server:
        assert [post(server, body())[0] for _ in range(4)] == [429, 200, 500, 200]
        assert server.faulted == {"429": 1, "500": 1}


@pytest.mark.parametrize(
    ("kind", "look"),
    [
        ("schema", lambda choice: "verdict" in choice["message"]["content"]),
        ("refusal", lambda choice: choice["message"]["content"] is None and choice["message"]["refusal"]),
        ("no_logprobs", lambda choice: choice["logprobs"] is None),
        ("length", lambda choice: choice["finish_reason"] == "length"),
        ("filter", lambda choice: choice["finish_reason"] == "content_filter"),
        ("nan", lambda choice: "NaN" in choice["message"]["content"]),
    ],
)
def test_a_fault_of_the_reply_arrives_as_a_complete_reply(kind, look):
    with OpenAIServer(faults=[kind]) as server:
        status, reply = post(server, body())
        assert status == 200
        assert look(reply["choices"][0])
        assert not look(post(server, body())[1]["choices"][0])
        assert sum(server.complete.values()) == 2


def test_an_empty_reply_has_no_choices_and_a_slow_one_takes_longer():
    with OpenAIServer(faults=["empty", "slow"], slow=0.1) as server:
        assert post(server, body())[1]["choices"] == []
        start = time.perf_counter()
        assert post(server, body())[1]["choices"]
        assert time.perf_counter() - start >= 0.1


def test_faults_of_the_connection_leave_no_complete_reply():
    with OpenAIServer(faults=["reset", "truncated", "timeout"]) as server:
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            post(server, body())
        with pytest.raises(json.JSONDecodeError):
            post(server, body())
        with pytest.raises(TimeoutError):
            post(server, body(), timeout=0.1)
        assert not server.complete


def test_a_client_that_gives_up_frees_the_server():
    with OpenAIServer(faults=["timeout"]) as server:
        with pytest.raises(TimeoutError):
            post(server, body(), timeout=0.05)
        wait_for(lambda: server._in_flight == 0)


def test_random_faults_do_not_depend_on_the_order_of_arrival():
    faults, requests = Faults(rate=0.3, seed=4), [body_hash(body(str(i))) for i in range(200)]
    met = {request: [faults.at(request, arrival) for arrival in range(5)] for request in requests}
    assert met == {request: [faults.at(request, i) for i in range(5)] for request in reversed(requests)}
    assert {kind for kinds in met.values() for kind in kinds} == {None, *KINDS}
    drawn = [kind is not None for kinds in met.values() for kind in kinds]
    assert 0.2 < sum(drawn) / len(drawn) < 0.35


def test_connections_fail_anew_each_time_but_a_model_says_the_same():
    faults, requests = Faults(rate=0.6, seed=4), [str(i) for i in range(50)]
    for request in requests:
        replies = {faults.at(request, i) for i in range(9)} - {*TRANSPORT_KINDS}
        assert len(replies) == 1
    lost = Faults(rate=1.0, kinds=TRANSPORT_KINDS)
    assert [lost.at("r", i) is None for i in range(6)] == [False, False, True] * 2


def test_an_unknown_fault_is_refused():
    with pytest.raises(ValueError, match="unknown faults"):
        OpenAIServer(faults=["flood"])


def test_a_schema_in_words_is_filled_where_none_is_enforced():
    asked = body(f"Fit this: {json.dumps(SCHEMA)}")
    with OpenAIServer(response_format="ignore") as server:
        text = said(post(server, asked)[1])
        assert text.startswith("Here is")
        assert json.loads(text.split("```")[1].removeprefix("json"))["direction"] in ("LONG", "SHORT")
        assert "{" not in said(post(server, body())[1])


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"response_format": "refuse"}, 400),
        ({"response_format": "json_object"}, 400),
        ({"logprobs": "refuse"}, 403),
        ({"models": ["other"]}, 404),
        ({"key": "another"}, 401),
    ],
)
def test_what_is_not_served_is_refused_with_a_message(settings, status):
    with OpenAIServer(**settings) as server:
        came, reply = post(server, body())
        assert came == status
        assert reply["error"]["message"]
        assert not server.complete


def test_the_models_are_listed_and_other_addresses_are_not_found():
    with OpenAIServer(model="mine") as server:
        with urllib.request.urlopen(f"{server.url}/models") as reply:
            assert json.loads(reply.read())["data"][0]["id"] == "mine"
        assert post(server, body(), path="/embeddings")[0] == 404


def test_requests_are_served_at_once():
    with OpenAIServer(delay=0.2) as server:
        start = time.perf_counter()
        threads = [threading.Thread(target=post, args=(server, body(str(i)))) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.perf_counter() - start < 1.0
        assert server.max_in_flight == 12


def test_closing_is_quick_and_ends_open_connections():
    with OpenAIServer() as server:
        host, port = server.url.split("/")[2].split(":")
        client = socket.create_connection((host, int(port)))
        wait_for(lambda: server._connections)
        start = time.perf_counter()
    assert time.perf_counter() - start < 0.5
    with client:
        client.settimeout(2.0)
        assert client.recv(1) == b""


def test_it_runs_as_a_command():
    process = subprocess.Popen(
        [sys.executable, str(Path(openai_server.__file__)), "--port", "0", "--model", "mine"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            url = process.stdout.readline().strip().removeprefix("OPENAI_BASE_URL=")
            with urllib.request.urlopen(f"{url}/models", timeout=5.0) as reply:
                assert json.loads(reply.read())["data"][0]["id"] == "mine"
        finally:
            process.terminate()
