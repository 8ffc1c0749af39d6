"""What tuning found: every round, the prompts that came to the finals, the template, and its test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from llmguide.experiments.tuning.account import Account
from llmguide.experiments.tuning.proof import Proof
from llmguide.guidance.tuning.study import Final, TuningRun
from llmguide.llm.templates import PromptTemplate, prompt_version
from llmguide.periods import periods_of
from llmguide.stats import DeflatedSharpe, deflated_sharpe

__all__ = ["TuningResult", "written_for"]


@dataclass(frozen=True, eq=False)
class TuningResult:
    """The result of tuning a prompt.

    Attributes:
        run: the study on training bars: repeats, rounds, finals.
        account: how guidance was followed.
        model: its name at the endpoint.
        template: the tuned prompt; None where the writer returned nothing usable in any round.
        pedigree: what the prompt was made from; None without one.
        proof: the test; None where there were no test bars, or no template.
    """

    run: TuningRun
    account: Account
    model: str
    template: PromptTemplate | None
    pedigree: Mapping[str, Any] | None
    proof: Proof | None

    @property
    def text(self) -> str:
        """The text of the template; "" where there is none."""
        return "" if self.template is None else self.template.texts[0][1]

    @property
    def rounds(self) -> pd.DataFrame:
        """One row per round, with ``repeat``, ``round``, ``sharpe`` (V_t), ``baseline``, ``target`` (V*) and
        ``regret``.

        Further columns are ``draft`` (hash), ``instructions`` (lines), ``features``, ``why``, ``failure`` where the
        proposal could not be used, and ``criticism``.
        """
        rows = [
            {
                "repeat": trial.repeat,
                "round": trial.round,
                "sharpe": trial.sharpe,
                "baseline": repeat.baseline,
                "target": repeat.target,
                "regret": trial.regret,
                "draft": "" if trial.draft is None else trial.draft.hash,
                "instructions": "" if trial.draft is None else "\n".join(trial.draft.instructions),
                "features": "" if trial.draft is None else ", ".join(trial.draft.features),
                "why": trial.why,
                "failure": trial.failure,
                "criticism": "" if trial.judged is None else trial.judged.criticism,
            }
            for repeat in self.run.repeats
            for trial in repeat.trials
        ]
        return pd.DataFrame(rows)

    @property
    def finals(self) -> pd.DataFrame:
        """One row per prompt and window, with ``prompt``, ``written_for`` (repeat, 0 for the untuned one), ``repeat``
        and ``sharpe``.
        """
        rows = [
            {"prompt": self.name(final), "written_for": written_for(final), "repeat": number, "sharpe": sharpe}
            for final in self.run.finals
            for number, sharpe in enumerate(final.sharpes, start=1)
        ]
        return pd.DataFrame(rows)

    @property
    def tried(self) -> int:
        """Number of tuned prompts that were tried on training bars."""
        return sum(trial.draft is not None for trial in self.run.trials)

    @property
    def unusable(self) -> int:
        """Number of the writer's proposals that could not be used."""
        return len(self.run.trials) - self.tried

    @property
    def deflated(self) -> DeflatedSharpe | None:
        """How likely the chosen prompt has any skill on the training bars, given how many were tried.

        Its returns in all years that were drawn, as one record, against the best that as many prompts would reach by
        chance; the spread of chance is that of all rounds' Sharpe ratios. None without a template.
        """
        chosen = self.run.chosen
        if chosen is None:
            return None
        returns = [
            self.account.returns(advice, window.subject.bars, symbol=window.symbol, first=window.first)
            for repeat, advice in zip(self.run.repeats, chosen.advice, strict=True)
            for window in repeat.windows
        ]
        sharpes = [trial.sharpe for trial in self.run.trials]
        record = np.concatenate([one.to_numpy() for one in returns])
        return deflated_sharpe(record, sharpes, periods=periods_of(returns[0]))

    @property
    def settings(self) -> dict[str, Any]:
        """Settings and counts, for JSON."""
        study, proof, deflated = self.run.study, self.proof, self.deflated
        test: dict[str, Any] | None = None
        if proof is not None:
            found = proof.difference
            test = {"difference": found.estimate, "low": found.low, "high": found.high, "level": found.level}
            test |= {"p": proof.p, "verdict": proof.verdict, "bars": proof.bars}
        return {
            "model": self.model,
            "instruments": [one.symbol for one in study.training],
            "prompt": str(study.template),
            "repeats": study.repeats,
            "rounds": study.rounds,
            "window": study.length,
            "target": study.target,
            "seed": study.seed,
            "every": study.brief.every,
            "cash": self.account.cash,
            "cost": self.account.cost,
            "tried": self.tried,
            "unusable": self.unusable,
            "experts": {"used": len(study.placed.exemplars), "outside": study.placed.outside},
            "deflated": None if deflated is None else deflated._asdict(),
            "test": test,
        }

    def name(self, final: Final) -> str:
        """Return the name of the prompt in `final`: the untuned one by its own name, others by repeat and round."""
        trial = final.trial
        if trial is None:
            return prompt_version(self.run.study.template)
        return f"repeat {trial.repeat}, round {trial.round}"


def written_for(final: Final) -> int:
    """Return the repeat that a prompt was written in, 0 for the untuned one."""
    return 0 if final.trial is None else final.trial.repeat
