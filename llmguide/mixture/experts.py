"""Experts from what users have: each proposes a side for every bar.

A *side* is what an expert would have the account hold: +1 all of it long, -1 all of it short, 0 nothing, or anything
between; NaN is no opinion. The side for bar t uses bars up to and including t-1, and guidance issued by the date of bar
t; it is taken at the close of t.

| expert | proposes | its record begins |
|---|---|---|
| Hold | long | at the first bar |
| FollowGuidance | the direction in force; on an abstention, what it has | at the first bar |
| FollowProvider | the same of guidance that is asked for as bars come | at the first bar |
| FollowAgent | a trained agent's decision, on an account of its own | after its last training bar |
| FollowPolicy | what FLAG-Trader's language model does, on an account of its own | after its last training bar |
| MovingAverages | by two moving averages (see `llmguide.trading.moving_averages`) | at the first bar |
| Sides | what an array or a series says | at the first bar |
| Function | what a function of the bars says | at the first bar |

**Out of sample.** What an expert says on bars that it was made from is no evidence for it. Where one was chosen on some
of the bars (windows by `choose_windows`, an array from a fitted model, guidance from a model that may have read
about them), pass the date of the first later bar as `since`: before it the expert has no opinion.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from llmguide.errors import DataError, LlmguideError
from llmguide.guidance.in_force import check_in_force
from llmguide.guidance.language_model import LanguageModel
from llmguide.guidance.live import COLUMNS, Ask, open_live
from llmguide.guidance.table import Guidance
from llmguide.look_ahead import find_look_ahead
from llmguide.mixture.followers import (
    AgentFollower,
    Asked,
    Constant,
    Follower,
    Given,
    GuidanceFollower,
    LiveRows,
    MovingAveragesFollower,
    Rows,
    TableRows,
    directions,
)
from llmguide.mixture.live import check_sides
from llmguide.mixture.prior import AGENT, GUIDANCE, HOLD, OTHER, Prior
from llmguide.mixture.reading import PolicyFollower, Reads, StateTeller
from llmguide.rl.agent import Agent
from llmguide.rl.checkpoint import load_agent
from llmguide.trading.moving_averages import Rule, check_windows, decisions, is_trend

if TYPE_CHECKING:
    from llmguide.rl.flag.bases import Base
    from llmguide.rl.flag.checkpoint import FlagCheckpoint
    from llmguide.sources.tables import Tables
    from llmguide.states.factors import FactorsSource

__all__ = [
    "Beginning",
    "Expert",
    "FollowAgent",
    "FollowGuidance",
    "FollowPolicy",
    "FollowProvider",
    "Function",
    "Hold",
    "MovingAverages",
    "Sides",
    "as_stamp",
    "find_expert",
    "find_experts",
    "is_policy",
    "naming",
    "sides_of",
    "sides_of_all",
]

Array = NDArray[np.float64]
Beginning = tuple[Any, Literal["left", "right"]]
"""Date of the first bar of a record, with "left", or of the last bar before it, with "right"."""


@dataclass(frozen=True)
class _Record:
    """Says of the bar of a time whether it belongs to a record; no closure, since strategies travel between processes.

    Attributes:
        moment, side: where it begins, as in `Beginning`; all bars belong to it where `moment` is None.
    """

    moment: pd.Timestamp | None
    side: Literal["left", "right"]

    def __call__(self, stamp: datetime) -> bool:
        if self.moment is None:
            return True
        return bool(stamp > self.moment or (self.side == "left" and stamp == self.moment))


@dataclass(frozen=True, kw_only=True, eq=False)
class Expert(ABC):
    """Base class of experts: each proposes a side for every bar.

    Attributes:
        prior: what is credited to it before its own record; None is the usual prior of its kind (see
            `llmguide.mixture.prior`).
        since: date of the first bar of its record; None is what its kind knows, such as the end of an agent's training.

    The methods that take `bars`, a frame as `llmguide.read_bars` returns it, raise LlmguideError or DataError where the
    expert has nothing to say about them.
    """

    prior: Prior | None = None
    since: str | date | None = None
    usual: ClassVar[Prior] = OTHER

    @abstractmethod
    def propose(self, bars: pd.DataFrame) -> Array:
        """Return the expert's side for every bar of `bars`, shape ``(bars,)``, in [-1, 1]; NaN is no opinion.

        The side for bar t may use bars up to and including t-1, and guidance issued by the date of bar t.
        """

    @property
    def belief(self) -> Prior:
        """The prior in effect, its own or the usual one of its kind."""
        return self.usual if self.prior is None else self.prior

    @property
    def uses_future(self) -> bool:
        """Whether it was made with knowledge of the future, as a control and never a result."""
        return False

    @property
    def begins(self) -> Beginning | None:
        """Where its record begins; None is at the first bar."""
        return None if self.since is None else (self.since, "left")

    def counts(self) -> Callable[[datetime], bool]:
        """Return a function that tells whether the bar of a time belongs to its record; LlmguideError for a date that
        is none.
        """
        if self.begins is None:
            return _Record(None, "left")
        moment, side = self.begins
        return _Record(as_stamp(moment), side)

    def first(self, bars: pd.DataFrame) -> int:
        """Return the position in `bars` of the first bar of its record; LlmguideError where there is none."""
        if self.begins is None:
            return 0
        moment, side = self.begins
        return _position(bars, moment, side=side)

    def sides(self, bars: pd.DataFrame) -> Array:
        """Return what it proposes for `bars`, checked, and NaN before the first bar of its record."""
        proposed = check_sides(self.propose(bars), (len(bars),), type(self).__name__).copy()
        proposed[: self.first(bars)] = np.nan
        return proposed

    def check(self, bars: pd.DataFrame) -> None:
        """Refuse `bars` about which it has nothing to say; LlmguideError where they end before its record begins."""
        self.first(bars)

    def follow(self) -> Follower:
        """Return a follower that proposes the same bar by bar; by default it calls `propose` anew at each bar."""
        return Asked(type(self).__name__, self.propose, tried=self.propose)


@dataclass(frozen=True, eq=False)
class Hold(Expert):
    """Long at every bar.

    Takes the attributes of `Expert`.
    """

    usual: ClassVar[Prior] = HOLD

    def propose(self, bars: pd.DataFrame) -> Array:
        """Return ones, shape ``(bars,)``."""
        return np.ones(len(bars))

    def follow(self) -> Follower:
        """Return the follower of this expert."""
        return Constant(1.0)


@dataclass(frozen=True, eq=False)
class FollowGuidance(Expert):
    """The direction in force at each bar, whatever its strength.

    No opinion before the first direction; an abstention leaves the side as it is, as in `llmguide.strategies.LLMOnly`.

    Attributes:
        guidance: the table.

    Raises GuidanceError on bars that the table was not made from, and on bars that it does not overlap in time;
    LlmguideError for anything but a table. Warns (DataWarning) where the table ends long before the bars (see
    `llmguide.guidance.in_force`).
    """

    guidance: Guidance
    usual: ClassVar[Prior] = GUIDANCE

    def __post_init__(self) -> None:
        if not isinstance(self.guidance, Guidance):
            raise LlmguideError(
                f"expected a llmguide.Guidance, got {type(self.guidance).__name__}; llmguide.Guidance.read reads a file"
            )

    def propose(self, bars: pd.DataFrame) -> Array:
        """Return the directions as sides."""
        self.check(bars)
        return directions(self.guidance, _dates(bars, "guidance"))

    def check(self, bars: pd.DataFrame) -> None:
        """Refuse bars that the table was not made from or does not overlap in time."""
        check_in_force(self.guidance, bars, _dates(bars, "guidance"), start=self.first(bars))

    def follow(self) -> Follower:
        """Return the follower of this expert."""
        return GuidanceFollower(TableRows(self.guidance))

    @property
    def uses_future(self) -> bool:
        """Whether the table uses the future."""
        return self.guidance.uses_future


@dataclass(frozen=True, eq=False)
class FollowProvider(Expert):
    """The direction in force, from a provider that is asked month by month, each time with the bars before it.

    Attributes:
        provider: "llm", "replay" (cached answers only), "rules", a `llmguide.LanguageModel`, or a function
            ``(known_bars, issued_at)`` (see `llmguide.guidance.live`). For a language model pass as `since` the first
            bar that it cannot have read about.

    Raises DataError for bars without all of the columns, and whatever the provider raises.
    """

    provider: str | LanguageModel | Ask
    usual: ClassVar[Prior] = GUIDANCE

    def ask(self, bars: pd.DataFrame) -> Guidance:
        """Return the guidance for every month of `bars`, each made from the bars before it."""
        missing = [name for name in COLUMNS if name not in bars]
        if missing:
            raise DataError(
                f"guidance made on the fly needs bars with {', '.join(COLUMNS)}, and these lack {missing}; "
                "pass them through llmguide.read_bars"
            )
        live = open_live(self.provider)
        stamps = _dates(bars, "guidance").to_pydatetime()
        for number, values in enumerate(bars[list(COLUMNS)].to_numpy(dtype=np.float64).tolist()):
            live.see(number, stamps[number], tuple(values))
        return live.table

    def propose(self, bars: pd.DataFrame) -> Array:
        """Return the directions as sides."""
        return directions(self.ask(bars), _dates(bars, "guidance"))

    def follow(self) -> Follower:
        """Return the follower of this expert."""
        return GuidanceFollower(LiveRows(self.provider))


@dataclass(frozen=True, eq=False)
class FollowAgent(Expert):
    """A trained agent's greedy decisions, on an account of its own, which is not the mixture's.

    Its record begins after the last bar that its checkpoint was trained on.

    Attributes:
        agent: a `llmguide.rl.agent.Agent`.
        guidance: for an agent that was trained with guidance: a table, or a `FollowProvider`.

    Raises ModelError where an agent trained with guidance gets none, or the other way round; LlmguideError for anything
    but an agent, and for fewer bars than it looks back on.
    """

    agent: Agent
    guidance: Guidance | FollowProvider | None = None
    usual: ClassVar[Prior] = AGENT

    def __post_init__(self) -> None:
        if not isinstance(self.agent, Agent):
            raise LlmguideError(
                f"expected an agent, got {type(self.agent).__name__}; llmguide.load_agent reads a checkpoint"
            )

    @property
    def begins(self) -> Beginning | None:
        """Date of the last training bar, or `since`."""
        return _after_training(self.agent.notes, "agent") if self.since is None else super().begins

    def propose(self, bars: pd.DataFrame) -> Array:
        """Return the agent's decisions as sides; NaN while there are too few bars to look back on."""
        lookback = self.agent.config.lookback
        if len(bars) <= lookback:
            raise LlmguideError(f"this agent looks back {lookback} bars, but there are only {len(bars)}; give more")
        self.check(bars)
        table = self.guidance.ask(bars) if isinstance(self.guidance, FollowProvider) else self.guidance
        tau = None if table is None else table.tau(_dates(bars, "guidance"))
        sides = np.full(len(bars), np.nan)
        sides[lookback:] = sides_of(self.agent.decide(bars, tau))
        return sides

    def check(self, bars: pd.DataFrame) -> None:
        """Refuse bars that the table was not made from or does not overlap in time."""
        _check_guidance(self, bars)

    def follow(self) -> Follower:
        """Return the follower of this expert."""
        return AgentFollower(self.agent, _rows_of(self.guidance))

    @property
    def uses_future(self) -> bool:
        """Whether the agent's guidance uses the future."""
        return self.guidance is not None and self.guidance.uses_future


