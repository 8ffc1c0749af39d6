"""The tearsheet: what it prints is what llmguide measures, and each trap of quantstats is closed."""

from __future__ import annotations

import html
import logging
import re
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from llmguide.errors import DataError, DataWarning
from llmguide.metrics import max_drawdown, sharpe_ratio
from llmguide.report.tearsheet import tearsheet

PLAIN = "No tearsheet was drawn"


@pytest.fixture(scope="module")
def returns():
    """Daily returns of an account that is idle for its first 30 bars."""
    draws = np.random.default_rng(3).normal(0.0006, 0.012, 400)
    draws[:30] = 0.0
    return pd.Series(draws, index=pd.bdate_range("2018-01-02", periods=400), name="returns")


@pytest.fixture(scope="module")
def market(returns):
    draws = np.random.default_rng(4).normal(0.0004, 0.01, len(returns))
    return pd.Series(draws, index=returns.index)


@pytest.fixture(scope="module")
def sheet(returns, market, tmp_path_factory):
    """The page of `returns` beside `market`."""
    path = tearsheet(returns, tmp_path_factory.mktemp("sheet") / "sheet.html", benchmark=market, title="Coin")
    return path.path.read_text(encoding="utf-8")


@pytest.fixture
def asked(monkeypatch):
    """What quantstats is asked for, in place of its drawing: the returns, the options and the backend."""
    import quantstats

    calls = []

    def html(account, **options):
        calls.append((account, options, matplotlib.get_backend()))
        with open(options["output"], "w", encoding="utf-8") as file:
            empty = "<td></td>" * (1 if options["benchmark"] is None else 2)
            rows = [f"<tr><td>{label}</td>{empty}</tr>" for label in ("Sharpe", "Max Drawdown")]
            file.write("<title>x</title><h1></h1><h4></h4><table>" + "".join(rows) + "</table>")

    monkeypatch.setattr(quantstats.reports, "html", html)
    return calls


