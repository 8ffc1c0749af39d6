"""What a sweep found, and any of its settings in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.errors import LlmguideError, did_you_mean
from llmguide.sweeps.engines import account_of, carried_out, portfolio_of
from llmguide.sweeps.following import ALL_IN, Trajectory
from llmguide.sweeps.grid import Grid
from llmguide.sweeps.kernels import MEASURES
from llmguide.sweeps.market import Market
from llmguide.sweeps.rules import Rule

if TYPE_CHECKING:
    from llmguide.report.tearsheet import Tearsheet

__all__ = ["LESS_IS_BETTER", "Plan", "SweepResult"]

LESS_IS_BETTER = ("max_drawdown", "turnover")
Followed = tuple[Market, dict[str, Any], NDArray[Any]]
Which = Mapping[str, Any] | tuple[Any, ...] | pd.Series | None


@dataclass(frozen=True, eq=False)
class Plan:
    """What was swept: a rule over a grid of parameters, on each of some markets."""

    rule: Rule
    grid: Grid
    markets: tuple[Market, ...]
    cash: float

    @property
    def index(self) -> pd.MultiIndex:
        """One row for each market and combination: symbol and guidance, where they have names, then the parameters."""
        inner, markets, labels = self.grid.index, self.markets, list(self.markets[0].labels)
        levels: list[Any] = []
        codes: list[Any] = []
        for name in labels:
            values = list(dict.fromkeys(market.labels[name] for market in markets))
            levels.append(values)
            codes.append(np.repeat([values.index(market.labels[name]) for market in markets], len(self.grid)))
        levels += inner.levels
        codes += [np.tile(code, len(markets)) if len(markets) > 1 else code for code in inner.codes]
        return pd.MultiIndex(levels=levels, codes=codes, names=[*labels, *inner.names], verify_integrity=False)


@dataclass(frozen=True, eq=False, repr=False)
class SweepResult:
    """The measures of every combination.

    Wherever one setting is asked for (`which`, or `at`), it is a row of `frame`: its label, the row itself as `best`
    returns it, or a mapping of parameters, in which those with a single value may be left out. None is the best by
    Sharpe ratio. A measure (`by`) is a column of `frame`; only combinations with at least `min_trades` trades are
    ranked. Axes of figures (`x`, `y`, `z`) are names of parameters; pages are written to the file `output` under a
    `title`.

    Attributes:
        frame: a row for each combination, its parameters as levels of the index, preceded by symbol and guidance where
            they have names. Columns, all fractions, NaN where undefined and never infinite:

            - sharpe, sortino, max_drawdown, annual_return: as in `llmguide.metrics`, annual by the market's `periods`;
              idle bars included.
            - total_return: over all bars.
            - trades: number of positions opened.
            - exposure: share of the bars after which shares were held.
            - turnover: traded value per year over the mean value of the account.
        plan: what was swept.

    Raises LlmguideError for an unknown measure, parameter or setting, and where no combination qualifies as the best.
    """

    frame: pd.DataFrame
    plan: Plan

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        names = ", ".join(name for name, level in zip(self._names, self._levels, strict=True) if len(level) > 1)
        return f"{type(self).__name__}({self.plan.rule.name}, {len(self):,} combinations of {names or 'single values'})"

    def best(self, by: str = "sharpe", *, min_trades: int | None = None) -> pd.Series[Any]:
        """Return the row of the best combination, its parameters as its name; of equal ones the first.

        The best has the highest value, or the lowest of max_drawdown and turnover. Only combinations with at least
        `min_trades` trades qualify; None is 1 where less is better, since no trade is always least, and 0 elsewhere.
        Undefined values never win. Raises LlmguideError where none qualifies, and where a user's rule looks ahead with
        these parameters.
        """
        return self.ranked(by, min_trades=min_trades, top=1)[0]

    def ranked(self, by: str = "sharpe", *, min_trades: int | None = None, top: int = 10) -> list[pd.Series[Any]]:
        """Return the rows of the `top` combinations, the best first; see `best`."""
        places = self.best_first(by, min_trades)
        if not len(places):
            least = _least(by, min_trades)
            raise LlmguideError(self._why_none(by, least, int(self.frame["trades"].max())))
        return [self.chosen(int(place)) for place in places[:top]]

    def parameters(self, which: Which = None) -> dict[str, Any]:
        """Return one setting by name: symbol and guidance, where they have names, and every parameter."""
        label = self.frame.index[self._row(which)]
        return {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in zip(self._names, label, strict=True)
        }

    def decisions(self, which: Which = None) -> pd.Series[Any]:
        """Return what a setting carries out at each bar from `start` on: 1 long, 0 short, -1 flat, or a weight.

        Delay and stop-loss are applied. `llmguide.simulate` carries them out alike (with ``flat=True`` where there is a
        -1), and the weights of a mixture as ``simulate(bars, weights=, band=)``.
        """
        market, _, done = self._one(which)
        return pd.Series(done, index=market.bars.index[market.start :], name=self.plan.rule.follow.called)

    def account(self, which: Which = None) -> pd.DataFrame:
        """Return a setting's account at every bar, with the columns of `llmguide.simulate` except reward."""
        followed = self._one(which)
        return account_of(followed[0], self._path(followed))

    def portfolio(self, which: Which = None) -> Any:
        """Return a vectorbt Portfolio of a setting.

        Its own ratios need the bars of a year: ``portfolio.sharpe_ratio(year_freq="252 days")`` for daily ones. Where
        the account's cash falls below zero, which vectorbt does not support, it begins with that much more.
        """
        followed = self._one(which)
        market, setting, _ = followed
        name = market.labels.get("symbol", self.plan.rule.name)
        costs = np.array([float(setting["cost"])])
        portfolio, _ = portfolio_of(market, [self._path(followed)], self.plan.cash, costs, pd.Index([name]))
        return portfolio[name]

    def tearsheet(
        self, which: Which = None, output: Path | str | None = None, *, title: str = "", name: str = ""
    ) -> Tearsheet:
        """Return a setting's tearsheet, with buy and hold at the same cost as its benchmark.

        It shows itself in a notebook, and is written to `output`, where that is given. `name` is what the bars are of,
        such as "AAPL"; an instrument given by symbol is known.
        """
        from llmguide.report.accounts import HOLD
        from llmguide.report.tearsheet import tearsheet
        from llmguide.sweeps.wording import setting as in_words

        followed = self._one(which)
        market, setting, _ = followed
        parameters = self.parameters(which)
        varied = [key for key in setting if self.frame.index.unique(key).size > 1]
        held = np.ones(market.tradable, dtype=np.int8)
        return tearsheet(
            account_of(market, self._path(followed))["returns"],
            output,
            benchmark=account_of(market, ALL_IN.path(market, held, setting, self.plan.cash))["returns"],
            title=title,
            strategy=", ".join([self.plan.rule.name, *([in_words(parameters, varied)] if varied else [])]),
            benchmark_name=HOLD,
            instrument=name or market.labels.get("symbol", ""),
            parameters=parameters,
            periods=market.periods,
        )

    def to_cerebro(self, which: Which = None) -> Any:
        """Return a Cerebro that is ready to run and follows the setting's decisions, filled at the close.

        Its value is the account's at every bar, until the account has lost more than everything: a strategy then takes
        no other side, while the account's formulas go on.
        """
        from llmguide.sweeps.cerebro import cerebro_of

        market, setting, done = self._one(which)
        return cerebro_of(market, self.plan.rule.follow, done, setting, cash=self.plan.cash)

    def volume(self, x: str, y: str, z: str, by: str = "sharpe", *, at: Which = None) -> Any:
        """Return a measure over three parameters as a plotly figure, the others as `Sweep.heatmap` has them.

        What was not measured, or is undefined, is shown as the worst that was: a volume has no gaps.
        """
        import vectorbt  # type: ignore[import-untyped]  # noqa: F401  # has no types; gives series their .vbt

        inside, held = self.slice_at((x, y, z), by, at)
        series = self._measure(by)[inside].droplevel(list(held)).reorder_levels(list[Any]([x, y, z]))
        worst = series.max() if by in LESS_IS_BETTER else series.min()
        fill = float(worst) if series.notna().any() else 0.0
        return series.vbt.volume(x_level=x, y_level=y, z_level=z, fillna=fill, trace_kwargs={"colorbar": {"title": by}})

    def returns(self, rows: NDArray[np.intp]) -> pd.DataFrame:
        """Return the returns per bar of some `rows` of one instrument, given by position in `frame`: one column
        each.
        """
        return pd.DataFrame(
            {
                row: account_of(followed[0], self._path(followed))["returns"]
                for row, followed in zip(rows, self._followed(rows), strict=True)
            }
        )

    @property
    def _names(self) -> list[str]:
        return [str(name) for name in self.frame.index.names]

    @property
    def _levels(self) -> list[pd.Index[Any]]:
        index = self.frame.index
        assert isinstance(index, pd.MultiIndex)
        return list(index.levels)

    def _why_none(self, by: str, least: int, most: int) -> str:
        """Say why no combination can be the best."""
        if most == 0:
            return (
                f"no combination of this sweep ever trades, so that none is the best by {by}; give the rule other "
                "parameters, more bars, or guidance that it can follow"
            )
        if most < least:
            return f"no combination has {least} trades or more, the most are {most}; lower min_trades"
        return f"no combination with {least} trades or more has a {by}"

    def best_first(self, by: str, min_trades: int | None) -> NDArray[np.intp]:
        """Return the positions of the combinations that can be the best, the best first, of equal ones the first."""
        column = self._measure(by).to_numpy(dtype=np.float64)
        places = np.flatnonzero(~np.isnan(column) & (self.frame["trades"].to_numpy() >= _least(by, min_trades)))
        sign = 1.0 if by in LESS_IS_BETTER else -1.0
        return places[np.argsort(sign * column[places], kind="stable")]

    def chosen(self, row: int) -> pd.Series[Any]:
        """Return the row at position `row`; LlmguideError where a user's rule looks ahead there."""
        self._try_out(row)
        return self.frame.iloc[row]

    def _try_out(self, row: int) -> None:
        """Refuse a combination, by its position in the frame, with which a user's rule looks ahead."""
        place, row = divmod(row, len(self.plan.grid))
        self.plan.rule.try_out(self.plan.markets[place], self.plan.grid, row)

    def _measure(self, by: str) -> pd.Series[Any]:
        if by not in MEASURES:
            raise LlmguideError(f"unknown measure {by!r}; known: {', '.join(MEASURES)}{did_you_mean(by, MEASURES)}")
        return self.frame[by]

    def _known(self, name: str) -> None:
        names = self._names
        if name not in names:
            raise LlmguideError(
                f"this sweep has no parameter {name!r}, only {', '.join(names)}{did_you_mean(name, names)}"
            )

    def _having(self, name: str, value: Any) -> NDArray[np.bool_]:
        """Mark the rows with a value of one parameter; 0.3 also finds the 0.1 + 0.2 of a computed sequence."""
        self._known(name)
        index = self.frame.index
        assert isinstance(index, pd.MultiIndex)
        place = self._names.index(name)
        level = index.levels[place]
        if pd.api.types.is_float_dtype(level) and isinstance(value, int | float | np.number):
            same = np.isclose(level, float(value), rtol=1e-9, atol=0.0)
        else:
            same = np.asarray(level == value)
        return np.asarray(same[index.codes[place]], dtype=np.bool_)

    def _row(self, which: Which) -> int:
        """Return the position of a setting in the frame."""
        index = self.frame.index
        if which is None:
            which = self.best()
        if isinstance(which, pd.Series):
            which = which.name if isinstance(which.name, tuple) else (which.name,)
        if isinstance(which, tuple):
            if len(which) != index.nlevels:
                raise LlmguideError(f"a setting has {index.nlevels} values, {', '.join(self._names)}, got {which}")
            which = dict(zip(self._names, which, strict=True))
        if not isinstance(which, Mapping):
            raise LlmguideError(f"expected a row of the frame or a mapping of parameters, got {type(which).__name__}")
        found = np.ones(len(index), dtype=bool)
        for name, value in which.items():
            found &= self._having(name, value)
        rows = np.flatnonzero(found)
        if len(rows) == 1:
            return int(rows[0])
        pairs = zip(self._names, self._levels, strict=True)
        unsaid = [name for name, level in pairs if len(level) > 1 and name not in which]
        if not len(rows):
            raise LlmguideError(f"no combination has {dict(which)}; see .frame.index for those that were measured")
        raise LlmguideError(f"{len(rows)} combinations have {dict(which)}; say {', '.join(unsaid)} as well")

    def _one(self, which: Which) -> Followed:
        (followed,) = self._followed(np.array([self._row(which)]))
        return followed

    def _followed(self, rows: NDArray[np.intp]) -> Iterator[Followed]:
        """Yield market, parameters and what is carried out of rows of the frame; each market is prepared once."""
        grid, prepared = self.plan.grid, {}
        for place, row in (divmod(int(row), len(grid)) for row in rows):
            market, setting = self.plan.markets[place], grid.setting(row)
            self.plan.rule.try_out(market, grid, row)
            if place not in prepared:
                prepared[place] = self.plan.rule.prepare(market, grid)
            follow = self.plan.rule.follow
            yield market, setting, carried_out(market, prepared[place], follow, setting, row, self.plan.cash)

    def _path(self, followed: Followed) -> Trajectory:
        """Return the account that carries a setting out."""
        market, setting, done = followed
        return self.plan.rule.follow.path(market, done, setting, self.plan.cash)

    def slice_at(
        self, axes: tuple[str, ...], by: str, at: Which, min_trades: int | None = None
    ) -> tuple[NDArray[np.bool_], dict[str, Any]]:
        """Return which combinations show the measure `by` over the parameters `axes`, and the others' values there.

        `at` is the setting that has those values, or the best one, chosen with `min_trades`. Raises LlmguideError
        for an unknown or repeated parameter.
        """
        for name in axes:
            self._known(name)
        if len(set(axes)) < len(axes):
            raise LlmguideError(f"the axes are different parameters, got {', '.join(axes)}")
        column = self._measure(by)
        if at is None or isinstance(at, Mapping):
            levels = dict(zip(self._names, self._levels, strict=True))
            said = dict(at or {})
            unsaid = any(len(level) > 1 for name, level in levels.items() if name not in (*axes, *said))
            best = self.parameters(self.best(by, min_trades=min_trades)) if unsaid else {}
            given = {name: level[0] for name, level in levels.items()} | best | said
        else:
            given = self.parameters(at)
        held = {name: value for name, value in given.items() if name not in axes}
        rows = np.ones(len(column), dtype=bool)
        for name, value in held.items():
            rows &= self._having(name, value)
        if not rows.any():
            raise LlmguideError(f"no combination has {held}; see .frame.index for those that were measured")
        return rows, held


def _least(by: str, min_trades: int | None) -> int:
    """Return how many trades the best has at least: where less is better, it does not stand aside."""
    return int(by in LESS_IS_BETTER) if min_trades is None else min_trades
