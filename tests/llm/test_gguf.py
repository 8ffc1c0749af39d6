"""The header of GGUF files, made by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_gguf import write_gguf

from llmguide.errors import LanguageModelError
from llmguide.llm.gguf import read_model_file


def test_the_header_says_what_the_file_was_made_of(tmp_path):
    path = write_gguf(tmp_path / "a.gguf")
    found = read_model_file(path)
    assert found.architecture == "llama"
    assert found.context == 4096
    assert found.has_template
    assert found.size == path.stat().st_size
    assert found.cache_bytes == 2 * 2 * 2 * (16 + 16)  # bytes x layers x heads x (key + value), 64 / 4 each


def test_a_model_without_a_chat_template_is_told_apart(tmp_path):
    assert not read_model_file(write_gguf(tmp_path / "a.gguf", without=("tokenizer.chat_template",))).has_template


@pytest.mark.parametrize("cut", [1, 127, 200, 400])
def test_a_file_that_is_cut_short_is_refused(tmp_path, cut):
    with pytest.raises(LanguageModelError, match=r"a\.gguf is cut short at [\d,]+ bytes; download it again"):
        read_model_file(write_gguf(tmp_path / "a.gguf", cut=cut))


@given(st.integers(5, 600))
def test_no_cut_header_is_read_as_a_model(tmp_path_factory, length):
    path = write_gguf(tmp_path_factory.mktemp("cut") / "a.gguf")
    whole = path.read_bytes()
    path.write_bytes(whole[: min(length, len(whole) - 1)])
    with pytest.raises(LanguageModelError):
        read_model_file(path)


def test_wrong_files_are_one_clear_error(tmp_path):
    with pytest.raises(LanguageModelError, match="there is no model file"):
        read_model_file(tmp_path / "missing.gguf")
    with pytest.raises(LanguageModelError, match="cannot be read as a model file"):
        read_model_file(tmp_path)
    other = tmp_path / "other.gguf"
    other.write_bytes(b"PK\x03\x04 a zip file")
    with pytest.raises(LanguageModelError, match=r"expected a GGUF file, got .*other\.gguf"):
        read_model_file(other)
    with pytest.raises(LanguageModelError, match="of version 1"):
        read_model_file(write_gguf(tmp_path / "old.gguf", version=1))
    with pytest.raises(LanguageModelError, match="part 2 of a model split in 3; join the parts"):
        read_model_file(write_gguf(tmp_path / "split.gguf", split__count=3, split__no=1))
    with pytest.raises(LanguageModelError, match="does not hold a language model"):
        read_model_file(write_gguf(tmp_path / "clip.gguf", general__architecture="clip"))
