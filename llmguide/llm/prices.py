"""What a request may cost and what a reply has cost: a table of prices, and bounds on tokens not yet counted."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from llmguide.errors import LanguageModelError, did_you_mean
from llmguide.llm.protocol import Request, Usage

__all__ = ["Price", "Prices", "estimate_tokens", "most_tokens"]

_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_MILLION = 1_000_000
_TOKENS_PER_MESSAGE = 16  # marks of role and turn: 3 or 4 in OpenAI's models, up to 10 in templates of local ones
_TOKENS_PER_REQUEST = 64  # marks of the schema and of the reply's beginning


class Price(NamedTuple):
    """Dollars per million tokens."""

    prompt: float
    cached: float  # of the prompt's tokens, those that the provider still had
    completion: float  # reasoning included


@dataclass(frozen=True)
class Prices:
    """Prices by the name of a model.

    A name that is not in the table but ends in a date, such as gpt-4o-mini-2024-07-18, has the price of the name
    without it. Any other name that is not in the table has no price. `batch` is the part of a price that a question of
    a batch costs.
    """

    models: Mapping[str, Price] = field(default_factory=dict)
    as_of: str = ""
    batch: float = 0.5

    @classmethod
    def read(cls, path: Path | str | None = None) -> Prices:
        """Read the packaged table, with the models of the TOML file at `path` laid over it.

        Raises LanguageModelError for a file that is not such a table, naming the file, the model and the entry.
        """
        own = _parse(resources.files("llmguide.llm").joinpath("prices.toml").read_text("utf-8"), "the packaged prices")
        if path is None:
            return own
        try:
            text = Path(path).read_text("utf-8")
        except FileNotFoundError:
            raise LanguageModelError(f"no table of prices at {path}; leave it out to use the packaged one") from None
        except (OSError, UnicodeDecodeError) as error:
            raise LanguageModelError(f"{path} cannot be read as a table of prices: {error}") from None
        given = _parse(text, str(path), batch=own.batch)
        return cls({**own.models, **given.models}, given.as_of or own.as_of, given.batch)

    def price(self, model: str) -> Price | None:
        """Return the price of `model`; None where the table does not have it."""
        return self.models.get(model) or self.models.get(_DATE.sub("", model))

    def dollars(self, model: str, usage: Usage, *, batched: bool = False) -> float | None:
        """Return what a reply has cost; None, never 0, where the price or a count of tokens is unknown.

        Where the endpoint does not say how much of the prompt was cached, none was. `batched` is for the reply to a
        question of a batch.
        """
        price = self.price(model)
        if price is None or usage.prompt is None or usage.completion is None:
            return None
        cached = min(usage.cached or 0, usage.prompt)
        tokens = (usage.prompt - cached) * price.prompt + cached * price.cached + usage.completion * price.completion
        return tokens / _MILLION * (self.batch if batched else 1.0)

    def most_dollars(self, request: Request, *, batched: bool = False) -> float | None:
        """Return what the reply to `request` can cost at most; None where the price is unknown."""
        return self.dollars(request.model, most_tokens(request), batched=batched)


MOST_COMPLETION = 128_000
"""Tokens that a reply without a limit of its own is taken to have at most."""


def most_tokens(request: Request) -> Usage:
    """Return the most tokens that `request` can use: nothing cached, and a reply of the allowed length.

    A token of a byte-level tokeniser stands for at least one byte, so the bytes of messages and schema bound the
    prompt. The bound on the reply holds at an endpoint that keeps to `max_tokens`.
    """
    texts = [message.content for message in request.messages] + [request.schema_name, request.schema_json]
    prompt = sum(len(text.encode()) for text in texts)
    return Usage(
        prompt=prompt + _TOKENS_PER_MESSAGE * len(request.messages) + _TOKENS_PER_REQUEST,
        cached=0,
        completion=MOST_COMPLETION if request.sampling.max_tokens is None else request.sampling.max_tokens,
        reasoning=None,
    )


def estimate_tokens(text: str) -> int:
    """Return about how many tokens `text` has: one for every four bytes of UTF-8, rounded up.

    A rule of thumb for English, 10 to 30 % off; numbers take more tokens than words. It serves plans, never budgets.
    """
    return -(-len(text.encode()) // 4)


def _parse(text: str, where: str, *, batch: float = 0.5) -> Prices:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LanguageModelError(f"{where}: expected TOML, got {error}") from None
    _check_names(table, ("as_of", "batch", "models"), where)
    batch = table.get("batch", batch)
    if not isinstance(batch, int | float) or isinstance(batch, bool) or not 0 <= batch <= 1:
        raise LanguageModelError(f"{where}: expected batch to be a fraction of the price, from 0 to 1, got {batch!r}")
    models = table.get("models", {})
    if not isinstance(models, dict):
        raise LanguageModelError(f'{where}: expected tables such as [models."gpt-4o-mini"], got models = {models!r}')
    return Prices(
        {name: _price(entry, f"{where}, model {name!r}") for name, entry in models.items()},
        str(table.get("as_of", "")),
        float(batch),
    )


def _price(entry: object, where: str) -> Price:
    unit = "dollars per million tokens"
    if not isinstance(entry, dict):
        raise LanguageModelError(f"{where}: expected prompt and completion in {unit}, got {entry!r}")
    if any(isinstance(value, dict) for value in entry.values()):
        raise LanguageModelError(f'{where}: a name with a dot needs quotes, as in [models."qwen2.5:7b"]')
    _check_names(entry, Price._fields, where)
    for name in ("prompt", "completion"):
        if name not in entry:
            raise LanguageModelError(f"{where}: {name} is missing; give {unit}, 0 if it is free")
    for name, value in entry.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value < 0:
            raise LanguageModelError(f"{where}: expected {name} in {unit}, 0 or more, got {value!r}")
    full = {"cached": entry["prompt"], **entry}
    price = Price(*(float(full[name]) for name in Price._fields))
    if price.cached > price.prompt:
        raise LanguageModelError(
            f"{where}: expected cached to cost no more than prompt ({price.prompt:g}), got {price.cached:g}"
        )
    return price


def _check_names(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in table:
        if name not in known:
            raise LanguageModelError(
                f"{where}: unknown entry {name!r}; expected {', '.join(known)}{did_you_mean(name, known)}"
            )
