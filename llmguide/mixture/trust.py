"""Which expert a mixture trusted when, on what record, and what came of it: the data of a page.

Everything is measured afterwards, on the bars that a mixture was followed on; nothing of it decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import DataError, LlmguideError
from llmguide.inline import Inline, Shown, Table
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.mixture.experts import as_stamp
from llmguide.mixture.result import Mix
from llmguide.numbers import number, percent
from llmguide.periods import periods_of
from llmguide.trading.simulate import returns_of, simulate
from llmguide.trading.sizing import BAND

__all__ = ["HOLD", "MIXTURE", "SIZING", "Review", "review"]

Array = NDArray[np.float64]

MIXTURE, HOLD = "the mixture", "buy and hold"
"""What a review calls the mixture, and holding beside experts of whom none always holds."""
SIZING = "sizing"
"""What an account earns beside the mean of its experts' sides (see `Review.contributions`)."""


@dataclass(frozen=True, eq=False, repr=False)
class Review(Inline):
    """A review of a mixture over its test bars; the traded ones among them begin `start` bars later.

    A result is a fraction, NaN where it is undefined. A side taken at the close of one bar earns the next one's return.

    Attributes:
        mixed: the mixture, including the bars before the test.
        values: each account's value at every test bar: the mixture, every expert alone, and buy and hold where no
            expert always holds. The experts' sides are held as fractions of the account, under the mixture's limits.
        measures: a row for each of these accounts: sharpe (annual, idle bars included), max_drawdown, total_return,
            exposure (share of bars with shares), turnover (traded value a year over the mean value of the account).
        trust: a row for each expert, over the traded bars: weight (mean), first_weight, last_weight, trusted (share of
            bars with a weight above 0), speaks (share with an opinion), record (mean), last_record, first_bars and
            last_bars (own bars that the record stood on, at the first traded bar and at the last), long (mean side).
        earned: results of each expert in standard deviations of the market, summed over all bars, those before the test
            included; NaN before the first one.
        agreement: a row for each pair of experts: a, b, bars (traded ones on which both have a side that is not flat,
            and whose next return is known and not 0), same (share on the same side), apart (bars on opposite sides),
            a_right (how many of these moved in favour of a; the others moved in favour of b).
        months: a row for each calendar month of the traded bars: bars, price (return), disputed (share of bars that two
            experts entered on opposite sides), mixture (return of its account).
        month_sides: mean side with which each expert entered the month's bars; NaN without an opinion.
        month_results: what each expert earned in the month, after cost, with all of the account on its side (sum over
            bars); NaN without an opinion.
        contributions: a row for each expert, and `SIZING`: gain, cost and net, as sums of returns per bar. An expert's
            gain is the sum of weight times side times the next return. A trade's cost is apportioned by how much each
            expert's weight times side has moved since the trade before. `SIZING` has the rest of the account's returns:
            whole shares, band, limits, all in instead of the fraction, and fills at prices other than the close. All
            rows add up to the sum of the account's returns.
        start: idle bars at the beginning of the test bars.
        periods: bars per year.
        settings: how the account was traded.
    """

    mixed: Mix
    values: pd.DataFrame
    measures: pd.DataFrame
    trust: pd.DataFrame
    earned: pd.DataFrame
    agreement: pd.DataFrame
    months: pd.DataFrame
    month_sides: pd.DataFrame
    month_results: pd.DataFrame
    contributions: pd.DataFrame
    start: int
    periods: float
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def traded(self) -> pd.DatetimeIndex:
        """The dates of the traded bars."""
        return pd.DatetimeIndex(self.values.index[self.start :])

    @property
    def weights(self) -> pd.DataFrame:
        """Each expert's weight at every traded bar."""
        return self.mixed.weights.loc[self.traded]

    def __repr__(self) -> str:
        shares = ", ".join(f"{name} {weight:.0%}" for name, weight in self.trust["weight"].items())
        return f"Review({len(self.traded):,} traded bars; mean weights {shares})"

    def __str__(self) -> str:
        return Inline.__repr__(self)

    def _shown(self) -> Shown:
        best = self.measures["sharpe"].dropna().sort_values(ascending=False, kind="stable")
        verdict = f"Highest Sharpe ratio: {best.index[0]} with {number(best.iloc[0])}" if len(best) else "Nobody traded"
        rows = [
            [str(name), number(row["sharpe"]), number(row["max_drawdown"]), percent(row["total_return"]),
             percent(row["exposure"])]
            for name, row in self.measures.iterrows()
        ]  # fmt: skip
        trust = [[str(name), percent(row["weight"]), number(row["record"], 3)] for name, row in self.trust.iterrows()]
        return Shown(
            f"{verdict}, over {len(self.traded):,} traded bars.",
            [
                Table("every account", ["account", "Sharpe", "MDD", "return", "exposure"], rows),
                Table("trust, mean", ["expert", "weight", "record"], trust),
            ],
        )


