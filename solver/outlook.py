"""The same question at the ends of the workload's intervals: is the recommendation the same, and what is it if not?

At the high end memory and times are at their most (the batch that surely fits), at the low end at their least, all
figures together. Where a single figure flips the plan, `explain` says to the step.
"""

from __future__ import annotations

from collections.abc import Callable

from solver.domain.plan import Plan, Result
from solver.domain.problem import CONFIDENCES, Confidence
from solver.domain.rig import Outlook, Rig


def outlook(result: Result, confidence: Confidence, ask: Callable[[Confidence], Result | None]) -> tuple[Outlook, ...]:
    """The answers at the other ends of the intervals, each solved; none without a proved plan or without intervals.

    Args:
        result: the answer.
        confidence: the end it was planned on.
        ask: solves the same question planned on another end, here or on a server; None where no time is left for it.
    """
    plan = result.plan
    if plan is None or result.status != "optimal" or not _uncertain(plan):
        return ()
    found = []
    for end in CONFIDENCES:
        if end != confidence:
            there = ask(end)
            if there is None:
                found.append(Outlook(confidence=end, status="no_answer", same=False))
                continue
            rig = None if there.plan is None else _rig(there.plan, end)
            same = rig is not None and rig.distinct == (plan.card_id, plan.card_count, plan.platform_id)
            found.append(Outlook(confidence=end, status=there.status, same=same, rig=rig))
    return tuple(found)


def _uncertain(plan: Plan) -> bool:
    intervals = (plan.step_seconds, plan.micro_batch_range, plan.card_memory_gb, plan.host_memory_gb)
    return any(each.low < each.high for each in intervals)


def _rig(plan: Plan, end: Confidence) -> Rig:
    return Rig(
        card_id=plan.card_id,
        card_name=plan.card_name,
        card_count=plan.card_count,
        power_limit_w=plan.power_limit_w,
        platform_id=plan.platform_id,
        platform_name=plan.platform_name,
        with_used=plan.with_used,
        total_batch=plan.total_batch,
        cost_cny=plan.cost_cny,
        epoch_hours=plan.epoch_hours.at(end),
        wall_power_w=plan.wall_power_w,
        epoch_hours_range=plan.epoch_hours,
    )
