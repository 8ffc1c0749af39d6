"""--config, --set, `llmguide config` and shell completion, as a user types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from functools import partial
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from llmguide.bars import sample_bars
from llmguide.cli import completing
from llmguide.cli.commands import app
from llmguide.cli.config_text import _portable
from llmguide.cli.configured import Commands
from llmguide.cli.options import Out
from llmguide.cli.settings import SET, defaults_of
from llmguide.cli.stopping import Interrupted
from llmguide.cli.sweep import SHOWN
from llmguide.errors import LlmguideError
from llmguide.experiments.arms import ARMS
from llmguide.experiments.levers import LEVERS
from llmguide.guidance import PROVIDERS, Guidance
from llmguide.rl.checkpoint import load_agent
from llmguide.rl.config import DQNConfig
from llmguide.sweeps.rules import RULES
from tests.command_line import run_here

BARS = sample_bars(years=2, seed=0)
TINY = ("--set", "agent.hidden=8", "--set", "agent.batch=4", "--seeds", "1", "--episodes", "1")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Training and test bars in a folder that is the working folder."""
    BARS.iloc[:350].to_csv(tmp_path / "train.csv")
    BARS.iloc[350:].to_csv(tmp_path / "test.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def llmguide(files, monkeypatch, capsys):
    """Run a command in this process; returns its exit code, standard output and standard error."""
    return partial(run_here, monkeypatch, capsys)


@pytest.fixture
def said(llmguide, files):
    """What is told about a file, read by a command; the command fails."""

    def told(text: str, *words: str) -> str:
        (files / "run.toml").write_text(text, encoding="utf-8")
        code, out, err = llmguide(*words, "--config", "run.toml")
        assert (code, out) == (1, "")
        return " ".join(err.split())

    return told


def leaves(command: Any = None) -> list[Any]:
    """Every command of the application."""
    command = typer.main.get_command(app) if command is None else command
    inner = getattr(command, "commands", None)
    return [command] if inner is None else [leaf for one in inner.values() for leaf in leaves(one)]


def settings_of(folder) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


# A file stands where defaults stand.


def test_a_file_gives_what_a_command_requires_and_the_command_line_goes_before_it(llmguide, files):
    (files / "sweep.toml").write_text(
        'bars = "train.csv"\nparam = ["short=5:10", "long=20,30"]\nwhere = "short < long"\ntop = 2\nperiods = 365\n'
        'heatmap = ["short,long", "heat.html"]\n'
    )
    _, by_file, _ = llmguide("sweep", "--config", "sweep.toml", "--json")
    _, by_words, _ = llmguide(
        *("sweep", "train.csv", "--param", "short=5:10", "--param", "long=20,30", "--where", "short < long"),
        *("--top", "2", "--periods", "365", "--heatmap", "short,long", "heat.html", "--json"),
    )
    assert json.loads(by_file) == json.loads(by_words)
    assert json.loads(by_file)["combinations"] == 12
    _, over, _ = llmguide("sweep", "--config", "sweep.toml", "--param", "short=5", "--param", "long=20", "--json")
    found = json.loads(over)
    assert (found["combinations"], found["periods"]) == (1, 365)


def test_flags_are_true_or_false_and_their_other_side_has_a_key_of_its_own(llmguide, files):
    words = ("backtest", "test.csv", "--strategy", "TrendFollowing", "--short", "2", "--long", "21", "--json")
    (files / "a.toml").write_text("long-only = true\nmax-leverage = 0.5\n")
    assert {"long_only": True, "max_leverage": 0.5}.items() <= json.loads(
        llmguide(*words, "--config", "a.toml")[1]
    ).items()
    (files / "b.toml").write_text("long-only = false\n")
    assert json.loads(llmguide(*words, "--config", "b.toml")[1])["long_only"] is False
    (files / "c.toml").write_text('train = "train.csv"\nno-resume = true\n')
    _, printed, _ = llmguide("config", "compare", "--config", "c.toml")
    assert 'train = "train.csv"' in printed.splitlines()


def test_lists_separated_by_commas_are_lists_too_and_dates_and_numbers_need_no_quotes(llmguide, files):
    (files / "a.toml").write_text('seeds = [0, 3]\narms = ["rl", "hold"]\ndata = "bars"\nsplit = 2018-01-01\n')
    _, printed, _ = llmguide("config", "replicate", "--config", "a.toml")
    lines = printed.splitlines()
    assert {'seeds = "0,3"', 'arms = "rl,hold"', 'split = "2018-01-01"'} <= set(lines)


def test_one_file_serves_a_study_what_is_shared_above_and_a_table_for_each_command(llmguide, files):
    (files / "study.toml").write_text(
        'cost = 0.002\nepisodes = 7\n[agent]\nhidden = 8\n[sweep]\nbars = "train.csv"\nparam = ["short=5", "long=20"]\n'
        '[compare]\ntrain = "train.csv"\nepisodes = 9\n[compare.agent]\nbatch = 4\n[flag.train]\nbars = "train.csv"\n'
        "[flag]\nepochs = 2\n"
    )
    assert llmguide("sweep", "--config", "study.toml", "--json")[0] == 0  # episodes are for compare
    _, printed, _ = llmguide("config", "compare", "--config", "study.toml")
    found = tomllib.loads(printed)
    assert found["episodes"] == 9
    assert found["cost"] == 0.002
    assert found["agent"] == {"hidden": 8, "batch": 4}
    _, printed, _ = llmguide("config", "flag", "train", "--config", "study.toml")
    assert tomllib.loads(printed) == {"bars": "train.csv", "cost": 0.002, "flag": {"epochs": 2}}
    code, _, err = llmguide("tearsheet", "--config", "study.toml")
    assert code == 1
    assert "has no options for `llmguide tearsheet`, only for sweep, compare, flag train" in " ".join(err.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("episode = 3", "run.toml: episode: `llmguide compare` has no option of that name; did you mean 'episodes'?"),
        ('episodes = "many"', "run.toml: episodes: expected a whole number, got the text 'many'"),
        ("episodes = 2.5", "run.toml: episodes: expected a whole number, got the number 2.5"),
        ("episodes = 0", "run.toml: episodes: expected at least 1, got 0"),
        ("cash = true", "run.toml: cash: expected a number, got true"),
        ("controls = 1", "run.toml: controls: expected true or false, got the number 1"),
        ("train = 5", "run.toml: train: expected a text that names a file or folder, got the number 5"),
        ("seeds = true", "run.toml: seeds: expected a text, or a list, got true"),
        ('device = ["cpu"]', "run.toml: device: expected a text, got a list of 1"),
        ("resume = true\nno-resume = true", "run.toml: no-resume and resume are the same option; keep one of them"),
        ('config = "other.toml"', "run.toml: config: a file cannot include another"),
        ("[agent]\nhiden = 8", "run.toml: [agent] hiden: unknown setting 'hiden' of agent; did you mean 'hidden'?"),
        ("[agent]\nhidden = 8.5", "run.toml: [agent] hidden: expected a whole number, got 8.5"),
        ("[agent]\nraw_prices = 1", "run.toml: [agent] raw_prices: expected true or false, got 1"),
        ("[agent]\ntau = 'jitter'", "[agent] tau: expected published or constant or jittered, got 'jitter'; did you"),
        ("[compre]\nseeds = 1", "run.toml: [compre] is neither a command nor one of the settings (agent, flag); did"),
        ("[compare.agents]\nhidden = 1", "run.toml: [compare.agents] is none of the settings (agent, flag)"),
        ("[sweep]\ntop = 1", "run.toml has no options for `llmguide compare`, only for sweep"),
        ("seeds = ", "run.toml cannot be read as TOML: Invalid value"),
        ("train = 'a.csv'\n[train]\nseeds = 1", "move the key into the table of its command"),
    ],
)
def test_mistakes_in_a_file_name_file_key_and_what_was_expected(said, text, expected):
    assert expected in said(text, "compare")


