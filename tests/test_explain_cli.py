"""`explain`, `frontier` and `optimize --top` as a buyer meets them: what is printed, in which form, with which code."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from solver.batch import Patience, Space, TooManyPairs, best_of_each
from solver.domain.errors import SolverFailure
from solver.domain.explanation import CardAccount, Explanation, Miss
from solver.domain.goals import GOAL_SPECS
from solver.domain.limits import LIMITS
from solver.explain import ExplainOptions, explain
from solver.explain.relax import relaxations
from solver.model.pairs import pairs_of
from solver.report.explained import markdown, sections_of
from solver.report.explained.words import _MORE, miss_words
from tests.builders import card, guide_problem, platform, problem, psu
from tests.conftest import RunCli


def explained(run_cli: RunCli, *arguments: str) -> dict[str, Any]:
    """The JSON of `explain`."""
    ran = run_cli("explain", *arguments, "--format", "json")
    assert ran.code == 0, ran.err
    found: dict[str, Any] = ran.json
    assert found["complete"]
    return found


RANGES = [
    # question, item, from, to, below, above: the flips of model.md, section 6
    (["--budget", "100000"], "rtx-a6000", 25000.01, 37500, ("rtx-a6000", 3), ("rtx-3090-blower", 4)),
    (["--budget", "300000"], "a100-80gb-pcie", 91666.67, 137500, ("a100-80gb-pcie", 3), ("rtx-a6000", 4)),
    (["--budget", "150000"], "guide-base", None, 40000, None, ("rtx-a6000", 3)),
    (["--budget", "100000"], "guide-base", 17500.01, 45000, ("rtx-a6000", 3), ("rtx-3090-blower", 4)),
]


@pytest.mark.parametrize(("question", "item", "low", "high", "below", "above"), RANGES, ids=lambda v: str(v))
def test_flips_are_price_ranges(
    run_cli: RunCli, question: list[str], item: str, low: float | None, high: float | None, below: Any, above: Any
) -> None:
    """Tests that the flips of the model's section 6 come out as price ranges, to the fen, with what takes over."""
    (found,) = (p for p in explained(run_cli, *question)["prices"] if p["item_id"] == item)
    assert (found["low_cny"], found["high_cny"]) == (low, high)
    for side, rig in (("below", below), ("above", above)):
        other = found[side]
        assert (None if other is None else (other["card_id"], other["card_count"])) == rig


def test_reserve_flips_the_answer(run_cli: RunCli) -> None:
    """Tests that the reserve at which the guide's table holds comes out, in MiB: below it 48 GB cards hold 7."""
    (found,) = (f for f in explained(run_cli, "--budget", "300000")["figures"] if f["field"] == "reserve_gb")
    assert round(found["low"] * 1024) == 1013
    assert (found["below"]["card_id"], found["below"]["total_batch"]) == ("rtx-a6000", 28)


def test_infeasible_question(run_cli: RunCli) -> None:
    """Tests that a question without a plan exits 0, names the conflict, and the ways out in words."""
    ran = run_cli("explain", "--budget", "60000", "--min-batch", "12")
    assert ran.code == 0
    text = " ".join(ran.out.split())
    assert "these limits cannot all be kept; without any one of them a rig exists" in text
    assert "20,000 CNY more (80,000 in all)" in text
    assert "4 samples less in the batch (8 in all)" in text
    assert "2x RTX A6000 at 300 W: 12 samples, 80,000 CNY" in text
    assert "none fits: budget" in text
    assert "excluded" not in text


def test_excluded_cards_say_what_fits(run_cli: RunCli) -> None:
    """Tests the sentence about four 4090 at full power: every limit with its margin, and the watts that fit."""
    cards = {c["card_id"]: CardAccount.model_validate(c) for c in explained(run_cli, "--budget", "300000")["cards"]}
    assert miss_words(cards["rtx-4090-blower"]) == (
        "4x at 450 W: wall_power 2,389 of 2,200 W, psu 2,365 of 2,000 W, case_cooling 2,150 of 2,143 W; "
        "fits at 360 W or less"
    )
    assert cards["a800-80gb-pcie"].status == "no_price"
    assert cards["a100-80gb-pcie"].status == "chosen"
    assert cards["rtx-a6000"].status == "beaten"
    assert cards["rtx-a6000"].decided_by is not None
    assert cards["rtx-a6000"].decided_by.worse_by == 2


