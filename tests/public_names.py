"""What is public, and what its source says of it: read from the files, so that no docstring made at import counts."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeGuard

ROOMS = (
    "llmguide",
    "llmguide.audit",
    "llmguide.backtest",
    "llmguide.bars",
    "llmguide.errors",
    "llmguide.experiments.bias",
    "llmguide.experiments.compare",
    "llmguide.experiments.levers",
    "llmguide.experiments.memory",
    "llmguide.experiments.mixture",
    "llmguide.experiments.placebo",
    "llmguide.experiments.prompts",
    "llmguide.experiments.replicate",
    "llmguide.experiments.review",
    "llmguide.experiments.tuning",
    "llmguide.experiments.walk_forward",
    "llmguide.guidance",
    "llmguide.guidance.controls",
    "llmguide.indicators",
    "llmguide.live",
    "llmguide.metrics",
    "llmguide.mixture",
    "llmguide.periods",
    "llmguide.rl.config",
    "llmguide.rl.flag.bases",
    "llmguide.rl.flag.config",
    "llmguide.rl.flag.plan",
    "llmguide.stats",
    "llmguide.strategies",
    "llmguide.sweeps",
    "llmguide.trading.env",
)
"""Modules of which every name in ``__all__`` is public."""

DOORS = {
    "llmguide.guidance.news.anonymise": ("Names",),
    "llmguide.guidance.rules": ("rules",),
    "llmguide.guidance.strategist": ("Brief",),
    "llmguide.llm.access": ("Access", "Sampling"),
    "llmguide.rl.agent": ("Agent",),
    "llmguide.rl.checkpoint": ("load_agent", "save_agent"),
    "llmguide.rl.flag.base": ("FlagBase", "load_base"),
    "llmguide.rl.flag.controls": ("controls_of",),
    "llmguide.rl.flag.evaluation": ("walk_flag", "walk_flags"),
    "llmguide.rl.flag.policy": ("FlagPolicy", "PolicyConfig"),
    "llmguide.rl.flag.protocol": ("TradingPolicy",),
    "llmguide.rl.flag.tiny": ("tiny_base",),
    "llmguide.rl.flag.trained": ("TrainedPolicy", "load_trained", "save_trained"),
    "llmguide.rl.flag.trainer": ("FlagTrainer",),
    "llmguide.rl.flag.training": ("TrainedPolicies", "train_flag"),
    "llmguide.rl.training": ("Agents", "train_dqn"),
    "llmguide.sources.tables": ("Tables",),
    "llmguide.trading.flag_rules": ("FlagRules",),
}
"""Modules whose ``__all__`` also serves other rooms, with the names that are for users."""


@dataclass(frozen=True)
class Public:
    """A public name: where it is written, and what it is."""

    home: str
    name: str
    value: Any

    def __str__(self) -> str:
        return f"{self.home}.{self.name}"

    @property
    def node(self) -> ast.stmt:
        """The statement that defines it."""
        return statement_of(self.home, self.name)


def public_names() -> list[Public]:
    """Return every public name once, under the module that defines it."""
    found = {}
    for module in (*ROOMS, *DOORS):
        room = importlib.import_module(module)
        for name in DOORS.get(module, getattr(room, "__all__", ())):
            value = getattr(room, name)
            if not isinstance(value, ModuleType) and name != "__version__":
                home = getattr(value, "__module__", None) or ""
                home = home if home.startswith("llmguide.") else _home_of(module, name)
                found[home, name] = Public(home, name, value)
    return [found[key] for key in sorted(found)]


def _home_of(module: str, name: str) -> str:
    """Return the module that assigns a constant, following imports from the one that exports it."""
    for statement in _tree_of(module).body:
        if isinstance(statement, ast.ImportFrom) and any(alias.name == name for alias in statement.names):
            return _home_of(str(statement.module), name)
    return module


@functools.cache
def _tree_of(module: str) -> ast.Module:
    return ast.parse(Path(str(importlib.import_module(module).__file__)).read_text(encoding="utf-8"))


def statement_of(module: str, name: str) -> ast.stmt:
    """Return the statement of a module that defines a name."""
    for statement in _tree_of(module).body:
        if _defines(statement, name):
            return statement
    raise LookupError(f"{module} does not define {name}")


def _defines(statement: ast.stmt, name: str) -> bool:
    match statement:
        case ast.ClassDef() | ast.FunctionDef():
            return statement.name == name
        case ast.Assign(targets=[ast.Name(id=target)]) | ast.AnnAssign(target=ast.Name(id=target)):
            return target == name
    return False


def written_doc(home: str, name: str) -> str:
    """Return the docstring of a class or function, or the text below a constant; "" where nothing is written."""
    tree = _tree_of(home)
    node = statement_of(home, name)
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return ast.get_docstring(node) or ""
    after = tree.body[tree.body.index(node) + 1]
    return _text(after)


def _text(statement: ast.stmt) -> str:
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return inspect.cleandoc(text)
    return ""


def families(cls: type) -> list[type]:
    """Return a class and those of its bases that are llmguide's, the nearest first."""
    return [base for base in cls.__mro__ if base.__module__.startswith("llmguide")]


def class_node(cls: type) -> ast.ClassDef:
    """Return the definition of one of llmguide's classes."""
    node = statement_of(cls.__module__, cls.__name__)
    assert isinstance(node, ast.ClassDef)
    return node


def class_doc(cls: type) -> str:
    """Return the docstring that is written for a class."""
    return ast.get_docstring(class_node(cls)) or ""


def described_fields(cls: type) -> dict[str, str]:
    """Return the fields of a class that have a text below them, with the text."""
    return {
        statement.target.id: text
        for statement, below in pairwise(class_node(cls).body)
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and (text := _text(below))
    }


def methods(cls: type) -> Iterator[tuple[type, str, FunctionType | property]]:
    """Yield the public methods and properties of a class that llmguide writes, with the class that does."""
    seen = set()
    for base in families(cls):
        for name, member in vars(base).items():
            plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            plain = property(plain.func) if isinstance(plain, functools.cached_property) else plain
            if name.startswith("_") or name in seen or not isinstance(plain, FunctionType | property):
                continue
            seen.add(name)
            function = plain.fget if isinstance(plain, property) else plain
            if getattr(function, "__module__", "").startswith("llmguide"):
                yield base, name, plain


def inherits_its_contract(cls: type, name: str) -> bool:
    """Whether a base of another library defines the method: its parameters are explained there."""
    return any(name in vars(base) for base in cls.__mro__ if not base.__module__.startswith("llmguide"))


def raised(node: ast.AST) -> set[str]:
    """Return the names of the exceptions that leave a body which raises them itself."""
    if isinstance(node, ast.Raise):
        match node.exc:
            case ast.Call(func=ast.Name(id=name)) | ast.Name(id=name):
                return {name}
        return set()
    if isinstance(node, ast.Try):
        caught = {name.id for handler in node.handlers for name in ast.walk(handler.type or handler) if _is_name(name)}
        inside = {name for statement in node.body for name in raised(statement)} - caught
        after = [*node.handlers, *node.orelse, *node.finalbody]
        return inside | {name for statement in after for name in raised(statement)}
    return {name for child in ast.iter_child_nodes(node) for name in raised(child)}


def _is_name(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name)


def function_node(function: Any) -> ast.FunctionDef:
    """Return the definition of a function or property as it is written."""
    source = textwrap.dedent(inspect.getsource(function.fget if isinstance(function, property) else function))
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node
