"""What `llmguide.tearsheet` returns: a page that shows itself and names whose account it is, and its measures."""

from __future__ import annotations

import dataclasses
import html
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import llmguide
from llmguide.backtest import SharpeDrawdown, run_backtest
from llmguide.errors import DataError
from llmguide.report.accounts import account_of
from llmguide.report.quantstats_page import _legend
from llmguide.report.seeds_page import write_seeds
from llmguide.strategies import BuyAndHold, TrendFollowing

BARS = llmguide.sample_bars(years=1, seed=2)


def line(page, label):
    """What the page's header says after a label."""
    return html.unescape(re.search(rf"<b>{label}:</b> ([^<]*?)(?: &#183;|</p>)", page).group(1))


@pytest.fixture
def few():
    """Returns of too few bars for quantstats, whose page is quickly made."""
    draws = np.random.default_rng(3).normal(0.001, 0.01, 20)
    return pd.Series(draws, index=pd.bdate_range("2018-01-02", periods=20), name="returns")


@pytest.fixture
def folder(tmp_path):
    """The part of a run folder that is read: two seeds of the hybrid, and hold."""
    value = BARS["close"].to_numpy() / BARS["close"].iloc[0] * 1e5
    runs = [("hybrid", 0, np.linspace(1, 2, len(BARS))), ("hybrid", 1, np.linspace(1, 0.5, len(BARS))), ("hold", -1, 1)]
    frames = [
        pd.DataFrame({"date": BARS.index, "value": value * scale, "arm": arm, "seed": seed})
        for arm, seed, scale in runs
    ]
    path = tmp_path / "run"
    path.mkdir()
    pd.concat(frames).to_parquet(path / "values.parquet")
    (path / "config.json").write_text('{"name": "ACME", "episodes": 2, "agent": {"cost": 0.001, "cash": 1e5}}')
    return path


