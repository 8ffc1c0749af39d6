"""What one run does at a step beside learning: choose an action, trade, remember, and draw a batch.

All of it is one compiled call, `live`, on one thread, with Python's lock released. A transition in the replay is a bar
of an episode, a side, an action and a reward: since every run walks over the same bars, the observations are looked up
when it is drawn.

Source: arXiv 2004.06627, algorithm 1 and the authors' code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmguide.compiling import njit
from llmguide.rl.kernels import largest, linear_row, norm_row
from llmguide.rl.noise import choose, draw_batch
from llmguide.trading.account import ACTIONS, side_of, transition

__all__ = ["Batch", "Market", "Memory", "Network", "Rules", "live"]


class Market(NamedTuple):
    """The training bars (see `llmguide.rl.course.Course`)."""

    prices: NDArray[np.float64]  # (bars,)
    rows: NDArray[np.float32]  # (bars - lookback + 1, inputs): observations whose side is still to be filled in
    lookback: int
    side_column: int
    bonus: NDArray[np.float64]  # (bars,): what a long position's reward has more, a short one's where it is negative
    month: NDArray[np.int64]  # (bars + 1,): whose tau is observed (see `llmguide.rl.jitter`)


class Rules(NamedTuple):
    """The settings that matter here (see `llmguide.rl.config.DQNConfig`)."""

    cost: float
    reward_clip: float
    sticky: float
    actions: int


class Network(NamedTuple):
    """Views of a policy network's numbers."""

    hidden: tuple[NDArray[np.float32], ...]  # (inputs, hidden), then (hidden, hidden) each
    vectors: NDArray[np.float32]  # (layers, 3, hidden): bias, and the batch norm's scale and shift
    running: NDArray[np.float32]  # (layers, 2, hidden)
    last: NDArray[np.float32]  # (hidden, actions)
    last_bias: NDArray[np.float32]  # (actions,)


class Memory(NamedTuple):
    """The replay: the last transitions, oldest overwritten first; each of shape ``(capacity,)``.

    The state before is (`bar`, `side`), the state after (`bar` + 1, the action's side), both in the same episode.
    """

    bar: NDArray[np.int32]
    side: NDArray[np.int8]
    action: NDArray[np.int8]
    reward: NDArray[np.float32]
    episode: NDArray[np.int32]

    @classmethod
    def empty(cls, capacity: int) -> Memory:
        """Return a memory of nothing."""
        return cls._make(np.zeros(capacity, dtype=kind) for kind in (np.int32, np.int8, np.int8, np.float32, np.int32))


class Batch(NamedTuple):
    """Transitions drawn from the replay."""

    states: NDArray[np.float32]  # (2 * batch, inputs): the states before, then the states after
    action: NDArray[np.int8]  # (batch,)
    reward: NDArray[np.float32]  # (batch,), clipped, with the bonus of an agreement
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
def observe(
    market: Market, taus: NDArray[np.float32], episode: int, bar: int, side: float, out: NDArray[np.float32]
) -> None:
    """Write the observation for a decision at a bar of an episode, shape ``(inputs,)``; `taus` as in `live`."""
    row = market.rows[bar - market.lookback]
    for i in range(len(row)):
        out[i] = row[i]
    out[market.side_column] = np.float32(side)
    if len(taus) > 0:
        out[market.side_column + 1] = taus[episode, market.month[bar]]


@njit(cache=True, nogil=True, error_model="numpy")
def greedy(network: Network, observation: NDArray[np.float32]) -> int:
    """Return the action with the largest Q-value in evaluation mode; of equal ones the first, short before long."""
    x = observation
    for layer in range(len(network.hidden)):
        bias, scale, shift = network.vectors[layer, 0], network.vectors[layer, 1], network.vectors[layer, 2]
        y = np.empty(len(bias), dtype=np.float32)
        linear_row(x, network.hidden[layer], bias, y)
        norm_row(y, scale, shift, network.running[layer])
        x = y
    q = network.last_bias.copy()
    for i in range(len(x)):
        for action in range(len(q)):
            q[action] += x[i] * network.last[i, action]
    return largest(q)


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
    episode: int,
    taus: NDArray[np.float32],
) -> int:
    """Take one step of a run and return its action.

    Args:
        market, rules, network: where, by which rules, and who decides.
        key, step, epsilon: the run's stream of choices, its steps so far, and the chance of a random action.
        bar: the decision is for this bar and is carried out at its close.
        previous: the action before, which a sticky step repeats.
        account: side, shares, cash; changed in place.
        memory: all actions' transitions are written, the one that is taken first; they start from the same account.
        batch: written, if the memory holds enough for one.
        episode: number of the episode, from 0.
        taus: what is observed of the guidance, by episode and month; empty: what `market` has (see
            `llmguide.rl.course.Course.taus`).
    """
    size, actions = len(batch.action), rules.actions
    chance = choose(key, step, size, actions)
    if chance.explore <= epsilon:
        action = int(np.int64(chance.action))  # unsigned, it would make floats of the others
    elif chance.sticky <= rules.sticky:
        action = previous
    else:
        observe(market, taus, episode, bar, account[0], batch.states[0])
        action = greedy(network, batch.states[0])

    side, shares, cash = account[0], account[1], account[2]
    price, price_before = market.prices[bar], market.prices[bar - 1]
    capacity = len(memory.bar)
    for turn in range(actions):
        tried = action if turn == 0 else (turn - 1 if turn <= action else turn)
        after = transition(side, shares, cash, ACTIONS[tried], price, price_before, rules.cost)
        slot = (actions * step + turn) % capacity
        memory.bar[slot] = bar
        memory.side[slot] = np.int8(side)
        memory.action[slot] = tried
        bonus = max(0.0, side_of(ACTIONS[tried]) * market.bonus[bar])
        memory.reward[slot] = np.float32(min(max(after[3], -rules.reward_clip), rules.reward_clip) + bonus)
        memory.episode[slot] = episode
        if turn == 0:
            account[0], account[1], account[2] = after[0], after[1], after[2]

    stored = min(actions * (step + 1), capacity)
    if stored >= size:
        draw_batch(key, step, stored, batch.picks)
        for i in range(size):
            pick = batch.picks[i]
            at, taken = memory.bar[pick], memory.action[pick]
            then = memory.episode[pick]
            observe(market, taus, then, at, memory.side[pick], batch.states[i])
            observe(market, taus, then, at + 1, side_of(ACTIONS[taken]), batch.states[size + i])
            batch.action[i] = taken
            batch.reward[i] = memory.reward[pick]
            batch.live[i] = np.float32(1.0 if at + 1 < len(market.prices) else 0.0)
    return action
