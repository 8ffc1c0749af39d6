"""What `llmguide sweep` is told about parameters: values such as ``short=1:29``, conditions such as ``short < long``.

A condition is arithmetic and comparisons of parameters and numbers, and nothing else: it is parsed, never evaluated as
Python.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from decimal import Decimal
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from llmguide.errors import LlmguideError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["parse_condition", "parse_parameters"]

MOST = 1_000_000
"""More values than this of one parameter are taken for a slip."""
LONGEST = 1000
"""Characters in a condition."""

Read = Callable[["pd.DataFrame"], Any]

_ARITHMETIC: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def parse_parameters(given: list[str]) -> dict[str, list[float]]:
    """Return the values of each parameter, from words such as ``short=1:29``, ``cost=0,0.001`` and ``hold=1:6,inf``.

    A range has both its ends, and a step of 1 or that of ``FIRST:LAST:STEP``; decimal steps give the decimals that are
    written, 0.15 and not 0.15000000000000002. Values without a decimal point are whole numbers.
    """
    parameters: dict[str, list[float]] = {}
    for word in given:
        name, sign, values = word.partition("=")
        if not sign or not name.strip().isidentifier():
            raise LlmguideError(f"--param is NAME=VALUES, such as short=1:29 or cost=0,0.001, got {word!r}")
        if name.strip() in parameters:
            raise LlmguideError(
                f"--param {name.strip()} is given twice; give all its values in one, as in 5,10,20:60:5"
            )
        parameters[name.strip()] = [value for part in values.split(",") for value in _values(part, word)]
    return parameters


def parse_condition(text: str) -> Read:
    """Return what marks the combinations for which a condition holds, for ``sweep(where=)``.

    Parameters, numbers, ``+ - * / %``, comparisons (also ``5 < long - short < 40``), ``and``, ``or``, ``not``.
    """
    text = text.strip()
    try:
        if len(text) > LONGEST:
            raise ValueError(f"it has more than {LONGEST} characters")
        body = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise LlmguideError(f"--where is a condition such as 'short < long', got {text[:80]!r}") from None
    if not any(isinstance(node, ast.Name) for node in ast.walk(body)):
        raise LlmguideError(f"--where names no parameter in {text!r}; write it like 'short < long'")
    condition = _condition(body, text)

    def where(frame: pd.DataFrame) -> Any:
        with np.errstate(all="ignore"):  # what divides by zero compares as NaN, which is never true
            return condition(frame)

    return where


def _values(part: str, word: str) -> list[float]:
    """Return one value, or those of a range."""
    bounds = part.split(":")
    try:
        numbers = [_number(bound) for bound in bounds]
        if len(numbers) == 1:
            return [_plain(numbers[0], bounds)]
        first, last, *rest = numbers
        (step,) = rest or [Decimal(1)]
        if not all(number.is_finite() for number in numbers):
            raise ValueError("a range has no end")
        steps = (last - first) / step if step else Decimal(0)
    except (ArithmeticError, ValueError):  # what Decimal raises is one or the other
        raise LlmguideError(
            f"{part.strip()!r} in --param {word} is neither a number, nor FIRST:LAST, nor FIRST:LAST:STEP; "
            "values are separated by commas"
        ) from None
    if step <= 0 or last < first:
        raise LlmguideError(f"{part.strip()!r} in --param {word} has no values; write FIRST:LAST:STEP, rising")
    if steps >= MOST:
        raise LlmguideError(f"{part.strip()!r} in --param {word} has more than {MOST:,} values; take a larger step")
    return [_plain(first + step * place, bounds) for place in range(int(steps) + 1)]


def _number(text: str) -> Decimal:
    number = Decimal(text.strip())
    if number.is_nan():
        raise ValueError("not a number")
    return number


def _plain(number: Decimal, written: list[str]) -> float:
    """Return a whole number where all that was written are whole."""
    whole = all(bound.strip().lstrip("+-").isdigit() for bound in written)
    return int(number) if whole else float(number)


def _condition(node: ast.expr, text: str) -> Read:
    """Return what computes a condition, one truth value per combination."""
    match node:
        case ast.BoolOp(op=joined, values=parts):
            join = np.logical_and if isinstance(joined, ast.And) else np.logical_or
            conditions = [_condition(part, text) for part in parts]
            return lambda frame: reduce(join, [condition(frame) for condition in conditions])
        case ast.UnaryOp(op=ast.Not(), operand=part):
            condition = _condition(part, text)
            return lambda frame: np.logical_not(condition(frame))
        case ast.Compare(left=first, ops=signs, comparators=others) if all(
            type(sign) in _COMPARISONS for sign in signs
        ):
            compares = [_COMPARISONS[type(sign)] for sign in signs]
            quantities = [_quantity(part, text) for part in (first, *others)]
            return lambda frame: _compared(compares, [quantity(frame) for quantity in quantities])
    raise _refusal(node, text)


def _quantity(node: ast.expr, text: str) -> Read:
    """Return what computes a number per combination."""
    match node:
        case ast.Name(id=name):
            return lambda frame: _column(frame, name)
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                raise _refusal(node, text) from None
            return lambda frame: np.full(len(frame), number)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
            compute, one, other = _ARITHMETIC[type(sign)], _quantity(left, text), _quantity(right, text)
            return lambda frame: compute(one(frame), other(frame))
        case ast.UnaryOp(op=ast.USub(), operand=part):
            quantity = _quantity(part, text)
            return lambda frame: -quantity(frame)
    raise _refusal(node, text)


def _column(frame: pd.DataFrame, name: str) -> Any:
    if name not in frame:
        names = [str(known) for known in frame]
        raise LlmguideError(
            f"--where names {name!r}, but the parameters are {', '.join(names)}{did_you_mean(name, names)}"
        )
    return frame[name].to_numpy(dtype=np.float64)


def _compared(compares: list[Callable[..., Any]], quantities: list[Any]) -> Any:
    """Return a chain of comparisons, ``a < b < c``."""
    pairs = zip(compares, pairwise(quantities), strict=True)
    return np.logical_and.reduce([compare(one, other) for compare, (one, other) in pairs])


def _refusal(node: ast.expr, text: str) -> LlmguideError:
    part = ast.get_source_segment(text, node)
    return LlmguideError(
        f"--where compares parameters and numbers, with + - * / %, and, or, not; it cannot hold {part!r} in {text!r}"
    )
