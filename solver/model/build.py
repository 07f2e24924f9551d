"""Build posts the rules into a CP-SAT model: outright, or each limit behind a named switch.

The model: one boolean per pair, exactly one chosen; one linear row per rule, in the rule's own unit and under its
name; minimize the rank. OR-Tools' compiled `cp_model_helper` is used directly (0.1 s to import instead of 0.7 s with
pandas, several times faster to fill); it is private to OR-Tools, which is why the version is pinned and a parity test
compares it with the public API.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from ortools.sat.python import cp_model_helper as cp

from solver.model.arrays import Ints
from solver.model.rules import Inequality

_INT64_LOW, _INT64_HIGH = -(2**63), 2**63 - 1


@dataclass(frozen=True, eq=False)
class Model:
    """A CP-SAT model over some pairs: variable i is the i-th of them; `switches` maps a limit to its literal."""

    proto: cp.CpModelProto
    size: int
    switches: dict[str, int] = field(default_factory=dict)


def build(
    rules: Sequence[Inequality],
    chosen: Sequence[int],
    ranks: Sequence[int] | None,
    behind_switch: Callable[[str], bool] = lambda _limit: False,
) -> Model:
    """Build the model for the pairs `chosen` (indices into the rules' columns) with these ranks as objective.

    Args:
        rules: the named inequalities over all pairs.
        chosen: which pairs become variables, in this order.
        ranks: the objective coefficient of each of them, less is better; None for no objective.
        behind_switch: which limits are enforced only if their switch literal is true; the others always hold.
    """
    proto = cp.CpModelProto()
    size = len(chosen)
    variables = list(range(size))
    for pair in chosen:
        variable = proto.variables.add()
        variable.name = f"pair_{pair}"
        variable.domain.extend([0, 1])
    one = proto.constraints.add()
    one.name = "one_rig"
    one.exactly_one.literals.extend(variables)
    switches: dict[str, int] = {}
    largest = 2**61 // max(1, size)
    rows = np.array(chosen, dtype=np.int64)
    for rule in rules:
        row = proto.constraints.add()
        row.name = rule.name
        if behind_switch(rule.row.limit):
            if rule.row.limit not in switches:
                switch = proto.variables.add()
                switch.name = f"limit_{rule.row.limit}"
                switch.domain.extend([0, 1])
                switches[rule.row.limit] = size + len(switches)
            row.enforcement_literal.append(switches[rule.row.limit])
        _fill(row, rule, rows, variables, largest)
    if ranks is not None:
        proto.objective.vars.extend(variables)
        proto.objective.coeffs.extend(list(ranks))
    return Model(proto, size, switches)


def _fill(row: cp.ConstraintProto, rule: Inequality, chosen: Ints, variables: Sequence[int], largest: int) -> None:
    """Write sum(coefficient * variable) <= bound of a rule into a row of the model."""
    coefficients, bound = rule.coefficients[chosen].tolist(), rule.bound
    if coefficients and max(max(coefficients), -min(coefficients), abs(bound)) > largest:
        # The sum could leave 64 bits. Exactly one pair is chosen, so the excess over the bound says the same, and
        # cutting it keeps its sign.
        coefficients, bound = [min(largest, max(-largest, each - bound)) for each in coefficients], 0
    row.linear.vars.extend(variables)
    row.linear.coeffs.extend(coefficients)
    row.linear.domain.extend([_INT64_LOW, bound])


@dataclass(frozen=True, eq=False)
class Block:
    """One of many independent questions in one model: which pairs become variables, best first, and its rows.

    `excess` is how far each of these pairs breaks each rule, shape (rules, pairs).
    """

    chosen: Sequence[int]
    excess: Ints


def build_blocks(blocks: Sequence[Block]) -> tuple[cp.CpModelProto, list[int]]:
    """Build one model of many questions: a rig or "no plan" for each, and the least sum of ranks.

    The blocks share no variable, so the sum is least where each rank is. "No plan" ranks behind every pair and takes
    part in no row, so it is chosen exactly where nothing fits. A row says that the excess of the chosen pair is at most
    0; one that no pair of the block can break is left out.

    Returns:
        The model, and for each block the number of its first variable; the variable after its pairs is "no plan".
    """
    proto = cp.CpModelProto()
    starts: list[int] = []
    size = 0
    for block in blocks:
        count = len(block.chosen)
        starts.append(size)
        variables = list(range(size, size + count))
        for _ in range(count + 1):
            proto.variables.add().domain.extend([0, 1])
        size += count + 1
        one = proto.constraints.add()
        one.exactly_one.literals.extend([*variables, size - 1])
        binding = block.excess[(block.excess > 0).any(axis=1)] if count else block.excess[:0]
        largest = 2**61 // max(1, count)
        for excess in np.clip(binding, -largest, largest).tolist():
            row = proto.constraints.add().linear
            row.vars.extend(variables)
            row.coeffs.extend(excess)
            row.domain.extend([_INT64_LOW, 0])
        proto.objective.vars.extend([*variables, size - 1])
        proto.objective.coeffs.extend(range(count + 1))
    return proto, starts
