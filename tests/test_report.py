"""Reports: every figure is the record's, names do no harm, the same answer gives the same bytes, alone in its file."""

from __future__ import annotations

import math
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from solver.report.document.record import looked_up
from solver.report.saved import layout
from solver.report.saved.artefacts import artefacts
from tests.builders import card, guide_problem, offer, platform, problem
from tests.conftest import RunCli
from tests.pages import NUMBER, Page, read_page
from tests.saving import HOSTILE, answered

SWEEP = """
base: {limits: {budget_cny: 300000}}
sweeps:
  - grid:
      limits.budget_cny: [60000, 135000, 232000, 300000]
      site.socket_amps: [5, 10]
"""


def folder_of(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def page_of(run_cli: RunCli, source: object, output: Path, *more: object) -> Page:
    ran = run_cli("report", source, "-o", output, *more)
    assert ran.code == 0, ran.err
    return read_page(output.read_text("utf-8"))


@pytest.fixture
def rig(run_cli: RunCli, tmp_path: Path) -> Path:
    """A saved answer of the default catalogue."""
    assert run_cli("optimize", "--budget", 300_000, "--save", tmp_path / "rig", "--top", 3).code == 0
    return tmp_path / "rig"


@pytest.fixture
def run(run_cli: RunCli, tmp_path: Path) -> list[object]:
    """A run over two axes, as arguments of `report`."""
    file, store = tmp_path / "sweep.yaml", tmp_path / "runs.sqlite"
    file.write_text(SWEEP, encoding="utf-8")
    assert run_cli("whatif", "run", file, "--run-id", "one", "--store", store, "--executor", "inline", "-q").code == 0
    return ["one", "--store", store]


def assert_figures_are_the_records(page: Page) -> None:
    assert len(page.figures) > 10
    for at, value, _ in page.figures:
        held = looked_up(page.record, at)
        assert str(held) == value or math.isclose(float(held), float(value), rel_tol=1e-12), (at, held, value)


def test_every_figure_of_an_answer_is_its_records(run_cli: RunCli, tmp_path: Path, rig: Path) -> None:
    """Tests that each figure names its place in the record, and that the record is that of plan.json."""
    page = page_of(run_cli, rig, tmp_path / "r.html")
    assert_figures_are_the_records(page)
    import json

    plan = json.loads((rig / layout.PLAN).read_text("utf-8"))
    assert page.record["result"]["plan"] == plan["plan"]
    assert page.record["result"]["fingerprint"] == plan["fingerprint"]
    assert {"232,000", "26", "1,012", "91,666.67", "137,500"} <= page.numbers()


def test_every_figure_of_a_run_is_its_records(run_cli: RunCli, tmp_path: Path, run: list[object]) -> None:
    """Tests the same of a run: counts, who wins how often, the map."""
    page = page_of(run_cli, run[0], tmp_path / "r.html", *run[1:])
    assert_figures_are_the_records(page)
    assert page.record["counts"]["done"] == 8
    assert page.record["maps"]


def test_an_altered_record_is_noticed(run_cli: RunCli, tmp_path: Path, rig: Path) -> None:
    """Tests the test: a figure that is not the record's does not pass."""
    output = tmp_path / "r.html"
    page_of(run_cli, rig, output)
    wrong = re.sub(r'"cost_cny":\s*232000', '"cost_cny": 231000', output.read_text("utf-8"))
    with pytest.raises(AssertionError, match="231000"):
        assert_figures_are_the_records(read_page(wrong))


@pytest.mark.parametrize("more", [[], ["--interactive"]])
def test_a_page_needs_nothing_from_outside(run_cli: RunCli, tmp_path: Path, rig: Path, more: list[str]) -> None:
    """Tests the policy, the size, and that no attribute leads anywhere."""
    output = tmp_path / "r.html"
    page = page_of(run_cli, rig, output, *more)
    assert "default-src 'none'" in page.policy
    assert "unsafe" not in page.policy
    assert page.language
    leads = [value for _, name, value in page.attributes if name in ("href", "src", "action", "xlink:href")]
    assert all(value.startswith("#") for value in leads)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in page.style
    assert "@import" not in page.style
    if not more:
        assert output.stat().st_size < 100_000
        assert set(page.scripts) == {"record"}


def hostile() -> Any:
    names = HOSTILE
    cards = [card("card-a", name=names[0]), card("card-b", name=names[1])]
    offers = [offer("card-a", 9_000, vendor=names[2]), offer("card-b", 8_000, vendor=names[3]), offer("base", 25_000)]
    return problem(cards=cards, platforms=[platform("base", name=names[4])], offers=offers, budget_cny=100_000)


def test_names_do_no_harm(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that markup in names is text in a page and in Markdown, and survives."""
    folder = folder_of(dict(artefacts(answered(hostile()))), tmp_path / "rig")
    page = page_of(run_cli, folder, tmp_path / "r.html", "--interactive")
    assert "script" not in {tag for tag in page.tags if tag == "img"}
    assert all("alert(1)" not in text for name, text in page.scripts.items() if name != "record")
    assert "</script" not in page.scripts["record"].lower()
    assert any("<script>alert(1)</script>" in text for text in page.texts) or "HYPERLINK" in page.text
    assert run_cli("report", folder, "-o", tmp_path / "r.md", "--charts", tmp_path / "charts").code == 0
    assert "<script>" not in (tmp_path / "r.md").read_text("utf-8")
    for chart in (tmp_path / "charts").glob("*.svg"):
        assert "<script" not in chart.read_text("utf-8")


@pytest.mark.parametrize("name", ["r.html", "r.md"])
def test_two_reports_are_the_same_bytes(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rig: Path, name: str
) -> None:
    """Tests that the day of the report is all that a clock sets, and SOURCE_DATE_EPOCH sets that."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1764028800")
    assert run_cli("report", rig, "-o", tmp_path / name).code == 0
    first = (tmp_path / name).read_bytes()
    assert run_cli("report", rig, "-o", tmp_path / name).code == 0
    assert (tmp_path / name).read_bytes() == first


def test_markdown_has_the_same_numbers(run_cli: RunCli, tmp_path: Path, rig: Path) -> None:
    """Tests that what Markdown says in figures, the page says too."""
    page = page_of(run_cli, rig, tmp_path / "r.html")
    assert run_cli("report", rig, "-o", tmp_path / "r.md").code == 0
    told = set(NUMBER.findall((tmp_path / "r.md").read_text("utf-8")))
    assert len(told & page.numbers()) > 0.9 * len(told)


def test_charts_are_files_of_their_own(run_cli: RunCli, tmp_path: Path, rig: Path) -> None:
    assert run_cli("report", rig, "-o", tmp_path / "r.html", "--charts", tmp_path / "charts").code == 0
    charts = sorted((tmp_path / "charts").glob("*.svg"))
    assert len(charts) >= 5
    assert all(chart.read_text("utf-8").startswith(("<svg", "<?xml")) for chart in charts)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "-o", "r.html"], "nowhere"),
        (["RIG", "-o", "r.pdf"], "r.pdf"),
        (["RIG", "-o", "no/such/folder/r.html"], "no such folder"),
    ],
)
def test_bad_input_is_one_line(run_cli: RunCli, rig: Path, arguments: list[str], said: str) -> None:
    ran = run_cli("report", *(str(rig) if part == "RIG" else part for part in arguments))
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_an_answer_without_a_plan_has_a_report(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that a page says why nothing fits, and the ways out."""
    question = guide_problem(budget_cny=60_000).with_limits(min_batch=12)
    folder = folder_of(dict(artefacts(answered(question))), tmp_path / "none")
    page = page_of(run_cli, folder, tmp_path / "r.html")
    assert "20,000" in page.text or "80,000" in page.text


FAKE_SMI = r"""#!/bin/sh
# A driver with cards in files: limit_<index>, name, memory.
cd "$FAKE"
index=""; set_to=""; query=""
while [ $# -gt 0 ]; do
  case $1 in
    -i) index=$2; shift ;;
    -pl) set_to=$2; shift ;;
    -i=*|--id=*) index=${1#*=} ;;
    --power-limit=*) set_to=${1#*=} ;;
    --query-gpu=*) query=${1#*=} ;;
  esac
  shift
done
if [ -n "$set_to" ]; then printf '%s' "$set_to" > "limit_$index"; exit 0; fi
for at in $(seq 0 $(($(cat count) - 1))); do
  [ -n "$index" ] && [ "$index" != "$at" ] && continue
  line=""
  for field in $(printf '%s' "$query" | tr ',' ' '); do
    case $field in
      index) value=$at ;;
      name) value=$(cat name) ;;
      memory.total) value=$(cat memory) ;;
      power.limit) value=$(cat limit_$at 2>/dev/null || echo 300.00) ;;
      power.default_limit) value=300.00 ;;
      power.min_limit) value=100.00 ;;
      power.max_limit) value=300.00 ;;
      *) value="[N/A]" ;;
    esac
    line="$line${line:+, }$value"
  done
  printf '%s\n' "$line"
