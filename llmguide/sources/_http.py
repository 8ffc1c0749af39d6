"""JSON over HTTP for the connectors: retries, time limits, one clear error, and no key in any message or log.

Through requests, which yfinance (extra `data`) brings along.
"""

from __future__ import annotations

import email.utils
import importlib
import logging
import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, quote_plus

from llmguide.errors import DataError, MissingExtra

__all__ = ["JsonService", "credential"]

REQUEST_SECONDS = 20.0  # until it connects, and between two pieces of the answer
FIRST_PAUSE_SECONDS = 1.0  # before the second attempt; doubles with every further one
ATTEMPTS = 5
LONGEST_PAUSE_SECONDS = 90.0  # a service that asks for more is told about instead of waited for
_RETRIED = (429, 500, 502, 503, 504)
_HIDDEN = "***"


class JsonService:
    """A service that answers GET requests with JSON; a context manager that closes its connections.

    `name` is how messages call it. `headers` go with every request, `secret` parameters too. The values of `secrets`
    appear in no error and in no line that urllib3 logs. `access` is the advice where the service refuses access.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        access: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        try:
            self._requests = importlib.import_module("requests")
        except ImportError as error:
            raise MissingExtra("requests", "data") from error
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.access = access
        self.params = dict(params or {})
        self._secrets = tuple({form(secret) for secret in secrets for form in (str, quote, quote_plus) if secret})
        self._session = self._requests.Session()
        self._session.headers.update({"Accept": "application/json", **(headers or {})})
        self._filter = _Redact(self._redact)

    def __enter__(self) -> Self:
        # urllib3 logs the path of each request, and with it a key that is one of its parameters.
        logging.getLogger("urllib3.connectionpool").addFilter(self._filter)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger("urllib3.connectionpool").removeFilter(self._filter)
        self._session.close()

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """Return the parsed answer.

        What may pass is tried again, `ATTEMPTS` times in all: too many requests (after the pause that the service asks
        for), errors of the server, connections that fail or break, and answers that are cut off.

        Raises DataError in one line, without a chain: what the service said, or why it did not answer.
        """
        for attempt in range(1, ATTEMPTS + 1):
            answer, problem, pause = self._ask(path, params or {}, FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1))
            if problem is None:
                return answer
            if pause is None:
                raise DataError(problem)
            if attempt < ATTEMPTS:
                if pause > LONGEST_PAUSE_SECONDS:
                    raise DataError(f"{problem}; it asks clients to wait {pause:.0f} seconds; try again later")
                time.sleep(pause)
        raise DataError(f"{problem}, in {ATTEMPTS} attempts; check the network and try again later")

    def _ask(self, path: str, params: Mapping[str, str | int], pause: float) -> tuple[Any, str | None, float | None]:
        """One attempt: the answer; or None, what went wrong, and the seconds to wait, None where waiting is no use."""
        try:
            # A redirection would carry the keys to another host.
            response = self._session.get(
                self.base_url + path,
                params={**self.params, **params},
                timeout=REQUEST_SECONDS,
                allow_redirects=False,
            )
        except self._requests.Timeout:
            return None, f"{self.name} did not answer within {REQUEST_SECONDS:.0f} seconds", pause
        except (self._requests.exceptions.InvalidURL, self._requests.exceptions.MissingSchema):
            return None, f"base_url is an address like 'https://example.org', not {self.base_url!r}", None
        except self._requests.RequestException as error:
            return None, self._redact(f"{self.name} was not reached: {_reason(error)}"), pause
        status = response.status_code
        if status == 200:
            try:
                return response.json(), None, None
            except ValueError:
                said = self._redact(_start(response.text))
                return None, f"{self.name} sent an answer that is not JSON: {said!r}", pause
        said = self._redact(f"HTTP {status}: {_message(response)}")
        if status in _RETRIED:
            return None, f"{self.name} is not available ({said})", _asked_pause(response.headers) or pause
        if status in (401, 403):
            return None, f"{self.name} refused access ({said}); {self.access}", None
        if status == 404:
            return None, f"{self.name} has nothing at {path} ({said})", None
        return None, f"{self.name} did not accept the request for {path} ({said}); {self.access}", None

    def _redact(self, text: str) -> str:
        """`text` without keys, plain or as they are written in an address."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text


class _Redact(logging.Filter):
    def __init__(self, redact: Any) -> None:
        super().__init__()
        self._redact = redact

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redact(record.getMessage()), ()
        return True


def credential(value: str | None, variable: str, *, what: str, where: str) -> str:
    """Return `value`, or the environment's `variable`, without spaces around it.

    Raises DataError, which says what is missing and where to get it, without repeating what came.
    """
    given = (os.environ.get(variable, "") if value is None else value).strip()
    if not given:
        raise DataError(f"{what} is needed: set the environment variable {variable} ({where})")
    if not given.isascii() or not given.isprintable():
        raise DataError(f"{what} ({variable}) contains characters that cannot be sent; copy it again ({where})")
    return given


def _reason(error: Exception) -> str:
    """The innermost cause in words: "Connection refused", not five classes around it."""
    inner: Any = error
    for _ in range(8):
        inner = getattr(inner, "reason", None) or next((a for a in inner.args if isinstance(a, Exception)), None)
        if inner is None or isinstance(inner, str):
            break
        error = inner
    text = str(getattr(error, "strerror", None) or error).split(": ", 1)[-1]
    return _start(text) or type(error).__name__


def _message(response: Any) -> str:
    """What the service says about an error: the message in its JSON, else the start of its text."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        for key in ("error_message", "message"):
            if isinstance(body.get(key), str):
                return _start(body[key])
    text = response.text
    return response.reason or "no reason given" if "<" in text[:20] or not text.strip() else _start(text)


def _start(text: str, length: int = 160) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= length else line[: length - 3] + "..."


def _asked_pause(headers: Mapping[str, str]) -> float | None:
    """Seconds until the service wants to be asked again, None where it does not say so."""
    asked = headers.get("Retry-After", "")
    if asked.isdigit():
        return float(asked)
    if (date := email.utils.parsedate_tz(asked)) is not None:
        return max(0.0, email.utils.mktime_tz(date) - time.time())
    reset = headers.get("X-RateLimit-Reset", "")  # Alpaca: seconds since 1970
    return max(0.0, float(reset) - time.time()) if reset.isdigit() else None
