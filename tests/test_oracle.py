"""The referee itself, by hand; the solver before the referee; and that the referee can say no."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest

from solver.domain import goals, limits
from solver.domain.catalog import Offer
from solver.domain.problem import Problem
from solver.explain import explain
from solver.solve import optimize
from tests import oracle, oracle_run
from tests.builders import card, guide_problem, offer, platform, problem, psu, random_problem, workload

US_PER_DAY = 86_400_000_000
CASES = 400


def shown(verdict: oracle.Verdict) -> tuple[str, int, int, int]:
    """Card, count, cost in CNY and total batch of an answer."""
    assert verdict.choice is not None
    assert verdict.cost_fen is not None
    assert verdict.total_batch is not None
    return verdict.choice[0], verdict.choice[1], verdict.cost_fen // 100, verdict.total_batch


def rig(card_id: str, count: int, watts: int, question: Problem | None = None) -> oracle.Pair:
    """A rig of the default catalogue, on the guide's base system."""
    return oracle.pair_of(question or guide_problem(), (card_id, count, watts, "guide-base", False))


# The referee by hand ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ({"budget_cny": 100_000}, ("rtx-a6000", 2, 80_000, 12)),
        ({"budget_cny": 150_000}, ("rtx-a6000", 4, 135_000, 24)),
        ({"budget_cny": 300_000}, ("a100-80gb-pcie", 2, 232_000, 26)),
        ({"goal": "value", "budget_cny": 100_000}, ("rtx-a6000", 2, 80_000, 12)),
        ({"goal": "value", "budget_cny": 150_000}, ("rtx-a6000", 4, 135_000, 24)),
        ({"goal": "epoch", "budget_cny": 100_000}, ("rtx-4090-blower", 4, 85_000, 8)),
        ({"goal": "cost", "min_batch": 24}, ("rtx-a6000", 4, 135_000, 24)),
        ({"goal": "epoch", "budget_cny": 150_000}, ("rtx-a6000", 4, 135_000, 24)),
        ({"goal": "epoch", "budget_cny": 300_000}, ("rtx-6000-ada", 4, 229_000, 24)),
        ({"budget_cny": 100_000, "prices": {"rtx-a6000": 25_000}}, ("rtx-a6000", 3, 100_000, 18)),
        ({"budget_cny": 100_000, "prices": {"rtx-a6000": 37_500.01}}, ("rtx-3090-blower", 4, 59_000, 8)),
        ({"budget_cny": 300_000, "prices": {"a100-80gb-pcie": 91_666.66}}, ("a100-80gb-pcie", 3, 299_999, 39)),
        ({"budget_cny": 300_000, "prices": {"a100-80gb-pcie": 91_666.67}}, ("a100-80gb-pcie", 2, 208_333, 26)),
        ({"budget_cny": 300_000, "prices": {"a100-80gb-pcie": 137_500.01}}, ("rtx-a6000", 4, 135_000, 24)),
        ({"budget_cny": 150_000, "prices": {"guide-base": 40_000.01}}, ("rtx-a6000", 3, 122_500, 18)),
        ({"budget_cny": 100_000, "prices": {"guide-base": 45_001}}, ("rtx-3090-blower", 4, 79_001, 8)),
        ({"budget_cny": 300_000, "work": workload(reserve_gb=0)}, ("rtx-a6000", 4, 135_000, 28)),
    ],
)
def test_oracle_gives_the_answers_of_the_model(question: dict[str, object], answer: tuple[str, int, int, int]) -> None:
    """Tests that the oracle finds the table and the flips of the model's section 6."""
    assert shown(oracle.best(guide_problem(**question))) == answer  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("goal", "budget", "days"), [("epoch", 100_000, "1.39"), ("epoch", 150_000, "0.74"), ("epoch", 300_000, "0.57")]
)
def test_oracle_gives_the_epochs_of_the_model(goal: str, budget: int, days: str) -> None:
    """Tests that the shortest epochs are those of section 6, and that the 4090s run at 360 W and 1,970 W."""
    found = oracle.best(guide_problem(goal, budget_cny=budget))
    assert found.epoch_us is not None
    assert found.wall_mw is not None
    assert f"{found.epoch_us / US_PER_DAY:.2f}" == days
    if budget == 100_000:
        assert found.choice == ("rtx-4090-blower", 4, 360, "guide-base", False)
        assert round(found.wall_mw / 1000) == 1970


