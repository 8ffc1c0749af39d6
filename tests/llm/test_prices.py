"""What a model costs, and what is said where that is not known."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmguide.errors import LanguageModelError
from llmguide.llm.prices import Price, Prices, estimate_tokens, most_tokens
from llmguide.llm.protocol import Message, Request, Sampling, Usage


def written(folder: Path, text: str) -> Path:
    path = folder / "prices.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_reply_costs_what_the_paper_paid():
    prices = Prices.read()
    assert prices.dollars("gpt-4o-mini", Usage(8000, None, 300)) == pytest.approx(8000 * 0.15e-6 + 300 * 0.60e-6)
    assert prices.as_of


def test_cached_tokens_cost_less_and_reasoning_is_in_the_completion():
    usage = Usage(prompt=1_000_000, cached=400_000, completion=100_000, reasoning=50_000)
    assert Prices.read().dollars("gpt-4o-mini", usage) == pytest.approx(0.6 * 0.15 + 0.4 * 0.075 + 0.1 * 0.60)


def test_an_unknown_model_and_unknown_counts_cost_an_unknown_sum_and_not_nothing():
    prices = Prices.read()
    assert prices.dollars("llama-3", Usage(10, 0, 10, 0)) is None
    assert prices.dollars("gpt-4o-mini", Usage(None, None, 10)) is None
    assert prices.dollars("gpt-4o-mini", Usage(10, None, None)) is None


def test_a_dated_name_has_the_price_of_its_base_and_other_endings_have_none():
    prices = Prices.read()
    assert prices.price("gpt-4o-mini-2024-07-18") == prices.price("gpt-4o-mini")
    assert prices.price("gpt-4o-mini-audio-preview") is None
    assert prices.price("gpt-4o") is None
    assert prices.price("gpt-4o-mini-2024") is None


def test_a_dated_name_in_the_table_goes_before_its_base():
    prices = Prices({"m": Price(1, 1, 1), "m-2024-01-01": Price(2, 2, 2)})
    assert prices.dollars("m-2024-01-01", Usage(1_000_000, 0, 0)) == 2.0


def test_the_users_models_lie_over_the_packaged_ones(tmp_path: Path):
    path = written(
        tmp_path, '[models."gpt-4o-mini"]\nprompt = 1\ncompletion = 2\n[models.mine]\nprompt = 0\ncompletion = 0'
    )
    prices = Prices.read(path)
    assert prices.price("gpt-4o-mini") == Price(
        1.0, 1.0, 2.0
    )  # without a price of their own, cached tokens cost as others
    assert prices.dollars("mine", Usage(5, 5, 5, 5)) == 0.0
    assert set(Prices.read().models) < set(prices.models)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[models", "expected TOML"),
        ("model = 3", r"unknown entry 'model'.*did you mean 'models'"),
        ("models = 3", r"expected tables such as"),
        ("[models.m]\nprompts = 1\ncompletion = 1", "model 'm': unknown entry 'prompts'.*did you mean 'prompt'"),
        ("[models.m]\nprompt = 1", "model 'm': completion is missing"),
        ("[models.m]\nprompt = -1\ncompletion = 1", "0 or more, got -1"),
        ("[models.m]\nprompt = nan\ncompletion = 1", "got nan"),
        ("[models.m]\nprompt = inf\ncompletion = 1", "got inf"),
        ("[models.m]\nprompt = true\ncompletion = 1", "got True"),
        ('[models.m]\nprompt = "1"\ncompletion = 1', "got '1'"),
        ("[models.m]\nprompt = 1\ncached = 2\ncompletion = 1", "cached to cost no more than prompt"),
        ("[models.qwen2.5]\nprompt = 1\ncompletion = 1", "a name with a dot needs quotes"),
    ],
)
def test_a_wrong_table_is_refused_with_the_place(tmp_path: Path, text: str, told: str):
    path = written(tmp_path, text)
    with pytest.raises(LanguageModelError, match=told) as refused:
        Prices.read(path)
    assert str(path) in str(refused.value)


def test_a_table_that_is_not_there_or_no_text_is_refused(tmp_path: Path):
    with pytest.raises(LanguageModelError, match=r"no table of prices at .*absent"):
        Prices.read(tmp_path / "absent.toml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LanguageModelError, match="cannot be read"):
        Prices.read(tmp_path / "binary")


@given(st.lists(st.text(), max_size=4), st.integers(1, 5000))
def test_the_bound_covers_every_byte_and_the_longest_reply(texts: list[str], most: int):
    messages = tuple(Message("user", text) for text in texts)
    request = Request("m", messages, "Kind", '{"type":"object"}', Sampling(max_tokens=most))
    bound = most_tokens(request)
    assert bound.prompt >= sum(len(text.encode()) for text in texts) + len(request.schema_json)
    assert bound.completion == most


def test_an_estimate_is_a_quarter_of_the_bytes_rounded_up():
    assert [estimate_tokens(text) for text in ("", "a", "abcd", "abcde", "ü" * 4)] == [0, 1, 1, 2, 2]


def test_a_question_of_a_batch_costs_its_part_of_the_price(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text("batch = 0.4\n[models.m]\nprompt = 10\ncompletion = 20\n")
    prices = Prices.read(path)
    assert prices.dollars("m", Usage(1000, 0, 100)) == pytest.approx(0.012)
    assert prices.dollars("m", Usage(1000, 0, 100), batched=True) == pytest.approx(0.0048)
    path.write_text("[models.m]\nprompt = 10\ncompletion = 20\n")
    assert Prices.read(path).batch == 0.5
    for wrong in ("2", "true", '"half"', "nan"):
        path.write_text(f"batch = {wrong}\n")
        with pytest.raises(LanguageModelError, match="expected batch to be a fraction of the price, from 0 to 1"):
            Prices.read(path)
