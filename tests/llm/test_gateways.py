"""Compatibility layers as they differ from OpenAI: each is probed, and answers a question with what it can do.

The profiles follow the layers' documentation and the error bodies that their users report (given beside each).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from openai_server import OpenAIServer, _Handler
from pydantic import BaseModel, ConfigDict

from llmguide.errors import EndpointError
from llmguide.llm.asking import Asked, Asker
from llmguide.llm.cache import Cache
from llmguide.llm.ledger import Purpose
from llmguide.llm.openai_client import OpenAIClient
from llmguide.llm.prices import Price, Prices
from llmguide.llm.protocol import Message, Sampling

PENALTIES = Sampling(frequency_penalty=0.5, presence_penalty=0.5)


class View(BaseModel):
    model_config = ConfigDict(extra="forbid")

    direction: Literal["LONG", "SHORT"]


@dataclass(frozen=True)
class Gateway:
    """How a layer differs: `refusal` gets the parameters of a request that it does not take, and words the error."""

    refuses: tuple[str, ...] = ()
    refusal: Callable[[list[str]], Any] = lambda names: {}
    status: int = 400
    server: Mapping[str, Any] = field(default_factory=dict)  # settings of the scripted server
    change: Callable[[dict[str, Any]], None] = lambda completion: None
    # What is found out.
    reply_format: str = "json_schema"
    logprobs: bool = True
    left_out: frozenset[str] = frozenset()


def _gemini(names: list[str]) -> Any:
    said = [f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.' for name in names]
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"description": said[0]}]}]
    return [{"error": {"code": 400, "message": "\n".join(said), "status": "INVALID_ARGUMENT", "details": details}}]


def _litellm(names: list[str]) -> Any:
    said = (
        f"litellm.UnsupportedParamsError: ollama_chat does not support parameters: {names}, for model=m. To drop "
        f"these, set `litellm.drop_params=True` or for proxy:\n\n`litellm_settings:\n drop_params: true`\n"
    )
    return {"error": {"message": said, "type": "None", "param": None, "code": "400"}}


def _anthropic(names: list[str]) -> Any:
    said = f"`{names[0]}` is deprecated for this model."
    return {"type": "error", "error": {"type": "invalid_request_error", "message": said}, "request_id": "req_1"}


def _vllm(names: list[str]) -> Any:
    said = f"[{{'type': 'extra_forbidden', 'loc': ('body', '{names[0]}'), 'msg': 'Extra inputs are not permitted'}}]"
    return {"object": "error", "message": said, "type": "BadRequestError", "param": None, "code": 400}


def _mistral(names: list[str]) -> Any:
    detail = [{"type": "extra_forbidden", "loc": ["body", names[0]], "msg": "Extra inputs are not permitted"}]
    said = json.dumps({"detail": detail})
    return {"object": "error", "message": said, "type": "internal_error_proxy", "param": None, "code": "1000"}


def _only_text_tokens(completion: dict[str, Any]) -> None:
    usage = completion["usage"]
    completion["usage"] = {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}


def _openrouter(completion: dict[str, Any]) -> None:
    completion["provider"] = "OpenAI"
    completion["choices"][0]["native_finish_reason"] = "stop"
    completion["choices"][0]["message"]["reasoning"] = None
    completion["usage"]["cost"] = 0.00014


def _anthropic_reply(completion: dict[str, Any]) -> None:
    """https://platform.claude.com/docs/en/api/openai-sdk: no refusal, logprobs or fingerprint; empty details."""
    completion["choices"][0]["message"].pop("refusal")
    completion["choices"][0].pop("logprobs")
    completion.pop("system_fingerprint")
    completion["usage"].pop("prompt_tokens_details")
    completion["usage"].pop("completion_tokens_details")


def _gemini_reply(completion: dict[str, Any]) -> None:
    completion["choices"][0].pop("logprobs")
    completion["choices"][0]["message"].pop("refusal")
    completion.pop("system_fingerprint")
    _only_text_tokens(completion)


