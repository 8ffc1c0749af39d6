"""What is unusual in bars: whether it matters to a backtest, and what to do about it, in a few words each."""

from __future__ import annotations

from collections.abc import Sequence

from llmguide.sources.suspicion import Finding, Kind

__all__ = [
    "ADJUSTED",
    "ADJUSTED_IGNORED",
    "LAST_TODAY",
    "OUTSIDE",
    "REVERSED",
    "VOLUME_ONLY",
    "ZERO_VOLUMES",
    "of_filling",
    "of_findings",
]

FEW = 0.01
"""Share of bars with filled prices up to which these change no measure by much."""
SHORT = 5
"""Bars in a row, likewise: a week."""

REVERSED = "harmless"
ADJUSTED = "as asked"
ADJUSTED_IGNORED = "matters over years: dividends are missing from returns; adjust=True adds them"
OUTSIDE = "harmless for fills at the close; for fills at the open, adjust=True puts all prices on one scale"
VOLUME_ONLY = "harmless for prices and returns: only the volume that an agent sees is affected"
ZERO_VOLUMES = "harmless: an agent sees no volume there"
LAST_TODAY = "matters on that bar only: read it again after the close"

_FALSE_MOVE = (
    "matters if it is a data error: Sharpe ratios and drawdowns would be wrong; correct the file, or refuse "
    "it with strict=True"
)
_OF_KIND: dict[Kind, str] = {
    "split": _FALSE_MOVE,
    "unit": _FALSE_MOVE,
    "move": _FALSE_MOVE,
    "spike": _FALSE_MOVE,
    "price": "matters for fills at the open: correct the file",
    "gap": "matters little: the move across a gap counts as the return of one bar",
    "stale": "matters: bars without trades understate volatility and overstate Sharpe ratios; leave them out",
}


def of_filling(*, prices: int, longest: int, bars: int, linear: int) -> str:
    """Return what filled values do: `prices` of them, `longest` bars in a row, `linear` ones by means of later bars."""
    if linear:
        return "matters in a backtest: later bars were used; gaps='forward' uses none"
    if not prices:
        return VOLUME_ONLY
    if longest <= SHORT and prices <= max(FEW * 4 * bars, 1):
        return "harmless: few and short"
    return "matters: repeated prices understate volatility and overstate Sharpe ratios; complete the file"


def of_findings(findings: Sequence[Finding]) -> str:
    """Return what these findings do, each consequence once."""
    return "; ".join(dict.fromkeys(_OF_KIND[finding.kind] for finding in findings))
