"""Whole questions as files: the way there and back, laying options over them, the shipped schema, faults with lines."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solver.catalog import Library, default_library, question_of, resolve
from solver.catalog.question_file import question_text, read_question, schema_file
from solver.catalog.reading import parse_yaml
from solver.catalog.schema import problem_schema, schema_text
from solver.domain.problem import catalog_digest
from solver.domain.workload import Workload
from tests.builders import random_problem
from tests.conftest import RunCli

ROOT = Path(__file__).resolve().parents[1]
QUOTES = ROOT / "tests" / "data" / "quotes"
OWN = ROOT / "examples" / "my-catalog"

ROUND_TRIPS: dict[str, list[object]] = {
    "nothing": [],
    "budget": ["--budget", "30万"],
    "every option": [
        *("--budget", "300000.55", "--goal", "epoch", "--max-cards", 3, "--power-limit", 250, "--require-nvlink"),
        *("--include", "rtx-a6000,guide-base", "--exclude", "a40", "--allow-used", "--socket-amps", 16),
        *("--socket-volts", "230.5", "--derating", "0.9", "--room-cooling-w", 3500, "--min-batch", 2),
        *("--max-epoch-days", "30.5", "--samples", 30000, "--epochs", 3, "--reserve-gb", "1.25"),
    ],
    "prices": ["--price", "rtx-a6000=25000.01", "--price", "guide-base=2.5万"],
    "quotes": ["--budget", "300000", "--quotes", QUOTES / "chinese-gbk.csv", "--quotes", QUOTES / "two-vendors.csv"],
    "workbook": ["--budget", "300000", "--quotes", QUOTES / "merged-title.xlsx"],
    "own entries": ["--budget", "150000", "--catalog", OWN],
    "all of it": [
        *("--catalog", OWN, "--quotes", QUOTES / "two-vendors.csv", "--price", "my-workstation=17000"),
        *("--budget", "200000", "--goal", "cost", "--min-batch", "12"),
    ],
}


@pytest.mark.parametrize("options", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_dump_then_problem_is_the_same(run_cli: RunCli, tmp_path: Path, options: list[object]) -> None:
    """Tests that a dumped question gives the same plan, warnings and fingerprint, and dumps as the same text."""
    dumped = run_cli("optimize", *options, "--dump-problem")
    assert dumped.code == 0, dumped.err
    file = tmp_path / "question.yaml"
    file.write_text(dumped.out, encoding="utf-8")
    asked = run_cli("optimize", *options, "--format", "json")
    again = run_cli("optimize", "--problem", file, "--format", "json")
    assert again.code == asked.code
    for key in ("status", "plan", "objective", "bound", "usage", "warnings", "fingerprint"):
        assert again.json[key] == asked.json[key], key
    assert run_cli("optimize", "--problem", file, "--dump-problem").out == dumped.out


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_any_problem_goes_there_and_back(rng: Any) -> None:
    """Tests that the text of any question on any catalogue is read back as the same question, offers in order."""
    problem = random_problem(rng)
    library = Library(default_library().catalog.model_validate({"cards": (), "platforms": (), "offers": ()}), (WORK,))
    again = resolve(parse_yaml(question_text(question_of(problem, library)).encode(), "q.yaml"), library)
    assert again == problem
    assert again.digest == problem.digest
    assert catalog_digest(again.catalog) == catalog_digest(problem.catalog)


WORK = default_library().workload("guide-6b")
ODD_TEXT = [
    "3e5",
    "NO",
    "null",
    "1:30",
    "=1+1",
    "- x",
    "a: b",
    "#x",
    "'",
    '"',
    "\n",
    " x ",
    "{",
    "30万",
    "0x1F",
    "~",
    "",
]


@pytest.mark.parametrize("text", ODD_TEXT)
def test_odd_text_stays_text(text: str) -> None:
    """Tests that text which YAML would take for something else is written so that it is read as the same text."""
    library = default_library()
    problem = resolve({"workload": {"notes": text}}, library)
    assert problem.workload.notes == text
    assert resolve(parse_yaml(question_text(question_of(problem, library)).encode(), "q"), library) == problem


def test_workload_without_the_notes_of_the_shipped_one() -> None:
    """Tests that a workload of a shipped id which lacks an optional field keeps lacking it on the way back."""
    library = default_library()
    bare = Workload.model_validate({**dict(WORK), "notes": None})
    problem = resolve({}, Library(library.catalog, (bare,)))
    again = resolve(parse_yaml(question_text(question_of(problem, library)).encode(), "q"), library)
    assert again.workload.notes is None
    assert again.digest == problem.digest


def test_options_are_laid_over_the_file(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that an option beside --problem wins, quotes replace the file's prices, and a price the quotes."""
    file = tmp_path / "question.yaml"
    file.write_text(
        "goal: cost\nlimits: {budget_cny: 1, min_batch: 24, allow_used: true, include: [a40]}\n"
        "prices: {rtx-a6000: 1000, guide-base: 5000}\nworkload: guide-6b\n"
    )
    options: list[object] = ["--problem", file, "--budget", 300000, "--include", "rtx-a6000", "--new-only"]
    plan = run_cli("optimize", *options, "--format", "json").json["plan"]
    assert plan["cost_cny"] == 4 * 1000 + 5000
    options += ["--quotes", QUOTES / "two-vendors.csv"]
    assert run_cli("optimize", *options, "--format", "json").json["plan"]["cost_cny"] == 3 * 27000 + 27500 + 24000
    options += ["--price", "rtx-a6000=2000", "--samples", 5]
    assert run_cli("optimize", *options, "--format", "json").json["plan"]["cost_cny"] == 4 * 2000 + 24000
    dumped = parse_yaml(run_cli("optimize", *options, "--dump-problem").out.encode(), "q")
    assert dumped["limits"]["allow_used"] is False
    assert (dumped["workload"]["id"], dumped["workload"]["samples"]) == ("guide-6b", 5)


