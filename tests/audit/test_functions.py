"""What functions of the bars may return."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from llmguide import sample_bars
from llmguide.audit.functions import trace_values
from llmguide.errors import AuditError

BARS = sample_bars(years=1)
UP = BARS["close"].diff() > 0


@pytest.mark.parametrize(
    ("returned", "names"),
    [
        (BARS["close"], ["close"]),
        (BARS["close"].rename(None), ["signal"]),
        ((UP, ~UP), ["entries", "exits"]),
        (
            (UP.to_numpy(), (~UP).to_numpy(), UP.to_numpy(), UP.to_numpy()),
            ["entries", "exits", "short_entries", "short_exits"],
        ),
        ((BARS["close"], BARS["open"]), ["close", "open"]),
        ((BARS["close"], BARS["close"], None), ["[0]", "[1]"]),
        (BARS[["close", "open"]], ["close", "open"]),
        ({"a": UP, "b": {"c": BARS["close"]}}, ["a", "b.c"]),
        (np.ones((len(BARS), 2)), ["signal[0]", "signal[1]"]),
        (UP.to_list(), ["signal"]),
    ],
)
def test_each_has_a_name_and_a_value_for_each_bar(returned, names):
    trace = trace_values(returned, BARS)
    assert list(trace.lines) == names
    assert all(line.shape == (len(BARS),) and line.dtype == np.float64 for line in trace.lines.values())


def test_values_are_laid_onto_the_bars_by_date_and_what_is_missing_is_no_value():
    line = trace_values(BARS["close"].iloc[10:-1], BARS).lines["close"]
    assert np.isnan(line[:10]).all()
    assert np.isnan(line[-1])
    np.testing.assert_array_equal(line[10:-1], BARS["close"].iloc[10:-1])


def test_texts_are_events():
    events = trace_values(pd.Series(np.where(UP, "long", None), index=BARS.index, name="advice"), BARS).events
    assert len(events) == UP.sum()
    assert {event.values for event in events} == {("long",)}


@pytest.mark.slow  # compiles vectorbt's kernels
def test_results_of_vectorbt_are_read():
    vbt = pytest.importorskip("vectorbt")
    assert list(trace_values(vbt.MA.run(BARS["close"], 5), BARS).lines) == ["ma"]
    flow = trace_values(vbt.Portfolio.from_signals(BARS["close"], UP, ~UP, freq="1D"), BARS).lines
    assert list(flow) == ["shares"]
    assert np.count_nonzero(flow["shares"]) > 10


@pytest.mark.parametrize("returned", [3.0, np.ones(7), BARS["close"].reset_index(drop=True).iloc[:5], "long"])
def test_what_has_no_value_for_each_bar_is_refused(returned):
    with pytest.raises(AuditError, match="a value for each bar"):
        trace_values(returned, BARS)