def test_a_secret_in_a_file_is_refused_and_not_repeated(said):
    told = said('openai-api-key = "sk-very-secret"', "guide", "train.csv")
    assert "secrets are read from the environment (OPENAI_API_KEY), never from a file" in told
    assert "sk-very-secret" not in told


def test_a_missing_file_a_record_and_no_text_are_refused(llmguide, files):
    assert "there is no file none.toml for --config" in llmguide("compare", "--config", "none.toml")[2]
    (files / "config.json").write_text("{}")
    assert "of a run folder give config.toml" in " ".join(llmguide("compare", "--config", "config.json")[2].split())
    (files / "bad.toml").write_bytes(b'train = "\xff"')
    assert "bad.toml is not text in UTF-8" in llmguide("compare", "--config", "bad.toml")[2]


def test_options_for_another_provider_are_refused_from_a_file_as_from_the_command_line(said):
    assert "--accuracy is not for --provider replay" in said(
        "accuracy = 0.8", "guide", "train.csv", "--provider", "replay"
    )


# Settings of training.


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("hidden=8", "expected --set SECTION.NAME=VALUE, such as agent.discount=0.9, got 'hidden=8'"),
        ("agent.hidden", "expected --set SECTION.NAME=VALUE"),
        ("agnt.hidden=8", "unknown section 'agnt'; did you mean 'agent'?"),
        ("agent.hiden=8", "--set agent.hiden: unknown setting 'hiden' of agent; did you mean 'hidden'?"),
        ("agent.hidden=8.5", "--set agent.hidden: expected a whole number, got '8.5'"),
        ("agent.discount=2", "agent.discount must lie in [0, 1], got 2.0"),
        ("agent.weight_decay=nan", "agent.weight_decay must be a finite number of at least 0, got nan"),
        ("agent.raw_prices=yes", "--set agent.raw_prices: expected true or false, got 'yes'"),
        ("flag.epochs=2", "--set flag.epochs is for the arm flag"),
    ],
)
def test_a_setting_that_is_none_or_out_of_range_is_refused(llmguide, files, word, expected):
    code, _, err = llmguide("compare", "--train", "train.csv", "--test", "test.csv", "--set", word)
    assert code == 1
    assert expected in " ".join(err.split())
    assert not (files / "runs").exists()


