"""What was spent, by whom and on what, and what is not known of it."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.llm.cache import Cache
from llmguide.llm.ledger import Ledger, Purpose, Spending
from llmguide.llm.prices import Price, Prices
from llmguide.llm.protocol import Message, Request, Sampling, Usage

PRICES = Prices({"m": Price(10.0, 5.0, 20.0)})
APPLE = Purpose("study", "strategist", "AAPL", "P4", "2018-02-01")


@pytest.fixture
def ledger(tmp_path: Path):
    with Cache(tmp_path / "cache.sqlite") as cache:
        yield Ledger(cache)


def record(ledger: Ledger, usage: Usage | None, purpose: Purpose = APPLE, *, model: str = "m", **changes) -> None:
    request = Request(model, (Message("user", "Which way?"),), "K", "{}", Sampling(max_tokens=1000))
    fields = {"endpoint": "here", "seconds": 2.0, "outcome": "ok", "usage": usage, **changes}
    ledger.record(purpose, request, **fields)


def test_an_empty_ledger_has_spent_nothing(ledger: Ledger):
    assert ledger.spent("study", PRICES) == Spending()
    assert ledger.charged("study", PRICES) == 0.0
    assert ledger.summary(PRICES).empty
    assert ledger.frame().empty


def test_sums_of_a_study_worked_by_hand(ledger: Ledger):
    record(ledger, Usage(1000, 400, 50, 10))
    record(ledger, Usage(2000, 0, 30, 0))
    record(ledger, Usage(9999, 0, 99, 0), APPLE._replace(study="another"))
    dollars = (600 * 10 + 400 * 5 + 50 * 20 + 2000 * 10 + 30 * 20) / 1e6
    spent = ledger.spent("study", PRICES)
    assert spent == Spending(2, 3000, 400, 80, 10, 4.0, pytest.approx(dollars), 0)
    assert ledger.charged("study", PRICES) == pytest.approx(dollars)
    assert ledger.spent(None, PRICES).calls == 3


def test_one_unknown_count_makes_its_sum_and_the_dollars_unknown(ledger: Ledger):
    record(ledger, Usage(1000, None, 50, None))
    spent = ledger.spent("study", PRICES)
    assert spent[:5] == (1, 1000, None, 50, None)
    assert spent.dollars == pytest.approx(0.011)  # where it is not said what was cached, nothing was
    record(ledger, Usage(None, None, 50, None))
    assert ledger.spent("study", PRICES)[:3] == (2, None, None)
    assert ledger.spent("study", PRICES).dollars is None


def test_a_budget_is_charged_the_most_that_an_unknown_count_can_be(ledger: Ledger):
    record(ledger, Usage())
    charged = ledger.charged("study", PRICES)
    assert charged is not None
    assert charged >= (len("Which way?") * 10 + 1000 * 20) / 1e6


def test_an_unknown_price_makes_the_dollars_unknown(ledger: Ledger):
    record(ledger, Usage(1000, 0, 50, 0))
    record(ledger, Usage(1, 0, 1, 0), model="another")
    assert ledger.spent("study", PRICES).dollars is None
    assert ledger.charged("study", PRICES) is None


def test_a_call_without_an_answer_is_counted_and_costs_nothing(ledger: Ledger):
    record(ledger, None, outcome="EndpointError", seconds=60.0)
    assert ledger.spent("study", PRICES) == Spending(0, 0, 0, 0, 0, 60.0, 0.0, failed=1)
    assert ledger.charged("study", PRICES) == 0.0
    record(ledger, Usage(1000, 0, 50, 0))
    assert ledger.spent("study", PRICES) == Spending(1, 1000, 0, 50, 0, 62.0, pytest.approx(0.011), failed=1)
    assert ledger.summary(PRICES)[["calls", "failed", "unusable"]].values.tolist() == [[1, 1, 0]]


def test_the_frame_says_everything_of_a_call(ledger: Ledger):
    record(ledger, Usage(1000, None, 50, 0), outcome="TruncatedError", note="2 headlines flagged")
    (row,) = ledger.frame("study").to_dict("records")
    assert pd.Timestamp.now("UTC") - row["time"] < pd.Timedelta(minutes=1)
    wanted = {"role": "strategist", "instrument": "AAPL", "prompt": "P4", "issued_at": "2018-02-01", "model": "m"}
    wanted |= {"endpoint": "here", "answered": True, "prompt_tokens": 1000, "completion_tokens": 50, "seconds": 2.0}
    wanted |= {"outcome": "TruncatedError", "note": "2 headlines flagged", "study": "study"}
    assert wanted.items() <= row.items()
    assert pd.isna(row["cached_tokens"])
    assert ledger.frame("none").empty


def test_the_summary_is_by_instrument_and_prompt(ledger: Ledger, tmp_path: Path):
    for month in ("2018-02-01", "2018-03-01"):
        record(ledger, Usage(8000, 0, 300, 0), APPLE._replace(issued_at=month))
        record(ledger, Usage(2000, None, 100, None), APPLE._replace(issued_at=month, prompt="P0"))
        record(ledger, Usage(500, 0, 60, 0), APPLE._replace(issued_at=month, role="analyst", prompt=""))
    record(ledger, Usage(8000, 0, 0, 0), outcome="RefusedError")
    record(ledger, Usage(10, 0, 1, 0), Purpose("study", "probe"))
    record(ledger, Usage(10, 0, 1, 0), APPLE._replace(instrument="MSFT"), model="unpriced")

    table = ledger.summary(PRICES, "study").set_index(["instrument", "prompt"])
    assert list(table.index) == [("", ""), ("AAPL", ""), ("AAPL", "P0"), ("AAPL", "P4"), ("MSFT", "P4")]
    final = table.loc[("AAPL", "P4")]
    assert final[["months", "calls", "failed", "unusable", "prompt_tokens"]].tolist() == [2, 3, 0, 1, 24000]
    assert final["tokens_per_month"] == (24000 + 600) / 2
    assert final["dollars"] == pytest.approx((24000 * 10 + 600 * 20) / 1e6)
    assert table.loc[("AAPL", "P0"), "cached_tokens"] is pd.NA
    assert table.loc[("AAPL", ""), "calls"] == 2
    assert math.isnan(table.loc[("MSFT", "P4"), "dollars"])

    path = ledger.write_costs(tmp_path / "run" / "llm_costs.csv", PRICES, "study")
    lines = path.read_text().splitlines()
    assert lines[0] == ",".join(ledger.summary(PRICES).columns)
    assert lines[-1].endswith(",")  # unknown dollars are empty, not 0


counts = st.none() | st.integers(0, 10**6)
usages = st.none() | st.builds(Usage, counts, counts, counts, counts)


@given(st.lists(st.tuples(usages, st.sampled_from(["m", "free", "unpriced"])), max_size=8))
def test_the_sums_equal_those_made_call_by_call(tmp_path_factory, calls):
    prices = Prices({"m": Price(10.0, 5.0, 20.0), "free": Price(0.0, 0.0, 0.0)})
    with Cache(tmp_path_factory.mktemp("ledger") / "cache.sqlite") as cache:
        ledger = Ledger(cache)
        for usage, model in calls:
            record(ledger, usage, model=model)
        spent = ledger.spent("study", prices)
    answered = [(usage, model) for usage, model in calls if usage is not None]
    dollars = [prices.dollars(model, usage) for usage, model in answered]
    assert spent.calls == len(answered)
    assert spent.failed == len(calls) - len(answered)
    assert spent.dollars == (None if None in dollars else pytest.approx(sum(dollars)))
    for name, total in (("prompt", spent.prompt_tokens), ("completion", spent.completion_tokens)):
        listed = [getattr(usage, name) for usage, _ in answered]
        assert total == (None if None in listed else sum(listed))
