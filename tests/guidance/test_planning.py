"""What a plan says beforehand is what a study then takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from openai_server import OpenAIServer

from llmguide import sample_bars
from llmguide.errors import EndpointError, LanguageModelError
from llmguide.guidance.planning import plan_study
from llmguide.guidance.strategist import Subject
from llmguide.guidance.study import Study, run_study


@pytest.fixture(scope="module")
def pair(make_tables):
    """Two instruments, four months each."""
    first, second = sample_bars(years=1, seed=3).iloc[:100], sample_bars(years=1, seed=4).iloc[:100]
    return Subject("ACME", first, make_tables(first)), Subject("BETA", second, make_tables(second, 1))


def without_probe(server):
    return [body for body in server.requests if "Readiness" not in str(body.get("response_format"))]


@pytest.mark.slow
@pytest.mark.parametrize("prompts", [("P0",), ("P2",), ("P4",), ("P0", "P1", "P2", "P3", "P4")])
def test_a_plan_has_the_calls_and_about_the_tokens_that_the_study_takes(pair, access, server, prompts):
    study = Study(pair, prompts)
    plan = plan_study(study, access)
    assert server.requests == []
    assert plan.kept == 0
    asker = access.asker(study="s")
    run_study(study, asker)
    assert plan.calls == len(without_probe(server))
    spent = asker.spending
    # The scripted model counts a token for every four characters, as the plan does; a real one is 10 to 30 % off.
    assert spent.prompt_tokens == pytest.approx(plan.prompt_tokens, rel=0.3)
    assert plan.dollars <= plan.most_dollars
    assert spent.dollars < plan.most_dollars


def test_a_plan_of_what_was_asked_needs_nothing_more(pair, access, server):
    study = Study(pair, ("P1", "P4"))
    run_study(study, access.asker())
    assert plan_study(study, access) == (0, len(without_probe(server)), 0, 0, 0.0, 0.0)


def test_a_plan_counts_only_what_is_left(pair, access, server):
    run_study(Study(pair[:1], ("P4",)), access.asker())
    asked = len(without_probe(server))
    plan = plan_study(Study(pair, ("P4", "P1")), access)
    assert plan.kept == asked
    before = len(server.requests)
    run_study(Study(pair, ("P4", "P1")), access.asker())
    assert len(server.requests) - before == plan.calls


def test_replies_that_another_endpoint_gave_are_not_counted_as_kept(pair, access, server, monkeypatch):
    study = Study(pair, ("P1",))
    run_study(study, access.asker())
    with OpenAIServer() as other:
        assert plan_study(study, replace(access, base_url=other.url)).calls == 8
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert plan_study(study, replace(access, base_url=None)).calls == 8  # those of OpenAI itself
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    assert plan_study(study, replace(access, base_url=None)).calls == 0
    assert plan_study(study, replace(access, base_url=None, replay=True)).calls == 0


def test_planning_sends_nothing_makes_no_cache_and_needs_no_key(pair, access, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    plan = plan_study(Study(pair, ("P4",)), replace(access, base_url=None, api_key=None, cache=tmp_path / "no.sqlite"))
    assert plan.calls == 16
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_price_is_unknown_and_not_nothing(pair, access):
    plan = plan_study(Study(pair, ("P0",)), replace(access, model="nobody-knows-me"))
    assert (plan.dollars, plan.most_dollars) == (None, None)
    assert plan.prompt_tokens > 0


def test_neither_a_budget_nor_strictness_stops_a_plan(pair, access):
    plan = plan_study(Study(pair, ("P2",)), replace(access, budget=0.0, strict=True))
    assert plan.calls == 8


def test_what_is_no_url_or_no_cache_is_refused(pair, access, tmp_path):
    with pytest.raises(EndpointError, match="expected a base URL"):
        plan_study(Study(pair, ("P0",)), replace(access, base_url="localhost"))
    (tmp_path / "text.sqlite").write_text("no cache", encoding="utf-8")
    with pytest.raises(LanguageModelError, match=r"text\.sqlite"):
        plan_study(Study(pair, ("P0",)), replace(access, cache=tmp_path / "text.sqlite"))
