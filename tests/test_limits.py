"""Every limit alone, on its smallest case: it holds, it breaks, and it is CP-SAT that enforces it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from solver.domain import limits
from solver.domain.plan import Choice
from solver.domain.problem import Problem
from solver.domain.recheck import broken, figures_of
from solver.solve import Options, optimize
from tests.builders import card, offer, platform, problem, psu

BASE = 25_000
ROOMY = {"max_cards": 1}


def lone(**changes: Any) -> Problem:
    """One card and one platform, at most one card: one rig, at its TDP of 300 W (wall power 713 W)."""
    given: dict[str, Any] = {**ROOMY, **changes}
    return problem(**given)


def with_platform(**changes: Any) -> Problem:
    """The lone rig on another platform."""
    return lone(platforms=[platform(**changes)])


def with_card(**changes: Any) -> Problem:
    """The lone rig with another card."""
    return lone(cards=[card(**changes)])


def one_offer(**changes: Any) -> Problem:
    """The lone rig with its card offered otherwise."""
    return lone(offers=[offer("card-a", 10_000, **changes), offer("base", BASE)])


WALL_MW = figures_of(lone(), Choice(card_id="card-a", card_count=1, power_limit_w=300, platform_id="base")).wall_mw

# limit -> (a question in which it is broken by one unit and nothing else is, the same with one unit more)
CASES: dict[str, tuple[Callable[[], Problem], Callable[[], Problem]]] = {
    "budget": (lambda: lone(budget_cny=Decimal("34999.99")), lambda: lone(budget_cny=35_000)),
    "expansion_slots": (lambda: with_platform(expansion_slots=1), lambda: with_platform(expansion_slots=2)),
    "pcie_x16_slots": (lambda: with_platform(pcie_x16_slots=0), lambda: with_platform(pcie_x16_slots=1)),
    "wall_power": (
        lambda: lone(site={"socket_amps": Decimal(WALL_MW - 1) / 1000, "socket_volts": 1}),
        lambda: lone(site={"socket_amps": Decimal(WALL_MW) / 1000, "socket_volts": 1}),
    ),
    "psu": (
        lambda: with_platform(psu=psu(rated_w=714)),
        lambda: with_platform(psu=psu(rated_w=715)),
    ),
    "case_cooling": (
        lambda: with_platform(airflow_cfm=Decimal("75.8"), air_delta_t_c=15),
        lambda: with_platform(airflow_cfm=Decimal("75.834"), air_delta_t_c=15),
    ),
    "card_length": (
        lambda: lone(cards=[card(length_mm=301)], platforms=[platform(max_card_length_mm=300)]),
        lambda: lone(cards=[card(length_mm=300)], platforms=[platform(max_card_length_mm=300)]),
    ),
    "room_cooling": (
        lambda: lone(site={"room_cooling_w": WALL_MW // 1000}),
        lambda: lone(site={"room_cooling_w": WALL_MW // 1000 + 1}),
    ),
    "host_ram": (lambda: with_platform(host_ram_gb=150), lambda: with_platform(host_ram_gb=151)),
    "stock": (lambda: one_offer(stock=0), lambda: one_offer(stock=1)),
    "condition": (lambda: one_offer(condition="used"), lambda: one_offer(condition="new")),
    "nvlink": (
        lambda: lone(cards=[card(nvlink_pair_gb_s=0)], require_nvlink=True, max_cards=2),
        lambda: lone(cards=[card(nvlink_pair_gb_s=600)], require_nvlink=True, max_cards=2),
    ),
    "precision": (lambda: with_card(bf16_tensor_cores=False), lambda: with_card(bf16_tensor_cores=True)),
    "power_limit": (
        lambda: lone(power_limit_w=299),
        lambda: lone(power_limit_w=300),
    ),
    "vram": (lambda: with_card(vram_mib=18_943), lambda: with_card(vram_mib=18_944)),
    "min_batch": (lambda: lone(min_batch=3), lambda: lone(min_batch=2)),
    "max_epoch": (lambda: lone(max_epoch_days=Decimal("5.6")), lambda: lone(max_epoch_days=Decimal("6.7"))),
}


def rig(question: Problem, prune: bool = True) -> tuple[str, int] | None:
    """The card and count of the answer."""
    result = optimize(question, Options(prune=prune))
    assert result.status in ("optimal", "infeasible")
    return None if result.plan is None else (result.plan.card_id, result.plan.card_count)


@pytest.mark.parametrize("prune", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_limit_binds_alone(name: str, prune: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that one unit too many is infeasible, the unit itself is fine, and without the rule so is the one more."""
    tight, loose = (make() for make in CASES[name])
    assert rig(tight, prune) is None
    wanted = rig(loose, prune)
    assert wanted is not None
    monkeypatch.setattr(limits, "LIMITS", tuple(limit for limit in limits.LIMITS if limit.name != name))
    if name == "vram":  # without it the rig has room for no sample, and is still a rig
        monkeypatch.setattr("solver.solve.plan_of", lambda *_: None)
        assert optimize(tight, Options(prune=prune)).status == "optimal"
        return
    assert rig(tight, prune) is not None


