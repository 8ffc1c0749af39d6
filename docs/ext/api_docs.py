"""How docstrings are shown: backticks as links, Markdown's tables, params of Backtrader's classes as arguments."""

from __future__ import annotations

import importlib
import itertools
import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

_BAR = re.compile(r"(`[^`]*`)|\|")
_PAGE = re.compile(r"(?<![\w/])docs/(\w+)\.md")
_CODE = re.compile(r"(``[^`]+``|`[^`]+`)(\w?)")
_BACKTRADERS = {"alias", "aliased", "frompackages", "lines", "linealias", "packages", "params", "plotinfo", "plotlines"}


def shown_params(
    site: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Return the signature of a class of Backtrader: its metaclass makes keyword arguments of its params."""
    params = getattr(obj, "params", None)
    if signature and "<factory>" in signature:  # a field of a dataclass that has a default made for each
        return signature.replace("<factory>", "..."), returned
    if what != "class" or not hasattr(params, "_getitems"):
        return None
    defaults = dict(params._getitems())
    own = [key for one in obj.__mro__ if hasattr(one, "params") for key in _own_params(one)]
    given = ", ".join(f"{key}={defaults[key]!r}" for key in dict.fromkeys(own))
    data = "data, " if hasattr(obj, "lines") and "strategies" not in name else ""
    return f"({data}*, {given})" if given else f"({data.rstrip(', ')})", ""


def _own_params(one: Any) -> list[str]:
    """Names of the params that a class of Backtrader adds to those of the class below it."""
    below = next((base.params for base in one.__mro__[1:] if hasattr(base, "params")), None)
    inherited = set(below._getkeys()) if below else set()
    return [key for key in one.params._getkeys() if key not in inherited]


def as_written(site: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Make reStructuredText of what docstrings write otherwise: tables of Markdown, | for absolute values, `Agent`s."""
    text: list[str] = []
    for is_table, found in itertools.groupby(lines, key=lambda line: line.lstrip().startswith("|")):
        rows = list(found)
        text += _table(rows) if is_table else map(_plain, rows)
    if what in ("attribute", "data", "property"):
        text.insert(0, "")  # else napoleon takes the words before a colon for the type, which the annotation has
    lines[:] = text


def _plain(line: str) -> str:
    """A line in which bars, words that go on behind code, as in `Agent`s, and pages of this site are marked."""
    line = _PAGE.sub(r":doc:`/\1`", line)
    line = _BAR.sub(lambda found: found[1] or r"\|", line)
    return _CODE.sub(lambda found: found[1] + (rf"\ {found[2]}" if found[2] else ""), line)


def _table(rows: list[str]) -> list[str]:
    """Return a table of Markdown as a list-table."""
    margin = " " * (len(rows[0]) - len(rows[0].lstrip()))
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip())[1:-1]] for row in rows]
    body = [line for row in (cells[0], *cells[2:]) for line in (f"   * - {row[0]}", *(f"     - {c}" for c in row[1:]))]
    return ["", *(margin + line for line in (".. list-table::", "   :header-rows: 1", "", *body)), ""]


def left_out(site: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Say which members are not shown: Backtrader's own attributes, and fields that are told in the class' text."""
    if name in _BACKTRADERS or (getattr(obj, "__doc__", None) or "").startswith("Alias for field number"):
        return True
    return None


def backticks(
    role: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = ()
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """The role of `text` in docstrings: code, and a link where it names something that is documented."""
    literal = nodes.literal(rawtext, text, classes=["py"])
    env = inliner.document.settings.env
    node = pending_xref(rawtext, literal, refdomain="py", reftype="obj", reftarget=text, refexplicit=False, quiet=True)
    node["py:module"], node["py:class"] = env.ref_context.get("py:module"), env.ref_context.get("py:class")
    node["refdoc"] = env.docname
    return [node], []


def found_elsewhere(site: Sphinx, env: Any, node: pending_xref, contnode: Any) -> Any:
    """Find what is documented under another name than the one it is told by: its home, or the name alone."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    documented = [name for name in domain.objects if name.rpartition(".")[2] == target.rpartition(".")[2]]
    same = [name for name in documented if _same(name, target)]
    if len(same) == 1:
        entry = domain.objects[same[0]]
        uri = site.builder.get_relative_uri(node.get("refdoc", env.docname), entry.docname)
        return nodes.reference("", "", contnode, internal=True, refuri=f"{uri}#{entry.node_id}", reftitle=same[0])
    return contnode if node.get("quiet") else None


def _same(documented: str, told: str) -> bool:
    """Whether a documented name and another one are the same thing; a class may be told by its name alone."""
    if "." not in told:
        return told[:1].isupper()
    one, other = _imported(documented), _imported(told)
    return one is not None and one is other


def _imported(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except (ImportError, ValueError):
        owner = _imported(module) if "." in module else None
        return getattr(owner, attribute, None)


def setup(site: Sphinx) -> dict[str, bool]:
    """Hear what autodoc and the domain of Python ask."""
    site.add_role("backticks", backticks)
    site.connect("autodoc-process-signature", shown_params)
    site.connect("autodoc-process-docstring", as_written, priority=400)  # before napoleon
    site.connect("autodoc-skip-member", left_out)
    site.connect("missing-reference", found_elsewhere)
    return {"parallel_read_safe": True}