def test_without_an_output_nothing_is_written_and_the_page_is_there(few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sheet = llmguide.tearsheet(few)
    assert list(tmp_path.iterdir()) == []
    assert sheet.path is None
    assert sheet.html.startswith("<!DOCTYPE html>")
    with pytest.raises(DataError, match=r"has no file; call \.write\(path\)"):
        os.fspath(sheet)
    written = sheet.write(tmp_path / "new" / "sheet.html")
    assert written.path.read_text(encoding="utf-8") == sheet.html
    assert sheet.path is None


def test_it_stands_for_its_file_wherever_a_path_is_asked_for(few, tmp_path):
    sheet = llmguide.tearsheet(few, tmp_path / "sheet.html")
    assert sheet.path == tmp_path / "sheet.html"
    assert Path(sheet) == sheet.path
    assert os.path.exists(sheet)
    with open(sheet, encoding="utf-8") as file:
        assert file.read() == sheet.html


def test_its_measures_are_those_of_llmguide(few):
    sheet = llmguide.tearsheet(few, periods=252)
    value = np.append(1.0, (1 + few).cumprod())
    assert sheet.sharpe == llmguide.sharpe_ratio(few)
    assert sheet.max_drawdown == llmguide.max_drawdown(value)
    assert sheet.total_return == pytest.approx(value[-1] - 1)
    assert (sheet.start, sheet.end) == (few.index[0], few.index[-1])
    for number in (f"{sheet.sharpe:.2f}", f"{100 * sheet.max_drawdown:.1f} %", f"{100 * sheet.total_return:.1f} %"):
        assert number.replace("-", "−") in sheet.html


def test_it_is_a_value_that_nobody_changes(few):
    sheet = llmguide.tearsheet(few, strategy="mine")
    with pytest.raises(dataclasses.FrozenInstanceError):
        sheet.title = "other"
    assert pickle.loads(pickle.dumps(sheet)).html == sheet.html
    assert repr(sheet).startswith("Tearsheet(mine, 2018-01-02 to 2018-01-29: Sharpe ratio ")


def test_a_notebook_shows_the_page_in_a_frame_that_cannot_reach_it(few):
    shown = llmguide.tearsheet(few, title='A "quoted" <title>')._repr_html_()
    assert shown.startswith("<iframe ")
    assert 'sandbox="allow-scripts"' in shown
    assert "<title>" not in shown
    assert "<title>A &quot;quoted&quot;" in html.unescape(re.search(r'srcdoc="([^"]*)"', shown).group(1))


def test_a_run_folder_names_arm_seed_instrument_and_benchmark(folder):
    sheet = llmguide.tearsheet(folder, arm="hybrid", seed=1)
    assert (sheet.strategy, sheet.instrument, sheet.benchmark) == ("hybrid, seed 1", "ACME", "buy and hold of ACME")
    assert sheet.title == "hybrid, seed 1 on ACME against buy and hold"
    assert f"<title>{sheet.title}</title>" in sheet.html
    assert line(sheet.html, "Strategy") == "hybrid, seed 1"
    assert line(sheet.html, "Benchmark") == "buy and hold of ACME"
    for text in (
        "<th>buy and hold</th><th>hybrid, seed 1</th>",
        "Annualised by: 252 daily bars",
        "without a risk-free",
    ):
        assert text in sheet.html
    hold = account_of(folder, arm="hold")
    assert (hold.title, hold.benchmark_name) == ("hold", "")


def test_a_run_folder_that_does_not_say_its_instrument_leaves_it_out(folder):
    (folder / "config.json").write_text("{}")
    account = account_of(folder, arm="hybrid")
    assert (account.title, account.instrument, account.benchmark_name) == ("hybrid, seed 0", "", "buy and hold")


def test_a_cerebro_names_its_strategy_and_the_data_that_have_names():
    import backtrader as bt

    def ran(name):
        cerebro = bt.Cerebro()
        data = bt.feeds.PandasData(dataname=BARS)
        cerebro.adddata(data, name=name)
        cerebro.addstrategy(BuyAndHold)
        cerebro.addanalyzer(SharpeDrawdown)
        cerebro.addanalyzer(bt.analyzers.TimeReturn, data=data, firstopen=False)
        cerebro.run()
        return account_of(cerebro)

    named, unnamed = ran("ACME"), ran(None)
    assert (named.title, named.instrument, named.benchmark_name) == ("BuyAndHold", "ACME", "the price of ACME")
    assert (unnamed.title, unnamed.instrument, unnamed.benchmark_name) == ("BuyAndHold", "", "the price that it trades")


def test_a_backtest_names_its_strategy():
    result = run_backtest(BARS, TrendFollowing, short=3, long=9)
    assert result.strategy == account_of(result).title == "TrendFollowing"


def test_plain_returns_have_the_names_that_they_are_given_and_no_others(few):
    nobody = llmguide.tearsheet(few)
    assert (nobody.strategy, nobody.benchmark, nobody.title) == ("", "", "Tearsheet")
    assert line(nobody.html, "Strategy") == "returns given without a name"
    assert line(nobody.html, "Benchmark") == "none"
    assert line(llmguide.tearsheet(few, benchmark=few).html, "Benchmark") == "returns given without a name"
    series = llmguide.tearsheet(few.rename("momentum"), benchmark=few.rename("SPY"))
    assert (series.strategy, series.benchmark, series.title) == ("momentum", "SPY", "momentum against SPY")
    told = llmguide.tearsheet(few, strategy="mine", benchmark=few, benchmark_name="an index", instrument="ACME")
    assert told.title == "mine on ACME against an index"
    assert "Instrument:</b> ACME" in told.html


def test_names_are_text_and_never_markup(few):
    sheet = llmguide.tearsheet(few, strategy="<b>x</b>", benchmark=few, benchmark_name="<i>", instrument="<u>")
    assert not re.search(r"<b>x|<i>|<u>", sheet.html)
    assert "&lt;b&gt;x&lt;/b&gt; on &lt;u&gt; against &lt;i&gt;" in sheet.html


def test_names_that_do_not_fit_into_a_legend_are_strategy_and_benchmark_there():
    assert _legend("hybrid, seed 0", "buy and hold") == ("hybrid, seed 0", "buy and hold")
    assert _legend("", "") == ("Strategy", "Benchmark")
    for odd in ("$x$", "_hidden", "<b>", "a very long name of a strategy"):
        assert _legend(odd, "SPY") == ("Strategy", "SPY")
    assert _legend("SPY", "spy") == ("Strategy", "Benchmark")


def test_a_setting_of_a_sweep_names_rule_parameters_and_instrument():
    swept = llmguide.sweep(BARS, "trend", short=[2, 3], long=[8], cost=0.002)
    sheet = swept.tearsheet({"short": 3}, name="ACME")
    assert (sheet.strategy, sheet.instrument, sheet.benchmark) == ("trend, short 3", "ACME", "buy and hold of ACME")
    assert sheet.sharpe == pytest.approx(swept.frame["sharpe"].loc[(3, 8)].item(), abs=1e-9)


def test_the_page_of_all_seeds_names_arm_instrument_benchmark_and_dates(folder, tmp_path):
    write_seeds(folder, "hybrid", tmp_path / "seeds.html")
    page = (tmp_path / "seeds.html").read_text(encoding="utf-8")
    assert "<title>hybrid on ACME, all 2 seeds, against buy and hold</title>" in page
    assert "Benchmark: buy and hold of ACME" in page
    held = BARS["close"].iloc[-1] / BARS["close"].iloc[0] - 1
    row = re.search(r'<th scope="row">buy and hold</th>(.*?)</tr>', page).group(1)
    assert f"<td>{100 * held:.1f} %</td>".replace("-", "−") in row
    assert f"{BARS.index[0]:%Y-%m-%d} to {BARS.index[-1]:%Y-%m-%d}" in page


@pytest.mark.slow
def test_the_page_fits_the_screen_keeps_its_weight_and_is_readable_in_the_dark(folder):
    page = llmguide.tearsheet(folder, arm="hybrid").html
    assert 'name="viewport"' in page
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page
    assert "#fedd78" not in page  # too pale for a line on white
    assert len(page.encode()) < 700_000
