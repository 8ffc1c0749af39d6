"""A mixture on the command line: how experts are said, what a backtest writes of them, a sweep over their priors."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from command_line import run_here
from page_text import text_of_page

from llmguide import Guidance, guide, mix, sample_bars, simulate, sweep
from llmguide.backtest import run_backtest
from llmguide.cli.experts import parse_experts
from llmguide.errors import GuidanceError, LlmguideError, ModelError
from llmguide.mixture import FollowAgent, FollowGuidance, FollowProvider, Hold, MovingAverages, Prior, review
from llmguide.report.trust_page import summary
from llmguide.rl.checkpoint import save_agent
from llmguide.strategies import MixtureOfExperts

BARS = sample_bars(years=3, seed=8)
TRAIN, TEST = BARS.iloc[:504], BARS.iloc[504:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, random_agent):
    """A folder with bars, two tables of guidance, and two agents."""
    folder = tmp_path_factory.mktemp("mixture")
    TRAIN.to_csv(folder / "train.csv")
    TEST.to_csv(folder / "test.csv")
    guide(BARS, "rules").save(folder / "a.parquet")
    guide(BARS, "oracle", accuracy=0.6, seed=1).save(folder / "b.csv")
    notes = {"trained_on": {"last": str(TRAIN.index[400])}}
    for name, guided in (("rl", False), ("hybrid", True)):
        agent = random_agent(TRAIN, guided=guided)
        save_agent(type(agent)(**{k: v for k, v in vars(agent).items() if k != "network"} | {"notes": notes}),
                   folder / f"{name}-0.safetensors")  # fmt: skip
    return folder


@pytest.fixture
def llmguide(folder, monkeypatch, capsys):
    """Run a command in that folder; returns its exit code, standard output and standard error."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    return partial(run_here, monkeypatch, capsys)


TWO = ("--expert", "gpt=a.parquet", "--expert", "gemma=b.csv", "--expert", "hold")
MIXTURE = ("backtest", "test.csv", "--strategy", "MixtureOfExperts")


def experts():
    tables = {name: Guidance.read(path) for name, path in (("gpt", "a.parquet"), ("gemma", "b.csv"))}
    return tables | {"hold": "hold"}


@pytest.mark.slow
def test_two_language_models_are_backtested_and_the_page_says_whom_to_trust(llmguide, tmp_path):
    out = tmp_path / "run"
    code, text, err = llmguide(*MIXTURE, *TWO, "--history", "train.csv", "--out", out)
    assert (code, err) == (0, "")
    mixed = mix(BARS, experts(), start=504 + 30)
    result = run_backtest(TEST, MixtureOfExperts, experts=experts(), history=TRAIN)
    found = review(mixed, TEST.index[0], account=result.account)
    np.testing.assert_array_equal(result.decisions, mixed.positions.iloc[534:])
    assert summary(found) in text
    assert "a control, not a result" in text
    assert {path.name for path in out.iterdir()} == {
        "account.csv", "orders.csv", "trades.csv", "tearsheet.html", "mixture.csv", "mixture.html",
    }  # fmt: skip
    assert summary(found) in " ".join(text_of_page(out / "mixture.html").split())
    assert "gpt, gemma, hold" in (out / "tearsheet.html").read_text(encoding="utf-8")
    weights = pd.read_csv(out / "mixture.csv", index_col="date", parse_dates=True)
    assert weights.index.equals(TEST.index)
    np.testing.assert_allclose(weights["position"], mixed.positions.loc[TEST.index])
    np.testing.assert_allclose(weights["weight_gpt"], mixed.weights["gpt"].loc[TEST.index])


@pytest.mark.parametrize(
    ("words", "all_in", "limits"),
    [
        ((), False, {}),
        (("--sized", "--band", "0"), False, {"band": 0.0}),
        (("--all-in",), True, {}),
        (("--all-in", "--long-only", "--max-leverage", "0.5", "--band", "0.2"), True,
         {"long_only": True, "max_leverage": 0.5, "band": 0.2}),
    ],
)  # fmt: skip
def test_the_account_is_that_of_mix_and_simulate(llmguide, words, all_in, limits):
    code, out, _ = llmguide(*MIXTURE, *TWO, "--history", "train.csv", *words, "--json")
    assert code == 0
    weights = mix(BARS, experts(), start=534).positions.iloc[534:]
    expected = simulate(TEST, weights=np.sign(weights) if all_in else weights, **limits)
    found = json.loads(out)
    assert found["final_value"] == pytest.approx(expected["value"].iloc[-1])
    assert limits.items() <= found.items()
    assert [row["expert"] for row in found["experts"]] == ["gpt", "gemma", "hold"]
    assert found["uses_future"] is True
    net = sum(row["net"] for row in found["contributions"])
    assert net == pytest.approx(expected["returns"].sum())


