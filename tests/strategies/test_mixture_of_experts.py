"""The mixture in Cerebro: the weights of `llmguide.mix` on history and feed, and the account of `simulate`."""

from __future__ import annotations

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from live_feed import LiveBars
from text_policy import LetterPolicy
from ways_to_run import DISTINCT

import llmguide
from llmguide import simulate
from llmguide.backtest import BarsData, CloseFillBroker, SharpeDrawdown, run_backtest, save_plot
from llmguide.errors import DataError, DataWarning, GuidanceError, LlmguideError
from llmguide.indicators import ExpertWeights, FollowLine
from llmguide.mixture import FollowAgent, FollowPolicy, FollowProvider, MovingAverages, Prior, Sides
from llmguide.rl.checkpoint import save_agent
from llmguide.rl.flag.config import FlagConfig
from llmguide.rl.flag.trained import TrainedPolicy
from llmguide.states.text import read_state_template
from llmguide.strategies import MixtureOfExperts

COST = 0.002
BEFORE = 60
TRUSTED = Prior(0.05, 1000)  # of untrained agents, whose records would give them no weight
START = BEFORE + 30
READER = TrainedPolicy(LetterPolicy(), FlagConfig(), read_state_template("flag"), 0, {})


class Crossing(bt.Indicator):
    """A user's own indicator: 1 while the fast mean is above the slow one, else -1."""

    lines = ("side",)
    params = (("fast", 3), ("slow", 10))

    def __init__(self):
        self.lines.side = bt.Cmp(bt.ind.SMA(self.data, period=self.p.fast), bt.ind.SMA(self.data, period=self.p.slow))


def stretched(data):
    """Against the last 5 bars, in a fraction: a line that has no value on its first bars."""
    return bt.Max(-1.0, bt.Min(1.0, 10.0 * (bt.ind.SMA(data, period=5) / data.close - 1.0)))


def momentum(bars):
    return np.tanh(20.0 * bars["close"].pct_change(5).shift(1))


def says_by_sum(known, issued_at):
    """A provider whose every answer depends on every number that it gets."""
    side = int(known[["open", "high", "low", "close", "volume"]].to_numpy().sum() * 1e4) % 2
    return {"issued_at": issued_at, "direction": side, "confidence": 1 + len(known) % 3}


def lines_of(bars):
    """The sides of the two lines above for history and feed, by pandas: each bar's value is the next one's side."""
    close = bars["close"].iloc[BEFORE:]
    crossing = np.sign(close.rolling(3).mean() - close.rolling(10).mean())
    stretch = (10.0 * (close.rolling(5).mean() / close - 1.0)).clip(-1.0, 1.0)
    return {name: Sides(line.shift(1).reindex(bars.index)) for name, line in (("cross", crossing), ("mean", stretch))}


@pytest.fixture(scope="module")
def case(make_bars, make_agent, make_guidance):
    """Bars, experts for a Cerebro, and what `mix` makes of the same ones."""
    bars = make_bars(170, 4)
    table, asked = make_guidance(bars), FollowProvider(says_by_sum)
    array = np.resize([1.0, -1.0, 0.0, np.nan, 0.5], len(bars))
    experts = {
        "agent": FollowAgent(make_agent(bars), since=bars.index[50], prior=TRUSTED),
        "guided": FollowAgent(make_agent(bars, table.tau(bars.index)), table, since=bars.index[75], prior=TRUSTED),
        "asking": FollowAgent(
            make_agent(bars, asked.ask(bars).tau(bars.index)), asked, since=bars.index[40], prior=TRUSTED
        ),
        "guidance": table,
        "asked": asked,
        "reader": FollowPolicy(READER, since=bars.index[70], prior=TRUSTED),
        "hold": "hold",
        "trend": MovingAverages(3, 12, since=bars.index[100]),
        "mine": momentum,
        "series": pd.Series(array, index=bars.index),
        "mean": FollowLine(stretched, prior=Prior(0.02, 50)),
        "cross": Crossing,
    }
    lines = lines_of(bars)
    mean = Sides(lines["mean"].given, prior=Prior(0.02, 50))
    mixed = llmguide.mix(bars, experts | {"mean": mean, "cross": lines["cross"]}, cost=COST, start=START)
    return bars, experts, mixed


