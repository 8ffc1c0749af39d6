"""Which Ray is used, and what is said where none can be."""

from __future__ import annotations

import signal
import socket
import sys
import types

import pytest

from llmguide.errors import MissingExtra, ModelError
from llmguide.rl import connection
from llmguide.rl.connection import connected, find_cluster, reason


@pytest.fixture
def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_an_address_where_nothing_answers_is_one_clear_error(unused_port):
    with pytest.raises(ModelError, match=rf"no Ray cluster answers at 127\.0\.0\.1:{unused_port} .*ray start --head"):
        find_cluster(f"127.0.0.1:{unused_port}")


@pytest.mark.parametrize("address", ["head", "ray://head:10001", "http://head:8265", ":6379", "head:port", ""])
def test_an_address_of_another_kind_is_refused(address):
    with pytest.raises(ModelError, match="expected auto or HOST:PORT of a Ray cluster"):
        find_cluster(address)


def test_auto_is_the_cluster_that_is_named_and_answers_and_else_a_new_one(tmp_path, monkeypatch, unused_port):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert find_cluster("auto") is None
    note = tmp_path / "ray" / "ray_current_cluster"
    note.parent.mkdir()
    note.write_text(f"127.0.0.1:{unused_port}\n")
    assert find_cluster("auto") is None, "a cluster that is gone counts as nothing"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        note.write_text(address)
        assert find_cluster("auto") == "auto"
        assert find_cluster(address) == address
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert find_cluster("auto") == address
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{unused_port}")
    with pytest.raises(ModelError, match="no Ray cluster answers"):
        find_cluster("auto")


def test_without_ray_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(
            MissingExtra, match=r"ray is needed for this; install it with: pip install 'llmguide\[cluster\]'"
        ),
        connected("auto", print),
    ):
        pass


class Ray(types.SimpleNamespace):
    """A Ray that is asked for much and does little: it takes SIGTERM over, as the real one does, and may fail."""

    class exceptions:
        class RayError(Exception):
            pass

    def __init__(self, failure=None):
        super().__init__(failure=failure, calls=[])

    def is_initialized(self):
        return False

    def init(self, address, **options):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.calls.append(address)
        if self.failure is not None:
            raise self.failure

    def shutdown(self):
        self.calls.append("shut down")

    def cluster_resources(self):
        return {"CPU": 4.0, "GPU": 1.0}


@pytest.fixture
def no_cluster(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    for name in connection.ENVIRONMENT:
        monkeypatch.setenv(name, "")


def test_what_was_started_is_shut_down_and_the_callers_handler_of_sigterm_stays(monkeypatch, no_cluster):
    ray, said, handler = Ray(), [], signal.getsignal(signal.SIGTERM)
    monkeypatch.setitem(sys.modules, "ray", ray)
    with connected("auto", said.append) as yielded:
        assert yielded is ray
        assert signal.getsignal(signal.SIGTERM) == handler
        assert said == ["Ray on this machine: 4 CPUs, 1 GPUs"]
        assert ray.calls == ["local"]
    assert ray.calls == ["local", "shut down"]


def test_a_ray_that_fails_is_one_clear_error_and_is_shut_down(monkeypatch, no_cluster):
    ray = Ray(failure=RuntimeError("no room in\n   /dev/shm"))
    monkeypatch.setitem(sys.modules, "ray", ray)
    with (
        pytest.raises(ModelError, match=r"^Ray could not be started on this machine: no room in /dev/shm$"),
        connected("auto", print),
    ):
        pass
    assert ray.calls == ["local", "shut down"]


def test_a_cluster_that_is_lost_in_the_meantime_is_an_error_that_says_to_go_on(monkeypatch, no_cluster):
    ray = Ray()
    monkeypatch.setitem(sys.modules, "ray", ray)
    with (
        pytest.raises(ModelError, match=r"^the Ray cluster was lost: gone; run the same again"),
        connected("auto", print),
    ):
        raise ray.exceptions.RayError("gone")
    assert ray.calls == ["local", "shut down"]


def test_the_reason_is_the_last_line_of_a_traceback_on_one_line():
    trace = 'Last error: Traceback (most recent call last):\n  File "x", line 1\nError: no  token'
    assert reason(RuntimeError(trace)) == "Error: no token"
    assert reason(RuntimeError("a" * 500)) == "a" * 197 + "..."
    outer = ConnectionError("failed")
    outer.__cause__ = RuntimeError("Version mismatch:\n  theirs 2.9")
    assert reason(outer) == "Version mismatch: theirs 2.9"
