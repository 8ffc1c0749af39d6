"""Write what tuning found into its folder.

tuned.md     the template: `--prompt FOLDER/tuned.md`; a base of the user's own lies beside it
tuned.json   its pedigree
tuning.html  the page to read
tuning.json  settings, the result in a few sentences, counts
rounds.csv   every round of every repeat: what was written, V_t, V*, the regret, the judge's criticism
finals.csv   the best prompt of each repeat, and the untuned one, in every year that was drawn
test.csv     the tuned prompt, the untuned one and holding, on the test bars

A file that there is nothing for is removed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from llmguide.errors import GuidanceError
from llmguide.files import write_csv, write_json, write_text
from llmguide.guidance.tuning.lessons import METHOD
from llmguide.llm.templates import prompt_version
from llmguide.report.tuning_page import Gain, TuningData, Year, summary, write_tuning_page
from llmguide.sandbox import packaged_texts

if TYPE_CHECKING:
    from llmguide.experiments.tuning.proof import Proof
    from llmguide.experiments.tuning.result import TuningResult

__all__ = ["page_data", "write_tuned"]

PAGE = "tuning.html"


def write_tuned(tuned: TuningResult, folder: Path) -> Path:
    """Write everything (see the module) and return the path of the page; files of an earlier tuning are replaced."""
    for name in ("tuned.md", "tuned.json", "test.csv"):
        (folder / name).unlink(missing_ok=True)
    if tuned.template is not None:
        _write_template(tuned, folder)
        write_json(folder / "tuned.json", finite(tuned.pedigree))
    write_csv(tuned.rounds, folder / "rounds.csv")
    write_csv(tuned.finals, folder / "finals.csv")
    if tuned.proof is not None:
        write_csv(tuned.proof.table, folder / "test.csv")
    data = page_data(tuned)
    write_json(folder / "tuning.json", finite({**data.settings, "summary": summary(data)}))
    return write_tuning_page(data, folder / PAGE)


def page_data(tuned: TuningResult) -> TuningData:
    """Return what the page shows."""
    chosen, deflated = tuned.run.chosen, tuned.deflated
    years = [
        Year(
            repeat.number,
            tuple(f"{one.symbol} {one.dates[0]:%Y-%m-%d} to {one.dates[-1]:%Y-%m-%d}" for one in repeat.windows),
            repeat.lessons.exemplars,
            repeat.lessons.unusable,
            tuple((group.rationale, group.size, group.long) for group in repeat.lessons.groups),
            repeat.lessons.features,
        )
        for repeat in tuned.run.repeats
    ]
    return TuningData(
        rounds=tuned.rounds,
        finals=tuned.finals,
        years=years,
        base=prompt_version(tuned.run.study.template),
        text=tuned.text,
        chosen="" if chosen is None else tuned.name(chosen),
        deflated=float("nan") if deflated is None else deflated.probability,
        test=None if tuned.proof is None else _gain(tuned.proof, tuned.account.cash),
        settings=tuned.settings,
        grouped_by=METHOD,
    )


def _gain(proof: Proof, cash: float) -> Gain:
    values: dict[str, pd.DataFrame] = {}
    for account in dict.fromkeys(proof.table["account"]):
        own = [one.rename(symbol) for (symbol, name), one in proof.returns.items() if name == account]
        values[str(account)] = cash * (1.0 + pd.concat(own, axis=1, join="inner")).cumprod()
    found = proof.difference
    return Gain(
        found.estimate, found.low, found.high, found.level, proof.bars, proof.p, proof.verdict, proof.table, values
    )


def finite(value: Any) -> Any:
    """Return a value for JSON, in which NaN is null."""
    if isinstance(value, dict):
        return {str(key): finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    return json.loads(json.dumps(value, default=float))


def _write_template(tuned: TuningResult, folder: Path) -> None:
    """Write the template, and beside it those that it extends and that are not llmguide's."""
    assert tuned.template is not None
    own = packaged_texts("llmguide.llm.prompts")
    for name, text in tuned.template.texts:
        if name in own:
            continue
        if Path(name).name != name:
            raise GuidanceError(
                f"the prompt {tuned.run.study.template} extends {name}, which is not in the same folder; move it there"
            )
        write_text(folder / name, text)
