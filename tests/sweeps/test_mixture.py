"""The rule "mixture": each combination is that of `mix` and `simulate`, also on later bars, in Cerebro and vectorbt."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import llmguide
from llmguide import metrics, mix, simulate, sweep
from llmguide.errors import LlmguideError
from llmguide.mixture import Function, Hold, MovingAverages, Prior, Sides
from llmguide.mixture.experts import find_expert
from llmguide.stats import pbo
from llmguide.sweeps.kernels import MEASURES

START = 20


def momentum(bars):
    return np.tanh(20.0 * bars["close"].pct_change(5).shift(1))


@pytest.fixture(scope="module")
def setting(make_bars, make_guidance):
    """Bars of which the first are the history, and experts."""
    bars = make_bars(260, 3)
    experts = {"gpt": make_guidance(bars), "hold": "hold", "trend": MovingAverages(3, 12), "mine": momentum}
    return bars, experts


GRID = {
    "m0_gpt": [-0.01, 0.05],
    "n0_gpt": [20, 300.0],
    "m0_hold": [0.0, 0.03],
    "all_in": [False, True],
    "long_only": [False, True],
    "max_leverage": [0.6, 1.0],
    "band": [0.0, 0.1],
    "cost": [0.0, 0.003],
    "delay": [0, 2],
}


def slow(bars, experts, found, *, history, start):
    """One combination by `mix` and `simulate`, bar by bar, and nothing of a sweep."""
    whole = bars if history is None else pd.concat([history, bars])
    own = {}
    for name, source in experts.items():
        expert = find_expert(source)
        prior = Prior(found[f"m0_{name}"], found[f"n0_{name}"])
        own[name] = Function(source, prior=prior) if callable(source) else replace(expert, prior=prior)
    mixed = mix(whole, own, cost=found["cost"], start=1)
    weights = mixed.positions.iloc[len(whole) - len(bars) + start :].to_numpy()
    if found["all_in"]:
        weights = np.sign(weights)
    weights = np.append(np.zeros(found["delay"]), weights)[: len(weights)]
    limits = {name: found[name] for name in ("long_only", "max_leverage", "band", "cost")}
    return simulate(bars, weights=weights, start=start, **limits)


def measured(account):
    """The measures, by `llmguide.metrics` and from the account's sides."""
    value, side = account["value"].to_numpy(), account["side"].to_numpy()
    performance = metrics.performance(account)
    return {
        "sharpe": performance.sharpe_ratio,
        "max_drawdown": performance.max_drawdown,
        "annual_return": performance.annual_return,
        "total_return": value[-1] / value[0] - 1.0,
        "trades": int(((side != 0) & (side != np.append(0, side[:-1]))).sum()),
        "exposure": float((account["shares"] != 0).mean()),
    }


@pytest.mark.parametrize("before", [0, 90])
def test_every_combination_is_that_of_mix_and_simulate(setting, before):
    bars, experts = setting
    history, rest = (bars.iloc[:before] if before else None), bars.iloc[before:]
    found = sweep(rest, "mixture", experts=experts, history=history, start=START, **GRID)
    assert len(found) == 2**9
    random = np.random.default_rng(0)
    for row in random.choice(len(found), 16, replace=False):
        label = found.frame.iloc[row]
        expected = slow(rest, experts, found.parameters(label), history=history, start=START)
        account = found.account(label)
        pd.testing.assert_frame_equal(account, expected.drop(columns="reward"), rtol=1e-12)
        for name, value in measured(expected).items():
            assert label[name] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), name
        traded = np.abs(np.diff(expected["side"] * expected["shares"], prepend=0.0)) @ rest["close"].to_numpy()
        assert label["turnover"] == pytest.approx(traded / expected["value"].mean() * 252 / len(rest))
    assert found.frame["sharpe"].nunique() > 100  # else the grid would change nothing


def test_without_parameters_it_is_the_mixture_with_its_usual_priors(setting):
    bars, experts = setting
    found = sweep(bars, "mixture", experts=experts)
    assert len(found) == 1
    mixed = mix(bars, experts)
    weights = found.decisions()
    assert weights.name == "weight"
    np.testing.assert_array_equal(weights, mixed.positions.iloc[30:])
    expected = simulate(bars, weights=mixed.positions.iloc[30:])
    assert found.frame["total_return"].item() == pytest.approx(expected["value"].iloc[-1] / 1e5 - 1.0)
    assert "mixture" in repr(found)


@pytest.mark.parametrize("t", [120, 200, 258])
def test_nothing_after_a_bar_changes_a_weight_up_to_it(setting, t):
    bars, experts = setting
    changed = bars.copy()
    changed.iloc[t + 1 :] *= np.linspace(1.2, 3.0, len(bars) - 1 - t)[:, None]
    grid = {"m0_hold": [0.0, 0.05], "n0_gpt": [30, 500], "all_in": [False, True], "start": START}
    now, then = (sweep(each, "mixture", experts=experts, **grid) for each in (bars, changed))
    for label in now.frame.index:
        known = slice(None, bars.index[min(t + 1, len(bars) - 1)])  # decided from bars up to t
        assert now.decisions(label).loc[known].equals(then.decisions(label).loc[known])
    assert t > 250 or not now.decisions(now.frame.index[0]).equals(then.decisions(now.frame.index[0]))


