"""What the README and the documentation show is there: links, commands, options, names, words of messages, code."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from doc_pages import DOCS, PAGES, ROOT, Block, anchors_of, blocks_of, links_of
from typer.main import get_command

import llmguide
from llmguide.cli.commands import app
from llmguide.rl.checkpoint import save_agent
from llmguide.rl.config import DQNConfig

PYTHON = [block for page in PAGES for block in blocks_of(page, "python")]
RUN_PAGES = sorted({block.page for block in PYTHON if not block.not_run})
COMMANDS = [block for page in PAGES for block in blocks_of(page, "console")]
PUBLIC = [
    "llmguide",
    *(f"llmguide.{room}" for room in ("audit", "backtest", "indicators", "live", "mixture", "stats", "strategies")),
    *(f"llmguide.{room}" for room in ("guidance", "sweeps")),
]
GENERATED = "commands/"
INTERNAL = {"PROVIDERS", "__version__"}


def names(pages: list[Any]) -> list[str]:
    return [str(page.relative_to(ROOT)) if isinstance(page, Path) else str(page) for page in pages]


def reference_pages() -> dict[str, str]:
    sys.path.insert(0, str(DOCS / "ext"))
    try:
        pages: dict[str, str] = importlib.import_module("command_reference").pages()
    finally:
        sys.path.remove(str(DOCS / "ext"))
    return pages


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_link_leads_to_a_page_and_a_heading(page):
    generated = {f"{GENERATED}{name}.md" for name in reference_pages()}
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        if re.match(r"\w+:", link) or path in generated:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: there is no {path}"
        if anchor:
            assert anchor in anchors_of(target), f"{link}: no such heading"


def test_every_example_is_in_the_gallery():
    shown = re.findall(r"```\{literalinclude\} \.\./examples/(\w+)\.py", (DOCS / "examples.md").read_text("utf-8"))
    assert sorted(shown) == sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


def test_every_public_name_has_its_place_in_the_reference():
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    shown = re.findall(r"^\.\. auto\w+:: (\S+)", text, re.MULTILINE)
    assert len(shown) == len(set(shown))
    there = [found(name) for name in shown]
    for home in PUBLIC:
        room = importlib.import_module(home)
        for name in set(room.__all__) - INTERNAL:
            value = getattr(room, name)
            if not isinstance(value, ModuleType):
                assert any(value is one for one in there), f"{home}.{name} is on no page of docs/api"


def found(name: str) -> Any:
    home, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(home), attribute)


def test_the_reference_of_the_command_line_has_every_command_and_option():
    pages = reference_pages()
    for words, command in commands_of(get_command(app)):
        text = pages[words[0]]
        assert f"llmguide {' '.join(words)}\n" in text
        for option in options_of(command) - {"--help"}:
            assert re.search(rf"\{{option\}}.* ?{re.escape(option)}\b", text), f"{words}: {option}"


def commands_of(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, (*words, name))
        elif not command.hidden:
            yield (*words, name), command


def options_of(command: Any) -> set[str]:
    given = [one for one in command.get_params(command.context_class(command)) if not getattr(one, "hidden", False)]
    return {name for one in given for name in (*one.opts, *one.secondary_opts) if name.startswith("-")}


def lines_of(block: Block) -> Iterator[list[str]]:
    """Yield the words of each `llmguide ...` of a block, without what a shell does around it."""
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for ends, part in itertools.groupby(lexer, key=lambda word: set(word) <= set(";|&()")):
            words = list(part)
            if not ends and "llmguide" in words[:2]:
                yield words[words.index("llmguide") + 1 :]


@pytest.mark.parametrize("block", COMMANDS, ids=names(COMMANDS))
def test_every_command_exists_and_takes_the_options_shown(block):
    for words in lines_of(block):
        command: Any = get_command(app)
        rest = list(words)
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, f"llmguide {' '.join(words)}: there is no {rest[0]}"
            command = command.commands[rest.pop(0)]
        for word in rest:
            if re.match(r"--?[a-z]", word):
                assert word.partition("=")[0] in options_of(command), f"llmguide {' '.join(words)}: no {word}"


@pytest.mark.parametrize("block", PYTHON, ids=names(PYTHON))
def test_every_block_of_python_parses_and_imports_what_there_is(block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llmguide"):
            home = importlib.import_module(node.module)
            for name in node.names:
                assert hasattr(home, name.name) or importlib.import_module(f"{node.module}.{name.name}")


def test_the_questions_quote_messages_that_there_are():
    headings = re.findall(r"^### .*$", (DOCS / "faq.md").read_text(encoding="utf-8"), re.MULTILINE)
    quoted = [words for heading in headings for words in re.findall(r"`([^`]+ [^`]+)`", heading)]
    assert len(quoted) > 15
    said = [
        node.value
        for folder in ("llmguide", "strategies", "indicators")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [words for words in quoted if not any(words in text for text in said)] == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages speak of: bars, guidance and small agents."""
    folder = tmp_path_factory.mktemp("pages")
    market = llmguide.sample_bars(years=8).loc["2016":]
    train, test = market.loc[:"2017"], market.loc["2018":]
    for name, bars in {"AAPL": market, "aapl": market, "7203": market, "train": train, "test": test}.items():
        bars.to_csv(folder / f"{name}.csv")
    guidance = llmguide.guide(market, "rules")
    small = DQNConfig(hidden=8)
    for name in ("guidance.parquet", "aapl.parquet", "runs/aapl/guidance.parquet"):
        guidance.save(folder / name)
    for arm, table in {"hybrid": guidance, "rl": None}.items():
        agents = llmguide.train_dqn(train, table, seeds=1, episodes=1, config=small, progress=False)
        for to in (folder, folder / "runs" / "aapl"):
            save_agent(agents[0], to / f"{arm}-0.safetensors")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN_PAGES, ids=names(RUN_PAGES))
def test_the_blocks_of_a_page_run_one_after_the_other(page, made, monkeypatch):
    """Fewer seeds and episodes than shown; what a page takes for given is here: bars, their parts, and guidance."""
    import backtrader as bt
    import pandas as pd

    monkeypatch.chdir(made)
    bars = llmguide.read_bars("AAPL.csv")
    given: dict[str, Any] = {"llmguide": llmguide, "bt": bt, "pd": pd, "bars": bars, "cerebro": bt.Cerebro()}
    given |= {"train": bars.loc[:"2017"], "test": bars.loc["2018":], "train_bars": bars.loc[:"2017"]}
    given["guidance"] = llmguide.Guidance.read("guidance.parquet")
    given |= {"gpt": given["guidance"], "gemma": llmguide.guide(bars, "oracle", accuracy=0.6)}
    given["experts"] = {"gpt": given["gpt"], "gemma": given["gemma"], "hold": "hold"}
    for block in blocks_of(page, "python"):
        if not block.not_run:
            text = re.sub(r"\bseeds=\d+", "seeds=2", re.sub(r"\bepisodes=\d+", "episodes=1", block.text))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", llmguide.errors.DataWarning)  # made agents trade on their training bars
                exec(compile("\n" * block.line + text, str(page), "exec"), given)
