"""A reply's tokens laid onto its text: which of them wrote the object, and which wrote one field's value.

The text is the truth; tokens come with thinking, fences and ends of turn around it, and some servers send the
vocabulary's own writing of a token instead of its text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from llmguide.llm.protocol import Completion, TokenLogprob
from llmguide.llm.replies import THINKING, object_span

__all__ = ["Laid", "lay_on_object"]

# What may follow the text in the tokens: space, a fence that the server took away, <|im_end|>, </s>, [EOS].
_END_OF_TURN = re.compile(r"(?:[\s`]|<[^<>\s]*>|\[[A-Z_/]+\])*")


class Laid(NamedTuple):
    """Tokens laid onto an object of `size` bytes that begins at character `begin` of the text."""

    tokens: tuple[TokenLogprob, ...]
    ends: tuple[int, ...]  # in bytes, from the object's first; below 0 for tokens before it
    lengths: tuple[int, ...]
    begin: int
    size: int
    written: Callable[[bytes], bytes]  # from a token's own writing to its text

    def within(self, start: int, end: int) -> list[TokenLogprob]:
        """Return the tokens that overlap these bytes of the object."""
        return [self.tokens[i] for i in self.places(start, end)]

    def places(self, start: int, end: int) -> list[int]:
        """Return the numbers of the tokens that overlap these bytes of the object."""
        spans = zip(self.ends, self.lengths, strict=True)
        return [i for i, (stop, length) in enumerate(spans) if length and stop > start and stop - length < end]


def lay_on_object(completion: Completion) -> Laid | None:
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
        return Laid(completion.tokens, ends, lengths, span[0], len(wanted), written)
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

# What fits first is taken.
_WRITINGS = (_as_given, _without_sentencepiece, _without_byte_pairs)
