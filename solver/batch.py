"""Many what-ifs in one CP-SAT call: each is answered as `solve.optimize` would, in a half to a third of the time.

A `WhatIf` is a question with some rows moved, some pairs left out, or columns of its own. Explanations and frontiers
find their thresholds in the columns; what they print is what came back from here. Modify this module when many
questions are searched differently; one question is searched in solve.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from ortools.sat.python import cp_model_helper as cp

from solver.domain.catalog import Card, Platform
from solver.domain.errors import InvalidProblem, SolverFailure
from solver.domain.limits import UNMOVED, Moved
from solver.domain.problem import Problem
from solver.model.arrays import Ints
from solver.model.build import Block, build_blocks
from solver.model.groups import number_of_pairs
from solver.model.pairs import Pairs, pairs_of
from solver.model.prune import survivors
from solver.model.rules import Inequality, inequalities

Bools = npt.NDArray[np.bool_]
BLOCKS_PER_MODEL = 200
"""More blocks in one model gain nothing."""
MOST_PAIRS = 1_000_000
"""Pairs held at once; about 500 bytes each."""


@dataclass
class Counter:
    """A number that grows."""

    count: int = 0


@dataclass(frozen=True)
class Patience:
    """How long to go on: until a moment of `time.perf_counter`, or until somebody asks to stop."""

    until: float | None = None
    stop: threading.Event | None = None
    solved: Counter = field(default_factory=Counter, compare=False)
    """How many questions were answered meanwhile."""

    @classmethod
    def of(cls, time_limit_s: float | None, stop: threading.Event | None = None) -> Patience:
        """From a limit in seconds, counted from now."""
        return cls(None if time_limit_s is None else time.perf_counter() + time_limit_s, stop)

    @property
    def over(self) -> bool:
        """Whether to stop now."""
        return (self.stop is not None and self.stop.is_set()) or (
            self.until is not None and time.perf_counter() >= self.until
        )

    @property
    def left_s(self) -> float | None:
        """Seconds left, at least 0; None for no limit."""
        return None if self.until is None else max(0.0, self.until - time.perf_counter())


UNHURRIED = Patience()


class OutOfTime(Exception):
    """The time is over, or somebody asked to stop, before an answer was proved."""


class TooManyPairs(InvalidProblem):
    """The catalogue is too large for what needs every pair of it at once; `optimize` takes it all the same."""


@dataclass(frozen=True, eq=False)
class Space:
    """A question over its pairs, prepared once for many what-ifs: the rules, and which rank each pair has."""

    problem: Problem
    pairs: Pairs
    rules: tuple[Inequality, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Read the rules."""
        object.__setattr__(self, "rules", tuple(inequalities(self.problem, self.pairs)))

    @classmethod
    def of(cls, problem: Problem) -> Space:
        """The space of a question.

        Raises:
            TooManyPairs: the catalogue has more pairs than are held at once.
        """
        pairs = number_of_pairs(problem)
        if pairs > MOST_PAIRS:
            raise TooManyPairs.of(
                "catalog",
                f"{pairs:,} pairs",
                f"explanations and curves hold every pair and take {MOST_PAIRS:,} at most",
            )
        return cls(problem, pairs_of(problem))

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    @property
    def cards(self) -> tuple[Card, ...]:
        """The cards that `pairs.card` numbers."""
        return self.pairs.hardware.cards

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms that `pairs.platform` numbers."""
        return self.pairs.hardware.platforms

    def keys(self, goal: str) -> tuple[Any, ...]:
        """The columns by which a goal orders the pairs, ties included, the first one first; less is better."""
        return self.pairs.keys(goal)

    @cached_property
    def order(self) -> Ints:
        """Indices of the pairs, best first."""
        return self.pairs.order(self.problem.goal)

    def ordered(self, order: Ints) -> Space:
        """The same space under another order of the pairs (best first), such as that of a trade-off curve."""
        pairs = replace(self.pairs, orders={self.problem.goal: order})
        return Space(self.problem, pairs)

    @cached_property
    def rank(self) -> Ints:
        """The rank of each pair; 0 is best."""
        rank = np.empty(len(self), dtype=np.int64)
        rank[self.order] = np.arange(len(self))
        return rank

    @cached_property
    def excess(self) -> Ints:
        """How far each pair breaks each rule, shape (rules, pairs); at most 0 where it keeps to it."""
        if not self.rules:
            return np.zeros((0, len(self)), dtype=np.int64)
        return np.stack([rule.excess for rule in self.rules])

    @cached_property
    def rule_at(self) -> dict[str, int]:
        """The position of each rule among `rules`, by name."""
        return {rule.name: at for at, rule in enumerate(self.rules)}

    @cached_property
    def _bits(self) -> Ints:
        """For each rule a bit of its own where a pair breaks it, shape (rules, pairs)."""
        bits = np.left_shift(1, np.arange(len(self.rules), dtype=np.int64))
        return np.where(self.excess > 0, bits[:, np.newaxis], 0)

    def violated(self, moved: Moved = UNMOVED) -> Ints:
        """For each pair the set of rules it breaks, as bits, when some rules are moved or left out."""
        bits = self._bits
        touched = [(self.rule_at[name], by) for name, by in moved.items() if by != 0 and name in self.rule_at]
        if touched:
            bits = bits.copy()
            for at, by in touched:
                bits[at] = 0 if by is None else (self.excess[at] > by) * (1 << at)
        found: Ints = np.bitwise_or.reduce(bits, axis=0) if len(self.rules) else np.zeros(len(self), dtype=np.int64)
        return found

    def shortfall(self, pairs: Ints, moved: Moved = UNMOVED) -> Ints:
        """How far some pairs break each rule, shape (rules, pairs), when some rules are moved or left out."""
        excess = self.excess[:, pairs]
        for name, by in moved.items():
            if name in self.rule_at:
                at = self.rule_at[name]
                excess[at] = 0 if by is None else excess[at] - by
        return excess

    def feasible(self, moved: Moved = UNMOVED) -> Bools:
        """Which pairs keep to all rules."""
        return np.asarray(self.violated(moved) == 0)


def dense_rank(columns: tuple[Any, ...]) -> Ints:
    """The rank of each row by several columns, the first one first; equal rows have equal ranks."""
    size = len(columns[0]) if columns else 0
    plain = [
        np.unique(column, return_inverse=True)[1].reshape(-1) if column.dtype == object else column
        for column in columns
    ]
    order = np.lexsort(list(reversed(plain)))
    new = np.zeros(size, dtype=np.int64)
    for column in plain:
        new[1:] |= column[order][1:] != column[order][:-1]
    ranks = np.empty(size, dtype=np.int64)
    ranks[order] = np.cumsum(new)
    return ranks


@dataclass(frozen=True, eq=False)
class WhatIf:
    """A question with some rows moved; with `among`, only these pairs may be chosen."""

    space: Space
    moved: Moved = field(default_factory=dict)
    among: Bools | None = None


def best_of_each(asked: Sequence[WhatIf], patience: Patience = UNHURRIED) -> list[int | None]:
    """The best pair of each what-if, proved; None where nothing fits, which is proved too.

    Raises:
        OutOfTime: not all was proved in time.
        SolverFailure: the solver broke.
    """
    answers: list[int | None] = []
    for first in range(0, len(asked), BLOCKS_PER_MODEL):
        answers += prove([_block(what_if) for what_if in asked[first : first + BLOCKS_PER_MODEL]], patience)
    return answers


def _block(what_if: WhatIf) -> Block:
    space = what_if.space
    order = space.order
    if what_if.among is not None:
        order = order[what_if.among[order]]
    chosen = survivors(order, space.violated(what_if.moved))
    return Block(chosen.tolist(), space.shortfall(chosen, what_if.moved))


def run(proto: cp.CpModelProto, patience: Patience = UNHURRIED) -> cp.CpSolverResponse:
    """Run CP-SAT to the end, with one worker.

    Raises:
        OutOfTime: it did not get there in time.
    """
    if patience.over:
        raise OutOfTime
    parameters = cp.SatParameters()
    parameters.num_workers = 1
    parameters.random_seed = 1
    parameters.catch_sigint_signal = False  # its handler takes Ctrl-C from Python, and aborts in another thread
    # Nothing to gain on rows of this shape, and up to 30 % of the time.
    parameters.cp_model_probing_level = 0
    parameters.symmetry_level = 0
    parameters.linearization_level = 0
    if patience.left_s is not None:
        parameters.max_time_in_seconds = patience.left_s
    wrapper = cp.SolveWrapper()
    wrapper.set_parameters(parameters)
    response: cp.CpSolverResponse = wrapper.solve(proto)  # type: ignore[no-untyped-call]
    if response.status in (cp.CpSolverStatus.UNKNOWN, cp.CpSolverStatus.FEASIBLE):
        raise OutOfTime
    return response


def prove(blocks: Sequence[Block], patience: Patience = UNHURRIED) -> list[int | None]:
    """The best pair of each block (as in its `chosen`), proved in one CP-SAT call; None where nothing fits.

    Raises:
        OutOfTime: not all was proved in time.
        SolverFailure: the solver broke.
    """
    if patience.over:
        raise OutOfTime
    proto, starts = build_blocks(blocks)
    response = run(proto, patience)
    if response.status != cp.CpSolverStatus.OPTIMAL:
        raise SolverFailure(f"CP-SAT answered {response.status} to {len(blocks)} questions that may all have no plan")
    patience.solved.count += len(blocks)
    values = list(response.solution)
    answers: list[int | None] = []
    for block, start in zip(blocks, starts, strict=True):
        at = values.index(1, start) - start
        if at > len(block.chosen):
            raise SolverFailure("CP-SAT left a question without an answer")
        answers.append(None if at == len(block.chosen) else block.chosen[at])
    return answers