def review(
    mixed: Mix,
    since: str | date | np.datetime64 | None = None,
    *,
    start: int = 30,
    all_in: bool = False,
    long_only: bool = False,
    max_leverage: float = 1.0,
    band: float = BAND,
    cash: float = 100_000.0,
    periods: float | None = None,
    account: pd.DataFrame | None = None,
) -> Review:
    """Review a mixture: which experts it trusted, on what record, and what each was worth.

    ``review(llmguide.mix(bars, experts), since=test.index[0])``

    Args:
        mixed: what `llmguide.mix` returned, or `mixed` of the strategy `MixtureOfExperts` after a run.
        since: date of the first test bar, at which the accounts start; None is the very first bar.
        start: idle bars at the beginning of the test bars, as in `llmguide.simulate`.
        all_in: the position's sign was held, as by ``MixtureOfExperts(all_in=True)``.
        long_only: as in `llmguide.simulate`.
        max_leverage: as in `llmguide.simulate`.
        band: as in `llmguide.simulate`.
        cash: initial capital of every account; the cost is that of `mixed`.
        periods: bars per year; None reads it from the dates.
        account: the mixture's account on the test bars, as `llmguide.backtest.run_backtest` returns it; None for that
            of ``simulate(bars, weights=...)``.

    Returns:
        A `Review`.

    Raises LlmguideError for bars without dates, an expert with a reserved name, and where no test bar is left to trade;
    DataError for an impossible account.
    """
    if not isinstance(mixed.closes.index, pd.DatetimeIndex):
        raise LlmguideError("a review is by month and needs bars with dates; read them with llmguide.read_bars")
    for name in (MIXTURE, HOLD, SIZING):
        if name in mixed.names:
            raise LlmguideError(
                f"an expert cannot be called {name!r} in a review, which has a row of that name; rename it"
            )
    first = 0 if since is None else int(mixed.closes.index.searchsorted(as_stamp(since)))
    closes = mixed.closes.iloc[first:]
    if len(closes) <= start + 1:
        raise LlmguideError(f"expected test bars beyond the {start} idle ones, got {len(closes)} since {since}")
    year = periods_of(closes, periods)
    limits: dict[str, Any] = {"long_only": long_only, "max_leverage": max_leverage, "band": band, "cash": cash}
    bars, traded = closes.to_frame("close"), slice(first + start, None)
    sides = mixed.sides.iloc[traded].fillna(0.0)
    held = mixed.positions.iloc[traded].to_numpy()
    wanted: dict[str, Any] = {MIXTURE: np.sign(held) if all_in else held}
    wanted |= {name: sides[name].to_numpy() for name in mixed.names}
    if not any((sides[name] == 1.0).all() for name in mixed.names):
        wanted[HOLD] = np.ones(len(sides))
    accounts = {
        name: simulate(bars, weights=weights, cost=mixed.cost, start=start, **limits)
        for name, weights in wanted.items()
    }
    if account is not None:
        accounts[MIXTURE] = _checked(account, closes.index)
    months = pd.DatetimeIndex(closes.index[start:]).to_period("M")
    month_sides, month_results, disputed = _by_month(mixed, closes, start)
    returns = accounts[MIXTURE]["returns"].iloc[start:]
    changes = returns_of(closes.to_numpy())[start:]
    return Review(
        mixed=mixed,
        values=pd.DataFrame({name: account["value"] for name, account in accounts.items()}),
        measures=pd.DataFrame.from_dict(
            {name: _measures(account, closes, year) for name, account in accounts.items()}, orient="index"
        ),
        trust=_trust(mixed, traded),
        earned=mixed.results.fillna(0.0).cumsum().where(mixed.results.notna().cummax()),
        agreement=_agreement(mixed.sides.iloc[traded].iloc[:-1], changes[1:]),
        months=pd.DataFrame(
            {
                "bars": pd.Series(1, months).groupby(level=0).sum(),
                "price": _compounded(changes, months),
                "disputed": disputed,
                "mixture": _compounded(returns.to_numpy(), months),
            }
        ),
        month_sides=month_sides,
        month_results=month_results,
        contributions=_contributions(mixed, accounts[MIXTURE], closes, start),
        start=start,
        periods=year,
        settings={"all_in": all_in, "cost": mixed.cost} | limits,
    )


def _checked(account: pd.DataFrame, dates: pd.Index[Any]) -> pd.DataFrame:
    if not account.index.equals(dates):
        raise DataError(
            f"expected the account at the {len(dates)} test bars from {dates[0]:%Y-%m-%d} on, got one of "
            f"{len(account)} bars; pass the date of its first bar as since="
        )
    return account


def _measures(account: pd.DataFrame, closes: pd.Series[Any], year: float) -> dict[str, float]:
    value = account["value"]
    traded = float((_shares_moved(account) * closes.to_numpy()).sum())
    mean = float(value.mean())
    return {
        "sharpe": sharpe_ratio(account["returns"], periods=year),
        "max_drawdown": max_drawdown(value),
        "total_return": float(value.iloc[-1] / value.iloc[0] - 1.0),
        "exposure": float((account["shares"] != 0).mean()),
        "turnover": traded / mean * year / len(value) if mean > 0 else float("nan"),
    }


