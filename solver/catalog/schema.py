"""The JSON Schema of question files, generated from the records; shipped as solver/schema/problem.schema.json.

`python -m solver.catalog.schema` writes the shipped file anew; a test compares the two.
"""

from __future__ import annotations

import ast
import json
import textwrap
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from solver.catalog.question import KEYS
from solver.catalog.question_file import schema_file
from solver.domain import base as base_module
from solver.domain import catalog as catalog_module
from solver.domain import problem as problem_module
from solver.domain import shape as shape_module
from solver.domain import workload as workload_module
from solver.domain.base import Record
from solver.domain.catalog import Card, Offer, Platform
from solver.domain.goal_names import GOALS
from solver.domain.problem import CONFIDENCES, Limits, Site
from solver.domain.workload import Workload

_DESCRIPTIONS = {
    "goal": "What is best: largest total batch, shortest epoch, best value, or lowest cost. Default: batch.",
    "confidence": "Which end of the workload's intervals is planned on; high: the batch that surely fits and the time "
    "that surely suffices. Default: expected.",
    "limits": "What the answer must keep to. An absent limit does not bind.",
    "site": "The wall socket and the room.",
    "workload": "The training job: the id of a workload of the catalogue, or fields laid over the workload of that id.",
    "prices": "Id of a card or platform -> price in CNY; replaces every offer of it by a new, unlimited one.",
    "offers": "Offers; they replace the offers of the cards and platforms they name.",
    "cards": "Cards; the same id replaces the catalogue's.",
    "platforms": "Platforms; the same id replaces the catalogue's.",
}


def problem_schema() -> dict[str, Any]:
    """The schema of a question file, draft 2020-12."""
    records: tuple[type[Record], ...] = (Limits, Site, Workload, Offer, Card, Platform)
    _, made = models_json_schema([(record, "validation") for record in records], ref_template="#/$defs/{model}")
    definitions: dict[str, Any] = made["$defs"]
    modules = (problem_module, base_module, shape_module, catalog_module, workload_module)
    documented = {record: texts for module in modules for record, texts in _documentation(module).items()}
    for name, definition in definitions.items():
        _plain_words(definition)
        for field, text in documented.get(name, {}).items():
            if field in definition.get("properties", {}):
                definition["properties"][field]["description"] = text
    workload = definitions["Workload"]
    workload.pop("required", None)  # what is left out is the catalogue's
    price = definitions["Offer"]["properties"]["unit_price_cny"]
    parts: dict[str, Any] = {
        "goal": {"enum": list(GOALS)},
        "confidence": {"enum": list(CONFIDENCES)},
        "limits": {"$ref": "#/$defs/Limits"},
        "site": {"$ref": "#/$defs/Site"},
        "workload": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Workload"}]},
        "prices": {"type": "object", "additionalProperties": {k: v for k, v in price.items() if k != "title"}},
        "offers": {"type": "array", "items": {"$ref": "#/$defs/Offer"}},
        "cards": {"type": "array", "items": {"$ref": "#/$defs/Card"}},
        "platforms": {"type": "array", "items": {"$ref": "#/$defs/Platform"}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A question for solver-cli --problem",
        "description": "Which GPU rig to buy. Everything left out is the default of the catalogue.",
        "type": "object",
        "additionalProperties": False,
        "properties": {key: {**parts[key], "description": _DESCRIPTIONS[key]} for key in KEYS},
        "$defs": dict(sorted(definitions.items())),
    }


def _plain_words(definition: dict[str, Any]) -> None:
    """Drop generated titles ('Unit Price Cny'), and keep the first paragraph of a docstring as one line."""
    definition.pop("title", None)
    if "description" in definition:
        definition["description"] = _line(definition["description"])
    for part in definition.get("properties", {}).values():
        part.pop("title", None)


def _line(text: str) -> str:
    return " ".join(textwrap.dedent(text).strip().split("\n\n")[0].split())


def _documentation(module: Any) -> dict[str, dict[str, str]]:
    """The texts below fields of the records, from the source: {record: {field: text}}. Only when generating."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef) or not issubclass(getattr(module, node.name), BaseModel):
            continue
        for field, text in zip(node.body, node.body[1:], strict=False):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                    found.setdefault(node.name, {})[name] = _line(words)
    return found


def schema_text() -> str:
    """The schema as the shipped file holds it."""
    return json.dumps(problem_schema(), ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    schema_file().write_text(schema_text(), encoding="utf-8")
