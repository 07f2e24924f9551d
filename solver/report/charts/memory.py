"""Why the batch is what it is: the memory of one card, divided among weights, buffers, reserve and samples."""

from __future__ import annotations

from decimal import Decimal
from xml.etree.ElementTree import Element

from solver.domain.language import say, say_many
from solver.domain.plan import Result
from solver.domain.problem import Problem
from solver.report.charts.bars import Part, divided
from solver.report.charts.canvas import NARROW, canvas, fitted, label
from solver.report.wording import number


def memory_chart(problem: Problem, result: Result, width: float = NARROW) -> Element:
    """The memory of one card in GB.

    Raises:
        ValueError: the result has no plan.
    """
    plan, work = result.plan, problem.workload
    if plan is None:
        raise ValueError("no plan, no batch")

    def part(size: Decimal, name: str, field: str) -> Part:
        return Part(float(size), name, f"{number(float(size), 3)} GB", f"workload.{field}", size)

    each = say("{size} GB each", size=number(float(work.per_sample_gb), 3))
    parts = [
        part(work.weights_gb, say("weights"), "weights_gb"),
        part(work.buffers_gb, say("buffers"), "buffers_gb"),
        part(work.reserve_gb, say("reserve"), "reserve_gb"),
        Part(
            float(work.per_sample_gb) * plan.micro_batch,
            say_many("{count} sample", "{count} samples", plan.micro_batch),
            each,
            "workload.per_sample_gb",
            work.per_sample_gb,
        ),
    ]
    for i, row in enumerate(result.usage):
        if row.limit == "vram" and row.headroom > 0:
            left = round(row.headroom, 6)
            told = f"{number(left)} GB"
            parts.append(Part(left, say("free"), told, f"result.usage.{i}.headroom", left, free=True))
    head = say(
        "Batch: {total} samples ({count} x {micro})",
        total=plan.total_batch,
        count=plan.card_count,
        micro=plan.micro_batch,
    )
    drawn, end = divided(parts, 44, width)
    return canvas(
        "batch",
        head,
        say("Memory of one card") + ". " + "; ".join(f"{part.name}: {part.told}" for part in parts),
        width,
        end,
        label(0, 14, head, "strong", "", "result.plan.total_batch", plan.total_batch),
        label(0, 34, fitted(say("memory of one card"), width), "soft"),
        *drawn,
    )
