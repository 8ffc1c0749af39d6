"""The few lines of Python that make a comparison again: what its page shows where no command is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from llmguide.experiments.placebo.plan import ControlPlan
from llmguide.rl.config import DQNConfig
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.policy import PolicyConfig
from llmguide.states.text import DEFAULT, packaged
from llmguide.trading.flag_rules import FlagRules

if TYPE_CHECKING:
    from llmguide.experiments.compare.result import ComparisonResult

__all__ = ["script_of"]


def script_of(comparison: ComparisonResult) -> str:
    """Return a script that makes a comparison again from its bars, with the hashes to know them by.

    An ellipsis stands for what only its user knows: where the bars and the language model are.
    """
    settings = comparison.settings
    changed = _changes(DQNConfig.from_dict(settings["agent"]), DQNConfig())
    flag = settings.get("flag")
    reads = []
    for part in ("train", "test"):
        bars = settings["data"][part]
        known = f"{bars['bars']} bars, {bars['first']} to {bars['last']}, sha256 {bars['sha256'][:16]}..."
        reads.append(f"{part} = llmguide.read_bars(...)  # {known}")
    controls = settings.get("controls")
    asked = [] if controls is None else [_controls_line(controls)]
    given = "None" if comparison.guidance is None else 'llmguide.Guidance.read("guidance.parquet")  # of this folder'
    plan = [] if flag is None else _flag_lines(flag)
    lines = [
        "import llmguide",
        *(["from llmguide.rl.config import DQNConfig"] if changed else []),
        *_imports("\n".join([*asked, *plan])),
        "",
        *reads,
        f"guidance = {given}",
        *plan,
        *asked,
        "comparison = llmguide.compare(",
        "    train, test, guidance,",
        f"    arms={list(settings['arms'])},",
        f"    seeds={list(settings['seeds'])},",
        f"    episodes={settings['episodes']},",
        *([f"    config=DQNConfig({changed}),"] if changed else []),
        *([] if flag is None else ["    flag=flag,"]),
        f"    periods={settings['periods']:g},",
        *([] if controls is None else ["    controls=controls,"]),
        *([f"    holdout={settings['holdout']},"] if "holdout" in settings else []),
        ")",
        'comparison.write("again")',
    ]
    return "\n".join(lines)


def _flag_lines(flag: Mapping[str, Any]) -> list[str]:
    """Return the lines that make the plan of the arm flag."""
    own = {name: value for name, value in flag["policy"].items() if name in {one.name for one in fields(PolicyConfig)}}
    policy = _changes(PolicyConfig(**own), PolicyConfig())
    config, usual = FlagConfig.from_dict(flag["training"]), FlagRules()
    # Capital and cost are those of the comparison.
    config = replace(config, rules=replace(config.rules, cash=usual.cash, cost=usual.cost))
    training = _changes(config, FlagConfig())
    template = flag["template"]
    told = repr(template["name"]) if template["name"] in packaged() else "..."
    return [
        f"base = ...  # the language model {flag['base']}, sha256 {flag['base_sha256'][:16]}...",
        "flag = FlagPlan(",
        "    base,",
        f"    policy=PolicyConfig({policy}),",
        *([f"    config=FlagConfig({training}),"] if training else []),
        *([] if template["name"] == DEFAULT else [f"    template={told},  # sha256 {template['sha256'][:16]}..."]),
        ")",
    ]


def _controls_line(controls: Mapping[str, Any]) -> str:
    """Return the line that makes the plan of the controls."""
    plan = ControlPlan(**{**controls, "accuracies": tuple(controls["accuracies"])})
    return f"controls = ControlPlan({_changes(plan, ControlPlan())})"


def _imports(lines: str) -> list[str]:
    """Return the imports of what these lines use."""
    homes = {
        "ControlPlan": "llmguide.experiments.placebo",
        "FlagConfig": "llmguide.rl.flag.config",
        "FlagPlan": "llmguide.rl.flag.plan",
        "PolicyConfig": "llmguide.rl.flag.policy",
        "FlagRules": "llmguide.trading.flag_rules",
    }
    return [f"from {home} import {name}" for name, home in homes.items() if f"{name}(" in lines]


def _changes(config: Any, usual: Any) -> str:
    """Return the arguments that make a config of the usual one."""
    return ", ".join(
        f"{one.name}={getattr(config, one.name)!r}"
        for one in fields(config)
        if getattr(config, one.name) != getattr(usual, one.name)
    )
