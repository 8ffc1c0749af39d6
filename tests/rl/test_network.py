"""The batched network, its written-out gradient, the optimiser and the dropout against torch's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from llmguide.rl.adam import Adam, clip_and_step, reference_step
from llmguide.rl.agent import HIDDEN_LAYERS, QFunction
from llmguide.rl.config import DQNConfig
from llmguide.rl.double_dqn import Learner, Transitions
from llmguide.rl.network import BatchedMLP, Layout
from llmguide.rl.noise import Streams, dropout_masks, reference_masks

INPUTS, HIDDEN, BATCH = 11, 24, 8
CPU = torch.device("cpu")


def make_network(seeds):
    return BatchedMLP.initialise(Layout(INPUTS, HIDDEN), [Streams(seed).weights for seed in seeds], CPU)


class OneSeed(nn.Module):
    """The published network as torch's users write it, with the dropout's factors given."""

    def __init__(self, network, row):
        super().__init__()
        width = INPUTS
        self.linear, self.norm = nn.ModuleList(), nn.ModuleList()
        for layer in range(1, HIDDEN_LAYERS + 1):
            linear, norm = nn.Linear(width, HIDDEN), nn.BatchNorm1d(HIDDEN)
            p = {name: view[row].detach().clone() for name, view in network.params.items()}
            linear.weight.data, linear.bias.data = p[f"fc{layer}.weight"].T.clone(), p[f"fc{layer}.bias"][0]
            norm.weight.data, norm.bias.data = p[f"bn{layer}.weight"][0], p[f"bn{layer}.bias"][0]
            norm.running_mean.copy_(network.running[row, 0, layer - 1])
            norm.running_var.copy_(network.running[row, 1, layer - 1])
            self.linear.append(linear)
            self.norm.append(norm)
            width = HIDDEN
        self.last = nn.Linear(HIDDEN, 2)
        self.last.weight.data, self.last.bias.data = p["fc5.weight"].T.clone(), p["fc5.bias"][0]

    def forward(self, x, masks=None):
        for layer in range(HIDDEN_LAYERS):
            x = nn.functional.leaky_relu(self.norm[layer](self.linear[layer](x)))
            if masks is not None:
                x = x * masks[layer]
        return self.last(x)

    def flat_gradient(self):
        parts = []
        for linear, norm in zip(self.linear, self.norm, strict=True):
            parts += [linear.weight.grad.T.reshape(-1), linear.bias.grad, norm.weight.grad, norm.bias.grad]
        return torch.cat([*parts, self.last.weight.grad.T.reshape(-1), self.last.bias.grad])

    def flat(self):
        parts = []
        for linear, norm in zip(self.linear, self.norm, strict=True):
            parts += [linear.weight.T.reshape(-1), linear.bias, norm.weight, norm.bias]
        return torch.cat([*parts, self.last.weight.T.reshape(-1), self.last.bias]).detach()


def test_training_passes_and_gradient_are_autograds():
    network = make_network([0, 1, 2])
    modules = [OneSeed(network, row).train() for row in range(3)]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, BATCH, INPUTS, generator=generator)
    masks = (torch.rand(3, HIDDEN_LAYERS, BATCH, HIDDEN, generator=generator) > 0.2).float() / 0.8
    q_gradient = torch.randn(3, BATCH, 2, generator=generator)
    q, forward = network.train_forward(x, masks)
    flat = torch.zeros_like(network.flat)
    network.backward(q_gradient.clone(), forward, network.layout.views(flat))
    for row, module in enumerate(modules):
        expected = module(x[row], masks[row])
        expected.backward(q_gradient[row])
        torch.testing.assert_close(q[row], expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(flat[row], module.flat_gradient(), rtol=1e-4, atol=1e-5)
        for layer in range(HIDDEN_LAYERS):
            torch.testing.assert_close(network.running[row, 0, layer], module.norm[layer].running_mean)
            torch.testing.assert_close(network.running[row, 1, layer], module.norm[layer].running_var)


def test_evaluation_is_torchs_and_the_folded_networks():
    learner = Learner(INPUTS, DQNConfig(hidden=HIDDEN), [Streams(0), Streams(1)], CPU)
    learner.policy.running.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(1))
    x = torch.randn(2, 5, INPUTS, generator=torch.Generator().manual_seed(2))
    q = learner.policy.evaluate(x)
    for row in range(2):
        torch.testing.assert_close(q[row], OneSeed(learner.policy, row).eval()(x[row]).detach(), rtol=1e-4, atol=1e-5)
        folded = QFunction.fold(learner.weights(row))(x[row].numpy())
        np.testing.assert_allclose(folded, q[row].numpy(), rtol=1e-4, atol=1e-5)


def test_the_initial_weights_are_xavier_uniform():
    network = BatchedMLP.initialise(Layout(118, 512), [Streams(7).weights], CPU)
    for layer, (rows, columns) in ((1, (118, 512)), (2, (512, 512))):
        weight = network.params[f"fc{layer}.weight"]
        bound = (6 / (rows + columns)) ** 0.5
        assert 0.99 * bound < weight.abs().max() <= bound
        assert abs(weight.std() / (bound / 3**0.5) - 1) < 0.01
    assert (network.params["bn3.weight"] == 1).all()
    assert (network.params["bn3.bias"] == 0).all()


def test_clipping_and_adam_are_torchs_in_both_versions():
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(2, 40_000, generator=generator)
    gradients = [torch.randn(2, 40_000, generator=generator) * size for size in (1e-4, 1.0, 0.01, 1e-3)]
    parameters = [nn.Parameter(row.clone()) for row in start]
    optimisers = [torch.optim.Adam([p], lr=1e-3, weight_decay=1e-2) for p in parameters]
    fused, plain = start.clone(), start.clone()
    states = [Adam.like(start, learning_rate=1e-3, weight_decay=1e-2, clip=1.0) for _ in range(2)]
    for gradient in gradients:
        for row, (parameter, optimiser) in enumerate(zip(parameters, optimisers, strict=True)):
            parameter.grad = gradient[row].clone()
            nn.utils.clip_grad_norm_([parameter], 1.0)
            optimiser.step()
        clip_and_step(states[0], fused, gradient.clone())
        reference_step(states[1], plain, gradient.clone())
    expected = torch.stack([p.detach() for p in parameters])
    torch.testing.assert_close(fused, expected, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(plain, expected, rtol=1e-5, atol=2e-6)


def test_dropout_has_its_rate_its_scale_and_the_same_bits_in_both_versions():
    keys = np.array([Streams(seed).dropout_key for seed in (0, 1)], dtype=np.uint64)
    fast, plain = torch.empty(2, 8, 32, 512), torch.empty(2, 8, 32, 512)
    dropout_masks(keys, 5, 0.2, fast)
    reference_masks(keys, 5, 0.2, plain)
    assert torch.equal(fast, plain)
    assert set(fast.unique().tolist()) == {0.0, 1.25}
    assert abs((fast == 0).float().mean() - 0.2) < 0.005
    again = torch.empty_like(fast)
    dropout_masks(keys, 6, 0.2, again)
    agreement = ((fast == 0) & (again == 0)).float().mean()
    assert abs(agreement - 0.04) < 0.003  # independent of the update before, and below of the other seed
    assert abs(((fast[0] == 0) & (fast[1] == 0)).float().mean() - 0.04) < 0.003
    flat = (fast[0] == 0).float().flatten()
    assert abs(torch.corrcoef(torch.stack([flat[:-1], flat[1:]]))[0, 1]) < 0.01


def double_dqn_gradient(module, target, batch, masks, row, discount):
    """Eq. 4 of arXiv 1509.06461 with autograd, in the order of the authors' code."""
    q = module(batch.s_tm1[row], masks[row, :HIDDEN_LAYERS]).gather(1, batch.a_tm1[row][:, None])[:, 0]
    with torch.no_grad():
        best = module(batch.s_t[row], masks[row, HIDDEN_LAYERS:]).argmax(dim=1, keepdim=True)
        bootstrap = target(batch.s_t[row]).gather(1, best)[:, 0] * batch.live_t[row]
    loss = nn.functional.smooth_l1_loss(q, batch.r_t[row] + discount * bootstrap)
    loss.backward()
    return loss


