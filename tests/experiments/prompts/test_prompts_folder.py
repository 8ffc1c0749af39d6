"""What a study of prompts leaves in its folder."""

from __future__ import annotations

import dataclasses
import json

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from made_advice import market, study
from made_review import answered
from showing import shows_what_its_page_says

from llmguide import Guidance
from llmguide.console import print_prompts
from llmguide.errors import DataError
from llmguide.experiments.prompts import judge_prompts
from llmguide.experiments.review import judge_review
from llmguide.guidance.review.kept import keep
from llmguide.guidance.review.packet import choose
from llmguide.report.prompt_figures import FIGURES

MARKETS = (market("AAPL", 1), market("MSFT", 2))
TABLES = ("table_sharpe", "table_perplexity", "table_entropy", "table_hits", "costs", "tests", "means", "brier")


@pytest.fixture(scope="module")
def judged():
    return judge_prompts(study(MARKETS), MARKETS)


@pytest.fixture(scope="module")
def folder(judged, tmp_path_factory):
    return judged.write(tmp_path_factory.mktemp("prompts") / "new").parent


def test_the_folder_holds_the_tables_thrice_the_page_the_figures_and_the_guidance(folder, judged):
    expected = {f"{name}.{suffix}" for name in TABLES for suffix in ("csv", "md", "tex")}
    expected |= {"prompts.html", "prompts.csv", "months.csv", "calibration.csv", "reliability.csv", "config.json"}
    expected |= {"guidance", *(f"figure_{name}.png" for name in FIGURES if name != "reviews")}  # nobody was asked
    expected |= {"shares.csv", "agreement.csv"}
    assert {path.name for path in folder.iterdir()} == expected
    for (symbol, prompt), guidance in judged.guidance.items():
        assert Guidance.read(folder / "guidance" / prompt / f"{symbol}.parquet") == guidance
    assert json.loads((folder / "config.json").read_text())["guidance"]["MSFT P4"] == judged.guidance["MSFT", "P4"].hash


def test_the_tables_of_the_folder_say_what_the_study_says(folder, judged):
    sharpe = pd.read_csv(folder / "table_sharpe.csv", index_col="symbol")
    runs = judged.table.set_index(["symbol", "prompt"])
    for symbol, prompt in judged.guidance:
        assert sharpe.loc[symbol, prompt] == pytest.approx(runs.loc[(symbol, prompt), "sr"])
        assert sharpe.loc[symbol, f"{prompt}_published"] == runs.loc[(symbol, prompt), "sr_published"]
    means = judged.means.set_index("prompt")
    np.testing.assert_allclose(sharpe.loc["mean", list(means.index)].astype(float), means["sr"])
    entropy = pd.read_csv(folder / "table_entropy.csv", index_col="symbol")
    assert entropy.loc["AAPL", "P3"] == pytest.approx(runs.loc[("AAPL", "P3"), "entropy"])
    assert len(pd.read_csv(folder / "months.csv")) == len(judged.all_advice)
    line = next(line for line in (folder / "table_sharpe.md").read_text().splitlines() if line.startswith("| MSFT"))
    assert f"{runs.loc[('MSFT', 'P4'), 'sr']:.2f} (0.50)" in line


@pytest.mark.slow
def test_reviews_of_the_same_answers_become_table_vi_and_a_figure_and_stay_those_of_its_prompts(tmp_path):
    months = keep(study(MARKETS), {one.symbol: one.bars for one in MARKETS})
    packet = choose(months, months=20)
    sheets = [answered(packet, "anna"), answered(packet, "ben", seed=1), answered(packet, "judge-x", kind="model")]
    reviews = judge_review(packet, sheets)
    reviews.check(months)
    some = [one for one in study(MARKETS) if one.prompt in ("P1", "P4")]
    judged = judge_prompts(some, MARKETS, reviews=reviews)
    page = judged.write(tmp_path)
    table = pd.read_csv(tmp_path / "table_reviews.csv")
    assert set(table["prompt"]) == {"P1", "P4", "all"}
    pd.testing.assert_frame_equal(table, judged.reviews.scores, check_dtype=False)
    assert (tmp_path / "figure_reviews.png").is_file()
    text = page.read_text()
    assert "Expert scores of the reasons" in text
    assert "Mean scores of people by prompt and criterion" in text
    assert "Scored by a language model, judge-x" in text
    judge_prompts(some, MARKETS).write(tmp_path)  # without reviews nothing of the earlier ones stays
    assert not [path.name for path in tmp_path.iterdir() if "reviews" in path.name]


def test_reviews_of_other_answers_are_refused():
    months = keep(study(MARKETS), {one.symbol: one.bars for one in MARKETS})
    packet = choose(months, months=8)
    reviews = judge_review(packet, [answered(packet)])
    others = keep(study(MARKETS, seed=5), {one.symbol: one.bars for one in MARKETS})
    with pytest.raises(DataError, match=r"got [1-8] of 8 months with another question, answer or model"):
        reviews.check(others)
    with pytest.raises(DataError, match="got none; give the review of this run"):
        reviews.check([month.model_copy(update={"prompt": "mine"}) for month in months])


