"""Uncertain figures of a workload: another value of one, and the ends that the workload itself gives it.

One definition for whoever asks what happens if a figure is off, and for whoever checks what was answered.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from solver.domain import physics
from solver.domain.problem import Problem
from solver.domain.shape import Spread
from solver.domain.workload import Workload

TIMES = ("fixed_s", "optimizer_s", "per_sample_s")


def with_figure(problem: Problem, field: str, value: Decimal) -> Problem:
    """The question with another value of a figure, and no spread of it; the compute share's is widened to hold it."""
    work = problem.workload
    fields: dict[str, Any] = {**dict(work), field: value}
    # An exact spread instead of none: other spreads of times must go on to count in place of the measured steps.
    fields["spreads"] = tuple(
        Spread(field=each.field, low=value, high=value, basis=each.basis) if each.field == field else each
        for each in work.spreads
    )
    fields["estimated"] = tuple(name for name in work.estimated if name != field)
    if field == "compute_share":
        fields["compute_share_low"] = min(value, work.compute_share_low)
        fields["compute_share_high"] = max(value, work.compute_share_high)
    return problem.replaced(workload=Workload.model_validate(fields))


def own_ends(work: Workload, field: str) -> tuple[Decimal, Decimal] | None:
    """Low and high end that the workload gives a figure, in the figure's unit; None where it is taken to be exact.

    The share bound by compute has its own fields; of step times without spreads, the ends follow from the measured
    steps, rounded away from the middle to 1 ms (`physics.paces`).
    """
    if field == "compute_share":
        ends = work.compute_share_low, work.compute_share_high
    elif field in ("fixed_s", "per_sample_s") and not work.has_spread(*TIMES):
        at = physics.Pace._fields.index(field.removesuffix("_s") + "_ms")
        low = min(pace[at] for pace in physics.paces(work, "low"))
        high = max(pace[at] for pace in physics.paces(work, "high"))
        ends = Decimal(low) / 1000, Decimal(high) / 1000
    else:
        ends = work.figure(field, "low"), work.figure(field, "high")
    return ends if ends[0] < ends[1] else None
