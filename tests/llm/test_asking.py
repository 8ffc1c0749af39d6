"""Every question is paid for once, at most at the budget's price, and its answer is the same ever after."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
from command_line import let_leases_lapse
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_server import Faults, OpenAIServer
from pydantic import BaseModel, ConfigDict, Field
from scripted_client import ScriptedClient, body

from llmguide.errors import (
    BudgetError,
    EmptyReplyError,
    EndpointError,
    FilteredError,
    InvalidReplyError,
    LanguageModelError,
    MissingAnswers,
    OutOfRangeError,
    RefusedError,
    TimedOutError,
    TruncatedError,
)
from llmguide.llm.asking import Asker, Halted
from llmguide.llm.cache import Cache
from llmguide.llm.ledger import Ledger, Purpose, Spending
from llmguide.llm.openai_client import OpenAIClient
from llmguide.llm.prices import Price, Prices, most_tokens
from llmguide.llm.probe import Capabilities
from llmguide.llm.protocol import Message, RawReply, Request, Sampling

PRICES = Prices({"m": Price(10.0, 5.0, 20.0)})
FULL = Capabilities("json_schema", True, "")
APPLE = Purpose("", "strategist", "AAPL", "P4", "2018-02-01")


class View(BaseModel):
    model_config = ConfigDict(extra="forbid")

    direction: Literal["LONG", "SHORT"]
    confidence: Literal[1, 2, 3]


GOOD = json.dumps({"direction": "LONG", "confidence": 2})


def question(number: int = 0) -> tuple[Message, ...]:
    return Message("system", "You are a strategist."), Message("user", f"Month {number}: which way?")


def always(text: str = GOOD, **reply) -> ScriptedClient:
    return ScriptedClient(lambda _: body(text, **reply))


def in_turn(*bodies: str) -> ScriptedClient:
    left = iter(bodies)
    return ScriptedClient(lambda _: next(left))


@pytest.fixture
def cache(tmp_path: Path):
    with Cache(tmp_path / "cache.sqlite") as opened:
        yield opened


def asker(cache: Cache, client: ScriptedClient | None, *, can: Capabilities = FULL, **settings) -> Asker:
    """An asker of an endpoint that was probed before."""
    if client is not None:
        cache.set_capabilities(client.endpoint, "m", can)
    return Asker(cache, model="m", client=client, **{"prices": PRICES, "study": "study", **settings})


def ask(one: Asker, number: int = 0, **options):
    return asyncio.run(one.ask(question(number), View, purpose=APPLE, **options))


def ask_all(one: Asker, numbers) -> list:
    async def main():
        asked = (one.ask(question(number), View, purpose=APPLE) for number in numbers)
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(main())


def test_an_answer_comes_with_what_it_took(cache: Cache):
    client = always(prompt=1000, completion=50)
    asked = ask(asker(cache, client), note="a note")
    assert asked.value == View(direction="LONG", confidence=2)
    assert asked.completion is not None
    assert asked.completion.text == GOOD
    assert asked.failure is None
    assert asked.requests == tuple(client.sent)
    assert asked.cost == Spending(1, 1000, None, 50, None, 0.25, pytest.approx(0.011))
    assert asked.fresh == 1
    (row,) = Ledger(cache).frame("study").to_dict("records")
    wanted = {"role": "strategist", "instrument": "AAPL", "prompt": "P4", "issued_at": "2018-02-01", "outcome": "ok"}
    assert wanted.items() <= row.items()
    assert row["note"] == "a note"
    assert row["request_key"] == client.sent[0].key


def test_the_second_time_is_free_and_the_same(cache: Cache):
    client = always()
    first = ask(asker(cache, client))
    second = ask(asker(cache, client))
    assert len(client.sent) == 1
    assert second == first._replace(fresh=0)
    assert Ledger(cache).spent("study", PRICES).calls == 1


def test_another_endpoint_is_asked_anew(cache: Cache):
    ask(asker(cache, always()))
    other = ScriptedClient(lambda _: body(GOOD), endpoint="http://elsewhere/v1")
    assert ask(asker(cache, other)).fresh == 1


def test_equal_questions_at_once_are_asked_once_and_paid_once(cache: Cache):
    client = ScriptedClient(lambda _: body(GOOD), delay=0.01)
    answers = ask_all(asker(cache, client), [0] * 5 + [1] * 3)
    assert len(client.sent) == 2
    assert sum(asked.fresh for asked in answers) == 2
    assert {str(asked.value) for asked in answers} == {"direction='LONG' confidence=2"}


def test_at_most_so_many_are_in_flight_and_the_highest_priority_is_next(cache: Cache):
    client = ScriptedClient(lambda _: body(GOOD), delay=0.005)
    one = asker(cache, client, in_flight=2)

    async def main() -> None:
        await one.open()
        asks = (one.ask(question(n), View, purpose=APPLE, priority=n) for n in range(8))
        await asyncio.gather(*asks)

    asyncio.run(main())
    assert client.most_at_work == 2
    order = [request.messages[1].content.split(":")[0] for request in client.sent]
    assert order == [f"Month {number}" for number in (0, 1, 7, 6, 5, 4, 3, 2)]


@pytest.mark.parametrize(
    ("bad", "failure", "told"),
    [
        (body("LONG, I think"), InvalidReplyError, "expected one JSON object"),
        (body('{"direction": "UP", "confidence": 2}'), InvalidReplyError, "direction"),
        (body('{"direction": "LONG", "confidence": 7}'), OutOfRangeError, "confidence"),
        (body('{"direction": "LONG", "confidence": NaN}'), OutOfRangeError, "NaN"),
        (body(""), EmptyReplyError, "was empty"),
        (body('{"direction": "LO', finish_reason="length"), TruncatedError, "cut off at the limit of 2000 tokens"),
        ('{"choices": []}', EmptyReplyError, "was empty"),
        ("no completion at all", InvalidReplyError, "was empty"),
    ],
)
def test_an_answer_that_does_not_fit_is_asked_for_once_more_with_the_reason(cache: Cache, bad, failure, told):
    client = in_turn(bad, body(GOOD))
    asked = ask(asker(cache, client))
    assert asked.value == View(direction="LONG", confidence=2)
    assert asked.failure is None
    assert asked.fresh == asked.cost.calls == 2
    assert asked.requests == tuple(client.sent)
    first, second = client.sent
    assert second.messages[:2] == first.messages
    assert told in second.messages[-1].content
    assert Ledger(cache).frame("study")["outcome"].tolist() == [failure.__name__, "ok"]


def test_the_model_sees_its_own_whole_reply_when_it_is_asked_again(cache: Cache):
    client = in_turn(body("UP!"), body(GOOD))
    ask(asker(cache, client))
    assert [message.role for message in client.sent[1].messages] == ["system", "user", "assistant", "user"]
    assert client.sent[1].messages[2].content == "UP!"


def test_two_bad_answers_are_an_abstention_and_a_replay_gives_the_same(cache: Cache):
    client = in_turn(body("UP!"), body("DOWN!"))
    asked = ask(asker(cache, client))
    assert asked.value is None
    assert isinstance(asked.failure, InvalidReplyError)
    assert "DOWN!" in asked.failure.reply
    assert asked.cost.calls == 2
    replayed = ask(asker(cache, None))
    assert replayed.value is None
    assert str(replayed.failure) == str(asked.failure)
    assert replayed.requests == asked.requests
    assert replayed.cost == asked.cost
    assert replayed.fresh == 0


def refused() -> str:
    reply = json.loads(body(""))
    reply["choices"][0]["message"]["refusal"] = "I cannot give financial advice."
    return json.dumps(reply)


@pytest.mark.parametrize(
    ("reply", "failure"), [(refused(), RefusedError), (body("{", finish_reason="content_filter"), FilteredError)]
)
def test_a_refusal_and_a_filter_are_not_argued_with(cache: Cache, reply: str, failure: type[Exception]):
    client = in_turn(reply)
    asked = ask(asker(cache, client))
    assert asked.value is None
    assert isinstance(asked.failure, failure)
    assert len(asked.requests) == 1


def test_strict_raises_what_would_have_been_an_abstention(cache: Cache):
    with pytest.raises(InvalidReplyError, match="DOWN!"):
        ask(asker(cache, in_turn(body("UP!"), body("DOWN!")), strict=True))
    assert Ledger(cache).spent("study", PRICES).calls == 2


def test_without_structured_output_the_schema_is_in_the_words_and_the_reading_is_lenient(cache: Cache):
    client = always(f"Sure:\n```json\n{GOOD}\n```")
    asked = ask(asker(cache, client, can=Capabilities("json_object", False, "")))
    assert asked.value == View(direction="LONG", confidence=2)
    (request,) = client.sent
    assert request.reply_format == "json_object"
    assert request.sampling.top_logprobs is None
    assert request.messages[0].content.startswith("You are a strategist.\n\nAnswer with one JSON object")
    assert request.schema_json in request.messages[0].content
    assert request.messages[1:] == question()[1:]


def test_a_question_without_a_system_message_gets_one_for_the_schema(cache: Cache):
    one = asker(cache, always(), can=Capabilities("text", True, ""))
    asyncio.run(one.open())
    request = one.request([Message("user", "Which way?")], View)
    assert [message.role for message in request.messages] == ["system", "user"]


def test_a_failed_call_frees_its_slot_and_everyone_who_waited_gets_the_error(cache: Cache):
    def fail(_: Request) -> str:
        raise EndpointError("the endpoint is gone")

    client = ScriptedClient(fail, delay=0.005)
    one = asker(cache, client, in_flight=1, budget=10.0)
    errors = ask_all(one, [0, 0, 0])
    assert [str(error) for error in errors] == ["the endpoint is gone"] * 3
    assert len(client.sent) == 1
    client.answer = lambda _: body(GOOD)
    assert ask(one).fresh == 1
    assert Ledger(cache).frame("study")["outcome"].tolist() == ["EndpointError", "ok"]
    assert one.spending.failed == 1


def test_a_cancelled_question_leaves_no_slot_stuck_and_no_half_of_a_row(cache: Cache):
    client = ScriptedClient(lambda _: body(GOOD), delay=10.0)
    one = asker(cache, client, in_flight=1, budget=10.0)

    async def interrupted() -> None:
        async with asyncio.timeout(0.02):
            await asyncio.gather(*(one.ask(question(n), View, purpose=APPLE) for n in range(3)))

    with pytest.raises(TimeoutError):
        asyncio.run(interrupted())
    assert len(client.sent) == 1
    assert cache.models() == {}
    assert Ledger(cache).frame()["outcome"].tolist() == ["CancelledError"]
    client.delay = 0.0
    assert [asked.fresh for asked in ask_all(one, range(3))] == [1, 1, 1]


def test_what_was_sent_is_kept_though_nobody_waits_for_it_any_more(cache: Cache):
    client = ScriptedClient(lambda _: body(GOOD), delay=0.05)

    async def interrupted() -> None:
        async with asker(cache, client, in_flight=1) as one:
            asks = [asyncio.create_task(one.ask(question(n), View, purpose=APPLE)) for n in range(3)]
            await asyncio.sleep(0.02)
            for task in asks:
                task.cancel()

    asyncio.run(interrupted())
    assert client.closed
    assert len(client.sent) == 1
    assert cache.models() == {"m": 1}
    assert Ledger(cache).spent("study", PRICES).calls == 1


def test_a_reply_and_its_row_are_stored_together_or_not_at_all(cache: Cache, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Ledger, "record", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ask(asker(cache, always()))
    monkeypatch.undo()
    assert cache.models() == {}
    monkeypatch.setattr(Cache, "put", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ask(asker(cache, always()))
    assert Ledger(cache).frame().empty


def test_a_reply_that_cannot_even_be_looked_at_is_kept_all_the_same(cache: Cache, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("llmguide.llm.asking.read_completion", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ask(asker(cache, always()))
    monkeypatch.undo()
    client = always()
    assert ask(asker(cache, client)).value is not None
    assert client.sent == []
    assert Ledger(cache).frame()["outcome"].tolist() == ["unread"]


def test_a_replay_names_what_is_missing(cache: Cache):
    ask(asker(cache, always()))
    one = asker(cache, None)
    assert ask(one).fresh == 0
    with pytest.raises(
        MissingAnswers, match=r"cache\.sqlite lacks 1 answer of m: strategist AAPL P4 2018-02-01; .*m \(1\)"
    ):
        ask(one, 1)
    ask_all(one, range(2, 9))
    assert len(one.missing) == 8
    assert "lacks 8 answers" in str(one.missing_answers())
    assert "and 3 more" in str(one.missing_answers())


def test_a_replay_makes_the_requests_that_the_endpoint_could_answer(cache: Cache, tmp_path: Path):
    ask(asker(cache, always(), can=Capabilities("json_object", False, "no log-probabilities")))
    cache.export_jsonl(tmp_path / "shared.jsonl", study="study")
    with Cache(tmp_path / "elsewhere.sqlite") as elsewhere:
        elsewhere.import_jsonl(tmp_path / "shared.jsonl")
        assert ask(Asker(elsewhere, model="m", client=None)).value == View(direction="LONG", confidence=2)


def test_a_study_that_only_read_the_cache_can_be_exported_too(cache: Cache, tmp_path: Path):
    client = always()
    ask(asker(cache, client, study="first"))
    ask(asker(cache, client, study="second"))
    assert cache.export_jsonl(tmp_path / "second.jsonl", study="second") == 1


def test_a_replay_of_two_endpoints_wants_to_know_which(cache: Cache):
    ask(asker(cache, always()))
    short = json.dumps({"direction": "SHORT", "confidence": 1})
    ask(asker(cache, ScriptedClient(lambda _: body(short), endpoint="http://elsewhere/v1")))
    with pytest.raises(LanguageModelError, match="specify the endpoint"):
        ask(asker(cache, None))
    assert ask(asker(cache, None, endpoint="http://elsewhere/v1")).value == View(direction="SHORT", confidence=1)


def answer_probe_then(text: str) -> Callable[[Request], str]:
    """Answer whatever schema is asked for: the probe's own, or View."""

    def answer(request: Request) -> str:
        if request.schema_name == "View":
            return body(text)
        properties = json.loads(request.schema_json)["properties"]
        said = {
            name: True if field.get("type") == "boolean" else field.get("enum", ["yes"])[0]
            for name, field in properties.items()
        }
        return body(json.dumps(said))

    return answer