@dataclass(frozen=True, eq=False)
class FollowPolicy(Expert):
    """A trained language-model policy (FLAG-Trader), on an account of its own, which is not the mixture's.

    Long while it holds shares, flat while it does not: its actions are those of `llmguide.rl.flag.evaluation.walk_flag`
    from the first bar of its record on, by the rules of its training. That is the first bar after its training; earlier
    bars are not evaluated, because that takes a language model long.

    Attributes:
        policy: a `llmguide.rl.flag.trained.TrainedPolicy`, or the path of a checkpoint, whose language model is loaded
            when the first side is asked for.
        base: the language model that a checkpoint was trained on (see `llmguide.rl.flag.bases.open_trained`).
        guidance: a table or a `FollowProvider`, where its states mention guidance.
        factors: news factors, where its states mention them (see `llmguide.states.moment.market_moment`).
        tables: external tables, where its states mention facts.

    Raises ModelError for a checkpoint or a language model that cannot be used, and for data that its states do not
    mention; LlmguideError for anything but a policy, and for too few bars; MissingExtra where transformers is not
    installed.
    """

    policy: Reads | Path | str
    base: Base | None = None
    guidance: Guidance | FollowProvider | None = None
    factors: FactorsSource | None = None
    tables: Tables | None = None
    usual: ClassVar[Prior] = AGENT

    def __post_init__(self) -> None:
        if not isinstance(self.policy, str | Path | Reads):
            raise LlmguideError(
                "expected a trained policy or the path of its checkpoint, got "
                f"{type(self.policy).__name__}; train one with: llmguide flag train"
            )
        if self.base is not None and isinstance(self.policy, Reads):
            raise LlmguideError("base= is for the path of a checkpoint; a policy has its language model already")
        from llmguide.rl.flag.checkpoint import check_told

        told = {"guidance": self.guidance, "factors": self.factors, "tables": self.tables}
        self._read.template.refuse_untold(**told)
        check_told(self._read.notes, **told)

    @cached_property
    def _read(self) -> Reads | FlagCheckpoint:
        """What is known without the language model: settings, template and training."""
        if isinstance(self.policy, Reads):
            return self.policy
        from llmguide.rl.flag.checkpoint import read_trained

        return read_trained(self.policy)

    @cached_property
    def _opened(self) -> Reads:
        if isinstance(self.policy, Reads):
            return self.policy
        from llmguide.rl.flag.bases import open_trained  # torch is loaded by those who have such a policy

        return open_trained(self.policy, self.base)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was read from the path: another process reads it itself."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_read", "_opened")}

    @property
    def begins(self) -> Beginning | None:
        """Date of the last training bar, or `since`."""
        return _after_training(self._read.notes, "policy") if self.since is None else super().begins

    def propose(self, bars: pd.DataFrame) -> Array:
        """Return what the policy holds on the bars of its record; NaN before them."""
        shown = self._read.config.shown
        if len(bars) <= shown:
            raise LlmguideError(f"this policy is shown {shown} bars, but there are only {len(bars)}; give more")
        self.check(bars)
        table = self.guidance.ask(bars) if isinstance(self.guidance, FollowProvider) else self.guidance
        return self._follower(None).walk(bars, table)

    def check(self, bars: pd.DataFrame) -> None:
        """Refuse bars that the table was not made from or does not overlap in time."""
        _check_guidance(self, bars)

    def follow(self) -> Follower:
        """Return the follower of this expert."""
        return self._follower(_rows_of(self.guidance))

    def _follower(self, rows: Rows | None) -> PolicyFollower:
        policy = self._opened
        teller = StateTeller(policy.template, policy.config.shown, self.factors, self.tables)
        return PolicyFollower(policy, self.counts(), teller, rows)

    @property
    def uses_future(self) -> bool:
        """Whether the guidance that it reads uses the future."""
        return self.guidance is not None and self.guidance.uses_future


