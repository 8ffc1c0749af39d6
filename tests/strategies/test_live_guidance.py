"""Guidance asked for while a backtest runs is that of a table made before, whatever way Backtrader is made to run."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from live_feed import LiveBars
from openai_server import OpenAIServer
from ways_to_run import DISTINCT

import llmguide.btrun
from llmguide import guide, read_bars, sample_bars
from llmguide.backtest import BarsData, CloseFillBroker, SharpeDrawdown, run_backtest
from llmguide.errors import BudgetError, DataError, EndpointError, GuidanceError, LlmguideError, MissingAnswers
from llmguide.guidance import Guidance
from llmguide.guidance.language_model import LanguageModel
from llmguide.indicators import LLMGuidance
from llmguide.sources.tables import Tables
from llmguide.strategies import LLMGuidedDQN, LLMOnly

LINES = ("direction", "confidence", "entropy", "strength", "tau")
COLUMNS = ["open", "high", "low", "close", "volume"]
KEY = "sk-test-0123456789"


class KeepsLines:
    """Notes what the guidance's lines say on every bar with a decision."""

    def start(self):
        super().start()
        self.seen = []

    def decide(self):
        self.seen.append([self.traded.datetime.date(0), *(getattr(self.guidance.lines, name)[0] for name in LINES)])
        return super().decide()


class Only(KeepsLines, LLMOnly):
    pass


class Hybrid(KeepsLines, LLMGuidedDQN):
    pass


def run(bars, strategy, /, *, others=(), prepare=None, mode=None, **params):
    """Run with close fills; return decisions with dates, account, what the guidance's lines said, and the strategy."""
    cerebro = bt.Cerebro(stdstats=False, **(mode or {}))
    cerebro.broker = CloseFillBroker()
    cerebro.broker.setcash(100_000.0)
    if bars is not None:
        cerebro.adddata(bars)
    for other in others:
        cerebro.adddata(other)
    if prepare is not None:
        prepare(cerebro)
    cerebro.addstrategy(strategy, **params)
    cerebro.addanalyzer(SharpeDrawdown)
    (ran,) = cerebro.run()
    return ran.decision_log, ran.analyzers.sharpedrawdown.account, np.array(ran.seen), ran


def assert_same(one, two):
    assert [(at.date(), *rest) for at, *rest in one[0]] == [(at.date(), *rest) for at, *rest in two[0]]
    assert len(one[0]) > 10
    np.testing.assert_array_equal(one[1].to_numpy(), two[1].to_numpy())
    assert one[2][:, 0].tolist() == two[2][:, 0].tolist()
    np.testing.assert_array_equal(one[2][:, 1:].astype(float), two[2][:, 1:].astype(float))


class Case:
    """Bars before and after the first day of a backtest, a model with an answer for each of their months, its table."""

    def __init__(self, bars, model, table, calls):
        self.bars, self.model, self.table, self.calls = bars, model, table, calls
        self.history, self.after = bars.iloc[:60], bars.iloc[60:]


@pytest.fixture(scope="module")
def case(make_bars, tmp_path_factory):
    bars = make_bars(160, 4).astype({"volume": "int64"})  # as some files have it; Backtrader makes it a float
    events = [
        {"published_at": day + pd.Timedelta(hours=10), "headline": f"Acme: event {n}"}
        for n, day in enumerate(bars.index[5::3])
    ]
    market = pd.DataFrame({"date": bars.index, "SPX": 2000.0 + np.arange(len(bars)), "VIX": 15.0})
    cache = tmp_path_factory.mktemp("cache") / "llm.sqlite"
    with OpenAIServer() as server:
        asked = LanguageModel(
            base_url=server.url,
            api_key=KEY,
            cache=cache,
            symbol="ACME",
            prompt="P4",
            tables=Tables(news=pd.DataFrame(events), market=market),
        )
        table = asked(bars)
        calls = len(server.requests)
    return Case(bars, replace(asked, replay=True, base_url=None, api_key=None), table, calls)


@pytest.fixture(scope="module")
def agent(case, make_agent):
    return make_agent(case.after, case.table.tau(case.after.index))