def test_the_endpoint_is_probed_once_and_for_good(cache: Cache):
    client = ScriptedClient(answer_probe_then(GOOD))

    def fresh() -> Asker:
        return Asker(cache, model="m", client=client, prices=PRICES, sampling=Sampling(top_logprobs=None))

    answers = ask_all(fresh(), range(4))
    assert all(asked.value is not None for asked in answers)
    probes = [request for request in client.sent if request.schema_name != "View"]
    assert len({request.key for request in probes}) == len(probes) >= 1
    assert set(Ledger(cache).frame()["role"]) == {"probe", "strategist"}
    sent = len(client.sent)
    ask_all(fresh(), range(4))
    assert len(client.sent) == sent


def test_a_budget_needs_a_price_before_the_first_call(cache: Cache):
    client = ScriptedClient(answer_probe_then(GOOD))
    one = Asker(cache, model="unheard-of", client=client, prices=PRICES, budget=1.0)
    with pytest.raises(BudgetError, match=r"price of unheard-of is unknown.*--prices"):
        ask(one)
    assert client.sent == []


@pytest.mark.parametrize("budget", [-1.0, float("nan"), float("inf")])
def test_a_budget_is_a_number_of_dollars(cache: Cache, budget: float):
    with pytest.raises(BudgetError, match="expected a budget in dollars"):
        asker(cache, always(), budget=budget)