@dataclass(frozen=True, eq=False)
class MovingAverages(Expert):
    """Trend following or mean reversion by two moving averages; no opinion before their windows are full.

    Attributes:
        short: length of the fast window in bars, at least 1.
        long: length of the slow window in bars, more than `short`.
        rule: "trend" or "reversion".

    Raises LlmguideError for impossible windows and an unknown rule.
    """

    short: int
    long: int
    rule: Rule = "trend"

    def __post_init__(self) -> None:
        check_windows(self.short, self.long)

    def propose(self, bars: pd.DataFrame) -> Array:
        """Return the rule's decisions as sides."""
        sides = np.full(len(bars), np.nan)
        if self.long < len(bars):
            sides[self.long :] = sides_of(decisions(bars, self.short, self.long, rule=self.rule, start=self.long))
        return sides

    def follow(self) -> Follower:
        """Return the follower of this expert."""
        return MovingAveragesFollower(self.short, self.long, trend=is_trend(self.rule))


@dataclass(frozen=True, eq=False)
class Sides(Expert):
    """Sides computed elsewhere, one for each bar; nothing is known of what they have looked at.

    Attributes:
        given: an array in [-1, 1], taken by position, or a series with the bars' own index; NaN is no opinion.
            Decisions (1 long, 0 short) are not sides; `sides_of` converts them.

    Raises LlmguideError for sides of another length, other dates or out of range, and for decisions.
    """

    given: ArrayLike | pd.Series[Any]

    def propose(self, bars: pd.DataFrame) -> Array:
        """Return the given sides."""
        self._refuse_decisions()
        if isinstance(self.given, pd.Series) and not self.given.index.equals(bars.index):
            raise LlmguideError(
                "the sides have different dates from the bars; reindex them to bars.index, or pass an array "
                "to use them by position"
            )
        return check_sides(self.given, (len(bars),), "the sides of an array")

    def follow(self) -> Follower:
        """Return the follower of this expert."""
        self._refuse_decisions()
        return Given(self.given)

    def _refuse_decisions(self) -> None:
        if isinstance(self.given, pd.Series) and str(self.given.name).startswith("decision"):
            raise LlmguideError(
                "these are decisions, of which 0 is short, and not sides; pass llmguide.mixture.sides_of(decisions)"
            )


