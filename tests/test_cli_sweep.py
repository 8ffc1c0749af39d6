"""`llmguide sweep` as a user types it, and the values and conditions that it is told."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from command_line import run_here
from hypothesis import given
from hypothesis import strategies as st

from llmguide import guide, max_drawdown, sample_bars, sharpe_ratio, simulate
from llmguide.cli.parameters import parse_condition, parse_parameters
from llmguide.errors import LlmguideError
from llmguide.trading.moving_averages import decisions

BARS = sample_bars(years=3, seed=8)
TRAIN, TEST = BARS.iloc[:504], BARS.iloc[504:]


@pytest.fixture
def llmguide(tmp_path, monkeypatch, capsys):
    """Run a command beside train.csv and test.csv; returns its exit code, standard output and standard error."""
    TRAIN.to_csv(tmp_path / "train.csv")
    TEST.to_csv(tmp_path / "test.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    return partial(run_here, monkeypatch, capsys, "sweep")


SMALL = ("train.csv", "--param", "short=2:10:4", "--param", "long=10:30:10", "--where", "short<long")


def test_the_best_has_the_measures_of_its_account(llmguide):
    code, out, err = llmguide(*SMALL, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["combinations"] == 8  # of 9 pairs, all but 10 and 10
    best = found["parameters"]
    choices = decisions(TRAIN, best["short"], best["long"], start=30)
    account = simulate(TRAIN, choices, start=30)
    assert found["best"]["sharpe"] == pytest.approx(sharpe_ratio(account["returns"]), abs=1e-9)
    assert found["best"]["max_drawdown"] == pytest.approx(max_drawdown(account["value"]), abs=1e-9)
    ratios = [row["sharpe"] for row in found["top"]]
    assert ratios == sorted(ratios, reverse=True)
    assert len(ratios) == 8


def test_the_table_shows_what_differs_between_combinations_the_best_first(llmguide):
    _, out, _ = llmguide(*SMALL, "--by", "max_drawdown", "--top", "3")
    assert "best of 8 by MDD" in out
    head = next(line for line in out.splitlines() if "Sharpe" in line and line.startswith("┃"))
    assert "short" in head
    assert "stop_loss" not in head
    rows = [line.split("│") for line in out.splitlines() if line.startswith("│")]
    place = [name.strip() for name in head.split("┃")].index("MDD")
    depths = [float(row[place]) for row in rows]
    assert len(depths) == 3
    assert depths == sorted(depths)


def test_without_values_the_benchmarks_406_pairs_of_windows_are_measured(llmguide):
    _, out, _ = llmguide("train.csv", "--rule", "reversion", "--json", "--top", "1")
    assert json.loads(out)["combinations"] == 406


@pytest.mark.slow  # vectorbt compiles for this command alone
def test_both_engines_print_the_same(llmguide):
    assert llmguide(*SMALL) == llmguide(*SMALL, "--engine", "vbt")


def test_combinations_with_few_trades_are_never_best(llmguide):
    few = json.loads(llmguide(*SMALL, "--json")[1])
    most = max(int(row["trades"]) for row in few["top"])
    many = json.loads(llmguide(*SMALL, "--min-trades", str(most), "--json")[1])
    assert {row["trades"] for row in many["top"]} == {most}
    code, _, err = llmguide(*SMALL, "--min-trades", str(most + 1))
    assert code == 1
    assert "lower min_trades" in err


def test_the_best_is_tried_on_later_bars(llmguide):
    _, out, _ = llmguide(*SMALL, "--validate", "test.csv", "--json")
    found = json.loads(out)
    best = found["parameters"]
    choices = decisions(TEST, best["short"], best["long"], start=30)
    judged = found["validation"]
    assert judged["train"] == found["best"]["sharpe"]
    assert judged["test"] == pytest.approx(sharpe_ratio(simulate(TEST, choices, start=30)["returns"]), abs=1e-9)
    assert 0 <= judged["pbo"] <= 1
    _, out, _ = llmguide(*SMALL, "--validate", "test.csv")
    assert "all 8 combinations" in out


def test_few_bars_leave_overfitting_undefined(llmguide, tmp_path):
    TRAIN.iloc[-50:].to_csv(tmp_path / "short.csv")
    asked = ("short.csv", *SMALL[1:], "--validate", "test.csv")
    code, out, err = llmguide(*asked)
    assert (code, err) == (0, "")
    assert "16 blocks need 32 tradable bars, got 20" in out
    assert json.loads(llmguide(*asked, "--json")[1])["validation"]["pbo"] is None


def test_where_nothing_trades_the_table_is_written_and_the_case_said(llmguide, tmp_path):
    asked = (
        "train.csv",
        "--rule",
        "guidance",
        "--provider",
        "rules",
        "--param",
        "threshold=1",
        "--param",
        "min_confidence=3",
    )
    code, out, err = llmguide(*asked, "--param", "max_entropy=0", "--out", "all.csv")
    assert (code, out) == (1, "")
    assert "no combination of this sweep ever trades" in err
    assert "all combinations are in all.csv" in err
    assert pd.read_csv(tmp_path / "all.csv")["trades"].tolist() == [0]


@pytest.mark.parametrize(
    "asked", [("--out", "train.csv/all.csv"), ("--tearsheet", "folder"), ("--heatmap", "short,long", "folder")]
)
def test_what_cannot_be_written_is_refused_before_anything_is_measured(llmguide, tmp_path, monkeypatch, asked):
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("llmguide.sweeps.sweep", lambda *_, **__: pytest.fail("measured"))
    code, out, err = llmguide(*SMALL, *asked)
    assert (code, out) == (1, "")
    assert "cannot write" in err
    assert len(err.strip().splitlines()) == 1


def test_bars_that_are_not_later_validate_nothing(llmguide):
    code, out, err = llmguide("test.csv", "--param", "short=2", "--param", "long=10", "--validate", "train.csv")
    assert (code, out) == (1, "")
    assert len(err.strip().splitlines()) == 1


@pytest.mark.slow
def test_every_file_that_is_asked_for_is_written(llmguide, tmp_path):
    more = ("--heatmap", "short,long", "heat.html", "--tearsheet", "best.html", "--out", "all.csv")
    code, out, _ = llmguide(*SMALL, *more)
    assert code == 0
    assert out.splitlines()[-3:] == ["heatmap: heat.html", "tearsheet: best.html", "combinations: all.csv"]
    table = pd.read_csv(tmp_path / "all.csv")
    assert len(table) == 8
    assert {"short", "long", "stop_loss", "sharpe", "turnover"} <= set(table)
    page = (tmp_path / "heat.html").read_text()
    assert "<title>Trend on train, " in page
    assert ": Sharpe ratio by short and long</title>" in page
    assert "Not checked for overfitting" in page
    assert len(page) < 300_000
    assert "<title>trend, short " in (tmp_path / "best.html").read_text()
    llmguide(*SMALL, "--out", "all.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "all.parquet"), table, check_dtype=False)


def test_the_best_and_whether_it_was_checked_come_first(llmguide):
    _, out, _ = llmguide(*SMALL)
    best = json.loads(llmguide(*SMALL, "--json")[1])["parameters"]
    words = " ".join(out.split())
    assert words.startswith(f"Best of 8 combinations: short {best['short']}, long {best['long']}. Sharpe ratio ")
    assert (
        "Not checked for overfitting. The best of 8 combinations owes part of its result to luck. Give --validate"
        in words
    )


def test_a_verdict_comes_before_its_numbers(llmguide):
    checked = (*SMALL, "--validate", "test.csv")
    found = json.loads(llmguide(*checked, "--json")[1])
    assert list(found)[:3] == ["parameters", "best", "verdict"]
    verdict = found["verdict"]
    assert verdict["holds"] is (verdict["headline"] == "Holds up out of sample")
    words = " ".join(llmguide(*checked)[1].split())
    assert words.index(verdict["headline"]) < words.index("The best combination on later bars")
    assert json.loads(llmguide(*SMALL, "--json")[1])["verdict"]["holds"] is None


def test_a_third_parameter_gives_a_map_for_each_of_its_values(llmguide, tmp_path):
    code, _, _ = llmguide(
        *SMALL, "--param", "cost=0,0.001", "--heatmap", "short,long,cost", "heat.html", "--validate", "test.csv"
    )
    page = (tmp_path / "heat.html").read_text(encoding="utf-8")
    assert code == 0
    assert ">cost 0.001</text>" in page
    assert "Not checked for overfitting" not in page


def test_guidance_is_swept_from_files_or_made_here(llmguide, tmp_path):
    guide(BARS, "rules").save(tmp_path / "plain.parquet")
    guide(BARS, "oracle").save(tmp_path / "foresight.parquet")
    settings = ("--rule", "guidance", "--param", "threshold=0:1:0.25", "--param", "hold=1:3,inf")
    both = ("--guidance", "plain.parquet", "--guidance", "foresight.parquet")
    code, out, _ = llmguide("train.csv", *settings, *both, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["combinations"] == 2 * 5 * 4
    assert found["parameters"]["guidance"] == "foresight"
    assert found["uses_future"] is True
    code, out, _ = llmguide("train.csv", *settings, "--provider", "rules", "--validate", "test.csv")
    assert code == 0
    assert "knowledge of later bars" not in out
    assert "knowledge of later bars" in llmguide("train.csv", *settings, "--provider", "oracle")[1]


def test_an_agent_is_blended_with_guidance(llmguide, tmp_path, random_agent):
    from llmguide.rl.checkpoint import save_agent

    save_agent(random_agent(TRAIN, guided=True), tmp_path / "hybrid-0.safetensors")
    asked = ("train.csv", "--rule", "blend", "--model", "hybrid-0.safetensors", "--param", "weight=0:1:0.5")
    code, out, _ = llmguide(*asked, "--provider", "rules", "--json")
    assert code == 0
    assert json.loads(out)["combinations"] == 3
    code, _, err = llmguide(*asked[:-1], "weight=0")
    assert code == 1
    assert "trained with guidance" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rule", "tend"], "did you mean 'trend'?"),
        (["--by", "sharp"], "did you mean 'sharpe'?"),
        (["--engine", "vtb"], "did you mean 'vbt'?"),
        (["--param", "shrt=3"], "did you mean 'short'?"),
        (["--param", "rule=3"], "the rule trend has no parameter 'rule'"),
        (["--param", "short"], "--param is NAME=VALUES"),
        (["--param", "short=2", "--param", "short=3"], "is given twice"),
        (["--param", "short=2:x"], "neither a number"),
        (["--where", "shrt<long"], "did you mean 'short'?"),
        (["--where", "short<"], "--where is a condition"),
        (["--where", "short>long"], "keeps none"),
        (["--heatmap", "short", "h.html"], "two or three parameters"),
        (["--heatmap", "short,long", "--json"], "its file was --json"),
        (["--heatmap", "short,lng", "h.html"], "did you mean 'long'?"),
        (["--out", "all.xlsx"], ".csv or .parquet"),
        (["--rule", "guidance"], "give --guidance FILE or --provider NAME"),
        (["--provider", "rules"], "the rule trend does not use guidance"),
        (["--rule", "guidance", "--provider", "llm"], "ask a language model first"),
        (["--rule", "blend", "--provider", "rules"], "give --model FILE"),
        (["--rule", "blend", "--model", "hybrid-0.safetensors"], "give --guidance or --provider, or --param weight=0"),
        (["--model", "hybrid-0.safetensors"], "does not use an agent"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(llmguide, tmp_path, words, said):
    code, out, err = llmguide("train.csv", *words)
    assert (code, out) == (1, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"train.csv", "test.csv"}


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("n=3", [3]),
        ("n=5,10,20", [5, 10, 20]),
        ("n=1:4", [1, 2, 3, 4]),
        ("n=10:30:10,35", [10, 20, 30, 35]),
        ("n=1:2:3", [1]),
        ("n=0:0.3:0.1", [0.0, 0.1, 0.2, 0.3]),
        ("n=-1:1", [-1, 0, 1]),
        ("n=1e-3", [0.001]),
        ("n = 1 , 2", [1, 2]),
        ("n=1:2,inf", [1, 2, float("inf")]),
    ],
)
def test_values_are_those_that_are_written(word, values):
    found = parse_parameters([word])["n"]
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


@pytest.mark.parametrize(
    "values", ["", "1:", "1:2:3:4", "3:1", "1:3:0", "1:3:-1", "nan", "1:inf", "0:1:1e-9", "0:1e999999:1e-999999", "a"]
)
def test_values_that_mean_nothing_are_refused(values):
    with pytest.raises(LlmguideError, match="--param n="):
        parse_parameters([f"n={values}"])


@given(first=st.integers(-99, 99), step=st.integers(1, 9), count=st.integers(1, 40), places=st.integers(0, 4))
def test_a_range_of_decimals_has_the_floats_of_its_decimals(first, step, count, places):
    def written(units: int) -> str:
        return f"{'-' if units < 0 else ''}{abs(units) // 10**places}.{abs(units) % 10**places:0{max(places, 1)}d}"

    units = [first + step * place for place in range(count)]
    word = f"n={written(units[0])}:{written(units[-1])}:{written(step)}"
    assert parse_parameters([word])["n"] == [float(written(unit)) for unit in units]


GRID = pd.DataFrame({"a": [1, 2, 3, 4, 5], "b": [5.0, 4.0, 3.0, 2.0, np.inf]})


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a < b", [True, True, False, False, True]),
        ("a <= b", [True, True, True, False, True]),
        ("2 <= a < 4", [False, True, True, False, False]),
        ("not a < b", [False, False, True, True, False]),
        ("a == 1 or b == 2 or a > 4", [True, False, False, True, True]),
        ("a > 1 and b > 2 and a != 3", [False, True, False, False, True]),
        ("a + b * 2 - 1 >= 8", [True, True, True, False, True]),
        ("-a > -2.5", [True, True, False, False, False]),
        ("a % 2 == 0", [False, True, False, True, False]),
        ("1 / (a - 3) > 0", [False, False, True, True, True]),
        ("a % (a - 1) == 0", [False, True, False, False, False]),
        ("(a + 1) / 2 > 2", [False, False, False, True, True]),
        (" a < 2 ", [True, False, False, False, False]),
    ],
)
def test_a_condition_means_what_it_says(text, kept):
    marked = np.asarray(parse_condition(text)(GRID))
    assert marked.dtype == bool
    assert marked.tolist() == kept


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').getcwd() < a",
        "a.values.sum() < 3",
        "a[0] < 3",
        "(lambda: a)() < 3",
        "[a for a in b] < a",
        "a < (b := 3)",
        "a ** 9 ** 9 < 3",
        "a < 'b'",
        "a < True",
        "a is b",
        "a in b",
        "a if b else a",
        "a",
        "a + b",
        "a < 1 + (b < 2)",
        "~a < 3",
        "a < 1; b",
        "1 < 2",
        "a < 1" + "0" * 400,
        "",
        "a < " + "(" * 500 + "b" + ")" * 500,
        "a < " + "-" * 2000 + "b",
    ],
)
def test_nothing_but_a_condition_is_accepted(text):
    with pytest.raises(LlmguideError, match="--where"):
        parse_condition(text)
