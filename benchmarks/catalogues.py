"""Generated catalogues: n cards and m platforms as validated records, the same for the same seed.

Two kinds. `random`: every figure is drawn independently, so most cards are beaten outright by some other card, which
flatters any method that prunes. `market`: price follows memory times speed and a platform costs what its parts cost,
so nearly every card is the best buy for some budget.
"""

from __future__ import annotations

import functools
import random
from decimal import Decimal
from typing import Any, Literal

from solver.catalog import default_library
from solver.domain.catalog import Card, Catalog, Offer, Platform
from solver.domain.problem import Problem, problem_of
from solver.domain.workload import Workload

Kind = Literal["market", "random"]

MEMORY_GB = (8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 141)
SUPPLIES_W = (850, 1000, 1200, 1300, 1500, 1600, 1800, 2000, 2200, 2400, 2700, 3200)
EFFICIENCIES = (
    ((20, 90), (50, 92), (100, 89)),
    ((20, 92), (50, 94), (100, 90)),
    ((20, 94), (50, 96), (100, 94)),
)
CNY_PER_GB_AND_TFLOPS = 3.8
"""What the guide's cards cost per GB times dense BF16 TFLOPS: 2.9 to 5.0, in the middle 3.8."""


@functools.lru_cache(maxsize=2)
def catalogue(cards: int, platforms: int, kind: Kind, seed: int = 1) -> Catalog:
    """A catalogue of so many cards and platforms, each with one to three offers."""
    rng = random.Random(f"{kind} {cards} {platforms} {seed}")
    card_rows = [_card(rng, kind, f"card-{number:05d}") for number in range(cards)]
    platform_rows = [_platform(rng, kind, f"platform-{number:03d}") for number in range(platforms)]
    prices = [(card.id, price) for card, price in card_rows] + [
        (platform.id, price) for platform, price in platform_rows
    ]
    offers = [offer for item_id, price in prices for offer in _offers(rng, item_id, price)]
    return Catalog(
        cards=tuple(card for card, _ in card_rows),
        platforms=tuple(platform for platform, _ in platform_rows),
        offers=tuple(offers),
    )


def default_workload() -> Workload:
    """The workload of the guide."""
    return default_library().workload("guide-6b")


def question(catalog: Catalog, goal: str, number: int, seed: int = 1, **limits: Any) -> Problem:
    """The `number`-th question of a goal: every one has limits of its own, so no answer can be reused."""
    rng = random.Random(f"{goal} {number} {seed}")
    if goal == "cost":
        asked: dict[str, Any] = {"min_batch": rng.randint(4, 40)}
    else:
        asked = {"budget_cny": rng.randrange(60_000, 600_000, 10)}
    site = {"socket_amps": rng.choice((10, 10, 10, 16)), "derating": rng.choice((1, 1, 0.8))}
    return problem_of(
        {"goal": goal, "limits": asked | limits, "site": site, "workload": default_workload(), "catalog": catalog}
    )


