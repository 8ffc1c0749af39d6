"""Double-DQN updates per second: whole training, its own matrix products alone, and stable-baselines3.

    python benchmarks/dqn_updates.py [--quick] [--repeats N] [--threads N]

The published network (117-512-512-512-512-2) and batch (32), on two years of the synthetic market, CPU. An update is
one seed's gradient step, and with it everything that training does for it: account, replay, dropout, three forward
passes, backward pass, clipping, Adam. What is timed are whole runs of `train_jobs`, as `train_dqn` has them, set-up
included, on as many workers as there are threads; the seeds are such that all runs are of about equal length.
Exploration is at its end value from the first step on, so that every step also pays for choosing its action by the
network; early in a real run most actions are random and cost less. Each contender runs once before, unmeasured.

The limits are matrix products in float32 on exactly the shapes of an update (0.27 GFLOP: three forward passes,
gradients of weights and of inputs) and nothing else. "torch.bmm" does them in two ways, all seeds in one batch on all
threads, and every seed by itself on one thread; the faster counts. "as training does them" is every seed by itself,
through the library that training uses, with both passes of the policy network as one product.

stable-baselines3: `DQN` on `llmguide.TradingEnv` with a ReLU network of the same layers, the same batch, learning rate
and exploration, one gradient step per environment step. Less work than ours: no batch norm, no dropout, plain DQN (two
forward passes instead of three), one stored transition per step instead of two. It trains one seed, on all threads; or
one seed in each of as many processes as there are threads, one thread each.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from _bench import Figure, Options, rates, run
from stable_baselines3 import DQN

from llmguide import TradingEnv, sample_bars
from llmguide.rl.agent import HIDDEN_LAYERS
from llmguide.rl.config import DQNConfig
from llmguide.rl.parallel import train_jobs
from llmguide.rl.products import product
from llmguide.rl.runs import EpisodeEnd, planned_steps
from llmguide.rl.training import Lesson

SEEDS = (1, 2, 8)
CPU = torch.device("cpu")


def training(lesson: Lesson, seeds: Sequence[int], threads: int) -> Callable[[], int]:
    """Return a function that trains these seeds for an episode and returns the number of updates."""

    def train() -> int:
        jobs = [lesson.job(seed, 1, name=str(seed)) for seed in seeds]
        return sum(e.updates for e in train_jobs(jobs, CPU, workers=threads) if isinstance(e, EpisodeEnd))

    return train


def seeds_of_equal_length(lesson: Lesson, count: int, steps: int) -> list[int]:
    """Return the seeds whose first episode is closest to so many steps."""
    jobs = [lesson.job(seed, 1, name=str(seed)) for seed in range(40 * count)]
    return [job.seed for job in sorted(jobs, key=lambda job: abs(planned_steps([job]) - steps))[:count]]


class Products:
    """The matrix products of an update for a batch of seeds, on numbers that nobody reads.

    `widths` are those of the network's layers, inputs and outputs included.
    """

    def __init__(self, widths: Sequence[int], batch: int, seeds: int) -> None:
        shapes = list(pairwise(widths))
        self.policy, self.target, self.gradients = ([torch.rand(seeds, *shape) for shape in shapes] for _ in range(3))
        self.values, self.results = ([torch.rand(seeds, batch, width) for width in widths] for _ in range(2))

    def multiply(self, updates: int) -> None:
        """Do the products of so many updates of every seed."""
        layers = range(len(self.policy))
        for _ in range(updates):
            for network in (self.policy, self.policy, self.target):
                for layer in layers:
                    torch.bmm(self.values[layer], network[layer], out=self.results[layer + 1])
            for layer in reversed(layers):
                torch.bmm(self.values[layer].mT, self.values[layer + 1], out=self.gradients[layer])
                if layer > 0:
                    torch.bmm(self.values[layer + 1], self.policy[layer].mT, out=self.results[layer])


def batched(widths: Sequence[int], batch: int, seeds: int, updates: int) -> Callable[[], int]:
    """Return a function that does the products of all seeds together, on all threads."""
    products = Products(widths, batch, seeds)

    def multiply() -> int:
        products.multiply(updates)
        return seeds * updates

    return multiply


class TrainingsProducts:
    """The matrix products of an update of one seed, as `llmguide.rl.double_dqn` does them."""

    def __init__(self, widths: Sequence[int], batch: int) -> None:
        shapes = list(pairwise(widths))
        self.policy, self.target = ([torch.rand(shape) for shape in shapes] for _ in range(2))
        self.both, self.one = ([torch.rand(rows, width) for width in widths] for rows in (2 * batch, batch))

    def multiply(self, updates: int) -> None:
        """Do the products of so many updates."""
        for _ in range(updates):
            for values, network in ((self.both, self.policy), (self.one, self.target)):
                for value, weights in zip(values, network, strict=False):
                    product(value, weights)
            for layer in reversed(range(len(self.policy))):
                product(self.one[layer].t(), self.one[layer + 1])
                if layer > 0:
                    product(self.one[layer + 1], self.policy[layer].t())


def one_by_one(products: Sequence[Products | TrainingsProducts], updates: int, threads: int) -> Callable[[], int]:
    """Return a function that does every seed's products on one thread, as many side by side as there are threads."""

    def multiply() -> int:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for done in [pool.submit(seed.multiply, updates) for seed in products]:
                done.result()
        torch.set_num_threads(threads)  # the setting is the process's
        return len(products) * updates

    return multiply


