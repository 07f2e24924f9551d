"""`solver-cli whatif` as a buyer meets it: runs, exit codes, files of results, examples with what must come of them."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet
import pytest

from solver.catalog import default_library
from solver.sweep.columns import VOLATILE
from solver.sweep.file import parse
from solver.sweep.run import Settings, register
from solver.sweep.schema import schema
from solver.sweep.store import Store
from tests.conftest import Ran, RunCli
from tests.whatif_equal import EXAMPLES, compared, scenario_files


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def summary(run_cli: RunCli, file: Path, *options: object) -> dict[str, Any]:
    ran = run_cli("whatif", "run", file, "--executor", "inline", "--format", "json", *options)
    assert ran.code in (0, 3, 6), ran.err
    found: dict[str, Any] = ran.json
    return found


def rigs(found: dict[str, Any]) -> dict[str, int]:
    return {f"{w['card_count']}x {w['card_id']}": w["wins"] for w in found["winners"]}


# Examples ----------------------------------------------------------------------------------------------------------


def test_the_guides_three_budgets(run_cli: RunCli) -> None:
    """Tests that the guide's table holds, as the file itself expects it."""
    found = summary(run_cli, EXAMPLES / "guide-budgets.yaml")
    assert found["expectations"] == {"checked": 9, "broken": 0, "first": []}
    assert rigs(found) == {
        "4x rtx-a6000": 4, "2x rtx-a6000": 2, "2x a100-80gb-pcie": 1, "4x rtx-4090-blower": 1, "4x rtx-6000-ada": 1,
    }  # fmt: skip


def test_the_budget_sweep(run_cli: RunCli) -> None:
    """Tests which rig wins over which budgets from 30,000 to 600,000; the flips are those that prices imply."""
    found = summary(run_cli, EXAMPLES / "budget-sweep.yaml")
    assert found["by_status"] == {"infeasible": 1, "optimal": 114}
    assert found["answered_by"] == {"frontier": 115}
    won = {f"{w['card_count']}x {w['card_id']}": tuple(w["budget_cny"]) for w in found["winners"]}
    assert won == {
        "1x rtx-3090": (35_000, 40_000),
        "2x rtx-3090": (45_000, 50_000),
        "3x rtx-3090-blower": (55_000, 55_000),
        "4x rtx-3090-blower": (60_000, 75_000),
        "2x rtx-a6000": (80_000, 105_000),
        "3x rtx-a6000": (110_000, 130_000),
        "4x rtx-a6000": (135_000, 230_000),
        "2x a100-80gb-pcie": (235_000, 335_000),
        "3x a100-80gb-pcie": (340_000, 435_000),
        "4x a100-80gb-pcie": (440_000, 600_000),
    }
    assert found["stability"] == {"rigs": 10, "most_frequent_share": 0.289474, "changes_along_the_file": 9}
    spread = found["spread"]["cost_cny"]
    assert (spread["min"], spread["median"], spread["max"]) == (33_500, 232_000, 439_000)


def test_ten_against_sixteen_amps(run_cli: RunCli) -> None:
    """Tests that the socket changes power limits, not rigs: 4090s at 360 W on 10 A, 350 W on 16 A; 310 W at 80 %."""
    ran = run_cli("whatif", "run", EXAMPLES / "sockets.yaml", "--executor", "inline", "--run-id", "s")
    assert ran.code == 0, ran.err
    matrices = [line.split() for line in ran.out.splitlines() if line.strip().startswith("100,000")]
    assert matrices[0] == ["100,000", "4x", "rtx-4090-blower", "@360", "W", "4x", "rtx-4090-blower", "@360", "W"]
    assert matrices[1] == ["100,000", "4x", "rtx-4090-blower", "@310", "W", "4x", "rtx-4090-blower", "@360", "W"]
    found = run_cli("whatif", "show", "s", "--format", "json").json
    assert rigs(found) == {
        "4x rtx-a6000": 20, "4x rtx-6000-ada": 16, "4x rtx-3090-blower": 4, "4x rtx-4090-blower": 4,
        "2x rtx-a6000": 4, "3x rtx-a6000": 4,
    }  # fmt: skip
    assert found["answered_by"] == {"frontier": 52}


