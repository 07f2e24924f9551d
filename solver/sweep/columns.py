"""The columns of exported results: one table from which CSV, JSONL, Parquet, XLSX, `expect` and `diff` follow.

They are read off the records: every field of a plan (an interval as its expected value, with `_low` and `_high`
beside it), and used, capacity and headroom of every limit in the limit's own unit. A value depends on the question
and the catalogue alone, except where the column's name ends in `_ms`, `_seconds` or `_at`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal

from solver.domain.base import Interval
from solver.domain.limits import LIMITS
from solver.domain.plan import Plan

Kind = Literal["text", "int", "float", "bool"]
_KINDS: dict[Any, Kind] = {str: "text", int: "int", float: "float", bool: "bool", Decimal: "float"}


def _plan_columns() -> Iterable[tuple[str, str, Kind, str]]:
    """(column, field of the plan, kind, key of the interval) for every field."""
    for name, info in Plan.model_fields.items():
        # `_seconds` is kept for figures of the clock.
        column = name.removesuffix("_seconds") + "_s" if name.endswith("_seconds") else name
        if info.annotation is Interval:
            yield column, name, "float", "expected"
            yield f"{column}_low", name, "float", "low"
            yield f"{column}_high", name, "float", "high"
        else:
            yield column, name, _KINDS.get(info.annotation, "text"), ""


_PLAN = tuple(_plan_columns())
_HEAD: tuple[tuple[str, Kind], ...] = (("position", "int"), ("name", "text"))
_FLOAT: Kind = "float"
_ANSWER: tuple[tuple[str, Kind], ...] = (
    ("status", "text"),
    ("answered_by", "text"),
    ("goal", "text"),
    ("objective", "float"),
    ("bound", "float"),
    ("objective_unit", "text"),
    *((column, kind) for column, _, kind, _ in _PLAN),
    *((f"{limit.name}_{what}", _FLOAT) for limit in LIMITS for what in ("used", "capacity", "headroom")),
    ("warnings", "text"),
)
_TAIL: tuple[tuple[str, Kind], ...] = (
    ("expectation", "text"),
    ("broken", "text"),
    ("error", "text"),
    ("solve_ms", "float"),
    ("finished_at", "text"),
)
KINDS: dict[str, Kind] = dict(_ANSWER)
"""What may be expected of: the columns of the answer itself."""
VOLATILE = ("_ms", "_seconds", "_at")
"""Endings of the names of columns that differ from run to run."""


def columns_of(paths: Iterable[str]) -> dict[str, Kind]:
    """All columns of a run's export in order; `paths` are those that its scenarios change, each a `set.` column."""
    changes: dict[str, Kind] = {f"set.{path}": kind_of_path(path) for path in paths}
    return {**dict(_HEAD), **changes, **KINDS, **dict(_TAIL)}


def kind_of_path(path: str) -> Kind:
    """How the values of a path are exported: numbers as numbers, anything else as text."""
    part, _, rest = path.partition(".")
    if part == "prices":
        return "float"
    if part in ("limits", "site", "workload") and rest:
        from solver.sweep.questions import FIELDS

        text = str(FIELDS[part].model_fields[rest].annotation)
        if "Decimal" in text and "tuple" not in text:
            return "float"
        if "bool" in text:
            return "bool"
        if "int" in text and "tuple" not in text:
            return "int"
    return "text"


def flat(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of an answer; what it has no value for is None."""
    plan, usage = answer["plan"], {row["limit"]: row for row in answer["usage"]}
    values: dict[str, Any] = {name: answer[name] for name in ("status", "goal", "objective", "bound", "objective_unit")}
    for column, field, kind, key in _PLAN:
        value = None if plan is None else plan[field]
        if value is not None:
            if key:
                value = value[key]
            elif kind == "text" and not isinstance(value, str):
                value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            elif kind == "float":
                value = float(value)
        values[column] = value
    for limit in LIMITS:
        row = usage.get(limit.name)
        if row is None:
            continue
        used, capacity = row["used"], row["capacity"]
        values[f"{limit.name}_used"], values[f"{limit.name}_capacity"] = used, capacity
        values[f"{limit.name}_headroom"] = round(used - capacity if row.get("at_least") else capacity - used, 6)
    values["warnings"] = ";".join(answer["warnings"])
    return values
