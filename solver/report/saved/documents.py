"""JSON documents of answers and the records behind them: guarded reading, and the way back from json_form.py.

Modify this module when a document of json_form.py changes its form.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from solver.domain.base import Record
from solver.domain.errors import InvalidProblem, Violation, from_validation_error
from solver.domain.explanation import Alternative, Explanation, Frontier
from solver.domain.language import say
from solver.domain.plan import Notice, Result

R = TypeVar("R", bound=Record)
Document = dict[str, Any]
_DERIVED_OF_RESULT = frozenset(("schema_version", "gap", "alternatives"))
_MOST_DIGITS = 40


def parse_document(data: bytes, name: str) -> Document:
    """A JSON object: no key twice, no NaN, no endless number.

    Args:
        data: the text, UTF-8.
        name: the file, for messages.

    Raises:
        InvalidProblem: it is anything else.
    """
    try:
        document = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_once,
            parse_constant=_refuse,
            parse_int=_whole,
            parse_float=_number,
        )
    except (ValueError, RecursionError) as error:
        reason = say("nested too deep") if isinstance(error, RecursionError) else str(error)[:100]
        raise InvalidProblem.of(name, None, say("is not JSON: {reason}", reason=reason)) from None
    if not isinstance(document, dict):
        raise InvalidProblem.of(name, None, say("must be a JSON object"))
    return document


def _once(pairs: list[tuple[str, Any]]) -> Document:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(say("a key is given twice"))
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(say("{constant} is no number", constant=constant))


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(say("a number has too many digits"))
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(say("a number is too large"))
    return value


def result_of_document(document: Mapping[str, Any], code_of: Callable[[str], str], name: str) -> Result:
    """The result behind the document of `optimize`.

    Args:
        document: what json_form.result_object wrote.
        code_of: the stable code of a warning's message.
        name: the file, for messages.

    Raises:
        InvalidProblem: a field is missing, unknown or out of its range.
    """

    def fields() -> Document:
        kept = {key: value for key, value in document.items() if key not in _DERIVED_OF_RESULT}
        kept["usage"] = [{k: v for k, v in row.items() if k != "headroom"} for row in document["usage"]]
        kept["warnings"] = [Notice(code=code_of(message), message=message) for message in document["warnings"]]
        return kept

    return _made(Result, fields, name)


def alternatives_of_document(document: Mapping[str, Any], name: str) -> tuple[Alternative, ...] | None:
    """The best plans of `optimize --top`; None where they were not asked for or not proved.

    Raises:
        InvalidProblem: as `result_of_document`.
    """
    given = document.get("alternatives")
    if given is None:
        return None
    if not isinstance(given, list):
        raise InvalidProblem.of(f"{name}: alternatives", None, say("must be a list"))
    return tuple(_made(Alternative, lambda each=each: each, name) for each in given)  # type: ignore[misc]


def explanation_of_document(document: Mapping[str, Any], code_of: Callable[[str], str], name: str) -> Explanation:
    """The explanation behind the document of `explain`.

    Raises:
        InvalidProblem: as `result_of_document`.
    """
    inner = document.get("result")
    if not isinstance(inner, dict):
        raise InvalidProblem.of(f"{name}: result", None, say("must be a group of named fields"))
    result = result_of_document(inner, code_of, name)
    return _made(
        Explanation, lambda: {**_without(document, "schema_version", "status", "result"), "result": result}, name
    )


def frontier_of_document(document: Mapping[str, Any], name: str) -> Frontier:
    """The trade-off curve behind the document of `frontier`.

    Raises:
        InvalidProblem: as `result_of_document`.
    """
    return _made(Frontier, lambda: _without(document, "schema_version"), name)


def _without(document: Mapping[str, Any], *keys: str) -> Document:
    return {key: value for key, value in document.items() if key not in keys}


def _made(record: type[R], fields: Callable[[], Any], name: str) -> R:
    try:
        return record.model_validate(fields())
    except ValidationError as error:
        faults = from_validation_error(error).violations
        raise InvalidProblem(Violation(f"{name}: {v.field}", v.value, v.allowed) for v in faults) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidProblem.of(
            name, None, say("is not a document of ours: {name} {error}", name=type(error).__name__, error=error)
        ) from None