def test_every_limit_has_its_case() -> None:
    """Tests that no limit of the table is without a case of its own."""
    elsewhere = {"card_count", "include", "exclude"}  # they choose among rigs; below
    assert {limit.name for limit in limits.LIMITS} == set(CASES) | elsewhere


def test_card_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that max_cards holds the count, and that without the rule the eight slots allow four."""
    assert rig(problem(max_cards=3)) == ("card-a", 3)
    monkeypatch.setattr(limits, "LIMITS", tuple(limit for limit in limits.LIMITS if limit.name != "card_count"))
    assert rig(problem(max_cards=3)) == ("card-a", 4)


@pytest.mark.parametrize(("field", "ids"), [("include", ["card-b"]), ("exclude", ["card-a"])])
def test_include_and_exclude(field: str, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a card left out is not chosen though it is better, and is chosen without the rule."""
    lists: dict[str, Any] = {field: ids}
    question = problem(cards=[card("card-a", vram_mib=49140), card("card-b")], max_cards=1, **lists)
    assert rig(question) == ("card-b", 1)
    monkeypatch.setattr(limits, "LIMITS", tuple(limit for limit in limits.LIMITS if limit.name != field))
    assert rig(question) == ("card-a", 1)


def test_include_of_a_platform_leaves_cards_open() -> None:
    """Tests that an include list of platform ids restricts platforms only, and one of both restricts both."""
    boards = [platform("cheap"), platform("dear")]
    question = problem(platforms=boards, prices={"cheap": 1000, "dear": 9000}, include=["dear"])
    plan = optimize(question).plan
    assert plan is not None
    assert (plan.card_id, plan.platform_id) == ("card-a", "dear")


@pytest.mark.parametrize(
    ("question", "part"),
    [
        (problem(cards=[card(cooling="axial")], max_cards=3), "axial cards"),
        (
            problem(cards=[card(cooling="passive")], platforms=[platform(ducted=False)], max_cards=1),
            "passive cards without ducted air",
        ),
        (
            problem(
                cards=[card(power_connectors=({"8-pin": 2}, {"16-pin": 1}))],
                platforms=[platform(psu=psu(connectors={"8-pin": 5, "16-pin": 0}))],
                max_cards=3,
            ),
            "power connectors",
        ),
    ],
)
def test_parts_of_a_limit(question: Problem, part: str) -> None:
    """Tests that axial cards, passive cards without ducts and missing PSU cables break their limit and are named."""
    most = question.limits.max_cards
    choice = Choice(card_id="card-a", card_count=most, power_limit_w=300, platform_id="base")
    assert [row.part for row in broken(question, figures_of(question, choice))] == [part]
    plan = optimize(question).plan
    if most == 1:
        assert plan is None
    else:
        assert plan is not None
        assert plan.card_count == most - 1


def test_used_offers_are_bought_only_when_allowed() -> None:
    """Tests that a cheaper used offer is left alone, and taken with allow_used, mixed with new ones within stock."""
    offers = [offer("card-a", 10_000), offer("card-a", 6_000, condition="used", stock=1), offer("base", BASE)]
    strict = optimize(problem(offers=offers, max_cards=2)).plan
    free = optimize(problem(offers=offers, max_cards=2, allow_used=True)).plan
    assert strict is not None
    assert free is not None
    assert strict.cost_cny == BASE + 20_000
    assert free.cost_cny == BASE + 16_000
    assert {(line.condition, line.quantity) for line in free.order if line.item_id == "card-a"} == {
        ("new", 1),
        ("used", 1),
    }


def test_quantity_breaks() -> None:
    """Tests that the price of the highest break reached holds for all pieces of that vendor."""
    offers = [
        offer("card-a", 10_000, vendor="v"),
        offer("card-a", 9_000, vendor="v", min_quantity=4),
        offer("base", BASE),
    ]
    plan = optimize(problem(offers=offers)).plan
    assert plan is not None
    assert (plan.card_count, plan.cost_cny) == (4, Decimal(BASE + 36_000))