@dataclass(frozen=True, eq=False)
class Function(Expert):
    """A function of the bars that returns a side for every bar, shape ``(bars,)``.

    Its side for bar t may use ``bars.iloc[:t]``. Whether it uses more is tested on the bars it is used on (see
    `llmguide.look_ahead`), and a function that looks ahead is refused.

    Attributes:
        function: gets a copy of the frame, which it may keep and change.

    Raises LlmguideError for what cannot be called, sides that are impossible, and a function that looks ahead.
    """

    function: Callable[[pd.DataFrame], Any]
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise LlmguideError(f"expected a function of the bars, got {type(self.function).__name__}")
        object.__setattr__(self, "name", getattr(self.function, "__name__", type(self.function).__name__))

    def propose(self, bars: pd.DataFrame) -> Array:
        """Return what the function proposes, after testing it on bars whose end is changed."""
        numbers = list(bars.select_dtypes("number").columns)
        values = bars[numbers].to_numpy(dtype=np.float64)

        def ask(changed: Array) -> Array:
            frame = bars.copy()
            frame[numbers] = changed
            return check_sides(self.function(frame), (len(bars),), f"the function {self.name}")

        said = ask(values)
        found = find_look_ahead(ask, values, said, start=1)
        if found is not None:
            raise LlmguideError(
                f"the function {self.name} looks ahead: its side for bar {found.said} changes with bars from "
                f"{found.changed} on; decide bar t from bars.iloc[:t] alone, and deterministically"
            )
        return said

    def follow(self) -> Follower:
        """Return the follower of this expert."""
        return Asked(f"the function {self.name}", self.function, tried=self.propose)


