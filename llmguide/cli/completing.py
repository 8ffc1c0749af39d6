"""What the shell offers for the values of options; files and folders it offers itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from llmguide.cli.options import STRATEGIES

__all__ = ["ARMS", "LEVERS", "LISTS", "PROVIDERS", "RULES", "VALUES", "Complete", "completion_of"]

# Written out here, since loading what they name would take seconds at every press of the key.
ARMS = ("hybrid", "rl", "llm", "hold", "sell", "trend", "reversion", "mixture", "flag")
LEVERS = ("jittered", "constant", "raw-bars", "raw-prices", "agreement", "discount", "flat")
PROVIDERS = ("rules", "oracle", "shuffled", "inverted", "constant")
RULES = ("trend", "reversion", "guidance", "blend", "mixture")
_PROMPTS = ("P0", "P1", "P2", "P3", "P4")
_MEASURES = ("sharpe", "sortino", "max_drawdown", "total_return", "annual_return", "trades", "exposure", "turnover")

VALUES: dict[str | tuple[str, str], tuple[str, ...]] = {
    "agent": ("dqn", "flag"),
    "algorithm": ("ppo", "reinforce"),
    "by": _MEASURES,
    "calibrate": ("isotonic", "platt"),
    "device": ("cpu", "cuda", "auto"),
    "engine": ("stream", "vbt"),
    "fill": ("close", "next_open"),
    "levels": ("relative", "absolute"),
    "prompt": _PROMPTS,
    "provider": PROVIDERS,
    "role": ("strategist", "analyst"),
    "rule": RULES,
    "rules": ("house", "paper"),
    "strategy": STRATEGIES,
    "tau": ("published", "constant", "jittered"),
    "template": ("flag", "brief", "multimodal"),
    ("guide", "provider"): ("llm", "local", "replay", *PROVIDERS, "file"),
    ("levers", "provider"): ("oracle", "rules"),
    ("demo", "provider"): ("rules", "local"),
}
"""Values of an option by its parameter; of one command by the command's function and the parameter."""

LISTS: dict[str, tuple[str, ...]] = {
    "arms": ARMS,
    "levers": LEVERS,
    "measures": ("recall", "identification", "counterfactual"),
    "versions": _PROMPTS,
}
"""Values of options that take several, separated by commas."""

_OTHERS = (("audit", "prompt"), ("audit", "strategy"))
"""Options that are called like others, and mean something else."""

Complete = Callable[[typer.Context, str], list[str]]


def completion_of(command: str, option: str) -> Complete | None:
    """Return what completes the values of an option of a command, named by function and parameter; None: nothing."""
    values = LISTS.get(option) or VALUES.get((command, option)) or VALUES.get(option)
    if option not in ("symbols", "assignments") and (values is None or (command, option) in _OTHERS):
        return None

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        if option == "symbols":
            return _next(incomplete, _symbols(ctx.params.get("data")))
        if option in LISTS:
            return _next(incomplete, LISTS[option])
        words = _settings(ctx) if option == "assignments" else values or ()
        return [word for word in words if word.startswith(incomplete)]

    return complete


def _next(begun: str, values: Any) -> list[str]:
    """Return the lists that go on with one more of the values that are not in them."""
    before, comma, last = begun.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{value}" for value in values if value.startswith(last) and value not in taken]


def _symbols(folder: Any) -> list[str]:
    """Return the instruments of a folder of bars; none where it cannot be read."""
    if folder is None:
        return []
    try:
        return sorted({path.stem.split("_")[0] for path in Path(folder).iterdir() if path.suffix.lower() == ".csv"})
    except OSError:
        return []


def _settings(context: typer.Context) -> list[str]:
    from llmguide.cli.config_file import entries_of
    from llmguide.cli.settings import SET, defaults_of

    sections = entries_of(context.command)[SET].sections
    return [f"{section}.{name}=" for section in sections for name in defaults_of(section)]
