"""What a reviewer may see, as JSON: the only way from a packet to a page.

The data of a month as the model saw them, when its turn has come; the model's answer when the reviewer's own direction
is given; never the instrument, the date, the prompt, the model's name or what became of the month.
"""

from __future__ import annotations

from typing import Any

from llmguide.guidance.review.kept import KeptMonth
from llmguide.guidance.review.packet import Packet
from llmguide.guidance.review.sheet import OutOfTurn, Sheet

__all__ = ["answer_of", "question_of", "show_month", "show_progress"]


def show_progress(packet: Packet, sheet: Sheet) -> dict[str, Any]:
    """Return whose sheet it is, the months by id in their order, and how many are done."""
    return {
        "packet": packet.id,
        "reviewer": sheet.reviewer,
        "months": [month.id for month in packet.months],
        "turn": sheet.turn(packet),
    }


def show_month(packet: Packet, sheet: Sheet, month: str) -> dict[str, Any]:
    """Return a month's data, what the reviewer has answered, and the model's answer where it may be seen.

    Raises OutOfTurn for a month that is not there, or whose turn has not come.
    """
    place = packet.places.get(month)
    if place is None or place > sheet.turn(packet):
        raise OutOfTurn("there is no such month in this review" if place is None else "answer the earlier months first")
    found = packet.months[place]
    given = sheet.answers.get(month)
    shown = {"id": month, "place": place, **question_of(found)}
    if given is None:
        return shown | {"own": None}
    entry = given.model_dump(mode="json", include={"own", "reason", "scores", "comment", "version"})
    return shown | entry | {"answer": answer_of(found)}


def question_of(month: KeptMonth) -> dict[str, Any]:
    """Return the data of a month, without anything that was said of them."""
    return {
        "horizon": month.horizon,
        "instructions": "\n\n".join(one.content for one in month.question if one.role == "system"),
        "data": "\n\n".join(one.content for one in month.question if one.role != "system"),
    }


def answer_of(month: KeptMonth) -> dict[str, Any]:
    """Return what the model answered."""
    return month.reply.model_dump(mode="json")
