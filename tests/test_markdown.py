"""Answers as Markdown: the facts of the table, and data that can break neither table nor spreadsheet."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from solver.report.markdown import escaped
from tests.conftest import RunCli


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_optimize_tells_what_the_table_tells(run_cli: RunCli) -> None:
    """Tests that plan, money, limits, warnings and hashes are there, in tables of even width."""
    text = run_cli("optimize", "--budget", "300000", "--format", "markdown").out
    for fact in (
        "2x A100 80GB PCIe",
        "**232,000**",
        "26 samples",
        "1,012 W",
        "68,000",
        "more than a year old",
        "Question `",
    ):
        assert fact in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    for table in tables:
        assert len({len(cells_of(line)) for line in table}) == 1


def test_check_and_no_plan(run_cli: RunCli) -> None:
    """Tests that a broken rig is named with its margins, and that proof of no plan is said."""
    ran = run_cli("check", "--card", "rtx-4090-blower", "--count", "4", "--power-limit", "450", "--format", "markdown")
    assert ran.code == 3
    assert "breaks wall\\_power, psu, case\\_cooling" in ran.out
    assert "365 W too many" in ran.out
    assert "**wall\\_power**" in ran.out
    assert "no rig fits these limits" in run_cli("optimize", "--budget", "0", "--format", "markdown").out


@pytest.mark.parametrize(
    "vendor", ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "a|b", "<script>", "[x](y)", "`x`"]
)
def test_text_from_data_stays_text(run_cli: RunCli, tmp_path: Path, vendor: str) -> None:
    """Tests that a vendor's name neither becomes a formula, a link or markup, nor breaks the table."""
    assert escaped(vendor)[0] == "\\" or vendor[0].isalnum()
    quoted = vendor.replace('"', '""')
    file = tmp_path / "quote.csv"
    file.write_text(f'card,unit_price_cny,vendor\nrtx-a6000,1000,"{quoted}"\n')
    question = ("optimize", "--include", "rtx-a6000", "--quotes", file)
    text = run_cli(*question, "--format", "markdown").out
    (row,) = (line for line in text.splitlines() if line.startswith("| RTX A6000"))
    assert len(cells_of(row)) == 5
    assert not re.search(r"(?<!\\)[<`\[]", row)
    dumped = run_cli(*question, "--dump-problem").out
    again = tmp_path / "question.yaml"
    again.write_text(dumped)
    asked = run_cli("optimize", "--problem", again, "--format", "json").json
    assert asked["plan"]["order"][0]["vendor"] == vendor


def test_a_cell_of_data_never_begins_with_an_equals_sign(run_cli: RunCli) -> None:
    """Tests the cells of every table of the catalogue."""
    for command in (["catalog", "list"], ["catalog", "show", "rtx-a6000"]):
        for line in run_cli(*command, "--format", "markdown").out.splitlines():
            if line.startswith("|"):
                assert all(cell[:1] not in ("=", "+", "@") for cell in cells_of(line))
