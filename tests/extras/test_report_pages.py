"""Reports in headless Chromium: nothing is asked of the network, nothing overflows, and axe-core finds no fault."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import RunCli

pytestmark = pytest.mark.extras

BROWSER = Path(__file__).parent / "browser"
PICTURES = os.environ.get("REPORT_PICTURES")
SWEEP = """
base: {limits: {budget_cny: 300000}}
sweeps:
  - grid:
      limits.budget_cny: {from: 60000, to: 300000, count: 7}
      site.socket_amps: [6, 8, 10, 16]
"""
DRAWS = """
sweeps:
  - random:
      draws: 300
      seed: 7
      values:
        prices.rtx-a6000: {normal: {percent: 15}}
        prices.a100-80gb-pcie: {normal: {percent: 20}}
        limits.budget_cny: {choice: [150000, 300000]}
"""


def looked_at(folder: Path, *files: Path) -> list[str]:
    """What is wrong with pages; pictures of them go to REPORT_PICTURES, if that is set."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert chromium, "no chromium here: `make test-extras` installs it"
    pictures = Path(PICTURES) if PICTURES else folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    ran = subprocess.run(
        ["node", "look.mjs", chromium, str(pictures), *map(str, files)],
        cwd=BROWSER, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found: list[str] = json.loads(ran.stdout)
    return found


@pytest.mark.timeout(400)
def test_reports_of_saved_answers(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests the pages of a plan, of a cost question, and of a question without an answer, plain and interactive."""
    pages = []
    for name, flags in (
        ("plan", ["--budget", 300_000, "--top", 3]),
        ("estimated", ["--budget", 300_000, "--workload", "llama-7b", "--seq-len", 4096]),
        ("cost", ["--goal", "cost", "--min-batch", 24]),
        ("nothing", ["--budget", 60_000, "--min-batch", 12]),
    ):
        assert run_cli("optimize", *flags, "--save", tmp_path / name).code in (0, 3)
        for more in ([], ["--interactive"]):
            pages.append(tmp_path / f"{name}{'-interactive' if more else ''}.html")
            assert run_cli("report", tmp_path / name, "-o", pages[-1], *more).code == 0
            if not more:
                assert pages[-1].stat().st_size < 100_000
    assert looked_at(tmp_path, *pages) == []


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("name", "text"), [("sweep", SWEEP), ("draws", DRAWS)])
def test_reports_of_runs(run_cli: RunCli, tmp_path: Path, name: str, text: str) -> None:
    """Tests the heat map over two axes, and the distribution under price draws."""
    file, store, page = tmp_path / f"{name}.yaml", tmp_path / "runs.sqlite", tmp_path / f"{name}.html"
    file.write_text(text, encoding="utf-8")
    assert run_cli("whatif", "run", file, "--run-id", name, "--store", store, "--executor", "inline", "-q").code == 0
    assert run_cli("report", name, "--store", store, "-o", page, "--interactive").code == 0
    assert looked_at(tmp_path, page) == []


def test_a_page_that_is_wrong_is_found_out(tmp_path: Path) -> None:
    """Tests the test: a page that asks the network, overflows, logs and has no language."""
    page = tmp_path / "wrong.html"
    page.write_text(
        "<!doctype html><title>x</title><div style='width:3000px'>wide</div><img src='http://127.0.0.1:9/x.png'>"
        "<script>console.log('said')</script>",
        encoding="utf-8",
    )
    found = "\n".join(looked_at(tmp_path, page))
    for wrong in ("asks for http://127.0.0.1:9/x.png", "px wide in 390", "console log: said", "axe html-has-lang"):
        assert wrong in found
