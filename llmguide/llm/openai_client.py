"""The only door to the openai SDK, and through it to any OpenAI-compatible endpoint.

The SDK retries what is worth retrying (connections lost before or within a reply, 408, 409, 429 and 5xx, with the pause
that Retry-After asks for). Added here is what it cannot see, because it does not read the body: a reply of status 200
whose JSON is cut short, or that holds a passing error of a server behind the endpoint. A question that is not answered
in time is sent again once, not as often as the SDK would: each time costs the whole time-out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit
from urllib.request import ProxyHandler, build_opener

from pydantic import SecretStr

from llmguide.errors import EndpointError, TimedOutError
from llmguide.llm.protocol import RawReply, Request
from llmguide.llm.refusals import is_filtered, refused_parameter
from llmguide.llm.replies import read_body

if TYPE_CHECKING:
    import openai

__all__ = ["OPENAI", "OpenAIClient"]

T = TypeVar("T")

OPENAI = "https://api.openai.com/v1"

_PLACEHOLDER = "none"  # the SDK insists on a key, servers without one ignore it
_SECRET_LENGTH = 8  # shorter "keys", such as EMPTY, are words that servers without a key are told
_CUT_RETRIES = 2  # each of them is paid for again
_CUT_PAUSE = 0.2  # seconds
_PASSING = {408, 409, 429}
_CONNECT_SECONDS = 10.0
_PROPS_SECONDS = 2.0


class OpenAIClient:
    """A `Client` of one endpoint. It may be pickled, with its key, and used in one event loop after another.

    `base_url` None is OPENAI_BASE_URL or else OpenAI's own; `api_key` None is OPENAI_API_KEY. `timeout` is in seconds,
    for the connection to say something; `max_retries` is the SDK's, but one at most after a time-out. A base URL with
    ``?api-version=`` is Azure's, and so are AZURE_OPENAI_ENDPOINT, OPENAI_API_VERSION and AZURE_OPENAI_API_KEY; the
    model is then the deployment's name. No key, or a placeholder, is in order for servers that want none; without one,
    OpenAI's own raises EndpointError here.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        max_retries: int = 5,
    ) -> None:
        azure = (os.environ.get("AZURE_OPENAI_ENDPOINT") or "").strip().rstrip("/")
        given = base_url or os.environ.get("OPENAI_BASE_URL") or (f"{azure}/openai" if azure else OPENAI)
        url = urlsplit(given.strip())
        query = parse_qs(url.query)
        version = query.pop("api-version", [""])[0]
        if not version and azure and given.startswith(azure) and not url.path.rstrip("/").endswith("/v1"):
            version = (os.environ.get("OPENAI_API_VERSION") or "").strip()
            if not version:
                raise EndpointError(
                    f"{url.hostname} needs an API version; set OPENAI_API_VERSION, or use a base URL that ends in "
                    "?api-version=VERSION"
                )
        if url.scheme not in ("http", "https") or not url.hostname or " " in url.netloc or not _has_port(url):
            raise EndpointError(f"expected a base URL such as {OPENAI}, got {_bare(url)!r}")
        if "@" in url.netloc or query:
            # httpx logs every URL that it asks for, as it is.
            raise EndpointError(
                f"expected a base URL without user, password and query (except api-version), got {_bare(url)!r} with "
                "one of them; an API key belongs in the environment variable OPENAI_API_KEY"
            )
        own = os.environ.get("AZURE_OPENAI_API_KEY") if version or azure else None
        key = (api_key or own or os.environ.get("OPENAI_API_KEY") or "").strip()
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise EndpointError(
                "the API key contains a space or an invalid character; check that it was copied completely"
            )
        self._openai = url.hostname == "api.openai.com" or url.hostname.endswith(".api.openai.com")
        if not key and self._openai:
            raise EndpointError(
                f"{url.hostname} needs an API key, and none is set; set the environment variable "
                "OPENAI_API_KEY, or OPENAI_BASE_URL to a server that needs no key"
            )
        self._url = _bare(url)
        self._version = version  # of Azure's API; "" elsewhere
        self._local = _is_loopback(url.hostname)
        self._key = SecretStr(key)
        self._timeout, self._max_retries = timeout, max_retries
        # OpenAI's reasoning models refuse max_tokens, and other servers may know nothing else.
        self._limit = "max_completion_tokens" if self._openai else "max_tokens"
        self._open: tuple[asyncio.AbstractEventLoop, openai.AsyncOpenAI] | None = None

    @property
    def renames_limit(self) -> bool:
        """Whether the limit of the reply is sent as max_completion_tokens; set where that is known from before."""
        return self._limit == "max_completion_tokens"

    @renames_limit.setter
    def renames_limit(self, renames: bool) -> None:
        self._limit = "max_completion_tokens" if renames or self._openai else "max_tokens"

    @property
    def endpoint(self) -> str:
        """The base URL, without a slash at its end."""
        return self._url

    def __repr__(self) -> str:
        return f"OpenAIClient(base_url={self.endpoint!r}, timeout={self._timeout}, max_retries={self._max_retries})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}

    async def send(self, request: Request) -> RawReply:
        """Return the body of a successful reply as it came, without the API key should it repeat it.

        The error body of a content filter that stopped the prompt is returned too: it is this question's answer, and is
        the same each time. Where `max_tokens` is refused the limit is sent as `max_completion_tokens` from then on.

        `seconds` is the wall time, pauses and retries included. Raises EndpointError.
        """
        start = time.perf_counter()
        settings = self._settings(request)
        retries, resent = min(_CUT_RETRIES, self._max_retries), 0
        while True:
            try:
                reply, again = await self._post(request.model, settings)
            except EndpointError as error:
                if error.parameter != "max_tokens" or "max_tokens" not in settings:
                    raise
                self._limit = "max_completion_tokens"
                settings = self._settings(request)
                continue
            body, resent = self._redact(reply), resent + again
            problem = _problem(body)
            if problem is None:
                return RawReply(body, time.perf_counter() - start, resent)
            if not retries or not problem.passing:
                raise self._error(request.model, problem.text, problem.status)
            await asyncio.sleep(_CUT_PAUSE)
            retries, resent = retries - 1, resent + 1

    async def slots(self) -> int | None:
        """Return how many questions a llama.cpp server on this machine answers at once; None for any other."""
        if not self._local:
            return None

        def read() -> Any:
            direct = build_opener(ProxyHandler({}))  # a proxy that the environment names does not lead to this machine
            with direct.open(f"{self._url.removesuffix('/v1')}/props", timeout=_PROPS_SECONDS) as reply:
                return json.load(reply)

        try:
            told = await asyncio.to_thread(read)
        except (OSError, HTTPException, ValueError):  # of another make, or not there: the first question will say
            return None
        count = told.get("total_slots") if isinstance(told, dict) else None
        return count if isinstance(count, int) and count > 0 else None

    def body(self, request: Request) -> dict[str, Any]:
        """Return the JSON body that asks `request`, as it is sent."""
        return self._settings(request)

    async def call(
        self, what: str, action: Callable[[openai.AsyncOpenAI], Awaitable[T]], *, missing: str | None = None
    ) -> T:
        """Return what `action` gets from the SDK's client; EndpointError says `what` failed, `missing` why on a 404."""
        import openai

        try:
            return await action(self._client())
        except openai.OpenAIError as error:
            status = getattr(error, "status_code", None)
            came = f"it answered 404: {missing}" if status == 404 and missing else self._explain(error)
        raise EndpointError(self._redact(f"{self.endpoint}, {what}: {came}"), status=status)

    def redact(self, text: str) -> str:
        """Return `text` without the API key should it hold it."""
        return self._redact(text)

    async def close(self) -> None:
        """Close the connections; the client may be used again."""
        if self._open is not None:
            loop, client = self._open
            self._open = None
            if loop is asyncio.get_running_loop():
                await client.close()

    async def _post(self, model: str, settings: dict[str, Any]) -> tuple[str, int]:
        """Return the body of the reply, and how often the request was sent again."""
        import openai

        time_outs = 0
        while True:
            parameter, kind = "", EndpointError
            try:
                reply = await self._client().chat.completions.with_raw_response.create(**settings)
                return str(reply.text), reply.retries_taken + time_outs
            except _NotInTimeError:
                time_outs += 1
                if time_outs <= min(1, self._max_retries):
                    continue
                came, status, kind = self._explain_time_out(time_outs - 1), None, TimedOutError
            except openai.OpenAIError as error:
                came, status = self._explain(error), getattr(error, "status_code", None)
                body = getattr(error, "body", None)
                if status in (400, 403) and is_filtered(body):
                    return json.dumps({"error": body}), 0
                if status in (400, 422):
                    parameter = refused_parameter(body)
            # Outside the handler, so that the SDK's error, which holds the request and its key, is no part of this one.
            raise self._error(model, came, status, parameter, kind)

    def _client(self) -> openai.AsyncOpenAI:
        """Return the SDK's client of the running event loop: its connections belong to that loop."""
        loop = asyncio.get_running_loop()
        if self._open is None or self._open[0] is not loop:
            import openai

            timeout = openai.Timeout(self._timeout, connect=min(self._timeout, _CONNECT_SECONDS))
            options: dict[str, Any] = {
                "base_url": self._url,
                "api_key": self._key.get_secret_value() or _PLACEHOLDER,
                "timeout": timeout,
                "max_retries": self._max_retries,
                # A proxy that the environment names does not lead to this machine.
                "http_client": _http_client(timeout=timeout, trust_env=not self._local),
            }
            client: openai.AsyncOpenAI
            if self._version:  # the key in Azure's header, the model as its deployment's name in the path
                client = openai.AsyncAzureOpenAI(api_version=self._version, **options)
            else:
                client = openai.AsyncOpenAI(**options)
            self._open = loop, client
        return self._open[1]

    def _settings(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        settings: dict[str, Any] = {
            "model": request.model,
            "messages": [message._asdict() for message in request.messages],
            "temperature": sampling.temperature,
            "seed": sampling.seed,
            "frequency_penalty": sampling.frequency_penalty,
            "presence_penalty": sampling.presence_penalty,
            self._limit: sampling.max_tokens,
            "reasoning_effort": sampling.reasoning_effort,
        }
        if sampling.top_logprobs is not None:
            settings |= {"logprobs": True, "top_logprobs": sampling.top_logprobs}
        if request.reply_format == "json_schema":
            schema = {"name": request.schema_name, "schema": json.loads(request.schema_json), "strict": True}
            settings["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif request.reply_format == "json_object":
            settings["response_format"] = {"type": "json_object"}
        return {name: value for name, value in settings.items() if value is not None}

    def _explain(self, error: openai.OpenAIError) -> str:
        import openai

        after = _after(self._max_retries)
        if isinstance(error, openai.APITimeoutError):
            return self._explain_time_out(self._max_retries)
        if isinstance(error, openai.APIConnectionError):
            cause = error.__cause__
            why = f" ({type(cause).__name__}: {cause})" if cause is not None else ""
            return f"no connection, or one that was lost{after}{why}; is the server running, and the base URL right?"
        if not isinstance(error, openai.APIStatusError):
            return f"{type(error).__name__}: {error}"
        status = error.status_code
        came = f"it answered {status}: {_short(self._redact(_message(error.body) or error.message))}"
        if status == 401:
            return f"{came}; set OPENAI_API_KEY to a key of this endpoint"
        if status == 403:
            return f"{came}; the key, or the model, does not allow what was asked for"
        if status == 404:
            return f"{came}; is the model's name right, and does the base URL end as the endpoint wants it (often /v1)?"
        if status == 429:
            return f"{came}; still so{after}: wait, keep fewer requests in flight, or look at the account's limits"
        if status >= 500:
            return f"{came}; still so{after}: try again later"
        return f"{came}; the endpoint does not accept the request"

    def _explain_time_out(self, retries: int) -> str:
        came = f"no answer within {self._timeout:g} seconds{_after(retries)}"
        return f"{came}; is the server busy? A longer timeout may help"

    def _error(
        self,
        model: str,
        came: str,
        status: int | None,
        parameter: str = "",
        kind: type[EndpointError] = EndpointError,
    ) -> EndpointError:
        return kind(self._redact(f"{self.endpoint}, model {model!r}: {came}"), status=status, parameter=parameter)

    def _redact(self, text: str) -> str:
        key = self._key.get_secret_value()
        if len(key) < _SECRET_LENGTH:
            return text
        # As it is, or as JSON may escape it: \/ and \u002b are / and + too.
        form = "".join(rf"(?:\\?{re.escape(sign)}|\\u(?i:{ord(sign):04x}))" for sign in key)
        return re.sub(form, "[API key]", text)


class _NotInTimeError(BaseException):
    """A question's time-out on its way past the SDK, which retries exceptions that it does not know too."""


def _http_client(**options: Any) -> Any:
    """Return the SDK's HTTP client, but that a question's time-out ends its retries."""
    import openai

    library = sys.modules[openai.DefaultAsyncHttpxClient.__mro__[1].__module__]  # httpx2, or httpx before openai 3

    class Client(openai.DefaultAsyncHttpxClient):
        async def send(self, request: Any, **options: Any) -> Any:
            try:
                return await super().send(request, **options)
            except library.TimeoutException:
                if request.url.path.endswith("/chat/completions"):
                    raise _NotInTimeError from None
                raise

    return Client(**options)


class _Problem(NamedTuple):
    text: str
    status: int | None
    passing: bool  # it may be gone the next time


def _problem(body: str) -> _Problem | None:
    """Return what is wrong with the body of a reply of status 200, None where it may be a completion."""
    try:
        fields = read_body(body)
    except (ValueError, RecursionError):
        if body.lstrip()[:1] in ("", "{"):
            return _Problem(f"it answered 200 with JSON that ends early: {_short(body)}; try again later", 200, True)
        return _Problem(f"it answered 200 with what is no JSON: {_short(body)}; is the base URL right?", 200, False)
    error = fields.get("error") if isinstance(fields, dict) and not fields.get("choices") else None
    if not error or is_filtered(fields):
        return None
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) else 200
    text = f"it answered 200 with an error: {_short(_message(error) or json.dumps(error))}; try again later"
    return _Problem(text, status, status in _PASSING or status >= 500)


def _message(body: object) -> str:
    """Return the message in the body of an error; "" where it has none."""
    if isinstance(body, list):  # Gemini's [{"error": ...}], and the faults that FastAPI lists
        return "; ".join(dict.fromkeys(filter(None, map(_message, body))))
    if isinstance(body, dict):
        return next(filter(None, (_message(body.get(name)) for name in ("message", "error", "detail", "msg"))), "")
    return body if isinstance(body, str) else ""


def _bare(url: SplitResult) -> str:
    """Return a base URL without what may be secret in it, and without a slash at its end."""
    return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path.rstrip("/"), "", ""))


def _has_port(url: SplitResult) -> bool:
    """Return whether the port of a URL is a number of a port, or left out."""
    try:
        return url.port is None or url.port > 0
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _after(retries: int) -> str:
    if not retries:
        return ""
    return " after 1 retry" if retries == 1 else f" after {retries} retries"


def _short(text: str, *, limit: int = 300) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= limit else text[:limit] + "..."
