"""A language model in a file, served on this machine by llama.cpp for as long as it is asked.

`LocalClient` is the `Client` of one: the server starts with the first question that the cache does not answer, in a
process of its own, and ends with the client, or with the process that holds it. The server is the one in the wheel
xllamacpp (`pip install 'llmguide[local]'`).
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmguide.errors import EndpointError, LanguageModelError, MissingExtra
from llmguide.llm.gguf import ModelFile, read_model_file
from llmguide.llm.openai_client import OpenAIClient
from llmguide.llm.protocol import RawReply, Request

__all__ = ["LocalClient", "LocalServer", "LocalSettings"]

_CONTEXT = 8192
_LOG_LINES = 6


@dataclass(frozen=True)
class LocalSettings:
    """How a local model is served; None chooses for this machine.

    Attributes:
        threads: at work at once; the physical cores by default.
        slots: questions answered at once; one for each eight physical cores by default, at most 4.
        context: tokens of a prompt and its reply together, for each slot; 8,192 by default, or the model's if less.
        gpu_layers: layers on a graphics card, where the wheel was built for one; all that fit by default.
        exact: compute every token alone. The probabilities of quantized models otherwise depend a little on which
            tokens are computed together, and so on what the server was asked before.
    """

    threads: int | None = None
    slots: int | None = None
    context: int | None = None
    gpu_layers: int | None = None
    exact: bool = False


class LocalServer:
    """llama.cpp's server with one model, in a process of its own on a free port of the loopback address.

    `url` is where it answers. Raises MissingExtra where the wheel is not installed, and LanguageModelError with the
    last lines of its log where it does not start.
    """

    def __init__(self, model: ModelFile, settings: LocalSettings) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingExtra("xllamacpp, llama.cpp's server,", "local")
        cores = _physical_cores()
        chosen: dict[str, Any] = {
            "path": str(model.path.resolve()),
            "name": model.name,
            "threads": settings.threads or cores,
            "slots": settings.slots or max(1, min(4, cores // 8)),
            "context": settings.context or min(_CONTEXT, model.context or _CONTEXT),
            "gpu_layers": settings.gpu_layers,
            "exact": settings.exact,
            "plain": not model.has_chat_template,
        }
        self.slots: int = chosen["slots"]
        self._log = tempfile.TemporaryFile(mode="w+", prefix="llmguide-local-", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "llmguide.llm.llamacpp", json.dumps(chosen)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C is for the parent, which lets answers under way come in
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            self.url = str(json.loads(line)["url"])
        except (ValueError, KeyError):
            told = self.last_words()
            self.close()
            raise LanguageModelError(f"llama.cpp could not serve {model.path}: {told}") from None

    def has_ended(self, within: float) -> bool:
        """Return whether the process ends within so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=within)
        return self._process.poll() is not None

    def last_words(self) -> str:
        """Return the end of the server's log in one line."""
        self.has_ended(1.0)
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        return " | ".join(lines[-_LOG_LINES:]) or f"it ended with {self._process.poll()} and said nothing"

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()


class LocalClient:
    """A `Client` of a model in a file. Its server starts with the first question; `close` ends it.

    `timeout` is in seconds, for one answer.
    """

    def __init__(
        self,
        path: Path | str,
        settings: LocalSettings | None = None,
        *,
        timeout: float = 600.0,
        max_retries: int = 0,
    ) -> None:
        self.model = read_model_file(path)
        self._settings = settings or LocalSettings()
        self._timeout, self._max_retries = timeout, max_retries
        self._server: LocalServer | None = None
        self._client: OpenAIClient | None = None
        self._starting = threading.Lock()

    def __repr__(self) -> str:
        return f"LocalClient({str(self.model.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_server": None, "_client": None, "_starting": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _starting=threading.Lock())

    @property
    def endpoint(self) -> str:
        """The model's name and digest: the same on any port and machine."""
        return self.model.endpoint

    async def slots(self) -> int | None:
        """Return how many questions the server answers at once."""
        return (await asyncio.to_thread(self._started))[0].slots

    async def send(self, request: Request) -> RawReply:
        """Return the body of a successful reply; EndpointError with the end of its log where the server is gone."""
        server, client = await asyncio.to_thread(self._started)
        try:
            return await client.send(request)
        except EndpointError as error:
            if error.status is not None or not await asyncio.to_thread(server.has_ended, 1.0):
                raise
            told = server.last_words()
            raise EndpointError(f"llama.cpp's server, which served {self.model.path}, is gone: {told}") from error

    async def close(self) -> None:
        """End the server; it starts again with the next question."""
        client, server = self._client, self._server
        self._client = self._server = None
        if client is not None:
            await client.close()
        if server is not None:
            await asyncio.to_thread(server.close)

    def _started(self) -> tuple[LocalServer, OpenAIClient]:
        with self._starting:
            if self._server is None or self._client is None:
                self._server = LocalServer(self.model, self._settings)
                self._client = OpenAIClient(
                    base_url=f"{self._server.url}/v1",
                    api_key="none",
                    timeout=self._timeout,
                    max_retries=self._max_retries,
                )
            return self._server, self._client


def _physical_cores() -> int:
    """Return the physical cores that this process may use; hyper-threads make llama.cpp no faster."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = {
        found.read_text().strip() if found.is_file() else str(cpu)
        for cpu in mine
        for found in [Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")]
    }
    return max(1, len(siblings))
