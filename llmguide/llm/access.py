"""The settings with which a language model is reached and paid for, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from llmguide.errors import LanguageModelError
from llmguide.llm.asking import Asker
from llmguide.llm.cache import Cache
from llmguide.llm.local import LocalClient, LocalSettings, model_endpoint, model_name
from llmguide.llm.openai_client import OpenAIClient
from llmguide.llm.prices import Price, Prices
from llmguide.llm.protocol import Client, Sampling

__all__ = ["Access"]

A = TypeVar("A", bound=Asker)


@dataclass(frozen=True, kw_only=True)
class Access:
    """Which model to ask, where, with whose key, and for how much.

    Attributes:
        model: its name at the endpoint.
        cache: SQLite file of all replies and of what they have cost, created if missing.
        replay: answer from the cache only; nothing is sent, and no key is needed.
        model_file: a model in GGUF format, served on this machine instead of an endpoint; see `local`.
        local_settings: threads, slots and context of its server.
        base_url: an OpenAI-compatible endpoint; None takes OPENAI_BASE_URL, or OpenAI itself. In a replay it names
            whose answers to use, where the cache holds those of several endpoints.
        api_key: None takes OPENAI_API_KEY. Never shown, logged or stored.
        sampling: how replies are generated.
        budget: the most that one study may cost in dollars, all its runs together; None for no limit.
        prices: TOML file of prices, which override the packaged ones.
        in_flight: number of questions asked at once.
        strict: True raises an error for an answer that cannot be used; False counts it as an abstention.
        terse: ask for short replies, where lengths in a schema are honoured: 600 characters in a text, four items in a
            list.
        timeout: seconds to wait for an answer.
        max_retries: retries of a question that got no answer; at most one after a time-out.

    Raises LanguageModelError for a model file together with a base URL.
    """

    model: str = "gpt-4o-mini"
    cache: Path | str = Path("llm.sqlite")
    replay: bool = False
    model_file: Path | str | None = None
    local_settings: LocalSettings = field(default_factory=LocalSettings)
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    sampling: Sampling = field(default_factory=Sampling)
    budget: float | None = None
    prices: Path | str | None = None
    in_flight: int = 8
    strict: bool = False
    terse: bool = False
    timeout: float = 60.0
    max_retries: int = 5

    def __post_init__(self) -> None:
        """Refuse two endpoints at once."""
        if self.model_file is not None and self.base_url is not None:
            raise LanguageModelError(
                "give either a model file or a base URL, not both; a model file is served on this machine"
            )

    @classmethod
    def local(cls, model_file: Path | str, **settings: Any) -> Self:
        """Return access to the model in `model_file`, a GGUF file, served by llama.cpp on this machine while it is
        asked.

        It is named after the file, is asked without a key and for terse replies, and costs nothing; an answer may take
        600 seconds. `settings` are further attributes of the class. Needs ``pip install 'llmguide[local]'``. Raises
        LanguageModelError for a file that is not a model.
        """
        model_endpoint(model_file)  # whether it is a model is said now, not at the first question
        defaults: dict[str, Any] = {
            "model": model_name(model_file),
            "timeout": 600.0,
            "max_retries": 0,
            "terse": True,
        }
        return cls(model_file=model_file, **(defaults | settings))

    @property
    def endpoint(self) -> str | None:
        """The endpoint whose answers are kept or replayed; None in a replay of whatever the cache holds."""
        if self.model_file is not None:
            return model_endpoint(self.model_file)
        if self.replay and self.base_url is None:
            return None
        return OpenAIClient(base_url=self.base_url, api_key="not-needed").endpoint

    def client(self, *, stays: bool = False) -> Client:
        """Return a client of the endpoint, or of the model in the file; with `stays` its server outlasts the asker."""
        if self.model_file is not None:
            return LocalClient(self.model_file, self.local_settings, timeout=self.timeout, stays=stays)
        return OpenAIClient(
            base_url=self.base_url, api_key=self.api_key, timeout=self.timeout, max_retries=self.max_retries
        )

    def asker(self, *, study: str = "", client: Client | None = None) -> Asker:
        """Return an asker with these settings; its calls are entered in the ledger under `study`.

        `client` is used instead of a new one. Raises as `build` does.
        """
        return self.build(Asker, study=study, client=client)

    def build(self, kind: type[A], *, study: str = "", client: Client | None = None) -> A:
        """Return an asker of the class `kind` with these settings, its calls in the ledger under `study`.

        `client` is used instead of a new one. Raises EndpointError where a key is needed and missing,
        LanguageModelError for a cache or prices that cannot be used.
        """
        prices = Prices.read(self.prices)  # before a cache is made: a wrong name leaves nothing behind
        if self.model_file is not None:
            prices = Prices({self.model: Price(0.0, 0.0, 0.0), **prices.models}, prices.as_of)
        in_flight = self.in_flight
        if self.replay:
            client = None
        elif client is None:
            client = self.client()
        if self.model_file is not None:
            in_flight = min(in_flight, self.local_settings.questions_at_once)
        return kind(
            Cache(self.cache, create=not self.replay),
            model=self.model,
            client=client,
            sampling=self.sampling,
            prices=prices,
            budget=self.budget,
            study=study,
            in_flight=in_flight,
            strict=self.strict,
            terse=self.terse,
            endpoint=self.endpoint if self.replay else None,
        )
