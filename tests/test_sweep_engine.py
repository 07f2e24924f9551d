"""The engine of scenarios: every row equals `optimize` on the whole question, however it was answered and batched."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from solver.catalog import Library, default_library, question_of, resolve
from solver.domain.errors import InvalidProblem
from solver.domain.problem import GOALS, Problem
from solver.model.pairs import pairs_of
from solver.model.repriced import Repricing
from solver.solve import optimize
from solver.sweep.answer import answer_of
from solver.sweep.engine import Engine, answer_batch
from solver.sweep.library_text import library_of, text_of
from solver.sweep.questions import Questions
from solver.sweep.scenario import FRONTIERS, Batch, Row, Scenario
from tests import oracle
from tests.builders import card, offer, platform, problem, random_problem, workload


def as_row(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(answer))
    return found


def batch_of(asked: Problem, scenarios: list[Scenario], **settings: Any) -> Batch:
    library = Library(asked.catalog, (asked.workload,))
    question = question_of(asked, library)
    return Batch(text_of(library), json.dumps(question), tuple(scenarios), **settings)


def engine(batch: Batch) -> Engine:
    return Engine(library_of(batch.library), json.loads(batch.question))


def assert_equals_optimize(batch: Batch, rows: list[Row]) -> None:
    whole = engine(batch).questions
    for scenario, row in zip(batch.scenarios, rows, strict=True):
        assert (row.position, row.name) == (scenario.position, scenario.name)
        if row.status == "failed":
            with pytest.raises(InvalidProblem) as fault:
                whole.whole(scenario.changes)
            assert str(fault.value) in row.error
            continue
        expected = as_row(answer_of(optimize(whole.whole(scenario.changes))))
        assert row.error == ""
        assert json.loads(row.answer or "null") == expected, scenario


def random_changes(rng: random.Random, asked: Problem) -> dict[str, Any]:
    items = [*asked.catalog.card_by_id, *asked.catalog.platform_by_id]
    found: dict[str, Any] = {}
    for item in rng.sample(items, rng.randint(0, min(4, len(items)))):
        found[f"prices.{item}"] = rng.choice([0, 1, 9999.99, 20_000, 50_000, 10**9, rng.randint(1, 10**7) / 100])
    options: dict[str, Any] = {
        "limits.budget_cny": lambda: rng.choice([None, 0, 30_000, 100_000, 10**7, rng.randint(0, 10**7) / 100]),
        "limits.max_cards": lambda: rng.randint(1, 8),
        "limits.min_batch": lambda: rng.choice([None, 1, 8, 24]),
        "limits.max_epoch_days": lambda: rng.choice([None, 0.5, 2, 30]),
        "limits.power_limit_w": lambda: rng.choice([None, 250, 300]),
        "limits.allow_used": lambda: rng.random() < 0.5,
        "limits.require_nvlink": lambda: rng.random() < 0.3,
        "limits.include": lambda: rng.sample(items, 1),
        "limits.exclude": lambda: rng.sample(items, 1),
        "site.socket_amps": lambda: rng.choice([6, 10, 16, 32]),
        "site.derating": lambda: rng.choice([0.8, 1]),
        "site.room_cooling_w": lambda: rng.choice([None, 1200, 3500]),
        "goal": lambda: rng.choice(GOALS),
        "workload.reserve_gb": lambda: rng.choice([0, 1, 1.5, 4]),
        "workload.samples": lambda: rng.randint(1, 50_000),
    }
    for path in rng.sample(sorted(options), rng.randint(0, 4)):
        found[path] = options[path]()
    return found


@pytest.mark.parametrize("seed", range(30))
def test_rows_equal_optimize_on_random_problems(seed: int) -> None:
    """Tests that prices, limits, site, goal and workload changed at random, on nasty catalogues, give its answers."""
    rng = random.Random(seed)
    asked = random_problem(rng)
    batch = batch_of(asked, [Scenario(n, f"s{n}", random_changes(rng, asked)) for n in range(1, 31)])
    assert_equals_optimize(batch, answer_batch(batch))


@pytest.mark.parametrize("path", sorted(FRONTIERS))
@pytest.mark.parametrize("seed", range(3))
def test_rows_from_a_frontier_equal_optimize(path: str, seed: int) -> None:
    """Tests that scenarios read off a staircase are those that a solve gives, along every limit that can be swept."""
    rng = random.Random(f"{path}{seed}")
    asked = random_problem(rng) if seed else resolve({"limits": {"budget_cny": 300_000}}, default_library())
    values: dict[str, list[Any]] = {
        "limits.budget_cny": [0, 41_999.99, 42_000, 100_000, 231_999.99, 232_000, 10**9],
        "limits.max_cards": [1, 2, 3, 4, 8],
        "limits.min_batch": [1, 12, 13, 24, 26, 27, 1000],
        "limits.max_epoch_days": [0.1, 0.5, 1, 2.5, 100],
        "site.socket_amps": [0.001, 3.5, 7.673, 8.5, 10, 16],
        "site.room_cooling_w": [0, 1000, 1012, 1013, 1688, 5000],
    }
    other = random_changes(rng, asked)
    other.pop(path, None)
    scenarios = [Scenario(n, f"s{n}", {**other, path: v}, frontier=path) for n, v in enumerate(values[path], 1)]
    batch = batch_of(asked, scenarios)
    rows = answer_batch(batch)
    assert_equals_optimize(batch, rows)
    assert {row.answered_by for row in rows} <= {"frontier", ""}


def test_answers_do_not_depend_on_the_batch() -> None:
    """Tests that a scenario has the same row alone, in a crowd and in another order."""
    rng = random.Random(7)
    asked = resolve({}, default_library())
    scenarios = [Scenario(n, f"s{n}", random_changes(rng, asked)) for n in range(1, 61)]
    whole = batch_of(asked, scenarios)
    together = {row.position: row._replace(solve_ms=0) for row in answer_batch(whole)}
    backwards = {row.position: row._replace(solve_ms=0) for row in answer_batch(whole.part(scenarios[::-1]))}
    alone = {s.position: answer_batch(whole.part([s]))[0]._replace(solve_ms=0) for s in scenarios}
    assert together == backwards == alone


def test_a_scenario_can_price_what_had_no_price() -> None:
    """Tests that a card without an offer is chosen where a scenario gives it one, and not in its neighbour."""
    asked = resolve({"limits": {"budget_cny": 300_000}}, default_library())
    batch = batch_of(
        asked,
        [Scenario(1, "without", {}), Scenario(2, "A800 quoted", {"prices.a800-80gb-pcie": 87_000})],
    )
    rows = answer_batch(batch)
    assert_equals_optimize(batch, rows)
    assert [(row.card_id, row.card_count) for row in rows] == [("a100-80gb-pcie", 2), ("a800-80gb-pcie", 3)]


def test_used_offers_and_stock_are_those_of_the_scenario() -> None:
    """Tests that quantity breaks, stock and used offers of the base hold until a scenario replaces them."""
    asked = problem(
        cards=[card("a", vram_mib=40_960), card("b")],
        platforms=[platform("base", extra_cost_cny={4: 700})],
        offers=[
            offer("a", 9000, stock=2),
            offer("a", 5000, condition="used", stock=1),
            offer("b", 4000),
            offer("b", 3000, min_quantity=3),
            offer("base", 10_000),
        ],
    )
    changes: list[dict[str, Any]] = [
        {},
        {"limits.allow_used": True},
        {"limits.allow_used": True, "limits.budget_cny": 33_000},
        {"prices.a": 8000},
        {"prices.a": 8000, "limits.allow_used": True},
        {"prices.b": 1, "goal": "cost"},
        {"prices.base": 0},
    ]
    batch = batch_of(asked, [Scenario(n, f"s{n}", c) for n, c in enumerate(changes, 1)])
    assert_equals_optimize(batch, answer_batch(batch))


def test_prepared_pairs_are_fewer_and_lose_no_answer() -> None:
    """Tests that only a fraction of the pairs is left when prices and budget vary, and more when the socket does."""
    library = default_library()
    questions = [
        resolve({"limits": {"budget_cny": b}, "site": {"socket_amps": a}}, library)
        for b, a in ((100_000, 10), (300_000, 10))
    ]
    repricing = Repricing.of(questions[0])
    assert len(repricing) == len(pairs_of(questions[0]))
    fixed = len(repricing.prepared(questions))
    weaker = resolve({"site": {"socket_amps": 6}}, library)
    moved = len(repricing.prepared([*questions, weaker]))
    assert fixed < len(repricing) / 5
    assert fixed < moved < len(repricing)


def test_money_columns_are_those_of_the_catalogue_with_the_prices_in_it() -> None:
    """Tests that the cost of every pair left equals the cost column of the same question with real offers."""
    library = default_library()
    base = resolve({}, library)
    prices = {"rtx-a6000": 2_500_001, "guide-base": 0, "rtx-3090": 12}
    question = resolve({"prices": {item: fen / 100 for item, fen in prices.items()}}, library)
    repricing = Repricing.of(base)
    prepared = repricing.prepared([base])
    money = prepared.money([prices])
    assert money[0, 0].tolist() == pairs_of(question).figures.cost_fen[prepared.index].tolist()


def test_fast_questions_are_those_of_resolve() -> None:
    """Tests that a change validated by itself makes the question, or the error, that the whole question makes."""
    library = default_library()
    questions = Questions(library, {"limits": {"budget_cny": 200_000, "max_cards": 3}, "prices": {"rtx-3090": 7000}})
    good: list[dict[str, Any]] = [
        {},
        {"limits.budget_cny": None},
        {"limits.budget_cny": 1.25, "site.socket_amps": 16},
        {"limits.max_cards": None, "goal": "epoch"},
        {"workload.samples": 10, "site.derating": 0.8},
        {"limits.exclude": ["rtx-3090"]},
    ]
    for changes in good:
        assert questions.asked(changes).problem == questions.whole(changes)
    bad: list[dict[str, Any]] = [
        {"limits.budget_cny": -1},
        {"limits.budget_cny": "many"},
        {"limits.budget_cny": 0.001},
        {"limits.max_cards": 9, "site.socket_amps": -1},
        {"limits.max_cards": True},
        {"limits.include": ["rtx-309"]},
        {"prices.rtx-309": 1},
        {"prices.rtx-3090": -1},
        {"prices.rtx-3090": 1.001, "limits.max_cards": 0},
        {"goal": "fun"},
        {"workload": "other"},
        {"workload.samples": 0.5},
        {"site.socket_amps": float("inf")},
    ]
    for changes in bad:
        with pytest.raises(InvalidProblem) as fast:
            questions.asked(changes)
        with pytest.raises(InvalidProblem) as whole:
            questions.whole(changes)
        assert str(fast.value) == str(whole.value)


def test_a_price_taken_back_is_the_catalogues_again() -> None:
    """Tests that None for a price that the base question sets brings the catalogue's own offers back."""
    asked = Questions(default_library(), {"prices": {"rtx-a6000": 1}, "limits": {"budget_cny": 100_000}})
    back = asked.asked({"prices.rtx-a6000": None})
    assert not back.prices
    assert optimize(back.problem).plan == optimize(resolve({"limits": {"budget_cny": 100_000}}, default_library())).plan


