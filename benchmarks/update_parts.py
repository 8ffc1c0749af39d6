"""Where the time of a double-DQN update goes, part by part.

    python benchmarks/update_parts.py [--quick] [--repeats N]

One seed of the published network (117-512-512-512-512-2) and batch (32) on one thread. Each part of a training step is
called by itself, on the learner's own memory; the ratio is the share of a whole step that it takes. A whole step has
more between its parts, and they find less of their memory in the caches there, so that the shares do not add up to 1.
Exploration is at its end value, so that a step also chooses its action by the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from _bench import Figure, Options, rates, run

from llmguide import sample_bars
from llmguide.rl.adam import clip_and_step
from llmguide.rl.agent import HIDDEN_LAYERS
from llmguide.rl.config import DQNConfig
from llmguide.rl.experience import live
from llmguide.rl.solo import SoloRun
from llmguide.rl.training import Lesson


def repeated(part: Callable[[], Any], times: int) -> Callable[[], int]:
    """Return a function that calls a part until it has done so much, and returns how much that was.

    A part that returns a number has done that many units of work; any other has done one.
    """

    def call() -> int:
        done = 0
        while done < times:
            units = part()
            done += units if isinstance(units, int) else 1
        return done

    return call


def measure(options: Options) -> list[Figure]:
    """Time the whole and its parts in turn."""
    torch.set_num_threads(1)
    hidden = 32 if options.quick else 512
    config = DQNConfig(hidden=hidden, epsilon_start=DQNConfig.epsilon_end)
    lesson = Lesson.prepare(sample_bars(years=14), None, config=config)
    whole = SoloRun(lesson.job(0, 1_000, name="whole"))
    events = whole.events(1_000)
    for _ in range(2):
        next(events)

    def steps() -> int:
        return int(getattr(next(events), "steps", 0))  # the end of an episode is no step

    learner, batch, market = whole.learner, whole.batch, lesson.course.market
    states, size = torch.from_numpy(batch.states), config.batch
    _, inputs = learner._train_forward(states)
    inputs = [layer[:size] for layer in inputs]
    gradient = learner._backward(inputs)
    numbers = learner._flat.numpy(), gradient, learner._rest, learner._mean, learner._square

    def act() -> None:
        live(
            market, lesson.course.rules, learner.network, whole.keys.choices, 100, 0.0, market.lookback, 0,
            whole.account, whole.memory, batch, 0, lesson.course.taus(whole.keys.sizes, 1),
        )  # fmt: skip

    parts = {
        "choose, trade, remember, draw a batch": act,
        "forward, policy network, 64 rows": lambda: learner._train_forward(states),
        "forward, target network, 32 rows": lambda: learner._evaluate_target(states[size:]),
        "backward": lambda: learner._backward(inputs),
        "clipping and Adam": lambda: clip_and_step(config, 1_000, *numbers),
    }
    times = 20 if options.quick else 300
    contenders = {name: repeated(part, times) for name, part in ({"whole": steps} | parts).items()}
    measured = rates(contenders, options.repeats)
    layers = f"{HIDDEN_LAYERS} hidden layers"
    return [
        Figure.of(f"a training step, {layers}", measured["whole"], f"part: {name}", measured[name]) for name in parts
    ]


if __name__ == "__main__":
    run(__doc__, measure)
