"""One update: the loss by CleanRL's formula and by hand, the step of stable-baselines3, and how a rollout is cut."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Categorical, kl_divergence

from llmguide import sample_bars
from llmguide.errors import ModelError
from llmguide.rl.flag import policy as policy_module
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.layers import prefix_keys
from llmguide.rl.flag.policy import FlagPolicy
from llmguide.rl.flag.ppo import Rollout, losses, masked_log_probabilities, minibatches, update
from llmguide.rl.flag.tiny import tiny_base
from llmguide.trading.flag_env import FlagEnv
from llmguide.trading.flag_rules import FlagRules

CONFIG = FlagConfig()
ALL = [True, True, True]


def batch(seed, rows=40, *, everything=False):
    """A random batch: logits, values and all that a rollout stores; some actions are not possible."""
    torch.manual_seed(seed)
    logits, old = torch.randn(rows, 3), torch.randn(rows, 3)
    legal = torch.rand(rows, 3) < (1.1 if everything else 0.6)
    legal[:, 1] = True
    old_log_pi = masked_log_probabilities(old, legal)
    actions = Categorical(logits=old_log_pi).sample()
    rest = {
        "actions": actions,
        "old_log_probabilities": old_log_pi.gather(1, actions[:, None]).squeeze(1),
        "old_values": torch.randn(rows),
        "advantages": torch.randn(rows),
        "returns": torch.randn(rows),
        "log_reference": masked_log_probabilities(torch.randn(rows, 3), legal),
    }
    return logits, torch.randn(rows), legal, rest


def cleanrl_loss(logits, values, legal, b, config):
    """ppo.py of vwxyzjn/cleanrl, line by line, with torch's distributions over masked logits."""
    dist = Categorical(logits=logits.masked_fill(~legal, -1e9))
    logratio = dist.log_prob(b["actions"]) - b["old_log_probabilities"]
    ratio = logratio.exp()
    pg_loss1 = -b["advantages"] * ratio
    pg_loss2 = -b["advantages"] * torch.clamp(ratio, 1 - config.clip, 1 + config.clip)
    pg_loss = torch.max(pg_loss1, pg_loss2).mean()
    v_loss_unclipped = (values - b["returns"]) ** 2
    v_clipped = b["old_values"] + torch.clamp(values - b["old_values"], -config.clip, config.clip)
    v_loss = 0.5 * torch.max(v_loss_unclipped, (v_clipped - b["returns"]) ** 2).mean()
    kl = kl_divergence(dist, Categorical(logits=b["log_reference"])).mean()
    return pg_loss - config.entropy * dist.entropy().mean() + v_loss * config.value + config.kl * kl


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31 - 1))
def test_the_loss_is_cleanrls_and_so_is_its_gradient(seed):
    logits, values, legal, b = batch(seed)
    config = replace(CONFIG, kl=0.7, entropy=0.3)
    grads = []
    for loss in (
        lambda x, v: losses(masked_log_probabilities(x, legal), v, config=config, **b).total(config).mean(),
        lambda x, v: cleanrl_loss(x, v, legal, b, config),
    ):
        x, v = logits.clone().requires_grad_(), values.clone().requires_grad_()
        total = loss(x, v)
        grads.append((total, *torch.autograd.grad(total, (x, v))))
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_one_row_worked_by_hand():
    legal = torch.tensor([[False, True, True]])
    log_pi = masked_log_probabilities(torch.tensor([[9.0, math.log(3.0), 0.0]]), legal)
    told = losses(
        log_pi,
        torch.tensor([2.0]),
        actions=torch.tensor([1]),
        old_log_probabilities=torch.tensor([math.log(0.5)]),
        old_values=torch.tensor([1.0]),
        advantages=torch.tensor([2.0]),
        returns=torch.tensor([3.0]),
        log_reference=masked_log_probabilities(torch.zeros(1, 3), legal),
        config=CONFIG,
    )
    assert log_pi.exp()[0].tolist() == pytest.approx([0.0, 0.75, 0.25])
    assert float(told.policy) == pytest.approx(-2 * 1.2)  # the ratio is 1.5, cut to 1.2
    assert float(told.clipped) == 1
    assert float(told.value) == pytest.approx(0.5 * (3 - 1.2) ** 2)  # the value went from 1 to 2: cut to 1.2, and worse
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert float(told.entropy) == pytest.approx(entropy)
    assert float(told.kl) == pytest.approx(math.log(2) - entropy)
    reinforce = losses(
        log_pi,
        torch.tensor([2.0]),
        actions=torch.tensor([1]),
        old_log_probabilities=torch.tensor([math.log(0.5)]),
        old_values=torch.tensor([1.0]),
        advantages=torch.tensor([2.0]),
        returns=torch.tensor([3.0]),
        log_reference=None,
        config=FlagConfig(algorithm="reinforce"),
    )
    assert float(reinforce.policy) == pytest.approx(-2 * math.log(0.75))
    assert float(reinforce.value) == 0.5
    assert float(reinforce.kl) == 0


