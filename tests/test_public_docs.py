"""A stranger who reads the reference alone learns what a public name takes, gives and refuses."""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import re
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import backtrader as bt
import pytest
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

import llmguide.errors

NAMES = public_names()
FUNCTIONS = [public for public in NAMES if isinstance(public.value, FunctionType)]
CLASSES = [public for public in NAMES if inspect.isclass(public.value)]
WITH_PARAMS = [public for public in CLASSES if hasattr(public.value, "params")]
INDICATORS = [public for public in WITH_PARAMS if issubclass(public.value, bt.Indicator)]
MADE_BY_USERS = [public for public in CLASSES if public not in WITH_PARAMS and not issubclass(public.value, Exception)]
"""Classes with arguments or fields of their own: errors are raised by llmguide, Backtrader's classes take params."""

EXCEPTIONS = {
    name
    for name, value in (*vars(llmguide.errors).items(), *vars(builtins).items())
    if isinstance(value, type) and issubclass(value, Exception)
}
SECTIONS = ("Args", "Attributes", "Params", "Lines", "Raises", "Warns")


def sections(doc: str) -> dict[str, list[str]]:
    """Return the first words, up to the colon, of the entries of each section of a docstring."""
    found: dict[str, list[str]] = {}
    for name, body in re.findall(r"^(\w+):\n((?: .*(?:\n|$)|\n)+)", doc, flags=re.M):
        lines = inspect.cleandoc("\n" + body).splitlines()
        found[name] = [entry[1] for line in lines if (entry := re.match(r"(\S.*?):(?: |$)", line))]
    return found


def explained(doc: str) -> set[str]:
    """Return the names that have an entry, or stand in backquotes by themselves."""
    entries = {entry.lstrip("*") for entries in sections(doc).values() for entry in entries}
    return entries | set(re.findall(r"(?<!`)`{1,2}(\w+)`{1,2}(?!`)", doc))


def errors_named(doc: str) -> set[str]:
    return set(re.findall(r"\b[A-Z]\w+\b", doc)) & EXCEPTIONS


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def fields(cls: type) -> list[str]:
    """Return what a class is made of: its fields, or what its constructor takes."""
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls) if field.init]
    if issubclass(cls, tuple):
        return list(getattr(cls, "_fields"))  # noqa: B009  # what typing.NamedTuple adds
    return [] if getattr(cls, "_is_protocol", False) else parameters(cls)


def docs_of_method(cls: type, name: str) -> str:
    """Return the docstrings that explain a method: its own, those it overrides, and those of its classes."""
    texts = []
    for base in families(cls):
        member = vars(base).get(name)
        texts += [class_doc(base)] if member is None else [class_doc(base), inspect.getdoc(member) or ""]
    return "\n\n".join(texts)


def every_doc() -> Iterator[tuple[str, str]]:
    """Yield every public docstring with a name for messages, those of methods included."""
    for public in NAMES:
        yield str(public), written_doc(public.home, public.name)
    for public in CLASSES:
        for base in families(public.value):
            yield f"{base.__module__}.{base.__name__}", class_doc(base)
        for base, name, member in methods(public.value):
            yield f"{base.__module__}.{base.__name__}.{name}", inspect.getdoc(member) or ""


def summary_fault(doc: str) -> str:
    """Return what is wrong with the first paragraph, "" where it is a sentence."""
    first = doc.split("\n\n")[0]
    if len(first.split()) < 2:
        return "has no summary"
    return "" if first.endswith(".") else "has a summary that does not end as a sentence does"


@pytest.mark.parametrize("public", NAMES, ids=str)
def test_every_public_name_begins_with_a_sentence(public: Public) -> None:
    fault = summary_fault(written_doc(public.home, public.name))
    assert not fault, f"{public} {fault}"


def test_every_public_method_begins_with_a_sentence() -> None:
    faults = {f"{name} {fault}" for name, doc in every_doc() if (fault := summary_fault(doc))}
    assert not faults


def test_every_entry_explains_one_name() -> None:
    """Sphinx reads `a, b: ...` as the parameter b of the type "a,"."""
    faults = {
        f"{name}: {entry}"
        for name, doc in every_doc()
        for section, entries in sections(doc).items()
        for entry in entries
        if section in SECTIONS and not re.fullmatch(r"\*{0,2}\w+", entry)
    }
    assert not faults


def test_no_property_or_field_begins_with_a_colon_in_its_first_line() -> None:
    """Sphinx reads what stands before it as the type."""
    texts = {}
    for public in CLASSES:
        for base in families(public.value):
            texts |= {f"{base.__name__}.{name}": text for name, text in described_fields(base).items()}
        for base, name, member in methods(public.value):
            if isinstance(member, property):
                texts[f"{base.__name__}.{name}"] = inspect.getdoc(member) or ""
    faults = {name for name, text in texts.items() if ":" in re.sub(r"`[^`]*`", "", text.split("\n")[0])}
    assert not faults


@pytest.mark.parametrize("public", FUNCTIONS, ids=str)
def test_every_parameter_of_a_function_is_explained_and_no_other(public: Public) -> None:
    doc = written_doc(public.home, public.name)
    named = parameters(public.value)
    missing = [name for name in named if name not in explained(doc)]
    assert not missing, f"{public} does not explain {', '.join(missing)}"
    unknown = set(sections(doc).get("Args", ())) - set(named)
    assert not unknown, f"{public} explains {', '.join(unknown)}, which it does not take"


