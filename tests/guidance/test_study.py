"""Months x instruments x prompts through real HTTP: side by side, complete, and never paid for twice."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from llmguide import sample_bars
from llmguide.errors import BudgetError, EndpointError, GuidanceError, InvalidReplyError, MissingAnswers, RefusedError
from llmguide.guidance.language_model import LanguageModel, study_name
from llmguide.guidance.strategist import Brief, Subject
from llmguide.guidance.study import Study, guidance_of, run_study
from llmguide.llm.templates import source


@pytest.fixture(scope="module")
def pair(make_tables):
    """Two instruments, eight months each."""
    first, second = sample_bars(years=1, seed=3).iloc[:180], sample_bars(years=1, seed=4).iloc[:180]
    return Subject("ACME", first, make_tables(first)), Subject("BETA", second, make_tables(second, 1))


def strategist_prompts(server):
    bodies = [body for body in server.requests if "StrategistReply" in str(body.get("response_format"))]
    return ["\n".join(message["content"] for message in body["messages"]) for body in bodies]


def test_a_study_has_every_month_of_every_instrument_and_prompt_in_order(pair, access):
    study = Study(pair, ("P0", "P2", "P4"))
    advice = run_study(study, access.asker())
    assert len(advice) == study.advice_count == 2 * 3 * 8
    keys = [(one.symbol, one.prompt, one.issued_at) for one in advice]
    assert keys == sorted(keys)
    table = guidance_of(advice, symbol="BETA", prompt="P2")
    assert [row.issued_at for row in table.rows] == list(pair[1].bars.index[30:180:20])
    assert all(row.prompt_version == "P2" and row.model and len(row.prompt_hash) == 64 for row in table.rows)


def test_every_question_is_paid_for_once_and_the_second_run_asks_nothing(pair, access, server):
    study = Study(pair, ("P1", "P4"))
    advice = run_study(study, access.asker())
    asked = len(server.requests)
    assert set(server.complete.values()) == {1}
    assert run_study(study, access.asker()) == advice
    assert run_study(study, replace(access, replay=True, base_url=None).asker()) == advice
    assert len(server.requests) == asked


def test_the_analyst_reads_a_month_once_for_all_prompts(pair, access, server, tmp_path):
    own = tmp_path / "P4b.md"
    own.write_text('{% extends "P4.md" %}{% block system %}{{ super() }} Be brief.{% endblock %}', encoding="utf-8")
    run_study(Study(pair[:1], ("P4", own)), access.asker())
    kinds = [re.search(r"(Analyst|Strategist)Reply", str(body["response_format"])) for body in server.requests]
    names = [kind[1] for kind in kinds if kind]
    assert (names.count("Analyst"), names.count("Strategist")) == (8, 16)


def test_a_prompt_with_memory_shows_the_answers_before_it(pair, access, server):
    advice = run_study(Study(pair[:1], ("P2",)), access.asker())
    texts = strategist_prompts(server)
    assert len(texts) == 8
    for number, one in enumerate(advice[1:], start=1):
        assert texts[number].count("- Reasons: ") == min(number, 3)
        assert advice[number - 1].reply.explanation in texts[number]
        assert one.messages[-1].content in texts[number]


def test_months_without_memory_are_asked_side_by_side_and_those_with_memory_one_by_one(pair, access, server):
    server.delay = 0.5
    run_study(Study(pair[:1], ("P1",)), access.asker())
    assert server.max_in_flight > 4
    server.max_in_flight, server.delay = 0, 0.05
    run_study(Study(pair[:1], ("P2",)), access.asker())
    assert server.max_in_flight == 1


def shared_beginnings(server):
    """The characters that each prompt shares with the one asked before it, of all kinds of questions."""
    texts = ["\n".join(message["content"] for message in body["messages"]) for body in server.requests]
    same = (
        itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*two, strict=False))
        for two in itertools.pairwise(texts)
    )
    return sum(len(list(letters)) for letters in same), sum(map(len, texts))


@pytest.mark.slow
def test_few_at_once_are_asked_in_the_order_of_their_texts_and_say_the_same(pair, access, server):
    study = Study(pair, ("P2", "P1", "P4"))
    many = run_study(study, replace(access, cache=access.cache.with_name("many.sqlite")).asker())
    server.requests.clear()
    few = run_study(study, replace(access, in_flight=1).asker())
    assert [one.row for one in few] == [one.row for one in many]
    shared, whole = shared_beginnings(server)
    asked = [str(body["response_format"]) for body in server.requests]
    kinds = ["A" if "AnalystReply" in kind else "S" if "StrategistReply" in kind else "" for kind in asked]
    runs = [(kind, len(list(group))) for kind, group in itertools.groupby(kind for kind in kinds if kind)]
    # P2 and P1 of both instruments, and for P4 the Analyst's eight months before the Strategist's, twice.
    assert runs == [("S", 32), ("A", 8), ("S", 8), ("A", 8), ("S", 8)]
    assert shared > 0.5 * whole


def test_since_asks_only_what_the_bars_from_that_day_on_can_see(pair, access):
    whole = Study(pair[:1], ("P1",))
    late = replace(pair[0], since=pair[0].bars.index[115])
    advice = run_study(Study((late,), ("P1",)), access.asker())
    assert [one.issued_at for one in advice] == list(pair[0].bars.index[110:180:20])
    assert [one.row for one in advice] == [one.row for one in run_study(whole, access.asker())[4:]]


def test_the_uncertainty_of_the_reply_makes_the_strength(pair, access):
    for one in run_study(Study(pair[:1], ("P0",)), access.asker()):
        row = one.row
        assert 0.0 < one.entropy < 1.0 < one.perplexity
        assert row.strength == pytest.approx(row.confidence / 3 * (0.01 + 0.99 * (1 - one.entropy)))
        assert 0.0 <= one.direction_entropy <= 1.0
        assert 0.0 <= one.confidence_entropy <= 1.0


@pytest.mark.parametrize("way", ["drop", "refuse"])
def test_an_endpoint_without_log_probabilities_gives_guidance_without_entropy(pair, access, way):
    from openai_server import OpenAIServer

    with OpenAIServer(logprobs=way) as server:
        told = []
        settings = replace(access, base_url=server.url)
        advice = run_study(Study(pair[:1], ("P0",)), settings.asker(), on_ready=told.append)
    assert all(one.entropy is None and one.perplexity is None for one in advice)
    assert all(one.row.strength == one.row.confidence / 3 for one in advice)
    assert "no log-probabilities" in told[0].describe()


def test_an_answer_that_never_fits_is_an_abstention_that_says_why_or_an_error(pair, access):
    from openai_server import OpenAIServer

    def prose(body):
        return "Buy low, sell high." if "StrategistReply" in str(body.get("response_format")) else None

    with OpenAIServer(answer=prose) as server:
        settings = replace(access, base_url=server.url)
        advice = run_study(Study(pair[:1], ("P0",)), settings.asker(study="s"))
        assert all(one.reply is None and one.row.tau == 0.0 and one.row.direction is None for one in advice)
        assert all(one.failure and one.failure in one.row.explanation for one in advice)
        assert set(settings.asker().ledger.summary(settings.asker().prices, "s")["unusable"]) == {0, 16}
        with pytest.raises(InvalidReplyError) as error:
            run_study(Study(pair[:1], ("P0",)), replace(settings, strict=True).asker())
        assert "Buy low, sell high." in error.value.reply


def test_a_budget_ends_the_study_keeps_what_was_paid_for_and_a_larger_one_goes_on(pair, access, server):
    study = Study(pair, ("P0",))
    tight = replace(access, budget=0.0025, in_flight=4)
    with pytest.raises(BudgetError, match="larger budget"):
        run_study(study, tight.asker(study="s"))
    spent = tight.asker(study="s").spending
    assert 0 < spent.dollars <= 0.0025
    advice = run_study(study, replace(access, budget=1.0).asker(study="s"))
    assert len(advice) == 16
    assert set(server.complete.values()) == {1}


def test_an_endpoint_that_fails_for_good_stops_the_study_with_one_error(pair, access):
    from openai_server import OpenAIServer

    with OpenAIServer() as server:
        url = server.url
    with pytest.raises(EndpointError):
        run_study(Study(pair, ("P0",)), replace(access, base_url=url, max_retries=0).asker())


def test_a_replay_names_what_is_missing(pair, access):
    run_study(Study(pair[:1], ("P1",)), access.asker())
    with pytest.raises(MissingAnswers, match=r"lacks 10 answers.*ACME P2 .*BETA P1 "):
        run_study(Study(pair, ("P1", "P2")), asker := replace(access, replay=True).asker())
    assert asker.cache._connection is None, "the cache was left open"
    asker.costs()
    assert asker.cache._connection is None, "reading the costs left it open"


def test_a_replay_names_the_analyst_s_missing_answers_of_all_months(subject, access):
    few = replace(subject, bars=subject.bars.iloc[:160])
    run_study(Study((few,), ("P1",)), access.asker())
    study = Study((few,), ("P4",))
    with pytest.raises(MissingAnswers) as missing:
        run_study(study, replace(access, replay=True).asker())
    assert f"lacks {len(study.positions(few))} answers" in str(missing.value)


@pytest.mark.parametrize(
    ("subjects", "prompts", "says"),
    [(0, ("P1",), "at least one instrument"), (2, (), "at least one prompt"), (2, ("P1", "P1"), "P1 twice")],
)
def test_a_study_of_nothing_or_of_the_same_twice_is_refused(pair, subjects, prompts, says):
    with pytest.raises(GuidanceError, match=says):
        Study(pair[:subjects], prompts)


def test_one_value_is_all_a_script_needs(pair, access, tmp_path):
    from llmguide import guide

    model = LanguageModel(base_url=access.base_url, api_key=access.api_key, cache=tmp_path / "x.sqlite", prompt="P1")
    table = model(pair[0].bars)
    assert guide(pair[0].bars, "llm", settings=model) == table
    assert guide(pair[0].bars, "replay", settings=model) == table
    assert "sk-test" not in repr(model)


def test_a_running_event_loop_as_in_jupyter_is_no_obstacle(pair, access, tmp_path):
    import asyncio

    async def cell():
        return run_study(Study(pair[:1], ("P0",)), access.asker())

    assert len(asyncio.run(cell())) == 8


def test_the_name_of_a_study_follows_what_shapes_it(access):
    names = {
        study_name(access, ["A"], ["P1"], Brief()),
        study_name(access, ["A", "B"], ["P1"], Brief()),
        study_name(access, ["A"], ["P2"], Brief()),
        study_name(access, ["A"], ["P1"], Brief(memory=2)),
        study_name(replace(access, model="other"), ["A"], ["P1"], Brief()),
    }
    assert len(names) == 5
    assert study_name(replace(access, in_flight=2, budget=3.0), ["A"], ["P1"], Brief()) in names


@pytest.mark.parametrize("fault", ["refusal", "500"])
def test_the_first_failure_stops_the_months_that_wait_for_their_turn(pair, access, fault):
    from openai_server import OpenAIServer

    with OpenAIServer(faults=[None, fault]) as server:  # the probe is answered
        settings = replace(access, base_url=server.url, in_flight=1, strict=True, max_retries=0)
        with pytest.raises((RefusedError, EndpointError)):
            run_study(Study(pair[:1], ("P1",)), settings.asker())
        assert len(server.requests) == 2


def test_a_template_edited_while_a_study_runs_counts_from_the_next_study_on(subject, access, server, tmp_path):
    own, few = tmp_path / "own.md", replace(subject, bars=subject.bars.iloc[:100])
    own.write_text(source("P2"), encoding="utf-8")
    run_study(Study((few,), (own,)), access.asker())

    def edit(body):
        own.write_text(source("P4"), encoding="utf-8")

    server.answer = edit
    own.write_text(source("P3"), encoding="utf-8")
    during = run_study(Study((few,), (own,)), access.asker())
    after = run_study(Study((few,), (own,)), access.asker())
    plain = run_study(Study((few,), ("P3",)), access.asker())
    assert [one.messages for one in during] == [one.messages for one in plain]
    assert {one.prompt_hash for one in during} == {one.prompt_hash for one in plain}
    assert not {one.prompt_hash for one in during} & {one.prompt_hash for one in after}
    assert all(one.factors for one in after)
