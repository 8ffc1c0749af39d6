"""A language model that trades: FLAG-Trader's agent."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from llmguide.errors import ModelError
from llmguide.features.bar_lines import COLUMNS
from llmguide.mixture.followers import Bar, KnownBars
from llmguide.mixture.reading import StateTeller
from llmguide.strategies.guided import GuidedStrategy
from llmguide.trading.account import FLAT, LONG
from llmguide.trading.flag_rules import ACTIONS, BUY, SELL
from llmguide.trading.flag_watch import WatchedAccount

if TYPE_CHECKING:
    from llmguide.rl.flag.trained import TrainedPolicy

__all__ = ["Acted", "FlagTrader"]


class Acted(NamedTuple):
    """One decision of a language-model policy, and the text it was taken on.

    Attributes:
        date: date, or time, of the bar.
        action: "sell", "hold" or "buy".
        probabilities: of these three, in this order; 0 where an action is not possible.
        expected: the policy's value: the discounted sum of the rewards to come.
        state: the text.
    """

    date: datetime
    action: str
    probabilities: tuple[float, float, float]
    expected: float
    state: str


class FlagTrader(GuidedStrategy):
    """A language-model policy that reads its state as text and sells, holds or buys (FLAG-Trader, arXiv 2502.11433).

    For example::

        FlagTrader(model="flag-0.safetensors", base="SmolLM2-135M-Instruct.gguf")

    It is fully invested or flat, never short, and takes the most likely action that is possible. The state for bar t
    shows the bars up to and including t-1 and the broker's account, with rewards, values and actions since the first
    decision. With `llmguide.backtest.CloseFillBroker` decisions and account are those of
    `llmguide.rl.flag.evaluation.walk_flag`, from `start` on; with Backtrader's own broker orders are filled later, and
    the state shows the actual fills.

    `decision_log` has 1 where it aims to be long and -1 where it aims to be flat. The first decision is at bar `start`,
    or later, once there are as many bars as a state shows.

    Params:
        model: a `llmguide.rl.flag.trained.TrainedPolicy`, or the path of its checkpoint. `cerebro.optstrategy` needs a
            path, which each of its processes then loads itself.
        base: the language model that the checkpoint was trained on: a GGUF file, a folder, a name on the Hugging Face
            hub, or "tiny". None finds it by its name in the checkpoint (see `llmguide.rl.flag.bases.open_trained`).
        factors: news factors, where the states mention them: a `llmguide.states.factors.Factors`, a frame of them, or
            the path of a file.
        tables: `llmguide.sources.tables.Tables`, where the states mention facts.

    Where the states mention guidance, it comes by the params of `GuidedStrategy`; all other params are those of
    `AccountStrategy`.

    Attributes:
        trained: the policy with its settings.
        action_log: an `Acted` for each decision.

    Raises ModelError for no policy, a language model that cannot be used, and data that the states mention but were not
    given; MissingExtra where transformers is not installed.
    """

    params: ClassVar[Any] = (("model", None), ("base", None), ("factors", None), ("tables", None))
    _decisions: ClassVar[tuple[int, ...]] = (LONG, FLAT)
    _needs_guidance: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        from llmguide.rl.flag.checkpoint import check_told

        self.trained = _as_policy(self.p.model, self.p.base, needed_by=type(self).__name__)
        self.action_log: list[Acted] = []
        template, shown = self.trained.template, self.trained.config.shown
        template.refuse_untold(guidance=self.guidance)
        check_told(self.trained.notes, guidance=self.guidance, factors=self.p.factors, tables=self.p.tables)
        self._teller = StateTeller(template, shown, self.p.factors, self.p.tables)
        self._known = KnownBars()
        # As an indicator, so that the first decision waits for it.
        self._oldest_shown = self.traded.close(-self.trained.config.shown)

    def start(self) -> None:
        """Begin to record the broker's account, and let the policy read the text that all states share."""
        super().start()
        self.trained.begin()
        self._watched = WatchedAccount(self.trained.config.rules, cost=self._cost)

    def next(self) -> None:
        """Record the bar before the current one, then decide and trade."""
        for ago in range(len(self.traded) - 1 - len(self._known), 0, -1):
            lines = self.traded.lines
            values = [float(getattr(lines, name)[-ago]) for name in COLUMNS]
            self._known.add(Bar(self.traded.datetime.datetime(-ago), values))
        super().next()

    def decide(self) -> int:
        """Return 1 to be long, -1 to be flat; the action "hold" keeps what is held."""
        held = self.getposition(self.traded).size
        # A purchase that paid for no share leaves nothing that could be kept.
        self.side = (held > 0) - (held < 0)
        account = self._watched.look(len(self._known), held, self._known_cash(held), float(self._known.closes[-1]))
        guidance = None if self.guidance is None else self.guidance.table
        state = self._teller.tell(self._known, self.traded.datetime.date(0), account, guidance)
        chosen = self.trained.choose(state, account.legal)
        stamp = self.traded.datetime.datetime(0)
        self.action_log.append(Acted(stamp, ACTIONS[chosen.action], chosen.probabilities, chosen.expected, state))
        if chosen.action == BUY:
            return LONG
        return FLAT if chosen.action == SELL or not held else LONG


def _as_policy(model: Any, base: Any, *, needed_by: str) -> TrainedPolicy:
    """Return the policy that `model` is or is the path of."""
    from llmguide.rl.flag.bases import open_trained
    from llmguide.rl.flag.trained import TrainedPolicy

    if isinstance(model, str | Path):
        return open_trained(model, base)
    if not isinstance(model, TrainedPolicy):
        raise ModelError(
            f"{needed_by} needs model=, a trained policy or the path of its checkpoint, got {model!r}; train one with: "
            "llmguide flag train"
        )
    return model