GATEWAYS = {
    # openrouter.ai/docs/errors; routes to providers that may drop log-probabilities
    "OpenRouter": Gateway(change=_openrouter),
    "OpenRouter to a provider that drops them": Gateway(
        change=_openrouter, server={"logprobs": "drop"}, logprobs=False
    ),
    # github.com/BerriAI/litellm/issues/17165
    "LiteLLM": Gateway(
        refuses=("logprobs", "top_logprobs", "seed"),
        refusal=_litellm,
        logprobs=False,
        left_out=frozenset({"seed"}),
    ),
    # github.com/Vali-98/ChatterUI/issues/227
    "Gemini": Gateway(
        refuses=("frequency_penalty", "presence_penalty", "seed", "logprobs", "top_logprobs"),
        refusal=_gemini,
        change=_gemini_reply,
        logprobs=False,
        left_out=frozenset({"frequency_penalty", "presence_penalty", "seed"}),
    ),
    # platform.claude.com/docs/en/api/openai-sdk: response_format, logprobs, seed and penalties are ignored
    "Anthropic": Gateway(
        server={"logprobs": "drop", "response_format": "ignore"},
        change=_anthropic_reply,
        reply_format="text",
        logprobs=False,
    ),
    # github.com/BerriAI/litellm/issues/26444
    "Anthropic, a model without a temperature": Gateway(
        refuses=("temperature",),
        refusal=_anthropic,
        server={"logprobs": "drop", "response_format": "ignore"},
        change=_anthropic_reply,
        reply_format="text",
        logprobs=False,
        left_out=frozenset({"temperature"}),
    ),
    "vLLM": Gateway(),
    "vLLM, strict": Gateway(refuses=("seed",), refusal=_vllm, left_out=frozenset({"seed"}), change=_only_text_tokens),
    # github.com/ollama/ollama/issues/16117: the layer drops log-probabilities without a word
    "Ollama": Gateway(server={"logprobs": "drop"}, change=_only_text_tokens, logprobs=False),
    # github.com/mistralai/platform-docs-public/issues/7 has the words; client-python's ChatCompletionRequest has the
    # penalties and random_seed, but neither seed nor log-probabilities
    "Mistral": Gateway(
        refuses=("seed", "logprobs", "top_logprobs"),
        refusal=_mistral,
        status=422,
        logprobs=False,
        left_out=frozenset({"seed"}),
    ),
}


class _GatewayHandler(_Handler):
    def _write(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        owner: Any = self.server.owner
        gateway: Gateway = owner.gateway
        sent = owner.requests[-1]
        if names := [name for name in gateway.refuses if name in sent]:
            status, body = gateway.status, json.dumps(gateway.refusal(names)).encode()
        elif status == 200:
            completion = json.loads(body)
            gateway.change(completion)
            body = json.dumps(completion).encode()
        super()._write(status, body, headers)


def running(gateway: Gateway, **settings: Any) -> OpenAIServer:
    server = OpenAIServer(**{**gateway.server, **settings})
    server.gateway = gateway  # type: ignore[attr-defined]
    server._http.RequestHandlerClass = _GatewayHandler
    return server


def asker(cache: Cache, server: OpenAIServer) -> Asker:
    client = OpenAIClient(base_url=server.url, api_key="sk-0123456789", max_retries=1)
    prices = Prices({"m": Price(1.0, 1.0, 1.0)})
    return Asker(cache, model="m", client=client, sampling=PENALTIES, prices=prices, in_flight=1)


async def ask(one: Asker) -> Asked[View]:
    async with one:
        return await one.ask((Message("user", "Which way?"),), View, purpose=Purpose())


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_gateway_is_probed_and_answers_a_question(name: str, tmp_path):
    gateway = GATEWAYS[name]
    with running(gateway) as server, Cache(tmp_path / "c.sqlite") as cache:
        one = asker(cache, server)
        asked = asyncio.run(ask(one))
        last = server.requests[-1]
    assert asked.failure is None
    assert asked.value is not None
    can = one.capabilities
    assert (can.reply_format, can.logprobs) == (gateway.reply_format, gateway.logprobs)
    assert set(can.refused) == gateway.left_out
    assert not set(gateway.refuses) & set(last)
    assert asked.cost.dollars is not None
    assert asked.cost.dollars > 0
    assert asked.completion is not None
    assert (asked.completion.tokens is not None) == gateway.logprobs


# The bodies of errors, and what of them the user must read.
ERRORS = {
    "OpenRouter, 200 with an error of the provider": (
        200,
        {"error": {"code": 502, "message": "Provider returned error", "metadata": {"provider_name": "X"}}},
        "Provider returned error",
    ),
    "OpenRouter, no credits": (
        402,
        {"error": {"code": 402, "message": "Insufficient credits"}},
        "Insufficient credits",
    ),
    "Gemini": (
        400,
        [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}],
        "API key not valid",
    ),
    "Gemini, no such model": (404, [{"error": {"code": 404, "message": "models/m is not found"}}], "is not found"),
    "Anthropic": (
        401,
        {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}, "request_id": "r"},
        "invalid x-api-key",
    ),
    "vLLM": (
        404,
        {"object": "error", "message": "The model `m` does not exist.", "type": "NotFoundError", "code": 404},
        "does not exist",
    ),
    "FastAPI": (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, "field required"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_the_words_of_an_error_reach_the_user(name: str, tmp_path):
    status, said, words = ERRORS[name]
    gateway = Gateway(refuses=("model",), refusal=lambda names: said, status=status)
    with running(gateway) as server, Cache(tmp_path / "c.sqlite") as cache:
        with pytest.raises(EndpointError, match=words) as error:
            asyncio.run(ask(asker(cache, server)))
        assert "{" not in str(error.value)
