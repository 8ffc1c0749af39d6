"""What may be answered when, what a reviewer may see, and the file that it is kept in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_review import AT, answered, packet

from llmguide.errors import GuidanceError
from llmguide.guidance.review.packet import Packet
from llmguide.guidance.review.rubric import CRITERIA, RUBRIC
from llmguide.guidance.review.sheet import (
    OutOfTurn,
    Scores,
    Sheet,
    check_reviewers,
    find_sheets,
    open_sheet,
    save_sheet,
    sheet_path,
)
from llmguide.guidance.review.shown import show_month, show_progress

PACKET = packet(6)
IDS = [month.id for month in PACKET.months]
SCORES = Scores(rationale=3, fidelity=2, safety=1)
NEW = Sheet(packet=PACKET.id, reviewer="anna")


def secrets(month):
    """What a reviewer must not see before his own direction is given."""
    return [month.reply.explanation, '"direction":', '"confidence":']


def test_the_own_direction_comes_first_and_stays():
    with pytest.raises(OutOfTurn, match="choose your own direction first"):
        NEW.with_scores(PACKET, IDS[0], SCORES, "", version=0, at=AT)
    one = NEW.with_own(PACKET, IDS[0], "LONG", "it rises", at=AT)
    assert one.with_own(PACKET, IDS[0], "LONG", "it rises", at=AT) is one  # sent twice
    with pytest.raises(OutOfTurn, match="your own direction is LONG and can no longer"):
        one.with_own(PACKET, IDS[0], "SHORT", "it rises", at=AT)
    with pytest.raises(OutOfTurn, match="can no longer be changed"):
        one.with_own(PACKET, IDS[0], "LONG", "another reason", at=AT)


def test_months_are_answered_in_turn_and_scores_can_be_changed():
    one = NEW.with_own(PACKET, IDS[0], "LONG", "", at=AT)
    with pytest.raises(OutOfTurn, match="the earlier months first"):
        one.with_own(PACKET, IDS[1], "LONG", "", at=AT)
    one = one.with_scores(PACKET, IDS[0], SCORES, "good", version=0, at=AT)
    assert one.turn(PACKET) == 1
    better = Scores(rationale=3, fidelity=3, safety=3)
    two = one.with_scores(PACKET, IDS[0], better, "better", version=1, at=AT)
    assert (two.answers[IDS[0]].scores, two.answers[IDS[0]].version) == (better, 2)
    with pytest.raises(OutOfTurn, match="no such month"):
        two.with_own(PACKET, "0" * 12, "LONG", "", at=AT)


def test_scores_that_another_window_has_changed_are_not_written_over():
    one = answered(PACKET, months=1)
    better = Scores(rationale=1, fidelity=1, safety=1)
    two = one.with_scores(PACKET, IDS[0], better, "", version=1, at=AT)
    with pytest.raises(OutOfTurn, match="another window"):
        two.with_scores(PACKET, IDS[0], SCORES, "", version=1, at=AT)
    assert two.with_scores(PACKET, IDS[0], better, "", version=1, at=AT) is two  # the same again


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["own", "scores"]), st.integers(0, 5), st.integers(0, 2)), max_size=30))
def test_whatever_is_sent_in_whatever_order_nothing_is_seen_before_its_time(sent):
    sheet = NEW
    given_first: dict[str, str] = {}
    for what, place, choice in sent:
        month = PACKET.months[place]
        try:
            if what == "own":
                sheet = sheet.with_own(PACKET, month.id, ("LONG", "SHORT", "LONG")[choice], "", at=AT)
            else:
                scores = Scores(rationale=choice + 1, fidelity=1, safety=1)
                sheet = sheet.with_scores(PACKET, month.id, scores, "", version=choice, at=AT)
        except OutOfTurn:
            pass
        for at, one in enumerate(PACKET.months):
            entry = sheet.answers.get(one.id)
            if entry is not None:
                assert given_first.setdefault(one.id, entry.own) == entry.own
            if at > sheet.turn(PACKET):
                assert entry is None
                with pytest.raises(OutOfTurn):
                    show_month(PACKET, sheet, one.id)
            elif entry is None:
                shown = json.dumps(show_month(PACKET, sheet, one.id))
                assert not any(secret in shown for secret in secrets(one))


def test_what_is_shown_names_no_date_prompt_or_outcome_and_not_before_its_time():
    month = PACKET.months[0]
    before = show_month(PACKET, NEW, month.id)
    assert before["own"] is None
    assert before["data"] == month.question[1].content
    sheet = answered(PACKET)
    after = show_month(PACKET, sheet, month.id)
    assert after["answer"] == month.reply.model_dump(mode="json")
    assert set(after) == {
        "id", "place", "horizon", "instructions", "data", "own", "reason", "scores", "comment", "version", "answer"
    }  # fmt: skip
    progress = json.dumps(show_progress(PACKET, sheet))
    for one in PACKET.months:
        assert one.symbol not in progress
        assert f"{one.issued_at:%Y-%m}" not in progress
    with pytest.raises(OutOfTurn):
        show_month(PACKET, NEW, "nothing")
    later = [one.model_copy(update={"realised": -0.9, "hindsight": 0}) for one in PACKET.months]
    assert show_month(Packet(seed=0, months=tuple(later)), sheet, month.id) == after


def test_a_sheet_is_read_as_it_was_written_and_resumed(tmp_path):
    sheet = answered(PACKET, months=3)
    save_sheet(tmp_path, sheet)
    again = open_sheet(tmp_path, PACKET, "anna")
    assert again == sheet
    assert again.turn(PACKET) == 3
    assert open_sheet(tmp_path, PACKET, "ben") == Sheet(packet=PACKET.id, reviewer="ben")


def test_a_sheet_of_another_packet_two_of_one_reviewer_and_a_broken_one_are_refused(tmp_path):
    sheet = answered(PACKET, months=3)
    path = save_sheet(tmp_path, sheet)
    with pytest.raises(GuidanceError, match=r"answers another packet \(\w+\) than this review's"):
        open_sheet(tmp_path, packet(6, seed=9), "anna")
    more = tmp_path / "Anna-1.json"
    more.write_text(path.read_text().replace('"anna"', '"Anna"'))
    with pytest.raises(GuidanceError, match="another sheet by the reviewer Anna"):
        find_sheets(tmp_path, PACKET, [more])
    broken = json.loads(path.read_text())
    broken["answers"][IDS[0]]["scores"]["safety"] = 4
    more.write_text(json.dumps(broken))
    with pytest.raises(GuidanceError, match=rf"Anna-1.json: answers.{IDS[0]}.scores.safety: Input should be 1, 2 or 3"):
        find_sheets(tmp_path, PACKET, [more])
    more.write_text("[1")
    with pytest.raises(GuidanceError, match="not readable as JSON"):
        find_sheets(tmp_path, PACKET, [more])


@pytest.mark.parametrize("names", [[], ["a/b"], [".."], ["anna", "ANNA"], ["x" * 41], [""], ["a b"]])
def test_names_that_make_no_file_are_refused(names):
    with pytest.raises(GuidanceError, match="expected"):
        check_reviewers(names)


def test_names_make_files_inside_the_folder(tmp_path):
    for name in check_reviewers(["anna", "b.c-d_e", "Zoë", "李"]):
        assert sheet_path(tmp_path, name).parent == tmp_path / "reviewers"


def test_the_rubric_is_that_of_table_ii():
    assert CRITERIA == ("rationale", "fidelity", "safety")
    assert [one.words for one in RUBRIC] == [
        ("flawed", "partial", "sound"),
        ("unrealistic", "plausible", "professional"),
        ("ignored", "mentioned", "addressed"),
    ]
    assert set(CRITERIA) == set(Scores.model_fields)
