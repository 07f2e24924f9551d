"""Small readable problems: builders with a default for everything, so that a test states only what matters to it.

`guide_problem` is the catalogue behind model.md; `random_problem` draws varied and nasty problems for the oracle.
Modify this module when a record gets a field that tests should be able to leave out.
"""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from solver.domain.catalog import Card, Catalog, Offer, Platform, PowerCurve, Psu
from solver.domain.problem import Problem, problem_of
from solver.domain.shape import FIGURES
from solver.domain.workload import Workload
from tests import oracle

RTX_3090_CURVE = PowerCurve.model_validate(
    {
        "tdp_w": 350,
        "points": [(200, 0.577), (220, 0.698), (250, 0.863), (280, 0.936), (300, 0.967), (320, 0.992), (350, 1)],
    }
)
FLAT_CURVE = PowerCurve.model_validate({"tdp_w": 300, "points": [(1, 1)]})
"""Full speed at any power limit."""
PLATINUM = ((20, 92), (50, 94), (100, 90))


def card(id: str = "card-a", **changes: Any) -> Card:
    """A blower card of 24 GB and 300 W, two slots wide, with no range of power limits."""
    fields: dict[str, Any] = {
        "id": id,
        "name": id.upper(),
        "vram_mib": 24576,
        "tdp_w": 300,
        "slot_width": 2,
        "cooling": "blower",
        "bf16_dense_tflops": 100,
        "bf16_tensor_cores": True,
    }
    return Card.model_validate(fields | changes)


def psu(**changes: Any) -> Psu:
    """A 2 kW Platinum unit of ATX 3."""
    fields: dict[str, Any] = {
        "name": "2 kW Platinum",
        "rated_w": 2000,
        "efficiency_points": PLATINUM,
        "host_headroom": 1.1,
        "card_headroom": 1.1,
    }
    return Psu.model_validate(fields | changes)


def platform(id: str = "base", **changes: Any) -> Platform:
    """A ducted platform with eight slots, room for four cards, and cooling for 2,143 W."""
    fields: dict[str, Any] = {
        "id": id,
        "name": id.upper(),
        "expansion_slots": 8,
        "pcie_x16_slots": 4,
        "psu": changes.pop("psu", None) or psu(),
        "host_ram_gb": 256,
        "host_draw_w": 350,
        "ducted": True,
        "airflow_cfm": 250,
        "air_delta_t_c": 15,
    }
    return Platform.model_validate(fields | changes)


def offer(item_id: str = "card-a", price: float | Decimal = 10_000, **changes: Any) -> Offer:
    """A new piece of `item_id` at `price` CNY, as many as wanted."""
    return Offer.model_validate({"item_id": item_id, "unit_price_cny": price} | changes)


def workload(**changes: Any) -> Workload:
    """The guide's 6B model: 12 GB and 1.5 GB reserve on each card, 5 GB and 3.5 s a sample, 26.5 s a step."""
    fields: dict[str, Any] = {
        "id": "work",
        "name": "WORK",
        "parameters": 6_000_000_000,
        "samples": 25_000,
        "weights_gb": 6,
        "buffers_gb": 6,
        "reserve_gb": 1.5,
        "per_sample_gb": 5,
        "host_ram_bytes_per_parameter": 27,
        "host_ram_per_extra_card_gb": 5,
        "fixed_s": 26.5,
        "per_sample_s": 3.5,
        "compute_share": 0.5,
        "compute_share_low": 0,
        "compute_share_high": 1,
        "preparation_low_h": 11,
        "preparation_expected_h": 11,
        "preparation_high_h": 11,
        "reference_card_id": "rtx-6000-ada",
        "reference_tflops": 364.2,
        "power_curve": RTX_3090_CURVE,
    }
    return Workload.model_validate(fields | changes)


