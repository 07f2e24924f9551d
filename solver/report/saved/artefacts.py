"""All files of a saved answer as bytes, each made from the one `Saved` record; nothing is written here.

Equal records give equal bytes. Modify this module to add a file: one line in `artefacts`, its name in layout.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from solver import __version__
from solver.catalog import question_of
from solver.catalog.question_file import question_text
from solver.domain.language import say, speaking
from solver.domain.plan import Plan, Result
from solver.report.facts import plan_title
from solver.report.json_form import (
    SCHEMA_VERSION,
    alternatives_object,
    dumps,
    explanation_object,
    frontier_object,
    result_object,
)
from solver.report.saved import layout
from solver.report.saved.order import order_csv, order_xlsx, written_at
from solver.report.saved.power import has_script, power_script
from solver.report.saved.record import EMPTY, Saved
from solver.report.saved.training import ds_config
from solver.report.wording import money

_QUESTION_HEAD = """\
# The whole question of this saved answer, its catalogue and prices included.
# Ask it again with: solver-cli optimize --problem problem.yaml
"""


def artefacts(saved: Saved) -> dict[str, bytes]:
    """The files by name, in the order of layout.NAMES; those that the answer has nothing for are left out.

    Raises:
        InvalidProblem: the global batch does not go with the plan, or SOURCE_DATE_EPOCH is no time.
    """
    saved = _settled(saved)
    with speaking(saved.language):
        found = {
            layout.PLAN: _json(plan_document(saved)),
            layout.EXPLAIN: _json(explanation_object(saved.explanation)),
        }
        if saved.frontier is not None:
            found[layout.FRONTIER] = _json(frontier_object(saved.frontier))
        if saved.result.plan is not None:
            found |= derived(saved, saved.result.plan)
        found[layout.QUESTION] = question_text(question_of(saved.problem, EMPTY), _QUESTION_HEAD).encode()
        found[layout.README] = readme(saved, found).encode()
    ordered = {name: found[name] for name in layout.NAMES if name in found}
    return {**ordered, layout.MANIFEST: _json(_manifest(saved, ordered))}


def plan_document(saved: Saved) -> dict[str, object]:
    """What `optimize --format json` prints."""
    extra = {"alternatives": alternatives_object(saved.top)} if saved.top_asked else {}
    return {**result_object(saved.result), **extra}


def derived(saved: Saved, plan: Plan) -> dict[str, bytes]:
    """The files that follow from a plan alone."""
    found = {
        layout.ORDER_SHEET: order_xlsx(plan, written_at(saved.as_of)),
        layout.ORDER_TABLE: order_csv(plan),
        layout.TRAINING: _json(ds_config(saved.problem, plan, saved.global_batch)),
    }
    if has_script(saved.problem, plan):
        found[layout.POWER] = power_script(saved.problem, plan).encode()
    return found


def sha256(data: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(data).hexdigest()


def _manifest(saved: Saved, files: Mapping[str, bytes]) -> dict[str, object]:
    return {
        "schema_version": SCHEMA_VERSION,
        "solver_version": __version__,
        "as_of": saved.as_of.isoformat(),
        "language": saved.language,
        "global_batch": saved.global_batch,
        "files": {name: sha256(data) for name, data in files.items()},
    }


def _json(document: object) -> bytes:
    return (dumps(document) + "\n").encode()


def _settled(saved: Saved) -> Saved:
    """The record without the times it took, where files must be the same on every run."""
    if layout.source_date() is None:
        return saved

    def settled(result: Result) -> Result:
        statistics = result.statistics.model_copy(update={"solve_ms": 0.0, "total_ms": 0.0})
        return result.model_copy(update={"statistics": statistics})

    explanation = saved.explanation
    changes: dict[str, object] = {
        "result": settled(saved.result),
        "explanation": explanation.model_copy(update={"result": settled(explanation.result), "total_ms": 0.0}),
    }
    if saved.frontier is not None:
        changes["frontier"] = saved.frontier.model_copy(update={"total_ms": 0.0})
    return saved.model_copy(update=changes)


def readme(saved: Saved, files: Mapping[str, object]) -> str:
    """What each file is, for whoever opens the folder; told of the files that are there."""
    plan = saved.result.plan
    told = {
        layout.PLAN: say("the answer: the rig, every figure of it, headroom per limit, warnings, fingerprint"),
        layout.EXPLAIN: say("why: what binds, price ranges, alternatives, every card accounted for"),
        layout.FRONTIER: say("the trade-off curve around the answer"),
        layout.ORDER_SHEET: say("the order list, a line per offer; amounts are text, convert them before adding"),
        layout.ORDER_TABLE: say("the same as CSV (UTF-8)"),
        layout.TRAINING: say("DeepSpeed configuration; choose the optimizer and its learning rate in your script"),
        layout.POWER: say("sets the power limit of the cards: sudo sh power-limits.sh, undo to take it back"),
        layout.QUESTION: say("the question with all its prices: solver-cli optimize --problem problem.yaml"),
        layout.README: say("this text"),
        layout.MANIFEST: say("the day of the answer and the SHA-256 of each file"),
    }
    headline = say("No rig fits this question.") if saved.result.status == "infeasible" else say("No answer in time.")
    if plan is not None:
        headline = say("{rig}: {cost} CNY", rig=" ".join(plan_title(plan).split()), cost=money(plan.cost_cny))
    lines = [headline, say("Prices and warnings as of {day}.", day=saved.as_of.isoformat()), ""]
    there = {*files, layout.README, layout.MANIFEST}
    lines += [f"{name:<17} {text}" for name, text in told.items() if name in there]
    lines += ["", say("Check every figure again, without the solver: solver-cli verify FOLDER")]
    if layout.TRAINING in files:
        lines.append(say("Pinned memory counts against ulimit -l; set pin_memory to false where that is tight."))
    return "\n".join(lines) + "\n"