def _card(rng: random.Random, kind: Kind, name: str) -> tuple[Card, Decimal]:
    memory = rng.choice(MEMORY_GB)
    if kind == "market":
        # Larger memory comes with faster chips, and faster chips draw more.
        tflops = min(1000.0, max(20.0, 6 * memory**0.95 * rng.lognormvariate(0, 0.45)))
        tdp = 10 * round(min(700.0, max(70.0, 45 + 14 * tflops**0.58 * rng.uniform(0.85, 1.2))) / 10)
        price = CNY_PER_GB_AND_TFLOPS * memory * tflops * rng.lognormvariate(0, 0.15)
    else:
        tflops, tdp, price = rng.uniform(20, 1000), rng.randrange(70, 701, 5), rng.uniform(1500, 250_000)
    cooling = rng.choice(("axial", "blower", "blower", "passive"))
    card = Card.model_validate(
        {
            "id": name,
            "name": name,
            "vram_mib": memory * 1024 - rng.randrange(0, 400, 4),
            "tdp_w": tdp,
            "power_limit_min_w": None if rng.random() < 0.05 else max(50, int(tdp * rng.uniform(0.3, 0.6))),
            "power_limit_max_w": int(tdp * rng.choice((1, 1, 1.1, 1.33))),
            "slot_width": rng.choice((2, 3, 4) if cooling == "axial" else (1, 2, 2, 2)),
            "length_mm": rng.choice((170, 242, 267, 285, 304, 313, 336)),
            "cooling": cooling,
            "power_connectors": [{"16-pin": 1}] if tdp > 300 and rng.random() < 0.7 else [{"8-pin": 1 + tdp // 151}],
            "nvlink_pair_gb_s": rng.choice((0, 0, 112.5, 600)),
            "bf16_dense_tflops": round(tflops, 1),
            "bf16_tensor_cores": rng.random() < 0.93,
        }
    )
    return card, _yuan(price)


def _platform(rng: random.Random, kind: Kind, name: str) -> tuple[Platform, Decimal]:
    slots = rng.choice((2, 3, 4, 4, 4, 5, 6, 7, 8))
    rated, efficiency = rng.choice(SUPPLIES_W), rng.randrange(3)
    memory = rng.choice((64, 128, 192, 256, 256, 384, 512))
    airflow = rng.randrange(120, 420, 10)
    ducted, modern = rng.random() < 0.6, rng.random() < 0.7
    if kind == "market":
        parts = 2500 + 1800 * slots + rated * (1.2 + 0.4 * efficiency) + 28 * memory + 8 * airflow + 1500 * ducted
        price = parts * rng.uniform(0.9, 1.25)
    else:
        price = rng.uniform(6_000, 60_000)
    headroom = {"host_headroom": 1.1, "card_headroom": 1.1} if modern else {"host_headroom": 1, "card_headroom": 1.35}
    platform = Platform.model_validate(
        {
            "id": name,
            "name": name,
            "expansion_slots": 2 * slots if rng.random() < 0.7 else 2 * slots - 1,
            "pcie_x16_slots": slots,
            "psu": {
                "name": f"{rated} W",
                "rated_w": rated,
                "efficiency_points": EFFICIENCIES[efficiency],
                "connectors": {"8-pin": rated // 160, "16-pin": rated // 550} if modern else None,
                **headroom,
            },
            "host_ram_gb": memory,
            "host_draw_w": rng.randrange(180, 400, 5),
            "ducted": ducted,
            "airflow_cfm": airflow,
            "air_delta_t_c": 15,
            "max_axial_cards": rng.choice((1, 2, 2, 3, 4)),
            "max_card_length_mm": rng.choice((None, 280, 310, 330, 400)),
            "extra_cost_cny": rng.choice(({}, {4: 1500}, {3: 800, 4: 2000, 6: 5000, 8: 9000})),
        }
    )
    return platform, _yuan(price)


def _offers(rng: random.Random, item_id: str, price: Decimal) -> list[Offer]:
    """A new offer for all but one item in fifty; some with a quantity break or a small stock, some with used pieces."""
    if rng.random() < 0.02:
        return []
    rows: list[dict[str, Any]] = [{"unit_price_cny": price, "vendor": "a"}]
    if rng.random() < 0.15:
        rows.append({"unit_price_cny": _yuan(price * Decimal("0.95")), "vendor": "a", "min_quantity": 4})
    if rng.random() < 0.15:
        rows.append({"unit_price_cny": _yuan(price * Decimal("0.9")), "vendor": "b", "stock": rng.randint(1, 3)})
    if rng.random() < 0.15:
        rows.append({"unit_price_cny": _yuan(price * Decimal("0.65")), "vendor": "c", "condition": "used"})
    return [Offer.model_validate({"item_id": item_id, **row}) for row in rows]


def _yuan(price: float | Decimal) -> Decimal:
    return Decimal(max(1, round(price)))
