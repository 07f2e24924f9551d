"""The referee: brute force over every rig that can be named, which decides who is right.

It reads the records as data and shares no code with the model, the solver or the arithmetic of `solver.domain`:
every figure is derived again from the problem statement, with exact fractions, one pair after the other. Clarity
before speed. Modify this module when the statement of the problem changes, never to make a test pass.

What it holds to:

* An option is (card, count 1 to 8, power limit, offers that may be used); a pair is an option on a platform.
* Memory that is needed rounds up to 1 MiB, item by item; memory that is there rounds down.
* A figure may have a low and a high end. What is planned on is the problem's confidence; at the high end memory is at
  its most and a time is the longest of all that may be true together, measured ones rounded up to 1 ms.
* Memory that cards share rounds up for each. What the optimizer takes rounds half up to 1 us, at most 10**15 us.
* The time of one sample rounds half up to 1 us and is held at 10**11 us; an epoch is held at 10**18 us, which is also
  the epoch of a rig whose cards hold no sample.
* Watts at the wall round up to 1 mW; heat that the air carries away and watts of the socket round down to 1 mW.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from solver.domain.catalog import Card, Offer, Platform, Psu
from solver.domain.problem import Problem
from solver.domain.workload import Workload

MOST_CARDS = 8
NEVER = 10**18
SLOWEST_SAMPLE = 10**11

ChoiceTuple = tuple[str, int, int, str, bool]
"""(card_id, card_count, power_limit_w, platform_id, with_used)"""
Axis = Literal["cost", "batch", "epoch", "wall"]


class Pair(NamedTuple):
    """An option on a platform: what is chosen, what follows from it, and the names of the limits it violates."""

    card_id: str
    card_count: int
    power_limit_w: int
    platform_id: str
    with_used: bool
    micro_batch: int
    total_batch: int
    cost_fen: int
    epoch_us: int
    wall_mw: int
    heat_w: int
    psu_demand_mw: int
    host_ram_mib: int
    missing: int
    """Pieces (cards and platform) that no offer covers."""
    used: int
    """Used pieces bought."""
    violated: frozenset[str]

    @property
    def choice(self) -> ChoiceTuple:
        """The decision alone."""
        return (self.card_id, self.card_count, self.power_limit_w, self.platform_id, self.with_used)


class Verdict(NamedTuple):
    """The right answer. All but `status` is None if nothing fits."""

    status: Literal["optimal", "infeasible"]
    objective: int | Fraction | None = None
    """Samples (goal batch), microseconds (epoch), samples per fen (value), fen (cost)."""
    choice: ChoiceTuple | None = None
    cost_fen: int | None = None
    total_batch: int | None = None
    epoch_us: int | None = None
    wall_mw: int | None = None


class Point(NamedTuple):
    """A point of a trade-off curve: the value on each axis, and all pairs that reach it, best first."""

    values: tuple[int, int]
    pairs: tuple[Pair, ...]


def best(problem: Problem) -> Verdict:
    """The best feasible pair, ties broken, or the verdict that there is none."""
    return best_of(problem, every_pair(problem))


def feasible_without(problem: Problem, names: Collection[str]) -> Verdict:
    """The best pair when the limits called `names` are switched off."""
    return best_of(problem, every_pair(problem), names)


def best_of(problem: Problem, pairs: Iterable[Pair], without: Collection[str] = ()) -> Verdict:
    """The best of `pairs` that violates no limit, those called `without` aside."""
    off = frozenset(without)
    candidates = [pair for pair in pairs if pair.violated <= off]
    if not candidates:
        return Verdict("infeasible")
    first = min(candidates, key=lambda pair: rank_key(problem, pair))
    return Verdict(
        "optimal",
        objective(problem, first),
        first.choice,
        first.cost_fen,
        first.total_batch,
        first.epoch_us,
        first.wall_mw,
    )


def ranked(problem: Problem) -> list[Pair]:
    """All feasible pairs, best first."""
    feasible = (pair for pair in every_pair(problem) if not pair.violated)
    return sorted(feasible, key=lambda pair: rank_key(problem, pair))


def pareto(problem: Problem, axes: tuple[Axis, Axis]) -> list[Point]:
    """The complete trade-off curve of two axes: every feasible point that no other beats, best on the first axis first.

    A point is beaten by one that is no worse on both axes and better on one.
    """
    reached: dict[tuple[int, int], list[Pair]] = {}
    for pair in ranked(problem):
        reached.setdefault((_losses(pair)[axes[0]], _losses(pair)[axes[1]]), []).append(pair)
    curve = []
    for loss in sorted(reached):
        beaten = any(other != loss and other[0] <= loss[0] and other[1] <= loss[1] for other in reached)
        if not beaten:
            values = _axis_value(axes[0], loss[0]), _axis_value(axes[1], loss[1])
            curve.append(Point(values, tuple(reached[loss])))
    return curve


def _losses(pair: Pair) -> dict[str, int]:
    return {"cost": pair.cost_fen, "batch": -pair.total_batch, "epoch": pair.epoch_us, "wall": pair.wall_mw}


def _axis_value(axis: str, loss: int) -> int:
    return -loss if axis == "batch" else loss


def objective(problem: Problem, pair: Pair) -> int | Fraction:
    """What the goal measures, exactly; see `Verdict.objective`. A rig that costs nothing counts as costing 1 fen."""
    if problem.goal == "batch":
        return pair.total_batch
    if problem.goal == "epoch":
        return pair.epoch_us
    if problem.goal == "value":
        return Fraction(pair.total_batch, max(pair.cost_fen, 1))
    return pair.cost_fen


def rank_key(problem: Problem, pair: Pair) -> tuple[Any, ...]:
    """Sorts pairs from best to worst: the goal, its ties, and the ties of all goals."""
    batch, cost, epoch = pair.total_batch, pair.cost_fen, pair.epoch_us
    goal: tuple[Any, ...]
    if problem.goal == "batch":
        goal = (-batch, cost, epoch)
    elif problem.goal == "epoch":
        goal = (epoch, cost)
    elif problem.goal == "value":
        # Most samples per money is least money per sample; without a sample nothing is worth anything.
        goal = (batch == 0, Fraction(cost, batch) if batch else cost, -batch, epoch)
    else:
        goal = (cost, -batch, epoch)
    last = (pair.wall_mw, pair.platform_id, pair.card_id, pair.card_count, pair.power_limit_w, pair.with_used)
    return (*goal, *last)


def every_pair(problem: Problem) -> Iterator[Pair]:
    """All pairs, with all figures and the limits they violate."""
    bought = {card.id: _bought(problem, card.id, MOST_CARDS) for card in problem.catalog.cards}
    for platform in problem.catalog.platforms:
        base_bought = _bought(problem, platform.id, 1)
        for card in problem.catalog.cards:
            watts = power_limits(card, problem.limits.power_limit_w)
            yield from _pairs(problem, platform, card, range(1, MOST_CARDS + 1), watts, bought[card.id], base_bought)


def pair_of(problem: Problem, choice: ChoiceTuple) -> Pair:
    """The pair of one choice."""
    card_id, count, watts, platform_id, with_used = choice
    (card,) = (card for card in problem.catalog.cards if card.id == card_id)
    (platform,) = (platform for platform in problem.catalog.platforms if platform.id == platform_id)
    bought, base_bought = _bought(problem, card_id, count), _bought(problem, platform_id, 1)
    pairs = _pairs(problem, platform, card, (count,), (watts,), bought, base_bought)
    (pair,) = (pair for pair in pairs if pair.with_used == with_used)
    return pair


def _bought(problem: Problem, item_id: str, most: int) -> dict[bool, list[Purchase]]:
    """How 0, 1, ... `most` pieces are bought from new offers only (False) and from all (True); {} without a price."""
    offers = [offer for offer in problem.catalog.offers if offer.item_id == item_id]
    return {with_used: purchases(usable(offers, with_used), most) for with_used in (False, True)} if offers else {}


def _pairs(
    problem: Problem,
    platform: Platform,
    card: Card,
    counts: Iterable[int],
    watts: Sequence[int],
    bought: Mapping[bool, Sequence[Purchase]],
    base_bought: Mapping[bool, Sequence[Purchase]],
) -> Iterator[Pair]:
    """The pairs of one card and one platform; none if either has no price."""
    if not bought or not base_bought:
        return
    work, site, limits = problem.workload, problem.site, problem.limits
    budget_fen = None if limits.budget_cny is None else _fen(limits.budget_cny)
    longest_epoch = None if limits.max_epoch_days is None else exact(limits.max_epoch_days) * 86_400_000_000
    socket, airflow = socket_mw(problem), airflow_mw(platform)
    end = problem.confidence
    here = _broken_by_this_card_here(problem, card, platform)
    for n in counts:
        micro = micro_batch(card, work, n, end)
        size = here + _broken_by_this_many(problem, card, platform, n, micro)
        ram = host_ram_mib(work, n, end)
        extra = _fen(platform.extra_cost_cny.get(n, Decimal(0)))
        for w in watts:
            heat = n * w + platform.host_draw_w
            wall = wall_mw(platform.psu.efficiency_points, platform.psu.rated_w, heat)
            demand = psu_demand_mw(platform, n, w)
            epoch = epoch_us(work, card, platform, n, micro, w, end)
            power = size.copy()
            if wall > socket:
                power.append("wall_power")
            if site.room_cooling_w is not None and wall > site.room_cooling_w * 1000:
                power.append("room_cooling")
            if demand > platform.psu.rated_w * 1000:
                power.append("psu")
            if heat * 1000 > airflow:
                power.append("case_cooling")
            if limits.power_limit_w is not None and w != limits.power_limit_w:
                power.append("power_limit")
            if longest_epoch is not None and epoch > longest_epoch:
                power.append("max_epoch")
            for with_used in (False, True):
                cards, base = bought[with_used][n], base_bought[with_used][1]
                cost = cards.cost_fen + base.cost_fen + extra
                missing, used = cards.missing + base.missing, cards.used + base.used
                money = power.copy()
                if budget_fen is not None and cost > budget_fen:
                    money.append("budget")
                if missing:
                    money.append("stock")
                if used and not limits.allow_used:
                    money.append("condition")
                yield Pair(
                    card.id, n, w, platform.id, with_used,
                    micro, n * micro * work.gradient_accumulation, cost, epoch, wall, heat, demand, ram, missing, used,
                    frozenset(money),
                )  # fmt: skip


def _broken_by_this_card_here(problem: Problem, card: Card, platform: Platform) -> list[str]:
    """Limits that this card breaks on this platform, however many there are."""
    limits = problem.limits
    broken = []
    if problem.workload.precision == "bf16" and not card.bf16_tensor_cores:
        broken.append("precision")
    longest = platform.max_card_length_mm
    if card.length_mm is not None and longest is not None and card.length_mm > longest:
        broken.append("card_length")
    if card.cooling == "passive" and not platform.ducted:
        broken.append("case_cooling")
    card_ids = {c.id for c in problem.catalog.cards}
    platform_ids = {p.id for p in problem.catalog.platforms}
    named_cards, named_platforms = card_ids.intersection(limits.include), platform_ids.intersection(limits.include)
    if (named_cards and card.id not in named_cards) or (named_platforms and platform.id not in named_platforms):
        broken.append("include")
    if card.id in limits.exclude or platform.id in limits.exclude:
        broken.append("exclude")
    return broken


def _broken_by_this_many(problem: Problem, card: Card, platform: Platform, n: int, micro: int) -> list[str]:
    """Limits that `n` of this card break on this platform, whatever the power limit and the price."""
    limits = problem.limits
    broken = []
    if micro < 1:
        broken.append("vram")
    if n > limits.max_cards:
        broken.append("card_count")
    if n * card.slot_width > platform.expansion_slots:
        broken.append("expansion_slots")
    if n > platform.pcie_x16_slots:
        broken.append("pcie_x16_slots")
    if card.cooling == "axial" and n > platform.max_axial_cards:
        broken.append("case_cooling")
    if not cables_reach(card, platform.psu, n):
        broken.append("psu")
    if host_ram_mib(problem.workload, n, problem.confidence) > math.floor(exact(platform.host_ram_gb) * 1024):
        broken.append("host_ram")
    if limits.require_nvlink and (not card.nvlink_pair_gb_s or n % 2):
        broken.append("nvlink")
    if limits.min_batch is not None and n * micro * problem.workload.gradient_accumulation < limits.min_batch:
        broken.append("min_batch")
    return broken


# Exact numbers -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=100_000)
def exact(number: Decimal) -> Fraction:
    """The number as it was written."""
    return Fraction(number)


@lru_cache(maxsize=100_000)
def thousandths(number: Decimal) -> int:
    """A number of at most three decimals in thousandths: ms of s, mW of W. A product of two is in millionths."""
    result = exact(number) * 1000
    assert result.denominator == 1
    return int(result)


# Memory ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=10_000)
def mib_up(gb: Decimal) -> int:
    """Memory that is needed, in whole MiB."""
    return math.ceil(exact(gb) * 1024)


def at(work: Workload, figure: str, end: str) -> Decimal:
    """A figure of the workload at one end of what it may be; figures without a spread are what they are."""
    value: Decimal = getattr(work, figure)
    for spread in work.spreads:
        if spread.field == figure and end != "expected":
            value = {"low": spread.low, "high": spread.high}[end]
    return value


def taken_mib(work: Workload, n: int, samples: int, end: str) -> int:
    """Memory of a card that is one of `n` and holds so many samples: its own, its share of what all share, samples."""
    own = (
        mib_up(at(work, "weights_gb", end)) + mib_up(at(work, "buffers_gb", end)) + mib_up(at(work, "reserve_gb", end))
    )
    share = math.ceil(Fraction(mib_up(at(work, "sharded_gb", end)), n))
    return own + share + samples * mib_up(at(work, "per_sample_gb", end))


def micro_batch(card: Card, work: Workload, n: int = 1, end: str = "expected") -> int:
    """Samples that fit each of `n` cards."""
    free = card.vram_mib - taken_mib(work, n, 0, end)
    each = mib_up(at(work, "per_sample_gb", end))
    samples = 0 if free < each else free // each
    assert samples == 0 or taken_mib(work, n, samples, end) <= card.vram_mib
    assert taken_mib(work, n, samples + 1, end) > card.vram_mib
    return samples


def host_ram_mib(work: Workload, n: int, end: str = "expected") -> int:
    """Host RAM that `n` cards take.

    So many bytes for each parameter, or what all processes need together while they load, if that is more; and so much
    for each card but the first.
    """
    held = _bytes_mib(work.parameters, at(work, "host_ram_bytes_per_parameter", end))
    loading = n * mib_up(at(work, "host_ram_per_card_gb", end))
    return max(held, loading) + (n - 1) * mib_up(at(work, "host_ram_per_extra_card_gb", end))


@lru_cache(maxsize=10_000)
def _bytes_mib(things: int, bytes_each: Decimal) -> int:
    return math.ceil(things * exact(bytes_each) / 1024**2)


# Time --------------------------------------------------------------------------------------------------------------


def interpolated(points: Sequence[tuple[Fraction, Fraction]], x: Fraction) -> Fraction:
    """The height at `x` of the broken line through `points` (rising in x), flat before the first and after the last."""
    if x <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 < x <= x1:
            weight = (x - x0) / (x1 - x0)
            return (1 - weight) * y0 + weight * y1
    return points[-1][1]


@lru_cache(maxsize=10_000)
def speed_share(curve_tdp_w: int, points: tuple[tuple[int, Decimal], ...], share_of_tdp: Fraction) -> Fraction:
    """Share of full speed, read off where the card that was measured ran at the same share of its TDP."""
    line = [(Fraction(0), Fraction(0))]
    line += [(Fraction(watts, curve_tdp_w), exact(share)) for watts, share in points]
    return interpolated(line, share_of_tdp)


class Truth(NamedTuple):
    """Step times that may be true together: seconds of a micro-step, of the optimizer, and of a sample."""

    fixed: Fraction
    optimizer: Fraction
    sample: Fraction


def truths(work: Workload, end: str) -> list[Truth]:
    """All step times to reckon with at one end of what they may be."""
    known = Truth(exact(work.fixed_s), exact(work.optimizer_s), exact(work.per_sample_s))
    if end == "expected":
        return [known]
    times = ("fixed_s", "optimizer_s", "per_sample_s")
    if any(spread.field in times for spread in work.spreads):
        return [Truth(*(exact(at(work, name, end)) for name in times))]
    found = [known]
    for few, many in itertools.permutations(work.measured_steps, 2):
        if few.micro_batch < many.micro_batch:
            sample = (exact(many.seconds) - exact(few.seconds)) / (many.micro_batch - few.micro_batch)
            whole = exact(few.seconds) - few.micro_batch * sample
            if sample >= 0 and whole >= 0:
                fixed = max(Fraction(0), _to_ms(whole, end) - known.optimizer)
                found.append(Truth(fixed, known.optimizer, max(Fraction(1, 1000), _to_ms(sample, end))))
    return found


def _to_ms(seconds: Fraction, end: str) -> Fraction:
    return Fraction(math.ceil(seconds * 1000) if end == "high" else math.floor(seconds * 1000), 1000)


def sample_time_us(
    card: Card, work: Workload, watts: int, seconds: Fraction | None = None, k: Decimal | None = None
) -> int:
    """Microseconds a card takes for one sample at this power limit, if the reference takes so many seconds."""
    share = exact(work.compute_share if k is None else k)
    ratio = exact(work.reference_tflops) / exact(card.bf16_dense_tflops)
    full_speed_s = (exact(work.per_sample_s) if seconds is None else seconds) * ((1 - share) + share * ratio)
    curve = work.power_curve if card.power_curve is None else card.power_curve
    time_us = full_speed_s / speed_share(curve.tdp_w, curve.points, Fraction(watts, card.tdp_w)) * 1_000_000
    return min(_half_up(time_us), SLOWEST_SAMPLE)


def _half_up(x: Fraction) -> int:
    whole, rest = divmod(x, 1)
    return int(whole) + (1 if rest * 2 >= 1 else 0)


def step_us(work: Workload, card: Card, platform: Platform, n: int, micro: int, watts: int, end: str) -> int:
    """Microseconds of one optimizer step: at the high end the longest that may be, at the low end the shortest."""
    factor = exact(work.card_scaling[n - 1] if n <= len(work.card_scaling) else work.card_scaling[-1])
    shares = [work.compute_share] if end == "expected" else [work.compute_share_low, work.compute_share_high]
    steps = []
    for truth in truths(work, end):
        transfers = truth.fixed * factor * _slower_transfers(work, card, platform) * 1_000_000
        optimizer = truth.optimizer * factor * _slower_host(work, platform) * 1_000_000
        assert transfers.denominator == 1
        for k in shares:
            micro_step = int(transfers) + micro * sample_time_us(card, work, watts, truth.sample, k)
            steps.append(work.gradient_accumulation * micro_step + min(10**15, _half_up(optimizer)))
    return max(steps) if end == "high" else min(steps)


def _slower_transfers(work: Workload, card: Card, platform: Platform) -> int:
    """How many times longer transfers take than at the reference: twice for each generation of PCIe that is missing."""
    if work.reference_pcie_gen is None:
        return 1
    known = [generation for generation in (card.pcie_gen, platform.pcie_gen) if generation is not None]
    missing = work.reference_pcie_gen - min([*known, work.reference_pcie_gen])
    return int(2**missing)


def _slower_host(work: Workload, platform: Platform) -> Fraction:
    """How many times longer the optimizer takes than at the reference's memory bandwidth; 1 where one is not known."""
    if work.reference_host_bandwidth_gb_s is None or platform.host_memory_bandwidth_gb_s is None:
        return Fraction(1)
    return exact(work.reference_host_bandwidth_gb_s) / exact(platform.host_memory_bandwidth_gb_s)


