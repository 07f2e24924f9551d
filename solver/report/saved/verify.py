"""`verify`: a saved answer derived again from its question by plain arithmetic, and every figure that is off named.

From problem.yaml and the rig chosen follow the plan with every figure, the limits it keeps, the order list, the
training configuration and the script; from the rigs named in explain.json and frontier.json their figures and
thresholds. The solver is not imported, and what only it can prove is told as not proved. Modify this module when a file
is added.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from solver import __version__
from solver.catalog import default_library, resolve
from solver.catalog.reading import parse_yaml
from solver.domain.base import Record
from solver.domain.comparison import Measures
from solver.domain.errors import InvalidProblem
from solver.domain.explanation import AXIS_UNITS, Frontier, FrontierPoint
from solver.domain.goals import GOAL_SPECS
from solver.domain.language import say, speaking
from solver.domain.limits import Figures
from solver.domain.notices import notices_for
from solver.domain.plan import Choice, Plan, Result, Usage
from solver.domain.problem import catalog_digest
from solver.domain.recheck import broken, plan_of, usage_of
from solver.domain.units import fen
from solver.report.json_form import (
    SCHEMA_VERSION,
    alternatives_object,
    explanation_object,
    frontier_object,
    result_object,
)
from solver.report.saved import layout
from solver.report.saved.artefacts import derived, readme, sha256
from solver.report.saved.compare import Fault, compared, count_of
from solver.report.saved.explained import Chapters
from solver.report.saved.ground import Ground
from solver.report.saved.order import read_csv, read_xlsx
from solver.report.saved.record import Files, Saved, document_in, manifest_of, read_folder, saved_of

NOT_CHECKED: dict[str, str] = {
    "explain.json: what_ifs": "how many questions were solved; no figure of the answer",
    "explain.json: total_ms": "the time it took",
    "frontier.json: what_ifs": "how many questions were solved; no figure of the answer",
    "frontier.json: total_ms": "the time it took",
}
"""Numbers that no arithmetic derives, and why; that they were changed shows only in the hash of the file."""
_RECORDS = (layout.PLAN, layout.EXPLAIN, layout.FRONTIER)


class Verdict(Record):
    """What came of it: every figure that is off, what else is to be said, and how many numbers were looked at."""

    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    not_proved: tuple[str, ...]
    status: str
    files: tuple[str, ...]
    figures: int


def verify(folder: Path) -> Verdict:
    """Check a saved answer.

    Raises:
        InvalidProblem: it cannot be read; see record.py.
    """
    return verify_files(read_folder(folder))


def verify_files(files: Files) -> Verdict:
    """Check the files of a saved answer.

    Raises:
        InvalidProblem: one is missing or unreadable.
    """
    saved = saved_of(files)
    check = _Check(files, saved)
    check.run()
    return Verdict(
        faults=tuple(check.faults),
        notes=tuple(check.notes),
        not_proved=not_proved(saved),
        status=saved.result.status,
        files=tuple(files),
        figures=check.figures,
    )


def not_proved(saved: Saved) -> tuple[str, ...]:
    """What the verdict does not vouch for."""
    told = [say("that prices, cards and workload in problem.yaml are true: they are taken as they stand")]
    if saved.result.status == "infeasible":
        told.insert(0, say("that no rig fits, and that the conflict is minimal: the solver proved that"))
    elif saved.result.plan is not None:
        told.insert(0, say("that no better rig exists (optimality), nor between the points of the curve"))
        told.insert(1, say("which limits bind, and that no third rig takes over before a threshold that is told"))
    told.append(say("how the search went (explain.json, frontier.json: what_ifs, total_ms)"))
    return tuple(told)


class _Check:
    def __init__(self, files: Files, saved: Saved) -> None:
        self.files, self.saved, self.problem = files, saved, saved.problem
        self.ground = Ground(saved.problem)
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self.wanted: set[str] = set()
        self.documents = {name: document_in(files, name) for name in _RECORDS if name in files}
        self.figures = sum(count_of(document) for document in self.documents.values())

    def run(self) -> None:
        """Find every fault."""
        result = self._result()
        plan = result.plan
        self._compare(layout.PLAN, {**result_object(result), **self._top(plan)})
        self._status(result)
        self._explanation(result)
        self._frontier(plan)
        if plan is not None:
            self._derived(plan)
        self._needed(plan)
        there = {*self.files, *self.wanted}
        with speaking(self.saved.language):
            wanted = readme(self.saved.model_copy(update={"result": result}), dict.fromkeys(there))
        self._text(layout.README, wanted)
        self._manifest()
        self._today()

    def _compare(self, file: str, expected: Mapping[str, Any]) -> None:
        wanted = json.loads(json.dumps(expected))  # the form it has in a file: tuples are lists there
        self.faults += compared(file, self.documents[file], wanted)

    def _fault(self, file: str, figure: str, found: object, reason: str) -> None:
        self.faults.append(Fault(file=file, figure=figure, found=str(found), reason=reason))

    # plan.json

    def _result(self) -> Result:
        """The result as it follows from the question and the rig chosen.

        The rig is read from plan.json or from explain.json, whichever leaves fewer figures off: so one that was altered
        in one file is named there, and not everything that follows from it.
        """
        candidates: list[Choice] = []
        for result in (self.saved.result, self.saved.explanation.result):
            if result.plan is not None and result.plan.choice not in candidates:
                candidates.append(result.plan.choice)
        known = [choice for choice in candidates if self.ground.knows(choice)]
        if candidates and not known:
            self._fault(layout.PLAN, "plan", candidates[0].card_id, say("no such rig can be bought"))
        if not known:
            return self._expected(None)
        options = [self._expected(choice) for choice in known]
        return min(options, key=lambda option: sum(1 for _ in self._off(option)))

    def _off(self, expected: Result) -> Iterator[Fault]:
        wanted = json.loads(json.dumps(result_object(expected)))
        yield from compared(layout.PLAN, {**self.documents[layout.PLAN], "alternatives": None}, wanted)
        yield from compared(layout.EXPLAIN, self.documents[layout.EXPLAIN].get("result"), wanted)

    def _expected(self, choice: Choice | None) -> Result:
        problem, found = self.problem, self.saved.result
        spec = GOAL_SPECS[problem.goal]
        plan, usage, objective = None, tuple[Usage, ...](), None
        bound = found.bound if found.status in ("feasible", "no_answer") else None
        if choice is not None:
            figures = self.ground.figures(choice)
            plan, usage = plan_of(problem, choice), usage_of(problem, figures)
            objective = spec.objective(figures.total_batch, figures.cost_fen, figures.epoch_us)
            bound = objective if found.status == "optimal" else bound
        hashes = found.fingerprint
        return Result(
            status=found.status,
            goal=problem.goal,
            confidence=problem.confidence,
            objective=objective,
            bound=bound,
            objective_unit=spec.unit,
            plan=plan,
            usage=usage,
            warnings=notices_for(problem, plan, self.saved.as_of),
            statistics=found.statistics,
            fingerprint=hashes.model_copy(
                update={"problem_sha256": problem.digest, "catalog_sha256": catalog_digest(problem.catalog)}
            ),
        )

    def _top(self, plan: Plan | None) -> dict[str, Any]:
        if not self.saved.top_asked:
            return {}
        if self.saved.top is None or plan is None:
            return {"alternatives": alternatives_object(self.saved.top)}
        chapters = Chapters(self.ground, plan, layout.PLAN)
        expected = chapters.alternatives(self.saved.top, "alternatives")
        self.faults += chapters.faults
        return {"alternatives": alternatives_object(expected)}

    def _status(self, result: Result) -> None:
        """The status goes with what is there, and the rig keeps to every limit."""
        plan = result.plan
        if (plan is not None) != (result.status in ("optimal", "feasible")):
            reason = say("there is a plan") if plan is not None else say("there is no plan")
            self._fault(layout.PLAN, "status", result.status, reason)
        if plan is None:
            return
        if not self.ground.settable(plan.choice):
            reason = say("{card} cannot be set to that", card=plan.card_id)
            self._fault(layout.PLAN, "plan.power_limit_w", plan.power_limit_w, reason)
        for row in broken(self.problem, self.ground.figures(plan.choice)):
            self._fault(
                layout.PLAN, f"usage {row.name}", row.used, say("breaks the limit of {most}", most=row.capacity)
            )
        if result.status == "feasible" and result.bound is not None and result.objective is not None:
            larger = GOAL_SPECS[self.problem.goal].larger_is_better
            if (result.bound < result.objective) if larger else (result.bound > result.objective):
                self._fault(layout.PLAN, "bound", result.bound, say("the plan is better than its bound"))

    # explain.json, frontier.json

    def _explanation(self, result: Result) -> None:
        chapters = Chapters(self.ground, result.plan, layout.EXPLAIN)
        derived_again = chapters.derived(self.saved.explanation)
        before = len(self.faults)
        self._compare(layout.EXPLAIN, explanation_object(derived_again.model_copy(update={"result": result})))
        # The figures of the search are in two files, and nothing but the other says which of them was altered.
        for at, fault in enumerate(self.faults[before:], before):
            if fault.figure.startswith("result.statistics."):
                figure = fault.figure.removeprefix("result.")
                reason = say("{name} says {other}", name=layout.PLAN, other=fault.expected)
                self.faults[at] = Fault(file=layout.EXPLAIN, figure=fault.figure, found=fault.found, reason=reason)
                reason = say("{name} says {other}", name=layout.EXPLAIN, other=fault.found)
                self._fault(layout.PLAN, figure, fault.expected, reason)
        self.faults += chapters.faults

    def _frontier(self, plan: Plan | None) -> None:
        found = self.saved.frontier
        if found is None:
            return
        points = []
        measured: list[Figures] = []
        for at, point in enumerate(found.points):
            choice = point.plan.choice
            if not self.ground.knows(choice):
                self._fault(layout.FRONTIER, f"points.{at}.plan", choice.card_id, say("no such rig can be bought"))
                points.append(point)
                continue
            if not self.ground.fits(choice):
                self._fault(layout.FRONTIER, f"points.{at}.plan", choice.card_id, say("it does not keep to the limits"))
            figures = self.ground.figures(choice)
            measured.append(figures)
            measures = Measures.of(figures)
            values = (measures.on(found.axes[0]), measures.on(found.axes[1]))
            points.append(FrontierPoint(values=values, plan=plan_of(self.problem, choice)))
            if plan is not None and self.ground.goal_key(choice) < self.ground.goal_key(plan.choice):
                self._fault(layout.FRONTIER, f"points.{at}", choice.card_id, say("it is better than the plan"))
        self._staircase(found, measured)
        expected = found.model_copy(
            update={
                "units": (AXIS_UNITS[found.axes[0]], AXIS_UNITS[found.axes[1]]),
                "goal": self.problem.goal,
                "points": tuple(points),
            }
        )
        self._compare(layout.FRONTIER, frontier_object(expected))

    def _staircase(self, found: Frontier, measured: list[Figures]) -> None:
        """Each point is worse than the one before on the first axis and better on the second."""
        losses = [tuple(_loss(axis, Measures.of(figures)) for axis in found.axes) for figures in measured]
        for at, (one, two) in enumerate(itertools.pairwise(losses), 1):
            if not (one[0] < two[0] and one[1] > two[1]):
                self._fault(layout.FRONTIER, f"points.{at}", "", say("is no step of the curve after the one before it"))

    # What follows from the plan

    def _derived(self, plan: Plan) -> None:
        if sum(fen(line.total_cny) for line in plan.order) != fen(plan.cost_cny):
            reason = say("the offers of problem.yaml do not cover the rig")
            self._fault(layout.ORDER_TABLE, "total", plan.cost_cny, reason)
            return
        try:
            with speaking(self.saved.language):
                expected = derived(self.saved, plan)
        except InvalidProblem as error:
            for fault in error.violations:
                self._fault(layout.MANIFEST, "global_batch", fault.value, fault.allowed)
            return
        self.wanted = set(expected)
        for name, data in expected.items():
            if name not in self.files:
                self._fault(name, say("file"), "", say("is missing"))
            elif name in (layout.ORDER_SHEET, layout.ORDER_TABLE):
                self._order(name, data)
            elif name == layout.TRAINING:
                self._training(json.loads(data))
            else:
                self._text(name, data.decode())

    def _order(self, name: str, expected: bytes) -> None:
        read = read_xlsx if name == layout.ORDER_SHEET else read_csv
        try:
            found = read(self.files[name])
        except ValueError as error:
            raise InvalidProblem.of(name, None, say("cannot be read: {error}", error=error)) from None
        wanted = read(expected)
        header = wanted[0]
        for at in range(max(len(found), len(wanted))):
            one = found[at] if at < len(found) else ()
            two = wanted[at] if at < len(wanted) else ()
            for column in range(max(len(one), len(two))):
                cell, should = (row[column] if column < len(row) else "" for row in (one, two))
                self.figures += int(any(c.isdigit() for c in should))
                worded = at == 0 or (at == len(wanted) - 1 and column == 0)  # heads of columns, and the word for total
                if cell != should and not (worded and self._as_written(name)):
                    named = header[column] if column < len(header) else str(column + 1)
                    figure = say("row {row}, {column}", row=at + 1, column=named)
                    expected_text = json.dumps(should, ensure_ascii=False)
                    shown = json.dumps(cell, ensure_ascii=False)
                    self.faults.append(Fault(file=name, figure=figure, found=shown, expected=expected_text))

    def _training(self, expected: dict[str, Any]) -> None:
        """Keys of one's own, such as an optimizer, are told and not refused."""
        found = document_in(self.files, layout.TRAINING)
        self.figures += count_of(expected)
        own = [key for key in found if key not in expected]
        if own:
            told = ", ".join(own)
            self.notes.append(say("{file}: not from us, not checked: {keys}", file=layout.TRAINING, keys=told))
        self.faults += compared(layout.TRAINING, {k: v for k, v in found.items() if k not in own}, expected)

    def _text(self, name: str, expected: str) -> None:
        if name not in self.files:
            self._fault(name, say("file"), "", say("is missing"))
            return
        found = self.files[name].decode("utf-8", "replace").split("\n")
        wanted = expected.split("\n")
        self.figures += sum(any(c.isdigit() for c in line) for line in wanted)
        if name == layout.README and self._as_written(name) and _figures_in(found[:2]) == _figures_in(wanted[:2]):
            return  # worded otherwise by another version
        for at in range(max(len(found), len(wanted))):
            one, two = (lines[at] if at < len(lines) else None for lines in (found, wanted))
            if one != two:
                quoted = (None if line is None else json.dumps(line, ensure_ascii=False) for line in (one, two))
                left, right = (text or say("nothing") for text in quoted)
                figure = say("line {line}", line=at + 1)
                self.faults.append(Fault(file=name, figure=figure, found=left, expected=right))

    def _as_written(self, name: str) -> bool:
        """Whether a file is to the byte what the answer's own record says was written."""
        return manifest_of(self.files).files.get(name) == sha256(self.files[name])

    def _needed(self, plan: Plan | None) -> None:
        """No file that the answer has nothing for."""
        if plan is None:
            for name in (layout.ORDER_SHEET, layout.ORDER_TABLE, layout.TRAINING, layout.POWER):
                if name in self.files:
                    self._fault(name, say("file"), "", say("there is no plan to go with it"))

    # What goes for files as a whole

    def _manifest(self) -> None:
        manifest = manifest_of(self.files)
        if manifest.schema_version != SCHEMA_VERSION:
            self._fault(
                layout.MANIFEST, "schema_version", manifest.schema_version, say("is not the one of this program")
            )
        if manifest.solver_version != __version__:
            self.notes.append(
                say("written by version {then}, checked by {now}", then=manifest.solver_version, now=__version__)
            )
        off = {fault.file for fault in self.faults}
        for name, digest in manifest.files.items():
            if name not in self.files:
                if name not in off:
                    self._fault(name, say("file"), "", say("is missing"))
            elif sha256(self.files[name]) != digest and name not in off:
                self._changed(name)
        for name in self.files:
            if name not in manifest.files and name != layout.MANIFEST:
                self._fault(layout.MANIFEST, "files", name, say("is not among the files that were written"))

    def _changed(self, name: str) -> None:
        """A file that is not what was written, though every figure of it that arithmetic derives holds."""
        if name in _RECORDS:
            self._fault(name, say("file"), "", say("was changed since it was written, where no arithmetic reaches"))
        else:
            self.notes.append(say("{file}: was changed since it was written; its figures hold", file=name))

    def _today(self) -> None:
        """Tell where the shipped catalogue has changed since: asked again, the question may be answered otherwise."""
        document = parse_yaml(self.files[layout.QUESTION], layout.QUESTION)
        try:
            now = resolve(document, default_library()).catalog
        except InvalidProblem as error:
            self.notes.append(say("the question is not valid on today's catalogue: {error}", error=error))
            return
        held = self.problem.catalog
        if catalog_digest(now) != catalog_digest(held):
            new = {*now.card_by_id, *now.platform_by_id} - {*held.card_by_id, *held.platform_by_id}
            priced = set(now.offers_by_item) - set(held.offers_by_item)
            told = ", ".join(sorted(new | priced))
            self.notes.append(
                say("the shipped catalogue has changed since; asked again, the question also sees: {ids}", ids=told)
            )


def _figures_in(lines: list[str]) -> list[str]:
    return re.findall(r"\d[\d,.]*", " ".join(lines))


def _loss(axis: str, measures: Measures) -> Any:
    """An exact value of which less is better."""
    if axis == "value":
        # batch / cost, the larger the better; a free rig is best. Exact as a fraction of whole numbers.

        return -Fraction(measures.batch, max(measures.cost_fen, 1))
    values = {
        "cost": measures.cost_fen,
        "batch": -measures.batch,
        "epoch": measures.epoch_us,
        "watts": measures.wall_mw,
    }
    return values[axis]


__all__ = ["NOT_CHECKED", "Fault", "Verdict", "verify", "verify_files"]