def cells(page, label):
    """Texts of the table row that starts with `label`."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.DOTALL)
    texts = [[re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[dh].*?</t[dh]>", row)] for row in rows]
    return next(row[1:] for row in texts if row and row[0] == label)


def drawdown(returns):
    return max_drawdown(np.concatenate([[1.0], np.cumprod(1 + returns.to_numpy())]))


def test_the_printed_sharpe_ratio_and_drawdown_are_those_of_our_metrics(sheet, returns, market):
    assert PLAIN not in sheet
    # quantstats lists the benchmark first.
    assert cells(sheet, "Sharpe") == [f"{sharpe_ratio(market):.2f}", f"{sharpe_ratio(returns):.2f}"]
    assert cells(sheet, "Max Drawdown") == [f"-{drawdown(market):.2%}", f"-{drawdown(returns):.2%}"]
    assert cells(sheet, "Cumulative Return")[1] == f"{(1 + returns).prod() - 1:.2%}"
    assert len(cells(sheet, "CAGR %")) == 2  # quantstats' own sign is in few fonts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "benchmarked"),
    [
        pytest.param(lambda r: r.where(r.index >= r.index[150], 0.0), False, id="idle for long"),
        pytest.param(lambda r: r.where(r.index != r.index[0], -0.3), True, id="a loss on the first bar"),
        pytest.param(lambda r: -0.1 * r.abs(), False, id="falls from the first bar on"),
        pytest.param(lambda r: 0.1 * r.abs(), True, id="never falls"),
        pytest.param(lambda r: r[30:60], False, id="thirty bars"),
        pytest.param(lambda r: r.tz_localize("Asia/Tokyo"), True, id="with a time zone"),
        pytest.param(lambda r: (r * 0).where(r.index != r.index[200], -0.01), False, id="one loss, else flat"),
    ],
)
def test_accounts_that_quantstats_measures_otherwise_show_our_figures(returns, market, tmp_path, change, benchmarked):
    account = change(returns)
    peer = market.tz_localize(account.index.tz) if benchmarked else None
    page = tearsheet(account, tmp_path / "sheet.html", benchmark=peer).path.read_text(encoding="utf-8")
    assert PLAIN not in page
    fall = drawdown(account)
    assert cells(page, "Sharpe")[-1] == f"{sharpe_ratio(account):.2f}"
    assert cells(page, "Max Drawdown")[-1] == (f"-{fall:.2%}" if fall else "0.00%")


def test_a_page_of_another_layout_is_not_passed_on(asked, returns, tmp_path, monkeypatch):
    import quantstats

    def other(account, **options):
        with open(options["output"], "w", encoding="utf-8") as file:
            file.write("<title>x</title><h1></h1><h4></h4><td>Sharpe ratio</td><td>9.99</td>")

    monkeypatch.setattr(quantstats.reports, "html", other)
    with pytest.warns(DataWarning, match="expected one row 'Sharpe'"):
        page = tearsheet(returns, tmp_path / "sheet.html").path.read_text(encoding="utf-8")
    assert "9.99" not in page


@pytest.mark.slow
def test_no_connection_is_ever_opened(returns, market, tmp_path, monkeypatch):
    import socket

    def refuse(*args, **kwargs):
        raise AssertionError("a tearsheet asked the network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert PLAIN not in tearsheet(returns, tmp_path / "s.html", benchmark=market).path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_drawing_warns_of_nothing_and_prints_nothing(returns, market, tmp_path, capfd):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tearsheet(returns, tmp_path / "sheet.html", benchmark=market)
    assert caught == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.real_bars
def test_the_tearsheet_of_buy_and_hold_apple_prints_the_published_figures(golden_folder, tmp_path):
    held = pd.read_csv(golden_folder / "AAPL_2018_long_10bp.csv", index_col="Timestamp", parse_dates=True)
    page = tearsheet(held["Returns"], tmp_path / "hold.html").path.read_text(encoding="utf-8")
    assert cells(page, "Sharpe") == ["1.24"]
    assert cells(page, "Max Drawdown") == ["-38.51%"]


def test_the_page_is_whole_and_loads_nothing(sheet):
    assert sheet.count("<svg") >= 10
    assert "<title>Coin</title>" in sheet
    assert "onload" not in sheet
    loaded = re.findall(r"""(?:src|<link[^>]*href)\s*=\s*["']([^"']+)""", sheet)
    assert [url for url in loaded if not url.startswith("data:")] == []
    assert "@import" not in sheet


def test_the_chart_of_yearly_returns_names_each_year_once(sheet):
    chart = re.search(r'<div id="eoy_returns">(.*?)</div>', sheet, re.DOTALL).group(1)
    assert re.findall(r">(\d{4})</text>", chart) == ["2018", "2019"]


@pytest.mark.slow
def test_the_same_account_gives_the_same_bytes_under_any_style_of_the_caller(sheet, returns, market, tmp_path):
    with matplotlib.rc_context({"axes.grid": False, "lines.linewidth": 9, "axes.facecolor": "black"}):
        again = tearsheet(returns, tmp_path / "sheet.html", benchmark=market, title="Coin")
    assert again.path.read_text(encoding="utf-8") == sheet


def test_a_folder_that_is_missing_is_made_and_nothing_else_is_left_in_it(returns, tmp_path):
    path = tearsheet(returns[:10], tmp_path / "new" / "deep" / "sheet.html")
    assert [file.name for file in path.path.parent.iterdir()] == ["sheet.html"]


def test_title_and_parameters_are_text_and_never_markup(returns, tmp_path):
    title = "<script>alert(1)</script> & {{metrics}} 'x'"
    shown = {"<b>seed</b>": "{{title}}", "cost": 0.001}
    for name, part in (("full.html", returns), ("plain.html", returns[:5])):
        page = tearsheet(part, tmp_path / name, title=title, parameters=shown).path.read_text(encoding="utf-8")
        assert "<script>" not in page
        heading = re.search(r"<h1>(.*?)(?: <dt>|</h1>)", page).group(1)
        assert html.unescape(heading).removesuffix(" (Compounded)") == title
        assert "&lt;b&gt;seed&lt;/b&gt;" in page
        assert "<b>seed" not in page
        assert "0.001" in page


def test_quantstats_is_given_naive_returns_and_a_benchmark_on_the_same_dates(asked, returns, market, tmp_path):
    tearsheet(returns[100:], tmp_path / "sheet.html", benchmark=market)
    (account, options, backend), *_ = asked
    pd.testing.assert_series_equal(account, returns[100:], check_names=False, check_freq=False)
    pd.testing.assert_series_equal(options["benchmark"], market[100:], check_names=False, check_freq=False)
    assert options["match_dates"] is False  # otherwise leading idle bars are cut, which changes the Sharpe ratio
    assert backend.lower() == "agg"


def test_time_zones_are_dropped_and_the_local_dates_kept(asked, returns, market, tmp_path):
    tokyo, new_york = returns.tz_localize("Asia/Tokyo"), market.tz_localize("America/New_York")
    tearsheet(tokyo, tmp_path / "sheet.html", benchmark=new_york)
    (account, options, _), *_ = asked
    assert account.index.equals(returns.index)
    assert options["benchmark"].index.equals(returns.index)


def test_a_benchmark_without_some_of_the_dates_is_refused(returns, market, tmp_path):
    with pytest.raises(DataError, match=r"each of the 400 bars, got none for 2018-01-09 and 2 such"):
        tearsheet(returns, tmp_path / "sheet.html", benchmark=market.drop(market.index[[5, 7]]))
    assert not (tmp_path / "sheet.html").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda r: r[:29], "29 bars are too few", id="short"),
        pytest.param(lambda r: r[:1], "1 bars are too few", id="one bar"),
        pytest.param(lambda r: 0 * r, "never vary", id="zero"),
        pytest.param(lambda r: 0 * r + 0.001, "never vary", id="constant"),
        pytest.param(lambda r: r.where(r.index != r.index[200], -1.2), "lost everything on 2018-10-09", id="insolvent"),
        pytest.param(lambda r: r.abs().where(r.index != r.index[200], 1.5), "mistakes for prices", id="like prices"),
    ],
)
def test_an_account_that_quantstats_would_misread_gets_a_plain_page(returns, tmp_path, change, reason):
    account = change(returns)
    page = tearsheet(account, tmp_path / "sheet.html", benchmark=returns).path.read_text(encoding="utf-8")
    assert PLAIN in page
    assert reason in page
    ratio = sharpe_ratio(account)
    assert cells(page, "Sharpe ratio")[0] == ("n/a" if np.isnan(ratio) else f"{ratio:.2f}".replace("-", "−"))
    assert cells(page, "Maximum drawdown")[0] == f"{100 * drawdown(account):.2f} %"


