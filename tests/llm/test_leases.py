"""Processes side by side on one cache: each question is asked by one of them, and all count what is under way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from openai_server import OpenAIServer, body_hash
from scripted_client import ScriptedClient, body

from llmguide.errors import BudgetError
from llmguide.llm.asking import Asker, Halted
from llmguide.llm.budget import Budget
from llmguide.llm.cache import Cache
from llmguide.llm.leases import Leases
from llmguide.llm.ledger import Ledger
from llmguide.llm.prices import Price, Prices
from llmguide.llm.protocol import Message, Request

HERE = "http://scripted/v1"
PRICES = Prices({"m": Price(10.0, 5.0, 20.0)})
TESTS = Path(__file__).resolve().parents[1]
# Asks 10 questions and prints what came of each; `lease` and `budget` are arguments.
ASKING = """
import asyncio, json, sys
from typing import Literal
from pydantic import BaseModel
from llmguide.errors import BudgetError
from llmguide.llm import leases
from llmguide.llm.asking import Asker
from llmguide.llm.cache import Cache
from llmguide.llm.ledger import Purpose
from llmguide.llm.openai_client import OpenAIClient
from llmguide.llm.prices import Price, Prices
from llmguide.llm.protocol import Message

path, url, first, lease, budget = sys.argv[1:]
leases.SECONDS = float(lease)


class View(BaseModel):
    direction: Literal["LONG", "SHORT"]


async def main():
    asker = Asker(
        Cache(path), model="m", client=OpenAIClient(base_url=url, api_key="none"), study="study", in_flight=4,
        prices=Prices({"m": Price(10.0, 5.0, 20.0)}), budget=float(budget) or None,
    )
    await asker.open()
    print("ready", flush=True)
    questions = [(Message("user", f"Month {(int(first) + n) % 10}: which way?"),) for n in range(10)]
    asked = [asker.ask(question, View, purpose=Purpose("study")) for question in questions]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    await asker.close()
    wrong = [one for one in answers if isinstance(one, Exception) and not isinstance(one, BudgetError)]
    print(json.dumps({
        "values": [one.value.direction for one in answers if not isinstance(one, Exception)],
        "fresh": sum(one.fresh for one in answers if not isinstance(one, Exception)),
        "refused": sum(isinstance(one, BudgetError) for one in answers), "wrong": list(map(repr, wrong)),
    }))


