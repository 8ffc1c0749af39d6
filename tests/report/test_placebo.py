"""What a report says of the guidance beside its shuffled self."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_report import comparison

from llmguide.errors import DataError
from llmguide.report.page import render_report
from llmguide.report.placebo import placebo_sentence
from llmguide.report.placebo_figures import placebo_figure

COLUMNS = ["arm", "sr", "shuffled_mean", "shuffled_low", "shuffled_high", "shuffles", "as_good", "p", "changes"]


def outcome(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


HYBRID = ("hybrid", 1.7, 1.65, 1.2, 2.0, 199, 79, 0.4, True)
LLM = ("llm", 0.91, 0.4, -0.2, 0.9, 199, 5, 0.03, True)


def controls():
    g = np.random.default_rng(1)
    rows = [
        (arm, control, accuracy, draw, seed, g.normal(), g.random())
        for arm, seeds in (("hybrid", (0, 1, 2)), ("llm", (-1,)))
        for seed in seeds
        for control, accuracy, draw in (
            ("guidance", np.nan, -1),
            *(("shuffled", np.nan, draw) for draw in range(19)),
            ("inverted", np.nan, -1),
            ("constant", np.nan, -1),
            ("rules", np.nan, -1),
            ("oracle", 0.6, 0),
            ("oracle", 1.0, -1),
        )
    ]
    rows += [("rl", "none", np.nan, -1, seed, 1.42, 0.45) for seed in range(3)] + [
        ("hold", "none", np.nan, -1, -1, np.nan, 0.3)
    ]
    return pd.DataFrame(rows, columns=["arm", "control", "accuracy", "draw", "seed", "sr", "mdd"])


@pytest.fixture(scope="module")
def page():
    return render_report(dataclasses.replace(comparison(), controls=controls(), placebo=outcome(HYBRID, LLM)))


def test_the_sentence_is_about_the_arm_that_is_the_guidance_alone():
    assert placebo_sentence(outcome(HYBRID, LLM)) == (
        "The guidance is worth more than its shuffled self: Sharpe ratio of llm 0.91 against a mean of 0.40 over 199 "
        "shuffles (one-sided permutation p = 0.030)."
    )
    assert placebo_sentence(outcome(HYBRID)) == (
        "The guidance is not shown to be worth more than its shuffled self: Sharpe ratio of hybrid 1.70 against a "
        "mean of 1.65 over 199 shuffles (one-sided permutation p = 0.400)."
    )


@pytest.mark.parametrize(("p", "said"), [(0.05, "is worth more"), (0.0501, "is not shown"), (0.0005, "p < 0.001")])
def test_five_per_cent_is_where_the_verdict_turns(p, said):
    assert said in placebo_sentence(outcome((*LLM[:-2], p, True)))


def test_what_shuffling_cannot_change_is_not_called_worthless():
    text = placebo_sentence(outcome((*LLM[:-2], 1.0, False)))
    assert "cannot be tested" in text
    assert "not shown" not in text


def test_the_page_has_the_sentence_above_and_the_controls_below(page):
    head, _, body = page.partition("<nav")
    assert placebo_sentence(outcome(LLM)) in head
    section = body.split("Is the guidance worth more than its shuffled self?</h2>")[1].split("<h2")[0]
    for row in (
        "as given",
        "shuffled",
        "inverted",
        "always long",
        "rules",
        "oracle, 60 % right",
        "oracle, 100 % right",
    ):
        assert f'<th scope="row">{row}</th>' in section
    assert "The oracle knows the future: a control, never a result." in section
    assert "trained once with the guidance" in section
    assert (
        "Without other guidance: rl, Sharpe ratio 1.42, drawdown 45.0 %; hold, Sharpe ratio n/a, drawdown 30.0 %."
        in section
    )
    assert "Means over 3 seeds and all draws" in section
    mean = controls().query("arm == 'hybrid' and control == 'inverted'")[["sr", "mdd"]].mean()
    assert f'<td class="first">{mean["sr"]:.2f}</td><td>{100 * mean["mdd"]:.1f} %</td>'.replace("-", "−") in section


def test_without_controls_the_page_says_nothing_of_them():
    assert "shuffled self" not in render_report(comparison())


def test_the_same_controls_give_the_same_figure_and_none_gives_none():
    assert placebo_figure(controls(), ["hybrid", "llm"]) == placebo_figure(controls(), ["hybrid", "llm"])
    assert placebo_figure(controls().query("control == 'none'"), []) == ""


def test_an_account_that_never_trades_is_drawn_at_zero():
    frame = controls()
    assert placebo_figure(frame.assign(sr=np.nan), ["llm"]) == placebo_figure(frame.assign(sr=0.0), ["llm"])


def test_a_frame_without_a_column_is_refused():
    with pytest.raises(DataError, match="expected placebo with a column 'p'"):
        dataclasses.replace(comparison(), placebo=outcome(LLM).drop(columns="p"))
