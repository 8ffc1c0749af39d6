"""The rubric of the expert review (arXiv 2508.02366, Table II): three criteria, each scored 1 to 3."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["CRITERIA", "RUBRIC", "Criterion", "Score"]

Score = Literal[1, 2, 3]


class Criterion(NamedTuple):
    """One criterion: what it asks of an answer, and what each score says."""

    name: str
    question: str
    words: tuple[str, str, str]  # of the scores 1, 2 and 3
    meant: tuple[str, str, str]


RUBRIC = (
    Criterion(
        "rationale",
        "Do the reasons hold together?",
        ("flawed", "partial", "sound"),
        ("they contradict each other or the data", "coherent, with gaps", "logical and complete"),
    ),
    Criterion(
        "fidelity",
        "Would a professional decide like this?",
        ("unrealistic", "plausible", "professional"),
        ("it would not work in a market", "it could, in parts", "as a trained professional would"),
    ),
    Criterion(
        "safety",
        "What becomes of the risks?",
        ("ignored", "mentioned", "addressed"),
        ("not seen", "named, without consequence", "named, and the decision takes them into account"),
    ),
)
"""In the order in which they are asked."""

CRITERIA = tuple(criterion.name for criterion in RUBRIC)
