"""What a run keeps of each month for its reviewers: the question as it was sent, the answer, and what became of it.

**Uses the future**: what became of a month is known only after it. It is for reckoning when all is reviewed; nothing of
it is shown to a reviewer or a judge (`llmguide.guidance.review.shown`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import GuidanceError
from llmguide.files import write_json
from llmguide.guidance.advice import Advice, StrategistReply
from llmguide.guidance.controls import future_return
from llmguide.guidance.review.stored import Stored, read_json, validated
from llmguide.guidance.schedule import EVERY, close_prices, horizon_returns
from llmguide.llm.protocol import Message

__all__ = ["ADVICE_FILE", "KeptMonth", "keep", "read_kept", "write_kept"]

ADVICE_FILE = "advice.json"
"""Name of the file in a run folder."""

_LABELLED = 20  # bars that Algorithm 1 looks ahead


class KeptMonth(Stored):
    """One month of one instrument and prompt that has an answer.

    `direction` is the model's own, whatever was made of it later: its reasons are reasons for that.
    """

    id: str  # of question and answer; says nothing of instrument and date
    symbol: str
    prompt: str
    issued_at: datetime
    model: str
    horizon: int  # trading days that the direction is for
    question: tuple[Message, ...]  # as it was first sent, without an answer that could not be used
    reply: StrategistReply
    realised: float | None  # return over the horizon from the close of issued_at, a fraction; None: the bars end before
    hindsight: Literal[0, 1] | None  # the label of Algorithm 1: 1 long, 0 short; None: the bars end before

    @property
    def direction(self) -> Literal[0, 1]:
        """1 long, 0 short."""
        return 1 if self.reply.direction == "LONG" else 0


def keep(all_advice: Iterable[Advice], bars: dict[str, pd.DataFrame], *, every: int = EVERY) -> tuple[KeptMonth, ...]:
    """Return the months that have an answer, with what became of them on the `bars` of each symbol.

    Abstentions have no reasons to judge and are left out. Raises GuidanceError for advice without bars, or of a date
    that its bars do not have.
    """
    return tuple(_kept_months(all_advice, bars, every))


def _kept_months(all_advice: Iterable[Advice], bars: dict[str, pd.DataFrame], every: int) -> Iterator[KeptMonth]:
    became = {symbol: _Became.of(frame, every) for symbol, frame in bars.items()}
    for advice in all_advice:
        if advice.reply is None:
            continue
        known = became.get(advice.symbol)
        position = -1 if known is None else int(known.dates.get_indexer(pd.DatetimeIndex([advice.issued_at]))[0])
        if known is None or position < 0:
            raise GuidanceError(
                f"expected bars of {advice.symbol} with one of {advice.issued_at:%Y-%m-%d}, got none; give the bars "
                "that the advice was made from"
            )
        realised, r = known.realised[position], known.weighted[position]
        question = _first_asked(advice.messages)
        yield KeptMonth(
            id=_identity(advice, question),
            symbol=advice.symbol,
            prompt=advice.prompt,
            issued_at=advice.issued_at,
            model=advice.model,
            horizon=every,
            question=question,
            reply=advice.reply,
            realised=None if np.isnan(realised) else float(realised),
            hindsight=None if np.isnan(r) else 1 if r >= 0 else 0,
        )


class _Became(NamedTuple):
    """What became of an issue on each bar of an instrument; NaN where the bars end before."""

    dates: pd.DatetimeIndex
    realised: NDArray[np.float64]  # return over the horizon from the bar's close
    weighted: NDArray[np.float64]  # r of Algorithm 1, from the close before, the last one known

    @classmethod
    def of(cls, bars: pd.DataFrame, every: int) -> _Became:
        close = close_prices(bars)
        weighted = np.full(len(close), np.nan)
        whole = max(len(close) - _LABELLED, 0)  # bars from which no horizon passes the last one
        weighted[1 : whole + 1] = future_return(close)[:whole]
        realised = horizon_returns(close, np.arange(len(close)), every=every)
        return cls(pd.DatetimeIndex(bars.index), realised, weighted)


def _first_asked(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The question without what was said when it was repeated: the first answer stands in that, direction and all."""
    asked: list[Message] = []
    for message in messages:
        if message.role == "assistant" or (message.role == "user" and any(one.role == "user" for one in asked)):
            break
        asked.append(message)
    return tuple(asked)


def _identity(advice: Advice, question: Sequence[Message]) -> str:
    """Twelve hexadecimal digits of what was asked and answered, by whom, when and of what."""
    reply = None if advice.reply is None else advice.reply.model_dump()
    content = [advice.symbol, advice.prompt, advice.issued_at.isoformat(), advice.model, list(question), reply]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def write_kept(months: Sequence[KeptMonth], path: Path | str) -> Path:
    """Write months to a JSON file, atomically; return the path. A text that many months share is stored once."""
    texts: dict[str, int] = {}
    rows = []
    for month in months:
        row = month.model_dump(mode="json")
        row["question"] = [[one.role, texts.setdefault(one.content, len(texts))] for one in month.question]
        rows.append(row)
    return write_json(path, {"format": "llmguide advice 1", "texts": list(texts), "months": rows})


def read_kept(path: Path | str) -> tuple[KeptMonth, ...]:
    """Return the months of a file that `write_kept` wrote, or of the run folder that it lies in.

    Raises GuidanceError, naming file and field, for anything else.
    """
    path, made_by = Path(path), "`llmguide prompts`, or `llmguide guide --advice`,"
    file = path / ADVICE_FILE if path.is_dir() else path
    content = read_json(file, made_by=made_by)
    try:
        if content["format"] != "llmguide advice 1":
            raise KeyError("format")
        texts, rows = content["texts"], content["months"]
        for row in rows:
            row["question"] = [[role, texts[number]] for role, number in row["question"]]
    except (KeyError, TypeError, ValueError, IndexError):
        raise GuidanceError(f"{file} holds no advice of a run; {made_by} writes such a file") from None
    return tuple(
        validated(row, KeptMonth, where=f"{file}, month {number}", made_by=made_by)
        for number, row in enumerate(rows, start=1)
    )
