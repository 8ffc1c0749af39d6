"""Prompts from template files: what comes with llmguide, what a user writes, and what is wrong with one."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from llmguide.errors import GuidanceError
from llmguide.guidance.advice import AnalystReply, StrategistReply
from llmguide.llm.templates import packaged, prompt_hash, prompt_version, read_template, render, source, variables

HEADINGS = {
    "stock": "# The stock",
    "market": "# The market",
    "fundamentals": "# Fundamentals, as last reported",
    "macro": "# The economy, as last published",
    "options": "# Options",
}
VERSIONS = ("P0", "P1", "P2", "P3", "P4")


class Past:
    ago, direction, confidence = "The last one", "LONG", 2
    features, explanation, price_return, advice_return = "rsi (LONG, 2)", "Because.", "+1.0%", "+1.0%"


class News:
    text, sentiment, impact = "Orders rose.", 1, 2


VALUES = {
    "lines": lambda *names: "\n".join(f"{name}: 1" for name in names),
    "legend": lambda *names: "\n".join(f"{name} is one" for name in names),
    "levels": "relative",
    "bars": [],
    "close_only": False,
    "identity": "",
    "horizon": 20,
    "objective": "the objective",
    "risk_profile": "the profile",
    "memory": [Past],
    "no_memory": "None yet.",
    "factors": [News],
    "news_failed": False,
    "no_factors": "No news.",
}
BEGIN = '{% extends "layout.md" %}{% block user %}'


def lines(version):
    return [message.content.splitlines() for message in render(version, **VALUES)]


@pytest.mark.parametrize(("smaller", "larger"), list(pairwise(VERSIONS)))
def test_every_prompt_is_a_strict_extension_of_the_one_before(smaller, larger):
    for before, after in zip(lines(smaller), lines(larger), strict=True):
        rest = iter(after)
        assert all(line in rest for line in before), "the earlier prompt's lines, in their order"
        assert len(after) >= len(before)
    assert sum(map(len, lines(larger))) > sum(map(len, lines(smaller)))


def test_each_version_asks_for_what_it_shows():
    assert {name: {"memory", "factors"} & variables(name) for name in VERSIONS} == {
        "P0": set(),
        "P1": set(),
        "P2": {"memory"},
        "P3": {"memory"},
        "P4": {"memory", "factors"},
    }


def test_p3_takes_the_analysis_apart_into_six_groups_with_an_example_each():
    (system, _) = render("P3", **VALUES)
    groups = re.findall(
        r"^\((\d)\) (The stock|Technical|Fundamental|Macroeconomic|Options|Reflection)\.", system.content, re.M
    )
    assert [number for number, _ in groups] == list("123456")
    assert len(re.findall(r"^Example: ", system.content, re.M)) == 6


def test_the_news_is_a_group_before_the_weights_are_added_up():
    (system, _) = render("P4", **VALUES)
    places = [
        system.content.index(text) for text in ("(6) Reflection", "(7) News", "Then add up", "Answer with one JSON")
    ]
    assert places == sorted(places)


@pytest.mark.parametrize("version", VERSIONS)
def test_there_is_one_rule_for_the_confidence(version):
    (system, _) = render(version, **VALUES)
    rules = re.findall(
        r"^- confidence: .*3 \(high\) for .*, 2 \(moderate\) for .*, 1 \(low\) for", system.content, re.M
    )
    assert len(rules) == 1
    told = [line for line in system.content.splitlines() if re.search(r"\bconfidence\b(?!, money)", line)]
    assert len(told) == (2 if version in ("P3", "P4") else 1)  # the other one refers to it


@pytest.mark.parametrize("version", ["P3", "P4"])
def test_the_examples_point_long_as_often_and_as_strongly_as_short(version):
    (system, _) = render(version, **VALUES)
    examples = "\n".join(re.findall(r"^Example: .*$", system.content, re.M))
    weights = {
        side: [int(weight) for weight in re.findall(rf"\b{side}, weight (\d)", examples)] for side in ("LONG", "SHORT")
    }
    assert sorted(weights["LONG"]) == sorted(weights["SHORT"]) != []
    assert len(re.findall(r"\bLONG\b", examples)) == len(re.findall(r"\bSHORT\b", examples))


@pytest.mark.parametrize("version", [*VERSIONS, "analyst", "analyst-merge"])
def test_the_horizon_is_told_in_trading_days_and_never_called_a_month(version):
    more = {"anonymous": True, "words": 70, "quoted": 8}
    factors = {"factors": 3, "lines": ["1."]} if version.startswith("analyst") else {}
    messages = render(version, **VALUES | {"horizon": 60} | more | factors)
    text = "\n".join(message.content for message in messages)
    assert "next 60 trading days" in text
    assert "20 trading days" not in text
    # "up to three months old" is the age of reports, whatever the horizon is
    assert not re.search(r"\bmonth(?!s old)", text.replace("a month's", "month's"))


@pytest.mark.parametrize("absent", HEADINGS)
def test_a_group_without_facts_leaves_no_heading(absent):
    def only_others(*names):
        return "\n".join(f"{name}: 1" for name in names if not name.startswith(absent))

    headings = [
        line for line in render("P1", **VALUES | {"lines": only_others})[1].content.splitlines() if line[:1] == "#"
    ]
    everything = [line for line in render("P1", **VALUES)[1].content.splitlines() if line[:1] == "#"]
    assert set(everything) - set(headings) == {HEADINGS[absent]}


def test_a_copied_template_gives_the_same_messages_under_its_own_name(tmp_path):
    copy = tmp_path / "mine.md"
    copy.write_text(source("P4"), encoding="utf-8")
    assert render(copy, **VALUES) == render("P4", **VALUES)
    assert prompt_version(copy) == "mine"


def test_a_template_named_like_one_of_llmguide_s_may_extend_it(tmp_path):
    own = tmp_path / "P4.md"
    own.write_text('{% extends "P4.md" %}{% block system %}{{ super() }}\nBe brief.{% endblock %}', encoding="utf-8")
    system, user = render(own, **VALUES)
    assert system.content == render("P4", **VALUES)[0].content + "\n\nBe brief."
    assert user == render("P4", **VALUES)[1]


def test_a_template_may_begin_anew(tmp_path):
    own = tmp_path / "short.md"
    own.write_text('{% extends "layout.md" %}{% block user %}Close {{ bars | length }}{% endblock %}', encoding="utf-8")
    (only,) = render(own, **VALUES)
    assert (only.role, only.content) == ("user", "Close 0")


def test_the_hash_follows_the_template_its_parents_and_the_schema(tmp_path):
    own = tmp_path / "own.md"
    own.write_text('{% extends "P4.md" %}', encoding="utf-8")
    hashes = {prompt_hash(version, StrategistReply) for version in (*VERSIONS, own)}
    hashes.add(prompt_hash("P4", AnalystReply))
    own.write_text('{% extends "P3.md" %}', encoding="utf-8")
    hashes.add(prompt_hash(own, StrategistReply))
    assert len(hashes) == 8
    assert prompt_hash("P4", StrategistReply) == prompt_hash("P4", StrategistReply)


def test_text_that_looks_like_a_template_stays_text():
    class Forged(News):
        text = "{{ objective }} {% raw %}"

    assert "{{ objective }} {% raw %}" in render("P4", **VALUES | {"factors": [Forged]})[1].content


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{% extends "layout.md" %}{% block user %}{{ colse }}{% endblock %}', "'colse' is undefined"),
        ('{% extends "layout.md" %}{% block user %}{% if %}{% endblock %}', "line 1"),
        ('{% extends "P9.md" %}', "'P9.md', which"),
        ("Just text.", 'must begin with {% extends "P4.md" %}'),
        (f"{BEGIN}{{{{ bars.__class__.__mro__ }}}}{{% endblock %}}", "own.md cannot be filled"),
        (f"{BEGIN}{{{{ 1 / 0 }}}}{{% endblock %}}", "own.md cannot be filled: ZeroDivisionError: division by zero"),
        (f"{BEGIN}{{{{ '%d' | format('x') }}}}{{% endblock %}}", "own.md cannot be filled: TypeError: %d format"),
        (f"{BEGIN}{{{{ needs_text(3) }}}}{{% endblock %}}", "own.md cannot be filled: AttributeError: 'int' object"),
        (f"{BEGIN}{{{{ 'x' * 10 ** 14 }}}}{{% endblock %}}", "own.md cannot be filled: MemoryError"),
        (
            f"{BEGIN}{{% for i in range(99999999) %}}x{{% endfor %}}{{% endblock %}}",
            "own.md cannot be filled: Overflow",
        ),
        ('{% extends "own.md" %}{# layout.md: #}{% include "layout.md" %}', "own.md cannot be filled: RecursionError"),
        ('{% extends "layout.md" %}', "own.md renders to no text; write its texts into the blocks system and user"),
        (f"{BEGIN}  {{{{ identity }}}}\n{{% endblock %}}", "own.md renders to no text"),
    ],
)
def test_a_faulty_template_is_refused_with_what_is_wrong(tmp_path, text, says):
    own = tmp_path / "own.md"
    own.write_text(text, encoding="utf-8")
    with pytest.raises(GuidanceError, match=re.escape(says)) as refused:
        render(own, **VALUES | {"needs_text": lambda text: text.upper()})
    assert len(str(refused.value).splitlines()) == 1


def test_news_that_could_not_be_read_is_said_and_nothing_else_changes():
    quiet = render("P4", **VALUES | {"factors": []})
    failed = render("P4", **VALUES | {"factors": [], "no_factors": "It could not be read."})
    assert quiet[0] == failed[0]
    assert quiet[1].content.endswith("# News of the last 20 trading days, condensed\nNo news.")
    assert failed[1].content == quiet[1].content.replace("No news.", "It could not be read.")


def test_a_template_that_was_read_stays_what_it_was_and_its_path_is_read_anew(tmp_path):
    own = tmp_path / "own.md"
    own.write_text(f"{BEGIN}Close {{{{ bars | length }}}}{{% endblock %}}", encoding="utf-8")
    before = read_template(own)
    shown, named, hashed = render(own, **VALUES), variables(own), prompt_hash(own, StrategistReply)
    own.write_text(f"{BEGIN}{{{{ memory | length }}}} and {{{{ factors | length }}}}{{% endblock %}}", encoding="utf-8")
    assert render(before, **VALUES) == shown != render(own, **VALUES)
    assert variables(before) == named != variables(own) == {"memory", "factors", "part"}
    assert prompt_hash(before, StrategistReply) == hashed != prompt_hash(own, StrategistReply)
    assert (prompt_version(before), str(before), read_template(before)) == ("own", str(own), before)


def test_an_unknown_prompt_is_refused_with_those_there_are():
    with pytest.raises(GuidanceError, match=r"'P5' does not exist.*P0, P1, P2, P3, P4"):
        render("P5", **VALUES)
    assert set(VERSIONS) < set(packaged())
