"""The process of a local model's server; `llmguide.llm.local` starts this file, which imports nothing of llmguide.

Standard input: one line of JSON, what to load and how; then nothing, until its end, which ends this process. Standard
output: one line of JSON, the server's address or what went wrong. All that llama.cpp says goes to standard error.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from typing import Any

_LOOK_SECONDS = 0.5


def main() -> None:
    """Serve until the parent process ends."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    wish = json.loads(sys.stdin.buffer.readline())
    _end_with(wish["parent"], by_signal=wish["by_signal"])
    try:
        server = _serve(wish)
        found = {"address": server.listening_address}
    except Exception as error:  # whatever it is, the parent has to know
        found = {"error": f"{type(error).__name__}: {error}"}
    answer.write(json.dumps(found) + "\n")
    answer.close()
    if "error" in found:
        os._exit(1)
    threading.Event().wait()


def _end_with(parent: int, *, by_signal: bool) -> None:
    """End this process when the parent does, whatever ends it.

    The model is loaded with Python's lock held, so that no thread looks: there Linux sends a signal, provided that the
    thread that started this process lasts as long as its process.
    """
    if by_signal and sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if hasattr(os, "getppid") and os.name == "posix":
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    threading.Thread(target=_watch_input, daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:  # a forked sibling may hold the pipe open
        time.sleep(_LOOK_SECONDS)
    os._exit(0)


def _watch_input() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def _serve(wish: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = wish["path"]
    params.model_alias = {wish["name"]}
    params.hostnames, params.port = ["127.0.0.1"], 0  # a free port
    params.api_keys = [wish["key"]]
    params.n_parallel, params.n_ctx = wish["slots"], wish["slots"] * wish["context"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = wish["threads"]
    if wish["gpu_layers"] is not None:
        params.n_gpu_layers = wish["gpu_layers"]
    if wish["template"]:
        params.chat_template = wish["template"]
    if wish["exact"]:  # every token alone: else its probabilities depend on what is computed with it
        params.n_ubatch = 1
        params.no_extra_bufts = True
    params.cpuparams.poll = params.cpuparams_batch.poll = 0  # threads sleep while they wait: other work goes on
    params.swa_full = True  # else a model of sliding windows reads the beginning of every prompt anew
    params.ui = False
    params.cache_ram_mib = 0  # each prompt is asked once
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
