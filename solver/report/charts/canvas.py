"""What all charts are drawn with: a canvas with title and description, text that fits, round ticks, two themes.

Colours are classes, so one style sheet gives both themes; nothing is told by colour alone. Text is measured by an
estimate on the wide side, because no font is at hand. Modify this module when charts should look different.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from solver.report.markup import Child, h

NARROW, WIDE = 340, 860
"""Widths of a chart in px: one column (a phone, or beside others), and the whole page."""
FONT = 12
LINE = 18
SWATCHES = 8
"""Colours that tell rigs apart, with a letter in each; more rigs share the last."""


@dataclass(frozen=True)
class Scale:
    """A straight line from data to px."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value; what lies outside is drawn at the edge."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.0
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values from `low` to `high`, both inside."""
    if not high > low:
        return [low]
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(step * i, 12) for i in range(first, last + 1)]


def width_of(text: str, size: float = FONT) -> float:
    """Px a text takes at most, in any common sans-serif."""
    return sum(_EM.get(char) or _em(char) for char in text) * size


def _em(char: str) -> float:
    if unicodedata.east_asian_width(char) in ("W", "F"):
        return 1.05
    return 0.74 if char.isupper() else 0.66 if char.isdecimal() else 0.63


_EM = dict.fromkeys(" .,:;'|!ijlI()[]/-", 0.36) | {"m": 0.98, "w": 0.84, "M": 0.9, "W": 1.0, "@": 1.02, "%": 0.97}


def fitted(text: str, room: float, size: float = FONT) -> str:
    """The text, cut with an ellipsis where it is wider than the room."""
    if width_of(text, size) <= room:
        return text
    kept = text
    while kept and width_of(kept + "…", size) > room:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def spread_out(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places at least `gap` apart in the order given (ascending), near those wanted, within low..high if they fit."""
    pools: list[tuple[float, int]] = []  # neighbours that push each other move as one: (sum, members)
    for i, place in enumerate(wanted):
        total, members = place - gap * i, 1
        while pools and total / members < pools[-1][0] / pools[-1][1]:
            total, members = total + pools[-1][0], members + pools[-1][1]
            pools.pop()
        pools.append((total, members))
    shifted = [total / members for total, members in pools for _ in range(members)]
    most = high - gap * (len(wanted) - 1)
    return [max(min(place, most), low) + gap * i for i, place in enumerate(shifted)]


def canvas(name: str, title: str, description: str, width: float, height: float, *children: Child) -> Element:
    """A chart: an image with a name and a description for those who do not see it."""
    own = f"{name}-{int(width)}"  # a page may hold a chart twice, for a phone and for all others
    return h(
        "svg",
        h("title", title, id=f"{own}-t"),
        h("desc", description, id=f"{own}-d"),
        *children,
        class_="chart",
        viewBox=f"0 0 {int(width)} {math.ceil(height)}",
        width=int(width),
        height=math.ceil(height),
        role="img",
        aria_labelledby=f"{own}-t {own}-d",
        data_chart=name,
    )


def label(
    x: float, y: float, text: str, class_: str = "", anchor: str = "", at: str | None = None, value: object = None
) -> Element:
    """Text; `at` and `value` say which figure of the record it shows."""
    return h(
        "text",
        text,
        x=x,
        y=y,
        class_=class_ or None,
        text_anchor=anchor or None,
        data_at=at,
        data_value=None if value is None else f"{value}",
    )


def box(x: float, y: float, width: float, height: float, class_: str, tip: str = "", **data: object) -> Element:
    """A rectangle; `tip` is what it says when pointed at."""
    return h(
        "rect",
        h("title", tip) if tip else None,
        x=x,
        y=y,
        width=max(width, 0),
        height=height,
        class_=class_,
        **{f"data_{key}": f"{value}" for key, value in data.items()},
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Element:
    """A line."""
    return h("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def path(points: Iterable[tuple[float, float]], class_: str) -> Element:
    """A line through points."""
    return h("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points), class_=class_)


CSS = """
.chart{display:block;max-width:100%;height:auto;font:12px/1.3 system-ui,"Segoe UI","Noto Sans","Noto Sans CJK SC",\
"PingFang SC","Microsoft YaHei",sans-serif;font-variant-numeric:tabular-nums}
.chart text{fill:var(--fg)}.chart .soft{fill:var(--soft)}.chart .strong{font-weight:600}
.chart .axis{stroke:var(--line)}.chart .grid{stroke:var(--line);stroke-dasharray:2 3}
.chart .mark{stroke:var(--fg);stroke-width:2}.chart .room{fill:var(--room);stroke:var(--line)}
.chart .bar{fill:var(--accent)}.chart .pale{fill:var(--pale);stroke:var(--accent)}
.chart .over{fill:var(--bad)}.chart .step{fill:none;stroke:var(--accent);stroke-width:2.5}
.chart .dot{fill:var(--accent)}.chart .chosen{fill:var(--fg)}.chart .ring{fill:none;stroke:var(--fg);stroke-width:2}
.chart .none{fill:var(--room);stroke:var(--line);stroke-dasharray:2 2}
.chart .s1{fill:var(--s1)}.chart .s2{fill:var(--s2)}.chart .s3{fill:var(--s3)}.chart .s4{fill:var(--s4)}
.chart .s5{fill:var(--s5)}.chart .s6{fill:var(--s6)}.chart .s7{fill:var(--s7)}.chart .s8{fill:var(--s8)}
.chart .s1,.chart .s2,.chart .s3,.chart .s4,.chart .s5,.chart .s6,.chart .s7,.chart .s8{stroke:var(--bg)}
"""
"""Classes of charts; the variables are in `THEMES`."""
LIGHT = (
    "--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#c4ccd4;--room:#eef1f4;--accent:#1f5fa8;--pale:#d6e6f8;"
    "--bad:#b3261e;--warn:#fff4d6;--good:#e3f4e6;--s1:#bcd7f2;--s2:#f8d3a8;--s3:#bfe3c0;--s4:#f2c1d3;--s5:#d8cdf0;"
    "--s6:#f3e6a0;--s7:#b9e4e2;--s8:#d9d9d9"
)
DARK = (
    "--bg:#14181d;--fg:#e8ecf1;--soft:#a9b4c0;--line:#465260;--room:#222a33;--accent:#6cb0f5;--pale:#1f3f61;"
    "--bad:#ff8a80;--warn:#3b3113;--good:#173622;--s1:#1f4d7a;--s2:#76440c;--s3:#1f5a2c;--s4:#742b4b;--s5:#4a3b85;"
    "--s6:#5c5208;--s7:#0d5855;--s8:#4a4f56"
)
THEMES = (
    f":root,.chart{{color-scheme:light dark;{LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{:root,.chart{{{DARK}}}}}"
    f"@media print{{:root,.chart{{color-scheme:light;{LIGHT}}}}}"
)
FILE_CSS = THEMES + CSS + ".chart{background:var(--bg)}"
"""The style sheet of a chart in a file of its own."""
