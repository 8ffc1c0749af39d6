"""A stranger who reads the reference alone learns what a public name takes, gives and refuses."""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import re
from types import FunctionType
from typing import Any

import backtrader as bt
import pytest

import llmguide.errors
from public_names import (
    Public,
    class_doc,
    class_node,
    described_fields,
    families,
    function_node,
    inherits_its_contract,
    methods,
    public_names,
    raised,
    written_doc,
)

NAMES = public_names()
CLASSES = [public for public in NAMES if inspect.isclass(public.value)]
FUNCTIONS = [public for public in NAMES if isinstance(public.value, FunctionType)]
WITH_PARAMS = [public for public in CLASSES if hasattr(public.value, "params")]
INDICATORS = [public for public in CLASSES if issubclass(public.value, bt.Indicator)]

EXCEPTIONS = {
    name
    for name, value in (*vars(llmguide.errors).items(), *vars(builtins).items())
    if isinstance(value, type) and issubclass(value, Exception)
} - {"NotImplementedError"}  # says that a subclass is incomplete: for who writes one, while it is written


def mentioned(doc: str) -> set[str]:
    """Return the words that a docstring sets apart: names of entries, and whatever stands in backquotes."""
    entries = re.findall(r"^ +(\*{0,2}\w+):", doc, flags=re.M)
    quoted = [word for code in re.findall(r"`+([^`]+)`+", doc) for word in re.findall(r"\w+", code)]
    return {entry.lstrip("*") for entry in entries} | set(quoted)


def section(doc: str, name: str) -> set[str]:
    """Return the names of the entries of one section of a docstring."""
    found = re.search(rf"^{name}:\n((?: .*\n|\n)+)", doc + "\n", flags=re.M)
    if found is None:
        return set()
    lines = inspect.cleandoc("\n" + found[1]).splitlines()
    return {entry[1] for line in lines if (entry := re.match(r"(\w+):", line))}


def parameters(function: Any) -> list[str]:
    named = inspect.signature(function).parameters
    return [name for name in named if name not in ("self", "cls") and not name.startswith("_")]


def returns_something(function: FunctionType) -> bool:
    return str(function.__annotations__.get("return")) not in ("None", "'None'", "Self")


def docs_of_method(cls: type, name: str) -> str:
    """Return the docstrings that explain a method: its own, those it overrides, and those of its classes."""
    texts = []
    for base in families(cls):
        member = vars(base).get(name)
        texts += [class_doc(base)] if member is None else [class_doc(base), inspect.getdoc(member) or ""]
    return "\n".join(texts)


def summary_fault(doc: str) -> str:
    """Return what is wrong with the first paragraph, "" where it says in one or two sentences what the name is."""
    first = doc.split("\n\n")[0]
    if len(first.split()) < 2:
        return "has no summary"
    if not first.rstrip().endswith((".", "!", "?")):
        return "has a summary that does not end as a sentence does"
    return ""


@pytest.mark.parametrize("public", NAMES, ids=str)
def test_every_public_name_begins_with_a_sentence(public: Public) -> None:
    fault = summary_fault(written_doc(public.home, public.name))
    assert not fault, f"{public} {fault}"


@pytest.mark.parametrize("public", CLASSES, ids=str)
def test_every_public_method_begins_with_a_sentence(public: Public) -> None:
    faults = [
        f"{name} {fault}"
        for _, name, member in methods(public.value)
        if (fault := summary_fault(inspect.getdoc(member) or ""))
    ]
    assert not faults


@pytest.mark.parametrize("public", FUNCTIONS, ids=str)
def test_every_parameter_of_a_function_is_explained(public: Public) -> None:
    doc = written_doc(public.home, public.name)
    missing = [name for name in parameters(public.value) if name not in mentioned(doc)]
    assert not missing, f"{public} does not explain {', '.join(missing)}"


@pytest.mark.parametrize("public", CLASSES, ids=str)
def test_every_field_or_argument_of_a_class_is_explained(public: Public) -> None:
    cls = public.value
    if issubclass(cls, Exception) or hasattr(cls, "params"):
        pytest.skip("errors are raised, not made, by users; Backtrader's classes take params, tested below")
    if dataclasses.is_dataclass(cls):
        wanted = [field.name for field in dataclasses.fields(cls) if field.init]
    elif hasattr(cls, "_fields"):
        wanted = list(cls._fields)
    elif getattr(cls, "_is_protocol", False):
        wanted = []
    else:
        wanted = parameters(cls)
    explained = set().union(*(mentioned(class_doc(base)) | described_fields(base) for base in families(cls)))
    missing = [name for name in wanted if name not in explained]
    assert not missing, f"{public} does not explain {', '.join(missing)}"


