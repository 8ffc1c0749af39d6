"""Tuning finds the feature that pays, out of sample, and where answers are noise it reports no gain."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from page_text import text_of_page
from remembering import asker_of
from scripted_client import ScriptedClient
from showing import shows_what_its_page_says
from tunable import KEY, Tunable, waves

import llmguide
from llmguide import sample_bars, sharpe_ratio
from llmguide.backtest import run_backtest
from llmguide.errors import DataError, GuidanceError
from llmguide.experiments.tuning import plan_tuning, tune_study
from llmguide.experiments.tuning.account import follow
from llmguide.guidance import Guidance
from llmguide.guidance.strategist import Brief, Subject, prepare, write_prompt
from llmguide.guidance.study import Study, run_study
from llmguide.guidance.tuning.study import TuningStudy
from llmguide.guidance.tuning.training import split_subject
from llmguide.llm.access import Access
from llmguide.llm.cache import Cache
from llmguide.llm.templates import read_template
from llmguide.strategies import LLMOnly

BARS = waves(years=5, seed=3).iloc[:1030]
TRAINING, HELD_OUT = split_subject(Subject("ACME", BARS), BARS.index[630])
STUDY = TuningStudy((TRAINING,), repeats=2, length=126)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """What tuning came to, by a model that can be tuned."""
    return tune_study(STUDY, asker_of(Tunable(), tmp_path_factory.mktemp("tuned")), tests=[HELD_OUT])


def test_the_feature_that_pays_is_found_and_gains_on_bars_that_nothing_was_chosen_by(tuned):
    found = tuned
    assert f"Follow {KEY}: LONG where it is above 0" in found.text
    assert found.proof.verdict == "higher"
    assert found.proof.difference.low > 0
    assert found.proof.p <= 0.02
    assert found.proof.mean("tuned") > found.proof.mean("untuned")
    assert "a gain." in found.summary
    assert found.deflated.probability > 0.5


def test_where_answers_are_noise_there_is_no_gain_that_can_be_told_from_chance(tmp_path):
    bars = sample_bars(years=4, seed=1)
    training, held_out = split_subject(Subject("ACME", bars), bars.index[630])
    study = TuningStudy((training,), repeats=2, length=126)
    found = tune_study(study, asker_of(Tunable(noise=True), tmp_path), tests=[held_out])
    assert found.proof.verdict == "open"
    assert found.proof.difference.low < 0 < found.proof.difference.high
    assert "no gain that can be distinguished from chance" in found.summary


def test_no_test_bar_changes_the_template_or_its_pedigree(tuned, tmp_path):
    changed = BARS.copy()
    changed.loc[changed.index[630:], ["open", "high", "low", "close"]] *= np.linspace(1.0, 9.0, len(BARS) - 630)[
        :, None
    ]
    training, held_out = split_subject(Subject("ACME", changed), changed.index[630])
    study = TuningStudy((training,), repeats=2, length=126)
    again = tune_study(study, asker_of(Tunable(), tmp_path), tests=[held_out])
    assert again.text == tuned.text
    assert again.pedigree == tuned.pedigree
    assert again.proof.difference != tuned.proof.difference


@pytest.mark.parametrize("seed", range(3))
def test_an_account_is_that_of_the_strategy_at_close_fills_abstentions_too(seed):
    bars, first = sample_bars(years=2, seed=seed), 200
    random = np.random.default_rng(seed)
    rows = pd.DataFrame({"issued_at": bars.index[np.arange(190, len(bars), 20)]})
    rows["direction"] = random.choice([1, 0, None], len(rows))
    rows["confidence"] = [None if said is None else 2 for said in rows["direction"]]
    table = Guidance.from_rows(rows)
    returns = follow(table, bars, first=first, cash=100_000.0, cost=0.002)
    own = bars.iloc[first - 1 :]
    result = run_backtest(own, LLMOnly, guidance=table, cost=0.002, start=1)
    assert returns.to_numpy() == pytest.approx(result.account["returns"].to_numpy()[1:], abs=1e-12)
    assert len(returns) == len(bars) - first
    assert sharpe_ratio(returns) == sharpe_ratio(returns.copy())


def test_an_account_that_never_trades_is_worth_nothing_and_not_undefined():
    bars = sample_bars(years=1, seed=0)
    table = Guidance.from_rows(pd.DataFrame({"issued_at": [bars.index[50]], "direction": [None], "confidence": [None]}))
    returns = follow(table, bars, first=60, cash=100_000.0, cost=0.001)
    assert (returns == 0).all()


def test_a_template_asks_what_was_asked_in_tuning_and_works_wherever_a_prompt_does(tuned, tmp_path):
    found = tuned
    found.write(tmp_path)
    month = prepare(TRAINING.subject, BARS.index[300], BARS.iloc[:300])
    trial = found.run.chosen.trial
    messages = [write_prompt(one, TRAINING.subject, month, Brief()) for one in (tmp_path / "tuned.md", trial.template)]
    assert messages[0] == messages[1]
    study = Study((Subject("ACME", BARS.iloc[:120]),), (tmp_path / "tuned.md",))
    advice = run_study(study, asker_of(Tunable(), tmp_path))
    assert {one.prompt for one in advice} == {"tuned"}
    assert advice[0].prompt_hash == found.pedigree["prompt_hash"]


def test_a_base_of_ones_own_lies_beside_the_template(tmp_path):
    (tmp_path / "mine.md").write_text('{% extends "P0.md" %}{% block prices %}{% endblock %}')
    study = TuningStudy((TRAINING,), tmp_path / "mine.md", repeats=1, rounds=1, length=100)
    tune_study(study, asker_of(Tunable(), tmp_path)).write(tmp_path / "out")
    (tmp_path / "mine.md").unlink()
    read = read_template(tmp_path / "out" / "tuned.md")
    assert [name for name, _ in read.texts][1:3] == ["mine.md", "P0.md"]


def test_a_tuned_template_is_tuned_again_under_another_name(tuned, tmp_path):
    tuned.write(tmp_path)
    settings = {"repeats": 1, "rounds": 1, "length": 80}
    asker = asker_of(Tunable(), tmp_path)
    with pytest.raises(GuidanceError, match="copy it under another name"):
        tune_study(TuningStudy((TRAINING,), tmp_path / "tuned.md", **settings), asker)
    assert not asker._client.sent
    (tmp_path / "first.md").write_text((tmp_path / "tuned.md").read_text())
    again = tune_study(TuningStudy((TRAINING,), tmp_path / "first.md", **settings), asker)
    month = prepare(TRAINING.subject, BARS.index[300], BARS.iloc[:300])
    system, user = write_prompt(again.template, TRAINING.subject, month, Brief())
    assert system.content.count("What earlier years have taught:") == 2
    assert user.content.count(f"{KEY}:") == 1


def test_what_is_written_tells_everything_and_the_page_shows_it(tuned, tmp_path):
    found = tuned
    page = found.write(tmp_path)
    names = {"tuned.md", "tuned.json", "tuning.html", "tuning.json", "rounds.csv", "finals.csv", "test.csv"}
    assert {path.name for path in tmp_path.iterdir()} == names
    text = text_of_page(page)
    assert found.summary in text
    assert f"- Follow {KEY}" in text
    pedigree = json.loads((tmp_path / "tuned.json").read_text())
    assert pedigree["prompts_tried"] == found.tried == 4
    assert pedigree["training"]["ACME"]["last"] == f"{BARS.index[629]:%Y-%m-%d}"
    assert pedigree["lessons"]["grouped_by"] == "TF-IDF and k-means"
    assert all(window["last"] <= pedigree["training"]["ACME"]["last"] for window in pedigree["all_windows"])
    rounds = pd.read_csv(tmp_path / "rounds.csv")
    assert len(rounds) == len(found.run.trials)
    settings = json.loads((tmp_path / "tuning.json").read_text())
    assert settings["test"]["verdict"] == "higher"


def test_a_model_whose_proposals_cannot_be_used_leaves_no_template_and_says_so(tmp_path):
    class Useless(Tunable):
        def WriterReply(self, system, asked):
            return {"why": "", "instructions": []}

    found = tune_study(STUDY, asker_of(Useless(), tmp_path), tests=[HELD_OUT])
    assert found.template is None
    assert found.proof is None
    assert found.summary == (
        "0 prompts were tried on training bars, and 6 proposals could not be used: there is no tuned prompt, and P0 "
        "is unchanged."
    )
    out = tmp_path / "out"
    found.write(out)
    assert not (out / "tuned.md").exists()


class Restless(Tunable):
    """Never writes the same twice."""

    def WriterReply(self, system, asked):
        return {"why": "So.", "instructions": [f"Number {self.sent['WriterReply']}."]}


@pytest.mark.slow
def test_a_plan_is_what_is_asked_at_most_and_nothing_where_all_is_kept(tmp_path):
    access = Access(model="scripted", cache=tmp_path / "c.sqlite", base_url="http://scripted/v1")
    training, held_out = split_subject(Subject("ACME", BARS.iloc[:700]), BARS.index[630])
    study = TuningStudy((training,), repeats=2, length=80, target=99.0)  # never reached
    plan = plan_tuning(study, access, tests=[held_out])
    client = ScriptedClient(Restless(noise=True), endpoint="http://scripted/v1")
    found = tune_study(study, access.asker(client=client), tests=[held_out])
    assert len(found.run.trials) == 6
    assert plan.calls == sum(request.schema_name != "Readiness" for request in client.sent)
    assert plan_tuning(study, access, tests=[held_out]).calls == 0


def test_a_plan_follows_what_is_kept_and_a_repeat_that_has_ended_needs_no_more(tmp_path):
    access = Access(model="scripted", cache=tmp_path / "c.sqlite", base_url="http://scripted/v1")
    study = TuningStudy((TRAINING,), repeats=1, length=80, target=-99.0)  # the untuned one's is the target
    client = ScriptedClient(Tunable(), endpoint="http://scripted/v1")
    run = tune_study(study, access.asker(client=client)).run
    assert plan_tuning(study, access).calls == 0
    assert len(run.trials) <= 3


@pytest.mark.slow
def test_the_same_tuning_asks_nothing_again_and_comes_to_the_same(tuned, tmp_path):
    model = Tunable()
    first = tune_study(STUDY, asker_of(model, tmp_path), tests=[HELD_OUT])
    asked = dict(model.sent)
    second = tune_study(STUDY, asker_of(model, tmp_path), tests=[HELD_OUT])
    assert model.sent == asked
    assert second.text == first.text
    assert second.rounds.equals(first.rounds)
    assert Cache(tmp_path / "cache.sqlite").models() == {"scripted": sum(asked.values())}


def test_test_bars_of_others_and_within_the_training_are_refused(tmp_path):
    asker = asker_of(Tunable(), tmp_path)
    _, other = split_subject(Subject("BETA", BARS), BARS.index[630])
    with pytest.raises(DataError, match="expected test bars of ACME, got those of BETA"):
        tune_study(STUDY, asker, tests=[other])
    _, early = split_subject(Subject("ACME", BARS), BARS.index[500])
    with pytest.raises(DataError, match="the test must begin after the training has ended"):
        tune_study(STUDY, asker, tests=[early])


def test_the_door_takes_bars_and_hides_the_symbol(tmp_path, monkeypatch):
    client = ScriptedClient(Tunable(), endpoint="http://scripted/v1")
    monkeypatch.setattr(Access, "client", lambda self, stays=False: client)
    access = Access(model="scripted", cache=tmp_path / "c.sqlite", base_url="http://scripted/v1")
    settings = {"repeats": 1, "rounds": 1, "window": 80, "symbol": "ACME"}
    found = llmguide.tune(BARS.iloc[:300], access, test=BARS.iloc[300:340], **settings)
    assert found.proof.bars == 40
    assert found.tried == 1
    assert not any("ACME" in message.content for request in client.sent for message in request.messages)
    again = llmguide.tune(BARS.iloc[:300], access, **settings)
    assert again.text == found.text
    assert again.proof is None
    with pytest.raises(DataError, match="begins after the training has ended"):
        llmguide.tune(BARS.iloc[:300], access, test=BARS.iloc[200:340])


def test_a_tuned_prompt_shows_itself_as_its_page_begins(tuned, tmp_path):
    shows_what_its_page_says(tuned, tuned.write(tmp_path / "shown"))
