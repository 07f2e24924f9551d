"""What is to be trained, and what it takes: memory, host RAM and time as figures with their spreads.

Modify this module when a new fact about training enters the problem. Memory GB = GiB.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from solver.domain.base import End, Flag, Id, Name, Provenance, Record, Tag, Text
from solver.domain.catalog import PowerCurve
from solver.domain.language import say
from solver.domain.shape import Assumptions, ModelShape, Spread
from solver.domain.units import (
    BytesPerParameter,
    Factor,
    Gb,
    Hours,
    PositiveGb,
    Quantity,
    Seconds,
    Share,
    Tflops,
)

_TAGS: dict[str, Tag] = {
    "measured": "measured",
    "calibrated": "calibrated",
    "estimated": "estimated",
    "computed": "estimated",
    "source": "estimated",
}
"""Where a figure comes from -> how far it is trusted; everything else is taken on trust."""


class StepTime(Record):
    """One measured step: micro-batch per card and the seconds it took on the workload's reference card."""

    micro_batch: Annotated[int, Field(strict=True, ge=1, le=100_000)]
    seconds: Seconds


_SPREAD_RANGES: dict[str, tuple[Decimal, Decimal, int]] = {
    "_gb": (Decimal(0), Decimal(1_000_000), 10),
    "per_sample_gb": (Decimal("0.0009765625"), Decimal(1_000_000), 10),
    "host_ram_bytes_per_parameter": (Decimal(0), Decimal(1000), 3),
    "fixed_s": (Decimal(0), Decimal(3600), 3),
    "optimizer_s": (Decimal(0), Decimal(3600), 3),
    "per_sample_s": (Decimal("0.001"), Decimal(3600), 3),
}
"""Least, most and decimals of each figure, as its own type has them."""


