"""A feed that Backtrader takes for a live one."""

from __future__ import annotations

from llmguide.backtest import BarsData


class LiveBars(BarsData):
    """Bars that arrive one by one, with a pause before every tenth."""

    def islive(self):
        return True

    def start(self):
        super().start()
        self._calls = 0

    def _load(self):
        self._calls += 1
        return None if self._calls % 10 == 0 else super()._load()
