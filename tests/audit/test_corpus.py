"""Every file of the corpus is found as what it is: none missed, none cried at."""

from __future__ import annotations

import runpy

import pytest
from audited_corpus import CLEAN, FOLDER, NAMES, audited

from llmguide import sample_bars

QUICK = (
    "sma_cross",
    "random_unseeded",
    "talib_momentum",
    "buys_once_at_the_start",
    "close_of_the_next_bar",
    "closes_on_the_last_bar",
    "news_by_period",
)
TAINTED = {name for name in NAMES if "FOUND_AS" in (FOLDER / f"{name}.py").read_text(encoding="utf-8")}


@pytest.fixture(scope="module")
def bars():
    return sample_bars(years=2)


def test_half_of_the_corpus_is_tainted():
    assert len(NAMES) >= 50
    assert 0.4 < len(TAINTED) / len(NAMES) < 0.6


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else (pytest.mark.slow,)) for name in NAMES]
)
def test_it_is_found_as_what_it_is(name, bars):
    if name.startswith("vectorbt"):  # its kernels are compiled here, once, and not in each of the audit's forks
        runpy.run_path(str(FOLDER / f"{name}.py"))["signals"](bars)
    one = audited(name, bars)
    assert one.found_as == one.taint, str(one.result)
    assert one.result.exit_code == (0 if one.taint == CLEAN else 1)
    assert ",".join(fill.kind for fill in one.result.fills) == one.also
    assert bool(one.result.not_reproducible) == ("unseeded" in name)
