"""--confidence and intervals, carried through every form of an answer: JSON, tables, explanations, curves, checks."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from solver.catalog import default_library, resolve
from solver.domain.base import Interval
from solver.domain.plan import Choice
from solver.domain.recheck import plan_of
from solver.frontier import frontier
from solver.report.wording import between
from solver.wire.convert import message_of, record_of
from tests.conftest import RunCli

EPOCH = ["--goal", "epoch", "--budget", "300000"]


@pytest.mark.parametrize("end", ["low", "expected", "high"])
def test_json_says_which_end_was_planned_on(run_cli: RunCli, end: str) -> None:
    """Tests the field of optimize, explain, frontier and check."""
    flags = ["--budget", "60000", "--confidence", end, "--format", "json"]
    assert run_cli("optimize", *flags).json["confidence"] == end
    assert run_cli("explain", *flags).json["result"]["confidence"] == end
    assert run_cli("frontier", *flags).json["confidence"] == end
    assert run_cli("check", "--card", "rtx-a6000", *flags).json["confidence"] == end


def test_infeasible_answers_say_it_too(run_cli: RunCli) -> None:
    answer = run_cli("optimize", "--budget", "0", "--confidence", "high", "--format", "json").json
    assert (answer["status"], answer["confidence"]) == ("infeasible", "high")
    told = run_cli("optimize", "--budget", "0", "--confidence", "high").out
    assert told.startswith("largest total batch, planned on the high end of all intervals: proved: no rig fits")


def test_the_headline_of_explain_tells_the_epoch_that_its_tables_do(run_cli: RunCli) -> None:
    """Tests that explain on the high end does not lead with the expected epoch: 15.9 h, not 13.7 h."""
    told = " ".join(run_cli("explain", *EPOCH, "--confidence", "high").out.split())
    assert "229,000 CNY, 15.9 h an epoch; optimal" in told
    assert "15.9 h (12.1 to 15.9)" in told


def test_a_curve_planned_on_the_high_end_prints_the_epochs_it_was_drawn_from(run_cli: RunCli) -> None:
    """Tests that no printed point is beaten by another on both axes, as the title promises."""
    rows = run_cli("frontier", *EPOCH, "--confidence", "high", "--format", "markdown").out
    found = re.findall(r"\| ([\d,]+) \| \d+ \| ([\d.]+) (days|h) \(", rows)
    points = [(int(cny.replace(",", "")), float(n) * (24 if unit == "days" else 1)) for cny, n, unit in found]
    assert len(points) == 13
    assert points == sorted(points)
    assert all(later[1] < earlier[1] for earlier, later in pairwise(points))
    assert "planned on the high end of all intervals" in rows


def test_rigs_of_explanations_carry_the_interval_of_their_epoch(run_cli: RunCli) -> None:
    """Tests every rig of an explanation, and the rig's value at the end planned on."""
    for end in ("expected", "high"):
        answer = run_cli("explain", *EPOCH, "--confidence", end, "--format", "json").json
        rigs = list(_rigs({key: answer[key] for key in answer if key != "result"}))
        assert len(rigs) > 10
        for rig in rigs:
            held = rig["epoch_hours_range"]
            assert held["low"] < held["expected"] <= held["high"]
            assert held[end] == pytest.approx(rig["epoch_hours"], abs=1e-6)
            assert held["basis"] in ("measured", "assumed")


def _rigs(data: Any) -> list[dict[str, Any]]:
    if isinstance(data, list):
        return [rig for each in data for rig in _rigs(each)]
    if not isinstance(data, dict):
        return []
    own = [data] if "epoch_hours" in data and "micro_batch" not in data else []
    return own + [rig for each in data.values() for rig in _rigs(each)]


def test_check_says_which_end_it_checked(run_cli: RunCli) -> None:
    """Tests that the verdict on a quote names the end, where it is not the expected one."""
    rig = ["check", "--card", "rtx-a6000", "--count", "2", "--workload", "llama-7b"]
    assert "planned on the high end of all intervals" in run_cli(*rig, "--confidence", "high").out
    assert "planned on" not in run_cli(*rig).out