def test_an_update_is_double_dqns_with_torchs_optimiser():
    config = DQNConfig(hidden=HIDDEN, batch=BATCH, learning_rate=1e-2)
    learner = Learner(INPUTS, config, [Streams(0), Streams(1)], CPU)
    modules = [OneSeed(learner.policy, row).train() for row in range(2)]
    targets = [OneSeed(learner.policy, row).eval() for row in range(2)]
    optimisers = [torch.optim.Adam(m.parameters(), lr=1e-2, weight_decay=1e-6) for m in modules]
    generator = torch.Generator().manual_seed(4)
    masks = torch.empty(2, 2 * HIDDEN_LAYERS, BATCH, HIDDEN)
    real = torch.ones_like(learner.policy.flat, dtype=torch.bool)
    for update in range(3):
        batch = Transitions(
            s_tm1=torch.randn(2, BATCH, INPUTS, generator=generator),
            a_tm1=torch.randint(2, (2, BATCH), generator=generator),
            r_t=torch.randn(2, BATCH, generator=generator) * 2,
            live_t=torch.randint(2, (2, BATCH), generator=generator).float(),
            s_t=torch.randn(2, BATCH, INPUTS, generator=generator),
        )
        dropout_masks(learner.keys, update, config.dropout, masks)
        losses = learner.update(batch)
        for row in range(2):
            optimisers[row].zero_grad()
            expected = double_dqn_gradient(modules[row], targets[row], batch, masks, row, config.discount)
            nn.utils.clip_grad_norm_(modules[row].parameters(), 1.0)
            optimisers[row].step()
            torch.testing.assert_close(losses[row], expected.detach(), rtol=1e-4, atol=1e-5)
            # A bias before a batch norm has no influence; its gradient is rounding noise, which Adam blows up.
            real[row] &= learner.adam.square[row] > 1e-12
            assert real[row].float().mean() > 0.9
            torch.testing.assert_close(
                learner.policy.flat[row][real[row]], modules[row].flat()[real[row]], rtol=1e-3, atol=2e-4
            )


