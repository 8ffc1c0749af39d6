"""Facts are what was known at a close: from the bars given, and from what had been published by then."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from llmguide.errors import DataError
from llmguide.features.fact import as_amount, as_number, as_percent, as_price
from llmguide.features.facts import facts_at
from llmguide.features.legend import legend, meanings
from llmguide.features.levels import LEVELS
from llmguide.features.stock import beta_of, classify
from llmguide.sources.kinds import FUNDAMENTALS
from llmguide.sources.tables import Tables

TIMES = (40, 200, 333, 500)
each_levels = pytest.mark.parametrize("levels", LEVELS)


def named(facts):
    return {name: (fact.value, fact.text) for name, fact in facts.items()}


def names_of_everything(levels):
    averages = [*(f"sma_{n}" for n in (20, 50, 100, 200)), "vwap_20"]
    indicators = [*averages, "rsi_14", "macd", "macd_signal", "macd_strength", "atr_14"]
    weeks = ("spx", "ndx", "vix") if levels == "relative" else ("spx",)
    return {
        *("stock.close", "stock.volume", "stock.historical_volatility", "stock.implied_volatility"),
        *(f"stock.return_{week}w" for week in range(1, 5)),
        *("stock.beta", "stock.classification"),
        *(f"technical.{name}{end}" for name in indicators for end in ("", "_slope")),
        *(f"technical.{name}_zscore" for name in (*averages, "rsi_14", "macd", "macd_strength")),
        *(f"market.{name}_return_1w" for name in weeks),
        *(f"market.{name}{end}" for name in ("spx", "ndx", "vix") for end in ("", "_mean_20", "_slope")),
        *(f"fundamentals.{name}_{span}" for name in FUNDAMENTALS for span in ("qoq", "yoy")),
        *(f"macro.{name}" for name in ("gdp_qoq", "pmi", "cci_qoq", "m2_qoq", "ppi_yoy", "dgs10_yoy", "t10y2y")),
        *(f"options.{name}_skew{end}" for name in ("otm", "atm", "itm") for end in ("", "_mean_20")),
    }


@each_levels
def test_a_complete_month_has_every_fact_that_a_prompt_may_ask_for(bars, tables, levels):
    facts = facts_at(bars, tables, levels=levels)
    assert set(facts) == names_of_everything(levels)
    assert facts.known_at == bars.index[-1] + pd.Timedelta(hours=16)


def test_what_a_user_does_not_have_is_absent(bars):
    facts = facts_at(bars)
    assert {fact.group for fact in facts.values()} == {"stock", "technical"}
    assert "stock.beta" not in facts
    assert list(facts_at(bars[:1], levels="absolute")) == ["stock.close", "stock.volume"]
    assert list(facts_at(bars[:1])) == ["stock.close"]  # one volume is neither high nor low
    assert not any(isinstance(fact.value, float) and np.isnan(fact.value) for fact in facts_at(bars[:40]).values())


@each_levels
@pytest.mark.parametrize("t", TIMES)
def test_bars_to_come_change_no_fact(bars, tables, t, levels):
    changed = bars.copy()
    changed.iloc[t:] *= 3.0
    before, after = (facts_at(some[:t], tables, levels=levels) for some in (bars, changed))
    assert (named(after), after.bars, after.close_only) == (named(before), before.bars, before.close_only)
    changed.iloc[t - 1] *= 1.01
    after = facts_at(changed[:t], tables, levels=levels)
    assert named(after) != named(before)
    assert after.bars != before.bars


@each_levels
@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("kind", ["market", "macro", "fundamentals", "options", "news"])
def test_rows_published_later_change_no_fact_whatever_they_say_and_whenever_they_come(
    bars, raw_tables, tables, t, kind, levels
):
    known = bars[:t]
    before = facts_at(known, tables, levels=levels)
    frame = getattr(tables, kind)
    later = frame["published_at"] > before.known_at
    assert later.any()
    numbers = list(frame.select_dtypes("number"))
    scrambled = frame.copy()
    scrambled.loc[later, numbers] = scrambled.loc[later, numbers].to_numpy() * 0.5 + 0.1
    delayed = frame.assign(published_at=frame["published_at"] + pd.Timedelta(days=400) * later.astype(int))
    for other in (scrambled, frame[~later], delayed):
        assert named(facts_at(known, Tables(**{**raw_tables, kind: other}), levels=levels)) == named(before)


@pytest.mark.parametrize("kind", ["market", "macro", "fundamentals", "options"])
def test_a_row_that_is_delayed_beyond_the_close_is_not_known_at_it(bars, raw_tables, tables, kind):
    known = bars[:333]
    before = facts_at(known, tables)
    frame = getattr(tables, kind)
    public = frame["published_at"] <= before.known_at
    late = frame.assign(published_at=frame["published_at"].mask(public, before.known_at + pd.Timedelta(seconds=1)))
    unique = [name for name in ("series", "date", "period_end") if name in late]
    after = facts_at(known, Tables(**{**raw_tables, kind: late.drop_duplicates(["published_at", *unique])}))
    gone = set(before) - set(after)
    own = {"market": "market", "macro": "macro", "fundamentals": "fundamentals", "options": "options"}[kind]
    assert {name for name in before if name.startswith(f"{own}.")} <= gone


def test_facts_do_not_depend_on_the_order_of_a_tables_rows(bars, raw_tables, tables):
    mixed = Tables(**{kind: frame.sample(frac=1.0, random_state=1) for kind, frame in raw_tables.items()})
    assert named(facts_at(bars, mixed)) == named(facts_at(bars, tables))
    assert mixed.hash == tables.hash


def test_market_facts_are_worked_from_the_days_public_by_then(bars, raw_tables, tables):
    facts = facts_at(bars[:200], tables, levels="absolute")
    close = raw_tables["market"]["VIX"].to_numpy()[:200]
    assert facts["market.vix"].value == close[-1]
    assert facts["market.vix_mean_20"].value == pytest.approx(close[-20:].mean())
    relative = facts_at(bars[:200], tables)
    assert relative["market.vix_mean_20"].value == pytest.approx(close[-1] / close[-20:].mean() - 1)
    assert relative["market.vix_return_1w"].value == pytest.approx(close[-1] / close[-6] - 1)
    assert relative["market.vix_slope"] == facts["market.vix_slope"]
    fitted = np.polyfit(np.arange(20), close[-20:], 1)[0]
    assert facts["market.vix_slope"].value == pytest.approx(fitted / close[-1], rel=1e-8)
    spx = raw_tables["market"]["SPX"].to_numpy()[:200]
    assert facts["market.spx_return_1w"].value == pytest.approx(spx[-1] / spx[-6] - 1)


def test_beta_is_the_slope_of_returns_on_the_days_that_both_have(bars, raw_tables):
    index = raw_tables["market"].drop(index=[150, 151, 199]).set_index("date")["SPX"]
    both = pd.concat([bars["close"], index], axis=1, join="inner")[:300]
    returns = both.pct_change().dropna()[-252:]
    expected = returns.cov().iloc[0, 1] / returns["SPX"].var()
    market = Tables(market=index.reset_index()).until(both.index[-1] + pd.Timedelta(hours=16)).market
    assert beta_of(bars[: bars.index.get_loc(both.index[-1]) + 1], market) == pytest.approx(expected)


def test_beta_is_that_of_a_share_that_doubles_every_move_and_needs_sixty_returns(bars):
    returns = bars["close"].pct_change().fillna(0.0)
    double = bars.assign(close=100.0 * (1.0 + 2.0 * returns).cumprod())
    market = Tables(market=pd.DataFrame({"date": bars.index, "SPX": bars["close"].to_numpy()})).market
    assert beta_of(double, market) == pytest.approx(2.0)
    assert beta_of(double[:61], market) == pytest.approx(2.0)
    assert beta_of(double[:60], market) is None
    assert beta_of(double, None) is None


def test_the_beta_of_intraday_bars_is_that_of_their_last_closes(bars):
    market = Tables(market=pd.DataFrame({"date": bars.index, "SPX": bars["close"].to_numpy()})).market
    noons = bars.assign(close=1.0).set_axis(bars.index + pd.Timedelta(hours=12))
    evenings = bars.set_axis(bars.index + pd.Timedelta(hours=16))
    assert beta_of(pd.concat([noons, evenings]).sort_index(), market) == pytest.approx(1.0)


def test_every_beta_has_a_name():
    names = [classify(beta) for beta in (-0.5, 0.0, 0.79, 0.8, 1.2, 1.21)]
    assert [name.partition(" ")[0] for name in names] == ["negative", "low", "low", "average", "average", "high"]


def test_a_market_that_ended_long_ago_is_not_todays(bars, raw_tables):
    old = raw_tables["market"].iloc[:190]
    facts = facts_at(bars[:194], Tables(market=old))
    assert "market.spx_mean_20" in facts
    assert not [name for name in facts_at(bars[:230], Tables(market=old)) if name.startswith("market.")]


def test_a_beta_is_not_that_of_an_index_that_ended_long_ago(bars, raw_tables):
    old = raw_tables["market"].iloc[:190]
    index = Tables(market=old).market
    assert beta_of(bars[:190], index) == beta_of(bars[:194], index)
    assert "stock.classification" in facts_at(bars[:194], Tables(market=old))
    facts = facts_at(bars[:230], Tables(market=old))
    assert "stock.beta" not in facts
    assert "stock.classification" not in facts


def test_a_beta_is_that_of_the_last_years_and_not_of_those_before_a_gap(bars):
    returns = bars["close"].pct_change().fillna(0.0)
    double = bars.assign(close=100.0 * (1.0 + 2.0 * returns).cumprod())
    days = bars.index.where(np.arange(len(bars)) < 300, bars.index + pd.Timedelta(days=3000))
    market = Tables(market=pd.DataFrame({"date": days, "SPX": bars["close"].to_numpy()})).market
    later = double.set_axis(pd.DatetimeIndex(days))
    assert beta_of(later[:360], market) is None  # of the time after the gap, 59 returns
    assert beta_of(later[:361], market) == pytest.approx(2.0)


@pytest.mark.parametrize("kind", ["market", "options"])
def test_what_is_of_so_many_days_is_not_of_weeks_or_of_years(bars, raw_tables, kind):
    daily = raw_tables[kind]
    facts = facts_at(bars[:300], Tables(**{kind: daily}), levels="absolute")
    several = [name for name in facts if name.endswith(("_mean_20", "spx_slope", "spx_return_1w"))]
    assert len(several) >= 3
    for sparse in (daily.iloc[299::-5], daily.drop(range(200, 297))):
        thin = facts_at(bars[:300], Tables(**{kind: sparse}), levels="absolute")
        assert not set(several) & set(thin)
        assert {"market.spx", "options.otm_skew"} & set(thin)
    holed = facts_at(bars[:300], Tables(**{kind: daily.drop(range(282, 290))}), levels="absolute")
    assert set(several) <= set(holed)


def test_lines_are_chosen_by_name_and_pattern(bars, tables):
    facts = facts_at(bars, tables)
    two = facts.lines("technical.rsi_14", "stock.close", "stock.unknown").splitlines()
    assert [line.partition(":")[0] for line in two] == ["stock.close", "technical.rsi_14"]
    assert two[1] == f"technical.rsi_14: {facts['technical.rsi_14'].text}"
    assert len(facts.lines("technical.*_slope").splitlines()) == 10
    assert len(facts.lines("*").splitlines()) == len(facts)
    assert facts.lines() == facts.lines("fundamental") == facts.lines("technical.rsi.14") == ""


@each_levels
def test_the_legend_tells_the_meaning_of_every_fact_and_of_nothing_else(levels):
    told = [name for meaning in meanings(levels) for name in meaning.names]
    assert set(told) == names_of_everything(levels)
    assert len(told) == len(set(told))
    for meaning in meanings(levels):
        patterns = [".*".join(map(re.escape, shown.split("*"))) for shown in meaning.shown.split(", ")]
        assert all(re.fullmatch("|".join(patterns), name) for name in meaning.names), meaning


def test_the_legend_is_chosen_by_name_and_pattern_and_follows_the_levels():
    assert legend("technical.sma_50") == legend("technical.sma_20", "technical.sma_200")
    assert legend("technical.rsi_14") == "technical.rsi_14: relative strength index of 14 days, 0 to 100"
    assert legend() == legend("technical.sma") == ""
    assert len(legend("*").splitlines()) == len(meanings())
    assert legend("stock.close") == "stock.close: last close, where the first one shown is 100"
    assert legend("stock.close", levels="absolute") == "stock.close: last close"


@each_levels
def test_no_line_and_no_bar_tells_a_date(bars, tables, levels):
    facts = facts_at(bars, tables, levels=levels)
    text = facts.lines("*") + "\n".join(str(bar) for bar in facts.bars)
    years = {str(year) for year in range(bars.index[0].year, bars.index[-1].year + 1)}
    assert not re.search(r"\b(" + "|".join(years) + r")\b(?!\.)", text)
    assert not re.search(r"\d{4}-\d{2}|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Oct|Nov|Dec", text)


def test_the_last_bars_come_oldest_first_and_count_down_to_the_last_close(bars):
    facts = facts_at(bars[:333], levels="absolute")
    pd.testing.assert_frame_equal(facts.recent, bars[313:333])
    assert [bar.ago for bar in facts.bars] == list(range(20, 0, -1))
    assert facts.bars[-1].close == as_price(bars["close"].iloc[332])
    assert [bar.ago for bar in facts_at(bars[:3]).bars] == [3, 2, 1]


def test_numbers_read_well():
    assert [as_price(value) for value in (187.254, 9.99949, 0.083151, 0.0, -0.000001)] == [
        *("187.25", "9.999", "0.08315", "0.00", "-0.00000100")
    ]
    assert [as_percent(value) for value in (0.0123, -0.0001, 0.0)] == ["+1.2 %", "0.0 %", "0.0 %"]
    assert [as_number(value) for value in (1.846, -0.001)] == ["+1.85", "0.00"]
    assert [as_amount(value) for value in (12.34e6, 999_600.0, 950.0, 2.5e12)] == [
        *("12.3 million", "1 million", "950", "2.5 trillion")
    ]


def test_bars_that_cannot_be_dated_are_refused(bars):
    with pytest.raises(DataError, match="at least one bar"):
        facts_at(bars[:0])
    with pytest.raises(DataError, match="naive date"):
        facts_at(bars.tz_localize("UTC"))
    with pytest.raises(DataError, match="increasing dates"):
        facts_at(bars[::-1])
