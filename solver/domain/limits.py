"""The limits: one table. From it follow the constraint rows of the model, the integer re-check of every plan, the
usage table, `check`, explanations and the axes of sweeps.

A limit is a function `(problem, figures) -> iterator of Row`; the same function serves one rig (whole numbers) and
all pairs at once (integer arrays), because `Figures` carries either. To add a cap: its fields in the records, one
figure, one function here, one line in `LIMITS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from solver.domain.problem import Problem
from solver.domain.units import FEN_PER_CNY, MIB_PER_GB, US_PER_DAY, fen

Whole = Any
"""A whole number, or an int64 array of them: one definition for one rig and for many."""

UNLIMITED = 10**15
"""Capacity of a row that does not bind because the fact behind it is not known."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a rig (card, count, power limit, purchase, platform) that limits and goals look at."""

    card_count: Whole
    power_limit_w: Whole
    cost_fen: Whole
    total_batch: Whole
    epoch_us: Whole
    slots: Whole
    expansion_slots: Whole
    pcie_x16_slots: Whole
    wall_mw: Whole
    psu_demand_mw: Whole
    psu_rated_mw: Whole
    cards_fed: Whole
    heat_mw: Whole
    airflow_mw: Whole
    axial_cards: Whole
    max_axial_cards: Whole
    unducted_cards: Whole
    card_length_mm: Whole
    max_card_length_mm: Whole
    vram_used_mib: Whole
    vram_mib: Whole
    host_ram_mib: Whole
    host_ram_capacity_mib: Whole
    missing_cards: Whole
    used_cards: Whole
    unpaired_cards: Whole
    lacks_bf16: Whole
    listed: Callable[[Collection[str]], tuple[Whole, Whole]]
    """ids -> (1 if the card is among them, 1 if the platform is)."""


class Row(NamedTuple):
    """One inequality of a limit: used <= capacity (used >= capacity if `at_least`), in units of unit / scale.

    A named tuple, because some twenty are made for every answer and a frozen dataclass takes four times as long.
    `step` is the least change of the capacity that a buyer can ask for, in units of unit / scale (1 W of a row kept
    in mW); 0 says that the row is on or off and cannot be moved.
    """

    limit: str
    unit: str
    used: Whole
    capacity: Whole
    scale: int = 1
    part: str = ""
    at_least: bool = False
    step: int = 1

    @property
    def name(self) -> str:
        """The row's own name: the limit, and the part of it in brackets."""
        return f"{self.limit}[{self.part}]" if self.part else self.limit

    def moved(self, by: int) -> Row:
        """The row with its capacity loosened by so many units of unit / scale (tightened where negative)."""
        return self._replace(capacity=self.capacity - by if self.at_least else self.capacity + by)

    def excess(self) -> Whole:
        """How far the row is broken, in whole units of unit / scale: positive means broken."""
        return self.capacity - self.used if self.at_least else self.used - self.capacity


@dataclass(frozen=True, slots=True)
class Limit:
    """A named limit: its rows, and the field of the question that sets it (empty: a fact of the hardware)."""

    name: str
    rows: Callable[[Problem, Figures], Iterator[Row]]
    setting: str = ""

    @property
    def inequality(self) -> str:
        """The inequality in words, from the docstring of the rule."""
        return (self.rows.__doc__ or "").strip().splitlines()[0]


def budget(problem: Problem, f: Figures) -> Iterator[Row]:
    """Cost of cards, platform and extras <= budget_cny (the max_cost of a target question)."""
    if problem.limits.budget_cny is not None:
        yield Row("budget", "CNY", f.cost_fen, fen(problem.limits.budget_cny), FEN_PER_CNY)


def card_count(problem: Problem, f: Figures) -> Iterator[Row]:
    """Cards <= max_cards."""
    yield Row("card_count", "cards", f.card_count, problem.limits.max_cards)


