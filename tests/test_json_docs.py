"""The documentation names every key of the JSON that is printed, and shows what the readers read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from solver.catalog import default_library, resolve
from solver.catalog.quotes import HEADERS
from solver.catalog.reading import parse_yaml
from tests.conftest import RunCli

DOCS = Path(__file__).resolve().parents[1] / "docs"
JSON = (DOCS / "json.md").read_text(encoding="utf-8")
KNOWN = {name for code in re.findall(r"`([^`]+)`", JSON) for name in re.findall(r"\w+", code)}


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(keys_of(part) for part in value.values()))
    return set().union(*(keys_of(part) for part in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(
    "command",
    [
        ["optimize", "--budget", "300000", "--top", "3"],
        ["optimize", "--budget", "0"],
        ["explain", "--budget", "300000"],
        ["explain", "--budget", "60000", "--min-batch", "12"],
        ["frontier", "--to", "100000"],
        ["check", "--card", "rtx-4090-blower", "--count", "4"],
        ["catalog", "list", "--quotes", "tests/data/quotes/two-vendors.csv"],
    ],
    ids=" ".join,
)
def test_every_key_is_documented(run_cli: RunCli, command: list[str]) -> None:
    """Tests that no key is printed that the documentation does not name."""
    printed = keys_of(run_cli(*command, "--format", "json").json)
    assert printed
    offer = {"unit_price_cny", "stock", "min_quantity"} if command[0] == "catalog" else set()  # the record's own
    assert printed - KNOWN - offer == set()


def test_every_documented_key_of_a_plan_is_printed(run_cli: RunCli) -> None:
    """Tests that the table of the plan names no key that is not there."""
    table = JSON.partition("### `plan`")[2].partition("Each line of")[0]
    documented = {
        name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    plan = run_cli("optimize", "--budget", "300000", "--format", "json").json["plan"]
    assert documented == set(plan)


def test_documented_question_is_one() -> None:
    """Tests that the question shown in the documentation is read."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "questions.md").read_text(encoding="utf-8"), re.DOTALL)
    problem = resolve(parse_yaml(text.encode(), "questions.md"), default_library())
    assert (problem.goal, problem.limits.min_batch, problem.workload.epochs) == ("value", 12, 2)


def test_documented_headers_are_known() -> None:
    """Tests that each header named in the documentation is one the reader knows, for that field."""
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", (DOCS / "catalogue.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name, _ in rows} == set(HEADERS)
    for field, headers in rows:
        for header in re.split(r"[,·]", headers):
            assert header.replace(" ", "").strip() in HEADERS[field].split(), header
