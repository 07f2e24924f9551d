"""Compare the solver with the oracle on random problems: `python -m tests.oracle_run --cases 1000000 --jobs 2`.

Case i is drawn from seed + i, so `--cases 1 --seed N` repeats the case that a mismatch names. Exit 1 on a mismatch.
Every case is held against the oracle in three ways: the answer (status, choice with all ties, figures, objective and
bound), every k-th also without pruning, and the figures and broken limits of a few rigs that were not chosen.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

from solver.domain.catalog import Catalog
from solver.domain.goals import GOAL_SPECS
from solver.domain.limits import Figures
from solver.domain.plan import Choice, Plan, Result
from solver.domain.problem import Limits, Problem, Site
from solver.domain.recheck import broken, figures_of
from solver.solve import Options, optimize
from tests import oracle
from tests.builders import random_problem

CHUNK = 50
RIGS_PER_CASE = 6
US_PER_HOUR = 3_600_000_000
MOST_SHOWN = 5


class Mismatch(NamedTuple):
    """A case on which solver and oracle disagree, and how."""

    seed: int
    differences: tuple[str, ...]


def differences(problem: Problem, prune: bool = True, right: oracle.Verdict | None = None) -> list[str]:
    """How the solver's answer differs from the oracle's (`right`, if known already); empty if it is right."""
    right = right or oracle.best(problem)
    try:
        result = optimize(problem, Options(time_limit_s=None, workers=1, prune=prune))
    except Exception as error:  # whatever it is, it is no answer
        return [f"{type(error).__name__}: {error}"]
    return list(_differences(problem, right, result))


def _differences(problem: Problem, right: oracle.Verdict, result: Result) -> Iterator[str]:
    if result.status != right.status:
        yield f"status: {result.status}, should be {right.status} {right.choice or ''}"
        return
    plan = result.plan
    if right.choice is None or plan is None:
        for what, value in (("plan", plan), ("objective", result.objective), ("bound", result.bound)):
            if (value is None) != (right.choice is None):
                yield f"{what}: {value} for {right}"
        return
    chosen = plan.choice
    pair = oracle.pair_of(problem, right.choice)
    assert right.cost_fen is not None
    assert right.total_batch is not None
    assert right.epoch_us is not None
    objective = GOAL_SPECS[problem.goal].objective(right.total_batch, right.cost_fen, right.epoch_us)
    exact: list[tuple[str, object, object]] = [
        ("choice", _tuple(chosen), right.choice),
        ("objective", result.objective, objective),
        ("bound", result.bound, objective),
        ("plan.cost_cny", Fraction(plan.cost_cny) * 100, right.cost_fen),
        ("plan.order", sum(Fraction(line.total_cny) for line in plan.order) * 100, right.cost_fen),
        ("plan.total_batch", plan.total_batch, right.total_batch),
        ("plan.micro_batch", plan.micro_batch, pair.micro_batch),
        ("plan.wall_power_w", plan.wall_power_w, pair.wall_mw / 1000),
        ("plan.heat_w", plan.heat_w, pair.heat_w),
    ]
    exact += _ends(problem, plan, pair)
    if right.epoch_us < oracle.NEVER:
        exact.append(
            ("plan.epoch_hours", getattr(plan.epoch_hours, problem.confidence), round(right.epoch_us / US_PER_HOUR, 6))
        )
    yield from (f"{what}: {ours}, should be {theirs}" for what, ours, theirs in exact if ours != theirs)
    if not plan.epoch_hours.low <= plan.epoch_hours.expected <= plan.epoch_hours.high:
        yield f"plan.epoch_hours: {plan.epoch_hours} does not hold its expected value"
    yield from (f"usage: {row} is over" for row in result.usage if row.headroom < 0)


def _ends(problem: Problem, plan: Plan, pair: oracle.Pair) -> Iterator[tuple[str, object, object]]:
    """What the plan says of all ends of its figures, and what is right."""
    work, n, micro = problem.workload, pair.card_count, pair.micro_batch
    card, platform = problem.catalog.card_by_id[pair.card_id], problem.catalog.platform_by_id[pair.platform_id]
    fewest = {"low": "high", "high": "low"}
    for end in ("low", "expected", "high"):
        step = oracle.step_us(work, card, platform, n, micro, pair.power_limit_w, end)
        fits = oracle.micro_batch(card, work, n, fewest.get(end, end))
        yield f"plan.step_seconds.{end}", getattr(plan.step_seconds, end), round(step / 10**6, 6)
        yield f"plan.micro_batch_range.{end}", getattr(plan.micro_batch_range, end), fits
        memory = oracle.taken_mib(work, n, micro, end), oracle.host_ram_mib(work, n, end)
        yield f"plan.card_memory_gb.{end}", getattr(plan.card_memory_gb, end), round(memory[0] / 1024, 2)
        yield f"plan.host_memory_gb.{end}", getattr(plan.host_memory_gb, end), round(memory[1] / 1024, 2)


def _tuple(choice: Choice) -> oracle.ChoiceTuple:
    return (choice.card_id, choice.card_count, choice.power_limit_w, choice.platform_id, choice.with_used)


def rig_differences(problem: Problem, pair: oracle.Pair) -> list[str]:
    """How the plain recomputation of one rig (`figures_of`, `broken`) differs from the oracle's."""
    choice = Choice(
        card_id=pair.card_id,
        card_count=pair.card_count,
        power_limit_w=pair.power_limit_w,
        platform_id=pair.platform_id,
        with_used=pair.with_used,
    )
    figures: Figures = figures_of(problem, choice)
    limits = {row.limit for row in broken(problem, figures)}
    compared = [
        ("cost_fen", figures.cost_fen, pair.cost_fen),
        ("total_batch", figures.total_batch, pair.total_batch),
        ("epoch_us", figures.epoch_us, pair.epoch_us),
        ("wall_mw", figures.wall_mw, pair.wall_mw),
        ("heat_mw", figures.heat_mw, pair.heat_w * 1000),
        ("psu_demand_mw", figures.psu_demand_mw, pair.psu_demand_mw),
        ("host_ram_mib", figures.host_ram_mib, pair.host_ram_mib),
        ("missing_cards", figures.missing_cards, pair.missing),
        ("used_cards", figures.used_cards, pair.used),
        ("broken limits", sorted(limits), sorted(pair.violated)),
    ]
    return [f"{what} of {pair.choice}: {ours}, should be {right}" for what, ours, right in compared if ours != right]