def expansion_slots(problem: Problem, f: Figures) -> Iterator[Row]:  # noqa: ARG001  every rule has one signature
    """Cards * slot width <= expansion slots of the platform."""
    yield Row("expansion_slots", "slots", f.slots, f.expansion_slots)


def pcie_x16_slots(problem: Problem, f: Figures) -> Iterator[Row]:  # noqa: ARG001  every rule has one signature
    """Cards <= PCIe x16 slots of the platform."""
    yield Row("pcie_x16_slots", "slots", f.card_count, f.pcie_x16_slots)


def wall_power(problem: Problem, f: Figures) -> Iterator[Row]:
    """DC load / PSU efficiency at that load <= socket amps * volts * derating."""
    yield Row("wall_power", "W", f.wall_mw, socket_mw(problem), 1000, step=1000)


def psu(problem: Problem, f: Figures) -> Iterator[Row]:  # noqa: ARG001  every rule has one signature
    """Host draw * host headroom + cards * power limit * card headroom <= PSU rating; and cables for every card."""
    yield Row("psu", "W", f.psu_demand_mw, f.psu_rated_mw, 1000, step=1000)
    yield Row("psu", "cards", f.card_count, f.cards_fed, part="power connectors")


def case_cooling(problem: Problem, f: Figures) -> Iterator[Row]:  # noqa: ARG001  every rule has one signature
    """Heat <= airflow of the case; axial cards <= what the case takes; passive cards only in ducted cases."""
    yield Row("case_cooling", "W", f.heat_mw, f.airflow_mw, 1000, step=1000)
    yield Row("case_cooling", "cards", f.axial_cards, f.max_axial_cards, part="axial cards")
    yield Row(
        "case_cooling", "cards", f.unducted_cards, f.unducted_cards * 0, part="passive cards without ducted air", step=0
    )


def card_length(problem: Problem, f: Figures) -> Iterator[Row]:  # noqa: ARG001  every rule has one signature
    """Card length <= longest card the case takes, where both are known."""
    yield Row("card_length", "mm", f.card_length_mm, f.max_card_length_mm)


def room_cooling(problem: Problem, f: Figures) -> Iterator[Row]:
    """Wall power <= cooling of the room."""
    if problem.site.room_cooling_w is not None:
        yield Row("room_cooling", "W", f.wall_mw, problem.site.room_cooling_w * 1000, 1000, step=1000)


def host_ram(problem: Problem, f: Figures) -> Iterator[Row]:  # noqa: ARG001  every rule has one signature
    """Parameters * bytes per parameter + per extra card <= host RAM of the platform."""
    yield Row("host_ram", "GB", f.host_ram_mib, f.host_ram_capacity_mib, MIB_PER_GB)


def stock(problem: Problem, f: Figures) -> Iterator[Row]:  # noqa: ARG001  every rule has one signature
    """Cards that no offer covers (stock, minimum quantity) <= 0."""
    yield Row("stock", "cards short", f.missing_cards, 0)


def condition(problem: Problem, f: Figures) -> Iterator[Row]:
    """Used pieces <= 0, unless used ones are allowed."""
    if not problem.limits.allow_used:
        yield Row("condition", "used cards", f.used_cards, 0, step=0)


def include(problem: Problem, f: Figures) -> Iterator[Row]:
    """Cards and platforms outside the include list <= 0; a list of card ids does not restrict platforms."""
    names = problem.limits.include
    if names:
        card, platform = f.listed(names)
        outside = 0 * f.card_count
        if any(name in problem.catalog.card_by_id for name in names):
            outside = outside + (1 - card)
        if any(name in problem.catalog.platform_by_id for name in names):
            outside = outside + (1 - platform)
        yield Row("include", "choices", outside, 0, step=0)


def exclude(problem: Problem, f: Figures) -> Iterator[Row]:
    """Cards and platforms on the exclude list <= 0."""
    if problem.limits.exclude:
        card, platform = f.listed(problem.limits.exclude)
        yield Row("exclude", "choices", card + platform, 0, step=0)