def test_top(run_cli: RunCli) -> None:
    """Tests that --top adds the best plans to the answer, and that the first of them is the answer."""
    ran = run_cli("optimize", "--budget", "300000", "--top", "3", "--format", "json")
    assert ran.code == 0
    rigs = [(a["rig"]["card_id"], a["rig"]["card_count"]) for a in ran.json["alternatives"]]
    assert rigs == [("a100-80gb-pcie", 2), ("rtx-a6000", 4), ("rtx-6000-ada", 4)]
    assert ran.json["plan"]["card_id"] == rigs[0][0]
    assert "alternatives" not in run_cli("optimize", "--format", "json").json
    assert "2 samples fewer" in run_cli("optimize", "--budget", "300000", "--top", "3").out


def test_frontier_table(run_cli: RunCli) -> None:
    """Tests the curve of the guide's budgets, and that it is a table of one row a point."""
    ran = run_cli("frontier", "--from", "30000", "--to", "600000", "--format", "json")
    assert ran.code == 0
    values = [tuple(point["values"]) for point in ran.json["points"]]
    assert values[-3:] == [(232000, 26), (335500, 39), (439000, 52)]
    assert ran.json["complete"]
    assert "10 points, proved complete" in run_cli("frontier", "--from", "30000", "--to", "600000").out


@pytest.mark.parametrize(
    ("arguments", "axes"),
    [
        (["--goal", "epoch", "--against", "watts"], ["watts", "epoch"]),
        (["--goal", "cost"], ["cost", "batch"]),
        (["--goal", "value"], ["cost", "value"]),
        (["--against", "epoch"], ["epoch", "batch"]),
    ],
)
def test_frontier_axes(run_cli: RunCli, arguments: list[str], axes: list[str]) -> None:
    """Tests which two axes are traded."""
    ran = run_cli("frontier", "--from", "30000", "--to", "600000", *arguments, "--format", "json")
    assert ran.code == 0
    assert ran.json["axes"] == axes
    assert all(30_000 <= point["plan"]["cost_cny"] <= 600_000 for point in ran.json["points"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["explain", "--top", "0"], "--top"),
        (["explain", "--budget", "-1"], "--budget"),
        (["explain", "--time-limit", "-1"], "--time-limit"),
        (["optimize", "--top", "1001"], "--top"),
        (["frontier", "--against", "batch"], "--against"),
        (["frontier", "--to", "1000", "--budget", "1000"], "--to"),
        (["frontier", "--from", "2000", "--to", "1000"], "--from"),
        (["frontier", "--to", "lots"], "--to"),
    ],
)
def test_bad_input_is_named(run_cli: RunCli, arguments: list[str], named: str) -> None:
    """Tests that bad input exits 2 with one line naming the option."""
    ran = run_cli(*arguments)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert named in ran.err


def test_frontier_without_a_plan(run_cli: RunCli) -> None:
    """Tests that a curve without a point exits as an infeasible question does, and says so."""
    ran = run_cli("frontier", "--to", "10000")
    assert ran.code == 3
    assert "no plan fits" in ran.out


def test_no_time(run_cli: RunCli) -> None:
    """Tests that without time nothing is claimed, and the code says so."""
    assert run_cli("frontier", "--time-limit", "0").code == 4
    ran = run_cli("explain", "--time-limit", "0", "--format", "json")
    assert ran.code == 4
    assert not ran.json["complete"]
    assert ran.json["prices"] == []


def test_what_was_proved_before_the_stop_is_kept() -> None:
    """Tests that a stop in the middle keeps the chapters that are done and says that it is not all."""

    class Late(threading.Event):
        """Says stop once some chapters are written."""

        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            return self.asked > 6

    found = explain(guide_problem(budget_cny=300_000), ExplainOptions(stop=Late()))
    assert found.result.plan is not None
    assert found.alternatives
    assert not found.complete
    assert not found.figures


def test_conflict_says_when_it_may_not_be_minimal() -> None:
    """Tests that a conflict for which time ran out is one, and does not claim to be minimal."""
    from solver.explain.conflict import conflict

    question = guide_problem(budget_cny=60_000, min_batch=12)
    found = conflict(Space.of(question), Patience.of(0))
    assert not found.minimal
    assert {"budget", "min_batch"} <= {member.limit for member in found.members}


def test_several_limits_must_give_way_together() -> None:
    """Tests that the fewest limits are found where no single one suffices, with the least change of each."""
    question = guide_problem(budget_cny=30_000, min_batch=100, prices={"rtx-a6000": 10**6})
    found = explain(question)
    assert not any(way.helps for way in found.relaxations)
    assert found.together
    assert all(len(way.limits) == 2 and way.rig is not None for way in found.together)


def test_nothing_has_a_price() -> None:
    """Tests that a catalogue without prices is explained as that."""
    found = explain(problem(offers=[]))
    assert found.conflict is not None
    assert found.conflict.members == ()
    assert "no card, or no platform, has a price" in markdown("x", sections_of(found))


