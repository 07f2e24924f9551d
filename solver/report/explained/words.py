"""Explanations in words: a limit loosened, a difference, a miss, the answer in a line.

Modify this module to say something differently, or to give a new limit words of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from solver.domain.explanation import CardAccount, Change, Difference, Explanation
from solver.domain.language import listed, message, message_as, say
from solver.domain.rig import Rig
from solver.report.wording import (
    STATUS_WORDS,
    answer_words,
    between,
    duration,
    goal_words,
    limit_words,
    money,
    number,
    unit_words,
    yuan,
)

_MORE: dict[str, tuple[str, ...]] = {
    "budget": (message("{by} CNY more"),),
    "card_count": (message("{by} more card allowed"), message("{by} more cards allowed")),
    "expansion_slots": (
        message("{by} more expansion slot on the platform"),
        message("{by} more expansion slots on the platform"),
    ),
    "pcie_x16_slots": (
        message("{by} more PCIe x16 slot on the platform"),
        message("{by} more PCIe x16 slots on the platform"),
    ),
    "wall_power": (message("{by} W more at the wall"),),
    "psu": (message("a power supply of {by} W more"),),
    "psu[power connectors]": (message("power cables for {by} more card"), message("power cables for {by} more cards")),
    "case_cooling": (message("{by} W more cooling in the case"),),
    "case_cooling[axial cards]": (
        message("a case that takes {by} more axial card"),
        message("a case that takes {by} more axial cards"),
    ),
    "case_cooling[passive cards without ducted air]": (message("ducted air for passive cards"),),
    "card_length": (message("{by} mm more room for the card"),),
    "room_cooling": (message("{by} W more cooling in the room"),),
    "host_ram": (message("{by} GB more host RAM"),),
    "stock": (message("{by} more card in stock"), message("{by} more cards in stock")),
    "condition": (message("used offers allowed"),),
    "include": (message("the include list dropped"),),
    "exclude": (message("the exclude list dropped"),),
    "nvlink": (message("NVLink not required"),),
    "precision": (message("a workload that may run in FP16"),),
    "power_limit": (message("the power limit not fixed"),),
    "vram": (message("{by} GB ({units} MiB) more memory on every card"),),
    "min_batch": (message("{by} sample less in the batch"), message("{by} samples less in the batch")),
    "max_epoch": (message("{by} days more for an epoch"),),
}
"""A limit loosened, in words (by one, and by more); a limit without words of its own is told by name and unit."""

FIGURE_WORDS = {
    "reserve_gb": message("memory reserve"),
    "compute_share": message("compute-bound share"),
    "fixed_s": message("fixed time of a step"),
    "per_sample_s": message("time of a sample (reference card)"),
}
AXIS_WORDS = {
    "batch": message("batch"),
    "cost": message("cost"),
    "epoch": message("epoch"),
    "wall_power": message("wall power"),
    "cost_per_sample": message("cost per sample"),
    "watts": message("wall power"),
    "value": message_as("goal", "value"),
}


class Teller:
    """Names rigs; the platform only where a story has several."""

    def __init__(self, rigs: Iterable[Rig | None]) -> None:
        self.one_platform = len({rig.platform_id for rig in rigs if rig is not None}) <= 1

    def rig(self, rig: Rig) -> str:
        """'3x A100 80GB PCIe at 300 W'."""
        said = {"count": rig.card_count, "card": rig.card_name, "watts": rig.power_limit_w}
        if self.one_platform:
            words = say("{count}x {card} at {watts} W", **said)
        else:
            words = say("{count}x {card} at {watts} W on {platform}", **said, platform=rig.platform_name)
        return say("{rig}, used", rig=words) if rig.with_used else words

    def plan(self, rig: Rig) -> str:
        """The rig with its batch, cost and epoch."""
        return say(
            "{rig}: {batch} samples, {cost}, {time} an epoch",
            rig=self.rig(rig),
            batch=f"{rig.total_batch:,}",
            cost=yuan(rig.cost_cny),
            time=between(rig.epoch_hours, rig.epoch_hours_range),
        )


def change_words(change: Change) -> str:
    """A limit loosened: '6,400 CNY more (66,400 in all)'."""
    name = f"{change.limit}[{change.part}]" if change.part else change.limit
    by, units = amount(change), f"{change.by_units:,}"
    known = _MORE.get(name)
    if known is not None:
        words = say(known[0] if change.by == 1 else known[-1], by=by, units=units)
    elif change.switched_off:
        words = say("{limit} off", limit=name)
    else:
        words = say("{by} {unit} more of {limit}", by=by, unit=unit_words(change.unit), limit=name)
    return words if change.to is None else say("{change} ({to} in all)", change=words, to=amount(change, change.to))


def amount(change: Change, value: float | None = None) -> str:
    """An amount of a limit in its unit, as exactly as it moves: fen, W, MiB, and millionths of a day."""
    shown = change.by if value is None else value
    if change.unit == "CNY":
        return money(round(shown, 2))
    return number(shown, 6 if change.unit == "days" else 4 if change.unit == "GB" else 3)


def difference_words(difference: Difference | None) -> str:
    """'2 samples fewer', '3,000 CNY dearer'; an empty difference is a tie broken by name."""
    if difference is None:
        return say("equal in all figures; ids and counts decide")
    by, worse = abs(difference.worse_by), difference.worse_by > 0
    match difference.axis:
        case "batch":
            form = message("{n} samples fewer") if worse else message("{n} samples more")
            return say(form, n=number(by, 0))
        case "cost":
            form = message("{money} dearer") if worse else message("{money} cheaper")
            return say(form, money=yuan(round(by, 2)))
        case "epoch":
            form = message("{time} longer an epoch") if worse else message("{time} shorter an epoch")
            return say(form, time=duration(by))
        case "wall_power":
            form = message("{n} W more") if worse else message("{n} W less")
            return say(form, n=number(by, 0))
        case "cost_per_sample":
            form = message("{money} a sample dearer") if worse else message("{money} a sample cheaper")
            return say(form, money=yuan(round(by, 2)))


def missed(card: CardAccount) -> str:
    """The limits that the rig one would have liked of a card breaks: 'budget, psu'."""
    return listed(dict.fromkeys(limit_words(row.limit) for row in (card.miss.broken if card.miss is not None else ())))


def miss_words(card: CardAccount) -> str:
    """'4x RTX 4090 blower at 450 W: wall_power 2,389 of 2,200 W, psu ...; fits at 360 W or less'."""
    miss = card.miss
    if miss is None:
        return ""
    few = message("{limit} {used} of at least {capacity} {unit}")
    many = message("{limit} {used} of {capacity} {unit}")
    broken = listed(
        say(
            few if row.at_least else many,
            limit=limit_words(row.limit, row.part),
            used=_measure(row.used),
            capacity=_measure(row.capacity),
            unit=unit_words(row.unit),
        )
        for row in miss.broken
    )
    said = {"count": miss.rig.card_count, "watts": miss.rig.power_limit_w, "broken": broken}
    if miss.fits_w is not None:
        low, high = miss.fits_w
        if low < high:
            return say("{count}x at {watts} W: {broken}; fits at {high} W or less", **said, high=high)
        return say("{count}x at {watts} W: {broken}; fits at {high} W", **said, high=high)
    if miss.nearest is not None:
        fewer, less = miss.nearest.card_count, miss.nearest.power_limit_w
        return say("{count}x at {watts} W: {broken}; {fewer}x at {less} W fits", **said, fewer=fewer, less=less)
    return say("{count}x at {watts} W: {broken}", **said)


def _measure(value: float) -> str:
    return number(value, 0 if value >= 1000 else 2)


def headline(explanation: Explanation) -> str:
    """The answer in one line."""
    result, plan = explanation.result, explanation.result.plan
    if plan is None:
        return answer_words(result)
    return say(
        "{goal}: {count}x {card} at {watts} W on {platform}, {batch} samples, {cost}, {time} an epoch; {status}",
        goal=goal_words(result.goal, result.confidence),
        count=plan.card_count,
        card=plan.card_name,
        watts=plan.power_limit_w,
        platform=plan.platform_name,
        batch=f"{plan.total_batch:,}",
        cost=yuan(plan.cost_cny),
        time=duration(plan.epoch_hours.at(result.confidence)),
        status=say(STATUS_WORDS[result.status]),
    )


def footer(explanation: Explanation) -> str:
    """How it was found, and whether it is all there is."""
    counted = {"count": f"{explanation.what_ifs:,}", "ms": f"{explanation.total_ms:,.0f}"}
    if explanation.complete:
        return say("{count} what-ifs solved for this, {ms} ms", **counted)
    return say(
        "{count} what-ifs solved for this, {ms} ms; not complete: not everything was proved in the time given",
        **counted,
    )
