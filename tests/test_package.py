"""The house: packaging, links, lazy imports and public names."""

from __future__ import annotations

import ast
import builtins
import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

import llmguide

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "vectorbt", "quantstats", "openai", "backtrader", "pandas", "numba", "matplotlib", "transformers")


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_the_package_loads_no_library():
    loaded = run(f"import sys, llmguide; print([name for name in {HEAVY} if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_the_help_loads_no_library():
    code = (
        "import sys\nsys.argv = ['llmguide', '--help']\nfrom llmguide.cli import main\n"
        f"try:\n    main()\nexcept SystemExit:\n    pass\nprint([name for name in {HEAVY} if name in sys.modules])"
    )
    assert run(code).splitlines()[-1] == "[]"


def test_every_public_name_is_there():
    for name in llmguide.__all__:
        assert getattr(llmguide, name) is not None
    assert set(llmguide.__all__) <= set(dir(llmguide))


@pytest.mark.slow
def test_dotted_names_in_the_documents_work_after_importing_the_package_alone():
    """Of a module further down its path is enough: readers import it from there."""
    names = set()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        names |= set(re.findall(r"(?<!import )(?<!from )(?<!python -m )\b(llmguide(?:\.[A-Za-z_]\w*)+)", text))
    assert {"llmguide.backtest.use_close_fills", "llmguide.strategies.LLMGuidedDQN", "llmguide.compare"} <= names
    code = f"""
import importlib, types, llmguide
for name in {sorted(names)}:
    for loaded, value in list(vars(llmguide).items()):
        if isinstance(value, types.ModuleType) and value.__name__.startswith("llmguide."):
            delattr(llmguide, loaded)  # what an earlier name has imported
    try:
        eval(name)
    except AttributeError:
        _, package, module, *inner = name.split(".") + [""] * 2
        try:
            found = importlib.import_module(f"llmguide.{{package}}.{{module}}")
            for each in filter(None, inner):
                found = getattr(found, each)
        except (AttributeError, ImportError):
            print(name)
"""
    assert run(code) == ""


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = llmguide.nothing


def test_setup_cfg_lists_every_package_on_disk():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    folders = {path.parent for path in (ROOT / "llmguide").rglob("__init__.py")}
    inside = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    linked = {f"llmguide.{name}" for name in ("strategies", "indicators") if (ROOT / name / "__init__.py").exists()}
    assert listed == inside | linked


def test_every_dependency_is_pinned():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    wanted = "\n".join([config["options"]["install_requires"], *config["options.extras_require"].values()])
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    asked, pinned = (set(map(_normal, re.findall(r"^[\w.-]+", text, re.MULTILINE))) for text in (wanted, pins))
    assert "torch" in asked
    assert asked <= pinned


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_changelog_begins_with_this_version():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest[1] == llmguide.__version__


@pytest.mark.parametrize("name", ["strategies", "indicators"])
def test_the_top_level_folders_are_linked_relatively(name):
    link = ROOT / "llmguide" / name
    assert link.is_symlink()
    assert str(link.readlink()) == f"../{name}"


def test_every_module_has_a_docstring_that_says_what_it_is():
    for folder in ("llmguide", "strategies", "indicators"):
        for path in (ROOT / folder).rglob("*.py"):
            first = path.read_text(encoding="utf-8").lstrip()
            assert first.startswith('"""'), f"{path.relative_to(ROOT)} has no docstring"


FIELD = re.compile(r"\{([A-Za-z_]\w*)(?:[.(\[][^{}]*|:[^{} ]*)?\}")


def test_no_text_names_a_value_in_braces_and_is_no_f_string():
    assert forgotten("def told(data):\n    return 'by {data.chosen}, ' 'at {len(data)}'") == [
        (2, "{data.chosen}"),
        (2, "{len(data)}"),
    ]
    for path in sorted((ROOT / "llmguide").rglob("*.py")):
        found = [(line, text) for line, text in forgotten(path.read_text()) if not text.startswith("{task.")]  # rich's
        assert found == [], path


def forgotten(source: str) -> list[tuple[int, str]]:
    """The line and text of each `{name}` of a known name in a plain string within a function."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    known = {node.id for node in nodes if isinstance(node, ast.Name)}
    known |= {node.arg for node in nodes if isinstance(node, ast.arg)} | set(dir(builtins))
    formatted = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    return sorted(
        {
            (node.lineno, found[0])
            for function in nodes
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in formatted
            for found in FIELD.finditer(node.value)
            if found[1] in known
        }
    )