def test_a_wrong_threshold_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a way out that CP-SAT does not confirm is an error of ours, not an answer."""
    import solver.explain.relax as module

    right = module._single

    def wrong(*arguments: Any) -> Any:
        ways = right(*arguments)
        return [type(way)(way.limits, {knob: steps + 1 for knob, steps in way.turns.items()}) for way in ways]

    monkeypatch.setattr(module, "_single", wrong)
    with pytest.raises(SolverFailure, match="CP-SAT does not confirm"):
        relaxations(Space.of(guide_problem(budget_cny=60_000, min_batch=12)), Patience())


def test_prices_that_hang_on_offers_say_so() -> None:
    """Tests that a plan that needs a second seller has no price range, and says why."""
    from tests.builders import offer

    question = problem(
        offers=[offer("card-a", 1000, stock=1), offer("card-a", 9000), offer("base", 25_000)], budget_cny=30_000
    )
    found = explain(question)
    (price,) = (p for p in found.prices if p.item_id == "card-a")
    assert not price.holds
    assert "hangs on several offers" in markdown("x", sections_of(found))


def test_markdown_means_what_it_says() -> None:
    """Tests that names from a catalogue cannot break a Markdown table or carry HTML."""
    hostile = "<script>|`x`*\n# [a](b)"
    found = explain(problem(cards=[card(name=hostile)], budget_cny=300_000))
    text = markdown("x", sections_of(found))
    assert "<script>" not in text.replace("\\<script\\>", "")
    widths = [line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")]
    headers = [line.count("|") for line in text.splitlines() if line.startswith("| ---")]
    assert "script" in text
    assert len(set(headers)) > 1
    assert set(widths) == set(headers)
    assert not any(line.startswith("# ") for line in text.splitlines()[1:])


def test_platforms_are_named_where_there_are_several() -> None:
    """Tests that a rig is told with its platform as soon as a story has two."""
    big = platform("big", psu=psu(rated_w=3000), pcie_x16_slots=8, expansion_slots=16)
    found = explain(problem(platforms=[platform(), big], budget_cny=300_000))
    assert " on BIG" in markdown("x", sections_of(found))


def test_every_limit_has_words() -> None:
    """Tests that a limit that is loosened is told in words of its own."""
    assert {name.partition("[")[0] for name in _MORE} == {limit.name for limit in LIMITS}


def test_goals_name_their_columns() -> None:
    """Tests that what a goal's key columns order by is what they are said to order by."""
    pairs = pairs_of(guide_problem())
    f = pairs.figures
    columns = {"batch": -f.total_batch, "cost": f.cost_fen, "epoch": f.epoch_us, "empty": f.total_batch * 0}
    for spec in GOAL_SPECS.values():
        keys = spec.key(f, int(f.total_batch.max()) ** 2)
        assert len(keys) == len(spec.axes)
        for axis, key in zip(spec.axes, keys, strict=True):
            if axis != "cost_per_sample":
                good = f.total_batch > 0
                assert (key[good] == columns[axis][good]).all(), (spec.name, axis)


def test_explanations_read_back() -> None:
    """Tests that the records survive their own JSON."""
    for question in (guide_problem(budget_cny=300_000), guide_problem(budget_cny=60_000, min_batch=12)):
        found = explain(question)
        assert Explanation.model_validate_json(found.model_dump_json()) == found


def test_blocks_answer_as_single_questions() -> None:
    """Tests that fifty what-ifs in one model are answered as each on its own."""
    from solver.batch import WhatIf
    from solver.solve import optimize

    budgets = range(20_000, 620_000, 24_000)
    spaces = [Space.of(guide_problem(goal=goal, budget_cny=b)) for b in budgets for goal in ("batch", "epoch")]
    for space, pair in zip(spaces, best_of_each([WhatIf(space) for space in spaces]), strict=True):
        plan = optimize(space.problem).plan
        assert (None if plan is None else plan.choice) == (None if pair is None else space.pairs.choice(pair))


def test_miss_without_a_fit() -> None:
    """Tests that a card of which nothing fits is told with what it breaks, and no rig that fits."""
    (account,) = explain(problem(cards=[card(vram_mib=8192)])).cards
    assert account.status == "excluded"
    assert isinstance(account.miss, Miss)
    assert account.miss.nearest is None
    assert account.miss.fits_w is None
    assert "vram" in miss_words(account)


def test_too_large_a_catalogue_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a catalogue with more pairs than are held at once is refused by number, before it is built."""
    monkeypatch.setattr("solver.batch.MOST_PAIRS", 1000)
    with pytest.raises(TooManyPairs, match=r"1,\d\d\d pairs.*1,000 at most"):
        explain(guide_problem(budget_cny=300_000))
