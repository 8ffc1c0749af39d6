"""Language models as policies: decisions side by side, gradients in parts, batches, bfloat16.

    python benchmarks/flag_sharing.py [--quick] [--repeats N] [--threads N]

"Side by side" are the seven policies of a study of three seeds at one bar: three trained ones, three untrained ones and
the language model asked for a word, each with an account of its own. States have about 220 tokens that never change,
150 of the bar's prices and 180 of the account. The peer asks each policy by itself.

"In 8 passes" counts the states of a minibatch of 20 whose gradient is the sum of 8 backward passes, as in training by
the published constants. What all begin with is computed once for all passes; the peer computes it in each of them.

"At once" and "bfloat16" count states that go through the frozen layers (150 to 210 tokens behind those that never
change): eight of different lengths in one batch, and one by one with `PolicyConfig(half=True)`. The peer computes them
one by one in float32.

The layers are those of `benchmarks/flag.py`: of the shapes of Gemma 3 270M, 12 of 18 frozen; with --quick of a tiny
model.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
from _bench import Figure, Options, rates, run
from flag import TASK, gemma_shaped, texts

from llmguide.rl.flag.base import FlagBase
from llmguide.rl.flag.choosing import choose
from llmguide.rl.flag.controls import UntrainedPolicy, ZeroShotPolicy
from llmguide.rl.flag.policy import FlagPolicy, PolicyConfig
from llmguide.rl.flag.tiny import tiny_base
from llmguide.rl.flag.together import SideBySide, Told

SEEDS = 3
ANY = (True, True, True)


def accounts(count: int) -> list[str]:
    """Return states of one bar, each of another account."""
    draw = random.Random(0)
    prices = " ".join(f"{draw.uniform(90, 99):.2f}" for _ in range(24))

    def account() -> str:
        rewards = " ".join(f"{draw.gauss(0, 0.05):+.3f}" for _ in range(10))
        values = " ".join(f"{draw.uniform(100, 120):.2f}" for _ in range(10))
        return f"Rewards: {rewards}\nNet values: {values}\nCash: {draw.uniform(1e4, 1e5):.2f}\nAction:"

    return [f"{TASK}Prices: {prices}\n{account()}" for _ in range(count)]


def walking(base: FlagBase) -> dict[str, Callable[[], int]]:
    """Return what decides for all policies of a study at one bar, side by side and one after the other."""
    policies: list[FlagPolicy] = [FlagPolicy(base, PolicyConfig(seed=seed)) for seed in range(SEEDS)]
    policies += [UntrainedPolicy(base, PolicyConfig(seed=seed)) for seed in range(SEEDS)]
    policies.append(ZeroShotPolicy(base, frozen=policies[0].config.frozen))
    states = accounts(len(policies))
    for policy in policies:
        policy.encode([TASK])
    together = SideBySide(policies, [TASK] * len(policies))

    def side_by_side() -> int:
        return len(together.choose({at: Told(state, ANY) for at, state in enumerate(states)}))

    def alone() -> int:
        return len([choose(policy, state, ANY) for policy, state in zip(policies, states, strict=True)])

    return {"ours": side_by_side, "peer": alone}


def encoding(base: FlagBase, *, states: list[str], half: bool, at_once: bool) -> Callable[[], int]:
    """Return what encodes states."""
    policy = FlagPolicy(base, PolicyConfig(half=half))
    policy.encode([TASK])

    def work() -> int:
        return len(policy.encode(states) if at_once else [policy.encode([state]) for state in states])

    return work


def training(base: FlagBase) -> dict[str, Callable[[], int]]:
    """Return what makes the gradient of a minibatch, with one computation of the beginning and with eight."""
    policy = FlagPolicy(base)
    policy.encode([TASK])
    encoded = policy.encode(texts(20))

    def passes() -> int:
        policy.trained.zero_grad()
        for part in range(8):
            logits, values = policy.evaluate(encoded[part::8])
            (logits.square().sum() + values.square().sum()).backward()  # type: ignore[no-untyped-call]
        return len(encoded)

    def once() -> int:
        with policy.accumulating():
            return passes()

    return {"ours": once, "peer": passes}


def measure(options: Options) -> list[Figure]:
    """Time each way and its peer, in turn."""
    torch.set_num_threads(options.threads)
    base = tiny_base(0) if options.quick else gemma_shaped()
    states = texts(8)
    single = encoding(base, states=states, half=False, at_once=False)
    compared = {
        f"decisions of {2 * SEEDS + 1} policies side by side": ("each alone", walking(base)),
        "states of a minibatch, in 8 passes": ("beginning in each pass", training(base)),
        "states encoded, 8 at once": (
            "one by one",
            {"ours": encoding(base, states=states, half=False, at_once=True), "peer": single},
        ),
        "states encoded, in bfloat16": (
            "in float32",
            {"ours": encoding(base, states=states, half=True, at_once=False), "peer": single},
        ),
    }
    figures = []
    for name, (peer, contenders) in compared.items():
        measured = rates(contenders, options.repeats)
        figures.append(Figure.of(name, measured["ours"], peer, measured["peer"]))
    return figures


if __name__ == "__main__":
    run(__doc__, measure)
