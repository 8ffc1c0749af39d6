"""The review's page on this machine: a small server for the reviewers of one packet.

    /TOKEN/             the page; each reviewer has a token of his own, new whenever the server starts
    /TOKEN/progress     whose sheet it is and how far it has come
    /TOKEN/month/ID     one month, as far as it may be seen (`llmguide.guidance.review.shown`)
    /TOKEN/own          POST: the reviewer's own direction
    /TOKEN/scores       POST: scores and comment

It listens on the loopback alone, and answers only requests that name it as their host (a page elsewhere may have its
own name point here). Nothing can be sent from another page: the token is in no cookie, a POST is JSON, and its origin
must be this server. A connection carries one request (HTTP/1.0), so that none outlives the server. An answer is in its
file before it is acknowledged.
"""

from __future__ import annotations

import json
import secrets
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from llmguide._version import __version__
from llmguide.errors import LlmguideError
from llmguide.guidance.review.packet import Packet
from llmguide.guidance.review.sheet import COMMENT, REASON, OutOfTurn, Scores, Sheet, open_sheet, save_sheet
from llmguide.guidance.review.shown import show_month, show_progress
from llmguide.guidance.review.stored import Stored
from llmguide.report.review_page import policy, render_review

__all__ = ["LONGEST", "ReviewServer"]

LONGEST = 65_536
"""Bytes of the longest answer that is read."""

_PATIENCE = 30.0  # seconds that a connection may be silent
_TEXT, _JSON = "text/html; charset=utf-8", "application/json"

A = TypeVar("A", bound=Stored)


class _Own(Stored):
    month: Annotated[str, Field(max_length=40)]
    own: Literal["LONG", "SHORT"]
    reason: Annotated[str, Field(max_length=REASON)]


class _Scored(Stored):
    month: Annotated[str, Field(max_length=40)]
    scores: Scores
    comment: Annotated[str, Field(max_length=COMMENT)]
    version: Annotated[int, Field(ge=0)]


class _Refusal(Exception):
    """A request that is not answered as it wishes."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class ReviewServer:
    """Serves a packet to reviewers and keeps their sheets in a review's folder, as a context manager.

    `links` are the addresses of their pages, by name. `on_month` is called when a month is done, with the reviewer's
    name, how many are done, and how many there are. Raises GuidanceError for a sheet of another packet, LlmguideError
    where the port cannot be listened on.
    """

    def __init__(
        self,
        packet: Packet,
        folder: Path,
        reviewers: Sequence[str],
        *,
        port: int = 0,
        on_month: Callable[[str, int, int], None] = lambda name, done, of: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.packet, self.folder, self.on_month, self.clock = packet, folder, on_month, clock
        self.sheets = {name: open_sheet(folder, packet, name) for name in reviewers}
        self.page = render_review()
        self._tokens = {secrets.token_urlsafe(24): name for name in reviewers}
        self._lock = threading.Lock()
        try:
            self._http = _Server(("127.0.0.1", port), _handler(self))
        except OSError as error:
            raise LlmguideError(
                f"port {port} of this machine cannot be listened on: {error.strerror}; choose another, or leave it to "
                "the machine (0)"
            ) from None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._http.server_address[1])

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a request may call this server."""
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    @property
    def links(self) -> Mapping[str, str]:
        """The address of each reviewer's page."""
        return {name: f"http://127.0.0.1:{self.port}/{token}/" for token, name in self._tokens.items()}

    def __enter__(self) -> ReviewServer:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def wait(self) -> None:
        """Serve until a signal comes."""
        while True:
            self._thread.join(timeout=0.5)

    def reviewer_of(self, token: str) -> str | None:
        """Return whose link it is, None for nobody's."""
        found = [name for known, name in self._tokens.items() if secrets.compare_digest(known.encode(), token.encode())]
        return found[0] if found else None

    def look(self, reviewer: str, path: str) -> Any:
        """Return what a reviewer asks for; OutOfTurn where it may not be seen yet."""
        sheet = self.sheets[reviewer]
        if path == "progress":
            return show_progress(self.packet, sheet)
        return show_month(self.packet, sheet, path.removeprefix("month/"))

    def take(self, reviewer: str, path: str, body: bytes) -> Any:
        """Store an answer and return its month as it is then; OutOfTurn where it does not count."""
        if path == "own":
            own = _read(body, _Own)
            month = own.month
            self._change(
                reviewer, lambda sheet: sheet.with_own(self.packet, own.month, own.own, own.reason, at=self.clock())
            )
        else:
            new = _read(body, _Scored)
            month = new.month
            self._change(
                reviewer,
                lambda sheet: sheet.with_scores(
                    self.packet, new.month, new.scores, new.comment, version=new.version, at=self.clock()
                ),
            )
        return show_month(self.packet, self.sheets[reviewer], month)

    def _change(self, reviewer: str, change: Callable[[Sheet], Sheet]) -> None:
        with self._lock:
            before = self.sheets[reviewer]
            after = change(before)
            if after is not before:
                save_sheet(self.folder, after)
                self.sheets[reviewer] = after
        if (done := after.turn(self.packet)) > before.turn(self.packet):
            self.on_month(reviewer, done, len(self.packet.months))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that broke off; anything else is a fault of this program, and is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _read(body: bytes, kind: type[A]) -> A:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the answer"
        raise _Refusal(HTTPStatus.BAD_REQUEST, f"{field}: {first['msg']}") from None


