"""Tables as Markdown and LaTeX: whole, escaped, aligned."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.errors import DataError
from llmguide.numbers import number, spread
from llmguide.report.tables import TextTable, p_value

TABLE = TextTable(
    "Arms & measures",
    ("symbol", "SR", "p < 0.05"),
    (("A|B_1", "-0.54 (0.59)", "<0.001"), ("hybrid - rl", "12", "5 %")),
    ("Mean of 2 runs.", "100 % honest."),
)


def test_markdown_is_a_github_table_that_also_reads_well_as_text():
    assert TABLE.markdown() == (
        "### Arms & measures\n"
        "\n"
        "| symbol      |           SR | p &lt; 0.05 |\n"
        "| ----------- | -----------: | ----------: |\n"
        "| A\\|B_1      | -0.54 (0.59) |   &lt;0.001 |\n"
        "| hybrid - rl |           12 |         5 % |\n"
        "\n"
        "Mean of 2 runs.\n"
        "\n"
        "100 % honest.\n"
    )


def test_latex_is_a_tabular_with_booktabs():
    assert TABLE.latex() == (
        "% Arms & measures\n"
        "% Mean of 2 runs.\n"
        "% 100 % honest.\n"
        "% Needs \\usepackage{booktabs}.\n"
        "\\begin{tabular}{lrr}\n"
        "\\toprule\n"
        "symbol & SR & p $<$ 0.05 \\\\\n"
        "\\midrule\n"
        "A|B\\_1 & $-$0.54 (0.59) & $<$0.001 \\\\\n"
        "hybrid - rl & 12 & 5 \\% \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


cells = st.text(alphabet=st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1, max_size=8)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=4))
def test_no_text_breaks_out_of_its_cell(rows):
    table = TextTable("t", ("a", "b", "c"), rows)
    lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
    assert len(lines) == len(rows) + 2
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
    for line in table.latex().splitlines()[5:-2]:
        if line != "\\midrule":
            assert len(re.findall(r"(?<!\\)&", line)) == 2
            assert not re.search(r"(?<!\\)[%#_]", line)
            assert line.replace(r"\$", "").count("$") % 2 == 0


def test_a_row_that_does_not_fit_the_columns_is_refused():
    with pytest.raises(DataError, match=r"expected 2 cells as in \['a', 'b'\], got \['1'\]"):
        TextTable("t", ("a", "b"), (("1",),))


def test_numbers_are_short_and_what_is_undefined_is_said():
    assert (number(1.005), number(-0.5, 3), number(math.nan), number(math.inf)) == ("1.00", "-0.500", "n/a", "n/a")
    assert (spread(1.0, 0.25), spread(1.0, math.nan), spread(math.nan, math.nan)) == ("1.00 (0.25)", "1.00", "n/a")
    assert (p_value(0.0004), p_value(0.05), p_value(math.nan)) == ("<0.001", "0.050", "n/a")