@pytest.mark.parametrize("confidence", ["low", "expected", "high"])
def test_a_sweep_over_a_shape_estimates_anew(confidence: str) -> None:
    """Tests that length, stage, offload and accumulation change the figures that follow, and that the oracle agrees.

    A figure stated by the question or by the scenario stays, whatever the length.
    """
    library = default_library()
    question = {"workload": {"id": "llama-7b"}, "limits": {"budget_cny": 300_000}, "confidence": confidence}
    changes: list[dict[str, Any]] = [
        {"workload.seq_len": length, "workload.zero_stage": stage, "workload.gradient_accumulation": steps,
         "workload.offload": "optimizer"}
        for length in (512, 2048, 4096) for stage in (2, 3) for steps in (1, 4)
    ]  # fmt: skip
    changes += [
        {"workload.zero_stage": 2, "workload.offload": "none"},
        {"workload.per_sample_gb": 2, "workload.seq_len": 8192},
        {"workload": "guide-6b"},
    ]
    scenarios = [Scenario(at, f"s{at}", changed) for at, changed in enumerate(changes)]
    batch = Batch(text_of(library), json.dumps(question), tuple(scenarios))
    rows = answer_batch(batch)
    assert_equals_optimize(batch, rows)
    whole = engine(batch).questions
    batches = []
    for scenario, row in zip(scenarios, rows, strict=True):
        asked = whole.whole(scenario.changes)
        right = oracle.best(asked)
        rig = (row.card_id, row.card_count, row.power_limit_w, row.platform_id)
        assert rig == ((None,) * 4 if right.choice is None else right.choice[:4])
        assert row.total_batch == right.total_batch
        batches.append(row.total_batch)
    assert len(set(batches[:12])) == 12, "every length, stage and accumulation has a batch of its own"
    assert rows[12].status == ("optimal" if confidence == "low" else "infeasible"), "fits only at the low end"
    assert whole.whole(changes[13]).workload.figure("per_sample_gb", "high") == 2
    assert rows[14].total_batch == 26


