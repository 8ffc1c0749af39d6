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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

__all__ = ["Figure", "Options", "machine", "print_figures", "rates", "run"]

LIBRARIES = ("numpy", "numba", "torch", "backtrader", "vectorbt", "stable-baselines3")


@dataclass(frozen=True)
class Figure:
    """A rate beside that of a peer, or of a limit that nothing can exceed; more is better.

    Attributes:
        name: what is counted, and under which conditions.
        rate, peer_rate: per second, medians over the repeats.
        peer: what it is compared with.
        ratio: median over the repeats of rate / peer_rate: the two of a repeat were measured next to each other.
    """

    name: str
    rate: float
    peer: str
    peer_rate: float
    ratio: float

    @classmethod
    def of(cls, name: str, measured: NDArray[np.float64], peer: str, of_peer: NDArray[np.float64]) -> Figure:
        """Make it from the rates of every repeat."""
        medians = (float(np.median(values)) for values in (measured, of_peer, measured / of_peer))
        rate, peer_rate, ratio = medians
        return cls(name, rate, peer, peer_rate, ratio)


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes:
        quick: so little work that the figures mean nothing: shows that everything runs.
        repeats: measurements of each contender.
        threads: of numba and torch.
    """

    quick: bool
    repeats: int
    threads: int


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
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="see that it runs; the figures mean nothing")
    parser.add_argument("--repeats", type=int, help="measurements of each contender (default 7, quick 2)")
    parser.add_argument("--threads", type=int, default=cpus(), help="threads of numba and torch (default all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file as well")
    given = parser.parse_args()
    if not 1 <= given.threads <= cpus():
        parser.error(f"--threads lies between 1 and {cpus()} here, got {given.threads}")
    if given.repeats is not None and given.repeats < 1:
        parser.error(f"--repeats is at least 1, got {given.repeats}")
    options = Options(given.quick, given.repeats or (2 if given.quick else 7), given.threads)

    figures = measure(options)
    print_figures((description or "").partition("\n")[0], figures)
    Console(highlight=False, soft_wrap=True).print(f"{machine()}; {options.threads} used, {options.repeats} repeats")
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2), encoding="utf-8")


def print_figures(title: str, figures: Sequence[Figure]) -> None:
    """Print figures as a table."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    console.print(f"\n{title}", style="bold", soft_wrap=True)
    table = Table()
    for heading in ("figure", "per second", "peer or limit", "per second", "ratio"):
        table.add_column(heading, justify="left" if heading in ("figure", "peer or limit") else "right")
    for figure in figures:
        table.add_row(figure.name, short(figure.rate), figure.peer, short(figure.peer_rate), short(figure.ratio))
    console.print(table)


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
