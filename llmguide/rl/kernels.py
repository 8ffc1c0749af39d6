"""The passes of one seed's update that are not matrix products, each fused into one walk over memory.

Everything here works on float32 arrays of one seed, runs on one thread and releases Python's lock. The batched network
in `llmguide.rl.network` computes the same in torch operations; a test holds the two together.

Shapes: `both` is 2 * batch rows, the states before (trained on) above the states after (which only choose the next
action). Batch norm treats the two halves apart, as two passes through the network would.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmguide.compiling import njit
from llmguide.rl.agent import BATCH_NORM_EPSILON, LEAKY_SLOPE
from llmguide.rl.noise import mask_row

__all__ = [
    "MOMENTUM",
    "largest",
    "linear_row",
    "norm_backward",
    "norm_forward",
    "norm_row",
    "output_backward",
    "td_gradient",
    "wide_output_backward",
]

MOMENTUM = 0.1
Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]
_FAST = {"contract", "reassoc", "nsz"}


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def norm_forward(
    z: Matrix,
    scale: Vector,
    shift: Vector,
    running: Matrix,
    key: np.uint64,
    first: np.uint64,
    stride: np.uint64,
    least: np.uint32,
    kept: np.float32,
    normalised: Matrix,
    slope: Matrix,
    inverse_std: Vector,
) -> None:
    """Turn a hidden layer's linear output into its output: batch norm, leaky ReLU and dropout, in place.

    Args:
        z: shape ``(2 * batch, hidden)``; becomes the layer's output.
        scale, shift: of the batch norm, shape ``(hidden,)``.
        running: running mean and variance, shape ``(2, hidden)``; moved twice, by either half.
        key, first: where the dropout's numbers begin for the upper half; `stride` further on for the lower one.
        least, kept: see `llmguide.rl.noise.mask_row`.
        normalised, slope: written, shape ``(batch, hidden)``: the normalised values and the derivative of the rest.
        inverse_std: written, shape ``(hidden,)``.
    """
    rows, hidden = z.shape
    batch = rows // 2
    share = np.float32(1.0 / batch)
    unbiased = np.float32(batch / (batch - 1.0))
    momentum, leak = np.float32(MOMENTUM), np.float32(LEAKY_SLOPE)
    mean = np.empty(hidden, dtype=np.float32)
    variance = np.empty(hidden, dtype=np.float32)
    inverse = np.empty(hidden, dtype=np.float32)
    mask = np.empty(hidden, dtype=np.float32)
    for half in range(2):
        x = z[half * batch : (half + 1) * batch]
        mean[:] = np.float32(0.0)
        variance[:] = np.float32(0.0)
        for row in range(batch):
            for j in range(hidden):
                mean[j] += x[row, j]
        for j in range(hidden):
            mean[j] *= share
        for row in range(batch):
            for j in range(hidden):
                x[row, j] -= mean[j]
                variance[j] += x[row, j] * x[row, j]
        for j in range(hidden):
            variance[j] *= share
            inverse[j] = np.float32(1.0) / np.sqrt(variance[j] + np.float32(BATCH_NORM_EPSILON))
            running[0, j] += momentum * (mean[j] - running[0, j])
            running[1, j] += momentum * (variance[j] * unbiased - running[1, j])
        begin = first + np.uint64(half) * stride
        for row in range(batch):
            mask_row(key, begin + np.uint64(row * (hidden // 2)), least, kept, mask)
            if half == 0:
                for j in range(hidden):
                    hat = x[row, j] * inverse[j]
                    y = hat * scale[j] + shift[j]
                    s = mask[j] * (np.float32(1.0) if y > 0 else leak)
                    normalised[row, j] = hat
                    slope[row, j] = s
                    x[row, j] = y * s
            else:
                for j in range(hidden):
                    y = x[row, j] * inverse[j] * scale[j] + shift[j]
                    x[row, j] = y * mask[j] * (np.float32(1.0) if y > 0 else leak)
        if half == 0:
            inverse_std[:] = inverse


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def norm_backward(
    gradient: Matrix,
    normalised: Matrix,
    slope: Matrix,
    inverse_std: Vector,
    scale: Vector,
    d_bias: Vector,
    d_scale: Vector,
    d_shift: Vector,
) -> None:
    """Turn the gradient of a hidden layer's output into that of its linear output, in place.

    `gradient`, `normalised`, `slope` have shape ``(batch, hidden)``, all others ``(hidden,)``; the last three are
    written.
    """
    batch, hidden = gradient.shape
    share = np.float32(1.0 / batch)
    d_bias[:] = np.float32(0.0)
    d_scale[:] = np.float32(0.0)
    d_shift[:] = np.float32(0.0)
    for row in range(batch):
        for j in range(hidden):
            dy = gradient[row, j] * slope[row, j]
            gradient[row, j] = dy
            d_shift[j] += dy
            d_scale[j] += dy * normalised[row, j]
    for row in range(batch):
        for j in range(hidden):
            centred = gradient[row, j] - d_shift[j] * share - normalised[row, j] * (d_scale[j] * share)
            dz = centred * (scale[j] * inverse_std[j])
            gradient[row, j] = dz
            d_bias[j] += dz


@njit(cache=True, nogil=True, error_model="numpy")
def largest(q: Vector) -> int:
    """Return the action with the largest Q-value; of equal ones the first."""
    best = 0
    for action in range(1, len(q)):
        if q[action] > q[best]:
            best = action
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def td_gradient(
    q: Matrix,
    q_target: Matrix,
    action: NDArray[np.int8],
    reward: Vector,
    live: Vector,
    discount: np.float32,
    out: Matrix,
) -> float:
    """Write the loss's gradient with respect to the Q-values of the states before, and return the Huber loss.

    Args:
        q: of the policy network in training mode, shape ``(2 * batch, actions)``.
        q_target: of the target network for the states after, shape ``(batch, actions)``.
        action, reward, live: shape ``(batch,)``; `live` is 0 where the episode ended.
        out: written, shape ``(batch, actions)``.
    """
    batch = len(q_target)
    loss = 0.0
    for row in range(batch):
        best = largest(q[batch + row])
        taken = action[row]
        error = q[row, taken] - (reward[row] + discount * q_target[row, best] * live[row])
        slope = min(max(error, np.float32(-1.0)), np.float32(1.0))
        out[row, :] = np.float32(0.0)
        out[row, taken] = slope / np.float32(batch)
        loss += slope * (error - np.float32(0.5) * slope)
    return loss / batch


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def output_backward(q_gradient: Matrix, x: Matrix, w: Matrix, d_w: Matrix, d_bias: Vector, d_x: Matrix) -> None:
    """Take a gradient back through the last linear layer of two actions.

    Args:
        q_gradient: shape ``(batch, 2)``.
        x: that layer's input, whose first ``batch`` rows count; shape ``(>= batch, hidden)``.
        w: shape ``(hidden, 2)``.
        d_w, d_bias, d_x: written, shapes ``(hidden, 2)``, ``(2,)``, ``(batch, hidden)``.
    """
    batch, hidden = d_x.shape
    d_w[:] = np.float32(0.0)
    d_bias[:] = np.float32(0.0)
    for row in range(batch):
        a, b = q_gradient[row, 0], q_gradient[row, 1]
        d_bias[0] += a
        d_bias[1] += b
        for j in range(hidden):
            d_w[j, 0] += x[row, j] * a
            d_w[j, 1] += x[row, j] * b
            d_x[row, j] = a * w[j, 0] + b * w[j, 1]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def wide_output_backward(q_gradient: Matrix, x: Matrix, w: Matrix, d_w: Matrix, d_bias: Vector, d_x: Matrix) -> None:
    """Do what `output_backward` does for any number of actions, in place of the two in its shapes."""
    batch, hidden = d_x.shape
    d_w[:] = np.float32(0.0)
    d_bias[:] = np.float32(0.0)
    d_x[:] = np.float32(0.0)
    for row in range(batch):
        for action in range(len(d_bias)):
            a = q_gradient[row, action]
            d_bias[action] += a
            for j in range(hidden):
                d_w[j, action] += x[row, j] * a
                d_x[row, j] += a * w[j, action]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def linear_row(x: Vector, w: Matrix, bias: Vector, out: Vector) -> None:
    """Write ``x @ w + bias`` for one row, reading the weights once and in order."""
    for j in range(len(out)):
        out[j] = bias[j]
    for i in range(len(x)):
        value = x[i]
        for j in range(len(out)):
            out[j] += value * w[i, j]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def norm_row(x: Vector, scale: Vector, shift: Vector, running: Matrix) -> None:
    """Apply batch norm and leaky ReLU in evaluation mode to one row, in place."""
    epsilon, leak = np.float32(BATCH_NORM_EPSILON), np.float32(LEAKY_SLOPE)
    for j in range(len(x)):
        y = (x[j] - running[0, j]) / np.sqrt(running[1, j] + epsilon) * scale[j] + shift[j]
        x[j] = y if y > 0 else leak * y
