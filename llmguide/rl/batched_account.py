"""The benchmark's account for many runs at once, in torch operations, where the runs live on a GPU.

The rules are those of `llmguide.trading.account.transition`, operation by operation; a test holds the two together to
the last bit. Every argument is a tensor of shape ``(runs,)``, float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from llmguide.trading.account import COVER_MARGIN

__all__ = ["transition"]


def transition(
    side: Tensor,
    shares: Tensor,
    cash: Tensor,
    decision: Tensor,
    price: Tensor,
    previous_price: Tensor,
    cost: float,
    *,
    flat: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Carry out one decision in each account and return ``(side, shares, cash, reward)``.

    `decision` is 1 long or 0 short, and with `flat` also -1 flat.
    """
    before = cash + side * shares * previous_price
    long = decision > 0

    bought_back = torch.where(side < 0, cash - shares * price * (1.0 + cost), cash)
    long_shares = torch.where(side > 0, shares, torch.floor(bought_back / (price * (1.0 + cost))))
    long_cash = torch.where(side > 0, cash, bought_back - long_shares * price * (1.0 + cost))

    sold = torch.where(side > 0, cash + shares * price * (1.0 - cost), cash)
    new_shares = torch.floor(sold / (price * (1.0 + cost)))
    new_cash = sold + new_shares * price * (1.0 - cost)

    deficit = shares * previous_price * (1.0 + COVER_MARGIN) * (1.0 + cost) - cash
    bound = torch.where(
        deficit < 0,
        deficit / (previous_price * (2.0 * cost + COVER_MARGIN * (1.0 + cost))),
        deficit / (previous_price * COVER_MARGIN * (1.0 + cost)),
    )
    covered = (decision == 0) & (side < 0) & (bound > 0)
    cover = torch.where(bound > 0, torch.minimum(torch.floor(bound), shares), torch.zeros_like(shares))
    kept_cash = torch.where(bound > 0, cash - cover * price * (1.0 + cost), cash)

    short_shares = torch.where(side < 0, shares - cover, new_shares)
    short_cash = torch.where(side < 0, kept_cash, new_cash)
    after_shares = torch.where(long, long_shares, short_shares)
    after_cash = torch.where(long, long_cash, short_cash)
    after_side = torch.where(long, torch.ones_like(side), -torch.ones_like(side))
    if flat:
        closed = decision < 0
        holdings = side * shares * price
        proceeds = torch.where(side > 0, holdings * (1.0 - cost), holdings * (1.0 + cost))
        after_cash = torch.where(closed, cash + proceeds, after_cash)
        after_shares = torch.where(closed, 0.0, after_shares)
        after_side = torch.where(closed, 0.0, after_side)

    value = after_cash + after_side * after_shares * price
    reward = torch.where(before == 0.0, torch.zeros_like(value), value / before - 1.0)
    reward = torch.where(covered, (previous_price - price) / previous_price, reward)
    return after_side, after_shares, after_cash, reward
