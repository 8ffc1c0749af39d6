"""Calibration walks forward: each row by the months known before it; wrong models are turned, good ones left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_server import OpenAIServer

from llmguide import Guidance, LanguageModel, sample_bars
from llmguide.errors import DataError, GuidanceError
from llmguide.guidance.doubt.calibrate import calibrate, calibrate_each, calibrate_last
from llmguide.guidance.live import COLUMNS, open_live
from llmguide.guidance.revision import decide
from llmguide.guidance.schedule import issue_positions
from llmguide.guidance.strategist import Brief
from llmguide.stats import brier_score, fit_calibrator
from llmguide.stats.calibration import METHODS

EVERY, FIRST = 20, 30


def bars_of(rose, *, start="2000-01-03"):
    """Daily bars whose close rises or falls by a tenth from each month's first bar to the next one's."""
    steps = np.repeat(np.where(np.asarray(rose), 1, -1) * np.log(1.1) / EVERY, EVERY)
    close = 100 * np.exp(np.concatenate([np.zeros(FIRST + 1), np.cumsum(steps)]))
    index = pd.bdate_range(start, periods=len(close), name="date")
    return pd.DataFrame({"open": close, "high": close, "low": close, "close": close, "volume": 1e6}, index=index)


def table_of(bars, p_long, **columns):
    """A table of this model's probabilities, its direction and confidence by the rule; None abstains."""
    days = [bars.index[i] for i in issue_positions(bars)]
    rows = []
    for day, p in zip(days, p_long, strict=False):
        said = (None, None) if p is None else decide(p, direction=1, confidence=3)
        rows.append({"issued_at": day, "direction": said[0], "confidence": said[1], "p_long": p, **columns})
    return Guidance.from_rows(rows)


def column(guidance, name):
    return np.array([getattr(row, name) for row in guidance.rows], dtype=float)


def random_months(seed, n, base=0.5):
    random = np.random.default_rng(seed)
    return random.random(n) < base, random.uniform(0.03, 0.97, n)


def slowly(guidance, bars, others, method, least):
    """The same, row by row, from the bars dated before it alone."""
    found = []
    for row in guidance.rows:
        pairs = []
        for table, all_bars in [(guidance, bars), *others]:
            known = all_bars[all_bars.index < pd.Timestamp(row.issued_at).normalize()]
            for earlier in table.rows:
                after = known[known.index >= pd.Timestamp(earlier.issued_at)]["close"]
                if len(after) > EVERY and earlier.p_long is not None:
                    pairs.append((earlier.p_long, after.iloc[EVERY] > after.iloc[0]))
        if row.p_long is None or len(pairs) < least:
            found.append(np.nan)
            continue
        p, rose = zip(*pairs, strict=True)
        found.append(float(fit_calibrator(p, rose, method=method)(row.p_long)))
    return found


def test_a_probability_becomes_a_direction_and_thirds_of_confidence():
    assert decide(0.66, direction=1, confidence=3) == (1, 1)
    assert decide(0.68, direction=1, confidence=3) == (1, 2)
    assert decide(0.84, direction=1, confidence=3) == (1, 3)
    assert decide(0.99, direction=1, confidence=2) == (1, 2)  # not more than the model's own
    assert decide(0.01, direction=1, confidence=1) == (0, 3)
    assert [decide(0.5, direction=one, confidence=3) for one in (0, 1)] == [(0, 1), (1, 1)]
    assert decide(1.0, direction=0, confidence=1) == (1, 3)


@pytest.mark.parametrize("method", METHODS)
def test_it_is_what_the_bars_known_before_each_row_say(method):
    rose, p = random_months(1, 30)
    said = [None if i % 7 == 3 else float(one) for i, one in enumerate(p)]
    bars = bars_of(rose)
    other = bars_of(random_months(2, 30)[0], start="2000-02-07")
    others = [(table_of(other, random_months(3, 31)[1].tolist()), other)]
    for more in ([], others):
        guidance = table_of(bars, said)
        found = calibrate(guidance, bars, method=method, others=more, least=5)
        np.testing.assert_allclose(column(found, "p_calibrated"), slowly(guidance, bars, more, method, 5), atol=1e-12)


