"""The shape of a language model, and what an estimate assumes about the machine it runs on.

Plain data: what follows from it is computed in solver/estimate. Modify this module when the estimate needs to know
something new about a model.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from solver.domain.base import Flag, Name, Record, Tag
from solver.domain.units import Gb, Quantity

Width = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]


class ModelShape(Record):
    """A decoder-only transformer: layers, widths, heads, vocabulary. Sizes are counts, not bytes."""

    layers: Annotated[int, Field(strict=True, ge=1, le=10_000)]
    hidden: Width
    heads: Annotated[int, Field(strict=True, ge=1, le=100_000)]
    kv_heads: Annotated[int, Field(strict=True, ge=1, le=100_000)] | None = None
    """Heads of keys and values, fewer than `heads` with grouped attention; None: as many as `heads`."""
    head_dim: Width | None = None
    """Width of a head; None: hidden / heads."""
    ffn: Width
    """Inner width of the MLP."""
    vocab: Width
    gated: Flag = True
    """Three matrices in the MLP (SwiGLU and the like) instead of two."""
    tied_head: Flag = False
    """The output head shares the matrix of the input embedding."""
    position_embeddings: Annotated[int, Field(strict=True, ge=0, le=10_000_000)] = 0
    """Learned positions (GPT-2); 0 for rotary ones and ALiBi."""
    biases: Literal["none", "qkv", "mlp", "all"] = "none"
    """Which linear layers have biases: none, those of queries, keys and values, those of the MLP, or all."""
    norms_per_layer: Annotated[int, Field(strict=True, ge=0, le=8)] = 2
    norm_bias: Flag = False
    """Normalisation with a bias (LayerNorm) instead of a weight alone (RMSNorm)."""
    head_bias: Flag = False
    published_parameters: Annotated[int, Field(strict=True, ge=1, le=10**13)] | None = None
    """Count as published, to compare with; never used to compute."""
    family: Name | None = None
    """Architecture as its publisher names it (`model_type` of a config.json)."""

    @model_validator(mode="after")
    def _heads(self) -> Self:
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError("heads must be a multiple of kv_heads")
        if self.head_dim is None and self.hidden % self.heads:
            raise ValueError("hidden must be a multiple of heads where head_dim is not given")
        return self


class Range(Record):
    """Low, expected and high value of one assumption; the unit is the field's."""

    low: Quantity
    expected: Quantity
    high: Quantity

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 < self.low <= self.expected <= self.high:
            raise ValueError("must be above 0 and rise: low <= expected <= high")
        return self


def _range(low: str, expected: str, high: str) -> Range:
    return Range(low=Decimal(low), expected=Decimal(expected), high=Decimal(high))


class Assumptions(Record):
    """What an estimate from a shape assumes. Every one an interval; low and high are values, not good and bad."""

    logits_bytes: Range = _range("8", "10", "14")
    """Bytes per token and vocabulary entry that the logits and their loss take."""
    compute_efficiency: Range = _range("0.35", "0.45", "0.55")
    """Share of the card's dense TFLOPS that training reaches while it computes."""
    pcie_gb_s: Range = _range("16", "22", "26")
    """1e9 bytes a second that one x16 slot of `reference_pcie_gen` (4 where that is not given) moves in practice."""
    adam_bytes_per_parameter: Range = _range("28", "29", "30")
    """Bytes that Adam on the CPU moves to and from memory per parameter and step."""
    host_bandwidth_gb_s: Range = _range("10", "11", "12")
    """1e9 bytes a second between CPU and memory while Adam runs: one core's, which the guide saw at work."""


FIGURES = (
    "weights_gb",
    "buffers_gb",
    "reserve_gb",
    "sharded_gb",
    "per_sample_gb",
    "host_ram_bytes_per_parameter",
    "host_ram_per_extra_card_gb",
    "host_ram_per_card_gb",
    "fixed_s",
    "optimizer_s",
    "per_sample_s",
)
"""The figures of a workload that may have a spread."""


class Spread(Record):
    """Low and high end of one figure of a workload, in the figure's unit, and how far the figure is trusted."""

    field: Literal[
        "weights_gb",
        "buffers_gb",
        "reserve_gb",
        "sharded_gb",
        "per_sample_gb",
        "host_ram_bytes_per_parameter",
        "host_ram_per_extra_card_gb",
        "host_ram_per_card_gb",
        "fixed_s",
        "optimizer_s",
        "per_sample_s",
    ]
    low: Gb
    high: Gb
    basis: Tag