def check_case(seed: int, no_prune: bool, rigs: int = RIGS_PER_CASE) -> Mismatch | None:
    """Draw the case of this seed and compare."""
    rng = random.Random(seed)
    problem = random_problem(rng)
    pairs = list(oracle.every_pair(problem))
    right = oracle.best_of(problem, pairs)
    found = differences(problem, True, right)
    if no_prune:
        found += [f"without pruning: {text}" for text in differences(problem, False, right)]
    for pair in rng.sample(pairs, min(rigs, len(pairs))):
        found += rig_differences(problem, pair)
    return Mismatch(seed, tuple(found)) if found else None


def all_differences(problem: Problem) -> list[str]:
    """Every comparison of one problem: the answer, the answer without pruning, all rigs."""
    rigs = (text for pair in oracle.every_pair(problem) for text in rig_differences(problem, pair))
    return [*differences(problem), *differences(problem, prune=False), *rigs]


def minimal(problem: Problem, wrong: Callable[[Problem], bool]) -> Problem:
    """Take away cards, platforms, offers and limits, one by one, as long as the problem stays `wrong`."""
    smaller: Problem | None = problem
    while smaller is not None:
        problem = smaller
        smaller = next((copy for copy in _simpler(problem) if wrong(copy)), None)
    return problem


def _simpler(problem: Problem) -> Iterator[Problem]:
    catalog = problem.catalog
    named = {*problem.limits.include, *problem.limits.exclude}
    for item in (*catalog.card_by_id, *catalog.platform_by_id):
        if item not in named:
            cards = tuple(c for c in catalog.cards if c.id != item)
            platforms = tuple(p for p in catalog.platforms if p.id != item)
            offers = tuple(o for o in catalog.offers if o.item_id != item)
            yield _changed(problem, catalog=Catalog(cards=cards, platforms=platforms, offers=offers))
    for offer in catalog.offers:
        offers = tuple(o for o in catalog.offers if o is not offer)
        yield _changed(problem, catalog=Catalog(cards=catalog.cards, platforms=catalog.platforms, offers=offers))
    for name, usual in (*Limits(max_cards=8, allow_used=True),):
        if getattr(problem.limits, name) != usual:
            yield _changed(problem, limits=Limits.model_validate(dict(problem.limits) | {name: usual}))
    loose = Site.model_validate({"socket_amps": 1000, "socket_volts": 1000})
    if problem.site != loose:
        yield _changed(problem, site=loose)


def _changed(problem: Problem, **changes: object) -> Problem:
    return Problem.model_validate({name: getattr(problem, name) for name in Problem.model_fields} | changes)


def _check_chunk(chunk: tuple[int, int, int]) -> list[Mismatch]:
    start, end, no_prune_every = chunk
    found = (check_case(seed, no_prune_every > 0 and seed % no_prune_every == 0) for seed in range(start, end))
    return [mismatch for mismatch in found if mismatch is not None]


def main(arguments: list[str] | None = None) -> int:
    """Run the comparison; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle_run", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--no-prune-every", type=int, default=10, metavar="K", help="every K-th case also unpruned; 0: none"
    )
    options = parser.parse_args(arguments)
    end = options.seed + options.cases
    chunks = [(at, min(at + CHUNK, end), options.no_prune_every) for at in range(options.seed, end, CHUNK)]
    mismatches: list[Mismatch] = []
    started = told = time.monotonic()
    done = 0
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for found in pool.imap_unordered(_check_chunk, chunks):
            done = min(done + CHUNK, options.cases)
            for mismatch in found:
                mismatches.append(mismatch)
                if len(mismatches) <= MOST_SHOWN:
                    print(f"mismatch at seed {mismatch.seed}: {'; '.join(mismatch.differences)}", flush=True)
            now = time.monotonic()
            if now - told > 10:
                told = now
                rate = done / (now - started)
                print(
                    f"{done} of {options.cases}, {rate:.0f}/s, {len(mismatches)} mismatches",
                    file=sys.stderr,
                    flush=True,
                )
    seconds = time.monotonic() - started
    print(
        f"{options.cases} cases from seed {options.seed}, {options.cases / seconds:.0f}/s: {len(mismatches)} mismatches"
    )
    for mismatch in mismatches[:1]:
        problem = random_problem(random.Random(mismatch.seed))
        small = minimal(problem, lambda copy: bool(all_differences(copy)))
        print(f"seed {mismatch.seed}, as small as it gets:\n{small.model_dump_json(exclude_defaults=True)}")
        print("\n".join(all_differences(small)))
    if mismatches:
        print("seeds:", " ".join(str(mismatch.seed) for mismatch in sorted(mismatches)[:100]))
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
