"""Why nothing fits: a minimal set of limits that cannot all be kept.

CP-SAT names assumptions (limits behind switches) that suffice for "infeasible"; that core may hold more than it must,
so limits are then dropped one by one, and what is left is solved again: infeasible as it stands, feasible without any
one member. What the buyer set is kept in the core before facts of the hardware, where there is a choice.
"""

from __future__ import annotations

from collections.abc import Collection

from ortools.sat.python import cp_model_helper as cp

from solver.batch import OutOfTime, Patience, Space, WhatIf, best_of_each, run
from solver.domain.errors import SolverFailure
from solver.domain.explanation import Conflict, ConflictMember
from solver.domain.limits import LIMITS, Limit, Moved
from solver.explain.knobs import owned
from solver.model.build import Model, build
from solver.model.prune import survivors
from solver.model.rules import Inequality, violated_sets


def conflict(space: Space, patience: Patience) -> Conflict:
    """A minimal conflict of a question that has no plan; `minimal` is False if time ran out.

    Without a priced card or platform there is nothing to choose, and the conflict is empty.

    Raises:
        SolverFailure: the solver contradicts itself.
    """
    core = list(dict.fromkeys(rule.row.limit for rule in space.rules)) if len(space) else []
    minimal = True
    try:
        core = _core(space, core, patience)
        core = _by_deletion(space, core, patience)
    except OutOfTime:
        minimal = False
    return Conflict(members=tuple(_member(space, name) for name in core), minimal=minimal)


def _core(space: Space, names: list[str], patience: Patience) -> list[str]:
    """A sufficient set of limits: first what the buyer set, with the hardware's limits held; then of the hardware's."""
    settings = [limit.name for limit in LIMITS if limit.name in names and limit.setting]
    hardware = [name for name in names if name not in settings]
    wanted = _sufficient(space, hardware, settings, patience)
    return [name for name in names if name in {*wanted, *_sufficient(space, wanted, hardware, patience)}]


def _sufficient(space: Space, hard: Collection[str], soft: Collection[str], patience: Patience) -> list[str]:
    """Of the limits `soft`, some that cannot be kept together with all of `hard`, as CP-SAT's assumptions say."""
    rules = [rule for rule in space.rules if rule.row.limit in hard or rule.row.limit in soft]
    model = _behind_switches(space, rules, soft)
    model.proto.assumptions.extend(model.switches.values())
    response = run(model.proto, patience)
    if response.status != cp.CpSolverStatus.INFEASIBLE:
        raise SolverFailure("the limits of an infeasible question can be kept")
    found = set(response.sufficient_assumptions_for_infeasibility)
    return [name for name, switch in model.switches.items() if switch in found]


def _behind_switches(space: Space, rules: list[Inequality], soft: Collection[str]) -> Model:
    # Dropping pairs by violated sets stays exact when whole limits are switched off.
    kept = survivors(space.order, violated_sets(rules, len(space)))
    return build(rules, kept.tolist(), None, behind_switch=lambda limit: limit in soft)


def _by_deletion(space: Space, core: list[str], patience: Patience) -> list[str]:
    """Drop members until none can be: solves the core itself, and the core without each member, in one model."""
    settings = {limit.name for limit in LIMITS if limit.setting}
    while True:
        asked = [WhatIf(space, _without_all_but(space, core))]
        asked += [WhatIf(space, _without_all_but(space, [n for n in core if n != name])) for name in core]
        whole, *each = best_of_each(asked, patience)
        if whole is not None:
            raise SolverFailure(f"the limits {', '.join(core)} were to be a conflict, and can be kept")
        idle = [name for name, answer in zip(core, each, strict=True) if answer is None]
        if not idle:
            return core
        drop = next((name for name in idle if name not in settings), idle[-1])
        core = [name for name in core if name != drop]


def _without_all_but(space: Space, names: Collection[str]) -> Moved:
    return {rule.name: None for rule in space.rules if rule.row.limit not in names}


def fewest_off(space: Space, held: Collection[str], patience: Patience) -> int | None:
    """The least number of limits that must be given up together for a plan to exist, those in `held` always kept.

    None where giving up all others does not help. Proved by CP-SAT: the most switches that can be on.

    Raises:
        OutOfTime: not proved in time.
    """
    names = dict.fromkeys(rule.row.limit for rule in space.rules)
    model = _behind_switches(space, list(space.rules), [name for name in names if name not in held])
    switches = list(model.switches.values())
    model.proto.objective.vars.extend(switches)
    model.proto.objective.coeffs.extend([-1] * len(switches))
    response = run(model.proto, patience)
    if response.status == cp.CpSolverStatus.INFEASIBLE:
        return None
    values = list(response.solution)
    return sum(1 for switch in switches if not values[switch])


def _member(space: Space, name: str) -> ConflictMember:
    limit: Limit = next(known for known in LIMITS if known.name == name)
    rule = next(r for r in space.rules if r.row.limit == name)
    row = rule.row
    return ConflictMember(
        limit=name,
        inequality=limit.inequality,
        capacity=None if owned(rule) or not row.step else int(row.capacity) / row.scale,
        unit=row.unit,
    )