def test_a_setting_is_said_once(llmguide, files, said):
    words = ("compare", "--train", "train.csv", "--test", "test.csv")
    twice = ("--set", "agent.hidden=8", "--set", "agent.hidden=9")
    assert "--set agent.hidden is given twice" in llmguide(*words, *twice)[2]
    both = ("--set", "agent.cost=0.002", "--cost", "0.003")
    assert "agent.cost and --cost are the same setting; give one of them" in llmguide(*words, *both)[2]
    assert "agent.cost and --cost are the same setting" in said("cost = 0.1\n[agent]\ncost = 0.2\n", *words)


def test_the_command_line_goes_before_the_file_for_settings_too_name_by_name(llmguide, files):
    (files / "a.toml").write_text("[agent]\nhidden = 8\ncost = 0.004\ndiscount = 0.7\n")
    given = ("--set", "agent.discount=0.9", "--cost", "0.005")
    _, printed, _ = llmguide("config", "compare", "--config", "a.toml", *given)
    found = tomllib.loads(printed)
    assert found["agent"] == {"hidden": 8, "discount": 0.9}
    assert found["cost"] == 0.005


def test_every_setting_of_the_agent_can_be_set():
    assert set(defaults_of("agent")) == {field.name for field in fields(DQNConfig)}


def test_flag_and_agent_settings_are_for_those_who_learn_by_them(llmguide):
    code, _, err = llmguide("train", "train.csv", "--set", "flag.epochs=2")
    assert (code, "--set flag.epochs is for --agent flag" in err) == (1, True)
    code, _, err = llmguide("train", "train.csv", "--agent", "flag", "--base", "tiny", "--set", "agent.hidden=8")
    assert (code, "--set agent.hidden is for --agent dqn" in err) == (1, True)
    code, _, err = llmguide("levers", "--data", ".", "--set", "flag.epochs=2")
    assert (code, "unknown section 'flag'" in err) == (1, True)


