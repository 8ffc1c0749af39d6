"""A bar where somebody watches: on a terminal or in a notebook, and nowhere else."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

import llmguide
from llmguide.progress import make_progress

COLUMNS = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), MofNCompleteColumn())


@pytest.fixture
def displayed(monkeypatch):
    """What a notebook was told: kind ("display", "update") and mime bundle, in order."""
    IPython = pytest.importorskip("IPython")
    told = []

    class Handle:
        def update(self, shown):
            told.append(("update", shown._repr_mimebundle_()))

    def display(shown, **_):
        told.append(("display", shown._repr_mimebundle_()))
        return Handle()

    monkeypatch.setattr(IPython.display, "display", display)
    return told


def notebook() -> Console:
    return Console(file=io.StringIO(), force_jupyter=True)


def test_a_file_or_a_pipe_is_told_nothing():
    told = io.StringIO()
    with make_progress(*COLUMNS, console=Console(file=told)) as bar:
        task = bar.add_task("training", total=2)
        bar.update(task, advance=2)
    assert told.getvalue() == ""


def test_a_terminal_sees_the_bar_unless_it_is_not_wanted():
    for shown in (True, False):
        told = io.StringIO()
        console = Console(file=told, force_terminal=True, width=80)
        with make_progress(*COLUMNS, console=console, shown=shown) as bar:
            bar.update(bar.add_task("training", total=2), advance=2)
        assert ("training" in told.getvalue()) == shown


def test_a_notebook_sees_html_without_scripts_and_no_widget(displayed):
    with make_progress(*COLUMNS, console=notebook()) as bar:
        task = bar.add_task("<b>training</b>", total=4)
        bar.update(task, advance=4)
    assert displayed[0][0] == "display"
    last = displayed[-1][1]
    assert last.keys() == {"text/plain", "text/html"}
    assert 'value="4" max="4"' in last["text/html"]
    assert "&lt;b&gt;training&lt;/b&gt;" in last["text/html"]
    assert "4/4" in last["text/plain"]
    assert "<script" not in last["text/html"]


def test_a_notebook_is_not_told_of_every_step(displayed):
    with make_progress(*COLUMNS, console=notebook()) as bar:
        task = bar.add_task("training", total=10_000)
        began = time.monotonic()
        for _ in range(10_000):
            bar.update(task, advance=1)
        spent = time.monotonic() - began
    assert len(displayed) <= 5 + spent / 0.2
    assert "10000/10000" in displayed[-1][1]["text/plain"]


def test_a_bar_that_is_interrupted_stays_where_it_was(displayed):
    bar = make_progress(*COLUMNS, console=notebook())

    def cell():
        with bar:
            bar.update(bar.add_task("training", total=4), advance=3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cell()
    (task,) = bar.task_ids
    count = len(displayed)
    assert "3/4" in displayed[-1][1]["text/plain"]
    bar.update(task, advance=1, refresh=True)
    assert len(displayed) == count


def test_a_bar_that_is_not_wanted_tells_a_notebook_nothing(displayed):
    with make_progress(*COLUMNS, console=notebook(), shown=False) as bar:
        bar.update(bar.add_task("training", total=2), advance=2)
    assert displayed == []


def test_the_python_door_prints_nothing_where_its_output_is_captured(capfd):
    bars = llmguide.sample_bars(years=1)
    llmguide.sweep(bars, "trend", short=[2, 3], long=[9], start=30, progress=True)
    assert capfd.readouterr() == ("", "")


NOTEBOOK = """
import llmguide
from llmguide.rl.config import DQNConfig
bars = llmguide.sample_bars(years=1, seed=4)
#cell
agents = llmguide.train_dqn(bars, seeds=1, episodes=2, config=DQNConfig(hidden=16))
agents
#cell
import os, signal, threading
threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
llmguide.train_dqn(bars, seeds=1, episodes=100_000, config=DQNConfig(hidden=16), states="states")
#cell
from pathlib import Path
print([path.name for path in Path("states").iterdir()])
"""


@pytest.mark.slow
def test_in_a_real_kernel_a_bar_is_shown_once_and_an_interrupted_cell_keeps_what_was_trained(tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="needs the docs' nbclient and ipykernel")
    pytest.importorskip("ipykernel", reason="needs the docs' nbclient and ipykernel")
    nbformat = pytest.importorskip("nbformat")
    cells = [nbformat.v4.new_code_cell(source) for source in NOTEBOOK.split("#cell\n")]
    book = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(book, timeout=500, allow_errors=True, resources={"metadata": {"path": tmp_path}})
    client.execute()
    _, trained, stopped, kept = (cell.outputs for cell in book.cells)
    bars = [output.data for output in trained if output.output_type == "display_data"]
    assert len(bars) == 1
    assert re.search(r"training 100% 1 of 1 agent episode 2/2", bars[0]["text/plain"])
    assert "<progress" in bars[0]["text/html"]
    (result,) = (output.data for output in trained if output.output_type == "execute_result")
    assert result["text/html"].startswith('<div class="llmguide">')
    assert not [output for output in trained if output.output_type == "stream"]
    assert [output.ename for output in stopped if output.output_type == "error"] == ["KeyboardInterrupt"]
    assert "seed-0" in kept[0].text
