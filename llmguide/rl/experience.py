"""What one run does at a step beside learning: choose an action, trade, remember, and draw a batch.

All of it is one compiled call, `live`, on one thread, with Python's lock released. A transition in the replay is a bar,
a side, an action and a reward: since every run walks over the same bars, the observations are looked up when it is
drawn.

Source: arXiv 2004.06627, algorithm 1 and the authors' code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmguide.compiling import njit
from llmguide.rl.kernels import linear_row, norm_row
from llmguide.rl.noise import choose, draw_batch
from llmguide.trading.account import transition

__all__ = ["Batch", "Market", "Memory", "Network", "Rules", "live"]


class Market(NamedTuple):
    """The training bars (see `llmguide.rl.course.Course`)."""

    prices: NDArray[np.float64]  # (bars,)
    rows: NDArray[np.float32]  # (bars - lookback + 1, inputs): observations whose side is still to be filled in
    lookback: int
    side_column: int


class Rules(NamedTuple):
    """The settings that matter here (see `llmguide.rl.config.DQNConfig`)."""

    cost: float
    reward_clip: float
    sticky: float


class Network(NamedTuple):
    """Views of a policy network's numbers."""

    hidden: tuple[NDArray[np.float32], ...]  # (inputs, hidden), then (hidden, hidden) each
    vectors: NDArray[np.float32]  # (layers, 3, hidden): bias, and the batch norm's scale and shift
    running: NDArray[np.float32]  # (layers, 2, hidden)
    last: NDArray[np.float32]  # (hidden, 2)
    last_bias: NDArray[np.float32]  # (2,)


class Memory(NamedTuple):
    """The replay: the last transitions, oldest overwritten first; each of shape ``(capacity,)``.

    The state before is (`bar`, `side`), the state after (`bar` + 1, the action's side).
    """

    bar: NDArray[np.int32]
    side: NDArray[np.int8]
    action: NDArray[np.int8]
    reward: NDArray[np.float32]

    @classmethod
    def empty(cls, capacity: int) -> Memory:
        """Return a memory of nothing."""
        return cls._make(np.zeros(capacity, dtype=kind) for kind in (np.int32, np.int8, np.int8, np.float32))


class Batch(NamedTuple):
    """Transitions drawn from the replay."""

    states: NDArray[np.float32]  # (2 * batch, inputs): the states before, then the states after
    action: NDArray[np.int8]  # (batch,)
    reward: NDArray[np.float32]  # (batch,), clipped
    live: NDArray[np.float32]  # (batch,): 0 where the episode ended with this transition, else 1
    picks: NDArray[np.int64]  # (batch,): where in the memory they lie

    @classmethod
    def empty(cls, batch: int, inputs: int) -> Batch:
        """Return room for a batch."""
        return cls(
            np.zeros((2 * batch, inputs), dtype=np.float32),
            np.zeros(batch, dtype=np.int8),
            np.zeros(batch, dtype=np.float32),
            np.zeros(batch, dtype=np.float32),
            np.zeros(batch, dtype=np.int64),
        )


@njit(cache=True, nogil=True, error_model="numpy")
def observe(market: Market, bar: int, side: float, out: NDArray[np.float32]) -> None:
    """Write the observation for a decision at a bar, shape ``(inputs,)``."""
    row = market.rows[bar - market.lookback]
    for i in range(len(row)):
        out[i] = row[i]
    out[market.side_column] = np.float32(side)


@njit(cache=True, nogil=True, error_model="numpy")
def greedy(network: Network, observation: NDArray[np.float32]) -> int:
    """Return the action with the larger Q-value in evaluation mode; a tie is short."""
    x = observation
    for layer in range(len(network.hidden)):
        bias, scale, shift = network.vectors[layer, 0], network.vectors[layer, 1], network.vectors[layer, 2]
        y = np.empty(len(bias), dtype=np.float32)
        linear_row(x, network.hidden[layer], bias, y)
        norm_row(y, scale, shift, network.running[layer])
        x = y
    short, long = network.last_bias
    for i in range(len(x)):
        short += x[i] * network.last[i, 0]
        long += x[i] * network.last[i, 1]
    return 1 if long > short else 0


@njit(cache=True, nogil=True, error_model="numpy")
def live(
    market: Market,
    rules: Rules,
    network: Network,
    key: np.uint64,
    step: int,
    epsilon: float,
    bar: int,
    previous: int,
    account: NDArray[np.float64],
    memory: Memory,
    batch: Batch,
) -> int:
    """Take one step of a run and return its action.

    Args:
        market, rules, network: where, by which rules, and who decides.
        key, step, epsilon: the run's stream of choices, its steps so far, and the chance of a random action.
        bar: the decision is for this bar and is carried out at its close.
        previous: the action before, which a sticky step repeats.
        account: side, shares, cash; changed in place.
        memory: both actions' transitions are written, the one that is taken first.
        batch: written, if the memory holds enough for one.
    """
    size = len(batch.action)
    chance = choose(key, step, size)
    if chance.explore <= epsilon:
        action = chance.action
    elif chance.sticky <= rules.sticky:
        action = previous
    else:
        observe(market, bar, account[0], batch.states[0])
        action = greedy(network, batch.states[0])

    side, shares, cash = account[0], account[1], account[2]
    price, price_before = market.prices[bar], market.prices[bar - 1]
    capacity = len(memory.bar)
    for turn in range(2):
        decision = action if turn == 0 else 1 - action
        after = transition(side, shares, cash, decision, price, price_before, rules.cost)
        slot = (2 * step + turn) % capacity
        memory.bar[slot] = bar
        memory.side[slot] = np.int8(side)
        memory.action[slot] = decision
        memory.reward[slot] = np.float32(min(max(after[3], -rules.reward_clip), rules.reward_clip))
        if turn == 0:
            account[0], account[1], account[2] = after[0], after[1], after[2]

    stored = min(2 * (step + 1), capacity)
    if stored >= size:
        draw_batch(key, step, stored, batch.picks)
        for i in range(size):
            pick = batch.picks[i]
            at, taken = memory.bar[pick], memory.action[pick]
            observe(market, at, memory.side[pick], batch.states[i])
            observe(market, at + 1, 2 * taken - 1, batch.states[size + i])
            batch.action[i] = taken
            batch.reward[i] = memory.reward[pick]
            batch.live[i] = np.float32(1.0 if at + 1 < len(market.prices) else 0.0)
    return action