def _handler(server: ReviewServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = f"llmguide/{__version__}", ""
        timeout = _PATIENCE

        def do_GET(self) -> None:
            self._answer(self._get)

        def do_POST(self) -> None:
            self._answer(self._post)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: a token is in every address."""

        def _get(self, reviewer: str, path: str) -> tuple[str, bytes]:
            if path == "":
                return _TEXT, server.page.encode()
            if path == "progress" or path.startswith("month/"):
                return _JSON, json.dumps(server.look(reviewer, path)).encode()
            raise _Refusal(HTTPStatus.NOT_FOUND, "there is no such page")

        def _post(self, reviewer: str, path: str) -> tuple[str, bytes]:
            if path not in ("own", "scores"):
                raise _Refusal(HTTPStatus.NOT_FOUND, "there is no such page")
            origin = self.headers.get("Origin")
            if origin is not None and origin not in {f"http://{host}" for host in server.hosts}:
                raise _Refusal(HTTPStatus.FORBIDDEN, "this answer comes from another page")
            if self.headers.get_content_type() != _JSON:
                raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected JSON")
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdigit()):
                raise _Refusal(HTTPStatus.LENGTH_REQUIRED, "expected the length of the answer")
            if int(length) > LONGEST:
                raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an answer has at most {LONGEST:,} bytes")
            body = self.rfile.read(int(length))
            return _JSON, json.dumps(server.take(reviewer, path, body)).encode()

        def _answer(self, find: Callable[[str, str], tuple[str, bytes]]) -> None:
            status = HTTPStatus.OK
            try:
                reviewer, path = self._addressed()
                kind, body = find(reviewer, path)
            except _Refusal as refusal:
                status, (kind, body) = refusal.status, self._error(refusal)
            except OutOfTurn as refusal:
                status, (kind, body) = HTTPStatus.CONFLICT, self._error(refusal)
            except (LlmguideError, OSError) as error:
                told = LlmguideError(f"the answer could not be stored: {error}")
                status, (kind, body) = HTTPStatus.INTERNAL_SERVER_ERROR, self._error(told)
            self._send(status, kind, body)

        def _addressed(self) -> tuple[str, str]:
            """Return whose page is asked for, and what of it."""
            if self.headers.get("Host") not in server.hosts:
                raise _Refusal(
                    HTTPStatus.MISDIRECTED_REQUEST, "this server is called otherwise; use the link it printed"
                )
            token, slash, path = self.path.removeprefix("/").partition("/")
            reviewer = server.reviewer_of(token)
            if reviewer is None or not slash:
                raise _Refusal(
                    HTTPStatus.FORBIDDEN,
                    "this link is not, or no longer, valid; use the one that llmguide review printed last",
                )
            return reviewer, path

        def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", f"{policy()}; frame-ancestors 'none'")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "same-origin")  # some browsers hide the origin with no-referrer
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def _error(self, error: Exception) -> tuple[str, bytes]:
            """The reason as JSON for the page's script, as text for who opens an address."""
            if "text/html" in self.headers.get("Accept", ""):
                return "text/plain; charset=utf-8", f"{error}\n".encode()
            return _JSON, json.dumps({"error": str(error)}).encode()

    return Handler
