"""A language model in a file, served on this machine by llama.cpp for as long as it is asked.

`LocalClient` is the `Client` of one: the server starts with the first question that the cache does not answer, in a
process of its own, and ends with the client, or with the process that holds it. The server is the one in the wheel
xllamacpp (`pip install 'llmguide[local]'`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from llmguide.errors import EndpointError, LanguageModelError, MissingExtra
from llmguide.llm.gguf import ModelFile, read_model_file
from llmguide.llm.openai_client import OpenAIClient
from llmguide.llm.protocol import RawReply, Request

__all__ = ["LocalClient", "LocalSettings", "model_endpoint", "model_name"]

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}Answer:\n{% endif %}"
)
"""How a chat is written for a model whose file does not say it."""

_WORKER = Path(__file__).with_name("local_server.py")
_CONTEXT = 8192  # tokens for a question and its answer: room for every prompt of ours and some headlines
_LEAST_CONTEXT = 2048
_MIB = 2**20
_WHOLE_FILE = 1024 * _MIB  # up to here all of it is hashed
_PIECES = 256
_LOG_LINES, _LOG_CHARS = 3, 500  # that a message shows
_END_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class LocalSettings:
    """How a local model is served; None chooses for the machine and the model.

    Attributes:
        threads: that compute; the physical cores.
        slots: questions answered at once; 1 below 8 cores, else 2.
        context: tokens of each slot, for the question and its answer; 8192, or less where the model was trained with
            less or the memory that is free does not hold it.
        gpu_layers: layers of the model that a GPU holds; as llama.cpp chooses.
        exact: compute every token alone. The probabilities of quantized models otherwise depend a little on which
            tokens are computed together, and so on what the server was asked before.
    """

    threads: int | None = None
    slots: int | None = None
    context: int | None = None
    gpu_layers: int | None = None
    exact: bool = False

    @property
    def questions_at_once(self) -> int:
        """The slots on this machine."""
        return self.slots or (1 if _physical_cores() < 8 else 2)


def model_name(path: Path | str) -> str:
    """Return what a model in a file is called: the file's name without suffix."""
    return Path(path).stem


def model_endpoint(path: Path | str) -> str:
    """Return what answers of a model in a file are kept under: its name and 12 digits of a SHA-256.

    The hash is of the whole file up to 1 GiB, beyond that of its size and of 256 pieces of 1 MiB at equal distances. So
    the same file has the same answers in the cache, whatever the folder, the run and the port. Raises
    LanguageModelError for a file that is missing or no model.
    """
    path = Path(path).resolve()
    read_model_file(path)
    status = path.stat()
    return f"local:{model_name(path)}@{_digest(path, status.st_size, status.st_mtime_ns)}"


class LocalClient:
    """A `Client` of a model in a file. Its server starts with the first question; `close` ends it.

    `timeout` is in seconds, for one answer. With `stays`, `close` leaves the server running for later questions; it
    then ends with this object. Raises LanguageModelError for a file that is missing or no model.
    """

    def __init__(
        self,
        path: Path | str,
        settings: LocalSettings | None = None,
        *,
        timeout: float = 600.0,
        stays: bool = False,
    ) -> None:
        self.path = Path(path).resolve()
        self.file = read_model_file(self.path)
        self.settings = settings or LocalSettings()
        self._endpoint = model_endpoint(self.path)
        self._timeout, self._stays = timeout, stays
        self._started: tuple[LocalServer, OpenAIClient] | None = None
        self._starting = threading.Lock()

    def __repr__(self) -> str:
        return f"LocalClient({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_started": None, "_starting": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _starting=threading.Lock())

    @property
    def endpoint(self) -> str:
        """The model's name and digest: the same on any port and machine."""
        return self._endpoint

    @property
    def pid(self) -> int | None:
        """The process of the server; None where it was not started."""
        return None if self._started is None else self._started[0].process.pid

    async def slots(self) -> int | None:
        """Return how many questions the server answers at once."""
        return (await asyncio.to_thread(self._start))[0].slots

    async def send(self, request: Request) -> RawReply:
        """Return the body of a reply as it came; see `OpenAIClient.send`.

        Raises EndpointError, with the last lines of the server's log where it has ended.
        """
        server, client = await asyncio.to_thread(self._start)
        try:
            return await client.send(request)
        except EndpointError as error:
            if not await asyncio.to_thread(server.has_ended):
                raise
            came, status = server.failure(), error.status
        raise EndpointError(f"{came}; run the same command again to resume", status=status)

    async def close(self) -> None:
        """End the server, unless it stays; it starts again with the next question."""
        if self._started is None:
            return
        server, client = self._started
        await client.close()
        if not self._stays:
            self._started = None
            await asyncio.to_thread(server.end)

    def _start(self) -> tuple[LocalServer, OpenAIClient]:
        """Start the server if none was started, and wait until the model is loaded."""
        with self._starting:
            if self._stays and self._started is not None and self._started[0].process.poll() is not None:
                self._started = None  # it was killed between two questions
            if self._started is None:
                server = LocalServer(self.path, self.file, self.settings)
                # Not asked again: a server that is busy or gone does not get better by it.
                client = OpenAIClient(
                    base_url=f"{server.wait()}/v1", api_key=server.key, timeout=self._timeout, max_retries=0
                )
                self._started = server, client
            return self._started


