"""The Typer application with all of its commands: importing their modules registers them."""

from __future__ import annotations

from llmguide.cli import (  # noqa: F401  # registers the commands
    agents,
    audit,
    backtest,
    bias,
    config,
    data,
    flag,
    guidance,
    levers,
    live,
    memory,
    mixture,
    pages,
    review,
    sweep,
    tune,
    walk_forward,
)
from llmguide.cli.app import app

__all__ = ["app"]
