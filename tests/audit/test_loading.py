"""The code in a file or a module."""

from __future__ import annotations

import pytest

from llmguide.audit.loading import load_code
from llmguide.errors import AuditError

STRATEGIES = """
import backtrader as bt

class Base(bt.Strategy):
    pass

class One(Base):
    pass
"""


@pytest.fixture
def file(tmp_path):
    def write(text, name="mine.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (STRATEGIES, "One"),
        (STRATEGIES + "def signals(bars): ...\n", "One"),
        (STRATEGIES + "def make_cerebro(bars): ...\n", "make_cerebro"),
        ("def signals(bars): ...\n", "signals"),
        ("import backtrader as bt\nclass I(bt.Indicator):\n    lines = ('x',)\n", "I"),
    ],
)
def test_the_one_thing_in_a_file_is_found(file, text, found):
    assert load_code(str(file(text)))[1] == found


def test_a_name_chooses(file):
    path = file(STRATEGIES + "class Two(Base):\n    pass\ndef rule(bars): ...\n")
    with pytest.raises(AuditError, match="has several: One, Two; choose one, as in strategy=One"):
        load_code(str(path))
    assert load_code(str(path), strategy="Two")[0].__name__ == "Two"
    assert load_code(str(path), function="rule")[1] == "rule"
    assert load_code(f"{path}:Base")[1] == "Base"
    assert load_code("llmguide.strategies:BuyAndHold")[1] == "BuyAndHold"


def test_a_file_imports_what_lies_beside_it(file):
    file("PERIOD = 7\n", "settings_beside.py")
    code, _ = load_code(str(file("from settings_beside import PERIOD\ndef signals(bars):\n    return PERIOD\n")))
    assert code(None) == 7


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("x = 1\n", {}, "no bt.Strategy, no bt.Indicator and no function"),
        (STRATEGIES, {"strategy": "Onee"}, "has no 'Onee'; did you mean 'One'"),
        ("def rule(bars): ...\n", {"strategy": "rule"}, "is not a bt.Strategy; for a function use function=rule"),
        ("x = 1\n", {"function": "x"}, "neither a bt.Strategy nor a bt.Indicator nor a function"),
        ("def a(b): ...\n", {"function": "a", "strategy": "a"}, "give either"),
        ("1 / 0\n", {}, r"cannot be imported: ZeroDivisionError: division by zero \(mine.py, line 1\)"),
        ("def signals(b): ...\ndef positions(b): ...\n", {}, "has several: signals, positions; choose with function="),
    ],
)
def test_what_cannot_be_found_is_told(file, text, options, message):
    with pytest.raises(AuditError, match=message):
        load_code(str(file(text)), **options)


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(AuditError, match=r"there is no file nothing\.py"):
        load_code("nothing.py")
    with pytest.raises(AuditError, match="no_such_module cannot be imported: ModuleNotFoundError"):
        load_code("no_such_module:X")
