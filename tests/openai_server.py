"""A local OpenAI-compatible server: real HTTP, scripted answers with log-probabilities, and faults on request.

In a test:

    with OpenAIServer(faults=["429", None, "reset"]) as server:
        client = OpenAIClient(base_url=server.url)

By hand, for trying llmguide without a key:

    python tests/openai_server.py --port 8000 --delay 0.5 --faults 0.05

Answers depend only on the messages: the same question has the same answer, on every machine and in any order.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import random
import re
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

__all__ = ["KINDS", "REPLY_KINDS", "TRANSPORT_KINDS", "Answer", "Faults", "OpenAIServer", "body_hash", "usage_of"]

TRANSPORT_KINDS = ("429", "500", "timeout", "reset", "truncated")
REPLY_KINDS = ("schema", "refusal", "no_logprobs", "length", "filter", "empty", "nan", "slow")
KINDS = TRANSPORT_KINDS + REPLY_KINDS

COMPLETIONS = "/v1/chat/completions"
OPENINGS = ("The trend", "Momentum", "Volatility", "The valuation", "The last month", "Breadth", "The margin")
VERBS = ("supports", "argues against", "barely changes", "confirms", "weakens")
ENDINGS = ("the position", "a rise", "the earlier view", "a careful stance", "the next month's outlook")


@dataclass(frozen=True)
class Answer:
    """What the model says; None for tokens and usage means made up from the text."""

    text: str
    tokens: Sequence[Mapping[str, Any]] | None = None  # entries of choices[0].logprobs.content
    refusal: str | None = None
    finish_reason: str = "stop"
    usage: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Faults:
    """Faults at random, which depend on the request and on how often it came, never on the order of requests.

    What a model says to a request is the same each time, spoilt or not; connections fail anew each time.
    """

    rate: float = 0.05
    kinds: tuple[str, ...] = KINDS
    seed: int = 0
    in_a_row: int = 2  # failures of the connection, at most, for one request

    def at(self, request: str, arrival: int) -> str | None:
        """Return the fault of the `arrival`-th time (from 0) that the request of this hash came, or None."""
        met: list[str | None] = []
        for i in range(arrival + 1):
            spent = len(met) >= self.in_a_row and None not in met[len(met) - self.in_a_row :]
            met.append(None if spent else self._draw(f"{request}:{i}", TRANSPORT_KINDS))
        return met[-1] or self._draw(request, REPLY_KINDS)

    def _draw(self, place: str, kinds: Sequence[str]) -> str | None:
        generator = random.Random(f"{self.seed}:{place}")
        mine = [kind for kind in self.kinds if kind in kinds]
        return generator.choice(mine) if generator.random() < self.rate * len(mine) / len(self.kinds) else None


def body_hash(body: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a request's body, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


class OpenAIServer:
    """The server, as a context manager; attributes that count may be read at any time.

    `answer(body)` may return an Answer, a dict (sent as JSON) or a text; without it, or for None, the schema that is
    asked for is filled. `faults` is a Faults, or a list with one entry per arriving request (None: no fault; none after
    its end).
    `key` is the only API key let in. With `models` every other one is answered 404.
    """

    def __init__(
        self,
        *,
        answer: Callable[[dict[str, Any]], Answer | dict[str, Any] | str | None] | None = None,
        delay: float = 0.0,  # seconds before every reply
        faults: Faults | Sequence[str | None] | None = None,
        logprobs: Literal[True, "drop", "refuse"] = True,
        response_format: Literal["json_schema", "json_object", "ignore", "refuse"] = "json_schema",
        lengths: Literal[True, "ignore", "refuse", "refuse vaguely"] = True,  # bounds on lengths in a schema
        model: str = "scripted",
        models: Sequence[str] | None = None,
        key: str | None = None,
        hold: float = 30.0,  # seconds that a "timeout" lasts, if the client waits so long
        slow: float = 0.3,  # seconds that a "slow" reply takes longer
        port: int = 0,
    ) -> None:
        kinds = faults.kinds if isinstance(faults, Faults) else [kind for kind in faults or () if kind]
        if unknown := set(kinds) - set(KINDS):
            raise ValueError(f"unknown faults {sorted(unknown)}; known are {', '.join(KINDS)}")
        self.answer, self.delay, self.faults = answer, delay, faults
        self.logprobs, self.response_format, self.lengths = logprobs, response_format, lengths
        self.model, self.models, self.key, self.hold, self.slow = model, models, key, hold, slow
        self.requests: list[dict[str, Any]] = []  # bodies, in the order of their arrival
        self.headers: list[dict[str, str]] = []  # of the same requests, in lower case, without the API key
        self.complete: Counter[str] = Counter()  # complete replies delivered, by body_hash
        self.faulted: Counter[str] = Counter()  # by kind
        self.max_in_flight = 0
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._arrivals: Counter[str] = Counter()
        self._in_flight = 0
        self._connections: set[socket.socket] = set()
        self._http = _Server(("127.0.0.1", port), _Handler, self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> OpenAIServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def connected(self, connection: socket.socket) -> Iterator[None]:
        """Keep a connection in mind, so that closing the server ends it."""
        with self._lock:
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.discard(connection)

    @contextlib.contextmanager
    def arrival(self, body: dict[str, Any], headers: dict[str, str]) -> Iterator[str | None]:
        """Note a request, and yield the fault that it meets."""
        with self._lock:
            request = body_hash(body)
            number = len(self.requests)
            self.requests.append(body)
            self.headers.append(headers)
            if isinstance(self.faults, Faults):
                fault = self.faults.at(request, self._arrivals[request])
            else:
                fault = self.faults[number] if self.faults and number < len(self.faults) else None
            self._arrivals[request] += 1
            if fault:
                self.faulted[fault] += 1
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            yield fault
        finally:
            with self._lock:
                self._in_flight -= 1

    @contextlib.contextmanager
    def delivery(self, body: dict[str, Any]) -> Iterator[None]:
        """Count a complete reply to `body`, before its last byte goes out: whoever has read it finds it counted."""
        with self._lock:
            self.complete[body_hash(body)] += 1
        try:
            yield
        except OSError:
            with self._lock:
                self.complete -= Counter([body_hash(body)])
            raise

    def refusal_of(self, body: dict[str, Any]) -> tuple[int, str] | None:
        """Return (status, message) where this endpoint does not do what is asked for, else None."""
        if self.models is not None and body.get("model") not in self.models:
            return 404, f"The model `{body.get('model')}` does not exist or you do not have access to it."
        if body.get("logprobs") and self.logprobs == "refuse":
            return 403, "You are not allowed to request logprobs from this model."
        wanted = body.get("response_format", {}).get("type")
        if wanted and self.response_format == "refuse":
            return 400, "Unknown parameter: 'response_format'."
        if wanted == "json_schema" and self.response_format == "json_object":
            return 400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
        if wanted == "json_schema" and "maxLength" in json.dumps(body["response_format"]):
            if self.lengths == "refuse":
                return (
                    400,
                    "Invalid schema for response_format: In context=('properties',), 'maxLength' is not permitted.",
                )
            if self.lengths == "refuse vaguely":
                return 400, "Bad request."
        return None

    def completion(self, body: dict[str, Any], fault: str | None) -> dict[str, Any]:
        """Return the chat completion that answers `body`, spoilt by a fault of the reply."""
        said = self.answer(body) if self.answer else None
        if said is None:
            said = self._default(body)
        if isinstance(said, dict):
            said = json.dumps(said)
        answer = _spoil(Answer(said) if isinstance(said, str) else said, fault)
        entries = None
        if body.get("logprobs") and self.logprobs is True and fault != "no_logprobs":
            entries = answer.tokens if answer.tokens is not None else scripted_tokens(answer.text, body)
        request = body_hash(body)
        choice = {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None if answer.refusal else answer.text,
                "refusal": answer.refusal,
            },
            "logprobs": None if entries is None else {"content": list(entries), "refusal": None},
            "finish_reason": answer.finish_reason,
        }
        return {
            "id": f"chatcmpl-{request[:24]}",
            "object": "chat.completion",
            "created": 1_500_000_000,
            "model": body.get("model", self.model),
            "choices": [] if fault == "empty" else [choice],
            "usage": usage_of(body, answer.text) if answer.usage is None else dict(answer.usage),
            "system_fingerprint": "fp_scripted",
        }

    def _default(self, body: dict[str, Any]) -> str:
        asked = body.get("response_format", {})
        enforced = None if self.response_format == "ignore" else asked.get("type")
        schema = asked.get("json_schema", {}).get("schema") if enforced == "json_schema" else None
        schema = schema or _schema_in(body)
        if self.lengths == "ignore":
            schema = json.loads(re.sub(r'"max(Length|Items)": \d+, ', "", json.dumps(schema)))
        if schema is None:
            return (
                json.dumps({"answer": "long"}) if enforced else "I would rather buy than sell, but it is a close call."
            )
        text = json.dumps(filled(schema, random.Random(_seed(body)), schema))
        return text if enforced else f"Here is what you asked for:\n\n```json\n{text}\n```\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], owner: OpenAIServer) -> None:
        super().__init__(address, handler)
        self.owner = owner

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none of the server's business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        with self.server.owner.connected(self.connection):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            return self._error(404, f"Invalid URL (GET {self.path})")
        model = {"id": self.server.owner.model, "object": "model", "created": 1_500_000_000, "owned_by": "tests"}
        return self._send(200, {"object": "list", "data": [model]})

    def do_POST(self) -> None:
        owner = self.server.owner
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != COMPLETIONS:
            return self._error(404, f"Invalid URL (POST {self.path})")
        body = json.loads(raw)
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if owner.key is not None and given != owner.key:
            # OpenAI masks most of the key that it repeats; others do not.
            return self._error(401, f"Incorrect API key provided: {given}.")
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() != "authorization"}
        with owner.arrival(body, headers) as fault:
            if fault == "timeout":
                return self._hold(owner.hold)
            owner.closing.wait(owner.delay + (owner.slow if fault == "slow" else 0.0))
            if fault == "429":
                return self._error(429, "Rate limit reached, try again soon.", {"Retry-After-Ms": "50"})
            if fault == "500":
                return self._error(500, "The server had an error.", {"Retry-After-Ms": "10"})
            if refusal := owner.refusal_of(body):
                return self._error(*refusal)
            reply = json.dumps(owner.completion(body, fault)).encode()
            if fault == "reset":
                return self._reset(reply)
            if fault == "truncated":
                return self._write(200, reply[: len(reply) // 2])
            with owner.delivery(body):
                self._write(200, reply)
        return None

    def _error(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, {"error": {"message": message, "type": "scripted", "param": None, "code": None}}, headers)

    def _send(self, status: int, content: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self._write(status, json.dumps(content).encode(), headers)

    def _write(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self._head(status, len(body), headers)
        self.wfile.write(body)
        self.wfile.flush()

    def _head(self, status: int, length: int, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def _reset(self, reply: bytes) -> None:
        self._head(200, len(reply))
        self.wfile.write(reply[: len(reply) // 2])
        self.wfile.flush()
        self.close_connection = True
        # Lingering for no time makes close() a reset. The handler's files hold the socket open until it returns.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _hold(self, seconds: float) -> None:
        self.close_connection = True
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.server.owner.closing.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.02)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return  # the client gave up


def filled(schema: Mapping[str, Any], random_: random.Random, root: Mapping[str, Any]) -> Any:
    """Return a value that fits a JSON schema, drawn from `random_`."""
    if "$ref" in schema:
        return filled(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], random_, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return random_.choice(schema["enum"])
    if "anyOf" in schema:
        return filled(random_.choice(schema["anyOf"]), random_, root)
    match schema.get("type"):
        case "object":
            return {name: filled(field, random_, root) for name, field in schema.get("properties", {}).items()}
        case "array":
            low = schema.get("minItems", 1)
            high = min(max(low, 3), schema.get("maxItems", math.inf))
            return [filled(schema["items"], random_, root) for _ in range(random_.randint(low, int(high)))]
        case "integer":
            low = schema.get("minimum", 0)
            return random_.randint(low, schema.get("maximum", low + 10))
        case "number":
            low = schema.get("minimum", 0.0)
            return round(random_.uniform(low, schema.get("maximum", low + 1.0)), 3)
        case "boolean":
            return True
        case "null":
            return None
    words = (random_.choice(OPENINGS), random_.choice(VERBS), random_.choice(ENDINGS))
    return (" ".join(words) + ".")[: schema.get("maxLength")]


def scripted_tokens(text: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return `text` as tokens with log-probabilities, as many alternatives as `body` asks for.

    Directions and digits are visibly uncertain, other words a little, punctuation hardly.
    """
    random_ = random.Random(f"{_seed(body)}:tokens")
    count = int(body.get("top_logprobs") or 0)
    entries = []
    for token in re.findall(r" ?\w+|[^\w\s]+|\s+", text):
        word = token.strip()
        if word in ("LONG", "SHORT", "NEUTRAL"):
            p, others = random_.uniform(0.5, 0.95), [other for other in ("LONG", "SHORT", "NEUTRAL") if other != word]
        elif word.isdigit() and len(word) == 1:
            p, others = random_.uniform(0.4, 0.9), [other for other in "1234567" if other != word]
        elif word.isalpha():
            p, others = random_.uniform(0.85, 0.999), ["the", "a", "its", "this", "that", "some", "any"]
        else:
            p, others = 0.9999, ["\n", '",', '"}', " ", "}", "{", "]"]
        alternatives = [(token, p)]
        left = 1.0 - p
        for other in others[: max(count - 1, 0)]:
            share = left * random_.uniform(0.4, 0.7)
            alternatives.append((token.replace(word, other) if word else other, share))
            left -= share
        alternatives.sort(key=lambda pair: -pair[1])
        entries.append(_entry(token, p) | {"top_logprobs": [_entry(*pair) for pair in alternatives[:count]]})
    return entries