# The run folder gives back what it was made with.


def test_trained_again_by_the_folder_s_own_file_agents_are_the_same_from_any_folder(llmguide, files, monkeypatch):
    words = ("train", "train.csv", "--provider", "rules", *TINY, "--set", "agent.lookback=10", "--raw-bars")
    assert llmguide(*words, "--out", "first")[0] == 0
    assert settings_of(files / "first")["agent"]["lookback"] == 10
    assert load_agent(files / "first" / "hybrid-0.safetensors").config.batch == 4
    elsewhere = files / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert llmguide("train", "--config", "../first", "--out", "again")[0] == 0
    one, other = (folder / "hybrid-0.safetensors" for folder in (files / "first", elsewhere / "again"))
    assert one.read_bytes() == other.read_bytes()
    own = [line for line in (files / "first" / "config.toml").read_text().splitlines() if line[:1] not in ("#", "")]
    assert own == [
        f'bars = "{files / "train.csv"}"', 'provider = "rules"', 'seeds = "1"', "episodes = 1", "raw-bars = true",
        f'out = "{files / "first"}"', "[agent]", "lookback = 10", "hidden = 8", "batch = 4",
    ]  # fmt: skip
    code, _, err = llmguide("train", "--config", "../first", "--set", "agent.batch=8")
    assert code == 1
    assert "agent.batch is 4 there and 8 here" in err
    assert "batch = 4" in (files / "first" / "config.toml").read_text()  # what is refused changes nothing


@pytest.mark.slow
def test_a_comparison_made_again_by_the_folder_s_own_file_is_the_same(llmguide, files, undrawn):
    words = ("compare", "--train", "train.csv", "--test", "test.csv", "--arms", "hybrid,hold", *TINY)
    with undrawn():
        assert llmguide(*words, "--out", "first")[0] == 0
        assert llmguide("compare", "--config", "first/config.toml", "--out", "again")[0] == 0
    one, other = (files / name / "hybrid-0.safetensors" for name in ("first", "again"))
    assert one.read_bytes() == other.read_bytes()
    assert settings_of(files / "first") == settings_of(files / "again")
    assert (files / "first" / "table.csv").read_bytes() == (files / "again" / "table.csv").read_bytes()


def test_a_sweep_and_guidance_are_made_again_by_what_config_prints(llmguide, files):
    sweep = ("sweep", "train.csv", "--param", "short=5:9", "--param", "long=20")
    for words, out in ((("guide", "train.csv", "test.csv", "--every", "15"), "g.csv"), (sweep, "all.csv")):
        (files / "run.toml").write_text(llmguide("config", *words)[1])
        assert llmguide(*words, "--out", out)[0] == 0
        assert llmguide(words[0], "--config", "run.toml", "--out", f"again-{out}")[0] == 0
        assert (files / out).read_bytes() == (files / f"again-{out}").read_bytes()
    assert Guidance.read(files / "g.csv").rows


def test_paths_within_texts_are_absolute_where_they_name_what_exists(llmguide, files):
    (files / "g.parquet").touch()
    assert _portable("gpt=g.parquet,since=2018-01-01") == f"gpt={files / 'g.parquet'},since=2018-01-01"
    assert _portable("P0,P1") == "P0,P1"
    assert _portable("none.parquet") == "none.parquet"


# A file to begin with.


@pytest.mark.parametrize("words", [("compare",), ("flag", "train"), ("guide",), ("walk-forward",), ("tune",)])
def test_what_config_prints_is_toml_and_says_nothing_until_it_is_edited(llmguide, words):
    code, printed, _ = llmguide("config", *words)
    assert code == 0
    assert tomllib.loads(printed) == {}
    uncommented = re.sub(r"^# (?=[a-z_-]+ = \S|\[(agent|flag)\])", "", printed, flags=re.MULTILINE)
    assert tomllib.loads(uncommented)