def test_a_page_is_written_without_a_folder_and_says_where_orders_are_filled(llmguide, tmp_path):
    words = (*MIXTURE, "--expert", "hold", "--expert", "trend=ma:5,20", "--fill", "next_open")
    code, text, _ = llmguide(*words, "--report", tmp_path / "page.html")
    assert code == 0
    assert f"page: {tmp_path / 'page.html'}" in text
    page = text_of_page(tmp_path / "page.html")
    assert "filled at the next open" in page
    assert "knowledge of later bars" not in page


def test_guidance_that_ends_early_is_noted_once(llmguide, folder):
    table = Guidance.read("a.parquet")
    Guidance(tuple(row for row in table.rows if row.issued_at < TEST.index[10])).save(folder / "early.parquet")
    code, _, err = llmguide(*MIXTURE, "--expert", "gpt=early.parquet", "--history", "train.csv", "--json")
    assert code == 0
    assert err.count("all of these see the last row") == len(err.strip().splitlines()) == 1


def test_agents_are_experts_with_and_without_guidance(llmguide):
    words = ("--expert", "agent=rl-0.safetensors", "--expert", "hybrid=hybrid-0.safetensors,guidance=a.parquet")
    code, out, err = llmguide(*MIXTURE, *words, "--expert", "rules", "--history", "train.csv", "--json")
    assert (code, err) == (0, "")
    counts = {row["expert"]: row["last_bars"] for row in json.loads(out)["experts"]}
    assert counts["agent"] == counts["hybrid"] < counts["rules"]  # they learned from the first 401 bars


def test_band_is_for_every_position_that_is_a_fraction(llmguide):
    words = ("backtest", "test.csv", "--strategy", "TrendFollowing", "--short", "2", "--long", "21", "--json")
    values = []
    for band in ("0", "0.3"):
        code, out, _ = llmguide(*words, "--max-leverage", "0.5", "--band", band)
        assert code == 0
        values.append(json.loads(out)["orders"])
    assert values[0] > values[1]


def test_windows_are_chosen_on_the_account_that_is_traded(llmguide):
    from llmguide.trading.moving_averages import choose_windows

    words = ("backtest", "test.csv", "--strategy", "MeanReversion", "--train", "train.csv", "--cost", "0.003", "--json")
    chosen = {}
    for name, more in (("both", ()), ("long_only", ("--long-only",)), ("small", ("--max-leverage", "0.3"))):
        found = json.loads(llmguide(*words, *more)[1])
        chosen[name] = found["short"], found["long"]
    choose = partial(choose_windows, TRAIN, "reversion", cost=0.003)
    assert chosen["both"] == choose()[:2]
    assert chosen["long_only"] == choose(long_only=True)[:2] != chosen["both"]
    assert chosen["small"] == choose(max_leverage=0.3)[:2] != chosen["both"]


@pytest.mark.parametrize(
    ("word", "name", "kind"),
    [
        ("hold", "hold", Hold),
        ("me=hold", "me", Hold),
        ("rules", "rules", FollowProvider),
        ("a.parquet", "a", FollowGuidance),
        ("./b.csv", "b", FollowGuidance),
        ("gpt-4o=a.parquet", "gpt-4o", FollowGuidance),
        ("rl-0.safetensors", "rl-0", FollowAgent),
        ("x=hybrid-0.safetensors,guidance=rules", "x", FollowAgent),
        ("ma:5,20", "trend", MovingAverages),
        ("fast=ma:5, 20", "fast", MovingAverages),
        ("reversion:8,13", "reversion", MovingAverages),
    ],
)
def test_an_expert_is_what_its_word_says(folder, monkeypatch, word, name, kind):
    monkeypatch.chdir(folder)
    ((called, expert),) = parse_experts([word]).items()
    assert called == name
    assert type(expert) is kind
    assert expert.since is None
    assert expert.prior is None


def test_a_path_may_have_a_sign_of_equality(folder, monkeypatch, tmp_path):
    (tmp_path / "lr=0.1").mkdir()
    guide(BARS, "rules").save(tmp_path / "lr=0.1" / "a.parquet")
    monkeypatch.chdir(tmp_path)
    assert list(parse_experts(["lr=0.1/a.parquet", "own=lr=0.1/a.parquet"][1:])) == ["own"]
    assert list(parse_experts([str(tmp_path / "lr=0.1" / "a.parquet")])) == ["a"]