def find_expert(source: Any, *, name: str = "") -> Expert:
    """Return the expert that something stands for; `name` is used in errors.

    "hold"; a `Guidance`, an `Agent`, a trained policy that reads, or the path of one; a provider of guidance ("llm",
    "replay", "rules", a `LanguageModel`); an array, series or list of sides; a function of the bars; or an `Expert`.
    """
    if isinstance(source, Expert):
        return source
    if isinstance(source, Guidance):
        return FollowGuidance(source)
    if isinstance(source, Agent):
        return FollowAgent(source)
    if isinstance(source, Reads):
        return FollowPolicy(source)
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        if text == "hold":
            return Hold()
        if text in ("llm", "replay", "rules"):
            return FollowProvider(text)
        if text.endswith(".safetensors"):
            return FollowPolicy(text) if is_policy(text) else FollowAgent(load_agent(text))
        if text.endswith((".parquet", ".csv")):
            return FollowGuidance(Guidance.read(text))
    elif isinstance(source, LanguageModel):
        return FollowProvider(source)
    elif callable(source) and not isinstance(source, type):
        return Function(source)
    elif isinstance(source, np.ndarray | pd.Series | list | tuple):
        return Sides(source)
    raise LlmguideError(
        f"the expert {name!r} is {source!r}; expected 'hold', guidance, an agent, a policy, the path of one (.parquet, "
        ".csv, .safetensors), 'llm', 'replay', 'rules', a LanguageModel, an array of sides, a function of the bars, or "
        "an expert of llmguide.mixture"
    )


