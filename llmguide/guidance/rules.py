"""Provider "rules": a vote of seven technical indicators, and no language model.

It is the default that needs no key, and the ablation "would plain rules have guided as well?". The votes, each +1 long,
-1 short or 0 (no opinion: not enough bars yet, or an exact balance), at the close of a bar:

| vote | long when | first bar with a vote |
|---|---|---|
| SMA200 | close > its 200-bar mean | 200 |
| SMA20/50 | 20-bar mean > 50-bar mean | 50 |
| SMA50 slope | 50-bar mean > itself 20 bars before | 70 |
| MACD | histogram of MACD(12, 26, 9) > 0 | 34 |
| RSI14 | RSI(14) > 50 | 15 |
| 60-bar return | > 0 | 61 |
| volatility | at most its median over 252 bars while the 20-bar return is > 0 | 272 |

Short is the opposite everywhere; the last one votes short when volatility is above its median while the 20-bar return
is < 0 (volatility tends to rise as prices fall), and has no opinion on the two other combinations. Volatility is the
standard deviation of 20 close-to-close returns: unlike the true range it is not upset by adjusted closes beside
unadjusted highs and lows.

Direction is the sign of the sum. On a tie it is that of the last 20-bar return, long if that is zero or unknown; if
nobody voted the row abstains. Confidence is 3 when at least 6 of the 7 votes agree with the direction, 2 when 4 or 5
do, 1 below: a vote not cast counts as one that does not agree. Entropy and perplexity are missing, since rules have no
token probabilities.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import talib
from numpy.typing import NDArray

from llmguide.guidance.schedule import EVERY, FIRST, close_prices, issue_positions
from llmguide.guidance.table import Guidance

__all__ = ["VOTES", "cast_votes", "count_votes", "rules", "rules_row"]

VOTES = ("SMA200", "SMA20/50", "SMA50 slope", "MACD", "RSI14", "60-bar return", "volatility")

# Rounding inside running means leaves differences of about 1e-15 of the price where there is none.
_BALANCE = 1e-9


def rules(bars: pd.DataFrame, *, every: int = EVERY, first: int = FIRST) -> Guidance:
    """Return the guidance of a vote of seven technical indicators, each row from the closes before its bar.

    Args:
        bars: a frame with a column ``close``; no other column is used.
        every: bars from one decision to the next.
        first: the bar of the first decision, from 0.

    Raises GuidanceError for settings out of range or too few bars, DataError for bars that cannot be used.
    """
    positions = issue_positions(bars, every=every, first=first)
    close = close_prices(bars)
    votes = cast_votes(close)
    recent = talib.ROCP(close, timeperiod=20)
    return Guidance.from_rows([_row(bars.index[i], votes[i - 1], recent[i - 1]) for i in positions])


def rules_row(known: pd.DataFrame, issued_at: datetime) -> dict[str, Any]:
    """Return the row issued at one time, from the bars known by then: a live provider's answer."""
    close = close_prices(known)
    return _row(issued_at, cast_votes(close)[-1], talib.ROCP(close, timeperiod=20)[-1])


def _row(issued_at: datetime, votes: NDArray[np.int8], recent: float) -> dict[str, Any]:
    direction, confidence = count_votes(votes, recent=recent)
    return {
        "issued_at": issued_at,
        "direction": direction,
        "confidence": confidence,
        "provider": "rules",
        "explanation": _explain(votes, direction),
    }


def cast_votes(close: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return the votes +1, -1 or 0 at every bar, shape (len(close), 7) in the order of `VOTES`.

    Row t uses closes up to and including t: the indicators run over the whole series once, and all of them are causal.
    """
    sma20 = talib.SMA(close, timeperiod=20)
    sma50 = talib.SMA(close, timeperiod=50)
    sma200 = talib.SMA(close, timeperiod=200)
    histogram = talib.MACD(close, fastperiod=12, slowperiod=26, signalperiod=9)[2]
    # RSI = (CMO + 100) / 2 in TA-Lib, but on prices that stand still RSI reads 0, the most bearish value, and CMO 0.
    momentum = talib.CMO(close, timeperiod=14) / 100.0
    slope = np.full_like(close, np.nan)
    slope[20:] = sma50[20:] - sma50[:-20]
    volatility = talib.STDDEV(talib.ROCP(close, timeperiod=1), timeperiod=20, nbdev=1.0)
    usual = pd.Series(volatility).rolling(252).median().to_numpy()
    recent = _sign(talib.ROCP(close, timeperiod=20))
    stormy = volatility > usual
    return np.column_stack(
        [
            _sign((close - sma200) / close),
            _sign((sma20 - sma50) / close),
            _sign(slope / close),
            _sign(histogram / close),
            _sign(momentum),
            _sign(talib.ROCP(close, timeperiod=60)),
            np.where(np.isnan(usual) | (stormy != (recent < 0)), 0, recent),
        ]
    ).astype(np.int8)


def count_votes(votes: NDArray[np.int8], *, recent: float) -> tuple[int | None, int | None]:
    """Return (direction, confidence) of one bar's seven votes; (None, None) if nobody voted.

    `recent` is the return of the last 20 bars, NaN if unknown; it decides a tie.
    """
    if not votes.any():
        return None, None
    total = int(votes.sum())
    tie = 0 if recent < 0 else 1
    direction = tie if total == 0 else int(total > 0)
    agreeing = int((votes == (1 if direction else -1)).sum())
    return direction, 3 if agreeing >= 6 else 2 if agreeing >= 4 else 1


def _sign(value: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return +1, -1, or 0 where a relative difference is missing or no more than rounding."""
    return np.where(np.abs(value) > _BALANCE, np.sign(value), 0.0).astype(np.int8)


def _explain(votes: NDArray[np.int8], direction: int | None) -> str:
    sides = {"long": 1, "short": -1, "no opinion": 0}
    parts = [
        f"{name}: {', '.join(vote for vote, cast in zip(VOTES, votes, strict=True) if cast == side)}"
        for name, side in sides.items()
        if (votes == side).any()
    ]
    if direction is None:
        return "No indicator has an opinion."
    name = "long" if direction else "short"
    agreeing = int((votes == sides[name]).sum())
    return f"{agreeing} of {len(VOTES)} indicators agree on {name} ({'; '.join(parts)})."
