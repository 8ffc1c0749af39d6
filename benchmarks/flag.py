"""Environment steps per second of a language model as policy: a rollout and an update.

    python benchmarks/flag.py [--quick] [--repeats N] [--threads N]

States are texts of one template, about 200 tokens that do not change and 150 to 250 that do. Every step encodes one
state and evaluates it; then all 8 are trained on once as one minibatch: the clipped surrogate of PPO with value loss
and entropy, backward, Adam. "KL" also asks at every step what the policy before training would have done,
and adds the divergence from it. The environment is left out.

The plain implementation does the same with the model's own forward pass: every state whole through all layers, at
every step, again for the reference, and in the update, with padding on the right. The limit is the time of the matrix
products that the fast one cannot do without: those of the linear maps, forward and backward, of the tokens that it
computes, by `torch.mm`; attention, norms, activations and Adam are not among them.

The layers have the shapes of Gemma 3 270M (18, of which 12 are frozen) and random weights, since no time depends on
their values; tokens are bytes. With --quick it is a tiny model.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import torch
from _bench import Figure, Options, rates, run
from torch import Tensor

from llmguide.rl.flag.base import FlagBase
from llmguide.rl.flag.policy import FlagPolicy, PolicyConfig
from llmguide.rl.flag.tiny import tiny_base

TASK = (
    "You trade one share. Each day choose sell (all shares to cash), hold (nothing) or buy (all cash to shares). The "
    "aim is a high and steady growth of the account. The latest number comes last. Answer with JSON.\n"
)


def texts(count: int) -> list[str]:
    """Return states of a synthetic market."""
    draw = random.Random(0)
    made = []
    for _ in range(count):
        prices = " ".join(f"{draw.uniform(90, 110):.2f}" for _ in range(draw.randint(8, 20)))
        rewards = " ".join(f"{draw.gauss(0, 0.05):.3f}" for _ in range(10))
        made.append(f"Prices: {prices}\nCash: {draw.uniform(1e4, 1e5):.2f}\nRewards: {rewards}\nAction:")
    return [TASK + one for one in made]


class Plain:
    """The same policy as any library would write it: whole forward passes."""

    def __init__(self, policy: FlagPolicy) -> None:
        self.base, first = policy.base, policy.config.frozen or 0
        self.trained = copy.deepcopy(policy.trained)
        self.reference_heads = copy.deepcopy(self.trained.heads)
        self.model = copy.copy(self.base.decoder)
        self.model._modules = dict(self.base.decoder._modules)
        layers = [*self.base.decoder.layers[:first], *self.trained.layers]
        self.model._modules |= {"layers": torch.nn.ModuleList(layers), "norm": self.trained.norm}

    def evaluate(self, ids: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Return logits and values for states given by their tokens."""
        logits, values = self.trained.heads(last_hidden(self.model, ids))
        return logits, values

    def reference(self, ids: list[list[int]]) -> Tensor:
        """Return the reference's logits."""
        logits: Tensor = self.reference_heads(last_hidden(self.base.decoder, ids))[0]
        return logits


def last_hidden(model: Any, ids: list[list[int]]) -> Tensor:
    """Return the last token's output for each state."""
    ends = torch.tensor([len(one) - 1 for one in ids])
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(one) for one in ids], batch_first=True)
    hidden: Tensor = model(input_ids=padded, use_cache=False).last_hidden_state
    return hidden[torch.arange(len(ids)), ends]


def surrogate(logits: Tensor, values: Tensor, before: Tensor, reference: Tensor | None) -> Tensor:
    """Return a loss of PPO's form; advantages and returns are made up."""
    advantage = torch.linspace(-1.0, 1.0, len(values))
    odds = torch.log_softmax(logits, -1)
    ratio = (odds[:, 0] - torch.log_softmax(before, -1)[:, 0]).exp()
    clipped = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    entropy = -(odds.exp() * odds).sum(-1)
    loss = -clipped + 0.5 * (values - advantage) ** 2 - 0.05 * entropy
    if reference is not None:
        loss = loss + 0.05 * (odds.exp() * (odds - torch.log_softmax(reference, -1))).sum(-1)
    return loss.mean()


