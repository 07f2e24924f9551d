"""The physics of one rig, in plain integers: memory, host RAM, time, power.

Formulas and sources stand in shared docs (docs/model.md); each function names its own. Every function takes
and returns whole numbers in the unit its name says, so the model's columns, the re-check and the explanations agree
to the last unit. What a rig costs is in buying.py. Modify this module when a formula changes; never to add a limit (see
limits.py).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from solver.domain.base import End
from solver.domain.catalog import Card, Platform, PowerCurve, Psu
from solver.domain.units import NEVER_US, mib_down, mib_up, milli
from solver.domain.workload import Workload

SLOWEST_SAMPLE_US = 10**11
"""A sample that takes longer than this (28 hours) counts as this: keeps every product below 2**63."""
CFM_CELSIUS_PER_W = Fraction(7, 4)
"""Airflow that carries 1 W away at a rise of 1 C: 1.75 CFM (sensible heat of air at sea level)."""


SLOWEST_OPTIMIZER_US = 10**15
"""An optimizer step that takes longer than this (31 years) counts as this, for the same reason."""
TOP_GENERATION = 9
"""The highest PCIe generation a record may name."""


def micro_batch(card: Card, workload: Workload, card_count: int, end: End = "expected") -> int:
    """Samples that each of so many cards holds: floor((vram - fixed part) / per_sample), MiB, never below 0 [guide]."""
    room = card.vram_mib - fixed_vram_mib(workload, card_count, end)
    return max(0, room // mib_up(workload.figure("per_sample_gb", end)))


def fixed_vram_mib(workload: Workload, card_count: int, end: End = "expected") -> int:
    """MiB of card memory whatever the batch: weights + buffers + reserve + sharded / cards, each rounded up."""
    own = sum(mib_up(workload.figure(name, end)) for name in ("weights_gb", "buffers_gb", "reserve_gb"))
    return own - (-mib_up(workload.figure("sharded_gb", end)) // card_count)


def vram_used_mib(workload: Workload, card_count: int, batch: int, end: End = "expected") -> int:
    """MiB of card memory that a micro-batch takes: the fixed part + max(1, batch) * per_sample."""
    each = mib_up(workload.figure("per_sample_gb", end))
    return fixed_vram_mib(workload, card_count, end) + max(1, batch) * each


def host_ram_mib(workload: Workload, card_count: int, end: End = "expected") -> int:
    """Host RAM in MiB: max(parameters * bytes_per_parameter, cards * per_card) + per_extra_card * (cards - 1).

    DeepSpeed's estimator: 18 * 1.5 = 27 bytes a parameter with both offloaded, 16 * 1.5 = 24 with the optimizer, and
    4 * 1.5 bytes a parameter and card where every process loads the whole model. 27 bytes and 5 GB a further card were
    measured for ChatGLM-6B.
    """
    held = math.ceil(workload.parameters * workload.figure("host_ram_bytes_per_parameter", end) / 2**20)
    loading = card_count * mib_up(workload.figure("host_ram_per_card_gb", end))
    extra = mib_up(workload.figure("host_ram_per_extra_card_gb", end))
    return max(held, loading) + extra * max(0, card_count - 1)


def power_limits_w(card: Card, fixed_w: int | None = None) -> tuple[int, ...]:
    """The power limits that are tried: min, min + 10, ... and always the TDP; the TDP only if no minimum is known.

    A limit fixed by the question is tried too where the card can be set to it.
    """
    low = card.power_limit_min_w
    grid = {card.tdp_w} if low is None else {*range(low, card.tdp_w + 1, 10), card.tdp_w}
    if fixed_w is not None and low is not None and low <= fixed_w <= highest_power_limit_w(card):
        grid.add(fixed_w)
    return tuple(sorted(grid))


def highest_power_limit_w(card: Card) -> int:
    """The highest power limit the card accepts, W; the TDP where that is not known."""
    return card.power_limit_max_w if card.power_limit_max_w is not None else card.tdp_w


def power_share(curve: PowerCurve, tdp_w: int, power_limit_w: int) -> tuple[int, int]:
    """Share of full speed of a card of `tdp_w` at `power_limit_w`, as (numerator, denominator), above 0, at most 1.

    Interpolated on watts / TDP, flat above the last point, linear to 0 below the first [assumed].
    """
    position = power_limit_w * curve.tdp_w  # watts on the card the curve was measured on, times tdp_w
    below_w, below = 0, 0
    for watts, share in curve.points:
        here = milli(share)
        if position <= watts * tdp_w:
            width = (watts - below_w) * tdp_w
            return below * width + (here - below) * (position - below_w * tdp_w), 1000 * width
        below_w, below = watts, here
    return below, 1000


class Pace(NamedTuple):
    """One set of step times that may be true together, in ms: fixed, optimizer, per sample on the reference card."""

    fixed_ms: int
    optimizer_ms: int
    per_sample_ms: int


def paces(workload: Workload, end: End = "expected") -> tuple[Pace, ...]:
    """The step times to reckon with at one end: the slowest of them counts at the high end, the fastest at the low.

    Where the workload gives spreads of its times, their ends; or else one pace for every two measured steps of
    different micro-batch, rounded away from the middle, and the expected one.
    """
    expected = Pace(milli(workload.fixed_s), milli(workload.optimizer_s), milli(workload.per_sample_s))
    if end == "expected":
        return (expected,)
    if workload.has_spread("fixed_s", "optimizer_s", "per_sample_s"):
        at_end = (milli(workload.figure(name, end)) for name in ("fixed_s", "optimizer_s", "per_sample_s"))
        return (Pace(*at_end),)
    found = {expected}
    for fixed, per_sample, width in _measured_pairs(workload):
        if end == "high":
            fixed, per_sample = -(-fixed // width), -(-per_sample // width)
        else:
            fixed, per_sample = fixed // width, per_sample // width
        rest = max(0, fixed - expected.optimizer_ms)  # what was measured contains the optimizer
        found.add(Pace(rest, expected.optimizer_ms, max(1, per_sample)))
    return tuple(sorted(found))


def _measured_pairs(workload: Workload) -> list[tuple[int, int, int]]:
    """(fixed, per sample, width), fixed and per sample in ms * width, of two measured steps whose batches differ by it.

    From the guide's 25 or 30 s at 1 and 45, 51 or 60 s at 7: six pairs, fixed 19.2 to 27.5, per sample 2.5 to 5.8.
    Pairs that give a negative time are left out.
    """
    steps = [(step.micro_batch, milli(step.seconds)) for step in workload.measured_steps]
    pairs = []
    for few, shorter in steps:
        for many, longer in steps:
            width, per_sample = many - few, longer - shorter
            fixed = shorter * width - few * per_sample
            if width > 0 and per_sample >= 0 and fixed >= 0:
                pairs.append((fixed, per_sample, width))
    return pairs


def compute_shares(workload: Workload, end: End = "expected") -> tuple[int, ...]:
    """The shares bound by compute to reckon with at one end, in thousandths; which is slower depends on the card."""
    if end == "expected":
        return (milli(workload.compute_share),)
    return milli(workload.compute_share_low), milli(workload.compute_share_high)


def worst_of(end: End) -> Callable[[Iterable[int]], int]:
    """Which of several times counts at one end: the longest at the high one, else the shortest."""
    return max if end == "high" else min


def per_sample_us(
    card: Card, workload: Workload, power_limit_w: int, pace: Pace | None = None, end: End = "expected"
) -> int:
    """Time of one sample on the card, in whole microseconds (half up).

    per_sample(reference) * ((1 - k) + k * tflops(reference) / tflops(card)) / share(power limit), where k is the
    share of the time bound by GPU compute [assumed for the guide's job: 0.5, interval 0 to 1].
    """
    per_sample_ms = milli(workload.per_sample_s) if pace is None else pace.per_sample_ms
    return _per_sample_us(card, workload, power_limit_w, end)(per_sample_ms)


def _per_sample_us(card: Card, workload: Workload, power_limit_w: int, end: End) -> Callable[[int], int]:
    """The time of one sample on the card in microseconds, from that on the reference card in ms; see above."""
    num, den = power_share(card.power_curve or workload.power_curve, card.tdp_w, power_limit_w)
    reference, tflops = milli(workload.reference_tflops), milli(card.bf16_dense_tflops)
    ratios = [sample_ratio(1, k, reference, tflops, num, den) for k in compute_shares(workload, end)]
    worst = worst_of(end)

    def time(per_sample_ms: int) -> int:
        times = ((2 * per_sample_ms * above + below) // (2 * below) for above, below in ratios)
        return min(SLOWEST_SAMPLE_US, worst(times))

    return time


def sample_ratio(per_sample_ms: Any, k: Any, reference: Any, tflops: Any, num: Any, den: Any) -> tuple[Any, Any]:
    """The time of one sample in microseconds before rounding, as (above, below); whole numbers, or arrays of them.

    `k`, `reference` and `tflops` in thousandths; num / den is the share of full speed at the power limit.
    """
    return per_sample_ms * ((1000 - k) * tflops + k * reference) * den, tflops * num


def scaling_milli(workload: Workload, card_count: int) -> int:
    """f(n) in thousandths: the factor on the fixed part of a step with n cards; the last entry holds beyond."""
    factors = workload.card_scaling
    return milli(factors[min(card_count, len(factors)) - 1])


def pcie_gen(workload: Workload, known: int | None) -> int:
    """The generation of a card or platform as the workload reckons: its reference where it is not known."""
    reference = workload.reference_pcie_gen
    if reference is None:
        return TOP_GENERATION
    return reference if known is None else min(known, reference)


def fixed_us(workload: Workload, fixed_ms: int, card_count: int, generation: int) -> int:
    """Microseconds of the fixed part of a micro-step: fixed * f(n) * 2 ** (reference generation - generation).

    A generation of PCIe moves half of what the next does. What is faster than the reference is not credited: `fixed`
    holds more than transfers.
    """
    reference = workload.reference_pcie_gen
    slower = 0 if reference is None else max(0, reference - generation)
    return fixed_ms * scaling_milli(workload, card_count) << slower


def optimizer_us(workload: Workload, optimizer_ms: int, card_count: int, platform: Platform) -> int:
    """Microseconds of the optimizer on the host, once a step: optimizer * f(n) * reference bandwidth / the platform's.

    Rounded half up; where either bandwidth is not known, the factor is 1.
    """
    time = optimizer_ms * scaling_milli(workload, card_count)
    reference, here = workload.reference_host_bandwidth_gb_s, platform.host_memory_bandwidth_gb_s
    if reference is not None and here is not None:
        reference_milli, here_milli = milli(reference), milli(here)
        time = (2 * time * reference_milli + here_milli) // (2 * here_milli)
    return min(SLOWEST_OPTIMIZER_US, time)


def step_us(accumulation: int, fixed: int, batch_per_card: int, sample_us: int, optimizer: int) -> int:
    """Microseconds of one optimizer step: accumulation * (fixed + micro_batch * per_sample) + optimizer."""
    return accumulation * (fixed + batch_per_card * sample_us) + optimizer


def rig_step_us(
    card: Card,
    platform: Platform,
    workload: Workload,
    card_count: int,
    power_limit_w: int,
    batch_per_card: int,
    end: End = "expected",
) -> int:
    """Microseconds of one optimizer step of a rig at one end of the intervals."""
    generation = min(pcie_gen(workload, card.pcie_gen), pcie_gen(workload, platform.pcie_gen))
    fixed = fixed_us(workload, 1, card_count, generation)
    sample_us = _per_sample_us(card, workload, power_limit_w, end)
    return worst_of(end)(
        step_us(
            workload.gradient_accumulation,
            pace.fixed_ms * fixed,
            batch_per_card,
            sample_us(pace.per_sample_ms),
            optimizer_us(workload, pace.optimizer_ms, card_count, platform),
        )
        for pace in paces(workload, end)
    )


def total_batch(workload: Workload, card_count: int, batch_per_card: int) -> int:
    """Samples of one optimizer step: cards * micro_batch * accumulation."""
    return card_count * batch_per_card * workload.gradient_accumulation


def epoch_us(samples: int, total_batch: int, step: int) -> int:
    """Microseconds of an epoch: ceil(samples / total_batch) * step; `NEVER_US` without room for a sample."""
    if total_batch == 0:
        return NEVER_US
    return min(NEVER_US, -(-samples // total_batch) * step)


def dc_w(platform: Platform, card_count: int, power_limit_w: int) -> int:
    """Watts the power supply delivers, and the heat in the case: n * power_limit + host."""
    return card_count * power_limit_w + platform.host_draw_w


Segment = tuple[int | None, int, int, int]
"""(highest load in W or None, n, a, b): up to that load, mW at the wall = ceil(load * n / (a + b * load))."""


def wall_segments(psu: Psu) -> tuple[Segment, ...]:
    """The wall power of a supply as fractions of whole numbers, one segment per stretch of its efficiency curve.

    The efficiency is linear in the load between its points and flat beyond them. Gold 90/92/89, Platinum 92/94/90,
    Titanium 94/96/94 percent at 20/50/100 % load (80 PLUS, 230 V).
    """
    return _segments(psu.rated_w, psu.efficiency_points)


@lru_cache(maxsize=1000)
def _segments(rated_w: int, efficiency_points: tuple[tuple[Decimal, Decimal], ...]) -> tuple[Segment, ...]:
    points = [(Fraction(load) * rated_w / 100, Fraction(percent)) for load, percent in efficiency_points]
    stretches = [(points[0][0], points[0][1], Fraction(0))]
    for (low, at_low), (high, at_high) in itertools.pairwise(points):
        slope = (at_high - at_low) / (high - low)
        stretches.append((high, at_low - slope * low, slope))
    segments: list[Segment] = []
    for highest, constant, slope in (*stretches, (None, points[-1][1], Fraction(0))):
        common = math.lcm(constant.denominator, slope.denominator)
        n, a, b = 100_000 * common, int(constant * common), int(slope * common)
        shared = math.gcd(n, a, b)
        segments.append((None if highest is None else math.floor(highest), n // shared, a // shared, b // shared))
    return tuple(segments)


def wall_mw(psu: Psu, load_w: int) -> int:
    """Milliwatts at the wall for a load in W: load / efficiency(load / rated), rounded up."""
    for highest, n, a, b in wall_segments(psu):
        if highest is None or load_w <= highest:
            return -(-load_w * n // (a + b * load_w))
    raise AssertionError("the last segment has no highest load")


def psu_demand_mw(platform: Platform, card_count: int, power_limit_w: int) -> int:
    """Milliwatts the power supply must be rated for: host * host_headroom + cards * card_headroom (transients)."""
    psu = platform.psu
    return platform.host_draw_w * milli(psu.host_headroom) + card_count * power_limit_w * milli(psu.card_headroom)


def airflow_mw(platform: Platform) -> int:
    """Milliwatts of heat the case's airflow removes: CFM * delta_T / 1.75, rounded down."""
    return math.floor(Fraction(platform.airflow_cfm) * Fraction(platform.air_delta_t_c) * 1000 / CFM_CELSIUS_PER_W)


def cards_fed(card: Card, platform: Platform) -> int | None:
    """How many such cards the power supply has cables for; None for any number, or where either is not known."""
    have = platform.psu.connectors
    if have is None or not card.power_connectors:
        return None
    if any(not any(alternative.values()) for alternative in card.power_connectors):
        return None  # fed through the slot alone
    return max(
        min(have.get(kind, 0) // need for kind, need in alternative.items() if need)
        for alternative in card.power_connectors
    )


def host_ram_capacity_mib(platform: Platform) -> int:
    """Host RAM of the platform in MiB."""
    return mib_down(platform.host_ram_gb)
