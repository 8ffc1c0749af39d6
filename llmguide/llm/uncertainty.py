"""How unsure a model was of its words: perplexity and entropy (eq. 3 and 4 of arXiv 2508.02366v3) of a reply.

Only the tokens of the JSON object that was read count: servers send those of thinking, fences and ends of turn too.
In JSON that a schema enforces most tokens are certain by construction, which dilutes a mean over the whole reply. So
the same measures are offered over the tokens of one field, such as the direction.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from llmguide.llm.protocol import Completion, TokenLogprob
from llmguide.llm.replies import THINKING, UNKNOWN, field_span, object_span

__all__ = ["Uncertainty", "fits", "measure", "measure_field", "measure_object"]

# Endpoints round: a log-probability may lie this far above 0 and still mean certainty.
_ROUNDING = 1e-3

# What may follow the text in the tokens: space, a fence that the server took away, <|im_end|>, </s>, [EOS].
_END_OF_TURN = re.compile(r"(?:[\s`]|<[^<>\s]*>|\[[A-Z_/]+\])*")


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
    laid = _laid_on_object(completion)
    return MISSING if laid is None else measure(laid.within(0, laid.size), k=k)


def measure_field(completion: Completion, name: str, *, k: int = 5) -> Uncertainty:
    """Return `measure` of the tokens that overlap the value of one top-level field of the object.

    All missing where the object has no such field, or where the tokens cannot be laid onto it.
    """
    span, laid = field_span(completion.text, name), _laid_on_object(completion)
    if span is None or laid is None:
        return MISSING
    begin = laid.begin
    start, end = (len(completion.text[begin:at].encode()) for at in span)
    return measure(laid.within(start, end), k=k)


def fits(completion: Completion) -> bool:
    """Whether the tokens that came can be laid onto the object; True where none came."""
    return completion.tokens is None or _laid_on_object(completion) is not None


class _Laid(NamedTuple):
    """Tokens laid onto an object of `size` bytes that begins at character `begin` of the text."""

    tokens: tuple[TokenLogprob, ...]
    ends: tuple[int, ...]  # in bytes, from the object's first; below 0 for tokens before it
    lengths: tuple[int, ...]
    begin: int
    size: int

    def within(self, start: int, end: int) -> list[TokenLogprob]:
        """Return the tokens that overlap these bytes of the object."""
        places = zip(self.tokens, self.ends, self.lengths, strict=True)
        return [token for token, stop, length in places if length and stop > start and stop - length < end]


def _laid_on_object(completion: Completion) -> _Laid | None:
    """Lay the tokens onto the object, the text being the truth; None where they do not fit.

    The object's last place among the tokens is the answer's: thinking aloud may hold a draft of the same object. It is
    taken only where nothing but the rest of the text and the end of the turn follows, since the answer's own tokens
    may be missing.
    """
    span = object_span(completion.text)
    if span is None or completion.tokens is None:
        return None
    wanted, rest = completion.text[span[0] : span[1]].encode(), completion.text[span[1] :].strip().encode()
    for written in _WRITINGS:
        pieces = [written(token.token) for token in completion.tokens]
        stream = b"".join(pieces)
        at = stream.rfind(wanted)
        if at < 0:
            continue
        behind = stream[at + len(wanted) :].lstrip()
        if not behind.startswith(rest) or not _ends_turn(behind[len(rest) :]):
            continue
        lengths = tuple(map(len, pieces))
        ends = tuple(end - at for end in accumulate(lengths))
        return _Laid(completion.tokens, ends, lengths, span[0], len(wanted))
    return None


def _ends_turn(behind: bytes) -> bool:
    text = behind.decode(errors="replace")
    return THINKING.search(text) is None and _END_OF_TURN.fullmatch(text) is not None


def _as_given(token: bytes) -> bytes:
    return token


def _without_sentencepiece(token: bytes) -> bytes:
    return token.replace("\u2581".encode(), b" ")


def _without_byte_pairs(token: bytes) -> bytes:
    """Undo the letters by which GPT-2's vocabulary writes bytes; a token that is not written so stays."""
    try:
        return bytes(_BYTE_OF[letter] for letter in token.decode())
    except (KeyError, UnicodeDecodeError):
        return token


def _byte_letters() -> dict[str, int]:
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_letters()

# Some servers send the vocabulary's own writing of a token instead of its text; what fits first is taken.
_WRITINGS = (_as_given, _without_sentencepiece, _without_byte_pairs)


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
