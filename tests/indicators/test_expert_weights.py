"""Experts' weights as lines, against `llmguide.mix` over the whole frame."""

from __future__ import annotations

import itertools

import backtrader as bt
import numpy as np
import pytest

import llmguide
from llmguide.backtest import BarsData
from llmguide.errors import LlmguideError
from llmguide.indicators import ExpertWeights, FollowLine
from llmguide.mixture import MovingAverages, Prior, Sides

MODES = [
    {"runonce": runonce, "preload": preload, "exactbars": exactbars}
    for runonce, preload, exactbars in itertools.product([True, False], [True, False], [False, 1, -1, -2])
]


class Keeps(bt.Strategy):
    """A user's own strategy that looks at the lines."""

    params = (("settings", {}), ("kind", ExpertWeights))

    def __init__(self):
        self.trust = self.p.kind(self.data, **self.p.settings)
        self.seen = []

    def next(self):
        names = self.trust.lines.getlinealiases()
        self.seen.append([getattr(self.trust.lines, name)[0] for name in names])


def run(bars, *, feed=BarsData, mode=None, kind=ExpertWeights, **settings):
    cerebro = bt.Cerebro(stdstats=False, **(mode or {}))
    cerebro.adddata(feed(dataname=bars))
    cerebro.addstrategy(Keeps, settings=settings, kind=kind)
    return cerebro.run()[0]


@pytest.fixture(scope="module")
def experts(guidance):
    return {
        "guidance": guidance,
        "hold": "hold",
        "trend": MovingAverages(2, 7),
        "now and then": np.resize([1.0, np.nan], 90),
    }


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_the_weights_and_positions_of_the_whole_frame(bars, experts, mode):
    ran = run(bars, mode=mode, experts=experts, cost=0.003)
    mixed = llmguide.mix(bars, experts, cost=0.003, start=1)
    expected = np.column_stack([mixed.positions, mixed.weights])
    assert len(ran.seen) == 90
    np.testing.assert_allclose(np.array(ran.seen)[1:], expected[1:], rtol=0.0, atol=1e-12)
    assert np.abs(np.diff(expected[62:], axis=0)).max(axis=0).min() > 0.0  # records have begun to count


def test_the_lines_have_the_experts_names(bars, experts):
    ran = run(bars, experts=experts)
    names = ("position", "weight_guidance", "weight_hold", "weight_trend", "weight_now and then")
    assert ran.trust.lines.getlinealiases() == names
    assert [weighed.weights["hold"] for weighed in ran.trust.weight_log] == list(ran.trust.lines.weight_hold.array)
    assert isinstance(ran.trust, ExpertWeights)
    assert "weight_hold" not in ExpertWeights.lines.getlinealiases()  # of this one alone
    assert run(bars, experts={"other": "hold"}).trust.lines.getlinealiases() == ("position", "weight_other")


def test_a_class_may_have_its_experts(bars, guidance):
    class Mine(ExpertWeights):
        """Guidance, or holding."""

        params = (("experts", {"guidance": guidance, "hold": "hold"}), ("cost", 0.0))

    ran = run(bars, kind=Mine)
    mixed = llmguide.mix(bars, {"guidance": guidance, "hold": "hold"}, cost=0.0, start=1)
    np.testing.assert_allclose(
        np.array(ran.trust.lines.weight_guidance.array), mixed.weights["guidance"], rtol=0.0, atol=1e-12
    )


def test_a_line_keeps_its_prior_and_the_beginning_of_its_record(bars):
    def above(data):
        return bt.Cmp(data.close, bt.ind.SMA(data, period=4))

    settings = {"prior": Prior(0.2, 30), "since": bars.index[20]}
    ran = run(bars, experts={"above": FollowLine(above, **settings), "hold": "hold"}, cost=0.001)
    side = np.sign(bars["close"] - bars["close"].rolling(4).mean()).shift(1)
    mixed = llmguide.mix(bars, {"above": Sides(side, **settings), "hold": "hold"}, start=1)
    assert (mixed.weights["above"].iloc[:20] == 0).all()
    weights = np.array(ran.trust.lines.weight_above.array)
    np.testing.assert_allclose(weights, mixed.weights["above"], rtol=0.0, atol=1e-12)


def test_foresight_is_written_on_the_plot(bars):
    table = llmguide.guide(bars, "oracle")
    ran = run(bars, experts={"oracle": table})
    assert ran.trust.plotlabel() == "Expert weights (USES THE FUTURE)"
    assert run(bars, experts={"hold": "hold"}).trust.plotlabel() == "Expert weights"


def test_it_can_be_added_to_any_cerebro(bars, experts):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsData(dataname=bars))
    cerebro.addindicator(ExpertWeights, experts=experts)
    cerebro.addstrategy(bt.Strategy)
    (ran,) = cerebro.run()
    (trust,) = ran.getindicators()
    assert len(trust.weight_log) == 90


def test_a_bar_that_it_did_not_see_is_an_error(bars):
    ran = run(bars, experts={"hold": "hold"}, mode={"runonce": False})
    del ran.trust.weight_log[-2:]
    with pytest.raises(LlmguideError, match="has to see every bar, got bar 89 after 87"):
        ran.trust.next()
