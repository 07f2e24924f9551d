"""A Hugging Face `config.json` from disk -> the shape of the model. No network, no code of the model is run.

The file may come from anybody: it is read within bounds (size, depth, digits), each value is checked, and an
architecture that is not known is refused by its name instead of being taken for another. Modify this module when an
architecture is added: one function that says where its config keeps what.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from solver.catalog.reading import read_file
from solver.domain.base import known_keys
from solver.domain.errors import InvalidProblem, Violation, from_validation_error, nearest, shown
from solver.domain.language import say
from solver.domain.shape import ModelShape

MAX_BYTES = 2**20
MAX_DEPTH = 32
_LONGEST_NUMBER = 40


def read_model_config(path: Path) -> ModelShape:
    """The shape of the model that a `config.json` describes.

    Raises:
        InvalidProblem: unreadable, too large, not JSON, of an unknown architecture, or a size is missing or impossible.
    """
    if path.exists() and not path.is_file() and not path.is_dir():  # a pipe would be waited for
        raise InvalidProblem.of(str(path), None, say("is not a file"))
    data = read_file(path)
    if len(data) > MAX_BYTES:
        allowed = say("is larger than {mib} MiB: not a config.json", mib=MAX_BYTES // 2**20)
        raise InvalidProblem.of(path.name, None, allowed)
    config = _parsed(data, path.name)
    if not isinstance(config, Mapping):
        raise InvalidProblem.of(path.name, None, say("must be one JSON object, as a model's config.json is"))
    return shape_of(config, path.name)


def shape_of(config: Mapping[str, Any], name: str = "config.json") -> ModelShape:
    """The same of a config that was read already; `name` stands before every fault.

    Raises:
        InvalidProblem: as `read_model_config`.
    """
    kind = _architecture(config, name)
    for key in _EXPERTS:
        if config.get(key) not in (None, 0, 1):
            raise InvalidProblem.of(f"{name}: {key}", None, say("mixtures of experts are not known"))
    try:
        fields = _LAYOUTS[kind](_Config(config, name))
    except RecursionError:  # a value nested to the limit, in a message
        raise InvalidProblem.of(name, None, say("is nested too deep")) from None
    try:
        return ModelShape.model_validate({**fields, "family": kind})
    except ValidationError as error:
        found = from_validation_error(error, name, known_keys(ModelShape))
        raise InvalidProblem(
            Violation(v.field.replace(f"{name}.", f"{name}: "), v.value, v.allowed) for v in found.violations
        ) from None


_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_experts_per_tok")


def _architecture(config: Mapping[str, Any], name: str) -> str:
    kind = config.get("model_type")
    if kind is None:
        if config.get("architectures") is None:
            return "generic"
        allowed = say("is required beside architectures; known: {known}", known=", ".join(sorted(_LAYOUTS)))
        raise InvalidProblem.of(f"{name}: model_type", None, allowed)
    if not isinstance(kind, str) or kind not in _LAYOUTS:
        guess = nearest(kind, _LAYOUTS) if isinstance(kind, str) else ""
        allowed = say(
            "is not a known architecture{guess}; known: {known}. State the shape instead",
            guess=guess,
            known=", ".join(sorted(_LAYOUTS)),
        )
        raise InvalidProblem.of(f"{name}: model_type", kind if isinstance(kind, str) else None, allowed)
    return kind


class _Config:
    """A config with checked access: whole numbers and flags, or a fault that names the key."""

    def __init__(self, values: Mapping[str, Any], name: str) -> None:
        self.values = values
        self.name = name

    def number(self, *keys: str) -> int:
        """The whole number under the first of these keys that is there."""
        found = self.number_or(None, *keys)
        if found is None:
            raise InvalidProblem.of(f"{self.name}: {keys[0]}", None, say("is required"))
        return found

    def number_or(self, other: int | None, *keys: str) -> int | None:
        """The same, or `other` where none of the keys has a value."""
        for key in keys:
            value = self.values.get(key)
            if value is not None:
                if isinstance(value, bool) or not isinstance(value, int):
                    plain = value if isinstance(value, (str, float)) else None
                    raise InvalidProblem.of(f"{self.name}: {key}", plain, say("must be a whole number"))
                return value
        return other

    def flag(self, key: str, other: bool) -> bool:
        """True or false under a key; `other` where it has no value."""
        value = self.values.get(key)
        if value is None:
            return other
        if not isinstance(value, bool):
            plain = value if isinstance(value, (str, int, float)) else None
            raise InvalidProblem.of(f"{self.name}: {key}", plain, say("must be true or false"))
        return value


def _llama(config: _Config) -> dict[str, Any]:
    """LLaMA and Mistral: gated MLP, RMSNorm, no biases unless said, own output head unless said."""
    attention, mlp = config.flag("attention_bias", False), config.flag("mlp_bias", False)
    biases = {(False, False): "none", (True, False): "qkv", (False, True): "mlp", (True, True): "all"}
    return {
        **_plain(config),
        "kv_heads": config.number_or(None, "num_key_value_heads"),
        "head_dim": config.number_or(None, "head_dim"),
        "tied_head": config.flag("tie_word_embeddings", False),
        "biases": biases[attention, mlp],
    }


def _qwen2(config: _Config) -> dict[str, Any]:
    """Qwen2 and Qwen2.5: as LLaMA, with biases of queries, keys and values."""
    return {**_llama(config), "biases": "qkv"}


def _chatglm(config: _Config) -> dict[str, Any]:
    """ChatGLM-6B (`inner_hidden_size`, LayerNorm, all biases, tied head) or ChatGLM2 and 3 (`ffn_hidden_size`)."""
    if config.number_or(None, "ffn_hidden_size") is None:
        return {
            "layers": config.number("num_layers"),
            "hidden": config.number("hidden_size"),
            "heads": config.number("num_attention_heads"),
            "ffn": config.number("inner_hidden_size"),
            "vocab": config.number("vocab_size"),
            "gated": False,
            "tied_head": config.flag("tie_word_embeddings", True),
            "biases": "all",
            "norm_bias": True,
        }
    grouped = config.flag("multi_query_attention", False)
    return {
        "layers": config.number("num_layers"),
        "hidden": config.number("hidden_size"),
        "heads": config.number("num_attention_heads"),
        "kv_heads": config.number("multi_query_group_num") if grouped else None,
        "head_dim": config.number_or(None, "kv_channels"),
        "ffn": config.number("ffn_hidden_size"),
        "vocab": config.number("padded_vocab_size", "vocab_size"),
        "tied_head": config.flag("tie_word_embeddings", False),
        "biases": "all" if config.flag("add_bias_linear", False) else _qkv(config.flag("add_qkv_bias", False)),
        "norm_bias": not config.flag("rmsnorm", True),
    }


def _qkv(biased: bool) -> str:
    return "qkv" if biased else "none"


def _gptj(config: _Config) -> dict[str, Any]:
    """GPT-J: one LayerNorm a layer, biases in the MLP and the head, rotary positions."""
    hidden = config.number("n_embd", "hidden_size")
    return {
        "layers": config.number("n_layer", "num_hidden_layers"),
        "hidden": hidden,
        "heads": config.number("n_head", "num_attention_heads"),
        "ffn": config.number_or(4 * hidden, "n_inner"),
        "vocab": config.number("vocab_size"),
        "gated": False,
        "tied_head": config.flag("tie_word_embeddings", False),
        "biases": "mlp",
        "norms_per_layer": 1,
        "norm_bias": True,
        "head_bias": True,
    }


def _gpt2(config: _Config) -> dict[str, Any]:
    """GPT-2: learned positions, all biases, LayerNorm, tied head."""
    return {
        **_gptj(config),
        "tied_head": config.flag("tie_word_embeddings", True),
        "position_embeddings": config.number("n_positions", "max_position_embeddings"),
        "biases": "all",
        "norms_per_layer": 2,
        "head_bias": False,
    }


def _generic(config: _Config) -> dict[str, Any]:
    """A config without architecture: the usual names, taken as a LLaMA-like model unless its flags say otherwise."""
    return _llama(config)


def _plain(config: _Config) -> dict[str, Any]:
    return {
        "layers": config.number("num_hidden_layers"),
        "hidden": config.number("hidden_size"),
        "heads": config.number("num_attention_heads"),
        "ffn": config.number("intermediate_size"),
        "vocab": config.number("vocab_size"),
    }


_LAYOUTS: dict[str, Callable[[_Config], dict[str, Any]]] = {
    "llama": _llama,
    "mistral": _llama,
    "qwen2": _qwen2,
    "chatglm": _chatglm,
    "gptj": _gptj,
    "gpt2": _gpt2,
    "generic": _generic,
}
"""`model_type` of a config -> where it keeps the shape."""

_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*+\\?(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)
"""Texts, which may hold brackets, and brackets. A text without end goes to the end of the file, in one go."""


def _parsed(data: bytes, name: str) -> Any:
    """JSON within bounds: UTF-8, at most 32 levels, no NaN, no key twice, no number beyond 40 digits."""
    depth = 0
    for found in _NESTING.finditer(data):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(found.group(), 0)
        if depth > MAX_DEPTH:
            raise InvalidProblem.of(name, None, say("is nested deeper than {levels} levels", levels=MAX_DEPTH))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidProblem.of(name, None, say("is not UTF-8 text (byte {byte})", byte=error.start)) from None

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in pairs:
            if key in made:
                raise InvalidProblem.of(name, None, say("key {key} is given twice", key=shown(key)))
            made[key] = value
        return made

    def number(make: Callable[[str], Any]) -> Callable[[str], Any]:
        def made(digits: str) -> Any:
            if len(digits) > _LONGEST_NUMBER:
                allowed = say("a number has more than {most} characters", most=_LONGEST_NUMBER)
                raise InvalidProblem.of(name, None, allowed)
            return make(digits)

        return made

    def refused(constant: str) -> Any:
        raise InvalidProblem.of(name, None, say("{constant} is not a number of JSON", constant=constant))

    try:
        return json.loads(
            text, object_pairs_hook=once, parse_int=number(int), parse_float=number(float), parse_constant=refused
        )
    except json.JSONDecodeError as error:
        allowed = say("is not JSON: {reason}", reason=error.msg[:100])
        raise InvalidProblem.of(f"{name}:{error.lineno}", None, allowed) from None
    except RecursionError:
        raise InvalidProblem.of(name, None, say("is nested deeper than {levels} levels", levels=MAX_DEPTH)) from None