def nvlink(problem: Problem, f: Figures) -> Iterator[Row]:
    """Cards without an NVLink partner <= 0, if NVLink is required."""
    if problem.limits.require_nvlink:
        yield Row("nvlink", "cards unpaired", f.unpaired_cards, 0, step=0)


def precision(problem: Problem, f: Figures) -> Iterator[Row]:
    """Cards without BF16 tensor cores <= 0, if the workload is BF16."""
    if problem.workload.precision == "bf16":
        yield Row("precision", "cards without BF16", f.lacks_bf16 * f.card_count, 0, step=0)


def power_limit(problem: Problem, f: Figures) -> Iterator[Row]:
    """Power limit = power_limit_w, if fixed: as used <= capacity and used >= capacity."""
    fixed = problem.limits.power_limit_w
    if fixed is not None:
        yield Row("power_limit", "W", f.power_limit_w, fixed, step=0)
        yield Row("power_limit", "W", f.power_limit_w, fixed, part="at least", at_least=True, step=0)


def vram(problem: Problem, f: Figures) -> Iterator[Row]:  # noqa: ARG001  every rule has one signature
    """Weights + buffers + reserve + max(1, micro-batch) * per sample <= memory of a card."""
    yield Row("vram", "GB", f.vram_used_mib, f.vram_mib, MIB_PER_GB)


def min_batch(problem: Problem, f: Figures) -> Iterator[Row]:
    """Total batch >= min_batch."""
    if problem.limits.min_batch is not None:
        yield Row("min_batch", "samples", f.total_batch, problem.limits.min_batch, at_least=True)


def max_epoch(problem: Problem, f: Figures) -> Iterator[Row]:
    """Epoch time, expected or at the end of --confidence, <= max_epoch_days."""
    if problem.limits.max_epoch_days is not None:
        yield Row("max_epoch", "days", f.epoch_us, int(problem.limits.max_epoch_days * US_PER_DAY), US_PER_DAY)


LIMITS: tuple[Limit, ...] = (
    Limit("budget", budget, "limits.budget_cny"),
    Limit("card_count", card_count, "limits.max_cards"),
    Limit("expansion_slots", expansion_slots),
    Limit("pcie_x16_slots", pcie_x16_slots),
    Limit("wall_power", wall_power, "site.socket_amps"),
    Limit("psu", psu),
    Limit("case_cooling", case_cooling),
    Limit("card_length", card_length),
    Limit("room_cooling", room_cooling, "site.room_cooling_w"),
    Limit("host_ram", host_ram),
    Limit("stock", stock),
    Limit("condition", condition, "limits.allow_used"),
    Limit("include", include, "limits.include"),
    Limit("exclude", exclude, "limits.exclude"),
    Limit("nvlink", nvlink, "limits.require_nvlink"),
    Limit("precision", precision, "workload.precision"),
    Limit("power_limit", power_limit, "limits.power_limit_w"),
    Limit("vram", vram),
    Limit("min_batch", min_batch, "limits.min_batch"),
    Limit("max_epoch", max_epoch, "limits.max_epoch_days"),
)


def socket_mw(problem: Problem) -> int:
    """Milliwatts that may be drawn from the socket: amps * volts * derating, rounded down."""
    site = problem.site
    return int(site.socket_amps * site.socket_volts * site.derating * 1000)


Moved = Mapping[str, int | None]
"""Rows that a what-if moves, by name: how much looser their capacity is, in units of unit / scale; None: switched off.

Where the capacity belongs to the platform, it is moved on every platform.
"""
UNMOVED: Moved = {}


def rows(problem: Problem, figures: Figures, moved: Moved = UNMOVED) -> Iterator[Row]:
    """All rows of all limits that the question sets, in the order of `LIMITS`; some of them moved or left out."""
    if not moved:
        for limit in LIMITS:
            yield from limit.rows(problem, figures)
        return
    for limit in LIMITS:
        for row in limit.rows(problem, figures):
            by = moved.get(row.name, 0)
            if by is not None:
                yield row.moved(by) if by else row
