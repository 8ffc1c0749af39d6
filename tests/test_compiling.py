"""Compiled code is kept where it can be, and nothing about its folder stops a call."""

from __future__ import annotations

import numba.core.caching as caching
import pytest

from llmguide.compiling import njit


def double(x):
    return 2.0 * x


def test_without_a_folder_that_can_be_written_functions_are_compiled_all_the_same(monkeypatch):
    def refused(self):
        raise PermissionError(13, "Permission denied", self.get_cache_path())

    for kind in vars(caching).values():
        if isinstance(kind, type) and issubclass(kind, caching._CacheLocator):
            monkeypatch.setattr(kind, "ensure_cache_path", refused)
    with pytest.raises(RuntimeError, match="no locator"):
        caching.FunctionCache(double)
    assert njit(cache=True)(double)(3.0) == 6.0


def test_a_damaged_index_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(caching.config, "CACHE_DIR", str(tmp_path))
    assert njit(cache=True)(double)(3.0) == 6.0
    (index,) = tmp_path.rglob("*.nbi")
    index.write_bytes(b"not a pickle")
    assert njit(cache=True)(double)(3.0) == 6.0
    again = njit(cache=True)(double)
    assert again(3.0) == 6.0
    assert sum(again.stats.cache_hits.values()) == 1


def test_a_folder_that_cannot_be_written_later_on_stops_no_call(tmp_path, monkeypatch):
    monkeypatch.setattr(caching.config, "CACHE_DIR", str(tmp_path))
    compiled = njit(cache=True)(double)

    def refused(self, *given):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", refused)
    assert compiled(3.0) == 6.0