asyncio.run(main())
"""


def start(cache: Path, url: str, *, first: int = 0, lease: float = 30.0, budget: float = 0.0) -> subprocess.Popen[str]:
    words = [str(cache), url, str(first), str(lease), str(budget)]
    return subprocess.Popen([sys.executable, "-c", ASKING, *words], stdout=subprocess.PIPE, text=True)


def result(process: subprocess.Popen[str]) -> dict:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    found = json.loads(out.splitlines()[-1])
    assert found["wrong"] == []
    return found


def questions(server: OpenAIServer) -> Counter[str]:
    return Counter(body_hash(body) for body in server.requests if "Readiness" not in str(body["response_format"]))


def request(number: int = 0, model: str = "m") -> Request:
    return Request(model, (Message("user", f"Month {number}: which way?"),), "View", "{}")


@pytest.fixture
def cache(tmp_path: Path):
    with Cache(tmp_path / "cache.sqlite") as opened:
        yield opened


@pytest.mark.slow
def test_two_processes_ask_each_question_once_and_have_the_same_answers(tmp_path: Path):
    with OpenAIServer(delay=0.3) as server:
        both = [start(tmp_path / "c.sqlite", server.url) for _ in range(2)]
        one, other = map(result, both)
        assert sorted(questions(server).values()) == [1] * 10
        assert len(server.requests) == 11  # one probe for both
    assert len(one["values"]) == 10
    assert one["values"] == other["values"]
    assert one["fresh"] + other["fresh"] == 10
    with Cache(tmp_path / "c.sqlite") as cache:
        assert Ledger(cache).spent("study", PRICES).calls == 11
        assert cache.rows("SELECT * FROM under_way") == []


@pytest.mark.slow
def test_a_budget_holds_for_the_sum_of_two_processes(tmp_path: Path):
    """Each starts with other questions, so that both always have something under way."""
    most = PRICES.most_dollars(request())
    assert most is not None
    cap = 4.5 * most
    with OpenAIServer(delay=0.2) as server:
        both = [start(tmp_path / "c.sqlite", server.url, first=first, budget=cap) for first in (0, 5)]
        found = list(map(result, both))
        spent = 0.0
        for sent in server.requests:
            usage = server.completion(sent, None)["usage"]
            spent += (usage["prompt_tokens"] * 10 + usage["completion_tokens"] * 20) / 1e6
        assert max(questions(server).values()) == 1
    assert spent <= cap
    assert server.max_in_flight <= 4
    assert all(one["refused"] + len(one["values"]) == 10 for one in found)


@pytest.mark.slow
def test_who_waits_for_a_killed_process_asks_by_itself(tmp_path: Path):
    with OpenAIServer(delay=2.0) as server:
        first = start(tmp_path / "c.sqlite", server.url, lease=1.5)
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        server.delay = 60.0
        deadline = time.monotonic() + 300
        while sum(questions(server).values()) < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        second = start(tmp_path / "c.sqlite", server.url, lease=1.5)
        assert second.stdout is not None
        assert second.stdout.readline() == "ready\n"
        os.kill(first.pid, signal.SIGKILL)
        server.delay = 0.0
        killed = time.monotonic()
        found = result(second)
        assert time.monotonic() - killed < 15
        first.communicate()
        asked = questions(server)
        assert len(found["values"]) == 10
        assert sum(asked.values()) == 14  # the 4 that were out when it was killed are asked again
        assert max(asked.values()) == 2


def test_a_lease_is_one_owners_until_it_ends_or_is_given_back(cache: Cache):
    now = [1000.0]
    mine, yours = (Leases(cache, seconds=30, clock=lambda: now[0]) for _ in range(2))

    async def main() -> None:
        assert mine.take(request(), HERE)
        assert mine.take(request(), HERE)  # one's own is no hindrance
        assert not yours.take(request(), HERE)
        assert yours.take(request(), "http://elsewhere/v1")
        assert yours.take(request(1), HERE)
        now[0] += 29
        assert yours.taken(request(), HERE)
        now[0] += 2
        assert yours.take(request(), HERE)
        assert mine.taken(request(), HERE)
        mine.release(request(), HERE)  # not its own any more
        assert mine.taken(request(), HERE)
        yours.release(request(), HERE)
        assert not mine.taken(request(), HERE)
        for number, endpoint in ((0, "http://elsewhere/v1"), (1, HERE)):
            yours.release(request(number), endpoint)

    asyncio.run(main())


def test_a_clock_that_was_set_back_blocks_nobody_for_long(cache: Cache):
    async def main() -> None:
        assert Leases(cache, clock=lambda: 1e9).take(request(), HERE)
        assert not Leases(cache, clock=lambda: 1e9 - 20).take(request(), HERE)
        assert Leases(cache, clock=lambda: 1e9 - 3600).take(request(), HERE)

    asyncio.run(main())


def test_a_lease_is_renewed_while_its_question_is_out(cache: Cache):
    async def main() -> None:
        mine, yours = Leases(cache, seconds=0.3), Leases(cache, seconds=0.3)
        async with mine.held(request(), HERE) as ours:
            assert ours
            await asyncio.sleep(0.6)
            assert yours.taken(request(), HERE)
        assert not yours.taken(request(), HERE)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_what_is_under_way_is_counted_in_dollars_of_ones_own_prices(cache: Cache):
    one, other = Leases(cache, study="study"), Leases(cache, study="study")
    stranger = Leases(cache, study="another")
    each = [PRICES.most_dollars(request(number)) for number in range(2)]

    async def main() -> None:
        one.take(request(0), HERE)
        other.take(request(1), HERE)
        stranger.take(request(2), HERE)
        assert one.set_aside(PRICES) == other.set_aside(PRICES) == pytest.approx(sum(each))
        other.take(request(3, model="unheard-of"), HERE)
        assert one.set_aside(PRICES) is None

    asyncio.run(main())


def test_a_budget_waits_for_what_another_process_has_under_way(cache: Cache):
    """Room for one question; another process has one out, gives it back without a cost, and has one out for good."""
    most = PRICES.most_dollars(request())
    assert most is not None
    mine, yours = Leases(cache, study="study"), Leases(cache, study="study")
    stranger = Leases(cache, study="other")
    budget = Budget(Ledger(cache), PRICES, mine, study="study", dollars=1.5 * most)

    async def main() -> None:
        yours.take(request(1), HERE)
        asyncio.get_running_loop().call_later(0.25, yours.release, request(1), HERE)
        started = time.monotonic()
        async with budget.reserved(request(0), HERE) as ours:
            assert ours
            assert time.monotonic() - started > 0.2
        yours.take(request(0), HERE)
        async with budget.reserved(request(0), HERE) as ours:  # theirs to ask: no room is needed
            assert not ours
        with pytest.raises(BudgetError, match="no room for the next call"):
            async with Budget(Ledger(cache), PRICES, stranger, study="other", dollars=0.0).reserved(request(2), HERE):
                pass

    asyncio.run(main())


def test_waiting_for_another_process_takes_no_slot_and_ends_when_the_asker_is_halted(cache: Cache):
    client = ScriptedClient(lambda _: body("{}"), endpoint=HERE)
    asker = Asker(cache, model="m", client=client, prices=PRICES, in_flight=1)
    other = Leases(cache)

    async def main() -> None:
        other.take(request(0), HERE)
        waiting = asyncio.create_task(asker._probe(request(0)))
        await asyncio.sleep(0.05)
        await asyncio.wait_for(asker._probe(request(1)), 5)
        asker.halt()
        with pytest.raises(Halted):
            await asyncio.wait_for(waiting, 5)

    asyncio.run(main())
    assert client.sent == [request(1)]


def test_a_file_of_format_2_gets_the_new_tables(tmp_path: Path):
    with Cache(tmp_path / "c.sqlite") as cache:
        for table in ("under_way", "batches", "batch_requests"):
            cache.execute(f"DROP TABLE {table}")
        cache.execute("ALTER TABLE calls DROP COLUMN batched")
        cache.execute("PRAGMA user_version = 2")
    with Cache(tmp_path / "c.sqlite") as cache:
        assert Leases(cache).set_aside(PRICES) == 0.0
        assert not Leases(cache).taken(request(), HERE)
        assert Ledger(cache).spent(None, PRICES).calls == 0
    with closing(sqlite3.connect(tmp_path / "c.sqlite")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