done
"""


def driver(folder: Path, count: int, name: str, memory: int) -> dict[str, str]:
    """A PATH with an nvidia-smi that keeps limits in files."""
    folder.mkdir()
    (folder / "nvidia-smi").write_text(FAKE_SMI, encoding="utf-8")
    (folder / "nvidia-smi").chmod(0o755)
    for file, text in (("count", str(count)), ("name", name), ("memory", str(memory))):
        (folder / file).write_text(text, encoding="utf-8")
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "FAKE": str(folder)}


def test_the_power_script_sets_checks_and_undoes(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests the script with a driver of our own: limits set, told, taken back; other or too few cards refused."""
    flags = ["--budget", 100_000, "--goal", "epoch", "--save", tmp_path / "rig", "--format", "json"]
    plan = run_cli("optimize", *flags).json["plan"]
    assert (plan["card_id"], plan["power_limit_w"]) == ("rtx-4090-blower", 360)
    script = tmp_path / "rig" / layout.POWER

    def ran(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["sh", str(script), *arguments], env=env, capture_output=True, text=True, timeout=30)

    good = driver(tmp_path / "good", 4, "NVIDIA GeForce RTX 4090", 24564)
    (tmp_path / "good" / "nvidia-smi").write_text(
        FAKE_SMI.replace("300.00", "450.00").replace("power.min_limit) value=100.00", "power.min_limit) value=150.00"),
        encoding="utf-8",
    )
    checked = ran(good, "check")
    assert checked.returncode == 0, checked.stderr
    assert not list((tmp_path / "good").glob("limit_*")), "a check changes nothing"
    done = ran(good)
    assert done.returncode == 0, done.stderr
    assert [float((tmp_path / "good" / f"limit_{at}").read_text()) for at in range(4)] == [360.0] * 4
    undone = ran(good, "undo")
    assert undone.returncode == 0, undone.stderr
    assert [float((tmp_path / "good" / f"limit_{at}").read_text()) for at in range(4)] == [450.0] * 4
    few = driver(tmp_path / "few", 2, "NVIDIA GeForce RTX 4090", 24564)
    assert ran(few).returncode != 0
    other = driver(tmp_path / "other", 4, "NVIDIA GeForce RTX 3060", 12288)
    assert ran(other).returncode != 0
    assert not list((tmp_path / "other").glob("limit_*"))
