"""Policies that decide side by side answer as each would alone, and what they have in common is computed once."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from text_policy import TextPolicy

from llmguide import sample_bars
from llmguide.errors import DataError
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.controls import UntrainedPolicy, controls_of
from llmguide.rl.flag.evaluation import walk_flag, walk_flags
from llmguide.rl.flag.policy import FlagPolicy, PolicyConfig
from llmguide.rl.flag.tiny import tiny_base
from llmguide.rl.flag.together import SideBySide, Told
from llmguide.rl.flag.trained import TrainedPolicy
from llmguide.states.text import read_state_template
from llmguide.trading.flag_rules import FlagRules

BARS = sample_bars(years=1, seed=3).iloc[:70]
CONFIG = FlagConfig(shown=8, rules=FlagRules(episode=10))
EXACT = ["action", "shares", "cash", "value", "reward"]
ROUNDED = ["p_sell", "p_hold", "p_buy", "expected"]


def trained(base, seed, template="flag", **fields):
    policy = FlagPolicy(base, PolicyConfig(seed=seed, **fields))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in policy.trainable().values():
            one.add_(0.05 * torch.randn(one.shape, generator=generator))
        policy.trained.heads.policy.weight.mul_(10.0)  # so that they do not all agree
    return TrainedPolicy(policy, CONFIG, read_state_template(template), seed, {})


@pytest.fixture(scope="module", params=["llama", "gemma3"])
def base(request):
    return tiny_base(3, kind=request.param)


def all_arms(base, template):
    policies = [trained(base, seed, template) for seed in (0, 1)] + [trained(base, 2, template, lora_rank=2)]
    return [*policies, *(one for arm in controls_of(policies).values() for one in arm)]


def assert_alike(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(ours[EXACT], theirs[EXACT])
    pd.testing.assert_frame_equal(ours[ROUNDED], theirs[ROUNDED], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("template", ["flag", "brief"])
def test_walks_side_by_side_are_those_of_each_policy_alone(base, template):
    arms = all_arms(base, template)
    walks = walk_flags(arms, BARS, start=52)
    assert len({tuple(walk["action"]) for walk in walks}) >= 3  # else little would be proved
    for one, walk in zip(arms, walks, strict=True):
        assert_alike(walk, walk_flag(one, BARS, start=52))


@pytest.mark.slow
def test_a_policy_walks_from_several_bars_at_once(base):
    one, other = trained(base, 0), TrainedPolicy(TextPolicy(1), CONFIG, read_state_template("flag"), 1, {})
    starts = [8, 40, 8, 69]
    walks = walk_flags([one, one, other, one], BARS, start=starts)
    for policy, walk, start in zip([one, one, other, one], walks, starts, strict=True):
        assert_alike(walk, walk_flag(policy, BARS, start=start))


@pytest.mark.slow
def test_policies_of_other_templates_settings_and_models_walk_beside_each_other(base):
    arms = [
        trained(base, 0),
        trained(base, 1, "brief"),
        TrainedPolicy(trained(base, 2).policy, FlagConfig(shown=5), read_state_template("brief"), 2, {}),
        trained(base, 3, frozen=1),
        trained(tiny_base(9), 4),
    ]
    for one, walk in zip(arms, walk_flags(arms, BARS, start=50), strict=True):
        assert_alike(walk, walk_flag(one, BARS, start=50))


class Counted(FlagPolicy):
    """Counts the tokens that go through its frozen layers and those behind them."""

    def __init__(self, base, config):
        super().__init__(base, config)
        self.read = self.thought = 0

    def _through_frozen(self, prefix, ids):
        self.read += ids.numel()
        return super()._through_frozen(prefix, ids)

    def last(self, encoded):
        self.thought += len(encoded)
        return super().last(encoded)


class CountedUntrained(Counted, UntrainedPolicy):
    pass


def test_a_text_is_read_once_for_all_and_what_texts_have_in_common_once(base):
    beginning, prices = "Sell, hold or buy? ", "Closes: 100 101 102 103 104 105 106 "
    texts = [f"{beginning}{prices}cash", f"{beginning}{prices}shares"]
    policies = [cls(base, PolicyConfig(seed=seed)) for cls in (Counted, CountedUntrained) for seed in (0, 1)]
    together = SideBySide(policies, [beginning] * 4)
    first = policies[0].read
    assert first == len(base.tokens([beginning])[0])
    together.choose({at: Told(texts[at % 2], (True, True, True)) for at in range(4)})
    # A token is a byte; the beginning's last one was not kept, and the shorter end is padded to the longer one.
    assert policies[0].read - first == 1 + len(prices) + 2 * len("shares")
    assert [policy.read for policy in policies[1:]] == [0, 0, 0]
    assert [policy.thought for policy in policies] == [1, 1, 2, 0]


def test_progress_counts_decisions_and_nothing_walks_nowhere(base):
    told: list[tuple[int, int]] = []
    arms = [trained(base, 0), trained(base, 1)]
    walk_flags(arms, BARS, start=[66, 68], progress=lambda *counts: told.append(counts))
    assert told == [(1, 6), (2, 6), (4, 6), (6, 6)]
    assert walk_flags([], BARS) == []
    with pytest.raises(DataError, match="a start, or one for each of 2 policies, got 3"):
        walk_flags(arms, BARS, start=[30, 31, 32])
    with pytest.raises(DataError, match="start must lie between 8 and 69, got 70"):
        walk_flags(arms, BARS, start=[30, 70])


def test_later_bars_change_nothing_in_walks_side_by_side(base):
    changed = BARS.copy()
    changed.iloc[56:, :4] *= 1.7
    arms = [trained(base, 0), trained(base, 1)]
    for one, two in zip(walk_flags(arms, BARS, start=40), walk_flags(arms, changed, start=40), strict=True):
        pd.testing.assert_frame_equal(one.iloc[: 56 - 40], two.iloc[: 56 - 40])
        decided = ["action", *ROUNDED]
        pd.testing.assert_frame_equal(one.iloc[: 57 - 40][decided], two.iloc[: 57 - 40][decided])
