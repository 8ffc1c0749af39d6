"""Is the best combination of a sweep any good on bars that did not choose it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.counting import counted
from llmguide.errors import LlmguideError
from llmguide.inline import Inline, Shown, Table
from llmguide.numbers import CALLED, number, percent
from llmguide.stats import deflated_sharpe
from llmguide.sweeps.market import Market, kind_of
from llmguide.sweeps.measure import make_markets, measure_plan
from llmguide.sweeps.overfitting import MOST_BLOCKS, block_sums, probability
from llmguide.sweeps.result import LESS_IS_BETTER, Plan, SweepResult
from llmguide.sweeps.rows import validation_table, varied
from llmguide.sweeps.rules import Given, find_rule
from llmguide.sweeps.verdict import Verdict, unchecked, verdict_of
from llmguide.sweeps.wording import setting
from llmguide.trading.simulate import closes

__all__ = ["Validation", "validate", "verdict_for"]


@dataclass(frozen=True, eq=False, repr=False)
class Validation(Inline):
    """What became of the best combination out of sample; one row per instrument (or the rule's name for one alone).

    Attributes:
        table: columns

            - train, test: the measure that chose, on the bars that chose and on the later ones.
            - beaten: share of the other combinations that do worse on the test bars; 0.5 is no better than chance.
            - rank_correlation: Spearman's, of the Sharpe ratios of all combinations on train and test bars.
            - pbo: probability of backtest overfitting on the train bars (see `llmguide.stats.pbo`), over `settings`.
            - settings: combinations that the probability was computed from, those with a Sharpe ratio.
            - deflated_sharpe: probability that the in-sample Sharpe ratio exceeds the hurdle (see
              `llmguide.stats.deflated_sharpe`).
            - hurdle: Sharpe ratio that the best of as many trials reaches without skill.
            - trials: combinations with a Sharpe ratio on the train bars.
        chosen: the parameters of the best combination, same rows.
        pbo_notes: for each row, whether `pbo` is over all combinations or a random sample of them, or why it is NaN.
        train: the sweep that chose.
        test: the sweep of the same combinations on the later bars.
        by: the measure that chose.
    """

    table: pd.DataFrame
    chosen: pd.DataFrame
    pbo_notes: dict[str, str]
    train: SweepResult
    test: SweepResult
    by: str

    @property
    def verdict(self) -> str:
        """What the chosen setting came to on the later bars, beside the others, and whether choosing it overfitted."""
        if len(self.table) > 1:
            better = int((self.table["beaten"] > 0.5).sum())
            return (
                f"On {better} of {len(self.table)} instruments the chosen setting did better on the later bars than "
                "half of the others, as by chance on half of them."
            )
        (found,), (chosen,) = (
            [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
            for frame in (self.table, self.chosen)
        )
        names = [name for name in varied(self.train) if name in chosen] or list(chosen)[:1]
        best = f"Best of {counted(len(self.train), 'combination')}: {setting(chosen, names)}."
        return f"{best} {verdict_of(found, self.by)}"

    def _shown(self) -> Shown:
        notes = list(self.pbo_notes.items())
        if len(self.table) == 1:
            (_, note), (_, found) = notes[0], next(self.table.iterrows())
            return Shown(self.verdict, [validation_table(found, self.by, "the later bars", note)])
        rows = [
            [str(name), number(row["train"]), number(row["test"]), percent(row["beaten"]), percent(row["pbo"]),
             percent(row["deflated_sharpe"])]
            for name, row in self.table.iterrows()
        ]  # fmt: skip
        columns = ["instrument", "chosen with", "later", "others worse", "pbo", "deflated Sharpe"]
        table = Table(f"{CALLED[self.by]} of the best one on later bars", columns, rows)
        return Shown(self.verdict, [table], notes=[f"{name}: pbo {note}" for name, note in notes])


def verdict_for(found: SweepResult, best: pd.Series[Any] | None, validation: Validation | None) -> Verdict:
    """Return what a validation says of the combination `best` of this sweep; LlmguideError where it is of another."""
    if validation is None:
        return unchecked(len(found))
    if validation.train is not found:
        raise LlmguideError("this validation is of another sweep; pass the one that this sweep's .validate returned")
    parameters = {} if best is None else found.parameters(best)
    for place, (name, chosen) in enumerate(validation.chosen.iterrows()):
        mine = {key: value for key, value in parameters.items() if key in validation.chosen.columns}
        if dict(chosen) == mine and parameters.get("symbol", name) == name:
            return verdict_of(
                dict(zip(map(str, validation.table), validation.table.iloc[place], strict=True)), validation.by
            )
    raise LlmguideError(
        f"this validation chose {setting(dict(validation.chosen.iloc[0]))} by {validation.by}, which is not the best "
        "combination here; pass the same by= and min_trades= to both"
    )


def validate(
    train: SweepResult,
    bars: pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    guidance: Any = None,
    rule: Any = None,
    by: str = "sharpe",
    min_trades: int | None = None,
    blocks: int = 16,
    settings: int = 100_000,
    seed: int = 0,
) -> Validation:
    """Measure the combinations of a sweep on later bars, and the luck that was in choosing the best of them.

    Args:
        train: the sweep that chooses.
        bars: later ones, of the same instruments.
        guidance: as in `sweep`; None for the tables of `train`, which may go on into the later bars.
        rule: decisions for the later bars, where the sweep was one of given decisions; None otherwise.
        by, min_trades: which combination is the best (see `SweepResult.best`).
        blocks: of the probability of backtest overfitting, an even number from 2 to 20. Each needs two tradable bars;
            with too few of them the probability is NaN, and `pbo_notes` says so.
        settings: at most so many combinations are used for that probability, drawn at random where there are more; the
            best one is one like any other. 100,000 take some 2 seconds on a core for 16 blocks, and 25 MB.
        seed: of that draw.

    Raises:
        LlmguideError: bars that begin before those of the sweep end, other instruments, decisions that are missing, or
            impossible blocks or settings.
    """
    if blocks < 2 or blocks % 2 or blocks > MOST_BLOCKS:
        raise LlmguideError(f"blocks is an even number from 2 to {MOST_BLOCKS}, got {blocks}")
    if settings < 2:
        raise LlmguideError(f"settings is how many combinations are compared at most, 2 or more, got {settings}")
    chosen_rule = train.plan.rule
    if rule is not None:
        chosen_rule = find_rule(rule)
    elif isinstance(chosen_rule, Given):
        raise LlmguideError("this sweep was one of given decisions; pass those for the later bars as rule=")
    if chosen_rule.name != train.plan.rule.name:
        raise LlmguideError(f"this sweep was one of the rule {train.plan.rule.name}, got {chosen_rule.name}")
    _check_columns(chosen_rule, train)
    markets = _later(train, bars, guidance)
    plan = replace(train.plan, rule=chosen_rule, markets=markets)
    test = measure_plan(plan)
    rows: dict[str, dict[str, Any]] = {}
    chosen: dict[str, dict[str, Any]] = {}
    notes: dict[str, str] = {}
    for symbol, places in _by_symbol(train.plan.markets).items():
        size = len(train.plan.grid)
        inside = np.concatenate([np.arange(place * size, (place + 1) * size) for place in places])
        name = symbol or chosen_rule.name
        rows[name], chosen[name], notes[name] = _judge(train, test, inside, by, min_trades, blocks, settings, seed)
    table, best = (pd.DataFrame.from_dict(made, orient="index") for made in (rows, chosen))
    return Validation(table, best, notes, train, test, by)


def _judge(
    train: SweepResult,
    test: SweepResult,
    inside: NDArray[np.intp],
    by: str,
    min_trades: int | None,
    blocks: int,
    settings: int,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return one instrument's row of the table, its parameters, and what to know of its probability of overfitting."""
    places = dict.fromkeys((inside // len(train.plan.grid)).tolist())
    own = replace(train.plan, markets=tuple(train.plan.markets[place] for place in places))
    known = replace(train, frame=train.frame.iloc[inside], plan=own)
    best = known.best(by, min_trades=min_trades)
    place = int(inside[known.frame.index.get_loc(best.name)])
    others = np.delete(test.frame[by].to_numpy()[inside], np.searchsorted(inside, place))
    found = float(test.frame[by].iloc[place])
    others = others[~np.isnan(others)]
    worse = (others < found) + 0.5 * (others == found)
    if by in LESS_IS_BETTER:
        worse = 1.0 - worse
    ratios = train.frame["sharpe"].to_numpy()[inside], test.frame["sharpe"].to_numpy()[inside]
    overfitting, compared, note = _overfitting(own, blocks, settings, seed)
    deflated = deflated_sharpe(
        train.returns(np.array([place])).to_numpy()[:, 0], ratios[0], periods=own.markets[0].periods
    )
    row = {
        "train": float(best[by]),
        "test": found,
        "beaten": float(worse.mean()) if len(others) and not np.isnan(found) else float("nan"),
        "rank_correlation": _spearman(*ratios),
        "pbo": overfitting,
        "settings": compared,
        "deflated_sharpe": deflated.probability,
        "hurdle": deflated.hurdle,
        "trials": int(deflated.trials),
    }
    return row, {name: value for name, value in train.parameters(best).items() if name != "symbol"}, note


def _overfitting(plan: Plan, blocks: int, settings: int, seed: int) -> tuple[float, int, str]:
    """Return one instrument's probability of backtest overfitting, of how many combinations, and what to know of it."""
    size, count, tradable = len(plan.grid), len(plan.grid) * len(plan.markets), plan.markets[0].tradable
    if tradable < 2 * blocks:
        return float("nan"), 0, f"none: {blocks} blocks need {2 * blocks} tradable bars, got {tradable}"
    rows, note = np.arange(count), f"of all {count:,} combinations"
    if count > settings:
        rows = np.sort(np.random.default_rng(seed).choice(count, settings, replace=False))
        note = f"of {settings:,} of {count:,} combinations, drawn at random"
    parts = [
        block_sums(plan.rule, market, plan.grid.keep(rows[rows // size == place] % size), plan.cash, blocks)
        for place, market in enumerate(plan.markets)
        if (rows // size == place).any()
    ]
    sums, squares = (np.concatenate([part[k] for part in parts], axis=1) for k in (1, 2))
    found, compared = probability(parts[0][0], sums, squares)
    if np.isnan(found):
        note = "none: all combinations did the same" if compared > 1 else "none: it takes two combinations that trade"
    return found, compared, note


def _later(train: SweepResult, bars: Any, guidance: Any) -> tuple[Market, ...]:
    """Return the markets of `train` with later bars."""
    before = train.plan.markets
    several = "symbol" in before[0].labels
    if several != isinstance(bars, Mapping):
        raise LlmguideError(f"this sweep had bars {'by symbol' if several else 'of one instrument'}; pass the same")
    symbols = list(_by_symbol(before))
    frames = {str(symbol): frame for symbol, frame in bars.items()} if several else {"": bars}
    if set(frames) != set(symbols):
        raise LlmguideError(f"expected bars of {', '.join(symbols)}, got {', '.join(frames) or 'none'}")
    frames = {symbol: frames[symbol] for symbol in symbols}
    prices = {symbol: closes(frame) for symbol, frame in frames.items()}
    for market in before:
        frame = frames[market.labels.get("symbol", "")]
        _check_kind(market.bars.index, frame.index)
        if frame.index[0] <= market.bars.index[-1]:
            raise LlmguideError(
                f"the later bars begin on {frame.index[0]}, but those that choose end on {market.bars.index[-1]}; "
                "validate on bars that come after all of them"
            )
    if guidance is not None:
        agents = {m.labels["symbol"]: m.agent for m in before} if several else before[0].agent
        after = make_markets(frames if several else bars, guidance, agents, before[0].start, before[0].periods)
        if [m.labels for m in after] != [m.labels for m in before]:
            raise LlmguideError("pass guidance with the same names as in the sweep")
        return after
    return tuple(
        replace(market, bars=frames[symbol], prices=prices[symbol], history=market.so_far)
        for market in before
        for symbol in [market.labels.get("symbol", "")]
    )


def _check_kind(before: pd.Index[Any], after: pd.Index[Any]) -> None:
    """Refuse bars whose dates cannot be compared."""
    kinds = kind_of(before), kind_of(after)
    if kinds[0] != kinds[1]:
        raise LlmguideError(
            f"the later bars have {kinds[1]}, those that choose {kinds[0]}; give both dates of one kind, as "
            "llmguide.read_bars returns them"
        )


def _by_symbol(markets: tuple[Market, ...]) -> dict[str, list[int]]:
    """Return the positions of every instrument's markets: tables of guidance are choices like parameters."""
    places: dict[str, list[int]] = {}
    for place, market in enumerate(markets):
        places.setdefault(market.labels.get("symbol", ""), []).append(place)
    return places


def _check_columns(rule: Any, train: SweepResult) -> None:
    if isinstance(rule, Given) and list(rule.defaults["column"]) != list(train.plan.rule.defaults["column"]):
        raise LlmguideError(
            "the decisions for the later bars have other columns than those of the sweep; pass the same"
        )


def _spearman(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return Spearman's rank correlation of the pairs that are both defined; NaN where a side does not vary."""
    both = ~(np.isnan(a) | np.isnan(b))
    one, other = (pd.Series(side[both]).rank().to_numpy(dtype=np.float64) for side in (a, b))
    if both.sum() < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
