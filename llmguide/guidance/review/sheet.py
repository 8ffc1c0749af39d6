"""What one reviewer has answered: his own direction first, which then stays, and scores, which he may change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from llmguide.errors import GuidanceError
from llmguide.guidance.review.packet import Packet
from llmguide.guidance.review.rubric import Score
from llmguide.guidance.review.stored import Stored, read_stored, write_stored

__all__ = [
    "COMMENT",
    "REASON",
    "SHEETS",
    "Entry",
    "OutOfTurn",
    "Scores",
    "Sheet",
    "check_reviewers",
    "check_sheet",
    "find_sheets",
    "open_sheet",
    "save_sheet",
    "sheet_path",
]

REASON, COMMENT = 1000, 4000
"""Most characters of a reviewer's own reason, and of his comment on the model's answer."""

SHEETS = "reviewers"
"""Folder of the sheets in a review's folder."""

_NAME = re.compile(r"\w[\w.-]{0,39}")


class OutOfTurn(GuidanceError):
    """An answer that comes too early, again, or to what another window has changed meanwhile."""


class Scores(Stored):
    """The three scores of Table II (`llmguide.guidance.review.rubric`)."""

    rationale: Score
    fidelity: Score
    safety: Score


class Entry(Stored):
    """What was answered about one month."""

    own: Literal["LONG", "SHORT"] | None  # None: a judge, which is not asked
    reason: Annotated[str, Field(max_length=REASON)] = ""  # for it, before the model's answer was shown
    own_at: datetime | None
    scores: Scores | None = None
    comment: Annotated[str, Field(max_length=COMMENT)] = ""
    scored_at: datetime | None = None
    version: Annotated[int, Field(ge=0)] = 0  # how often scores or comment were given


class Sheet(Stored):
    """The answers of one reviewer, by the id of the month."""

    format: Literal["llmguide review 1"] = "llmguide review 1"
    packet: str  # id of the packet that is answered
    reviewer: str
    kind: Literal["person", "model"] = "person"
    answers: Mapping[str, Entry] = {}

    def turn(self, packet: Packet) -> int:
        """Return the place of the first month that is not scored; the number of months when all are."""
        return next(
            (place for place, month in enumerate(packet.months) if not self.scored(month.id)), len(packet.months)
        )

    def scored(self, month: str) -> bool:
        """Whether a month is answered to the end."""
        return month in self.answers and self.answers[month].scores is not None

    def with_own(
        self, packet: Packet, month: str, own: Literal["LONG", "SHORT"], reason: str, *, at: datetime
    ) -> Sheet:
        """Return the sheet with the reviewer's own direction for the month whose turn it is.

        The same answer again changes nothing. Raises OutOfTurn for a month whose turn it is not, and for another
        direction or reason than the one given: the model's answer has been shown since.
        """
        self._check_turn(packet, month)
        given = self.answers.get(month)
        if given is not None:
            if (given.own, given.reason) == (own, reason):
                return self
            raise OutOfTurn(
                f"your own direction is {given.own} and can no longer be changed: you have seen the model's answer"
            )
        return self._with(month, Entry(own=own, reason=reason, own_at=at))

    def with_scores(
        self, packet: Packet, month: str, scores: Scores, comment: str, *, version: int, at: datetime
    ) -> Sheet:
        """Return the sheet with scores for a month whose own direction is given; `version` is the one that was seen.

        The same answer again changes nothing. Raises OutOfTurn before the own direction is given, and where the scores
        have been changed since they were seen.
        """
        self._check_turn(packet, month)
        given = self.answers.get(month)
        if given is None:
            raise OutOfTurn("choose your own direction first")
        if (given.scores, given.comment) == (scores, comment):
            return self
        if given.version != version:
            raise OutOfTurn("these scores were changed in another window; the current scores are shown")
        changed = {"scores": scores, "comment": comment, "scored_at": at, "version": version + 1}
        return self._with(month, given.model_copy(update=changed))

    def _check_turn(self, packet: Packet, month: str) -> None:
        place = packet.places.get(month)
        if place is None:
            raise OutOfTurn("there is no such month in this review")
        if place > self.turn(packet):
            raise OutOfTurn("answer the earlier months first")

    def _with(self, month: str, entry: Entry) -> Sheet:
        return self.model_copy(update={"answers": {**self.answers, month: entry}})


def check_reviewers(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names; GuidanceError for none, one that makes no file's name, and two that differ by case only."""
    found = tuple(names)
    for name in found:
        if not _NAME.fullmatch(name):
            raise GuidanceError(f"expected a reviewer's name of 1 to 40 letters, digits, _, - and ., got {name!r}")
    if not found or len({name.casefold() for name in found}) < len(found):
        raise GuidanceError(f"expected at least one reviewer, each once, got {', '.join(found) or 'none'}")
    return found


def sheet_path(folder: Path, reviewer: str) -> Path:
    """Return where a reviewer's sheet lies in a review's folder."""
    return folder / SHEETS / f"{reviewer}.json"


def open_sheet(folder: Path, packet: Packet, reviewer: str) -> Sheet:
    """Return a reviewer's sheet as far as it is answered; GuidanceError where it is of another packet."""
    path = sheet_path(folder, reviewer)
    if not path.exists():
        return Sheet(packet=packet.id, reviewer=reviewer)
    return check_sheet(read_stored(path, Sheet, made_by="`llmguide review`"), packet, where=path)


def save_sheet(folder: Path, sheet: Sheet) -> Path:
    """Write a sheet, atomically; return the path."""
    return write_stored(sheet_path(folder, sheet.reviewer), sheet)


def find_sheets(folder: Path, packet: Packet, files: Iterable[Path] = ()) -> tuple[Sheet, ...]:
    """Return the sheets of a review's folder and of further files, such as an offline page gives back.

    Raises GuidanceError for a sheet of another packet, and for two of one reviewer.
    """
    sheets: dict[str, Sheet] = {}
    for path in [*sorted((folder / SHEETS).glob("*.json")), *files]:
        sheet = check_sheet(read_stored(path, Sheet, made_by="`llmguide review`"), packet, where=path)
        if sheets.setdefault(sheet.reviewer.casefold(), sheet) is not sheet:
            raise GuidanceError(f"{path}: there is another sheet by the reviewer {sheet.reviewer}; keep one")
    return tuple(sheets.values())


def check_sheet(sheet: Sheet, packet: Packet, *, where: Path) -> Sheet:
    """Return the sheet; GuidanceError where it is not of this packet."""
    check_reviewers([sheet.reviewer])
    if sheet.kind == "person" and any(entry.own is None for entry in sheet.answers.values()):
        raise GuidanceError(f"{where}: expected a person's own direction for every month that is answered, got none")
    if sheet.packet != packet.id or not sheet.answers.keys() <= packet.places.keys():
        raise GuidanceError(
            f"{where} answers another packet ({sheet.packet}) than this review's ({packet.id}); give the folder that "
            "its page was made from"
        )
    return sheet
