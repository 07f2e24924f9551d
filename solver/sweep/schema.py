"""The JSON Schema of scenario files, for editors, and the file `whatif init` writes.

Made from the records, so a new field of the question is a new path here. Modify this module when a file may say more.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from solver.domain.base import Record
from solver.domain.catalog import Card, Offer, Platform
from solver.domain.language import message
from solver.domain.problem import CONFIDENCES, GOALS, Limits, Site
from solver.domain.workload import Workload
from solver.sweep.columns import KINDS
from solver.sweep.draws import DISTRIBUTIONS
from solver.sweep.file import SCENARIO, SWEEP, TOP, VERSION

_AMOUNT = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}, {"type": "null"}]}


def schema() -> dict[str, Any]:
    """The schema of a scenario file (JSON Schema draft 2020-12)."""
    definitions: dict[str, Any] = {}
    named = {"enum": list(GOALS)}, {"enum": list(CONFIDENCES)}, {"type": "string"}
    paths = {**dict(zip(("goal", "confidence", "workload"), named, strict=True)), **_paths(definitions)}
    value_of = {"properties": paths, "patternProperties": {r"^prices\..+": _AMOUNT}, "additionalProperties": False}
    axis = {
        "anyOf": [
            {"type": "array", "minItems": 1},
            {
                "type": "object",
                "properties": {"from": {}, "to": {}, "step": {}, "count": {"type": "integer", "minimum": 2}},
                "required": ["from", "to"],
                "additionalProperties": False,
            },
        ]
    }
    drawn = {
        "type": "object",
        "properties": {**{key: {} for key in DISTRIBUTIONS}, "step": {"type": "number", "exclusiveMinimum": 0}},
        "additionalProperties": False,
    }
    expectation = {"type": "string", "pattern": rf"^\s*({'|'.join(KINDS)})\s*(==|!=|>=|<=|>|<)\s*\S"}
    parts: dict[str, Any] = {
        "name": {"type": ["string", "number"]},
        "note": {"type": "string"},
        "set": {"type": "object", **value_of},
        "scale": {
            "type": "object",
            "properties": {key: {"$ref": "#/$defs/factor"} for key in [*paths, "prices"]},
            "patternProperties": {r"^prices\..+": {"$ref": "#/$defs/factor"}},
            "additionalProperties": False,
        },
        "expect": {"anyOf": [expectation, {"type": "array", "items": expectation}]},
        "grid": _by_path(paths, axis),
        "zip": _by_path(paths, {"type": "array", "minItems": 1}),
        "random": {
            "type": "object",
            "properties": {
                "draws": {"type": "integer", "minimum": 1},
                "seed": {"type": ["integer", "string"]},
                "values": _by_path(paths, drawn),
            },
            "required": ["draws", "seed", "values"],
            "additionalProperties": False,
        },
    }
    top: dict[str, Any] = {
        "version": {"const": VERSION},
        "name": {"type": "string"},
        "description": {"type": "string"},
        "base": _base(definitions),
        "scenarios": {"type": "array", "items": _group({key: parts[key] for key in SCENARIO})},
        "sweeps": {"type": "array", "items": _group({key: parts[key] for key in SWEEP})},
        "expect": parts["expect"],
    }
    definitions["factor"] = {
        "description": 'a factor, or a percentage such as "+10 %"',
        "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "what-if scenarios",
        **_group({key: top[key] for key in TOP}),
        "$defs": definitions,
    }


def _group(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _by_path(paths: dict[str, Any], each: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict.fromkeys(paths, each),
        "patternProperties": {r"^prices\..+": each},
        "additionalProperties": False,
    }


def _fields(record: type[Record], definitions: dict[str, Any]) -> dict[str, Any]:
    made = TypeAdapter(record).json_schema(ref_template="#/$defs/{model}")
    definitions.update(made.pop("$defs", {}))
    properties: dict[str, Any] = made["properties"]
    return properties


def _paths(definitions: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, record in (("limits", Limits), ("site", Site), ("workload", Workload)):
        for name, field in _fields(record, definitions).items():
            if (part, name) not in (("workload", "id"), ("workload", "model")):
                found[f"{part}.{name}"] = {
                    "anyOf": [{k: v for k, v in field.items() if k != "default"}, {"type": "null"}]
                }
    found["limits.budget_cny"] = _AMOUNT
    return found


def _base(definitions: dict[str, Any]) -> dict[str, Any]:
    def of(record: type[Record]) -> dict[str, Any]:
        return _group({name: _loose(field) for name, field in _fields(record, definitions).items()})

    return _group(
        {
            "file": {"type": "string", "description": "a problem file in the same folder"},
            "goal": {"enum": list(GOALS)},
            "confidence": {"enum": list(CONFIDENCES)},
            "limits": of(Limits),
            "site": of(Site),
            "workload": {"anyOf": [{"type": "string"}, of(Workload)]},
            "prices": {"type": "object", "additionalProperties": _AMOUNT},
            "offers": {"type": "array", "items": of(Offer)},
            "cards": {"type": "array", "items": of(Card)},
            "platforms": {"type": "array", "items": of(Platform)},
        }
    )


def _loose(field: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key != "default"}


TEMPLATE = message("""\
# yaml-language-server: $schema=./scenario.schema.json
# What-if scenarios. Check with: solver-cli whatif validate FILE. Run with: solver-cli whatif run FILE
# The schema named above, for editors: solver-cli whatif schema > scenario.schema.json
version: 1
name: my questions

# What all scenarios share; what is left out is the default question. Or: base: {file: problem.yaml}
base:
  goal: batch                       # batch, epoch, value or cost
  limits: {budget_cny: 300000}      # also 30万 or "300,000"

# One by one: each changes the base by dotted path. `scale` multiplies what holds today; `expect` makes it a check.
scenarios:
  - name: as asked
    expect: ["status == optimal", "cost_cny <= 300000"]
  - name: prices up by a tenth
    scale: {prices: "+10 %"}
  - name: a stronger socket, for speed
    set: {site.socket_amps: 16, goal: epoch}

# Many at once. `grid` is every combination, `zip` goes through lists side by side, `random` draws with a seed.
sweeps:
  - name: budget and socket
    grid:
      limits.budget_cny: {from: 100000, to: 300000, step: 50000}
      site.socket_amps: [10, 16]
  - name: uncertain quotes
    random:
      draws: 100
      seed: 1
      values:
        prices.a100-80gb-pcie: {normal: {percent: 15}}
        prices.rtx-a6000: {uniform: {percent: [-10, 20]}}
""")
"""What `whatif init` writes, said as a whole: a translation keeps all but the comments."""
