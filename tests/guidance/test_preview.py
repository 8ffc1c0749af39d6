"""What `preview` shows for a month is what a run then sends for it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from openai_server import Answer

from llmguide import sample_bars
from llmguide.errors import EndpointError, GuidanceError
from llmguide.guidance.preview import preview
from llmguide.guidance.strategist import Brief, Subject
from llmguide.guidance.study import Study, run_study
from llmguide.llm.protocol import Sampling
from llmguide.sources.tables import Tables

PROMPTS = ("P0", "P1", "P2", "P3", "P4")


@pytest.fixture(scope="module")
def acme(make_tables):
    """ACME with five months."""
    bars = sample_bars(years=1, seed=3).iloc[:120]
    return Subject("ACME", bars, make_tables(bars))


def sent_for(server, schema, number):
    """The body of the `number`-th question of a role, without the probe."""
    bodies = [body for body in server.requests if schema in str(body.get("response_format"))]
    return bodies[number]


def assert_as_sent(shown, body):
    assert shown["messages"] == body["messages"]
    assert shown["model"] == body["model"]
    given = {name: value for name, value in shown["sampling"].items() if value is not None}
    assert {name: body[name] for name in given} == given
    asked = body["response_format"]["json_schema"]
    assert (shown["schema_name"], shown["schema_json"]) == (asked["name"], asked["schema"])
    # The order of a schema's properties is the order in which the model writes them.
    assert json.dumps(shown["schema_json"]) == json.dumps(asked["schema"])


@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_month_is_shown_as_it_is_sent(acme, access, server, prompt):
    study = Study((acme,), (prompt,))
    run_study(study, access.asker())
    for number, i in enumerate(study.positions(acme)):
        shown = preview(study, access, day=f"{acme.bars.index[i]:%Y-%m-%d}")
        assert shown.missing == []
        assert shown.issued_at == acme.bars.index[i]
        (request,) = shown.requests
        if prompt in ("P0", "P1"):  # without memory the months are asked in any order
            assert request["messages"] in [body["messages"] for body in server.requests]
        else:
            assert_as_sent(request, sent_for(server, "StrategistReply", number))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_first_month_is_shown_before_anything_was_asked(acme, access, server, prompt):
    bars = acme.bars.iloc[:40]
    study = Study((replace(acme, bars=bars, tables=replace(acme.tables, news=None)),), (prompt,))
    shown = preview(study, access, day="2000-01-01", following=True)
    assert server.requests == []
    run_study(study, access.asker())
    assert_as_sent(shown.requests[0], sent_for(server, "StrategistReply", 0))


def test_the_analysts_question_is_shown_too(acme, access, server):
    study = Study((acme,), ("P4",))
    day = f"{acme.bars.index[50]:%Y-%m-%d}"
    before = preview(study, access, day=day, role="analyst")
    run_study(study, access.asker())
    assert preview(study, access, day=day, role="analyst").requests == before.requests
    asked = [body["messages"] for body in server.requests if "AnalystReply" in str(body["response_format"])]
    assert before.requests[0]["messages"] in asked


def test_a_month_without_headlines_says_why_the_analyst_is_shown_nothing(acme, access):
    study = Study((replace(acme, tables=Tables()),), ("P4",))
    shown = preview(study, access, day="2000-01-01", following=True, role="analyst")
    assert shown.requests == []
    assert shown.missing == ["there are no headlines of this month that could be shown: the Analyst is not asked"]


def test_a_month_whose_news_could_not_be_read_is_shown_as_it_is_sent_and_says_so(acme, access, server):
    def silent(body):
        return Answer("", refusal="I would rather not.") if "AnalystReply" in str(body["response_format"]) else None

    server.answer = silent
    study = Study((acme,), ("P4",))
    run_study(study, access.asker())
    for number, i in enumerate(study.positions(acme)):
        shown = preview(study, access, day=f"{acme.bars.index[i]:%Y-%m-%d}")
        assert_as_sent(shown.requests[0], sent_for(server, "StrategistReply", number))
        assert "The news could not be read." in shown.requests[0]["messages"][-1]["content"]
        assert re.fullmatch("the Analyst gave no usable answer about this month.*rather not.*", *shown.missing)


def test_what_the_cache_lacks_is_said_and_its_place_is_marked(acme, access):
    study = Study((acme,), ("P4",))
    day = f"{acme.bars.index[90]:%Y-%m-%d}"
    shown = preview(study, access, day=day)
    assert len(shown.missing) == 2
    assert "the Analyst has not been asked" in shown.missing[0]
    assert "3 of the last 3 decisions are not in the cache" in shown.missing[1]
    text = shown.requests[0]["messages"][-1]["content"]
    assert text.endswith("condensed\n[the Analyst's factors: not in the cache yet]")
    assert "newest first\n[your last decisions: not in the cache yet]\n" in text
    assert "No news is available." not in text
    assert "None: this is the first." not in text
    earlier = Study((replace(acme, bars=acme.bars.iloc[:80]),), ("P4",))  # decisions at bars 30, 50 and 70
    run_study(earlier, access.asker())
    assert len(preview(study, access, day=day).missing) == 1  # the news of this month
    last = f"{acme.bars.index[110]:%Y-%m-%d}"
    later = preview(study, access, day=last)
    assert "1 of the last 3 decisions" in later.missing[1]
    assert "[your last decisions:" in later.requests[0]["messages"][-1]["content"]  # an older one is not the last one


def test_another_endpoints_answers_are_not_shown_for_those_of_the_one_that_would_be_asked(acme, access, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    study = Study((acme,), ("P2",))
    run_study(study, access.asker())
    day = f"{acme.bars.index[90]:%Y-%m-%d}"
    assert preview(study, access, day=day).missing == []
    assert preview(study, replace(access, replay=True, base_url=None), day=day).missing == []
    monkeypatch.setenv("OPENAI_BASE_URL", access.base_url)
    assert preview(study, replace(access, base_url=None), day=day).missing == []
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert preview(study, replace(access, base_url=None, api_key=None), day=day).missing


def test_what_the_endpoint_cannot_do_shapes_what_is_shown(acme, tmp_path, access):
    from openai_server import OpenAIServer

    study = Study((acme,), ("P1",))
    with OpenAIServer(response_format="json_object", logprobs="drop") as weak:
        access = replace(access, base_url=weak.url)
        run_study(study, access.asker())
        shown = preview(study, access, day=f"{acme.bars.index[30]:%Y-%m-%d}").requests[0]
        assert shown["reply_format"] == "json_object"
        assert shown["sampling"]["top_logprobs"] is None
        assert shown["messages"] in [body["messages"] for body in weak.requests]


def test_a_day_shows_the_decision_in_force_on_it_or_the_next_one(acme, access):
    study, dates = Study((acme,), ("P0",), Brief(every=10)), acme.bars.index
    for bar, in_force, following in ((40, 40, 50), (41, 40, 50), (49, 40, 50), (50, 50, 60)):
        day = f"{dates[bar]:%Y-%m-%d}"
        assert preview(study, access, day=day).issued_at == dates[in_force]
        assert preview(study, access, day=day, following=True).issued_at == dates[following]
    assert preview(study, access, day="2099-01-01").issued_at == dates[list(study.positions(acme))[-1]]
    with pytest.raises(GuidanceError, match=r"no decision follows 2099-01-01: the last one of these bars is on 2"):
        preview(study, access, day="2099-01-01", following=True)


@pytest.mark.parametrize(("prompt", "role"), [("P3", "strategist"), ("P4", "analyst")])
def test_no_later_bar_or_row_changes_what_is_shown(acme, access, prompt, role):
    i, study = 70, Study((acme,), (prompt,))
    day = f"{acme.bars.index[i]:%Y-%m-%d}"
    bars = acme.bars.copy()
    bars.iloc[i:] = bars.iloc[i:].to_numpy() * 3.0
    tables = replace(
        acme.tables,
        **{
            name: table[table[column] < acme.bars.index[i]]
            for name, column in (
                *(("market", "date"), ("options", "date"), ("macro", "published_at")),
                *(("fundamentals", "published_at"), ("news", "published_at")),
            )
            if (table := getattr(acme.tables, name)) is not None
        },
    )
    shown = preview(study, access, day=day, role=role)
    other = preview(Study((replace(acme, bars=bars, tables=tables),), (prompt,)), access, day=day, role=role)
    assert shown.requests == other.requests != []


def test_looking_makes_no_cache_and_needs_no_key(acme, access, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    study = Study((acme,), ("P4",))
    preview(
        study,
        replace(access, base_url=None, api_key=None, cache=tmp_path / "none.sqlite"),
        day="2000-01-01",
        following=True,
    )
    assert list(tmp_path.iterdir()) == []


def test_the_sampling_is_the_one_that_was_set(acme, access):
    access = replace(access, sampling=Sampling(temperature=0.7, seed=None, max_tokens=900))
    shown = preview(Study((acme,), ("P0",)), access, day="2000-01-01", following=True).requests[0]
    assert shown["sampling"] == {
        "temperature": 0.7,
        "seed": None,
        "frequency_penalty": None,
        "presence_penalty": None,
        "top_logprobs": 5,
        "max_tokens": 900,
    }


@pytest.mark.parametrize(
    ("day", "role", "says"),
    [
        ("2000-01-01", "strategist", r"there is no guidance yet on 2000-01-01: the first decision .* is on 2\d{3}"),
        ("someday", "strategist", "expected a date such as 2018-02-14, got 'someday'"),
        ("", "strategist", "expected a date"),
        ("2018-02-14T10:00Z", "strategist", "expected a date"),
        ("2018-02-31", "strategist", "expected a date"),
        ("2018-02-14", "analist", "did you mean 'analyst'"),
    ],
)
def test_what_cannot_be_shown_is_refused(acme, access, day, role, says):
    with pytest.raises(GuidanceError, match=says):
        preview(Study((acme,), ("P0",)), access, day=day, role=role)


def test_a_url_that_is_none_is_refused(acme, access):
    with pytest.raises(EndpointError, match="expected a base URL"):
        preview(Study((acme,), ("P0",)), replace(access, base_url="localhost:8000"), day="2000-01-01", following=True)


def test_a_month_without_headlines_is_shown_as_such_before_anything_was_asked(acme, access):
    quiet = Study((replace(acme, tables=Tables()),), ("P4",))
    shown = preview(quiet, access, day="2000-01-01", following=True)
    assert shown.missing == []
    text = shown.requests[0]["messages"][-1]["content"]
    assert text.endswith("condensed\nNo news is available.")
    assert "newest first\nNone: this is the first." in text
