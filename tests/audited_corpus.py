"""A corpus of strategies, rules and indicators as people write them, half of them tainted, and what the audit says.

    python tests/audited_corpus.py            # the table of docs/audit.md
    python tests/audited_corpus.py NAME ...   # everything about some of them

Each file in tests/audit/corpus says in FOUND_AS what it is to be found as, and in ALSO what is to be told beside; a
file without FOUND_AS is clean.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from llmguide import sample_bars
from llmguide.audit import Audit, AuditResult, Table, audit
from llmguide.audit.loading import load_code

FOLDER = Path(__file__).parent / "audit" / "corpus"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.py")))
CLEAN = "clean"


class Audited(NamedTuple):
    """What a file of the corpus is, and what was found."""

    taint: str
    also: str
    about: str
    result: AuditResult

    @property
    def found_as(self) -> str:
        """The kind of the first finding."""
        kinds = dict.fromkeys(finding.kind for finding in self.result.findings)
        return " and ".join(kinds) or (CLEAN if self.result.exit_code == 0 else "not audited")


def quarterly_news(index: pd.DatetimeIndex) -> pd.DataFrame:
    """Return a surprise for each quarter, published 40 days after its end."""
    periods = pd.date_range(index[0] - pd.Timedelta(days=120), index[-1], freq="QE")
    surprise = np.random.default_rng(3).normal(0.0, 1.0, len(periods))
    return pd.DataFrame({"period": periods, "published": periods + pd.Timedelta(days=40), "surprise": surprise})


def audited(name: str, bars: pd.DataFrame, settings: Audit | None = None) -> Audited:
    """Audit one file of the corpus."""
    code, _ = load_code(str(FOLDER / f"{name}.py"))
    module = sys.modules[code.__module__]
    news = quarterly_news(pd.DatetimeIndex(bars.index))
    tables = {"news": Table(news[news["published"] <= bars.index[-1]], "published")} if "news" in name else {}
    return Audited(
        getattr(module, "FOUND_AS", CLEAN),
        getattr(module, "ALSO", ""),
        (module.__doc__ or "").splitlines()[0],
        audit(code, bars, tables=tables, name=name, settings=settings),
    )


def _row(name: str, one: Audited) -> str:
    found = one.result.findings[0] if one.result.findings else None
    where = f"{found.line}, bar {found.bar}, {found.ahead}" if found else ""
    notes = [fill.kind for fill in one.result.fills]
    notes += ["not reproducible"] if one.result.not_reproducible else []
    notes += ["depends on where history starts"] if one.result.drifts else []
    return f"| {name} | {one.about} | {one.taint} | {one.found_as} | {where} | {', '.join(notes)} |"


def main(names: list[str]) -> None:
    """Print the table, or everything about some."""
    bars = sample_bars(years=2)
    if not names:
        print(
            "| file | what it does | truth | found as | line, first bar, ahead | also reported |\n"
            "|---|---|---|---|---|---|"
        )
    missed = cried = 0
    for name in names or NAMES:
        one = audited(name, bars)
        missed += one.found_as == CLEAN != one.taint
        cried += one.found_as != CLEAN == one.taint
        print(f"{one.result}\n" if names else _row(name, one), flush=True)
    if not names:
        tainted = sum("FOUND_AS" in (FOLDER / f"{name}.py").read_text(encoding="utf-8") for name in NAMES)
        print(f"\n{len(NAMES)} files, {tainted} of them tainted: {missed} missed, {cried} false positives.")


if __name__ == "__main__":
    main(sys.argv[1:])
