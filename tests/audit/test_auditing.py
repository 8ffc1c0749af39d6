"""What an audit says beside the corpus: failures, what cannot be reproduced, what depends on the beginning."""

from __future__ import annotations

import json
import os
from functools import partial

import backtrader as bt
import numpy as np
import pytest

import llmguide
from llmguide import sample_bars
from llmguide.audit import Audit, assert_no_lookahead, audit
from llmguide.errors import AuditError

pytest_plugins = ["llmguide.audit.pytest_plugin"]

BARS = sample_bars(years=1)
FEW = Audit(cuts=3)


def rising(bars, period=5):
    return bars["close"] > bars["close"].rolling(period).mean()


def tomorrow(bars):
    return bars["close"].shift(-1) > bars["close"]


def test_the_package_can_be_called_and_takes_parameters():
    result = llmguide.audit(rising, BARS, period=9, settings=FEW)
    assert (result.exit_code, result.subject, result.runs, result.lines) == (0, "rising", 4 + 3, 1)
    assert llmguide.audit.audit is audit


def test_a_finding_names_bar_line_both_values_and_the_reach():
    (found,) = audit(tomorrow, BARS).findings
    assert (found.kind, found.line, found.reach) == ("looks ahead", "close", 1)
    assert {found.one, found.other} == {0.0, 1.0}
    assert found.one == float(tomorrow(BARS).iloc[found.bar])
    assert found.date == BARS.index[found.bar]
    assert f"first on bar {found.bar}, {found.date:%Y-%m-%d}: " in str(found)


@pytest.mark.parametrize("ahead", [1, 2, 7, 30])
def test_the_reach_is_how_far_a_line_looks(ahead):
    (found,) = audit(lambda bars: bars["close"].shift(-ahead), BARS, settings=FEW).findings
    assert found.reach == ahead


def test_the_same_seed_finds_the_same():
    one, two = (audit(tomorrow, BARS, settings=Audit(seed=4)).to_dict() for _ in range(2))
    assert {**one, "seconds": 0} == {**two, "seconds": 0}
    json.dumps(one)


def test_what_differs_between_two_runs_is_not_audited_and_no_look_ahead():
    def drawn(bars):
        noise = np.frombuffer(os.urandom(len(bars)), dtype=np.uint8)
        return {"noise": noise, "mean": bars["close"].rolling(3).mean()}

    result = audit(drawn, BARS, settings=FEW)
    assert (result.exit_code, result.findings, result.unaudited) == (2, (), ("noise",))
    assert "could not be compared, differs between two runs on the same bars: noise" in str(result)


def test_look_ahead_is_found_beside_what_is_drawn_without_a_seed():
    def both(bars):
        return {"noise": np.random.default_rng().random(len(bars)), "ahead": bars["close"].shift(-3)}

    result = audit(both, BARS, settings=FEW)
    assert [found.line for found in result.findings] == ["ahead"]
    assert result.not_reproducible == ("noise",)


def test_code_that_fails_on_fewer_bars_is_told_with_the_cut():
    def needs(bars):
        if len(bars) < len(BARS):
            raise ValueError("too short for my model")
        return bars["close"]

    result = audit(needs, BARS, settings=FEW)
    assert result.exit_code == 2
    assert all(run.bars < len(BARS) for run in result.failed)
    assert result.failed[0].failure.message == "too short for my model"
    assert f"with {result.failed[0].bars} bars, where bars end on 2012-" in str(result)


def test_code_that_fails_on_all_bars_is_an_error():
    with pytest.raises(AuditError, match=r"fails on all 252 bars: KeyError: 'clsoe' .*an audit needs code that runs"):
        audit(lambda bars: bars["clsoe"], BARS, name="rule")


def test_a_strategy_that_reads_past_the_end_without_looking_at_it_could_not_be_audited():
    class Careless(bt.Strategy):
        def next(self):
            self.data.close[1]

    result = audit(Careless, BARS, settings=FEW)
    assert (result.exit_code, result.findings) == (2, ())
    assert "every run ends at its last bar with IndexError" in str(result)


def test_a_run_that_goes_on_only_where_there_are_later_bars_knows_where_they_end():
    class Brittle(bt.Strategy):
        def next(self):
            if len(self) < 250:
                self.data.close[1]

    (found,) = audit(Brittle, BARS, settings=FEW).findings
    assert (found.kind, found.line, found.one) == ("knows where the data end", "the run", "goes on")


