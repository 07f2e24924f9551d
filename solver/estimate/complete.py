"""A workload's figures from its model's shape: what is absent is filled in, what is stated stays.

Modify this module when a workload gets a new field that follows from the shape; formulas stand in memory.py and
timing.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from solver.domain.base import Flag, Id, Record, Tag, known_keys
from solver.domain.catalog import PowerCurve
from solver.domain.errors import InvalidProblem, Violation, from_validation_error, shown
from solver.domain.language import say
from solver.domain.shape import FIGURES, Assumptions, ModelShape, Spread
from solver.domain.units import Quantity, Tflops
from solver.estimate import memory, timing
from solver.estimate.counts import largest_layer_parameters, parameter_count
from solver.estimate.ends import GIB, Ends, exactly, over, rounded

REFERENCE_CARD_ID = "rtx-3090"
REFERENCE_TFLOPS = Decimal("71.2")
"""The card that estimated times are told for, and its dense BF16 TFLOPS (catalog/cards.yaml): a slow one, so that a
millisecond is a small part of a sample. Times of other cards follow by TFLOPS, so which card it is changes nothing."""
_SHARES = {200: "0.577", 220: "0.698", 250: "0.863", 280: "0.936", 300: "0.967", 320: "0.992", 350: "1"}
POWER_CURVE = PowerCurve(tdp_w=350, points=tuple((watts, Decimal(share)) for watts, share in _SHARES.items()))
"""Share of full speed against watts, measured on an RTX 3090 (club-3090); for other cards assumed, as for guide-6b."""
MOST_CARDS = 8

_PLACES = {"host_ram_bytes_per_parameter": 3, "fixed_s": 3, "optimizer_s": 3, "per_sample_s": 3}
_LEAST = {"per_sample_gb": Decimal("0.0009765625"), "per_sample_s": Decimal("0.001")}
_MOST = {"host_ram_bytes_per_parameter": 1000, "fixed_s": 3600, "optimizer_s": 3600, "per_sample_s": 3600}
_PLAIN = (
    "parameters",
    "card_scaling",
    "reference_card_id",
    "reference_tflops",
    "reference_pcie_gen",
    "compute_share",
    "compute_share_low",
    "compute_share_high",
    "preparation_low_h",
    "preparation_expected_h",
    "preparation_high_h",
    "power_curve",
)
FILLED = (*FIGURES, *_PLAIN)
"""The fields that follow from the shape where nobody states them."""


class _Inputs(Record):
    """What an estimate needs of a workload; other fields are not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    model: ModelShape
    seq_len: Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
    parameters: Annotated[int, Field(strict=True, ge=1, le=10**13)] | None = None
    zero_stage: Literal[2, 3] = 3
    offload: memory.Offload = "optimizer_and_parameters"
    zero_init: Flag = True
    gradient_accumulation: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1
    checkpointing: Flag = False
    flash_attention: Flag = True
    assumptions: Assumptions = Assumptions()
    reference_card_id: Id | None = None
    reference_tflops: Tflops | None = None
    reference_pcie_gen: Annotated[int, Field(strict=True, ge=1, le=9)] | None = None
    reference_host_bandwidth_gb_s: Annotated[Quantity, Field(gt=0)] | None = None


def completed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a workload with a `model`, with every figure filled in that follows from the shape.

    Fields named in `estimated` are taken to be stale and are filled in anew, and with them the spreads that an estimate
    gave them. `completed(completed(x)) == completed(x)`.

    Args:
        fields: of a workload, raw or as records; see `Workload`. Parameters are counted unless given.

    Returns:
        All of them and the filled ones (`Decimal`, GiB and seconds), with `spreads` (low and high end of each figure)
        and `estimated`, the sorted names of what was filled in.

    Raises:
        InvalidProblem: a faulty shape, a missing sequence length, or a figure beyond what a workload may have; the path
            is relative to the workload (`model.heads`).
    """
    stale = _names(fields.get("estimated"))
    kept = {
        name: value
        for name, value in fields.items()
        if value is not None and name not in stale and name not in ("estimated", "spreads")
    }
    inputs = _validated(kept)
    figures = _figures(inputs)
    made: dict[str, Any] = {name: value for name, value in _plain(inputs, kept).items() if name not in kept}
    spreads = [spread for spread in _spreads(fields.get("spreads")) if not _is_ours(spread, stale)]
    held = {_field(spread) for spread in spreads}
    for name, ends in figures.items():
        if name in kept:
            continue
        low, made[name], high = _rounded(name, ends)
        if name not in held:
            basis: Tag = "assumed" if name == "reserve_gb" else "estimated"
            spreads.append(Spread(field=name, low=low, high=high, basis=basis))  # type: ignore[arg-type]
    spreads.sort(key=lambda spread: FIGURES.index(_field(spread)))
    return {**kept, **made, "spreads": tuple(spreads), "estimated": tuple(sorted(made))}


def _names(estimated: Any) -> frozenset[str]:
    if estimated is None:
        return frozenset()
    if not isinstance(estimated, (list, tuple)) or not all(isinstance(name, str) for name in estimated):
        raise InvalidProblem.of("estimated", None, say("must be a list of names of fields"))
    for name in estimated:
        if name not in FILLED:
            raise InvalidProblem.of("estimated", name, say("must name fields that follow from the shape"))
    return frozenset(estimated)


def _spreads(given: Any) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, (list, tuple)):
        raise InvalidProblem.of("spreads", None, say("must be a list"))
    for index, spread in enumerate(given):
        if not isinstance(spread, Spread) and not (isinstance(spread, Mapping) and spread.get("field") in FIGURES):
            raise InvalidProblem.of(
                f"spreads.{index}.field", None, say("must be one of {names}", names=", ".join(FIGURES))
            )
    return list(given)


def _field(spread: Any) -> str:
    name: str = spread["field"] if isinstance(spread, Mapping) else spread.field
    return name


def _is_ours(spread: Any, stale: Iterable[str]) -> bool:
    """Whether an estimate made this spread: measured and calibrated ones of an absent figure are somebody's."""
    basis = spread.get("basis") if isinstance(spread, Mapping) else spread.basis
    return _field(spread) in stale and basis in ("estimated", "assumed")