def test_step_and_preparation_are_told_with_their_intervals(run_cli: RunCli) -> None:
    """Tests the line of the step (60 to 107.7 s by the guide's points at batch 13) and the tag of the preparation."""
    told = run_cli("optimize", "--budget", "300000").out
    assert "75.81 s (between 60 s and 107.7 s, assumed), 962 steps per epoch" in told
    plan = run_cli("optimize", "--budget", "300000", "--format", "json").json["plan"]
    assert plan["preparation_hours"]["basis"] == "assumed"
    assert "of preparation included" in told
    assert "preparation" not in run_cli("optimize", "--workload", "llama-7b").out


def test_preparation_with_an_interval_shows_it(run_cli: RunCli, tmp_path: Path) -> None:
    question = {"workload": {"preparation_low_h": 8, "preparation_expected_h": 11, "preparation_high_h": 20}}
    (tmp_path / "question.yaml").write_text(json.dumps(question))
    told = run_cli("optimize", "--problem", tmp_path / "question.yaml").out
    assert "11 h (8 to 20) of preparation included" in told


def test_intervals_in_few_words() -> None:
    assert between(20.25, Interval(low=16.04, expected=20.25, high=28.8)) == "20.2 h (16.0 to 28.8)"
    assert between(36, Interval(low=12, expected=24, high=36)) == "1.50 days (0.50 to 1.50)"
    assert between(0.02, Interval(low=0.00055, expected=0.02, high=0.3)) == "0.02 h (0.0006 to 0.3)"
    assert between(5, Interval(low=5, expected=5, high=5)) == between(5, None) == "5.0 h"


def test_it_goes_over_the_wire() -> None:
    """Tests that a curve comes back from its message as it was, the end it was planned on with it."""
    from solver.api.v1 import explanation_pb2 as pb

    problem = resolve({"confidence": "high", "goal": "epoch", "limits": {"budget_cny": 50_000}}, default_library())
    found = frontier(problem, ("cost", "epoch"))
    assert found.confidence == "high"
    assert record_of(message_of(found, pb.Frontier), type(found)) == found


@pytest.mark.parametrize(
    ("card", "count", "watts", "tag"),
    [
        ("rtx-6000-ada", 1, 300, "measured"),
        ("rtx-6000-ada", 4, 300, "assumed"),  # nobody measured four: card_scaling is a planning assumption
        ("rtx-6000-ada", 1, 200, "assumed"),  # by the power curve of an RTX 3090
        ("rtx-a6000", 1, 300, "assumed"),
    ],
)
def test_only_what_was_measured_is_called_measured(card: str, count: int, watts: int, tag: str) -> None:
    """Tests that the guide's steps, of one RTX 6000 Ada at full power, vouch for nothing else."""
    problem = resolve({}, default_library())
    choice = Choice(card_id=card, card_count=count, power_limit_w=watts, platform_id="guide-base")
    plan = plan_of(problem, choice)
    assert (plan.step_seconds.basis, plan.epoch_hours.basis) == (tag, tag)
    assert plan.training_hours.basis == "assumed"  # the 11 hours of preparation are


def test_a_cards_own_power_curve_is_an_estimate() -> None:
    """Tests an estimated workload on an RTX 3090 at 250 W, for which the curve was measured: not better, not worse."""
    problem = resolve({"workload": "llama-7b"}, default_library())
    choice = Choice(card_id="rtx-3090", card_count=1, power_limit_w=250, platform_id="guide-base")
    assert plan_of(problem, choice).epoch_hours.basis == "estimated"


def test_a_tiny_model_takes_more_than_no_time(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that an epoch of a second is not "0.0 h", and that batches in the ten thousands can be read."""
    sizes = ["--layers", "1", "--hidden", "8", "--heads", "1", "--ffn", "8", "--vocab", "8", "--seq", "8"]
    assert run_cli("workload", "from-model", *sizes, "-o", tmp_path / "tiny.yaml").code == 0
    told = run_cli("explain", "--workload", tmp_path / "tiny.yaml", "--budget", "100000").out
    assert "0.0 h" not in told
    assert re.search(r"Platinum, \d+,\d{3} samples, 80,000 CNY", told)


def test_a_batch_larger_than_the_epoch_is_warned_of(run_cli: RunCli) -> None:
    """Tests 26 samples at once of a set of 25, and that a set of 26 is fine."""
    said = "the total batch of 26 holds more than the 25 samples of an epoch"
    assert said in run_cli("optimize", "--budget", "300000", "--samples", "25", "--format", "json").json["warnings"][0]
    assert "samples of an epoch" not in run_cli("optimize", "--budget", "300000", "--samples", "26").out