def test_a_spent_budget_says_what_was_spent_and_how_to_go_on(cache: Cache):
    client = always(prompt=1000, completion=1000)  # 0.03 $
    cap = 0.1
    answers = ask_all(asker(cache, client, budget=cap, in_flight=3), range(20))
    kept = [asked for asked in answers if not isinstance(asked, BaseException)]
    errors = [asked for asked in answers if isinstance(asked, BaseException)]
    assert {type(error) for error in errors} == {BudgetError}
    assert 1 <= len(kept) == len(client.sent) < 20
    assert Ledger(cache).spent("study", PRICES).dollars <= cap
    assert "budget of 0.1 $" in str(errors[-1])
    assert f"{0.03 * len(kept):.6g} $ are spent" in str(errors[-1])
    assert "cache.sqlite" in str(errors[-1])

    again = asker(cache, client, budget=cap)
    with pytest.raises(BudgetError):
        ask(again, 19)
    assert ask(asker(cache, client, budget=cap + 1.0), 19).fresh == 1
    assert ask(asker(cache, client, budget=cap, study="another"), 18).fresh == 1


def test_who_does_not_fit_beside_the_others_waits_for_them_to_settle(cache: Cache):
    client = ScriptedClient(lambda _: body(GOOD, prompt=10, completion=10), delay=0.002)
    one = asker(cache, client)
    most = PRICES.most_dollars(one.request(question(), View))
    assert most is not None
    answers = ask_all(asker(cache, client, budget=1.5 * most), range(12))
    assert [asked.fresh for asked in answers] == [1] * 12
    assert client.most_at_work == 1


