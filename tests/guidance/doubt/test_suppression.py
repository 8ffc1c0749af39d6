"""Memory taken out of a direction: by hand, for models that remember and that do not, and never by what came later."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remembering import DATA, Remembering, asker_of

from llmguide import sample_bars
from llmguide.errors import GuidanceError
from llmguide.guidance.doubt.suppression import Suppression, known_months, measured_alpha, recall_score, suppress
from llmguide.guidance.planning import plan_study
from llmguide.guidance.strategist import Brief, Subject
from llmguide.guidance.study import Study, run_study
from llmguide.llm.access import Access
from llmguide.llm.odds import log_odds

BARS = sample_bars(years=1, seed=10)
SUBJECT = Subject("ACME", BARS)
# The scripted model recognises a month by its last close: the paper's form of the levels lets it.
BRIEF = Brief(suppress=Suppression(), levels="absolute")
PROBABILITIES = st.floats(0.001, 0.999)


def advice_of(model, folder, *, brief=BRIEF, subject=SUBJECT, name="cache", prompt="P0"):
    return run_study(Study((subject,), (prompt,), brief), asker_of(model, folder, name=name))


def test_log_odds_are_subtracted_by_hand():
    # logit(0.8) - 0.5 logit(0.9) = ln 4 - ln 3: p = 4/7; 2 |p - 0.5| = 1/7 is in the first third.
    found = suppress(0.8, 0.9, 0.5, direction=1, confidence=3)
    assert (found.direction, found.confidence) == (1, 1)
    assert found.p_long == pytest.approx(4 / 7, abs=1e-12)
    # logit(0.6) - logit(0.9) = ln 1.5 - ln 9: p = 1/7; 2 |p - 0.5| = 5/7 is in the last third.
    turned = suppress(0.6, 0.9, 1.0, direction=1, confidence=1)
    assert (turned.direction, turned.confidence) == (0, 3)
    assert turned.p_long == pytest.approx(1 / 7, abs=1e-12)
    assert turned.note.endswith("alpha 1.00, adjusted 0.14.")
    extreme = suppress(0.5, 1.0, 1e6, direction=1, confidence=1)
    assert (extreme.direction, extreme.confidence, extreme.p_long) == (0, 3, 0.0)


@given(PROBABILITIES, PROBABILITIES, st.floats(0, 1), st.integers(1, 3))
def test_suppression_is_symmetric_in_long_and_short_and_takes_nothing_where_there_is_nothing(p, memory, alpha, own):
    found = suppress(p, memory, alpha, direction=int(p > 0.5), confidence=own)
    mirror = suppress(1 - p, 1 - memory, alpha, direction=1 - int(p > 0.5), confidence=own)
    assert suppress(p, memory, 0.0, direction=1, confidence=own) is None
    assert suppress(p, 0.5, alpha, direction=1, confidence=own) is None
    if found is not None and mirror is not None and abs(found.p_long - 0.5) > 1e-6:
        assert mirror.direction == 1 - found.direction
        assert mirror.p_long == pytest.approx(1 - found.p_long, abs=1e-9)
        assert found.confidence <= own or found.direction != int(p > 0.5)


def test_alpha_is_the_balanced_recall():
    assert measured_alpha([0.9, 0.9, 0.2], [0.1, 0.2, -0.1]) == pytest.approx(0.9 + 0.8 - 1)
    assert measured_alpha([0.9] * 10, [0.1] * 8 + [-0.1] * 2) == pytest.approx(0.0)  # always LONG is no memory
    assert measured_alpha([0.1, 0.9], [0.1, -0.1]) == 0.0  # worse than chance
    assert measured_alpha([0.9, 0.9], [0.1, 0.1]) == measured_alpha([], []) == 0.0
    assert [recall_score(0.7, 0.1), recall_score(0.7, -0.1), recall_score(0.7, 0.0)] == pytest.approx([0.7, 0.3, 0.5])


def test_a_month_is_known_when_the_last_bar_of_its_horizon_is():
    for count, months in ((50, 0), (51, 1), (70, 1), (71, 2)):
        found = known_months(BARS.iloc[:count], every=20, first=30)
        assert [day for day, _ in found] == list(BARS.index[30:200:20][:months])
    close = BARS["close"].to_numpy()
    assert found[1][1] == pytest.approx(close[70] / close[50] - 1)


def test_suppression_changes_the_model_that_remembers_and_not_the_one_that_does_not(tmp_path):
    remembers = advice_of(Remembering({"ACME": BARS}), tmp_path, name="a")
    forgets = advice_of(Remembering(), tmp_path, name="b")
    bare = advice_of(Remembering(), tmp_path, name="c", brief=Brief(levels="absolute"))
    adjusted = [one for one in remembers if one.revision is not None]
    assert len(adjusted) >= len(remembers) - 4  # the first have no earlier ones of both kinds, the last no outcome
    for one in adjusted:
        assert one.revision.alpha == pytest.approx(0.9, abs=1e-9)
        row, own = one.row, one.reply
        assert (row.said_direction, row.said_confidence) == (int(own.direction == "LONG"), own.confidence)
        assert row.explanation.startswith(own.explanation)
        assert "Memory suppressed: p(LONG)" in row.explanation
        assert row.tau == pytest.approx((2 * row.direction - 1) * row.strength)
    # What is left is what the data alone say: the directions of the model without memory.
    seen = {one.issued_at: one.row.direction for one in forgets}
    assert all(one.row.direction == seen[one.issued_at] for one in adjusted)
    assert any(one.row.direction != one.row.said_direction for one in adjusted)
    for one, other in zip(forgets, bare, strict=True):
        assert one.revision is None
        assert one.row == other.row
        assert abs(log_odds(one.p_long, 1 - one.p_long)) == pytest.approx(DATA, abs=1e-9)
        assert one.p_long == pytest.approx(other.p_long, abs=1e-9)


def test_a_fixed_alpha_asks_of_no_other_month_and_nothing_is_asked_after_the_cut_off(tmp_path):
    cutoff = BARS.index[110].date()
    brief = Brief(suppress=Suppression(1.0, cutoff))
    asker = asker_of(Remembering({"ACME": BARS}), tmp_path)
    advice = run_study(Study((SUBJECT,), ("P0",), brief), asker)
    ledger = asker.ledger.frame()
    memory = ledger[ledger["role"] == "memory"]
    before = [one for one in advice if one.issued_at.date() <= cutoff]
    assert list(memory["issued_at"]) == [f"{one.issued_at:%Y-%m-%d}" for one in before]
    assert len(before) == 5
    assert all(one.revision.alpha == 1.0 for one in before)
    assert all(one.revision is None and one.row.said_direction is None for one in advice if one not in before)
    assert [one.cost.calls for one in advice] == [2] * 5 + [1] * (len(advice) - 5)


def test_every_month_is_asked_from_memory_once_and_the_plan_counts_it(tmp_path):
    study = Study((SUBJECT,), ("P0",), BRIEF)
    plan = plan_study(study, Access(model="scripted", cache=tmp_path / "none.sqlite", base_url="http://scripted/v1"))
    asker = asker_of(Remembering({"ACME": BARS}), tmp_path)
    advice = run_study(study, asker)
    ledger = asker.ledger.frame()
    assert (ledger["role"] == "memory").sum() == len(advice) == study.advice_count
    assert plan.calls == 2 * len(advice)
    bare = plan_study(replace(study, brief=Brief()), Access(model="scripted", cache=tmp_path / "none.sqlite"))
    assert bare.calls == len(advice)
    assert plan.completion_tokens == bare.completion_tokens + 20 * len(advice)


@pytest.mark.parametrize("t", [90, 130])
def test_no_bar_after_t_changes_what_is_taken_out_up_to_t(tmp_path, t):
    model = Remembering({"ACME": BARS})
    changed = BARS.copy()
    factors = np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.05, len(BARS) - t)))
    changed.loc[changed.index[t:], ["open", "high", "low", "close"]] *= factors[:, None]
    before = advice_of(model, tmp_path, name="a")
    after = advice_of(model, tmp_path, name="b", subject=Subject("ACME", changed))
    until = BARS.index[t]
    early = [(one.messages, one.revision, one.row) for one in before if one.issued_at <= until]
    assert early == [(one.messages, one.revision, one.row) for one in after if one.issued_at <= until]
    assert any(suppressed for _, suppressed, _ in early)
    # Worth nothing if the later months stayed the same too.
    assert [one.revision for one in before] != [one.revision for one in after]


def test_the_question_that_names_the_instrument_is_another_than_the_strategists(tmp_path):
    asker = asker_of(Remembering(), tmp_path)
    run_study(Study((SUBJECT,), ("P0",), BRIEF), asker)
    for request in asker._client.sent:
        text = "\n".join(message.content for message in request.messages)
        assert ("ACME" in text) == (request.schema_name == "RecallReply")


def test_without_log_probabilities_nothing_is_asked(tmp_path):
    asker = asker_of(Remembering(logprobs=False), tmp_path)
    with pytest.raises(GuidanceError, match="suppressing memory needs log-probabilities, and"):
        run_study(Study((SUBJECT,), ("P0",), BRIEF), asker)
    assert {request.schema_name for request in asker._client.sent} == {"Readiness"}


def test_a_single_answer_without_log_probabilities_is_left_as_it_is_and_counted(tmp_path):
    model = Remembering({"ACME": BARS})
    bare = Remembering({"ACME": BARS}, logprobs=False)
    day = f"{BARS.index[150]:%Y-%m-%d}"

    class Once(Remembering):
        def __call__(self, request):
            return (bare if day in request.messages[-1].content else model)(request)

    advice = advice_of(Once(), tmp_path)
    (unknown,) = [one for one in advice if one.unrevised]
    assert unknown.issued_at == BARS.index[150]
    assert unknown.revision is None
    assert unknown.row.said_direction is None
    assert advice[-2].revision is not None


@pytest.mark.parametrize("alpha", [-0.1, math.nan, math.inf])
def test_an_impossible_alpha_is_refused(alpha):
    with pytest.raises(GuidanceError, match="expected alpha >= 0"):
        Suppression(alpha)


def test_the_cut_off_is_the_last_day_that_counts():
    one = Suppression(cutoff=date(2018, 1, 2))
    assert one.concerns(pd.Timestamp("2018-01-02"))
    assert not one.concerns(pd.Timestamp("2018-01-03"))
