"""`solver-cli verify`: holds for what was saved, and names each figure that was altered, one by one, in every file."""

from __future__ import annotations

import copy
import io
import json
import math
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from solver.domain.errors import InvalidProblem
from solver.domain.problem import Problem
from solver.explain.figures import FIGURES
from solver.report.saved import layout
from solver.report.saved.artefacts import artefacts
from solver.report.saved.explained import STEPS
from solver.report.saved.verify import NOT_CHECKED, verify_files
from tests.builders import card, guide_problem, offer, platform, problem, random_problem
from tests.conftest import RunCli
from tests.saving import answered

ROOT = Path(__file__).resolve().parents[1]
Files = dict[str, bytes]


def feasible() -> Problem:
    """A question with a choice of cards, power limits, vendors and platforms, whose limits bind here and there."""
    cards = [
        card("card-a", vram_mib=49140, power_limit_min_w=260, nvlink_pair_gb_s=112.5),
        card("card-b", power_limit_min_w=280, power_limit_max_w=320, bf16_dense_tflops=165.2),
        card("card-c", vram_mib=16384),
        card("card-d"),
    ]
    offers = [
        offer("card-a", 27_500, vendor="one", stock=2, quote_date="2026-11-01", lead_time_days=14),
        offer("card-a", 27_750.5, vendor="two", tax_included=False, valid_until="2026-12-31"),
        offer("card-b", 9_000, min_quantity=2, vendor="three"),
        offer("card-b", 8_000, condition="used", vendor="four"),
        offer("card-c", 3_000),
        offer("base", 25_000),
        offer("large", 31_000.25),
    ]
    platforms = [platform("base", extra_cost_cny={4: 1200.5}), platform("large", host_draw_w=300)]
    return problem(
        cards=cards, platforms=platforms, offers=offers, budget_cny=120_000, max_epoch_days=3, site={"socket_amps": 9}
    )


def infeasible() -> Problem:
    """A question that several single changes make feasible."""
    return feasible().with_limits(budget_cny=60_000, min_batch=12)


CASES: dict[str, Callable[[], Problem]] = {
    "batch": feasible,
    "cost": lambda: feasible().replaced(goal="cost").with_limits(min_batch=6),
    "value": lambda: feasible().replaced(goal="value"),
    "epoch": lambda: feasible().replaced(goal="epoch").with_limits(allow_used=True),
    "infeasible": infeasible,
    "hopeless": lambda: feasible().with_limits(budget_cny=10_000, min_batch=4_000, power_limit_w=281),
}


@lru_cache
def files_of(case: str) -> Files:
    """The files of a case, saved with a global batch of three steps."""
    question = CASES[case]()
    saved = answered(question)
    if saved.result.plan is not None:
        saved = saved.model_copy(update={"global_batch": 3 * saved.result.plan.total_batch})
    return artefacts(saved)


