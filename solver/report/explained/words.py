"""Explanations in words: a limit loosened, a difference, a miss, the answer in a line.

Modify this module to say something differently, or to give a new limit words of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from solver.domain.explanation import CardAccount, Change, Difference, Explanation, Rig
from solver.report.wording import GOAL_WORDS, STATUS_WORDS, duration, money, number

_MORE: dict[str, str] = {
    "budget": "{by} CNY more",
    "card_count": "{by} more card{s} allowed",
    "expansion_slots": "{by} more expansion slot{s} on the platform",
    "pcie_x16_slots": "{by} more PCIe x16 slot{s} on the platform",
    "wall_power": "{by} W more at the wall",
    "psu": "a power supply of {by} W more",
    "psu[power connectors]": "power cables for {by} more card{s}",
    "case_cooling": "{by} W more cooling in the case",
    "case_cooling[axial cards]": "a case that takes {by} more axial card{s}",
    "case_cooling[passive cards without ducted air]": "ducted air for passive cards",
    "card_length": "{by} mm more room for the card",
    "room_cooling": "{by} W more cooling in the room",
    "host_ram": "{by} GB more host RAM",
    "stock": "{by} more card{s} in stock",
    "condition": "used offers allowed",
    "include": "the include list dropped",
    "exclude": "the exclude list dropped",
    "nvlink": "NVLink not required",
    "precision": "a workload that may run in FP16",
    "power_limit": "the power limit not fixed",
    "vram": "{by} GB ({units} MiB) more memory on every card",
    "min_batch": "{by} sample{s} less in the batch",
    "max_epoch": "{by} days more for an epoch",
}
"""A limit loosened, in words; a limit without words of its own is told by name and unit."""

FIGURE_WORDS = {
    "reserve_gb": "memory reserve",
    "compute_share": "compute-bound share",
    "fixed_s": "fixed time of a step",
    "per_sample_s": "time of a sample (reference card)",
}
AXIS_WORDS = {
    "batch": "batch",
    "cost": "cost",
    "epoch": "epoch",
    "wall_power": "wall power",
    "cost_per_sample": "cost per sample",
    "watts": "wall power",
    "value": "value",
}


class Teller:
    """Names rigs; the platform only where a story has several."""

    def __init__(self, rigs: Iterable[Rig | None]) -> None:
        self.one_platform = len({rig.platform_id for rig in rigs if rig is not None}) <= 1

    def rig(self, rig: Rig) -> str:
        """'3x A100 80GB PCIe at 300 W'."""
        words = f"{rig.card_count}x {rig.card_name} at {rig.power_limit_w} W"
        if not self.one_platform:
            words += f" on {rig.platform_name}"
        return words + (", used" if rig.with_used else "")

    def plan(self, rig: Rig) -> str:
        """The rig with its batch, cost and epoch."""
        figures = f"{rig.total_batch} samples, {money(rig.cost_cny)} CNY, {duration(rig.epoch_hours)} an epoch"
        return f"{self.rig(rig)}: {figures}"


def change_words(change: Change) -> str:
    """A limit loosened: '6,400 CNY more (66,400 in all)'."""
    name = f"{change.limit}[{change.part}]" if change.part else change.limit
    generic = f"{name} off" if change.switched_off else f"{{by}} {change.unit} more of {name}"
    words = _MORE.get(name, generic).format(
        by=amount(change), units=f"{change.by_units:,}", s="" if change.by == 1 else "s"
    )
    return words if change.to is None else f"{words} ({amount(change, change.to)} in all)"


def amount(change: Change, value: float | None = None) -> str:
    """An amount of a limit in its unit, as exactly as it moves: fen, W, MiB, and millionths of a day."""
    shown = change.by if value is None else value
    if change.unit == "CNY":
        return money(round(shown, 2))
    return number(shown, 6 if change.unit == "days" else 4 if change.unit == "GB" else 3)


def difference_words(difference: Difference | None) -> str:
    """'2 samples fewer', '3,000 CNY dearer'; an empty difference is a tie broken by name."""
    if difference is None:
        return "equal in all figures; ids and counts decide"
    by, worse = abs(difference.worse_by), difference.worse_by > 0
    words = {
        "batch": f"{number(by, 0)} samples {'fewer' if worse else 'more'}",
        "cost": f"{money(round(by, 2))} CNY {'dearer' if worse else 'cheaper'}",
        "epoch": f"{duration(by)} {'longer' if worse else 'shorter'} an epoch",
        "wall_power": f"{number(by, 0)} W {'more' if worse else 'less'}",
        "cost_per_sample": f"{money(round(by, 2))} CNY a sample {'dearer' if worse else 'cheaper'}",
    }
    return words[difference.axis]


def miss_words(card: CardAccount) -> str:
    """'4x RTX 4090 blower at 450 W: wall_power 2,389 of 2,200 W, psu ...; fits at 360 W or less'."""
    miss = card.miss
    if miss is None:
        return ""
    parts = []
    for row in miss.broken:
        name = row.limit + (f" ({row.part})" if row.part else "")
        wanted = "of at least" if row.at_least else "of"
        parts.append(f"{name} {_measure(row.used)} {wanted} {_measure(row.capacity)} {row.unit}")
    words = f"{miss.rig.card_count}x at {miss.rig.power_limit_w} W: " + ", ".join(parts)
    if miss.fits_w is not None:
        low, high = miss.fits_w
        words += f"; fits at {high} W" + (" or less" if low < high else "")
    elif miss.nearest is not None:
        words += f"; {miss.nearest.card_count}x at {miss.nearest.power_limit_w} W fits"
    return words


def _measure(value: float) -> str:
    return number(value, 0 if value >= 1000 else 2)


def headline(explanation: Explanation) -> str:
    """The answer in one line."""
    result, plan = explanation.result, explanation.result.plan
    if plan is None:
        return f"{GOAL_WORDS[result.goal]}: {STATUS_WORDS[result.status]}"
    return (
        f"{GOAL_WORDS[result.goal]}: {plan.card_count}x {plan.card_name} at {plan.power_limit_w} W on "
        f"{plan.platform_name}, {plan.total_batch} samples, {money(plan.cost_cny)} CNY, "
        f"{duration(plan.epoch_hours.expected)} an epoch; {STATUS_WORDS[result.status]}"
    )


def footer(explanation: Explanation) -> str:
    """How it was found, and whether it is all there is."""
    words = f"{explanation.what_ifs:,} what-ifs solved for this, {explanation.total_ms:,.0f} ms"
    return words if explanation.complete else words + "; not complete: not everything was proved in the time given"