@pytest.fixture(scope="module")
def by_table(case, agent):
    """A run by the table made before."""
    return run(BarsData(dataname=case.after), Hybrid, model=agent, guidance=case.table)


@pytest.fixture(scope="module")
def alone(case):
    """A run that asks, with no other feed."""
    return run(BarsData(dataname=case.after), Only, provider=case.model, history=case.history)


def test_the_case_has_months_before_and_in_the_backtest_of_both_directions(case):
    dates = [row.issued_at for row in case.table.rows]
    assert dates == list(case.bars.index[30:160:20])
    assert {row.direction for row in case.table.rows} == {0, 1}
    assert case.calls == 1 + 2 * len(dates)  # the probe, then Analyst and Strategist of each month


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runonce", "preload", "exactbars", "live"),
    DISTINCT,
)
def test_the_hybrid_acts_on_live_guidance_as_on_the_table_in_every_mode(
    case, agent, by_table, runonce, preload, exactbars, live
):
    mode = {"runonce": runonce, "preload": preload, "exactbars": exactbars}
    feed = LiveBars if live else BarsData
    asked = run(feed(dataname=case.after), Hybrid, mode=mode, model=agent, provider=case.model, history=case.history)
    assert_same(asked, by_table)
    assert asked[3].guidance.table == case.table


MODES = [{}, {"runonce": False}, {"preload": False}, {"exactbars": 1}, {"exactbars": -2}]


@pytest.mark.parametrize("mode", MODES)
def test_the_guidance_alone_without_history_is_that_of_the_table_of_its_bars(case, mode):
    bars = case.bars.iloc[:100]
    table = guide(bars, "replay", settings=case.model)
    asked = run(BarsData(dataname=bars), Only, mode=mode, provider=case.model)
    assert_same(asked, run(BarsData(dataname=bars), Only, guidance=table))
    assert asked[3].guidance.table == table


@pytest.mark.parametrize("first", ["live", "table"])
def test_what_the_one_has_asked_the_other_does_not_pay_for(case, tmp_path, first):
    with OpenAIServer() as server:
        model = replace(
            case.model, replay=False, base_url=server.url, api_key=KEY, cache=tmp_path / "c.sqlite", prompt="P2"
        )
        ways = {"live": lambda: run_backtest(case.bars, LLMOnly, provider=model), "table": lambda: model(case.bars)}
        ways.pop(first)()
        asked = len(server.requests)
        ways.popitem()[1]()
        assert asked == len(server.requests) == 1 + 7
        assert set(server.complete.values()) == {1}
        table = model(case.bars)
    assert_same(
        run(BarsData(dataname=case.bars), Only, provider=replace(model, replay=True)),
        run(BarsData(dataname=case.bars), Only, guidance=table),
    )


def recording(known_frames):
    """A provider that notes what it gets, and says something that depends on all of it."""

    def ask(known, issued_at):
        known_frames.append((issued_at, known.copy()))
        side = int(known.to_numpy().sum() * 1e4) % 2
        return {"issued_at": issued_at, "direction": side, "confidence": 1 + len(known) % 3}

    return ask


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("before", [0, 20, 30, 57])
def test_the_provider_gets_exactly_the_bars_before_its_date(make_bars, mode, live, before):
    bars, known = make_bars(100, 7), []
    history = bars.iloc[:before] if before else None
    feed = (LiveBars if live else BarsData)(dataname=bars.iloc[before:])
    run(feed, Only, mode=mode, provider=recording(known), history=history)
    assert len(known) == 4
    positions = [30, 50, 70, 90]
    assert [issued_at for issued_at, _ in known] == bars.index[positions].to_pydatetime().tolist()
    for i, (_, frame) in zip(positions, known, strict=True):
        pd.testing.assert_frame_equal(frame, bars.iloc[:i], check_freq=False, check_names=False, check_index_type=False)


