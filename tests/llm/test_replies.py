"""A raw reply is read as it came, fits its schema exactly, or is a typed error that keeps it."""

from __future__ import annotations

import json
import pickle
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import OpenAIServer
from pydantic import BaseModel, ConfigDict, Field

from llmguide.errors import (
    EmptyReplyError,
    FilteredError,
    InvalidReplyError,
    OutOfRangeError,
    RefusedError,
    TruncatedError,
)
from llmguide.guidance.advice import AnalystReply, StrategistReply
from llmguide.llm.protocol import Completion, Usage
from llmguide.llm.replies import UNKNOWN, field_span, read_completion, read_object, repeats_itself
from llmguide.llm.schemas import schema_of
from llmguide.llm.uncertainty import measure

VIEW = {
    "explanation": 'It may look like "direction": "SHORT", but {é} rises.',
    "features": [{"name": "RSI", "direction": "NEUTRAL", "weight": 1}],
    "direction": "LONG",
    "confidence": 3,
}


class Bounded(BaseModel):
    model_config = ConfigDict(extra="forbid")

    weight: float = Field(ge=0.0, le=1.0)
    name: str = "none"


class Node(BaseModel):
    child: Node | None


def completion(text, *, finish_reason="stop", refusal=None):
    return Completion(text, None, Usage(), "m", "", finish_reason, refusal, raw=f"raw: {text}")


def body(message=None, *, logprobs=None, **fields):
    choice = {"message": message or {"role": "assistant", "content": "{}"}, "logprobs": logprobs}
    return json.dumps({"choices": [choice | {"finish_reason": "stop"}], "model": "m-1"} | fields)


def test_a_whole_reply_is_read():
    entry = {"token": "{}", "logprob": -0.5, "bytes": [123, 125], "top_logprobs": [{"token": "{}", "logprob": -0.5}]}
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    text = body(logprobs={"content": [entry], "refusal": None}, usage=usage, system_fingerprint="fp")
    got = read_completion(text)
    assert got.text == "{}"
    assert got.tokens == ((b"{}", -0.5, (("{}", -0.5),)),)
    assert got.usage == Usage(prompt=9, cached=5, completion=4, reasoning=2)
    assert (got.model, got.fingerprint, got.finish_reason, got.refusal) == ("m-1", "fp", "stop", None)
    assert got.raw == text


def test_what_an_endpoint_leaves_out_is_none():
    got = read_completion(json.dumps({"choices": [{"message": {"content": "hm"}}]}))
    assert got == Completion("hm", None, Usage(), "", "", "", None, raw=got.raw)


def test_a_count_of_tokens_that_cannot_be_one_is_not_known():
    usage = {"prompt_tokens": 10**30, "completion_tokens": 2**40 - 1}
    assert read_completion(body(usage=usage)).usage == Usage(prompt=None, completion=2**40 - 1)


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"content": []}, "yes", {"content": ["{"]}])
def test_log_probabilities_that_did_not_come_are_none(logprobs):
    assert read_completion(body(logprobs=logprobs)).tokens is None


@pytest.mark.parametrize("value", [None, float("nan"), float("-inf"), "low", True])
def test_a_log_probability_that_is_no_number_is_unknown(value):
    entry = {"token": "{}", "logprob": value, "top_logprobs": [{"token": "{}", "logprob": value}]}
    (token,) = read_completion(body(logprobs={"content": [entry]})).tokens
    assert token == (b"{}", UNKNOWN, (("{}", UNKNOWN),))


@pytest.mark.parametrize("given_bytes", [None, [300], "é"])
def test_a_token_without_bytes_has_those_of_its_text(given_bytes):
    entry = {"token": "é", "logprob": 0.0, "bytes": given_bytes, "top_logprobs": None}
    (token,) = read_completion(body(logprobs={"content": [entry]})).tokens
    assert token.token == "é".encode()


def test_a_refusal_is_read_without_its_own_log_probabilities():
    refused = {"role": "assistant", "content": None, "refusal": "No."}
    entry = {"token": "No.", "logprob": -0.1, "top_logprobs": []}
    got = read_completion(body(refused, logprobs={"content": None, "refusal": [entry]}))
    assert (got.text, got.refusal, got.tokens) == ("", "No.", None)


