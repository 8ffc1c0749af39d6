"""Where a tearsheet's returns come from: a Series, a run of a Cerebro, a vectorbt Portfolio, a backtest, a run folder.

A source is known by what it is, never by the size of its numbers, and no library is imported to find out: whoever
passes a Portfolio has loaded vectorbt already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from llmguide.errors import DataError, did_you_mean
from llmguide.trading.simulate import returns_of

__all__ = ["HOLD", "Account", "account_of", "run_arms", "run_instrument", "run_returns", "run_values"]

_VALUES = "values.parquet"
_CONFIG = "config.json"
_ADD = "cerebro.addanalyzer(llmguide.backtest.SharpeDrawdown)"
_ADD_DAYS = "cerebro.addanalyzer(bt.analyzers.TimeReturn, timeframe=bt.TimeFrame.Days)"
_MOST_NAMES = 3
HOLD = "buy and hold"
_DAYS = 5  # Backtrader's number, bt.TimeFrame.Days


@dataclass(frozen=True, eq=False)
class Account:
    """Simple returns per bar as fractions, what they are to be compared with, and how they came about.

    Nothing is checked yet: the tearsheet does that. `title` is whose account it is, and `benchmark_name` and
    `instrument` are what the other two are called; all are empty where the source does not say.
    """

    returns: Any
    benchmark: Any = None
    title: str = ""
    benchmark_name: str = ""
    instrument: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)


def account_of(source: object, *, arm: str | None = None, seed: int | None = None) -> Account:
    """Return the account of a source.

    A Series is taken for returns. Of a Cerebro, its strategy or the list that `cerebro.run()` gives, the account is
    read from the analyzer `llmguide.backtest.SharpeDrawdown`, else from a `bt.analyzers.TimeReturn`; a TimeReturn of a
    data is the benchmark. A TimeReturn that is not of days, such as returns by month, is passed over. Of a path, `arm`
    names the arm of the run folder and `seed` its run, the first one by default; its hold arm is the benchmark.

    Raises DataError for anything else, for several strategies, columns or arms of which none was chosen, and for a
    Cerebro without a record.
    """
    if isinstance(source, str | Path):
        return _run_folder(Path(source), arm, seed)
    if arm is not None or seed is not None:
        raise DataError(f"arm= and seed= are for a run folder, and {type(source).__name__} has neither; leave them out")
    frame = getattr(source, "account", None)
    if isinstance(frame, pd.DataFrame) and "returns" in frame:
        return Account(frame["returns"], title=getattr(source, "strategy", ""))
    if _is_a(source, "vectorbt", "Portfolio"):
        return _portfolio(source)
    if _is_a(source, "backtrader", "Cerebro"):
        return _strategies(getattr(source, "runstrats", None))
    if hasattr(source, "analyzers") or (isinstance(source, list | tuple) and source):
        return _strategies(source)
    return Account(source)


def run_returns(folder: Path, arm: str | None, seed: int | None) -> Account:
    """Return one run of a comparison's folder, by default the first seed of the arm; its title says which it is."""
    return _run_folder(folder, arm, seed)


def run_values(folder: Path, arm: str) -> pd.DataFrame:
    """Return the value after each test bar of every run of an arm of a comparison's folder, one column per seed.

    DataError where the folder is none of a comparison, or has no such arm.
    """
    values = _stored(folder)
    _check_arm(folder, values, arm)
    return values[values["arm"] == arm].pivot(index="date", columns="seed", values="value")


def run_arms(folder: Path) -> list[str]:
    """Return the arms of a comparison's folder."""
    return list(dict.fromkeys(_stored(folder)["arm"]))


def _stored(folder: Path) -> pd.DataFrame:
    path = folder / _VALUES
    if not folder.exists():
        raise DataError(
            f"there is no folder {folder}; expected returns, or the run folder of a comparison (nothing is ever "
            "downloaded)"
        )
    if not folder.is_dir():
        raise DataError(
            f"expected returns, or the run folder of a comparison, got {str(folder)!r}, which is a file; read a file "
            "of returns with pandas first"
        )
    if not path.is_file():
        raise DataError(
            f"{folder} is not a finished comparison: it has no {path.name}; finish the run, or give another folder"
        )
    return pd.read_parquet(path)


def _check_arm(folder: Path, values: pd.DataFrame, arm: str) -> None:
    arms = list(dict.fromkeys(values["arm"]))
    if arm not in arms:
        raise DataError(f"{folder} has no arm {arm!r}, only {', '.join(arms)}{did_you_mean(arm, arms)}")


def _run_folder(folder: Path, arm: str | None, seed: int | None) -> Account:
    values = _stored(folder)
    arms = list(dict.fromkeys(values["arm"]))
    if arm is None:
        raise DataError(f"{folder} holds several arms, {', '.join(arms)}; choose one with arm=")
    _check_arm(folder, values, arm)
    seeds = list(dict.fromkeys(values.loc[values["arm"] == arm, "seed"]))
    chosen = seeds[0] if seed is None else seed
    if chosen not in seeds:
        raise DataError(f"{arm} has no seed {chosen} in {folder}, only {', '.join(map(str, seeds))}")

    def of(name: str, number: int) -> pd.Series:
        rows = values[(values["arm"] == name) & (values["seed"] == number)].set_index("date")
        return pd.Series(returns_of(rows["value"].to_numpy(float)), index=pd.DatetimeIndex(rows.index), name=name)

    benchmark = of("hold", -1) if "hold" in arms and arm != "hold" else None
    title = arm if chosen < 0 else f"{arm}, seed {chosen}"
    instrument, settings = run_instrument(folder), _settings(_config(folder), arm)
    held = HOLD if benchmark is not None else ""
    if len(seeds) > 1:
        settings["Run"] = f"seed {chosen}, one of {len(seeds)} seeds: {', '.join(map(str, seeds))}"
    return Account(of(arm, chosen), benchmark, title, held, instrument, settings)


