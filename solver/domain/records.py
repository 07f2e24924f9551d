"""What is for sale and what is to be trained: cards, platforms, offers, workloads. Every figure carries its source.

Modify this module when a new fact about hardware or training enters the problem. Money is CNY, memory GB = GiB.
"""

from __future__ import annotations

import contextlib
import datetime
from collections import Counter
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from solver.domain.base import End, Flag, Id, Interval, Name, Record, Tag, Text, known_keys
from solver.domain.shape import FIGURES, Assumptions, ModelShape, Spread
from solver.domain.units import (
    BytesPerParameter,
    Celsius,
    Cny,
    Count,
    Factor,
    Gb,
    Hours,
    Mib,
    Percent,
    PositiveGb,
    Quantity,
    Seconds,
    Share,
    Tflops,
    Watts,
)


def _date(value: object) -> datetime.date:
    """A date or its text YYYY-MM-DD; never a number, which pydantic would take for seconds since 1970."""
    if isinstance(value, str) and len(value) == 10:
        with contextlib.suppress(ValueError):
            return datetime.date.fromisoformat(value)
    elif isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    raise ValueError("must be a date such as 2023-07-01")


Date = Annotated[datetime.date, BeforeValidator(_date)]


def _whole_key(value: object) -> object:
    """A count as the key of a mapping: files have it as text. '04' would be a second spelling of 4."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 2 and value[0] != "0":
        return int(value)
    return value


CardCount = Annotated[int, BeforeValidator(_whole_key), Field(strict=True, ge=1, le=64)]
Basis = Literal["guide", "source", "computed", "assumed", "unverified", "measured", "calibrated", "estimated"]
"""Where a figure comes from: the guide that started the project, a public source, computed from such figures, a
planning assumption, a source nobody could verify (a memory, an analogy), measured for this very job, fitted to such
measurements, or estimated from the model's shape."""
_TAGS: dict[str, Tag] = {
    "measured": "measured",
    "calibrated": "calibrated",
    "estimated": "estimated",
    "computed": "estimated",
    "source": "estimated",
}
"""Where a figure comes from -> how far it is trusted; everything else is taken on trust."""


class Provenance(Record):
    """Where some figures of an entry come from: which fields, the source, its date, and how far to trust it."""

    fields: Annotated[tuple[Name, ...], Field(min_length=1, max_length=40)]
    source: Text
    basis: Basis
    date: Annotated[str, Field(strict=True, max_length=20, pattern=r"^\d{4}(-\d{2}){0,2}$")] | None = None