def test_a_month_is_known_the_day_after_its_last_bar():
    bars = bars_of([True, False, True, True])
    guidance = table_of(bars, [0.9, 0.9, 0.8, 0.7, 0.6])
    # The first month ends on the bar of the second issue, at whose midnight its close is not known.
    rows = calibrate(guidance, bars, least=1).rows
    assert [row.p_calibrated is None for row in rows] == [True, True, False, False, False]
    assert rows[:2] == guidance.rows[:2]
    assert rows[2].p_calibrated == pytest.approx(2 / 3)  # one month, and it rose
    # Of another instrument's first month the same holds, to the day.
    for days, is_known in ((1, True), (0, False)):
        other = bars.set_axis(pd.DatetimeIndex(bars.index - timedelta(days=days), name="date"))
        found = calibrate(guidance, bars, others=[(table_of(other, [0.9]), other)], least=1)
        assert (found.rows[1].p_calibrated is not None) == is_known


@settings(max_examples=25)
@given(data=st.data())
def test_no_bar_from_t_on_changes_a_row_issued_up_to_t(data):
    rose, p = random_months(4, 24)
    bars, other = bars_of(rose), bars_of(~rose, start="2000-01-12")
    method = data.draw(st.sampled_from(METHODS))
    t = data.draw(st.integers(0, len(bars) - 1))
    factors = st.floats(0.01, 100)

    def changed(frame):
        later = np.flatnonzero(frame.index >= bars.index[t])
        frame = frame.copy()
        shaken = data.draw(st.lists(factors, min_size=1, max_size=30))
        frame.iloc[later, :4] *= np.resize(shaken, len(later))[:, None]
        return frame

    def found(bars, other):
        guidance, elsewhere = table_of(bars, p.tolist()), table_of(other, p[::-1].tolist())
        return calibrate(guidance, bars, method=method, others=[(elsewhere, other)], least=4).rows

    before, after = found(bars, other), found(changed(bars), changed(other))
    until = [row.issued_at <= bars.index[t] for row in before]
    assert [row for row, early in zip(before, until, strict=True) if early] == [
        row for row, early in zip(after, until, strict=True) if early
    ]


def test_bars_before_a_row_do_change_it():
    rose, p = random_months(4, 24)
    bars, guidance = bars_of(rose), table_of(bars_of(rose), p.tolist())
    other = calibrate(guidance, bars_of(~rose))
    assert other.rows[-1].p_calibrated != calibrate(guidance, bars).rows[-1].p_calibrated


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_is_always_wrong_is_turned_round(method):
    rose, _ = random_months(5, 60)
    p = np.where(rose, 0.1, 0.9) + np.random.default_rng(6).uniform(-0.08, 0.08, 60)
    bars = bars_of(rose)
    guidance = table_of(bars, p.tolist())
    found = calibrate(guidance, bars, method=method)
    assert (column(guidance, "direction") != rose).all()
    assert (column(found, "direction")[13:] == rose[13:]).all()
    assert (column(found, "said_direction")[13:] == column(guidance, "direction")[13:]).all()
    assert found.rows[:13] == guidance.rows[:13]  # twelve months are known from the fourteenth row on
    assert (column(found, "confidence")[30:] == 3).all()
    assert all(row.tau == (1 if row.direction else -1) * row.strength for row in found.rows)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_is_calibrated_stays(method):
    random = np.random.default_rng(7)
    p = random.uniform(0.03, 0.97, 400)
    rose = random.random(400) < p
    bars = bars_of(rose)
    found = column(calibrate(table_of(bars, p.tolist()), bars, method=method), "p_calibrated")
    late = slice(200, 400)
    assert np.abs(found[late] - p[late]).mean() < (0.04 if method == "platt" else 0.08)
    sure = np.abs(p[late] - 0.5) > 0.15
    assert ((found[late] > 0.5) == (p[late] > 0.5))[sure].all()


