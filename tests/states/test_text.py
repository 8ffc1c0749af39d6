"""A state as text: the same to the letter, nameless, blind to later bars, told by templates that a user can edit."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from llmguide import Guidance, sample_bars
from llmguide.errors import DataError, ModelError
from llmguide.states.factors import Factor
from llmguide.states.moment import MomentReader, market_moment
from llmguide.states.text import packaged, prefix, read_state_template, render
from llmguide.trading.flag_accounts import AccountView, FlagAccounts
from llmguide.trading.flag_rules import BUY, HOLD, SELL, FlagRules

BARS = sample_bars(years=1, seed=2)
GUIDANCE = Guidance.from_rows(
    [
        {"issued_at": BARS.index[20], "direction": 1, "confidence": 3},
        {"issued_at": BARS.index[60], "direction": 0, "confidence": 1},
        {"issued_at": BARS.index[80], "direction": None, "confidence": None},
    ]
)
FACTORS = pd.DataFrame(
    {
        "issued_at": [BARS.index[20], BARS.index[40], BARS.index[40]],
        "text": ["an old matter", "a small matter", "the Company gained an order"],
        "sentiment": [0, -1, 1],
        "impact": [1, 1, 3],
    }
)
FRESH = AccountView(bar=50, cash=1.0, position=0.0, value=1.0, rewards=(), values=(), actions=(), legal=(0, 1, 1))


def walk(bars, actions, template="flag", start=30, **given):
    """Return the text before every action, and after the last."""
    reader = MomentReader(bars, facts=read_state_template(template).uses_facts, **given)
    accounts = FlagAccounts(bars["close"].to_numpy(), FlagRules(), whole=True)
    accounts.reset(0, start)
    texts = [render(template, reader.at(accounts.view(0)))]
    for action in actions:
        accounts.step([action])
        texts.append(render(template, reader.at(accounts.view(0))))
    return texts


def state_lines(text):
    return dict(line.split(": ", 1) for line in text.split("\n\n")[-1].splitlines() if ": " in line)


def test_a_state_worked_by_hand():
    closes = [50.0, 55.0, 60.0, 60.0, 66.0]
    bars = pd.DataFrame(
        dict.fromkeys(("open", "high", "low", "close"), closes) | {"volume": 1.0},
        index=pd.bdate_range("2020-01-01", periods=5),
    )
    reader = MomentReader(bars, shown=3)
    accounts = FlagAccounts(np.array(closes), FlagRules(cash=1000.0, cost=0.0), whole=True)
    accounts.reset(0, 2)
    told = state_lines(render("flag", reader.at(accounts.view(0))))
    assert told == {
        "Closes": "100.00 110.00",  # of three, two are known
        "Account": "cash 100.0 %, position 0.0 %, value 100.00",
        "Rewards": "none",
        "Net values": "none",
        "Actions": "none",
        "Possible": "hold, buy",
    }
    accounts.step([BUY])  # 16 shares at 60
    accounts.step([HOLD])
    accounts.step([SELL])  # at 66: 96 more
    text = render("flag", MomentReader(pd.concat([bars, bars.iloc[-1:]]), shown=3).at(accounts.view(0)))
    assert text.endswith("\nAction:")
    assert state_lines(text) == {
        "Closes": "100.00 100.00 110.00",
        "Account": "cash 100.0 %, position 0.0 %, value 109.60",
        "Rewards": "0.000 0.000 +0.577",  # mean of 0, 0, 0.096 by their standard deviation
        "Net values": "100.00 100.00 109.60",
        "Actions": "buy hold sell",
        "Possible": "hold, buy",
    }


@pytest.mark.parametrize("template", packaged())
def test_every_state_begins_with_the_task_and_nothing_in_it_changes(template):
    texts = walk(BARS, [BUY, HOLD, SELL] * 8, template, guidance=GUIDANCE, factors=FACTORS)
    task = prefix(template)
    assert all(text.startswith(task) for text in texts)
    assert len({text[len(task) :] for text in texts}) == len(texts)
    assert task.endswith("Answer with one word, an action that is possible: sell, hold, buy.\n\n")


@pytest.mark.parametrize("template", packaged())
def test_no_state_depends_on_later_bars_and_the_same_moment_gives_the_same_letters(template):
    t = 50
    actions = np.random.default_rng(1).integers(0, 3, t - 30)
    changed, later = BARS.copy(), GUIDANCE
    changed.iloc[t:] *= 1.7
    assert walk(BARS, actions, template, guidance=later) == walk(changed, actions, template, guidance=later)
    changed.iloc[t - 1 :] *= 1.7
    assert walk(BARS, actions, template)[-1] != walk(changed, actions, template)[-1]  # the test can fail


@pytest.mark.parametrize("template", packaged())
def test_a_state_names_no_day_and_no_level(template):
    scaled = BARS.copy()
    scaled[["open", "high", "low", "close"]] *= 7.0
    scaled["volume"] *= 3.0
    scaled.index = scaled.index + pd.Timedelta(weeks=520)
    reader, other = (MomentReader(bars, facts=True) for bars in (BARS, scaled))
    assert render(template, reader.at(FRESH)) == render(template, other.at(FRESH))
    assert not re.search(r"20\d\d|Monday|January", render(template, reader.at(FRESH)))


def test_guidance_and_factors_in_force_are_told_and_an_abstention_is_none():
    texts = walk(BARS, [HOLD] * 60, "multimodal", start=15, guidance=GUIDANCE, factors=FACTORS)

    def at(bar, line):
        return state_lines(texts[bar - 15])[line]

    assert [at(bar, "Guidance") for bar in (19, 20, 59, 60)] == [
        "none",
        "LONG, confidence 3",
        "LONG, confidence 3",
        "SHORT, confidence 1",
    ]
    assert "News: none" in texts[0]
    assert "News: an old matter (sentiment 0, impact 1)" in texts[39 - 15]
    assert "order (sentiment +1, impact 3)\nNews: a small matter (sentiment -1, impact 1)" in texts[40 - 15]
    late = market_moment(BARS.iloc[:80], BARS.index[80], guidance=GUIDANCE, factors=FACTORS)
    assert (late.advice, late.factors[0]) == (None, Factor("the Company gained an order", 1, 3))
    with pytest.raises(DataError, match=r"\['impact'\] are missing"):
        market_moment(BARS, BARS.index[-1], factors=FACTORS.drop(columns="impact"))


def test_factors_of_the_evening_are_first_seen_on_the_next_bar():
    evening = FACTORS.assign(issued_at=FACTORS["issued_at"] + pd.Timedelta(hours=18))
    texts = walk(BARS, [HOLD] * 30, "multimodal", start=15, factors=evening)
    assert "News: none" in texts[20 - 15]
    assert "News: an old matter" in texts[21 - 15]
    for wrong, got in ((evening["issued_at"].dt.tz_localize("UTC"), "a naive stamp"), (pd.NaT, "a date or time")):
        with pytest.raises(DataError, match=got):
            market_moment(BARS, BARS.index[-1], factors=FACTORS.assign(issued_at=wrong))


def test_a_template_of_ones_own_extends_one_of_llmguides(tmp_path):
    own = tmp_path / "short.md"
    own.write_text(
        '{% extends "flag.md" %}{% block state %}{{ closes[-1] }} {{ lines("technical.rsi_14") }} {{ possible }}'
        "{% endblock %}"
    )
    text = render(own, MomentReader(BARS, facts=True).at(FRESH))
    assert text.startswith(prefix("flag"))
    assert re.fullmatch(r"[\d.]+ technical\.rsi_14: [\d.]+ \['hold', 'buy'\]", text.removeprefix(prefix("flag")))
    read = read_state_template(own)
    assert read.uses_facts
    assert not read_state_template("flag").uses_facts
    own.write_text('{% extends "flag.md" %}')
    assert render(read, MomentReader(BARS, facts=True).at(FRESH)) == text  # as it was when it was read
    assert read.hash != read_state_template(own).hash


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{% extends "flag.md" %}{% block state %}{{ close }}{% endblock %}', "'close', which .*mean 'closes'"),
        ('{% extends "flag.md" %}{% block task %}{{ cash }}{% endblock %}', "'cash' is undefined; the block task is"),
        (
            '{% extends "flag.md" %}{% block state %}{{ lines("technical.rsi_41") }}{% endblock %}',
            "mean 'technical.rsi_14'",
        ),
        ('{% extends "flag.md" %}{% block task %}{{ legend("rsi") }}{% endblock %}', "there is no fact 'rsi'"),
        ('{% extends "flag.md" %}{% block state %}{{ closes.__class__.mro() }}{% endblock %}', "unsafe"),
        ('{% extends "flag.md" %}{% block state %}{{ 1 / 0 }}{% endblock %}', "ZeroDivisionError"),
        ('{% extends "flag.md" %}{% block state %}{% endblock %}', "no text; write it into the block state"),
        ('{% extends "flag.md" %}{% block state %}{{ closes', "line 1"),
        ('{% extends "flags.md" %}', "which .* extends does not exist; did you mean 'flag'"),
        ("Buy!", "must begin with .* extends"),
    ],
)
def test_a_fault_in_a_template_is_an_error_that_says_what_to_do(tmp_path, text, told):
    own = tmp_path / "own.md"
    own.write_text(text)
    with pytest.raises(ModelError, match=told):
        render(own, MomentReader(BARS, facts=True).at(FRESH))


def test_a_template_that_is_not_there_and_facts_that_were_not_read_are_errors():
    with pytest.raises(ModelError, match=r"the state 'flagg' does not exist; did you mean 'flag'"):
        read_state_template("flagg")
    with pytest.raises(ModelError, match="read it with facts=True"):
        render("multimodal", MomentReader(BARS).at(FRESH))
