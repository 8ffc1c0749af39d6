"""The command line as a user types it."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pytest
from command_line import run_here, start, wait_until_signals_are_handled

from llmguide import Guidance, load_agent, sample_bars, simulate
from llmguide.cli.config_text import command_again
from llmguide.experiments.compare import Comparison
from llmguide.llm.cache import Cache
from llmguide.rl.config import DQNConfig
from llmguide.trading.moving_averages import choose_windows, decisions

BARS = sample_bars(years=3, seed=8)


@pytest.fixture
def files(tmp_path):
    """Training and test bars as CSV files, in a folder of their own that is the working folder."""
    BARS.iloc[:504].to_csv(tmp_path / "train.csv")
    BARS.iloc[504:].to_csv(tmp_path / "test.csv")
    return tmp_path


@pytest.fixture
def llmguide(files, monkeypatch, capsys):
    """Run a command in this process; returns its exit code, standard output and standard error."""
    monkeypatch.chdir(files)
    # The published network takes minutes; the commands are the same with a small one.
    monkeypatch.setattr(DQNConfig, "__init__", _small(DQNConfig.__init__))

    return partial(run_here, monkeypatch, capsys)


def _small(original):
    def init(self, **settings):
        original(self, **{"hidden": 16, "batch": 8} | settings)

    return init


def test_guide_writes_a_table_that_covers_both_files(llmguide, files):
    code, out, _ = llmguide("guide", "train.csv", "test.csv", "--out", "g.csv")
    assert code == 0
    assert "g.csv" in out
    table = Guidance.read(files / "g.csv")
    assert table.rows[-1].issued_at > BARS.index[504]


def test_guide_marks_a_table_that_uses_the_future(llmguide):
    _, out, _ = llmguide("guide", "test.csv", "--provider", "oracle", "--accuracy", "0.8", "--seed", "3")
    assert "knowledge of later bars" in out
    code, out, _ = llmguide("guide", "test.csv", "--provider", "oracle", "--json")
    assert code == 0
    assert json.loads(out)["uses_future"] is True


def test_train_then_backtest(llmguide, files):
    code, out, _ = llmguide(
        "train", "train.csv", "--provider", "rules", "--seeds", "0,5", "--episodes", "1", "--out", "a"
    )
    assert code == 0
    assert "hybrid-5.safetensors" in out
    code, out, err = llmguide(
        "train", "train.csv", "--provider", "rules", "--seeds", "0,5", "--episodes", "1", "--out", "a"
    )
    assert "2 of 2 agents are already trained" in err
    llmguide("guide", "train.csv", "test.csv", "--out", "g.parquet")
    code, out, _ = llmguide(
        "backtest", "test.csv", "--model", "a/hybrid-5.safetensors", "--guidance", "g.parquet", "--json", "--out", "b"
    )
    assert code == 0
    summary = json.loads(out)
    account = pd.read_csv(files / "b" / "account.csv")
    assert account["value"].iloc[-1] == summary["final_value"]
    assert (files / "b" / "tearsheet.html").exists()


def test_train_holds_out_bars_at_the_end_and_does_not_mix_such_agents_with_others(llmguide, files):
    words = ("train", "train.csv", "--test", "test.csv", "--episodes", "1", "--out", "a")
    code, _, _ = llmguide(*words, "--seeds", "1", "--holdout", "200")
    assert code == 0
    assert load_agent(files / "a" / "rl-0.safetensors").notes["trained_on"]["last"] == str(BARS.index[303])
    code, _, err = llmguide(*words, "--seeds", "7,8")
    assert code == 1
    assert "holdout is 200 there and 0 here" in err
    code, _, err = llmguide(*words[:-1], "b", "--seeds", "1", "--holdout", "504")
    assert code == 1
    assert "hold out fewer" in err


def test_compare_and_replicate_take_the_mixture_and_its_holdout(llmguide, undrawn, files):
    llmguide("guide", "train.csv", "test.csv", "--out", "g.parquet")
    words = ("--arms", "mixture,hold", "--holdout", "300", "--seeds", "1", "--episodes", "1", "--json")
    with undrawn():
        code, out, _ = llmguide(
            "compare", "--train", "train.csv", "--test", "test.csv", "--guidance", "g.parquet", *words, "--out", "c"
        )
    assert code == 0
    compared = json.loads(out)["runs"]
    (files / "bars").mkdir()
    BARS.to_csv(files / "bars" / "X.csv")
    split = f"{BARS.index[504]:%Y-%m-%d}"
    code, out, _ = llmguide(
        "replicate", "--data", "bars", "--split", split, "--provider", "rules", *words, "--out", "r"
    )
    assert code == 0
    for ours, theirs in zip(json.loads(out)["runs"], compared, strict=True):
        assert {name: ours[name] for name in theirs} == theirs


@pytest.mark.slow
def test_mixture_prints_its_tables_and_that_it_is_a_control(llmguide, files):
    (files / "bars").mkdir()
    (files / "answers").mkdir()
    for name, bars in (("A", BARS), ("B", sample_bars(years=3, seed=2))):
        bars.to_csv(files / "bars" / f"{name}.csv")
    llmguide("guide", "train.csv", "test.csv", "--provider", "constant", "--out", "answers/A.parquet")
    split = f"{BARS.index[504]:%Y-%m-%d}"
    words = ("mixture", "--data", "bars", "--split", split, "--seeds", "0", "--draws", "3", "--guidance", "answers")
    code, out, err = llmguide(*words, "--accuracy", "0.5,1", "--json", "--out", "m")
    assert code == 0
    assert "guidance answers: of 1 of 2 instruments" in err
    found = json.loads(out)
    assert list(dict.fromkeys(row["guidance"] for row in found["table"])) == [
        *("none", "oracle 0.5", "shuffled oracle 0.5", "oracle 1", "shuffled oracle 1", "rules", "shuffled rules"),
        *("answers", "shuffled answers"),
    ]
    for name in ("table", "aims", "differences", "instruments"):
        written = pd.read_csv(files / "m" / f"{name}.csv")
        assert [list(row) for row in found[name]] == [list(written)] * len(written)
    assert found["uses_future"] is True
    assert found["missing"] == {}
    assert (files / "m" / "report.html").samefile(found["page"])
    code, out, _ = llmguide(*words, "--accuracy", "0.8", "--out", "m")
    assert code == 0
    assert "controls, not results" in " ".join(out.split())
    for said in ("shuffled oracle 0.8", "Mean maximum drawdown", "Aims that the sized mixture reaches", "Not reached:"):
        assert said in out
    code, _, err = llmguide(*words, "--accuracy", "half")
    assert code == 1
    assert "expected --accuracy to be probabilities" in err
    code, _, err = llmguide(*words, "--agent-prior", "0.02")
    assert code == 1
    assert "expected --agent-prior to be a mean result per bar and a number of bars" in err
    code, _, err = llmguide(*words, "--seeds", "1", "--only-trained")
    assert code == 1
    assert "holds no trained agent" in err


def test_train_takes_the_levers_and_the_agents_keep_them(llmguide, files):
    words = ("--tau", "constant", "--raw-bars", "--agreement", "0.02", "--discount", "0.7", "--actions", "3")
    code, _, _ = llmguide("train", "train.csv", "--provider", "rules", *words, "--seeds", "1", "--episodes", "1")
    assert code == 0
    agent = load_agent(files / "runs" / "agents" / "hybrid-0.safetensors")
    expected = DQNConfig(tau="constant", smoothing=0, agreement=0.02, discount=0.7, actions=3)
    assert agent.config == expected
    llmguide("guide", "train.csv", "test.csv", "--out", "g.parquet")
    words = ("--model", "runs/agents/hybrid-0.safetensors", "--guidance", "g.parquet")
    _, out, _ = llmguide("backtest", "test.csv", *words, "--json")
    test = BARS.iloc[504:]
    decided = agent.decide(test, Guidance.read(files / "g.parquet").tau(test.index))
    expected = simulate(test, decided, flat=True)
    assert json.loads(out)["final_value"] == pytest.approx(expected["value"].iloc[-1])
    code, _, err = llmguide("train", "train.csv", "--raw-prices", "--tau", "jittered", "--out", "none")
    assert code == 1
    assert "tau change how an agent uses its guidance, but there is none; pass --guidance" in err
    code, _, err = llmguide("train", "train.csv", "--tau", "even", "--provider", "rules", "--out", "none")
    assert code == 1
    assert "tau must be one of published, constant, jittered" in err
    assert not (files / "none").exists()


def test_levers_prints_its_tables_and_that_it_is_a_control(llmguide, files):
    (files / "bars").mkdir()
    BARS.to_csv(files / "bars" / "X.csv")
    words = ("levers", "--data", "bars", "--split", f"{BARS.index[504]:%Y-%m-%d}", "--seeds", "1", "--episodes", "1")
    code, out, _ = llmguide(*words, "--levers", "flat", "--guidance-accuracy", "0.9", "--json", "--out", "l")
    assert code == 0
    found = json.loads(out)
    assert found["uses_future"] is True
    assert [row["lever"] for row in found["table"]] == ["published", "flat", "guidance", "hold"]
    assert (files / "l" / "X" / "flat" / "hybrid-0.safetensors").exists()
    code, out, err = llmguide(*words, "--levers", "flat", "--guidance-accuracy", "0.9", "--out", "l")
    assert code == 0
    assert "2 of 2 agents are already trained" in err
    assert "flat: no significant difference." in out
    assert "a control, not a result" in out
    code, _, err = llmguide(*words, "--provider", "rules", "--guidance-accuracy", "0.9")
    assert code == 1
    assert "--guidance-accuracy is for --provider oracle" in err
    code, _, err = llmguide(*words, "--provider", "llm")
    assert (code, "expected --provider oracle or rules, got 'llm'" in err) == (1, True)


def test_backtest_of_holding_is_the_simulated_one(llmguide):
    _, out, _ = llmguide("backtest", "test.csv", "--strategy", "BuyAndHold", "--cost", "0.002", "--json")
    expected = simulate(BARS.iloc[504:], [1] * (252 - 30), cost=0.002)
    assert json.loads(out)["final_value"] == pytest.approx(expected["value"].iloc[-1])


@pytest.mark.parametrize(
    ("words", "limits"),
    [
        (("--long-only",), {"long_only": True}),
        (("--max-leverage", "0.4"), {"max_leverage": 0.4}),
        (("--long-only", "--max-leverage", "0.4"), {"long_only": True, "max_leverage": 0.4}),
    ],
)
def test_backtest_keeps_the_limits_that_it_is_given(llmguide, words, limits):
    bars = BARS.iloc[504:]
    words = ("backtest", "test.csv", "--strategy", "TrendFollowing", "--short", "2", "--long", "21", *words)
    _, out, _ = llmguide(*words, "--json")
    chosen = decisions(bars, 2, 21, rule="trend")
    assert set(chosen) == {0, 1}
    expected = simulate(bars, chosen, **limits)
    assert json.loads(out)["final_value"] == pytest.approx(expected["value"].iloc[-1])
    assert limits.items() <= json.loads(out).items()
    _, table, _ = llmguide(*words)
    shown = {"long_only": "short decisions", "max_leverage": "largest position"}
    assert {name for name, row in shown.items() if row in table} == set(limits)


def test_backtest_chooses_the_windows_of_moving_averages_on_training_bars_or_takes_them(llmguide):
    words = ("backtest", "test.csv", "--strategy", "MeanReversion", "--cost", "0.002", "--json")
    code, out, _ = llmguide(*words, "--train", "train.csv")
    assert code == 0
    chosen = json.loads(out)
    short, long, _ = choose_windows(BARS.iloc[:504], "reversion", cost=0.002)
    assert (chosen["short"], chosen["long"]) == (short, long)
    expected = simulate(BARS.iloc[504:], decisions(BARS.iloc[504:], short, long, rule="reversion"), cost=0.002)
    assert chosen["final_value"] == pytest.approx(expected["value"].iloc[-1])
    _, out, _ = llmguide(*words, "--short", str(short), "--long", str(long))
    assert json.loads(out) == chosen


def test_compare_ends_with_the_table_and_the_report(llmguide, undrawn, files):
    words = ("compare", "--train", "train.csv", "--test", "test.csv", "--seeds", "2", "--episodes", "1", "--out", "run")
    with undrawn():
        code, out, _ = llmguide(*words)
        _, again, err = llmguide(*words, "--json")
    assert code == 0
    assert out.splitlines()[-1] == "report: run/report.html"
    assert (files / "run" / "report.html").exists()
    result = json.loads(again)
    assert [row["arm"] for row in result["table"]] == ["hybrid", "rl", "llm", "hold", "sell"]
    assert result["table"][3]["sr_std"] is None
    assert "4 of 4 agents are already trained" in err
    code, out, _ = llmguide("tearsheet", "run", "--arm", "hybrid", "--seed", "1", "--json")
    assert code == 0
    run = next(row for row in result["runs"] if (row["arm"], row["seed"]) == ("hybrid", 1))
    assert json.loads(out)["sharpe"] == pytest.approx(run["sr"])
    assert json.loads(out)["max_drawdown"] == pytest.approx(run["mdd"])


@pytest.mark.slow
def test_compare_with_controls_says_in_one_sentence_what_the_guidance_is_worth(llmguide, undrawn, files):
    words = ("compare", "--train", "train.csv", "--test", "test.csv", "--provider", "rules", "--arms", "llm,hold")
    words = (*words, "--controls", "--shuffles", "19", "--out", "run")
    with undrawn():
        code, out, _ = llmguide(*words)
        _, again, _ = llmguide(*words, "--json")
    assert code == 0
    assert "more than its shuffled self: Sharpe ratio of llm" in " ".join(out.split())
    result = json.loads(again)
    (row,) = result["placebo"]
    assert (row["arm"], row["shuffles"], row["p"]) == ("llm", 19, (1 + row["as_good"]) / 20)
    controls = pd.DataFrame(result["controls"])
    assert (controls["control"] == "shuffled").sum() == 19
    assert controls.loc[controls["control"] == "none", "arm"].tolist() == ["hold"]
    assert (files / "run" / "placebo.csv").exists()
    assert json.loads((files / "run" / "config.json").read_text())["controls"]["shuffles"] == 19


def test_a_tearsheet_of_a_users_own_file(llmguide, files):
    simulate(BARS, [1] * (len(BARS) - 30)).to_parquet(files / "account.parquet")
    code, out, _ = llmguide("tearsheet", "account.parquet", "--value", "value", "--out", "t.html", "--json")
    by_value = json.loads(out)
    _, out, _ = llmguide("tearsheet", "account.parquet", "--returns", "returns", "--out", "t.html", "--json")
    assert code == 0
    assert by_value["sharpe"] == pytest.approx(json.loads(out)["sharpe"])


@pytest.mark.parametrize("first", [-0.2, -1.0])
def test_the_drawdown_that_is_printed_is_the_pages_also_where_the_first_bar_falls(llmguide, files, first):
    returns = pd.Series([first, *([0.001, 0.002] * 20)], index=BARS.index[:41], name="r")
    returns.to_csv(files / "fall.csv")
    code, out, _ = llmguide("tearsheet", "fall.csv", "--returns", "r", "--out", "fall.html", "--json")
    assert code == 0
    drawdown = json.loads(out)["max_drawdown"]
    assert drawdown == pytest.approx(-first)  # what follows only rises
    shown = re.search(r"(?i)>(?:Max|Maximum) Drawdown</t[dh]><td>-?([\d.]+) ?%", (files / "fall.html").read_text())
    assert float(shown[1]) == pytest.approx(100 * drawdown, abs=0.006)


def test_the_command_that_a_report_shows_trains_again_and_again(llmguide, files, monkeypatch):
    write = Mock(return_value="report.html")
    monkeypatch.setattr(Comparison, "write", write)
    words = ("compare", "--train", "train.csv", "--test", "test.csv", "--arms", "rl", "--seeds", "1", "--episodes", "1")
    llmguide(*words, "--resume", "--out=a run")
    note, command = write.call_args.kwargs["command"].splitlines()
    assert "relative to the folder in which this was run" in note
    _, *again = shlex.split(command)
    assert again == [*words, "--out", "a run-again", "--no-resume"]
    for _ in range(2):
        code, _, err = llmguide(*again)
        assert code == 0
        assert "already trained" not in err
    agents = [(files / folder / "rl-0.safetensors").read_bytes() for folder in ("a run", "a run-again")]
    assert agents[0] == agents[1]


@pytest.mark.parametrize("option", [("--config", "mine.toml"), ("--config=mine.toml",)])
def test_the_command_shown_reads_the_options_that_the_folder_keeps_and_not_a_file_that_may_change(monkeypatch, option):
    monkeypatch.setattr(sys, "argv", ["llmguide", "compare", *option, "--seeds", "1", "--out", "here"])
    _, command = command_again(Path("here")).splitlines()
    assert shlex.split(command) == [
        *("llmguide", "compare", "--config", "here/config.toml", "--seeds", "1", "--out", "here-again", "--no-resume")
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("demo",),
        ("train", "train.csv"),
        ("backtest", "test.csv", "--strategy", "BuyAndHold"),
        ("compare", "--train", "train.csv", "--test", "test.csv"),
        ("replicate", "--data", "."),
        ("mixture", "--data", "."),
        ("levers", "--data", "."),
        ("guide", "test.csv"),
        ("guide", "test.csv", "--provider", "llm"),
        ("guide", "--data", ".", "--symbols", "test", "--split", "2014-06-01", "--provider", "llm"),
        ("prompts", "--data", ".", "--symbols", "test", "--split", "2014-06-01"),
        ("bars", "AAPL"),
        ("tables", "AAPL", "--start", "2012-01-01", "--end", "2012-02-01"),
        ("tearsheet", "test.csv", "--value", "close"),
    ],
    ids=" ".join,
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(llmguide, files, words):
    before = {path: path.stat().st_mtime_ns for path in files.iterdir()}
    code, out, err = llmguide(*words, "--out", "train.csv/x.parquet")
    assert (code, out) == (1, "")
    assert err.startswith("error: cannot write train.csv/x.parquet: ")
    assert err.endswith("train.csv is a file, not a folder; choose another place\n")
    assert {path: path.stat().st_mtime_ns for path in files.iterdir()} == before


def test_a_cache_is_not_exported_onto_a_folder(llmguide, files):
    Cache(files / "llm.sqlite").close()
    code, _, err = llmguide("cache", "export", ".")
    assert code == 1
    assert err == "error: cannot write .: it is a folder; name a file\n"


def test_what_fails_on_a_file_all_the_same_is_one_line_with_its_name(llmguide, files):
    (files / "b" / "account.csv" / "x").mkdir(parents=True)
    code, _, err = llmguide("backtest", "test.csv", "--strategy", "BuyAndHold", "--out", "b")
    assert code == 1
    assert err == f"error: {files / 'b' / 'account.csv'}: Is a directory\n"


def test_an_error_of_the_system_that_names_no_file_is_not_hidden(llmguide, monkeypatch):
    monkeypatch.setattr("llmguide.bars.read_bars", Mock(side_effect=OSError(5, "a bug")))
    with pytest.raises(OSError, match="a bug"):
        llmguide("train", "train.csv")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("guide", "nowhere.csv"), "there is no file nowhere.csv"),
        (("guide", "test.csv", "--provider", "rule"), "did you mean 'rules'"),
        (("guide", "test.csv", "train.csv"), "order them"),
        (("guide", "test.csv", "--accuracy", "0.5"), "'accuracy', which it would ignore"),
        (("backtest", "test.csv", "--strategy", "BuyHold"), "did you mean 'BuyAndHold'"),
        (("backtest", "test.csv"), "needs"),
        (("backtest", "test.csv", "--strategy", "DQN", "--model", "x.safetensors"), "there is no checkpoint"),
        (("backtest", "test.csv", "--strategy", "BuyAndHold", "--fill", "open"), "expected fill to be"),
        (("backtest", "test.csv", "--strategy", "BuyAndHold", "--max-leverage", "2"), "would take a loan"),
        (("backtest", "test.csv", "--strategy", "TrendFollowing"), "needs --short and --long"),
        (("backtest", "test.csv", "--strategy", "TrendFollowing", "--short", "9", "--long", "9"), "1 <= short < long"),
        (("backtest", "test.csv", "--strategy", "BuyAndHold", "--short", "9"), "no parameter 'short'"),
        (("backtest", "test.csv", "--strategy", "BuyAndHold", "--train", "train.csv"), "BuyAndHold has none"),
        (
            ("backtest", "test.csv", "--strategy", "MeanReversion", "--short", "9", "--train", "train.csv"),
            "give either",
        ),
        (
            ("backtest", "train.csv", "--strategy", "MeanReversion", "--train", "test.csv"),
            "windows must be chosen on bars b",
        ),
        (("train", "train.csv", "--seeds", "many"), "expected --seeds to be a number"),
        (("train", "train.csv", "--seeds", "0"), "seeds are"),
        (("train", "train.csv", "--guidance", "g.csv", "--provider", "rules"), "not both"),
        (("compare", "--train", "test.csv", "--test", "train.csv"), "order them"),
        (("compare", "--train", "train.csv", "--test", "test.csv", "--arms", "hybrid,foo"), "unknown arm 'foo'"),
        (
            ("compare", "--train", "train.csv", "--test", "test.csv", "--controls"),
            "no guidance was given; add --guidance FILE",
        ),
        (("compare", "--train", "train.csv", "--test", "test.csv", "--shuffles", "99"), "--shuffles is for --controls"),
        (
            (
                "compare",
                "--train",
                "train.csv",
                "--test",
                "test.csv",
                "--provider",
                "rules",
                "--controls",
                "--arms",
                "rl",
            ),
            "controls are for the arms hybrid, llm and mixture",
        ),
        (("tearsheet", "train.csv"), "name the column to read"),
        (("tearsheet", "train.csv", "--value", "clsoe"), "did you mean 'close'"),
        (("tearsheet", "."), "is not a finished comparison"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_1(llmguide, words, message):
    code, out, err = llmguide(*words)
    assert code == 1
    assert message in err
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1
    assert out == ""


def test_wrong_usage_is_exit_2(llmguide):
    assert llmguide("train")[0] == 2
    assert llmguide("frobnicate")[0] == 2


def test_what_is_unusual_in_the_bars_is_a_note(llmguide, files):
    odd = BARS.iloc[504:].copy()
    odd.loc[odd.index[3], "volume"] = 0
    odd.to_csv(files / "odd.csv")
    _, out, err = llmguide("backtest", "odd.csv", "--strategy", "BuyAndHold", "--json")
    assert err.startswith("note: odd.csv")
    assert json.loads(out)["strategy"] == "BuyAndHold"


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_keep_what_is_there_and_say_how_to_go_on(files, sent, code):
    """A real process, a real signal, the published network."""
    BARS.iloc[:200].to_csv(files / "train.csv")
    words = ("train", "train.csv", "--seeds", 40, "--episodes", 1, "--out", "run")
    process = start(*words, folder=files, PYTHONUNBUFFERED="1")
    deadline = time.monotonic() + 300
    while not list((files / "run").glob("*.safetensors")):
        assert time.monotonic() < deadline, "no agent was finished in time"
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(sent)
    _, err = process.communicate(timeout=300)
    assert process.returncode == code
    finished, begun = (
        {path.stem for path in (files / "run").glob(f"rl-*.{kind}")} for kind in ("safetensors", "training")
    )
    assert f"interrupted; run keeps {len(finished)} trained agent" in err
    assert f"and {len(begun - finished)} in training; run the same command again to resume" in err
    assert begun - finished
    assert [path.name for path in (files / "run").glob(".*")] == [".lock"]  # no temporary file is left


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_cannot_be_gone_on_with_ends_with_the_signal_s_code(files, sent, code):
    words = ("--param", "short=1:29", "--param", "long=30:60", "--param", "cost=0:0.01:0.001", "--engine", "vbt")
    process = start("sweep", "train.csv", "--start", 60, *words, folder=files, stderr=subprocess.DEVNULL)
    wait_until_signals_are_handled(process)
    time.sleep(2)
    assert process.poll() is None
    process.send_signal(sent)
    assert process.wait(timeout=300) == code