def epoch_us(work: Workload, card: Card, platform: Platform, n: int, micro: int, watts: int, end: str) -> int:
    """Microseconds of an epoch."""
    if micro == 0:
        return NEVER
    full_steps, rest = divmod(work.samples, n * micro * work.gradient_accumulation)
    return min(NEVER, (full_steps + (rest > 0)) * step_us(work, card, platform, n, micro, watts, end))


# Power -------------------------------------------------------------------------------------------------------------


def power_limits(card: Card, wanted: int | None) -> list[int]:
    """The power limits that may be set: each 10 W from the least, the TDP, and the wanted one if the card takes it."""
    if card.power_limit_min_w is None:
        return [card.tdp_w]
    watts = {card.tdp_w}
    step = card.power_limit_min_w
    while step <= card.tdp_w:
        watts.add(step)
        step += 10
    most = card.tdp_w if card.power_limit_max_w is None else card.power_limit_max_w
    if wanted is not None and card.power_limit_min_w <= wanted <= most:
        watts.add(wanted)
    return sorted(watts)


@lru_cache(maxsize=10_000)
def wall_mw(efficiency_points: tuple[tuple[Decimal, Decimal], ...], rated_w: int, dc_w: int) -> int:
    """Milliwatts drawn from the wall, rounded up, for `dc_w` delivered."""
    line = [(exact(load), exact(percent)) for load, percent in efficiency_points]
    percent = interpolated(line, Fraction(100 * dc_w, rated_w))
    return math.ceil(100_000 * dc_w / percent)


