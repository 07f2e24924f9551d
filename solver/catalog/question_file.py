"""Question files: a whole question as YAML, read with the line of every fault and written back exactly.

What a question may say stands in question.py and in the shipped JSON Schema (schema.py). Modify this module when the
text of a file should look different, not when a question gets a new field.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping as Map
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from solver.catalog.reading import MAX_BYTES, Mapping, line_at, parse_yaml, read_file
from solver.domain.errors import InvalidProblem, Violation

STANDARD_INPUT = "-"


def schema_file() -> Path:
    """The shipped JSON Schema of question files."""
    return Path(__file__).resolve().parents[1] / "schema" / "problem.schema.json"


def read_question(name: str) -> Mapping:
    """Read a question file, or standard input for `-`, as plain data with its lines.

    Raises:
        InvalidProblem: unreadable, not YAML, or anything the guard refuses.
    """
    if name == STANDARD_INPUT:
        data, label = sys.stdin.buffer.read(MAX_BYTES + 1), "standard input"
        if len(data) > MAX_BYTES:
            raise InvalidProblem.of(label, None, f"is larger than {MAX_BYTES // 2**20} MiB")
    else:
        data, label = read_file(Path(name)), Path(name).name
    document = parse_yaml(data, label)
    if document is None:
        raise InvalidProblem.of(label, None, "is empty: a question names at least a goal or a limit")
    if not isinstance(document, Mapping):
        raise InvalidProblem.of(f"{label}:1", None, "must be a group of named fields such as goal and limits")
    return document


def with_lines(error: InvalidProblem, document: Mapping, name: str) -> InvalidProblem:
    """The same faults with file and line put before the dotted path, where the file has that path."""
    label = "standard input" if name == STANDARD_INPUT else Path(name).name
    faults = []
    for fault in error.violations:
        line = line_at(document, fault.field.split("."))
        place = f"{label}:{line}: {fault.field}" if line is not None else fault.field
        faults.append(Violation(place, fault.value, fault.allowed))
    return type(error)(faults)


def question_text(question: Map[str, Any], head: str | None = None) -> str:
    """A question as YAML that `read_question` reads back exactly.

    Args:
        question: plain data, as `question_of` gives it.
        head: comment lines to begin with; None for the modeline that editors take the schema of this machine from.
    """
    if head is None:
        head = (
            f"# yaml-language-server: $schema={schema_file().as_uri()}\n"
            "# A whole question. Ask it again with: solver-cli optimize --problem FILE\n"
        )
    return head + yaml_text(question)


def yaml_text(values: Map[str, Any]) -> str:
    """Plain data (mappings, lists, texts, numbers) as YAML that the guarded reader reads back as the same values."""
    text: str = yaml.dump(
        dict(values), Dumper=_Writer, allow_unicode=True, sort_keys=False, width=110, default_flow_style=False
    )
    return text


class _Writer(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes what the guarded reader reads as the same value: no aliases, text quoted wherever it could be misread."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  PyYAML's signature
        """Write everything out."""
        return True


_SAFE_TEXT = re.compile(r"[A-Za-z\u4e00-\u9fff][A-Za-z0-9\u4e00-\u9fff ()/.,_+-]*(?<![ .,])\Z")
_WORDS = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))


def _text(writer: Any, value: str) -> Any:
    plain = _SAFE_TEXT.match(value) is not None and value.lower() not in _WORDS
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


def _decimal(writer: Any, value: Decimal) -> Any:
    return writer.represent_scalar("tag:yaml.org,2002:float", format(value, "f"))


def _float(writer: Any, value: float) -> Any:
    return writer.represent_scalar("tag:yaml.org,2002:float", format(Decimal(repr(value)), "f"))


def _rows(writer: Any, value: list[Any]) -> Any:
    inline = all(not isinstance(part, (dict, list)) or _is_pair(part) for part in value)
    return writer.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=inline)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and not any(isinstance(part, (dict, list)) for part in value)


_Writer.add_representer(str, _text)
_Writer.add_representer(Decimal, _decimal)
_Writer.add_representer(float, _float)
_Writer.add_representer(list, _rows)
