"""Plain models: what a modeller writes first, with OR-Tools' public API and its defaults.

`full` is the whole question: one integer count and one integer power limit per card, one boolean per platform,
products by AddMultiplicationEquality, functions of a variable by AddElement and tables; every level of the goal and
its ties is solved, fixed, and followed by the next. `leanest` leaves out what makes the question hard: no power
limits (every card at its TDP), no epoch, no ties: one solve.

Both take catalogues whose items are offered new or used, not both, as the shipped one is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ortools.sat.python import cp_model

from solver.domain import buying, physics
from solver.domain.buying import offers_for
from solver.domain.catalog import Card, Platform
from solver.domain.limits import socket_mw
from solver.domain.problem import MAX_OPTION_CARDS, Problem
from solver.domain.recheck import unpaired_cards
from solver.domain.units import US_PER_DAY, fen, milli

COUNTS = range(MAX_OPTION_CARDS + 1)


@dataclass(frozen=True)
class Answer:
    """What a plain model says: feasible or not, the values of the levels it solved, and the rig."""

    feasible: bool
    values: tuple[int, ...] = ()
    card_id: str = ""
    card_count: int = 0
    power_limit_w: int = 0
    platform_id: str = ""


def plainly(problem: Problem) -> None:
    """Raise unless memory and time of the workload depend on card, count and power limit in the guide's simple way."""
    work = problem.workload
    simple = not work.sharded_gb and not work.optimizer_s and work.gradient_accumulation == 1
    if not simple or work.reference_pcie_gen is not None or problem.confidence != "expected":
        raise ValueError("the other methods of the benches take workloads like the guide's only")


