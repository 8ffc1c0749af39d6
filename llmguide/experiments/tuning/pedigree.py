"""What a tuned template was made from: a record beside it, and a comment at its top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmguide._version import __version__
from llmguide.guidance.advice import StrategistReply
from llmguide.guidance.tuning.lessons import METHOD
from llmguide.guidance.tuning.study import Final, Repeat, Trial, TuningRun
from llmguide.guidance.tuning.windows import Window
from llmguide.hashing import hash_bars
from llmguide.llm.templates import PromptTemplate, prompt_hash, prompt_version

__all__ = ["header", "pedigree"]


def header(run: TuningRun, chosen: Final, *, model: str) -> str:
    """Return the comment at the top of the template: where it comes from, in a few lines."""
    trial = _trial(chosen)
    name = prompt_version(run.study.template)
    tried = sum(one.draft is not None for one in run.trials)
    return "\n".join(
        (
            f"Tuned by llmguide {__version__} from {name}. A model ({_plain(model)}) wrote the instructions below",
            '"What earlier years have taught"; the rest is llmguide\'s.',
            f"Repeat {trial.repeat}, round {trial.round}, of {tried} prompts tried on training bars.",
            f"Instructions and features: sha256 {trial.draft.hash if trial.draft else ''}",
            "tuned.json beside this file has the whole pedigree.",
        )
    )


def pedigree(run: TuningRun, chosen: Final, template: PromptTemplate, *, model: str) -> dict[str, Any]:
    """Return all that a tuned template was made from, for JSON."""
    study, trial = run.study, _trial(chosen)
    own = run.repeats[trial.repeat - 1]
    tried = [one for one in run.trials if one.draft is not None]
    return {
        "llmguide": __version__,
        "model": model,
        "prompt_hash": prompt_hash(template, StrategistReply),
        "instructions": list(trial.draft.instructions) if trial.draft else [],
        "features": list(trial.draft.features) if trial.draft else [],
        "draft": trial.draft.hash if trial.draft else "",
        "parents": {
            "base": {
                "name": prompt_version(study.template),
                "prompt_hash": prompt_hash(study.template, StrategistReply),
            },
            "drafts": list(trial.parents),
        },
        "repeat": trial.repeat,
        "round": trial.round,
        "sharpe": trial.sharpe,
        "baseline": own.baseline,
        "target": own.target,
        "regret": trial.regret,
        "mean_over_repeats": {"tuned": chosen.mean, "untuned": run.finals[0].mean},
        "prompts_tried": len(tried),
        "proposals_unusable": len(run.trials) - len(tried),
        "windows": [_window(window) for window in own.windows],
        "all_windows": [_window(window) for repeat in run.repeats for window in repeat.windows],
        "lessons": _lessons(own),
        "experts": {"used": len(study.placed.exemplars), "outside": study.placed.outside},
        "seed": study.seed,
        "every": study.brief.every,
        "levels": study.brief.levels,
        "training": {
            one.symbol: {
                "first": f"{one.bars.index[0]:%Y-%m-%d}",
                "last": f"{one.bars.index[-1]:%Y-%m-%d}",
                "bars": len(one.bars),
                "sha256": hash_bars(one.bars),
                "tables_sha256": one.subject.tables.hash,
            }
            for one in study.training
        },
    }


def _trial(chosen: Final) -> Trial:
    assert chosen.trial is not None
    return chosen.trial


def _window(window: Window) -> dict[str, str]:
    dates = window.dates
    return {"symbol": window.symbol, "first": f"{dates[0]:%Y-%m-%d}", "last": f"{dates[-1]:%Y-%m-%d}"}


def _lessons(repeat: Repeat) -> dict[str, Any]:
    lessons = repeat.lessons
    groups: Sequence[dict[str, Any]] = [group._asdict() for group in lessons.groups]
    return {
        "exemplars": lessons.exemplars,
        "unusable": lessons.unusable,
        "grouped_by": METHOD,
        "groups": groups,
        "scores": dict(lessons.scores),
    }


def _plain(text: str) -> str:
    """Return a name without what would end a comment."""
    return "".join(character for character in text if character not in "{}#%" and character.isprintable())
