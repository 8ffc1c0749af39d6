"""What is printed is data: it appears as it is, and nothing in it is obeyed."""

from __future__ import annotations

import pytest

from llmguide import console

DATA = ["trend [/technical.sma_50_slope] up", "[x] marks it", "[bold]no[/bold] :smile:", "C:\\[notes]"]


@pytest.mark.parametrize("text", DATA)
def test_brackets_and_codes_are_shown_in_titles_headers_and_cells_as_they_are(text, capsys):
    console.print_table(f"title {text}", [f"head {text}", "why"], [[f"cell {text}", text]])
    printed = capsys.readouterr().out
    for place in ("title", "head", "cell"):
        assert f"{place} {text}" in printed


@pytest.mark.parametrize("text", DATA)
def test_a_line_on_either_stream_is_shown_as_it_is(text, capsys):
    console.out.print(text)
    console.err.print(text)
    assert capsys.readouterr() == (f"{text}\n", f"{text}\n")


def test_a_terminal_is_not_told_to_do_anything_by_what_a_model_wrote(capsys):
    console.print_table("title", ["name", "why"], [["AAPL", "clears \x1b[2J and rings \x07, \x9b31m\ntwo lines"]])
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\x9b"} & set(printed)
    assert "two lines" in printed


def test_replies_without_entropy_are_counted_and_nothing_is_said_where_all_have_it(capsys):
    console.print_without_entropy(7, 24, "rows")
    console.print_without_entropy(0, 24, "rows")
    assert capsys.readouterr().out == "7 of 24 rows have no entropy; their certainty counts as 1\n"
