"""Try what `make dist` built: both archives hold every file, and the wheel works in an environment of its own.

try_dist.py FOLDER    with one sdist and one wheel, which was built from the sdist
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINKED = ("strategies", "indicators")  # folders at the top level that belong to the package
USE = """
import sys, llmguide, llmguide.plugin
assert llmguide.__file__.startswith(sys.prefix), f"not the installed one: {llmguide.__file__}"
llmguide.sample_bars(years=3, seed=1).to_csv("bars.csv")
"""
COMMANDS = (
    ("--version",),
    ("demo", "--help"),
    ("guide", "bars.csv", "--out", "guidance.parquet"),
    ("backtest", "bars.csv", "--strategy", "LLMOnly", "--guidance", "guidance.parquet"),
    ("prompt", "bars.csv", "--prompt", "P1", "--date", "2017-06-01"),
)


def in_the_tree() -> set[str]:
    """Name every file of the package, as it is called once installed."""
    folders = [(ROOT / "llmguide", "llmguide"), *((ROOT / name, f"llmguide/{name}") for name in LINKED)]
    return {
        f"{inside}/{path.relative_to(folder).as_posix()}"
        for folder, inside in folders
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def check_contents(sdist: Path, wheel: Path) -> None:
    """Refuse archives that lack a file, hold one that is not in the tree, or hold a link."""
    package = in_the_tree()
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        if not any(name.endswith("/licenses/LICENSE") for name in archive.namelist()):
            raise SystemExit(f"{wheel.name} has no LICENSE")
    with tarfile.open(sdist) as archive:
        links = [member.name for member in archive if member.issym() or member.islnk()]
        sources = {member.name.partition("/")[2] for member in archive if member.isfile()}
    at_home = {name.removeprefix("llmguide/") if name.split("/")[1] in LINKED else name for name in package}
    at_home |= {"LICENSE", "README.md", "CHANGELOG.md", "constraints.txt", "pyproject.toml", "setup.cfg"}
    for what, wrong in (
        (f"{wheel.name} lacks", package - packed),
        (f"{wheel.name} has, and the tree has not,", packed - package),
        (f"{sdist.name} lacks", at_home - sources),
        (f"{sdist.name} has links:", set(links)),
    ):
        if wrong:
            raise SystemExit(f"{what} {', '.join(sorted(wrong))}")
    print(f"{wheel.name} and {sdist.name}: {len(package)} files of the package, all there", flush=True)


def use(wheel: Path) -> None:
    """Install a wheel without extras, outside the tree, and run a backtest with it."""
    with tempfile.TemporaryDirectory(prefix="llmguide-dist-") as folder:
        home = Path(folder)
        subprocess.run([sys.executable, "-m", "venv", "venv"], cwd=home, check=True)
        python = home / "venv" / "bin" / "python"
        install = ("-m", "pip", "install", "--quiet", "--no-compile", "--constraint", str(ROOT / "constraints.txt"))
        subprocess.run([python, *install, wheel], cwd=home, check=True)
        subprocess.run([python, "-c", USE], cwd=home, check=True)
        for words in COMMANDS:
            print("$ llmguide", *words, flush=True)
            subprocess.run([python.with_name("llmguide"), *words], cwd=home, check=True)


def main(folder: Path) -> None:
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    check_contents(sdist.resolve(), wheel.resolve())
    use(wheel.resolve())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