def problem(
    *,
    goal: str = "batch",
    cards: Sequence[Card] | None = None,
    platforms: Sequence[Platform] | None = None,
    offers: Sequence[Offer] | None = None,
    prices: Mapping[str, float | Decimal] | None = None,
    work: Workload | None = None,
    site: Mapping[str, Any] | None = None,
    **limits: Any,
) -> Problem:
    """A question about one card and one platform, unless others are given; what is not named here is a limit.

    Args:
        goal: batch, epoch, value or cost.
        cards: the cards to choose from.
        platforms: the platforms to choose from.
        offers: all offers; without them every item has one unlimited new offer.
        prices: CNY by item id for those offers, else 10,000 a card and 25,000 a platform.
        work: the workload.
        site: fields of the site.
        limits: fields of the limits.
    """
    cards = [card()] if cards is None else cards
    platforms = [platform()] if platforms is None else platforms
    if offers is None:
        usual = {c.id: 10_000 for c in cards} | {p.id: 25_000 for p in platforms}
        offers = [offer(item, (prices or {}).get(item, amount)) for item, amount in usual.items()]
    return problem_of(
        {
            "goal": goal,
            "limits": limits,
            "site": dict(site or {}),
            "workload": work or workload(),
            "catalog": Catalog(cards=tuple(cards), platforms=tuple(platforms), offers=tuple(offers)),
        }
    )


def guide_problem(
    goal: str = "batch",
    prices: Mapping[str, float | Decimal] | None = None,
    work: Workload | None = None,
    **limits: Any,
) -> Problem:
    """A question about the default catalogue of model.md: its seven offered cards, its prices, its base system.

    Args:
        goal: batch, epoch, value or cost.
        prices: CNY by item id in place of the guide's.
        work: another workload.
        limits: fields of the limits.
    """
    wide = {"slot_width": 3, "cooling": "axial"}
    known = {"power_limit_min_w": 100, "nvlink_pair_gb_s": 0}
    rtx_3090 = known | {"vram_mib": 24576, "tdp_w": 350, "bf16_dense_tflops": 71.2, "nvlink_pair_gb_s": 112.5}
    rtx_4090 = known | {"vram_mib": 24564, "tdp_w": 450, "bf16_dense_tflops": 165.2, "power_limit_min_w": 150}
    pro = known | {"vram_mib": 49140, "tdp_w": 300}
    cards = [
        card("rtx-3090", **rtx_3090 | wide, length_mm=313, power_curve=RTX_3090_CURVE),
        card("rtx-3090-blower", **rtx_3090, power_curve=RTX_3090_CURVE),
        card("rtx-4090", **rtx_4090 | wide, length_mm=304, power_limit_max_w=600),
        card("rtx-4090-blower", **rtx_4090),
        card("rtx-a6000", **pro | {"bf16_dense_tflops": 154.8, "nvlink_pair_gb_s": 112.5}),
        card("rtx-6000-ada", **pro | {"bf16_dense_tflops": 364.2}),
        card(
            "a100-80gb-pcie",
            vram_mib=81920,
            tdp_w=300,
            power_limit_min_w=150,
            cooling="passive",
            bf16_dense_tflops=312,
            nvlink_pair_gb_s=600,
        ),
    ]
    guide_prices = {
        "rtx-3090": 8_500,
        "rtx-3090-blower": 8_500,
        "rtx-4090": 15_000,
        "rtx-4090-blower": 15_000,
        "rtx-a6000": 27_500,
        "rtx-6000-ada": 51_000,
        "a100-80gb-pcie": 103_500,
        "guide-base": 25_000,
    }
    return problem(
        goal=goal,
        cards=cards,
        platforms=[platform("guide-base")],
        prices=guide_prices | dict(prices or {}),
        work=work,
        **limits,
    )


# Random problems ---------------------------------------------------------------------------------------------------

Fields = dict[str, Any]
DEAREST = Decimal(10**12)
"""With this, eight cards, a platform and the extra cost of the build make the largest sum of money there is."""


