"""The policy is what the language model's own forward pass over whole states says: logits, values and gradients."""

from __future__ import annotations

import copy
import random

import pytest
import torch

from llmguide.errors import ModelError
from llmguide.rl.flag import policy as policy_module
from llmguide.rl.flag.layers import blocks_of, prefix_keys
from llmguide.rl.flag.policy import FlagPolicy, PolicyConfig
from llmguide.rl.flag.tiny import tiny_base

TASK = "Trade one share. Actions: sell, hold, buy.\n"
KINDS = ["llama", "gemma3"]


def states(count: int, seed: int = 0, task: str = TASK) -> list[str]:
    """Texts of one template, of different lengths."""
    draw = random.Random(seed)
    prices = [[f"{draw.uniform(50, 150):.2f}" for _ in range(draw.randint(1, 5))] for _ in range(count)]
    return [f"{task}{draw.choice('xyz')} prices {' '.join(some)}" for some in prices]


@pytest.fixture(scope="module", params=KINDS)
def base(request):
    return tiny_base(0, kind=request.param)


def moved(policy: FlagPolicy, seed: int = 5) -> FlagPolicy:
    """The policy after a step that moves every weight: nothing is at its special beginning any more."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in policy.trainable().values():
            one.add_(0.05 * torch.randn(one.shape, generator=generator))
    return policy


def plain(policy: FlagPolicy, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """The slow twin: every state by itself through the whole model's own forward pass, as any library would do it."""
    model = copy.deepcopy(policy.base.model)
    first = policy.config.frozen
    for at, layer in enumerate(policy.trained.layers):
        model.model.layers[first + at] = layer
    model.model.norm = policy.trained.norm
    last = [
        model.model(input_ids=torch.tensor([one]), use_cache=False).last_hidden_state[0, -1]
        for one in policy.base.tokens(texts)
    ]
    return policy.trained.heads(torch.stack(last))


