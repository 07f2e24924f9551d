"""The base question of a scenario file: its own, that of a file beside it, or one given with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from solver.catalog.question import overlay
from solver.catalog.question_file import read_question
from solver.catalog.reading import Mapping as Lines
from solver.domain.errors import InvalidProblem
from solver.domain.language import say


@dataclass(frozen=True)
class Base:
    """The base question as plain data, and the texts it comes from: file name and lines, the last word first."""

    question: Mapping[str, Any]
    places: tuple[tuple[str, Lines], ...] = ()


def read_base(path: Path) -> Base:
    """A problem file as a base question."""
    document = read_question(str(path))
    return Base(plain(document), ((path.name, document),))


def own_base(value: Any, where: str, folder: Path | None, other: Base | None) -> Base:
    """The base question as a scenario file has it, laid over the file it names, if it names one.

    Args:
        value: what stands under `base`.
        where: file and line, for messages.
        folder: where its `file` is looked for; None refuses one.
        other: the base question given beside the file; there must be none.

    Raises:
        InvalidProblem: there are two, or this is no group of fields, or its file lies elsewhere or is no question.
    """
    if other is not None:
        raise InvalidProblem.of(where, None, say("has a base of its own, and another was given"))
    if not isinstance(value, Mapping):
        raise InvalidProblem.of(f"{where}: base", None, say("must be a group of named fields"))
    places = ((where.partition(":")[0], value),) if isinstance(value, Lines) else ()
    question = plain(value)
    if "file" not in question:
        return Base(question, places)
    below = read_base(_inside(question.pop("file"), where, folder))
    return Base(overlay(below.question, question), (*places, *below.places))


def _inside(given: Any, where: str, folder: Path | None) -> Path:
    """The file beside the scenario file; none outside its folder, by no name and no link."""
    if not isinstance(given, str) or folder is None or Path(given).is_absolute():
        raise InvalidProblem.of(
            f"{where}: base.file", given, say("must name a file in the folder of the scenario file")
        )
    root, target = folder.resolve(), (folder / given).resolve()
    if not target.is_relative_to(root):
        raise InvalidProblem.of(f"{where}: base.file", given, say("must lie in the folder of the scenario file"))
    return target


def plain(value: Any) -> Any:
    """Without line numbers, for JSON."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return float(value) if isinstance(value, Decimal) else value