def test_bad_scenarios_stop_nobody() -> None:
    """Tests that a scenario with a bad value becomes a failed row with its place, and its neighbours are answered."""
    asked = resolve({}, default_library())
    batch = batch_of(
        asked,
        [
            Scenario(1, "good", {"limits.budget_cny": 100_000}),
            Scenario(2, "bad", {"limits.budget_cny": -5}, where="plan.yaml:7"),
            Scenario(3, "worse", {}, fault="plan.yaml:9: name: must have 1 to 200 printable characters"),
            Scenario(4, "good too", {"limits.budget_cny": 150_000}),
        ],
    )
    rows = answer_batch(batch)
    assert [row.status for row in rows] == ["optimal", "failed", "failed", "optimal"]
    assert rows[1].error == "plan.yaml:7: limits.budget_cny = -5: must be between 0 and 1000000000000"
    assert rows[2].error.startswith("plan.yaml:9: name:")


def test_expectations_are_told_with_what_was_found() -> None:
    """Tests that a broken expectation names itself and the value found, and a held one does not."""
    asked = resolve({"limits": {"budget_cny": 100_000}}, default_library())
    expect = (
        "total_batch >= 12",
        "card_id == rtx-a6000",
        "cost_cny < 80,000",
        "status == optimal",
        "budget_headroom == 20000",
    )
    row = answer_batch(batch_of(asked, [Scenario(1, "s", {}, expect)]))[0]
    assert (row.expectation, row.broken) == ("broken", "cost_cny < 80,000 (80000.0)")
    none = answer_batch(batch_of(asked, [Scenario(1, "s", {"limits.budget_cny": 0}, ("total_batch >= 1",))]))[0]
    assert (none.status, none.broken) == ("infeasible", "total_batch >= 1 (none)")


