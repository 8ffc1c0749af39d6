"""Checkpoints of a language model's policy: what comes back, and what is stored."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from llmguide.errors import ModelError
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.policy import FlagPolicy, PolicyConfig
from llmguide.rl.flag.tiny import tiny_base
from llmguide.rl.flag.trained import TrainedPolicy, load_trained, save_trained
from llmguide.states.text import read_state_template

TEXTS = ["Trade one share. Closes: 100 101. Action:", "Trade one share. Closes: 100 99. Action:"]


@pytest.fixture(scope="module")
def base():
    return tiny_base(0)


@pytest.fixture(params=[0, 2], ids=["whole layers", "adapter"])
def trained(base, request):
    policy = FlagPolicy(base, PolicyConfig(frozen=1, lora_rank=request.param, seed=3))
    with torch.no_grad():
        for number, one in enumerate(policy.trainable().values()):
            one.add_(0.01 * (number + 1))
    return TrainedPolicy(policy, FlagConfig(), read_state_template("flag"), 3, {"curve": []})


def logits(policy: FlagPolicy) -> torch.Tensor:
    with torch.no_grad():
        return policy.evaluate(policy.encode(TEXTS))[0]


def test_a_policy_comes_back_as_it_was_with_its_reference(base, trained, tmp_path):
    policy = trained.policy
    path = save_trained(trained, tmp_path / "new folder" / "flag-3.safetensors")
    other = FlagPolicy(base, policy.config)
    before = other.trainable()
    logits(other)
    assert load_trained(path, other).policy is other
    assert all(other.trainable()[name] is one for name, one in before.items())  # an optimiser keeps its tensors
    assert logits(other).equal(logits(policy))
    encoded = policy.encode(TEXTS)
    assert other.reference(encoded).equal(policy.reference(encoded))


def test_only_what_is_trained_is_stored_and_the_same_policy_gives_the_same_bytes(trained, tmp_path):
    a, b = (save_trained(trained, tmp_path / f"{name}.safetensors") for name in "ab")
    assert a.read_bytes() == b.read_bytes()
    assert set(load_file(a)) == set(trained.policy.trainable())


@pytest.mark.parametrize("fields", [{"frozen": 2}, {"seed": 4}, {"lora_rank": 1, "lora_alpha": None}])
def test_another_policy_or_language_model_is_refused_and_nothing_is_changed(base, trained, tmp_path, fields):
    path = save_trained(trained, tmp_path / "flag.safetensors")
    for other in (FlagPolicy(base, replace(trained.policy.config, **fields)), FlagPolicy(tiny_base(1))):
        before = logits(other)
        with pytest.raises(ModelError, match="was trained from another policy"):
            load_trained(path, other)
        assert logits(other).equal(before)