@pytest.mark.parametrize("rows", [[0], [2, 0]])
def test_leaving_seeds_do_not_disturb_the_others(rows):
    config = DQNConfig(hidden=HIDDEN, batch=BATCH)
    generator = torch.Generator().manual_seed(5)

    def batch(seeds):
        return Transitions(
            s_tm1=torch.randn(3, BATCH, INPUTS, generator=generator)[seeds],
            a_tm1=torch.randint(2, (3, BATCH), generator=generator)[seeds],
            r_t=torch.randn(3, BATCH, generator=generator)[seeds],
            live_t=torch.ones(3, BATCH)[seeds],
            s_t=torch.randn(3, BATCH, INPUTS, generator=generator)[seeds],
        )

    streams = [Streams(seed) for seed in range(3)]
    stay, go = Learner(INPUTS, config, streams, CPU), Learner(INPUTS, config, [Streams(s) for s in range(3)], CPU)
    for update in range(4):
        state = generator.get_state()
        stay.update(batch([0, 1, 2]))
        generator.set_state(state)
        if update == 2:
            go.keep(np.array(rows))
        go.update(batch([0, 1, 2] if update < 2 else rows))
    assert torch.equal(stay.policy.flat[rows], go.policy.flat)
    assert torch.equal(stay.policy.running[rows], go.policy.running)
