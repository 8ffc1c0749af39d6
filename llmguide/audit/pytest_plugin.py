"""The fixture `assert_no_lookahead` for pytest; pytest finds it where llmguide is installed.

def test_my_strategy_does_not_look_ahead(assert_no_lookahead, bars):
    assert_no_lookahead(MyStrategy, bars)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["assert_no_lookahead"]


@pytest.fixture(name="assert_no_lookahead", scope="session")
def assert_no_lookahead() -> Callable[..., Any]:
    """`llmguide.audit.assert_no_lookahead`."""
    from llmguide.audit import assert_no_lookahead as function  # Backtrader is loaded by the tests that use it

    return function