def find_experts(sources: Any) -> dict[str, Expert]:
    """Return the experts that a mapping of names stands for; LlmguideError where it is none, or empty."""
    if not isinstance(sources, Mapping) or not sources:
        raise LlmguideError('expected experts by name, such as {"guidance": table, "hold": "hold"}')
    return {str(name): find_expert(source, name=str(name)) for name, source in sources.items()}


def is_policy(path: Path | str) -> bool:
    """Whether a file is the checkpoint of a policy that reads, and not of an agent; False where it is neither."""
    from llmguide.rl.flag.checkpoint import KIND

    return KIND.holds(path)


def sides_of_all(experts: Mapping[str, Expert], bars: pd.DataFrame) -> Array:
    """Return the experts' sides for every bar, shape ``(bars, experts)``; an error says which expert it is of."""
    columns = []
    for name, expert in experts.items():
        with naming(name):
            columns.append(expert.sides(bars))
    return np.column_stack(columns)


def sides_of(decisions: ArrayLike | pd.Series[Any]) -> Array:
    """Return decisions as sides: 1 (long) is +1, 0 (short) is -1, and -1 (flat) is 0.

    Args:
        decisions: an array of 1, 0 and -1, of any shape.

    Raises LlmguideError for other values.
    """
    given = np.asarray(decisions)
    if not np.isin(given, (-1, 0, 1)).all():
        raise LlmguideError("decisions are 1 (long), 0 (short) or -1 (flat), and some of these are not")
    return np.where(given == 1, 1.0, np.where(given == 0, -1.0, 0.0))


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Let an error say which expert it is of."""
    try:
        yield
    except LlmguideError as error:
        error.args = (f"the expert {name!r}: {error}",)
        raise


def as_stamp(since: Any) -> pd.Timestamp:
    """Return the beginning of a record as a time."""
    try:
        return pd.Timestamp(since)
    except (TypeError, ValueError) as error:
        raise LlmguideError(f"expected since to be the date of a bar, got {since!r}") from error


def _after_training(notes: Mapping[str, Any], what: str) -> Beginning:
    """Return where the record of what was trained begins; LlmguideError where it does not say on which bars it was."""
    last = notes.get("trained_on", {}).get("last")
    if last is None:
        raise LlmguideError(f"the {what} does not say which bars it was trained on; pass the first later one as since=")
    return last, "right"


def _check_guidance(expert: FollowAgent | FollowPolicy, bars: pd.DataFrame) -> None:
    """Refuse bars other than those of the table that an expert observes, and bars of another time."""
    if isinstance(expert.guidance, Guidance):
        check_in_force(expert.guidance, bars, _dates(bars, "guidance"), start=expert.first(bars))


def _rows_of(guidance: Guidance | FollowProvider | None) -> Rows | None:
    """Return where the guidance that an expert observes comes from, bar by bar."""
    if isinstance(guidance, FollowProvider):
        return LiveRows(guidance.provider)
    return None if guidance is None else TableRows(guidance)


def _dates(bars: pd.DataFrame, what: str) -> pd.DatetimeIndex:
    if not isinstance(bars.index, pd.DatetimeIndex):
        raise LlmguideError(f"{what} needs bars with dates, got an index of type {type(bars.index).__name__}")
    return bars.index


def _position(bars: pd.DataFrame, moment: Any, *, side: Any) -> int:
    """Return how many bars are before a date, or up to and including it; LlmguideError where none are left."""
    dates = _dates(bars, "the beginning of a record")
    stamp = as_stamp(moment)
    position = int(dates.searchsorted(stamp, side=side))
    if position >= len(dates):
        raise LlmguideError(
            f"no bar is left for a record {'since' if side == 'left' else 'after'} {stamp.date()}: they end on "
            f"{dates[-1].date()}; give later bars"
        )
    return position