def socket_mw(problem: Problem) -> int:
    """Milliwatts the socket gives, rounded down."""
    site = problem.site
    return math.floor(exact(site.socket_amps) * exact(site.socket_volts) * exact(site.derating) * 1000)


def psu_demand_mw(platform: Platform, n: int, watts: int) -> int:
    """Milliwatts the power supply must be rated for, transients included."""
    return platform.host_draw_w * thousandths(platform.psu.host_headroom) + n * watts * thousandths(
        platform.psu.card_headroom
    )


def cables_reach(card: Card, psu: Psu, n: int) -> bool:
    """Whether the power supply has one of the card's sets of cables for each of `n` cards; yes if not known."""
    if psu.connectors is None or not card.power_connectors:
        return True
    have: dict[str, int] = {str(kind): number for kind, number in psu.connectors.items()}
    return any(
        all(n * number <= have.get(kind, 0) for kind, number in one_set.items()) for one_set in card.power_connectors
    )


def airflow_mw(platform: Platform) -> int:
    """Milliwatts of heat the air of the case removes, rounded down: 1.75 CFM a watt at a rise of 1 C."""
    return math.floor(exact(platform.airflow_cfm) * exact(platform.air_delta_t_c) / Fraction("1.75") * 1000)


# Money -------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=100_000)
def _fen(cny: Decimal) -> int:
    amount = exact(cny) * 100
    assert amount.denominator == 1, "money has two decimals"
    return int(amount)


