"""What a walk found: every window, their spread, the whole account, and how much of it is luck."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.experiments.arms import ARMS
from llmguide.experiments.bar_intervals import bar_intervals
from llmguide.experiments.paired import against_others
from llmguide.experiments.walk_forward.relay import Relayed
from llmguide.experiments.walk_forward.windows import Window
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.stats import deflated_sharpe, pbo

__all__ = ["Laid", "WalkResult"]

MEASURES = ("sr", "mdd")
_BLOCKS = 16
"""Of the cross-validation, where there are bars enough."""


class Laid(NamedTuple):
    """An instrument's bars and windows; `periods` is how many bars make a year."""

    bars: pd.DataFrame
    windows: tuple[Window, ...]
    periods: float


@dataclass(frozen=True)
class WalkResult:
    """The result of every instrument, arm and seed of a walk-forward test (seed -1 where nothing is random).

    Attributes:
        laid: bars and windows by symbol.
        runs: the whole account by symbol, arm and seed (see `llmguide.experiments.walk_forward.relay.Relayed`).
        settings: everything that shaped the walk, with versions and hashes of the data.
        uses_future: whether its guidance was made with knowledge of later bars: a control, not a result.
    """

    laid: Mapping[str, Laid]
    runs: Mapping[tuple[str, str, int], Relayed]
    settings: Mapping[str, Any]
    uses_future: bool = False

    @property
    def symbols(self) -> tuple[str, ...]:
        """The instruments, in the order given."""
        return tuple(self.laid)

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in the order asked for."""
        return tuple(dict.fromkeys(arm for _, arm, _ in self.runs))

    @cached_property
    def windows(self) -> pd.DataFrame:
        """One row per instrument, window, arm and seed.

        Columns symbol, window, arm, seed; learned_first, learned_last, learned_bars, first, last and bars, the dates
        and numbers of the bars learned from and traded; ``sr`` (annual; NaN where the value never changed), ``mdd``
        (positive fraction, from the value before the window on), ``total_return`` (both NaN where a short had lost all
        of the account before the window), ``trades`` (positions opened in it) and ``exposure`` (share of bars with
        shares held). What the first bar of a window brings is due to the position
        inherited: the new one trades at its close.
        """
        rows = []
        for (symbol, arm, seed), run in self.runs.items():
            bars, windows, periods = self.laid[symbol]
            begin = windows[0].trades[0]
            for window in windows:
                learned, traded = window.training(bars).index, window.traded(bars).index
                part = slice(window.trades[0] - begin, window.trades[1] - begin)
                rows.append(
                    {
                        "symbol": symbol,
                        "window": window.name,
                        "arm": arm,
                        "seed": seed,
                        "learned_first": learned[0],
                        "learned_last": learned[-1],
                        "learned_bars": len(learned),
                        "first": traded[0],
                        "last": traded[-1],
                        "bars": len(traded),
                        **self._measure(run.account, part, periods),
                    }
                )
        return pd.DataFrame(rows)

    @cached_property
    def stitched(self) -> pd.DataFrame:
        """One row per instrument, arm and seed, with the same measures of the whole account and its ``final_value``."""
        return pd.DataFrame(
            [
                {"symbol": symbol, "arm": arm, "seed": seed}
                | {"bars": len(run.account)}
                | self._measure(run.account, slice(None), self.laid[symbol].periods)
                | {"final_value": float(run.account["value"].iloc[-1])}
                for (symbol, arm, seed), run in self.runs.items()
            ]
        )

    @property
    def spread(self) -> pd.DataFrame:
        """How the windows differ, one row per instrument and arm; each window's measure is the mean over seeds.

        Columns windows; sr_mean, sr_std (ddof 1), sr_low, sr_high, the same of mdd and of total_return; and
        ``positive``, the share of windows with a Sharpe ratio above 0. Windows without one are left out of it.
        """
        measures = ["sr", "mdd", "total_return"]
        by_window = self.windows.groupby(["symbol", "arm", "window"], sort=False)[measures].mean()
        groups = by_window.groupby(["symbol", "arm"], sort=False)
        columns = {
            f"{name}_{kind}": getattr(groups[name], how)()
            for name in measures
            for kind, how in (("mean", "mean"), ("std", "std"), ("low", "min"), ("high", "max"))
        }
        positive = groups["sr"].apply(lambda sr: float((sr.dropna() > 0).mean()) if sr.notna().any() else np.nan)
        return pd.DataFrame({"windows": groups.size(), **columns, "positive": positive}).reset_index()

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """95 % intervals over all traded bars by instrument (see `llmguide.experiments.bar_intervals`).

        Column symbol, and those of `bar_intervals`: of every arm, and of the first trained arm minus every other one.
        """
        frames = [
            bar_intervals(
                {arm: self._returns(symbol, arm) for arm in self.arms}, first=self._first_trained, periods=laid.periods
            ).assign(symbol=symbol)
            for symbol, laid in self.laid.items()
        ]
        return _led(pd.concat(frames, ignore_index=True), "symbol")

    @cached_property
    def luck(self) -> pd.DataFrame:
        """Whether the best of all arms and seeds is good, or only the luckiest of many; one row per instrument.

        Columns ``arm`` and ``seed`` of the highest Sharpe ratio ``sr`` of the whole account; ``trials``, the arms and
        seeds that it is the best of; ``hurdle``, the Sharpe ratio that the best of as many without skill would reach,
        and ``deflated``, the probability that the true one is above it (`llmguide.stats.deflated_sharpe`); ``pbo``, the
        probability of backtest overfitting by cross-validation of all of them over ``blocks`` blocks of bars
        (`llmguide.stats.pbo`). NaN where they are undefined, as for a single arm without seeds.
        """
        return pd.DataFrame([self._luck_of(symbol, laid.periods) for symbol, laid in self.laid.items()])

    @property
    def tests(self) -> pd.DataFrame:
        """Two-sided paired tests of the first trained arm against every other one, by instrument.

        Column symbol; ``over``, what is paired: "seeds", the whole account by seed, or "windows", the mean over seeds
        by window; and those of `llmguide.experiments.paired.against_others`. ``p_holm`` corrects for the arms compared
        by the same measure over the same pairs on one instrument.
        """
        frames = [
            against_others(self._first_trained, self.arms, MEASURES, values).assign(symbol=symbol, over=over)
            for symbol in self.symbols
            for over, values in (("seeds", self._by_seed(symbol)), ("windows", self._by_window(symbol)))
        ]
        return _led(pd.concat(frames, ignore_index=True), "symbol", "over")

    def values(self, symbol: str, arm: str) -> pd.DataFrame:
        """Return the account's value after each traded bar of a `symbol` and an `arm`, one column per seed."""
        return pd.DataFrame({seed: run.account["value"] for seed, run in self._of(symbol, arm).items()})

    def _luck_of(self, symbol: str, periods: float) -> dict[str, Any]:
        own = {(arm, seed): run.account["returns"] for (name, arm, seed), run in self.runs.items() if name == symbol}
        sharpes = {key: sharpe_ratio(returns, periods=periods) for key, returns in own.items()}
        known = {key: sharpe for key, sharpe in sharpes.items() if not math.isnan(sharpe)}
        best = max(known, key=lambda key: known[key]) if known else next(iter(own))
        found = deflated_sharpe(own[best].to_numpy(np.float64), list(sharpes.values()), periods=periods)
        blocks = min(_BLOCKS, len(own[best]) // 4 * 2)  # even, of two bars or more
        matrix = np.column_stack([returns.to_numpy(np.float64) for returns in own.values()])
        chance = pbo(matrix, blocks=blocks, periods=periods).probability if blocks else math.nan
        return {
            "symbol": symbol,
            "arm": best[0],
            "seed": best[1],
            "sr": sharpes[best],
            "trials": len(known),
            "hurdle": found.hurdle,
            "deflated": found.probability,
            "pbo": chance,
            "blocks": blocks,
        }

    @property
    def _first_trained(self) -> str | None:
        return next((arm for arm in self.arms if ARMS[arm].trained), None)

    def _of(self, symbol: str, arm: str) -> dict[int, Relayed]:
        return {seed: run for (name, other, seed), run in self.runs.items() if (name, other) == (symbol, arm)}

    def _returns(self, symbol: str, arm: str) -> NDArray[np.float64]:
        """Returns on each traded bar, shape (bars, seeds)."""
        return np.column_stack([run.account["returns"] for run in self._of(symbol, arm).values()])

    def _measure(self, account: pd.DataFrame, part: slice, periods: float) -> dict[str, Any]:
        """Measure some bars of an account; before its first one it held the capital."""
        value = np.append(float(self.settings["agent"]["cash"]), account["value"].to_numpy(np.float64))
        shares = np.append(0, (account["shares"] * np.sign(account["holdings"])).to_numpy(np.float64))
        begin, end, _ = part.indices(len(account))
        before = value[begin : end + 1]
        held = np.sign(shares[begin : end + 1])
        opened = (held[1:] != 0) & (held[1:] != held[:-1])
        return {
            "sr": sharpe_ratio(account["returns"].to_numpy(np.float64)[part], periods=periods),
            "mdd": max_drawdown(before) if before[0] > 0 else math.nan,
            "total_return": float(before[-1] / before[0] - 1.0) if before[0] > 0 else math.nan,
            "trades": int(opened.sum()),
            "exposure": float((held[1:] != 0).mean()),
        }

    def _by_seed(self, symbol: str) -> Any:
        def values(arm: str, measure: str) -> NDArray[np.float64]:
            own = self.stitched[(self.stitched["symbol"] == symbol) & (self.stitched["arm"] == arm)]
            return own[measure].to_numpy(np.float64)

        return values

    def _by_window(self, symbol: str) -> Any:
        def values(arm: str, measure: str) -> NDArray[np.float64]:
            own = self.windows[(self.windows["symbol"] == symbol) & (self.windows["arm"] == arm)]
            return own.groupby("window", sort=False)[measure].mean().to_numpy(np.float64)

        return values


def _led(table: pd.DataFrame, *first: str) -> pd.DataFrame:
    """Return a table with some columns in front of the others."""
    return table[[*first, *(str(name) for name in table.columns if name not in first)]]
