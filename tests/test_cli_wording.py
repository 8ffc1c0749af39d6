"""Errors of the library in the words of the command line."""

import pytest

from llmguide.cli.wording import in_options

OPTIONS = {"seed": "--seed", "arm": "--arm", "start": "--start", "as_json": "--json", "resume": "--resume"}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("choose one with arm=", "choose one with --arm"),
        ("arm= and seed= are for a run folder", "--arm and --seed are for a run folder"),
        ("pass start=60, or longest=29", "pass --start 60, or longest=29"),
        ("start over with resume=False.", "start over with --no-resume."),
        ("cut them with read_bars(start=, end=)", "cut them with read_bars(start=, end=)"),
        ("x.seed=3 and reseed=4 stay", "x.seed=3 and reseed=4 stay"),
        ("a column 'seed' = 3", "a column 'seed' = 3"),
    ],
)
def test_arguments_are_named_as_the_options_of_the_command(said, shown):
    assert in_options(said, OPTIONS) == shown
