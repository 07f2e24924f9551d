"""`optimize --save`: one record in every file, harmless, the same bytes on every run, and a folder that is whole."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from solver.domain.errors import InvalidProblem
from solver.domain.problem import Problem
from solver.report.json_form import frontier_object
from solver.report.saved import layout, load
from solver.report.saved.artefacts import artefacts
from solver.report.saved.order import read_csv, read_xlsx, safe
from solver.report.saved.record import saved_of
from solver.report.saved.training import DOCUMENTED, ds_config
from solver.report.saved.verify import verify_files
from solver.report.saved.write import write
from tests.builders import card, offer, platform, problem, workload
from tests.conftest import RunCli
from tests.saving import HOSTILE, answered

ROOT = Path(__file__).resolve().parents[1]
EPOCH = "1764028800"
"""2025-11-25T00:00:00Z."""


def saved_folder(run_cli: RunCli, folder: Path, *options: object) -> Path:
    ran = run_cli("optimize", "--budget", 300000, "--save", folder, *options)
    assert ran.code == 0, ran.err
    return folder


def cells(folder: Path) -> tuple[list[list[str]], list[list[str]]]:
    """The rows of order.csv and of order.xlsx, read by other means than ours."""
    table = list(csv.reader(io.StringIO((folder / layout.ORDER_TABLE).read_text("utf-8-sig"), newline="")))
    sheet = load_workbook(folder / layout.ORDER_SHEET).worksheets[0]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value is not None} == {"s"}
    return table, [[cell.value or "" for cell in row] for row in sheet.iter_rows()]  # type: ignore[misc]


def test_every_number_comes_from_one_record(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that sheet, table, configuration, script and documents say the same as the plan."""
    folder = saved_folder(run_cli, tmp_path / "rig", "--global-batch", 104)
    assert {file.name for file in folder.iterdir()} == set(layout.NAMES)
    document = json.loads((folder / layout.PLAN).read_text("utf-8"))
    plan = document["plan"]
    assert (plan["card_id"], plan["card_count"], plan["cost_cny"]) == ("a100-80gb-pcie", 2, 232_000)
    table, sheet = cells(folder)
    assert table == sheet
    for row, line in zip(table[1:-1], plan["order"], strict=True):
        assert row[0:2] == [line["name"], line["item_id"]]
        assert [Decimal(text) for text in row[2:5]] == [line[k] for k in ("quantity", "unit_price_cny", "total_cny")]
        assert row[6:8] == [line["vendor"], line["quote_date"]]
    assert table[-1][0] == "total"
    assert Decimal(table[-1][4]) == plan["cost_cny"] == sum(Decimal(row[4]) for row in table[1:-1])
    training = json.loads((folder / layout.TRAINING).read_text("utf-8"))
    assert training["train_micro_batch_size_per_gpu"] == plan["micro_batch"]
    assert training["train_batch_size"] == 104 == plan["total_batch"] * training["gradient_accumulation_steps"]
    script = (folder / layout.POWER).read_text("utf-8").splitlines()
    assert {f"CARDS={plan['card_count']}", f"LIMIT_W={plan['power_limit_w']}", "CARD='A100 80GB PCIe'"} <= set(script)
    explained = json.loads((folder / layout.EXPLAIN).read_text("utf-8"))
    assert explained["result"] == document
    saved = load(folder)
    assert saved.result.plan is not None
    assert saved.explanation.result == saved.result
    assert saved.result.warnings[0].code == "price_old"
    assert saved.frontier is not None
    assert frontier_object(saved.frontier) == json.loads((folder / layout.FRONTIER).read_text("utf-8"))


