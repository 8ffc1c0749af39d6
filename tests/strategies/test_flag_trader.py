"""FlagTrader does what the environment's walk does, whatever way Backtrader is made to run, and sees no later bar."""

from __future__ import annotations

import re

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
import torch
from live_feed import LiveBars
from text_policy import LetterPolicy, TextPolicy
from ways_to_run import DISTINCT

from llmguide import guide
from llmguide.backtest import BarsData, CloseFillBroker, SharpeDrawdown, run_backtest
from llmguide.errors import DataError, GuidanceError, ModelError
from llmguide.rl.flag.base import FlagBase
from llmguide.rl.flag.bases import find_base, open_trained
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.controls import HoldPolicy
from llmguide.rl.flag.evaluation import walk_flag
from llmguide.rl.flag.policy import FlagPolicy, PolicyConfig
from llmguide.rl.flag.tiny import tiny_base
from llmguide.rl.flag.trained import TrainedPolicy, save_trained
from llmguide.sources.tables import Tables
from llmguide.states.text import read_state_template
from llmguide.strategies import FlagTrader

START = 20


class Restless(TextPolicy):
    """Would rather do the opposite of what it did last, and asks for what is not possible, too."""

    def _numbers(self, state):
        numbers = super()._numbers(state)
        return np.sin(37.0 * numbers).astype(np.float32)


def trained(policy=None, *, template="flag", **settings) -> TrainedPolicy:
    return TrainedPolicy(policy or Restless(3), FlagConfig(**settings), read_state_template(template), 3, {})


def run(bars, *, broker=None, feed=BarsData, mode=None, cost=0.001, **params):
    cerebro = bt.Cerebro(stdstats=False, **(mode or {}))
    cerebro.broker = broker or CloseFillBroker()
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=cost)
    cerebro.adddata(feed(dataname=bars))
    cerebro.addstrategy(FlagTrader, start=START, **params)
    cerebro.addanalyzer(SharpeDrawdown)
    (ran,) = cerebro.run()
    return ran, ran.analyzers.sharpedrawdown.account


@pytest.fixture(scope="module")
def case(make_bars):
    bars = make_bars(110, 4)
    model = trained()
    walked = walk_flag(model, bars, start=START)
    assert min((walked["action"] == action).sum() for action in (-1, 0, 1)) >= 5  # else little would be proved
    return bars, model, walked


@pytest.mark.slow
@pytest.mark.parametrize("feed", [BarsData, LiveBars])
@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"preload": False}, {"exactbars": 1}, {"exactbars": -2}])
def test_actions_and_account_are_those_of_the_walk_in_every_mode(case, feed, mode):
    bars, model, walked = case
    ran, account = run(bars, feed=feed, mode=mode, model=model)
    assert [acted.date for acted in ran.action_log] == bars.index[START:].to_pydatetime().tolist()
    assert account["shares"].tolist()[START:] == walked["shares"].tolist()
    np.testing.assert_allclose(account["value"][START:], walked["value"], rtol=1e-12)
    probabilities = np.array([acted.probabilities for acted in ran.action_log])
    np.testing.assert_array_equal(probabilities, walked[["p_sell", "p_hold", "p_buy"]])
    held = [decided.decision for decided in ran.decision_log]
    assert held == [1 if shares else -1 for shares in walked["shares"]]


@pytest.mark.slow
@pytest.mark.parametrize("template", ["flag", "multimodal"])
def test_with_a_language_model_and_guidance_it_does_the_same_and_reads_the_same(make_bars, make_guidance, template):
    bars = make_bars(70, 8)
    guidance = make_guidance(bars, every=7, first=25) if template == "multimodal" else None
    policy = FlagPolicy(tiny_base(2), PolicyConfig(seed=1))
    with torch.no_grad():  # with the logits as they begin every action is about as likely
        policy.trained.heads.policy.weight.mul_(500.0)
    model = trained(policy, template=template)
    walked = walk_flag(model, bars, start=START, guidance=guidance)
    assert len(set(walked["action"])) > 1
    ran, account = run(bars, model=model, guidance=guidance, mode={"runonce": False})
    assert account["shares"].tolist()[START:] == walked["shares"].tolist()
    probabilities = np.array([acted.probabilities for acted in ran.action_log])
    np.testing.assert_array_equal(probabilities, walked[["p_sell", "p_hold", "p_buy"]])
    assert ("Guidance: " in ran.action_log[0].state) == (template == "multimodal")