def run(feeds, *, cerebro=None, strategy=MixtureOfExperts, broker=None, **params):
    """Run with close fills and return the strategy and its account."""
    cerebro = cerebro or bt.Cerebro()
    cerebro.p.stdstats = False
    cerebro.broker = broker or CloseFillBroker()
    cerebro.broker.setcash(100_000.0)
    cerebro.broker.setcommission(commission=COST)
    for name, feed in feeds.items():
        cerebro.adddata(feed, name=name)
    cerebro.addstrategy(strategy, **params)
    cerebro.addanalyzer(SharpeDrawdown)
    (ran,) = cerebro.run()
    return ran, ran.analyzers.sharpedrawdown.account


def assert_is(ran, mixed):
    """Decisions, weights, records and sides are those of a `Mix`, from its start on."""
    dates = mixed.positions.index[mixed.start :]
    assert [decided.date for decided in ran.decision_log] == dates.to_pydatetime().tolist()
    assert [weighed.date for weighed in ran.weight_log] == dates.to_pydatetime().tolist()
    np.testing.assert_allclose(
        [decided.decision for decided in ran.decision_log], mixed.positions.loc[dates], rtol=0.0, atol=1e-12
    )
    for part, frame in (("weights", mixed.weights), ("records", mixed.records), ("sides", mixed.sides)):
        got = pd.DataFrame([getattr(weighed, part) for weighed in ran.weight_log], dates)
        np.testing.assert_allclose(got, frame.loc[dates], rtol=0.0, atol=1e-12, err_msg=part)
        assert list(got) == list(frame)
    assert ran.weights.index.equals(dates)


