"""The process that serves a local model: llama.cpp's own server, until the process that started it is gone.

    python -m llmguide.llm.llamacpp '{"path": "model.gguf", "threads": 2, ...}'

It says its address in one line of JSON on standard output, then nothing more there. Standard error is the server's log.
It ends when its standard input does, which is when its parent ends, in whatever way.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

__all__ = ["PLAIN_TEMPLATE", "serve"]

PLAIN_TEMPLATE = "{% for message in messages %}{{ message.content }}\n\n{% endfor %}Answer:\n"
"""How messages become text for a model that has no chat template of its own: one after another."""


def serve(settings: dict[str, Any]) -> None:
    """Serve the model until standard input ends."""
    said = os.dup(1)
    os.dup2(2, 1)  # what the server prints goes to its log, not into the answer
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.ui = False
    params.n_ctx = settings["context"] * settings["slots"]
    params.n_parallel = settings["slots"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.cache_ram_mib = 0  # of prompts beside those in the slots; llama.cpp takes up to 8 GiB
    if settings["gpu_layers"] is not None:
        params.n_gpu_layers = settings["gpu_layers"]
    if settings["exact"]:
        params.n_ubatch = 1
        params.no_extra_bufts = True
    if settings["plain"]:
        params.chat_template = PLAIN_TEMPLATE
    server = xllamacpp.Server(params)
    os.write(said, json.dumps({"url": server.listening_address}).encode() + b"\n")
    os.close(said)
    while os.read(0, 1024):
        pass
    os._exit(0)  # the server's own threads would be waited for


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
