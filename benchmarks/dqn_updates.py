"""Double-DQN updates per second: whole training, its own matrix products alone, and stable-baselines3.

    python benchmarks/dqn_updates.py [--quick] [--repeats N] [--threads N]

The published network (117-512-512-512-512-2) and batch (32), on four years of the synthetic market, CPU. One update is
one seed's gradient step, and with it everything that training does for it: account, replay, dropout, three forward
passes, backward pass, clipping, Adam. Exploration is at its end value from the first step on, so that every step also
pays for choosing its action by the network; early in a real run most actions are random and cost less. Seeds train side
by side in blocks, as `train_dqn` has them. The first updates of each contender, with all compilation, are not measured.

The limit, "its matrix products alone": `torch.bmm` in float32 on exactly the shapes of an update (0.27 GFLOP: three
forward passes, gradients of weights and of inputs), for the same blocks of seeds, into memory that is there already.
The ratio is the share of the time in which a training step does what cannot be left out.

stable-baselines3: `DQN` on `llmguide.TradingEnv` with a ReLU network of the same layers, the same batch, learning rate
and exploration, one gradient step per environment step. Less work than ours: no batch norm, no dropout, plain DQN (two
forward passes instead of three), one stored transition per step instead of two. It trains one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numba
import pandas as pd
import torch
from _bench import Figure, Options, rates, run
from stable_baselines3 import DQN

from llmguide import TradingEnv, sample_bars
from llmguide.rl.agent import HIDDEN_LAYERS
from llmguide.rl.config import DQNConfig
from llmguide.rl.course import Course
from llmguide.rl.network import ACTIONS
from llmguide.rl.runs import TICK, Tick, train_runs
from llmguide.rl.training import BLOCK
from llmguide.trading.observation import Scaler, observation_size

SEEDS = (1, 2, 8)
CPU = torch.device("cpu")
ENDLESS = 10_000  # episodes


def blocks(seeds: int) -> list[range]:
    """Return the seeds that train side by side."""
    size = BLOCK["cpu"]
    return [range(begin, min(begin + size, seeds)) for begin in range(0, seeds, size)]


def training(bars: pd.DataFrame, config: DQNConfig, seeds: int, steps: int) -> Callable[[], int]:
    """Return a function that trains every seed for `steps` more steps and returns the number of updates."""
    course = Course.lay(bars, None, Scaler.fit(bars), config, CPU)
    runs = [train_runs(course, block, ENDLESS, CPU) for block in blocks(seeds)]

    def go_on() -> int:
        updates = 0
        for block in runs:
            ticks = 0
            while ticks * TICK < steps:
                event = next(block)
                if isinstance(event, Tick):
                    updates += event.steps
                    ticks += 1
        return updates

    return go_on


def matrix_products(widths: Sequence[int], batch: int, seeds: int, times: int) -> Callable[[], int]:
    """Return a function that does the matrix products of `times` updates of every seed and returns how many those were.

    `widths` are those of the network's layers, inputs and outputs included.
    """
    work = [_Products(widths, batch, len(block)) for block in blocks(seeds)]

    def multiply() -> int:
        for block in work:
            for _ in range(times):
                block.of_one_update()
        return seeds * times

    return multiply


class _Products:
    """The products of one update of a block of seeds, on numbers that are never read."""

    def __init__(self, widths: Sequence[int], batch: int, seeds: int) -> None:
        shapes = list(pairwise(widths))
        self.policy, self.target, self.gradients = ([torch.rand(seeds, *shape) for shape in shapes] for _ in range(3))
        self.values, self.results = ([torch.rand(seeds, batch, width) for width in widths] for _ in range(2))

    def of_one_update(self) -> None:
        layers = range(len(self.policy))
        for network in (self.policy, self.policy, self.target):
            for layer in layers:
                torch.bmm(self.values[layer], network[layer], out=self.results[layer + 1])
        for layer in reversed(layers):
            torch.bmm(self.values[layer].mT, self.values[layer + 1], out=self.gradients[layer])
            if layer > 0:
                torch.bmm(self.values[layer + 1], self.policy[layer].mT, out=self.results[layer])


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


def measure(options: Options) -> list[Figure]:
    """Time them in turn."""
    torch.set_num_threads(options.threads)
    numba.set_num_threads(options.threads)
    bars = sample_bars(years=4)
    end = DQNConfig.epsilon_end
    config = DQNConfig(hidden=32, epsilon_start=end) if options.quick else DQNConfig(epsilon_start=end)
    widths = (observation_size(guided=False), *[config.hidden] * HIDDEN_LAYERS, ACTIONS)
    steps = {seeds: TICK if options.quick else max(TICK, 4 * TICK // seeds) for seeds in SEEDS}

    contenders = {"stable-baselines3": stable_baselines(bars, config, 2 * TICK if options.quick else 4 * TICK)}
    for seeds in SEEDS:
        contenders[f"training {seeds}"] = training(bars, config, seeds, steps[seeds])
        contenders[f"products {seeds}"] = matrix_products(widths, config.batch, seeds, steps[seeds])
    measured = rates(contenders, options.repeats)

    figures = []
    for seeds in SEEDS:
        name, mine = f"updates, {seeds} seed{'s' * (seeds > 1)}", measured[f"training {seeds}"]
        figures.append(Figure.of(name, mine, "its matrix products alone (limit)", measured[f"products {seeds}"]))
        figures.append(Figure.of(name, mine, "stable-baselines3 DQN, 1 seed", measured["stable-baselines3"]))
    return figures


if __name__ == "__main__":
    run(__doc__, measure)
