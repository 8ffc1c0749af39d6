"""`--calibrate` of `llmguide guide` and `llmguide prompts`, as a user types it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from command_line import run_here
from openai_server import OpenAIServer

from llmguide import Guidance, read_bars, sample_bars
from llmguide.guidance.doubt.calibrate import calibrate

GUIDE = ("guide", "ACME.csv", "--provider", "llm", "--prompt", "P0", "--every", "8")
FOLDER = ("--data", "data", "--split", "2012-06-01")


@pytest.fixture
def llmguide(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with the bars of ACME and BETA; returns exit code, standard output and error."""
    (tmp_path / "data").mkdir()
    for symbol, seed in (("ACME", 10), ("BETA", 5)):
        sample_bars(years=1, seed=seed).to_csv(tmp_path / "data" / f"{symbol}.csv")
    sample_bars(years=1, seed=10).to_csv(tmp_path / "ACME.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return lambda *words: run_here(monkeypatch, capsys, *words)


@pytest.fixture
def server(monkeypatch, llmguide):
    with OpenAIServer() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        yield running


def test_guidance_is_calibrated_without_another_question(llmguide, server):
    assert llmguide(*GUIDE, "--out", "plain.parquet")[0] == 0
    asked = len(server.requests)
    code, out, err = llmguide(*GUIDE, "--calibrate", "isotonic", "--out", "set.parquet")
    assert (code, err) == (0, "")
    assert len(server.requests) == asked
    plain, found = Guidance.read("plain.parquet"), Guidance.read("set.parquet")
    assert found == calibrate(plain, read_bars("ACME.csv"), method="isotonic", every=8)
    count = sum(row.p_calibrated is not None for row in found.rows)
    turned = sum(one.direction != other.direction for one, other in zip(plain.rows, found.rows, strict=True))
    assert f"calibrated by isotonic: {count} of {len(found)} rows, direction flipped in {turned}" in out
    assert f"{len(found) - count} rows not calibrated: fewer than 12 months" in out
    code, out, _ = llmguide(
        "guide", "ACME.csv", "--provider", "replay", *GUIDE[4:], "--calibrate", "isotonic", "--out", "r.csv", "--json"
    )
    assert code == 0
    assert (json.loads(out)["calibrated"], json.loads(out)["turned_by_calibration"]) == (count, turned)
    assert Guidance.read("r.csv") == found


@pytest.mark.slow
def test_the_other_instruments_of_a_folder_are_learned_from(llmguide, server):
    words = ("guide", *FOLDER, "--provider", "llm", "--prompt", "P0,P1", "--every", "8")
    assert llmguide(*words, "--out", "plain")[0] == 0
    code, out, err = llmguide(*words, "--calibrate", "platt", "--out", "set")
    assert (code, err) == (0, "")
    assert "calibrated by platt: " in out
    bars = {symbol: read_bars(f"data/{symbol}.csv") for symbol in ("ACME", "BETA")}
    for prompt in ("P0", "P1"):
        plain = {symbol: Guidance.read(f"plain/{prompt}/{symbol}.parquet") for symbol in bars}
        for symbol, other in (("ACME", "BETA"), ("BETA", "ACME")):
            expected = calibrate(plain[symbol], bars[symbol], every=8, others=[(plain[other], bars[other])])
            assert Guidance.read(f"set/{prompt}/{symbol}.parquet") == expected
            alone = calibrate(plain[symbol], bars[symbol], every=8)
            assert sum(row.p_calibrated is None for row in expected.rows) < sum(
                row.p_calibrated is None for row in alone.rows
            )
    code, out, _ = llmguide(*words, "--out", "plain", "--json")
    assert json.loads(out)["calibrated"] == json.loads(out)["turned_by_calibration"] == 0


@pytest.mark.slow
def test_prompts_shows_calibrated_probabilities_beside_the_said_ones(llmguide, server):
    words = ("prompts", *FOLDER, "--prompts", "P0", "--all-months", "--settings", "brief.toml")
    with open("brief.toml", "w", encoding="utf-8") as file:
        file.write("[brief]\nevery = 8\n")
    code, out, err = llmguide(*words, "--calibrate", "isotonic", "--out", "run")
    assert (code, err) == (0, "")
    for said in ("Probabilities of the test months", "P0, said", "P0, calibrated"):
        assert said in out
    months = pd.read_csv("run/months.csv")
    tables = {symbol: Guidance.read(f"run/guidance/P0/{symbol}.parquet") for symbol in ("ACME", "BETA")}
    bars = {symbol: read_bars(f"data/{symbol}.csv") for symbol in tables}
    for symbol, other in (("ACME", "BETA"), ("BETA", "ACME")):
        others = [(tables[other], bars[other])]
        expected = calibrate(tables[symbol], bars[symbol], method="isotonic", every=8, others=others)
        found = months.loc[months["symbol"] == symbol, "p_calibrated"]
        np.testing.assert_allclose(found, expected.frame["p_calibrated"])
    assert set(pd.read_csv("run/reliability.csv")["probability"]) == {"said", "calibrated"}
    asked = len(server.requests)
    code, out, _ = llmguide(*words, "--replay", "--out", "plain", "--json")
    assert [row["probability"] for row in json.loads(out)["scores"]] == ["said"]
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*GUIDE, "--calibrate", "plat"), "expected a method of calibration, isotonic or platt, got 'plat'"),
        (("prompts", *FOLDER, "--calibrate", "x"), "expected a method of calibration, isotonic or platt, got 'x'"),
        (("guide", "ACME.csv", "--calibrate", "platt"), "--calibrate is for --provider llm, local or replay, not for"),
    ],
)
def test_wrong_words_are_one_error(llmguide, server, words, says):
    code, out, err = llmguide(*words)
    assert (code, out) == (1, "")
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert not server.requests
