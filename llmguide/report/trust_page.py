"""The page of a mixture: which expert was trusted when, on what record, what each was worth, what came from each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from llmguide._version import __version__
from llmguide.files import write_text
from llmguide.mixture import Review
from llmguide.mixture.trust import MIXTURE
from llmguide.report import figures
from llmguide.report.html import document, figure, fold, items, number, paragraph, percent, section, table

__all__ = ["render_trust_page", "summary", "write_trust_page"]

_TITLE = "How the mixture weighted its experts"
_STYLE = "body { max-width: 70rem; } figure { max-width: 60rem; } summary { cursor: pointer; padding: .3rem 0; }"
_DISPUTED = 0.5  # of a month's bars, from which on it counts as one in which the experts disagreed
_FEW = 24  # months that a page shows at once


def write_trust_page(review: Review, path: Path | str, *, title: str = _TITLE, remarks: Sequence[str] = ()) -> Path:
    """Write the page as one self-contained HTML file, atomically; return the path. `remarks` are shown at its top."""
    return write_text(path, render_trust_page(review, title=title, remarks=remarks))


def render_trust_page(review: Review, *, title: str = _TITLE, remarks: Sequence[str] = ()) -> str:
    """The page as HTML; the same review gives the same text."""
    return document(title, "\n".join(_parts(review, remarks)), style=_STYLE)


def summary(review: Review) -> str:
    """Who was trusted most and why, what it came to, and who was right in a dispute; in a few sentences."""
    return " ".join([_of_trust(review), _of_worth(review), _of_dispute(review)]).strip()


def _of_trust(review: Review) -> str:
    trust = review.trust.sort_values("weight", ascending=False, kind="stable")
    bars = f"{len(review.traded):,} traded bars"
    top = trust.iloc[0]
    if top["weight"] == 0.0:
        return f"No expert had any weight on the {bars}: none with an opinion had a record above 0."
    own = f"{int(top['first_bars']):,} to {int(top['last_bars']):,} bars of its own beside the prior"
    others = [f"{name} {_signed(row['record'])}" for name, row in trust.iloc[1:].iterrows()]
    against = f", against {', '.join(others)}" if others else ""
    return (
        f"{trust.index[0]} had the most weight: mean {number(top['weight'])} in the {bars}, because its "
        f"record over {own} was on average {_signed(top['record'])} standard deviations of the market a "
        f"bar{against}."
    )


def _of_worth(review: Review) -> str:
    ratios = [f"{name} {number(row['sharpe'])}" for name, row in review.measures.iterrows() if name != MIXTURE]
    own = number(review.measures.loc[MIXTURE, "sharpe"])
    return f"The mixture has a Sharpe ratio of {own} after cost; alone, {', '.join(ratios)}."


def _of_dispute(review: Review) -> str:
    """Say who was right where the two most trusted experts were on opposite sides."""
    order = list(review.trust["weight"].sort_values(ascending=False, kind="stable").index[:2])
    pairs = review.agreement
    of_both = pairs[pairs["a"].isin(order) & pairs["b"].isin(order)]
    if len(order) < 2 or not of_both["apart"].iloc[0]:
        return ""
    pair = of_both.iloc[0]
    return (
        f"When {pair['a']} and {pair['b']} were on opposite sides ({pair['apart']:,} of {pair['bars']:,} bars), the "
        f"next bar went the way of {pair['a']} {percent(pair['a_right'] / pair['apart'], 0)} of the time."
    )


def _parts(review: Review, remarks: Sequence[str]) -> Iterator[str]:
    if review.mixed.uses_future:
        yield paragraph(
            "An expert of this mixture was made with knowledge of later bars. Nothing on this page could have "
            "been achieved at the time: it shows what a mixture makes of experts of known quality.",
            "warning",
        )
    yield paragraph(summary(review), "lead")
    yield items([*_remarks(review), *remarks])
    yield section("Expert weights")
    shown = {str(name): review.weights[[name]] for name in review.weights}
    yield figure(figures.weights(shown), "Weight of each expert of the mixture", _WEIGHTS)
    yield _trust_table(review)
    yield section("Records of the experts")
    yield figure(figures.records(review.earned, review.traded[0]), "What each expert has earned so far", _RECORDS)
    yield section("Each expert alone")
    yield _measures_table(review)
    names = [*(name for name in review.values if name != MIXTURE), MIXTURE]  # drawn last, above the others
    curves = {str(name): review.values[[name]] for name in names}
    yield figure(figures.equity(curves), "Value of each account on the test bars", _ALONE)
    yield section("Contribution of each expert")
    yield _contributions_table(review)
    yield paragraph(_CONTRIBUTIONS, "soft")
    yield section("Agreement between experts")
    yield _agreement_table(review)
    yield paragraph(_AGREEMENT, "soft")
    yield section("Disputed months, and which expert was right")
    yield from _disputes(review)
    yield section("Definitions")
    yield items(_MEANT)
    yield f"<footer>llmguide {__version__}</footer>"


_WEIGHTS = (
    "An expert's weight is its share in the mixture's position: the positive part of its record, divided by those of "
    "all experts with an opinion. It stands on results up to the bar before."
)
_RECORDS = (
    "Results per bar, after cost, in standard deviations of the 60 returns before, added up over all bars on "
    "which the expert had an opinion: including the bars before the test, since they count towards the "
    "records. The dashed line is the first traded bar."
)
_ALONE = (
    "Every account starts with the same cash, is idle on the first test bars, and holds its expert's side as "
    "a fraction of the account, after cost, under the limits of the mixture."
)
_CONTRIBUTIONS = (
    "An expert's gain is the sum of weight times side times the market's next return, in per cent of the "
    "account at each bar. The cost of every trade is apportioned by the change in each expert's weight times "
    "side since the previous trade. Sizing is the rest: whole shares, the band within which nothing is "
    "traded, limits, going all in instead of holding the fraction, and fills at other prices than the close. "
    "The rows add up exactly to the sum of the account's returns, which is not its total return: that "
    "compounds."
)
_AGREEMENT = (
    "Traded bars on which both are long or short, and the price moved at the next one. About half of the bars on which "
    "two experts disagree go the way of either by chance."
)
_MEANT = (
    "Record: the mean of an expert's results per bar and its prior, as of the bar before. Multiplied by the "
    "square root of the bars per year, it is roughly a Sharpe ratio.",
    "Bars of its own: the bars behind its record, besides the prior, at the first and at the last traded bar.",
    "Trusted: share of the traded bars on which the expert had a weight above 0. Speaks: share of the traded "
    "bars with an opinion.",
    "A month is disputed on the bars that two experts came into on opposite sides. An expert's result there "
    "is the sum of side times return, less cost, with all of the account on its side. An expert with a "
    "positive result was right.",
    "Sharpe ratios are annualised, and include the idle bars at the beginning.",
    "This is one instrument in one period: differences of a few tenths in Sharpe ratio may be luck.",
)


def _remarks(review: Review) -> Iterator[str]:
    mixed, settings, traded = review.mixed, review.settings, review.traded
    first = review.values.index[0]
    before = len(mixed.closes) - len(review.values)
    yield (
        f"Test bars {first:%Y-%m-%d} to {traded[-1]:%Y-%m-%d}, traded from {traded[0]:%Y-%m-%d} on; records begin up "
        f"to {before:,} bars before them."
        if before
        else f"Bars {first:%Y-%m-%d} to {traded[-1]:%Y-%m-%d}, traded from {traded[0]:%Y-%m-%d} on; no earlier "
        "bars, so that all weights are earned during the test."
    )
    how = "the sign of the position, all in" if settings["all_in"] else "the position as a fraction of the account"
    limits = ["long only"] if settings["long_only"] else []
    if settings["max_leverage"] < 1.0:
        limits.append(f"at most {percent(settings['max_leverage'], 0)} of the account")
    limits += [f"band {percent(settings['band'])}", f"cost {percent(settings['cost'], 2)} of each trade"]
    yield f"Held is {how}; {', '.join(limits)}."
    priors = [f"{name} {prior.mean:g} over {prior.count:g} bars" for name, prior in mixed.priors.items()]
    yield f"Priors: {', '.join(priors)}."


def _trust_table(review: Review) -> str:
    rows = [
        [
            str(name),
            number(row["weight"]),
            f"{number(row['first_weight'])} → {number(row['last_weight'])}",
            number(row["record"], 3),
            number(row["record"] * math.sqrt(review.periods)),
            f"{int(row['first_bars']):,} → {int(row['last_bars']):,}",
            percent(row["trusted"], 0),
            percent(row["speaks"], 0),
        ]
        for name, row in review.trust.iterrows()
    ]
    columns = ["Expert", "Mean weight", "First → last", "Record a bar", "Record a year", "Bars of its own"]
    return table([*columns, "Trusted", "Speaks"], rows)


def _measures_table(review: Review) -> str:
    rows = [
        [
            str(name),
            number(row["sharpe"]),
            percent(row["max_drawdown"]),
            percent(row["total_return"]),
            percent(row["exposure"], 0),
            number(row["turnover"], 1),
        ]
        for name, row in review.measures.iterrows()
    ]
    columns = ["Account", "Sharpe ratio", "Maximum drawdown", "Total return", "Exposure", "Turnover a year"]
    return table(columns, rows)


def _contributions_table(review: Review) -> str:
    found = review.contributions
    rows = [
        [str(name), percent(row["gain"], 2), percent(row["cost"], 2), percent(row["net"], 2)]
        for name, row in found.iterrows()
    ]
    total = found.sum()
    rows.append(["sum of the account's returns", *(percent(total[name], 2) for name in ("gain", "cost", "net"))])
    return table(["From", "Gain", "Cost", "Net"], rows)


def _agreement_table(review: Review) -> str:
    rows = [
        [
            f"{row.a} and {row.b}",
            f"{row.bars:,}",
            percent(row.same, 0),
            f"{row.apart:,}",
            f"{row.a} {row.a_right:,}, {row.b} {row.apart - row.a_right:,}",
        ]
        for row in _rows(review.agreement)
    ]
    if not rows:
        return paragraph("There is one expert only.")
    return table(["Experts", "Bars", "Same side", "Opposite sides", "Right when opposite"], rows)


def _disputes(review: Review) -> Iterator[str]:
    months = review.months
    disputed = months.index[months["disputed"] >= _DISPUTED]
    if not len(disputed):
        yield paragraph(f"In none of the {len(months)} months were two experts on opposite sides on half of its bars.")
        return
    results = review.month_results.loc[disputed]
    yield paragraph(
        f"In {len(disputed)} of {len(months)} months two experts were on opposite sides on at least half of the bars."
    )
    rows = [
        [
            str(name),
            f"{int(of_expert.notna().sum())}",
            f"{int((of_expert > 0.0).sum())}",
            percent(of_expert.mean(), 2),
        ]
        for name, of_expert in results.items()
    ]
    own = months["mixture"].loc[disputed]
    rows.append([MIXTURE, f"{len(own)}", f"{int((own > 0.0).sum())}", percent(own.mean(), 2)])
    yield table(["", "Disputed months with an opinion", "Earned something", "Mean result"], rows)
    full = _month_table(review, disputed)
    yield full if len(disputed) <= _FEW else fold(f"All {len(disputed)} disputed months", full)


def _month_table(review: Review, disputed: pd.Index[Any]) -> str:
    names = review.mixed.names
    lines = []
    for month in disputed:
        row, sides, results = (frame.loc[month] for frame in (review.months, review.month_sides, review.month_results))
        right = [name for name in names if results[name] > 0.0]
        cells = [_said(float(sides[name]), float(results[name])) for name in names]
        lines.append([str(month), percent(row["price"]), *cells, percent(row["mixture"]), ", ".join(right) or "nobody"])
    return table(["Month", "Price", *names, MIXTURE, "Right"], lines)


def _said(side: float, result: float) -> str:
    """A month of an expert: the side it was on most, and what it earned."""
    if math.isnan(result):
        return "no opinion"
    word = "joined" if math.isnan(side) else "long" if side > 0.5 else "short" if side < -0.5 else "in between"
    return f"{word} {percent(result)}"


def _signed(value: float) -> str:
    text = number(value, 3)
    return text if text[0] in "−n" or not float(text) else f"+{text}"


def _rows(frame: pd.DataFrame) -> Any:
    return frame.itertuples(index=False)
