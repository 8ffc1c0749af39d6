"""A policy's checkpoint: what is written comes back, on the base that it was trained on and on no other."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from llmguide.errors import ModelError
from llmguide.rl.flag.checkpoint import KIND, load_policy, load_weights, save_policy
from llmguide.rl.flag.policy import FlagPolicy, PolicyConfig
from llmguide.rl.flag.tiny import tiny_base

TEXTS = ["Prices 1.00 2.00. Cash 100.", "Prices 1.50 2.25. Cash 7."]


@pytest.fixture(scope="module")
def base():
    return tiny_base(0)


@pytest.fixture(params=[0, 2], ids=["whole layers", "adapter"])
def policy(base, request):
    made = FlagPolicy(base, PolicyConfig(frozen=1, lora_rank=request.param, seed=3))
    with torch.no_grad():
        for number, one in enumerate(made.trainable().values()):
            one.add_(0.01 * (number + 1))
    return made


def logits(policy: FlagPolicy) -> torch.Tensor:
    with torch.no_grad():
        return policy.evaluate(policy.encode(TEXTS))[0]


def rewrite(path, change, tensors=None):
    description = KIND.describe(path)
    change(description)
    save_file(tensors or load_file(path), path, metadata={"llmguide": json.dumps(description)})


def test_a_policy_comes_back_as_it_was_with_its_reference(base, policy, tmp_path):
    path = save_policy(policy, tmp_path / "new folder" / "flag-0.safetensors", notes={"steps": 40})
    loaded = load_policy(path, base)
    assert logits(loaded).equal(logits(policy))
    encoded = policy.encode(TEXTS)
    assert loaded.reference(encoded).equal(policy.reference(encoded))
    assert loaded.identity() == policy.identity() == KIND.describe(path)["identity"]
    assert KIND.describe(path)["notes"] == {"steps": 40}


def test_the_same_policy_gives_the_same_bytes(policy, tmp_path):
    a, b = (save_policy(policy, tmp_path / f"{name}.safetensors").read_bytes() for name in "ab")
    assert a == b


def test_only_what_is_trained_is_stored(policy, tmp_path):
    stored = load_file(save_policy(policy, tmp_path / "flag.safetensors"))
    assert set(stored) == set(policy.trainable())


def test_weights_are_set_in_place_so_that_an_optimiser_keeps_its_tensors(base, policy, tmp_path):
    path = save_policy(policy, tmp_path / "flag.safetensors")
    other = FlagPolicy(base, policy.config)
    before = other.trainable()
    logits(other)
    load_weights(other, path)
    assert all(other.trainable()[name] is one for name, one in before.items())
    assert logits(other).equal(logits(policy))


def test_another_language_model_is_refused(policy, tmp_path):
    path = save_policy(policy, tmp_path / "flag.safetensors")
    with pytest.raises(ModelError, match=r"trained on the language model tiny-llama-3x32-0 .*but tiny-llama-3x32-1 "):
        load_policy(path, tiny_base(1))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"frozen": 2}, "trained with frozen 1, but 2 came"),
        ({"seed": 4}, "trained with seed 3, but 4 came"),
        ({"lora_rank": 1, "lora_alpha": None}, "trained with lora_rank [02], but 1 came"),
    ],
)
def test_other_settings_are_refused_and_nothing_is_changed(base, policy, tmp_path, fields, error):
    path = save_policy(policy, tmp_path / "flag.safetensors")
    other = FlagPolicy(base, replace(policy.config, **fields))
    before = logits(other)
    with pytest.raises(ModelError, match=error):
        load_weights(other, path)
    assert logits(other).equal(before)


def test_missing_misshapen_and_infinite_tensors_are_refused(base, policy, tmp_path):
    path = save_policy(policy, tmp_path / "flag.safetensors")
    tensors = load_file(path)
    for name, array in (("heads.value.bias", None), ("heads.policy.bias", np.zeros(4, np.float32))):
        changed = {key: value for key, value in tensors.items() if key != name}
        rewrite(path, lambda _: None, changed if array is None else changed | {name: array})
        with pytest.raises(ModelError, match=f"{name} is missing, unknown or of another shape"):
            load_policy(path, base)
    rewrite(path, lambda _: None, tensors | {"heads.value.bias": np.array([np.nan], np.float32)})
    with pytest.raises(ModelError, match="not all finite"):
        load_policy(path, base)


def test_files_that_are_no_policy_are_refused(base, policy, tmp_path):
    with pytest.raises(ModelError, match=r"there is no policy .*written by save_policy"):
        load_policy(tmp_path / "none.safetensors", base)
    path = save_policy(policy, tmp_path / "flag.safetensors")
    rewrite(path, lambda description: description.update(format="llmguide.double_dqn"))
    with pytest.raises(ModelError, match="is not a policy of llmguide"):
        load_policy(path, base)
    save_policy(policy, path)
    rewrite(path, lambda description: description.pop("identity"))
    with pytest.raises(ModelError, match="does not say what it belongs to"):
        load_policy(path, base)
    with pytest.raises(ModelError, match=r"ends in \.safetensors"):
        save_policy(policy, tmp_path / "flag.pt")