class _Rig:
    """Counts, platforms, money and batch: the variables and limits that both models have."""

    def __init__(self, problem: Problem) -> None:
        offers = problem.catalog.offers_by_item
        if any(len({offer.condition for offer in rows}) > 1 for rows in offers.values()):
            raise ValueError("the plain models do not choose between new and used pieces of one item")
        plainly(problem)
        self.problem = problem
        self.cards = [card for card in problem.catalog.cards if card.id in offers]
        self.platforms = [platform for platform in problem.catalog.platforms if platform.id in offers]
        self.model = model = cp_model.CpModel()
        self.count = [model.new_int_var(0, MAX_OPTION_CARDS, f"count_{card.id}") for card in self.cards]
        self.used = [model.new_bool_var(f"used_{card.id}") for card in self.cards]
        self.on = [model.new_bool_var(f"platform_{platform.id}") for platform in self.platforms]
        for count, used in zip(self.count, self.used, strict=True):
            model.add(count >= 1).only_enforce_if(used)
            model.add(count == 0).only_enforce_if(~used)
        model.add_exactly_one(self.used)
        model.add_exactly_one(self.on)
        self.total = model.new_int_var(1, MAX_OPTION_CARDS, "cards")
        model.add(self.total == sum(self.count))
        self.micro = [physics.micro_batch(card, problem.workload, 1) for card in self.cards]
        highest = MAX_OPTION_CARDS * max(self.micro, default=0)
        self.batch = model.new_int_var(min(1, highest), highest, "batch")
        model.add(self.batch == sum(b * n for b, n in zip(self.micro, self.count, strict=True)))
        self.cost = self._cost()
        self._fixed_limits()

    def _cost(self) -> cp_model.IntVar:
        model, parts, most = self.model, [], 0
        for card, count in zip(self.cards, self.count, strict=True):
            offers = offers_for(self.problem, card.id, False)
            bought = [buying.purchase(offers, n) if n else None for n in COUNTS]
            table = [0 if each is None else each.cost_fen for each in bought]
            part = model.new_int_var(0, max(table), f"cost_{card.id}")
            model.add_element(count, table, part)
            parts.append(part)
            most = max(most, *table)
            for n, each in enumerate(bought):
                if each is not None and (each.missing or (each.used and not self.problem.limits.allow_used)):
                    model.add(count != n)
        base = []
        for platform, on in zip(self.platforms, self.on, strict=True):
            bought_one = buying.purchase(offers_for(self.problem, platform.id, False), 1)
            base.append(bought_one.cost_fen)
            if bought_one.missing or (bought_one.used and not self.problem.limits.allow_used):
                model.add(on == 0)
        extras = [[0, *(buying.extra_cost_fen(p, n) for n in COUNTS[1:])] for p in self.platforms]
        extra = self.of_platform(extras, self.total, "extra")
        highest = most + max(base, default=0) + max((max(row) for row in extras), default=0)
        cost = model.new_int_var(0, highest, "cost")
        model.add(cost == sum(parts) + sum(b * on for b, on in zip(base, self.on, strict=True)) + extra)
        return cost

    def of_platform(self, tables: Sequence[Sequence[int]], index: cp_model.IntVar, name: str) -> cp_model.IntVar:
        """A variable that is tables[chosen platform][index]."""
        result = self.model.new_int_var(0, max((max(row) for row in tables), default=0), name)
        for on, row in zip(self.on, tables, strict=True):
            value = self.model.new_int_var(0, max(row), "")
            self.model.add_element(index, row, value)
            self.model.add(result == value).only_enforce_if(on)
        return result

    def _fixed_limits(self) -> None:
        problem, model, limits = self.problem, self.model, self.problem.limits
        work = problem.workload
        named = set(limits.include)
        only_cards = {card.id for card in self.cards} & named
        only_platforms = {platform.id for platform in self.platforms} & named
        model.add(self.total <= limits.max_cards)
        if limits.budget_cny is not None:
            model.add(self.cost <= fen(limits.budget_cny))
        if limits.min_batch is not None:
            model.add(self.batch >= limits.min_batch)
        slots = sum(card.slot_width * count for card, count in zip(self.cards, self.count, strict=True))
        model.add(slots <= sum(p.expansion_slots * on for p, on in zip(self.platforms, self.on, strict=True)))
        model.add(self.total <= sum(p.pcie_x16_slots * on for p, on in zip(self.platforms, self.on, strict=True)))
        ram = [0, *(physics.host_ram_mib(work, n) for n in COUNTS[1:])]
        needed = model.new_int_var(0, max(ram), "host_ram")
        model.add_element(self.total, ram, needed)
        held = sum(physics.host_ram_capacity_mib(p) * on for p, on in zip(self.platforms, self.on, strict=True))
        model.add(needed <= held)
        axial = sum(n for card, n in zip(self.cards, self.count, strict=True) if card.cooling == "axial")
        model.add(axial <= sum(p.max_axial_cards * on for p, on in zip(self.platforms, self.on, strict=True)))
        for card, count, used, micro in zip(self.cards, self.count, self.used, self.micro, strict=True):
            banned = card.id in limits.exclude or (bool(only_cards) and card.id not in only_cards)
            if banned or micro < 1 or (work.precision == "bf16" and not card.bf16_tensor_cores):
                model.add(used == 0)
            if limits.require_nvlink:
                for n in COUNTS[1:]:
                    if unpaired_cards(card, n):
                        model.add(count != n)
            for platform, on in zip(self.platforms, self.on, strict=True):
                fed = physics.cards_fed(card, platform)
                if fed is not None:
                    model.add(count <= fed).only_enforce_if(on)
                too_long = (card.length_mm or 0) > (platform.max_card_length_mm or 10**6)
                if too_long or (card.cooling == "passive" and not platform.ducted):
                    model.add_implication(on, ~used)
        for platform, on in zip(self.platforms, self.on, strict=True):
            if platform.id in limits.exclude or (only_platforms and platform.id not in only_platforms):
                model.add(on == 0)

    def power_limits(self, load: cp_model.LinearExprT) -> int:
        """PSU, cooling, and socket and room as the highest load that each supply may carry; the highest of these."""
        problem, model = self.problem, self.model
        allowed = socket_mw(problem)
        if problem.site.room_cooling_w is not None:
            allowed = min(allowed, problem.site.room_cooling_w * 1000)
        carried = 0
        for platform, on in zip(self.platforms, self.on, strict=True):
            psu, host = platform.psu, platform.host_draw_w
            demand = host * milli(psu.host_headroom) + load * milli(psu.card_headroom)
            model.add(demand <= psu.rated_w * 1000).only_enforce_if(on)
            model.add((load + host) * 1000 <= physics.airflow_mw(platform)).only_enforce_if(on)
            fits = [w for w in range(self.highest_load + 1) if physics.wall_mw(psu, w + host) <= allowed]
            model.add(load <= max(fits, default=-1)).only_enforce_if(on)
            carried = max(carried, *fits) if fits else carried
        model.add(load <= carried)
        return carried

    def wall(self, load: cp_model.IntVar, highest: int) -> cp_model.IntVar:
        """Milliwatts at the wall for a load of at most `highest` W."""
        loads = range(highest + 1)
        tables = [[physics.wall_mw(p.psu, w + p.host_draw_w) for w in loads] for p in self.platforms]
        return self.of_platform(tables, load, "wall")

    @cached_property
    def highest_load(self) -> int:
        """Watts that the most cards of the thirstiest kind draw."""
        return MAX_OPTION_CARDS * max((physics.highest_power_limit_w(card) for card in self.cards), default=0)

    def chosen(self, solver: cp_model.CpSolver) -> tuple[int, int]:
        """Which card and which platform."""
        card = next(i for i, used in enumerate(self.used) if solver.boolean_value(used))
        return card, next(i for i, on in enumerate(self.on) if solver.boolean_value(on))


