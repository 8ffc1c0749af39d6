"""Join a Ray cluster, or start a local one: the only module that loads Ray (extra `cluster`)."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmguide.errors import MissingExtra, ModelError
from llmguide.rl.parallel import cores

__all__ = ["connected", "find_cluster", "reason"]

CONNECT_SECONDS = 5.0
QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # Ray would print its workers' troubles on standard output, amid our JSON.
}
JOINING = {"RAY_gcs_server_port_wait_time_s": "1"}
"""One attempt, of up to 40 seconds, where what listens at an address is no Ray; by default there are twenty."""


@contextmanager
def connected(address: str, announce: Callable[[str], None]) -> Iterator[Any]:
    """Yield the module `ray`, connected; what was started here is shut down at the end, and what was running stays.

    Args:
        address: HOST:PORT, or "auto" (see `find_cluster`). A process that is connected already stays where it is.
        announce: called with one line on which cluster it is.

    Raises MissingExtra without Ray, and ModelError where no cluster can be used, or where it was lost in the meantime.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtra("ray", "cluster") from error
    if ray.is_initialized():
        ours = ray.get_runtime_context().gcs_address
        if address not in ("auto", ours):
            raise ModelError(f"this process is connected to Ray at {ours}; use 'auto' for it, not {address!r}")
        announce(f"Ray at {ours}: {_size(ray)}")
        yield ray
        return
    found = find_cluster(address)
    try:
        _begin(ray, found)
        place = "on this machine" if found is None else f"at {ray.get_runtime_context().gcs_address}"
        announce(f"Ray {place}: {_size(ray)}")
        yield ray
    except ray.exceptions.RayError as error:
        raise ModelError(f"the Ray cluster was lost: {reason(error)}; run the same again to resume") from error
    finally:
        ray.shutdown()


def find_cluster(address: str) -> str | None:
    """Return what to connect to, where something listens; None where a local Ray has to be started.

    "auto" is the cluster that RAY_ADDRESS names; else the one that `ray start` has made this machine part of; else a
    new one. Ray's own "auto" would also join the local Ray of another command, which shuts it down when it ends.

    Raises ModelError where nothing answers.
    """
    if address != "auto":
        return _listening(address)
    if os.environ.get("RAY_ADDRESS"):
        return _listening(os.environ["RAY_ADDRESS"])
    note = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    try:
        _listening(note.read_text(encoding="utf-8").strip())
    except (OSError, ModelError):
        return None
    return "auto"  # rather than the address, with which Ray would not look for the cluster's token


def reason(error: Exception, length: int = 200) -> str:
    """Return in one line why Ray failed."""
    text = str(error.__cause__ or error).strip()
    if "Traceback" in text:
        text = text.splitlines()[-1]
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."


def _begin(ray: Any, found: str | None) -> None:
    """Connect to the cluster that was found, or start one."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        if found is None:
            ray.init("local", num_cpus=cores(), include_dashboard=False, **QUIET)
        else:
            os.environ.update(JOINING)
            ray.init(found, **QUIET)
    except Exception as error:  # Whatever fails in there has one meaning here: no cluster.
        tried = "could not be started on this machine" if found is None else f"at {found} cannot be used"
        raise ModelError(f"Ray {tried}: {reason(error)}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has put its own in its place


def _listening(address: str) -> str:
    """Return an address at which something listens: where nothing does, Ray itself would try for many minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ModelError(f"expected auto or HOST:PORT of a Ray cluster that this machine belongs to, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        why = error.strerror or error
        raise ModelError(
            f"no Ray cluster answers at {address} ({why}); start one there with `ray start --head`, or use 'auto'"
        ) from error
    return address


def _size(ray: Any) -> str:
    """Return the size of a cluster in words."""
    there = ray.cluster_resources()
    cpus, gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
    return f"{cpus} CPUs" + (f", {gpus} GPUs" if gpus else "")