def test_with_another_broker_the_state_tells_what_the_broker_has(case):
    bars, model, _ = case
    ran, account = run(bars, broker=bt.brokers.BackBroker(), model=model, reserve=0.9)
    held = account["shares"].shift(1).fillna(0.0)  # after the bar before
    cash = account["cash"]
    seen = 0
    for acted in ran.action_log:
        told = [float(part) for part in re.search(r"cash ([\d.]+) %, position ([\d.]+) %", acted.state).groups()]
        date = pd.Timestamp(acted.date)
        # Orders are filled at the open, before the next decision is taken: it knows of them.
        price, shares = bars["close"].shift(1)[date], account["shares"][date]
        worth = cash[date] + shares * price
        assert told == pytest.approx([100 * cash[date] / worth, 100 * shares * price / worth], abs=0.11)
        seen += shares != held[date]
    assert seen > 10


@pytest.mark.parametrize("fill", ["close", "next_open"])
def test_later_bars_change_nothing_before_them(case, make_bars, fill):
    bars, model, _ = case
    whole = run_backtest(bars, FlagTrader, model=model, fill=fill, reserve=0.9)
    for cut in (30, 47, 80):
        changed = bars.copy()
        rest = changed.index[cut + 1 :]
        factor = np.exp(np.random.default_rng(cut).normal(0.0, 0.3, len(rest)))
        for name in ("open", "high", "low", "close"):
            changed.loc[rest, name] *= factor
        changed.loc[rest, "volume"] *= 7.0
        result = run_backtest(changed, FlagTrader, model=model, fill=fill, reserve=0.9)
        assert result.account.iloc[: cut + 1].equals(whole.account.iloc[: cut + 1])
        last = bars.index[min(cut + (fill == "close"), len(bars) - 1)]
        assert result.decisions.loc[:last].equals(whole.decisions.loc[:last])
        assert not result.account.equals(whole.account)


def test_limits_hold_for_it_too(case):
    bars, model, _ = case
    small = run_backtest(bars, FlagTrader, model=model, max_leverage=0.5, band=0.0).account
    share = small["holdings"] / small["value"]
    assert 0.3 < share[share > 0].mean() <= 0.51
    assert (small["side"] >= 0).all()


def test_a_purchase_that_pays_for_no_share_leaves_it_flat_and_it_asks_again(make_bars):
    bars = make_bars(40, 4)
    bars[["open", "high", "low", "close"]] *= 100_000.0  # a share costs millions
    model = trained(HoldPolicy())
    result = run_backtest(bars, FlagTrader, model=model)
    assert (result.account["shares"] == 0).all()
    assert (result.decisions == -1).all()
    rich = run_backtest(bars, FlagTrader, model=model, cash=1e9)
    assert (rich.account["shares"].iloc[30:] > 0).all()


def test_a_checkpoint_finds_its_language_model_or_says_which_one_it_needs(make_bars, tmp_path):
    bars = make_bars(40, 4)
    tiny, other = find_base("tiny"), tiny_base(5)
    path = save_trained(trained(FlagPolicy(tiny)), tmp_path / "flag-0.safetensors")
    own = run_backtest(bars, FlagTrader, model=trained(FlagPolicy(tiny))).account
    for base in (None, "tiny", tiny):
        assert run_backtest(bars, FlagTrader, model=str(path), base=base).account.equals(own)
    renamed = FlagBase.of("called otherwise", tiny.model, tiny.tokenizer)
    assert open_trained(path, renamed).policy.identity() == FlagPolicy(tiny).identity()
    with pytest.raises(ModelError, match=r"was trained on the language model tiny-llama-2x64-0.*tiny-llama-3x32-5"):
        run_backtest(bars, FlagTrader, model=path, base=other)
    stray = save_trained(trained(FlagPolicy(other)), tmp_path / "stray.safetensors")
    with pytest.raises(ModelError, match="on the language model tiny-llama-3x32-5; give its file or folder as base="):
        run_backtest(bars, FlagTrader, model=stray)
    unread = save_trained(trained(TextPolicy(1)), tmp_path / "unread.safetensors")
    with pytest.raises(ModelError, match="holds no policy over a language model"):
        open_trained(unread)


@pytest.fixture(scope="module")
def told(make_bars, tmp_path_factory):
    """History, bars, a policy that heeds every letter, and a template that tells guidance, factors and a table."""
    path = tmp_path_factory.mktemp("template") / "told.md"
    path.write_text(
        '{% extends "brief.md" %}{% block state %}{{ closes }} {{ position }} {{ guidance }}\n'
        "{% for factor in factors %}News: {{ factor.text }}\n{% endfor %}{% endblock %}\n"
    )
    bars = make_bars(150, 6)
    return bars.iloc[:60], bars.iloc[60:], trained(LetterPolicy(), template=path)