def test_what_stop_raises_is_no_look_ahead():
    class Particular(bt.Strategy):
        def stop(self):
            assert len(self) == len(BARS), "too few bars for my statistics"

    result = audit(Particular, BARS, settings=FEW)
    assert (result.exit_code, result.findings) == (2, ())
    assert "too few bars for my statistics" in str(result)


def test_code_that_fails_now_and_then_is_an_error(tmp_path):
    def once(bars):
        (tmp_path / "used").touch(exist_ok=False)
        return bars["close"]

    with pytest.raises(AuditError, match=r"once fails on some runs on the same bars|fails on all"):
        audit(once, BARS)


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        (BARS.iloc[:40], "at least 60 bars, got 40"),
        (BARS.reset_index(), "naive dates"),
        (BARS.tz_localize("UTC"), "naive dates"),
        (BARS.iloc[::-1], "increasing dates"),
        (BARS.drop(columns="close"), "a close"),
    ],
)
def test_bars_that_cannot_be_used_are_refused(bars, message):
    with pytest.raises(AuditError, match=message):
        audit(rising, bars)


def test_cerebros_that_cannot_be_run_once_are_refused():
    def optimising(bars):
        cerebro = bt.Cerebro()
        cerebro.adddata(bt.feeds.PandasData(dataname=bars))
        cerebro.optstrategy(bt.Strategy)
        return cerebro

    def ran(bars):
        cerebro = bt.Cerebro()
        cerebro.adddata(bt.feeds.PandasData(dataname=bars))
        cerebro.run()
        return cerebro

    with pytest.raises(AuditError, match="uses optstrategy"):
        audit(optimising, BARS)
    with pytest.raises(AuditError, match="has already run"):
        audit(ran, BARS)
    with pytest.raises(AuditError, match="cuts >= 1"):
        Audit(cuts=0)


def test_what_depends_on_the_beginning_is_told_apart():
    def sums(bars):
        return {"sum": bars["close"].cumsum(), "mean": bars["close"].ewm(span=5).mean()}

    result = audit(sums, BARS, settings=FEW)
    assert result.exit_code == 0
    (drift,) = result.drifts
    assert (drift.line, drift.without) == ("sum", 63)
    assert drift.one == pytest.approx(BARS["close"].sum())
    assert drift.other == pytest.approx(BARS["close"].iloc[63:].sum())


def test_several_strategies_are_told_apart():
    class Honest(bt.Strategy):
        def next(self):
            self.order_target_size(target=len(self) % 3)

    class Peeks(bt.Strategy):
        def next(self):
            if len(self) < self.data.buflen():
                self.order_target_size(target=int(self.data.close[1] > self.data.close[0]))

    def make_cerebro(bars):
        cerebro = bt.Cerebro()
        cerebro.adddata(bt.feeds.PandasData(dataname=bars))
        cerebro.addstrategy(Honest)
        cerebro.addstrategy(Peeks)
        return cerebro

    result = audit(make_cerebro, BARS, settings=FEW)
    assert {found.line for found in result.findings} == {"Peeks1.orders"}


def test_lines_have_dotted_names():
    from llmguide.audit.futures import Inputs
    from llmguide.audit.tracing import tracer_of

    class Named(bt.Strategy):
        lines = ("mood",)

        def __init__(self):
            self.macd = bt.ind.MACD()
            self.averages = {5: bt.ind.SMA(period=5), 9: bt.ind.SMA(period=9)}
            bt.ind.RSI()

    lines = tracer_of(Named)(Inputs(BARS)).lines
    assert {"data0.close", "mood", "macd.macd", "macd.signal", "averages[5]", "averages[9]", "RSI"} <= set(lines)
    np.testing.assert_allclose(lines["averages[5]"][4:], BARS["close"].rolling(5).mean().to_numpy()[4:])
    assert np.isnan(lines["averages[9]"][:8]).all()


def test_the_assertion_passes_and_fails(assert_no_lookahead):
    assert assert_no_lookahead(rising, BARS, settings=FEW).exit_code == 0
    with pytest.raises(AssertionError, match=r"close: looks ahead \(1 bar\), first on bar \d+"):
        assert_no_lookahead(tomorrow, BARS)


def test_the_function_is_that_of_the_plugin(request):
    assert request.getfixturevalue("assert_no_lookahead") is assert_no_lookahead


def test_a_partial_has_a_name_of_its_own():
    assert audit(partial(rising, period=3), BARS, settings=FEW, name="rising 3").subject == "rising 3"