def random_problem(rng: random.Random) -> Problem:
    """A small problem that looks for trouble: ties on purpose, limits at or next to a value that binds, odd offers.

    A loose problem is drawn first. Then some limits are set to what a few of its rigs need, exactly or one unit off, so
    that about a quarter of all problems have no answer and most others hang on a limit or a tie.
    """
    draw = _Draw(rng)
    cards, platforms = draw.cards(), draw.platforms()
    offers = draw.offers([f["id"] for f in cards], [f["id"] for f in platforms])
    site: Fields = {"socket_amps": 100, "socket_volts": 1000}
    if draw.chance(0.3):
        site["derating"] = draw.one_of(0.5, 0.8, 0.9)
    question = {"goal": draw.one_of("batch", "epoch", "value", "cost"), "site": site, "workload": draw.workload()}
    question["confidence"] = draw.one_of("expected", "expected", "high", "high", "low")
    question["limits"] = draw.limits([f["id"] for f in cards], [f["id"] for f in platforms])

    def whole() -> Problem:
        catalog = {"cards": cards, "platforms": platforms, "offers": offers}
        return problem_of(question | {"catalog": catalog})

    loose = whole()
    rigs = draw.rigs(list(oracle.every_pair(loose)))
    if rigs:
        draw.tighten_hardware(rigs, cards, platforms, question)
        tighter = whole()
        draw.tighten_question([oracle.pair_of(tighter, rig.choice) for rig in rigs], question)
    return whole()


