"""The question on the wire: its keys are those of solver/catalog/question.py, but for two that have two forms each.

`workload` is an id there or a group of fields; here `workload_id` and `workload`. And a request names one of the
server's catalogues (`catalog_id`) or brings a whole one (`catalog`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from solver.api.v1 import problem_pb2
from solver.catalog import Library, question_of, resolve
from solver.catalog.library import library_from
from solver.catalog.question import KEYS
from solver.domain.catalog import Catalog
from solver.domain.errors import InvalidProblem, UnknownName, Violation, nearest, shown
from solver.domain.problem import Problem
from solver.wire.convert import Unfit, message_of, plain_of

DEFAULT_CATALOG = "default"


def asked(message: problem_pb2.Problem, libraries: Mapping[str, Library]) -> Problem:
    """The problem that a message asks, out of the server's catalogues (by name) or the catalogue it brings.

    Raises:
        InvalidProblem: each fault with its path inside the message.
        UnknownName: no catalogue, card, platform or workload of that name.
    """
    return resolve(*question_from(message, libraries))


def question_from(message: problem_pb2.Problem, libraries: Mapping[str, Library]) -> tuple[dict[str, Any], Library]:
    """The question that a message asks, with the keys of question files, and the catalogue it is asked on.

    Raises as `asked` does, for the catalogue and the workload's name only.
    """
    question = plain_of(message)
    library = library_named(question.pop("catalog_id", None), libraries)
    if message.HasField("catalog"):
        if message.HasField("catalog_id"):
            raise InvalidProblem.of("catalog_id", message.catalog_id, "must be absent where a catalog is given")
        library = library_from(question.pop("catalog"), "catalog", library.workloads)
    workload_id, fields = question.pop("workload_id", None), question.get("workload")
    if workload_id is not None:
        try:
            library.workload(workload_id)
        except UnknownName as error:
            raise UnknownName(Violation("workload_id", v.value, v.allowed) for v in error.violations) from None
        if fields is None:
            question["workload"] = workload_id
        elif fields.setdefault("id", workload_id) != workload_id:
            raise InvalidProblem.of(
                "workload_id", workload_id, f"must be the same as workload.id, {shown(fields['id'])}"
            )
    return question, library


def library_named(name: str | None, libraries: Mapping[str, Library]) -> Library:
    """One of the server's catalogues; the default one for None.

    Raises:
        UnknownName: there is none of that name.
    """
    found = libraries.get(DEFAULT_CATALOG if name is None else name)
    if found is None:
        known = "no catalogue has this name" + nearest(name or "", libraries)
        raise UnknownName([Violation("catalog_id", shown(name), known)])
    return found


def base_message(question: Mapping[str, Any], library: Library | None) -> problem_pb2.Problem:
    """The message that asks a question with the keys of question files, on that catalogue or the server's.

    Raises:
        InvalidProblem: a value that cannot be sent.
    """
    fields = dict(question)
    if isinstance(fields.get("workload"), str):
        fields["workload_id"] = fields.pop("workload")
    if library is not None:
        fields["catalog"] = {name: getattr(library.catalog, name) for name in Catalog.model_fields}
        fields["catalog"]["workloads"] = library.workloads
    return _sendable(fields)


def problem_message(
    question: Problem | Mapping[str, Any], library: Library, whole: bool = False
) -> problem_pb2.Problem:
    """The message that asks a question.

    Args:
        question: keys as of solver/catalog/question.py, sent as they are, for the catalogue of the server; or a whole
            problem, sent as what differs from `library`, or with its whole catalogue where that cannot be said so.
        library: the catalogue that the server is taken to have.
        whole: send a problem with its whole catalogue in any case.

    Raises:
        InvalidProblem: a value that cannot be sent.
    """
    if isinstance(question, Problem):
        if not whole:
            with contextlib.suppress(InvalidProblem):  # for example a catalogue that lacks an item: say it whole
                message = problem_message(question_of(question, library), library)
                if asked(message, {DEFAULT_CATALOG: library}) == question:
                    return message
        catalog: dict[str, Any] = {name: getattr(question.catalog, name) for name in Catalog.model_fields}
        catalog["workloads"] = (question.workload,)
        said = {name: getattr(question, name) for name in ("goal", "confidence", "limits", "site")}
        return _sendable({**said, "catalog": catalog, "workload_id": question.workload.id})
    unknown = [str(key) for key in question if key not in KEYS]
    if unknown:
        raise InvalidProblem(Violation(key[:80], "", "unknown field" + nearest(key, KEYS)) for key in unknown)
    fields = dict(question)
    if isinstance(fields.get("workload"), str):
        fields["workload_id"] = fields.pop("workload")
    try:
        return _sendable(fields)
    except InvalidProblem:
        resolve(question, library)  # says what is wrong in the words of the records
        raise


def _sendable(fields: Mapping[str, Any]) -> problem_pb2.Problem:
    try:
        return message_of(fields, problem_pb2.Problem)
    except Unfit as unfit:
        raise InvalidProblem.of(unfit.path, unfit.value, "cannot be sent: out of the range of its field") from None
