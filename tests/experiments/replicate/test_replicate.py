"""The replication end to end on small agents: the grid, its tables and files, resuming, and no look-ahead."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from llmguide import compare, guide, load_agent, sample_bars
from llmguide.errors import DataError, GuidanceError, LlmguideError
from llmguide.experiments.learners import dqn
from llmguide.experiments.markets import find_markets
from llmguide.experiments.replicate import grid, replicate
from llmguide.experiments.run_folder import RunFolder
from llmguide.rl.config import DQNConfig
from llmguide.stats import holm

SYMBOLS = ("KO", "AAPL", "TWTR")
HISTORIES = {symbol: sample_bars(years=2, seed=seed) for seed, symbol in enumerate(SYMBOLS)}
CUT = 350
SPLIT = HISTORIES["KO"].index[CUT]
ARMS = ("hybrid", "rl", "llm", "hold")
CONFIG = DQNConfig(hidden=16, batch=8, cash=50_000.0, cost=0.002)
RULES = partial(guide, provider="rules")
SETTINGS = {"seeds": 2, "episodes": 1, "config": CONFIG, "split": SPLIT, "progress": False}


def write_bars(folder, change=1.0):
    """KO as a pair of files, the others as one; `change` scales all test bars."""
    folder.mkdir()
    for symbol, bars in HISTORIES.items():
        bars = bars.copy()
        bars.iloc[CUT:] *= change
        if symbol == "KO":
            bars.iloc[:CUT].to_csv(folder / "KO_2012-1-1_2013-5-1.csv")
            bars.iloc[CUT:].to_csv(folder / "KO_2013-5-1_2014-1-1.csv")
        else:
            bars.to_parquet(folder / f"{symbol}.parquet")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_bars(tmp_path_factory.mktemp("bars") / "data")


@pytest.fixture(scope="module")
def whole(data):
    """All symbols and four arms, without a folder."""
    return replicate(data, symbols=SYMBOLS, arms=ARMS, guidance=RULES, **SETTINGS)


@pytest.fixture
def work(monkeypatch):
    """What is trained and measured since the beginning of the test: names of jobs, and (arm, seed)."""
    done = {"trained": [], "measured": []}
    train, measure = dqn.train_agents, grid.measure

    def watch_training(jobs, **options):
        done["trained"] += [job.name for job in jobs]
        return train(jobs, **options)

    def watch_measuring(arm, agent, **options):
        done["measured"].append((arm.name, None if agent is None else agent.seed))
        return measure(arm, agent, **options)

    monkeypatch.setattr(dqn, "train_agents", watch_training)
    monkeypatch.setattr(grid, "measure", watch_measuring)
    return done


def test_every_cell_is_there_in_the_order_asked_for(whole):
    cells = [("hybrid", 0), ("hybrid", 1), ("rl", 0), ("rl", 1), ("llm", -1), ("hold", -1)]
    expected = [(symbol, *cell) for symbol in SYMBOLS for cell in cells]
    assert list(whole.runs[["symbol", "arm", "seed"]].itertuples(index=False, name=None)) == expected
    assert (whole.symbols, whole.arms) == (SYMBOLS, ARMS)


def test_an_instruments_rows_are_those_of_a_comparison(whole, data):
    for market in find_markets(data, split=SPLIT):
        table = guide(market.bars, "rules")
        settings = {name: SETTINGS[name] for name in ("seeds", "episodes", "config", "progress")}
        alone = compare(market.train, market.test, table, arms=ARMS, **settings).runs
        ours = whole.runs[whole.runs["symbol"] == market.symbol].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours[list(alone.columns)], alone)


def test_tables_are_made_of_the_runs(whole):
    of = whole.runs.set_index(["symbol", "arm"]).sort_index()
    assert whole.appendix_e["symbol"].tolist() == list(SYMBOLS)
    first = whole.appendix_e.iloc[0]
    assert first["sr_mean"] == pytest.approx(of.loc[("KO", "rl"), "sr"].mean())
    assert (first["sr_published"], first["n"]) == (1.068, 2)
    table = whole.experiment_2.set_index(["symbol", "arm"])
    assert table.loc[("AAPL", "hybrid"), "sr_published"] == 1.70
    assert table.loc[("AAPL", "hybrid"), "sr_std"] == pytest.approx(of.loc[("AAPL", "hybrid"), "sr"].std())
    assert table.loc[("AAPL", "llm"), "mdd_mean"] == pytest.approx(of.loc[("AAPL", "llm"), "mdd"])
    assert np.isnan(table.loc[("KO", "hybrid"), "sr_published"])
    assert table["seeds"].tolist() == [2, 2, 0, 0] * 3


def test_paired_tests_are_scipys_on_every_pair_with_a_trained_arm(whole):
    pairs = [("hybrid", "rl"), ("hybrid", "llm"), ("hybrid", "hold"), ("rl", "llm"), ("rl", "hold")]
    tests = whole.tests.set_index(["symbol", "measure", "arm_a", "arm_b"])
    assert list(tests.index) == [(s, m, *pair) for s in SYMBOLS for m in ("sr", "mdd") for pair in pairs]
    of = whole.runs.set_index(["symbol", "arm"])
    for (symbol, measure, a, b), row in tests.iterrows():
        ours, theirs = of.loc[(symbol, a), measure], of.loc[(symbol, b), measure]
        peer = stats.ttest_rel(ours, theirs) if b == "rl" else stats.ttest_1samp(ours, theirs)
        assert (row["t"], row["p"]) == (pytest.approx(peer.statistic), pytest.approx(peer.pvalue))
        assert row["n"] == 2
        same_way = abs(np.sign(np.asarray(ours) - np.asarray(theirs)).sum()) == 2
        assert row["p_wilcoxon"] == (0.5 if same_way else 1.0)  # of two pairs, no p is smaller


def test_holms_correction_is_over_the_instruments_of_one_question(whole):
    for _, question in whole.tests.groupby(["measure", "arm_a", "arm_b"]):
        assert len(question) == 3
        np.testing.assert_array_equal(question["p_holm"], holm(question["p"]))
    np.testing.assert_array_equal(whole.appendix_e["p_holm"], holm(whole.appendix_e["p"]))


@pytest.mark.slow
def test_a_finished_replication_trains_and_measures_nothing_and_new_cells_join_it(data, whole, work, tmp_path):
    options = SETTINGS | {"symbols": SYMBOLS, "arms": ARMS, "guidance": RULES, "out": tmp_path / "run"}
    first = replicate(data, **options)
    assert (len(work["trained"]), len(work["measured"])) == (12, 18)
    pd.testing.assert_frame_equal(first.runs, whole.runs)
    work["trained"].clear()
    work["measured"].clear()

    said = []
    again = replicate(data, **options | {"announce": said.append})
    assert work == {"trained": [], "measured": []}
    assert "12 of 12 agents are already trained" in said
    pd.testing.assert_frame_equal(again.runs, whole.runs)

    more = replicate(data, **options | {"seeds": 3, "arms": ("rl", "sell")})
    assert work["trained"] == [f"{symbol} rl-2" for symbol in SYMBOLS]
    assert sorted(work["measured"]) == sorted([("rl", 2), ("sell", None)] * 3)
    same = more.runs[(more.runs["arm"] == "rl") & (more.runs["seed"] < 2)].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, whole.runs[whole.runs["arm"] == "rl"].reset_index(drop=True))


def test_exactly_what_is_missing_is_made_again(data, work, tmp_path):
    options = SETTINGS | {"arms": ("rl", "hold"), "out": tmp_path / "run"}
    first = replicate(data, **options)
    run = tmp_path / "run"
    files = {
        (run / "KO" / "cells" / "rl-1.json"): ([], [("rl", 1)]),
        (run / "TWTR" / "cells" / "hold.json"): ([], [("hold", None)]),
        (run / "AAPL" / "rl-0.safetensors"): (["AAPL rl-0"], []),  # the same agent again: its row still holds
    }
    for file, (trained, measured) in files.items():
        work["trained"].clear()
        work["measured"].clear()
        file.unlink()
        again = replicate(data, **options)
        assert (work["trained"], work["measured"]) == (trained, measured)
        assert file.exists()
        pd.testing.assert_frame_equal(again.runs, first.runs)
    half = run / "KO" / "cells" / "rl-1.json"
    half.write_bytes(half.read_bytes()[:100])
    work["measured"].clear()
    pd.testing.assert_frame_equal(replicate(data, **options).runs, first.runs)
    assert work["measured"] == [("rl", 1)]


def test_a_row_of_another_agent_is_noticed(data, work, tmp_path):
    options = SETTINGS | {"symbols": ("KO",), "out": tmp_path / "run"}
    first = replicate(data, **options)
    cells = tmp_path / "run" / "KO" / "cells"
    (cells / "rl-1.json").write_bytes((cells / "rl-0.json").read_bytes())
    work["measured"].clear()
    pd.testing.assert_frame_equal(replicate(data, **options).runs, first.runs)
    assert work["measured"] == [("rl", 1)]


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [1, 3])
def test_an_interrupted_replication_keeps_its_rows_and_ends_the_same(data, whole, tmp_path, monkeypatch, work, stop_at):
    options = SETTINGS | {"symbols": SYMBOLS, "arms": ARMS, "guidance": RULES, "out": tmp_path / "run"}
    stored = []
    original = RunFolder.save_agent

    def interrupt(self, arm, agent):
        original(self, arm, agent)
        stored.append(arm)
        if len(stored) == stop_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "save_agent", interrupt)
    with pytest.raises(KeyboardInterrupt):
        replicate(data, **options)
    monkeypatch.setattr(RunFolder, "save_agent", original)
    agents = list((tmp_path / "run").rglob("*.safetensors"))
    rows = list((tmp_path / "run").rglob("cells/*.json"))
    assert len(agents) == stop_at
    assert len(rows) == 6 + stop_at - 1  # the arms without seeds, and every agent but the last
    work["trained"].clear()
    pd.testing.assert_frame_equal(replicate(data, **options).runs, whole.runs)
    assert len(work["trained"]) == 12 - stop_at


def test_the_folder_describes_itself_and_writing_twice_changes_nothing(whole, data, tmp_path):
    out = whole.write(tmp_path / "run")
    assert whole.fit in str(whole).partition("\n")[0]
    assert str(whole).endswith(f"files: {out}")
    assert whole._repr_html_().count("<table") == 2
    config = json.loads((out / "config.json").read_text())
    assert (config["symbols"], config["arms"], config["seeds"]) == (list(SYMBOLS), list(ARMS), [0, 1])
    assert config["agent"]["cost"] == 0.002
    assert config["data"]["AAPL"]["train"]["bars"] == CUT
    assert config["guidance"]["AAPL"]["provider"] == ["rules"]
    assert "llmguide" in config["versions"]
    pd.testing.assert_frame_equal(pd.read_csv(out / "runs.csv"), whole.runs, check_exact=False)
    for name in ("appendix_e", "experiment_2", "tests", "summary"):
        assert len(pd.read_csv(out / f"{name}.csv")) == len(getattr(whole, name))
        assert (out / f"{name}.md").stat().st_size > 100
        assert "\\bottomrule" in (out / f"{name}.tex").read_text()
    assert whole.fit in (out / "summary.md").read_text().replace("&lt;", "<")
    assert (out / "replication.png").read_bytes().startswith(b"\x89PNG")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    whole.write(out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_table_without_rows_leaves_no_file_not_even_an_older_one(whole, data, tmp_path):
    whole.write(tmp_path)
    replicate(data, symbols=("TWTR",), **SETTINGS).write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json", "runs.csv", "appendix_e.csv", "appendix_e.md", "appendix_e.tex"
    }  # fmt: skip


def test_the_default_arms_are_rl_and_with_guidance_all_three_of_the_paper(data):
    settings = SETTINGS | {"symbols": ("KO",), "seeds": 1}
    assert replicate(data, **settings).arms == ("rl",)
    assert replicate(data, guidance=RULES, **settings).arms == ("hybrid", "rl", "llm")


def test_guidance_from_a_mapping_a_folder_and_a_function_is_the_same(data, tmp_path):
    options = SETTINGS | {"symbols": ("KO", "AAPL"), "arms": ("llm",)}
    tables = {symbol: guide(HISTORIES[symbol], "rules") for symbol in ("KO", "AAPL")}
    tables["KO"].save(tmp_path / "KO.parquet")
    tables["AAPL"].save(tmp_path / "AAPL.csv")
    frames = [replicate(data, guidance=source, **options).runs for source in (RULES, tables, tmp_path, str(tmp_path))]
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frame, frames[0])


def test_guidance_that_knows_the_future_is_marked(data):
    options = SETTINGS | {"symbols": ("KO",), "arms": ("llm",)}
    assert replicate(data, guidance=partial(guide, provider="oracle"), **options).uses_future
    assert not replicate(data, guidance=RULES, **options).uses_future
    assert not replicate(data, **options | {"arms": ("hold",)}).uses_future


def test_agents_do_not_depend_on_the_test_bars(data, tmp_path):
    other = write_bars(tmp_path / "data", change=1.7)
    options = SETTINGS | {"symbols": ("KO", "TWTR"), "seeds": 1}
    for folder, out in ((data, "a"), (other, "b")):
        replicate(folder, out=tmp_path / out, **options)
    for symbol in options["symbols"]:
        one, two = (load_agent(tmp_path / out / symbol / "rl-0.safetensors") for out in "ab")
        for name, array in one.weights.items():
            np.testing.assert_array_equal(array, two.weights[name])
        assert one.scaler == two.scaler


def test_what_cannot_be_done_is_refused(data, tmp_path):
    with pytest.raises(LlmguideError, match=r"unknown arm 'hybird'.*did you mean 'hybrid'"):
        replicate(data, arms=("hybird",), **SETTINGS)
    with pytest.raises(GuidanceError, match=r"arms \['hybrid'\] need guidance"):
        replicate(data, arms=("hybrid", "rl"), **SETTINGS)
    with pytest.raises(GuidanceError, match="guidance of AAPL: there is no table for it"):
        replicate(data, guidance={"KO": guide(HISTORIES["KO"], "rules")}, **SETTINGS)
    with pytest.raises(
        GuidanceError, match=r"guidance of AAPL: expected AAPL.parquet or AAPL.csv in .*, found neither"
    ):
        replicate(data, guidance=tmp_path, **SETTINGS)
    with pytest.raises(GuidanceError, match=r"expected tables by symbol, .* got Guidance"):
        replicate(data, guidance=guide(HISTORIES["KO"], "rules"), **SETTINGS)
    with pytest.raises(LlmguideError, match="one or more different arms"):
        replicate(data, arms=(), **SETTINGS)
    with pytest.raises(DataError, match="did you mean 'AAPL'"):
        replicate(data, symbols=("APPL",), **SETTINGS)
    (tmp_path / "file").write_text("")
    with pytest.raises(LlmguideError, match="file is a file; a replication needs a folder"):
        replicate(data, arms=("hold",), out=tmp_path / "file", **SETTINGS)


def test_a_folder_of_a_run_with_other_settings_is_refused(data, tmp_path):
    options = SETTINGS | {"symbols": ("KO",), "arms": ("hold",), "out": tmp_path}
    replicate(data, **options)
    with pytest.raises(LlmguideError, match=r"KO holds a run with other settings: episodes is \d+ there and \d+ here"):
        replicate(data, **options | {"episodes": 2})


@pytest.mark.real_bars
def test_holding_apple_earns_what_was_published(data_folder):
    with pytest.warns(UserWarning, match="1 instrument"):
        result = replicate(data_folder, symbols=("AAPL",), arms=("hold",))
    assert result.runs["sr"][0] == pytest.approx(1.239, abs=5e-4)
