"""For tests: fail where code uses the future."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from llmguide.audit.auditing import Audit, audit
from llmguide.audit.futures import Table
from llmguide.audit.result import CLEAN, AuditResult
from llmguide.audit.tracing import Code

__all__ = ["assert_no_lookahead"]


def assert_no_lookahead(
    code: Code,
    bars: pd.DataFrame,
    *,
    tables: Mapping[str, Table] | None = None,
    settings: Audit | None = None,
    **params: Any,
) -> AuditResult:
    """Audit code, and return the result if nothing in it uses the future: for tests.

    Args:
        code: as for `llmguide.audit.audit`.
        bars: as for `llmguide.audit.audit`.
        tables: as for `llmguide.audit.audit`.
        settings: as for `llmguide.audit.audit`.
        params: as for `llmguide.audit.audit`.

    Raises:
        AssertionError: it uses the future, or not all of it could be audited; the message has the first bar, the line
            and both values.
        AuditError: it fails on the bars as they are.
    """
    result = audit(code, bars, tables=tables, settings=settings, **params)
    if result.exit_code != CLEAN:
        raise AssertionError(str(result))
    return result
