"""Features ranked by what the model said of them, and rationales grouped by what they say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from llmguide.guidance.tuning.lessons import Reason, group_rationales, learn
from llmguide.guidance.tuning.replies import LabelReply, RankedFeature, known_features

SHOWN = known_features()[:8]


def reason(direction, text, **ranks):
    named = tuple(RankedFeature(name=f"stock.{name}", importance=value) for name, value in ranks.items())
    return Reason(direction, text, named, SHOWN)


def test_the_top_quartile_is_kept_by_mean_importance_over_the_exemplars_that_showed_it():
    # close: 3, 3 and absent: 2.0; volume: 0, 0, 3: 1.0; return_1w: 2, 0, 1: 1.0; of eight two are kept.
    reasons = [
        reason("LONG", "a b", close=3, return_1w=2),
        reason("LONG", "a c", close=3),
        reason("SHORT", "d e", volume=3, return_1w=1),
    ]
    lessons = learn(reasons, seed=0)
    assert lessons.features == ("stock.close", "stock.volume")
    assert lessons.scores["stock.close"] == pytest.approx(2.0)
    assert lessons.scores["stock.return_1w"] == lessons.scores["stock.volume"] == pytest.approx(1.0)
    assert lessons.scores[SHOWN[-1]] == 0.0


def test_a_feature_that_was_never_named_is_not_kept_and_one_that_was_not_shown_does_not_count():
    far = (RankedFeature(name="options.otm_skew", importance=3),)
    lessons = learn([Reason("LONG", "words", far, SHOWN)], seed=0)
    assert lessons.features == ()
    assert "options.otm_skew" not in lessons.scores


def test_exemplars_without_an_answer_are_counted():
    lessons = learn([None, reason("LONG", "a"), None], seed=0)
    assert (lessons.exemplars, lessons.unusable, len(lessons.groups)) == (3, 2, 1)
    assert learn([None], seed=0).groups == ()
    assert learn([], seed=0).features == ()


def test_rationales_that_say_the_same_are_one_group():
    trend = [(f"the trend is up and its slope rises {n}", "LONG") for n in "abcd"]
    skew = [(f"protection became dear before the report {n}", "SHORT") for n in "abc"]
    groups = group_rationales([*trend, *skew], seed=0, most=2)
    assert [(group.size, group.long) for group in groups] == [(4, 4), (3, 0)]
    assert groups[0].rationale in dict(trend)
    assert groups == group_rationales([*trend, *skew], seed=0, most=2)


def test_there_are_never_more_than_ten_groups_nor_more_than_different_rationales():
    many = [(f"reason {n} number {n * 7} about thing{n}", "LONG") for n in range(40)]
    assert len(group_rationales(many, seed=1)) == 10
    assert sum(group.size for group in group_rationales(many, seed=1)) == 40
    assert len(group_rationales([("same words", "LONG")] * 12, seed=1)) == 1


@pytest.mark.parametrize(
    "features", [[{"name": "technical.nothing", "importance": 2}], [{"name": "macro.pmi", "importance": 4}]]
)
def test_ranks_of_unknown_data_and_other_numbers_are_refused(features):
    with pytest.raises(ValidationError):
        LabelReply(rationale="Because.", features=features)
