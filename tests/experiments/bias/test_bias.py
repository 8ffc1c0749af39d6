"""Each measure finds the leaning that was planted, by its size, and nothing where none was."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from leaning import STRENGTH, Leaning, labels_in
from page_text import text_of_page
from remembering import asker_of, reply
from showing import shows_what_its_page_says
from sklearn.metrics import accuracy_score, balanced_accuracy_score, brier_score_loss, matthews_corrcoef

from llmguide import sample_bars
from llmguide.errors import DataError
from llmguide.experiments.bias import judge_bias
from llmguide.guidance.inquiries.bias_study import BiasAnswer, BiasStudy, run_bias
from llmguide.guidance.strategist import Subject

BARS = {"ACME": sample_bars(years=2, seed=10), "BETA": sample_bars(years=2, seed=5)}
STUDY = BiasStudy(tuple(Subject(symbol, bars) for symbol, bars in BARS.items()), "P0")
LEAN = 0.8
MODELS = {
    "nothing": Leaning(),
    "word": Leaning(word=LEAN),
    "code": Leaning(code=LEAN),
    "order": Leaning(order=LEAN),
    "wording": Leaning(wording=LEAN),
    "rise": Leaning(rise=LEAN),
    "everything": Leaning(word=LEAN, code=-0.5, order=0.3),
    "random": Leaning(data="random"),
}
# Log-odds that a contrast finds of a leaning; all others are 0.
FOUND = {
    ("labels", "word"): LEAN,
    ("codes", "code"): 2 * LEAN,
    ("order", "order"): -2 * LEAN,
    ("paraphrase", "wording"): LEAN,
    ("labels", "everything"): LEAN,
    ("codes", "everything"): -1.0,
    ("order", "everything"): -0.6,
}
CONTRASTS = ("labels", "codes", "order", "paraphrase")


def logistic(x):
    return 1 / (1 + np.exp(-np.asarray(x, dtype=float)))


def said_by_the_data():
    """What the closes shown say of each month, in log-odds, from the bars and nothing else: their last 20 closes."""
    return np.array(
        [
            STRENGTH * math.log(bars["close"].iloc[i - 1] / bars["close"].iloc[i - 20])
            for bars in BARS.values()
            for i in range(30, len(bars), 20)
        ]
    )


DATA = said_by_the_data()


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """`asked(name)`: the answers of a model of `MODELS`, asked once."""

    @cache
    def ask(name):
        return run_bias(STUDY, asker_of(MODELS[name], tmp_path_factory.mktemp(name)))

    return ask


@pytest.fixture(scope="module")
def audits(asked):
    """`audits(name)`: what these answers say."""
    return cache(lambda name: judge_bias(STUDY, asked(name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name != "random"])
@pytest.mark.parametrize("contrast", CONTRASTS)
def test_a_contrast_finds_the_leaning_that_it_is_for_by_its_size_and_no_other(audits, contrast, name):
    expected = FOUND.get((contrast, name), 0.0)
    signed, absolute = (audits(name).measure(contrast, what) for what in ("log-odds", "absolute log-odds"))
    assert signed["value"] == pytest.approx(expected, abs=1e-9)
    assert absolute["value"] == pytest.approx(abs(expected), abs=1e-9)
    assert (signed["cluster_low"], signed["cluster_high"]) == pytest.approx((expected, expected), abs=1e-9)
    assert (signed["n"], signed["left_out"], signed["unbiased"]) == (len(DATA), 0, 0.0)
    if not expected:
        assert audits(name).measure(contrast)["hits"] == 0
        assert audits(name).measure(contrast, "p(LONG)")["value"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("contrast", "name", "between"),
    [
        ("labels", "word", (-LEAN, 0)),
        ("codes", "code", (-LEAN, LEAN)),
        ("order", "order", (-LEAN, LEAN)),
        ("paraphrase", "wording", (-LEAN, 0)),
    ],
)
def test_the_months_that_turn_are_those_whose_data_say_less_than_the_leaning(audits, contrast, name, between):
    row = audits(name).measure(contrast)
    low, high = between
    turned = int(((low < DATA) & (high > DATA)).sum())
    assert turned > 3
    assert (row["hits"], row["n"], row["value"]) == (turned, len(DATA), turned / len(DATA))
    assert row["low"] < row["value"] < row["high"]
    assert row["cluster_low"] <= row["value"] <= row["cluster_high"]


def test_the_probability_of_long_moves_by_what_the_word_adds_to_the_data(audits):
    row = audits("word").measure("labels", "p(LONG)")
    assert row["value"] == pytest.approx(np.mean(logistic(DATA + LEAN) - logistic(DATA)), abs=1e-3)
    assert row["cluster_low"] < row["value"] < row["cluster_high"]


@pytest.mark.parametrize("name", ["nothing", "word", "code", "order", "everything"])
def test_debiasing_leaves_what_the_data_say_and_nothing_else(audits, name):
    found, unbiased = audits(name).months, audits("nothing").months
    odds = np.log(found["p_debiased"] / (1 - found["p_debiased"]))
    expected = np.log(unbiased["p_plain"] / (1 - unbiased["p_plain"]))
    np.testing.assert_allclose(odds, expected, atol=1e-9, rtol=0)
    np.testing.assert_allclose(expected, DATA, atol=0.01)
    assert found["debiased"].tolist() == unbiased["plain"].tolist()


@pytest.mark.parametrize("name", ["nothing", "code", "wording"])
def test_a_model_that_judges_by_the_data_turns_with_the_mirror(audits, name):
    found = audits(name)
    assert found.measure("mirror", "opposite")["value"] == 1.0
    assert found.measure("mirror", "both LONG")["hits"] == found.measure("mirror", "both SHORT")["hits"] == 0
    assert found.measure("mirror", "log-odds")["value"] == pytest.approx(0.0, abs=0.005)  # prices are rounded


@pytest.mark.parametrize("name", ["word", "order", "rise"])
def test_a_lean_to_long_of_any_kind_says_long_of_both_sides_of_the_mirror(audits, name):
    found, both = audits(name), int((np.abs(DATA) < LEAN).sum())
    assert found.measure("mirror", "both LONG")["hits"] == both > 3
    assert found.measure("mirror", "opposite")["hits"] == len(DATA) - both
    assert found.measure("mirror", "log-odds")["value"] == pytest.approx(LEAN, abs=0.005)
    assert found.measure("mirror", "p(LONG)")["value"] == pytest.approx(logistic(LEAN) - 0.5, abs=0.001)


def test_a_model_that_ignores_the_data_meets_the_mirror_as_chance_has_it(audits):
    found = audits("random")
    row = found.measure("mirror", "opposite")
    assert row["low"] < 0.5 < row["high"]
    assert row["unbiased"] == 1.0
    for contrast in CONTRASTS:
        row = found.measure(contrast, "log-odds")
        assert row["cluster_low"] < 0.0 < row["cluster_high"]
        assert found.measure(contrast)["low"] > 0.1  # it turns all the time, to either side
    for answer in ("plain", "debiased"):
        assert found.worth(answer, "balanced accuracy")["cluster_low"] < 0.5
        assert found.worth(answer, "MCC")["cluster_low"] < 0.0


@pytest.mark.parametrize(
    ("name", "leanings"),
    [
        ("nothing", [0, 0, 0, 0, 0, 0]),
        ("word", [LEAN, 0, 0, 0, 0, 0]),
        ("code", [0, LEAN, -LEAN, LEAN, -LEAN, 0]),
        ("order", [LEAN, LEAN, LEAN, -LEAN, -LEAN, 0]),
        ("rise", [LEAN] * 6),
    ],
)
def test_a_month_in_which_nothing_moved_shows_the_leaning_by_form(audits, name, leanings):
    nulls = audits(name).nulls
    assert nulls["form"].tolist() == [
        *("plain", "LONG is X", "LONG is Y", "LONG is X, groups reversed", "LONG is Y, groups reversed", "debiased"),
    ]
    np.testing.assert_allclose(nulls["log_odds"], leanings, atol=1e-9)
    np.testing.assert_allclose(nulls["p_long"], logistic(leanings), atol=1e-9)


@pytest.mark.parametrize("symbol", ["all", "ACME", "BETA"])
@pytest.mark.parametrize("answer", ["plain", "debiased"])
def test_skill_is_scikit_learns_on_the_months_with_an_outcome(audits, answer, symbol):
    found = audits("word")
    months = found.months if symbol == "all" else found.months[found.months["symbol"] == symbol]
    months = months[months["realised"].notna()]
    rose, said = (months["realised"] > 0).to_numpy(), months[answer].astype(bool).to_numpy()
    expected = {
        "says LONG": said.mean(),
        "accuracy": accuracy_score(rose, said),
        "balanced accuracy": balanced_accuracy_score(rose, said),
        "MCC": matthews_corrcoef(rose, said),
        "Brier score": brier_score_loss(rose, months[f"p_{answer}"]),
    }
    for measure, value in expected.items():
        row = found.worth(answer, measure, symbol)
        assert (row["n"], row["value"]) == (len(months), pytest.approx(value))
        assert row["cluster_low"] <= row["value"] <= row["cluster_high"]
    assert len(months) == sum(
        len(range(30, len(bars) - 20, 20)) for name, bars in BARS.items() if symbol in ("all", name)
    )


def test_constant_long_and_the_base_rate_stand_beside(audits):
    found = audits("nothing")
    up = float((found.months["realised"].dropna() > 0).mean())
    worth = {
        (answer, measure): found.worth(answer, measure)["value"]
        for answer in ("constant LONG", "base rate")
        for measure in ("accuracy", "balanced accuracy", "MCC", "Brier score")
    }
    assert worth == {
        ("constant LONG", "accuracy"): pytest.approx(up),
        ("constant LONG", "balanced accuracy"): 0.5,
        ("constant LONG", "MCC"): 0.0,
        ("constant LONG", "Brier score"): pytest.approx(1 - up),
        ("base rate", "accuracy"): pytest.approx(max(up, 1 - up)),
        ("base rate", "balanced accuracy"): 0.5,
        ("base rate", "MCC"): 0.0,
        ("base rate", "Brier score"): pytest.approx(up * (1 - up)),
    }


def test_outcomes_are_the_returns_over_the_horizon_and_the_last_months_have_none(audits):
    months = audits("nothing").months
    close = BARS["ACME"]["close"].to_numpy()
    own = months[months["symbol"] == "ACME"]
    assert own["realised"].iloc[0] == pytest.approx(close[50] / close[30] - 1)
    assert own["issued_at"].tolist() == list(BARS["ACME"].index[30::20])
    assert own["realised"].isna().sum() == 1


def test_without_log_probabilities_directions_count(tmp_path):
    study = BiasStudy(STUDY.subjects[:1], "P0")
    data = DATA[: len(range(30, len(BARS["ACME"]), 20))]
    model = Leaning(word=LEAN, logprobs=False)
    found = judge_bias(study, run_bias(study, asker_of(model, tmp_path)))
    assert found.settings["without_logprobs"] == found.settings["questions"]
    turned = int(((data > -LEAN) & (data < 0)).sum())
    assert found.measure("labels")["hits"] == turned
    assert found.measure("labels", "p(LONG)")["value"] == pytest.approx(turned / len(data))
    assert found.measure("labels", "log-odds")["n"] == 0
    assert found.worth("plain", "Brier score")["n"] == 0
    assert found.months["debiased"].tolist() == (data > 0).astype(int).tolist()
    assert found.nulls["log_odds"].isna().all()
    model = Leaning(code=LEAN, logprobs=False)
    found = judge_bias(study, run_bias(study, asker_of(model, tmp_path, name="other")))
    ties = int((np.abs(data) < LEAN).sum())
    assert found.measure("codes")["hits"] == ties
    # Where the codes alone decide, the order of the groups cannot show: these months are left out.
    assert (found.measure("order")["hits"], found.measure("order")["left_out"]) == (0, ties)


def test_questions_without_a_usable_answer_are_counted_and_left_out(tmp_path):
    study = BiasStudy(STUDY.subjects[:1], "P0")
    leaning = Leaning()

    def answer(request):
        if labels_in(request.messages)[0] == "Y":
            return reply({"direction": "up"}, None)
        return leaning(request)

    found = judge_bias(study, run_bias(study, asker_of(answer, tmp_path)))
    months = len(found.months)
    assert found.settings["failures"] == 2 * months + 2
    for contrast in ("labels", "codes", "order"):
        row = found.measure(contrast)
        assert (row["n"], row["left_out"]) == (0, months)
        assert math.isnan(row["value"])
    assert found.measure("paraphrase")["n"] == months
    assert found.months["debiased"].isna().all()
    assert found.worth("plain", "accuracy")["n"] == 0


def test_two_instruments_that_move_as_one_know_no_more_than_one(asked):
    one = BiasStudy(STUDY.subjects[:1], "P0")
    two = BiasStudy((one.subjects[0], replace(one.subjects[0], symbol="TWIN")), "P0")
    answers = [answer for answer in asked("word") if answer.question.symbol in ("", "ACME")]
    twins = [answer._replace(question=answer.question._replace(symbol="TWIN")) for answer in answers[5:]]
    found = [judge_bias(one, answers), judge_bias(two, [*answers, *twins])]
    for what in ("turned", "p(LONG)"):
        alone, both = (result.measure("labels", what) for result in found)
        assert both["n"] == 2 * alone["n"]
        for column in ("value", "cluster_low", "cluster_high"):
            assert both[column] == pytest.approx(alone[column])
    alone, both = (result.measure("labels") for result in found)
    assert both["high"] - both["low"] < alone["high"] - alone["low"]  # Wilson's takes them for twice as much


def test_the_seed_draws_and_nothing_else(asked, audits):
    other = replace(STUDY, seed=1)
    assert other.questions == STUDY.questions
    found = judge_bias(other, asked("word"))
    pd.testing.assert_frame_equal(found.months, audits("word").months)
    assert found.measure("labels")["value"] == audits("word").measure("labels")["value"]
    one, another = (result.measure("labels", "p(LONG)")["cluster_low"] for result in (found, audits("word")))
    assert one != another


def test_the_folder_holds_tables_and_a_page_and_is_the_same_every_time(audits, tmp_path):
    found = audits("everything")
    page = found.write(tmp_path / "one")
    names = {"bias.html", "bias.json", "measures.csv", "skill.csv", "months.csv", "nulls.csv"}
    assert {path.name for path in page.parent.iterdir()} == names
    again = found.write(tmp_path / "two").parent
    assert all((again / name).read_bytes() == (page.parent / name).read_bytes() for name in names)
    kept = json.loads((page.parent / "bias.json").read_text())
    assert kept["measures"][0]["value"] == found.measures["value"].iloc[0]
    assert len(pd.read_csv(page.parent / "months.csv")) == len(found.months)
    text = text_of_page(page)
    assert kept["summary"] == found.summary
    assert found.summary in text
    for symbol in BARS:
        assert symbol in text


def test_the_summary_says_what_was_planted_in_plain_words(audits):
    turned = int(((DATA > -LEAN) & (DATA < 0)).sum())
    text, row = audits("word").summary, audits("word").measure("labels", "p(LONG)")
    assert text.startswith(
        "Calling the directions LONG and SHORT instead of X and Y moves p(LONG) by "
        f"+{row['value']:.2f} (95 % interval +{row['cluster_low']:.2f} to +{row['cluster_high']:.2f}) and turns "
        f"{turned} of {len(DATA)} directions. Swapping the codes turns 0 of {len(DATA)}, reversing the "
        f"groups of data turns 0 of {len(DATA)} and paraphrasing the first paragraph turns 0 of {len(DATA)}."
    )
    assert f"opposite directions in {len(DATA)} of {len(DATA)} months (95 % interval" in audits("nothing").summary
    assert "neither the direction as asked nor the debiased one beats constant LONG" in text
    assert "a model that ignores them would reach too" in audits("random").summary
    assert "a model that ignores them would reach too" not in text


def test_the_summary_says_which_direction_has_skill():
    """A model that knows the outcomes, and leans so far to the word LONG that only its debiased direction shows it."""
    plain = [question for question in STUDY.questions if question.kind == "plain"]
    realised = {question.messages: STUDY.outcomes[question.symbol, question.issued_at] for question in plain}

    def answer(question, lean):
        knows = 1.0 if realised.get(question.messages, 1.0) > 0 else -1.0
        odds = knows + (lean if question.form is None else 0.0)
        return BiasAnswer(question, int(odds > 0), float(logistic(odds)), "scripted")

    said = {0.0: "both the direction as asked and the debiased one beat", 2.0: "only the debiased direction beats"}
    for lean, says in said.items():
        found = judge_bias(STUDY, [answer(question, lean) for question in STUDY.questions])
        assert f"On 46 months with an outcome {says} constant LONG" in found.summary
        assert found.worth("debiased", "MCC")["value"] == 1.0


def test_nothing_usable_is_said(tmp_path):
    found = judge_bias(STUDY, [BiasAnswer(question) for question in STUDY.questions])
    assert found.summary == "No month has answers that can be compared."
    assert found.settings["failures"] == len(STUDY.questions)
    assert found.measures["n"].sum() == 0
    text = text_of_page(found.write(tmp_path))
    assert f"{len(STUDY.questions)} of {len(STUDY.questions)} questions have no usable answer" in text


def test_answers_that_are_not_those_of_the_study_are_refused(audits):
    with pytest.raises(DataError, match=r"expected the answers to the \d+ questions of the study, got 0"):
        judge_bias(STUDY, [])
    with pytest.raises(KeyError, match="no measure 'labels', 'x' of 'all'"):
        audits("nothing").measure("labels", "x")
    with pytest.raises(KeyError, match="no 'x' of 'plain' for 'all'"):
        audits("nothing").worth("plain", "x")


def test_an_audit_shows_itself_as_its_page_begins(audits, tmp_path):
    found = audits(next(iter(MODELS)))
    shows_what_its_page_says(found, found.write(tmp_path / "shown"))
