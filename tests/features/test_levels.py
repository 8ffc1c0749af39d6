"""Relative levels: what is told says as much about the trade, and nothing of the scale on which it was quoted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmguide.errors import DataError, GuidanceError
from llmguide.features.bar_lines import bar_lines, closes_fit
from llmguide.features.facts import facts_at
from llmguide.features.levels import LEVELS, check_levels
from llmguide.sources.tables import Tables

PRICES = ["open", "high", "low", "close"]


def frame(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[*PRICES, "volume"], index=pd.bdate_range("2018-01-02", periods=len(rows)))


THREE = frame((49.0, 51.0, 48.0, 50.0, 100.0), (50.0, 52.5, 50.0, 52.0, 300.0), (52.0, 52.0, 44.0, 44.25, 200.0))


def told(facts):
    return facts.lines("*"), facts.bars, facts.close_only


def test_bars_are_rebased_to_the_first_close_and_volumes_to_their_mean():
    assert [tuple(bar) for bar in bar_lines(THREE, "relative")] == [
        (3, "98.00", "102.00", "96.00", "100.00", "0.50", "6.25 %"),
        (2, "100.00", "105.00", "100.00", "104.00", "1.50", "5.00 %"),
        (1, "104.00", "104.00", "88.00", "88.50", "1.00", "18.18 %"),
    ]


def test_absolute_bars_are_those_of_the_file():
    assert tuple(bar_lines(THREE, "absolute")[-1]) == (1, "52.00", "52.00", "44.00", "44.25", "200", "18.18 %")


def test_bars_with_one_close_outside_its_range_are_all_told_by_close_and_range():
    adjusted = THREE.copy()
    adjusted.iloc[1, 3] = 45.0
    assert [closes_fit(THREE), closes_fit(adjusted)] == [True, False]
    assert [bar[1:5] for bar in bar_lines(adjusted, "relative")] == [
        ("-", "-", "-", "100.00"),
        ("-", "-", "-", "90.00"),
        ("-", "-", "-", "88.50"),
    ]
    assert [bar.range for bar in bar_lines(adjusted, "relative")] == [bar.range for bar in bar_lines(THREE, "relative")]
    assert [bar[1:5] for bar in bar_lines(adjusted, "absolute")][1] == ("50.00", "52.50", "50.00", "45.00")


def test_a_close_that_was_rounded_otherwise_than_its_high_still_fits():
    assert closes_fit(frame((1.0, 1.1, 0.9, 1.1 + 1e-12, 1.0)))
    assert not closes_fit(frame((1.0, 1.1, 0.9, 1.1001, 1.0)))


def test_whether_closes_fit_is_asked_of_the_bars_shown_only(bars):
    adjusted = bars.copy()
    adjusted.iloc[100, 3] *= 0.5
    assert [facts_at(adjusted[:t]).close_only for t in (100, 101, 120, 121)] == [False, True, True, False]
    assert not facts_at(adjusted[:101], levels="absolute").close_only


def test_what_cannot_be_compared_is_not_told():
    silent = THREE.assign(volume=0.0, low=[48.0, 50.0, 0.0])
    assert [bar.volume for bar in bar_lines(silent, "relative")] == ["-", "-", "-"]
    assert bar_lines(silent, "relative")[-1].range == "-"


def test_a_close_below_zero_is_refused_unless_levels_are_absolute():
    oil = THREE.assign(close=[50.0, -37.63, 44.0])
    with pytest.raises(DataError, match=r"closes above 0, got -37\.63: .* --levels absolute"):
        facts_at(oil)
    assert [bar.close for bar in facts_at(oil, levels="absolute").bars] == ["50.00", "-37.63", "44.00"]


def test_the_close_and_the_volume_are_those_of_the_table_of_bars(bars):
    facts = facts_at(bars)
    assert facts["stock.close"].text == facts.bars[-1].close
    assert facts["stock.volume"].text == facts.bars[-1].volume


def test_an_index_is_told_by_its_place_among_the_closes_of_its_past_year(bars):
    level = np.arange(300.0) + 1000.0
    level[-1] = level[-101]  # as high as it was 100 days ago: 100 of the 251 others are above, one is equal

    def spx(values):
        market = pd.DataFrame({"date": bars.index[: len(values)], "SPX": values})
        return facts_at(bars[: len(values)], Tables(market=market))

    known = spx(level)["market.spx"]
    assert known.value == pytest.approx((251 - 99 - 1) / 251)
    assert known.text == "60 %"
    assert "market.spx" not in spx(level[-251:])
    level[:48] = 1e6  # more than 252 days ago
    assert spx(level)["market.spx"] == known


def test_an_index_s_place_changes_with_no_day_that_is_not_public(bars, raw_tables):
    later = raw_tables["market"].copy()
    later.loc[later.index >= 300, ["SPX", "NDX", "VIX"]] *= 7.0
    before, after = (facts_at(bars[:300], Tables(market=table)) for table in (raw_tables["market"], later))
    assert "market.spx" in before
    assert told(before) == told(after)


powers = st.integers(-12, 12).map(lambda exponent: 2.0**exponent)  # exact, so that nothing is rounded otherwise


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(price=powers, volume=powers, index=powers, dollars=powers, t=st.sampled_from([25, 120, 320]))
def test_no_scale_changes_a_byte_of_what_is_told(bars, raw_tables, price, volume, index, dollars, t):
    scaled = bars.assign(**{name: price * bars[name] for name in PRICES}, volume=volume * bars["volume"])
    tables = raw_tables | {
        "market": raw_tables["market"].assign(
            **{name: index * raw_tables["market"][name] for name in ("SPX", "NDX", "VIX")}
        ),
        "fundamentals": raw_tables["fundamentals"].assign(
            **{
                name: dollars * raw_tables["fundamentals"][name]
                for name in ("eps", "revenue", "net_income", "free_cash_flow")
            }
        ),
    }
    before, after = facts_at(bars[:t], Tables(**raw_tables)), facts_at(scaled[:t], Tables(**tables))
    assert told(before) == told(after)
    if (price, index) != (1.0, 1.0):
        absolute = [
            facts_at(one[:t], Tables(**some), levels="absolute") for one, some in ((bars, raw_tables), (scaled, tables))
        ]
        assert told(absolute[0]) != told(absolute[1])


def test_scales_that_are_no_powers_of_two_change_nothing_either(bars, tables):
    for scale in (0.01, 3.7, 117.3):
        scaled = bars.assign(**{name: scale * bars[name] for name in PRICES})
        assert told(facts_at(scaled[:320], tables)) == told(facts_at(bars[:320], tables))


def test_an_unknown_kind_of_levels_is_refused():
    assert [check_levels(levels) for levels in LEVELS] == ["relative", "absolute"]
    with pytest.raises(GuidanceError, match="levels relative or absolute, got 'absolut'; did you mean 'absolute'"):
        check_levels("absolut")
    with pytest.raises(GuidanceError, match="got 'percent'"):
        facts_at(THREE, levels="percent")