@pytest.mark.slow
def test_validation_goes_on_with_the_records_of_the_bars_before(setting):
    bars, experts = setting
    train, test = bars.iloc[:160], bars.iloc[160:]
    grid = {"m0_gpt": [0.0, 0.02, 0.08], "n0_hold": [50, 1000], "all_in": [False, True]}
    found = sweep(train, "mixture", experts=experts, **grid)
    judged = found.validate(test, blocks=4)
    alone = sweep(test, "mixture", experts=experts, history=train, **grid)
    pd.testing.assert_frame_equal(judged.test.frame, alone.frame)
    returns = found.returns(np.arange(len(found))).iloc[30:]
    assert judged.table["pbo"].item() == pytest.approx(pbo(returns, blocks=4).probability)


def test_a_setting_runs_in_cerebro_with_the_same_value_at_every_bar(setting):
    bars, experts = setting
    found = sweep(bars, "mixture", experts=experts, start=START, band=[0.0, 0.1], all_in=[False, True])
    for label in found.frame.index:
        cerebro = found.to_cerebro(label)
        (ran,) = cerebro.run()
        value = ran.analyzers.sharpedrawdown.account["value"].to_numpy()
        np.testing.assert_allclose(value, found.account(label)["value"], rtol=1e-12)


def test_several_instruments_have_experts_of_their_own(make_bars):
    bars = {"A": make_bars(150, 1), "B": make_bars(150, 2)}
    experts = {
        symbol: {"hold": Hold(), "coin": Sides(np.resize([1.0, -1.0, 0.5], 150) * sign, prior=Prior(0.05, 100))}
        for symbol, sign in (("A", 1.0), ("B", -1.0))
    }
    found = sweep(bars, "mixture", experts=experts, m0_coin=[0.01, 0.1])
    assert list(found.frame.index.names)[:2] == ["symbol", "m0_hold"]
    for symbol in bars:
        alone = sweep(bars[symbol], "mixture", experts=experts[symbol], m0_coin=[0.01, 0.1])
        np.testing.assert_array_equal(found.frame.loc[symbol], alone.frame)


@pytest.mark.slow  # quantstats draws for seconds
def test_a_setting_has_its_tearsheet(setting, tmp_path):
    bars, experts = setting
    found = sweep(bars, "mixture", experts=experts, m0_gpt=[0.0, 0.05], n0_gpt=[20, 300])
    page = found.tearsheet(None, tmp_path / "best.html").html
    assert "mixture" in page
    assert "n0_gpt" in page


@pytest.mark.slow  # vectorbt compiles for ten seconds
def test_vectorbt_measures_the_same_of_positions_that_are_fractions(setting):
    bars, experts = setting
    grid = {"m0_gpt": [0.0, 0.05], "all_in": [False, True], "band": [0.0, 0.1], "cost": [0.0, 0.003], "delay": [0, 2]}
    ours, theirs = (
        sweep(bars, "mixture", experts=experts, engine=engine, **grid).frame for engine in ("stream", "vbt")
    )
    for name in MEASURES:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-9, err_msg=name)
    figure = sweep(bars, "mixture", experts=experts, m0_gpt=[0.0, 0.05], n0_gpt=[20, 300]).heatmap("m0_gpt", "n0_gpt")
    assert figure.frame.shape == (2, 2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"experts": None}, "needs experts"),
        ({"experts": {}}, "experts by name"),
        ({"m0_gtp": 0.1}, "did you mean 'm0_gpt'"),
        ({"m0_gpt": math.inf}, "m0_gpt is a finite number"),
        ({"n0_gpt": 0}, "above 0"),
        ({"n0_gpt": -1}, "n0_gpt lies between"),
        ({"all_in": 2}, "all_in is False or True"),
        ({"max_leverage": 1.5}, "max_leverage lies between"),
        ({"max_leverage": 0}, "got 0"),
        ({"band": -0.1}, "band lies between"),
        ({"stop_loss": 0.1}, "no stop-loss"),
        ({"guidance": "gpt"}, "are experts"),
        ({"delay": 5_000}, "leaves none"),
    ],
)
def test_what_cannot_be_is_refused(setting, wrong, said):
    bars, experts = setting
    if wrong.get("guidance"):
        wrong = {"guidance": experts["gpt"]}
    with pytest.raises(LlmguideError, match=said):
        sweep(bars, "mixture", **({"experts": experts} | wrong))


def test_experts_and_history_are_for_the_mixture_alone(setting, make_bars):
    bars, experts = setting
    for wrong in ({"experts": experts}, {"history": bars}):
        with pytest.raises(LlmguideError, match="for the rule 'mixture'"):
            sweep(make_bars(60), "trend", short=2, long=5, **wrong)
    with pytest.raises(LlmguideError, match="experts are of one instrument"):
        sweep({"A": bars}, "mixture", experts=experts)
    with pytest.raises(LlmguideError, match="did you mean 'mixture'"):
        llmguide.sweep(bars, "mixtur")