def test_the_case_has_experts_that_agree_and_disagree(case):
    _, _, mixed = case
    late = mixed.weights.iloc[START:]
    assert ((late > 0.02).any() & (late.diff().abs() > 1e-6).any()).all()  # each is trusted for a while
    assert mixed.positions.iloc[START:].abs().between(0.01, 0.99).mean() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runonce", "preload", "exactbars", "live"),
    DISTINCT,
)
def test_in_every_mode_it_is_mix_on_history_and_feed(case, runonce, preload, exactbars, live):
    bars, experts, mixed = case
    cerebro = bt.Cerebro(runonce=runonce, preload=preload, exactbars=exactbars)
    feed = (LiveBars if live else BarsData)(dataname=bars.iloc[BEFORE:])
    ran, values = run({"a": feed}, cerebro=cerebro, experts=experts, history=bars.iloc[:BEFORE])
    assert_is(ran, mixed)
    afterwards = ran.mixed
    for part in ("sides", "results", "records", "weights", "positions", "closes"):
        one, other = getattr(afterwards, part), getattr(mixed, part)
        assert one.index.equals(other.index)
        np.testing.assert_allclose(one, other, rtol=0.0, atol=1e-12, err_msg=part)
    assert (afterwards.start, afterwards.cost, afterwards.priors) == (START, COST, mixed.priors)
    account = simulate(bars.iloc[BEFORE:], weights=mixed.positions.iloc[START:], cost=COST, start=30)
    np.testing.assert_allclose(values["value"], account["value"], rtol=1e-12)
    assert values["shares"].tolist() == account["shares"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("fill", ["close", "next_open"])
@pytest.mark.parametrize(
    "limits",
    [
        {"long_only": True, "max_leverage": 1.0, "band": 0.05},
        {"long_only": False, "max_leverage": 0.4, "band": 0.0},
        {"long_only": False, "max_leverage": 1.0, "band": 0.2},
    ],
)
@pytest.mark.parametrize("all_in", [False, True])
def test_the_account_is_that_of_the_mixtures_weights(case, all_in, limits, fill):
    bars, experts, mixed = case
    feed, own = bars.iloc[BEFORE:], {name: experts[name] for name in ("agent", "guidance", "hold", "mine", "series")}
    mixed = llmguide.mix(bars, own, cost=COST, start=START)
    result = run_backtest(
        feed, MixtureOfExperts, experts=own, history=bars.iloc[:BEFORE], all_in=all_in, cost=COST, fill=fill,
        reserve=0.5, **limits,
    )  # fmt: skip
    weights = mixed.positions.iloc[START:]
    weights = np.sign(weights) if all_in else weights
    assert result.decisions.tolist() == weights.tolist()
    assert set(result.orders["status"]) <= {"Completed", "Accepted", "Submitted"}
    account = simulate(feed, weights=weights, cost=COST, start=30, **limits)
    if fill == "close":
        np.testing.assert_allclose(result.values, account["value"], rtol=1e-9)
        assert result.account["shares"].tolist() == account["shares"].tolist()
    else:  # the same sides, one bar later
        assert result.sides.tolist()[31:] == account["side"].tolist()[30:-1]


def test_without_history_it_is_mix_on_the_feed(case):
    bars, experts, _ = case
    own = {name: experts[name] for name in ("guided", "asked", "hold", "mine", "trend")}
    ran, _ = run({"a": BarsData(dataname=bars)}, experts=own, start=1)
    assert_is(ran, llmguide.mix(bars, own, cost=COST, start=1))


def test_the_first_decision_waits_for_the_slowest_line(case):
    bars, _, _ = case
    own = {"hold": "hold", "slow": FollowLine(lambda data: bt.Cmp(data.close, bt.ind.SMA(data, period=45)))}
    slow = np.sign(bars["close"] - bars["close"].rolling(45).mean()).shift(1)
    ran, _ = run({"a": BarsData(dataname=bars)}, experts=own)
    assert_is(ran, llmguide.mix(bars, {"hold": "hold", "slow": Sides(slow)}, cost=COST, start=45))
    assert ran.mixed.start == 45


def test_later_bars_change_nothing_before_them(case):
    bars, experts, _ = case
    own = experts | {"guidance": experts["guidance"].of_any_bars()}
    history, feed = bars.iloc[:BEFORE], bars.iloc[BEFORE:]

    def lines(frame):
        ran, account = run({"a": BarsData(dataname=frame)}, experts=own, history=history)
        aliases = ran.mixture.lines.getlinealiases()
        return ran, account, np.array([getattr(ran.mixture.lines, alias).array for alias in aliases])

    whole, account, drawn = lines(feed)
    for cut in (30, 31, 55, 90):
        moved = np.exp(np.random.default_rng(cut).normal(0.0, 0.2, (len(feed) - 1 - cut, 1)))
        other = feed.copy()
        other.iloc[cut + 1 :] = other.iloc[cut + 1 :].to_numpy() * moved
        changed, values, redrawn = lines(other)
        assert values.iloc[: cut + 1].equals(account.iloc[: cut + 1])
        known = cut + 2 - 30  # at the close of the cut, the decision on the next bar is known
        assert repr(changed.weight_log[:known]) == repr(whole.weight_log[:known])
        assert [at.decision for at in changed.decision_log[:known]] == [
            at.decision for at in whole.decision_log[:known]
        ]
        np.testing.assert_array_equal(redrawn[:, : cut + 2], drawn[:, : cut + 2])
        assert (redrawn[:, cut + 10 :] != drawn[:, cut + 10 :]).any(axis=1).sum() > 9  # of 13 lines


@pytest.mark.slow
@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"exactbars": 1}, {"exactbars": -2}, {"preload": False}])
@pytest.mark.parametrize("position", [0, 1])
def test_another_feed_changes_nothing(case, make_bars, mode, position):
    bars, experts, mixed = case
    feed = bars.iloc[BEFORE:]
    if mode.get("exactbars") == 1:  # Backtrader's own indicators fail in this mode where feeds have different days
        other = make_bars(len(feed), 9).set_axis(feed.index)
    else:
        other = make_bars(150, 9)
        other.index = pd.date_range(feed.index[20], periods=150, freq="36h", name="date").normalize()
    feeds = {"other": BarsData(dataname=other), "ours": BarsData(dataname=feed)}
    if position == 0:
        feeds = dict(reversed(feeds.items()))
    ran, _ = run(feeds, cerebro=bt.Cerebro(**mode), feed="ours", experts=experts, history=bars.iloc[:BEFORE])
    assert_is(ran, mixed)


