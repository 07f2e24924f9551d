"""The three fits of a calibration: time of a step, memory of a card, RAM of the host. Each tells what it cannot tell.

Seconds of a step: `accumulation * (f * fixed + micro_batch * per_sample) + f * optimizer`; MiB of a card:
`fixed + sharded / cards + micro_batch * per_sample`; GB of the host: `held + extra * (cards - 1)`: the formulas of
domain/physics.py, linear in their unknowns. Modify this module when a workload has another figure that a log can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

from solver.domain.base import End
from solver.domain.language import say
from solver.domain.physics import paces, scaling_milli
from solver.domain.workload import Workload
from solver.estimate.ends import GIB, Ends, rounded
from solver.estimate.least_squares import Solution, fit, rank, t_quantile
from solver.estimate.measured import Figure, Part, Residual, Row

CONFIDENCE = 0.95
"""Share of the intervals that hold the truth, where the rows scatter as the normal distribution does."""
SUSPICIOUS = 0.05
"""A row is an outlier where one so far off is to be expected in fewer than this share of logs of that length."""
MIB = Fraction(1, 1024)


def _solved(
    part: Part, rows: Sequence[Row], columns: Callable[[Row], list[Fraction]], values: Callable[[Row], Fraction]
) -> Solution:
    design, measured = [columns(row) for row in rows], [values(row) for row in rows]
    solution = fit(design, measured)
    part.freedom = solution.freedom
    limit = t_quantile(1 - SUSPICIOUS / len(rows), solution.freedom - 1) if solution.freedom > 1 else None
    part.residuals = [
        Residual(row.place, float(value), float(value - off), limit is not None and t is not None and abs(t) > limit)
        for row, value, off, t in zip(rows, measured, solution.residuals, solution.studentized, strict=True)
    ]
    return solution


def _ends(solution: Solution, index: int, scale: Fraction, kept: Ends | None) -> Ends:
    """The interval of one value: by Student's t, or, where the fit is exact, as wide in proportion as the base's."""
    value = solution.values[index] * scale
    if solution.errors is not None:
        off = Fraction(t_quantile(CONFIDENCE, solution.freedom) * solution.errors[index]) * scale
        return Ends(value - off, value, value + off)
    if kept is None or kept.expected == 0:
        return Ends(value, value, value)
    return Ends(value * kept.low / kept.expected, value, value * kept.high / kept.expected)


def _figure(name: str, ends: Ends, places: int, least: Decimal = Decimal(0)) -> Figure:
    low, expected, high = rounded(ends, places, least)
    return Figure(name, min(low, expected), expected, max(expected, high))


def _kept(base: Workload, name: str) -> Ends:
    """The base's figure with its ends; of the times also where they come from measured steps."""
    expected = Fraction(base.figure(name))
    at = {"fixed_s": "fixed_ms", "optimizer_s": "optimizer_ms", "per_sample_s": "per_sample_ms"}.get(name)
    if at is None:
        return Ends(Fraction(base.figure(name, "low")), expected, Fraction(base.figure(name, "high")))

    def ends(end: End) -> list[Fraction]:
        return [Fraction(getattr(pace, at), 1000) for pace in paces(base, end)]

    return Ends(min(*ends("low"), expected), expected, max(*ends("high"), expected))


def _exact_fit(part: Part) -> None:
    if part.freedom == 0:
        part.notes.append(
            say("as many rows as unknowns: they say nothing of their own spread; the base's is kept in proportion")
        )


