"""What the default catalogue must answer: every row and flip of the project's table, through the command line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import RunCli

ROWS = [
    # question, card, count, cost, batch
    (["--budget", "100000"], "rtx-a6000", 2, 80000, 12),
    (["--budget", "150000"], "rtx-a6000", 4, 135000, 24),
    (["--budget", "300000"], "a100-80gb-pcie", 2, 232000, 26),
    (["--budget", "100000", "--goal", "value"], "rtx-a6000", 2, 80000, 12),
    (["--budget", "150000", "--goal", "value"], "rtx-a6000", 4, 135000, 24),
    (["--budget", "100000", "--goal", "epoch"], "rtx-4090-blower", 4, 85000, 8),
    (["--min-batch", "24", "--goal", "cost"], "rtx-a6000", 4, 135000, 24),
    (["--budget", "150000", "--goal", "epoch"], "rtx-a6000", 4, 135000, 24),
    (["--budget", "300000", "--goal", "epoch"], "rtx-6000-ada", 4, 229000, 24),
]

FLIPS = [
    (["--budget", "100000", "--price", "rtx-a6000=25000"], ("rtx-a6000", 3)),
    (["--budget", "100000", "--price", "rtx-a6000=25000.01"], ("rtx-a6000", 2)),
    (["--budget", "100000", "--price", "rtx-a6000=37500"], ("rtx-a6000", 2)),
    (["--budget", "100000", "--price", "rtx-a6000=37500.01"], ("rtx-3090-blower", 4)),
    (["--budget", "300000", "--price", "a100-80gb-pcie=91666.66"], ("a100-80gb-pcie", 3)),
    (["--budget", "300000", "--price", "a100-80gb-pcie=91666.67"], ("a100-80gb-pcie", 2)),
    (["--budget", "300000", "--price", "a100-80gb-pcie=137500"], ("a100-80gb-pcie", 2)),
    (["--budget", "300000", "--price", "a100-80gb-pcie=137500.01"], ("rtx-a6000", 4)),
    (["--budget", "150000", "--price", "guide-base=40000"], ("rtx-a6000", 4)),
    (["--budget", "150000", "--price", "guide-base=40000.01"], ("rtx-a6000", 3)),
    (["--budget", "100000", "--price", "guide-base=45000"], ("rtx-a6000", 2)),
    (["--budget", "100000", "--price", "guide-base=45001"], ("rtx-3090-blower", 4)),
    (["--budget", "300000", "--reserve-gb", "0"], ("rtx-a6000", 4)),
]


def ask(run_cli: RunCli, *arguments: str) -> dict[str, Any]:
    """The JSON answer of a question that has a proved plan."""
    ran = run_cli("optimize", *arguments, "--format", "json")
    assert ran.code == 0, ran.err
    answer: dict[str, Any] = ran.json
    assert answer["status"] == "optimal"
    assert answer["objective"] == answer["bound"]
    return answer


@pytest.mark.parametrize(("question", "card", "count", "cost", "batch"), ROWS, ids=lambda v: str(v))
def test_row(run_cli: RunCli, question: list[str], card: str, count: int, cost: int, batch: int) -> None:
    """Tests that a row of the table in the model's section 6 is answered."""
    plan = ask(run_cli, *question)["plan"]
    assert (plan["card_id"], plan["card_count"], plan["cost_cny"], plan["total_batch"]) == (card, count, cost, batch)


@pytest.mark.parametrize(("question", "rig"), FLIPS, ids=lambda v: str(v))
def test_flip(run_cli: RunCli, question: list[str], rig: tuple[str, int]) -> None:
    """Tests that the answer flips at the price the guide's arithmetic implies, to the fen."""
    plan = ask(run_cli, *question)["plan"]
    assert (plan["card_id"], plan["card_count"]) == rig


@pytest.mark.parametrize(
    ("question", "watts", "wall", "days"),
    [
        (["--budget", "100000", "--goal", "epoch"], 360, 1970, 1.39),
        (["--budget", "150000", "--goal", "epoch"], 300, 1688, 0.74),
        (["--budget", "300000", "--goal", "epoch"], 300, 1688, 0.57),
        (["--budget", "300000"], 300, 1012, 0.84),
    ],
)
def test_time_and_watts(run_cli: RunCli, question: list[str], watts: int, wall: int, days: float) -> None:
    """Tests the power limit, the watts at the wall and the epoch of the table, and that the interval contains it."""
    plan = ask(run_cli, *question)["plan"]
    assert plan["power_limit_w"] == watts
    assert round(plan["wall_power_w"]) == wall
    epoch = plan["epoch_hours"]
    assert round(epoch["expected"] / 24, 2) == days
    assert epoch["low"] < epoch["expected"] < epoch["high"]
    assert plan["training_hours"]["expected"] == pytest.approx(11 + epoch["expected"])


def test_a800_quote_beats_the_a100(run_cli: RunCli) -> None:
    """Tests that three A800 at the price of 2023-06-06 give 39 at 300,000."""
    plan = ask(run_cli, "--budget", "300000", "--price", "a800-80gb-pcie=87000")["plan"]
    assert (plan["card_id"], plan["card_count"], plan["total_batch"]) == ("a800-80gb-pcie", 3, 39)


@pytest.mark.parametrize(
    ("card", "count", "batch"),
    [
        ("rtx-3090-blower", 4, 8),
        ("rtx-a6000", 2, 12),
        ("rtx-a6000", 4, 24),
        ("rtx-6000-ada", 2, 12),
        ("a100-80gb-pcie", 1, 13),
        ("a100-80gb-pcie", 2, 26),
    ],
)
def test_batch_figures_of_the_guide(run_cli: RunCli, card: str, count: int, batch: int) -> None:
    """Tests the six batch figures of the guide's table."""
    plan = run_cli("check", "--card", card, "--count", count, "--format", "json").json["plan"]
    assert plan["total_batch"] == batch


@pytest.mark.parametrize(
    ("card", "count", "watts", "wall"),
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
def test_wall_watts(run_cli: RunCli, card: str, count: int, watts: int, wall: int) -> None:
    """Tests the watts at the wall behind the 2 kW Platinum unit."""
    ran = run_cli("check", "--card", card, "--count", count, "--power-limit", watts, "--format", "json")
    assert round(ran.json["plan"]["wall_power_w"]) == wall


@pytest.mark.parametrize(("count", "gb"), [(1, 151), (4, 166)])
def test_host_ram(run_cli: RunCli, count: int, gb: int) -> None:
    """Tests the host RAM of one and of four cards."""
    ran = run_cli("check", "--card", "rtx-a6000", "--count", count, "--format", "json")
    assert round(ran.json["plan"]["host_ram_gb"]) == gb


def test_quote_that_overloads_the_socket(run_cli: RunCli) -> None:
    """Tests that four 4090 at 450 W exit 3 and name wall, PSU and cooling with their margins."""
    ran = run_cli("check", "--card", "rtx-4090-blower", "--count", "4", "--power-limit", "450", "--format", "json")
    assert ran.code == 3
    broken = {row["limit"]: row for row in ran.json["broken"]}
    assert set(broken) == {"wall_power", "psu", "case_cooling"}
    assert round(broken["wall_power"]["headroom"]) == -189
    assert broken["psu"]["headroom"] == -365
    assert ran.json["power_limits_that_fit_w"] == [150, 367]
    table = run_cli("check", "--card", "rtx-4090-blower", "--count", "4", "--power-limit", "450")
    assert table.code == 3
    assert "wall_power" in table.out
    assert "psu" in table.out
