"""The review's server over real HTTP: what it gives whom and when, what it refuses, and what is kept after a kill."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import struct
import threading
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest
from command_line import start, wait_until_signals_are_handled
from made_review import answered, kept, packet

from llmguide.errors import GuidanceError, LlmguideError
from llmguide.guidance.review.kept import write_kept
from llmguide.guidance.review.sheet import REASON, open_sheet, save_sheet, sheet_path
from llmguide.review_server import LONGEST, ReviewServer

PACKET = packet(3)
IDS = [month.id for month in PACKET.months]
SCORES = {"rationale": 3, "fidelity": 2, "safety": 1}


def ask(link, path="", sent=None, **headers):
    """Status and content of a request; JSON where it is."""
    data = None if sent is None else sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    usual = {"Content-Type": "application/json"} if data is not None else {}
    request = urllib.request.Request(link + path, data, {**usual, **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            status, kind, body, found = reply.status, reply.headers.get_content_type(), reply.read(), reply.headers
    except urllib.error.HTTPError as error:
        status, kind, body, found = error.code, error.headers.get_content_type(), error.read(), error.headers
    value = json.loads(body) if kind == "application/json" else body.decode()
    return SimpleNamespace(status=status, value=value, headers=found)


def own(link, month=IDS[0], direction="LONG", reason="it rises"):
    return ask(link, "own", {"month": month, "own": direction, "reason": reason})


def score(link, month=IDS[0], version=0, comment="", **scores):
    return ask(link, "scores", {"month": month, "version": version, "comment": comment, "scores": {**SCORES, **scores}})


@pytest.fixture
def server(tmp_path):
    with ReviewServer(PACKET, tmp_path, ["anna", "ben"]) as running:
        yield running


@pytest.fixture
def anna(server):
    return server.links["anna"]


def test_the_models_answer_comes_only_after_the_own_direction(anna):
    month = PACKET.months[0]
    before = [ask(anna), ask(anna, "progress"), ask(anna, f"month/{month.id}")]
    assert [one.status for one in before] == [200] * 3
    for one in before:
        text = one.value if isinstance(one.value, str) else json.dumps(one.value)
        assert month.reply.explanation not in text
        assert "answer" not in (one.value if isinstance(one.value, dict) else {})
    after = own(anna)
    assert after.status == 200
    assert after.value["answer"]["explanation"] == month.reply.explanation


def test_an_answer_is_in_its_file_when_it_is_acknowledged(server, anna, tmp_path):
    assert not sheet_path(tmp_path, "anna").exists()
    own(anna)
    assert open_sheet(tmp_path, PACKET, "anna").answers[IDS[0]].reason == "it rises"
    assert score(anna, comment="too bold").value["version"] == 1
    stored = open_sheet(tmp_path, PACKET, "anna").answers[IDS[0]]
    assert stored.scores.model_dump() == SCORES
    assert (stored.comment, stored.own_at.utcoffset().total_seconds()) == ("too bold", 0)
    assert not sheet_path(tmp_path, "ben").exists()
    assert ask(server.links["ben"], "progress").value["turn"] == 0


def test_two_windows_do_not_write_over_each_other(anna, tmp_path):
    assert own(anna).status == own(anna).status == 200  # sent twice
    other = own(anna, direction="SHORT")
    assert (other.status, other.value["error"]) == (
        409,
        "your own direction is LONG and can no longer be changed: you have seen the model's answer",
    )
    assert score(anna).status == 200
    stale = score(anna, safety=3)
    assert stale.status == 409
    assert "changed in another window" in stale.value["error"]
    assert score(anna, version=1, safety=3).value["scores"]["safety"] == 3
    assert open_sheet(tmp_path, PACKET, "anna").answers[IDS[0]].version == 2


def test_of_many_at_once_one_direction_counts(anna, tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda d=d: found.append(own(anna, direction=d, reason="").status))
        for d in ("LONG", "SHORT") * 6
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200] * 6 + [409] * 6
    assert open_sheet(tmp_path, PACKET, "anna").answers[IDS[0]].own in ("LONG", "SHORT")


def test_what_comes_too_early_is_refused(anna):
    assert score(anna).status == 409
    assert own(anna, month=IDS[1]).status == 409
    assert ask(anna, f"month/{IDS[1]}").status == 409
    assert ask(anna, "month/000000000000").status == 409


def test_a_link_of_an_earlier_start_is_refused_in_words(server, anna, tmp_path):
    token = anna.rstrip("/").rpartition("/")[2]
    stale = anna.replace(token, token[::-1])
    for link in (stale, f"http://127.0.0.1:{server.port}/", anna.rstrip("/")):
        found = ask(link, Accept="text/html,*/*")
        assert found.status == 403
        assert "use the one that llmguide review printed last" in found.value
    assert own(stale).status == 403
    with ReviewServer(PACKET, tmp_path / "other", ["anna"]) as again:
        assert again.links["anna"].rpartition(":")[2] != anna.rpartition(":")[2]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1", "127.0.0.1:1"])
def test_another_host_is_refused(anna, host):
    assert ask(anna, "progress", Host=host).status == 421
    assert ask(anna, "own", {"month": IDS[0], "own": "LONG", "reason": ""}, Host=host).status == 421


def test_only_this_page_can_send(server, anna, tmp_path):
    answer = {"month": IDS[0], "own": "LONG", "reason": ""}
    for origin in (
        "http://evil.example",
        "null",
        f"https://127.0.0.1:{server.port}",
        f"http://127.0.0.1:{server.port}1",
    ):
        assert ask(anna, "own", answer, Origin=origin).status == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):  # what a form can send
        assert ask(anna, "own", answer, **{"Content-Type": kind}).status == 415
    assert not sheet_path(tmp_path, "anna").exists()
    assert ask(anna, "own", answer, Origin=f"http://127.0.0.1:{server.port}").status == 200


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"{", "the answer: Invalid JSON"),
        (b"\xff", "the answer: Invalid JSON"),
        ({"month": IDS[0], "own": "UP", "reason": ""}, "own: Input should be 'LONG' or 'SHORT'"),
        ({"month": IDS[0], "own": "LONG"}, "reason: Field required"),
        ({"month": IDS[0], "own": "LONG", "reason": "", "more": 1}, "more: Extra inputs"),
        ({"month": IDS[0], "own": "LONG", "reason": "x" * (REASON + 1)}, "reason: String should have at most"),
        ({"month": 7, "own": "LONG", "reason": ""}, "month: Input should be a valid string"),
    ],
)
def test_what_is_no_answer_is_refused_by_field(anna, tmp_path, sent, says):
    found = ask(anna, "own", sent)
    assert found.status == 400
    assert says in found.value["error"]
    assert not sheet_path(tmp_path, "anna").exists()


@pytest.mark.parametrize("scores", [{"safety": 0}, {"safety": 4}, {"safety": "3"}, {"safety": 2.5}, {"safety": None}])
def test_scores_outside_the_rubric_are_refused(anna, scores):
    own(anna)
    assert score(anna, **scores).status == 400


def test_too_long_an_answer_is_refused_before_it_is_read(server, anna):
    assert ask(anna, "own", b"x" * (LONGEST + 1)).status == 413
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    path = anna.partition(str(server.port))[2]
    connection.putrequest("POST", f"{path}own")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    for length in (None, "-1", "ten"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.putrequest("POST", f"{path}own")
        connection.putheader("Content-Type", "application/json")
        if length is not None:
            connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status == 411
        connection.close()


def test_a_request_that_breaks_off_leaves_the_server_at_work_and_silent(server, anna, capfd):
    with socket.create_connection(("127.0.0.1", server.port)) as half:
        path = anna.partition(str(server.port))[2]
        half.sendall(
            f"POST {path}own HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
            "Content-Length: 50\r\n\r\n{".encode()
        )
        half.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not a goodbye
    assert own(anna).status == 200
    server._http.server_close()
    assert capfd.readouterr() == ("", "")


def test_nothing_is_cached_framed_or_told_to_others(anna):
    found = ask(anna).headers
    policy = found["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert (found["Referrer-Policy"], found["Cache-Control"]) == ("same-origin", "no-store")
    assert found["X-Content-Type-Options"] == "nosniff"
    assert "Python" not in found["Server"]


def test_it_listens_on_the_loopback_alone(server):
    assert server._http.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_said(server, tmp_path):
    with pytest.raises(LlmguideError, match=rf"port {server.port} of this machine cannot be listened on: Address"):
        ReviewServer(PACKET, tmp_path, ["anna"], port=server.port)


@pytest.mark.parametrize("path", ["nothing", "../packet.json", "month/", "reviewers/anna.json"])
def test_no_other_file_is_given(anna, path):
    assert ask(anna, path).status in (404, 409)
    assert ask(anna, path, {}).status == 404


def test_what_cannot_be_stored_is_not_acknowledged(server, anna, tmp_path):
    (tmp_path / "reviewers").write_text("a file where the folder belongs")
    found = own(anna)
    assert found.status == 500
    assert "could not be stored" in found.value["error"]
    assert ask(anna, "progress").value["turn"] == 0
    assert "answer" not in ask(anna, f"month/{IDS[0]}").value
    (tmp_path / "reviewers").unlink()
    assert own(anna).status == 200


def test_a_review_goes_on_where_it_was(tmp_path):
    save_sheet(tmp_path, answered(PACKET, months=2))
    with ReviewServer(PACKET, tmp_path, ["anna"]) as server:
        assert ask(server.links["anna"], "progress").value["turn"] == 2
        assert ask(server.links["anna"], f"month/{IDS[0]}").value["reason"] == "reason 0 of anna"
    with pytest.raises(GuidanceError, match="answers another packet"):
        ReviewServer(packet(3, seed=5), tmp_path, ["anna"])


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_that_was_acknowledged_is_lost_when_the_server_is_killed(tmp_path, how):
    write_kept(kept(), tmp_path / "advice.json")
    words = ("review", "open", ".", "--months", "3", "--no-browser", "--out", "r", "--reviewers", "anna", "--json")
    read, write = os.pipe()
    process = start(*words, folder=tmp_path, stdout=write)
    os.close(write)
    with os.fdopen(read) as printed:
        lines = [printed.readline() for _ in range(7)]  # the whole object: it is printed before anyone comes
    link = json.loads("".join(lines))["links"]["anna"]
    wait_until_signals_are_handled(process)
    with start(*words, folder=tmp_path) as second:
        assert second.wait(timeout=300) == 1
        assert "another process works in r" in second.stderr.read()
    first = ask(link, "progress").value["months"][0]
    assert own(link, month=first).status == 200
    process.send_signal(how)
    with process:
        code = process.wait(timeout=300)
        said = process.stderr.read()
    assert code == (-9 if how == signal.SIGKILL else 128 + how)
    if how != signal.SIGKILL:
        assert "review ended; r keeps all answers (months done of 3: anna 0)" in said
    stored = json.loads((tmp_path / "r" / "reviewers" / "anna.json").read_text())
    assert stored["answers"][first]["own"] == "LONG"
    assert [path.name for path in (tmp_path / "r" / "reviewers").iterdir()] == ["anna.json"]