@pytest.mark.parametrize("public", CLASSES, ids=str)
def test_every_parameter_of_a_method_is_explained(public: Public) -> None:
    faults = []
    for _, name, member in methods(public.value):
        if isinstance(member, property) or inherits_its_contract(public.value, name):
            continue
        words = mentioned(docs_of_method(public.value, name))
        faults += [f"{name}({parameter})" for parameter in parameters(member) if parameter not in words]
    assert not faults, f"{public} does not explain {', '.join(faults)}"


@pytest.mark.parametrize("public", FUNCTIONS, ids=str)
def test_every_function_says_what_it_returns(public: Public) -> None:
    if returns_something(public.value):
        assert re.search(r"\b(return|yield)", written_doc(public.home, public.name), flags=re.I)


@pytest.mark.parametrize("public", FUNCTIONS, ids=str)
def test_every_error_that_a_function_raises_is_named(public: Public) -> None:
    missing = (raised(public.node) & EXCEPTIONS) - mentioned(_errors(written_doc(public.home, public.name)))
    assert not missing, f"{public} raises {', '.join(sorted(missing))}, and its docstring does not say so"


@pytest.mark.parametrize("public", CLASSES, ids=str)
def test_every_error_that_a_class_raises_is_named(public: Public) -> None:
    faults = []
    for base in families(public.value):
        for statement in class_node(base).body:
            if getattr(statement, "name", "_") in ("__init__", "__post_init__", "__new__"):
                missing = (raised(statement) & EXCEPTIONS) - mentioned(_errors(class_doc(base)))
                faults += [f"making it: {error}" for error in missing]
    for base, name, member in methods(public.value):
        if inherits_its_contract(public.value, name) and hasattr(public.value, "params"):
            continue  # Backtrader calls these, not the user: what they refuse is told by the class
        doc = _errors(docs_of_method(base, name))
        faults += [f"{name}: {error}" for error in (raised(function_node(member)) & EXCEPTIONS) - mentioned(doc)]
    assert not faults, f"{public} does not name {', '.join(sorted(faults))}"


def _errors(doc: str) -> str:
    """Return a docstring with the names of exceptions set apart, wherever they stand."""
    return re.sub(r"\b(\w+(?:Error|Extra|Answers|Warning))\b", r"`\1`", doc)


@pytest.mark.parametrize("public", WITH_PARAMS, ids=str)
def test_every_param_of_a_backtrader_class_has_an_entry_of_its_own(public: Public) -> None:
    cls = public.value
    entries = set().union(*(section(class_doc(base), "Params") for base in families(cls)))
    foreign = {
        name
        for base in cls.__mro__
        if not base.__module__.startswith("llmguide") and hasattr(base, "params")
        for name in base.params._getkeys()
    }
    missing = [name for name in cls.params._getkeys() if name not in entries | foreign]
    assert not missing, f"{public} has no entry for {', '.join(missing)}"


@pytest.mark.parametrize("public", WITH_PARAMS, ids=str)
def test_a_backtrader_class_names_the_classes_that_explain_its_other_params(public: Public) -> None:
    own, *bases = families(public.value)
    doc = class_doc(own)
    explaining = [base.__name__ for base in bases if section(class_doc(base), "Params")]
    missing = [name for name in explaining if name not in doc]
    assert not missing, f"{public} does not say that further params are those of {', '.join(missing)}"


@pytest.mark.parametrize("public", INDICATORS, ids=str)
def test_every_line_of_an_indicator_has_an_entry_and_a_time_at_which_it_is_known(public: Public) -> None:
    doc = class_doc(public.value)
    words = section(doc, "Lines")
    missing = [name for name in public.value.lines._getlines() if name not in words]
    assert not missing, f"{public} has no entry for the lines {', '.join(missing)}"
    assert re.search(r"\bknown at\b", doc), f"{public} does not say when its lines are known"


def test_the_list_of_public_names_holds_what_users_are_told_of() -> None:
    found = {public.name for public in NAMES}
    assert {"LLMGuidedDQN", "Guidance", "train_dqn", "DQNConfig", "Comparison", "TradingEnv", "Tau"} <= found
    assert len(found) > 200