def learning(
    states: list[Any],
    encode: Callable[[list[Any]], list[Any]],
    evaluate: Callable[[list[Any]], tuple[Tensor, Tensor]],
    reference: Callable[[list[Any]], Tensor] | None,
    weights: list[Tensor],
) -> Callable[[], int]:
    """Return a function that makes a rollout and an update."""
    optimiser = torch.optim.Adam(weights, lr=1e-6)

    def work() -> int:
        encoded, before, told = [], [], []
        with torch.no_grad():
            for state in states:
                one = encode([state])
                encoded += one
                before.append(evaluate(one)[0])
                if reference is not None:
                    told.append(reference(one))
        optimiser.zero_grad()
        surrogate(*evaluate(encoded), torch.cat(before), torch.cat(told) if told else None).backward()
        optimiser.step()
        return len(states)

    return work


def products(policy: FlagPolicy, states: list[str], *, reference: bool) -> Callable[[], int]:
    """Return a function that does the matrix products of fast learning and nothing else."""
    encoded = policy.encode(states)
    frozen, beginning = policy.config.frozen or 0, len(encoded[0].prefix.tokens)
    lengths = [len(one.tokens) for one in encoded]
    layers = [
        [(name, one.weight.detach()) for name, one in layer.named_modules() if isinstance(one, torch.nn.Linear)]
        for layer in policy.base.decoder.layers
    ]
    widths = {size for _, weight in layers[0] for size in weight.shape}
    most = torch.rand(max(sum(lengths), beginning), max(widths))
    values = {width: most[:, :width].contiguous() for width in widths}

    def layer(number: int, rows: int, *, ends: int, gradient: bool) -> None:
        """One layer's products; of the last one only `ends` tokens go beyond keys and values."""
        for name, weight in layers[number]:
            beyond = number == len(layers) - 1 and not name.endswith(("k_proj", "v_proj"))
            some = ends if beyond else rows
            if not some:
                continue
            x = values[weight.shape[1]][:some]
            torch.mm(x, weight.t())
            if gradient:
                y = values[weight.shape[0]][:some]
                torch.mm(y.t(), x)
                torch.mm(y, weight)

    def work() -> int:
        for number in range(frozen, len(layers)):
            layer(number, beginning, ends=0, gradient=False)
            layer(number, beginning, ends=0, gradient=True)
            layer(number, sum(lengths), ends=len(lengths), gradient=True)
        for rows in lengths:
            for number in range(len(layers)):
                for _ in range(2 if reference and number >= frozen else 1):
                    layer(number, rows, ends=1, gradient=False)
        return len(states)

    return work


def gemma_shaped() -> FlagBase:
    """Return a model with the layers of Gemma 3 270M, random, and few tokens."""
    import transformers

    tokenizer = tiny_base(0).tokenizer
    kinds = ["full_attention" if layer % 6 == 5 else "sliding_attention" for layer in range(18)]
    config = transformers.Gemma3TextConfig(
        vocab_size=len(tokenizer), hidden_size=640, intermediate_size=2048, num_hidden_layers=18, num_attention_heads=4,
        num_key_value_heads=1, head_dim=256, layer_types=kinds, sliding_window=512, pad_token_id=None, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    return FlagBase.of("gemma-3-270m's layers, random", transformers.Gemma3ForCausalLM(config), tokenizer)


def measure(options: Options) -> list[Figure]:
    """Time the fast and the plain implementation, and the products, in turn."""
    torch.set_num_threads(options.threads)
    base = tiny_base(0) if options.quick else gemma_shaped()
    policy = FlagPolicy(base, PolicyConfig())
    states = texts(4 if options.quick else 8)
    policy.encode(states)  # their beginning is known from here on
    twin = Plain(policy)
    ids = base.tokens(states)
    figures = []
    for extra, asked in (("", False), (", KL", True)):
        ours = policy.encode, policy.evaluate, policy.reference if asked else None
        theirs = list, twin.evaluate, twin.reference if asked else None
        contenders = {
            "fast": learning(states, *ours, list(policy.trainable().values())),
            "plain": learning(ids, *theirs, list(twin.trained.parameters())),
            "products": products(policy, states, reference=asked),
        }
        measured = rates(contenders, options.repeats)
        name = f"FLAG-Trader steps, {policy.config.frozen}/{base.layers} frozen{extra}"
        figures += [
            Figure.of(name, measured["fast"], "whole forward passes", measured["plain"]),
            Figure.of(name, measured["fast"], "limit: its matrix products", measured["products"]),
        ]
    return figures


if __name__ == "__main__":
    run(__doc__, measure)