def test_a_resampled_feed_gives_what_bars_resampled_before_give(make_bars, make_guidance):
    days = make_bars(5 * 100, 5)
    weeks = days.groupby([days.index.isocalendar().year, days.index.isocalendar().week])
    bars = weeks.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    bars.index = pd.DatetimeIndex(weeks.apply(lambda week: week.index[-1]), name="date")
    own = {"guidance": make_guidance(bars, every=5), "hold": "hold", "trend": MovingAverages(2, 9), "mine": momentum}
    cerebro = bt.Cerebro()
    cerebro.resampledata(BarsData(dataname=days), timeframe=bt.TimeFrame.Weeks, name="weeks")
    ran, _ = run({}, cerebro=cerebro, experts=own)
    assert_is(ran, llmguide.mix(bars, own, cost=COST, start=30))


def test_a_replayed_bar_is_weighed_once_from_complete_bars(make_bars):
    days = make_bars(5 * 100, 5)
    weeks = days.groupby([days.index.isocalendar().year, days.index.isocalendar().week])
    bars = weeks.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    bars.index = pd.DatetimeIndex(weeks.apply(lambda week: week.index[0]), name="date")
    own = {"hold": "hold", "trend": MovingAverages(2, 9), "mine": momentum}
    cerebro = bt.Cerebro()
    cerebro.replaydata(BarsData(dataname=days), timeframe=bt.TimeFrame.Weeks)
    ran, _ = run({}, cerebro=cerebro, experts=own)
    assert_is(ran, llmguide.mix(bars, own, cost=COST, start=30))  # acted on at each week's first day


def test_bars_within_a_day_are_weighed_too(make_bars):
    bars = make_bars(70 * 4, 3)
    days = np.repeat(pd.bdate_range("2018-01-01", periods=70), 4)
    bars.index = pd.DatetimeIndex(days + pd.to_timedelta(np.resize([10, 12, 14, 16], len(bars)), unit="h"), name="date")
    own = {"hold": "hold", "asked": FollowProvider(says_by_sum), "late": MovingAverages(2, 9, since=bars.index[110])}
    feed = BarsData(dataname=bars.iloc[72:], timeframe=bt.TimeFrame.Minutes, compression=120)
    ran, _ = run({"a": feed}, experts=own, history=bars.iloc[:72])
    mixed = llmguide.mix(bars, own, cost=COST, start=102)
    assert mixed.sides["asked"].notna().any()
    got = [weighed.weights for weighed in ran.weight_log]
    np.testing.assert_allclose(pd.DataFrame(got), mixed.weights.iloc[102:], rtol=0.0, atol=1e-12)


