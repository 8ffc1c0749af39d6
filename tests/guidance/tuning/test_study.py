"""The walk: regret by hand, a memory of two, where it stops, what it skips; and nothing of later bars."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from remembering import asker_of
from scripted_client import body
from tunable import KEY, OTHER, Tunable, waves

from llmguide.errors import DataError, EndpointError, GuidanceError
from llmguide.guidance.strategist import Brief, Subject
from llmguide.guidance.tuning.exemplars import ExpertExemplar, hindsight
from llmguide.guidance.tuning.study import TuningStudy, realised_in, run_tuning
from llmguide.guidance.tuning.training import TrainingBars, split_subject
from llmguide.guidance.tuning.writer_trainer import trainer_question
from llmguide.llm.asking import Asker
from llmguide.llm.cache import Cache

BARS = waves(years=3)
SUBJECT = Subject("ACME", BARS)
SPLIT = BARS.index[600]
TRAINING, HELD_OUT = split_subject(SUBJECT, SPLIT)


def study_of(**settings):
    return TuningStudy((TRAINING,), **{"repeats": 2, "length": 120, **settings})


def scripted(values):
    """A function that says one value after another, as if that had been earned."""
    left = list(values)
    return lambda advice, windows: left.pop(0)


def writes(*proposals):
    """A model whose writer proposes one list of instructions after another; the last one again and again."""
    model, left = Tunable(), list(proposals)

    def answer(request):
        if request.schema_name != "WriterReply":
            return model(request)
        model.sent["WriterReply"] = model.sent.get("WriterReply", 0) + 1
        lines = left.pop(0) if len(left) > 1 else left[0]
        return body(lines if isinstance(lines, str) else json.dumps({"why": "So.", "instructions": lines}), prompt=2000)

    answer.sent = model.sent
    return answer


def test_regret_is_the_sum_of_what_is_missing_and_a_repeat_ends_at_zero(tmp_path):
    study = study_of(repeats=1)
    model = writes(["One."], ["Two."], ["Three."])
    # Untuned 0.5, so V* is 0.8; then 0.3 and 1.5: the regret is 0.5, then -0.2.
    run = run_tuning(study, asker_of(model, tmp_path), scripted([0.5, 0.3, 1.5, 0.0, 0.0]))
    (repeat,) = run.repeats
    assert (repeat.baseline, repeat.target) == (0.5, 0.8)
    assert [trial.regret for trial in repeat.trials] == pytest.approx([0.5, -0.2])
    assert model.sent["WriterReply"] == 2
    assert model.sent["JudgeReply"] == 1
    assert repeat.best.round == 2


def test_the_target_is_the_untuned_prompts_where_that_is_higher_and_rounds_end_at_t(tmp_path):
    model = writes(["One."], ["Two."], ["Three."], ["Four."])
    run = run_tuning(study_of(repeats=1), asker_of(model, tmp_path), scripted([1.4, 1.0, 1.1, 1.2, 0.0, 0.0]))
    (repeat,) = run.repeats
    assert repeat.target == 1.4
    assert [trial.regret for trial in repeat.trials] == pytest.approx([0.4, 0.7, 0.9])
    assert model.sent["WriterReply"] == 3
    assert model.sent["JudgeReply"] == 2  # the last round is not judged: nothing is written after it


def test_the_writer_remembers_the_best_and_the_worst_and_no_other(tmp_path):
    model = writes(["One alpha."], ["Two beta."], ["Three gamma."], ["Four delta."])
    asker = asker_of(model, tmp_path)
    run = run_tuning(study_of(repeats=1, rounds=4), asker, scripted([0.0, 0.1, 0.3, 0.2, 0.0, 0.0, 0.0]))
    asked = [one.messages[1].content for one in asker._client.sent if one.schema_name == "WriterReply"]
    shown = [[word for word in ("alpha", "beta", "gamma", "delta") if word in text] for text in asked]
    assert shown == [[], ["alpha"], ["alpha", "beta"], ["alpha", "beta"]]  # gamma was neither best nor worst
    assert "The best instructions so far: Sharpe ratio +0.30, where 0.80 is wanted\n- Two beta." in asked[3]
    assert "The worst instructions so far: Sharpe ratio +0.10\n- One alpha." in asked[3]
    trials = run.trials
    assert trials[3].parents == (trials[1].draft.hash, trials[0].draft.hash)


def test_a_proposal_that_cannot_be_used_is_told_once_then_counted_and_skipped(tmp_path):
    model = writes(["{% include 'x' %}"], ["{{ lines }}"], ["Two."], ["Three."])
    asker = asker_of(model, tmp_path)
    run = run_tuning(study_of(repeats=1), asker, scripted([0.0, 0.1, 0.2, 0.0, 0.0]))
    first, second, third = run.trials
    assert first.draft is None
    assert "a mark of a template" in first.failure
    assert first.sharpe != first.sharpe
    assert (second.draft.instructions, third.draft.instructions) == (("Two.",), ("Three.",))
    assert first.regret == 0.0
    told = [one for one in asker._client.sent if one.schema_name == "WriterReply"]
    assert len(told) == 4
    assert "a mark of a template" in told[1].messages[-1].content


def test_a_writer_that_never_writes_anything_usable_leaves_no_prompt(tmp_path):
    run = run_tuning(study_of(), asker_of(writes("not json"), tmp_path), scripted([0.1, 0.2, 0.1, 0.2]))
    assert all(trial.draft is None for trial in run.trials)
    assert len(run.trials) == 6
    assert run.chosen is None
    assert [final.trial for final in run.finals] == [None]


def test_instructions_that_were_tried_before_are_not_tried_again(tmp_path):
    run = run_tuning(study_of(repeats=1), asker_of(writes(["One."]), tmp_path), scripted([0.0, 0.1, 0.0, 0.0]))
    assert [trial.failure for trial in run.trials] == [
        "",
        *["the writer repeated instructions that were tried before"] * 2,
    ]


def test_a_judge_that_fails_is_noted_and_the_writer_goes_on(tmp_path):
    model = Tunable()

    def answer(request):
        if request.schema_name == "JudgeReply":
            return body("nothing", prompt=2000)
        return model(request)

    run = run_tuning(study_of(repeats=1, rounds=2), asker_of(answer, tmp_path), scripted([0.0] * 6))
    assert run.trials[0].judged is None
    assert run.trials[0].judge_failure
    assert run.trials[1].failure  # without criticism this writer repeats itself


def test_the_finals_are_in_every_year_and_the_highest_mean_is_chosen(tmp_path):
    model = writes(["One."], ["Two."])
    #         repeat 1      repeat 2    finals: base  one         two
    values = [0.0, 0.9, *(0.0, 0.9), *(0.0, 0.0), *(0.9, 0.1), *(0.4, 0.9)]
    run = run_tuning(study_of(), asker_of(model, tmp_path), scripted(values))
    assert [final.mean for final in run.finals] == pytest.approx([0.0, 0.5, 0.65])
    assert run.chosen.trial.draft.instructions == ("Two.",)


def test_the_trainers_features_go_into_the_template_and_tuning_is_drawn_as_published(tmp_path):
    asker = asker_of(Tunable(), tmp_path)
    run = run_tuning(study_of(repeats=1, rounds=1), asker, scripted([0.0] * 4))
    (trial,) = run.trials
    assert trial.draft.features[0] == KEY
    assert f"Follow {OTHER}" in trial.template.texts[0][1]
    for request in asker._client.sent:
        sampling = request.sampling
        drawn = (sampling.temperature, sampling.frequency_penalty, sampling.presence_penalty)
        own = request.schema_name in ("LabelReply", "RankReply", "WriterReply", "JudgeReply")
        assert drawn == ((0.7, 1.0, 0.25) if own else (0.0, None, None))


def test_people_s_exemplars_are_ranked_and_their_words_are_part_of_every_repeats_lessons(tmp_path):
    day = BARS.index[300].date()
    experts = (ExpertExemplar("ACME", day, "SHORT", "Everybody had bought already."),)
    model = Tunable()
    run = run_tuning(study_of(experts=experts, rounds=1), asker_of(model, tmp_path), scripted([0.0] * 12))
    assert model.sent["RankReply"] == 1  # the same question in both repeats
    for repeat in run.repeats:
        assert any("Everybody had bought already." in group.rationale for group in repeat.lessons.groups)


def test_no_later_bar_changes_anything_that_is_asked(tmp_path):
    changed = BARS.copy()
    changed.loc[changed.index >= SPLIT, ["open", "high", "low", "close"]] *= 0.2
    asked = []
    for place, bars in enumerate((BARS, changed)):
        training, _ = split_subject(Subject("ACME", bars), SPLIT)
        asker = asker_of(Tunable(), tmp_path, name=str(place))
        run_tuning(TuningStudy((training,), repeats=2, length=120), asker, lambda advice, windows: 0.1)
        asked.append([request.key for request in asker._client.sent])
    assert asked[0] == asked[1]


def test_neither_symbol_nor_date_reaches_writer_trainer_and_judge(tmp_path):
    asker = asker_of(Tunable(), tmp_path)
    run_tuning(study_of(rounds=2), asker, lambda advice, windows: 0.1)
    for request in asker._client.sent:
        text = "".join(message.content for message in request.messages)
        assert "ACME" not in text
        assert "2010" not in text
        assert "2011" not in text


def test_the_judge_sees_what_became_of_decisions_up_to_the_windows_end(tmp_path):
    study = study_of(repeats=1, rounds=1)
    (window,) = study.windows[0]
    run = run_tuning(study, asker_of(Tunable(), tmp_path), scripted([0.0] * 4))
    advice = run.trials[0].advice
    realised = realised_in(advice, (window,))
    close = TRAINING.bars["close"]
    positions = [TRAINING.bars.index.get_loc(one.issued_at) for one in advice]
    assert realised[0] == pytest.approx(close.iloc[positions[1]] / close.iloc[window.first] - 1)
    assert realised[-1] == pytest.approx(close.iloc[window.end - 1] / close.iloc[positions[-1]] - 1)
    assert realised[1] == pytest.approx(close.iloc[positions[2]] / close.iloc[positions[1]] - 1)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"rounds": 0}, GuidanceError, "at least 1 round"),
        ({"length": 400}, GuidanceError, "ask for fewer repeats or a shorter window"),
        ({"brief": Brief(debias=True)}, GuidanceError, "on the model's own directions"),
        ({"training": (HELD_OUT,)}, DataError, "expected TrainingBars, got HeldOut"),
        ({"training": (TRAINING, TRAINING)}, GuidanceError, "got ACME twice"),
        ({"base": "P9"}, GuidanceError, "does not exist"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_anything_is_asked(settings, error, said):
    with pytest.raises(error, match=said):
        replace(study_of(), **settings)


def test_two_instruments_have_years_of_their_own_and_one_template(tmp_path):
    other = TrainingBars(Subject("BETA", waves(years=3, seed=4)))
    study = replace(study_of(repeats=1, rounds=1), training=(TRAINING, other))
    run = run_tuning(study, asker_of(Tunable(), tmp_path), scripted([0.0] * 4))
    assert [window.symbol for window in run.repeats[0].windows] == ["ACME", "BETA"]
    assert {one.symbol for one in run.trials[0].advice} == {"ACME", "BETA"}


def test_the_trainer_is_told_of_no_group_of_data_that_it_is_not_shown(make_tables):
    plain, full = (hindsight(study.windows[0][0], study.brief)[0] for study in (study_of(), with_tables(make_tables)))
    system, user = trainer_question(plain, SUBJECT, Brief())
    assert "technical.sma_20_slope" in user.content
    assert not re.search(r"macro\.|market\.|options\.", system.content)
    system, user = trainer_question(full, replace(SUBJECT, tables=make_tables(BARS)), Brief())
    assert "market.spx" in system.content
    assert "market.spx" in user.content


def with_tables(make_tables):
    training, _ = split_subject(replace(SUBJECT, tables=make_tables(BARS)), SPLIT)
    return TuningStudy((training,), repeats=2, length=120)


def test_penalties_that_the_endpoint_refuses_are_left_out_and_a_replay_finds_the_answers(tmp_path):
    model = Tunable()

    def answer(request):
        if request.sampling.frequency_penalty is not None:
            raise EndpointError("frequency_penalty is not supported", status=400, parameter="frequency_penalty")
        return model(request)

    study = study_of(repeats=1, rounds=1)
    asker = asker_of(answer, tmp_path)
    run = run_tuning(study, asker, lambda advice, windows: 0.1)
    assert run.trials[0].draft is not None
    assert "frequency_penalty" in asker.capabilities.refused
    assert model.sent["LabelReply"] == len(study.exemplars(0))
    replay = Asker(Cache(tmp_path / "cache.sqlite"), model="scripted", client=None)
    again = run_tuning(study, replay, lambda advice, windows: 0.1)
    assert again.trials[0].draft == run.trials[0].draft


def test_an_error_of_the_endpoint_that_names_no_setting_stays_one(tmp_path):
    def answer(request):
        if request.schema_name == "LabelReply":
            raise EndpointError("no", status=400, parameter="messages")
        return Tunable()(request)

    with pytest.raises(EndpointError, match="no"):
        run_tuning(study_of(repeats=1), asker_of(answer, tmp_path), lambda advice, windows: 0.1)