def test_the_a800_quotes(run_cli: RunCli) -> None:
    """Tests that the A800 at 87,000 wins with three cards, and up to which price it beats the A100."""
    found = summary(run_cli, EXAMPLES / "a800-quotes.yaml", "--run-id", "a")
    assert found["expectations"]["broken"] == 0
    assert rigs(found) == {
        "2x a100-80gb-pcie": 18, "3x a800-80gb-pcie": 13, "2x a800-80gb-pcie": 11, "4x a800-80gb-pcie": 6,
        "4x rtx-a6000": 6, "3x a100-80gb-pcie": 2, "4x a100-80gb-pcie": 1,
    }  # fmt: skip
    for price, rig in ((90_000, "3x a800-80gb-pcie"), (92_500, "2x a800-80gb-pcie"), (105_000, "2x a100-80gb-pcie")):
        row = run_cli("whatif", "show", "a", f"up to which price: a800-80gb-pcie={price}", "--format", "json").json
        assert f"{row['card_count']}x {row['card_id']}" == rig
    lines = run_cli("whatif", "show", "a", "--matrix", "total_batch", "--format", "json").json
    assert lines[0] == ["limits.budget_cny \\ prices.a800-80gb-pcie", 80_000, 87_000, 95_000, 105_000]
    assert lines[4] == [300_000, 39, 39, 26, 26]


def test_ten_thousand_price_draws(run_cli: RunCli) -> None:
    """Tests the summary of 10,000 draws: how sure two A100 are at 300,000, and between what the cost lies."""
    found = summary(run_cli, EXAMPLES / "price-draws.yaml")
    assert found["by_status"] == {"optimal": 10_000}
    assert rigs(found) == {
        "2x a100-80gb-pcie": 7653, "3x a100-80gb-pcie": 2054, "4x rtx-a6000": 164, "4x a100-80gb-pcie": 129,
    }  # fmt: skip
    assert found["stability"]["most_frequent_share"] == 0.7653
    # That three are affordable is 3 p + b <= 300,000 with p normal and b triangular: a quarter of the plane's corner,
    # by 200,000 draws of another generator 0.219 +- 0.001 (with the four-card cases); four sigma at 10,000 are 0.017.
    three_or_more = (2054 + 129) / 10_000
    assert three_or_more == pytest.approx(_three_a100_affordable(), abs=0.017)


def _three_a100_affordable() -> float:
    import numpy as np

    rng = np.random.default_rng(1)
    price = 103_500 * (1 + 0.15 * rng.standard_normal(200_000))
    base = 25_000 * (1 + rng.triangular(-0.1, 0, 0.2, 200_000))
    return float((3 * price + base <= 300_000).mean())


def test_a_table_for_departments(run_cli: RunCli) -> None:
    """Tests the CSV example: seven departments, each with its own limits, all as they expect it."""
    found = summary(run_cli, EXAMPLES / "departments.csv")
    assert found["by_status"] == {"infeasible": 1, "optimal": 6}
    assert found["expectations"] == {"checked": 5, "broken": 0, "first": []}


@pytest.mark.parametrize("path", scenario_files(), ids=lambda path: path.name)
def test_examples_equal_optimize(path: Path) -> None:
    """Tests that a sample of every example is answered as `optimize` does; `make whatif-equal` takes all."""
    for one, other in compared(path, every=97 if path.name == "price-draws.yaml" else 5):
        assert one == other


def test_the_examples_schema_is_current() -> None:
    """Tests that the schema beside the examples, which editors read, is the one that `whatif schema` prints."""
    assert json.loads((EXAMPLES / "scenario.schema.json").read_text(encoding="utf-8")) == schema()


