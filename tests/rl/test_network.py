"""The batched learner against torch's modules and optimiser, and one seed's fused learner against the batched one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from llmguide.rl.adam import Adam, clip_and_step, reference_step
from llmguide.rl.agent import HIDDEN_LAYERS, QFunction
from llmguide.rl.batched_dqn import BatchedLearner, Transitions
from llmguide.rl.config import DQNConfig
from llmguide.rl.double_dqn import Learner
from llmguide.rl.experience import Batch, greedy
from llmguide.rl.network import BatchedMLP, Layout
from llmguide.rl.noise import Keys, dropout_masks, reference_masks
from llmguide.rl.products import plain_product, product

INPUTS, HIDDEN, BATCH = 11, 24, 8
CPU = torch.device("cpu")


def make_network(seeds):
    return BatchedMLP.initialise(Layout(INPUTS, HIDDEN), [Keys.of(seed).generator() for seed in seeds], CPU)


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
            norm.running_mean.copy_(network.running[row, layer - 1, 0])
            norm.running_var.copy_(network.running[row, layer - 1, 1])
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

    def parameters_in_order(self):
        """As `Layout` stores them: matrices, vectors, last layer; a matrix is torch's transposed."""
        matrices = [linear.weight for linear in self.linear]
        layers = zip(self.linear, self.norm, strict=True)
        vectors = [vector for linear, norm in layers for vector in (linear.bias, norm.weight, norm.bias)]
        return [*matrices, *vectors, self.last.weight, self.last.bias]

    def flat_gradient(self):
        return torch.cat([p.grad.t().reshape(-1) for p in self.parameters_in_order()])

    def flat(self):
        return torch.cat([p.t().reshape(-1) for p in self.parameters_in_order()]).detach()


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
            torch.testing.assert_close(network.running[row, layer, 0], module.norm[layer].running_mean)
            torch.testing.assert_close(network.running[row, layer, 1], module.norm[layer].running_var)


def test_evaluation_is_torchs_and_the_folded_networks():
    learner = BatchedLearner(INPUTS, DQNConfig(hidden=HIDDEN), [Keys.of(0), Keys.of(1)], CPU)
    learner.policy.running.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(1))
    x = torch.randn(2, 5, INPUTS, generator=torch.Generator().manual_seed(2))
    q = learner.policy.evaluate(x)
    for row in range(2):
        torch.testing.assert_close(q[row], OneSeed(learner.policy, row).eval()(x[row]).detach(), rtol=1e-4, atol=1e-5)
        folded = QFunction.fold(learner.weights(row))(x[row].numpy())
        np.testing.assert_allclose(folded, q[row].numpy(), rtol=1e-4, atol=1e-5)


def test_the_initial_weights_are_xavier_uniform():
    network = BatchedMLP.initialise(Layout(118, 512), [Keys.of(7).generator()], CPU)
    for layer, (rows, columns) in ((1, (118, 512)), (2, (512, 512))):
        weight = network.params[f"fc{layer}.weight"]
        bound = (6 / (rows + columns)) ** 0.5
        assert 0.99 * bound < weight.abs().max() <= bound
        assert abs(weight.std() / (bound / 3**0.5) - 1) < 0.01
    assert (network.params["bn3.weight"] == 1).all()
    assert (network.params["bn3.bias"] == 0).all()


