"""The JSON form of answers: one object, documented in docs/json.md. Keys never change within a `schema_version`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # their records cost 10 ms, which an answer need not wait for
    from solver.check import CheckReport
    from solver.domain.explanation import Alternative, Explanation, Frontier
    from solver.domain.plan import Result, Usage

SCHEMA_VERSION = "1.0"


def result_object(result: Result) -> dict[str, Any]:
    """The JSON object of `optimize`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "status": result.status,
        "goal": result.goal,
        "confidence": result.confidence,
        "objective": result.objective,
        "bound": result.bound,
        "gap": gap(result),
        "objective_unit": result.objective_unit,
        "plan": None if result.plan is None else result.plan.model_dump(mode="json"),
        "usage": [usage_object(usage) for usage in result.usage],
        "warnings": [warning.message for warning in result.warnings],
        "statistics": result.statistics.model_dump(mode="json"),
        "fingerprint": result.fingerprint.model_dump(mode="json"),
    }


def gap(result: Result) -> float | None:
    """|objective - bound| / |objective|; None without a plan or a bound."""
    if result.objective is None or result.bound is None:
        return None
    return abs(result.objective - result.bound) / max(abs(result.objective), 1e-12)


def usage_object(usage: Usage) -> dict[str, Any]:
    """One limit: what is used of it, and what is left."""
    return {**usage.model_dump(mode="json"), "headroom": round(usage.headroom, 6)}


def dumps(data: Any) -> str:
    """JSON text as all commands print it."""
    return json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False)


def check_object(report: CheckReport) -> dict[str, Any]:
    """The JSON object of `check`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "holds" if report.holds else "broken",
        "confidence": report.confidence,
        "plan": report.plan.model_dump(mode="json"),
        "usage": [usage_object(usage) for usage in report.usage],
        "broken": [usage_object(usage) for usage in report.broken],
        "unpriced": list(report.unpriced),
        "power_limits_that_fit_w": None if report.power_limits_that_fit is None else list(report.power_limits_that_fit),
        "warnings": [warning.message for warning in report.warnings],
    }


def explanation_object(explanation: Explanation) -> dict[str, Any]:
    """The JSON object of `explain`: the answer under `result`, and the chapters under the names of the records."""
    chapters = explanation.model_dump(mode="json", exclude={"result"})
    return {
        "schema_version": SCHEMA_VERSION,
        "status": explanation.result.status,
        "result": result_object(explanation.result),
        **chapters,
    }


def alternatives_object(alternatives: tuple[Alternative, ...] | None) -> list[dict[str, Any]] | None:
    """The JSON list of `optimize --top`; null if not all was proved in time."""
    return None if alternatives is None else [one.model_dump(mode="json") for one in alternatives]


def frontier_object(frontier: Frontier) -> dict[str, Any]:
    """The JSON object of `frontier`."""
    return {"schema_version": SCHEMA_VERSION, **frontier.model_dump(mode="json")}
