"""Perplexity and entropy of a reply (eq. 3 and 4 of arXiv 2508.02366v3): by hand, by law and against a slow twin."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.llm.protocol import Completion, TokenLogprob, Usage
from llmguide.llm.uncertainty import fits, measure, measure_field, measure_object


def token(p, *alternatives, text=b"x"):
    """Return a token of probability p (None: unknown), and its alternatives' probabilities."""
    return TokenLogprob(text, log(p), tuple((str(i), log(other)) for i, other in enumerate(alternatives)))


def log(p):
    return -9999.0 if p is None else math.log(p)


def reply(text, pieces):
    """Return a completion of `text` in tokens (bytes, probability, alternatives' probabilities)."""
    tokens = tuple(token(p, *alternatives, text=piece) for piece, p, alternatives in pieces)
    return Completion(text, tokens, Usage(), "m", "", "stop", None, "")


def slow_twin(tokens, k):
    """Eq. 3 and 4 in plain loops over probabilities."""
    total, entropy = 0.0, 0.0
    for one in tokens:
        total += one.logprob
        p = sorted((math.exp(logprob) for _, logprob in one.top), reverse=True)[:k]
        tail = max(0.0, 1.0 - sum(p))
        for p_i in [*p, tail]:
            if p_i > 0.0:
                entropy -= p_i * math.log(p_i)
    return math.exp(-total / len(tokens)), entropy / len(tokens) / math.log(k + 1)


def test_both_measures_worked_by_hand():
    # Perplexity exp(-(ln 1/2 + ln 1/8)/2) = exp(ln(16)/2) = 4. Entropies with k = 3, in bits: of (1/2, 1/4, 1/4) 1.5,
    # of (1/8, 1/8) and a tail of 3/4: 0.75 + 0.75 log2(4/3) = 1.061278; their mean over log2(4) = 2: 0.640320.
    got = measure([token(1 / 2, 1 / 2, 1 / 4, 1 / 4), token(1 / 8, 1 / 8, 1 / 8)], k=3)
    assert got.perplexity == pytest.approx(4.0, rel=1e-14)
    assert got.entropy == pytest.approx((1.5 + 0.75 + 0.75 * math.log2(4 / 3)) / 4, rel=1e-14)
    assert (got.tokens, got.unknown) == (2, 0)


def test_a_certain_token_has_perplexity_one_and_entropy_nought():
    assert measure([token(1.0, 1.0, None, None, None, None)]) == (1.0, 0.0, 1, 0)


@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_even_odds_over_k_named_tokens_and_the_tail_are_the_greatest_entropy(k):
    share = 1 / (k + 1)
    got = measure([token(share, *[share] * k)], k=k)
    assert got.entropy == pytest.approx(1.0, abs=1e-12)
    assert got.perplexity == pytest.approx(k + 1)


def test_without_tokens_both_are_missing():
    assert measure(None) == measure([]) == (None, None, 0, 0)


@pytest.mark.parametrize("unknown", [-9999.0, float("nan"), float("-inf"), 3.0])
def test_an_unknown_token_is_left_out_of_the_perplexity_and_counted(unknown):
    known = token(0.25, 0.5, 0.25)
    got = measure([known, known._replace(logprob=unknown)])
    assert got == measure([known, known])._replace(unknown=1)
    assert measure([known._replace(logprob=unknown)]).perplexity is None


def test_an_unknown_alternative_has_no_probability():
    assert measure([token(0.6, 0.6, 0.3, None, None, None)]) == measure([token(0.6, 0.6, 0.3)])


def test_alternatives_that_did_not_come_are_in_the_tail_and_the_divisor_stays():
    # 0.6 and a tail of 0.4, over ln 6.
    expected = -(0.6 * math.log(0.6) + 0.4 * math.log(0.4)) / math.log(6)
    assert measure([token(0.6, 0.6)]).entropy == pytest.approx(expected, rel=1e-14)


