"""What is for sale: cards, platforms, their offers, and the catalogue of them all.

Modify this module when a new fact about hardware or prices enters the problem. Money is CNY, memory GB = GiB.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from solver.domain.base import Date, Flag, Id, Name, Provenance, Record, Text
from solver.domain.language import say
from solver.domain.units import (
    Celsius,
    Cny,
    Count,
    Factor,
    Gb,
    Mib,
    Percent,
    Quantity,
    Share,
    Tflops,
    Watts,
)


def _whole_key(value: object) -> object:
    """A count as the key of a mapping: files have it as text. '04' would be a second spelling of 4."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 2 and value[0] != "0":
        return int(value)
    return value


CardCount = Annotated[int, BeforeValidator(_whole_key), Field(strict=True, ge=1, le=64)]


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
            raise ValueError(say("points must rise in watts and not fall in share, and start above share 0"))
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
            raise ValueError(say("power_limit_min_w must not be above tdp_w"))
        if self.power_limit_max_w is not None and self.power_limit_max_w < self.tdp_w:
            raise ValueError(say("power_limit_max_w must not be below tdp_w"))
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
            raise ValueError(say("efficiency_points must rise in load and have efficiencies of at least 1 percent"))
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
                raise ValueError(
                    say("{what} ids must be unique; twice: {names}", what=what, names=", ".join(twice[:5]))
                )
        shared = {c.id for c in self.cards} & {p.id for p in self.platforms}
        if shared:
            raise ValueError(
                say("ids of cards and platforms must differ: {names}", names=", ".join(sorted(shared)[:5]))
            )
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