def _shares_moved(account: pd.DataFrame) -> Array:
    """Return how many shares change hands at each bar."""
    return np.abs(np.diff((account["side"] * account["shares"]).to_numpy(dtype=np.float64), prepend=0.0))


def _trust(mixed: Mix, traded: slice) -> pd.DataFrame:
    weights, records, sides, counts = (
        frame.iloc[traded] for frame in (mixed.weights, mixed.records, mixed.sides, mixed.counts)
    )
    return pd.DataFrame(
        {
            "weight": weights.mean(),
            "first_weight": weights.iloc[0],
            "last_weight": weights.iloc[-1],
            "trusted": (weights > 0.0).mean(),
            "speaks": sides.notna().mean(),
            "record": records.mean(),
            "last_record": records.iloc[-1],
            "first_bars": counts.iloc[0],
            "last_bars": counts.iloc[-1],
            "long": sides.mean(),
        }
    )


def _agreement(sides: pd.DataFrame, following: Array) -> pd.DataFrame:
    """Return how often two experts were on one side, and who was right where they were not."""
    signs, way = np.sign(sides.fillna(0.0).to_numpy()), np.sign(following)  # (bars, experts), (bars,)
    rows = []
    for (i, a), (j, b) in combinations(enumerate(sides), 2):
        one, other = signs[:, i], signs[:, j]
        both = (one != 0.0) & (other != 0.0) & (way != 0.0)
        apart = both & (one != other)
        count = int(both.sum())
        rows.append(
            {
                "a": a,
                "b": b,
                "bars": count,
                "same": float((both & ~apart).sum() / count) if count else float("nan"),
                "apart": int(apart.sum()),
                "a_right": int((apart & (one == way)).sum()),
            }
        )
    return pd.DataFrame(rows, columns=["a", "b", "bars", "same", "apart", "a_right"])


def _by_month(mixed: Mix, closes: pd.Series[Any], start: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series[Any]]:
    """Return mean sides and results of each month, and the share of its bars that were disputed."""
    sides = mixed.sides.loc[closes.index[start:]]
    came = sides.shift()
    months = pd.DatetimeIndex(sides.index).to_period("M")
    moved = sides.fillna(0.0).diff().abs()
    moved.iloc[0] = sides.iloc[0].fillna(0.0).abs()
    changes = returns_of(closes.to_numpy())[start:, None]
    results = came.fillna(0.0) * changes - mixed.cost * moved
    disputed = (came.max(axis=1) > 0.0) & (came.min(axis=1) < 0.0)
    speaks = (came.notna() | sides.notna()).groupby(months).any()
    return (
        came.groupby(months).mean(),
        results.groupby(months).sum().where(speaks),
        disputed.groupby(months).mean(),
    )


def _compounded(returns: Array, months: pd.PeriodIndex) -> pd.Series[Any]:
    return (1.0 + pd.Series(returns, months)).groupby(level=0).prod() - 1.0


def _contributions(mixed: Mix, account: pd.DataFrame, closes: pd.Series[Any], start: int) -> pd.DataFrame:
    """Return what the account's returns are made of; see `Review`."""
    prices = closes.to_numpy()
    rows = closes.index[start:]
    parts = (mixed.weights.loc[rows] * mixed.sides.loc[rows].fillna(0.0)).to_numpy()  # (bars, experts)
    value = account["value"].to_numpy(dtype=np.float64)
    before = value[start - 1 : -1]
    returns = np.divide(value[start:] - before, before, out=np.zeros(len(before)), where=before != 0)
    gains = np.zeros_like(parts)
    gains[1:] = parts[:-1] * returns_of(prices)[start + 1 :, None]
    paid = mixed.cost * _shares_moved(account)[start:] * prices[start:]
    costs = np.divide(paid, before, out=np.zeros(len(before)), where=before != 0)
    apportioned = _apportioned(costs, parts)
    rest = returns - gains.sum(axis=1) + costs
    gain = np.append(gains.sum(axis=0), rest.sum())
    cost = np.append(apportioned.sum(axis=0), costs.sum() - apportioned.sum())
    return pd.DataFrame({"gain": gain, "cost": cost, "net": gain - cost}, index=[*mixed.names, SIZING])


def _apportioned(costs: Array, parts: Array) -> Array:
    """Return each expert's part of the cost of every bar, by how far its part has moved since the last trade."""
    shares = np.zeros_like(parts)
    moved, before = np.zeros(parts.shape[1]), np.zeros(parts.shape[1])
    for t, now in enumerate(parts):
        moved += np.abs(now - before)
        before = now
        if costs[t] > 0.0 and moved.sum() > 0.0:
            shares[t] = costs[t] * moved / moved.sum()
            moved = np.zeros(len(moved))
    return shares