class Workload(Record):
    """A training job and what it takes: memory per card, host RAM, seconds per step. All figures are data.

    A workload made from a model's shape (`model`, `seq_len`) carries the figures that follow from it as well, and their
    names in `estimated`: solver/estimate fills them in, and again whenever a field they follow from is changed.

    Memory of a card: weights + buffers + reserve + sharded / cards + micro-batch * per sample.
    Host RAM: max(parameters * bytes per parameter, cards * per card) + per extra card * (cards - 1).
    Seconds of an optimizer step: accumulation * (f(cards) * fixed + micro-batch * per sample) + f(cards) * optimizer.
    """

    id: Id
    name: Name
    precision: Literal["bf16", "fp16"] = "bf16"
    parameters: Annotated[int, Field(strict=True, ge=1, le=10**13)]
    samples: Annotated[int, Field(strict=True, ge=1, le=10**8)]
    epochs: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1
    zero_stage: Literal[2, 3] = 3
    """DeepSpeed ZeRO: 2 shards gradients and optimizer states, 3 the parameters too."""
    offload: Literal["none", "optimizer", "optimizer_and_parameters"] = "optimizer_and_parameters"
    """What is kept in host RAM; parameters only with stage 3."""
    zero_init: Flag = True
    """Stage 3: the model is built sharded (zero.Init), so that no process holds it whole in host RAM."""
    gradient_accumulation: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1
    """Micro-steps in one optimizer step; the total batch is cards * micro-batch * this."""
    model: ModelShape | None = None
    """The shape that figures follow from."""
    seq_len: Annotated[int, Field(strict=True, ge=1, le=10_000_000)] | None = None
    """Tokens of a sample."""
    checkpointing: Flag = False
    """Activations are recomputed in the backward pass, layer by layer."""
    flash_attention: Flag = True
    """Attention without the matrix of scores in memory."""
    assumptions: Assumptions | None = None
    """What the estimate assumes, together with `model` only; None: the defaults of `Assumptions`."""
    weights_gb: Gb
    buffers_gb: Gb
    reserve_gb: Gb
    sharded_gb: Gb = Decimal(0)
    """Model states that the cards share between them: each holds 1 / cards of it."""
    per_sample_gb: PositiveGb
    host_ram_bytes_per_parameter: BytesPerParameter
    host_ram_per_extra_card_gb: Gb
    host_ram_per_card_gb: Gb = Decimal(0)
    """Host RAM that the processes of the cards need at the same time while they load, each; counts where it is more."""
    fixed_s: Seconds
    """Of a micro-step, whatever its batch: transfers, and all else the cards wait for."""
    optimizer_s: Seconds = Decimal(0)
    """Of an optimizer step, once for all its micro-steps; 0 where it is inside `fixed_s`."""
    per_sample_s: Annotated[Seconds, Field(gt=0)]
    reference_pcie_gen: Annotated[int, Field(strict=True, ge=1, le=9)] | None = None
    """PCIe generation (x16) for which `fixed_s` holds: half the generation's rate takes twice as long. None: the same
    on every platform."""
    reference_host_bandwidth_gb_s: Annotated[Quantity, Field(gt=0)] | None = None
    """Memory bandwidth of the host for which `optimizer_s` holds. None: the same on every platform."""
    card_scaling: Annotated[tuple[Factor, ...], Field(min_length=1, max_length=64)] = (Decimal(1),)
    """f(n): factor on the fixed and the optimizer time with n cards; the last entry holds for more cards."""
    compute_share: Share
    compute_share_low: Share
    compute_share_high: Share
    measured_steps: tuple[StepTime, ...] = ()
    """Measured steps from which the interval of the epoch time follows, where `spreads` has none for it."""
    preparation_low_h: Hours
    preparation_expected_h: Hours
    preparation_high_h: Hours
    reference_card_id: Id
    reference_tflops: Tflops
    power_curve: PowerCurve
    """Used for cards that have no curve of their own."""
    spreads: Annotated[tuple[Spread, ...], Field(max_length=20)] = ()
    """Low and high end of figures; a figure without one is taken to be exact, the step times aside (measured_steps)."""
    estimated: Annotated[tuple[Name, ...], Field(max_length=30)] = ()
    """Fields that follow from the shape: filled in by solver/estimate, never kept when the shape changes."""
    notes: Text | None = None
    provenance: tuple[Provenance, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.compute_share_low <= self.compute_share <= self.compute_share_high:
            raise ValueError(say("compute_share must lie between compute_share_low and compute_share_high"))
        if not self.preparation_low_h <= self.preparation_expected_h <= self.preparation_high_h:
            raise ValueError(say("preparation_expected_h must lie between preparation_low_h and preparation_high_h"))
        self._check_spreads()
        self._check_offload()
        return self

    def _check_spreads(self) -> None:
        names = [spread.field for spread in self.spreads]
        if len(names) != len(set(names)):
            raise ValueError(say("spreads must name each figure once"))
        for spread in self.spreads:
            if not spread.low <= getattr(self, spread.field) <= spread.high:
                value = getattr(self, spread.field)
                raise ValueError(
                    say(
                        "spreads: {field} = {value} must lie between {low} and {high}",
                        field=spread.field,
                        value=value,
                        low=spread.low,
                        high=spread.high,
                    )
                )
            least, most, places = _SPREAD_RANGES.get(spread.field, _SPREAD_RANGES["_gb"])
            if not all(least <= v <= most and v == round(v, places) for v in (spread.low, spread.high)):
                allowed = f"between {least} and {most}, with at most {places} decimals"
                raise ValueError(
                    say("spreads: the ends of {field} must lie {allowed}", field=spread.field, allowed=allowed)
                )
        unknown = [name for name in self.estimated if name not in type(self).model_fields]
        if unknown:
            raise ValueError(say("estimated must name fields of a workload, not {names}", names=", ".join(unknown[:5])))

    def _check_offload(self) -> None:
        if self.offload == "optimizer_and_parameters" and self.zero_stage == 2:
            raise ValueError(
                say("offload must be none or optimizer where zero_stage is 2: only stage 3 has parameters to offload")
            )
        if self.model is not None and self.seq_len is None:
            raise ValueError(say("seq_len is required with a model"))

    @cached_property
    def _spread_by_field(self) -> dict[str, Spread]:
        return {spread.field: spread for spread in self.spreads}

    def figure(self, name: str, end: End = "expected") -> Decimal:
        """The value of a figure (one of `FIGURES`) at one end of its spread; as it is where it has none."""
        value: Decimal = getattr(self, name)
        if end == "expected":
            return value
        spread = self._spread_by_field.get(name)
        return value if spread is None else spread.low if end == "low" else spread.high

    def has_spread(self, *names: str) -> bool:
        """Whether any of these figures has a spread."""
        return any(name in self._spread_by_field for name in names)

    def tag_of(self, name: str) -> Tag:
        """How far a figure is trusted: as its spread says, or else as its source allows."""
        spread = self._spread_by_field.get(name)
        if spread is not None:
            return spread.basis
        if name in self.estimated:
            return "estimated"
        if name in ("fixed_s", "per_sample_s") and self.measured_steps:
            return "measured"
        for provenance in self.provenance:
            if name in provenance.fields:
                return _TAGS.get(provenance.basis, "assumed")
        return "assumed"
