"""How unsure a model was of its words: perplexity and entropy (eq. 3 and 4 of arXiv 2508.02366v3) of a reply.

Only the tokens of the JSON object that was read count: servers send those of thinking, fences and ends of turn too.
In JSON that a schema enforces most tokens are certain by construction, which dilutes a mean over the whole reply. So
the same measures are offered over the tokens of one field, such as the direction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from llmguide.llm.laying import lay_on_object
from llmguide.llm.protocol import Completion, TokenLogprob
from llmguide.llm.replies import UNKNOWN, field_span

__all__ = ["Uncertainty", "fits", "measure", "measure_field", "measure_object"]

# Endpoints round: a log-probability may lie this far above 0 and still mean certainty.
_ROUNDING = 1e-3


class Uncertainty(NamedTuple):
    """Perplexity and entropy of some tokens; None where they cannot be known."""

    perplexity: float | None  # at least 1
    entropy: float | None  # 0 certain, 1 as unsure as can be
    tokens: int
    unknown: int  # tokens whose probability the endpoint did not give


_LARGEST = 700.0  # what exp can take: beyond it no log-probability is one

MISSING = Uncertainty(None, None, 0, 0)


def measure(tokens: Sequence[TokenLogprob] | None, *, k: int = 5) -> Uncertainty:
    """Return the perplexity and the normalised entropy of tokens; both None where there are none.

    Perplexity is exp(-mean log p) of the chosen tokens (eq. 3). A token whose log-probability is -9999 or NaN is left
    out of it and counted.

    Entropy is the mean over tokens of -sum p log p over the k likeliest alternatives, less p_tail log p_tail for all
    the mass they leave (eq. 4), divided by ln(k + 1), the largest value it can take; the paper leaves the divisor open.
    An alternative of -9999 has p = 0. Where fewer than k came, the others are part of the tail, and the divisor stays:
    one scale for all replies. A token without any alternative has no entropy and is left out, since its tail alone
    would read as certainty.
    """
    if k < 1:
        raise ValueError(f"expected k >= 1 alternatives, got {k}")
    tokens = tokens or ()
    known = [min(token.logprob, 0.0) for token in tokens if _is_known(token.logprob)]
    entropies = [entropy for token in tokens if (entropy := _token_entropy(token, k)) is not None]
    return Uncertainty(
        perplexity=math.exp(min(-math.fsum(known) / len(known), _LARGEST)) if known else None,
        entropy=min(math.fsum(entropies) / len(entropies) / math.log(k + 1), 1.0) if entropies else None,
        tokens=len(tokens),
        unknown=len(tokens) - len(known),
    )


def measure_object(completion: Completion, *, k: int = 5) -> Uncertainty:
    """Return `measure` of the tokens of the JSON object that `read_object` reads, and of no others.

    Thinking, fences, prose and end-of-turn tokens do not count; a token that reaches across the object's border counts
    whole. All missing where the tokens cannot be laid onto the object.
    """
    laid = lay_on_object(completion)
    return MISSING if laid is None else measure(laid.within(0, laid.size), k=k)


def measure_field(completion: Completion, name: str, *, k: int = 5) -> Uncertainty:
    """Return `measure` of the tokens that overlap the value of one top-level field of the object.

    All missing where the object has no such field, or where the tokens cannot be laid onto it.
    """
    span, laid = field_span(completion.text, name), lay_on_object(completion)
    if span is None or laid is None:
        return MISSING
    begin = laid.begin
    start, end = (len(completion.text[begin:at].encode()) for at in span)
    return measure(laid.within(start, end), k=k)


def fits(completion: Completion) -> bool:
    """Whether the tokens that came can be laid onto the object; True where none came."""
    return completion.tokens is None or lay_on_object(completion) is not None


def _token_entropy(token: TokenLogprob, k: int) -> float | None:
    likeliest = sorted((min(logprob, 0.0) for _, logprob in token.top if _is_known(logprob)), reverse=True)[:k]
    if not likeliest:
        return None
    p = [math.exp(logprob) for logprob in likeliest]
    tail = max(1.0 - math.fsum(p), 0.0)
    named = math.fsum(-p_i * logprob for p_i, logprob in zip(p, likeliest, strict=True))
    return named - (tail * math.log(tail) if tail > 0.0 else 0.0)


def _is_known(logprob: float) -> bool:
    return UNKNOWN < logprob <= _ROUNDING  # NaN is not