class PowerCurve(Record):
    """Share of full speed against the power limit, measured on a card of `tdp_w`.

    Between points linear in watts / TDP; flat above the last point; from the first point linearly to 0 below it.
    """

    tdp_w: Watts
    points: Annotated[tuple[tuple[Watts, Share], ...], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _rising(self) -> Self:
        watts = [w for w, _ in self.points]
        shares = [s for _, s in self.points]
        if watts != sorted(set(watts)) or shares != sorted(shares) or shares[0] <= 0:
            raise ValueError("points must rise in watts and not fall in share, and start above share 0")
        return self


Connectors = dict[Literal["8-pin", "eps-8-pin", "12-pin", "16-pin"], Annotated[int, Field(strict=True, ge=0, le=64)]]


class Card(Record):
    """One model of GPU card. Memory is what the driver reports, in MiB; watts per card; TFLOPS dense BF16/FP16."""

    id: Id
    name: Name
    vendor: Name = "nvidia"
    vram_mib: Mib
    vram_mib_ecc_on: Mib | None = None
    ecc_default: Text | None = None
    tdp_w: Watts
    power_limit_min_w: Watts | None = None
    power_limit_max_w: Watts | None = None
    slot_width: Annotated[int, Field(strict=True, ge=1, le=8)]
    length_mm: Annotated[int, Field(strict=True, ge=1, le=2000)] | None = None
    cooling: Literal["axial", "blower", "passive"]
    power_connectors: tuple[Connectors, ...] = ()
    """Alternatives: any one of these sets of PSU cables feeds a card. Empty: not known, not checked."""
    pcie_gen: Annotated[int, Field(strict=True, ge=1, le=9)] | None = None
    nvlink_pair_gb_s: Quantity | None = None
    memory_bandwidth_gb_s: Quantity | None = None
    bf16_dense_tflops: Tflops
    bf16_measured_tflops: Text | None = None
    bf16_tensor_cores: Flag
    power_curve: PowerCurve | None = None
    launched: Text | None = None
    availability: Text | None = None
    unverified: tuple[Name, ...] = ()
    """Fields that no public source confirms."""
    notes: Text | None = None
    provenance: tuple[Provenance, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.power_limit_min_w is not None and self.power_limit_min_w > self.tdp_w:
            raise ValueError("power_limit_min_w must not be above tdp_w")
        if self.power_limit_max_w is not None and self.power_limit_max_w < self.tdp_w:
            raise ValueError("power_limit_max_w must not be below tdp_w")
        return self


class Psu(Record):
    """A power supply: rated output in W, efficiency in percent at loads in percent, headroom for transients.

    `host_headroom` and `card_headroom` are the factors by which the draw of the host and of the cards is multiplied
    before it is held against `rated_w`: 1.1 and 1.1 for an ATX 3 unit, 1.0 and 1.35 for older ones.
    """

    name: Name
    rated_w: Watts
    efficiency_points: Annotated[tuple[tuple[Percent, Percent], ...], Field(min_length=1, max_length=20)]
    host_headroom: Factor
    card_headroom: Factor
    connectors: Connectors | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        loads = [load for load, _ in self.efficiency_points]
        if loads != sorted(set(loads)) or any(e < 1 for _, e in self.efficiency_points):
            raise ValueError("efficiency_points must rise in load and have efficiencies of at least 1 percent")
        return self


class Platform(Record):
    """Everything but the cards: board, CPU, RAM, case, power supply. Unknown limits are left out, and not checked."""

    id: Id
    name: Name
    expansion_slots: Count
    pcie_x16_slots: Count
    psu: Psu
    host_ram_gb: Gb
    pcie_gen: Annotated[int, Field(strict=True, ge=1, le=9)] | None = None
    host_memory_bandwidth_gb_s: Annotated[Quantity, Field(gt=0)] | None = None
    """What the CPU moves to and from its memory, all channels together."""
    host_draw_w: Annotated[int, Field(strict=True, ge=0, le=100_000)]
    ducted: Flag
    airflow_cfm: Quantity
    air_delta_t_c: Celsius
    max_axial_cards: Count = 2
    max_card_length_mm: Annotated[int, Field(strict=True, ge=1, le=5000)] | None = None
    extra_cost_cny: dict[CardCount, Cny] = Field(default_factory=dict)
    """Extra cost of a build with that many cards (cooling, assembly, upkeep); none where a count is absent."""
    availability: Text | None = None
    notes: Text | None = None
    unverified: tuple[Name, ...] = ()
    provenance: tuple[Provenance, ...] = ()


class Offer(Record):
    """A price at which a card or platform can be bought. Rows of one vendor and condition with different minimum
    quantities are quantity breaks of one offer and share its stock."""

    item_id: Id
    unit_price_cny: Cny
    condition: Literal["new", "used"] = "new"
    stock: Count | None = None
    min_quantity: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1
    vendor: Text = ""
    quote_date: Date | None = None
    valid_until: Date | None = None
    tax_included: Flag | None = None
    lead_time_days: Count | None = None
    source: Text = ""
    basis: Literal["guide", "source", "quote", "assumed"] = "quote"


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
            raise ValueError("compute_share must lie between compute_share_low and compute_share_high")
        if not self.preparation_low_h <= self.preparation_expected_h <= self.preparation_high_h:
            raise ValueError("preparation_expected_h must lie between preparation_low_h and preparation_high_h")
        self._check_spreads()
        self._check_offload()
        return self

    def _check_spreads(self) -> None:
        names = [spread.field for spread in self.spreads]
        if len(names) != len(set(names)):
            raise ValueError("spreads must name each figure once")
        for spread in self.spreads:
            if not spread.low <= getattr(self, spread.field) <= spread.high:
                value = getattr(self, spread.field)
                raise ValueError(f"spreads: {spread.field} = {value} must lie between {spread.low} and {spread.high}")
            least, most, places = _SPREAD_RANGES.get(spread.field, _SPREAD_RANGES["_gb"])
            if not all(least <= v <= most and v == round(v, places) for v in (spread.low, spread.high)):
                allowed = f"between {least} and {most}, with at most {places} decimals"
                raise ValueError(f"spreads: the ends of {spread.field} must lie {allowed}")
        unknown = [name for name in self.estimated if name not in type(self).model_fields]
        if unknown:
            raise ValueError(f"estimated must name fields of a workload, not {', '.join(unknown[:5])}")

    def _check_offload(self) -> None:
        if self.offload == "optimizer_and_parameters" and self.zero_stage == 2:
            raise ValueError(
                "offload must be none or optimizer where zero_stage is 2: only stage 3 has parameters to offload"
            )
        if self.model is not None and self.seq_len is None:
            raise ValueError("seq_len is required with a model")

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


class Catalog(Record):
    """All that can be chosen and all prices. Ids are unique; entries are kept in order of id.

    Offers are in order of their item's id, those of one item as given: the same entries make the same catalogue (and
    fingerprint), wherever they were read.
    """

    cards: tuple[Card, ...]
    platforms: tuple[Platform, ...]
    offers: tuple[Offer, ...]

    @field_validator("cards", "platforms")
    @classmethod
    def _by_id(cls, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(sorted(entries, key=lambda entry: str(entry.id)))

    @field_validator("offers")
    @classmethod
    def _by_item(cls, offers: tuple[Offer, ...]) -> tuple[Offer, ...]:
        return tuple(sorted(offers, key=lambda offer: offer.item_id))

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for what, entries in (("card", self.cards), ("platform", self.platforms)):
            ids = [entry.id for entry in entries]
            if len(ids) != len(set(ids)):
                twice = sorted(i for i, times in Counter(ids).items() if times > 1)
                raise ValueError(f"{what} ids must be unique; twice: {', '.join(twice[:5])}")
        shared = {c.id for c in self.cards} & {p.id for p in self.platforms}
        if shared:
            raise ValueError(f"ids of cards and platforms must differ: {', '.join(sorted(shared)[:5])}")
        return self

    @cached_property
    def offers_by_item(self) -> dict[str, tuple[Offer, ...]]:
        """The offers of each card or platform id, in catalogue order."""
        found: dict[str, list[Offer]] = {}
        for offer in self.offers:
            found.setdefault(offer.item_id, []).append(offer)
        return {item: tuple(offers) for item, offers in found.items()}

    @cached_property
    def card_by_id(self) -> dict[str, Card]:
        """Cards by id."""
        return {card.id: card for card in self.cards}

    @cached_property
    def platform_by_id(self) -> dict[str, Platform]:
        """Platforms by id."""
        return {platform.id: platform for platform in self.platforms}

    @cached_property
    def unpriced_cards(self) -> tuple[Card, ...]:
        """Cards without any offer: never chosen."""
        return tuple(card for card in self.cards if card.id not in self.offers_by_item)

    @cached_property
    def unpriced_platforms(self) -> tuple[Platform, ...]:
        """Platforms without any offer: never chosen."""
        return tuple(p for p in self.platforms if p.id not in self.offers_by_item)


__all__ = [
    "FIGURES",
    "Assumptions",
    "Basis",
    "Card",
    "CardCount",
    "Catalog",
    "Connectors",
    "Date",
    "End",
    "Flag",
    "Id",
    "Interval",
    "ModelShape",
    "Name",
    "Offer",
    "Platform",
    "PowerCurve",
    "Provenance",
    "Psu",
    "Record",
    "Spread",
    "StepTime",
    "Tag",
    "Text",
    "Workload",
    "known_keys",
]