@settings(max_examples=40)
@given(
    price=st.floats(0, 1000).flatmap(lambda p: st.tuples(st.just(p), st.floats(0, p), st.floats(0, 1000))),
    lengths=st.lists(st.tuples(st.floats(0, 1), st.none() | st.floats(0, 1), st.booleans()), min_size=1, max_size=8),
    share=st.floats(0, 10),
    in_flight=st.integers(1, 4),
    known=st.booleans(),
)
def test_whatever_the_prices_and_the_replies_the_budget_is_never_exceeded(
    tmp_path_factory, price, lengths, share, in_flight, known
):
    prices = Prices({"m": Price(*price)})
    script = iter(lengths * 3)

    def answer(request: Request) -> str:
        most = most_tokens(request)
        sent, came, good = next(script)
        prompt = int(sent * most.prompt) if known else None
        completion = None if came is None else int(came * most.completion)
        return body(GOOD if good else "no", prompt=prompt, completion=completion)

    with Cache(tmp_path_factory.mktemp("budget") / "cache.sqlite") as cache:
        client = ScriptedClient(answer)
        one = asker(cache, client, prices=prices, in_flight=in_flight)
        most = prices.most_dollars(one.request(question(), View))
        budget = share * most
        ask_all(asker(cache, client, prices=prices, in_flight=in_flight, budget=budget), range(len(lengths)))
        charged = Ledger(cache).charged("study", prices)
        spent = Ledger(cache).spent("study", prices).dollars
    assert charged <= budget * (1 + 1e-12)
    assert spent is None or spent <= charged * (1 + 1e-12)