@pytest.mark.parametrize("method", METHODS)
def test_noise_becomes_the_base_rate(method):
    rose, p = random_months(8, 400, base=0.65)
    bars = bars_of(rose)
    guidance = table_of(bars, p.tolist())
    found = calibrate(guidance, bars, method=method)
    late = slice(200, 400)
    base = rose[:300].mean()
    assert np.abs(column(found, "p_calibrated")[late] - base).mean() < 0.06
    assert brier_score(column(found, "p_calibrated")[late], rose[late]) < brier_score(p[late], rose[late]) - 0.05
    assert column(found, "direction")[late].mean() > 0.9


def test_other_instruments_months_are_known_too():
    rose, p = random_months(9, 30)
    bars = bars_of(rose)
    guidance = table_of(bars, p.tolist())
    others = [(guidance, bars)] * 12
    assert calibrate(guidance, bars, others=others).rows[2].p_calibrated is not None
    assert calibrate(guidance, bars).rows[2] == guidance.rows[2]


@pytest.mark.parametrize("method", METHODS)
def test_tables_calibrated_together_are_each_calibrated_with_the_others(method):
    months = {name: random_months(seed, 30) for seed, name in enumerate("ABC", start=20)}
    starts = {"A": "2000-01-03", "B": "2000-01-03", "C": "2001-03-01"}
    tables = {}
    for name, (rose, p) in months.items():
        bars = bars_of(rose, start=starts[name])
        tables[name] = (table_of(bars, p.tolist()), bars)
    together = calibrate_each(tables, method=method)
    for name, (guidance, bars) in tables.items():
        others = [pair for other, pair in tables.items() if other != name]
        assert together[name] == calibrate(guidance, bars, method=method, others=others)


def test_what_was_said_is_kept_and_the_models_own_words_are_not_overwritten():
    rose, p = random_months(10, 20)
    bars = bars_of(rose)
    plain = table_of(bars, p.tolist(), explanation="The trend is up.", entropy=0.25)
    suppressed = Guidance.from_rows(
        [
            {
                **{name: value for name, value in row._asdict().items() if name not in ("strength", "tau")},
                "direction": 1 - row.direction,
                "said_direction": row.direction,
                "said_confidence": 2,
            }
            for row in plain.rows
        ]
    )
    for table in (plain, suppressed):
        own = [
            (row.direction, row.confidence) if row.said_direction is None else (row.said_direction, row.said_confidence)
            for row in table.rows
        ]
        for row, before, said in zip(calibrate(table, bars).rows, table.rows, own, strict=True):
            if row.p_calibrated is None:
                assert row == before
                continue
            assert (row.said_direction, row.said_confidence) == said
            assert (row.direction, row.confidence) == decide(row.p_calibrated, direction=said[0], confidence=said[1])
            assert row.explanation.startswith("The trend is up. [Calibrated by platt on ")
            assert row.explanation.endswith(f"months: p(LONG) {row.p_long:.2f} becomes {row.p_calibrated:.2f}.]")


def test_where_the_months_say_nothing_the_direction_stays():
    bars = bars_of([True, False] * 8)
    table = table_of(bars, [0.7] * 16, said_direction=1, said_confidence=3)
    turned = Guidance.from_rows(
        [{**row._asdict(), "direction": 0, "strength": None, "tau": None} for row in table.rows]
    )
    row = calibrate(turned, bars, method="isotonic", least=14).rows[15]
    assert row.p_calibrated == 0.5
    assert (row.direction, row.confidence, row.said_direction) == (0, 1, 1)


def test_a_revised_probability_is_the_one_that_is_calibrated():
    rose, p = random_months(11, 30)
    bars = bars_of(rose)
    said = table_of(bars, p.tolist())
    revised = Guidance(tuple(row._replace(p_long=0.9, p_revised=row.p_long) for row in said.rows))
    one, other = (calibrate(table, bars).frame["p_calibrated"] for table in (said, revised))
    assert one.notna().any()
    pd.testing.assert_series_equal(one, other)


def test_rows_without_a_probability_or_a_direction_stay():
    rose, p = random_months(11, 20)
    bars = bars_of(rose)
    rows = table_of(bars, [*p.tolist()[:16], None, 0.5, 0.5, 0.5]).rows
    bare = Guidance((*rows[:17], *(row._replace(p_long=None) for row in rows[17:])))
    assert calibrate(bare, bars).rows[16:] == bare.rows[16:]


