"""What was measured, and what became of it: rows of a log, fitted figures, residuals.

Modify this module when a log has another column.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True)
class Row:
    """One measured row: a step, or a look at the memory.

    `card` is an id; `used` is `fit`, `range` (widens the interval of the times only) or `no`.
    """

    place: str
    micro_batch: int | None = None
    accumulation: int = 1
    cards: int = 1
    seconds: Decimal | None = None
    gpu_mib: Decimal | None = None
    host_gb: Decimal | None = None
    card: str = ""
    used: str = "fit"
    source: str = ""


@dataclass(frozen=True)
class Figure:
    """One fitted figure, in its own unit (s, GB, bytes); `basis` as in `Spread`."""

    name: str
    low: Decimal
    expected: Decimal
    high: Decimal


@dataclass(frozen=True)
class Residual:
    """What a row is off by: measured, as fitted, and whether it is an outlier."""

    place: str
    measured: float
    fitted: float
    outlier: bool


@dataclass
class Part:
    """What became of one kind of measurement: its figures, residuals, and what is to be said of it."""

    kind: str
    unit: str
    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)
    residuals: list[Residual] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    freedom: int = 0
