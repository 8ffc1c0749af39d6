"""Providers of guidance and prompts, audited."""

from __future__ import annotations

import pandas as pd
import pytest

from llmguide import sample_bars
from llmguide.audit import Audit
from llmguide.errors import AuditError
from llmguide.experiments.auditing import audit_guidance, audit_prompt
from llmguide.guidance import Guidance, study
from llmguide.guidance.strategist import Subject, prepare
from llmguide.sources.tables import Tables

BARS = sample_bars(years=1)
FEW = Audit(cuts=4)


def momentum(bars, *, lag):
    """Goes with the last 10 days, up to `lag` days before each issue."""
    rows = [
        {
            "issued_at": bars.index[i],
            "direction": int(bars["close"].iloc[i - lag] > bars["close"].iloc[i - 10]),
            "confidence": 1 + int(bars["close"].iloc[i - lag] * 100) % 3,
            "entropy": 0.5,
        }
        for i in range(40, len(bars), 5)
    ]
    return Guidance.from_rows(rows)


def test_guidance_from_the_days_before_its_issue_passes():
    assert audit_guidance(lambda bars: momentum(bars, lag=1), BARS, settings=FEW).exit_code == 0


def test_guidance_that_knows_the_day_of_its_issue_is_found():
    result = audit_guidance(lambda bars: momentum(bars, lag=0), BARS, name="same day")
    (found,) = result.findings
    assert (found.kind, found.line) == ("looks ahead", "guidance")
    assert found.one != found.other
    assert result.verdict == "same day looks ahead"


def test_the_rule_vote_passes_and_the_oracle_is_found():
    assert audit_guidance("rules", BARS, settings=FEW).exit_code == 0
    (found,) = audit_guidance("oracle", BARS, settings=FEW).findings
    assert found.kind == "looks ahead"


def news(bars):
    stamps = [day + pd.Timedelta(hours=12) for day in bars.index[25::7]]
    return pd.DataFrame({"published_at": stamps, "headline": [f"Orders rose by {n} %" for n in range(len(stamps))]})


def test_prompts_and_their_headlines_pass():
    subject = Subject("ACME", BARS, Tables(news=news(BARS)))
    result = audit_prompt("P1", subject, settings=FEW)
    assert result.exit_code == 0, str(result)
    assert result.events > 40


def test_a_prompt_that_shows_the_day_of_its_issue_is_found(monkeypatch):
    months = study.Study.months

    def one_day_late(self, subject):
        for month in months(self, subject):
            known = subject.bars.iloc[: len(month.known) + 1]
            yield prepare(subject, month.issued_at, known)

    monkeypatch.setattr(study.Study, "months", one_day_late)
    (found,) = audit_prompt("P1", Subject("ACME", BARS), settings=Audit(cuts=6)).findings
    assert (found.kind, found.line, found.ahead) == ("looks ahead", "prompt", "its own bar")


def test_what_the_provider_refuses_is_told():
    with pytest.raises(AuditError, match="fails on all 252 bars: GuidanceError: unknown provider 'rule'"):
        audit_guidance("rule", BARS)