def test_paths_are_read_and_every_process_of_an_optimisation_reads_them_itself(case, make_agent, tmp_path):
    from dataclasses import replace

    bars, experts, _ = case
    agent = replace(make_agent(bars), notes={"trained_on": {"last": str(bars.index[45])}})
    paths = {
        "agent": str(save_agent(agent, tmp_path / "rl-0.safetensors")),
        "guidance": str(experts["guidance"].save(tmp_path / "g.parquet")),
        "hold": "hold",
    }
    expected = llmguide.mix(bars, {**paths, "agent": agent}, cost=COST, start=30)
    ran, _ = run({"a": BarsData(dataname=bars)}, experts=paths)
    assert_is(ran, expected)

    cerebro = bt.Cerebro(stdstats=False, maxcpus=2, optreturn=False)
    cerebro.broker = CloseFillBroker()
    cerebro.broker.setcommission(commission=COST)
    cerebro.adddata(BarsData(dataname=bars))
    cerebro.optstrategy(MixtureOfExperts, experts=(paths,), all_in=(False, True))
    cerebro.addanalyzer(SharpeDrawdown)
    strategies = [strategy for (strategy,) in cerebro.run()]
    assert [strategy.p.all_in for strategy in strategies] == [False, True]
    for strategy in strategies:
        weights = expected.positions.iloc[30:]
        weights = np.sign(weights) if strategy.p.all_in else weights
        end = strategy.analyzers.sharpedrawdown.account["value"].iloc[-1]
        assert end == pytest.approx(simulate(bars, weights=weights, cash=10_000.0, cost=COST)["value"].iloc[-1])
        drawn = np.array(strategy.mixture.lines.weight_guidance.array[30:])  # whole strategies come back
        np.testing.assert_allclose(drawn, expected.weights["guidance"].iloc[30:], rtol=0.0, atol=1e-12)


def test_nobody_trusted_is_flat(make_bars):
    bars = make_bars(60, 0)
    nobody = {"hold": Sides(np.ones(60), prior=Prior(-1.0, 1e9))}
    for all_in in (False, True):
        result = run_backtest(bars, MixtureOfExperts, experts=nobody, all_in=all_in)
        assert result.decisions.tolist() == [0.0] * 30
        assert len(result.orders) == 0


# Backtrader's date labels, which save_plot replaces.
@pytest.mark.filterwarnings("ignore:AutoDateLocator was unable to pick:UserWarning")
def test_it_is_drawn_beside_the_feed_with_a_name_for_each_weight(case, tmp_path):
    bars, experts, _ = case
    cerebro = bt.Cerebro(stdstats=False)
    run({"a": BarsData(dataname=bars.iloc[BEFORE:])}, cerebro=cerebro, experts=experts, history=bars.iloc[:BEFORE])
    svg = save_plot(cerebro, tmp_path / "run.svg", volume=False, width=8, height=6).read_text(encoding="utf-8")
    for name in ("Expert weights", "position", *experts):
        assert f"<!-- {name}" in svg


class OwnLines(bt.Strategy):
    """A user's own strategy, with the indicator and lines of its own as experts."""

    params = (("source", None),)

    def __init__(self):
        rsi = bt.ind.RSI(self.data, period=7, safediv=True)
        contrarian = bt.If(rsi < 40.0, 1.0, bt.If(rsi > 60.0, -1.0, 0.0))
        self.weights = ExpertWeights(self.data, experts={"rsi": contrarian, "hold": "hold"}, cost=COST)
        self.rsi, self.seen = rsi, []

    def next(self):
        lines = self.weights.lines
        self.seen.append((self.rsi[0], self.rsi[-1], lines.position[0], lines.weight_rsi[0], lines.weight_hold[0]))


