"""The command line's manners: one line for what goes wrong, results alone on standard output, notes once, time told."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
import warnings

import pytest
import typer.main
from command_line import run_here, start, wait_until_signals_are_handled
from rich.console import Console

from llmguide import console, read_bars, sample_bars
from llmguide.cli.commands import app
from llmguide.cli.outputs import watched_outputs, writable
from llmguide.cli.running import CLOSED_PIPE
from llmguide.errors import DataWarning, RunWarning
from llmguide.sources import consequences
from llmguide.time_left import Outlook, in_words, open_console

BARS = sample_bars(years=1, seed=8)


def commands(command, words=()):
    inner = getattr(command, "commands", None)
    if not inner:
        return [words]
    return [found for name, one in inner.items() for found in commands(one, (*words, name))]


ALL = commands(typer.main.get_command(app))


@pytest.fixture
def llmguide(tmp_path, monkeypatch, capsys):
    BARS.to_csv(tmp_path / "bars.csv")
    monkeypatch.chdir(tmp_path)
    return lambda *words: run_here(monkeypatch, capsys, *words)


def test_there_are_commands_to_walk():
    assert len(ALL) > 20


# What follows `config` is another command and its options.
@pytest.mark.parametrize("words", [words for words in ALL if words != ("config",)], ids=" ".join)
def test_an_unknown_option_is_one_line_on_standard_error_and_exit_2(llmguide, words):
    code, out, err = llmguide(*words, "--hlep")
    assert (code, out) == (2, "")
    assert re.fullmatch(
        rf"error: no such option --hlep; did you mean --help\? \(see .* {' '.join(words)} --help\)\n", err
    )


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("words", [(), *ALL], ids=lambda words: " ".join(words) or "llmguide")
def test_help_fits_the_terminal(llmguide, monkeypatch, words, width):
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, err = llmguide(*words, "--help")
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if not line.startswith("Usage:")]  # which names this test's process
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("words", [[], ["flag"], ["cache"], ["live"], ["review"]], ids=" ".join)
def test_a_list_of_commands_cuts_no_sentence(llmguide, words):
    _, out, _ = llmguide(*words, "--help")
    assert "..." not in out.replace("[ARGS]...", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["comparee"], "no such command 'comparee'; did you mean 'compare'?"),
        (["replicate"], "missing option '--data'"),
        (["compare", "--train", "a", "--test", "b", "--episodes", "x"], "'--episodes': expected a valid integer"),
        (["audit"], "missing argument 'CODE'"),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_was_meant(llmguide, words, said):
    code, out, err = llmguide(*words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("error: ")
    assert said in err


def test_the_name_alone_shows_the_help_as_wrong_usage(llmguide):
    code, out, err = llmguide()
    assert (code, out) == (2, "")
    assert err.startswith("Usage: ")


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere.csv", "there is no file nowhere.csv"), ("folder", "folder is a folder"), ("empty.csv", "is empty")],
)
def test_what_is_no_file_of_bars_is_one_line(llmguide, tmp_path, name, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.csv").touch()
    code, out, err = llmguide("backtest", name, "--strategy", "BuyAndHold")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert said in err


class _ClosedPipe(io.StringIO):
    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["compare", "--help"]])
def test_a_reader_who_has_gone_is_no_error(llmguide, monkeypatch, words):
    monkeypatch.setattr(sys, "stdout", _ClosedPipe())
    code, _, err = llmguide(*words)
    assert (code, err) == (CLOSED_PIPE, "")


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_a_result_whose_reader_has_gone_is_no_error(llmguide, monkeypatch, json):
    monkeypatch.setattr(sys, "stdout", _ClosedPipe())
    code, _, err = llmguide("backtest", "bars.csv", "--strategy", "BuyAndHold", *json)
    assert (code, err) == (CLOSED_PIPE, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        process = start("--version", folder=tmp_path, stdout=full)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert err == "error: an output could not be written: No space left on device\n"


def test_a_real_pipe_that_is_closed_at_once_leaves_no_trace(tmp_path):
    read, write = os.pipe()
    os.close(read)
    process = start("--help", folder=tmp_path, stdout=write)
    os.close(write)
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (CLOSED_PIPE, "")


ROWS = [["hybrid", "0.71 (0.22)", "12.34 (1.22)", "100.3", "61%"], ["hold", "0.70", "12.35", "1.0", "100%"]]
COLUMNS = ["arm", "Sharpe", "max drawdown", "trades", "exposure"]


@pytest.mark.parametrize("width", [30, 40, 80, 200])
def test_no_number_of_a_table_is_cut_however_narrow_the_terminal(monkeypatch, width):
    told = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=told, width=width, force_terminal=True, color_system=None))
    console.print_table("Test bars", COLUMNS, ROWS)
    console.print_table("Two columns", ["measure", ""], [["probability of backtest overfitting", "12.3%"]])
    shown = told.getvalue()
    assert "\u2026" not in shown
    assert max(map(len, shown.splitlines())) <= width
    for cell in (cell for row in ROWS for cell in row[1:]):
        assert cell in shown
    assert "12.3%" in shown
    assert ("\u2503" in shown) == (width >= 80)  # a frame where there is room


def test_a_file_gets_lines_and_tables_whole(tmp_path):
    code = (
        "from llmguide.console import out, print_table\n"
        "out.print('word ' * 60)\nprint_table('wide', [f'column {n}' for n in range(20)], [['12345678'] * 20])\n"
    )
    without = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=without, check=True)
    assert done.stdout.splitlines()[0] == "word " * 60
    assert done.stdout.count("12345678") == 20
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("setting", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_codes_where_none_are_wanted(monkeypatch, setting):
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    plain = open_console()
    plain._file, plain._force_terminal = io.StringIO(), True
    plain.print("bold", style="bold red")
    assert plain.file.getvalue() == "bold\n"


def warn_twice():
    for text in ("a.csv: odd", "a.csv: odd", "b.csv: odd"):
        warnings.warn(text, DataWarning, stacklevel=1)


def test_a_note_is_told_once_for_each_file(capsys):
    with console.notes():
        warn_twice()
    assert capsys.readouterr().err == "note: a.csv: odd\nnote: b.csv: odd\n"


def test_a_note_of_many_runs_is_told_once_with_how_many_more_have_it(capsys):
    with console.notes():
        for seed in range(25):
            warnings.warn(f"{seed} of 99 purchases were not filled", RunWarning, stacklevel=1)
    assert capsys.readouterr().err == "note: 0 of 99 purchases were not filled\nnote: the same in 24 more runs\n"


def test_a_note_on_the_command_line_names_options_and_json_stays_json(llmguide, tmp_path):
    odd = BARS.copy()
    odd.loc[odd.index[40], "close"] *= 3
    odd.to_csv(tmp_path / "odd.csv")
    code, out, err = llmguide("backtest", "odd.csv", "--strategy", "BuyAndHold", "--json")
    assert code == 0
    assert out.startswith("{")
    assert out.rstrip().endswith("}")
    assert len(err.splitlines()) == 1
    assert "refuse it with --strict)" in err


def test_python_tells_of_a_second_frame_at_the_same_line_too():
    odd = BARS.copy()
    odd.loc[odd.index[40], "volume"] = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for frame in (odd, odd.copy()):
            read_bars(frame)
    assert len(caught) == 2
    assert {one.filename for one in caught} == {__file__}


@pytest.mark.parametrize(
    ("prices", "longest", "linear", "verdict"),
    [(0, 9, 0, "harmless"), (2, 1, 0, "harmless"), (2, 6, 0, "matters"), (99, 1, 0, "matters"), (2, 1, 2, "matters")],
)
def test_filled_values_matter_where_they_are_many_or_long_or_look_ahead(prices, longest, linear, verdict):
    said = consequences.of_filling(prices=prices, longest=longest, bars=1000, linear=linear)
    assert said.startswith(verdict)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20, "less than a minute"),
        (60, "about a minute"),
        (12 * 60, "about 12 minutes"),
        (33 * 60, "about 35 minutes"),
        (3600, "about an hour"),
        (2.4 * 3600, "about 2.5 hours"),
        (30 * 3600, "about 30 hours"),
        (72 * 3600, "about 3 days"),
    ],
)
def test_a_time_is_said_as_people_say_it(seconds, words):
    assert in_words(seconds) == words


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def outlook(*, terminal, total=600):
    told, clock = io.StringIO(), Clock()
    screen = Console(file=told, force_terminal=terminal, width=80, color_system=None)
    return Outlook(screen, "6 agents of 50 episodes", total, clock=clock), told, clock


def test_the_time_is_told_once_from_the_pace_without_the_start():
    look, told, clock = outlook(terminal=True)
    clock.now = 30.0  # what is loaded and compiled before the first unit
    for _ in range(300):
        look.advance(1, "0 of 6 agents")
        clock.now += 1.0
    assert told.getvalue() == "about 10 minutes for 6 agents of 50 episodes on this machine\n"
    assert look.left_in_words() == "about 5 minutes left"


def test_where_no_bar_moves_lines_come_now_and_then():
    look, told, clock = outlook(terminal=False)
    for done in range(600):
        look.advance(1, f"{done // 100} of 6 agents")
        clock.now += 1.0
    lines = told.getvalue().splitlines()
    assert lines[0] == "about 10 minutes for 6 agents of 50 episodes on this machine"
    assert 5 <= len(lines) <= 11
    assert re.fullmatch(r"\d of 6 agents, (about \d+ minutes|about a minute|less than a minute) left", lines[4])


def test_short_work_says_nothing():
    look, told, clock = outlook(terminal=False, total=30)
    for _ in range(30):
        look.advance(1)
        clock.now += 1.0
    assert told.getvalue() == ""


def test_what_was_done_earlier_says_nothing_of_the_pace():
    look, told, clock = outlook(terminal=True, total=1000)
    look.skip(400)
    for _ in range(10):
        look.advance(1)
        clock.now += 1.0
    assert told.getvalue().startswith("about 10 minutes for what is left of 6 agents")


def test_an_interrupted_command_says_whether_anything_was_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with watched_outputs() as outputs:
        assert outputs.after_interruption() == "interrupted before any output was written"
        place = writable(tmp_path / "run", folder=True)
        assert outputs.after_interruption() == f"interrupted; nothing was written to {place}"
        place.mkdir()
        (place / "config.json").touch()
        assert outputs.after_interruption().startswith(f"interrupted; {place} may be incomplete")


@pytest.mark.slow
@pytest.mark.parametrize("sent", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT]], ids=str)
@pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2])
def test_a_signal_in_the_first_seconds_is_one_line_and_its_code(tmp_path, sent, after):
    BARS.to_csv(tmp_path / "bars.csv")
    process = start("train", "bars.csv", "--seeds", 9, "--out", "run", folder=tmp_path)
    wait_until_signals_are_handled(process)
    time.sleep(after)
    for one in sent:
        process.send_signal(one)
        time.sleep(0.02)
    _, err = process.communicate(timeout=300)
    assert process.returncode in (128 + sent[0], -signal.SIGINT if len(sent) > 1 else 128 + sent[0])
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1
    assert err.startswith("interrupted")