def test_months_issued_before_the_bars_begin_or_whose_outcome_is_after_them_are_not_known():
    rose, p = random_months(12, 30)
    bars = bars_of(rose)
    guidance = table_of(bars, p.tolist())
    late = Guidance((*guidance.rows, guidance.rows[-1]._replace(issued_at=(bars.index[-1] + timedelta(9)))))
    for some, months in ((bars, 30), (bars.iloc[:-1], 29), (bars.iloc[60:], 28), (bars.iloc[50:], 29)):
        assert f" on {months} months" in calibrate(late, some).rows[-1].explanation


def test_the_last_row_alone_is_the_same_from_the_bars_known_then():
    rose, p = random_months(13, 30)
    bars = bars_of(rose)
    guidance = table_of(bars, p.tolist())
    whole = calibrate(guidance, bars)
    for count, position in enumerate(issue_positions(bars), start=1):
        if count <= len(guidance):
            known = bars.iloc[:position]
            assert calibrate_last(Guidance(guidance.rows[:count]), known) == whole.rows[count - 1]


def test_bars_within_a_day_are_seen_by_the_day():
    rose, p = random_months(14, 20)
    bars = bars_of(rose)
    early = bars.set_axis(bars.index + pd.Timedelta(hours=10))
    hourly = pd.concat([early * 1.5, bars.set_axis(bars.index + pd.Timedelta(hours=16))]).sort_index()
    guidance = table_of(bars, p.tolist())
    assert calibrate(guidance, hourly) == calibrate(guidance, bars)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_model_calibrates_its_table_and_a_live_run_says_the_same(tmp_path, method):
    bars = sample_bars(years=1, seed=17)
    with OpenAIServer() as server:
        plain = LanguageModel(
            base_url=server.url, api_key="none", cache=tmp_path / "c.sqlite", prompt="P0", brief=Brief(every=6)
        )
        before = plain(bars)
        asked = len(server.requests)
        model = replace(plain, calibrate=method)
        table = model(bars)
        live = open_live(model)
        for number, (stamp, row) in enumerate(zip(bars.index, bars[list(COLUMNS)].to_numpy(), strict=True)):
            live.see(number, stamp.to_pydatetime(), tuple(row))
        assert len(server.requests) == asked
    assert table == calibrate(before, bars, method=method, every=6)
    assert live.table == table
    assert 10 < sum(row.p_calibrated is not None for row in table.rows) < len(table)
    with pytest.raises(DataError, match="expected a method of calibration, isotonic or platt, got 'plat'"):
        replace(plain, calibrate="plat")


def test_a_calibrated_table_survives_a_file(tmp_path):
    rose, p = random_months(15, 20)
    bars = bars_of(rose)
    found = calibrate(table_of(bars, p.tolist()), bars)
    for name in ("one.csv", "one.parquet"):
        assert Guidance.read(found.save(tmp_path / name)) == found


def test_what_cannot_be_calibrated_is_refused():
    rose, p = random_months(16, 20)
    bars = bars_of(rose)
    guidance = table_of(bars, p.tolist())
    control = table_of(bars, p.tolist(), uses_future=True)
    with pytest.raises(GuidanceError, match="not calibrated yet; start from the one that this was made from"):
        calibrate(calibrate(guidance, bars), bars)
    with pytest.raises(GuidanceError, match="without knowledge of the future; leave controls out"):
        calibrate(guidance, bars, others=[(control, bars)])
    with pytest.raises(GuidanceError, match="was made from other bars"):
        calibrate(guidance.made_from(bars), bars_of(~rose))
    with pytest.raises(DataError, match="expected a method of calibration, isotonic or platt, got 'plat'"):
        calibrate(guidance, bars, method="plat")
    with pytest.raises(GuidanceError, match="expected every >= 1, got 0"):
        calibrate(guidance, bars, every=0)
    with pytest.raises(GuidanceError, match="expected least >= 1, got 0"):
        calibrate(guidance, bars, least=0)
