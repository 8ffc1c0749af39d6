"""The replication's tables as text, and its figure."""

from __future__ import annotations

import matplotlib
import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from llmguide.experiments.published import BENCHMARK
from llmguide.experiments.replicate.fit import fit_in_words, fit_summary, fit_table
from llmguide.report.replication import (
    appendix_e_table,
    draw_replication,
    experiment_2_table,
    paired_tests_table,
    summary_table,
)


def table(symbols, seeds):
    """Runs scattered around the paper's own, as `Replication.appendix_e` has them."""
    random = np.random.default_rng(1)
    rows = [
        {"symbol": symbol, "sr": random.normal(entry.sr_mean, entry.sr_std), "mdd": 0.25, "mdd_tdqn": 0.2}
        for symbol in symbols
        if (entry := BENCHMARK.get(symbol, BENCHMARK["AAPL"]))
        for _ in range(seeds)
    ]
    return fit_table(pd.DataFrame(rows))


@pytest.fixture(scope="module")
def everything():
    return table([*BENCHMARK, "TWTR"], 25)


def cells(text, first):
    """The cells of the one row of a Markdown table that begins with a word."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_appendix_e_names_every_instrument_and_leaves_open_what_was_not_published(everything):
    text = appendix_e_table(everything).markdown()
    assert len([line for line in text.splitlines() if line.startswith("|")]) == 2 + len(BENCHMARK) + 1
    apple = everything.set_index("symbol").loc["AAPL"]
    shown = cells(text, "AAPL")
    assert shown[:4] == ["AAPL", "Apple", "1.424", "1.19 (0.55)"]
    assert shown[4:7] == [f"{apple.sr_mean:.2f} ({apple.sr_std:.2f})", "25", f"{apple.low:.2f} to {apple.high:.2f}"]
    assert shown[9:] == [apple.lies, "0.29", "0.25", "0.20"]
    assert cells(text, "TWTR").count("n/a") == 6
    assert "S\\&P 500" in appendix_e_table(everything).latex()


def test_the_other_tables_say_what_their_frames_say(everything):
    experiment = pd.DataFrame(
        {
            "symbol": ["KO", "KO"], "arm": ["rl", "hold"], "sr_mean": [1.0, 0.5], "sr_std": [0.25, np.nan],
            "mdd_mean": [0.2, 0.1], "mdd_std": [0.01, np.nan], "seeds": [3, 0], "sr_published": [0.9, np.nan],
            "sr_published_std": [0.3, np.nan], "mdd_published": [0.3, np.nan],
        }
    )  # fmt: skip
    text = experiment_2_table(experiment).markdown()
    assert cells(text, "KO     | rl") == ["KO", "rl", "0.90 (0.30)", "1.00 (0.25)", "0.30", "0.20 (0.01)", "3"]
    assert cells(text, "KO     | hold") == ["KO", "hold", "n/a", "0.50", "n/a", "0.10", "-"]
    tests = pd.DataFrame(
        {
            "symbol": ["KO"], "measure": ["mdd"], "arm_a": ["rl"], "arm_b": ["hold"], "mean_difference": [-0.03],
            "t": [-5.0], "p": [0.0001], "p_holm": [0.002], "p_wilcoxon": [0.25], "n": [25],
        }
    )  # fmt: skip
    text = paired_tests_table(tests).markdown()
    assert cells(text, "KO") == [
        "KO",
        "maximum drawdown",
        "rl - hold",
        "-0.03",
        "-5.00",
        "&lt;0.001",
        "0.002",
        "0.250",
        "25",
    ]
    assert "Holm's p corrects them for the number of instruments" in text
    words = fit_in_words(everything)
    summary = summary_table(fit_summary(everything), words).markdown()
    assert "13 of 29" in summary
    assert words.replace("<", "&lt;") in summary


@pytest.mark.slow
@pytest.mark.parametrize(("symbols", "seeds"), [([*BENCHMARK, "TWTR"], 25), (["AAPL", "KO", "TSLA"], 5), (["KO"], 1)])
def test_the_figure_is_a_png_and_the_same_every_time(tmp_path, symbols, seeds):
    settings, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    frame = table(symbols, seeds)
    one, two = (draw_replication(frame, tmp_path / name).read_bytes() for name in ("one.png", "two.png"))
    assert one == two
    image = matplotlib.image.imread(tmp_path / "one.png")
    assert image.shape[1] == 1800
    assert (image[..., :3].min(axis=2) < 0.5).mean() > 0.005  # something was drawn
    assert (dict(matplotlib.rcParams), matplotlib.get_backend()) == (settings, backend)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "two.png"]


def test_another_number_is_another_figure(tmp_path, everything):
    moved = everything.copy()
    moved.loc[moved["symbol"] == "KO", "sr_mean"] += 0.3
    assert (
        draw_replication(everything, tmp_path / "a").read_bytes()
        != draw_replication(moved, tmp_path / "b").read_bytes()
    )


def test_every_instrument_is_named_and_coloured_by_where_its_published_number_lies(everything):
    from matplotlib.figure import Figure

    from llmguide.report.replication import _draw_lines

    shown = everything[everything["sr_published"].notna()]
    axes = Figure().subplots()
    _draw_lines(axes, shown)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [f"{entry.name} ({symbol})" for symbol, entry in BENCHMARK.items()]
    marks = {line.get_color(): len(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "o"}
    counts = shown["lies"].eq("inside").value_counts()
    assert (marks["#0072b2"], marks["#d55e00"]) == (counts[True], counts[False])