class Linear:
    """A policy whose states are their numbers: both heads are linear."""

    def __init__(self, seed=0, inputs=4):
        torch.manual_seed(seed)
        self.weights = {"actions": torch.randn(3, inputs), "value": torch.randn(1, inputs)}
        self.first = self.weights["actions"].clone()
        for weight in self.weights.values():
            weight.requires_grad_()
        self.batches = []

    def evaluate(self, encoded):
        self.batches.append(len(encoded))
        x = torch.stack(list(encoded))
        return x @ self.weights["actions"].T, (x @ self.weights["value"].T).squeeze(1)

    def reference(self, encoded):
        return torch.stack(list(encoded)) @ self.first.T

    def trainable(self):
        return self.weights


def collected(seed, rows=40):
    _, _, legal, b = batch(seed, rows)
    names = ("actions", "old_log_probabilities", "old_values", "advantages", "returns")
    return Rollout(list(torch.randn(rows, 4)), legal.numpy(), *(b[name].numpy() for name in names))


def updated(rollout, config, orders=None, optimiser=torch.optim.SGD):
    policy = Linear()
    orders = [np.arange(len(rollout.actions))] * config.epochs if orders is None else orders
    told = update(policy, optimiser(policy.trainable().values(), lr=0.01), rollout, orders, config)
    return policy, told


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce"])
def test_accumulation_changes_the_memory_and_not_the_gradient(algorithm):
    rollout = collected(3)
    config = FlagConfig(algorithm=algorithm, gradient_clip=1e9)
    parts, whole = (updated(rollout, replace(config, accumulation=n)) for n in (8, 1))
    for name, weight in whole[0].trainable().items():
        torch.testing.assert_close(parts[0].trainable()[name], weight, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-4, atol=1e-6)
    assert max(parts[0].batches) <= 5
    assert max(whole[0].batches) == (20 if algorithm == "ppo" else 40)


def test_what_the_parts_of_a_minibatch_share_is_computed_once_for_each_minibatch(monkeypatch):
    base = tiny_base(0)
    made = []
    monkeypatch.setattr(
        policy_module, "prefix_keys", lambda *given, **named: made.append(given) or prefix_keys(*given, **named)
    )
    learned = []
    for passes in (5, 1):
        policy = FlagPolicy(base)
        rollout = replace(collected(4), encoded=policy.encode([f"Sell, hold or buy? {row}" for row in range(40)]))
        config = FlagConfig(accumulation=passes, gradient_clip=1e9, kl=0.0)
        before = policy.trained.layers[0].self_attn.k_proj.weight.clone()
        made.clear()
        update(policy, torch.optim.SGD(policy.trainable().values(), lr=0.01), rollout, [np.arange(40)], config)
        assert len(made) == 2  # minibatches
        assert not policy.trained.layers[0].self_attn.k_proj.weight.equal(before)
        learned.append(policy.trainable())
    for name, tensor in learned[0].items():
        torch.testing.assert_close(tensor, learned[1][name], rtol=1e-4, atol=1e-6)


def test_forty_rows_are_two_minibatches_of_twenty_in_the_order_given():
    order = np.random.default_rng(0).permutation(40)
    parts = minibatches(order, CONFIG)
    assert [len(part) for part in parts] == [20, 20]
    np.testing.assert_array_equal(np.concatenate(parts), order)
    assert [len(part) for part in minibatches(np.arange(32), CONFIG)] == [32]
    assert [len(part) for part in minibatches(np.arange(65), CONFIG)] == [22, 22, 21]
    assert [len(part) for part in minibatches(order, FlagConfig(algorithm="reinforce"))] == [40]


def test_each_minibatch_is_a_step_and_the_second_one_sees_the_first():
    """Two steps on halves are the step on the first half, then that on the second from there."""
    rollout = collected(5)
    order = np.arange(40)
    config = replace(CONFIG, accumulation=1)
    both, _ = updated(rollout, config, [order])
    policy = Linear()
    optimiser = torch.optim.SGD(policy.trainable().values(), lr=0.01)
    for rows in (order[:20], order[20:]):
        arrays = ("legal", "actions", "log_probabilities", "values", "advantages", "returns")
        half = Rollout([rollout.encoded[row] for row in rows], *(getattr(rollout, name)[rows] for name in arrays))
        update(policy, optimiser, half, [np.arange(20)], config)
    for name, weight in both.trainable().items():
        torch.testing.assert_close(policy.trainable()[name], weight)


