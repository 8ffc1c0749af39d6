"""Exemplars: Algorithm 1 on a window's bars and no others, and what people write."""

from __future__ import annotations

import json

import pytest

from llmguide import sample_bars
from llmguide.errors import GuidanceError
from llmguide.guidance.controls import oracle
from llmguide.guidance.news.anonymise import Name, Names
from llmguide.guidance.strategist import Brief, Subject
from llmguide.guidance.tuning.exemplars import hindsight, place_experts, read_exemplars
from llmguide.guidance.tuning.training import TrainingBars
from llmguide.guidance.tuning.windows import Window

BARS = sample_bars(years=4, seed=3)
BRIEF = Brief()


def window_of(bars, first=300, end=552):
    return Window(TrainingBars(Subject("ACME", bars)), first, end)


def test_labels_are_those_of_the_oracle_on_the_bars_up_to_the_windows_end():
    labels = {one.month.issued_at: one.direction == "LONG" for one in hindsight(window_of(BARS), BRIEF)}
    table = oracle(BARS.iloc[:552]).frame.set_index("issued_at")["direction"]
    assert len(labels) == 14  # bars 290, in force on the first, to 550
    assert labels == {day: bool(table[day]) for day in labels}


def test_labels_are_hand_worked_where_the_price_rises_and_falls():
    bars = BARS.copy()
    close = [100.0] * 330 + [110.0] * 10 + [80.0] * 900
    bars["close"] = close[: len(bars)]
    labels = {one.month.issued_at: one.direction for one in hindsight(window_of(bars, 300, 400), BRIEF)}
    # Of bar 310 the last close is that of 309: r10 = 0, r20 = 0. Of 330: r10 = 100 -> 110, r20 = 100 -> 80.
    assert labels[bars.index[310]] == "LONG"
    assert labels[bars.index[330]] == "SHORT"  # 0.4 * 0.1 - 0.6 * 0.2 < 0


def test_no_bar_behind_the_window_changes_an_exemplar():
    changed = BARS.copy()
    changed.loc[changed.index[552:], ["open", "high", "low", "close"]] *= 0.3
    before, after = (hindsight(window_of(bars), BRIEF) for bars in (BARS, changed))
    assert [(one.month.issued_at, one.direction, dict(one.month.facts)) for one in before] == [
        (one.month.issued_at, one.direction, dict(one.month.facts)) for one in after
    ]


def test_what_an_exemplar_shows_is_of_bars_before_it():
    for one in hindsight(window_of(BARS), BRIEF):
        assert one.month.known.index[-1] < one.month.issued_at


CSV = """instrument,date,direction,rationale,score
ACME,2013-05-06,LONG,"Acme held its
average, in May 2013.",3
ACME,2013-05-07,0,,2
BETA,2013-05-06,SHORT,Another one.,1
ACME,2031-01-06,SHORT,After the training.,1
"""


def test_people_s_exemplars_are_read_placed_and_anonymised_and_others_counted(tmp_path):
    (tmp_path / "people.csv").write_text(CSV)
    rows = read_exemplars(tmp_path / "people.csv")
    names = Names((Name("Acme", "company"),))
    found = place_experts(rows, [TrainingBars(Subject("ACME", BARS, names=names))], BRIEF)
    assert found.outside == 2
    first, second = found.exemplars
    assert (first.direction, second.direction, second.rationale) == ("LONG", "SHORT", "")
    assert first.month.known.index[-1] < first.month.issued_at
    assert "Acme" not in first.rationale
    assert "2013" not in first.rationale
    assert "held its average" in first.rationale
    told = place_experts(rows, [TrainingBars(Subject("ACME", BARS, names=names))], Brief(anonymous=False))
    assert told.exemplars[0].rationale == "Acme held its average, in May 2013."


def test_json_is_the_same_and_a_comment_counts_as_a_rationale(tmp_path):
    rows = [{"instrument": "ACME", "date": "2013-05-06", "direction": "long", "rationale": "A.", "comment": "B."}]
    (tmp_path / "people.json").write_text(json.dumps(rows))
    (one,) = read_exemplars(tmp_path / "people.json")
    assert one[2:] == ("LONG", "A.\nB.")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("people.txt", "", "ending in .csv or .json"),
        ("people.csv", "instrument,date,direction\n", "holds no exemplars"),
        ("people.csv", "instrument,day,direction\nACME,2013-05-06,LONG\n", "row 1: expected a value in the column 'd"),
        (
            "people.csv",
            "instrument,date,direction\nACME,6 May,LONG\n",
            "expected a day such as 2014-03-10, got '6 May'",
        ),
        ("people.csv", "instrument,date,direction\nACME,2013-05-06,UP\n", "the direction LONG or SHORT, got 'UP'"),
        ("people.json", '{"a": 1}', "expected a list of objects"),
        ("people.json", "[", "cannot be read as exemplars"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_place(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(GuidanceError, match=said.replace(".", r"\.")):
        read_exemplars(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(GuidanceError, match="there is no file of exemplars"):
        read_exemplars(tmp_path / "none.csv")
