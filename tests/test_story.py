"""The notebook, docs/story.py: it runs from the first cell to the last, and shows what its text says."""

from __future__ import annotations

import ast
import re
from base64 import b64decode
from importlib import import_module
from io import BytesIO
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
def test_the_notebook_runs_offline_and_draws_every_figure(monkeypatch):
    """Executed as `make docs` does it, without a network and with warnings as errors: whichever is first keeps it."""
    from matplotlib.image import imread

    monkeypatch.syspath_prepend(STORY.parent / "ext")
    notebook = import_module("executed_notebook").read(STORY.read_text(encoding="utf-8"))
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}  # no error
    errors = "".join(output.text for output in outputs if output.get("name") == "stderr").splitlines()
    # but for how long training takes, where it takes long
    assert [line for line in errors if not re.search(r"about .*(on this machine|left)$", line)] == []
    shown = "\n".join(output.text if "text" in output else output.data["text/plain"] for output in outputs)
    for arm in ("hybrid", "rl", "llm", "hold", "sell"):
        assert re.search(rf"^{arm} +-?\d\.\d", shown, re.MULTILINE)
    for told in ("rules", "oracle"):
        assert re.search(rf"^{told} +0\.\d", shown, re.MULTILINE)
    assert re.search(r"^probability of backtest overfitting.* \d+%$", shown, re.MULTILINE)
    (fast, cerebro) = re.search(r"by the sweep ([\d,.]+), in Cerebro ([\d,.]+)$", shown.strip()).groups()
    assert fast == cerebro
    figures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", ())]
    assert len(figures) == 4
    for figure in figures:
        pixels = imread(BytesIO(b64decode(figure)))[::5, ::5]
        assert len({tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[-1])}) > 20


def test_as_a_script_it_leaves_its_figures_in_a_folder(tmp_path):
    import matplotlib.pyplot as plt

    *_, last = (source for kind, source in cells() if kind == "code")
    plt.close("all")
    for number in (1, 2):
        plt.figure(number)
    exec(last, {"plt": plt, "OUT": tmp_path / "runs"})
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"figure-1.png", "figure-2.png"}
    assert plt.get_fignums() == []