def time_of(base: Workload, rows: Sequence[Row]) -> Part:
    """Fixed, per-sample and optimizer time of a step.

    The optimizer is told apart from the fixed time only by rows of different accumulation. Rows for the range only are
    among the part's rows, not among its residuals.
    """
    part = Part("seconds", "s")
    told = [row for row in rows if row.seconds is not None and row.micro_batch is not None]
    part.rows = [row for row in told if row.used == "fit"]
    if not part.rows:
        return part

    def f(row: Row) -> Fraction:
        return Fraction(scaling_milli(base, row.cards), 1000)

    def two(row: Row) -> list[Fraction]:
        return [row.accumulation * f(row), Fraction(row.accumulation * (row.micro_batch or 0))]

    def three(row: Row) -> list[Fraction]:
        return [*two(row), f(row)]

    def seconds(row: Row) -> Fraction:
        return Fraction(row.seconds or 0)

    if rank([two(row) for row in part.rows]) < 2:
        part.notes.append(
            say("one batch size only: fixed and per-sample time cannot be told apart; kept from the base")
        )
        return part
    optimizer: Fraction | None = Fraction(base.optimizer_s)
    solution = None
    if rank([three(row) for row in part.rows]) == 3:
        solution = _solved(part, part.rows, three, seconds)
        optimizer = None
        if solution.values[2] < 0:
            solution, optimizer = None, Fraction(0)
            part.notes.append(say("the time of the optimizer would be below 0; taken as 0, inside the fixed time"))
    elif optimizer:
        part.notes.append(
            say(
                "one number of micro-steps only: fixed and optimizer time cannot be told apart; "
                "{s} s kept from the base",
                s=base.optimizer_s,
            )
        )
    if solution is None:
        solution = _without(part, two, seconds, f, optimizer or Fraction(0))
        if solution.values[0] < 0 and optimizer:
            part.notes[-1:] = [
                say("one number of micro-steps only: the optimizer's time is taken to be inside the fixed time")
            ]
            optimizer = Fraction(0)
            solution = _without(part, two, seconds, f, optimizer)
    if solution.values[0] < 0 or solution.values[1] <= 0:
        part.notes.append(
            say(
                "a step of {fixed} s and {sample} s a sample would come out, which cannot be; kept from the base",
                fixed=f"{float(solution.values[0]):.3g}",
                sample=f"{float(solution.values[1]):.3g}",
            )
        )
        return part
    names = ("fixed_s", "per_sample_s", *(("optimizer_s",) if optimizer is None else ()))
    for index, name in enumerate(names):
        least = Decimal("0.001") if name == "per_sample_s" else Decimal(0)
        part.figures[name] = _figure(name, _ends(solution, index, Fraction(1), _kept(base, name)), 3, least)
    if optimizer is not None and optimizer != Fraction(base.optimizer_s):
        part.figures["optimizer_s"] = _figure("optimizer_s", Ends(optimizer, optimizer, optimizer), 3)
    if any(row.used == "range" for row in told):
        part.rows = told  # the interval is that of all of them
    else:
        _exact_fit(part)
    return part


def _without(
    part: Part,
    columns: Callable[[Row], list[Fraction]],
    seconds: Callable[[Row], Fraction],
    f: Callable[[Row], Fraction],
    optimizer: Fraction,
) -> Solution:
    """The fit of what is left of the steps without the optimizer's time."""
    solution = _solved(part, part.rows, columns, lambda row: seconds(row) - f(row) * optimizer)
    part.residuals = [
        Residual(r.place, r.measured + float(f(row) * optimizer), r.fitted + float(f(row) * optimizer), r.outlier)
        for r, row in zip(part.residuals, part.rows, strict=True)
    ]
    return solution


def memory_of(base: Workload, rows: Sequence[Row]) -> Part:
    """Fixed and per-sample memory of a card, and what the cards share where the base has such and counts differ."""
    part = Part("gpu_mib", "MiB")
    part.rows = [row for row in rows if row.gpu_mib is not None and row.micro_batch is not None and row.used == "fit"]
    if not part.rows:
        return part

    def two(row: Row) -> list[Fraction]:
        return [Fraction(1), Fraction(row.micro_batch or 0)]

    def three(row: Row) -> list[Fraction]:
        return [*two(row), Fraction(1, row.cards)]

    if rank([two(row) for row in part.rows]) < 2:
        part.notes.append(
            say("one batch size only: fixed and per-sample memory cannot be told apart; kept from the base")
        )
        return part
    sharded = Fraction(base.sharded_gb)
    if sharded and rank([three(row) for row in part.rows]) == 3:
        solution = _solved(part, part.rows, three, lambda row: Fraction(row.gpu_mib or 0))
        if solution.values[2] >= 0:
            part.figures["sharded_gb"] = _figure("sharded_gb", _ends(solution, 2, MIB, _kept(base, "sharded_gb")), 10)
    elif sharded:
        part.notes.append(
            say(
                "one number of cards only: what they share cannot be told; {gb} GB kept from the base",
                gb=round(base.sharded_gb, 3),
            )
        )
    if "sharded_gb" not in part.figures:
        solution = _solved(part, part.rows, two, lambda row: Fraction(row.gpu_mib or 0) - sharded / MIB / row.cards)
    if solution.values[0] < 0 or solution.values[1] <= 0:
        part.figures = {}
        part.notes.append(
            say(
                "{fixed} MiB and {sample} MiB a sample would come out, which cannot be; kept from the base",
                fixed=f"{float(solution.values[0]):.4g}",
                sample=f"{float(solution.values[1]):.4g}",
            )
        )
        return part
    part.figures["per_sample_gb"] = _figure(
        "per_sample_gb", _ends(solution, 1, MIB, _kept(base, "per_sample_gb")), 10, Decimal("0.0009765625")
    )
    own = [_kept(base, name) for name in ("weights_gb", "buffers_gb", "reserve_gb")]
    whole = Ends(*(sum((ends[i] for ends in own), Fraction(0)) for i in range(3)))
    for figure in _divided(base, _ends(solution, 0, MIB, whole)):
        part.figures[figure.name] = figure
    _exact_fit(part)
    return part


