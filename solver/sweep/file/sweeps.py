"""One sweep as it is written: its axes and draws. What is wrong with a sweep is an error of the file.

Modify this module when a sweep may say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from solver.domain.errors import InvalidProblem, Violation
from solver.domain.language import say
from solver.sweep.draws import MOST_DRAWS, Draw, read_draw
from solver.sweep.file.base import plain
from solver.sweep.file.scenarios import check_keys, entry_of, located_at
from solver.sweep.file.written import Axis, Sweep
from solver.sweep.questions import checked_path
from solver.sweep.values import Range, read_value

SWEEP = ("name", "set", "scale", "expect", "note", "grid", "zip", "random")


def sweep_of(item: Any, default_name: str, file: str, expect: tuple[str, ...]) -> Sweep:
    """A sweep of a YAML file.

    Args:
        item: what is written.
        default_name: its name if it has none.
        file: name of the file, for messages.
        expect: what the file expects of every scenario.

    Raises:
        InvalidProblem: with file and line.
    """
    entry = entry_of(item, default_name, file, expect, SWEEP)
    if entry.fault:
        raise InvalidProblem([Violation(entry.where, "", entry.fault)])
    try:
        grid = _axes(item, "grid")
        zipped = _axes(item, "zip")
        if len({len(values) for _, values in zipped}) > 1:
            raise InvalidProblem.of("zip", None, say("must have lists of one length"))
        draws, count, seed = _random(item.get("random"))
        sweep = Sweep(entry, grid, zipped, draws, count, f"{seed}/{entry.name}")
        paths = [*sweep.paths, *entry.changes]
        twice = next((path for path in paths if paths.count(path) > 1), None)
        if twice is not None:
            raise InvalidProblem.of(twice, None, say("is changed twice in this sweep"))
        if not sweep.paths:
            raise InvalidProblem.of("sweep", None, say("must have grid, zip or random"))
    except InvalidProblem as error:
        raise located_at(error, entry.where) from None
    return sweep


def _axes(item: Mapping[str, Any], key: str) -> tuple[Axis, ...]:
    value = item.get(key)
    if value is None:
        return ()
    if not isinstance(value, Mapping) or not value:
        raise InvalidProblem.of(key, None, say("must be a group of paths and lists or ranges"))
    axes: list[Axis] = []
    for path, spec in value.items():
        checked_path(path)
        if isinstance(spec, Mapping):
            axes.append((path, Range(path, plain(spec))))
        elif isinstance(spec, list) and spec:
            values = [read_value(path, each) for each in spec]
            if key == "grid" and len({repr(each) for each in values}) != len(values):
                raise InvalidProblem.of(f"{key}.{path}", None, say("has a value twice"))
            axes.append((path, values))
        else:
            raise InvalidProblem.of(
                f"{key}.{path}", None, say("must be a list of values, or a range with from, to and step")
            )
    return tuple(axes)


def _random(value: Any) -> tuple[tuple[Draw, ...], int, str]:
    if value is None:
        return (), 1, ""
    if not isinstance(value, Mapping):
        raise InvalidProblem.of("random", None, say("must have draws, seed and values"))
    check_keys(value, ("draws", "seed", "values"), "random")
    count, seed, values = value.get("draws"), value.get("seed"), value.get("values")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_DRAWS:
        raise InvalidProblem.of(
            "random.draws", count, say("must be a whole number from 1 to {most_draws:,}", most_draws=MOST_DRAWS)
        )
    if isinstance(seed, bool) or not isinstance(seed, (int, str)):
        raise InvalidProblem.of(
            "random.seed", None, say("must be a whole number: without it nobody could draw the same again")
        )
    if not isinstance(values, Mapping) or not values:
        raise InvalidProblem.of("random.values", None, say("must be a group of paths and distributions"))
    draws = []
    for path, spec in values.items():
        checked_path(path)
        draws.append(read_draw(path, spec))
    return tuple(draws), count, str(seed)
