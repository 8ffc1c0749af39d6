"""What was spent: one row for every call to a language model, in the cache's file.

A reply from the cache makes no row. The rows hold tokens, not dollars: prices change, and are applied when sums are
made. A count that the endpoint did not give is unknown, and so is every sum with it; neither is ever 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from llmguide.files import write_csv
from llmguide.llm.cache import Cache
from llmguide.llm.prices import Prices, most_tokens
from llmguide.llm.protocol import Request, Usage

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ledger", "Purpose", "Spending"]

_TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
_COLUMNS = (
    *("time", "study", "role", "instrument", "prompt", "issued_at", "request_key", "endpoint", "model", "answered"),
    *(*_TOKENS, "seconds", "outcome", "note", "batched"),
)


class Purpose(NamedTuple):
    """What a question is for; "" where it does not apply."""

    study: str = ""
    role: str = ""  # strategist, analyst, debias, vote, memory, bias, trainer, writer, judge or probe
    instrument: str = ""
    prompt: str = ""  # version, such as P4; "memory" for what is asked without data; "" for what several versions share
    issued_at: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in self[1:] if part) or "a question without a purpose"


class Spending(NamedTuple):
    """Sums over calls; None where a part of the sum is unknown."""

    calls: int = 0  # that were answered
    prompt_tokens: int | None = 0
    cached_tokens: int | None = 0  # of the prompt's
    completion_tokens: int | None = 0
    reasoning_tokens: int | None = 0  # of the completion's
    seconds: float = 0.0  # of waiting for answers, one after another
    dollars: float | None = 0.0
    failed: int = 0  # calls without an answer; they are held to cost nothing

    @classmethod
    def total(cls, parts: Iterable[Spending]) -> Spending:
        """Return the sum of `parts`."""
        listed = list(parts)
        return cls(
            calls=sum(part.calls for part in listed),
            prompt_tokens=_count(part.prompt_tokens for part in listed),
            cached_tokens=_count(part.cached_tokens for part in listed),
            completion_tokens=_count(part.completion_tokens for part in listed),
            reasoning_tokens=_count(part.reasoning_tokens for part in listed),
            seconds=math.fsum(part.seconds for part in listed),
            dollars=_add(part.dollars for part in listed),
            failed=sum(part.failed for part in listed),
        )

    def less(self, part: Spending) -> Spending:
        """Return this sum without a part of it; what is unknown stays so."""

        def rest(whole: Any, out: Any) -> Any:
            return None if whole is None or out is None else whole - out

        return Spending(*(rest(whole, out) for whole, out in zip(self, part, strict=True)))


class Ledger:
    """The ledger in a cache's file."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    def record(
        self,
        purpose: Purpose,
        request: Request,
        *,
        endpoint: str,
        seconds: float,
        outcome: str,
        usage: Usage | None,
        note: str = "",
        batched: bool = False,
    ) -> None:
        """Write one call down.

        `outcome` is "ok" or an error's name. `usage` is None where no answer came, and Usage() where one came that does
        not say what it took. `batched` calls have the price of OpenAI's Batch API.
        """
        tokens = Usage() if usage is None else usage
        if tokens.cached is not None and tokens.prompt is not None:
            tokens = tokens._replace(cached=min(tokens.cached, tokens.prompt))
        most = most_tokens(request)
        row = (
            *(datetime.now(UTC).isoformat(timespec="milliseconds"), *purpose),
            *(request.key, endpoint, request.model, usage is not None, *tokens),
            *(most.prompt, most.completion, seconds, outcome, note, batched),
        )
        self.cache.execute(f"INSERT INTO calls VALUES (NULL, {', '.join('?' * len(row))})", row)

    def spent(self, study: str | None, prices: Prices) -> Spending:
        """Return the sums over a study's calls, of all its runs; over all calls where `study` is None."""
        sums = ", ".join(f"SUM({name}), SUM(answered AND {name} IS NULL)" for name in _TOKENS)
        rows = self.cache.rows(
            "SELECT model, batched, SUM(answered), SUM(NOT answered), SUM(seconds), "
            f"SUM(answered * COALESCE(cached_tokens, 0)), {sums} FROM calls "
            "WHERE ? IS NULL OR study = ? GROUP BY model, batched",
            (study, study),
        )
        parts = []
        for model, batched, calls, failed, seconds, cached, *counts in rows:
            known = zip(counts[::2], counts[1::2], strict=True)
            usage = Usage(*(None if unknown else count or 0 for count, unknown in known))
            # A call that does not say what was cached has paid for all of it; the others have not.
            priced = usage._replace(cached=cached)
            dollars = prices.dollars(model, priced, batched=bool(batched)) if calls else 0.0
            parts.append(Spending(calls, *usage, seconds, dollars, failed))
        return Spending.total(parts)

    def charged(self, study: str, prices: Prices) -> float | None:
        """Return the dollars that a study has spent at most: an unknown count is held to be the largest possible.

        None where a model's price is unknown.
        """
        rows = self.cache.rows(
            "SELECT model, batched, SUM(COALESCE(prompt_tokens, most_prompt_tokens)), SUM(COALESCE(cached_tokens, 0)), "
            "SUM(COALESCE(completion_tokens, most_completion_tokens)) FROM calls WHERE answered AND study = ? "
            "GROUP BY model, batched",
            (study,),
        )
        return _add(prices.dollars(model, Usage(*tokens), batched=bool(batched)) for model, batched, *tokens in rows)

    def frame(self, study: str | None = None) -> pd.DataFrame:
        """Return the calls, oldest first: times in UTC, token counts as nullable integers."""
        import pandas as pd

        rows = self.cache.rows(
            f"SELECT {', '.join(_COLUMNS)} FROM calls WHERE ? IS NULL OR study = ? ORDER BY id", (study, study)
        )
        frame = pd.DataFrame(rows, columns=list(_COLUMNS))
        frame["time"] = pd.to_datetime(frame["time"], utc=True, format="ISO8601")
        flags = {"answered": bool, "batched": bool}
        return frame.astype({**dict.fromkeys(_TOKENS, "Int64"), **flags, "seconds": float})

    def summary(self, prices: Prices, study: str | None = None) -> pd.DataFrame:
        """Return the costs by instrument and prompt version, as Table VIII of arXiv 2508.02366v3 has them.

        Columns: instrument, prompt, months (different dates of issue), calls and failed (answered or not), unusable
        (answers that were refused, cut off or did not fit), prompt_tokens, cached_tokens, completion_tokens,
        reasoning_tokens, tokens_per_month (prompt and completion), seconds (the sum of the calls' own times), dollars.

        A row with prompt "" is what the versions share: the Analyst reads a month's news once for all of them. A row
        with neither instrument nor prompt is the probe of the endpoint. Unknown numbers are NA or NaN.
        """
        import pandas as pd

        calls = self.frame(study)
        rows = []
        for (instrument, prompt), group in calls.groupby(["instrument", "prompt"]):
            answered = group[group["answered"]]
            tokens = {name: answered[name].sum(skipna=False) for name in _TOKENS}
            months = group["issued_at"].nunique()
            rows.append(
                {
                    "instrument": instrument,
                    "prompt": prompt,
                    "months": months,
                    "calls": len(answered),
                    "failed": len(group) - len(answered),
                    "unusable": int((answered["outcome"] != "ok").sum()),
                    **tokens,
                    "tokens_per_month": (tokens["prompt_tokens"] + tokens["completion_tokens"]) / months,
                    "seconds": group["seconds"].sum(),
                    "dollars": _add(
                        prices.dollars(
                            model,
                            Usage(*(None if pd.isna(count) else int(count) for count in counts)),
                            batched=batched,
                        )
                        for model, batched, *counts in answered[["model", "batched", *_TOKENS]].itertuples(index=False)
                    ),
                }
            )
        columns = ("instrument", "prompt", "months", "calls", "failed", "unusable", *_TOKENS)
        frame = pd.DataFrame(rows, columns=[*columns, "tokens_per_month", "seconds", "dollars"])
        floats = dict.fromkeys(("seconds", "dollars"), "float64")
        return frame.astype({**dict.fromkeys(_TOKENS, "Int64"), "tokens_per_month": "Float64", **floats})

    def write_costs(self, path: Path | str, prices: Prices, study: str | None = None) -> Path:
        """Write the summary as CSV, atomically; an empty field is an unknown number. Return the path."""
        return write_csv(self.summary(prices, study), path)


def _add(numbers: Iterable[float | None]) -> float | None:
    listed = list(numbers)
    known = [number for number in listed if number is not None]
    return math.fsum(known) if len(known) == len(listed) else None


def _count(numbers: Iterable[int | None]) -> int | None:
    listed = list(numbers)
    known = [number for number in listed if number is not None]
    return sum(known) if len(known) == len(listed) else None
