"""What the Strategist is told about its last decisions."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

from llmguide.guidance.advice import Advice, FeatureUse, StrategistReply
from llmguide.guidance.memory import recall
from llmguide.llm.ledger import Spending

DAYS = pd.bdate_range("2018-01-01", periods=10)
CLOSE = [100.0, 110.0, 121.0, 100.0, 100.0, 50.0, 75.0, 60.0, 66.0, 33.0]


def bars(until):
    return pd.DataFrame({"close": CLOSE[:until]}, index=DAYS[:until])


def advice(bar, direction="LONG", text="Because."):
    reply = None
    if direction is not None:
        use = FeatureUse(name="rsi", direction="SHORT", weight=3)
        reply = StrategistReply(explanation=text, features=[use], direction=direction, confidence=2)
    stamp = DAYS[bar].to_pydatetime()
    nothing = dict.fromkeys(("entropy", "perplexity", "direction_entropy", "confidence_entropy"))
    texts = dict.fromkeys(("failure", "news_note", "provider", "model", "fingerprint", "prompt_hash"), "")
    return Advice("A", "P2", stamp, (), (), reply=reply, **nothing, **texts, cost=Spending())


def test_returns_run_from_the_bar_of_issue_to_the_next_issue_and_then_to_the_last_known_close():
    newest, older, oldest = recall([advice(0), advice(2, "SHORT"), advice(5, "SHORT")], bars(8), last=3)
    assert (newest.price_return, newest.advice_return) == ("+20.0 %", "-20.0 %")  # 50 to 60, short
    assert (older.price_return, older.advice_return) == ("-58.7 %", "+58.7 %")  # 121 to 50
    assert (oldest.price_return, oldest.advice_return) == ("+21.0 %", "+21.0 %")  # 100 to 121
    assert [one.ago for one in (newest, older, oldest)] == ["The last one", "2 decisions ago", "3 decisions ago"]


def test_only_as_many_as_wanted_are_remembered_the_newest_first():
    past = [advice(bar, text=f"At {bar}.") for bar in (0, 2, 4)]
    assert [one.explanation for one in recall(past, bars(8), last=2)] == ["At 4.", "At 2."]
    assert recall(past, bars(8), last=0) == []
    assert recall([], bars(8), last=3) == []


def test_what_was_relied_on_is_told_with_direction_and_weight():
    (only,) = recall([advice(1)], bars(4), last=3)
    assert only.features == "rsi (SHORT, 3)"
    assert (only.direction, only.confidence) == ("LONG", 2)


def test_an_abstention_is_remembered_without_a_direction():
    (only,) = recall([advice(1, None)], bars(4), last=3)
    assert (only.direction, only.explanation, only.price_return) == ("", "", "-9.1 %")


def test_no_date_and_nothing_that_was_hidden_comes_back():
    (only,) = recall(
        [advice(1, text="ACME rises.")], bars(4), last=1, anonymise=lambda text: text.replace("ACME", "It")
    )
    assert only.explanation == "It rises."
    assert not any("2018" in str(value) for value in only)


@pytest.mark.parametrize("until", [4, 6])
def test_bars_after_the_last_known_one_play_no_part(until):
    past = [advice(0), advice(2)]
    assert recall(past, bars(until), last=2) == recall(past, bars(10).iloc[:until], last=2)
    assert datetime(2018, 1, 1) == past[0].issued_at