class LocalServer:
    """llama.cpp's server with one model, in a process of its own on a free port of 127.0.0.1, behind a key of its own.

    It ends with `end`, with this object and with this process, also one that is killed. Raises MissingExtra where
    llama.cpp is not installed.
    """

    def __init__(self, path: Path, file: ModelFile, settings: LocalSettings) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingExtra("xllamacpp, llama.cpp's server,", "local")
        self.name = model_name(path)
        self.key = secrets.token_urlsafe(24)
        cores = _physical_cores()
        self.slots = settings.questions_at_once
        self._found: dict[str, str] = {}
        self._log: IO[bytes] = tempfile.TemporaryFile(prefix="llmguide-local-")  # noqa: SIM115  # closed in `end`
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C is for this process, which waits for the answers under way
        )
        self.end = weakref.finalize(self, _end, self.process, self._log, os.getpid())  # at this process's exit too
        wish = {
            "path": str(path),
            "name": self.name,
            "key": self.key,
            "threads": settings.threads or cores,
            "slots": self.slots,
            "context": settings.context or _context(file, self.slots),
            "gpu_layers": settings.gpu_layers,
            "exact": settings.exact,
            "template": "" if file.has_template else PLAIN_TEMPLATE,
            "parent": os.getpid(),
            # Linux's signal comes when the thread that started the process ends, and threads of a pool may.
            "by_signal": threading.current_thread() is threading.main_thread(),
        }
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: `wait` says why
            self.process.stdin.write(json.dumps(wish).encode() + b"\n")
            self.process.stdin.flush()

    def wait(self) -> str:
        """Return the address, when the model is loaded. Raises EndpointError where it cannot be."""
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError, OSError):
            self._found = json.loads(self.process.stdout.readline() or b"{}")
        if address := self._found.get("address"):
            return address
        self.has_ended()
        failure = self.failure()
        self.end()
        raise EndpointError(failure)

    def has_ended(self) -> bool:
        """Return whether the process has ended; after a lost connection it may be about to."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.5)
        return self.process.poll() is not None

    def failure(self) -> str:
        """Return what is known of the end of the server, with the last lines that llama.cpp has said."""
        error, code = self._found.get("error", ""), self.process.poll()
        how = "has ended" if self._found.get("address") else "did not start"
        why = error or (f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}")
        said = " | ".join(" ".join(line.split()) for line in self._log_lines()[-_LOG_LINES:])
        return f"the server of {self.name} {how} ({why})" + (f"; its last lines: {said[-_LOG_CHARS:]}" if said else "")

    def _log_lines(self) -> list[str]:
        if self._log.closed:
            return []
        size = os.fstat(self._log.fileno()).st_size
        start = max(0, size - 64 * 1024)
        # The position is the process's too: it is left where it was.
        raw = os.pread(self._log.fileno(), size - start, start) if hasattr(os, "pread") else b""
        return raw.decode("utf-8", "replace").splitlines()


def _end(process: subprocess.Popen[bytes], log: IO[bytes], owner: int) -> None:
    """End the server's process: it ends by itself when its input does, at the latest when it is killed."""
    if os.getpid() != owner:  # in a fork of the process that it belongs to
        return
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(0.5)
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
    if process.stdout is not None:
        process.stdout.close()
    log.close()


@lru_cache(maxsize=16)
def _digest(path: Path, size: int, changed_at: int) -> str:
    """Return 12 digits of the SHA-256 of a file, or of its size and pieces where it is big."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            if size <= _WHOLE_FILE:
                return hashlib.file_digest(file, "sha256").hexdigest()[:12]
            digest.update(str(size).encode())
            for piece in _pieces(size):
                file.seek(piece)
                digest.update(file.read(_MIB))
    except OSError as error:
        raise LanguageModelError(f"{path} cannot be read as a model file: {error.strerror}") from None
    return digest.hexdigest()[:12]


def _pieces(size: int) -> Iterator[int]:
    last = size - _MIB
    return (last * number // (_PIECES - 1) for number in range(_PIECES))


def _context(file: ModelFile, slots: int) -> int:
    """Return the tokens of a slot: what the model was trained with, up to 8192, halved while memory lacks."""
    context = min(file.context or _CONTEXT, _CONTEXT)
    free = _free_memory()
    while free is not None and context > _LEAST_CONTEXT and file.size + slots * context * file.cache_bytes > free:
        context = max(context // 2, _LEAST_CONTEXT)
    return context


def _free_memory() -> int | None:
    """Return the bytes of memory that a new process may use; None where the system does not say."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _physical_cores() -> int:
    """Return the cores that this process may use; two threads of one core count once where Linux says so."""
    try:
        usable = os.sched_getaffinity(0)
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
    folder = Path("/sys/devices/system/cpu")
    try:
        return len({(folder / f"cpu{number}/topology/thread_siblings_list").read_text() for number in usable})
    except OSError:
        return len(usable)
