"""The same mathematics for other solvers: one boolean per pair, one row per rule, the rank as objective, by MathOpt.

HiGHS and SCIP are handed the columns as whole arrays through MathOpt's messages, so that no loop of Python's is on
their bill. Gap and integrality are exact as far as floating point goes; whoever uses this compares the rig with another
method's, because a tolerance may let in a rig that breaks a limit by a hair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from ortools.math_opt import callback_pb2, model_parameters_pb2, model_pb2, parameters_pb2, result_pb2
from ortools.math_opt.core.python import solver

from solver.domain.problem import Problem
from solver.model.pairs import Pairs, pairs_of
from solver.model.prune import survivors
from solver.model.rules import Inequality, inequalities, violated_sets

Name = Literal["HiGHS", "SCIP"]
Rig = tuple[str, int, int, str]
_TYPES = {"HiGHS": parameters_pb2.SOLVER_TYPE_HIGHS, "SCIP": parameters_pb2.SOLVER_TYPE_GSCIP}


def all_pairs(problem: Problem, name: Name) -> Rig | None:
    """The rig that a solver finds among all pairs of the question; None if there is none."""
    pairs = pairs_of(problem)
    return _rig(pairs, solved(list(inequalities(problem, pairs)), pairs.order(problem.goal), name))


def pruned(problem: Problem, name: Name) -> Rig | None:
    """The same among the pairs that our pruning leaves: how much of our time is CP-SAT's."""
    pairs = pairs_of(problem)
    rules = list(inequalities(problem, pairs))
    return _rig(pairs, solved(rules, survivors(pairs.order(problem.goal), violated_sets(rules, len(pairs))), name))


def _rig(pairs: Pairs, pair: int | None) -> Rig | None:
    if pair is None:
        return None
    choice = pairs.choice(pair)
    return choice.card_id, choice.card_count, choice.power_limit_w, choice.platform_id


def solved(rules: Sequence[Inequality], chosen: np.ndarray, name: Name) -> int | None:
    """The pair of least rank among `chosen`, best first, that breaks no rule; None if there is none.

    Raises:
        RuntimeError: the solver ended without an answer or a proof.
    """
    answer = solver.solve(
        _model(rules, chosen),
        _TYPES[name],
        parameters_pb2.SolverInitializerProto(),
        parameters_pb2.SolveParametersProto(relative_gap_tolerance=0, absolute_gap_tolerance=0.5),
        model_parameters_pb2.ModelSolveParametersProto(),
        None,
        callback_pb2.CallbackRegistrationProto(),
        None,
        None,
    )
    if answer.termination.reason == result_pb2.TERMINATION_REASON_INFEASIBLE:
        return None
    if answer.termination.reason != result_pb2.TERMINATION_REASON_OPTIMAL:
        raise RuntimeError(f"{name} ended with {answer.termination}")
    found = answer.solutions[0].primal_solution.variable_values
    return int(chosen[found.ids[int(np.argmax(found.values))]])


def _model(rules: Sequence[Inequality], chosen: np.ndarray) -> model_pb2.ModelProto:
    size = len(chosen)
    model = model_pb2.ModelProto()
    numbers = np.arange(size)
    model.variables.ids.extend(numbers.tolist())
    model.variables.lower_bounds.extend([0.0] * size)
    model.variables.upper_bounds.extend([1.0] * size)
    model.variables.integers.extend([True] * size)
    model.objective.linear_coefficients.ids.extend(numbers[1:].tolist())  # MathOpt wants no zeros
    model.objective.linear_coefficients.values.extend(numbers[1:].astype(float).tolist())
    rows = [
        (np.ones(size), 1.0, 1.0),
        *((r.coefficients[chosen].astype(float), -np.inf, float(r.bound)) for r in rules),
    ]
    model.linear_constraints.ids.extend(range(len(rows)))
    model.linear_constraints.lower_bounds.extend([low for _, low, _ in rows])
    model.linear_constraints.upper_bounds.extend([high for _, _, high in rows])
    matrix = model.linear_constraint_matrix
    for row, (coefficients, _, _) in enumerate(rows):
        used = np.flatnonzero(coefficients)
        matrix.row_ids.extend([row] * len(used))
        matrix.column_ids.extend(used.tolist())
        matrix.coefficients.extend(coefficients[used].tolist())
    return model