@pytest.mark.parametrize(
    "text", ["", "<html>", "[]", "null", "{}", '{"choices": {}}', '{"choices": [1]}', "[" * 99_999]
)
def test_what_is_no_chat_completion_is_refused_and_kept(text):
    with pytest.raises(InvalidReplyError) as caught:
        read_completion(text)
    assert caught.value.reply == text
    assert len(str(caught.value)) < 250


def test_content_that_is_no_text_is_refused():
    with pytest.raises(InvalidReplyError, match="message of text"):
        read_completion(body({"content": [{"type": "text", "text": "{}"}]}))
    with pytest.raises(InvalidReplyError, match="surrogate"):
        read_completion('{"choices": [{"message": {"content": "\\ud800"}}]}')


def test_a_reply_without_choices_is_empty():
    with pytest.raises(EmptyReplyError, match="choice"):
        read_completion('{"choices": []}')


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
entries = st.fixed_dictionaries(
    {}, optional={"token": anything, "logprob": anything, "bytes": anything, "top_logprobs": anything}
)


@given(
    st.fixed_dictionaries(
        {"message": st.fixed_dictionaries({}, optional={"content": anything, "refusal": anything}) | anything},
        optional={"logprobs": st.fixed_dictionaries({"content": st.lists(entries, max_size=2)}) | anything},
    ),
    anything,
)
def test_nothing_that_comes_breaks_the_reading(choice, usage):
    text = json.dumps({"choices": [choice], "usage": usage, "model": usage})
    try:
        got = read_completion(text)
    except InvalidReplyError:
        return
    assert all(isinstance(token.token, bytes) and abs(token.logprob) <= -UNKNOWN for token in got.tokens or ())
    measure(got.tokens)


def test_a_fitting_object_is_read():
    got = read_object(completion(json.dumps(VIEW)), StrategistReply)
    assert got == StrategistReply.model_validate(VIEW)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (completion("", refusal="No."), RefusedError),
        (completion('{"ex', finish_reason="length"), TruncatedError),
        (completion("", finish_reason="length"), TruncatedError),
        (completion("", finish_reason="content_filter"), FilteredError),
        (completion(""), EmptyReplyError),
        (completion(" \n"), EmptyReplyError),
        (completion("LONG"), InvalidReplyError),
        (completion("[]"), InvalidReplyError),
        (completion('{"a": ' * 99_999), InvalidReplyError),
        (completion('{"confidence": ' + "9" * 5000 + "}"), InvalidReplyError),
        (completion(json.dumps(VIEW)[:-1] + ', "direction": "SHORT"}'), InvalidReplyError),
    ],
)
def test_every_way_to_fail_has_its_error_and_keeps_the_raw_reply(reply, error):
    with pytest.raises(error) as caught:
        read_object(reply, StrategistReply)
    assert type(caught.value) is error
    assert caught.value.reply == reply.raw
    assert pickle.loads(pickle.dumps(caught.value)).reply == reply.raw


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"confidence": 7}, OutOfRangeError, "confidence: Input should be 1, 2 or 3, got '7'"),
        ({"confidence": float("nan")}, OutOfRangeError, "expected finite numbers, got NaN"),
        ({"confidence": float("-inf")}, OutOfRangeError, "expected finite numbers, got -Infinity"),
        ({"confidence": "2"}, InvalidReplyError, "confidence"),
        ({"confidence": True}, InvalidReplyError, "true or false"),
        ({"direction": 7}, InvalidReplyError, "direction"),
        ({"direction": "HOLD"}, InvalidReplyError, "'LONG' or 'SHORT'"),
        ({"direction": "HOLD", "confidence": 9}, InvalidReplyError, "confidence"),
        ({"explanation": "word " * 351}, InvalidReplyError, "at most 350 words, got 351"),
        ({"explanation": ""}, InvalidReplyError, "explanation"),
        ({"mood": "good"}, InvalidReplyError, "mood"),
    ],
)
def test_what_does_not_fit_is_told_with_what_came(change, error, words):
    with pytest.raises(error) as caught:
        read_object(completion(json.dumps(VIEW | change)), StrategistReply)
    assert type(caught.value) is error
    assert words in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("number", ["1e999", "-0.1", "1.5", "NaN"])
