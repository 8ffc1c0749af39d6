"""`llmguide live`: what it prints of a journal, and what it lets a person do."""

from __future__ import annotations

import json
import shutil
from functools import partial

import pytest
from command_line import run_here
from live_market import Eager, journal_folder, made_bars, running, trade

from llmguide.live import Journal
from llmguide.live.paper_exchange import PaperExchange
from llmguide.live.paper_store import PaperBroker


@pytest.fixture
def llmguide(monkeypatch, capsys):
    return partial(run_here, monkeypatch, capsys)


@pytest.fixture
def journal(monkeypatch):
    """A run of eight bars on a broker that cannot be asked; the acknowledgment of its last order was lost."""
    monkeypatch.setattr(PaperBroker, "knows_client_ids", False)
    folder, market = journal_folder(), PaperExchange({"X": made_bars(8)}, history=3)

    def lose(request, answer):
        told = answer()
        return None if request["do"] == "send" and market._at == 6 else told

    with running(market, lose) as port:
        trade(port, folder / "x.sqlite", Eager)
    yield folder / "x.sqlite"
    shutil.rmtree(folder)


def test_status_says_how_a_run_stands_in_words_and_in_json(llmguide, journal):
    code, printed, _ = llmguide("live", "status", journal)
    assert code == 0
    assert printed.startswith("live, 8 steps, the last on 2024-01-10\ncash ")
    assert "5 orders sent, 3 refused, 0 open, 1 unaccounted for" in printed
    assert "kill switch: off" in printed
    assert "Open orders" in printed
    assert "Eager: " in printed
    code, printed, _ = llmguide("live", "status", journal, "--json")
    told = json.loads(printed)
    assert (told["steps"], told["sent"], told["dry_run"], told["killed"]) == (8, 5, False, "")
    (unheard,) = told["unknown"]
    assert unheard["id"].startswith("lg-20240109")
    assert (unheard["feed"], unheard["kind"]) == ("X", "market")
    assert told["notes"][-1]["text"].startswith("refused: Eager: ")


def test_the_kill_switch_is_turned_on_and_off_with_a_reason(llmguide, journal):
    assert llmguide("live", "kill", journal, "--why", "lunch")[:2] == (0, f"kill switch on: {journal}.kill\n")
    assert "kill switch: on: lunch" in llmguide("live", "status", journal)[1]
    assert llmguide("live", "reset", journal)[0] == 2  # without a reason
    assert llmguide("live", "reset", journal, "--why", "back")[:2] == (0, "kill switch off\n")
    assert "kill switch: off" in llmguide("live", "status", journal)[1]
    code, _, error = llmguide("live", "reset", journal, "--why", "back")
    assert (code, error) == (1, f"error: the kill switch of {journal} is off\n")


def test_a_person_says_what_became_of_an_order(llmguide, journal):
    (unheard,) = json.loads(llmguide("live", "status", journal, "--json")[1])["unknown"]
    code, _, error = llmguide("live", "settle", journal, unheard["id"], "--filled", "10")
    assert code == 1
    assert error == "error: give the price at which 10 shares were filled\n"
    code, _, error = llmguide("live", "settle", journal, unheard["id"], "--filled", "11", "--price", "50")
    assert "is of 10 shares" in error
    assert llmguide("live", "settle", journal, unheard["id"], "--filled", "10", "--price", "50")[0] == 0
    assert json.loads(llmguide("live", "status", journal, "--json")[1])["unknown"] == []
    book = Journal(journal)
    assert book.last_reports()[unheard["id"]].price == 50.0
    book.close()


def test_a_file_that_is_no_journal_is_named(llmguide, tmp_path):
    code, _, error = llmguide("live", "status", tmp_path / "none.sqlite")
    assert (code, error) == (1, f"error: there is no journal {tmp_path}/none.sqlite\n")
