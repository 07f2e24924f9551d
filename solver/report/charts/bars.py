"""Bars that several charts are made of: one divided bar with its parts named below, and a bar in a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from solver.report.charts.canvas import LINE, SWATCHES, Scale, box, fitted, label, width_of

BAR = 22


@dataclass(frozen=True)
class Part:
    """A part of a divided bar: its size, its name, its size in words; `at` is the figure's place in the record.

    `free`: what is left, drawn as an empty frame.
    """

    size: float
    name: str
    told: str
    at: str
    value: object
    free: bool = False


def swatch(index: int) -> str:
    """The class of a colour."""
    return f"s{min(index, SWATCHES - 1) + 1}"


def letter(index: int) -> str:
    """A, B, ... Z, AA, ...: what stands in a coloured area, so that colour alone tells nothing."""
    return (letter(index // 26 - 1) if index >= 26 else "") + chr(ord("A") + index % 26)


def divided(parts: Sequence[Part], top: float, width: float) -> tuple[list[Element], float]:
    """A bar divided among parts, and a line for each below it. Returns the elements, and where they end."""
    scale = Scale(0, sum(part.size for part in parts) or 1, 0, width)
    drawn: list[Element] = []
    start, at = 0.0, 0
    y = top + BAR + 8
    for part in parts:
        class_ = "room" if part.free else swatch(at)
        mark = "" if part.free else letter(at)
        left, right = scale(start), scale(start + part.size)
        drawn.append(box(left, top, right - left, BAR, class_, f"{part.name}: {part.told}"))
        if mark and right - left >= width_of(mark) + 4:
            drawn.append(label((left + right) / 2, top + 15, mark, "cell", "middle"))
        drawn.append(box(0.5, y + 1.5, 13, 13, class_))
        if mark:
            drawn.append(label(7, y + 12, mark, "mini", "middle"))
        drawn.append(label(20, y + 12, fitted(part.name, width - 30 - width_of(part.told))))
        drawn.append(label(width, y + 12, part.told, "", "end", part.at, part.value))
        start += part.size
        at += not part.free
        y += LINE
    return drawn, y


def framed(used: float, allowed: float, at_least: bool, left: float, top: float, width: float) -> list[Element]:
    """How much of a limit is used: a frame as long as what is allowed, filled as far as it is used.

    Where the limit is a least (a batch of 24 or more), it is a mark that the bar must reach.
    """
    most = max(used, allowed) or 1
    scale = Scale(0, most, left, left + width)
    broken = used < allowed if at_least else used > allowed
    drawn = [
        box(left, top, scale(allowed) - left, 10, "room"),
        box(left, top, scale(used) - left, 10, "over" if broken else "bar"),
    ]
    if at_least or broken:
        drawn.append(box(scale(allowed) - 1.5, top - 3, 3, 16, "chosen"))
    return drawn