@pytest.mark.parametrize("public", MADE_BY_USERS, ids=str)
def test_every_field_or_argument_of_a_class_is_explained_and_no_other(public: Public) -> None:
    wanted = fields(public.value)
    known = set().union(*(explained(class_doc(base)) | set(described_fields(base)) for base in families(public.value)))
    missing = [name for name in wanted if name not in known]
    assert not missing, f"{public} does not explain {', '.join(missing)}"
    unknown = set(sections(class_doc(public.value)).get("Args", ())) - set(wanted)
    assert not unknown, f"{public} explains {', '.join(unknown)}, which it does not take"


@pytest.mark.parametrize("public", CLASSES, ids=str)
def test_every_parameter_of_a_method_is_explained(public: Public) -> None:
    faults = [
        f"{name}({parameter})"
        for _, name, member in methods(public.value)
        if not isinstance(member, property) and not inherits_its_contract(public.value, name)
        for parameter in parameters(member)
        if parameter not in explained(docs_of_method(public.value, name))
    ]
    assert not faults, f"{public} does not explain {', '.join(faults)}"


def test_every_function_and_method_says_what_it_returns() -> None:
    members = [(str(public), public.value, written_doc(public.home, public.name)) for public in FUNCTIONS]
    for public in CLASSES:
        for _, name, member in methods(public.value):
            if isinstance(member, FunctionType) and not inherits_its_contract(public.value, name):
                members.append((f"{public}.{name}", member, inspect.getdoc(member) or ""))
    gives = re.compile(
        r"\b(returns?|yields?|whether|make|join|read)\b", flags=re.I
    )  # the last three: alternative makers
    silent = {
        name
        for name, member, doc in members
        if str(member.__annotations__["return"]) != "None" and not gives.search(doc)
    }
    assert not silent


@pytest.mark.parametrize("public", FUNCTIONS, ids=str)
def test_every_error_that_a_function_raises_is_named(public: Public) -> None:
    missing = (raised(public.node) & EXCEPTIONS) - errors_named(written_doc(public.home, public.name))
    assert not missing, f"{public} raises {', '.join(sorted(missing))}, and its docstring does not say so"


@pytest.mark.parametrize("public", CLASSES, ids=str)
def test_every_error_that_a_class_raises_is_named(public: Public) -> None:
    faults = []
    for base in families(public.value):
        for statement in class_node(base).body:
            if getattr(statement, "name", "") in ("__init__", "__post_init__"):
                faults += [f"making it: {error}" for error in (raised(statement) & EXCEPTIONS) - _named(base)]
    for base, name, member in methods(public.value):
        missing = (raised(function_node(member)) & EXCEPTIONS) - errors_named(docs_of_method(base, name))
        faults += [f"{name}: {error}" for error in missing]
    assert not faults, f"{public} does not name {', '.join(sorted(faults))}"


def _named(cls: type) -> set[str]:
    return errors_named(class_doc(cls))


@pytest.mark.parametrize("public", WITH_PARAMS, ids=str)
def test_every_param_of_a_backtrader_class_has_an_entry_and_no_other(public: Public) -> None:
    cls = public.value
    own = set(cls.params._getkeys())
    for base in cls.__mro__[1:]:
        if hasattr(base, "params"):
            own -= set(base.params._getkeys())  # what a base adds stands in the base's docstring
    entries = set(sections(class_doc(cls)).get("Params", ()))
    assert entries == own, f"{public} has entries for {sorted(entries)}, and adds the params {sorted(own)}"


@pytest.mark.parametrize("public", WITH_PARAMS, ids=str)
def test_a_backtrader_class_names_the_classes_that_explain_its_other_params(public: Public) -> None:
    _, *bases = families(public.value)
    explaining = [base.__name__ for base in bases if "Params" in sections(class_doc(base))]
    missing = [name for name in explaining if name not in class_doc(public.value)]
    assert not missing, f"{public} does not say that further params are those of {', '.join(missing)}"


@pytest.mark.parametrize("public", INDICATORS, ids=str)
def test_every_line_of_an_indicator_has_an_entry_and_a_time_at_which_it_is_known(public: Public) -> None:
    doc = class_doc(public.value)
    entries = sections(doc).get("Lines", [])
    assert set(entries) == set(public.value.lines._getlines())
    assert re.search(r"at bar t (is|are) known at\b", " ".join(doc.split())), f"{public} has no time for its lines"


def test_the_checks_see_what_is_missing() -> None:
    """The readers of docstrings find entries and errors, and nothing that is not there."""
    doc = "Do it.\n\nArgs:\n    bars: raw,\n        see: there.\n    a, b: both.\n\nRaises DataError for `cost`."
    assert sections(doc) == {"Args": ["bars", "a, b"]}
    assert {"bars", "cost"} <= explained(doc)
    assert "see" not in explained(doc)
    assert errors_named(doc) == {"DataError"}
    assert summary_fault("Do it") == "has a summary that does not end as a sentence does"


def test_the_list_of_public_names_holds_what_users_are_told_of() -> None:
    found = {public.name for public in NAMES}
    assert {"LLMGuidedDQN", "Guidance", "train_dqn", "DQNConfig", "Comparison", "TradingEnv", "Tau"} <= found
    assert len(found) > 200
