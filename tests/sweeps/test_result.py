"""What a sweep returns: the frame, the best of it, and any setting in full."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from llmguide import metrics
from llmguide.errors import LlmguideError
from llmguide.sweeps import measure, sweep
from llmguide.sweeps.kernels import MEASURES

SHORT, LONG = [1, 2, 4], [8, 16]


@pytest.fixture(scope="module")
def swept(make_bars):
    return sweep(make_bars(160, seed=2), "trend", short=SHORT, long=LONG, cost=[0.0, 0.002])


def test_the_frame_has_a_row_for_each_combination_and_a_level_for_each_parameter(swept):
    assert swept.frame.index.names == ["short", "long", "cost", "delay", "stop_loss"]
    assert tuple(swept.frame.columns) == MEASURES
    expected = pd.MultiIndex.from_product([SHORT, LONG, [0.0, 0.002], [0], [math.inf]])
    assert list(swept.frame.index) == list(expected)
    assert swept.frame.index.is_unique
    assert len(swept) == 12
    assert repr(swept).startswith("Sweep: Best of 12 combinations of the rule trend: short ")
    assert swept.frame.loc[(2, 8, 0.002)].shape == (1, 8)


def test_where_keeps_the_combinations_that_it_marks(make_bars):
    bars = make_bars(80)
    swept = sweep(bars, "trend", short=range(1, 9), long=range(2, 20), where=lambda p: p["long"] >= 2 * p["short"])
    pairs = {(short, long) for short, long, *_ in swept.frame.index}
    assert pairs == {(s, g) for s in range(1, 9) for g in range(2, 20) if s < g and g >= 2 * s}
    whole = sweep(bars, "trend", short=range(1, 9), long=range(2, 20))
    pd.testing.assert_frame_equal(swept.frame, whole.frame.loc[swept.frame.index])
    assert swept.decisions({"short": 3, "long": 7}).equals(whole.decisions({"short": 3, "long": 7}))


def test_the_best_is_the_highest_or_the_lowest_where_less_is_better(swept):
    frame = swept.frame
    for by in ("sharpe", "sortino", "total_return", "trades"):
        assert swept.best(by)[by] == frame[by].max()
    for by in ("max_drawdown", "turnover"):
        assert swept.best(by)[by] == frame[by].min()
    many = int(frame["trades"].median()) + 1
    busy = frame[frame["trades"] >= many]
    assert 0 < len(busy) < len(frame)
    assert swept.best(min_trades=many).name == busy["sharpe"].idxmax()


def test_combinations_without_a_measure_never_win(make_bars):
    given = np.full((60, 3), -1)
    given[:, 1] = np.random.default_rng(0).integers(0, 2, 60)
    swept = sweep(make_bars(60), given)
    assert swept.frame["sharpe"].isna().tolist() == [True, False, True]
    assert swept.best().name[0] == 1
    with pytest.raises(LlmguideError, match="no combination has 999 trades or more, the most are 13; lower min_trades"):
        swept.best(min_trades=999)


def test_standing_aside_is_best_only_where_it_is_asked_for(make_bars):
    given = np.full((60, 3), -1)
    given[:, 1:] = np.random.default_rng(0).integers(0, 2, (60, 2))
    swept = sweep(make_bars(60), given)
    for by in ("max_drawdown", "turnover"):
        assert swept.frame[by].idxmin()[0] == 0
        assert swept.best(by)[by] == swept.frame[by].iloc[1:].min()
        assert swept.best(by, min_trades=0).name[0] == 0
        assert [row.name[0] for row in swept.ranked(by)] == list(
            swept.frame[by].iloc[1:].sort_values().index.map(lambda x: x[0])
        )


def test_a_sweep_in_which_nothing_trades_says_so(make_bars):
    swept = sweep(make_bars(60), np.full((60, 2), -1), cost=[0.0, 0.001])
    for by in ("sharpe", "max_drawdown"):
        with pytest.raises(LlmguideError, match="no combination of this sweep ever trades"):
            swept.best(by)
    with pytest.raises(LlmguideError, match="no combination of this sweep ever trades"):
        swept.heatmap("column", "delay")


@pytest.mark.slow  # imports vectorbt
def test_what_a_volume_does_not_have_is_shown_as_the_worst(swept, monkeypatch):
    import vectorbt  # noqa: F401  # gives series their .vbt

    fills = {}
    accessor = type(swept.frame["sharpe"].vbt)
    monkeypatch.setattr(accessor, "volume", lambda self, fillna, **_: fills.update({self.obj.name: fillna}))
    for by in ("sharpe", "max_drawdown", "turnover"):
        swept.volume("short", "long", "cost", by)
    assert fills["sharpe"] == swept.frame["sharpe"].min()
    assert fills["max_drawdown"] == swept.frame["max_drawdown"].max()
    assert fills["turnover"] == swept.frame["turnover"].max()


def test_a_setting_can_be_named_by_label_row_or_parameters(swept):
    best = swept.best()
    by_label, by_row, by_none = swept.account(best.name), swept.account(best), swept.account()
    short, long, cost, *_ = best.name
    by_name = swept.account({"short": short, "long": long, "cost": cost * (1 + 1e-15)})
    for other in (by_row, by_none, by_name):
        pd.testing.assert_frame_equal(by_label, other)
    assert swept.parameters(best) == dict(zip(swept.frame.index.names, best.name, strict=True))
    assert metrics.sharpe_ratio(by_label["returns"]) == pytest.approx(best["sharpe"], abs=1e-12)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: s.best("sharp"), "unknown measure 'sharp'.*did you mean 'sharpe'"),
        (lambda s: s.account({"short": 1}), "4 combinations have .*; say long, cost as well"),
        (lambda s: s.account({"shrot": 1}), "no parameter 'shrot'.*did you mean 'short'"),
        (lambda s: s.account({"short": 3, "long": 8, "cost": 0.0}), "no combination has"),
        (lambda s: s.account((1, 8)), "a setting has 5 values, short, long, cost, delay, stop_loss"),
        (lambda s: s.account(3), "expected a row of the frame or a mapping"),
        (lambda s: s.heatmap("short", "lnog"), "did you mean 'long'"),
        (lambda s: s.heatmap("short", "short"), "the axes are different parameters"),
    ],
)
def test_what_cannot_be_found_is_named(swept, ask, message):
    with pytest.raises(LlmguideError, match=message):
        ask(swept)


def test_several_instruments_and_tables_of_guidance_are_outer_levels(make_bars, make_guidance):
    bars = {"A": make_bars(100, 1), "B": make_bars(120, 2)}
    tables = {s: {"one": make_guidance(b, seed=1), "two": make_guidance(b, seed=2)} for s, b in bars.items()}
    swept = sweep(bars, "guidance", guidance=tables, hold=[1, 2, 4])
    assert swept.frame.index.names[:3] == ["symbol", "guidance", "threshold"]
    assert len(swept) == 12
    alone = sweep(bars["B"], "guidance", guidance=tables["B"], hold=[1, 2, 4])
    assert alone.frame.index.names[:2] == ["guidance", "threshold"]
    np.testing.assert_array_equal(swept.frame.loc["B"], alone.frame)
    pd.testing.assert_frame_equal(
        swept.account({"symbol": "B", "guidance": "two", "hold": 2}), alone.account({"guidance": "two", "hold": 2})
    )


def test_guidance_is_matched_to_its_instrument(make_bars, make_guidance):
    bars = {"A": make_bars(100, 1), "B": make_bars(100, 2)}
    table = make_guidance(bars["A"])
    with pytest.raises(LlmguideError, match="a table of guidance is for one instrument"):
        sweep(bars, "guidance", guidance=table)
    with pytest.raises(LlmguideError, match="there is no guidance for B, only for A"):
        sweep(bars, "guidance", guidance={"A": table})
    with pytest.raises(LlmguideError, match=r"for each symbol a llmguide\.Guidance, or several by name, got str"):
        sweep(bars, "guidance", guidance={"A": "a.csv", "B": "b.csv"})
    with pytest.raises(LlmguideError, match="or one table for each; got both"):
        sweep(bars, "guidance", guidance={"A": table, "B": {"one": table}})


@pytest.mark.parametrize("stop_loss", [math.inf, 0.03])
@pytest.mark.parametrize("rule", ["trend", "reversion"])
def test_backtrader_gives_the_same_curve(make_bars, rule, stop_loss):
    for seed in range(3):
        swept = sweep(make_bars(150, seed), rule, short=[1, 3], long=[5, 12], delay=[0, 1], stop_loss=stop_loss)
        for label in swept.frame.index[::3]:
            (ran,) = swept.to_cerebro(label).run()
            account, expected = ran.analyzers.sharpedrawdown.account, swept.account(label)
            np.testing.assert_allclose(account["value"], expected["value"], rtol=1e-6)
            np.testing.assert_array_equal(account["shares"], expected["shares"])
            assert [decided.decision for decided in ran.decision_log] == swept.decisions(label).tolist()
    assert (swept.decisions(label) == -1).any() == (stop_loss < 1 or label[3] > 0)


@pytest.mark.real_bars
def test_backtrader_gives_the_same_curve_on_real_bars(real_bars):
    swept = sweep(real_bars("AAPL", "test"), "trend", stop_loss=[0.04, math.inf])
    for label in (swept.best().name, swept.frame.index[7]):
        (ran,) = swept.to_cerebro(label).run()
        np.testing.assert_allclose(
            ran.analyzers.sharpedrawdown.account["value"], swept.account(label)["value"], rtol=1e-6
        )
        assert ran.analyzers.sharpedrawdown.get_analysis()["sharpe"] == pytest.approx(
            swept.frame.loc[label]["sharpe"], abs=1e-9
        )


@pytest.mark.slow  # quantstats
def test_the_tearsheet_shows_the_measures_and_parameters_of_the_setting(swept, tmp_path):
    path = swept.tearsheet({"short": 2, "long": 8, "cost": 0.002}, tmp_path / "sheet.html", title="A <setting>")
    page = path.path.read_text(encoding="utf-8")
    row = swept.frame.loc[(2, 8, 0.002)].iloc[0]
    assert f"{row['sharpe']:.2f}" in page
    assert f"{row['max_drawdown']:.2%}" in page
    assert "A &lt;setting&gt;" in page
    assert "stop_loss" in page


def test_the_progress_bar_counts_every_combination_once(make_bars, monkeypatch):
    counted = []
    monkeypatch.setattr(measure._Bar, "advance", lambda bar, number: counted.append(number))
    swept = sweep(make_bars(100), "trend", progress=True)
    assert sum(counted) == len(swept)


def test_a_progress_bar_is_silent_where_there_is_no_terminal(make_bars, capsys):
    sweep(make_bars(60), "trend", short=1, long=2, progress=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow  # imports vectorbt, which compiles
def test_a_portfolio_is_the_account(swept):
    for label in swept.frame.index[::4]:
        portfolio, row = swept.portfolio(label), swept.frame.loc[label]
        np.testing.assert_allclose(portfolio.value(), swept.account(label)["value"], rtol=1e-12)
        assert portfolio.sharpe_ratio(year_freq="252 days") == pytest.approx(row["sharpe"], abs=1e-9)
        assert -portfolio.max_drawdown() == pytest.approx(row["max_drawdown"], abs=1e-9)
        assert portfolio.total_return() == pytest.approx(row["total_return"], abs=1e-9)


@pytest.mark.slow  # imports vectorbt
def test_a_volume_shows_the_measure_over_three_parameters(swept):
    shown = swept.volume("short", "long", "cost").data[0]
    cells = zip(*(np.ravel(axis) for axis in (shown.x, shown.y, shown.z, shown.value)), strict=True)
    for short, long, cost, value in cells:
        assert value == pytest.approx(swept.frame["sharpe"].loc[(short, long, cost)].item())