class _Draw:
    """Draws the parts of a random problem, as plain fields."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.extreme = self.chance(0.03)
        self.alike = self.chance(0.04)  # nothing costs anything, and one step at full speed makes an epoch
        self.few_prices = self.one_of(
            (0, 1, 2, 3, 6), (1000, 2000, 3000, 6000), (8500, Decimal("8500.01"), 15000, 27500), (700,), (0, 0, 1), None
        )

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def one_of(self, *values: Any) -> Any:
        return self.rng.choice(values)

    def near(self, value: int) -> int:
        """The value itself, most often; or one unit beside it."""
        return value + self.rng.choice((0, 0, 0, 1, 1, -1))

    def decimals(self, low: int, high: int, places: int) -> Decimal:
        whole = Decimal(self.rng.randint(low * 10**places, high * 10**places))
        return whole.scaleb(-places)

    def price(self) -> Decimal:
        if self.alike:
            return Decimal(0)
        if self.extreme and self.chance(0.5):
            return DEAREST - self.rng.choice((Decimal(0), Decimal(1), Decimal("0.01")))
        if self.few_prices is not None and self.chance(0.9):
            return Decimal(self.one_of(*self.few_prices))
        return self.decimals(0, 30_000, self.one_of(0, 0, 2))

    # Hardware

    def cards(self) -> list[Fields]:
        ids = self.rng.sample(
            ["a100", "b", "c-1", "c-10", "c-2", "d.x", "e_y", "zz"], self.one_of(1, 1, 2, 2, 3, 3, 4, 6)
        )
        cards: list[Fields] = []
        for name in ids:
            if cards and self.chance(0.35):
                cards.append(self.one_of(*cards) | {"id": name})
                if self.chance(0.5):
                    self.vary_card(cards[-1])
            else:
                cards.append(self.card(name))
        return cards

    def card(self, name: str) -> Fields:
        tdp = self.one_of(100, 150, 200, 300, 300, 350, 450, self.rng.randint(1, 600))
        fields: Fields = {
            "id": name,
            "name": name,
            "vram_mib": self.one_of(
                8192, 24564, 24576, 24576, 32768, 49140, 49140, 81920, self.rng.randint(1, 100_000)
            ),
            "tdp_w": tdp,
            "slot_width": self.one_of(1, 2, 2, 2, 3, 4),
            "cooling": self.one_of("axial", "blower", "blower", "blower", "passive"),
            "bf16_dense_tflops": self.one_of(
                Decimal("71.2"), Decimal("154.8"), 312, Decimal("364.2"), 100, 100, self.decimals(1, 800, 3)
            ),
            "bf16_tensor_cores": self.chance(0.94),
        }
        if self.extreme and self.chance(0.5):
            fields |= {"vram_mib": 10_000_000, "tdp_w": self.one_of(1, 100_000), "bf16_dense_tflops": Decimal("0.001")}
        self.vary_card(fields)
        if self.chance(0.7):
            least = fields["tdp_w"] - self.one_of(0, 5, 10, 20, 25, 30, 50)
            fields["power_limit_min_w"] = max(1, least)
        if self.chance(0.4):
            fields["power_limit_max_w"] = (
                fields["tdp_w"] + self.one_of(0, 1, 15, 50) if fields["tdp_w"] < 90_000 else None
            )
        if self.chance(0.35):
            fields["power_curve"] = self.curve()
        if self.chance(0.4):
            fields["pcie_gen"] = self.one_of(3, 4, 4, 5)
        return fields

    def vary_card(self, fields: Fields) -> None:
        if self.chance(0.5):
            fields["nvlink_pair_gb_s"] = self.one_of(0, Decimal("112.5"), 600, 600, None)
        if self.chance(0.3):
            fields["length_mm"] = self.one_of(200, 267, 313)
        if self.chance(0.3):
            fields["power_connectors"] = self.one_of(
                [{"8-pin": 2}],
                [{"16-pin": 1}, {"8-pin": 3}],
                [{"12-pin": 1}, {"8-pin": 2}],
                [{"eps-8-pin": 1}],
                [{"8-pin": 1, "16-pin": 1}],
                [{"8-pin": 0}],
                [{}],
            )
        if self.chance(0.2):
            fields["bf16_dense_tflops"] = self.one_of(100, 101, 200)

    def curve(self) -> Fields:
        tdp = self.one_of(100, 300, 350, 450)
        points = self.one_of(
            [(tdp, 1)],
            [(1, 1)],
            [(tdp // 2, Decimal("0.5")), (tdp, 1)],
            [(tdp // 2, Decimal("0.9")), (tdp * 3 // 4, 1), (tdp, 1)],
            [(tdp + 50, 1)],
            [(tdp - 30, Decimal("0.333")), (tdp - 10, Decimal("0.333")), (tdp, Decimal("0.999"))],
            [(200, Decimal("0.577")), (250, Decimal("0.863")), (300, Decimal("0.967")), (350, 1)],
        )
        if self.extreme:
            points = [(100_000, Decimal("0.001"))]
        return {"tdp_w": tdp, "points": points}

    def platforms(self) -> list[Fields]:
        ids = self.rng.sample(["base", "p1", "p10", "p2"], self.one_of(1, 1, 1, 2, 2, 3))
        found: list[Fields] = []
        for name in ids:
            if found and self.chance(0.5):
                found.append(self.one_of(*found) | {"id": name})
                if self.chance(0.3):
                    found[-1]["ducted"] = not found[-1]["ducted"]
            else:
                found.append(self.platform(name))
        return found

    def platform(self, name: str) -> Fields:
        points = self.one_of(
            [(20, 90), (50, 92), (100, 89)],
            [(20, 92), (50, 94), (100, 90)],
            [(20, 94), (50, 96), (100, 94)],
            [(50, Decimal("91.37"))],
            [(0, 100)],
            [(10, 50), (30, Decimal("99.999")), (60, 20), (100, 97)],
            [(1, 1), (100, 100)],  # the same watts at the wall for any load
        )
        if self.alike:
            points = [(1, 1), (100, 100)]
        headroom = self.one_of((Decimal("1.1"), Decimal("1.1")), (1, Decimal("1.35")), (1, 1), (0, Decimal("1.001")))
        psu: Fields = {
            "name": "psu",
            "rated_w": self.one_of(1000, 1600, 2000, 5000, 5000, 100_000),
            "efficiency_points": points,
            "host_headroom": headroom[0],
            "card_headroom": headroom[1],
        }
        if self.chance(0.3):
            psu["connectors"] = self.one_of({"8-pin": 8, "16-pin": 2}, {"8-pin": 4, "eps-8-pin": 2}, {"12-pin": 3}, {})
        fields: Fields = {
            "id": name,
            "name": name,
            "expansion_slots": self.one_of(4, 7, 8, 8, 16, 16, 64),
            "pcie_x16_slots": self.one_of(1, 2, 4, 4, 8, 8),
            "psu": psu,
            "host_ram_gb": self.one_of(160, 192, 256, 512, 1024, 1_000_000),
            "host_draw_w": self.one_of(0, 100, 350, 350, self.rng.randint(0, 500)),
            "ducted": self.chance(0.8),
            "airflow_cfm": self.one_of(250, 500, 1000, 1_000_000, self.decimals(100, 500, 3)),
            "air_delta_t_c": self.one_of(15, 15, 1000, self.decimals(10, 30, 3)),
        }
        if self.chance(0.5):
            fields["pcie_gen"] = self.one_of(1, 3, 4, 5, 9)
        if self.chance(0.5):
            fields["host_memory_bandwidth_gb_s"] = self.one_of(50, 100, 200, Decimal("204.8"), Decimal("0.001"))
        if self.chance(0.5):
            fields["max_axial_cards"] = self.one_of(0, 1, 2, 4, 8)
        if self.chance(0.3):
            fields["max_card_length_mm"] = self.one_of(200, 266, 267, 313)
        if self.chance(0.3):
            fields["extra_cost_cny"] = {self.rng.randint(1, 8): self.price() for _ in range(self.one_of(1, 2, 4))}
        return fields

    # Money

    def offers(self, card_ids: Sequence[str], platform_ids: Sequence[str]) -> list[Fields]:
        offers: list[Fields] = []
        for item in (*card_ids, *platform_ids):
            if self.chance(0.08 if item in card_ids else 0.04):
                continue  # no price
            is_platform = item in platform_ids
            plain: Fields = {"item_id": item, "unit_price_cny": self.price()}
            offers.append(plain)
            if self.chance(0.5):
                continue
            if self.chance(0.3):
                plain["condition"] = "used"
            if self.chance(0.3):
                plain["stock"] = self.one_of(0, 1, 2, 3, 4)
            for _ in range(self.one_of(1, 1, 2, 3)):
                price = plain["unit_price_cny"] if self.chance(0.3) else self.price()
                offers.append(plain | {"unit_price_cny": price})
                self.vary_offer(offers[-1], is_platform)
        self.rng.shuffle(offers)
        return offers

    def vary_offer(self, fields: Fields, is_platform: bool) -> None:
        if self.chance(0.5):
            fields["vendor"] = self.one_of("north", "south")
        if self.chance(0.4):
            fields["condition"] = self.one_of("used", "new")
        if self.chance(0.4):
            fields["min_quantity"] = self.one_of(1, 2) if is_platform else self.one_of(1, 2, 3, 4, 5)
        if self.chance(0.4):
            fields["stock"] = self.one_of(0, 1, 2, 3, 5, None)
        if self.chance(0.2):
            fields["quote_date"] = datetime.date(2023, 7, 1)
            fields["valid_until"] = self.one_of(datetime.date(2023, 7, 31), datetime.date(2099, 1, 1))

    # The question

    def workload(self) -> Fields:
        k = self.one_of(0, Decimal("0.5"), Decimal("0.5"), 1, Decimal("0.123"))
        fields = dict(workload()) | {
            "precision": self.one_of("bf16", "bf16", "fp16"),
            "parameters": self.one_of(6_000_000_000, 1_000_000_000, 1, self.rng.randint(1, 10**10)),
            "weights_gb": self.one_of(6, 0, 1, Decimal("0.7")),
            "buffers_gb": self.one_of(6, 0, 1, Decimal("0.0003")),
            "samples": self.one_of(1, 7, 12, 24, 100, 25_000, self.rng.randint(1, 1000)),
            "reserve_gb": self.one_of(Decimal("1.5"), 0, Decimal("0.0001"), 2),
            "per_sample_gb": self.one_of(5, 5, 5, Decimal("0.1"), Decimal("2.3"), 12),
            "host_ram_per_extra_card_gb": self.one_of(5, 0, Decimal("0.3")),
            "fixed_s": self.one_of(Decimal("26.5"), 0, 1, self.decimals(0, 60, 3)),
            "per_sample_s": self.one_of(Decimal("3.5"), 1, Decimal("0.001"), self.decimals(1, 60, 3)),
            "compute_share": k,
            "reference_tflops": self.one_of(Decimal("364.2"), 100, 100, self.decimals(1, 800, 3)),
            "power_curve": self.one_of(self.curve(), RTX_3090_CURVE, FLAT_CURVE),
        }
        if self.chance(0.4):
            factors = (1, Decimal("1.23"), Decimal("1.38"), Decimal("1.38"), Decimal("0.9"), 0, 2)
            fields["card_scaling"] = [self.one_of(*factors) for _ in range(self.one_of(1, 2, 4, 8, 10))]
        if self.chance(0.5):
            self.vary_workload(fields)
        if self.alike:
            fields |= {"samples": 1, "power_curve": FLAT_CURVE, "card_scaling": [1]}
        if self.extreme:
            fields |= {"weights_gb": 0, "buffers_gb": 0, "reserve_gb": 0, "per_sample_gb": Decimal("0.0009765625")}
            fields |= {"samples": self.one_of(1, 10**8), "reference_tflops": self.one_of(1, 100_000)}
            fields |= {"per_sample_s": 3600, "fixed_s": self.one_of(0, 3600), "spreads": ()}
            if self.chance(0.5):
                fields |= {"gradient_accumulation": 10_000, "optimizer_s": 3600, "reference_pcie_gen": 9}
                fields["reference_host_bandwidth_gb_s"] = 1_000_000
        if self.chance(0.4):
            fields["spreads"] = self.spreads(fields)
        return fields

    def vary_workload(self, fields: Fields) -> None:
        """Another stage, offload, accumulation; an optimizer step of its own; times that hang on the platform."""
        stage = self.one_of(2, 3, 3)
        offloads = ["none", "optimizer"] if stage == 2 else ["none", "optimizer", "optimizer_and_parameters"]
        fields |= {"zero_stage": stage, "offload": self.one_of(*offloads)}
        fields["gradient_accumulation"] = self.one_of(1, 1, 2, 3, 8)
        fields["sharded_gb"] = self.one_of(0, 0, 11, Decimal("0.7"), 100)
        fields["host_ram_per_card_gb"] = self.one_of(0, 0, 16, 40, Decimal("37.8"))
        fields["optimizer_s"] = self.one_of(0, 5, Decimal("26.5"), self.decimals(0, 60, 3))
        fields["reference_pcie_gen"] = self.one_of(None, 4, 4, 5, 3)
        fields["reference_host_bandwidth_gb_s"] = self.one_of(None, 100, 100, Decimal("10.5"))
        if self.chance(0.5):
            seconds = [self.decimals(0, 60, 3) for _ in range(self.one_of(1, 2, 4, 5))]
            fields["measured_steps"] = [{"micro_batch": self.one_of(1, 2, 7, 7), "seconds": s} for s in seconds]
        if self.chance(0.6):
            k = Decimal(fields["compute_share"])
            fields["compute_share_low"] = self.one_of(k, 0, k / 2 if k != Decimal("0.123") else 0)
            fields["compute_share_high"] = self.one_of(k, 1, 1)

    def spreads(self, fields: Fields) -> list[Fields]:
        """Ends of some figures: wide, one-sided, or no wider than the figure itself."""
        found = []
        for name in FIGURES:
            if self.chance(0.5):
                continue
            value, places = Decimal(fields[name]), 10 if name.endswith("_gb") else 3
            most = 3600 if name.endswith("_s") else 1000
            least = {"per_sample_gb": Decimal("0.0009765625"), "per_sample_s": Decimal("0.001")}.get(name, Decimal(0))
            low = round(value * self.one_of(1, Decimal("0.8"), Decimal("0.5"), 0), places)
            high = round(value * self.one_of(1, Decimal("1.1"), Decimal("1.25"), 2), places)
            basis = self.one_of("measured", "calibrated", "estimated", "assumed")
            low, high = min(max(low, least), value), max(value, min(high, most))
            found.append({"field": name, "low": low, "high": high, "basis": basis})
        return found

    def limits(self, card_ids: Sequence[str], platform_ids: Sequence[str]) -> Fields:
        ids = [*card_ids, *platform_ids]
        limits: Fields = {"max_cards": self.one_of(1, 2, 3, 4, 4, 8, 8)}
        if self.chance(0.15):
            limits["include"] = self.rng.sample(ids, self.rng.randint(1, len(ids)))
        if self.chance(0.09):
            limits["exclude"] = self.rng.sample(ids, self.rng.randint(1, max(1, len(ids) // 2)))
        if self.chance(0.06):
            limits["require_nvlink"] = True
        if self.chance(0.5):
            limits["allow_used"] = True
        return limits

    # Limits at the values that bind

    def rigs(self, pairs: Sequence[oracle.Pair]) -> list[oracle.Pair]:
        """A few rigs at which limits are set; mostly such as break none yet."""
        feasible = [pair for pair in pairs if not pair.violated]
        wanted = feasible if feasible and self.chance(0.93) else pairs
        return self.rng.sample(wanted, min(len(wanted), self.one_of(1, 1, 2, 3)))

    def tighten_hardware(
        self, rigs: Sequence[oracle.Pair], cards: list[Fields], platforms: list[Fields], question: Fields
    ) -> None:
        by_id = {f["id"]: f for f in cards}
        for fields in platforms:
            if not self.chance(0.6):
                continue
            rig = self.one_of(*rigs)
            chosen = by_id[rig.card_id]
            tight = self.rng.sample(
                ["psu", "air", "ram", "slots", "pcie", "axial", "length", "cables"], self.one_of(1, 1, 2)
            )
            if "psu" in tight:
                rated = self.near(math.ceil(Fraction(rig.psu_demand_mw, 1000)))
                fields["psu"] = fields["psu"] | {"rated_w": min(max(1, rated), 100_000)}
            if "air" in tight:  # 1.75 CFM a watt, at a rise of 1, 7 or 10 C
                rise = self.one_of(1, 7, 10)
                cfm = Decimal(max(0, self.near(rig.heat_w))) * Decimal("1.75") / rise
                fields |= {"air_delta_t_c": rise, "airflow_cfm": min(cfm, Decimal(1_000_000))}
            if "ram" in tight:
                fields["host_ram_gb"] = min(Decimal(max(0, self.near(rig.host_ram_mib))) / 1024, Decimal(1_000_000))
            if "slots" in tight:
                fields["expansion_slots"] = max(0, self.near(rig.card_count * chosen["slot_width"]))
            if "pcie" in tight:
                fields["pcie_x16_slots"] = max(0, self.near(rig.card_count))
            if "axial" in tight:
                fields["max_axial_cards"] = max(0, self.near(rig.card_count))
            if "length" in tight:
                fields["max_card_length_mm"] = self.near(chosen.get("length_mm") or 267)
            if "cables" in tight and chosen.get("power_connectors"):
                one_set = self.one_of(*chosen["power_connectors"])
                fields["psu"] = fields["psu"] | {
                    "connectors": {kind: max(0, self.near(n * rig.card_count)) for kind, n in one_set.items()}
                }
        if self.chance(0.15):  # memory that just holds, or just does not hold, some number of samples
            work = question["workload"]
            each = oracle.mib_up(Decimal(work["per_sample_gb"]))
            taken = sum(oracle.mib_up(Decimal(work[f])) for f in ("weights_gb", "buffers_gb", "reserve_gb"))
            by_id[rigs[0].card_id]["vram_mib"] = max(1, self.near(taken + self.one_of(1, 2, 7) * each))

    def tighten_question(self, rigs: Sequence[oracle.Pair], question: Fields) -> None:
        names = ["budget", "wall", "room", "min_batch", "max_epoch", "power_limit", "max_cards"]
        weights = (6, 5, 2, 3, 3, 1, 1)
        tight = set(self.rng.choices(names, weights, k=self.one_of(0, 1, 1, 2, 3)))
        site, limits = question["site"], question["limits"]
        if "budget" in tight:
            limits["budget_cny"] = Decimal(min(max(0, self.near(self.one_of(*rigs).cost_fen)), 10**14)) / 100
        if "wall" in tight:
            wall = max(0, self.near(self.one_of(*rigs).wall_mw))
            if wall <= 10**7:
                site |= {"socket_amps": Decimal(wall) / 1000, "socket_volts": 1, "derating": 1}
                if self.chance(0.3):  # amps * volts * derating is not a whole number of mW
                    site |= {"socket_volts": Decimal("1.001"), "derating": Decimal("0.999")}
        if "room" in tight:
            site["room_cooling_w"] = min(
                max(0, self.near(math.ceil(Fraction(self.one_of(*rigs).wall_mw, 1000)))), 10**7
            )
        if "min_batch" in tight:
            limits["min_batch"] = min(max(1, self.near(self.one_of(*rigs).total_batch)), 10**7)
        if "max_epoch" in tight:
            micro_days = self.near(math.ceil(Fraction(self.one_of(*rigs).epoch_us, 86_400)))
            limits["max_epoch_days"] = min(Decimal(max(0, micro_days)) / 10**6, Decimal(36_500))
        if "power_limit" in tight:
            limits["power_limit_w"] = min(max(1, self.near(self.one_of(*rigs).power_limit_w)), 100_000)
        if "max_cards" in tight:
            limits["max_cards"] = min(8, max(1, self.near(self.one_of(*rigs).card_count)))
