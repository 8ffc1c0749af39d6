"""The one door to every provider."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

import llmguide
from llmguide import sample_bars
from llmguide.errors import DataError, GuidanceError
from llmguide.guidance import PROVIDERS, Guidance, controls, guide
from llmguide.guidance.rules import rules


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return sample_bars(years=2, seed=7)


@pytest.fixture
def saved(bars, tmp_path):
    return rules(bars, every=10).save(tmp_path / "table.parquet")


def test_the_default_is_rules(bars):
    assert guide(bars) == guide(bars, "rules") == rules(bars).made_from(bars)
    assert llmguide.guide is guide


def test_every_provider_is_reached_by_its_name_with_its_options(bars, saved):
    table = Guidance.read(saved)
    assert guide(bars, "rules", every=7, first=60) == rules(bars, every=7, first=60).made_from(bars)
    assert guide(bars, "file", source=saved) == guide(bars, "file", source=str(saved)) == table
    assert guide(bars, "file", source=table) == table
    assert guide(bars, "oracle", accuracy=0.7, seed=3, confidence="varying", every=9, first=40) == controls.oracle(
        bars, accuracy=0.7, seed=3, confidence="varying", every=9, first=40
    ).made_from(bars)
    assert guide(bars, "constant", direction=0, confidence=1, every=9) == controls.constant(
        bars, direction=0, confidence=1, every=9
    ).made_from(bars)
    assert guide(bars, "shuffled", seed=4) == controls.shuffled(rules(bars), seed=4).made_from(bars)
    assert guide(bars, "shuffled", seed=4, every=9) == controls.shuffled(rules(bars, every=9), seed=4).made_from(bars)
    assert guide(bars, "shuffled", source=saved) == controls.shuffled(table, seed=0)
    assert guide(bars, "inverted") == controls.inverted(rules(bars)).made_from(bars)
    assert guide(bars, "inverted", source=table) == controls.inverted(table)


def test_every_name_works_and_is_shown_in_the_table(bars, saved):
    for name in set(PROVIDERS) - {"llm", "replay"}:  # they ask a language model: tests/guidance/test_study.py
        table = guide(bars, name, source=saved if name == "file" else None)
        assert len(table) > 0
        assert table.uses_future == (name in ("oracle", "shuffled"))


def test_an_unknown_provider_is_answered_with_the_nearest_and_the_list(bars):
    with pytest.raises(
        GuidanceError, match=r"unknown provider 'oracel'; did you mean 'oracle'.*: rules, llm, replay, file, oracle"
    ):
        guide(bars, "oracel")
    with pytest.raises(
        GuidanceError, match="unknown provider 'gpt'; choose a name or a function: rules, llm, replay, file"
    ):
        guide(bars, "gpt")
    with pytest.raises(GuidanceError, match=r"unknown provider 'local'; a model in a file is LanguageModel\.local\("):
        guide(bars, "local")


@pytest.mark.parametrize(
    ("provider", "options", "message"),
    [
        ("rules", {"seed": 0}, "expected every, first for the provider 'rules', got 'seed', which it would ignore"),
        ("rules", {"source": "x.csv"}, "got 'source'"),
        ("file", {"source": "x.csv", "every": 20}, "expected source for the provider 'file', got 'every'"),
        ("oracle", {"direction": 1}, "got 'direction'"),
        ("constant", {"accuracy": 1.0}, "got 'accuracy'"),
        ("inverted", {"seed": 1}, "got 'seed'"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(bars, provider, options, message):
    with pytest.raises(GuidanceError, match=message):
        guide(bars, provider, **options)


def test_a_schedule_is_refused_beside_a_source(bars, saved):
    with pytest.raises(GuidanceError, match="expected source or every and first, got both"):
        guide(bars, "inverted", source=saved, every=5, first=30)


def test_the_file_provider_needs_its_file(bars, tmp_path):
    with pytest.raises(GuidanceError, match="'file' needs source="):
        guide(bars, "file")
    with pytest.raises(GuidanceError, match="no guidance file at"):
        guide(bars, "file", source=tmp_path / "absent.csv")


@pytest.mark.parametrize("provider", ["file", "shuffled", "inverted"])
def test_a_table_of_another_time_is_refused(bars, provider):
    row = {"direction": 1, "confidence": 3}
    first, last = bars.index[0], bars.index[-1]
    late = Guidance.from_rows([row | {"issued_at": last + pd.Timedelta(hours=1)}])
    with pytest.raises(GuidanceError, match="which no bar can see"):
        guide(bars, provider, source=late)
    early = Guidance.from_rows([row | {"issued_at": first - pd.Timedelta(hours=1)}])
    with pytest.raises(GuidanceError, match="give a later table"):
        guide(bars, provider, source=early)
    with pytest.raises(GuidanceError, match="a table without rows"):
        guide(bars, provider, source=Guidance.from_rows([]))
    for edge in (first, last):
        assert len(guide(bars, provider, source=Guidance.from_rows([row | {"issued_at": edge}]))) == 1


def test_a_function_of_the_bars_is_a_provider(bars):
    def every_day(given: pd.DataFrame) -> Guidance:
        return controls.constant(given, every=1, first=1)

    assert len(guide(bars, every_day)) == len(bars) - 1
    with pytest.raises(GuidanceError, match="expected no option for the provider every_day, got 'seed'"):
        guide(bars, every_day, seed=1)
    with pytest.raises(GuidanceError, match="expected a Guidance from the provider tuple, got tuple"):
        guide(bars, tuple)


def test_bars_must_be_bars():
    with pytest.raises(DataError, match="expected bars with a DatetimeIndex, got str; use read_bars"):
        guide("AAPL.csv")


@pytest.mark.parametrize("provider", ["rules", "constant", "inverted"])
def test_causal_providers_know_nothing_of_the_bars_from_their_date_on(bars, provider):
    changed = bars.copy()
    changed.iloc[230:, :4] *= 0.1
    kept = guide(bars, provider).between(end=bars.index[230])
    assert len(kept) == 11
    assert guide(changed, provider).between(end=bars.index[230]) == kept


def test_the_door_loads_no_indicator_library():
    code = (
        "import sys, llmguide.guidance; sys.exit(any(name in sys.modules for name in ('talib', 'torch', 'backtrader')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