@pytest.mark.parametrize(("frequency", "periods"), [("W-FRI", 52), ("ME", 12)])
def test_weeks_and_months_are_annualised_as_such_and_the_page_says_so(returns, tmp_path, frequency, periods):
    longer = (1 + returns).resample(frequency).prod() - 1
    page = tearsheet(longer, tmp_path / "sheet.html").path.read_text(encoding="utf-8")
    ratio = np.sqrt(periods) * longer.mean() / longer.std(ddof=1)
    assert cells(page, "Sharpe" if PLAIN not in page else "Sharpe ratio")[0].replace("−", "-") == f"{ratio:.2f}"
    assert f"Annualised by: {periods} " in page or f"<td>{periods} " in page
    with pytest.raises(DataError, match="expected a benchmark return for each"):
        tearsheet(returns, tmp_path / "sheet.html", benchmark=longer)


def test_bars_within_a_day_are_measured_bar_by_bar_and_drawn_by_day(tmp_path):
    days = pd.bdate_range("2018-01-01", periods=60)
    index = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in range(10, 17)])
    hourly = pd.Series(np.random.default_rng(3).normal(2e-4, 4e-3, len(index)), index=index)
    page = tearsheet(hourly, tmp_path / "sheet.html").path.read_text(encoding="utf-8")
    assert PLAIN not in page
    assert cells(page, "Sharpe")[0] == f"{np.sqrt(7 * 252) * hourly.mean() / hourly.std(ddof=1):.2f}"
    value = np.concatenate([[1.0], np.cumprod(1 + hourly)])
    deepest = (1 - value / np.maximum.accumulate(value)).max()
    assert cells(page, "Max Drawdown")[0] == f"{-deepest:.2%}"
    assert "1,764 bars a year: 7 a day on 252 trading days" in page