def run_instrument(folder: Path) -> str:
    """Return what a comparison's run folder says it is of, empty where it does not."""
    return str(_config(folder).get("name") or "")


def _config(folder: Path) -> Mapping[str, Any]:
    """Return a run folder's config; nothing where that is missing or of another kind."""
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _settings(config: Mapping[str, Any], arm: str) -> dict[str, object]:
    """Return what shaped an arm's run; nothing where the config is of another kind."""
    try:
        agent, guidance = config.get("agent") or {}, config.get("guidance") or {}
        flag = config.get("flag") or {} if arm == "flag" else {}
        shown = {
            "Cash": agent.get("cash"),
            "Cost": agent.get("cost"),
            "Language model": flag.get("base"),
            "Steps": flag.get("training", {}).get("steps"),
            "Episodes": None if flag else config.get("episodes"),
            "Guidance": ", ".join(guidance.get("provider", ())) or None,
            "Training bars": _span(config, "train"),
            "Test bars": _span(config, "test"),
        }
    except (AttributeError, TypeError):
        return {}
    return {name: value for name, value in shown.items() if value is not None}


def _span(config: Mapping[str, Any], part: str) -> str | None:
    bars = (config.get("data") or {}).get(part)
    return f"{bars['first']} to {bars['last']}" if bars and {"first", "last"} <= set(bars) else None


def _portfolio(portfolio: Any) -> Account:
    """vectorbt's own simple returns, the first of them against the initial cash."""
    returns = portfolio.returns()
    if isinstance(returns, pd.DataFrame) and returns.shape[1] == 1:
        returns = returns.iloc[:, 0]
    if isinstance(returns, pd.DataFrame):
        some = ", ".join(repr(name) for name in returns.columns[:5])
        raise DataError(
            f"expected one account, got a Portfolio of {returns.shape[1]}: {some} ...; choose portfolio[...]"
        )
    return Account(returns, parameters=_column(returns))


def _column(returns: pd.Series[Any]) -> dict[str, object]:
    """A column's parameters as vectorbt names them: the levels of the columns that it was taken from."""
    name = returns.name
    return {} if name is None else {"Column": name}


def _strategies(ran: Any) -> Account:
    flat = list(_flatten(ran))
    if not flat:
        raise DataError("this Cerebro has not run yet; call cerebro.run() first")
    if len(flat) > 1:
        raise DataError(f"expected one strategy, got {len(flat)}; pass one element of what cerebro.run() returned")
    (strategy,) = flat
    if not hasattr(strategy, "analyzers"):
        raise DataError(f"expected returns or a source of them, got a list of {type(strategy).__name__}")
    account = benchmark = None
    against = ""
    for analyzer in strategy.analyzers:
        if _is_a(analyzer, "llmguide", "SharpeDrawdown"):
            account = analyzer.returns
        elif _is_a(analyzer, "backtrader", "TimeReturn") and analyzer.timeframe == _DAYS:
            series = pd.Series(analyzer.get_analysis(), dtype=np.float64)
            series.index = pd.DatetimeIndex(series.index)
            if analyzer.p.data is not None:
                benchmark, against = series, _data_name(analyzer.p.data)
            elif account is None:
                account = series
    if account is None:
        raise DataError(f"the strategy has no record of its account; before cerebro.run() call {_ADD}, or {_ADD_DAYS}")
    if benchmark is not None and not account.index.isin(benchmark.index).all():
        account = account.set_axis(account.index.normalize())  # TimeReturn keeps dates, without times
    names = [_data_name(data) for data in getattr(strategy, "datas", ())]
    instrument = ", ".join(names) if all(names) and len(names) <= _MOST_NAMES else ""
    held = "" if benchmark is None else f"the price of {against}" if against else "the price that it trades"
    return Account(account, benchmark, type(strategy).__name__, held, instrument, _parameters(strategy))


def _data_name(data: Any) -> str:
    """The name that a feed was given, empty where it was not; Backtrader may keep the frame's own there."""
    name = getattr(data, "_name", "")
    return name if isinstance(name, str) else ""


def _flatten(ran: Any) -> Iterable[Any]:
    if isinstance(ran, list | tuple):
        for each in ran:
            yield from _flatten(each)
    elif ran is not None:
        yield ran


def _parameters(strategy: Any) -> dict[str, object]:
    """The strategy's own parameters; what is no plain value is named by its type."""
    given = getattr(strategy, "params", None) or strategy.p
    values = {name: getattr(given, name) for name in given._getkeys()}
    return {name: _short(value) for name, value in values.items() if value is not None}


def _short(value: object) -> object:
    return value if isinstance(value, bool | int | float | str | Path) else type(value).__name__


def _is_a(thing: object, package: str, name: str) -> bool:
    """Whether a class of that name from that package is among the thing's."""
    return any(kind.__name__ == name and kind.__module__.partition(".")[0] == package for kind in type(thing).__mro__)
