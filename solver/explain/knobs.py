"""What can be moved: each row of a limit that has a unit, and each limit that is on or off, as one knob.

The table of limits says which is which (`Row.step`); nothing here names a limit but `vram`, whose knob is the memory
of the cards and lies in figures.py, because more memory changes the micro-batch and with it every figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from solver.batch import Space
from solver.domain.explanation import Change
from solver.domain.limits import UNLIMITED, Moved
from solver.model.arrays import Ints
from solver.model.rules import Inequality

MEMORY = "vram"


@dataclass(frozen=True)
class Knob:
    """One thing that can be moved: some rules of one limit (positions in the space); step 0 is on or off."""

    limit: str
    part: str
    rules: tuple[int, ...]
    step: int

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off."""
        return self.step == 0


def knobs_of(space: Space) -> tuple[Knob, ...]:
    """All knobs of a question, in the order of the limits: a row each, switches of one limit together."""
    found: list[Knob] = []
    for at, rule in enumerate(space.rules):
        row = rule.row
        if row.step == 0 and found and found[-1].limit == row.limit and found[-1].is_switch:
            found[-1] = Knob(row.limit, found[-1].part, (*found[-1].rules, at), 0)
        else:
            found.append(Knob(row.limit, row.part, (at,), row.step))
    return tuple(found)


def by_limit(knobs: Iterable[Knob]) -> dict[str, tuple[Knob, ...]]:
    """The knobs of each limit."""
    found: dict[str, tuple[Knob, ...]] = {}
    for knob in knobs:
        found[knob.limit] = (*found.get(knob.limit, ()), knob)
    return found


def needed(space: Space, knob: Knob) -> Ints:
    """How many steps each pair needs the knob loosened at least; below 0 it may be tightened; switches 0 or 1."""
    excess = space.excess[list(knob.rules)]
    if knob.is_switch:
        return np.asarray(np.any(excess > 0, axis=0), dtype=np.int64)
    return np.asarray(-(-excess[0] // knob.step), dtype=np.int64)


def moved_by(space: Space, turns: Mapping[Knob, int]) -> Moved:
    """The rows as moved by turning knobs so many steps; a switch that is turned is off."""
    moved: dict[str, int | None] = {}
    for knob, steps in turns.items():
        for at in knob.rules:
            if knob.is_switch:
                if steps:
                    moved[space.rules[at].name] = None
            elif steps:
                moved[space.rules[at].name] = steps * knob.step
    return moved


def off(space: Space, limit: str) -> Moved:
    """The rows of a limit, left out."""
    return {rule.name: None for rule in space.rules if rule.row.limit == limit}


def change_of(space: Space, knob: Knob, steps: int) -> Change:
    """The record of a knob turned: loosened where steps is positive, tightened where negative."""
    rule = space.rules[knob.rules[0]]
    row = rule.row
    if knob.is_switch:
        return Change(limit=row.limit, part=row.part, unit=row.unit, switched_off=True)
    units = steps * knob.step
    return Change(
        limit=row.limit,
        part=row.part,
        unit=row.unit,
        by=_scaled(abs(units), row.scale),
        by_units=abs(units),
        scale=row.scale,
        to=None if owned(rule) else _scaled(int(row.moved(units).capacity), row.scale),
        at_least=row.at_least,
    )


def owned(rule: Inequality) -> bool:
    """Whether the capacity belongs to the platform, not to the question."""
    return isinstance(rule.row.capacity, np.ndarray)


def capacity_at(rule: Inequality, pair: int) -> int | None:
    """The capacity that holds for a pair, in units of unit / scale; None where the fact behind it is not known."""
    capacity = int(rule.row.capacity[pair]) if owned(rule) else int(rule.row.capacity)
    return None if capacity >= UNLIMITED else capacity


def used_at(rule: Inequality, pair: int) -> int:
    """What a pair uses of a rule, in units of unit / scale."""
    return int(rule.row.used[pair])


def _scaled(value: int, scale: int) -> float:
    return value // scale if value % scale == 0 else value / scale
