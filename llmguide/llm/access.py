"""The settings with which a language model is reached and paid for, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from llmguide.llm.asking import Asker
from llmguide.llm.cache import Cache
from llmguide.llm.openai_client import OpenAIClient
from llmguide.llm.prices import Prices
from llmguide.llm.protocol import Sampling

__all__ = ["Access"]

A = TypeVar("A", bound=Asker)


@dataclass(frozen=True, kw_only=True)
class Access:
    """Which model, where, with whose key, and for how much.

    Attributes:
        model: as the endpoint names it.
        cache: SQLite file of all replies and of what they have cost; made where there is none.
        replay: answer from the cache only; nothing is sent, and no key is needed.
        base_url: an OpenAI-compatible endpoint; OPENAI_BASE_URL, or OpenAI itself, where None. In a replay: whose
            answers, where the cache holds several endpoints'.
        api_key: OPENAI_API_KEY where None. Never shown, logged or stored.
        sampling: how replies are generated.
        budget: dollars that one study may cost at most, all its runs together; None for no limit.
        prices: TOML file of prices, laid over the packaged ones.
        in_flight: questions asked at once.
        strict: an answer that cannot be used is an error, not an abstention.
        timeout: seconds to wait for an answer.
        max_retries: of a question that got none.
    """

    model: str = "gpt-4o-mini"
    cache: Path | str = Path("llm.sqlite")
    replay: bool = False
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    sampling: Sampling = field(default_factory=Sampling)
    budget: float | None = None
    prices: Path | str | None = None
    in_flight: int = 8
    strict: bool = False
    timeout: float = 60.0
    max_retries: int = 5

    def asker(self, *, study: str = "") -> Asker:
        """Return an asker with these settings, its calls in the ledger under `study`; see `build` for errors."""
        return self.build(Asker, study=study)

    def build(self, kind: type[A], *, study: str = "") -> A:
        """Return an asker of some kind with these settings.

        Raises EndpointError where a key is needed and missing, LanguageModelError for a cache or prices that cannot be
        used.
        """
        prices = Prices.read(self.prices)  # before a cache is made: a wrong name leaves nothing behind
        client, endpoint = None, None
        if not self.replay:
            client = OpenAIClient(
                base_url=self.base_url, api_key=self.api_key, timeout=self.timeout, max_retries=self.max_retries
            )
        elif self.base_url is not None:
            endpoint = OpenAIClient(base_url=self.base_url, api_key="not-needed").endpoint
        return kind(
            Cache(self.cache, create=not self.replay),
            model=self.model,
            client=client,
            sampling=self.sampling,
            prices=prices,
            budget=self.budget,
            study=study,
            in_flight=self.in_flight,
            strict=self.strict,
            endpoint=endpoint,
        )
