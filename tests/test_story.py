"""The notebook, docs/story.py: it runs from the first cell to the last, and shows what its text says."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

STORY = Path(__file__).resolve().parents[1] / "docs" / "story.py"


def cells() -> list[tuple[str, str]]:
    """The cells of the percent format: kind and source."""
    parts = re.split(r"^# %%(.*)\n", STORY.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return [(kind.strip() or "code", source) for kind, source in zip(parts[::2], parts[1::2], strict=True)]


def test_the_notebook_is_cells_of_text_and_of_code():
    kinds = [kind for kind, _ in cells()]
    assert set(kinds) == {"code", "[markdown]"}
    assert kinds[0] == "[markdown]"
    for kind, source in cells():
        if kind == "code":
            assert ast.parse(source).body
        else:
            assert all(re.match(r"# |#$", line) for line in source.strip().splitlines())


@pytest.mark.slow
def test_the_notebook_runs_offline_and_draws_every_figure(tmp_path):
    from matplotlib.image import imread

    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    offline = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    command = [sys.executable, "-W", "error", str(STORY)]
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    surroundings |= threads | offline | {"MPLBACKEND": "agg"}
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if not re.search(r"about .*(on this machine|left)$", line)]
    assert told == []  # but for how long training takes, where it takes long
    for arm in ("hybrid", "rl", "llm", "hold", "sell"):
        assert re.search(rf"^{arm} +-?\d\.\d", done.stdout, re.MULTILINE)
    for told in ("rules", "oracle"):
        assert re.search(rf"^{told} +0\.\d", done.stdout, re.MULTILINE)
    assert re.search(r"^probability of backtest overfitting.* \d+%$", done.stdout, re.MULTILINE)
    (fast, cerebro) = re.search(r"by the sweep ([\d,.]+), in Cerebro ([\d,.]+)$", done.stdout.strip()).groups()
    assert fast == cerebro
    figures = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert figures == {f"runs/story/figure-{number}.png" for number in range(1, 5)}
    for path in figures:
        assert len({tuple(pixel) for pixel in imread(tmp_path / path)[::5, ::5].reshape(-1, 4)}) > 20