def _validated(fields: Mapping[str, Any]) -> _Inputs:
    try:
        inputs = _Inputs.model_validate({name: fields[name] for name in _Inputs.model_fields if name in fields})
    except ValidationError as error:
        raise from_validation_error(error, "", known_keys(_Inputs)) from None
    shape = inputs.model
    if shape.position_embeddings and inputs.seq_len > shape.position_embeddings:
        allowed = say("must be at most {most}: the model has no more learned positions", most=shape.position_embeddings)
        raise InvalidProblem.of("seq_len", inputs.seq_len, allowed)
    counted = parameter_count(shape)
    if inputs.parameters is None and counted > 10**13:
        allowed = say("has {count:,} parameters; at most {most:,} are allowed", count=counted, most=10**13)
        raise InvalidProblem.of("model", None, allowed)
    for one, other in (("reference_card_id", "reference_tflops"), ("reference_tflops", "reference_card_id")):
        if getattr(inputs, one) is None and getattr(inputs, other) is not None:
            raise InvalidProblem([Violation(one, "", say("is required with {other}", other=other))])
    return inputs


def _figures(inputs: _Inputs) -> dict[str, Ends]:
    shape, seq_len, assumed = inputs.model, inputs.seq_len, inputs.assumptions
    parameters = inputs.parameters or parameter_count(shape)
    states = memory.model_states(
        parameters, largest_layer_parameters(shape), inputs.zero_stage, inputs.offload, inputs.zero_init
    )
    card, sharded = memory.held_bytes(states, parameters, inputs.zero_stage, inputs.offload)
    sample = memory.sample_bytes(shape, seq_len, inputs.checkpointing, inputs.flash_attention, assumed)
    moved = timing.transfer_bytes_per_parameter(
        inputs.zero_stage, inputs.offload, inputs.checkpointing, inputs.gradient_accumulation
    )
    usual = Assumptions()
    gib = exactly(GIB)
    return {
        "weights_gb": over(card, gib),
        "buffers_gb": over(memory.buffer_bytes(shape, parameters, inputs.zero_stage), gib),
        "reserve_gb": memory.CONTEXT_GIB,
        "sharded_gb": over(sharded, gib),
        "per_sample_gb": over(sample, gib),
        "host_ram_bytes_per_parameter": memory.host_bytes_per_parameter(states),
        "host_ram_per_extra_card_gb": memory.HOST_GIB_PER_EXTRA_CARD,
        "host_ram_per_card_gb": over(memory.host_bytes_per_card(states), gib),
        "fixed_s": timing.fixed_seconds(
            moved,
            parameters,
            assumed,
            assumed.pcie_gb_s != usual.pcie_gb_s,
            inputs.reference_pcie_gen or timing.RATE_GENERATION,
        ),
        "optimizer_s": timing.optimizer_seconds(
            parameters,
            inputs.offload,
            assumed,
            assumed.host_bandwidth_gb_s != usual.host_bandwidth_gb_s,
            inputs.reference_host_bandwidth_gb_s,
        ),
        "per_sample_s": timing.per_sample_seconds(
            parameters, seq_len, inputs.checkpointing, inputs.reference_tflops or REFERENCE_TFLOPS, assumed
        ),
    }


def _plain(inputs: _Inputs, kept: Mapping[str, Any]) -> dict[str, Any]:
    exchanged = inputs.offload == "none"
    share = kept.get("compute_share", Decimal(1))
    hours = kept.get("preparation_expected_h", kept.get("preparation_low_h", Decimal(0)))
    return {
        "parameters": parameter_count(inputs.model),
        "card_scaling": timing.exchange_scaling(MOST_CARDS) if exchanged else (Decimal(1),),
        "reference_card_id": REFERENCE_CARD_ID,
        "reference_tflops": REFERENCE_TFLOPS,
        "reference_pcie_gen": timing.RATE_GENERATION,
        "compute_share": share,
        "compute_share_low": share,
        "compute_share_high": share,
        "preparation_low_h": hours,
        "preparation_expected_h": hours,
        "preparation_high_h": hours,
        "power_curve": POWER_CURVE,
    }


def _rounded(name: str, ends: Ends) -> tuple[Decimal, Decimal, Decimal]:
    most = _MOST.get(name, 1_000_000)
    if ends.high > Fraction(most):
        told = f"{float(ends.high):,.4g}"
        allowed = say(
            "would reach this by the model's shape; at most {most:,} is allowed: state it, or a smaller model",
            most=most,
        )
        raise InvalidProblem([Violation(name, shown(told).strip('"'), allowed)])
    return rounded(ends, _PLACES.get(name, 10), _LEAST.get(name, Decimal(0)))
