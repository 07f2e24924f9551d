"""Which rig wins where: a sweep along two axes as a map (or along one, as a strip), a letter and a colour a rig."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any
from xml.etree.ElementTree import Element

from solver.domain.language import say
from solver.report.charts.bars import letter, swatch
from solver.report.charts.canvas import LINE, WIDE, box, canvas, fitted, label, line, width_of
from solver.report.charts.words import swept_name
from solver.report.markup import coordinate, h
from solver.report.wording import number
from solver.sweep.summary import Matrix

MOST_NAMED = 15
_NO_PLAN = ("infeasible", "no_answer", "failed")


def rigs_of(maps: Iterable[Matrix]) -> list[str]:
    """The rigs of all maps, the most frequent first; a power limit below the TDP does not make another rig."""
    counts = Counter(rig for matrix in maps for row in matrix.cells for cell in row if (rig := _rig(cell)))
    return sorted(counts, key=lambda rig: (-counts[rig], rig))


def _rig(cell: Any) -> str:
    """The rig in a cell; empty where there is no plan."""
    return "" if cell is None or cell in _NO_PLAN else str(cell).partition(" @")[0]


def heatmap_chart(matrix: Matrix, rigs: Sequence[str], number_: int = 1, width: float = WIDE) -> Element:
    """A map of a sweep.

    Args:
        matrix: rigs, or why there is none, by the values of two axes.
        rigs: all that may occur; their places are their letters and colours, the same in all maps of a page.
        number_: which map of the page it is, for its name.
        width: px.
    """
    place = {rig: i for i, rig in enumerate(rigs)}
    labels = [_axis_value(value) for value in matrix.rows]
    left = max((width_of(text) for text in labels), default=0) + (8 if any(labels) else 0)
    left = min(left, width * 0.3)
    head = say("Which rig wins: {sweep}", sweep=matrix.sweep)
    across = say("across: {axis}", axis=swept_name(matrix.across, width - left))
    down = say("down: {axis}", axis=swept_name(matrix.down, width))
    drawn = [label(0, 14, fitted(head, width), "strong")]
    top = 26.0
    if matrix.down:
        drawn.append(label(0, 32, fitted(down, width), "soft"))
        top = 42.0
    wide = (width - left - 1) / max(len(matrix.columns), 1)
    high = min(max(width * 0.5 / max(len(matrix.rows), 1), 5.0), 26.0) if len(matrix.rows) > 1 else 34.0
    drawn += _cells(matrix, place, left, top, wide, high)
    every = max(1, -(-14 // int(max(high, 1))))
    for i, text in enumerate(labels):
        if text and i % every == 0:
            drawn.append(label(left - 6, top + high * i + high / 2 + 4, fitted(text, left - 6), "soft tick", "end"))
    bottom = top + high * len(matrix.rows)
    drawn += _column_labels(matrix, left, bottom, wide)
    drawn.append(label(left, bottom + 34, fitted(across, width - left), "soft"))
    counts = Counter(_rig(cell) for row in matrix.cells for cell in row)
    legend, end = _legend(rigs, counts, bottom + 46, width)
    here = [(i, rig) for i, rig in enumerate(rigs) if counts[rig]]
    told = "; ".join(f"{letter(i)} {rig}: {counts[rig]}" for i, rig in here[:MOST_NAMED])
    made = canvas(
        f"map-{number_}",
        head,
        f"{down}; {across}. {told}" if matrix.down else f"{across}. {told}",
        width,
        end,
        *drawn,
        *legend,
    )
    made.set("data-map", str(number_ - 1))
    for name, value in (("left", left), ("top", top), ("wide", wide), ("high", high)):
        made.set(f"data-{name}", coordinate(value))
    return made


def _cells(
    matrix: Matrix, place: dict[str, int], left: float, top: float, wide: float, high: float
) -> Iterator[Element]:
    """A path a rig (thousands of rectangles would be a large file), and a letter in every run of cells that holds one.

    Letters are on every row that is high enough, otherwise on as many rows as can be read.
    """
    drawn: dict[str, list[str]] = {}
    letters: list[Element] = []
    every = max(1, -(-13 // int(max(high, 1))))
    for r, row in enumerate(matrix.cells):
        c = 0
        for rig, cells in groupby(row, key=_rig):
            length = len(list(cells))
            x, y, w = left + c * wide, top + r * high, length * wide
            drawn.setdefault(rig, []).append(
                f"M{coordinate(x)} {coordinate(y)}h{coordinate(w)}v{coordinate(high)}h-{coordinate(w)}z"
            )
            mark = letter(place[rig]) if rig else "–"
            if r % every == 0 and w >= width_of(mark) + 2:
                letters.append(label(x + w / 2, y + min(high * every, 26) / 2 + 4, mark, "cell", "middle"))
            c += length
    for rig, parts in drawn.items():
        yield h("path", d="".join(parts), class_=swatch(place[rig]) if rig else "none", data_rig=rig or None)
    yield from letters


def _column_labels(matrix: Matrix, left: float, bottom: float, wide: float) -> Iterator[Element]:
    texts = [_axis_value(value) for value in matrix.columns]
    room = max((width_of(text) for text in texts), default=0) + 10
    every = max(1, -(-int(room) // max(int(wide), 1)))
    right = left + wide * len(texts)
    for i in range(0, len(texts), every):
        middle = left + wide * (i + 0.5)
        yield line(middle, bottom, middle, bottom + 4, "axis")
        half = width_of(texts[i]) / 2
        x = min(max(middle, half), max(right - half, half))
        yield label(x, bottom + 17, fitted(texts[i], right), "soft tick", "middle")


def _legend(rigs: Sequence[str], counts: Counter[str], top: float, width: float) -> tuple[list[Element], float]:
    here = [(letter(i), swatch(i), rig, counts[rig]) for i, rig in enumerate(rigs) if counts[rig]]
    entries = here[:MOST_NAMED]
    more = sum(count for *_, count in here[MOST_NAMED:])
    if more:
        rest = say("{count} more rigs", count=len(here) - MOST_NAMED)
        entries.append(("", swatch(MOST_NAMED), rest, more))
    if counts[""]:
        entries.append(("–", "none", say("no plan"), counts[""]))
    columns = max(1, int(width // 280))
    rows = -(-len(entries) // columns)
    room = width / columns
    drawn = []
    for i, (mark, class_, rig, count) in enumerate(entries):
        x, y = room * (i // rows), top + LINE * (i % rows)
        told = f"{count:,}"
        drawn += [
            box(x + 0.5, y + 1.5, 15, 14, class_),
            label(x + 8, y + 12.5, mark, "mini", "middle"),
            label(x + 22, y + 12.5, fitted(rig, room - 46 - width_of(told))),
            label(x + room - 14, y + 12.5, told, "soft", "end"),
        ]
    return drawn, top + LINE * rows + 4


def _axis_value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(str(each) for each in value)
    return number(value, 4) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def map_object(matrix: Matrix, rigs: Sequence[str]) -> dict[str, Any]:
    """A map for programs; cells are places among the rigs, which are in the order of their letters (-1: no plan)."""
    place = {rig: i for i, rig in enumerate(rigs)} | {"": -1}
    return {
        "sweep": matrix.sweep,
        "down": matrix.down,
        "across": matrix.across,
        "rows": [_axis_value(value) for value in matrix.rows],
        "columns": [_axis_value(value) for value in matrix.columns],
        "cells": [[place[_rig(cell)] for cell in row] for row in matrix.cells],
    }