@pytest.mark.parametrize(
    ("card_id", "count", "watts", "wall_w"),
    [
        ("rtx-a6000", 2, 300, 1012),
        ("a100-80gb-pcie", 2, 300, 1012),
        ("rtx-a6000", 4, 300, 1688),
        ("rtx-3090-blower", 4, 350, 1923),
        ("rtx-3090-blower", 4, 280, 1596),
        ("rtx-4090-blower", 4, 450, 2389),
        ("rtx-4090-blower", 4, 300, 1688),
    ],
)
def test_oracle_gives_the_wall_watts_of_the_model(card_id: str, count: int, watts: int, wall_w: int) -> None:
    """Tests that the watts at the wall are those of section 5."""
    assert round(rig(card_id, count, watts).wall_mw / 1000) == wall_w


def test_oracle_rounds_wall_watts_up() -> None:
    """Tests that 950 W from a 2 kW Platinum unit, at 93.83 percent, draw 1,012.43... W, rounded up to 1 mW."""
    efficiency = Fraction(92, 100) + Fraction(2, 100) * (Fraction(950, 2000) - Fraction(20, 100)) / Fraction(30, 100)
    assert 1_012_000 < oracle.wall_mw(psu().efficiency_points, 2000, 950) - 1 < 950_000 / efficiency
    assert oracle.wall_mw(psu().efficiency_points, 2000, 950) >= 950_000 / efficiency


@pytest.mark.parametrize(
    ("card_id", "count", "batch"),
    [
        ("rtx-3090-blower", 4, 8),
        ("rtx-a6000", 2, 12),
        ("rtx-a6000", 4, 24),
        ("rtx-6000-ada", 2, 12),
        ("a100-80gb-pcie", 1, 13),
        ("a100-80gb-pcie", 2, 26),
    ],
)
def test_oracle_gives_the_batches_of_the_guide(card_id: str, count: int, batch: int) -> None:
    """Tests that the guide's own table of batches comes out of the default reserve."""
    assert rig(card_id, count, 300).total_batch == batch


def test_oracle_reproduces_the_guides_days() -> None:
    """Tests the 8.7 days at batch 1 (30 s a step) and the 2.1 days at batch 7 (51 s) of one RTX 6000 Ada."""
    one = rig("rtx-6000-ada", 1, 300, guide_problem(work=workload(per_sample_gb=30)))
    seven = rig("rtx-6000-ada", 1, 300, guide_problem(work=workload(reserve_gb=0.9)))
    assert (one.total_batch, one.epoch_us) == (1, 25_000 * 30_000_000)
    assert (seven.total_batch, seven.epoch_us) == (7, 3572 * 51_000_000)


