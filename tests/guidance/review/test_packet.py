"""What is kept of a run, which of it is reviewed, and in which order."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from made_advice import abstention, advice, market, study
from made_review import MARKETS, kept, packet

from llmguide.errors import GuidanceError
from llmguide.guidance import guide
from llmguide.guidance.review.kept import keep, read_kept, write_kept
from llmguide.guidance.review.packet import Packet, choose
from llmguide.llm.protocol import Message

BARS = {one.symbol: one.bars for one in MARKETS}


def test_a_month_keeps_question_answer_and_outcome():
    one = MARKETS[0]
    day = one.test.index[30].to_pydatetime()
    (month,) = keep([advice("AAPL", "P4", day), abstention("AAPL", "P1", day)], BARS)
    close = one.bars["close"]
    at = close.index.get_loc(day)
    assert month.realised == pytest.approx(close.iloc[at + 20] / close.iloc[at] - 1)
    assert (month.direction, month.prompt, month.horizon) == (1, "P4", 20)
    assert [message.role for message in month.question] == ["system", "user"]


def test_the_label_in_hindsight_is_that_of_the_oracle_and_missing_where_the_bars_end():
    one = MARKETS[0]
    made = [advice("AAPL", "P1", day.to_pydatetime()) for day in one.bars.index[30::20]]
    found = {month.issued_at: month.hindsight for month in keep(made, BARS)}
    oracle = {row.issued_at: row.direction for row in guide(one.bars, "oracle").rows}
    assert found.keys() == oracle.keys()
    known = {day: label for day, label in found.items() if label is not None}
    assert known == {day: oracle[day] for day in known}
    last = one.bars.index[-20].to_pydatetime()  # its label would need a bar more
    assert [day for day in found if found[day] is None] == [day for day in found if day >= last]


def test_outcomes_are_of_later_bars_only_up_to_their_horizon():
    one = MARKETS[0]
    day = one.bars.index[100]
    changed = one.bars.copy()
    changed.iloc[121:] *= 0.5
    before, after = (keep([advice("AAPL", "P1", day.to_pydatetime())], {"AAPL": bars}) for bars in (one.bars, changed))
    assert before == after


def test_a_repeated_question_is_kept_without_the_first_answer():
    day = MARKETS[0].test.index[30].to_pydatetime()
    once = advice("AAPL", "P1", day)
    said = (Message("assistant", '{"direction": "SHORT"'), Message("user", "That reply cannot be used."))
    for more in (said, said[1:]):  # what was cut off is not sent again
        again = dataclasses.replace(once, messages=(*once.messages, *more))
        assert keep([again], BARS)[0].question == once.messages


def test_advice_without_its_bars_is_refused():
    day = MARKETS[0].test.index[30].to_pydatetime()
    with pytest.raises(GuidanceError, match="expected bars of NONE with one of"):
        keep([advice("NONE", "P1", day)], BARS)
    with pytest.raises(GuidanceError, match="expected bars of AAPL with one of 2030-01-01"):
        keep([advice("AAPL", "P1", pd.Timestamp("2030-01-01"))], BARS)


def test_what_is_written_is_read_and_shared_texts_are_there_once(tmp_path):
    months = kept()
    path = write_kept(months, tmp_path / "advice.json")
    assert read_kept(path) == read_kept(tmp_path) == months
    system = months[0].question[0].content
    assert path.read_text().count(json.dumps(system)) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not readable as JSON"),
        ("[]", "holds no advice of a run"),
        ('{"format": "llmguide advice 2", "texts": [], "months": []}', "holds no advice of a run"),
        ('{"format": "llmguide advice 1", "texts": [], "months": [{"question": [["user", 3]]}]}', "holds no advice"),
        ('{"format": "llmguide advice 1", "texts": ["x"], "months": [{"question": [["user", 0]]}]}', "month 1: id: "),
    ],
)
def test_another_file_is_refused_by_name(tmp_path, text, says):
    (tmp_path / "advice.json").write_text(text)
    with pytest.raises(GuidanceError, match=says):
        read_kept(tmp_path)
    with pytest.raises(GuidanceError, match=r"there is no file .*llmguide prompts"):
        read_kept(tmp_path / "nothing")


def test_ids_name_neither_instrument_nor_date_and_differ():
    months = kept()
    assert len({month.id for month in months}) == len(months)
    assert all(len(month.id) == 12 and int(month.id, 16) >= 0 for month in months)


@pytest.mark.parametrize("seed", range(8))
def test_a_packet_is_even_over_instruments_and_prompts_and_asks_each_month_once(seed):
    found = packet(13, seed, prompts=("P0", "P1", "P4")).months
    assert len(found) == 13
    assert len({(month.symbol, month.issued_at) for month in found}) == 13
    for name in ("symbol", "prompt"):
        counts = Counter(getattr(month, name) for month in found)
        assert len(counts) == 3
        assert max(counts.values()) - min(counts.values()) <= 2 if name == "prompt" else 1


@pytest.mark.parametrize("seed", range(8))
def test_nothing_shown_before_is_later_than_what_is_asked_of_the_same_instrument(seed):
    found = packet(40, seed).months
    for symbol in {month.symbol for month in found}:
        dates = [month.issued_at for month in found if month.symbol == symbol]
        assert dates == sorted(dates)
        assert len(dates) > 5
    turns = [month.symbol for month in found]
    assert turns != sorted(turns)


def test_the_same_seed_gives_the_same_packet_whatever_the_order_of_the_answers():
    months = kept()
    one = choose(months, seed=3)
    mixed = [months[at] for at in np.random.default_rng(1).permutation(len(months))]
    assert one == choose(mixed, seed=3)
    assert one.id != choose(months, seed=4).id


def test_few_months_are_all_taken_and_prompts_can_be_chosen():
    months = kept()
    assert len(choose(months, months=10_000).months) == len({(m.symbol, m.issued_at) for m in months})
    assert {month.prompt for month in choose(months, prompts=["P4"]).months} == {"P4"}
    with pytest.raises(GuidanceError, match=r"no answers of the prompt 'P5'; known: P1, P4"):
        choose(months, prompts=["P5"])
    with pytest.raises(GuidanceError, match="got none; ask for guidance first"):
        choose([])
    with pytest.raises(GuidanceError, match="at least one month to review, got 0"):
        choose(months, months=0)
    with pytest.raises(GuidanceError, match="expected one answer of P1 for AAPL on"):
        choose([*months, months[0].model_copy(update={"id": "0" * 12})])


def test_a_packet_is_read_as_it_was_written_and_says_which_months_name_their_instrument(tmp_path):
    found = packet(6)
    found.write(tmp_path)
    assert Packet.read(tmp_path) == found
    assert Packet.read(tmp_path).id == found.id
    assert found.named  # the made question has the symbol in it
    one = market("ZQX", 5)
    made = [
        dataclasses.replace(one_advice, messages=(Message("user", "closes 1 2 3"),))
        for one_advice in study([one], prompts=["P1"])
    ]
    assert choose(keep(made, {"ZQX": one.bars})).named == ()
