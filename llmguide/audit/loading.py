"""The code that is audited, found in a file or a module."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import backtrader as bt

from llmguide.audit.isolation import failure_of
from llmguide.audit.tracing import Code
from llmguide.errors import AuditError, did_you_mean

__all__ = ["load_code"]

FACTORY = "make_cerebro"
FUNCTIONS = ("signals", "positions")


def load_code(target: str, *, strategy: str | None = None, function: str | None = None) -> tuple[Code, str]:
    """Return the code that a target names, and a name for it.

    Args:
        target: a Python file, ``FILE.py:NAME``, or ``module:NAME``. In a file without a name it is the function
            make_cerebro; else the strategy, if there is one (of those that derive from each other the last), the
            function signals or positions, or the indicator.
        strategy, function: the name, where a file has several.

    The file is imported as any module is, from its own folder. Raises AuditError where it cannot be, or where the name
    is not in it.
    """
    module, name = _module(target)
    if strategy and function:
        raise AuditError("give either strategy= or function=, not both")
    wanted = strategy or function or name
    if wanted is None:
        return _only(module)
    found = getattr(module, wanted, None)
    if found is None:
        raise AuditError(f"{target} has no {wanted!r}{did_you_mean(wanted, _names(module))}")
    if strategy and not (isinstance(found, type) and issubclass(found, bt.Strategy)):
        raise AuditError(f"{wanted} in {target} is not a bt.Strategy; for a function use function={wanted}")
    if not callable(found) or (isinstance(found, type) and not issubclass(found, bt.Strategy | bt.Indicator)):
        raise AuditError(f"{wanted} in {target} is neither a bt.Strategy nor a bt.Indicator nor a function of the bars")
    return found, wanted


def _module(target: str) -> tuple[ModuleType, str | None]:
    path, name = Path(target), None
    if not path.is_file() and ":" in target:
        head, _, name = target.rpartition(":")
        path = Path(head)
        if not path.is_file() and path.suffix != ".py":
            return _imported(head), name or None
    if not path.is_file():
        raise AuditError(f"there is no file {path}; give a Python file, FILE.py:NAME, or module:NAME")
    return _executed(path), name or None


def _imported(name: str) -> ModuleType:
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever a module raises
        raise AuditError(f"{name} cannot be imported: {failure_of(error)}") from error
    finally:
        sys.path.remove(os.getcwd())


def _executed(path: Path) -> ModuleType:
    name = f"audited_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise AuditError(f"{path} is not a Python file; give one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Backtrader looks a class's module up there
    sys.path.insert(0, str(path.resolve().parent))  # for the modules beside it, also those imported while it runs
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file raises
        raise AuditError(f"{path} cannot be imported: {failure_of(error)}") from error
    return module


def _only(module: ModuleType) -> tuple[Code, str]:
    """Return the one thing in a module that can be audited."""
    factory = getattr(module, FACTORY, None)
    if callable(factory):
        return factory, FACTORY
    for kind, option in ((bt.Strategy, "strategy"), (bt.Indicator, None)):
        classes = _leaves(module, kind)
        if len(classes) > 1:
            several = ", ".join(one.__name__ for one in classes)
            how = f"{option}={classes[0].__name__}" if option else f"{module.__file__}:{classes[0].__name__}"
            raise AuditError(f"{module.__file__} has several: {several}; choose one, as in {how}")
        functions = [name for name in FUNCTIONS if callable(getattr(module, name, None))]
        if classes and not (kind is bt.Indicator and functions):
            return classes[0], classes[0].__name__
        if kind is bt.Strategy and functions:
            if len(functions) > 1:
                raise AuditError(f"{module.__file__} has several: {', '.join(functions)}; choose with function=")
            function: Callable[..., Any] = getattr(module, functions[0])
            return function, functions[0]
    raise AuditError(
        f"{module.__file__} has no bt.Strategy, no bt.Indicator and no function {FACTORY}, signals or positions; name "
        "another function of the bars with function="
    )


def _leaves(module: ModuleType, kind: type[Any]) -> list[type[Any]]:
    """Return the classes of a kind that a module defines, without those that others of them derive from."""
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, kind) and value.__module__ == module.__name__
    ]
    return [one for one in own if not any(one is not other and issubclass(other, one) for other in own)]


def _names(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_")]