def test_a_token_without_alternatives_has_no_entropy_rather_than_none():
    known = token(0.5, 0.5, 0.25, 0.25)
    assert measure([token(0.5), known]).entropy == measure([known]).entropy
    assert measure([token(0.5), token(0.5, None)]).entropy is None
    assert measure([token(0.5)]).perplexity == pytest.approx(2.0)


def test_only_the_k_likeliest_alternatives_are_named():
    # vLLM appends the chosen token where it is none of the likeliest.
    assert measure([token(0.1, 0.1, 0.5, 0.2)], k=2) == measure([token(0.1, 0.5, 0.2)], k=2)


def test_rounding_above_certainty_leaves_no_tail():
    got = measure([TokenLogprob(b"x", 1e-7, (("x", 1e-7), ("y", -16.0)))])
    assert got.perplexity == 1.0
    assert 0.0 <= got.entropy < 1e-5


def test_k_must_name_a_token():
    with pytest.raises(ValueError, match="k >= 1"):
        measure([token(1.0, 1.0)], k=0)


shares = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=8)


@st.composite
def tokens(draw):
    weights, rest = draw(shares), draw(st.floats(0.0, 1.0))
    p = [weight / (sum(weights) + rest) for weight in weights]
    return token(draw(st.sampled_from(p)), *p)


replies = st.lists(tokens(), min_size=1, max_size=6)


@given(replies, st.integers(1, 8))
def test_both_are_those_of_the_slow_twin_and_within_bounds(many, k):
    got, (perplexity, entropy) = measure(many, k=k), slow_twin(many, k)
    assert got.perplexity == pytest.approx(perplexity, rel=1e-9)
    assert got.entropy == pytest.approx(entropy, abs=1e-9)
    assert got.perplexity >= 1.0
    assert 0.0 <= got.entropy <= 1.0


@given(replies, st.randoms(use_true_random=False))
def test_the_order_of_alternatives_does_not_matter(many, random):
    shuffled = [one._replace(top=tuple(random.sample(one.top, len(one.top)))) for one in many]
    assert measure(shuffled) == measure(many)


@given(st.lists(st.floats(), min_size=1, max_size=8), st.floats())
def test_no_log_probability_however_wrong_leaves_the_bounds(top, chosen):
    got = measure([TokenLogprob(b"x", chosen, tuple((str(i), logprob) for i, logprob in enumerate(top)))])
    assert got.entropy is None or 0.0 <= got.entropy <= 1.0
    assert got.perplexity is None or got.perplexity >= 1.0


def test_a_field_is_measured_by_its_own_tokens():
    text = '{"explanation": "\\"direction\\": \\"SHORT\\"", "direction": "LONG", "confidence": 2}'
    sure = (0.99, (0.99,))
    said = reply(
        text,
        [
            (b'{"explanation": "\\"direction\\": \\"', *sure),
            (b"SHORT", 0.3, (0.3, 0.3)),
            (b'\\"", "direction":', *sure),
            (b' "', *sure),
            (b"LO", 0.8, (0.8, 0.2)),
            (b'NG",', 0.5, (0.5, 0.5)),  # a token may reach beyond the value
            (b' "confidence":', *sure),
            (b" 2", 0.4, (0.4, 0.3, 0.3)),
            (b"}", *sure),
        ],
    )
    assert measure_field(said, "direction") == measure(said.tokens[4:6])
    assert measure_field(said, "confidence") == measure(said.tokens[7:8])
    assert measure_field(said, "mood") == (None, None, 0, 0)


def test_places_are_counted_in_bytes_even_where_a_character_is_split():
    text = '{"explanation": "é€", "direction": "LONG"}'
    coded = text.encode()
    at = coded.index(b"LONG")
    parts = [coded[:18], coded[18:20], coded[20:at], coded[at : at + 4], coded[at + 4 :]]
    said = reply(text, [(part, 0.5 + i / 10, (0.5 + i / 10,)) for i, part in enumerate(parts)])
    assert measure_field(said, "direction") == measure(said.tokens[3:4])