def test_a_benchmark_that_never_moves_is_left_out_and_the_page_says_so(returns, tmp_path):
    page = tearsheet(returns, tmp_path / "sheet.html", benchmark=0 * returns).path.read_text(encoding="utf-8")
    assert PLAIN not in page
    assert "Benchmark left out: the returns never vary" in page
    assert cells(page, "Sharpe") == [f"{sharpe_ratio(returns):.2f}"]


def test_a_failure_within_quantstats_gives_a_plain_page_and_a_warning(returns, tmp_path, monkeypatch):
    import quantstats

    def fail(*args, **kwargs):
        plt.figure()
        raise ZeroDivisionError("no bars <here>")

    monkeypatch.setattr(quantstats.reports, "html", fail)
    opened = plt.get_fignums()
    with pytest.warns(DataWarning, match="could not draw this account"):
        page = tearsheet(returns, tmp_path / "sheet.html").path.read_text(encoding="utf-8")
    assert "ZeroDivisionError: no bars &lt;here&gt;" in page
    assert plt.get_fignums() == opened


def test_the_callers_matplotlib_is_left_as_it_was(returns, tmp_path, caplog):
    caller = plt.figure()
    try:
        with matplotlib.rc_context({"lines.linewidth": 7.5, "font.family": ["serif"]}):
            before, backend, opened = dict(matplotlib.rcParams), matplotlib.get_backend(), plt.get_fignums()
            with caplog.at_level(logging.DEBUG):
                tearsheet(returns, tmp_path / "sheet.html")
            assert dict(matplotlib.rcParams) == before
            assert matplotlib.get_backend() == backend
            assert plt.get_fignums() == opened == [caller.number]
        assert [record for record in caplog.records if record.getMessage().startswith("findfont")] == []
    finally:
        plt.close(caller)


def test_another_backend_is_restored_even_one_that_cannot_start_here(asked, returns, tmp_path):
    before = matplotlib.get_backend()
    try:
        for backend in ("svg", "tkagg"):
            matplotlib.rcParams["backend"] = backend
            tearsheet(returns, tmp_path / "sheet.html")
            assert asked[-1][-1].lower() == "agg"
            assert matplotlib.get_backend().lower() == backend
    finally:
        plt.switch_backend(before)


def test_no_ticker_prices_or_broken_series_reach_quantstats(returns, tmp_path):
    out = tmp_path / "sheet.html"
    with pytest.raises(DataError, match="a ticker would be downloaded"):
        tearsheet(returns, out, benchmark="SPY")
    with pytest.raises(DataError, match=r"there is no folder SPY.*nothing is ever downloaded"):
        tearsheet("SPY", out)
    with pytest.raises(DataError, match="pandas Series of returns, got ndarray"):
        tearsheet(returns.to_numpy(), out)
    with pytest.raises(DataError, match="pct_change"):
        tearsheet(100_000 * (1 + returns).cumprod(), out)
    with pytest.raises(DataError, match="percent divide by 100"):
        tearsheet(100 * returns, out)
    with pytest.raises(DataError, match="got nan on 2018-01-09"):
        tearsheet(returns.where(returns.index != returns.index[5]), out)
    with pytest.raises(DataError, match="increasing dates"):
        tearsheet(returns[::-1], out)
    with pytest.raises(DataError, match="increasing dates"):
        tearsheet(pd.concat([returns[:50], returns[49:]]), out)
    with pytest.raises(DataError, match="DatetimeIndex, got RangeIndex"):
        tearsheet(returns.reset_index(drop=True), out)
    with pytest.raises(DataError, match="at least one bar"):
        tearsheet(returns[:0], out)
    with pytest.raises(DataError, match="as numbers"):
        tearsheet(returns.astype(str) + "x", out)
    assert not out.exists()


@pytest.mark.slow
def test_importing_the_tearsheet_does_not_load_quantstats():
    code = "import sys, llmguide.report.tearsheet; sys.exit('quantstats' in sys.modules or 'seaborn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
