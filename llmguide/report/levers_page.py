"""The page of a study of levers: what each changes, beside the published settings, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide.counting import counted
from llmguide.files import write_text
from llmguide.report.html import document, items, number, paragraph, percent, section, table

__all__ = ["MEASURE_NAMES", "LeversData", "render_levers_page", "summary", "write_levers_page"]

MEASURE_NAMES = {
    "sr": "Sharpe ratio",
    "mdd": "max drawdown",
    "train_sr": "Sharpe ratio, train",
    "agreement_test": "agrees, test",
    "agreement_train": "agrees, train",
    "changed_inverted": "changes if inverted",
    "changed_permuted": "changes if permuted",
    "flat": "flat",
}
_SHARES = ("agreement_test", "agreement_train", "changed_inverted", "changed_permuted", "flat")


@dataclass(frozen=True, eq=False)
class LeversData:
    """What the page shows (see `llmguide.experiments.levers.LeverStudy` for the frames)."""

    table: pd.DataFrame
    differences: pd.DataFrame
    instruments: pd.DataFrame
    words: Mapping[str, str]
    settings: Mapping[str, Any]


def write_levers_page(data: LeversData, path: Path | str) -> Path:
    """Write the page as one self-contained HTML file, atomically; return the path."""
    return write_text(path, render_levers_page(data))


def render_levers_page(data: LeversData) -> str:
    """The page as HTML."""
    return document("Levers of training", "\n".join(_parts(data)))


def summary(differences: pd.DataFrame) -> str:
    """Which levers raise or lower the Sharpe ratio on the test bars, in a sentence or two."""
    found = differences[differences["measure"] == "sr"]
    told = {verdict: list(found["lever"][found["verdict"] == verdict]) for verdict in ("higher", "lower", "open")}
    words = {
        "higher": "higher test Sharpe ratio",
        "lower": "lower test Sharpe ratio",
        "open": "no significant difference",
    }
    return "; ".join(f"{', '.join(names)}: {words[verdict]}" for verdict, names in told.items() if names) + "."


def _parts(data: LeversData) -> Iterator[str]:
    settings = data.settings
    accuracy = settings["accuracy"]
    if settings["uses_future"]:
        yield paragraph(
            f"The guidance is perfect foresight, right in each month with probability {percent(accuracy, 0)}: "
            "it was made with knowledge of later bars. This is a control and never a result.",
            "warning",
        )
    yield paragraph(summary(data.differences), "lead")
    whose = "by rules" if accuracy is None else "of a known accuracy"
    yield paragraph(
        f"{counted(len(settings['symbols']), 'instrument')}, {counted(len(settings['seeds']), 'seed')}, "
        f"{counted(settings['episodes'], 'episode')}, guidance {whose}. Every agent observes the guidance; "
        "agents of a lever differ from the published ones in nothing else. They are compared on test bars: "
        "choosing a lever from this page is tuning on the test set."
    )
    yield items(f"{name}: {words}." for name, words in data.words.items())
    yield section("What each lever changes", "differences")
    yield paragraph(
        "Each lever minus the published settings, for the same instrument and seed; mean over seeds, then "
        "over instruments. The 95 % interval is over instruments; the wider one holds for all levers jointly. "
        "A difference is significant if the wider interval excludes 0 and there are ten instruments or more."
    )
    yield table(
        ["lever", "measure", "difference", "95 %", "95 %, all levers", "instruments", "significant"],
        [_difference(row) for row in data.differences.to_dict("records")],
    )
    yield section("Means over instruments", "means")
    yield table(
        ["lever", *MEASURE_NAMES.values()],
        [[str(name), *_values(row)] for name, row in zip(data.table.index, data.table.to_dict("records"), strict=True)],
    )
    yield section("By instrument", "instruments")
    yield table(
        ["instrument", "lever", *MEASURE_NAMES.values()],
        [[str(row["symbol"]), str(row["lever"]), *_values(row)] for row in data.instruments.to_dict("records")],
    )


def _values(row: Mapping[Any, Any]) -> list[str]:
    return [_value(name, row[name]) for name in MEASURE_NAMES]


def _value(measure: str, value: float) -> str:
    return percent(value) if measure in _SHARES else number(value)


def _difference(row: Mapping[Any, Any]) -> list[str]:
    measure = str(row["measure"])
    bounds = [
        f"{_value(measure, row[low])} to {_value(measure, row[high])}"
        for low, high in (("low", "high"), ("low_all", "high_all"))
    ]
    verdict = "" if row["verdict"] == "open" else str(row["verdict"])
    name = MEASURE_NAMES[measure]
    return [str(row["lever"]), name, _value(measure, row["difference"]), *bounds, str(row["instruments"]), verdict]
