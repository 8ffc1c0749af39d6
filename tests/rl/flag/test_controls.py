"""Controls trade as the trained policy does; the one that is asked for a word says what the model itself would say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from showing import shows_what_its_page_says
from text_policy import TextPolicy

from llmguide import sample_bars
from llmguide.errors import DataError, ModelError
from llmguide.experiments.flag import IDLE, study_flag
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.rl.flag.base import FlagBase
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.controls import HoldPolicy, ZeroShotPolicy, controls_of, first_tokens
from llmguide.rl.flag.evaluation import walk_flag
from llmguide.rl.flag.lesson import FlagLesson
from llmguide.rl.flag.policy import FlagPolicy
from llmguide.rl.flag.tiny import tiny_base
from llmguide.rl.flag.trained import TrainedPolicy
from llmguide.rl.flag.training import train_flag
from llmguide.states.text import read_state_template
from llmguide.trading.account import count_shares
from llmguide.trading.flag_rules import FlagRules

BARS = sample_bars(years=1, seed=3)
SMALL = FlagConfig(steps=24, rollout=12, accumulation=1, shown=5, rules=FlagRules(episode=10))


@pytest.fixture(scope="module")
def base():
    return tiny_base(1, layers=2)


@pytest.fixture(scope="module")
def trained(base):
    return train_flag(
        BARS.iloc[:80], lambda seed: FlagPolicy(base, FlagPolicy(base).config), config=SMALL, seeds=2, progress=False
    )


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_a_words_probability_is_that_of_the_models_own_next_token(kind):
    base = tiny_base(4, kind=kind)
    policy = ZeroShotPolicy(base)
    lesson = FlagLesson.prepare(BARS.iloc[:60], config=SMALL)
    accounts = lesson.accounts(3)
    for account, start in enumerate((5, 20, 44)):
        accounts.reset(account, start)
    texts = lesson.texts([accounts.view(account) for account in range(3)])
    logits, values = policy.evaluate(policy.encode(texts))
    for text, row in zip(texts, logits, strict=True):
        ids = torch.tensor(base.tokens([text]))
        following = torch.softmax(base.model(input_ids=ids).logits[0, -1], dim=-1)
        own = [following[base.tokenizer(letter, add_special_tokens=False)["input_ids"][0]] for letter in "shb"]
        torch.testing.assert_close(row.exp(), torch.stack(own), rtol=1e-4, atol=1e-7)
    assert not logits.requires_grad
    assert values.tolist() == [0.0, 0.0, 0.0]
    assert policy.trainable() == {}


class Words:
    """A tokenizer of whole words, some of which have the same number."""

    def __init__(self, **numbers):
        self._numbers = numbers

    def __call__(self, text, add_special_tokens=True):
        assert not add_special_tokens
        return {"input_ids": self._numbers[text.replace(" ", "_")]}


def test_first_tokens_are_those_of_the_word_with_and_without_a_space_unless_two_share_one(base):
    told = Words(sell=[4, 9], _sell=[1, 5], hold=[6], _hold=[7], buy=[8, 2], _buy=[1, 3])
    assert first_tokens(FlagBase("words", base.model, told)) == [[4], [6, 7], [8]]
    same = Words(sell=[4], _sell=[4], hold=[6], _hold=[7], buy=[4], _buy=[3])
    with pytest.raises(ModelError, match="does not tell sell, hold, buy apart"):
        first_tokens(FlagBase("words", base.model, same))


def test_hold_buys_at_the_first_decision_and_never_sells(trained):
    (hold,) = controls_of(trained)["hold"]
    walk = walk_flag(hold, BARS, start=30)
    assert walk["action"].tolist() == [1] + [0] * (len(walk) - 1)
    price = BARS["close"].iloc[30]
    shares = count_shares(100_000.0, price, 0.001)
    value = 100_000.0 - shares * price * 1.001 + shares * BARS["close"].iloc[-1]
    assert walk["value"].iloc[-1] == pytest.approx(value, rel=1e-12)


def test_untrained_is_the_policy_as_it_was_before_its_first_step(trained, base):
    untrained = controls_of(trained)["untrained"]
    lesson = FlagLesson.prepare(BARS.iloc[:60], config=SMALL)
    accounts = lesson.accounts(1)
    accounts.reset(0, 9)
    texts = lesson.texts([accounts.view(0)])
    for one, before in zip(trained, untrained, strict=True):
        assert before.seed == one.seed
        with torch.no_grad():
            now = one.policy.evaluate(one.policy.encode(texts))[0]
            then = before.policy.evaluate(before.policy.encode(texts))[0]
            reference = one.policy.reference(one.policy.encode(texts))
        torch.testing.assert_close(then, reference)
        assert not torch.allclose(now, then)


def test_a_study_has_every_arm_over_its_seeds_and_writes_a_page(trained, tmp_path):
    test = BARS.iloc[100:160]
    said = []
    study = study_flag(trained, test, announce=said.append)
    assert study.runs[["arm", "seed"]].to_numpy().tolist() == [
        ["flag", 0], ["flag", 1], ["untrained", 0], ["untrained", 1], ["zero-shot", -1], ["hold", -1],
    ]  # fmt: skip
    assert said[0] == "evaluating flag, untrained, zero-shot, hold on the test bars"
    assert len(said) == 11
    assert said[-1] == "test bars: 180 of 180 decisions"
    walk = walk_flag(trained[1], test, start=IDLE)
    value = pd.concat([pd.Series(100_000.0, test.index[:IDLE]), walk["value"]])
    pd.testing.assert_series_equal(study.values["flag"][1], value, check_names=False, check_freq=False)
    row = study.runs.iloc[1]
    assert row["sharpe"] == pytest.approx(sharpe_ratio(value.pct_change().fillna(0.0)), nan_ok=True)
    assert row["max_drawdown"] == pytest.approx(max_drawdown(value))
    table = study.table
    flag = study.runs[study.runs["arm"] == "flag"]["total_return"]
    assert table.loc["flag", ["total_return_mean", "total_return_low", "total_return_high"]].tolist() == pytest.approx(
        [flag.mean(), flag.min(), flag.max()]
    )
    assert table["seeds"].tolist() == [2, 2, 0, 0]
    idle = pd.DataFrame({"arm": "flag", "seed": [0, 1], "sharpe": [0.6, np.nan], "trades": [2, 0]})
    half = replace(study, runs=idle.assign(max_drawdown=0.0, total_return=0.0, reward=0.0)).table.loc["flag"]
    assert half[["sharpe_mean", "sharpe_low", "never_traded"]].tolist() == [0.3, 0.0, 1]
    path = study.write(tmp_path)
    shows_what_its_page_says(study, path)
    page = path.read_text(encoding="utf-8")
    for text in ("zero-shot", "untrained", "Sharpe ratio", "tiny-llama-2x32-1", "reward a step", "Account value"):
        assert text in page
    stored = pd.read_parquet(tmp_path / "values.parquet")
    assert len(stored) == 6 * len(test)
    assert {"runs.csv", "table.csv", "curves.csv"} <= {file.name for file in tmp_path.iterdir()}


def test_later_bars_change_nothing_in_a_study_before_them(trained):
    test, cut = BARS.iloc[100:142], 36
    changed = test.copy()
    changed.iloc[cut + 1 :, :4] *= 1.7
    one, two = study_flag(trained, test), study_flag(trained, changed)
    for arm, values in one.values.items():
        assert values.iloc[: cut + 1].equals(two.values[arm].iloc[: cut + 1])
    assert not one.values["hold"].equals(two.values["hold"])


def test_bars_of_the_training_and_policies_that_are_no_language_models_are_refused(trained):
    with pytest.raises(DataError, match=r"were trained on bars up to.*test on later bars"):
        study_flag(trained, BARS.iloc[60:160])
    other = TrainedPolicy(TextPolicy(0), SMALL, read_state_template("flag"), 0, {})
    with pytest.raises(ModelError, match="policies over a language model"):
        controls_of([other])
    assert HoldPolicy().trainable() == {}