@pytest.mark.parametrize("mode", MODES)
def test_later_bars_change_no_guidance_before_them(make_bars, mode):
    bars = make_bars(100, 7)
    whole = run(BarsData(dataname=bars), Only, mode=mode, provider=recording([]))
    for cut in (49, 50, 70, 83):
        other = bars.copy()
        other.iloc[cut + 1 :] = other.iloc[cut + 1 :].to_numpy() * 1.7
        changed = run(BarsData(dataname=other), Only, mode=mode, provider=recording([]))
        upto = cut + 1 - 30  # bars with a decision, and the next bar's is known too
        np.testing.assert_array_equal(changed[2][: upto + 1, 1:].astype(float), whole[2][: upto + 1, 1:].astype(float))


@pytest.mark.parametrize("mode", MODES)
def test_another_feed_changes_nothing(case, alone, make_bars, mode):
    other = make_bars(200, 9)
    if mode.get("exactbars") == 1:
        other = make_bars(len(case.after), 9)
        other.index = case.after.index
    asked = run(
        BarsData(dataname=other), Only, others=[BarsData(dataname=case.after)], mode=mode,
        feed=1, provider=case.model, history=case.history,
    )  # fmt: skip
    assert_same(asked, alone)


def weekly(bars):
    """The bars that Backtrader's resampler makes of weeks: dated by their last day."""
    weeks = bars.groupby([bars.index.isocalendar().year, bars.index.isocalendar().week])
    frame = weeks.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    frame.index = pd.DatetimeIndex(weeks.apply(lambda week: week.index[-1]), name="date")
    return frame


@pytest.mark.parametrize("mode", MODES)
def test_a_feed_of_weeks_follows_a_table_of_days_and_is_not_asked_about(make_bars, mode):
    days = make_bars(5 * 100, 5)

    def resampled(**options):
        return run(
            None, Only, mode=mode,
            prepare=lambda cerebro: cerebro.resampledata(BarsData(dataname=days), timeframe=bt.TimeFrame.Weeks),
            **options,
        )  # fmt: skip

    table = guide(days, "rules")
    assert_same(resampled(guidance=table), run(BarsData(dataname=weekly(days)), Only, guidance=table))
    with pytest.raises(DataError, match="52 weekly bars a year; make it from daily bars"):
        resampled(provider="rules")


