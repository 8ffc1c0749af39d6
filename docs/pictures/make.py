"""Makes the pictures of the README and the documentation: the first screens of the pages that llmguide writes.

Run by `make pictures`, which needs Chromium or Chrome (on the PATH, or its path in LLMGUIDE_CHROMIUM). Everything is
made from a synthetic market; what is already in build/pictures is not trained again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from llmguide import sample_bars
from llmguide.sources.yahoo import save_bars

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build" / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SPLIT = "2016-01-01"  # four of the market's six years are trained on
WIDTH, HEIGHT = 1280, 860
COLOURS = 96  # enough for a page without photographs, at a quarter of the size


class Picture(NamedTuple):
    name: str
    page: str  # what it shows, in the build folder
    height: int = HEIGHT


PICTURES = (
    Picture("report", "run/report.html"),
    Picture("tearsheet", "hybrid.html"),
    Picture("heatmap", "heatmap.html"),
)


def llmguide(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "llmguide", *words], cwd=BUILD, check=True)


def make_pages() -> None:
    """Write the pages, each as its user would."""
    BUILD.mkdir(parents=True, exist_ok=True)
    save_bars(sample_bars(years=6, seed=4), BUILD / "sample.csv")
    training = ("--seeds", "3", "--episodes", "8", "--name", "Synthetic market")
    llmguide("compare", "sample.csv", "--split", SPLIT, *training, "--out", "run")
    llmguide("tearsheet", "run", "--arm", "hybrid", "--out", "hybrid.html")
    grid = ("--param", "short=2:40", "--param", "long=10:120:2", "--where", "long > short", "--start", "120")
    llmguide("sweep", "sample.csv", "--split", SPLIT, *grid, "--heatmap", "short,long", "heatmap.html")


def photograph(browser: str, picture: Picture) -> Path:
    """Write the first screen of a page as a small PNG file; return its path."""
    path = HERE / f"{picture.name}.png"
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder) / "page.png"
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
                *(f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{picture.height}"),
                *("--virtual-time-budget=5000", f"--screenshot={taken}", (BUILD / picture.page).as_uri()),
            ],
            check=True,
            capture_output=True,
        )
        with Image.open(taken) as image:
            image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


def main() -> None:
    browser = os.environ.get("LLMGUIDE_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("no browser found: install chromium, or give its path in LLMGUIDE_CHROMIUM")
    make_pages()
    for picture in PICTURES:
        path = photograph(browser, picture)
        print(f"{path.relative_to(HERE.parents[1])}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
