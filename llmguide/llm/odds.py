"""How likely a model held each value of a field, such as LONG and SHORT, at the token that tells them apart.

The direction's own probability is p(LONG) / (p(LONG) + p(SHORT)) at the first token by which the two differ. Tokenizers
merge quotes, spaces and letters, so the alternatives of that token are laid onto the JSON: '"LONG', ' "L' and 'LO' all
begin LONG. Servers may report probabilities from before the schema's mask; then other words take a share, and the sum
of the two says how much is left for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from llmguide.llm.laying import Laid, lay_on_object
from llmguide.llm.protocol import Completion
from llmguide.llm.replies import UNKNOWN, field_span

__all__ = ["DIRECTIONS", "LEAST", "LEFT", "Odds", "field_odds", "known_share", "log_odds"]

DIRECTIONS = ("LONG", "SHORT")

LEAST = 1e-6
"""The least probability that log-odds are taken of: servers cut at the top k, and round."""

LEFT = 0.05
"""The most that values which the endpoint did not name may have together, so that a share is still known."""


class Odds(NamedTuple):
    """The probabilities of a field's values at the token that tells them apart, in the order asked for."""

    probabilities: tuple[float, ...]  # as the endpoint gave them; 0 where it did not name the value
    bounds: tuple[float, ...]  # the most that each can be: the same where it was named

    @property
    def total(self) -> float:
        """What the named values have together: near 1 where the schema's mask was applied before, or was not needed."""
        return math.fsum(self.probabilities)

    @property
    def shares(self) -> tuple[float, ...]:
        """Each value's probability among them; a value that was not named has the most that it can have."""
        all_of_them = math.fsum(self.bounds)
        return tuple(bound / all_of_them for bound in self.bounds)

    @property
    def complete(self) -> bool:
        """Whether the endpoint named every value, so that nothing is a bound."""
        return all(self.probabilities)

    @property
    def known_shares(self) -> tuple[float, ...] | None:
        """`shares` where the endpoint has named every value, or bounds leave the others at most `LEFT` together.

        None where a bound says nothing: a server that gives probabilities from before the schema's mask may name one
        value with a thousandth and the other not at all, and a half would be no probability.
        """
        return self.shares if self.complete or max(self.shares) >= 1.0 - LEFT else None


def field_odds(completion: Completion, name: str, values: Sequence[str] = DIRECTIONS) -> Odds | None:
    """Return the odds of the values that the top-level text field `name` of the object may have.

    None where there is no such field, where it holds none of `values`, or where no log-probabilities can be laid onto
    it. An alternative counts for a value if it can only go on as that one. Whitespace before the value is free. Of a
    value that is not among the alternatives it is known that it has at most what they leave, and no more than the
    least of them.
    """
    span, laid = field_span(completion.text, name), lay_on_object(completion)
    if span is None or laid is None or completion.text[span[0] : span[1]] not in values:
        return None
    start, end = (len(completion.text[laid.begin : at].encode()) for at in span)
    said = completion.text[span[0] : span[1]]
    apart = start + _first_difference(said, values)
    places = [i for i in laid.places(start, end) if laid.ends[i] > apart]
    return _odds_at(laid, places[0], start, said, values) if places else None


def known_share(
    completion: Completion | None, name: str, value: str, values: Sequence[str] = DIRECTIONS
) -> float | None:
    """Return the probability of `value` among `values`, or None where it is not known (see `Odds.known_shares`)."""
    odds = None if completion is None else field_odds(completion, name, values)
    shares = None if odds is None else odds.known_shares
    return None if shares is None else shares[values.index(value)]


def log_odds(first: float, second: float) -> float:
    """Return ln(first / second) of two probabilities, each taken as at least `LEAST`."""
    return math.log(max(first, LEAST)) - math.log(max(second, LEAST))


def _odds_at(laid: Laid, place: int, start: int, said: str, values: Sequence[str]) -> Odds | None:
    token = laid.tokens[place]
    begin = laid.ends[place] - laid.lengths[place]
    own = laid.written(token.token)
    before = own[: start - begin] if begin < start else said.encode()[: begin - start]  # of the token, or of the value
    alternatives = {laid.written(text.encode(errors="replace")): logprob for text, logprob in token.top}
    if token.logprob > UNKNOWN:
        alternatives.setdefault(own, token.logprob)
    known = {text: min(logprob, 0.0) for text, logprob in alternatives.items() if logprob > UNKNOWN}
    if not known:
        return None
    mass = dict.fromkeys(values, 0.0)
    for text, logprob in known.items():
        value = _meant(before + text if begin >= start else _from_value(text, before), values)
        if value is not None:
            mass[value] += math.exp(logprob)
    left = max(1.0 - math.fsum(map(math.exp, known.values())), 0.0)
    least = min(left, math.exp(min(known.values())))
    probabilities = tuple(min(mass[value], 1.0) for value in values)
    if not any(probabilities):
        return None
    return Odds(probabilities, tuple(p or max(least, LEAST * max(probabilities)) for p in probabilities))


def _from_value(text: bytes, before: bytes) -> bytes:
    """Return what an alternative writes of the value, where the token began before it with these bytes."""
    bare, lead = text.lstrip(), before.lstrip()
    return bare[len(lead) :] if bare.startswith(lead) else b"\xff"


def _meant(written: bytes, values: Sequence[str]) -> str | None:
    """Return the one value that can begin, or be, or be followed by something, as it is written."""
    fitting = [value for value in values if _goes_on(written, value.encode())]
    return fitting[0] if written and len(fitting) == 1 else None


def _goes_on(written: bytes, value: bytes) -> bool:
    return value.startswith(written) or (written.startswith(value) and written[len(value) :][:1] == b'"')


def _first_difference(said: str, values: Sequence[str]) -> int:
    """Return the first byte at which `said` is told apart from all other values, from its beginning."""
    own = said.encode()
    lengths = [0]
    for other in (value.encode() for value in values if value != said):
        lengths.append(next((i for i, (a, b) in enumerate(zip(own, other, strict=False)) if a != b), len(own)))
    return max(lengths)