def numbers(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every number in a document."""
    if isinstance(document, (dict, list)):
        parts = document.items() if isinstance(document, dict) else enumerate(document)
        for key, part in parts:
            yield from numbers(part, (*path, key))
    elif isinstance(document, (int, float)) and not isinstance(document, bool):
        yield path


def put(document: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """A copy with one value changed."""
    made = copy.deepcopy(document)
    here = made
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = change(here[path[-1]])
    return made


def faults_in(files: Files, name: str, data: bytes) -> list[str]:
    """The faults named in a file, as 'figure'; a file that cannot be read any more is named in the error."""
    try:
        found = verify_files({**files, name: data}).faults
    except InvalidProblem as error:
        return ["unreadable"] if name in str(error) else [f"another file is said to be unreadable: {error}"]
    return [fault.figure for fault in found if fault.file == name and fault.figure != "file"]


def least(value: float) -> float:
    """The least that can be added to a figure as it is written."""
    if isinstance(value, int):
        return value + 1
    return math.nextafter(value, math.inf)


@pytest.mark.parametrize("case", CASES)
def test_what_was_saved_holds(case: str) -> None:
    """Tests that every case verifies, and that the documents have the chapters the other tests alter."""
    files = files_of(case)
    verdict = verify_files(files)
    assert verdict.faults == ()
    explained = json.loads(files[layout.EXPLAIN])
    chapters = (
        ("relaxations", "cards")
        if case in ("infeasible", "hopeless")
        else ("prices", "limits", "figures", "alternatives", "cards")
    )
    assert all(explained[name] for name in chapters)
    assert explained["complete"]


@pytest.mark.timeout(500)  # a minute alone; machines are shared
@pytest.mark.parametrize("change", [least, lambda value: value - 1], ids=["least", "minus one"])
@pytest.mark.parametrize("case", CASES)
def test_each_altered_number_in_a_document_is_named(case: str, change: Callable[[Any], Any]) -> None:
    """Tests that each single number of plan, reasons, curve and configuration, altered alone, is named in its file.

    Those that no arithmetic derives are listed in NOT_CHECKED with the reason, and that the file was changed is told.
    """
    files = files_of(case)
    missed, exempt = [], set()
    whole = change is least and case == "batch"
    rng = random.Random(case)
    for name in (layout.PLAN, layout.EXPLAIN, layout.FRONTIER, layout.TRAINING):
        document = json.loads(files.get(name, b"{}"))
        for path in numbers(document):
            label = f"{name}: {'.'.join(map(str, path))}"
            # All of one case; of the others, which say the same in other words, one in six.
            if not whole and label not in NOT_CHECKED and rng.random() > 1 / 6:
                continue
            altered = json.dumps(put(document, path, change)).encode()
            if label in NOT_CHECKED:
                exempt.add(label)
                told = verify_files({**files, name: altered}).faults
                assert [(fault.file, fault.figure) for fault in told] == [(name, "file")]
            elif not faults_in(files, name, altered):
                missed.append(label)
    assert missed == []
    assert exempt == {label for label in NOT_CHECKED if label.partition(":")[0] in files}


@pytest.mark.parametrize("case", ["batch", "cost"])
def test_each_altered_digit_of_the_other_files_is_named(case: str) -> None:
    """Tests that each number in the table, the workbook, the script, the README and the question is named."""
    files = files_of(case)
    for name in (layout.ORDER_TABLE, layout.POWER, layout.README):
        text = files[name].decode()
        for match in re.finditer(r"\d+", text):
            altered = text[: match.start()] + str(int(match[0]) + 1) + text[match.end() :]
            assert faults_in(files, name, altered.encode()), (name, match)
    book = load_workbook(io.BytesIO(files[layout.ORDER_SHEET]))
    for row in book.worksheets[0].iter_rows():
        for cell in row:
            if isinstance(cell.value, str) and re.search(r"\d", cell.value):
                before, cell.value = cell.value, re.sub(r"\d", lambda m: str((int(m[0]) + 1) % 10), cell.value, count=1)
                out = io.BytesIO()
                book.save(out)
                (figure,) = faults_in(files, layout.ORDER_SHEET, out.getvalue())
                assert figure.startswith(f"row {cell.row}, ")
                cell.value = before
    text = files[layout.QUESTION].decode()
    for match in re.finditer(r"(?<![\w.-])\d+(\.\d+)?(?![\w.-])", text):
        altered = text[: match.start()] + str(Decimal(match[0]) + 1) + text[match.end() :]
        try:
            found = [fault.figure for fault in verify_files({**files, layout.QUESTION: altered.encode()}).faults]
        except InvalidProblem as error:
            found = ["fingerprint.problem_sha256"] if layout.QUESTION in str(error) else []
        assert {"fingerprint.problem_sha256", "fingerprint.catalog_sha256"} & set(found), match
    manifest = json.loads(files[layout.MANIFEST])
    altered = json.dumps({**manifest, "global_batch": manifest["global_batch"] + 1})
    assert faults_in(files, layout.MANIFEST, altered.encode())


def test_words_are_held_too() -> None:
    """Tests that an altered name, vendor, id, status, hash or flag is named as well."""
    files = files_of("batch")
    document = json.loads(files[layout.PLAN])
    for path, value in (
        (("status",), "infeasible"),
        (("goal",), "cost"),
        (("plan", "card_id"), "card-b"),
        (("plan", "card_name"), "CARD"),
        (("plan", "with_used"), True),
        (("plan", "order", 0, "vendor"), "somebody"),
        (("plan", "order", 0, "quote_date"), "2026-11-02"),
        (("usage", 0, "at_least"), True),
        (("warnings",), []),
        (("fingerprint", "problem_sha256"), "0" * 64),
    ):
        altered = put(document, path, lambda _old, new=value: new)  # type: ignore[misc]
        assert faults_in(files, layout.PLAN, json.dumps(altered).encode()), path
    without = {name: data for name, data in files.items() if name != layout.ORDER_TABLE}
    assert [fault.file for fault in verify_files(without).faults] == [layout.ORDER_TABLE]


def test_an_altered_rig_is_named_and_not_all_that_follows() -> None:
    """Tests that a count altered in one file is one fault, because the other file says what it was."""
    files = files_of("batch")
    document = put(json.loads(files[layout.PLAN]), ("plan", "card_count"), lambda count: count + 1)
    (fault,) = verify_files({**files, layout.PLAN: json.dumps(document).encode()}).faults
    assert str(fault).startswith("plan.json: plan.card_count: ")


def test_a_rig_that_breaks_a_limit_does_not_hold() -> None:
    """Tests that a consistent answer to a looser question is refused for the tighter one."""
    dear, cheap = answered(guide_problem(budget_cny=300_000)), guide_problem(budget_cny=100_000)
    files = {**artefacts(dear), layout.QUESTION: artefacts(answered(cheap))[layout.QUESTION]}
    named = {(fault.file, fault.figure) for fault in verify_files(files).faults}
    assert {("plan.json", "usage budget"), ("plan.json", "fingerprint.problem_sha256")} <= named


def test_own_keys_of_the_configuration_are_told(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that an optimizer of one's own is no fault but a note."""
    files = files_of("batch")
    config = {**json.loads(files[layout.TRAINING]), "optimizer": {"type": "AdamW", "params": {"lr": 1e-5}}}
    verdict = verify_files({**files, layout.TRAINING: json.dumps(config).encode()})
    assert verdict.faults == ()
    assert any("optimizer" in note for note in verdict.notes)


def test_random_answers_hold() -> None:
    """Tests that what is saved of odd questions verifies, whatever their ties, stock and infeasibility."""
    found = 0
    for seed in range(60):
        question = random_problem(random.Random(seed))
        files = artefacts(answered(question))
        verdict = verify_files(files)
        assert verdict.faults == (), (seed, [str(fault) for fault in verdict.faults][:5])
        found += verdict.status == "optimal"
    assert 20 < found < 60


def test_figures_are_those_that_are_explained() -> None:
    """Tests that verify knows every uncertain figure, its unit and its step."""
    assert {figure.field: (figure.unit, figure.steps_per_unit) for figure in FIGURES} == STEPS


def test_command(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests exit codes and words: 0 holds, 3 off with the figure's name, 2 unreadable; and what is not proved."""
    folder = tmp_path / "rig"
    assert run_cli("optimize", "--budget", 300000, "--save", folder).code == 0
    good = run_cli("verify", folder)
    assert good.code == 0
    assert good.out.startswith("holds: ")
    assert "optimality" in good.out
    plan = folder / layout.PLAN
    text = plan.read_text("utf-8")
    plan.write_text(text.replace('"cost_cny": 232000', '"cost_cny": 231000'), "utf-8")
    off = run_cli("verify", folder)
    assert off.code == 3
    assert "plan.json: plan.cost_cny: 231000, but 232000 follows" in off.out
    told = run_cli("verify", folder, "--format", "json")
    assert (told.code, told.json["status"], told.json["faults"][0]["figure"]) == (3, "off", "plan.cost_cny")
    for broken in ("{", "[]", '{"a": NaN}', '{"a": 1, "a": 2}', "{}", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"):
        plan.write_text(broken, "utf-8")
        ran = run_cli("verify", folder)
        assert (ran.code, ran.err.startswith("Error: plan.json")) == (2, True), ran
    plan.unlink()
    assert run_cli("verify", folder).code == 2
    assert run_cli("verify", tmp_path).code == 2
    assert run_cli("verify", tmp_path / "nowhere").code == 2


def test_unreadable_files_are_told(tmp_path: Path) -> None:
    """Tests that bytes that are no workbook, table or question end as bad input that names the file."""
    files = files_of("batch")
    odd = verify_files({**files, layout.ORDER_TABLE: b"PK\x03\x04"})  # which is a table, though not this one
    assert {fault.file for fault in odd.faults} == {layout.ORDER_TABLE}
    for name in (layout.ORDER_SHEET, layout.ORDER_TABLE, layout.QUESTION, layout.MANIFEST, layout.TRAINING):
        for data in (b"\xff\xfe\x00", b'"', *([] if name == layout.ORDER_TABLE else [b"PK\x03\x04"])):
            with pytest.raises(InvalidProblem, match=re.escape(name)):
                verify_files({**files, name: data})


def test_a_changed_catalogue_is_told(run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that an answer stands on the catalogue it brings, and that what the shipped one gained is told."""
    files = files_of("batch")  # of a catalogue that is not the shipped one
    verdict = verify_files(files)
    assert verdict.faults == ()
    assert any("rtx-a6000" in note for note in verdict.notes)


def test_verify_loads_no_solver(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that verify runs to its end without OR-Tools and gRPC; openpyxl brings NumPy in for the workbook."""
    assert run_cli("optimize", "--budget", 300000, "--save", tmp_path / "rig").code == 0
    code = (
        "import sys\nfrom solver.cli import main\n"
        f"try:\n    main(['verify', {str(tmp_path / 'rig')!r}])\nexcept SystemExit as ended: print(ended.code)\n"
        "loaded = ('ortools', 'pandas', 'grpc', 'google.protobuf', 'solver.model', 'solver.solve')\n"
        "print([name for name in loaded if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True)
    assert ran.stdout.splitlines()[-2:] == ["0", "[]"]
