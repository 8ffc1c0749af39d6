"""Small policies over states as text: one that learns from closes and position, and one that heeds every letter."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

SPANS = (1, 2, 4)  # bars over which it looks at the change of the close


class Reading(NamedTuple):
    """What the frozen part makes of a state."""

    numbers: np.ndarray


class TextPolicy:
    """Fulfils `llmguide.rl.flag.protocol.TradingPolicy`. `sharpness` scales changes of the close before a tanh."""

    def __init__(self, seed: int = 0, *, hidden: int = 16, sharpness: float = 1000.0) -> None:
        self._sharpness = sharpness
        self._hidden = hidden
        generator = torch.Generator().manual_seed(seed)
        inputs = len(SPANS) + 2
        self._weights = {
            "hidden.weight": torch.randn(hidden, inputs, generator=generator) / inputs**0.5,
            "hidden.bias": torch.zeros(hidden),
            "actions.weight": torch.randn(3, hidden, generator=generator) * 0.01,
            "actions.bias": torch.zeros(3),
            "value.weight": torch.randn(1, hidden, generator=generator) * 0.1,
            "value.bias": torch.zeros(1),
        }
        self._before = {name: weight.clone() for name, weight in self._weights.items()}
        for weight in self._weights.values():
            weight.requires_grad_(True)
        self.read = 0

    def encode(self, states: Sequence[str]) -> Sequence[Reading]:
        self.read += len(states)
        return [Reading(self._numbers(state)) for state in states]

    def evaluate(self, encoded: Sequence[Reading]) -> tuple[Tensor, Tensor]:
        return self._forward(self._weights, encoded)

    def reference(self, encoded: Sequence[Reading]) -> Tensor:
        return self._forward(self._before, encoded)[0]

    def trainable(self) -> dict[str, Tensor]:
        return dict(self._weights)

    def identity(self) -> dict[str, object]:
        return {"base": "numbers of the text", "hidden": self._hidden, "sharpness": self._sharpness}

    def _numbers(self, state: str) -> np.ndarray:
        found = re.search(r"^Closes: (\d.*)$", state, re.M)
        if found is None:  # the task alone
            return np.zeros(len(SPANS) + 2, dtype=np.float32)
        closes = np.array(found[1].split(), dtype=float)
        position = float(re.search(r"position ([\d.]+) %", state)[1]) / 100.0
        changes = [closes[-1] / closes[max(-1 - span, -len(closes))] - 1.0 for span in SPANS]
        return np.array([*np.tanh(self._sharpness * np.array(changes)), position, 1.0], dtype=np.float32)

    @staticmethod
    def _forward(weights: dict[str, Tensor], encoded: Sequence[Reading]) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(np.stack([reading.numbers for reading in encoded]))  # (batch, inputs)
        x = torch.tanh(nn.functional.linear(x, weights["hidden.weight"], weights["hidden.bias"]))
        logits = nn.functional.linear(x, weights["actions.weight"], weights["actions.bias"])
        values = nn.functional.linear(x, weights["value.weight"], weights["value.bias"]).squeeze(1)
        return logits, values


class LetterPolicy(TextPolicy):
    """Draws its logits from the SHA-256 of the state: another letter anywhere, and it may act otherwise."""

    def encode(self, states: Sequence[str]) -> Sequence[Reading]:
        self.read += len(states)
        digests = (hashlib.sha256(state.encode()).digest() for state in states)
        return [Reading(np.frombuffer(digest[:4], dtype=np.uint8).astype(np.float32)) for digest in digests]

    @staticmethod
    def _forward(weights: dict[str, Tensor], encoded: Sequence[Reading]) -> tuple[Tensor, Tensor]:
        drawn = torch.from_numpy(np.stack([reading.numbers for reading in encoded])) / 64.0  # (batch, 4)
        return drawn[:, :3], drawn[:, 3]
