"""What a model wrote goes into a template as plain text: it reaches no file, no value, no loop, no unknown fact."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llmguide import sample_bars
from llmguide.errors import GuidanceError
from llmguide.features.legend import legend
from llmguide.guidance.strategist import Brief, Subject, prepare, write_prompt
from llmguide.guidance.tuning.draft import Draft, check_base, features_shown
from llmguide.guidance.tuning.replies import WriterReply, known_features, plain_line
from llmguide.llm.templates import read_template

BARS = sample_bars(years=2, seed=1)
SUBJECT = Subject("ACME", BARS)
MONTH = prepare(SUBJECT, BARS.index[300], BARS.iloc[:300])

HOSTILE = [
    '{% include "/etc/passwd" %}',
    '{% import "os" as os %}',
    '{% extends "P4.md" %}',
    "{{ lines.__globals__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{% for i in range(10**9) %}x{% endfor %}",
    "{{ 'x' * 10**10 }}",
    "{%- endblock -%}{% block user %}",
    "{# a comment that never ends",
    "rule {{ horizon }}",
]


@pytest.mark.parametrize("line", HOSTILE)
def test_a_line_with_a_mark_of_a_template_is_refused(line):
    with pytest.raises(ValidationError, match="a mark of a template"):
        WriterReply(why="Because.", instructions=["Fine.", line])
    with pytest.raises(GuidanceError, match="a mark of a template"):
        Draft((line,))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Follow technical.sma_21_slope.", "no data named 'technical.sma_21_slope'; did you mean"),
        ("Follow market.dow.", "no data named 'market.dow'"),
        ("\x1b[2J gone", "control characters"),
        ("...", "expected words"),
        ("word " * 51, "at most 50 words"),
        ("x" * 1_000_000, "at most 500 characters, got 1,000,000"),
    ],
)
def test_a_line_that_names_unknown_data_or_is_no_plain_sentence_is_refused(line, said):
    with pytest.raises(ValidationError, match=said):
        WriterReply(why="Because.", instructions=[line])
    with pytest.raises(GuidanceError, match=said):
        Draft((line,))


def test_no_instructions_and_too_many_are_refused():
    for lines in ([], ["Fine."] * 11):
        with pytest.raises(ValidationError):
            WriterReply(why="Because.", instructions=lines)
        with pytest.raises(GuidanceError, match="expected 1 to 10 instructions"):
            Draft(tuple(lines))


# Whatever the lines are, one that is let through comes out of the template as it went in, and nothing else changes.
@given(
    st.lists(st.text(st.sampled_from("{}%#\"'\\-_.()[]=|abcxyz 09\n"), min_size=1, max_size=40), min_size=1, max_size=4)
)
def test_lines_that_pass_come_out_as_they_went_in(lines):
    def passes(line):
        try:
            return plain_line(line)
        except ValueError:
            return None

    kept = [line for line in map(passes, lines) if line]
    if not kept:
        return
    base = read_template("P0")
    system, user = write_prompt(Draft(tuple(kept)).template(base, name="t"), SUBJECT, MONTH, Brief())
    plain_system, plain_user = write_prompt(base, SUBJECT, MONTH, Brief())
    assert user == plain_user
    added = [line for line in system.content.splitlines() if line not in plain_system.content.splitlines()]
    assert added == ["What earlier years have taught:", *dict.fromkeys(f"- {line}" for line in kept)] or len(
        set(kept)
    ) < len(kept)


def test_features_that_the_base_lacks_are_shown_explained_and_named():
    chosen = ("technical.sma_20_slope", "technical.rsi_14", "stock.return_1w")
    template = Draft(("Follow the slope.",), chosen).template(read_template("P0"), name="t")
    system, user = write_prompt(template, SUBJECT, MONTH, Brief())
    assert "- Follow the slope." in system.content
    assert f"the weightiest first: {', '.join(chosen)}." in system.content
    assert legend("technical.sma_20_slope") in system.content
    assert MONTH.facts.lines("technical.sma_20_slope") in user.content
    assert user.content.count("technical.rsi_14:") == 1  # P0 has it already
    assert "\n\n# Data that mattered in earlier years\n" in user.content


@pytest.mark.parametrize("version", ["P1", "P3"])
def test_a_base_that_shows_everything_gets_instructions_alone(version):
    base = read_template(version)
    template = Draft(("Follow the slope.",), ("technical.sma_20_slope",)).template(base, name="t")
    before, after = (write_prompt(one, SUBJECT, MONTH, Brief()) for one in (base, template))
    assert before[1] == after[1]
    assert "- Follow the slope." in after[0].content


def test_features_shown_are_those_of_the_prompts_texts():
    names = [name for name in known_features() if name.startswith("technical.")]
    assert set(features_shown(read_template("P0"))) == {
        *(f"technical.sma_{n}" for n in (20, 50, 200)),
        *("technical.rsi_14", "technical.macd"),
    }
    assert set(names) < set(features_shown(read_template("P1")))


def test_a_base_without_a_place_for_instructions_is_refused(tmp_path):
    (tmp_path / "mine.md").write_text('{% extends "layout.md" %}{% block user %}Say LONG.{% endblock %}')
    with pytest.raises(GuidanceError, match="has no block legend, method, where tuning writes"):
        check_base(tmp_path / "mine.md")


def test_a_header_cannot_end_its_comment():
    text = Draft(("Fine.",)).template(read_template("P0"), name="t", header="a #} {{ 1 / 0 }} {# b").texts[0][1]
    rendered = partial(write_prompt, Draft(("Fine.",)).template(read_template("P0"), name="t", header="#}{{ 1/0 }}"))
    assert "#} {{" not in text
    assert "1/0" not in rendered(SUBJECT, MONTH, Brief())[0].content