def test_tokens_that_do_not_add_up_to_the_text_leave_a_field_missing():
    text = json.dumps({"direction": "LONG"})
    said = reply(text, [(text.encode(), 0.5, (0.5,)), (b" and more", 1.0, (1.0,))])
    assert not fits(said)
    assert measure_object(said).entropy is None
    assert measure_field(said, "direction").entropy is None
    assert measure_field(said._replace(tokens=None), "direction").perplexity is None
    assert measure_field(said._replace(tokens=said.tokens[:1]), "direction").tokens == 1


def test_an_empty_value_has_no_tokens():
    said = reply('{"direction": ""}', [(b'{"direction": "', 0.5, (0.5,)), (b'"}', 0.5, (0.5,))])
    assert measure_field(said, "direction") == (None, None, 0, 0)


ANSWER = '{"explanation": "é € up", "direction": "LONG", "confidence": 3}'


@st.composite
def cut(draw, text):
    """Return the UTF-8 bytes of `text` cut at any places, each piece a token of its own uncertainty."""
    coded = text.encode()
    places = sorted(draw(st.sets(st.integers(1, max(1, len(coded) - 1)), max_size=12)))
    bounds = [0, *places, len(coded)]
    pieces = [coded[a:b] for a, b in pairwise(bounds) if a < b]
    return [(piece, p, (p, (1 - p) / 2)) for piece in pieces for p in [draw(st.floats(0.1, 1.0, exclude_max=True))]]


@given(
    cut(ANSWER), cut(f"Maybe {ANSWER} or {{ not?</think>\n"), cut("Here: ```json\n"), cut("\n``` Done."), st.booleans()
)
def test_the_measures_are_those_of_the_object_s_own_tokens_whatever_stands_around(own, thought, before, after, shown):
    around = "Here: ```json\n" + ANSWER + "\n``` Done."
    text = f"Maybe {ANSWER} or {{ not?</think>\n{around}" if shown else around
    said = reply(text, [*thought, *before, *own, *after, (b"", 0.1, (0.1,)), (b"<|im_end|>", 0.1, (0.1,))])
    alone = reply(ANSWER, own)
    assert measure_object(said) == measure(alone.tokens)
    for name in ("explanation", "direction", "confidence"):
        assert measure_field(said, name) == measure_field(alone, name)


def test_what_llama_cpp_sends_behind_the_object_does_not_count():
    text = '{\n "direction": "LONG"}'
    parts = [b"{", b"\n", b" ", b'"direction', b'":', b' "', b"L", b"ON", b"G", b'"}']
    sure, behind = [(part, 0.9, (0.9,)) for part in parts], [(b"\n", 0.2, (0.2,)), (b"", 0.01, (0.1, 0.1))]
    said = reply(text, [*sure, *behind])
    assert measure_object(said) == measure(said.tokens[:10])
    assert measure_field(said, "direction") == measure(said.tokens[6:9])


def test_a_token_across_the_border_counts_whole():
    said = reply(
        '```{"direction": 3}```', [(b"```{", 0.5, (0.5,)), (b'"direction": ', 0.9, (0.9,)), (b"3}```", 0.4, (0.4,))]
    )
    assert measure_object(said) == measure(said.tokens)
    assert measure_field(said, "direction") == measure(said.tokens[2:])


@pytest.mark.parametrize("pieces", [["{", '"a":', "\u2581", '"é"}'], ["{", '"a":', "\u0120", '"\u00c3', '\u00a9"}']])
def test_the_vocabulary_s_own_writing_of_tokens_is_understood(pieces):
    said = reply('{"a": "é"}', [(piece.encode(), 0.5, (0.5,)) for piece in pieces])
    assert measure_object(said).tokens == len(pieces)


@pytest.mark.parametrize("behind", [b"</think>", b" no, rather not"])
def test_a_draft_in_the_thinking_is_not_taken_for_an_answer_without_tokens(behind):
    said = reply(ANSWER, [(ANSWER.encode(), 0.5, (0.5,)), (behind, 0.5, (0.5,))])
    assert not fits(said)
    assert measure_object(said) == (None, None, 0, 0)
