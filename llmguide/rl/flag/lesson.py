"""What a policy is trained on: bars, what else is known, and the template that tells it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from llmguide.hashing import hash_bars
from llmguide.rl.flag.config import FlagConfig
from llmguide.sources.tables import Tables
from llmguide.states.factors import FactorsSource
from llmguide.states.moment import GuidanceAt, MomentReader
from llmguide.states.text import DEFAULT, StateTemplate, prefix, read_state_template, render
from llmguide.trading.flag_accounts import AccountView, FlagAccounts
from llmguide.trading.flag_env import check_start
from llmguide.trading.flag_rules import FlagRules
from llmguide.trading.observation import check_origin
from llmguide.trading.simulate import closes

__all__ = ["FlagLesson"]

_PROBES = 32  # bars whose texts make the fingerprint


@dataclass(frozen=True, eq=False)
class FlagLesson:
    """Bars told as text.

    Attributes:
        prices: closes, shape ``(bars,)``: they are traded at.
        reader: makes the moments.
        template: tells them.
        config: see there.
        told: what states tell of beside bars and account: some of "guidance", "factors", "tables".
    """

    prices: NDArray[np.float64]
    reader: MomentReader
    template: StateTemplate
    config: FlagConfig
    told: tuple[str, ...] = ()

    @classmethod
    def prepare(
        cls,
        bars: pd.DataFrame,
        *,
        config: FlagConfig | None = None,
        template: str | Path | StateTemplate = DEFAULT,
        guidance: GuidanceAt | None = None,
        factors: FactorsSource | None = None,
        tables: Tables | None = None,
    ) -> FlagLesson:
        """Check and prepare everything; see `llmguide.rl.flag.training.train_flag` for arguments and errors."""
        settings, read = config or FlagConfig(), read_state_template(template)
        read.refuse_untold(guidance=guidance, factors=factors, tables=tables)
        prices = closes(bars)
        check_start(len(prices), settings.rules, shown=settings.shown, whole=True)
        if guidance is not None:
            check_origin(guidance, bars)  # type: ignore[arg-type]  # it asks for a method that is not used there
        reader = MomentReader(
            bars, shown=settings.shown, guidance=guidance, factors=factors, tables=tables, facts=read.uses_facts
        )
        given = {"guidance": guidance, "factors": factors, "tables": tables}
        told = tuple(name for name, value in given.items() if value is not None)
        return cls(prices, reader, read, settings, told)

    @property
    def bars(self) -> pd.DataFrame:
        """The bars, as they were given."""
        return self.reader.bars

    @property
    def prefix(self) -> str:
        """The text with which every state begins."""
        return prefix(self.template, shown=self.config.shown)

    def accounts(self, number: int, *, whole: bool = False) -> FlagAccounts:
        """Return accounts that trade these bars; `whole` walks to the last one."""
        return FlagAccounts(self.prices, self.config.rules, number, whole=whole)

    def texts(self, accounts: Sequence[AccountView]) -> list[str]:
        """Return the state of each account before its next decision."""
        shown = self.config.shown
        return [render(self.template, moment, shown=shown) for moment in self.reader.at_all(accounts)]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the bars and of what a fresh account reads at some of them: template, guidance, tables, all."""
        digest = hashlib.sha256(hash_bars(self.bars).encode())
        accounts = FlagAccounts(self.prices, FlagRules(), whole=True)
        starts = np.unique(np.linspace(self.config.shown, len(self.prices) - 1, _PROBES).astype(int))
        for start in starts.tolist():
            accounts.reset(0, start)
            digest.update(self.texts([accounts.view(0)])[0].encode())
        return digest.hexdigest()
