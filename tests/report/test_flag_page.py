"""The page of a policy that reads: what it says of a study that was made up."""

from __future__ import annotations

from made_flag_page import made_up
from page_text import text_of_page

from llmguide.report.flag_page import write_flag_page


def test_the_page_leads_with_where_the_trained_policies_stand(tmp_path):
    path = write_flag_page(made_up(), tmp_path / "report.html")
    text = text_of_page(path)
    assert "the 2 trained policies have a mean Sharpe ratio of 0.50, above all of their controls (hold 0.40). " in text
    assert "(hold 0.40). 1 of them never traded. This is one period" in text
    assert "It never traded. This is one period" in text_of_page(write_flag_page(made_up(1), path))
    assert "the one trained policy has a Sharpe ratio" in text_of_page(write_flag_page(made_up(1), path))


def test_a_range_stands_below_its_mean_and_one_value_alone(tmp_path):
    page = write_flag_page(made_up(), tmp_path / "report.html").read_text(encoding="utf-8")
    for cell in (
        "0.50\n0.25 to 0.75",
        "20.0 %\n10.0 to 30.0 %",
        "−5.0 %\n−10.0 to 0.0 %",
        "3.5\n3 to 4",
        "40.0 %",
        "1",
    ):
        assert f"<td>{cell}</td>" in page


def test_what_must_be_known_first_stands_first(tmp_path):
    page = write_flag_page(made_up(remarks=["A made-up <market>."]), tmp_path / "report.html").read_text(
        encoding="utf-8"
    )
    assert 0 < page.index("A made-up &lt;market&gt;.") < page.index("On these test bars")
