"""A loopback HTTP server that answers with the shapes that the services behind `[data]` document.

with RecordedHttp(lambda asked: Answer({"news": []})) as server:
    download_news("AAPL", start="2020", end="2020", base_url=server.url)
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType, TracebackType
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["Answer", "Asked", "RecordedHttp"]


class Asked(NamedTuple):
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case


class Answer(NamedTuple):
    """`body` is sent as it is where it is bytes, else as JSON; "cut" sends half of it, "hang" nothing until the end."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    fault: Literal["cut", "hang"] | None = None


class RecordedHttp:
    """`reply` answers each request, after the answers in `first` were given; `asked` keeps the requests."""

    def __init__(self, reply: Callable[[Asked], Answer], *, first: list[Answer] | None = None) -> None:
        self.reply = reply
        self.first = list(first or [])
        self.asked: list[Asked] = []
        self.over = threading.Event()
        recorded = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # headers and body in one packet: no wait for its acknowledgement

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                asked = Asked(
                    unquote(url.path),
                    dict(parse_qsl(url.query)),
                    {name.lower(): value for name, value in self.headers.items()},
                )
                recorded.asked.append(asked)
                answer = recorded.first.pop(0) if recorded.first else recorded.reply(asked)
                self.close_connection = answer.fault is not None
                if answer.fault == "hang":
                    recorded.over.wait(10)
                    return
                body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if answer.fault == "cut" else body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