def test_a_plan_counts_what_is_not_in_the_cache(cache: Cache):
    one = asker(cache, always())
    ask(one)
    requests = [one.request(question(number), View) for number in (0, 1, 2, 2)]
    plan = one.plan(requests, reply_tokens=100)
    assert (plan.calls, plan.kept, plan.completion_tokens) == (2, 1, 200)
    assert plan.dollars == pytest.approx((plan.prompt_tokens * 10 + 200 * 20) / 1e6)
    assert plan.dollars < plan.most_dollars
    unpriced = Asker(cache, model="other", client=None, prices=PRICES)
    assert unpriced.plan([unpriced.request(question(), View)]).dollars is None


def test_spending_includes_earlier_runs_of_the_same_study(cache: Cache):
    ask(asker(cache, always()))
    later = asker(cache, always())
    ask(later, 1)
    assert later.spending.calls == 2


def test_an_asker_serves_one_event_loop_after_another(cache: Cache):
    client = ScriptedClient(lambda _: body(GOOD), delay=0.001)
    one = asker(cache, client, in_flight=1, budget=100.0)
    for start in range(0, 9, 3):
        assert [asked.fresh for asked in ask_all(one, range(start, start + 3))] == [1, 1, 1]


def test_no_question_in_flight_is_refused(cache: Cache):
    with pytest.raises(LanguageModelError, match="at least 1 question in flight, got 0"):
        asker(cache, always(), in_flight=0)


def test_the_work_beside_the_answer_takes_milliseconds(cache: Cache):
    one = asker(cache, always())
    asyncio.run(one.open())
    started = time.perf_counter()
    ask_all(one, range(50))
    assert (time.perf_counter() - started) / 50 < 0.1


def study_over_http(path: Path, url: str, *, questions: int, in_flight: int = 8) -> list:
    async def main() -> list:
        client = OpenAIClient(base_url=url, api_key="sk-secret-of-the-user", timeout=1.0)
        with Cache(path) as cache:
            async with Asker(cache, model="scripted", client=client, study="http", in_flight=in_flight) as one:
                asks = (one.ask(question(number), View, purpose=APPLE) for number in range(questions))
                return await asyncio.gather(*asks)

    return asyncio.run(main())