def test_config_names_commands_that_there_are(llmguide):
    assert "has no command 'comapre'; did you mean 'compare'?" in llmguide("config", "comapre")[2]
    assert "name one: demo, train" in llmguide("config", "flag")[2]
    assert "`llmguide cache export` takes no file" in llmguide("config", "cache", "export")[2]


def test_every_command_but_config_takes_a_file():
    without = {leaf.name for leaf in leaves() if "config_file" not in {parameter.name for parameter in leaf.params}}
    assert without == {"config", "export", "import", "costs"}


# What the shell offers.


@pytest.fixture(scope="module")
def offered():
    """What the shell offers for the last of some words."""

    def complete(*words: str) -> list[str]:
        environment = os.environ | {
            "COMP_WORDS": " ".join(("llmguide", *words)),
            "COMP_CWORD": str(len(words)),
            "_LLMGUIDE_COMPLETE": "complete_bash",
        }
        code = "import sys; sys.argv = ['llmguide']; from llmguide.cli import main; main()"
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert found.stderr == ""
        return found.stdout.split()

    return complete


@pytest.mark.slow
def test_the_shell_offers_values_lists_instruments_and_settings(offered, tmp_path):
    for name in ("AAPL", "KO_2012_2017", "KO_2018_2019"):
        (tmp_path / f"{name}.csv").touch()
    assert offered("backtest", "--strategy", "LLM") == ["LLMGuidedDQN", "LLMOnly"]
    assert offered("compare", "--arms", "hybrid,r") == ["hybrid,rl", "hybrid,reversion"]
    assert offered("replicate", "--data", str(tmp_path), "--symbols", "") == ["AAPL", "KO"]
    assert offered("compare", "--set", "agent.dis") == ["agent.discount="]
    assert offered("guide", "--provider", "re") == ["replay"]


def test_what_is_offered_is_what_there_is():
    assert set(completing.ARMS) == set(ARMS)
    assert set(completing.LEVERS) == set(LEVERS)
    assert set(completing.RULES) == {*RULES, "mixture"}
    assert {"llm", "replay", "file", *completing.PROVIDERS} == set(PROVIDERS)
    assert set(completing.VALUES["by"]) == set(SHOWN)


def test_values_are_offered_for_options_that_there_are():
    names = {str(parameter.name) for leaf in leaves() for parameter in leaf.params}
    functions = {leaf.name.replace("-", "_") for leaf in leaves()}
    for key in (*completing.VALUES, *completing.LISTS, SET):
        command, option = key if isinstance(key, tuple) else ("", key)
        assert option in names
        assert not command or command in functions


@pytest.mark.parametrize("ends", [None, Interrupted("interrupted", 130), LlmguideError("another run's folder")])
def test_a_run_folder_keeps_the_options_of_a_run_that_ends_well_or_can_be_resumed(tmp_path, ends):
    made = Commands()

    @made.command()
    def study(cost: float = 0.1, plan: bool = False, out: Out = tmp_path / "default") -> None:
        out.mkdir()
        if ends is not None:
            raise ends

    @made.command()
    def other() -> None:
        """Not the only one, so that the commands have names."""

    CliRunner().invoke(made, ["study", "--out", str(tmp_path / "run"), "--cost", "0.2"])
    kept = tmp_path / "run" / "config.toml"
    assert kept.exists() is not isinstance(ends, LlmguideError)
    if kept.exists():
        assert tomllib.loads(kept.read_text()) == {"cost": 0.2, "out": str(tmp_path / "run")}
    CliRunner().invoke(made, ["study", "--out", str(tmp_path / "planned"), "--plan"])
    assert not (tmp_path / "planned" / "config.toml").exists()


def test_an_endpoint_s_address_with_a_secret_in_it_is_not_kept(llmguide):
    _, printed, _ = llmguide("config", "guide", "--base-url", "https://me:hidden@host/v1")
    assert "hidden" not in printed
    assert "# base-url holds a secret" in printed
    _, printed, _ = llmguide("config", "guide", "--base-url", "http://127.0.0.1:8080/v1")
    assert tomllib.loads(printed) == {"base-url": "http://127.0.0.1:8080/v1"}