def test_a_number_out_of_its_bounds_is_out_of_range(number):
    with pytest.raises(OutOfRangeError):
        read_object(completion(f'{{"weight": {number}, "name": "a"}}'), Bounded)


def test_words_around_the_object_pass_only_where_no_schema_is_enforced():
    text = f"Here {{is}} what I think:\n```json\n{json.dumps(VIEW, indent=1)}\n```\nGood luck!"
    with pytest.raises(InvalidReplyError):
        read_object(completion(text), StrategistReply)
    assert read_object(completion(text), StrategistReply, strict=False).confidence == 3


@pytest.mark.parametrize("text", ["{} {}", "no object", "{open", '{"a": {"b": 1}} or {"a": 2}'])
def test_two_objects_or_none_are_refused_even_among_words(text):
    with pytest.raises(InvalidReplyError, match="expected one JSON object"):
        read_object(completion(text), StrategistReply, strict=False)


@pytest.mark.parametrize("strict", [True, False])
def test_the_answer_is_read_and_not_a_draft_in_the_thinking(strict):
    said = json.dumps(VIEW | {"explanation": "no </think> here"})
    draft = json.dumps(VIEW | {"direction": "SHORT"})
    for thinking in (f"<think>{draft}</think>\n", f"or {{ {draft} </think>", f"[THINK]{draft}[/THINK]"):
        assert read_object(completion(thinking + said), StrategistReply, strict=strict).direction == "LONG"
    with pytest.raises(InvalidReplyError):
        read_object(completion(f"<think>{draft}"), StrategistReply, strict=strict)


def test_the_schema_is_strict_and_keeps_the_order_of_the_fields():
    name, text = schema_of(StrategistReply)
    schema = json.loads(text)
    assert name == "StrategistReply"
    assert list(schema["properties"]) == ["explanation", "features", "direction", "confidence"]
    assert schema["properties"]["confidence"]["enum"] == [1, 2, 3]
    assert schema_of(StrategistReply) == (name, text)
    for kind in (StrategistReply, AnalystReply, Bounded):
        for part in parts_of(json.loads(schema_of(kind)[1])):
            assert not part.keys() & {"default", "title", "$ref", "minLength", "maxItems", "minimum", "maximum"}
            assert list(part) == sorted(part)
            if part.get("type") == "object":
                assert part["additionalProperties"] is False
                assert part["required"] == list(part["properties"])


def test_the_schema_tells_the_fields_and_not_what_their_classes_say_to_programmers():
    class Inner(BaseModel):
        """For programmers."""

        size: int = Field(description="In metres.")

    class Outer(BaseModel):
        """For programmers too."""

        plain: Inner
        told: Inner = Field(description="The larger one.")

    schema = json.loads(schema_of(Outer)[1])
    assert "programmers" not in json.dumps(schema)
    assert schema["properties"]["told"]["description"] == "The larger one."
    assert schema["properties"]["plain"]["properties"]["size"]["description"] == "In metres."
    for kind in (StrategistReply, AnalystReply):
        assert all(
            "description" not in part or part.get("type") != "object"
            for part in parts_of(json.loads(schema_of(kind)[1]))
        )


def parts_of(schema):
    """Return a schema and all those in it."""
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    inner += [schema["items"]] if "items" in schema else []
    return [schema, *(part for one in inner for part in parts_of(one))]


def test_a_schema_that_strict_mode_cannot_express_is_a_type_error():
    class Table(BaseModel):
        rows: dict[str, int]

    class Pair(BaseModel):
        both: tuple[int, str]

    with pytest.raises(TypeError, match="mapping"):
        schema_of(Table)
    with pytest.raises(TypeError, match="contains itself"):
        schema_of(Node)
    with pytest.raises(TypeError, match="prefixItems"):
        schema_of(Pair)