def test_documents_are_those_that_are_printed(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that the three documents are what optimize, explain and frontier print, but for the time it took."""
    folder = saved_folder(run_cli, tmp_path / "rig", "--top", 3)

    def timeless(text: str) -> Any:
        def without(part: Any) -> Any:
            if isinstance(part, dict):
                return {k: without(v) for k, v in part.items() if not k.endswith("_ms")}
            return [without(v) for v in part] if isinstance(part, list) else part

        return without(json.loads(text))

    for name, command in (
        (layout.PLAN, ["optimize", "--top", "3"]),
        (layout.EXPLAIN, ["explain", "--top", "3"]),
        (layout.FRONTIER, ["frontier"]),
    ):
        printed = timeless(run_cli(*command, "--budget", 300000, "--format", "json").out)
        printed.pop("outlook", None)  # it needs the solver: no part of a folder that is checked without it
        assert timeless((folder / name).read_text("utf-8")) == printed, name


def test_question_gives_the_same_answer_again(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that problem.yaml asked again has plan and fingerprint of the saved answer, prices by hand included."""
    folder = saved_folder(run_cli, tmp_path / "rig", "--price", "rtx-a6000=26500.50", "--socket-amps", 16)
    again = run_cli("optimize", "--problem", folder / layout.QUESTION, "--format", "json").json
    first = json.loads((folder / layout.PLAN).read_text("utf-8"))
    assert (again["plan"], again["fingerprint"]) == (first["plan"], first["fingerprint"])
    assert str(ROOT) not in (folder / layout.QUESTION).read_text("utf-8")


def test_two_runs_write_the_same_bytes(run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that SOURCE_DATE_EPOCH makes all files equal, the workbook and every part of it included."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    one = saved_folder(run_cli, tmp_path / "one")
    time.sleep(2.1)  # a zip file counts in steps of two seconds
    two = saved_folder(run_cli, tmp_path / "two")
    for name in layout.NAMES:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    with zipfile.ZipFile(one / layout.ORDER_SHEET) as book:
        assert {part.date_time for part in book.infolist()} == {(2025, 11, 25, 0, 0, 0)}
        assert book.read("docProps/core.xml").count(b"2025-11-25T00:00:00Z") == 2
    assert load(one).as_of.isoformat() == "2025-11-25"
    assert run_cli("verify", one).code == 0


@pytest.mark.parametrize("epoch", ["yesterday", "-5", "0", "99999999999999", "1e9"])
def test_source_date_is_checked(run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: str) -> None:
    """Tests that a moment no workbook can hold is bad input."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    ran = run_cli("optimize", "--budget", 300000, "--save", tmp_path / "rig")
    assert (ran.code, "SOURCE_DATE_EPOCH" in ran.err) == (2, True)


def hostile() -> Problem:
    """A question in which every name and vendor is meant ill."""
    cards = [card("card-a", name=HOSTILE[0], vram_mib=49152), card("card-b", name=HOSTILE[1])]
    offers = [
        offer("card-a", 10_000, vendor=HOSTILE[1], source=HOSTILE[3], stock=1),
        offer("card-a", 11_000, vendor=HOSTILE[2], source=HOSTILE[4]),
        offer("card-b", 9_000, vendor=HOSTILE[3]),
        offer("base", 25_000, vendor=HOSTILE[4], source="\tcmd"),
    ]
    return problem(cards=cards, platforms=[platform("base", name=HOSTILE[3])], offers=offers, budget_cny=200_000)


def test_hostile_names_survive_and_do_nothing(tmp_path: Path) -> None:
    """Tests that scripts, formulas, quotes, line breaks, emoji and Chinese come back as they were, as text."""
    saved = answered(hostile())
    plan = saved.result.plan
    assert plan is not None
    files = artefacts(saved)
    assert verify_files(files).faults == ()
    write(files, tmp_path / "rig")
    table, sheet = cells(tmp_path / "rig")
    for row, plain, line in zip(table[1:-1], sheet[1:-1], plan.order, strict=True):
        assert (plain[0], plain[6], plain[12]) == (line.name, line.vendor, line.source)
        assert [safe(cell) for cell in plain] == row
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row)
    assert saved_of(files).problem == saved.problem
    assert json.loads(files[layout.PLAN])["plan"]["order"][0]["vendor"] == plan.order[0].vendor
    assert read_csv(files[layout.ORDER_TABLE]) == [tuple(row) for row in table]
    assert read_xlsx(files[layout.ORDER_SHEET]) == [tuple(row) for row in sheet]


@pytest.mark.parametrize("text", ["=1+1", " =1", "＝1", "@x", "\r=1", "-2", "\u3000+3"])
def test_formulas_are_defused(text: str) -> None:
    """Tests that no text that a spreadsheet would run begins a cell."""
    assert safe(text) == "'" + text
    assert safe("RTX " + text) == "RTX " + text


# The configuration of DeepSpeed


def paths(document: dict[str, Any], above: str = "") -> set[str]:
    found = {above + key for key in document}
    return found.union(*(paths(part, f"{above}{key}.") for key, part in document.items() if isinstance(part, dict)))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_every_key_is_documented_by_deepspeed(precision: str) -> None:
    """Tests that no key is written that DeepSpeed's page does not document, and what the guide asks for is there."""
    question = problem(work=workload(precision=precision))
    plan = answered(question).result.plan
    assert plan is not None
    config = ds_config(question, plan, 24)
    assert paths(config) <= set(DOCUMENTED)
    assert config[precision]["enabled"] is True
    assert ("fp16" if precision == "bf16" else "bf16") not in config
    zero = config["zero_optimization"]
    assert zero["stage"] == 3
    assert zero["offload_optimizer"] == zero["offload_param"] == {"device": "cpu", "pin_memory": True}
    assert zero["stage3_gather_16bit_weights_on_model_save"] is True
    assert config["train_batch_size"] == 24 == plan.total_batch * config["gradient_accumulation_steps"]


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [(27, "26 and 52"), (25, "nearest: 26"), (1, "nearest: 26"), (0, "between 1"), ("x", "whole")],
)
def test_global_batch_is_a_multiple(run_cli: RunCli, tmp_path: Path, wanted: object, nearest: str) -> None:
    """Tests that another global batch is bad input that names the nearest ones, and nothing is written."""
    ran = run_cli("optimize", "--budget", 300000, "--save", tmp_path / "rig", "--global-batch", wanted)
    assert (ran.code, ran.out) == (2, "")
    assert "--global-batch" in ran.err
    assert nearest in ran.err
    assert not (tmp_path / "rig").exists()


# The folder


def test_infeasible_answers_are_saved_too(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that a question that nothing fits leaves the answer and the reasons, and no order."""
    ran = run_cli("optimize", "--budget", 60000, "--min-batch", 12, "--global-batch", 5, "--save", tmp_path / "rig")
    assert ran.code == 3
    names = {file.name for file in (tmp_path / "rig").iterdir()}
    assert names == {layout.PLAN, layout.EXPLAIN, layout.QUESTION, layout.README, layout.MANIFEST}
    assert load(tmp_path / "rig").explanation.conflict is not None
    assert run_cli("verify", tmp_path / "rig").code == 0


def test_folders_with_something_in_them(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that nothing a buyer had is lost: refused without --force; with it only our own files give way."""
    folder = tmp_path / "rig"
    folder.mkdir()
    saved_folder(run_cli, folder)  # an empty one is as good as none
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    (folder / "letter.txt").write_text("mine")
    refused = run_cli("optimize", "--budget", 150000, "--save", folder)
    assert (refused.code, refused.out) == (2, "")
    assert "--force" in refused.err
    assert {name: (folder / name).read_bytes() for name in before} == before
    (folder / layout.ORDER_TABLE).write_text("my own list")
    ran = run_cli("optimize", "--budget", 60000, "--min-batch", 12, "--save", folder, "--force")
    assert ran.code == 3
    assert f"{layout.ORDER_TABLE}.kept-1" in ran.err
    assert (folder / "letter.txt").read_text() == "mine"
    assert (folder / f"{layout.ORDER_TABLE}.kept-1").read_text() == "my own list"
    assert not (folder / layout.ORDER_SHEET).exists()  # ours, as we wrote it, and of no answer any more
    assert run_cli("verify", folder).code == 0
    assert not list(tmp_path.glob(".*partial"))


def test_a_folder_that_was_not_ours_stays(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that files of our names that we never wrote are kept under another name."""
    (tmp_path / layout.PLAN).write_text("theirs")
    (tmp_path / layout.MANIFEST).write_text("{}")
    (tmp_path / layout.README).symlink_to("nowhere")
    saved_folder(run_cli, tmp_path, "--force")
    assert (tmp_path / f"{layout.PLAN}.kept-1").read_text() == "theirs"
    assert (tmp_path / f"{layout.MANIFEST}.kept-1").read_text() == "{}"
    assert (tmp_path / f"{layout.README}.kept-1").is_symlink()
    assert run_cli("verify", tmp_path).code == 0


def test_bad_folders(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that a folder that cannot be written is told before anything is solved, as are options without --save."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "no" / "such", "a\0b"):
        ran = run_cli("optimize", "--save", folder)
        assert (ran.code, "--save" in ran.err) == (2, True), ran
    assert "goes with --save" in run_cli("optimize", "--force").err
    assert "goes with --save" in run_cli("optimize", "--global-batch", 8).err


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that a write that fails in the middle leaves neither a half folder nor a trace beside it."""
    files = artefacts(answered(problem()))
    write(files, tmp_path / "rig")
    before = {file.name: file.read_bytes() for file in (tmp_path / "rig").iterdir()}
    real, written = os.fsync, []

    def full(handle: int) -> None:
        written.append(handle)
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr("solver.report.saved.write.os.fsync", full)
    with pytest.raises(InvalidProblem, match="No space left"):
        write(files, tmp_path / "other")
    written.clear()
    with pytest.raises(InvalidProblem, match="No space left"):
        write(files, tmp_path / "rig", force=True)
    assert {file.name: file.read_bytes() for file in (tmp_path / "rig").iterdir()} == before
    assert [file.name for file in tmp_path.iterdir()] == ["rig"]


def test_interrupted_answers_are_saved_whole(tmp_path: Path) -> None:
    """Tests that Ctrl-C while the reasons are sought saves what is proved, in whole files, and exits 130."""
    code = (
        "import os, signal, threading\n"
        "import solver.explain as e\n"
        "real = e.explain\n"
        "def slow(problem, options):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    assert options.stop.wait(30)\n"
        "    return real(problem, options)\n"
        "e.explain = slow\n"
        "from solver.cli import main\n"
        f"main(['optimize', '--budget', '300000', '--save', {str(tmp_path / 'rig')!r}])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert ran.returncode == 130, ran.stderr
    saved = load(tmp_path / "rig")
    assert (saved.result.status, saved.explanation.complete, saved.frontier) == ("optimal", False, None)
    assert verify_files({f.name: f.read_bytes() for f in (tmp_path / "rig").iterdir()}).faults == ()


def test_no_time_for_reasons(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that a search without an answer is saved as such."""
    ran = run_cli("optimize", "--save", tmp_path / "rig", "--time-limit", 0)
    assert ran.code == 4
    assert load(tmp_path / "rig").result.status == "no_answer"
    assert run_cli("verify", tmp_path / "rig").code == 0


@pytest.mark.parametrize("form", ["table", "json", "markdown"])
def test_saved_also_where_nobody_reads_on(tmp_path: Path, form: str) -> None:
    """Tests that an answer whose printing is cut off, as by `| head`, is saved all the same."""
    folder = tmp_path / "rig"
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", "from solver.cli import main; main()", "optimize", "--budget", "300000"]
    ran = subprocess.run(
        [*command, "--format", form, "--save", str(folder)],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (ran.returncode, "Traceback" in ran.stderr) == (1, False), ran.stderr
    assert str(folder) in ran.stderr
    assert load(folder).result.status == "optimal"
