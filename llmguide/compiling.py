"""numba's `njit`, whose cache of compiled code may fail without anybody noticing more than time.

numba keeps compiled code beside the sources, in the user's cache folder or in ``NUMBA_CACHE_DIR``. Where none of them
can be written, its ``cache=True`` is an error at import; where a file in it is damaged, at the first call. Here code is
then compiled anew in each process (some seconds), which gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

__all__ = ["njit"]

Function = TypeVar("Function", bound=Callable[..., Any])


def njit(*, cache: bool, **options: Any) -> Callable[[Function], Function]:
    """Return numba's decorator with these options; `cache` keeps compiled code for other processes where that works."""

    def decorate(function: Function) -> Function:
        compiled: Any = numba.njit(**options)(function)
        if cache and hasattr(compiled, "_cache"):  # not where NUMBA_DISABLE_JIT leaves plain functions
            make_cache: Any = _OptionalCache
            with suppress(RuntimeError, OSError):  # numba found no folder that it can write
                compiled._cache = make_cache(function)
        decorated: Function = compiled
        return decorated

    return decorate


class _OptionalCache(FunctionCache):
    """numba's cache, except that nothing in its folder can stop a call."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:  # damaged files raise whatever unpickling them comes upon
            with suppress(Exception):
                self.flush()  # type: ignore[no-untyped-call]  # else the damaged index would be in the way of every later save
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError, EOFError, ValueError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
