"""Parameters of a decoder-only transformer, counted from its shape.

Exact for LLaMA, Qwen2.5, ChatGLM and GPT-J (tests/test_estimate.py holds the published counts). Modify this module when
an architecture has a matrix that these do not have.
"""

from __future__ import annotations

from solver.domain.errors import InvalidProblem
from solver.domain.language import say
from solver.domain.shape import ModelShape


def head_width(shape: ModelShape) -> int:
    """Width of one attention head: as given, or hidden / heads."""
    return shape.hidden // shape.heads if shape.head_dim is None else shape.head_dim


def key_value_width(shape: ModelShape) -> int:
    """Width of the keys of all heads together, and of the values: fewer than hidden with grouped heads."""
    return (shape.heads if shape.kv_heads is None else shape.kv_heads) * head_width(shape)


def layer_parameters(shape: ModelShape) -> int:
    """Parameters of one layer: queries, keys, values, output; two or three matrices of the MLP; biases; norms.

    `h * q + 2 * h * kv + q * h + (3 if gated else 2) * h * ffn`, where q and kv are the widths of all heads together.
    """
    h, q, kv = shape.hidden, shape.heads * head_width(shape), key_value_width(shape)
    inner = 2 if shape.gated else 1
    matrices = h * q + 2 * h * kv + q * h + (inner + 1) * h * shape.ffn
    biases = 0
    if shape.biases in ("qkv", "all"):
        biases += q + 2 * kv
    if shape.biases in ("mlp", "all"):
        biases += inner * shape.ffn + h
    if shape.biases == "all":
        biases += h
    return matrices + biases + shape.norms_per_layer * norm_parameters(shape)


def norm_parameters(shape: ModelShape) -> int:
    """Parameters of one normalisation: a weight, and a bias where it has one."""
    return shape.hidden * (2 if shape.norm_bias else 1)


def parameter_count(shape: ModelShape) -> int:
    """All parameters: embedding and positions, layers, the last norm, and the output head where it has its own."""
    embedding = shape.vocab * shape.hidden
    head = 0 if shape.tied_head else embedding
    if shape.head_bias:
        head += shape.vocab
    positions = shape.position_embeddings * shape.hidden
    return embedding + positions + shape.layers * layer_parameters(shape) + norm_parameters(shape) + head


def largest_layer_parameters(shape: ModelShape) -> int:
    """Parameters of the largest single module, as DeepSpeed's estimator takes them: mostly the embedding."""
    return max(
        shape.vocab * shape.hidden,
        shape.hidden * shape.ffn,
        shape.hidden * shape.heads * head_width(shape),
    )


def fitting_ffn(shape: ModelShape, parameters: int) -> int:
    """The inner width of the MLP with which the shape comes nearest to so many parameters.

    Raises:
        InvalidProblem: all else has more parameters already.
    """
    without, wider = (parameter_count(ModelShape.model_validate({**dict(shape), "ffn": width})) for width in (1, 2))
    each = wider - without
    width = 1 + round((parameters - without) / each)
    if not 1 <= width <= 10_000_000:
        if width > 1:
            raise InvalidProblem.of("parameters", parameters, say("is too many for these sizes"))
        allowed = say("must be above {least:,}: embeddings and attention of these sizes have that many", least=without)
        raise InvalidProblem.of("parameters", parameters, allowed)
    return width