def _seed(body: Mapping[str, Any]) -> str:
    return body_hash({"messages": body["messages"]})


def _entry(token: str, p: float) -> dict[str, Any]:
    return {"token": token, "logprob": round(math.log(p), 8), "bytes": list(token.encode())}


def _spoil(answer: Answer, fault: str | None) -> Answer:
    match fault:
        case "schema":
            return Answer(json.dumps({"verdict": "buy"}))
        case "refusal":
            return Answer("", refusal="I'm sorry, but I can't help with that.")
        case "length":
            return Answer(answer.text[: len(answer.text) // 2], finish_reason="length")
        case "filter":
            return Answer("", finish_reason="content_filter")
        case "nan":
            text, replaced = re.subn(r":\s*-?\d+(?=[,}\]])", ": NaN", answer.text, count=1)
            return Answer(text if replaced else '{"value": NaN}')
    return answer


def usage_of(body: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return the tokens that the server counts for a question and the text of its answer: four characters each."""
    prompt = len(json.dumps(body["messages"])) // 4
    completion = max(len(text) // 4, 1)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": prompt // 256 * 128},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _schema_in(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON schema that stands in the words of a message, or None."""
    decoder = json.JSONDecoder()
    for message in body["messages"]:
        for match in re.finditer(r"\{", message["content"]):
            with contextlib.suppress(ValueError):
                found, _ = decoder.raw_decode(message["content"], match.start())
                if found.get("type") == "object" and "properties" in found:
                    return dict(found)
    return None


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A local OpenAI-compatible server with scripted answers.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before every reply")
    parser.add_argument("--faults", type=float, default=0.0, help="share of requests that meet a fault")
    parser.add_argument("--kinds", default=",".join(KINDS), help="faults to draw from, by comma")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--model", default="scripted", help="name that /v1/models lists")
    parser.add_argument("--logprobs", choices=("yes", "drop", "refuse"), default="yes")
    parser.add_argument(
        "--response-format", choices=("json_schema", "json_object", "ignore", "refuse"), default="json_schema"
    )
    given = parser.parse_args()
    faults = Faults(rate=given.faults, kinds=tuple(given.kinds.split(",")), seed=given.seed)
    server = OpenAIServer(
        port=given.port,
        delay=given.delay,
        faults=faults,
        logprobs=True if given.logprobs == "yes" else given.logprobs,
        response_format=given.response_format,
        model=given.model,
    )
    with server, contextlib.suppress(KeyboardInterrupt):
        print(f"OPENAI_BASE_URL={server.url}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