def _divided(base: Workload, fixed: Ends) -> list[Figure]:
    """The fixed memory as weights, buffers and reserve: reserve and weights as the base has them, the rest buffers.

    What was measured contains the CUDA context, which the reserve stands for. Only the sum is told by the rows; its
    interval goes to the buffers.
    """
    reserve = min(Fraction(base.reserve_gb), fixed.expected)
    weights = min(Fraction(base.weights_gb), fixed.expected - reserve)
    taken = reserve + weights
    buffers = Ends(max(Fraction(0), fixed.low - taken), fixed.expected - taken, fixed.high - taken)
    return [
        _figure("weights_gb", Ends(weights, weights, weights), 10),
        _figure("buffers_gb", buffers, 10),
        _figure("reserve_gb", Ends(reserve, reserve, reserve), 10),
    ]


def host_of(base: Workload, rows: Sequence[Row]) -> Part:
    """Host RAM with one card, and of each further one."""
    part = Part("host_gb", "GB")
    part.rows = [row for row in rows if row.host_gb is not None and row.used == "fit"]
    if not part.rows:
        return part
    extra = Fraction(base.host_ram_per_extra_card_gb)
    loads = base.host_ram_bytes_per_parameter == 0  # nothing offloaded: only loading takes host RAM
    head: Callable[[Row], Fraction] = (lambda row: Fraction(row.cards)) if loads else (lambda _: Fraction(1))

    def both(row: Row) -> list[Fraction]:
        return [head(row), Fraction(row.cards - 1)]

    solution = None
    if rank([both(row) for row in part.rows]) == 2:
        solution = _solved(part, part.rows, both, lambda row: Fraction(row.host_gb or 0))
        if solution.values[1] < 0:
            solution, extra = None, Fraction(0)
            part.notes.append(say("a further card would take less than nothing of the host; taken as nothing"))
    else:
        part.notes.append(
            say(
                "one number of cards only: what a further card takes of the host cannot be told; "
                "{gb} GB kept from the base",
                gb=base.host_ram_per_extra_card_gb,
            )
        )
    kept_extra = solution is None
    if solution is None:
        solution = _solved(
            part, part.rows, lambda row: [head(row)], lambda row: Fraction(row.host_gb or 0) - extra * (row.cards - 1)
        )
    if solution.values[0] < 0:
        part.figures = {}
        part.notes.append(say("less than nothing would come out for the host; kept from the base"))
        return part
    if loads:
        name, scale, places = "host_ram_per_card_gb", Fraction(1), 10
    else:
        name, scale, places = "host_ram_bytes_per_parameter", Fraction(GIB, base.parameters), 3
    part.figures[name] = _figure(name, _ends(solution, 0, scale, _kept(base, name)), places)
    name = "host_ram_per_extra_card_gb"
    if not kept_extra:
        part.figures[name] = _figure(name, _ends(solution, 1, Fraction(1), _kept(base, name)), 10)
    elif extra != Fraction(base.host_ram_per_extra_card_gb):
        part.figures[name] = _figure(name, Ends(extra, extra, extra), 10)
    _exact_fit(part)
    return part