def test_over_http_with_faults_nothing_is_lost_and_nothing_is_paid_twice(tmp_path: Path):
    kinds = ("429", "500", "reset", "truncated", "schema", "refusal", "length", "filter", "empty", "nan")
    path, questions = tmp_path / "cache.sqlite", 40
    with OpenAIServer(faults=Faults(rate=0.25, kinds=kinds, seed=1)) as server:
        first = study_over_http(path, server.url, questions=questions)
        assert set(server.complete.values()) == {1}
        assert sum(server.faulted.values()) > 5
        assert server.max_in_flight <= 8
        delivered = sum(server.complete.values())
        again = study_over_http(path, server.url, questions=questions)
        assert sum(server.complete.values()) == delivered
    assert [asked.value for asked in again] == [asked.value for asked in first]
    assert [str(asked.failure) for asked in again] == [str(asked.failure) for asked in first]
    assert sum(asked.fresh for asked in again) == 0
    assert sum(asked.value is not None for asked in first) > questions / 2
    with Cache(path) as cache:
        ledger = Ledger(cache)
        assert ledger.spent("http", PRICES).calls == delivered
        outcomes = ledger.frame()["outcome"]
        assert outcomes.ne("ok").sum() >= sum(asked.failure is not None for asked in first)
        replay = Asker(cache, model="scripted", client=None)
        values = [ask(replay, number).value for number in range(questions)]
    assert values == [asked.value for asked in first]


def test_the_key_is_not_in_the_cache(tmp_path: Path):
    with OpenAIServer() as server:
        study_over_http(tmp_path / "cache.sqlite", server.url, questions=2)
    with Cache(tmp_path / "cache.sqlite") as cache:
        cache.export_jsonl(tmp_path / "replies.jsonl")
    for file in tmp_path.iterdir():
        assert b"sk-secret" not in file.read_bytes()


@pytest.mark.slow
def test_a_killed_run_goes_on_and_pays_again_at_most_for_what_was_on_its_way(tmp_path: Path):
    path, questions, in_flight = tmp_path / "cache.sqlite", 40, 4
    script = f"import test_asking as t; t.study_over_http(t.Path(r'{path}'), {{url!r}}, questions=40, in_flight=4)"
    folders = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    with OpenAIServer(delay=0.02) as server:
        command = [sys.executable, "-c", script.format(url=server.url)]
        run = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": folders})
        while sum(server.complete.values()) < 15:
            assert run.poll() is None
            time.sleep(0.002)
        run.kill()
        run.wait()
        killed_at = sum(server.complete.values())
        let_leases_lapse(path)
        resumed = study_over_http(path, server.url, questions=questions)
        counts = list(server.complete.values())
    assert killed_at < questions
    assert all(asked.value is not None for asked in resumed)
    assert max(counts) <= 2
    assert sum(count - 1 for count in counts) <= in_flight
    assert sum(asked.fresh for asked in resumed) < questions


def test_a_reply_that_ran_away_may_be_only_so_long_the_second_time(cache: Cache):
    class Reasons(BaseModel):
        why: str = Field(json_schema_extra={"maxLength": 2800})
        used: list[str] = Field(json_schema_extra={"maxItems": 12})

    client = in_turn(body('{"why": "up and up and', finish_reason="length"), body('{"why": "up", "used": []}'))
    asked = asyncio.run(asker(cache, client).ask(question(), Reasons, purpose=APPLE))
    assert asked.value == Reasons(why="up", used=[])
    first, second = (json.loads(request.schema_json)["properties"] for request in client.sent)
    assert (first["why"]["maxLength"], first["used"]["maxItems"]) == (2800, 12)
    assert (second["why"]["maxLength"], second["used"]["maxItems"]) == (600, 4)
    assert "at most 600 characters" in client.sent[1].messages[-1].content


def test_a_reply_that_ran_away_by_repeating_itself_is_told_so(cache: Cache):
    client = in_turn(body('{"direction": "' + "LONG and " * 40, finish_reason="length"), body(GOOD))
    assert ask(asker(cache, client)).value is not None
    told = client.sent[1].messages[-1].content
    assert told.startswith("Your reply repeated itself until it was cut off at the limit of 2000 tokens. Be brief:")


def test_lengths_are_not_sent_where_the_endpoint_does_not_take_them(cache: Cache):
    client = in_turn(body('{"direction": "LO', finish_reason="length"), body(GOOD))
    ask(asker(cache, client, can=Capabilities("json_schema", True, "", ("bounds",))))
    assert not any("maxLength" in request.schema_json for request in client.sent)
    assert "at most 600 characters" in client.sent[1].messages[-1].content


