"""A prompt that a server has cut is an error, not an answer; settings that are not sent; Azure."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import Answer, OpenAIServer

from llmguide.errors import EndpointError
from llmguide.guidance.language_model import LanguageModel
from llmguide.guidance.settings import read_settings
from llmguide.llm.cutting import LEAST_BYTES, sent_bytes, was_cut
from llmguide.llm.openai_client import OpenAIClient
from llmguide.llm.protocol import Message, Request, Sampling, Usage
from llmguide.sources.synthetic import sample_bars

BARS = sample_bars(years=1).iloc[:60]
ADVICE = '{"explanation": "up", "features": [], "direction": "LONG", "confidence": 3}'


def question(text: str) -> Request:
    return Request("m", (Message("user", text),), "S", "{}")


@given(st.integers(1, 60_000), st.floats(1.0, 6.5), st.integers(0, 40))
def test_no_honest_count_is_taken_for_a_cut_prompt(size, bytes_per_token, template):
    request = question("x" * size)
    assert not was_cut(request, Usage(prompt=int(size / bytes_per_token) + 1 + template))


def test_a_count_far_below_what_was_sent_is_and_none_or_few_bytes_say_nothing():
    request = question("x" * 24_000)
    assert sent_bytes(request) == 24_000
    assert was_cut(request, Usage(prompt=2048))
    assert not was_cut(request, Usage(prompt=4096))
    assert was_cut(request, Usage(prompt=10, cached=900))
    assert not was_cut(request, Usage(prompt=10, cached=6000))  # a gateway that counts cached tokens beside the others
    for nothing in (None, 0):
        assert not was_cut(request, Usage(prompt=nothing))
    assert not was_cut(question("x" * (LEAST_BYTES - 1)), Usage(prompt=1))


def test_a_study_ends_with_the_reason_and_asks_again_once_the_context_is_longer(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    counts = [64]

    def answer(body):
        ready = "ready" in json.dumps(body.get("response_format", {}))
        text = '{"ready": "yes", "count": "one, two"}' if ready else ADVICE
        usage = {"prompt_tokens": counts[0], "completion_tokens": 9}
        return Answer(text, usage=usage)

    with OpenAIServer(answer=answer) as server:
        model = LanguageModel(model="m", prompt="P1", base_url=server.url, cache=tmp_path / "c.sqlite")
        with pytest.raises(EndpointError, match=r"read only part of the prompt: it counted 64 tokens.*num_ctx"):
            model(BARS)
        counts[0] = 6000
        assert {row.direction for row in model(BARS).rows} == {1}
        asked = len(server.requests)
        assert {row.direction for row in model(BARS).rows} == {1}  # from the cache
        assert len(server.requests) == asked


def test_a_setting_that_is_none_is_not_sent_and_reasoning_effort_is(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('[sampling]\nmax_tokens = "none"\nreasoning_effort = "low"\ntemperature = "none"\n')
    sampling = read_settings(path).sampling
    assert (sampling.max_tokens, sampling.reasoning_effort, sampling.temperature) == (None, "low", None)
    with OpenAIServer(answer=lambda body: None) as server:
        model = LanguageModel(
            model="m", prompt="P0", base_url=server.url, cache=tmp_path / "c.sqlite", sampling=sampling
        )
        assert len(model(BARS))
        body = server.requests[-1]
    assert body["reasoning_effort"] == "low"
    assert not {"max_tokens", "max_completion_tokens", "temperature"} & set(body)


def test_answers_kept_before_there_was_a_reasoning_effort_still_count():
    request = question("x")
    assert "reasoning_effort" not in request.to_json()
    assert Request.from_json(request.to_json()) == request
    thinking = Request("m", request.messages, "S", "{}", Sampling(reasoning_effort="low"))
    assert Request.from_json(thinking.to_json()) == thinking
    assert thinking.key != request.key


class Azure(BaseHTTPRequestHandler):
    """Azure's paths and headers, as far as a deployment and its API version go."""

    seen: ClassVar[list[tuple[str, str | None, str | None]]] = []

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, self.headers.get("api-key"), self.headers.get("Authorization")))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "{}"}}
        body = json.dumps({"object": "chat.completion", "choices": [choice], "model": "m"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("form", ["deployment in the URL", "environment"])
def test_azure_gets_its_path_version_and_key(monkeypatch, form):
    import asyncio

    Azure.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Azure)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"http://127.0.0.1:{server.server_port}"
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-secret-key")
    if form == "environment":
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"{host}/")
        with pytest.raises(EndpointError, match="set OPENAI_API_VERSION"):
            OpenAIClient()
        monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
        client = OpenAIClient()
    else:
        client = OpenAIClient(base_url=f"{host}/openai/deployments/guide?api-version=2024-10-21")

    async def send():
        await client.send(Request("guide", (Message("user", "x"),), "S", "{}"))
        await client.close()

    asyncio.run(send())
    server.shutdown()
    server.server_close()
    ((path, key, bearer),) = Azure.seen
    assert path == "/openai/deployments/guide/chat/completions?api-version=2024-10-21"
    assert (key, bearer) == ("azure-secret-key", None)
    assert "secret" not in repr(client) + client.endpoint


def test_other_queries_in_a_base_url_are_still_refused():
    with pytest.raises(EndpointError, match=r"without user, password and query \(except api-version\)"):
        OpenAIClient(base_url="http://127.0.0.1:1/v1?key=secret")