def test_an_optional_field_stays_required_and_may_be_null():
    class Maybe(BaseModel):
        kind: Literal["a"] | None = None

    schema = json.loads(schema_of(Maybe)[1])
    assert schema["required"] == ["kind"]
    assert {"type": "null"} in schema["properties"]["kind"]["anyOf"]


def test_the_server_fills_any_schema_so_that_it_fits():
    with OpenAIServer() as server:
        for kind in (StrategistReply, AnalystReply):
            name, schema = schema_of(kind)
            for question in range(20):
                asked = {
                    "messages": [{"role": "user", "content": str(question)}],
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": name, "schema": json.loads(schema)},
                    },
                }
                read_object(read_completion(json.dumps(server.completion(asked, None))), kind)


def test_the_span_is_that_of_the_field_and_not_of_a_quotation():
    text = json.dumps(VIEW, indent=2, ensure_ascii=False)
    start, end = field_span(text, "direction")
    assert text[start:end] == "LONG"
    assert text[start - 1] == text[end] == '"'
    assert start > text.index("features")
    start, end = field_span(text, "confidence")
    assert text[start:end] == "3"
    assert field_span(text, "weight") is None  # not at the top


@pytest.mark.parametrize("text", ["", "LONG", "{}", "{ }", "[]", '{"a": 1} {"a": 2}', '{"a": 1'])
def test_a_field_that_is_not_there_has_no_span(text):
    assert field_span(text, "a") is None


def test_the_field_is_found_with_words_around_the_object():
    text = 'I say:\n```json\n{"direction": "SHORT"}\n```'
    assert text[slice(*field_span(text, "direction"))] == "SHORT"


names = st.text(max_size=4) | st.sampled_from(['"', "}", '": {', "\\"])
values = st.none() | st.booleans() | st.integers() | names | st.lists(names, max_size=2)
values |= st.dictionaries(names, values, max_size=2)


@given(
    fields=st.dictionaries(names, values, min_size=1, max_size=4),
    indent=st.none() | st.integers(0, 3),
    escaped=st.booleans(),
)
def test_every_field_of_any_object_is_found(fields, indent, escaped):
    text = json.dumps(fields, indent=indent, ensure_ascii=escaped)
    for name, value in fields.items():
        start, end = field_span(text, name)
        found = text[start - 1 : end + 1] if isinstance(value, str) else text[start:end]
        assert json.loads(found) == value


@given(st.text(), st.text(min_size=1, max_size=300), st.integers(3, 9), st.integers(0, 300))
def test_a_text_that_ends_in_the_same_words_over_and_over_repeats_itself(before, unit, times, rest):
    times = max(times, -(-100 // len(unit)))
    assert repeats_itself(before + unit * times + unit[:rest])


@given(st.lists(st.integers(), min_size=30, unique=True))
def test_twice_is_no_repetition(numbers):
    unit = " ".join(map(str, numbers))
    assert not repeats_itself(f"{unit}; {unit}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "up, " * 24,  # 96 characters
        '{"explanation": "' + " ".join(f"In week {week} the close rose by {week % 11}%." for week in range(60)),
        json.dumps([{"name": f"RSI {days}", "direction": "LONG", "weight": 1} for days in range(40)])[:-9],
        "| 0.1310 " * 2 + "".join(f"| {number / 7:.4f} " for number in range(200)),
        "up " * 500 + "and then it fell.",
    ],
)
def test_what_only_looks_alike_is_no_repetition(text):
    assert not repeats_itself(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"explanation": "The trend is up' + ", and up" * 300, "after 2432 characters in which it repeated itself"),
        ('{"explanation": "Up."' + "\n" * 900, "in which it repeated itself"),
        ("\n" * 900, "in which it repeated itself"),
        ('{"explanation": "The trend is up, and', "after 37 characters$"),
        ("\n", "before the reply began"),
    ],
)
def test_a_reply_that_ran_to_the_limit_by_repeating_itself_is_said_to(text, words):
    with pytest.raises(TruncatedError, match=words):
        read_object(completion(text, finish_reason="length"), StrategistReply)
