"""At which bars the future begins."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from llmguide import sample_bars
from llmguide.audit.planning import plan
from llmguide.audit.trace import OPENING, ORDERS, Event, Trace

INDEX = pd.DatetimeIndex(sample_bars(years=2).index)
STAMPS = INDEX.to_numpy().astype("datetime64[us]")


def sent(bar, side, channel=ORDERS):
    return Event(STAMPS[bar], STAMPS[bar], channel, (side, 1.0, "data0"))


@given(cuts=st.integers(1, 40), seed=st.integers(0, 9))
def test_there_are_as_many_futures_as_asked_for_all_different_and_each_with_a_later_bar(cuts, seed):
    futures = plan(Trace(events=(sent(200, "buy"), sent(300, "sell"))), INDEX, cuts=cuts, seed=seed)
    assert len({(future.t, future.how) for future in futures}) == cuts
    assert all(len(INDEX) // 4 <= future.t <= len(INDEX) - 2 for future in futures)
    assert futures == plan(Trace(events=(sent(200, "buy"), sent(300, "sell"))), INDEX, cuts=cuts, seed=seed)


def test_prices_fall_after_a_purchase_and_rise_after_a_sale():
    base = Trace(events=(sent(200, "buy"), sent(300, "sell")))
    first, second, *_ = plan(base, INDEX, cuts=8, seed=0)
    assert {(first.t, first.how), (second.t, second.how)} == {(200, "lowered"), (300, "raised")}


def test_a_signal_is_tried_where_it_changes_and_the_bars_end_on_ends_of_months_too():
    long = np.zeros(len(INDEX))
    long[250:260] = 1.0
    futures = plan(
        Trace(stamps=STAMPS, lines={"long": long, "close": np.arange(len(INDEX)) * 1.0}), INDEX, cuts=8, seed=1
    )
    assert {future.t for future in futures[:2]} <= {250, 260}
    (cut,) = [future for future in futures[:3] if future.how == "cut"]
    assert INDEX[cut.t].month != INDEX[cut.t + 1].month


def test_an_order_at_the_open_is_tried_before_its_bar_with_its_open_kept():
    futures = plan(Trace(events=(sent(200, "buy", OPENING),)), INDEX, cuts=8, seed=0)
    assert futures[0][:2] == (199, "lowered")
    assert futures[0].keep_open
    assert any(not future.keep_open for future in futures)
