"""What came of a review: every number by hand or against its own definition."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from made_review import AT, answered, packet

from llmguide.errors import DataError
from llmguide.experiments.review import judge_review, write_results
from llmguide.guidance.review.sheet import Scores, Sheet
from llmguide.stats import crossed_interval, krippendorff_alpha

PACKET = packet(12)


def sheet_of(name, owns, scores, comments=(), packet=PACKET):
    """A sheet by hand: one direction and three scores for each month."""
    sheet = Sheet(packet=packet.id, reviewer=name)
    for at, (own, three) in enumerate(zip(owns, scores, strict=True)):
        month = packet.months[at].id
        sheet = sheet.with_own(packet, month, own, f"why {at}", at=AT)
        found = Scores(rationale=three[0], fidelity=three[1], safety=three[2])
        comment = comments[at] if comments else ""
        sheet = sheet.with_scores(packet, month, found, comment, version=0, at=AT)
    return sheet


@pytest.fixture(scope="module")
def sheets():
    return [answered(PACKET, name, seed=at) for at, name in enumerate(("anna", "ben", "cyd"))]


@pytest.fixture(scope="module")
def result(sheets):
    return judge_review(PACKET, sheets)


def test_scores_by_hand():
    made = packet(4, prompts=("P1",))
    anna = sheet_of("anna", ["LONG"] * 4, [(1, 2, 3), (1, 1, 1), (3, 3, 3), (2, 2, 2)], packet=made)
    ben = sheet_of("ben", ["LONG"] * 2, [(3, 2, 1), (3, 3, 3)], packet=made)
    scores = judge_review(made, [anna, ben]).scores
    assert set(scores["by"]) == {"people"}
    found = scores[scores["prompt"] == "P1"].set_index("criterion")
    assert found.loc["rationale", "score"] == pytest.approx((1 + 1 + 3 + 2 + 3 + 3) / 6)
    assert found.loc["safety", "score"] == pytest.approx((3 + 1 + 3 + 2 + 1 + 3) / 6)
    assert found.loc["mean", "score"] == pytest.approx((2 + 1 + 3 + 2 + 2 + 3) / 6)
    assert found.loc["mean", ["months", "reviewers", "scores"]].tolist() == [4, 2, 6]
    pd.testing.assert_frame_equal(
        scores[scores["prompt"] == "all"].drop(columns="prompt").reset_index(drop=True),
        scores[scores["prompt"] == "P1"].drop(columns="prompt").reset_index(drop=True),
    )


def test_intervals_are_those_over_months_and_reviewers(result):
    rows = result.answers[result.answers["prompt"] == "P4"]
    expected = crossed_interval(rows["fidelity"].to_numpy(dtype=float), rows["id"], rows["reviewer"])
    found = result.scores[(result.scores["prompt"] == "P4") & (result.scores["criterion"] == "fidelity")].iloc[0]
    assert (found["low"], found["high"]) == expected
    assert found["low"] < found["score"] < found["high"]


def test_alpha_is_ordinal_for_scores_and_nominal_for_directions(result, sheets):
    alpha = result.alpha.set_index("measure")
    of_month = {
        name: [[getattr(sheet.answers[month.id].scores, name) for month in PACKET.months] for sheet in sheets]
        for name in ("rationale", "fidelity", "safety")
    }
    for name, table in of_month.items():
        assert alpha.loc[name, "alpha"] == pytest.approx(krippendorff_alpha(table, level="ordinal").alpha)
    own = [[float(sheet.answers[month.id].own == "LONG") for month in PACKET.months] for sheet in sheets]
    assert alpha.loc["direction", "alpha"] == pytest.approx(krippendorff_alpha(own, level="nominal").alpha)
    assert alpha["level"].tolist() == ["ordinal"] * 3 + ["nominal"]
    assert alpha["months"].tolist() == [12] * 4


def test_alpha_of_one_reviewer_is_not_there(sheets):
    assert judge_review(PACKET, sheets[:1]).alpha.empty
    assert len(judge_review(PACKET, sheets[:2]).alpha) == 4


def test_who_agrees_with_whom_by_hand():
    """Anna says what the model says, Ben the opposite of what happened."""
    months = PACKET.months
    same = ["LONG" if month.direction else "SHORT" for month in months]
    wrong = ["SHORT" if (month.realised or 0) > 0 else "LONG" for month in months]
    ones = [(1, 1, 1)] * len(months)
    agreement = judge_review(PACKET, [sheet_of("anna", same, ones), sheet_of("ben", wrong, ones)]).agreement
    table = agreement.set_index(["who", "held_to"])
    n = len(months)
    known = sum(month.realised is not None for month in months)
    assert table.loc[("anna", "model"), ["same", "n"]].tolist() == [n, n]
    assert table.loc[("ben", "realised"), ["same", "n"]].tolist() == [0, known]
    model_right = sum(month.direction == (month.realised > 0) for month in months if month.realised is not None)
    assert table.loc[("model", "realised"), ["same", "n"]].tolist() == [model_right, known]
    assert table.loc[("people", "realised"), "same"] == model_right
    labelled = [month for month in months if month.hindsight is not None]
    assert table.loc[("anna", "hindsight"), "same"] == sum(month.direction == month.hindsight for month in labelled)
    assert ("model", "model") not in table.index
    low, high = table.loc[("anna", "model"), ["low", "high"]]
    assert 0.7 < low < high == 1.0


def test_a_model_that_scores_stands_apart_from_people(sheets, result):
    judge = answered(PACKET, "judge-x", seed=9, kind="model")
    entries = {key: one.model_copy(update={"own": None, "own_at": None}) for key, one in judge.answers.items()}
    judge = judge.model_copy(update={"answers": entries})
    both = judge_review(PACKET, [*sheets, judge])
    people = both.scores[both.scores["by"] == "people"].reset_index(drop=True)
    pd.testing.assert_frame_equal(people, result.scores)
    pd.testing.assert_frame_equal(both.alpha, result.alpha)
    pd.testing.assert_frame_equal(both.agreement, result.agreement)
    assert both.exemplars == result.exemplars
    assert set(both.scores["by"]) == {"people", "judge-x"}
    gaps = both.judges.set_index("criterion")
    hers = both.answers[both.answers["reviewer"] == "judge-x"].set_index("id")["safety"].astype(float)
    theirs = result.answers.groupby("id")["safety"].mean().astype(float)
    assert gaps.loc["safety", "difference"] == pytest.approx((hers - theirs).mean())
    assert result.judges.empty
    alone = judge_review(PACKET, [judge])
    assert set(alone.scores["by"]) == {"judge-x"}
    assert alone.agreement.empty
    assert alone.alpha.empty


def test_exemplars_have_what_tuning_reads_and_leave_out_what_has_no_words():
    owns = ["LONG", "SHORT"]
    sheet = sheet_of("anna", owns, [(3, 2, 1), (1, 1, 1)], ["say less", ""])
    entries = {**sheet.answers}
    silent = PACKET.months[1].id
    entries[silent] = entries[silent].model_copy(update={"reason": ""})
    (row,) = judge_review(PACKET, [sheet.model_copy(update={"answers": entries})]).exemplars
    month = PACKET.months[0]
    assert row == {
        "id": month.id,
        "instrument": month.symbol,
        "date": f"{month.issued_at:%Y-%m-%d}",
        "direction": "LONG",
        "rationale": "why 0",
        "comment": "say less",
        "reviewer": "anna",
        "prompt": month.prompt,
        "scores": {"rationale": 3, "fidelity": 2, "safety": 1},
    }
    assert json.loads(json.dumps(row)) == row


def test_a_month_that_is_not_scored_yet_counts_for_directions_alone(sheets):
    begun = answered(PACKET, "dan", months=2).with_own(PACKET, PACKET.months[2].id, "LONG", "", at=AT)
    result = judge_review(PACKET, [begun])
    assert len(result.answers) == 3
    everyone = result.scores[result.scores["prompt"] == "all"].set_index("criterion")
    assert everyone.loc["mean", "months"] == 2
    assert result.agreement.iloc[0]["n"] == 3
    with pytest.raises(DataError, match="got none; review with"):
        judge_review(PACKET, [Sheet(packet=PACKET.id, reviewer="eve")])


def test_the_same_answers_give_the_same_numbers_and_another_seed_other_intervals(sheets, result):
    again = judge_review(PACKET, sheets)
    pd.testing.assert_frame_equal(again.scores, result.scores)
    other = judge_review(PACKET, sheets, seed=1).scores
    np.testing.assert_array_equal(other["score"], result.scores["score"])
    assert not np.array_equal(other["low"], result.scores["low"], equal_nan=True)


def test_the_folder_holds_the_tables_and_nothing_of_earlier_results(result, sheets, tmp_path):
    judge = answered(PACKET, "judge-x", seed=9, kind="model")
    write_results(judge_review(PACKET, [*sheets, judge]), tmp_path)
    assert (tmp_path / "judges.csv").is_file()
    write_results(result, tmp_path)
    names = {f"{name}.{suffix}" for name in ("scores", "alpha", "agreement") for suffix in ("csv", "md", "tex")}
    assert {path.name for path in tmp_path.iterdir()} == names | {"answers.csv", "results.json"}
    assert len(pd.read_csv(tmp_path / "answers.csv")) == 36
    line = next(line for line in (tmp_path / "scores.md").read_text().splitlines() if line.startswith("| P4 "))
    row = result.scores[(result.scores["prompt"] == "P4") & (result.scores["criterion"] == "mean")].iloc[0]
    assert f"{row['score']:.2f} ({row['low']:.2f} to {row['high']:.2f})" in line


def test_it_says_what_people_think_first_and_then_each_model(result, sheets, tmp_path):
    overall = result.scores.set_index(["by", "prompt", "criterion"]).loc[("people", "all", "mean")]
    same = int((result.answers["own"] == result.answers["model"]).sum())
    assert result.verdict == (
        f"People rate the reasons {overall['score']:.2f} of 3 on average (12 months, 3 reviewers, "
        f"95 % interval {overall['low']:.2f} to {overall['high']:.2f}). "
        f"People's own direction was the model's in {same} of 36 answers."
    )
    assert repr(result).startswith(f"ReviewResult: {result.verdict}\n\nExpert review by prompt\nprompt")
    write_results(result, tmp_path)
    assert f"Files: <code>{tmp_path}</code>" in result._repr_html_()


def test_a_model_that_scored_alone_is_no_people(sheets):
    alone = judge_review(PACKET, [sheets[0].model_copy(update={"reviewer": "small-model", "kind": "model"})])
    assert alone.verdict.startswith("The language model small-model rates the reasons ")
    assert "eople" not in alone.verdict


def test_one_reviewer_who_only_gave_directions_has_no_scores_to_speak_of():
    sheet = Sheet(packet=PACKET.id, reviewer="anna").with_own(PACKET, PACKET.months[0].id, "LONG", "", at=AT)
    same = PACKET.months[0].direction  # 1 is LONG
    assert judge_review(PACKET, [sheet]).verdict == f"People's own direction was the model's in {same} of 1 answer."
