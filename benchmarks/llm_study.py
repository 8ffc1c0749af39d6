"""How near a study of prompts comes to the time that its longest chain of questions takes.

    python benchmarks/llm_study.py [--quick] [--repeats N] [--threads N]

Two instruments, 24 months, P0 to P4 with every table, asked of a server in a process of its own that takes half a
second for each answer. Where a prompt shows earlier decisions (P2 to P4), a month waits for the month before. So no
study can be faster than the critical path: what the endpoint can do, the Analyst's first answer, then the months, each
an answer long. The other limits are the months alone, and all answers one after another, which a study without
anything side by side would take.

Answers that are due at the same time need as many questions in flight: all answers / those of the critical path are the
least that will do (11.1 here); 16 are allowed. Every run begins with an empty cache.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _bench import Figure, Options, rates, run

from llmguide import sample_bars
from llmguide.guidance.strategist import Subject
from llmguide.guidance.study import Study, run_study
from llmguide.llm.access import Access
from llmguide.sources.tables import Tables

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from openai_server import OpenAIServer, usage_of

PROMPTS = ("P0", "P1", "P2", "P3", "P4")
INSTRUMENTS = 2
IN_FLIGHT = 16


class QuickServer(OpenAIServer):
    """Gives each schema one answer, made up once, so that the time for an answer is the delay and little else."""

    def completion(self, body: dict[str, Any], fault: str | None) -> dict[str, Any]:
        """Return the first answer to a question of this kind, with the tokens of this question."""
        kind = str(body["response_format"])
        self.known = getattr(self, "known", {})
        if kind not in self.known:
            self.known[kind] = super().completion(body, fault)
        known = self.known[kind]
        return known | {"usage": usage_of(body, known["choices"][0]["message"]["content"])}


def serve(delay: float, pipe: Connection) -> None:
    """Send the server's URL, and serve until something comes back."""
    with QuickServer(delay=delay) as server:
        pipe.send(server.url)
        pipe.recv()


@contextmanager
def serving(delay: float) -> Iterator[str]:
    """Run the server in a process of its own, and yield its URL."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(delay, there), daemon=True)
    process.start()
    yield str(here.recv())
    here.send("stop")
    process.join()


def subject(seed: int, months: int) -> Subject:
    """Return an instrument with every table and bars for so many months."""
    random = np.random.default_rng(seed)
    bars = sample_bars(years=2, seed=seed).iloc[: 30 + 20 * (months - 1) + 1]
    days = pd.Series(bars.index)
    quarters, releases = days[::60], days[::20]
    month = pd.Timedelta(days=30)  # from the end of a period to its publication
    tables = Tables(
        market=pd.DataFrame({"date": days, "SPX": 2000.0 + random.normal(0.0, 9.0, len(days)).cumsum(), "VIX": 15.0}),
        macro=pd.DataFrame({"published_at": releases, "series": "PPI", "period_end": releases - month, "value": 100.0}),
        fundamentals=pd.DataFrame({"published_at": quarters, "period_end": quarters - month, "net_margin": 0.2}),
        options=pd.DataFrame({"date": days, "otm_skew": random.normal(0.05, 0.01, len(days))}),
        news=pd.DataFrame({"published_at": days, "headline": [f"Orders rose on day {n}" for n in range(len(days))]}),
    )
    return Subject(f"MADE{seed}", bars, tables)


def asking(study: Study, url: str) -> Callable[[], int]:
    """Return a function that asks everything, with an empty cache, and returns how much advice came."""

    def ask() -> int:
        with tempfile.TemporaryDirectory() as folder:
            access = Access(base_url=url, api_key="not-needed", cache=Path(folder) / "llm.sqlite", in_flight=IN_FLIGHT)
            return len(run_study(study, access.asker()))

    return ask


def measure(options: Options) -> list[Figure]:
    """Time the study, and put its rate beside those that the answers allow."""
    months, answer = (3, 0.05) if options.quick else (24, 0.5)
    study = Study(tuple(subject(seed, months) for seed in range(INSTRUMENTS)), PROMPTS)
    with serving(answer) as url:
        (measured,) = rates({"study": asking(study, url)}, options.repeats).values()
    limits = {
        f"{months} months, one chain": months,
        "critical path": 1 + 1 + months,
        "one answer after another": 1 + INSTRUMENTS * months * (1 + len(PROMPTS)),
    }
    name = f"a study, {months} months, answers of {answer:g} s"
    allowed = {peer: study.advice_count / (answers * answer) for peer, answers in limits.items()}
    return [Figure.of(name, measured, peer, np.full(len(measured), rate)) for peer, rate in allowed.items()]


if __name__ == "__main__":
    run(__doc__, measure)
