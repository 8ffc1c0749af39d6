"""The measures tell a model that remembers from one that does not, and say how sure they are."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from page_text import text_of_page
from remembering import Remembering, asker_of
from showing import shows_what_its_page_says

from llmguide import sample_bars
from llmguide.errors import DataError, GuidanceError, MissingAnswers
from llmguide.experiments.memory import judge_memory
from llmguide.guidance.inquiries.memory_study import MemoryStudy, run_memory
from llmguide.guidance.planning import plan_memory
from llmguide.guidance.strategist import Brief, Subject
from llmguide.llm.access import Access

BARS = {"ACME": sample_bars(years=2, seed=10), "BETA": sample_bars(years=2, seed=5)}
SUBJECTS = tuple(Subject(symbol, bars) for symbol, bars in BARS.items())
# The scripted model recognises a month by its last close: the paper's form of the levels lets it.
ABSOLUTE = Brief(levels="absolute")
STUDY = MemoryStudy(SUBJECTS, "P0", brief=ABSOLUTE)


@pytest.fixture(scope="module")
def remembers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remembers")
    return judge_memory(STUDY, run_memory(STUDY, asker_of(Remembering(BARS), folder)))


@pytest.fixture(scope="module")
def forgets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forgets")
    return judge_memory(STUDY, run_memory(STUDY, asker_of(Remembering(), folder)))


@pytest.mark.parametrize("measure", ["recall, named", "instrument", "month, exact", "month, within 3"])
def test_memory_lies_above_no_memory_with_intervals_apart(remembers, forgets, measure):
    for low, high in (("low", "high"), ("cluster_low", "cluster_high")):
        assert remembers.measure(measure)[low] > forgets.measure(measure)[high]
    row = remembers.measure(measure)
    assert row["hits"] == 46  # of each instrument all months but the last, whose outcome is not there
    assert remembers.measure(measure)["low"] > remembers.measure(measure)["chance"]


@pytest.mark.parametrize("measure", ["follows flipped returns", "follows swapped months"])
def test_the_model_that_remembers_stays_and_the_other_follows_the_facts(remembers, forgets, measure):
    stays, follows = remembers.measure(measure), forgets.measure(measure)
    assert stays["high"] < follows["low"]
    assert (stays["share"], follows["share"]) == (pytest.approx(0.0, abs=0.1), 1.0)


def test_the_recall_score_is_the_probability_of_what_happened(remembers, forgets):
    known = remembers.months["realised"].notna()
    np.testing.assert_allclose(remembers.months.loc[known, "recall"], 0.95)
    np.testing.assert_allclose(forgets.months.loc[known, "recall"], 0.5)
    assert remembers.months.loc[~known, "recall"].isna().all()
    scores = remembers.scores("ACME")
    assert list(scores) == list(BARS["ACME"].index[30::20])
    assert [score is None for score in scores.values()] == [False] * 23 + [True]


def test_the_outcome_is_the_return_over_the_horizon_and_an_unfinished_month_is_left_out(forgets):
    close = BARS["ACME"]["close"].to_numpy()
    months = forgets.months[forgets.months["symbol"] == "ACME"]
    assert months["realised"].iloc[0] == pytest.approx(close[50] / close[30] - 1)
    unfinished = int(months["realised"].isna().sum())
    assert unfinished == sum(i + 20 >= len(close) for i in range(30, len(close), 20)) == 1
    row = forgets.measure("recall, named", "ACME")
    assert (row["n"], row["left_out"]) == (len(months) - 1, 1)
    up = (months["realised"] > 0).sum() / (len(months) - 1)
    assert row["base_rate"] == pytest.approx(max(up, 1 - up))
    assert row["hits"] == (months["realised"] > 0).sum()  # the scripted model says LONG at even odds


def test_without_name_and_date_both_orders_are_asked_and_nothing_is_known(remembers):
    assert list(remembers.nulls["order"]) == ["LONG or SHORT", "SHORT or LONG"]
    np.testing.assert_allclose(remembers.nulls["p_long"], 0.5)
    assert remembers.measure("recall, anonymous")["n"] == 0


def test_the_chance_of_a_month_is_that_of_the_same_answers_dealt_at_random(remembers, forgets):
    assert forgets.measure("instrument")["chance"] == 1 / 8
    # The model without memory always says January 2000, which no month is.
    assert forgets.measure("month, exact")["chance"] == 0.0
    truth = remembers.months[remembers.months["instrument_right"].fillna(False) & (remembers.months["months_off"] == 0)]
    said = remembers.months["said_month"]
    true = remembers.months["issued_at"].dt.strftime("%Y-%m")
    dealt = np.mean([a == b for a in said for b in true])
    assert len(truth) > 40
    assert remembers.measure("month, exact")["chance"] == pytest.approx(dealt)


def test_prompts_of_relative_levels_are_not_recognised_even_by_a_model_that_knows_every_close(tmp_path, remembers):
    study = replace(STUDY, brief=Brief())
    found = judge_memory(study, run_memory(study, asker_of(Remembering(BARS), tmp_path)))
    assert remembers.measure("month, exact")["share"] > 0.9
    assert found.measure("month, exact")["share"] == 0.0
    assert found.measure("recall, named")["share"] > 0.9  # it remembers all the same, where it is told name and date


def test_a_cut_off_tells_months_apart_and_without_one_all_are_unknown(tmp_path, forgets):
    assert set(forgets.measures["period"]) == {"before or unknown"}
    day = BARS["ACME"].index[250].date()
    study = replace(STUDY, cutoff=day)
    found = judge_memory(study, run_memory(study, asker_of(Remembering(BARS), tmp_path)))
    assert set(found.measures["period"]) == {"before", "after"}
    after = found.months["issued_at"] > pd.Timestamp(day)
    assert (found.months["period"] == np.where(after, "after", "before")).all()
    counts = [found.measure("instrument", period=period)["n"] for period in ("before", "after")]
    assert sum(counts) == forgets.measure("instrument")["n"]
    assert min(counts) > 10


def test_the_seed_decides_lists_and_pairs():
    same, other = (MemoryStudy(SUBJECTS, "P0", brief=ABSOLUTE, seed=seed) for seed in (0, 1))
    assert same.questions == STUDY.questions != other.questions
    for question in STUDY.questions:
        if question.kind == "identity":
            assert question.symbol in question.detail
            assert len(set(question.detail)) == 8
    places = {q.detail.index(q.symbol) for q in STUDY.questions if q.kind == "identity"}
    assert len(places) == 8


def test_only_questions_that_are_meant_to_name_the_instrument():
    for question in STUDY.questions:
        text = "\n".join(message.content for message in question.messages)
        day = "" if question.issued_at is None else f"{question.issued_at:%Y-%m-%d}"
        if question.kind in ("named", "base", "mirrored", "swapped"):
            assert question.symbol in text
            assert day in text
        elif question.kind == "identity":
            assert day not in text
            assert question.symbol not in text.partition("# Which instrument is it?")[0]
            assert "Do not try to recognise" not in text


@pytest.mark.parametrize("t", [110, 290])
def test_no_bar_after_t_changes_a_question_about_data_up_to_t(t):
    changed = BARS["ACME"].copy()
    changed.loc[changed.index[t:], ["open", "high", "low", "close"]] *= 1.7
    other = MemoryStudy((Subject("ACME", changed), SUBJECTS[1]), "P0", brief=ABSOLUTE)
    until = changed.index[t]
    for kind in ("identity", "base", "mirrored"):  # the partners of swapped months are chosen by outcome
        old, new = (
            {q.issued_at: q.messages for q in study.questions if (q.kind, q.symbol) == (kind, "ACME")}
            for study in (STUDY, other)
        )
        assert all(old[day] == new[day] for day in old if day <= until)
        assert any(old[day] != new[day] for day in old if day > until)


def test_the_plan_counts_what_is_asked_and_a_replay_needs_no_endpoint(tmp_path):
    cache = tmp_path / "cache.sqlite"
    access = Access(model="scripted", cache=cache, base_url="http://scripted/v1")
    assert plan_memory(STUDY, access).calls == len(STUDY.questions)
    assert not cache.exists()
    asker = asker_of(Remembering(BARS), tmp_path)
    answers = run_memory(STUDY, asker)
    assert set(asker.ledger.frame()["role"]) == {"memory", "probe"}
    assert plan_memory(STUDY, access)[:2] == (0, len(STUDY.questions))
    replay = replace(access, replay=True, base_url=None)
    assert run_memory(STUDY, replay.asker()) == answers
    with pytest.raises(MissingAnswers, match=r"lacks \d+ answers"):
        run_memory(replace(STUDY, prompt="P1"), replay.asker())


def test_answers_without_log_probabilities_count_as_certain_and_are_counted(tmp_path):
    study = MemoryStudy(SUBJECTS[:1], "P0", brief=ABSOLUTE, measures=("recall",))
    found = judge_memory(study, run_memory(study, asker_of(Remembering(BARS, logprobs=False), tmp_path)))
    assert set(found.months["recall"].dropna()) == {1.0}
    assert found.settings["without_logprobs"] == found.settings["questions"] == len(study.questions)
    assert set(found.measures["measure"]) == {"recall, named", "recall, anonymous"}


def test_the_folder_holds_tables_and_a_page_and_is_the_same_every_time(remembers, tmp_path):
    page = remembers.write(tmp_path / "one")
    names = {"memory.html", "measures.csv", "months.csv", "nulls.csv", "memory.json"}
    assert {path.name for path in page.parent.iterdir()} == names
    again = remembers.write(tmp_path / "two").parent
    assert all((again / name).read_bytes() == (page.parent / name).read_bytes() for name in names)
    kept = json.loads((page.parent / "memory.json").read_text())
    assert kept["measures"][0]["share"] == remembers.measures["share"].iloc[0]
    assert len(pd.read_csv(page.parent / "months.csv")) == len(remembers.months)
    text = text_of_page(page)
    assert "Given only a name and a date, the model states the realised direction in 100 %" in text
    assert "more than chance and the base rate explain" in text


def test_the_page_of_a_model_without_memory_claims_none(forgets, tmp_path):
    text = forgets.write(tmp_path).read_text()
    assert "not more than chance or the base rate explain" in text
    assert "its direction follows in 100 % of months" in text


def test_what_cannot_be_asked_or_judged_is_refused():
    with pytest.raises(GuidanceError, match="expected measures among recall, identification, counterfactual, got x"):
        MemoryStudy(SUBJECTS, measures=("x",))
    with pytest.raises(GuidanceError, match="expected every instrument once"):
        MemoryStudy((SUBJECTS[0], SUBJECTS[0]))
    with pytest.raises(DataError, match=r"expected the answers to the \d+ questions of the study, got 0"):
        judge_memory(STUDY, [])
    assert math.isnan(MemoryStudy(SUBJECTS).outcomes["ACME", BARS["ACME"].index[490]])
    assert MemoryStudy(SUBJECTS, brief=Brief(), cutoff=date(2012, 1, 1)).version == "P1"


def test_a_study_shows_itself_as_its_page_begins(remembers, tmp_path):
    shows_what_its_page_says(remembers, remembers.write(tmp_path / "shown"))