def full(problem: Problem) -> Answer:
    """The whole question, level after level."""
    rig = _Rig(problem)
    model, cards = rig.model, rig.cards
    fixed = problem.limits.power_limit_w
    grids = [physics.power_limits_w(card, fixed) for card in cards]
    watts, loads, epochs = [], [], []
    for card, grid, count, micro in zip(cards, grids, rig.count, rig.micro, strict=True):
        limit = model.new_int_var_from_domain(cp_model.Domain.from_values(list(grid)), f"watts_{card.id}")
        load = model.new_int_var(0, MAX_OPTION_CARDS * grid[-1], f"load_{card.id}")
        model.add_multiplication_equality(load, [count, limit])
        watts.append(limit)
        loads.append(load)
        epochs.append(_epoch(rig, card, grid, count, limit, micro))
    if fixed is not None:
        for used, grid, limit in zip(rig.used, grids, watts, strict=True):
            if fixed in grid:
                model.add(limit == fixed).only_enforce_if(used)
            else:
                model.add(used == 0)
    load = model.new_int_var(0, rig.highest_load, "load")
    model.add(load == sum(loads))
    carried = rig.power_limits(load)
    epoch = model.new_int_var(0, 10**18, "epoch")
    model.add(epoch == sum(epochs))
    if problem.limits.max_epoch_days is not None:
        model.add(epoch <= int(problem.limits.max_epoch_days * US_PER_DAY))
    platform_rank = _rank(rig.platforms, rig.on)
    card_rank = _rank(cards, rig.used)
    limit_w = model.new_int_var(0, 10**6, "watts")
    for used, each in zip(rig.used, watts, strict=True):
        model.add(limit_w == each).only_enforce_if(used)
    goal = _goal(rig, epoch)
    ties = [platform_rank, card_rank, rig.total, limit_w]

    values: list[int] = []
    solver = cp_model.CpSolver()
    for level in (*goal, None, *ties):
        if level is None:  # watts at the wall: a long table, so it joins the model only when its turn comes
            level = rig.wall(load, carried)
        model.minimize(level)
        if solver.solve(model) != cp_model.OPTIMAL:
            return Answer(False)
        values.append(solver.value(level))
        model.add(level == values[-1])
    at, place = rig.chosen(solver)
    return Answer(
        True,
        tuple(values),
        cards[at].id,
        solver.value(rig.count[at]),
        solver.value(watts[at]),
        rig.platforms[place].id,
    )