def stable_baselines(bars: pd.DataFrame, config: DQNConfig, steps: int) -> Callable[[], int]:
    """Return a function that trains stable-baselines3's agent for `steps` more steps and returns that number."""
    agent = DQN(
        "MlpPolicy",
        TradingEnv(bars, training=True),
        learning_rate=config.learning_rate,
        buffer_size=config.replay,
        learning_starts=config.batch,
        batch_size=config.batch,
        gamma=config.discount,
        train_freq=1,
        gradient_steps=1,
        target_update_interval=config.target_update,
        exploration_initial_eps=config.epsilon_end,
        exploration_final_eps=config.epsilon_end,
        max_grad_norm=config.gradient_clip,
        policy_kwargs={"net_arch": [config.hidden] * HIDDEN_LAYERS, "activation_fn": torch.nn.ReLU},
        device="cpu",
        seed=0,
    )

    def go_on() -> int:
        agent.learn(steps, reset_num_timesteps=False)
        return steps

    return go_on


class Crew:
    """stable-baselines3 in processes of its own, one thread each."""

    def __init__(self, bars: pd.DataFrame, config: DQNConfig, steps: int, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pools = [
            ProcessPoolExecutor(1, context, initializer=_prepare, initargs=(bars, config, steps))
            for _ in range(processes)
        ]

    def __call__(self) -> int:
        """Train in all processes and return the steps of all."""
        return sum(done.result() for done in [pool.submit(_go_on) for pool in self.pools])


_worker: dict[str, Callable[[], int]] = {}


def _prepare(bars: pd.DataFrame, config: DQNConfig, steps: int) -> None:
    torch.set_num_threads(1)
    _worker["train"] = stable_baselines(bars, config, steps)


def _go_on() -> int:
    return _worker["train"]()


def measure(options: Options) -> list[Figure]:
    """Time them in turn."""
    bars = sample_bars(years=2)
    end = DQNConfig.epsilon_end
    config = DQNConfig(hidden=32, epsilon_start=end) if options.quick else DQNConfig(epsilon_start=end)
    lesson = Lesson.prepare(bars, None, config=config)
    widths = (lesson.course.inputs, *[config.hidden] * HIDDEN_LAYERS, config.actions)
    updates, threads = 50 if options.quick else 200, options.threads

    alone, crew = "stable-baselines3 DQN, 1 seed", f"stable-baselines3 DQN, {threads} processes"
    contenders = {alone: stable_baselines(bars, config, updates), crew: Crew(bars, config, updates, threads)}
    for count in SEEDS:
        contenders[f"training {count}"] = training(lesson, seeds_of_equal_length(lesson, count, updates), threads)
        contenders[f"batched {count}"] = batched(widths, config.batch, count, updates)
        make = partial(Products, widths, config.batch, 1), partial(TrainingsProducts, widths, config.batch)
        for way, products in zip(("one by one", "training's"), make, strict=True):
            contenders[f"{way} {count}"] = one_by_one([products() for _ in range(count)], updates, threads)
    measured = rates(contenders, options.repeats)

    figures = []
    for count in SEEDS:
        name, ours = f"double-DQN updates, {count} seed{'s' * (count > 1)}", measured[f"training {count}"]
        way = max(("batched", "one by one"), key=lambda way: np.median(measured[f"{way} {count}"]))
        figures.append(Figure.of(name, ours, f"limit: matrix products, torch.bmm, {way}", measured[f"{way} {count}"]))
        figures.append(Figure.of(name, ours, "limit: as training does them", measured[f"training's {count}"]))
        peer = alone if count == 1 else max((alone, crew), key=lambda peer: np.median(measured[peer]))
        figures.append(Figure.of(name, ours, peer, measured[peer]))
    return figures


if __name__ == "__main__":
    run(__doc__, measure)
