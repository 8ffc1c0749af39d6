"""Groups of options: each is declared once, stands where its group stands, and reaches the command as a value."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from llmguide.cli.groups import grouped

Loud = Annotated[bool, typer.Option("--loud", help="Of the voice.")]


@dataclass(frozen=True)
class Voice:
    words: Annotated[list[str], typer.Argument()]
    pitch: Annotated[int, typer.Option(min=1)] = 3
    loud: Loud = False


@dataclass(frozen=True)
class Room:
    wide: Annotated[float, typer.Option(help="In metres.")] = 4.0
    loud: Loud = False


@pytest.fixture
def said():
    """What the command was last given."""
    return {}


@pytest.fixture
def run(said):
    """Run a command that takes both groups, and an option between them."""
    app = typer.Typer()

    @app.command()
    @grouped
    def speak(*, voice: Voice, times: int = 1, room: Room) -> None:
        """Speak in a room."""
        said.update(voice=voice, times=times, room=room)

    return lambda *words: CliRunner().invoke(app, words, env={"COLUMNS": "120"})


def test_a_command_gets_its_groups_as_values(run, said):
    assert run("hello", "you", "--pitch", "5", "--times", "2", "--wide", "1.5").exit_code == 0
    assert said == {"voice": Voice(["hello", "you"], 5), "times": 2, "room": Room(1.5)}


def test_defaults_are_those_of_the_fields_and_a_field_without_one_must_be_given(run, said):
    assert run("hello").exit_code == 0
    assert said == {"voice": Voice(["hello"]), "times": 1, "room": Room()}
    assert run().exit_code == 2


def test_options_stand_where_their_group_stands_and_one_of_two_groups_once(run):
    shown = run("--help").output
    places = [shown.index(option) for option in ("--pitch", "--loud", "--times", "--wide")]
    assert places == sorted(places)
    assert shown.count("--loud") == 1
    assert "Speak in a room." in shown


def test_an_option_of_two_groups_counts_for_both(run, said):
    run("hello", "--loud")
    assert (said["voice"].loud, said["room"].loud) == (True, True)


def test_an_option_of_the_command_s_own_is_kept_and_counts_for_the_group():
    app, said = typer.Typer(), []

    @app.command()
    @grouped
    def speak(*, room: Room, loud: Annotated[bool, typer.Option("--loud", help="Of both.")] = False) -> None:
        said.append((room, loud))

    assert CliRunner().invoke(app, ["--loud"]).exit_code == 0
    assert said == [(Room(loud=True), True)]
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "Of both." in shown
    assert "Of the voice." not in shown
    assert shown.index("--wide") < shown.index("--loud")


def test_limits_of_a_value_are_checked_as_an_option_s_are(run):
    assert run("hello", "--pitch", "0").exit_code == 2