@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"exactbars": 1}, {"exactbars": -2}, {"preload": False}])
def test_a_line_that_exists_already_is_an_expert_one_bar_late(make_bars, mode):
    bars = make_bars(130, 2)
    ran, _ = run({"a": BarsData(dataname=bars)}, cerebro=bt.Cerebro(**mode), strategy=OwnLines)
    seen = np.array(ran.seen)
    rsi = np.full(len(bars), np.nan)
    rsi[-len(seen) :] = seen[:, 0]
    rsi[len(bars) - len(seen) - 1] = seen[0, 1]
    sides = np.where(np.isnan(rsi), np.nan, np.where(rsi < 40.0, 1.0, np.where(rsi > 60.0, -1.0, 0.0)))
    late = pd.Series(sides, bars.index).shift(1)
    mixed = llmguide.mix(bars, {"rsi": Sides(late), "hold": "hold"}, cost=COST, start=1)
    np.testing.assert_allclose(seen[:, 2], mixed.positions.iloc[-len(seen) :], rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(seen[:, 3:], mixed.weights.iloc[-len(seen) :], rtol=0.0, atol=1e-12)
    assert (seen[-40:, 3] > 0).mean() > 0.05


def test_a_line_that_is_no_side_is_refused_by_name(make_bars):
    with pytest.raises(LlmguideError, match=r"the expert 'rsi': the sides: expected sides in \[-1, 1\]"):
        run({"a": BarsData(dataname=make_bars(60, 0))}, experts={"rsi": FollowLine(lambda data: bt.ind.RSI(data))})
    with pytest.raises(LlmguideError, match=r"the expert 'none': expected a line, or a function of the data .*, got 3"):
        run({"a": BarsData(dataname=make_bars(60, 0))}, experts={"none": FollowLine(lambda data: 3)})
    with pytest.raises(LlmguideError, match=r"the expert 'line': a line has values in a Cerebro only"):
        llmguide.mix(make_bars(60, 0), {"line": FollowLine(stretched)})


@pytest.mark.parametrize("experts", [None, {}, "hold"])
def test_experts_are_asked_for(make_bars, experts):
    with pytest.raises(LlmguideError, match="expected experts by name, such as"):
        run({"a": BarsData(dataname=make_bars(60, 0))}, experts=experts)


def test_an_expert_that_is_none_is_refused(make_bars):
    with pytest.raises(LlmguideError, match=r"the expert 'guide' is 'gudance'; expected 'hold', guidance"):
        run({"a": BarsData(dataname=make_bars(60, 0))}, experts={"guide": "gudance"})


def test_guidance_of_other_bars_and_experts_who_say_nothing_are_noticed(make_bars):
    bars = make_bars(120, 3)
    table = llmguide.guide(make_bars(120, 9), "constant")
    with pytest.raises(GuidanceError, match="the expert 'table': this guidance was made from other bars"):
        run({"a": BarsData(dataname=bars)}, experts={"table": table})
    with pytest.warns(DataWarning, match="the expert 'late' had no opinion on any bar"):
        run({"a": BarsData(dataname=bars)}, experts={"hold": "hold", "late": MovingAverages(2, 9, since="2030-01-01")})


@pytest.mark.parametrize("mode", [{}, {"runonce": False}, {"exactbars": 1}])
def test_what_an_expert_needs_and_a_bar_lacks_is_refused(make_bars, make_agent, mode):
    bars = make_bars(80, 1)
    own = {"agent": FollowAgent(make_agent(bars), since=bars.index[31])}
    bars.iloc[50, bars.columns.get_loc("low")] = np.nan
    run({"a": BarsData(dataname=bars)}, cerebro=bt.Cerebro(**mode), experts={"hold": "hold"})
    with pytest.raises(DataError, match=r"has no low \(nan\) on bar 50, 2018-03-12, which ExpertWeights needs"):
        run({"a": BarsData(dataname=bars)}, cerebro=bt.Cerebro(**mode), experts=own)


def test_weights_need_a_feed(make_bars):
    class OfAnIndicator(bt.Strategy):
        def __init__(self):
            ExpertWeights(bt.ind.SMA(self.data, period=3), experts={"hold": "hold"})

    with pytest.raises(LlmguideError, match="ExpertWeights needs a feed as its data, got SMA"):
        run({"a": BarsData(dataname=make_bars(60, 0))}, strategy=OfAnIndicator)
