"""What the options name, read: bars, tables of guidance, lists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmguide.errors import DataError, GuidanceError, LlmguideError

if TYPE_CHECKING:
    import pandas as pd

    from llmguide.guidance import Guidance

__all__ = ["day", "find_guidance", "parse_seeds", "read_history", "refuse_models", "split_names"]


def parse_seeds(text: str) -> int | list[int]:
    """Return a number of runs, or the list of seeds."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        message = f"--seeds is a number of runs, or seeds separated by commas as in 0,3,7; got {text!r}"
        raise LlmguideError(message) from None
    return numbers if "," in text else numbers[0]


def split_names(text: str | None) -> list[str] | None:
    """Return the names in a list separated by commas."""
    return None if text is None else [name.strip() for name in text.split(",")]


def read_history(files: list[Path], *, said: bool = False) -> pd.DataFrame:
    """Return the bars of several files as one history; `said`: what is unusual in them has been told already."""
    import pandas as pd

    from llmguide.bars import inspect_bars, read_bars

    frames = [inspect_bars(path)[0] if said else read_bars(path) for path in files]
    for before, after, path in zip(frames, frames[1:], files[1:], strict=False):
        if not before.index[-1] < after.index[0]:
            ends = day(before, -1)
            raise DataError(f"{path} begins on {day(after, 0)}, but the file in front of it ends on {ends}; order them")
    return pd.concat(frames)


def find_guidance(bars: pd.DataFrame, file: Path | None, provider: str | None) -> Guidance:
    """Return the table of a file, or make one."""
    from llmguide.guidance import guide as make

    if file is not None and provider is not None:
        raise GuidanceError("give either --guidance FILE or --provider NAME, not both")
    refuse_models(provider)
    return make(bars, "file", source=file) if file is not None else make(bars, provider or "rules")


def refuse_models(provider: str | None) -> None:
    """Raise GuidanceError for a language model where its settings cannot be given."""
    if provider in ("llm", "replay"):
        raise GuidanceError(
            f"ask a language model first, with `llmguide guide --provider {provider}`, which takes its settings; then "
            "give what it wrote with --guidance"
        )


def day(frame: pd.DataFrame, row: int) -> str:
    return f"{frame.index[row]:%Y-%m-%d}"