def test_oracle_gives_the_host_ram_of_the_model() -> None:
    """Tests that one card takes 151 GB of host RAM and four take 166, so that 160 GB hold two."""
    assert [rig("rtx-a6000", n, 300).host_ram_mib // 1024 for n in (1, 4)] == [150, 165]
    assert [round(rig("rtx-a6000", n, 300).host_ram_mib / 1024) for n in (1, 4)] == [151, 166]
    small = problem(platforms=[platform(host_ram_gb=160)])
    held = [p.card_count for p in oracle.every_pair(small) if "host_ram" not in p.violated and not p.with_used]
    assert held == [1, 2]


def test_oracle_names_the_broken_limits_of_a_guide_rig() -> None:
    """Tests that four usual 3090s break slots and cooling, and that blower 4090s fit at 360 W but not at 450 W."""
    assert rig("rtx-3090", 4, 280).violated == {"expansion_slots", "case_cooling"}
    assert rig("rtx-4090-blower", 4, 450).violated == {"wall_power", "psu", "case_cooling"}
    assert rig("rtx-4090-blower", 4, 360).violated == set()
    assert rig("rtx-a6000", 5, 300).violated >= {"card_count", "expansion_slots", "pcie_x16_slots"}


@pytest.mark.parametrize(
    ("offers", "bought"),
    [
        ([offer(price=10)], [(0, 0, 0), (1000, 0, 0), (2000, 0, 0), (3000, 0, 0)]),
        # a quantity break from two on shares the stock of its offer
        (
            [offer(price=10, vendor="north", stock=2), offer(price=7, vendor="north", min_quantity=2)],
            [(0, 0, 0), (1000, 0, 0), (1400, 0, 0), (2400, 1, 0)],
        ),
        # the second vendor's price needs two pieces, so three come from both or from it alone
        (
            [offer(price=10, vendor="north"), offer(price=8, vendor="south", min_quantity=2, stock=2)],
            [(0, 0, 0), (1000, 0, 0), (1600, 0, 0), (2600, 0, 0)],
        ),
        # what is missing is valued at the dearest price
        (
            [offer(price=10, stock=1), offer(price=3, condition="used", stock=1)],
            [(0, 0, 0), (300, 0, 1), (1300, 0, 1), (2300, 1, 1)],
        ),
    ],
)
def test_oracle_buys_by_hand(offers: Sequence[Offer], bought: Sequence[tuple[int, int, int]]) -> None:
    """Tests cost in fen, missing and used pieces of 0 to 3 pieces."""
    assert [tuple(purchase[:3]) for purchase in oracle.purchases(offers, 3)] == list(bought)


def test_oracle_breaks_ties_in_the_order_of_the_model() -> None:
    """Tests that equal rigs are told apart by cost, epoch, watts, platform, card, count and power limit, in turn."""
    flat = workload(compute_share=0, fixed_s=0, samples=12)
    equal = [card(name, power_limit_min_w=280) for name in ("b", "a")]
    places = [platform("q"), platform("p")]
    one_price = {"a": 10, "b": 10, "p": 10, "q": 10}
    found = oracle.best(problem(cards=equal, platforms=places, prices=one_price, work=flat, max_cards=1))
    assert found.choice == ("a", 1, 300, "p", False)  # full power is faster
    dearer = one_price | {"a": 11}
    found = oracle.best(problem(cards=equal, platforms=places, prices=dearer, work=flat, max_cards=1))
    assert found.choice == ("b", 1, 300, "p", False)
    big = card("a", vram_mib=49140, tdp_w=600, bf16_dense_tflops=100)
    small = card("b", vram_mib=24576, tdp_w=300, bf16_dense_tflops=100)
    roomy = workload(weights_gb=0, buffers_gb=0, reserve_gb=0, per_sample_gb=22, fixed_s=0, samples=4)
    everywhere = [platform(airflow_cfm=10_000, psu=psu(rated_w=5000))]
    prices = {"a": 20, "b": 10, "base": 0}
    tied = problem(goal="cost", cards=[big, small], platforms=everywhere, prices=prices, work=roomy, min_batch=4)
    tied = tied.replaced(site={"socket_amps": 100})
    new = [pair.choice for pair in oracle.ranked(tied) if not pair.with_used]
    assert new[:2] == [("b", 4, 300, "base", False), ("a", 2, 600, "base", False)]  # same cost and batch, shorter epoch
    free = problem(goal="cost", cards=equal, prices={"a": 0, "b": 0}, max_cards=2)
    assert oracle.best(free).choice == ("a", 2, 300, "base", False)  # the larger batch


def test_oracle_switches_limits_off_and_draws_the_curve() -> None:
    """Tests the helpers: the best without a limit, all feasible rigs, and an exact trade-off curve."""
    question = guide_problem(budget_cny=60_000, min_batch=12)
    assert oracle.best(question).status == "infeasible"
    assert shown(oracle.feasible_without(question, ["min_batch"])) == ("rtx-3090-blower", 4, 59_000, 8)
    assert shown(oracle.feasible_without(question, ["budget"])) == ("a100-80gb-pcie", 4, 439_000, 52)
    curve = oracle.pareto(guide_problem(), ("cost", "batch"))
    assert [(cost // 100, batch) for (cost, batch), _ in curve] == [
        (33_500, 2),
        (42_000, 4),
        (50_500, 6),
        (59_000, 8),
        (80_000, 12),
        (107_500, 18),
        (135_000, 24),
        (232_000, 26),
        (335_500, 39),
        (439_000, 52),
    ]
    assert all(pair.choice == curve[0].pairs[0].choice or pair.cost_fen == 3_350_000 for pair in curve[0].pairs)


# The solver before the referee -----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", range(4))
def test_solver_agrees_with_the_oracle(part: int) -> None:
    """Tests that model and oracle agree on status, objective, plan and figures of random problems, pruned or not."""
    seeds = range(1 + part, 1 + CASES, 4)
    mismatches = [oracle_run.check_case(seed, no_prune=seed % 20 == 1) for seed in seeds]
    assert [mismatch for mismatch in mismatches if mismatch is not None] == []


# The referee can say no ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deciding() -> dict[str, int]:
    """For each limit a seed whose answer changes without it."""
    found: dict[str, int] = {}
    for seed in range(1, 400):
        drawn = random_problem(random.Random(seed))
        pairs = list(oracle.every_pair(drawn))
        right = oracle.best_of(drawn, pairs)
        for limit in limits.LIMITS:
            if limit.name not in found and oracle.best_of(drawn, pairs, [limit.name]) != right:
                found[limit.name] = seed
        if len(found) == len(limits.LIMITS):
            break
    return found


@pytest.mark.parametrize("name", [limit.name for limit in limits.LIMITS])
def test_referee_notices_a_dropped_limit(monkeypatch: pytest.MonkeyPatch, deciding: dict[str, int], name: str) -> None:
    """Tests that random problems hang on every limit, and that the comparison fails if the model forgets it."""
    drawn = random_problem(random.Random(deciding[name]))
    assert oracle_run.differences(drawn) == []
    monkeypatch.setattr(limits, "LIMITS", tuple(limit for limit in limits.LIMITS if limit.name != name))
    assert oracle_run.differences(drawn) != []
    assert oracle_run.differences(drawn, prune=False) != []


@pytest.mark.parametrize("goal", sorted(goals.GOAL_SPECS))
def test_referee_notices_a_forgotten_tie(monkeypatch: pytest.MonkeyPatch, goal: str) -> None:
    """Tests that the comparison fails if the model breaks no ties of a goal but those that all goals share."""
    spec = goals.GOAL_SPECS[goal]
    blunt = dataclasses.replace(spec, key=lambda figures, resolution: spec.key(figures, resolution)[:1])
    monkeypatch.setitem(goals.GOAL_SPECS, goal, blunt)
    drawn = (random_problem(random.Random(seed)) for seed in range(1, 200))
    assert any(oracle_run.differences(question) for question in drawn if question.goal == goal)


def test_a_mismatch_is_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a mismatch is reduced to the cards, offers and limits it needs."""
    question = guide_problem(budget_cny=100_000, min_batch=2, exclude=("rtx-3090",))
    monkeypatch.setattr(limits, "LIMITS", tuple(limit for limit in limits.LIMITS if limit.name != "budget"))
    small = oracle_run.minimal(question, lambda copy: bool(oracle_run.differences(copy)))
    assert len(small.catalog.cards) <= 2
    assert small.limits.min_batch is None
    assert small.limits.budget_cny == Decimal(100_000)


@pytest.mark.parametrize("seed", [6135, 6948, 7674])
def test_value_where_free_rigs_have_huge_batches(seed: int) -> None:
    """Tests that the square of a batch beyond 32 bits overflows nothing, also where the cost is 0."""
    question = random_problem(random.Random(seed))
    right, ours = oracle.best(question), optimize(question)
    assert ours.status == right.status
    assert (ours.plan is None) == (right.choice is None)
    if ours.plan is not None:
        assert tuple(ours.plan.choice.model_dump().values()) == right.choice
    assert explain(question).result.status == right.status
