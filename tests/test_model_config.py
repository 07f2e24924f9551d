"""A Hugging Face config.json: the layouts that are known, and what is refused, hostile files included."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver.catalog.model_config import MAX_BYTES, read_model_config, shape_of
from solver.domain.errors import InvalidProblem
from solver.estimate import parameter_count

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
    "rms_norm_eps": 1e-06,
}
QWEN = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
    "vocab_size": 152064,
}
CHATGLM = {
    "model_type": "chatglm",
    "hidden_size": 4096,
    "inner_hidden_size": 16384,
    "num_layers": 28,
    "num_attention_heads": 32,
    "vocab_size": 130528,
    "position_encoding_2d": True,
}
CHATGLM2 = {
    "model_type": "chatglm",
    "hidden_size": 4096,
    "ffn_hidden_size": 13696,
    "num_layers": 28,
    "num_attention_heads": 32,
    "kv_channels": 128,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "padded_vocab_size": 65024,
    "add_qkv_bias": True,
    "add_bias_linear": False,
    "rmsnorm": True,
}
GPTJ = {
    "model_type": "gptj",
    "n_embd": 4096,
    "n_layer": 28,
    "n_head": 16,
    "n_inner": None,
    "vocab_size": 50400,
    "n_positions": 2048,
    "tie_word_embeddings": False,
}
GPT2 = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257, "n_positions": 1024}
GENERIC = {key: value for key, value in LLAMA.items() if key not in ("model_type", "architectures")}


def written(folder: Path, content: str | bytes | dict[str, Any]) -> Path:
    """A config.json of that content."""
    file = folder / "config.json"
    if isinstance(content, dict):
        content = json.dumps(content)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (LLAMA, 6_738_415_616),
        (QWEN, 7_615_616_512),
        (CHATGLM, 6_173_286_400),
        (CHATGLM2, 6_243_584_000),
        (GPTJ, 6_050_882_784),
        (GPT2, 124_439_808),
        (GENERIC, 6_738_415_616),
    ],
    ids=["llama", "qwen2", "chatglm", "chatglm2", "gptj", "gpt2", "generic"],
)
def test_layouts(config: dict[str, Any], parameters: int, tmp_path: Path) -> None:
    """Tests that each layout gives the published count of its model, exactly."""
    assert parameter_count(read_model_config(written(tmp_path, config))) == parameters


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "mamba"}, '"mamba"'),
        ({"model_type": "lama"}, "did you mean llama"),
        ({"model_type": "x" * 10_000}, "is not a known architecture"),
        ({"model_type": ["llama"]}, "is not a known architecture"),
        ({"model_type": None}, "model_type"),
        ({"num_local_experts": 8}, "mixtures of experts"),
        ({"hidden_size": None}, "hidden_size: is required"),
        ({"hidden_size": "4096"}, "hidden_size"),
        ({"hidden_size": 4096.0}, "whole number"),
        ({"hidden_size": True}, "whole number"),
        ({"hidden_size": 10**30}, "must be at most"),
        ({"num_hidden_layers": -3}, "must be at least 1"),
        ({"num_hidden_layers": 0}, "must be at least 1"),
        ({"num_attention_heads": 33}, "multiple of heads"),
        ({"num_key_value_heads": 5}, "multiple of kv_heads"),
        ({"tie_word_embeddings": "yes"}, "must be true or false"),
        ({"vocab_size": {"a": [1]}}, "whole number"),
    ],
)
def test_refused_configs(changes: dict[str, Any], said: str) -> None:
    """Tests that an unknown architecture is refused by name, and a size that cannot be by its key."""
    with pytest.raises(InvalidProblem) as caught:
        shape_of({**LLAMA, **changes})
    assert said in str(caught.value)
    assert len(str(caught.value)) < 600


HOSTILE: list[tuple[str, bytes, str]] = [
    ("empty", b"", "is not JSON"),
    ("not json", b"model_type: llama", "is not JSON"),
    ("not utf-8", b'{"a": "\xff"}', "is not UTF-8"),
    ("a list", b"[1, 2]", "one JSON object"),
    ("deep lists", b"[" * 100_000, "nested deeper than 32"),
    ("deep objects", b'{"a":' * 100_000, "nested deeper than 32"),
    ("deep behind text", b'{"a": "[[[[", "b": ' + b"[" * 40 + b"}", "nested deeper than 32"),
    ("huge number", b'{"hidden_size": ' + b"9" * 500_000 + b"}", "more than 40 characters"),
    ("huge float", b'{"hidden_size": 1.' + b"9" * 500_000 + b"}", "more than 40 characters"),
    ("nan", b'{"hidden_size": NaN}', "NaN"),
    ("infinity", b'{"hidden_size": -Infinity}', "-Infinity"),
    ("key twice", b'{"model_type": "llama", "model_type": "gptj"}', "given twice"),
    ("open text", b'{"a": "' + b'\\"' * 400_000, "is not JSON"),
    ("open backslash", b'"\\', "is not JSON"),
    ("many quotes", b'"' * 900_001, "is not JSON"),
    ("too large", b" " * (MAX_BYTES + 1), "larger than 1 MiB"),
    ("control characters", b'{"model_type": "\\u0000\\u001b[31m"}', "is not a known architecture"),
    ("many keys", b"{" + b",".join(b'"k%d": 1' % i for i in range(70_000)) + b"}", "num_hidden_layers: is required"),
]


@pytest.mark.parametrize(("content", "said"), [(c, s) for _, c, s in HOSTILE], ids=[name for name, _, _ in HOSTILE])
def test_hostile_files(content: bytes, said: str, tmp_path: Path) -> None:
    """Tests that no file takes long, crashes the reader, or puts control characters on a terminal."""
    file = written(tmp_path, content)
    started = time.process_time()
    with pytest.raises(InvalidProblem) as caught:
        read_model_config(file)
    assert time.process_time() - started < 2
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_not_a_file(tmp_path: Path) -> None:
    """Tests that a folder, a pipe, a device and nothing at all are refused instead of waited for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, tmp_path / "nowhere", Path("/dev/zero"), Path("a\0b")):
        with pytest.raises(InvalidProblem):
            read_model_config(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([LLAMA, QWEN, CHATGLM, CHATGLM2, GPTJ, GPT2, GENERIC]),
    st.dictionaries(
        st.sampled_from(sorted({*LLAMA, *QWEN, *CHATGLM, *CHATGLM2, *GPTJ, *GPT2, "head_dim"})), json_values, max_size=4
    ),
)
def test_any_value_anywhere(config: dict[str, Any], changes: dict[str, Any]) -> None:
    """Tests that whatever stands under a key, a shape comes out or a fault is told."""
    try:
        shape = shape_of({**config, **changes})
    except InvalidProblem:
        return
    assert parameter_count(shape) > 0
