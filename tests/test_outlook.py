"""Whether the recommendation is the same over the whole interval of the workload's figures, and where it flips."""

from __future__ import annotations

import re
import threading
from decimal import Decimal
from typing import Any

import pytest

from solver.catalog import default_library, resolve
from solver.cli.optimize import asking
from solver.domain.problem import CONFIDENCES, Problem
from solver.domain.rig import Outlook
from solver.domain.uncertain import own_ends, with_figure
from solver.explain import explain
from solver.outlook import outlook
from solver.report.facts import outlook_facts
from solver.solve import Options, optimize
from tests import oracle
from tests.conftest import RunCli


def reserve(low: str, high: str) -> dict[str, Any]:
    """The guide's workload with ends of its reserve."""
    return {"spreads": [{"field": "reserve_gb", "low": Decimal(low), "high": Decimal(high), "basis": "assumed"}]}


def asked(**workload: Any) -> Problem:
    question = {"limits": {"budget_cny": 300_000}, "workload": {"id": "guide-6b", **workload}}
    return resolve(question, default_library())


def ends_of(problem: Problem) -> dict[str, Outlook]:
    found = outlook(optimize(problem), problem.confidence, lambda end: optimize(problem.replaced(confidence=end)))
    return {end.confidence: end for end in found}


def test_the_guides_answer_holds_over_its_whole_interval() -> None:
    """Tests that both ends are solved, have the plan's rig, and their own times."""
    ends = ends_of(asked())
    assert set(ends) == {"low", "high"}
    assert all(end.same and end.status == "optimal" for end in ends.values())
    low, high = (ends[name].rig for name in ("low", "high"))
    assert low is not None
    assert high is not None
    assert low.epoch_hours < high.epoch_hours


def test_a_flip_is_told_with_the_rig_that_takes_over() -> None:
    """Tests the guide's known flip: with a reserve of 1,012 MiB a 48 GB card holds 7 samples, and 4x A6000 win."""
    problem = asked(**reserve("0.98828125", "1.5"))
    ends = ends_of(problem)
    assert not ends["low"].same
    assert ends["high"].same
    rig = ends["low"].rig
    assert rig is not None
    assert (rig.card_id, rig.card_count, rig.total_batch) == ("rtx-a6000", 4, 28)
    right = oracle.best(problem.replaced(confidence="low"))
    assert right.choice is not None
    assert right.choice[:2] == (rig.card_id, rig.card_count)


def test_one_mebibyte_more_does_not_flip() -> None:
    assert ends_of(asked(**reserve("0.9892578125", "1.5")))["low"].same


def test_nothing_fits_at_the_high_end() -> None:
    """Tests that a plan which may not fit at all says so."""
    ends = ends_of(asked(**reserve("1", "79")))
    assert ends["high"] == Outlook(confidence="high", status="infeasible", same=False, rig=None)


def test_what_was_not_proved_in_time_is_not_told_as_proved() -> None:
    """Tests that an end without time is not said to fit no rig, and that an unproved rig is neither same nor a flip."""
    problem = asked()
    best = optimize(problem)
    late = outlook(best, "expected", lambda _: None)
    assert [(end.confidence, end.status, end.rig) for end in late] == [
        ("low", "no_answer", None),
        ("high", "no_answer", None),
    ]
    assert dict(outlook_facts(best.plan, late)) == dict.fromkeys(
        ("if all is low", "if all is high"), "not found out in the time given"
    )
    held = optimize(problem.replaced(confidence="high")).model_copy(update={"status": "feasible"})
    for words in dict(outlook_facts(best.plan, outlook(best, "expected", lambda _: held))).values():
        assert words.startswith("not proved in the time given; the best found is 2x A100 80GB PCIe at 300 W: ")


def test_the_ends_share_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that the search at each end gets what is left of the command's limit, and none once it is over."""
    clock = iter([100.0, 100.4, 101.0])
    monkeypatch.setattr("solver.cli.optimize.time.monotonic", lambda: next(clock))
    given: list[float | None] = []

    def solved(_: Problem, options: Options) -> None:
        given.append(options.time_limit_s)

    monkeypatch.setattr("solver.solve.optimize", solved)
    ask = asking(asked(), None, 100.9, prune=True, as_of=None)
    for end in CONFIDENCES:
        ask(end, threading.Event())
    assert [None if left is None else round(left, 6) for left in given] == [0.9, 0.5]