def _epoch(
    rig: _Rig, card: Card, grid: Sequence[int], count: cp_model.IntVar, limit: cp_model.IntVar, micro: int
) -> cp_model.LinearExprT:
    """The epoch of a card that is chosen, 0 of others: steps (by count) * (fixed + micro-batch * sample (by watts))."""
    if micro == 0:
        return 0
    model, work = rig.model, rig.problem.workload
    speeds = [(w, physics.per_sample_us(card, work, w)) for w in grid]
    sample = model.new_int_var(min(s for _, s in speeds), max(s for _, s in speeds), f"sample_{card.id}")
    model.add_allowed_assignments([limit, sample], speeds)
    by_count = [0, *(-(-work.samples // (n * micro)) for n in COUNTS[1:])]
    steps = model.new_int_var(0, by_count[1], f"steps_{card.id}")
    model.add_element(count, by_count, steps)
    overhead = [milli(work.fixed_s) * physics.scaling_milli(work, max(1, n)) for n in COUNTS]
    fixed = model.new_int_var(min(overhead), max(overhead), f"fixed_{card.id}")
    model.add_element(count, overhead, fixed)
    longest = max(overhead) + micro * max(s for _, s in speeds)
    step = model.new_int_var(0, longest, f"step_{card.id}")
    model.add(step == fixed + micro * sample)
    epoch = model.new_int_var(0, by_count[1] * longest, f"epoch_{card.id}")
    model.add_multiplication_equality(epoch, [steps, step])
    return epoch


def _goal(rig: _Rig, epoch: cp_model.LinearExprT = 0) -> list[cp_model.LinearExprT]:
    goal = rig.problem.goal
    if goal == "batch":
        return [-rig.batch, rig.cost, epoch]
    if goal == "epoch":
        return [epoch, rig.cost]
    if goal == "cost":
        return [rig.cost, -rig.batch, epoch]
    return [_cost_per_sample(rig), -rig.batch, epoch]


def _cost_per_sample(rig: _Rig) -> cp_model.IntVar:
    """Cost / batch in whole units so small that no two different fractions fall together."""
    resolution = (MAX_OPTION_CARDS * max(rig.micro)) ** 2
    highest = (2**62) // resolution
    price = rig.model.new_int_var(0, min(highest, 10**11) * resolution, "cost_per_sample")
    rig.model.add_division_equality(price, rig.cost * resolution, rig.batch)
    return price


def _rank(records: Sequence[Card] | Sequence[Platform], chosen: Sequence[cp_model.IntVar]) -> cp_model.LinearExprT:
    ids = sorted(record.id for record in records)
    return cp_model.LinearExpr.weighted_sum(list(chosen), [ids.index(record.id) for record in records])


def leanest(problem: Problem) -> Answer:
    """The question with every card at its TDP and without epochs; the goal alone, in one solve."""
    if problem.goal == "epoch" or problem.limits.power_limit_w or problem.limits.max_epoch_days:
        raise ValueError("the leanest model knows neither epochs nor power limits")
    rig = _Rig(problem)
    load = sum(card.tdp_w * count for card, count in zip(rig.cards, rig.count, strict=True))
    rig.power_limits(load)
    level = _goal(rig)[0]
    rig.model.minimize(level)
    solver = cp_model.CpSolver()
    if solver.solve(rig.model) != cp_model.OPTIMAL:
        return Answer(False)
    at, place = rig.chosen(solver)
    card = rig.cards[at]
    count = solver.value(rig.count[at])
    return Answer(True, (solver.value(level),), card.id, count, card.tdp_w, rig.platforms[place].id)