# Results -----------------------------------------------------------------------------------------------------------

NASTY = """
base: {limits: {budget_cny: 100000}}
scenarios:
  - {name: "=1+cmd|' /C calc'!A0"}
  - {name: "@SUM(A1)", set: {limits.budget_cny: 10}}
  - {name: "-2+3", set: {limits.budget_cny: -2}}
  - {name: "价格, \\"quoted\\"", set: {prices.rtx-a6000: 25000.01, limits.allow_used: true, limits.exclude: [rtx-3090]}}
"""


def stable(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if not k.endswith(VOLATILE)} for record in records]


def test_every_format_says_the_same_and_runs_nothing(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests CSV, JSONL, Parquet and XLSX against each other, and that no text in them can act as a formula."""
    file = written(tmp_path / "nasty.yaml", NASTY)
    outputs = [tmp_path / f"r.{form}" for form in ("csv", "jsonl", "parquet", "xlsx")]
    ran = run_cli("whatif", "run", file, "--executor", "inline", *(part for o in outputs for part in ("-o", o)))
    assert ran.code == 6, ran.err
    lines = stable([json.loads(line) for line in outputs[1].read_text(encoding="utf-8").splitlines()])
    assert [line["status"] for line in lines] == ["optimal", "infeasible", "failed", "optimal"]
    assert lines[3]["set.prices.rtx-a6000"] == 25_000.01
    assert lines[3]["set.limits.allow_used"] is True
    assert lines[3]["set.limits.exclude"] == "rtx-3090"
    assert lines[2]["error"].startswith("nasty.yaml:6: limits.budget_cny = -2: must be between")
    assert lines[0]["epoch_hours_low"] < lines[0]["epoch_hours"] < lines[0]["epoch_hours_high"]
    assert (lines[0]["budget_used"], lines[0]["budget_headroom"]) == (80_000, 20_000)

    assert stable(pyarrow.parquet.read_table(outputs[2]).to_pylist()) == lines

    sheet = openpyxl.load_workbook(outputs[3]).worksheets[0]
    header, *rest = sheet.iter_rows()
    assert {cell.data_type for row in rest for cell in row} <= {"s", "inlineStr", "n", "b"}, "no live formula"
    cells = [{str(h.value): cell.value for h, cell in zip(header, row, strict=True)} for row in rest]
    assert stable(cells) == [{k: v if v != "" else None for k, v in line.items()} for line in lines]

    with outputs[0].open(encoding="utf-8", newline="") as opened:
        table = list(csv.DictReader(opened))
    assert [row["name"][:2] for row in table] == ["'=", "'@", "'-", "价格"]
    assert table[2]["set.limits.budget_cny"] == "-2", "numbers stay numbers"
    assert not any(value.startswith(("=", "@", "+", "\t", "\r")) for row in table for value in row.values())
    raw = run_cli("whatif", "run", file, "--executor", "inline", "-o", tmp_path / "raw.csv", "--raw-csv", "-q")
    assert raw.code == 6
    assert (tmp_path / "raw.csv").read_text(encoding="utf-8").splitlines()[1].split(",")[1].startswith("=1+cmd")


def test_results_are_the_same_every_time(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that two runs export equal columns but for those named after the clock, and so do two processes."""
    file = written(
        tmp_path / "p.yaml",
        "sweeps: [{random: {draws: 60, seed: 2, values: {prices.rtx-a6000: {normal: {percent: 9}}}}}]",
    )
    texts = []
    for name, executor in (("a.csv", "inline"), ("b.csv", "inline"), ("c.csv", "local")):
        ran = run_cli("whatif", "run", file, "-o", tmp_path / name, "--executor", executor, "-j", 2, "-q")
        assert ran.code == 0
        with (tmp_path / name).open(encoding="utf-8", newline="") as opened:
            texts.append(stable(list(csv.DictReader(opened))))
    assert texts[0] == texts[1] == texts[2]
    assert not any("worker" in column or "attempt" in column for column in texts[0][0])


def test_the_workbook_has_a_matrix(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that a two-axis sweep is a sheet of its own, with the axes as its first line and column."""
    file = written(tmp_path / "m.yaml", "sweeps: [{grid: {limits.budget_cny: [100000, 300000], goal: [batch, cost]}}]")
    assert run_cli("whatif", "run", file, "--executor", "inline", "-q", "-o", tmp_path / "m.xlsx").code == 0
    rows = [[cell.value for cell in row] for row in openpyxl.load_workbook(tmp_path / "m.xlsx")["matrix 1"].iter_rows()]
    assert rows == [
        ["limits.budget_cny \\ goal", "batch", "cost"],
        [100_000, "2x rtx-a6000", "1x rtx-3090"],
        [300_000, "2x a100-80gb-pcie", "1x rtx-3090"],
    ]


# Exit codes and words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("scenarios: [{set: {limits.budget_cny: 10}}]", 0),
        ("scenarios: [{set: {limits.budget_cny: 10}, expect: status == infeasible}]", 0),
        ("scenarios: [{expect: total_batch >= 1000}]", 3),
        ("scenarios: [{set: {limits.max_cards: 99}}, {expect: total_batch >= 1000}]", 6),
        ("scenarios: [{set: {limits.max_cards: 99}}]", 6),
        ("scenario: []", 2),
        ("base: {limits: {max_cards: 99}}\nscenarios: [{}]", 2),
    ],
)
def test_exit_codes(run_cli: RunCli, tmp_path: Path, text: str, code: int) -> None:
    """Tests 0 also where some are infeasible, 3 for a broken expectation, 6 for a failed scenario, 2 for a bad file."""
    ran = run_cli("whatif", "run", written(tmp_path / "p.yaml", text), "--executor", "inline")
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err


def test_what_fails_is_named_with_file_and_line(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that a failed scenario and a broken expectation stand in the summary by name."""
    file = written(
        tmp_path / "p.yaml",
        "scenarios:\n  - {name: too much, set: {limits.max_cards: 99}}\n"
        "  - {name: hopeful, expect: total_batch >= 99}\n",
    )
    ran = run_cli("whatif", "run", file, "--executor", "inline")
    assert "failed: too much: p.yaml:2: limits.max_cards = 99: must be at most 8" in ran.out
    assert "hopeful: total_batch >= 99 (52)" in ran.out
    assert "expectations: 0 of 1 scenarios as expected" in ran.out
    quiet = run_cli("whatif", "run", file, "--executor", "inline", "-q")
    assert quiet.out == ""
    assert quiet.err == "failed: too much: p.yaml:2: limits.max_cards = 99: must be at most 8\n"


def test_fail_fast_stops(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that --fail-fast says which scenario it was and how to go on."""
    items = "".join(f"  - {{name: n{i}, set: {{limits.max_cards: {99 if i == 0 else 2}}}}}\n" for i in range(120))
    file = written(tmp_path / "p.yaml", f"scenarios:\n{items}")
    ran = run_cli("whatif", "run", file, "--executor", "inline", "--fail-fast", "--run-id", "f")
    assert ran.code == 6
    assert "stopped at the first failure: n0: p.yaml:2: limits.max_cards = 99" in ran.err
    assert "whatif resume f" in ran.err
    assert run_cli("whatif", "resume", "f", "--executor", "inline", "-q").code == 6
    assert run_cli("whatif", "status", "f", "--format", "json").json["done"] == 120


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.yaml"], "none.yaml: no such file"),
        (["run", "p.yaml", "-o", "x.pdf"], "must end in .csv, .jsonl, .parquet, .xlsx"),
        (["run", "p.yaml", "-o", "none/x.csv"], "no such folder"),
        (["run", "p.yaml", "--jobs", "0"], "--jobs = 0: must be between 1 and 1,024"),
        (["run", "p.yaml", "--time-limit", "0"], "must be above 0"),
        (["run", "p.yaml", "--run-id", "a/b"], "must be 1 to 80 letters"),
        (["run", "p.yaml", "--store", "p.yaml"], "cannot be used: file is not a database"),
        (["run", "p.txt"], "must end in .yaml, .csv, .xlsx or .jsonl"),
        (["resume", "x"], "has no runs yet"),
        (["show", "x"], "has no runs yet"),
        (["prune"], "name the runs"),
        (["init", "p.yaml"], "exists already"),
    ],
)
def test_bad_input_is_one_line(run_cli: RunCli, tmp_path: Path, arguments: list[str], message: str) -> None:
    """Tests that every mistake on the command line is one line that says what is allowed, and exit code 2."""
    written(tmp_path / "p.yaml", "scenarios: [{}]")
    written(tmp_path / "p.txt", "scenarios: [{}]")
    ran = run_cli("whatif", *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_resume_of_a_finished_run_writes_the_results_again(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that resume solves nothing again and writes what is asked."""
    file = written(tmp_path / "p.yaml", "sweeps: [{grid: {limits.budget_cny: [100000, 150000]}}]")
    first = run_cli("whatif", "run", file, "--executor", "inline", "--run-id", "r", "-o", tmp_path / "a.jsonl")
    again = run_cli("whatif", "resume", "r", "-o", tmp_path / "b.jsonl")
    assert (first.code, again.code) == (0, 0)
    assert (tmp_path / "a.jsonl").read_text() == (tmp_path / "b.jsonl").read_text(), "to the time it was solved"
    assert first.out == again.out


def test_status_names_the_store_to_go_on_with(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that the command it prints finds the run again, also in a store of one's own."""
    data = b"scenarios: [{set: {goal: epoch}}]"
    with Store(tmp_path / "own.sqlite") as store:
        run = register(store, "r", parse(data, "plan.yaml"), data, default_library(), Settings())
        store.mark(run, "interrupted")
    said = run_cli("whatif", "status", "--store", tmp_path / "own.sqlite").out
    assert f"go on with: solver-cli whatif resume r --store {tmp_path / 'own.sqlite'}\n" in said


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_solved(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests both places a run writes to; the tests may run as one who may write anywhere."""
    file = written(tmp_path / "p.yaml", "scenarios: [{name: a}]")
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)
    ran = run_cli("whatif", "run", file, "-o", tmp_path / "a.csv", "--store", tmp_path / "s.sqlite")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Error: --output = ")
    assert ran.err.endswith("its folder cannot be written\n")
    (tmp_path / "s.sqlite").mkdir()
    ran = run_cli("whatif", "list", "--store", tmp_path / "s.sqlite")
    assert "its folder cannot be written, which SQLite must even to read" in ran.err


def test_status_list_and_prune(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that runs are listed, latest first, and deleted by name or by age."""
    file = written(tmp_path / "p.yaml", "scenarios: [{}]")
    for name in ("one", "two"):
        assert run_cli("whatif", "run", file, "--executor", "inline", "--run-id", name, "-q").code == 0
    listed = run_cli("whatif", "list", "--format", "json").json
    assert [run["run"] for run in listed] == ["two", "one"]
    assert run_cli("whatif", "status").out.split()[8:12] != []
    assert run_cli("whatif", "status", "--format", "json").json == {
        "run": "two", "state": "finished", "total": 1, "done": 1, "failed": 0, "infeasible": 0, "broken": 0,
    }  # fmt: skip
    assert run_cli("whatif", "prune", "--older-than", 1).out == "nothing to delete\n"
    assert run_cli("whatif", "prune", "one").out == "deleted one\n"
    assert [run["run"] for run in run_cli("whatif", "list", "--format", "json").json] == ["two"]
    assert run_cli("whatif", "prune", "--older-than", 0).out == "deleted two\n"
    assert run_cli("whatif", "prune", "two").code == 2


def test_diff_says_what_changed_and_why(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that two runs are compared scenario by scenario, with the prices and limits that differ."""
    sweep = "sweeps: [{name: b, grid: {limits.budget_cny: [100000, 150000]}}]\n"
    before = written(tmp_path / "a.yaml", f"base: {{limits: {{max_cards: 4}}}}\n{sweep}scenarios: [{{name: gone}}]")
    after = written(tmp_path / "b.yaml", f"base: {{limits: {{max_cards: 3}}, prices: {{rtx-a6000: 25000}}}}\n{sweep}")
    for name, file in (("a", before), ("b", after)):
        assert run_cli("whatif", "run", file, "--executor", "inline", "--run-id", name, "-q").code == 0
    told = run_cli("whatif", "diff", "a", "b")
    assert told.code == 0
    assert "b: budget_cny=100000: card_count 2 -> 3, total_batch 12 -> 18, cost_cny 80,000 -> 100,000" in told.out
    assert "gone: scenario there -> -" in told.out
    found = run_cli("whatif", "diff", "a", "b", "--format", "json").json
    assert found["question"] == [
        {"what": "limits.max_cards", "before": 4, "after": 3},
        {"what": "prices.rtx-a6000", "before": 27_500, "after": 25_000},
    ]
    same = run_cli("whatif", "diff", "a", "a")
    assert "the base question, the prices and the versions are the same" in same.out
    assert "0 scenarios have another answer" in same.out


def test_replay_solves_again_and_compares(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that stored answers come out again to the last figure, and that a forged one is found."""
    import sqlite3

    file = written(
        tmp_path / "p.yaml", "sweeps: [{name: b, grid: {limits.budget_cny: {from: 30000, to: 300000, step: 30000}}}]"
    )
    store = tmp_path / "s.sqlite"
    run_cli("whatif", "run", file, "--executor", "inline", "--run-id", "r", "--store", store, "-q")
    ran = run_cli("whatif", "replay", "r", "--store", store)
    assert (ran.code, ran.out) == (0, "10 answers are the same to the last figure, 0 differ\n")
    with sqlite3.connect(store) as db:
        db.execute("DROP TRIGGER result_is_final")
        db.execute(
            "UPDATE result SET answer = replace(answer, '\"card_count\":2', '\"card_count\":3') WHERE position = 3"
        )
    db.close()
    ran = run_cli("whatif", "replay", "r", "--store", store)
    assert ran.code == 3
    assert "b: budget_cny=90000: card_count 3 -> 2" in ran.out
    assert run_cli("whatif", "replay", "r", "b: budget_cny=60000", "--store", store).code == 0
    assert run_cli("whatif", "replay", "r", "nobody", "--store", store).code == 2


def test_validate_names_every_bad_scenario(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that nothing is solved, all bad scenarios are named, and a good file passes."""
    text = "scenarios:\n  - {name: a, set: {limits.budget_cny: -1}}\n  - {name: b}\n  - {name: c, set: {goal: fun}}\n"
    ran = run_cli("whatif", "validate", written(tmp_path / "p.yaml", text))
    assert ran.code == 2
    assert [line.partition(": ")[0] for line in ran.err.splitlines()] == ["a", "c"]
    assert "p.yaml:4: goal" in ran.err
    for path in scenario_files():
        ran = run_cli("whatif", "validate", path, "--first", 300)
        assert ran.code == 0, ran.err
    assert not (tmp_path / "data").exists()


def test_init_writes_a_file_that_runs(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that the example file is written, checked, printed, and answered."""
    assert run_cli("whatif", "init", "mine.yaml").code == 0
    assert run_cli("whatif", "init").out == (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    assert run_cli("whatif", "validate", "mine.yaml").code == 0
    found = summary(run_cli, tmp_path / "mine.yaml")
    assert found["by_status"] == {"optimal": 113}


def test_piped_output_is_plain(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that JSON lines on stdout are all of stdout, and that stderr has no progress bar when nobody watches."""
    file = written(tmp_path / "p.yaml", "sweeps: [{grid: {limits.budget_cny: [100000, 150000]}}]")
    ran = run_cli("whatif", "run", file, "--executor", "inline", "--format", "jsonl", "--run-id", "r")
    assert [json.loads(line)["card_count"] for line in ran.out.splitlines()] == [2, 4]
    assert ran.err == "run r: 2 scenarios\n"
    assert run_cli("whatif", "resume", "r", "-q").err == ""


def test_a_fault_of_the_base_is_told_by_file_and_line(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that a bad base question stops the run before it is registered, wherever the base stands."""
    plan = written(tmp_path / "p.yaml", "base:\n  goal: batch\n  limits:\n    max_cards: 99\nscenarios: [{}]\n")
    asked = written(tmp_path / "ask.yaml", "goal: fun\n")
    written(tmp_path / "q.yaml", "base: {file: ask.yaml}\nscenarios: [{}]\n")
    table = written(tmp_path / "t.csv", "name,goal\na,cost\n")
    for arguments, place in (
        ((plan,), "p.yaml:4: limits.max_cards = 99"),
        ((tmp_path / "q.yaml",), "ask.yaml:1: goal"),
        ((table, "--base", asked), "ask.yaml:1: goal"),
    ):
        for verb in ("run", "validate"):
            ran = run_cli("whatif", verb, *arguments)
            assert ran.code == 2
            assert place in ran.err
    listed = run_cli("whatif", "list", "--format", "json")
    assert listed.json == [], "nothing was registered"


def test_quotes_and_a_catalogue_of_ones_own(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that quotes and own entries are what the scenarios are asked on, and are kept with the run."""
    plan = written(tmp_path / "p.yaml", "scenarios: [{name: a, set: {limits.budget_cny: 300000}}]")
    quotes = EXAMPLES / "quotes-2023.csv"
    ran = run_cli("whatif", "run", plan, "--quotes", quotes, "--run-id", "q", "--executor", "inline")
    assert ran.code == 0, ran.err
    assert "3x a800-80gb-pcie" in ran.out
    assert run_cli("whatif", "replay", "q").out == "1 answers are the same to the last figure, 0 differ\n"
    assert run_cli("whatif", "run", plan, "--run-id", "p", "--executor", "inline", "-q").code == 0
    told = run_cli("whatif", "diff", "p", "q").out
    assert "prices.a800-80gb-pcie" in told
    assert "87,000" in told
    ran = run_cli("whatif", "run", plan, "--catalog", EXAMPLES / "my-catalog", "--executor", "inline")
    assert ran.code == 0, ran.err


def test_a_base_beside_a_table(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that --base gives a table its question, and that two bases are refused."""
    base = written(tmp_path / "base.yaml", "goal: cost\nlimits: {min_batch: 24}\n")
    table = written(tmp_path / "t.csv", "name,limits.max_cards\na,4\n")
    found = summary(run_cli, table, "--base", base)
    assert rigs(found) == {"4x rtx-a6000": 1}
    plan = written(tmp_path / "p.yaml", "base: {goal: batch}\nscenarios: [{}]\n")
    ran = run_cli("whatif", "run", plan, "--base", base)
    assert ran.code == 2
    assert "has a base of its own" in ran.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_keeps_what_is_finished(run_cli: RunCli, tmp_path: Path, number: signal.Signals) -> None:
    """Tests Ctrl-C and a polite kill: exit 130, how to resume, and a resumed run equal to one never interrupted."""
    text = "sweeps: [{random: {draws: 4000, seed: 2, values: {prices.rtx-a6000: {normal: {percent: 9}}}}}]"
    file, store = written(tmp_path / "p.yaml", text), tmp_path / "s.sqlite"
    command = [sys.executable, "-c", "from solver.cli import main; main()", "whatif", "run", str(file)]
    process = subprocess.Popen(
        [*command, "--run-id", "r", "--store", str(store), "--jobs", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while _stored(run_cli, store) < 100 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    kept = _stored(run_cli, store)
    assert 100 <= kept < 4000
    assert (
        f"interrupted; {kept:,} of 4,000 scenarios are stored, go on with: solver-cli whatif resume r --store" in said
    )
    assert "Traceback" not in said
    assert run_cli("whatif", "status", "r", "--store", store, "--format", "json").json["state"] == "interrupted"


_STRUCK_IN_A_LOCK = """
import concurrent.futures, os, signal, sys
from solver.cli import main
from solver.sweep import executors
waits = 0
def wait(futures, **how):
    global waits
    waits += 1
    if waits == 3:
        for future in futures:
            future._condition.acquire()
        os.kill(os.getpid(), signal.SIGINT)
        for future in futures:
            future._condition.release()
    return concurrent.futures.wait(futures, **how)
executors.wait = wait
main(sys.argv[1:])
"""


def test_ctrl_c_while_a_lock_is_taken_hangs_nobody(tmp_path: Path) -> None:
    """Tests Ctrl-C at the worst moment: the main thread holds what the threads of the pool need to come to an end."""
    text = "sweeps: [{random: {draws: 4000, seed: 2, values: {prices.rtx-a6000: {normal: {percent: 9}}}}}]"
    file, store = written(tmp_path / "p.yaml", text), tmp_path / "s.sqlite"
    ran = subprocess.run(
        [sys.executable, "-c", _STRUCK_IN_A_LOCK, "whatif", "run", str(file), "--run-id", "r", "--store", str(store)],
        capture_output=True, text=True, check=False, timeout=60, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert ran.returncode == 130, ran.stderr
    assert "interrupted; " in ran.stderr


def test_the_second_ctrl_c_ends_it_at_once(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests a run that does not come to its end: the second signal ends the process, and what is stored can be used."""
    file, store = written(tmp_path / "p.yaml", "base: {goal: batch}\nscenarios: [{}]"), tmp_path / "s.sqlite"
    code = (
        "import os, signal, sys, time\nfrom solver.cli import main\nfrom solver.sweep import executors\n"
        "def wait(futures, **how):\n    time.sleep(1)\n    os.kill(os.getpid(), signal.SIGINT)\n    "
        "os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(600)\n"
        "executors.wait = wait\nmain(sys.argv[1:])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "whatif", "run", str(file), "--run-id", "r", "--store", str(store)],
        capture_output=True, text=True, check=False, timeout=60, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert (ran.returncode, "Traceback" in ran.stderr) == (130, False), ran.stderr
    assert "given up at once; what is stored is kept" in ran.stderr
    assert run_cli("whatif", "status", "r", "--store", store, "--format", "json").json["state"] == "stopped"
    assert run_cli("whatif", "resume", "r", "--store", store).code == 0


def _stored(run_cli: RunCli, store: Path) -> int:
    ran: Ran = run_cli("whatif", "status", "--store", store, "--format", "json")
    return int(ran.json["done"]) if ran.code == 0 else 0


def test_help_and_bad_input_do_not_load_the_solver() -> None:
    """Tests that --help, schema and validate import neither OR-Tools nor NumPy: they answer at once."""
    code = (
        "import sys\nfrom solver.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('ortools', 'numpy', 'openpyxl', 'pyarrow', 'pebble') if m in sys.modules], file=sys.stderr)"
    )
    for arguments in (["--help"], ["run", "--help"], ["schema"], ["validate", str(EXAMPLES / "guide-budgets.yaml")]):
        ran = subprocess.run(
            [sys.executable, "-c", code, "whatif", *arguments], capture_output=True, text=True, check=True,
            cwd=Path(__file__).parents[1],
        )  # fmt: skip
        assert ran.stderr.strip().splitlines()[-1] == "[]", arguments