@pytest.mark.parametrize("mode", [{}, {"exactbars": 1}, {"exactbars": -2}])
def test_a_replayed_feed_is_asked_about_once_a_month_from_complete_bars(make_bars, mode):
    days, known = make_bars(5 * 100, 5), []
    weeks = weekly(days)
    run(
        None, Only, mode=mode, provider=recording(known),
        prepare=lambda cerebro: cerebro.replaydata(BarsData(dataname=days), timeframe=bt.TimeFrame.Weeks),
    )  # fmt: skip
    first_days = [
        week.index[0] for _, week in days.groupby([days.index.isocalendar().year, days.index.isocalendar().week])
    ]
    assert [issued_at for issued_at, _ in known] == [first_days[i] for i in (30, 50, 70, 90)]
    for i, (_, frame) in zip((30, 50, 70, 90), known, strict=True):
        assert list(frame.index) == list(weeks.index[:i])
        np.testing.assert_allclose(frame.to_numpy(), weeks.iloc[:i].to_numpy(), rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_of_bars_of_half_an_hour_the_days_are_seen_at_the_cadence_of_days(make_bars, mode):
    bars = make_bars(13 * 60, 3)
    days = pd.bdate_range("2018-01-01", periods=60)
    bars.index = pd.DatetimeIndex(
        [day + pd.Timedelta(hours=9, minutes=30 * n + 30) for day in days for n in range(13)], name="date"
    )
    feed = BarsData(dataname=bars, timeframe=bt.TimeFrame.Minutes, compression=30)
    table = guide(bars, "rules")
    asked = run(feed, Only, mode=mode, provider="rules")
    assert_same(asked, run(BarsData(dataname=bars), Only, guidance=table))
    assert asked[3].guidance.table == table
    assert [row.issued_at for row in table.rows] == [days[30], days[50]]


def test_bars_within_a_day_that_are_taken_for_days_are_refused(make_bars):
    bars = make_bars(60, 3)
    bars.index = pd.date_range("2018-01-01 09:30", periods=60, freq="30min", name="date")
    with pytest.raises(GuidanceError, match="timeframe="):
        run(BarsData(dataname=bars), Only, provider="rules")


def test_days_that_a_feed_stamps_with_the_end_of_their_session_are_days(case, tmp_path):
    case.bars.to_csv(tmp_path / "bars.csv")
    feed = bt.feeds.GenericCSVData(dataname=str(tmp_path / "bars.csv"), dtformat="%Y-%m-%d", openinterest=-1)
    bars = read_bars(tmp_path / "bars.csv")
    asked = run(feed, Only, provider=case.model)
    assert_same(asked, run(BarsData(dataname=bars), Only, guidance=case.table))
    assert asked[3].guidance.table == case.table


def test_rules_asked_live_are_the_table_of_rules():
    bars = sample_bars(years=3, seed=8)
    history, after = bars.iloc[:504], bars.iloc[504:]
    asked = run(BarsData(dataname=after), Only, provider="rules", history=history)
    assert_same(asked, run(BarsData(dataname=after), Only, guidance=guide(bars, "rules")))
    assert {row.direction for row in asked[3].guidance.table.rows} == {0, 1}


def test_a_backtest_takes_a_provider_too(case, agent):
    one = run_backtest(case.after, LLMGuidedDQN, model=agent, provider=case.model, history=case.history)
    two = run_backtest(case.after, LLMGuidedDQN, model=agent, guidance=case.table)
    assert one.decisions.equals(two.decisions)
    assert one.account.equals(two.account)


def test_a_running_event_loop_as_in_jupyter_is_no_obstacle(case):
    async def cell():
        return run(BarsData(dataname=case.bars), Only, provider=case.model)

    assert_same(asyncio.run(cell()), run(BarsData(dataname=case.bars), Only, guidance=case.table))


def test_optstrategy_in_two_processes_gives_what_single_runs_give(case):
    bars, providers = case.bars.iloc[:130], [case.model, "rules"]
    cerebro = bt.Cerebro(maxcpus=2, stdstats=False)
    cerebro.broker = CloseFillBroker()
    cerebro.broker.setcash(100_000.0)
    cerebro.adddata(BarsData(dataname=bars))
    cerebro.optstrategy(LLMOnly, provider=providers)
    cerebro.addanalyzer(SharpeDrawdown)
    sharpes = [ran.analyzers.sharpedrawdown.get_analysis()["sharpe"] for (ran,) in cerebro.run()]
    assert sharpes == [run_backtest(bars, LLMOnly, cost=0.0, provider=provider).sharpe for provider in providers]
    assert sharpes[0] != sharpes[1]


class Indicator(bt.Strategy):
    """A user's own strategy with the indicator."""

    params = (("provider", None),)

    def __init__(self):
        self.guidance = LLMGuidance(self.data, provider=self.p.provider)


def test_the_plot_says_how_much_was_said(case):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsData(dataname=case.bars))
    cerebro.addstrategy(Indicator, provider=case.model)
    (ran,) = cerebro.run()
    assert ran.guidance._plotlabel() == ["7 rows"]
    assert KEY not in ran.guidance.plotlabel()


