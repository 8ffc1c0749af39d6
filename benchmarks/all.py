"""Every benchmark, in one table.

    python benchmarks/all.py [--quick] [--repeats N] [--threads N] [--json FILE]

Each runs in a process of its own, one after the other; with --quick all run in this one, which imports the libraries
once. The file that measures a figure says what it counts, and what its peer does differently.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from _bench import Figure, Options, publish, read_options

FOLDER = Path(__file__).parent


def benchmarks() -> list[Path]:
    """Return the files that measure something."""
    return sorted(path for path in FOLDER.glob("*.py") if path.stem not in ("_bench", "all"))


def measure(file: Path, options: Options) -> list[Figure]:
    """Run one benchmark and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "figures.json"
        command = [str(file), "--json", str(written), "--repeats", str(options.repeats)]
        command += ["--threads", str(options.threads), *["--quick"] * options.quick]
        if options.quick:
            with patch.object(sys, "argv", command), redirect_stdout(StringIO()):
                runpy.run_path(str(file), run_name="__main__")
        else:
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        return [Figure(**stored) for stored in json.loads(written.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    options = read_options(__doc__)
    figures = []
    for file in benchmarks():
        print(f"{file.stem} ...", file=sys.stderr, flush=True)
        figures += measure(file, options)
    publish("Benchmarks", figures, options)