def late(request: Request) -> str:
    raise TimedOutError("no answer within 60 seconds")


def test_a_question_that_is_not_answered_in_time_is_an_abstention_and_is_asked_again_by_the_next_run(cache: Cache):
    asked = ask(asker(cache, ScriptedClient(late)))
    assert (asked.value, asked.completion, asked.fresh) == (None, None, 0)
    assert str(asked.failure) == "no answer within 60 seconds"
    assert Ledger(cache).frame("study")["outcome"].tolist() == ["TimedOutError"]
    client = always()
    assert ask(asker(cache, client)).value is not None
    assert len(client.sent) == 1


def test_a_question_that_is_not_answered_in_time_is_an_error_where_that_is_wanted(cache: Cache):
    with pytest.raises(TimedOutError):
        ask(asker(cache, ScriptedClient(late), strict=True))


def test_an_endpoint_that_is_silent_three_times_running_is_asked_no_more(cache: Cache):
    one = asker(cache, ScriptedClient(late), in_flight=1)

    async def main():
        return [await one.ask(question(n), View, purpose=APPLE) for n in range(2)] + [
            await asyncio.gather(one.ask(question(2), View, purpose=APPLE), return_exceptions=True)
        ]

    *first, (third,) = asyncio.run(main())
    assert all(isinstance(asked.failure, TimedOutError) for asked in first)
    assert isinstance(third, TimedOutError)


def test_time_outs_of_questions_that_were_under_way_together_count_as_one(cache: Cache):
    asked = ask_all(asker(cache, ScriptedClient(late, delay=0.02), in_flight=8), range(8))
    assert all(isinstance(one.failure, TimedOutError) for one in asked)


def test_an_answer_between_time_outs_shows_that_the_endpoint_is_there(cache: Cache):
    client = ScriptedClient(lambda request: late(request) if "Month 3" not in str(request.messages) else body(GOOD))
    one = asker(cache, client, in_flight=1)

    async def main():
        return [await one.ask(question(n), View, purpose=APPLE) for n in (0, 1, 3, 4, 5)]

    assert sum(asked.value is None for asked in asyncio.run(main())) == 4


def test_an_endpoint_that_answers_one_at_once_is_asked_one_at_once(cache: Cache):
    client = always()
    client.delay = 0.005

    async def slots() -> int:
        return 2

    client.slots = slots
    ask_all(asker(cache, client, in_flight=8), range(10))
    assert client.most_at_work == 2


def test_after_time_outs_fewer_are_asked_at_once(cache: Cache):
    silent = [True] * 8
    client = ScriptedClient(lambda request: late(request) if silent and silent.pop() else body(GOOD), delay=0.005)
    one = asker(cache, client, in_flight=8)
    ask_all(one, range(8))
    client.most_at_work = 0
    ask_all(one, range(8, 12))
    assert client.most_at_work == 4


def test_an_endpoint_that_answers_one_after_another_is_soon_asked_few_at_once(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
):
    """It pushes nobody back: latency alone tells, here in simulated seconds."""
    now, waiting, seen = 0.0, 0, []
    clock = SimpleNamespace(monotonic=lambda: now, perf_counter=time.perf_counter)
    monkeypatch.setattr("llmguide.llm.asking.time", clock)

    class Queue(ScriptedClient):
        async def send(self, request: Request) -> RawReply:
            nonlocal now, waiting
            waiting += 1
            seen.append(waiting)
            async with turn:  # in the order of arrival
                reply = await super().send(request)
                now += 1.0
            waiting -= 1
            return reply

    async def main() -> None:
        await asyncio.gather(*(one.ask(question(n), View, purpose=APPLE) for n in range(100)))

    turn, one = asyncio.Lock(), asker(cache, Queue(lambda _: body(GOOD)), in_flight=8)
    asyncio.run(main())
    assert max(seen) == 8
    assert max(seen[-40:]) <= 2


def test_a_probe_that_hangs_ends_when_the_asker_is_halted(cache: Cache):
    client = always()
    client.delay = 60.0
    one = Asker(cache, model="m", client=client, prices=PRICES, study="study")

    async def main():
        opening = asyncio.create_task(one.open())
        await asyncio.sleep(0.02)
        one.halt()
        with pytest.raises(Halted):
            await opening
        await one.close()

    begin = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begin < 3.0
