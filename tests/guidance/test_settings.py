"""A settings file says what it may, and every mistake in it is named with its place."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from llmguide.errors import GuidanceError
from llmguide.guidance.settings import Settings, read_settings
from llmguide.guidance.strategist import Brief
from llmguide.llm.protocol import Sampling

FULL = """
timeout = 120
max_retries = 2

[sampling]
temperature = 0.7
seed = 7
frequency_penalty = 1.0
presence_penalty = 0.25
top_logprobs = 3
max_tokens = 900
reasoning_effort = "low"

[brief]
every = 10
first = 60
memory = 1
objective = "the smallest loss"
risk_profile = "cautious"
anonymous = false
context_chars = 9000
levels = "absolute"
"""


@pytest.fixture
def written(tmp_path):
    """`written(text)`: the path of a settings file with that text."""

    def write(text):
        path = tmp_path / "settings.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_every_setting_is_read(written):
    assert read_settings(written(FULL)) == Settings(
        sampling=Sampling(0.7, 7, 1.0, 0.25, 3, 900, "low"),
        brief=Brief(
            every=10,
            first=60,
            memory=1,
            objective="the smallest loss",
            risk_profile="cautious",
            anonymous=False,
            context_chars=9000,
            levels="absolute",
        ),
        timeout=120,
        max_retries=2,
    )


def test_the_file_above_names_every_setting_there_is():
    names = {line.split(" = ")[0] for line in FULL.splitlines() if " = " in line}
    assert names == {*asdict(Sampling()), *asdict(Brief()), "timeout", "max_retries"} - {
        "suppress",
        "debias",
        "samples",
    }


def test_what_is_left_out_keeps_its_default(written):
    assert read_settings(None) == read_settings(written("")) == Settings()
    assert read_settings(written("[brief]\nmemory = 0\n")) == Settings(brief=Brief(memory=0))


@pytest.mark.parametrize(
    "name", ["temperature", "seed", "frequency_penalty", "presence_penalty", "top_logprobs", "max_tokens"]
)
def test_a_setting_that_is_none_is_not_sent(written, name):
    sampling = read_settings(written(f'[sampling]\n{name} = "none"\n')).sampling
    assert getattr(sampling, name) is None
    assert asdict(sampling) | {name: 0} == asdict(Sampling()) | {name: 0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[sampling]\ntemperatur = 0.1", r"\[sampling\] temperatur: unknown setting; did you mean 'temperature'\?"),
        ("[brief]\nmemroy = 1", r"\[brief\] memroy: unknown setting; did you mean 'memory'"),
        ("timout = 1", r"timout: unknown setting; did you mean 'timeout'"),
        ("[samplin]\nseed = 1", "samplin: unknown setting; did you mean 'sampling'"),
        ("zzz = 1", "zzz: unknown setting; known: timeout, max_retries, terse, sampling, brief, local"),
        ("memory = 1", "memory: unknown setting.*brief"),
        ("temperature = 1", "temperature: unknown setting.*sampling"),
        ("sampling = 3", r"expected a table \[sampling\], got 3"),
        ("[[brief]]\nmemory = 1", r"expected a table \[brief\]"),
        ("[sampling]\ntemperature = 2.1", r"temperature: expected a number, 0 to 2, got 2\.1"),
        ("[sampling]\ntemperature = nan", "temperature: expected a number, 0 to 2, got nan"),
        ("[sampling]\ntemperature = true", "temperature: expected a number, 0 to 2, got True"),
        ("[sampling]\ntemperature = 'hot'", "temperature: expected a number, 0 to 2, got 'hot'"),
        ("[sampling]\nfrequency_penalty = -2.5", "frequency_penalty: expected a number, -2 to 2, got -2.5"),
        ("[sampling]\npresence_penalty = 3", "presence_penalty: expected a number, -2 to 2, got 3"),
        ("[sampling]\nseed = 1.5", r"seed: expected a whole number, got 1\.5"),
        ("[sampling]\ntop_logprobs = 21", "top_logprobs: expected a whole number, 1 to 20, got 21"),
        ("[sampling]\ntop_logprobs = 0", "top_logprobs: expected a whole number, 1 to 20, got 0"),
        ("[sampling]\nmax_tokens = 0", "max_tokens: expected a whole number, 1 to 1000000, got 0"),
        ("[brief]\nmemory = -1", "memory: expected a whole number of at least 0, got -1"),
        ("[brief]\ncontext_chars = 7999", "context_chars: expected a whole number, 8000 to 10000000, got 7999"),
        ("[brief]\nevery = 0", "every: expected a whole number of at least 1, got 0"),
        ("[brief]\nfirst = 0.5", r"first: expected a whole number of at least 1, got 0\.5"),
        ("[brief]\nobjective = 3", "objective: expected a text, got 3"),
        ("[brief]\nrisk_profile = ''", "risk_profile: expected a text, got ''"),
        ("[brief]\nanonymous = 'no'", "anonymous: expected true or false, got 'no'"),
        (
            "[brief]\nlevels = 'relativ'",
            r"\[brief\] levels: expected levels relative or absolute, .*did you mean 'relative'",
        ),
        ("[brief]\nlevels = 1", "levels: expected a text, got 1"),
        ("[brief]\nanonymous = 0", "anonymous: expected true or false, got 0"),
        ("timeout = 0", "timeout: expected a number, 1 to 86400, got 0"),
        ("timeout = inf", "timeout: expected a number, 1 to 86400, got inf"),
        ("max_retries = -1", "max_retries: expected a whole number of at least 0, got -1"),
        ("max_retries = 2.0", r"max_retries: expected a whole number of at least 0, got 2\.0"),
        ("timeout = ", "cannot be read as TOML"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(written, text, says):
    path = written(text)
    with pytest.raises(GuidanceError, match=says) as caught:
        read_settings(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_no_file_a_folder_and_bytes_that_are_no_text_are_refused(tmp_path):
    with pytest.raises(GuidanceError, match=r"there is no settings file .*none\.toml"):
        read_settings(tmp_path / "none.toml")
    with pytest.raises(GuidanceError, match="cannot be read"):
        read_settings(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GuidanceError, match="cannot be read as TOML"):
        read_settings(tmp_path / "bytes.toml")
