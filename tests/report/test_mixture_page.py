"""The page of a study of the mixture says what was found, what was left out, and what was not reached."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from page_text import text_of_page

from llmguide.experiments.mixture import MixtureStudy

COLUMNS = ["symbol", "arm", "guidance", "accuracy", "draw", "seed", "sr", "mdd", "total_return"]


def made(*, agents=True, oracle=True):
    """A made-up study of four instruments, of which D fell."""
    random = np.random.default_rng(3)
    names = [*("oracle 0.5", "oracle 0.7", "shuffled oracle 0.7")[: 3 * oracle], "rules", "shuffled rules", "<b>mine"]
    rows = []
    for symbol in "ABCD":
        down = symbol == "D"
        rows.append((symbol, "hold", "none", np.nan, -1, -1, -0.5 if down else 0.5, 0.3, -0.2 if down else 0.2))
        if agents:
            rows.append((symbol, "agent", "none", np.nan, -1, 0, 0.25, 0.2, 0.1))
        for arm in ("mixture", "mixture_all_in"):
            rows.append((symbol, arm, "none", np.nan, -1, 0, np.nan if down else 0.4, 0.2, 0.0))
        for name in names:
            if name == "<b>mine" and symbol != "A":
                continue
            accuracy = float(name.split()[-1]) if "oracle" in name else np.nan
            for arm in ("guidance", "mixture", "mixture_all_in"):
                rows.append((symbol, arm, name, accuracy, 0, 0, random.normal(0.5, 0.3), 0.15, 0.1))
    settings = {
        "seeds": [0] if agents else [],
        "episodes": 50,
        "draws": 1,
        "missing": {"E": [0], "F": [0]} if agents else {},
        "tables": {"<b>mine": {"A": {"rows": 3, "uses_future": True, "sha256": "0"}}},
    }
    return MixtureStudy(pd.DataFrame(rows, columns=COLUMNS), settings)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return text_of_page(made().write(tmp_path_factory.mktemp("study")))


def test_it_leads_with_the_answer_and_says_what_is_no_result(text):
    assert made().summary.split(". ")[0] in text
    assert "4 instruments, 1 agent each, 50 episodes, 1 draw of each" in text
    assert text.index("sized mixture minus") < text.index("Aims") < text.index("By instrument")
    assert "made with knowledge of later bars: controls, not results" in text
    assert "Limits of this page" in text


def test_it_says_what_was_left_out(text):
    assert "Not trained yet, and left out: seed 0 of E, F." in text
    assert "Guidance <b>mine: 1 of 4 instruments (A). It uses the future." in text
    assert "2 runs never traded; they count with a Sharpe ratio of 0" in text


def test_its_tables_have_the_numbers_of_the_study(text):
    study = made()
    row = study.aims[(study.aims["group"] == "all") & (study.aims["guidance"] == "oracle 0.7")].iloc[0]
    assert f"{row['value']:.3f}".replace("-", "−") in text
    assert f", less {row['minus']}" in text
    assert "minus itself without guidance" in text
    own = study.table[(study.table["group"] == "fell") & (study.table["guidance"] == "rules")]
    for value in own["sr"]:
        assert f"{value:.2f}".replace("-", "−") in text
    fell = text[text.index("By instrument") :].split("D")[1].split()[0]
    assert fell == "fell"


def test_a_study_without_agents_and_known_accuracies_has_a_page_too(tmp_path):
    text = text_of_page(made(agents=False, oracle=False).write(tmp_path))
    assert "no agents" in text
    assert "Not trained yet" not in text
    assert "above every parent:" not in text
    assert (tmp_path / "report.html").read_text().count("<svg") == 0
