"""How the cost of training grows with seeds, episodes and instruments.

    python benchmarks/training_scale.py [--quick] [--repeats N] [--threads N]

Whole trainings by `train_jobs`, set-up included, on as many workers as there are threads; the published network. Each
is compared with the smallest, one seed, one episode and one instrument on one thread: a ratio of 2 on two threads
means that twice the updates take the same time, so that the cost is in proportion to the updates, divided by threads.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from _bench import Figure, Options, rates, run

from llmguide import sample_bars
from llmguide.rl.config import DQNConfig
from llmguide.rl.parallel import train_jobs
from llmguide.rl.runs import EpisodeEnd
from llmguide.rl.training import Lesson

BASE = "the smallest, on 1 thread"


def training(
    seeds: int, episodes: int, instruments: int, threads: int, config: DQNConfig, years: int
) -> Callable[[], int]:
    """Return a function that trains and returns the number of updates."""
    lessons = [Lesson.prepare(sample_bars(years=years, seed=i), None, config=config) for i in range(instruments)]

    def train() -> int:
        jobs = [lesson.job(seed, episodes, name=str(seed)) for lesson in lessons for seed in range(seeds)]
        ends = [e for e in train_jobs(jobs, torch.device("cpu"), workers=threads) if isinstance(e, EpisodeEnd)]
        return sum(end.updates for end in ends if end.episode == episodes)

    return train


def measure(options: Options) -> list[Figure]:
    """Time them in turn."""
    end = DQNConfig.epsilon_end
    config = DQNConfig(hidden=32, epsilon_start=end) if options.quick else DQNConfig(epsilon_start=end)
    few, years = (2, 1) if options.quick else (4, 2)
    sizes = {
        BASE: (1, 1, 1, 1),
        f"{few} seeds": (few, 1, 1, options.threads),
        f"{few} episodes": (1, few, 1, options.threads),
        f"{few} seeds, 2 instruments": (few, 1, 2, options.threads),
        f"{few} seeds, {few} episodes": (few, few, 1, options.threads),
    }
    measured = rates({name: training(*size, config, years) for name, size in sizes.items()}, options.repeats)
    return [Figure.of(f"training, {name}", measured[name], BASE, measured[BASE]) for name in sizes if name != BASE]


if __name__ == "__main__":
    run(__doc__, measure)
