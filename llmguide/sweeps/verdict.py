"""What a validation says of the best combination of a sweep, in plain words.

The probability of backtest overfitting: Bailey, Borwein, López de Prado and Zhu (2017), "The probability of backtest
overfitting", Journal of Computational Finance 20(4). The deflated Sharpe ratio: Bailey and López de Prado (2014), "The
deflated Sharpe ratio", Journal of Portfolio Management 40(5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from llmguide.counting import counted
from llmguide.report.html import number, percent
from llmguide.sweeps.wording import MEASURED, measured

__all__ = ["Verdict", "unchecked", "verdict_of"]

SURE = 0.95
"""Deflated Sharpe ratio from which on luck among so many trials is usually ruled out."""
_UNCHECKED = "Not checked for overfitting"
CHANCE = 0.5
"""Probability of overfitting, and share of the others beaten, of a choice that is no better than a random one."""


class Verdict(NamedTuple):
    """Whether the best combination is more than the luckiest.

    Attributes:
        holds: True where nothing measured speaks against it, False where something does, None where nothing was
            checked, or nothing could be.
        headline: the answer in a few words.
        reasons: sentences, what speaks against it first.
    """

    holds: bool | None
    headline: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join([f"{self.headline}.", *self.reasons])


def unchecked(trials: int) -> Verdict:
    """Return the verdict on a sweep that was not validated."""
    how = "Give --validate with a file of later bars (in Python: .validate(later_bars)) for its out-of-sample result"
    if trials == 1:
        return Verdict(None, _UNCHECKED, (f"One combination was backtested, and nothing was selected. {how}.",))
    luck = f"The best of {counted(trials, 'combination')} owes part of its result to luck."
    return Verdict(
        None, _UNCHECKED, (luck, f"{how}, the probability of backtest overfitting and the deflated Sharpe ratio.")
    )


def verdict_of(found: Mapping[str, Any], by: str) -> Verdict:
    """Return the verdict on one instrument, from its row of `Validation.table`; `by` is the measure that chose."""
    against, for_it = [], []
    test, beaten, pbo, deflated = (float(found[name]) for name in ("test", "beaten", "pbo", "deflated_sharpe"))
    label, trials = MEASURED[by].label, int(found["trials"])
    moved = f"from {measured(by, found['train'])} where it was chosen to {measured(by, test)} on the later bars"
    if math.isnan(test):
        against.append(f"On the later bars it has no {label}, for example because it never trades.")
    elif MEASURED[by].signed and test <= 0 < found["train"]:
        against.append(f"Its {label} went {moved}.")
    else:
        for_it.append(f"Its {label} went {moved}.")
    if not math.isnan(beaten):
        share = percent(beaten, 0)
        said = f"On the later bars it beats {share} of the other combinations, where chance would beat half."
        (against if beaten <= CHANCE else for_it).append(said)
    if not math.isnan(pbo):
        worse = ", no better than choosing at random" if pbo >= CHANCE else ""
        said = f"The probability of backtest overfitting is {percent(pbo, 0)}{worse}."
        (against if pbo >= CHANCE else for_it).append(said)
    overfit = bool(against)
    if not math.isnan(deflated):
        luck = (
            f"The luckiest of {counted(trials, 'combination')} reaches a Sharpe ratio of "
            f"{number(found['hurdle'])} without skill; the probability that this one is more than luck "
            f"(deflated Sharpe ratio) is {percent(deflated, 0)}"
        )
        within = deflated < SURE
        (against if within else for_it).append(luck + (f", below the usual {percent(SURE, 0)}." if within else "."))
    if overfit:
        headline = "Likely overfit"
    elif against:
        headline = "Not shown to be more than luck"
    elif math.isnan(pbo) and math.isnan(deflated):
        headline = "Better than most on later bars, but not checked for overfitting"
        return Verdict(None, headline, tuple(for_it))
    else:
        headline = "Holds up out of sample"
    return Verdict(not against, headline, (*against, *for_it))
