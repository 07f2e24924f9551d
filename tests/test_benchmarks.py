"""The benches themselves: they stop who does not end, notice who disagrees, and write what they measured."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as program
from benchmarks import contest, linear, page, peers
from benchmarks.capped import capped
from benchmarks.report import Chart, Report, Row, Series, Table
from benchmarks.solve import rig_of
from benchmarks.timing import Aim, Timing, shown
from solver.catalog import default_problem
from solver.solve import optimize


def endless() -> None:
    for _ in itertools.count():
        pass


def greedy() -> int:
    return len(bytearray(4 << 30))


def wrong() -> None:
    raise ValueError("not what was asked")


def test_what_does_not_end_is_stopped_at_the_cap() -> None:
    ended = capped(endless, 0.2)
    assert (ended.how, ended.ms, ended.answer) == ("cap", 200, None)


def test_what_takes_too_much_memory_is_told_so() -> None:
    assert capped(greedy, 20, memory_gb=0.5).how == "memory"


def test_what_ends_hands_back_its_answer() -> None:
    ended = capped(lambda: ("rtx-a6000", 4), 20)
    assert ended.how == "in time"
    assert ended.answer == ("rtx-a6000", 4)


def test_a_fault_is_not_taken_for_an_answer() -> None:
    with pytest.raises(RuntimeError, match="ValueError: not what was asked"):
        capped(wrong, 20)


@pytest.mark.parametrize("name", ["HiGHS", "SCIP"])
@pytest.mark.parametrize("limits", [{"budget_cny": 300_000}, {"budget_cny": 30_000}, {"min_batch": 24}])
def test_other_solvers_agree_on_the_same_mathematics(name: linear.Name, limits: dict[str, Any]) -> None:
    problem = default_problem(goal="cost" if "min_batch" in limits else "batch", limits=limits)
    plan = optimize(problem).plan
    expected = None if plan is None else rig_of(plan)
    assert linear.all_pairs(problem, name) == expected
    assert linear.pruned(problem, name) == expected


def test_a_contender_that_disagrees_stops_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contest.OTHERS, "NumPy, every rig", lambda _problem: ("rtx-3090", 1, 350, "guide-base"))
    for name in ("plain model", "HiGHS, all pairs", "SCIP, all pairs"):
        monkeypatch.delitem(contest.OTHERS, name)
    with pytest.raises(AssertionError, match="guide-base"):
        contest.growth(quick=True)


def test_exponents_leave_out_what_was_stopped() -> None:
    points = [(size, size**2.0, False) for size in (10.0, 100.0, 1000.0)]
    assert Series("it", [*points, (10_000.0, 5.0, True)]).exponent == pytest.approx(2)
    assert Series("it", points[:2]).exponent is None


@pytest.mark.parametrize(
    ("value", "text"), [(0.00275, "0.00275"), (0.0304, "0.0304"), (1.234, "1.23"), (56.78, "56.8"), (1234.5, "1,234")]
)
def test_three_digits(value: float, text: str) -> None:
    assert shown(value) == text


def figures() -> dict[str, Any]:
    report = Report(
        "two contenders",
        rows=[
            Row("a | b", "ours", Timing((1.0, 2.0, 4.0), (1.0, 2.0, 4.0)), {"pairs": 1480, "it / ours": 1.0}),
            Row("a | b", "theirs", Timing((8000.0,), (8000.0,), at_least=True), {"it / ours": 4000.0}),
        ],
        aims=[Aim("quick", 2.0, 5.0, "ms"), Aim("quicker", 2.0, 1.0, "ms", "it waits for the disk")],
        tables=[Table("Facts", ("who", "says"), [["we", "yes"]])],
        notes=["Said once."],
    )
    about = {"cpu": "a chip", "cores": 2, "load": [0, 0, 0], "python": "3", "versions": {"ortools": "9"}}
    raw = json.loads(json.dumps(report.raw()))
    return {"date": "2026-01-02", "minutes": 3, "machine": about, "benches": {"some": raw}}


def test_the_page_says_what_was_measured(tmp_path: Path) -> None:
    (tmp_path / "intro.md").write_text("# Figures\n", encoding="utf-8")
    (tmp_path / "some.md").write_text("Written by hand.\n", encoding="utf-8")
    text = page.write(figures(), tmp_path).read_text(encoding="utf-8")
    assert "1 of 2 met." in text
    assert "**missed**: it waits for the disk" in text
    assert r"| a \| b | ours | 2.00 | 1.00 to 4.00 | 3 | 1,480 | 1.00x |" in text
    assert r"| a \| b | theirs | > 8,000 |  | 1 |  | > 4,000x |" in text
    assert "| we | yes |" in text
    assert text.index("Said once.") < text.index("Written by hand.")
    assert page.write(figures(), tmp_path).read_text(encoding="utf-8") == text


def test_the_page_was_made_by_benches_that_are_there() -> None:
    """The page in the repository, and its chart."""
    folder = page.FOLDER
    named = re.findall(r'<a id="([a-z-]+)"></a>', (folder / "README.md").read_text(encoding="utf-8"))
    assert set(named) <= set(program.BENCHES)
    assert (folder / "charts" / "growth.svg").exists()


def test_an_unknown_bench_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["solve-nothing"])
    assert ended.value.code == 2
    assert "no bench is called solve-nothing" in capsys.readouterr().err


def test_a_sum_of_tdps_calls_some_rigs_safe_that_are_not() -> None:
    (facts,) = peers.sum_of_tdps(True).tables
    for row in facts.rows:
        safe, trips, overloads = (int(cell.replace(",", "")) for cell in row[1:4])
        assert 0 < max(trips, overloads) <= int(row[4].split()[0].replace(",", "")) < safe


def test_charts_keep_their_bounds_apart() -> None:
    chart = Chart("x", "t", "pairs", [Series("it", [(1.0, 1.0, True)])])
    raw = Report("r", charts=[chart]).raw()["charts"][0]
    assert raw["series"] == [{"name": "it", "points": [(1.0, 1.0, True)], "exponent": None}]
