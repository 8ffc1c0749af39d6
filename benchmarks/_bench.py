"""What the benchmarks share: options, timing in turns, one kind of table.

A benchmark is a file with a function ``measure(options) -> list[Figure]`` and a last line ``run(__doc__, measure)``. It
runs by itself (``python benchmarks/NAME.py``) and from `all.py`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

__all__ = ["Figure", "Options", "publish", "rates", "read_options", "run"]

STEADY = 1.5
"""Largest rate / smallest among the repeats of a machine that does nothing else."""
LIBRARIES = ("numpy", "numba", "torch", "backtrader", "vectorbt", "stable-baselines3")


@dataclass(frozen=True)
class Figure:
    """A rate beside that of a peer, or of a limit that nothing can exceed; more is better.

    Attributes:
        name: what is counted, and under which conditions.
        rate, peer_rate: per second, medians over the repeats.
        peer: what it is compared with.
        ratio: median over the repeats of rate / peer_rate: the two of a repeat were measured shortly after each other.
        spread: largest rate / smallest among the repeats, of whichever of the two varied more.
    """

    name: str
    rate: float
    peer: str
    peer_rate: float
    ratio: float
    spread: float

    @classmethod
    def of(cls, name: str, measured: NDArray[np.float64], peer: str, of_peer: NDArray[np.float64]) -> Figure:
        """Make it from the rates of every repeat."""
        medians = (float(np.median(values)) for values in (measured, of_peer, measured / of_peer))
        rate, peer_rate, ratio = medians
        spread = max(float(values.max() / values.min()) for values in (measured, of_peer))
        return cls(name, rate, peer, peer_rate, ratio, spread)


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes:
        quick: so little work that the figures mean nothing: shows that everything runs.
        repeats: measurements of each contender.
        threads: of numba, torch and NumPy's linear algebra.
        json: a file to write the figures to.
    """

    quick: bool
    repeats: int
    threads: int
    json: Path | None


def rates(contenders: Mapping[str, Callable[[], int]], repeats: int) -> dict[str, NDArray[np.float64]]:
    """Return the units of work per second of every contender, shape ``(repeats,)`` each.

    A contender does some work and returns how many units it was. Each is called once before, unmeasured, so that
    compilers and caches are warm; then they take turns, so that a machine that slows down slows all of them.
    """
    for contender in contenders.values():
        contender()
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, contender in contenders.items():
            gc.collect()
            begin = perf_counter()
            units = contender()
            measured[name].append(units / (perf_counter() - begin))
    return {name: np.array(values) for name, values in measured.items()}


def run(description: str | None, measure: Callable[[Options], Sequence[Figure]]) -> None:
    """Read the command line, measure, print the table."""
    options = read_options(description)
    with threadpool_limits(options.threads):
        for library in ("numba", "torch"):
            if library in sys.modules:
                sys.modules[library].set_num_threads(options.threads)
        figures = measure(options)
    publish((description or "").partition("\n")[0], figures, options)


def read_options(description: str | None) -> Options:
    """Read the command line, which is the same for every benchmark."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="see that it runs; the figures mean nothing")
    parser.add_argument("--repeats", type=int, help="measurements of each contender (default 7, quick 2)")
    parser.add_argument("--threads", type=int, default=cpus(), help="of numba, torch and NumPy (default all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file as well")
    given = parser.parse_args()
    repeats = (2 if given.quick else 7) if given.repeats is None else given.repeats
    if not 1 <= given.threads <= cpus():
        parser.error(f"--threads lies between 1 and {cpus()} on this machine, got {given.threads}")
    if repeats < 1:
        parser.error(f"--repeats is at least 1, got {repeats}")
    return Options(given.quick, repeats, given.threads, given.json)


def publish(title: str, figures: Sequence[Figure], options: Options) -> None:
    """Print figures as a table, with what they depend on below, and write them to a file if one was named."""
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2), encoding="utf-8")
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    table = Table()
    for heading in ("figure", "per second", "peer or limit", "per second", "ratio"):
        table.add_column(heading, justify="left" if heading in ("figure", "peer or limit") else "right")
    for figure in figures:
        table.add_row(figure.name, short(figure.rate), figure.peer, short(figure.peer_rate), short(figure.ratio))
    console.print(f"\n{title}", style="bold", soft_wrap=True)
    console.print(table)
    console.print(f"{machine()}; threads: {options.threads}, repeats: {options.repeats}", soft_wrap=True)
    unsteady = [figure.name for figure in figures if figure.spread > STEADY]
    if options.quick:
        console.print("--quick: these figures only show that everything runs")
    elif unsteady:
        names = "; ".join(dict.fromkeys(unsteady))
        console.print(f"the repeats vary by more than {STEADY:g} times, as on a busy machine: {names}", soft_wrap=True)


def short(number: float) -> str:
    """Return a positive number with three digits that count, or all before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def cpus() -> int:
    """Return how many threads this process may run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """Return what the figures depend on, without saying whose machine it is."""
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{cpus()} hardware threads ({platform.machine()}), Python {platform.python_version()}, {versions}"