def test_alone_is_the_referee() -> None:
    """Tests that a batch asked to solve each scenario by itself gives the same rows, but for the time."""
    rng = random.Random(3)
    asked = resolve({}, default_library())
    scenarios = [Scenario(n, f"s{n}", random_changes(rng, asked)) for n in range(1, 21)]
    together = [row._replace(solve_ms=0) for row in answer_batch(batch_of(asked, scenarios))]
    alone = [row._replace(solve_ms=0) for row in answer_batch(batch_of(asked, scenarios, alone=True))]
    assert together == alone


def test_a_library_comes_back_equal_from_its_text() -> None:
    """Tests that what travels to workers and lies in the store is the catalogue, to the last digit."""
    for library in (
        default_library(),
        *(Library(p.catalog, (p.workload,)) for p in map(random_problem, map(random.Random, range(10)))),
    ):
        text = text_of(library)
        assert library_of(text) == library
        assert text_of(library_of(text)) == text


def test_a_search_out_of_time_is_told() -> None:
    """Tests that with next to no time the rows say so, and claim no proof."""
    asked = resolve({}, default_library())
    rows = answer_batch(batch_of(asked, [Scenario(1, "s", {"limits.budget_cny": 300_000})], time_limit_s=1e-9))
    assert rows[0].status in ("no_answer", "feasible")


def test_workloads_of_their_own_share_nothing() -> None:
    """Tests that two workloads in one batch do not meet: each answer is its own question's."""
    asked = problem(cards=[card("a"), card("b", vram_mib=49_152)], work=workload())
    changes: list[dict[str, Any]] = [{"workload.per_sample_gb": gb} for gb in (1, 2, 5, 40)]
    batch = batch_of(asked, [Scenario(n, f"s{n}", c) for n, c in enumerate(changes * 3, 1)])
    assert_equals_optimize(batch, answer_batch(batch))


def test_the_text_of_a_row_is_that_of_the_answer() -> None:
    """Tests that the JSON put together from kept parts is, character for character, the JSON of the whole answer."""
    rng = random.Random(11)
    asked = resolve({}, default_library())
    scenarios = [Scenario(n, f"s{n}", random_changes(rng, asked)) for n in range(1, 41)]
    batch = batch_of(asked, scenarios)
    alone = answer_batch(batch_of(asked, scenarios, alone=True))
    assert [row.answer for row in answer_batch(batch)] == [row.answer for row in alone]


def test_questions_too_large_to_prepare_are_solved_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that beyond so many pairs every scenario goes through `optimize`, which bounds them, with the same rows."""
    rng = random.Random(5)
    asked = resolve({}, default_library())
    scenarios = [Scenario(n, f"s{n}", random_changes(rng, asked)) for n in range(1, 21)]
    batch = batch_of(asked, scenarios)
    prepared = [row._replace(solve_ms=0) for row in engine(batch).answers(batch)]
    monkeypatch.setattr("solver.sweep.engine.MOST_PAIRS", 10)
    monkeypatch.setattr(Repricing, "of", lambda _problem: pytest.fail("prepared all the same"))
    assert [row._replace(solve_ms=0) for row in engine(batch).answers(batch)] == prepared