def test_the_advantages_of_a_minibatch_are_normalised_only_where_asked():
    rollout = collected(6)
    larger = replace(rollout, advantages=5.0 * rollout.advantages + 1.0)
    policy, moved = (updated(r, CONFIG)[0].trainable()["actions"] for r in (rollout, larger))
    torch.testing.assert_close(policy, moved, rtol=1e-4, atol=1e-6)
    raw = replace(CONFIG, normalise=False, gradient_clip=1e9)
    policy, moved = (updated(r, raw)[0].trainable()["actions"] for r in (rollout, larger))
    assert (policy - moved).abs().max() > 1e-3


class FromSB3:
    """A policy of stable-baselines3, asked through the protocol."""

    def __init__(self, policy):
        self.policy = policy

    def evaluate(self, encoded):
        features = self.policy.extract_features(torch.stack(list(encoded)))
        latent_pi, latent_vf = self.policy.mlp_extractor(features)
        return self.policy.action_net(latent_pi), self.policy.value_net(latent_vf).squeeze(1)

    def trainable(self):
        return dict(self.policy.named_parameters())


@pytest.mark.parametrize("stale", [False, True])
def test_a_step_is_that_of_stable_baselines3(stale):
    """Its value loss has no 1/2, and no maximum: the same while the values are those of the rollout, else left out."""
    from stable_baselines3 import PPO

    value = 0.0 if stale else 0.5
    model = PPO(
        "MlpPolicy", FlagEnv(sample_bars(years=1), rules=FlagRules(episode=15), training=True), n_steps=40,
        batch_size=40, n_epochs=1, ent_coef=0.05, vf_coef=value / 2, max_grad_norm=0.5, seed=1, device="cpu",
        clip_range_vf=0.2, policy_kwargs={"net_arch": [8]},
    )  # fmt: skip
    _, callback = model._setup_learn(40, None)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, 40)
    if stale:  # so that ratios are not 1
        with torch.no_grad():
            for parameter in model.policy.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    ours = FromSB3(copy.deepcopy(model.policy))
    buffer = model.rollout_buffer
    rollout = Rollout(
        list(torch.tensor(buffer.observations[:, 0])), np.tile(ALL, (40, 1)), buffer.actions[:, 0, 0].astype(int),
        buffer.log_probs[:, 0], buffer.values[:, 0], buffer.advantages[:, 0], buffer.returns[:, 0],
    )  # fmt: skip
    model.train()
    config = FlagConfig(minibatch=40, accumulation=1, kl=0.0, value=value, clip=0.2)
    optimiser = torch.optim.Adam(ours.trainable().values(), lr=model.learning_rate, eps=1e-5)
    told = update(ours, optimiser, rollout, [np.arange(40)], config)
    before = model.policy.state_dict()
    for name, tensor in ours.trainable().items():
        torch.testing.assert_close(tensor, before[name], rtol=1e-3, atol=2e-6)
    assert (told.clipped > 0.1) == stale


def test_the_published_constants_and_the_falling_learning_rate():
    assert (CONFIG.steps, CONFIG.rollout, CONFIG.minibatch, CONFIG.accumulation) == (13_860, 40, 32, 8)
    assert (CONFIG.discount, CONFIG.trace, CONFIG.clip, CONFIG.rules.episode) == (0.95, 0.98, 0.2, 65)
    assert (CONFIG.entropy, CONFIG.value, CONFIG.kl, CONFIG.gradient_clip) == (0.05, 0.5, 0.05, 0.5)
    assert [CONFIG.learning_rate_at(step) for step in (0, 6930, 13_860)] == [5e-4, 2.5e-4, 0.0]
    assert replace(CONFIG, anneal=False).learning_rate_at(6930) == 5e-4
    assert FlagConfig.from_dict(CONFIG.to_dict()) == CONFIG


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"steps": 0}, "steps must be a whole number"),
        ({"minibatch": 2.5}, "minibatch must be a whole number"),
        ({"learning_rate": -1.0}, "learning_rate must be positive"),
        ({"kl": math.nan}, "kl must be a weight"),
        ({"trace": 1.1}, r"trace must lie in \[0, 1\]"),
        ({"algorithm": "a2c"}, "'ppo' or 'reinforce'"),
    ],
)
def test_impossible_settings_are_refused(wrong, told):
    with pytest.raises(ModelError, match=told):
        FlagConfig(**wrong)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ModelError, match="did you mean 'discount'"):
        FlagConfig.from_dict(CONFIG.to_dict() | {"discounts": 1})
