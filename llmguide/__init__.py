"""Language-model guided deep Q-learning for Backtrader.

Importing this package is instant: every public name is loaded at its first use, and with it the library that it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from llmguide._version import __version__

if TYPE_CHECKING:
    from llmguide import backtest, indicators, live, mixture, strategies
    from llmguide.audit import audit
    from llmguide.bars import read_bars, sample_bars
    from llmguide.errors import LlmguideError
    from llmguide.experiments.compare import compare
    from llmguide.experiments.replicate import replicate
    from llmguide.experiments.tuning import tune
    from llmguide.experiments.walk_forward import walk_forward
    from llmguide.guidance import Guidance, guide
    from llmguide.guidance.language_model import LanguageModel
    from llmguide.metrics import max_drawdown, sharpe_ratio
    from llmguide.mixture.run import mix
    from llmguide.report.tearsheet import tearsheet
    from llmguide.rl.checkpoint import load_agent
    from llmguide.rl.training import train_dqn
    from llmguide.sweeps.run import sweep
    from llmguide.trading.env import TradingEnv
    from llmguide.trading.simulate import simulate

_HOMES = {
    "Guidance": "llmguide.guidance",
    "LanguageModel": "llmguide.guidance.language_model",
    "LlmguideError": "llmguide.errors",
    "TradingEnv": "llmguide.trading.env",
    "compare": "llmguide.experiments.compare",
    "guide": "llmguide.guidance",
    "load_agent": "llmguide.rl.checkpoint",
    "max_drawdown": "llmguide.metrics",
    "mix": "llmguide.mixture.run",
    "read_bars": "llmguide.bars",
    "replicate": "llmguide.experiments.replicate",
    "sample_bars": "llmguide.bars",
    "sharpe_ratio": "llmguide.metrics",
    "simulate": "llmguide.trading.simulate",
    "sweep": "llmguide.sweeps.run",
    "tearsheet": "llmguide.report.tearsheet",
    "train_dqn": "llmguide.rl.training",
    "tune": "llmguide.experiments.tuning",
    "walk_forward": "llmguide.experiments.walk_forward",
}
_ROOMS = ("audit", "backtest", "indicators", "live", "mixture", "strategies")

__all__ = [
    "Guidance",
    "LanguageModel",
    "LlmguideError",
    "TradingEnv",
    "__version__",
    "audit",
    "backtest",
    "compare",
    "guide",
    "indicators",
    "live",
    "load_agent",
    "max_drawdown",
    "mix",
    "mixture",
    "read_bars",
    "replicate",
    "sample_bars",
    "sharpe_ratio",
    "simulate",
    "strategies",
    "sweep",
    "tearsheet",
    "train_dqn",
    "tune",
    "walk_forward",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"llmguide.{name}")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'llmguide' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
