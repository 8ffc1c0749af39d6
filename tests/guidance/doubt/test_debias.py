"""Leanings to words, places and orders: planted in a scripted model, they are gone from the direction."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaning import Leaning, labels_in
from remembering import asker_of, reply

from llmguide import sample_bars
from llmguide.errors import GuidanceError
from llmguide.guidance.advice import StrategistReply
from llmguide.guidance.doubt.coding import FORMS, CodedReply, Form, coded, decoded, reordered
from llmguide.guidance.doubt.debias import View, debias
from llmguide.guidance.doubt.suppression import Suppression
from llmguide.guidance.doubt.votes import vote
from llmguide.guidance.planning import plan_study
from llmguide.guidance.strategist import Brief, Subject
from llmguide.guidance.study import Study, guidance_of, run_study
from llmguide.llm.access import Access
from llmguide.llm.protocol import Message
from llmguide.llm.schemas import schema_of

BARS = sample_bars(years=1, seed=10)
SUBJECT = Subject("ACME", BARS)
DEBIAS = Brief(debias=True)
PROBABILITY = st.floats(1e-5, 1 - 1e-5)


class Unusable(Leaning):
    """Gives no usable answer in two of the forms, of which no pair is left whole."""

    forms = (FORMS[0], FORMS[3])

    def __call__(self, request):
        if request.schema_name == "CodedReply":
            long, _ = labels_in(request.messages)
            asked = request.messages[1].content
            if Form(long, not asked.startswith("# Prices")) in self.forms:
                return reply({"direction": "neither"}, None)
        return super().__call__(request)


def odds_of(p):
    return math.log(p / (1 - p))


def advice_of(model, folder, *, brief=DEBIAS, subject=SUBJECT, name="cache", prompt="P0"):
    return run_study(Study((subject,), (prompt,), brief), asker_of(model, folder, name=name))


def test_the_labels_are_replaced_and_x_stands_first_whatever_it_means():
    messages = (
        Message("system", "Be LONG or SHORT. Sums for LONG and for SHORT. LONG, SHORT or NEUTRAL. A LONGER day."),
        Message("user", "## now\nSHORT, then LONG\n\n# Data\na: 1\n\n# More\nb: 2\n"),
    )
    system, user = coded(messages, Form("Y", True))
    assert system.content == (
        "Two directions are open to you, called X and Y. X: you gain if the price falls and lose if it rises. "
        "Y: you gain if the price rises and lose if it falls.\n\n"
        "Be X or Y. Sums for X and for Y. X, Y or NEUTRAL. A LONGER day."
    )
    assert user.content == "## now\nX, then Y\n\n# More\nb: 2\n\n# Data\na: 1"
    plain = coded(messages, Form("X", False))
    assert plain[0].content.endswith("Be X or Y. Sums for X and for Y. X, Y or NEUTRAL. A LONGER day.")
    assert plain[1].content == "## now\nY, then X\n\n# Data\na: 1\n\n# More\nb: 2\n"


@given(st.lists(st.text("ab #\n", max_size=12), max_size=5))
def test_reordering_twice_keeps_every_line_in_its_section(parts):
    text = "\n\n".join(f"# {number}\n{part.strip()}".replace("\n# ", "\n ") for number, part in enumerate(parts))
    again = reordered(reordered(text))
    assert [line for line in again.splitlines() if line] == [line for line in text.splitlines() if line]


def test_a_coded_reply_has_the_fields_of_the_strategists_in_its_order():
    plain, in_codes = (json.loads(schema_of(kind, "set")[1]) for kind in (StrategistReply, CodedReply))
    assert list(in_codes["properties"]) == list(plain["properties"])
    as_codes = json.dumps(plain).replace('["LONG", "SHORT"', '["X", "Y"')
    assert json.loads(as_codes) == in_codes
    answer = CodedReply(explanation="so", features=[], direction="Y", confidence=1)
    assert [decoded(answer, form) for form in FORMS] == [0, 1, 0, 1]


def test_the_mean_of_the_odds_by_hand():
    views = [View(form, 1, p) for form, p in zip(FORMS, (0.9, 0.5, 0.8, 0.5), strict=True)]
    found = debias(views, direction=0, confidence=2)
    # The mean of ln 9, 0, ln 4 and 0 is ln 36 / 4: the odds are the square root of 6.
    assert found.p_long == pytest.approx(math.sqrt(6) / (1 + math.sqrt(6)), abs=1e-12)
    assert (found.direction, found.confidence) == (1, 2)  # 2 |p - 0.5| = 0.42 is in the second third
    assert found.note == (
        "Debiased: p(LONG) 0.71 over neutral labels both ways, groups in both orders (0.90, 0.50, 0.80, 0.50)."
    )
    half = [views[0], View(FORMS[1], None, None), *views[2:]]  # 0.9 alone would lean as its code does
    assert debias(half, direction=0, confidence=2).p_long == pytest.approx(2 / 3, abs=1e-12)
    assert "both ways, groups reversed (0.90, none, 0.80, 0.50)." in debias(half, direction=0, confidence=2).note
    assert (
        debias([*half[:2], half[3]._replace(p_long=None, direction=None), half[2]], direction=0, confidence=2) is None
    )
    votes = [View(form, direction, None) for form, direction in zip(FORMS, (1, 1, 1, 0), strict=True)]
    counted = debias(votes, direction=0, confidence=1)
    assert (counted.p_long, counted.direction, counted.confidence, counted.by_votes) == (0.75, 1, 2, True)
    assert counted.note.startswith("Debiased: share of LONG 0.75 over")


@given(st.lists(PROBABILITY, min_size=4, max_size=4), st.integers(0, 1), st.integers(1, 3))
def test_debiasing_is_symmetric_in_long_and_short(ps, own, confidence):
    views = [View(form, int(p > 0.5), p) for form, p in zip(FORMS, ps, strict=True)]
    mirror = [View(form, 1 - int(p > 0.5), 1 - p) for form, p in zip(FORMS, ps, strict=True)]
    one, other = (debias(v, direction=o, confidence=confidence) for v, o in ((views, own), (mirror, 1 - own)))
    assert other.p_long == pytest.approx(1 - one.p_long, abs=1e-9)
    if abs(one.p_long - 0.5) > 1e-9:
        assert other.direction == 1 - one.direction


def test_planted_leanings_are_gone_and_what_the_data_say_is_left(tmp_path):
    fair = advice_of(Leaning(), tmp_path, name="fair")
    leans = advice_of(Leaning(word=3.0, code=-2.0, order=0.7), tmp_path, name="leans")
    assert all(one.reply.direction == "LONG" for one in leans)
    for one, other in zip(leans, fair, strict=True):
        assert one.revision.p_long == pytest.approx(other.p_long, abs=1e-9)
        assert one.row.p_revised == one.revision.p_long
        assert one.row.direction == other.row.direction == int(other.p_long > 0.5)
        assert one.row.said_direction == 1
        assert one.row.p_long == pytest.approx(one.p_long)  # the model's own stays beside
    assert {one.row.direction for one in leans} == {0, 1}


def test_without_log_probabilities_the_forms_vote_and_unusable_pairs_are_left_out(tmp_path):
    bare = Leaning(code=20.0, logprobs=False)  # X always: the codes given out both ways tie, the model's word stays
    for one in advice_of(bare, tmp_path, name="a"):
        assert (one.revision.p_long, one.row.direction, one.row.confidence) == (0.5, one.row.said_direction, 1)
    for one in advice_of(Unusable(), tmp_path, name="b"):
        assert one.revision is None
        assert one.unrevised
        assert (one.row.said_direction, one.row.p_revised) == (None, None)


def test_the_plan_counts_five_questions_a_month_and_the_second_run_asks_none(tmp_path):
    study = Study((SUBJECT,), ("P0",), DEBIAS)
    plan = plan_study(study, Access(model="scripted", cache=tmp_path / "none.sqlite", base_url="http://scripted/v1"))
    asker = asker_of(Leaning(), tmp_path)
    advice = run_study(study, asker)
    asked = [request.schema_name for request in asker._client.sent if request.schema_name != "Readiness"]
    assert plan.calls == len(asked) == 5 * len(advice)
    assert [one.cost.calls for one in advice] == [5] * len(advice)
    again = asker_of(Leaning(), tmp_path)
    assert run_study(study, again) == advice
    assert again._client.sent == []
    # The question as it is, is the one that is asked without debiasing.
    bare = asker_of(Leaning(), tmp_path)
    run_study(replace(study, brief=Brief()), bare)
    assert bare._client.sent == []


@pytest.mark.parametrize("brief", [DEBIAS, Brief(samples=3)])
@pytest.mark.parametrize("t", [90, 130])
def test_no_bar_after_t_changes_what_is_revised_up_to_t(tmp_path, brief, t):
    model = Leaning(word=1.0, code=0.5)
    changed = BARS.copy()
    factors = np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.05, len(BARS) - t)))
    changed.loc[changed.index[t:], ["open", "high", "low", "close"]] *= factors[:, None]
    before = advice_of(model, tmp_path, name="a", brief=brief)
    after = advice_of(model, tmp_path, name="b", brief=brief, subject=Subject("ACME", changed))
    until = BARS.index[t]
    early = [(one.messages, one.revision, one.row) for one in before if one.issued_at <= until]
    assert early == [(one.messages, one.revision, one.row) for one in after if one.issued_at <= until]
    assert [one.row for one in before] != [one.row for one in after]


def test_votes_by_hand():
    most = vote((1, 1, 0), direction=0, confidence=2)
    assert (most.direction, most.confidence, most.p_long) == (1, 2, 2 / 3)  # 2 (2/3 - 1/2) = 1/3: the second third
    assert most.note == "Votes: 2 of 3 answers at temperature 0.7 say LONG."
    assert (vote((0, 0), direction=0, confidence=1).direction, vote((0, 0), direction=0, confidence=1).confidence) == (
        0,
        1,
    )
    tie = vote((1, 0), direction=1, confidence=3)
    assert (tie.direction, tie.confidence) == (1, 1)
    assert vote((), direction=1, confidence=3) is None


class Dice(Leaning):
    """Answers at a temperature by the seed of the question: LONG for even ones."""

    def __call__(self, request):
        if not request.sampling.temperature:
            return super().__call__(request)
        return Leaning(rise=20.0 if request.sampling.seed % 2 == 0 else -20.0)(request)


def test_samples_vote_with_seeds_of_their_own(tmp_path):
    asker = asker_of(Dice(), tmp_path)
    advice = run_study(Study((SUBJECT,), ("P0",), Brief(samples=3)), asker)
    drawn = [request for request in asker._client.sent if request.draw]
    assert {request.sampling.seed for request in drawn} == {50, 51, 52}
    assert {request.sampling.temperature for request in drawn} == {0.7}
    assert len(drawn) == 3 * len(advice)
    assert all((one.revision.votes, one.row.direction, one.row.confidence) == ((1, 0, 1), 1, 2) for one in advice)
    ledger = asker.ledger.frame()
    assert (ledger["role"] == "vote").sum() == len(drawn)


def test_samples_of_an_endpoint_without_seeds_are_different_questions(tmp_path):
    asker = asker_of(Leaning(), tmp_path)
    asker.sampling = replace(asker.sampling, seed=None)
    run_study(Study((SUBJECT,), ("P0",), Brief(samples=2)), asker)
    drawn = [request for request in asker._client.sent if request.draw]
    assert (
        len({request.key for request in drawn}) == len(drawn) == 2 * len(Study((SUBJECT,), ("P0",)).positions(SUBJECT))
    )
    assert {request.sampling.seed for request in drawn} == {None}


def test_each_way_makes_a_direction_of_its_own():
    for wrong in ({"debias": True, "samples": 3}, {"suppress": Suppression(), "debias": True}):
        with pytest.raises(GuidanceError, match="expected one of suppress, debias and samples"):
            Brief(**wrong)
    with pytest.raises(GuidanceError, match="at least 2 samples"):
        Brief(samples=1)


@pytest.mark.parametrize("prompt", ["P0", "P1", "P2", "P3", "P4", "technical"])
def test_no_label_is_left_in_any_packaged_prompt(tmp_path, prompt):
    asker = asker_of(Leaning(), tmp_path)
    run_study(Study((SUBJECT,), (prompt,), DEBIAS), asker)
    told = [request for request in asker._client.sent if request.schema_name == "CodedReply"]
    assert told
    for request in told:
        text = "\n".join(message.content for message in request.messages)
        assert not re.search(r"\b(LONG|SHORT)\b", text)
        assert not re.search(r"\bY(,| or| and)\W+(for )?X\b", text)


def test_a_table_keeps_what_was_revised(tmp_path):
    advice = advice_of(Leaning(word=3.0), tmp_path)
    table = guidance_of(advice, symbol="ACME", prompt="P0")
    path = table.save(tmp_path / "table.csv")
    assert type(table).read(path) == table
    assert table.frame["p_revised"].notna().all()
