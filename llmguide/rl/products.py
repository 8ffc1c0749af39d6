"""The matrix products of training on a processor.

`torch.mm` multiplies float32 by MKL. The oneDNN in the same torch was up to twice as fast for the shapes of an update
where this was measured, on an AMD EPYC (`benchmarks/dqn_updates.py` has both). torch has no public
switch for it; its compiler reaches it by the operator used here. Where a build of torch lacks that, `torch.addmm` does
the same, rounded differently. Which of the two it is does not change while a process lives.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["HAS_ONEDNN", "product"]

HAS_ONEDNN: bool = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)
"""Whether products go through oneDNN."""


def product(x: Tensor, w: Tensor, bias: Tensor | None = None, *, leaky_slope: float | None = None) -> Tensor:
    """Return ``x @ w + bias``, through a leaky ReLU where `leaky_slope` is given.

    Args:
        x: shape ``(rows, inner)``, float32; transposed views need no copy.
        w: shape ``(inner, columns)``, the same.
        bias: shape ``(columns,)``.
    """
    if not HAS_ONEDNN:
        return plain_product(x, w, bias, leaky_slope=leaky_slope)
    activation, scalars = ("none", []) if leaky_slope is None else ("leaky_relu", [leaky_slope])
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, w.t(), bias, activation, scalars, "")
    return result


def plain_product(x: Tensor, w: Tensor, bias: Tensor | None = None, *, leaky_slope: float | None = None) -> Tensor:
    """Do what `product` does, by torch's ordinary operations."""
    result = torch.mm(x, w) if bias is None else torch.addmm(bias, x, w)
    return result if leaky_slope is None else torch.nn.functional.leaky_relu_(result, leaky_slope)