def test_clipping_and_adam_are_torchs_in_both_versions():
    generator = torch.Generator().manual_seed(3)
    config = DQNConfig(learning_rate=1e-3, weight_decay=1e-2)
    start = torch.randn(2, 40_000, generator=generator)
    gradients = [torch.randn(2, 40_000, generator=generator) * size for size in (1e-4, 1.0, 0.01, 1e-3)]
    parameters = [nn.Parameter(row.clone()) for row in start]
    optimisers = [torch.optim.Adam([p], lr=1e-3, weight_decay=1e-2) for p in parameters]
    fused, plain, state = start.clone(), start.clone(), Adam.like(start, config)
    moments = np.zeros((2, 2, 40_000), dtype=np.float32)
    for steps, gradient in enumerate(gradients, start=1):
        for row, (parameter, optimiser) in enumerate(zip(parameters, optimisers, strict=True)):
            parameter.grad = gradient[row].clone()
            nn.utils.clip_grad_norm_([parameter], 1.0)
            optimiser.step()
            g = gradient[row].numpy()
            matrices = (g[:6_000].reshape(60, 100), g[6_000:30_000].reshape(240, 100))
            clip_and_step(config, steps, fused[row].numpy(), matrices, g[30_000:], *moments[row])
        reference_step(state, plain, gradient)
    expected = torch.stack([p.detach() for p in parameters])
    torch.testing.assert_close(fused, expected, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(plain, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("rows", [1, 8, 64])
def test_products_are_numpys_through_either_library_with_bias_slope_and_transposed_views(rows):
    random = np.random.default_rng(rows)
    x, w, bias = (random.normal(size=shape).astype(np.float32) for shape in ((rows, 37), (37, 48), (48,)))
    expected = x.astype(float) @ w + bias
    for multiply in (product, plain_product):
        tensors = torch.from_numpy(x), torch.from_numpy(w), torch.from_numpy(bias)
        np.testing.assert_allclose(multiply(*tensors), expected, rtol=1e-5, atol=1e-5)
        leaky = multiply(*tensors, leaky_slope=0.01)
        np.testing.assert_allclose(leaky, np.where(expected > 0, expected, 0.01 * expected), rtol=1e-5, atol=1e-5)
        back = multiply(torch.from_numpy(expected.astype(np.float32)), tensors[1].t())
        np.testing.assert_allclose(back, expected @ w.T.astype(float), rtol=1e-4, atol=1e-4)
        gradient = multiply(tensors[0].t(), torch.from_numpy(expected.astype(np.float32)))
        np.testing.assert_allclose(gradient, x.T.astype(float) @ expected, rtol=1e-4, atol=1e-4)


def test_dropout_has_its_rate_its_scale_and_the_same_bits_in_both_versions():
    keys = np.array([Keys.of(seed).dropout for seed in (0, 1)], dtype=np.uint64)
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
    learner = BatchedLearner(INPUTS, config, [Keys.of(0), Keys.of(1)], CPU)
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

    stay, go = (BatchedLearner(INPUTS, config, [Keys.of(seed) for seed in range(3)], CPU) for _ in range(2))
    for update in range(4):
        state = generator.get_state()
        stay.update(batch([0, 1, 2]))
        generator.set_state(state)
        if update == 2:
            go.keep(torch.tensor(rows))
        go.update(batch([0, 1, 2] if update < 2 else rows))
    assert torch.equal(stay.policy.flat[rows], go.policy.flat)
    assert torch.equal(stay.policy.running[rows], go.policy.running)


def as_transitions(batches):
    """The batches of some seeds, as the batched learner takes them."""
    size = len(batches[0].action)

    def stack(name):
        return torch.stack([torch.from_numpy(getattr(batch, name).copy()) for batch in batches])

    states = stack("states")
    return Transitions(states[:, :size], stack("action").long(), stack("reward"), stack("live"), states[:, size:])


def test_one_seeds_fused_learner_does_what_the_batched_one_does():
    config = DQNConfig(hidden=HIDDEN, batch=BATCH, learning_rate=1e-3, target_update=3)
    keys = [Keys.of(0), Keys.of(1)]
    batched, alone = BatchedLearner(INPUTS, config, keys, CPU), [Learner(INPUTS, config, key) for key in keys]
    random = np.random.default_rng(6)
    real = torch.ones_like(batched.policy.flat, dtype=torch.bool)
    for update in range(8):
        batches = []
        for _ in keys:
            batch = Batch.empty(BATCH, INPUTS)
            batch.states[:] = random.normal(size=batch.states.shape)
            batch.action[:], batch.live[:] = random.integers(2, size=(2, BATCH))
            batch.reward[:] = 2 * random.normal(size=BATCH)
            batches.append(batch)
        losses = batched.update(as_transitions(batches))
        np.testing.assert_allclose(losses, [seed.update(b) for seed, b in zip(alone, batches, strict=True)], rtol=1e-4)
        if update == 3:
            for learner in (batched, *alone):
                learner.copy_to_target()
        # A bias before a batch norm has no influence; its gradient is rounding noise, which Adam blows up.
        real &= batched.adam.square > 1e-12
        for row, seed in enumerate(alone):
            ours, theirs = seed.state(), batched.state(row)
            np.testing.assert_allclose(ours.flat[real[row]], theirs.flat[real[row]], rtol=1e-3, atol=1e-5)
            for name in ("running", "target_running"):
                a, b = getattr(ours, name), getattr(theirs, name)
                np.testing.assert_allclose(a[:, 0], b[:, 0], atol=2e-3)  # the mean carries that bias
                np.testing.assert_allclose(a[:, 1], b[:, 1], rtol=1e-3, atol=1e-4)
            assert ours.updates == theirs.updates == update + 1
    assert real.float().mean() > 0.9
    observations = random.normal(size=(50, INPUTS)).astype(np.float32)
    for row, seed in enumerate(alone):
        q = QFunction.fold(seed.weights())(observations)
        chosen = [greedy(seed.network, observation) for observation in observations]
        np.testing.assert_array_equal(chosen, q[:, 1] > q[:, 0])
        both = torch.from_numpy(np.stack([observations[0]] * 2))
        assert batched.act(both)[row] == chosen[0]