def test_standard_input_and_check(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that `-` reads the question from standard input, and that check takes and dumps questions too."""
    asked = run_cli("check", "--card", "rtx-a6000", "--count", "2", "--budget", "80000", "--dump-problem")
    assert asked.code == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(asked.out.encode())))
    ran = run_cli("check", "--card", "rtx-a6000", "--count", "3", "--problem", "-", "--format", "json")
    assert (ran.code, [row["limit"] for row in ran.json["broken"]]) == (3, ["budget"])


def test_check_takes_the_power_limit_of_the_question(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that a rig is checked at the power limit the file fixes, unless --power-limit says another."""
    file = tmp_path / "q.yaml"
    file.write_text("limits: {power_limit_w: 250}")
    rig = ("check", "--card", "rtx-a6000", "--problem", file, "--format", "json")
    assert run_cli(*rig).json["plan"]["power_limit_w"] == 250
    other = run_cli(*rig, "--power-limit", "200")
    assert (other.code, [row["limit"] for row in other.json["broken"]]) == (3, ["power_limit"])


def test_faults_name_file_line_and_nearest_key(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that all faults of a file are told at once, each with its line, and unknown keys with the nearest."""
    file = tmp_path / "q.yaml"
    file.write_text(
        "goal: NO\nlimits:\n  max_card: 3\n  include: [rtx-a600]\nsite:\n  socket_amps: 1:30\nworkloads: x\n"
    )
    ran = run_cli("optimize", "--problem", file)
    assert (ran.code, ran.out) == (2, "")
    for told in (
        'q.yaml:1: goal = "NO"',
        "q.yaml:3: limits.max_card: unknown field (did you mean max_cards",
        "q.yaml:6: site.socket_amps",
        "q.yaml:7: workloads: unknown field (did you mean workload",
    ):
        assert told in ran.err
    file.write_text("limits: {include: [rtx-a600]}")
    assert "q.yaml:1: limits.include" in run_cli("optimize", "--problem", file).err
    assert "did you mean rtx-a6000" in run_cli("optimize", "--problem", file).err
    for name in (tmp_path, tmp_path / "none.yaml"):
        assert run_cli("optimize", "--problem", name).code == 2
    file.write_text("# nothing\n")
    assert "is empty" in run_cli("optimize", "--problem", file).err
    file.write_text("- a list\n")
    assert "named fields" in run_cli("optimize", "--problem", file).err


def test_shipped_schema_is_the_generated_one(run_cli: RunCli) -> None:
    """Tests that the shipped schema is what the records make (`python -m solver.catalog.schema` writes it anew)."""
    assert schema_file().read_text(encoding="utf-8") == schema_text()
    assert run_cli("schema").out == schema_text()
    assert Path(run_cli("schema", "--path").out.strip()) == schema_file()


def conforms(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """A validator of just the keywords the schema uses, unknown ones an error."""
    known = {
        "$ref",
        "type",
        "enum",
        "const",
        "anyOf",
        "properties",
        "required",
        "additionalProperties",
        "propertyNames",
    }
    known |= {
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
    }
    known |= {"minLength", "maxLength", "pattern", "format", "default", "description", "title", "$schema", "$defs"}
    assert set(schema) <= known, set(schema) - known
    if "$ref" in schema:
        return conforms(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return any(conforms(value, option, root) for option in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    types: dict[str, Any] = {
        **{"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)},
        **{"integer": int, "number": (int, float)},
    }
    kind = schema.get("type")
    if kind and (not isinstance(value, types[kind]) or (kind in ("integer", "number") and isinstance(value, bool))):
        return False
    if kind == "object":
        inner = schema.get("properties", {})
        more = schema.get("additionalProperties", True)
        return set(schema.get("required", ())) <= set(value) and all(
            conforms(part, inner[key], root) if key in inner else more is True or (more and conforms(part, more, root))
            for key, part in value.items()
        )
    if kind == "array":
        first = schema.get("prefixItems", [])
        rest = schema.get("items", {})
        return len(value) >= schema.get("minItems", 0) and all(
            conforms(part, first[i] if i < len(first) else rest, root) for i, part in enumerate(value)
        )
    if kind in ("integer", "number"):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True


@pytest.mark.parametrize("options", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_dumped_questions_conform_to_the_schema(run_cli: RunCli, options: list[object]) -> None:
    """Tests that what is dumped is allowed by the schema, and that the first line is the modeline naming it."""
    text = run_cli("optimize", *options, "--dump-problem").out
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={schema_file().as_uri()}"
    assert conforms(parse_yaml(text.encode(), "q"), problem_schema(), problem_schema())


@pytest.mark.parametrize(
    "bad",
    [
        *("goal: speed", "limits: {max_card: 3}", "limits: {max_cards: 9}", "site: {socket_amps: x}"),
        *("prices: {a: -1}", "offers: [{unit_price_cny: 5}]", "workload: {samples: 1.5}", "limitz: {}"),
        "limits: {allow_used: 1}",
    ],
)
def test_schema_refuses_what_the_reader_refuses(bad: str, run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that schema and reader agree on what is wrong."""
    file = tmp_path / "q.yaml"
    file.write_text(bad)
    assert not conforms(read_question(str(file)), problem_schema(), problem_schema())
    assert run_cli("optimize", "--problem", file).code == 2


def test_example_question(run_cli: RunCli) -> None:
    """Tests that the shipped example answers, conforms to the schema, and names it by a path that exists."""
    file = ROOT / "examples" / "question.yaml"
    assert run_cli("optimize", "--problem", file).code == 0
    assert conforms(read_question(str(file)), problem_schema(), problem_schema())
    path = file.read_text(encoding="utf-8").splitlines()[0].rpartition("=")[2]
    assert json.loads((file.parent / path).read_text(encoding="utf-8")) == problem_schema()