def test_options_stand_behind_an_expert(folder, monkeypatch):
    monkeypatch.chdir(folder)
    found = parse_experts(["t=ma:5,20,since=2018-01-02,m0=0.1", "reversion:8,13", "gpt=a.parquet,n0=60"])
    assert found["t"].since == "2018-01-02"
    assert found["t"].prior == Prior(0.1, 252)
    assert (found["t"].short, found["t"].long, found["t"].rule) == (5, 20, "trend")
    assert found["reversion"].rule == "reversion"
    assert found["gpt"].prior == Prior(0.02, 60)
    assert not any(row.seen_until for row in parse_experts(["a.parquet"], any_bars=True)["a"].guidance.rows)


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (["hodl"], LlmguideError, "did you mean 'hold'"),
        (["x=notes.txt"], LlmguideError, "the expert 'x': 'notes.txt' is none of hold, rules"),
        (["x=nowhere.parquet"], GuidanceError, "the expert 'x': no guidance file"),
        (["x=train.csv"], GuidanceError, "the expert 'x': train.csv: .* unknown column"),
        (["x=nowhere.safetensors"], ModelError, "the expert 'x': there is no checkpoint"),
        (["x=hybrid-0.safetensors"], ModelError, "say what it observes"),
        (["x=rl-0.safetensors,guidance=a.parquet"], ModelError, "was trained without guidance"),
        (["x=a.parquet,guidance=b.csv"], LlmguideError, "only an agent"),
        (["a.parquet", "a=b.csv"], LlmguideError, "two experts are called 'a'"),
        (["x=llm"], LlmguideError, "ask a language model first"),
        (["x=ma:5"], LlmguideError, "two windows in bars"),
        (["x=ma:20,5"], LlmguideError, "the expert 'x': windows must be"),
        (["hold,sinse=2018-01-01"], LlmguideError, "did you mean 'since'"),
        (["hold,m0=1,m0=2"], LlmguideError, "has m0 twice"),
        (["hold,m0=much"], LlmguideError, "m0 and n0 are numbers"),
        (["hold,n0=0"], LlmguideError, "the expert 'hold': a prior's count"),
        (["x="], LlmguideError, "is none of"),
        ([",since=2018-01-01"], LlmguideError, "--expert is NAME=EXPERT"),
    ],
)
def test_an_expert_that_cannot_be_is_one_error(folder, monkeypatch, words, kind, said):
    monkeypatch.chdir(folder)
    with pytest.raises(kind, match=said):
        parse_experts(words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (MIXTURE, "needs experts, one --expert NAME=EXPERT for each"),
        ((*MIXTURE, "--expert", "hold", "--model", "rl-0.safetensors"), "--model is not for MixtureOfExperts"),
        ((*MIXTURE, "--expert", "hold", "--guidance", "a.parquet"), "--guidance is not for MixtureOfExperts"),
        ((*MIXTURE, "--expert", "hold", "--history", "test.csv"), "order them"),
        ((*MIXTURE, "--expert", "gpt=a.parquet,since=2030-01-01"), "the expert 'gpt': no bar is left"),
        ((*MIXTURE, "--expert", "hold", "--expert", "slow=ma:5,400"), "'slow' has no opinion on any bar"),
        ((*MIXTURE, "--expert", "agent=hybrid-0.safetensors"), "say what it observes, as in hybrid-0.safetensors,gui"),
        (("backtest", "test.csv", "--strategy", "BuyAndHold", "--expert", "hold"), "--expert is for --strategy Mix"),
        (("backtest", "test.csv", "--strategy", "BuyAndHold", "--all-in"), "--all-in/--sized is for --strategy Mix"),
        (("backtest", "test.csv", "--strategy", "BuyAndHold", "--band", "0.1"), "give --max-leverage below 1 as well"),
        (("backtest", "test.csv", "--strategy", "BuyAndHold", "--report", "x.html"), "--report is for --strategy Mix"),
        (("sweep", "test.csv", "--rule", "mixture"), "the rule mixture needs experts"),
        (("sweep", "test.csv", "--expert", "hold"), "--expert is for the rule mixture"),
        (("sweep", "test.csv", "--history", "train.csv"), "--history is for the rule mixture"),
        (("sweep", "test.csv", "--rule", "mixture", "--expert", "hold", "--provider", "rules"), "are experts"),
        (("sweep", "test.csv", "--rule", "mixture", "--expert", "hold", "--param", "m0_hodl=1"), "mean 'm0_hold'"),
        (("sweep", "test.csv", "--rule", "mixture", "--expert", "hold", "--param", "stop_loss=0.1"), "no stop-loss"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_1(llmguide, words, said):
    code, out, err = llmguide(*words)
    assert (code, out) == (1, "")
    assert said in err
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1


def test_priors_are_swept_with_the_same_experts(llmguide, folder):
    values = ("--param", "m0_gpt=0:0.1:0.05", "--param", "n0_gpt=60,252", "--param", "all_in=0,1")
    words = ("sweep", "test.csv", "--rule", "mixture", *TWO, "--history", "train.csv", *values)
    code, out, err = llmguide(*words, "--json", "--top", "2")
    assert (code, err) == (0, "")
    found = json.loads(out)
    grid = {"m0_gpt": [0.0, 0.05, 0.1], "n0_gpt": [60, 252], "all_in": [0, 1]}
    expected = sweep(TEST, "mixture", experts=experts(), history=TRAIN, **grid)
    assert found["combinations"] == 12
    assert found["best"]["sharpe"] == pytest.approx(expected.best()["sharpe"])
    assert found["uses_future"] is True
    code, out, _ = llmguide("sweep", "train.csv", *words[2:4], *TWO, *values, "--validate", "test.csv")
    assert code == 0
    assert "The best combination on later bars" in out