@pytest.mark.slow
@pytest.mark.parametrize(("runonce", "preload", "exactbars", "live"), DISTINCT)
def test_guidance_that_is_asked_for_is_that_of_a_table_made_before(told, runonce, preload, exactbars, live):
    history, bars, model = told
    table = guide(pd.concat([history, bars]), "rules")
    walked = walk_flag(model, bars, start=START, guidance=table)
    ran, account = run(
        bars, feed=LiveBars if live else BarsData, model=model, provider="rules", history=history,
        mode={"runonce": runonce, "preload": preload, "exactbars": exactbars},
    )  # fmt: skip
    assert account["shares"].tolist()[START:] == walked["shares"].tolist()
    assert [acted.probabilities for acted in ran.action_log] == [
        tuple(row) for row in walked[["p_sell", "p_hold", "p_buy"]].to_numpy()
    ]
    assert all(re.search("LONG|SHORT", acted.state) for acted in ran.action_log)
    states = [acted.state for acted in run(bars, model=model, guidance=table)[0].action_log]
    assert [acted.state for acted in ran.action_log] == states


def test_guidance_that_is_asked_for_knows_no_later_bar(told):
    history, bars, model = told

    def ask(known, at):
        return {"issued_at": at, "direction": int(known.to_numpy().sum() * 1e4) % 2, "confidence": 1 + len(known) % 3}

    whole, _ = run(bars, model=model, provider=ask, history=history)
    assert len({acted.state[-30:] for acted in whole.action_log}) >= 3  # months with different guidance
    for cut in (START + 1, 47, 80):
        changed = bars.copy()
        moved = np.random.default_rng(cut).uniform(0.5, 2.0, (len(bars) - cut - 1, 5))
        changed.iloc[cut + 1 :] = changed.iloc[cut + 1 :].to_numpy() * moved
        ran, _ = run(changed, model=model, provider=ask, history=history)
        known = cut + 2 - START  # at the close of the cut, the decision on the next bar is known
        assert ran.action_log[:known] == whole.action_log[:known]
        assert ran.action_log != whole.action_log


def test_factors_come_as_a_frame_or_the_path_of_a_file(told, tmp_path):
    _, bars, model = told
    frame = pd.DataFrame(
        [(bars.index[place], f"event {place}", 1, 2) for place in range(5, 90, 7)],
        columns=["issued_at", "text", "sentiment", "impact"],
    )
    frame.to_csv(tmp_path / "factors.csv", index=False)
    walked = walk_flag(model, bars, start=START, factors=frame)
    for factors in (frame, tmp_path / "factors.csv"):
        ran, account = run(bars, model=model, factors=factors)
        assert account["shares"].tolist()[START:] == walked["shares"].tolist()
    assert "News: event 19" in ran.action_log[0].state
    with pytest.raises(DataError, match="there is no file of factors"):
        run(bars, model=model, factors=tmp_path / "none.csv")


def test_what_the_states_do_not_tell_is_refused(case, told):
    bars, model, _ = case
    _, own, reader = told
    for given in ({"provider": "rules"}, {"guidance": guide(bars, "rules")}):
        with pytest.raises(
            ModelError, match="the state template flag does not ask for 'guidance', so its states would"
        ):
            run(bars, model=model, **given)
    with pytest.raises(
        ModelError, match=r"the state template .* does not ask for 'lines', so its states would ignore the tables"
    ):
        run(own, model=reader, tables=Tables())
    with pytest.raises(GuidanceError, match="either guidance=, a table, or provider="):
        run(own, model=reader, provider="rules", guidance=guide(own, "rules"))
    with pytest.raises(GuidanceError, match=r"FlagTrader needs guidance=, .* or give provider="):
        run(own, model=reader, history=bars)


def test_missing_and_wrong_collaborators_are_refused(case, make_guidance, make_bars, tmp_path):
    bars, model, _ = case
    with pytest.raises(ModelError, match=r"FlagTrader needs model=, a trained policy.*got None"):
        run_backtest(bars, FlagTrader)
    with pytest.raises(ModelError, match="there is no checkpoint"):
        run_backtest(bars, FlagTrader, model=tmp_path / "none.safetensors")
    with pytest.raises(GuidanceError, match="no guidance file"):
        run_backtest(bars, FlagTrader, model=model, guidance=tmp_path / "none.csv")
