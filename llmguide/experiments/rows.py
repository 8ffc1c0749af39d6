"""The tables of results as text: the same for the command line, a terminal and a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from llmguide.inline import Table
from llmguide.numbers import number, percent, share_interval, spread

__all__ = [
    "aims_table",
    "arms_beside_published",
    "arms_table",
    "flag_table",
    "instruments_beside_published",
    "levers_table",
    "memory_tables",
    "prompts_table",
    "turned_table",
    "walk_table",
]


def arms_table(table: pd.DataFrame, periods: float) -> Table:
    """Every arm of a comparison; `table` as `ComparisonResult.table` has it."""
    rows = [
        [
            str(arm),
            spread(row.sr_mean, row.sr_std),
            spread(row.mdd_mean, row.mdd_std),
            number(row.trades_mean, 1),
            percent(row.exposure_mean),
            str(int(row.seeds)) if row.seeds else "-",
        ]
        for arm, row in table.iterrows()
    ]
    columns = ["arm", "Sharpe", "max drawdown", "trades", "exposure", "seeds"]
    return Table(f"Test bars, {periods:g} bars a year: mean (std) over seeds", columns, rows)


def instruments_beside_published(table: pd.DataFrame) -> Table:
    """Every instrument beside what was published; `table` as `ReplicationResult.appendix_e` has it."""
    rows = [
        [
            row.symbol,
            number(row.sr_published, 3),
            row.lies or "n/a",
            number(row.p, 3),
            spread(row.sr_mean, row.sr_std),
            spread(row.sr_paper, row.sr_paper_std),
            number(row.mdd_mean),
        ]
        for row in _rows(table)
    ]
    columns = ["symbol", "published", "published is", "p", "here", "paper's own", "MDD"]
    return Table("rl: published Sharpe ratio against the 95 % interval of the replicated mean", columns, rows)


def arms_beside_published(table: pd.DataFrame) -> Table:
    """Every instrument and arm beside what was published; `table` as `ReplicationResult.experiment_2` has it."""
    rows = [
        [
            f"{row.symbol} {row.arm}",
            spread(row.sr_published, row.sr_published_std),
            spread(row.sr_mean, row.sr_std),
            number(row.mdd_published),
            spread(row.mdd_mean, row.mdd_std),
        ]
        for row in _rows(table)
    ]
    columns = ["arm", "Sharpe publ.", "Sharpe here", "MDD publ.", "MDD here"]
    return Table("Test bars by arm, mean (std) over seeds", columns, rows)


def prompts_table(means: pd.DataFrame) -> Table:
    """Every prompt over all instruments; `means` as `PromptResult.means` has it."""
    rows = [
        [
            row.prompt,
            number(row.sr),
            number(row.sr_published),
            percent(row.mdd),
            percent(row.hit_rate),
            number(row.perplexity, 3),
            number(row.entropy, 3),
            f"{row.abstentions} of {row.months}",
        ]
        for row in _rows(means)
    ]
    columns = ["prompt", "Sharpe", "publ.", "MDD", "hits", "perplexity", "entropy", "abstained"]
    return Table("Test bars by prompt, means over instruments", columns, rows)


def walk_table(stitched: pd.DataFrame, spreads: pd.DataFrame) -> Table:
    """Every instrument and arm of a walk; the frames as `WalkResult.stitched` and `WalkResult.spread` have them."""
    means = stitched.groupby(["symbol", "arm"], sort=False)
    rows = []
    for row in _rows(spreads):
        own = means.get_group((row.symbol, row.arm))
        rows.append(
            [
                f"{row.symbol} {row.arm}",
                number(own["sr"].mean()),
                percent(own["mdd"].mean()),
                percent(own["total_return"].mean()),
                spread(row.sr_mean, row.sr_std),
                f"{number(row.sr_low)} to {number(row.sr_high)}",
            ]
        )
    columns = ["arm", "SR", "MDD", "return", "SR of windows", "lowest to highest"]
    return Table("Whole account: mean over seeds; windows: mean (std)", columns, rows)


def memory_tables(measures: pd.DataFrame) -> Iterator[Table]:
    """What a model remembers, by period; `measures` as `MemoryResult.measures` has them."""
    pooled = measures[measures["symbol"] == "all"]
    for period, of_period in pooled.groupby("period", sort=False):
        rows = [
            [
                row.measure,
                f"{row.hits}/{row.n}",
                *(percent(value) for value in (row.share, row.chance, row.base_rate)),
                share_interval(row.low, row.high),
                share_interval(row.cluster_low, row.cluster_high),
            ]
            for row in _rows(of_period)
        ]
        columns = ["measure", "hits", "share", "chance", "base", "Wilson", "by month"]
        yield Table(f"What the model remembers, cut-off: {period}; 95 % intervals", columns, rows)


def turned_table(changes: Mapping[str, Any]) -> Table:
    """How often a change of the question turns a direction; rows of `BiasResult.measures` by the change in words."""
    rows = [
        [
            text,
            f"{row.hits}/{row.n}",
            percent(row.value),
            share_interval(row.low, row.high),
            share_interval(row.cluster_low, row.cluster_high),
        ]
        for text, row in changes.items()
    ]
    columns = ["the same month", "flipped", "share", "Wilson", "by month"]
    return Table("Months whose direction flips when the question is changed; 95 % intervals", columns, rows)


def levers_table(table: pd.DataFrame) -> Table:
    """Every lever on test bars; `table` as `LeverStudy.table` has it."""
    rows = [
        [
            str(lever),
            number(row.sr),
            number(row.mdd),
            *(percent(share) for share in (row.agreement_test, row.changed_inverted, row.flat)),
        ]
        for lever, row in table.iterrows()
    ]
    columns = ["lever", "Sharpe", "max drawdown", "agrees", "if inverted", "flat"]
    return Table("Test bars, means over instruments", columns, rows)


def aims_table(aims: pd.DataFrame) -> Table:
    """Which aims a mixture reaches, by the instruments; `aims` as `MixtureStudy.aims` has them."""
    counts = aims[aims["arm"] == "mixture"].groupby(["aim", "group"], sort=False)["reached"]
    reached = {key: f"{int(found.sum())} of {len(found)}" for key, found in counts}
    groups = list(dict.fromkeys(aims["group"]))
    rows = [[str(aim), *(reached[aim, group] for group in groups)] for aim in dict.fromkeys(aims["aim"])]
    return Table("Aims that the sized mixture reaches, by group of instruments", ["aim", *groups], rows)


def flag_table(table: pd.DataFrame, periods: float) -> Table:
    """Trained policies and their controls; `table` as `FlagStudy.table` has it."""
    rows = [
        [str(arm), _range(row, "sharpe", number), _range(row, "max_drawdown", percent),
         _range(row, "total_return", percent)]
        for arm, row in table.iterrows()
    ]  # fmt: skip
    title = f"Test bars, {periods:g} bars a year: mean (lowest..highest) over {int(table['seeds'].max())} seeds"
    return Table(title, ["arm", "Sharpe", "max drawdown", "return"], rows)


def _range(row: pd.Series[Any], name: str, text: Callable[[float], str]) -> str:
    """Return the mean, and the range where there is one."""
    mean, low, high = (text(row[f"{name}_{kind}"]) for kind in ("mean", "low", "high"))
    return mean if low == high else f"{mean} ({low}..{high})"


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
