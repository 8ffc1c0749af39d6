"""The direction's own probability: worked by hand, and against a model whose odds are known."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.llm.odds import field_odds, known_share, log_odds
from llmguide.llm.protocol import Completion, TokenLogprob, Usage

TEXT = '{"direction": "LONG", "confidence": 2}'


def reply(pieces, tops, text=TEXT):
    """Return a reply written in `pieces`, the alternatives of each by its number."""
    tokens = tuple(
        TokenLogprob(
            piece.encode(),
            math.log(dict(tops.get(i, ())).get(piece, 1.0)),
            tuple((other, math.log(p)) for other, p in tops.get(i, ())),
        )
        for i, piece in enumerate(pieces)
    )
    return Completion(text, tokens, Usage(), "m", "", "stop", None, "")


@pytest.mark.parametrize(
    ("pieces", "place", "alternatives"),
    [
        (['{"direction": "', "LONG", '", "confidence": 2}'], 1, [("LONG", 0.6), ("SHORT", 0.2), ("long", 0.1)]),
        (['{"direction":', ' "LONG', '", "confidence": 2}'], 1, [(' "LONG', 0.6), (' "SH', 0.2), (" '", 0.1)]),
        (['{"direction": "', "L", 'ONG", "confidence": 2}'], 1, [("L", 0.4), ("LO", 0.2), ("S", 0.2)]),
        (['{"direction":', ' "', 'LONG"', ', "confidence": 2}'], 2, [('LONG"', 0.6), ('SHORT"', 0.2), ("LOW", 0.1)]),
        (['{"direction":', ' "L', 'ONG", "confidence": 2}'], 1, [(' "L', 0.6), ('"SHORT', 0.2), (' "', 0.1)]),
    ],
)
def test_the_odds_at_the_token_that_tells_apart_whatever_the_tokenizer_merges(pieces, place, alternatives):
    odds = field_odds(reply(pieces, {place: alternatives}), "direction")
    assert odds.probabilities == pytest.approx((0.6, 0.2))
    assert odds.total == pytest.approx(0.8)
    assert odds.shares[0] == pytest.approx(0.75)
    assert odds.complete


def test_a_value_that_is_not_named_has_at_most_what_the_others_leave():
    pieces = ['{"direction": "', "LONG", '", "confidence": 2}']
    odds = field_odds(reply(pieces, {1: [("LONG", 0.9), ("Long", 0.04)]}), "direction")
    assert odds.probabilities == pytest.approx((0.9, 0.0))
    assert odds.bounds[1] == pytest.approx(0.04)  # the rest is 0.06, but no more than the least that was named
    assert not odds.complete
    assert odds.known_shares == odds.shares  # SHORT has at most 0.04 / 0.94 of both


def test_a_bound_that_says_nothing_is_no_probability():
    # As llama.cpp's server gives them: from before the schema's mask, which then leaves LONG and SHORT alone.
    pieces = ['{"direction": "', "LONG", '", "confidence": 2}']
    found = reply(pieces, {1: [("The", 0.7), ("up", 0.1), ("LONG", 0.001)]})
    odds = field_odds(found, "direction")
    assert odds.shares == pytest.approx((0.5, 0.5))
    assert odds.known_shares is None
    assert known_share(found, "direction", "LONG") is None
    assert known_share(None, "direction", "LONG") is None
    whole = reply(pieces, {1: [("LONG", 0.6), ("SHORT", 0.2)]})
    assert [known_share(whole, "direction", word) for word in ("LONG", "SHORT")] == pytest.approx([0.75, 0.25])


def test_values_with_a_common_beginning_are_told_apart_where_they_differ():
    text = '{"answer": "down"}'
    pieces = ['{"answer": "', "do", "wn", '"}']
    odds = field_odds(
        reply(pieces, {1: [("do", 1.0)], 2: [("wn", 0.7), ("ve", 0.2)]}, text), "answer", ("down", "dove")
    )
    assert odds.probabilities == pytest.approx((0.7, 0.2))


@pytest.mark.parametrize("text", ['{"direction": "HOLD"}', '{"confidence": 2}', "no object"])
def test_there_are_no_odds_without_the_field(text):
    assert field_odds(reply([text], {}, text), "direction") is None


def test_there_are_no_odds_without_tokens_or_alternatives():
    assert field_odds(reply([TEXT], {})._replace(tokens=None), "direction") is None
    bare = TokenLogprob(TEXT.encode(), -9999.0, ())
    assert field_odds(reply([], {})._replace(tokens=(bare,)), "direction") is None


@given(st.floats(0.001, 0.999), st.floats(0.05, 1.0), st.integers(0, 4), st.integers(0, 2))
def test_however_the_text_is_cut_the_model_s_own_odds_come_out(p, seen, inside, space):
    """A model that says LONG with p, of what it gives to either, cut before or within the value's first letters."""
    text = json.dumps({"direction": "LONG"})
    start = text.index("LONG")
    cut = start - space if inside == 0 else start
    head = text[:cut]
    long, short = (text[cut:start] + value for value in ("LONG", "SHORT"))
    first, other = long[: len(long) - inside], short[: len(short) - inside]
    pieces = [head, first, text[cut + len(first) :]]
    odds = field_odds(reply(pieces, {1: [(first, p * seen), (other, (1 - p) * seen)]}, text), "direction")
    if inside == 4:  # the token writes nothing of LONG
        return
    assert odds.shares == pytest.approx((p, 1 - p))
    assert odds.total == pytest.approx(seen)


def test_log_odds_are_finite():
    assert log_odds(0.8, 0.2) == pytest.approx(math.log(4.0))
    assert math.isfinite(log_odds(1.0, 0.0))