def test_the_end_that_is_planned_on_is_told_with_its_epoch(run_cli: RunCli) -> None:
    """Tests that a plan on the high end leads with the epoch that surely suffices, not only the expected one."""
    flags = ["--goal", "epoch", "--budget", 300_000]
    sure = run_cli("optimize", *flags, "--confidence", "high").out
    assert re.search(r"planned on +all that is uncertain at its high end: 15\.9 h an epoch", sure)
    assert "planned on" not in run_cli("optimize", *flags).out


def test_exact_workloads_have_no_outlook() -> None:
    exact = asked(measured_steps=(), compute_share_low=Decimal("0.5"), compute_share_high=Decimal("0.5"))
    assert ends_of(exact) == {}


def test_planning_on_the_high_end_looks_at_the_others() -> None:
    problem = asked(**reserve("0.98828125", "1.5")).replaced(confidence="high")
    assert set(ends_of(problem)) == {"low", "expected"}


def test_explain_says_which_figure_flips_the_plan() -> None:
    """Tests the interval of each figure beside the range in which the plan stays."""
    found = {one.field: one for one in explain(asked(**reserve("0.9", "2"))).figures}
    assert (found["reserve_gb"].interval_low, found["reserve_gb"].interval_high) == (0.9, 2)
    assert found["reserve_gb"].low == 1013 / 1024
    assert (found["compute_share"].interval_low, found["compute_share"].interval_high) == (0, 1)
    assert (found["fixed_s"].interval_low, found["fixed_s"].interval_high) == (19.166, 27.5)
    assert (found["per_sample_s"].interval_low, found["per_sample_s"].interval_high) == (2.5, 5.834)


def test_ends_of_step_times_are_those_of_the_measured_steps() -> None:
    work = asked().workload
    assert own_ends(work, "fixed_s") == (Decimal("19.166"), Decimal("27.5"))
    assert own_ends(work, "weights_gb") is None


@pytest.mark.parametrize("field", ["reserve_gb", "fixed_s", "compute_share"])
def test_another_value_is_exact(field: str) -> None:
    """Tests that a figure set by hand has no ends of its own left, and the share keeps an interval that holds it."""
    changed = with_figure(asked(**reserve("1", "2")), field, Decimal("0.75")).workload
    assert getattr(changed, field) == Decimal("0.75")
    assert changed.figure(field, "low") == changed.figure(field, "high") if field == "reserve_gb" else True
    assert changed.compute_share_low <= changed.compute_share <= changed.compute_share_high


def test_printed_for_people(run_cli: RunCli) -> None:
    """Tests the lines under the plan, and the verdict of explain."""
    told = run_cli("optimize", "--workload", "llama-7b", "--seq-len", 4096, "--budget", 300_000)
    assert told.code == 0
    assert "if all is high" in told.out
    assert "the same rig at 300 W: total batch 40" in told.out
    assert "a card surely fits 10, at best 18" in told.out
    planned = run_cli(
        "optimize", "--workload", "llama-7b", "--seq-len", 4096, "--confidence", "high", "--budget", 300_000
    )
    assert "40 samples (4 cards x micro-batch 10)" in planned.out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--confidence", "sure"], "--confidence"),
        (["--offload", "nvme"], "must be none, optimizer, or optimizer,param"),
        (["--zero-stage", "1"], "--zero-stage"),
        (["--seq-len", "0"], "--seq-len"),
        (["--gradient-accumulation", "0"], "--gradient-accumulation"),
        (["--seq-len", "2048"], "--seq-len = 2048: cannot be changed: the workload has no model"),
        (["--offload", "none"], '--offload = "none": cannot be changed: the workload has no model'),
    ],
)
def test_wrong_options_are_refused_in_one_line(run_cli: RunCli, flags: list[str], said: str) -> None:
    told = run_cli("optimize", "--budget", 300_000, *flags)
    assert told.code == 2
    assert said in told.err
    assert len(told.err.strip().splitlines()) == 1
