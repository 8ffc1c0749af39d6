"""Errors of the library in the words of the command line: options, where the library names Python's arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["command_options", "in_options", "options_of"]


def options_of(command: object) -> dict[str, str]:
    """Return the options of a command by the names of their parameters: ``{"top_logprobs": "--top-logprobs"}``."""
    found = {}
    for parameter in getattr(command, "params", ()):
        long = [name for name in getattr(parameter, "opts", ()) if name.startswith("--")]
        if long:
            found[str(parameter.name)] = long[0]
    return found


def in_options(message: str, options: Mapping[str, str]) -> str:
    """Return a message with ``seed=`` as ``--seed`` and ``start=60`` as ``--start 60``, for options of the command.

    Calls, such as ``read_bars(start=, end=)``, are left as they are: they are meant for Python. So is what stands right
    behind a comma, as in an --expert ``x.safetensors,guidance=x.parquet``.
    """

    def option(found: re.Match[str]) -> str:
        name = options.get(found["name"])
        if name is None:
            return found[0]
        value = found["value"] or ""
        if value in ("True", "False"):
            return name if value == "True" else f"--no-{name[2:]}"
        return f"{name} {value}" if value else name

    parts = re.split(r"(\w[\w.]*\([^()]*\))", message)
    pattern = re.compile(r"(?<![\w.,\-])(?P<name>[a-z_]+)=(?P<value>[\w.'\"-]*\w['\"]?)?(?=[\s,;:.)]|$)")
    return "".join(part if place % 2 else pattern.sub(option, part) for place, part in enumerate(parts))


def command_options(app: object, words: Iterable[str]) -> dict[str, str]:
    """Return the options of the command that these words of a command line call; none where they call none."""
    group = app
    for word in words:
        inner = getattr(group, "commands", {}).get(word)
        if inner is None:
            break
        group = inner
    return options_of(group)
