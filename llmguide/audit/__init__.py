"""Does a strategy, a rule or an indicator use the future? It works on any code, written for llmguide or not.

    from llmguide.audit import assert_no_lookahead

    def test_my_strategy_does_not_look_ahead(bars):
        assert_no_lookahead(MyStrategy, bars)

`llmguide.audit(code, bars)` returns what was found. docs/audit.md lists what is found, and what cannot be.

| module | what it holds |
|---|---|
| auditing | the audit: which runs, and what follows from them |
| planning, futures | at which bars the future begins, and what it is made of |
| cerebro, naming, feeds | a run of Backtrader, recorded |
| functions | what a function of the bars returned, as lines |
| tracing | one run, of whatever it is |
| trace, comparing | what a run reported, and where two differ |
| isolation | each run in a process of its own |
| loading | the code in a file or module |
| result | what was found |
| asserting, pytest_plugin | for tests |
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from llmguide.audit.asserting import assert_no_lookahead
from llmguide.audit.auditing import Audit, audit, audit_trace
from llmguide.audit.futures import Table
from llmguide.audit.result import AuditResult, Drift, FailedRun, Fills, Finding
from llmguide.errors import AuditError

__all__ = [
    "Audit",
    "AuditError",
    "AuditResult",
    "Drift",
    "FailedRun",
    "Fills",
    "Finding",
    "Table",
    "assert_no_lookahead",
    "audit",
    "audit_trace",
]


class _Room(ModuleType):
    """This package, which can be called: ``llmguide.audit(code, bars)`` is ``llmguide.audit.audit(code, bars)``.

    Whichever of the two is imported first, `llmguide.audit` is the package; so the package is both.
    """

    def __call__(self, *args: Any, **given: Any) -> AuditResult:
        return audit(*args, **given)


sys.modules[__name__].__class__ = _Room
