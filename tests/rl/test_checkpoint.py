"""Checkpoints: what is written comes back, and everything else is refused."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from llmguide import load_agent, sample_bars, train_dqn
from llmguide.errors import ModelError
from llmguide.rl.agent import Agent
from llmguide.rl.checkpoint import save_agent
from llmguide.rl.config import DQNConfig

BARS = sample_bars(years=1, seed=2)


@pytest.fixture(scope="module")
def agent():
    return train_dqn(BARS, seeds=1, episodes=1, config=DQNConfig(hidden=16, batch=8))[0]


def rewrite(path, change, tensors=None):
    """Write the checkpoint again with a changed description."""
    from llmguide.rl.checkpoint import _describe

    description = _describe(path)
    description.update(change)
    save_file(tensors or load_file(path), path, metadata={"llmguide": json.dumps(description)})


def test_an_agent_comes_back_as_it_was(agent, tmp_path):
    loaded = load_agent(save_agent(agent, tmp_path / "new folder" / "rl-0.safetensors"))
    np.testing.assert_array_equal(loaded.q_table(BARS), agent.q_table(BARS))
    assert (loaded.config, loaded.scaler, loaded.seed, loaded.guided) == (agent.config, agent.scaler, 0, False)
    assert loaded.notes["trained_on"]["first"].startswith("20")
    assert loaded.notes["versions"]["numpy"] == np.__version__


def test_the_same_agent_gives_the_same_bytes(agent, tmp_path):
    a, b = (save_agent(agent, tmp_path / f"{name}.safetensors").read_bytes() for name in "ab")
    assert a == b


def test_an_agent_of_an_earlier_llmguide_is_read(agent, tmp_path):
    path = save_agent(agent, tmp_path / "rl-0.safetensors")
    rewrite(path, {"llmguide": "0.1.0"})
    np.testing.assert_array_equal(load_agent(path).q_table(BARS), agent.q_table(BARS))


def test_an_unguided_checkpoint_is_refused_where_guidance_is_needed(agent, tmp_path):
    path = save_agent(agent, tmp_path / "rl-0.safetensors")
    with pytest.raises(ModelError, match=r"117 values.*trained with is needed here; use DQN"):
        load_agent(path, guided=True)


def test_a_wrong_observation_size_is_refused(agent, tmp_path):
    path = save_agent(agent, tmp_path / "rl-0.safetensors")
    rewrite(path, {"guided": True})
    with pytest.raises(ModelError, match="observes 118 values, but this network takes 117"):
        load_agent(path)


def test_an_unknown_version_is_refused(agent, tmp_path):
    path = save_agent(agent, tmp_path / "rl-0.safetensors")
    rewrite(path, {"format_version": 99})
    with pytest.raises(ModelError, match=r"checkpoint version 99.*reads version 1"):
        load_agent(path)


def test_missing_or_broken_arrays_are_refused(agent, tmp_path):
    path = save_agent(agent, tmp_path / "rl-0.safetensors")
    tensors = load_file(path)
    rewrite(path, {}, {k: v for k, v in tensors.items() if k != "bn2.bias"})
    with pytest.raises(ModelError, match=r"bn2.bias.*missing"):
        load_agent(path)
    save_agent(agent, path)
    rewrite(path, {}, tensors | {"fc5.bias": np.array([np.nan, 0], dtype=np.float32)})
    with pytest.raises(ModelError, match="not finite"):
        load_agent(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"damaged|not a checkpoint"):
        load_agent(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64, pickle.dumps({"a": 1})])
def test_other_files_are_refused_and_never_unpickled(content, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not a checkpoint of llmguide"):
        load_agent(path)


def test_a_missing_file_or_a_wrong_name_is_said(agent, tmp_path):
    with pytest.raises(ModelError, match="there is no checkpoint"):
        load_agent(tmp_path / "nowhere.safetensors")
    with pytest.raises(ModelError, match=r"ending in .safetensors"):
        save_agent(agent, tmp_path / "x.pt")


@pytest.mark.slow
def test_deciding_needs_no_torch(agent, tmp_path):
    import subprocess
    import sys

    path = save_agent(agent, tmp_path / "rl-0.safetensors")
    code = f"import sys, llmguide; llmguide.load_agent({str(path)!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_agent_with_arrays_of_the_wrong_width_is_refused(agent):
    with pytest.raises(ModelError, match="observes 118 values"):
        Agent(agent.weights, agent.scaler, agent.config, True, 0)