def test_by_its_name_alone_the_model_is_the_one_of_the_environment(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        asked = run(BarsData(dataname=case.bars), Only, provider="llm")
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert_same(asked, run(BarsData(dataname=case.bars), Only, guidance=guide(case.bars, "replay")))
    assert_same(asked, run(BarsData(dataname=case.bars), Only, provider="replay"))


@pytest.mark.slow
def test_btrun_takes_a_provider(tmp_path):
    bars = sample_bars(years=1, seed=8)
    bars.assign(openinterest=0).to_csv(tmp_path / "bars.csv", date_format="%Y-%m-%d")
    shim = llmguide.btrun.__file__
    command = [Path(sys.executable).with_name("btrun"), "--csvformat", "btcsv", "--data", tmp_path / "bars.csv"]
    account = ["--cash", "100000", "--commission", "0.001", "--nostdstats", "--pranalyzer"]
    ours = ["--strategy", f"{shim}:LLMOnly:provider='rules'", "--analyzer", f"{shim}:SharpeDrawdown"]
    hook = ["--hook", f"{shim}:close_fills"]
    printed = subprocess.run([*command, *account, *ours, *hook], capture_output=True, text=True, check=True).stdout
    (value,) = re.findall(r"end_value: (\S+)", printed)
    expected = run_backtest(bars, LLMOnly, guidance=guide(bars, "rules"))
    assert float(value) == pytest.approx(expected.values.iloc[-1], rel=1e-6)


def test_an_abstention_is_neutral_and_the_next_month_is_asked(case, tmp_path):
    with OpenAIServer(faults=[None, None, "refusal"]) as server:
        model = replace(
            case.model, replay=False, base_url=server.url, api_key=KEY, cache=tmp_path / "c.sqlite", prompt="P1"
        )
        _, _, seen, ran = run(BarsData(dataname=case.bars), Only, provider=model)
        with pytest.raises(LlmguideError, match="declined"):
            run(BarsData(dataname=case.bars), Only, provider=replace(model, strict=True))
    assert [row.direction is None for row in ran.guidance.table.rows] == [False, True, *[False] * 5]
    assert set(seen[20:40, 5]) == {0.0}
    assert set(seen[40:, 5]) != {0.0}


def test_an_endpoint_that_is_not_there_is_one_clear_error(case, tmp_path):
    with OpenAIServer() as server:
        url = server.url
    model = replace(case.model, replay=False, base_url=url, api_key=KEY, cache=tmp_path / "c.sqlite", max_retries=0)
    with pytest.raises(EndpointError) as caught:
        run(BarsData(dataname=case.bars), Only, provider=model)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_replay_that_lacks_an_answer_names_it(case):
    with pytest.raises(MissingAnswers, match=r"lacks 1 answer .*OTHER"):
        run(BarsData(dataname=case.bars), Only, provider=replace(case.model, symbol="OTHER", prompt="P3"))


def test_the_budget_holds_for_live_guidance_too(case, tmp_path):
    with OpenAIServer() as server:
        model = replace(
            case.model, replay=False, base_url=server.url, api_key=KEY, cache=tmp_path / "c.sqlite", budget=0.004
        )
        with pytest.raises(BudgetError, match="larger budget"):
            run(BarsData(dataname=case.bars), Only, provider=model)
        assert 1 < len(server.requests) < case.calls
        asked = run(BarsData(dataname=case.bars), Only, provider=replace(model, budget=1.0))
        assert len(server.requests) == case.calls
    assert len(asked[3].guidance.table) == 7


def test_ctrl_c_while_the_model_thinks_ends_the_run(case, tmp_path):
    def answer(body):
        if server.requests[3:]:
            signal.raise_signal(signal.SIGINT)

    with OpenAIServer(answer=answer, delay=0.05) as server:
        model = replace(
            case.model, replay=False, base_url=server.url, api_key=KEY, cache=tmp_path / "c.sqlite", prompt="P1"
        )
        with pytest.raises(KeyboardInterrupt):
            run(BarsData(dataname=case.bars), Only, provider=model)
        server.answer = None
        run(BarsData(dataname=case.bars), Only, provider=model)
        assert max(server.complete.values()) == 1


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"guidance": Guidance(()), "provider": "rules"}, "either guidance=, a table, or provider="),
        ({}, "provider="),
        ({"guidance": Guidance(()), "history": "all"}, "history= is for provider="),
        ({"provider": "rule"}, "did you mean 'rules'"),
        ({"provider": "oracle"}, "guidance="),
        ({"provider": Guidance(())}, "guidance="),
        ({"provider": 3}, "got 3"),
        ({"provider": "rules", "history": "train.csv"}, "use read_bars"),
        ({"provider": "rules", "history": "overlapping"}, "ends before the first bar"),
        ({"provider": lambda known, issued_at: None}, "row 0"),
        ({"provider": lambda known, issued_at: {"direction": 1}}, "issued_at"),
        ({"provider": lambda known, issued_at: {"issued_at": issued_at, "direction": 2, "confidence": 1}}, "direction"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_the_way_out(make_bars, params, says):
    bars = make_bars(60, 1)
    histories = {"all": bars, "overlapping": bars.iloc[:5]}
    history = params.get("history")
    params = params | {"history": histories.get(history, history)}
    with pytest.raises(LlmguideError, match=says):
        run(BarsData(dataname=bars), Only, **params)