def loss(logits: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Any function of both in which no state counts like another."""
    weight = torch.linspace(0.5, 1.5, len(values))
    return (weight * (torch.log_softmax(logits, -1)[:, 0] + (values - weight) ** 2)).sum()


def gradients(policy: FlagPolicy, made: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = torch.autograd.grad(loss(*made), list(policy.trainable().values()))
    return dict(zip(policy.trainable(), found, strict=True))


def assert_same(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-5) -> None:
    """Equal, relative to the largest of them."""
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("frozen", [0, 1, 2])
@pytest.mark.parametrize("rank", [0, 2])
def test_logits_values_and_gradients_are_those_of_the_whole_forward_pass(base, frozen, rank):
    policy = moved(FlagPolicy(base, PolicyConfig(frozen=frozen, lora_rank=rank)))
    texts = states(11)
    encoded = policy.encode(texts[:1]) + policy.encode(texts[1:4]) + policy.encode(texts[4:])
    ours, theirs = policy.evaluate(encoded), plain(policy, texts)
    for one, other in zip(ours, theirs, strict=True):
        assert_same(one, other)
    expected = gradients(policy, theirs)
    for name, gradient in gradients(policy, ours).items():
        assert expected[name].abs().max() > 0
        assert_same(gradient, expected[name])


def test_the_beginning_that_states_share_is_found_and_changes_nothing(base):
    texts = states(4)
    policy = FlagPolicy(base, PolicyConfig(frozen=1))
    first, *others = policy.encode(texts[:1]) + policy.encode(texts[1:])
    beginning = base.tokens([TASK])[0]
    assert len({id(one.prefix) for one in others}) == 1
    assert list(others[0].prefix.tokens[: len(beginning)]) == beginning
    assert first.length == len(base.tokens(texts)[0])
    assert policy.encode(texts)[0].prefix is others[0].prefix
    alone = [FlagPolicy(base, PolicyConfig(frozen=1)).encode([text])[0] for text in texts]
    for one, other in zip([first, *others], alone, strict=True):
        cut = min(len(one.prefix.tokens), len(other.prefix.tokens))
        assert_same(one.behind(one.prefix.cut(cut)).hidden, other.behind(other.prefix.cut(cut)).hidden)


def test_states_that_begin_otherwise_are_computed_whole_in_any_order(base):
    texts = states(3) + states(2, task="Quite another task: say what you would do with 100 shares.\n") + ["", "ab"]
    policy = moved(FlagPolicy(base, PolicyConfig(frozen=1)))
    shuffled = [texts[place] for place in (3, 0, 5, 1, 6, 4, 2)]
    encoded = [one for text in shuffled for one in policy.encode([text])]
    for ours, theirs in zip(policy.evaluate(encoded), plain(policy, shuffled), strict=True):
        assert_same(ours, theirs)
    together = policy.evaluate(policy.encode(shuffled))
    for ours, theirs in zip(together, plain(policy, shuffled), strict=True):
        assert_same(ours, theirs)


def test_a_state_evaluates_alike_alone_and_beside_longer_ones(base):
    policy = moved(FlagPolicy(base, PolicyConfig(frozen=1)))
    encoded = policy.encode(states(5))
    together, _ = policy.evaluate(encoded)
    for one, logits in zip(encoded, together, strict=True):
        assert_same(policy.evaluate([one])[0][0], logits)


@pytest.mark.parametrize("rank", [0, 2])
def test_a_gradient_in_parts_is_that_of_one_pass_and_computes_the_beginning_once(base, rank, monkeypatch):
    made = []
    monkeypatch.setattr(
        policy_module, "prefix_keys", lambda *given, **named: made.append(given) or prefix_keys(*given, **named)
    )
    policy = moved(FlagPolicy(base, PolicyConfig(frozen=1, lora_rank=rank)))
    encoded, weights = policy.encode(states(7)), policy.trainable()
    whole = gradients(policy, policy.evaluate(encoded))
    share = torch.linspace(0.5, 1.5, 7)
    parts, made[:] = [range(3), range(3, 5), range(5, 7)], []
    with policy.accumulating():
        for part in parts:
            logits, values = policy.evaluate([encoded[row] for row in part])
            weight = share[list(part)]
            (weight * (torch.log_softmax(logits, -1)[:, 0] + (values - weight) ** 2)).sum().backward()
    assert len(made) == 1
    for name, tensor in weights.items():
        assert tensor.grad is not None
        assert_same(tensor.grad, whole[name])
        tensor.grad = None

    def interrupted():
        with policy.accumulating():
            loss(*policy.evaluate(encoded)).backward()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    policy.trained.zero_grad()
    for name, gradient in gradients(policy, policy.evaluate(encoded)).items():  # as if nothing had been
        assert_same(gradient, whole[name])


STEPS = {
    "SGD": lambda weights: torch.optim.SGD(weights, lr=0.1),
    "Adam": lambda weights: torch.optim.Adam(weights, lr=0.01),
    "Adam, foreach": lambda weights: torch.optim.Adam(weights, lr=0.01, foreach=True),
    "AdamW, fused": lambda weights: torch.optim.AdamW(weights, lr=0.01, fused=True),
}


@pytest.mark.parametrize("step", STEPS)
def test_after_a_step_nothing_of_the_old_weights_is_left_in_a_rollout(base, step):
    texts = states(4)
    policy = FlagPolicy(base, PolicyConfig(frozen=1))
    encoded = policy.encode(texts)
    with torch.no_grad():
        before, _ = policy.evaluate(encoded)  # keys and values of the beginning are kept
        assert policy.evaluate(encoded)[0].equal(before)
    optimiser = STEPS[step](list(policy.trainable().values()))
    for _ in range(2):
        optimiser.zero_grad()
        loss(*policy.evaluate(encoded)).backward()
        optimiser.step()
    with torch.no_grad():
        after, _ = policy.evaluate(encoded)
        assert not after.equal(before)
        assert_same(after, plain(policy, texts)[0])


@pytest.mark.parametrize("rank", [0, 2])
def test_the_reference_is_the_policy_before_training_and_the_base_is_never_changed(base, rank):
    digest = base.digest
    policy = FlagPolicy(base, PolicyConfig(frozen=1, lora_rank=rank))
    encoded = policy.encode(states(3))
    with torch.no_grad():
        beginning, values = policy.evaluate(encoded)
    assert policy.reference(encoded).equal(beginning)
    assert not values.any()
    moved(policy)
    assert_same(policy.reference(encoded), beginning)
    assert not policy.reference(encoded).requires_grad
    assert (policy.evaluate(encoded)[0] - beginning).abs().max() > 0.01
    del base.__dict__["digest"]
    assert base.digest == digest


def test_a_rollout_in_inference_mode_can_be_trained_on(base):
    policy = FlagPolicy(base, PolicyConfig(frozen=1))
    with torch.inference_mode():
        encoded = policy.encode(states(3))
        policy.evaluate(encoded)
    loss(*policy.evaluate(encoded)).backward()
    with torch.no_grad():
        policy.evaluate(encoded)


def test_the_seed_makes_the_heads_and_the_adapter(base):
    def weights(seed: int) -> torch.Tensor:
        policy = FlagPolicy(base, PolicyConfig(frozen=1, lora_rank=2, seed=seed))
        return torch.cat([one.detach().flatten() for one in policy.trainable().values()])

    torch.manual_seed(1)
    once = weights(7)
    torch.manual_seed(2)
    assert weights(7).equal(once)
    assert not weights(8).equal(once)


def test_the_first_policy_is_nearly_uniform_whatever_the_language_model(base):
    policy = FlagPolicy(base)
    with torch.no_grad():
        logits, values = policy.evaluate(policy.encode(states(6)))
    assert torch.softmax(logits, -1).sub(1 / 3).abs().max() < 0.1
    assert not values.any()


def test_two_thirds_of_the_layers_are_frozen_and_only_the_rest_is_trained(base):
    policy = FlagPolicy(base)
    names = set(policy.trainable())
    assert policy.config.frozen == 2
    assert {name.partition(".")[0] for name in names} == {"layers", "norm", "heads"}
    assert {name.split(".")[1] for name in names if name.startswith("layers")} == {"0"}
    adapted = FlagPolicy(base, PolicyConfig(lora_rank=2)).trainable()
    assert all("lora" in name or name.startswith("heads") for name in adapted)
    assert {name.split(".")[3] for name in adapted if ".mlp." in name} == {"gate_proj", "up_proj", "down_proj"}


def test_frozen_layers_in_bfloat16_are_close_and_the_rest_stays_in_float32(base):
    texts = states(4)
    exact, half = (moved(FlagPolicy(base, PolicyConfig(frozen=2, half=half))) for half in (False, True))
    with torch.no_grad():
        ours, theirs = (policy.evaluate(policy.encode(texts))[0] for policy in (half, exact))
    assert ours.dtype == torch.float32
    assert 0 < (ours - theirs).abs().max() < 0.1 * theirs.abs().max()


@pytest.mark.parametrize("frozen", [-1, 3])
def test_layers_to_freeze_that_leave_none_to_train_are_refused(base, frozen):
    with pytest.raises(ModelError, match=rf"has 3 layers; frozen lies between 0 and 2, got {frozen}"):
        FlagPolicy(base, PolicyConfig(frozen=frozen))


@pytest.mark.parametrize(
    ("fields", "error"), [({"lora_rank": -1}, "at least 0"), ({"lora_alpha": 2.0}, "together with")]
)
def test_adapters_that_cannot_be_are_refused(fields, error):
    with pytest.raises(ModelError, match=error):
        PolicyConfig(**fields)


def test_nothing_to_evaluate_is_an_error(base):
    with pytest.raises(ModelError, match="expected at least one encoded state"):
        FlagPolicy(base).evaluate([])


def test_the_norms_of_both_kinds_of_model_are_computed_as_one_operation(base):
    (block, *_) = blocks_of(base.decoder.layers, base.decoder.config)
    hidden = torch.randn(3, base.width, generator=torch.Generator().manual_seed(0))
    for name, norm in block._norms.items():
        own = getattr(block.layer, name)
        assert norm is not own
        assert_same(norm(hidden), own(hidden), 1e-6)
    assert len(block._norms) == (4 if block.four_norms else 2)