def usable(offers: Sequence[Offer], with_used: bool) -> list[Offer]:
    """The offers that may be used: the new ones, or all; all too if there is no new one."""
    new = [offer for offer in offers if offer.condition == "new"]
    return list(offers) if with_used or not new else new


class Purchase(NamedTuple):
    """What some pieces of one item cost, how many of them no offer covers, and how many are used."""

    cost_fen: int
    missing: int
    used: int


class _Seller(NamedTuple):
    """One offer with its quantity breaks."""

    used: bool
    stock: int | None
    breaks: tuple[tuple[int, int], ...]
    """(from this quantity on, fen a piece)"""

    def price(self, quantity: int) -> int | None:
        """Fen for `quantity` pieces; None if they are not to be had."""
        if self.stock is not None and quantity > self.stock:
            return None
        prices = [fen for least, fen in self.breaks if quantity >= least]
        return min(prices) * quantity if prices else None


def _sellers(offers: Sequence[Offer]) -> list[_Seller]:
    """Rows of one vendor and condition with different minimum quantities are one offer and share its stock."""
    groups: list[list[Offer]] = []
    for offer in offers:
        for group in groups:
            if (group[0].vendor, group[0].condition) != (offer.vendor, offer.condition):
                continue
            if offer.min_quantity not in [row.min_quantity for row in group]:
                group.append(offer)
                break
        else:
            groups.append([offer])
    sellers = []
    for group in groups:
        stocks = [row.stock for row in group if row.stock is not None]
        breaks = tuple((row.min_quantity, _fen(row.unit_price_cny)) for row in group)
        sellers.append(_Seller(group[0].condition == "used", max(stocks, default=None), breaks))
    return sellers


