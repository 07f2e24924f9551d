"""The chapters of a run of what-if scenarios: which rig wins where, how figures are spread, what failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from solver.domain.language import say
from solver.report.charts.canvas import NARROW, WIDE
from solver.report.charts.heatmap import heatmap_chart, rigs_of
from solver.report.charts.spread import figure_name, figure_told, spread_chart
from solver.report.charts.wins import wins_chart
from solver.report.document.chapter import Chapter, Fact, Report
from solver.report.document.record import run_record
from solver.report.explained.sections import Section
from solver.report.wording import duration, money
from solver.sweep.story import RunStory

MOST_WINNERS = 40
QUANTILES = ("min", "p5", "median", "p95", "max")


def run_report(story: RunStory) -> Report:
    """The report of a run, in the language in force."""
    counts, summary = story.counts, story.summary
    open_, broken = story.run.total - counts.done, counts.broken
    verdict = say("{done} of {total} scenarios answered", done=f"{counts.done:,}", total=f"{story.run.total:,}")
    if counts.failed:
        verdict += "; " + say("{count} failed", count=f"{counts.failed:,}")
    if summary["expectations"]["checked"]:
        checked = summary["expectations"]["checked"]
        held = say("{held} of {checked} as expected", held=f"{checked - broken:,}", checked=f"{checked:,}")
        verdict += "; " + held
    return Report(
        kind="run",
        title=say("What-if run {run}", run=story.run.run_id),
        headline=_headline(summary),
        verdict=verdict,
        good=not (open_ or counts.failed or broken),
        facts=tuple(_facts(story)),
        chapters=tuple(_chapters(story)),
        record=run_record(story),
        footer=tuple(_footer(story)),
    )


def _headline(summary: Mapping[str, Any]) -> str:
    winners = summary["winners"]
    if not winners:
        return say("No scenario has a plan.")
    first = winners[0]
    rig = f"{first['card_count']}x {first['card_id']}"
    if len(winners) == 1:
        return say("One rig wins everywhere: {rig} on {platform}.", rig=rig, platform=first["platform_id"])
    return say(
        "{rig} on {platform} wins most often: in {share} of the scenarios with a plan; {count} rigs win somewhere.",
        rig=rig,
        platform=first["platform_id"],
        share=f"{first['share']:.1%}",
        count=len(winners),
    )


def _facts(story: RunStory) -> Iterator[Fact]:
    counts, stable = story.counts, story.summary["stability"]
    proved = say("proved: no rig fits") if counts.infeasible else ""
    yield Fact(say("scenarios"), f"{counts.done:,}", "counts.done", say("of {total}", total=f"{story.run.total:,}"))
    yield Fact(say("without a plan"), f"{counts.infeasible:,}", "counts.infeasible", proved)
    yield Fact(say("failed"), f"{counts.failed:,}", "counts.failed")
    changes = say("{count} changes of rig along the file", count=f"{stable['changes_along_the_file']:,}")
    yield Fact(say("rigs that win"), f"{stable['rigs']:,}", "summary.stability.rigs", changes)


def _chapters(story: RunStory) -> Iterator[Chapter]:
    summary = story.summary
    if summary["failed"]:
        rows = [(each["name"], each["error"]) for each in summary["failed"]]
        note = ""
        if story.counts.failed > len(rows):
            note = say("and {count} more", count=f"{story.counts.failed - len(rows):,}")
        failed = Section(say("Scenarios that failed"), (say("scenario"), say("error")), rows, note)
        yield Chapter("failed", say("Failures"), sections=(failed,))
    expected = summary["expectations"]
    if expected["checked"]:
        yield _expectations(expected)
    maps = (*story.maps, *story.strips)
    if maps:
        rigs = rigs_of(maps)
        charts = tuple(
            (heatmap_chart(matrix, rigs, i, WIDE), heatmap_chart(matrix, rigs, i, NARROW))
            for i, matrix in enumerate(maps, 1)
        )
        yield Chapter("maps", say("Which rig wins where"), wide=charts)
    if summary["winners"]:
        wins = (wins_chart(summary, WIDE), wins_chart(summary, NARROW))
        yield Chapter("winners", say("Which rig wins how often"), wide=(wins,), sections=(_winners(summary),))
        spreads = tuple(spread_chart(each, summary["spread"][each.name]) for each in story.distributions)
        yield Chapter("spread", say("How cost, batch and epoch are spread"), charts=spreads, sections=(_spread(story),))
    states = [(status, f"{count:,}") for status, count in summary["by_status"].items()]
    answered = [(by, f"{count:,}") for by, count in summary["answered_by"].items()]
    yield Chapter(
        "answers",
        say("How it was answered"),
        sections=(
            Section(say("Status of the scenarios"), (say("status"), say("scenarios")), states),
            Section(say("Answered by"), (say("by"), say("scenarios")), answered),
        ),
    )


def _expectations(expected: Mapping[str, Any]) -> Chapter:
    held = expected["checked"] - expected["broken"]
    text = say("{held} of {checked} scenarios are as expected.", held=f"{held:,}", checked=f"{expected['checked']:,}")
    rows = [(each["name"], each["broken"]) for each in expected["first"]]
    sections: tuple[Section, ...] = ()
    if rows:
        more = expected["broken"] - len(rows)
        note = say("and {count} more", count=f"{more:,}") if more > 0 else ""
        sections = (Section(say("Not as expected"), (say("scenario"), say("what does not hold")), rows, note),)
    return Chapter("expectations", say("Expectations"), text=(text,), sections=sections)


def _winners(summary: Mapping[str, Any]) -> Section:
    winners = summary["winners"]
    budgets = any(each["budget_cny"] for each in winners)
    rows = []
    for each in winners[:MOST_WINNERS]:
        cells = [
            f"{each['card_count']}x {each['card_id']}",
            each["platform_id"],
            f"{each['wins']:,}",
            f"{each['share']:.1%}",
            _between(each["cost_cny"], money),
            _between(each["total_batch"], str),
            _between(each["epoch_hours"], duration),
            _between(each["power_limit_w"], str),
        ]
        if budgets:
            cells.append(_between(each["budget_cny"], money) if each["budget_cny"] else "")
        rows.append(tuple(cells))
    columns = [say("rig"), say("platform"), say("wins"), say("share"), say("CNY"), say("batch"), say("epoch")]
    columns += [say("W each"), *([say("at budgets")] if budgets else [])]
    more = len(winners) - MOST_WINNERS
    note = say("and {count} more rigs", count=f"{more:,}") if more > 0 else ""
    return Section(say("Every rig that wins somewhere"), tuple(columns), rows, note)


def _between(values: Any, form: Any) -> str:
    low, high = (form(value) for value in values)
    return low if low == high else say("{low} to {high}", low=low, high=high)


def _spread(story: RunStory) -> Section:
    spread = story.summary["spread"]
    rows = [
        (figure_name(name), *(figure_told(name, spread[name][key]) for key in (*QUANTILES, "mean")))
        for name in spread
        if spread[name] is not None
    ]
    columns = (say("figure"), say("least"), "5 %", say("median"), "95 %", say("most"), say("mean"))
    return Section(say("Spread over all plans"), columns, rows)


def _footer(story: RunStory) -> Iterator[str]:
    run = story.run
    yield say(
        "Fingerprint: file {file} ({input}), catalogue {catalogue}; solver {solver}, OR-Tools {ortools}",
        file=run.input_name,
        input=run.input_sha256,
        catalogue=run.catalog_sha256,
        solver=run.solver_version,
        ortools=run.ortools_version,
    )
    yield say(
        "Run {run}, begun {when} (UTC) by {who}.", run=run.run_id, when=_moment(run.created_at), who=run.requested_by
    )


def _moment(text: str) -> str:
    return text[:19].replace("T", " ")
