"""The record that a page carries for programs: all that its figures come from, and nothing that a clock has set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from solver.domain.explanation import Frontier
from solver.report.json_form import SCHEMA_VERSION, result_object
from solver.report.saved import Saved
from solver.sweep.story import RunStory


def answer_record(saved: Saved) -> dict[str, Any]:
    """The answer as `plan.json` has it, ranges and curve in short, and the figures of the question it rests on."""
    problem, reasons = saved.problem, saved.explanation
    return {
        "schema_version": SCHEMA_VERSION,
        "as_of": saved.as_of.isoformat(),
        "result": without_clock(result_object(saved.result)),
        "explanation": {
            "complete": reasons.complete,
            "prices": [each.model_dump(mode="json", exclude={"below", "above"}) for each in reasons.prices],
            "figures": [each.model_dump(mode="json", exclude={"below", "above"}) for each in reasons.figures],
        },
        "frontier": None if saved.frontier is None else _curve(saved.frontier),
        "goal": problem.goal,
        "limits": problem.limits.model_dump(mode="json"),
        "site": problem.site.model_dump(mode="json"),
        "workload": problem.workload.model_dump(mode="json", exclude={"notes", "provenance", "power_curve"}),
    }


def _curve(frontier: Frontier) -> dict[str, Any]:
    """A curve with its rigs, without their orders and times: those of the chosen plan are in the answer."""
    return {
        "axes": list(frontier.axes),
        "units": list(frontier.units),
        "complete": frontier.complete,
        "points": [
            {"values": list(point.values), **point.plan.choice.model_dump(mode="json")} for point in frontier.points
        ],
    }


def run_record(story: RunStory) -> dict[str, Any]:
    """The summary of a run, its maps (cells as places in `rigs`, -1 where there is no plan) and distributions."""
    from solver.report.charts.heatmap import map_object, rigs_of

    run, maps = story.run, (*story.maps, *story.strips)
    rigs = rigs_of(maps)
    return {
        "schema_version": SCHEMA_VERSION,
        "run": {
            "run_id": run.run_id,
            "input_name": run.input_name,
            "input_sha256": run.input_sha256,
            "catalog_sha256": run.catalog_sha256,
            "question_sha256": run.question_sha256,
            "solver_version": run.solver_version,
            "ortools_version": run.ortools_version,
            "created_at": run.created_at,
            "requested_by": run.requested_by,
            "total": run.total,
        },
        "counts": {
            "done": story.counts.done,
            "failed": story.counts.failed,
            "infeasible": story.counts.infeasible,
            "broken": story.counts.broken,
        },
        "summary": story.summary,
        "rigs": rigs,
        "maps": [map_object(matrix, rigs) for matrix in maps],
        "distributions": [
            {"name": each.name, "bins": [[one.low, one.high, one.count] for one in each.bins]}
            for each in story.distributions
        ],
    }


def without_clock(data: Any) -> Any:
    """Data without what differs from run to run: milliseconds."""
    if isinstance(data, dict):
        return {key: without_clock(value) for key, value in data.items() if not key.endswith("_ms")}
    return [without_clock(value) for value in data] if isinstance(data, list) else data


def looked_up(record: Mapping[str, Any], at: str) -> Any:
    """The value at a dotted path such as `result.plan.order.0.total_cny`.

    Raises:
        KeyError, IndexError: there is nothing there.
    """
    value: Any = record
    for key in at.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value