def purchases(offers: Sequence[Offer], most: int) -> list[Purchase]:
    """How 0, 1, ... `most` pieces are bought.

    All ways to share the pieces among the sellers are tried: the one with the fewest missing wins, then the cheapest,
    then the one with the fewest used pieces, then the one that takes more from the earlier sellers. A missing piece is
    valued at the dearest price.
    """
    sellers = _sellers(offers)
    dearest = max(_fen(offer.unit_price_cny) for offer in offers)
    prices = [[0, *(seller.price(quantity) for quantity in range(1, most + 1))] for seller in sellers]
    # For each number of pieces covered: the least cost, and all ways to have it, as pieces from each seller.
    ways: dict[int, tuple[int, list[tuple[int, ...]]]] = {}
    for shares in _shared(most, len(sellers)):
        cost = 0
        for price, quantity in zip(prices, shares, strict=True):
            amount = price[quantity]
            if amount is None:
                break
            cost += amount
        else:
            covered = sum(shares)
            if covered not in ways or cost < ways[covered][0]:
                ways[covered] = (cost, [shares])
            elif cost == ways[covered][0]:
                ways[covered][1].append(shares)
    result = []
    for wanted in range(most + 1):
        covered = max(number for number in ways if number <= wanted)
        cost, equal = ways[covered]
        used = {
            shares: sum(quantity for seller, quantity in zip(sellers, shares, strict=True) if seller.used)
            for shares in equal
        }
        paid, missing = cost + (wanted - covered) * dearest, wanted - covered
        result.append(Purchase(paid, missing, min(used.values())))
    return result


@lru_cache(maxsize=100)
def _shared(most: int, sellers: int) -> list[tuple[int, ...]]:
    """All tuples of `sellers` quantities that sum to at most `most`."""
    every = itertools.product(range(most + 1), repeat=sellers)
    return [shares for shares in every if sum(shares) <= most]
