"""The chapters of a saved explanation, derived again by plain arithmetic as far as that goes.

A rig's figures follow from its choice. A threshold is held against the rigs it names: the rig that is said to take over
must do so one unit beyond, and must not at the threshold itself; so a threshold can be wrong only together with the rig
beside it. Not derived: that no other rig takes over earlier (that is what the solver proved), which limits bind, and
that a conflict is minimal. Modify this module when an explanation gets another chapter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from solver.domain.comparison import differences, rig_of
from solver.domain.explanation import (
    Alternative,
    Breakpoint,
    CardAccount,
    Change,
    Conflict,
    ConflictMember,
    Explanation,
    FigureRange,
    LimitBreakpoints,
    Miss,
    PriceRange,
    Relaxation,
)
from solver.domain.language import say
from solver.domain.limits import LIMITS, UNMOVED, Moved, Row
from solver.domain.plan import Choice, Plan, broken, usage_row
from solver.domain.rig import Rig
from solver.domain.uncertain import own_ends
from solver.domain.units import FEN_PER_CNY, MIB_PER_GB, cny, fen, mib_up
from solver.report.saved.compare import Fault
from solver.report.saved.ground import Distinct, Ground, known_capacity

MEMORY = "vram"
STEPS: dict[str, tuple[str, int]] = {
    "reserve_gb": ("GB", MIB_PER_GB),
    "compute_share": ("", 1000),
    "fixed_s": ("s", 1000),
    "per_sample_s": ("s", 1000),
}
"""Of each uncertain figure of the workload: its unit, and the steps of one unit (as in solver/explain/figures.py)."""


class Chapters:
    """Derives an explanation again; what it refutes is collected in `faults`."""

    def __init__(self, ground: Ground, plan: Plan | None, file: str) -> None:
        """Derive on this ground, for the plan that follows from the question (None: there is none)."""
        self.ground, self.plan, self.file = ground, plan, file
        self.faults: list[Fault] = []

    @property
    def problem(self) -> Any:
        """The question."""
        return self.ground.problem

    def derived(self, found: Explanation) -> Explanation:
        """The explanation as it should be, with the thresholds of `found` where they are not refuted."""
        changes: dict[str, Any] = {
            "conflict": None if found.conflict is None else self.conflict(found.conflict),
            "relaxations": self._each("relaxations", found.relaxations, self.relaxation),
            "together": self._each("together", found.together, self.relaxation),
            "cards": self.cards(found.cards),
        }
        if self.plan is not None:
            changes["alternatives"] = self.alternatives(found.alternatives, "alternatives")
            changes["prices"] = self._each("prices", found.prices, self.price_range)
            changes["figures"] = self._each("figures", found.figures, self.figure_range)
            reserve = next((one for one in found.figures if one.field == "reserve_gb"), None)
            changes["limits"] = self._each("limits", found.limits, lambda one, path: self.limit(one, path, reserve))
        return found.model_copy(update=changes)

    def _each(self, name: str, found: Sequence[Any], derive: Callable[[Any, str], Any]) -> tuple[Any, ...]:
        return tuple(derive(one, f"{name}.{at}") for at, one in enumerate(found))

    def refute(self, path: str, found: object, reason: str) -> None:
        """Note a figure that cannot be."""
        self.faults.append(Fault(file=self.file, figure=path, found=str(found), reason=reason))

    # Rigs

    def rig(self, found: Rig, path: str, ground: Ground | None = None) -> Rig:
        """The rig with its figures computed again."""
        ground = ground or self.ground
        if not ground.knows(found.choice):
            self.refute(path, _named(found), say("no such rig can be bought"))
            return found
        if not ground.settable(found.choice):
            self.refute(f"{path}.power_limit_w", found.power_limit_w, say("the card is not set to that"))
        return rig_of(ground.problem, found.choice)

    def fitting(self, found: Rig, path: str, ground: Ground | None = None, moved: Moved = UNMOVED) -> Rig:
        """The rig, which must keep to every limit."""
        ground = ground or self.ground
        rig = self.rig(found, path, ground)
        if ground.knows(found.choice) and not ground.fits(found.choice, moved):
            self.refute(path, _named(found), say("it does not keep to the limits"))
        return rig

    @property
    def distinct(self) -> Distinct:
        """Card, count and platform of the plan."""
        assert self.plan is not None
        return self.plan.card_id, self.plan.card_count, self.plan.platform_id

    # Limits that move

    def change(self, found: Change, choice: Choice, path: str, loosened: bool) -> tuple[Change, Moved]:
        """The change as it follows from its whole units, and the rows it moves."""
        if found.limit == MEMORY:
            by = found.by_units / MIB_PER_GB
            return Change(limit=MEMORY, unit="GB", by=by, by_units=found.by_units, scale=MIB_PER_GB), UNMOVED
        held = self.ground.rows(choice)
        row = held.get(f"{found.limit}[{found.part}]" if found.part else found.limit)
        if row is None:
            self.refute(f"{path}.limit", found.limit, say("the question sets no such limit"))
            return found, UNMOVED
        if row.step == 0:
            rows = self.ground.switches(found.limit, choice)
            off = Change(limit=row.limit, part=rows[0].part, unit=row.unit, switched_off=True)
            return off, {one.name: None for one in rows}
        units = found.by_units if loosened else -found.by_units
        if found.by_units % row.step:
            self.refute(f"{path}.by_units", found.by_units, say("is no whole number of steps of {step}", step=row.step))
        to = None if self.ground.owned(row, choice) else _scaled(int(row.moved(units).capacity), row.scale)
        change = Change(
            limit=row.limit,
            part=row.part,
            unit=row.unit,
            by=_scaled(found.by_units, row.scale),
            by_units=found.by_units,
            scale=row.scale,
            to=to,
            at_least=row.at_least,
        )
        return change, {row.name: units}

    def _step(self, name: str, choice: Choice) -> int:
        return self.ground.rows(choice)[name].step

    def relaxation(self, found: Relaxation, path: str) -> Relaxation:
        """A way out: its rig fits with the change, and not with one step less of any part of it."""
        rig = found.rig
        if rig is None or not self.ground.knows(rig.choice):
            if rig is not None:
                self.refute(f"{path}.rig", _named(rig), say("no such rig can be bought"))
            elif found.changes:
                self.refute(f"{path}.changes", len(found.changes), say("a change that makes no plan is none"))
            return found
        if [change.limit for change in found.changes] == [MEMORY]:
            change, _ = self.change(found.changes[0], rig.choice, f"{path}.changes.0", loosened=True)
            more = self.ground.with_memory(change.by_units)
            if self.ground.with_memory(change.by_units - 1).fits(rig.choice):
                self.refute(f"{path}.changes.0.by_units", change.by_units, say("one unit less is enough"))
            return found.model_copy(update={"changes": (change,), "rig": self.fitting(rig, f"{path}.rig", more)})
        moved: dict[str, int | None] = {}
        changes = []
        for at, one in enumerate(found.changes):
            change, rows = self.change(one, rig.choice, f"{path}.changes.{at}", loosened=True)
            changes.append(change)
            moved |= rows
        derived = self.fitting(rig, f"{path}.rig", moved=moved)
        for at, one in enumerate(changes):
            for name in [n for n, by in moved.items() if by is not None and n.partition("[")[0] == one.limit]:
                less = {**moved, name: (moved[name] or 0) - self._step(name, rig.choice)}
                if self.ground.fits(rig.choice, less):
                    self.refute(f"{path}.changes.{at}.by_units", one.by_units, say("one unit less is enough"))
        return found.model_copy(update={"changes": tuple(changes), "rig": derived})

    def conflict(self, found: Conflict) -> Conflict:
        """The members with their capacities and inequalities."""
        choice = self.ground.any_choice
        if choice is None:
            return found
        rows = list(self.ground.rows(choice).values())
        members = []
        for at, member in enumerate(found.members):
            row = next((row for row in rows if row.limit == member.limit), None)
            if row is None:
                self.refute(f"conflict.members.{at}.limit", member.limit, say("the question sets no such limit"))
                members.append(member)
                continue
            known = row.step == 0 or self.ground.owned(row, choice)
            members.append(
                ConflictMember(
                    limit=row.limit,
                    inequality=next(limit for limit in LIMITS if limit.name == row.limit).inequality,
                    capacity=None if known else int(row.capacity) / row.scale,
                    unit=row.unit,
                )
            )
        return found.model_copy(update={"members": tuple(members)})

    def limit(self, found: LimitBreakpoints, path: str, reserve: FigureRange | None) -> LimitBreakpoints:
        """A limit of the plan: what is used of it, and where the answer changes."""
        assert self.plan is not None
        choice = self.plan.choice
        name = f"{found.limit}[{found.part}]" if found.part else found.limit
        row = self.ground.rows(choice).get(name)
        if row is None:
            self.refute(f"{path}.limit", name, say("the question sets no such limit"))
            return found
        capacity = None if row.step == 0 else known_capacity(row)
        memory = found.limit == MEMORY
        return found.model_copy(
            update={
                "unit": row.unit,
                "at_least": row.at_least,
                "used": None if capacity is None else int(row.used) / row.scale,
                "capacity": None if capacity is None else capacity / row.scale,
                "improves": self._improves(found.improves, f"{path}.improves", choice),
                **(self._memory(found, path, reserve) if memory else self._keeps(found, path, row, choice)),
            }
        )

    def _improves(self, found: Breakpoint | None, path: str, choice: Choice) -> Breakpoint | None:
        if found is None or found.rig is None:
            return found
        rig = found.rig
        if not self.ground.knows(rig.choice):
            self.refute(f"{path}.rig", _named(rig), say("no such rig can be bought"))
            return found
        change, moved = self.change(found.change, rig.choice, f"{path}.change", loosened=True)
        more, less = self.ground, self.ground
        fewer: Moved = {n: None if by is None else by - self._step(n, rig.choice) for n, by in moved.items()}
        if change.limit == MEMORY:
            more, less = self.ground.with_memory(change.by_units), self.ground.with_memory(change.by_units - 1)
        derived = self.fitting(rig, f"{path}.rig", more, moved)
        before = self.ground.goal_key(choice)
        if not more.goal_key(rig.choice) < before:
            self.refute(f"{path}.rig", _named(rig), say("it is not better than the plan"))
        elif not change.switched_off and less.fits(rig.choice, fewer) and less.goal_key(rig.choice) < before:
            self.refute(f"{path}.change.by_units", change.by_units, say("one unit less is enough"))
        return Breakpoint(change=change, rig=derived)

    def _keeps(self, found: LimitBreakpoints, path: str, row: Row, choice: Choice) -> dict[str, Any]:
        """How far the limit can be tightened, and what is best one step beyond."""
        if found.keeps is None or found.changes is None:
            for name in ("keeps", "changes"):
                if getattr(found, name) is not None:
                    self.refute(f"{path}.{name}", getattr(found, name).by_units, say("the other end is missing"))
            return {}
        keeps, within = self.change(found.keeps, choice, f"{path}.keeps", loosened=False)
        change, beyond = self.change(found.changes.change, choice, f"{path}.changes.change", loosened=False)
        if keeps.by_units + row.step != change.by_units:
            self.refute(f"{path}.keeps.by_units", keeps.by_units, say("is not one step before the change"))
            return {"keeps": keeps, "changes": found.changes.model_copy(update={"change": change})}
        rig = found.changes.rig
        derived = None if rig is None else self.fitting(rig, f"{path}.changes.rig", moved=beyond)
        self._end(f"{path}.keeps.by_units", keeps.by_units, rig, (self.ground, within), (self.ground, beyond))
        return {"keeps": keeps, "changes": Breakpoint(change=change, rig=derived)}

    def _memory(self, found: LimitBreakpoints, path: str, reserve: FigureRange | None) -> dict[str, Any]:
        """How much less memory the plan stands: as much as the reserve may grow."""
        if reserve is None or reserve.high is None:
            if found.keeps is not None or found.changes is not None:
                self.refute(f"{path}.keeps", "", say("the range of the reserve has no such end"))
            return {}
        today = mib_up(self.problem.workload.figure("reserve_gb", self.problem.confidence))
        room = round(reserve.high * MIB_PER_GB) - today
        keeps, changes = (
            Change(limit=MEMORY, unit="GB", by=mib / MIB_PER_GB, by_units=mib, scale=MIB_PER_GB)
            for mib in (room, room + 1)
        )
        return {"keeps": keeps, "changes": Breakpoint(change=changes, rig=reserve.above)}

    # Ranges

    def _end(
        self,
        path: str,
        value: object,
        other: Rig | None,
        inside: tuple[Ground, Moved],
        outside: tuple[Ground, Moved],
    ) -> None:
        """An end of a range: the plan's rig is best there against `other`, and one step beyond `other` is."""
        here, moved = inside
        best = here.best_alike(self.distinct, moved)
        if best is None:
            self.refute(path, value, say("the plan does not fit there any more"))
        elif other is not None and here.fits(other.choice, moved) and here.key(other.choice) < best:
            self.refute(path, value, say("{rig} is better there already", rig=_named(other)))
        there, moved = outside
        best = there.best_alike(self.distinct, moved)
        if other is None:
            if best is not None:
                self.refute(path, value, say("the plan still fits one step beyond"))
        elif not there.fits(other.choice, moved) or (best is not None and best < there.key(other.choice)):
            self.refute(path, value, say("{rig} is not better one step beyond", rig=_named(other)))

    def price_range(self, found: PriceRange, path: str) -> PriceRange:
        """The range of a price, in fen."""
        catalog = self.problem.catalog
        offers = catalog.offers_by_item.get(found.item_id)
        if not offers:
            self.refute(f"{path}.item_id", found.item_id, say("has no price"))
            return found
        is_card = found.item_id in catalog.card_by_id
        item = (catalog.card_by_id if is_card else catalog.platform_by_id)[found.item_id]
        usable = [o for o in offers if self.problem.limits.allow_used or o.condition == "new"] or offers

        def at(price_fen: int) -> Ground:
            return self.ground.priced(found.item_id, price_fen)

        ends = self._ends(
            found,
            path,
            found.low_cny,
            found.high_cny,
            ("low_cny", "high_cny"),
            lambda value: fen(value),
            at,
            (0, 10**12 * FEN_PER_CNY),
        )
        return found.model_copy(
            update={
                "item_name": item.name,
                "kind": "card" if is_card else "platform",
                "today_cny": cny(min(fen(offer.unit_price_cny) for offer in usable)),
                **ends,
            }
        )

    def figure_range(self, found: FigureRange, path: str) -> FigureRange:
        """The range of an uncertain figure of the workload, in its steps."""
        if found.field not in STEPS:
            self.refute(f"{path}.field", found.field, say("is no uncertain figure"))
            return found
        unit, steps = STEPS[found.field]

        def whole(value: float) -> int:
            count = round(value * steps)
            if count / steps != value:
                self.refute(path, value, say("is no whole number of steps"))
            return count

        ends = self._ends(
            found,
            path,
            found.low,
            found.high,
            ("low", "high"),
            whole,
            lambda count: self.ground.with_figure(found.field, Decimal(count) / steps),
            (0, 10**6 * steps),
        )
        work = self.problem.workload
        today = float(work.figure(found.field, self.problem.confidence))
        interval = own_ends(work, found.field)
        ends["interval_low"], ends["interval_high"] = (None, None) if interval is None else map(float, interval)
        return found.model_copy(update={"unit": unit, "step": 1 / steps, "today": today, **ends})

    def _ends(
        self,
        found: Any,
        path: str,
        low: Any,
        high: Any,
        names: tuple[str, str],
        count: Callable[[Any], int],
        at: Callable[[int], Ground],
        bounds: tuple[int, int],
    ) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        for value, name, side, direction in ((low, names[0], "below", -1), (high, names[1], "above", 1)):
            rig, nothing = getattr(found, side), getattr(found, f"nothing_{side}")
            if value is None:
                if rig is not None or nothing:
                    self.refute(f"{path}.{name}", "", say("the end of the range is missing"))
                continue
            if nothing == (rig is not None):
                self.refute(f"{path}.{side}", nothing, say("either a rig takes over or nothing fits"))
                continue
            end = count(value)
            if not bounds[0] <= end + direction <= bounds[1] or not bounds[0] <= end <= bounds[1]:
                self.refute(f"{path}.{name}", value, say("is out of its range"))
                continue
            beyond = at(end + direction)
            if rig is not None:
                changes[side] = self.fitting(rig, f"{path}.{side}", beyond)
                if not beyond.knows(rig.choice):
                    continue
            self._end(f"{path}.{name}", value, rig, (at(end), UNMOVED), (beyond, UNMOVED))
        return changes

    # Rigs beside the plan

    def alternatives(self, found: Sequence[Alternative], path: str) -> tuple[Alternative, ...]:
        """The best plans in their order, each with what it loses by."""
        out = []
        before: tuple[Any, ...] | None = None
        for at, one in enumerate(found):
            here = f"{path}.{at}"
            rig = self.fitting(one.rig, f"{here}.rig")
            if not self.ground.knows(one.rig.choice):
                out.append(one)
                continue
            key = self.ground.key(one.rig.choice)
            if before is not None and not before < key:
                self.refute(f"{here}.place", one.place, say("it is better than the one before it"))
            before = key
            decided, every = self._loses(one.rig.choice)
            out.append(Alternative(place=at + 1, rig=rig, decided_by=decided, differences=every))
        if out and self.plan is not None and out[0].rig.choice != self.plan.choice:
            self.refute(f"{path}.0.rig", _named(out[0].rig), say("the first is not the plan"))
        return tuple(out)

    def _loses(self, choice: Choice) -> Any:
        assert self.plan is not None
        ground = self.ground
        return differences(self.problem.goal, ground.measures(self.plan.choice), ground.measures(choice))

    def cards(self, found: Sequence[CardAccount]) -> tuple[CardAccount, ...]:
        """Every card of the catalogue once."""
        cards = self.problem.catalog.cards
        if not found:
            return ()  # there was no time for them
        for card, one in zip(cards, found, strict=False):
            if card.id != one.card_id:
                self.refute("cards", one.card_id, say("{id} should stand here", id=card.id))
                return tuple(found)
        if len(cards) != len(found):
            self.refute("cards", len(found), say("the catalogue has {count} cards", count=len(cards)))
        return tuple(self._card(one, f"cards.{at}") for at, one in enumerate(found[: len(cards)]))

    def _card(self, found: CardAccount, path: str) -> CardAccount:
        changes: dict[str, Any] = {"card_name": self.problem.catalog.card_by_id[found.card_id].name}
        if (found.card_id in self.problem.catalog.offers_by_item) == (found.status == "no_price"):
            self.refute(f"{path}.status", found.status, say("does not go with the offers of the card"))
        if found.best is not None:
            changes["best"] = self.fitting(found.best, f"{path}.best")
            if found.best.card_id != found.card_id:
                self.refute(f"{path}.best.card_id", found.best.card_id, say("is another card"))
            elif self.plan is not None and self.ground.knows(found.best.choice):
                changes["decided_by"], changes["differences"] = self._loses(found.best.choice)
                chosen = found.best.choice == self.plan.choice
                changes["status"] = "chosen" if chosen else "beaten"
                if not chosen and self.ground.key(found.best.choice) < self.ground.key(self.plan.choice):
                    self.refute(f"{path}.best", _named(found.best), say("it is better than the plan"))
        if found.miss is not None:
            changes["miss"] = self._miss(found.miss, f"{path}.miss")
        return found.model_copy(update=changes)

    def _miss(self, found: Miss, path: str) -> Miss:
        choice = found.rig.choice
        rig = self.rig(found.rig, f"{path}.rig")
        if not self.ground.knows(choice):
            return found
        rows = broken(self.problem, self.ground.figures(choice))
        if not rows:
            self.refute(f"{path}.rig", _named(found.rig), say("it keeps to every limit"))
        fits = [other.power_limit_w for other in self.ground.alike(found.rig.distinct) if self.ground.fits(other)]
        return Miss(
            rig=rig,
            broken=tuple(usage_row(row) for row in rows),
            fits_w=(min(fits), max(fits)) if fits else None,
            nearest=None if found.nearest is None else self.fitting(found.nearest, f"{path}.nearest"),
        )


def _named(rig: Rig) -> str:
    return f"{rig.card_count}x {rig.card_id} at {rig.power_limit_w} W on {rig.platform_id}"


def _scaled(value: int, scale: int) -> float:
    return value // scale if value % scale == 0 else value / scale
