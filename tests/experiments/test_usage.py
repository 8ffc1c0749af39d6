"""The measures of how an agent uses its guidance, on agents whose use is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from llmguide import Guidance, sample_bars, train_dqn
from llmguide.experiments.usage import agreement, measure_usage, permute_months
from llmguide.rl.config import DQNConfig

BARS = sample_bars(years=2, seed=4)
TRAIN, TEST = BARS.iloc[:252], BARS.iloc[252:]


def monthly(confidence):
    dates = BARS.index[30::20]
    rng = np.random.default_rng(0)
    rows = {"issued_at": dates, "direction": rng.integers(0, 2, len(dates)), "confidence": confidence}
    return Guidance.from_rows(pd.DataFrame(rows))


@pytest.fixture(scope="module")
def trained():
    config = DQNConfig(hidden=16, batch=8)
    return train_dqn(TRAIN, monthly(3), seeds=1, episodes=1, config=config)[0]


def with_weights(agent, *, follow_tau):
    """Return the agent with weights that make Q(long) - Q(short) the value of tau, or nothing at all."""
    weights = {name: np.zeros_like(array) for name, array in agent.weights.items()}
    for layer in range(1, 5):
        weights[f"bn{layer}.weight"][:] = 1
        weights[f"bn{layer}.running_var"][:] = 1
        weights[f"fc{layer}.weight"][-1 if layer == 1 else 0, 0] = float(follow_tau)
    weights["fc5.weight"][0, 1] = float(follow_tau)
    return dataclasses.replace(agent, weights=weights)


def test_an_agent_that_obeys_tau_agrees_always_and_turns_when_it_is_inverted(trained):
    guidance = monthly(2)
    aligned = [guidance.align(bars.index) for bars in (TRAIN, TEST)]
    usage = measure_usage(with_weights(trained, follow_tau=True), TRAIN, TEST, *aligned)
    assert usage.agreement_train == usage.agreement_test == usage.changed_inverted == 1
    assert 0.2 < usage.changed_permuted < 0.8


def test_an_agent_that_ignores_tau_changes_nothing(trained):
    guidance = monthly(2)
    aligned = [guidance.align(bars.index) for bars in (TRAIN, TEST)]
    usage = measure_usage(with_weights(trained, follow_tau=False), TRAIN, TEST, *aligned)
    assert usage.changed_inverted == usage.changed_permuted == 0
    short = (aligned[1]["direction"].iloc[30:] == 0).mean()  # a tie of Q-values is short
    assert usage.agreement_test == pytest.approx(short)


def test_agreement_counts_only_bars_with_a_direction():
    assert agreement([1, 0, 1, 1], [1, 1, np.nan, 1]) == pytest.approx(2 / 3)
    assert np.isnan(agreement([1], [np.nan]))


def test_permuted_months_keep_their_lengths_and_their_contents():
    frame = pd.DataFrame(
        {
            "issued_at": [pd.NaT, *pd.to_datetime(["2020-01-01"] * 3 + ["2020-02-01"] * 2 + ["2020-03-01"])],
            "tau": [0, 0.1, 0.1, 0.1, 0.2, 0.2, 0.3],
        }
    )
    seen = {tuple(permute_months(frame, np.random.default_rng(seed))) for seed in range(50)}
    assert len(seen) == 6  # every order of three months
    for tau in seen:
        assert tau[0] == 0
        assert len(set(tau[1:4])) == 1
        assert tau[4] == tau[5]
        assert {tau[1], tau[4], tau[6]} == {0.1, 0.2, 0.3}