def test_right_directions_stand_by_instrument_and_prompt_beside_what_always_long_would_have(folder, judged):
    hits = pd.read_csv(folder / "table_hits.csv", index_col="symbol")
    runs = judged.table.set_index(["symbol", "prompt"])
    for symbol, prompt in judged.guidance:
        assert hits.loc[symbol, prompt] == pytest.approx(runs.loc[(symbol, prompt), "hit_rate"])
    line = next(line for line in (folder / "table_hits.md").read_text().splitlines() if line.startswith("| AAPL"))
    assert line.rstrip("| ").endswith(f"{runs.loc[('AAPL', 'P1'), 'up_rate']:.0%}")


def test_a_template_of_ones_own_is_a_column_like_the_others(tmp_path):
    own = [dataclasses.replace(one, prompt="tuned") for one in study(MARKETS, prompts=["P4"], seed=3)]
    judged = judge_prompts([*study(MARKETS, prompts=["P1"]), *own], MARKETS)
    judged.write(tmp_path)
    for name in ("table_sharpe", "table_perplexity", "table_entropy", "table_hits"):
        assert "tuned" in pd.read_csv(tmp_path / f"{name}.csv").columns
    assert judged.means.set_index("prompt").loc["tuned", "sr_published"] != 0
    assert np.isnan(judged.means.set_index("prompt").loc["tuned", "sr_published"])
    assert set(judged.tests["prompt_a"]) == {"tuned"}


@pytest.mark.slow
def test_the_published_mean_is_there_only_where_every_instrument_was_published(folder, tmp_path):
    three = (*MARKETS, market("XYZ", 5))
    judge_prompts(study(three), three).write(tmp_path)
    for where, published in ((folder, True), (tmp_path, False)):
        sharpe = pd.read_csv(where / "table_sharpe.csv", index_col="symbol")
        assert sharpe.loc["mean", "P4"] == pytest.approx(sharpe["P4"].drop("mean").mean())
        assert pd.notna(sharpe.loc["mean", "P4_published"]) == published
        mean = next(line for line in (where / "table_sharpe.md").read_text().splitlines() if line.startswith("| mean"))
        assert ("(" in mean) == published


@pytest.mark.slow
def test_the_figures_are_drawn_and_the_folder_is_the_same_every_time(folder, judged, tmp_path):
    again = judged.write(tmp_path).parent
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".parquet":
            assert (again / path.relative_to(folder)).read_bytes() == path.read_bytes(), path.name
    for path in folder.glob("*.png"):
        image = matplotlib.image.imread(path)
        assert (image[..., :3].min(axis=2) < 0.5).mean() > 0.003


@pytest.mark.slow
def test_without_probabilities_there_is_no_table_of_uncertainty_and_an_old_one_goes(folder, judged, tmp_path):
    judged.write(tmp_path)
    nothing = dict.fromkeys(("entropy", "perplexity", "direction_entropy", "confidence_entropy", "p_long"))
    bare = judge_prompts([dataclasses.replace(a, **nothing) for a in judged.all_advice], MARKETS)
    bare.write(tmp_path)
    left = {path.name for path in folder.iterdir()} - {path.name for path in tmp_path.iterdir()}
    assert {name.split(".")[0] for name in left} == {
        *("table_perplexity", "table_entropy", "brier"),
        *("figure_uncertainty", "figure_reliability"),
    }
    assert pd.read_csv(tmp_path / "reliability.csv").empty
    assert "Uncertainty of the replies" not in (tmp_path / "prompts.html").read_text()


@pytest.mark.slow
def test_an_unknown_price_is_said_and_never_zero(judged, tmp_path):
    unknown = judge_prompts(
        [dataclasses.replace(a, cost=a.cost._replace(dollars=None)) for a in judged.all_advice], MARKETS
    )
    unknown.write(tmp_path)
    for name in ("costs.md", "costs.tex", "prompts.html"):
        assert (tmp_path / name).read_text().count("unknown") >= 6
    assert pd.read_csv(tmp_path / "costs.csv")["dollars"].isna().all()


def test_the_terminal_shows_every_prompt_with_its_numbers(judged, capsys):
    print_prompts(judged)
    out = capsys.readouterr().out
    row = judged.means.set_index("prompt").loc["P4"]
    assert f"{row['sr']:.2f}" in next(line for line in out.splitlines() if "P4" in line)
    assert "sr: P4 - P1" in out
    brier = judged.scores.set_index("prompt").loc["P4", "brier"]
    assert f"{brier:.3f}" in next(line for line in out.splitlines() if "P4, said" in line)
    assert "MSFT" in out
    answers, measured = (judged.means["months"] - judged.means["abstentions"]).sum(), judged.means["measured"].sum()
    assert f"{answers - measured} of {answers} answers have no entropy; their certainty counts as 1" in out


@pytest.mark.slow
def test_a_study_shows_itself_as_its_page_begins(judged, tmp_path):
    shows_what_its_page_says(judged, judged.write(tmp_path / "shown"))
