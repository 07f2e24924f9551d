"""ONE converter between records and messages, by field name, in both directions.

Modify this module only when a record holds a shape that no message of the same field names can carry; two such shapes
stand in the tables `POSITIONAL` and `WRAPPERS`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from solver.domain.base import Record
from solver.domain.errors import InvalidProblem, Violation, nearest

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Record)

POSITIONAL = frozenset({"solver.api.v1.PowerPoint", "solver.api.v1.EfficiencyPoint", "solver.api.v1.PowerLimitRange"})
"""Messages that stand for a tuple of fixed length: the first field is its first entry."""
WRAPPERS = frozenset({"solver.api.v1.PowerConnectors"})
"""Messages that stand for the mapping in their only field: protobuf has neither absent nor repeated maps."""

_REAL = {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}
_WHOLE = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


class Unfit(ValueError):
    """A value that its field of the message cannot carry."""

    def __init__(self, path: str, value: object) -> None:
        self.path, self.value = path, value
        super().__init__(path)


# Records -> messages


def message_of(record: object, kind: type[M]) -> M:
    """The message that says what a record (or a mapping of the same field names) says; absent stays absent.

    Raises:
        Unfit: a value that its field cannot carry; never of a record that was validated.
        InvalidProblem: a mapping has a key that is no field.
    """
    descriptor: Any = kind.DESCRIPTOR
    carried = _carried(record, descriptor)
    try:
        return kind(**carried)  # at once: several times faster than field by field
    except (TypeError, ValueError, OverflowError):
        raise Unfit("", None) from None


def _carried(record: Any, descriptor: Descriptor) -> dict[str, Any]:
    """The arguments that make a message of `descriptor` say what `record` says."""
    if isinstance(record, Mapping):
        known = _fields_by_name(descriptor)
        for key in record:
            if key not in known:
                raise InvalidProblem.of(str(key)[:80], None, "unknown field" + nearest(str(key), known))
        values = record
    else:
        values = vars(record)
    carried = {}
    for field in _fields(descriptor):
        value = values.get(field.name)
        if value is None:
            continue
        try:
            encoded = field.carry(value)
        except (Unfit, InvalidProblem) as error:
            raise _within(field.name, error) from None
        except (TypeError, ValueError, AttributeError, OverflowError):
            raise Unfit(field.name, value) from None
        if encoded is not None:
            carried[field.name] = encoded
    return carried


def _within(name: str, error: Unfit | InvalidProblem) -> Unfit | InvalidProblem:
    if isinstance(error, Unfit):
        return Unfit(_join(name, error.path), error.value)
    return InvalidProblem(Violation(_join(name, v.field), v.value, v.allowed) for v in error.violations)


def _nested(descriptor: Descriptor) -> Callable[[Any], dict[str, Any]]:
    """How a value becomes a message of `descriptor` inside another."""
    if descriptor.full_name in POSITIONAL:
        return lambda value: {
            field.name: field.carry(each) for field, each in zip(_fields(descriptor), value, strict=True)
        }
    if descriptor.full_name in WRAPPERS:
        return lambda value: {field.name: field.carry(value) for field in _fields(descriptor)}
    return lambda value: _carried(value, descriptor)


def _each(nested: Callable[[Any], dict[str, Any]]) -> Callable[[Any], list[dict[str, Any]]]:
    def carry(values: Any) -> list[dict[str, Any]]:
        made = []
        for index, value in enumerate(values):
            try:
                made.append(nested(value))
            except (Unfit, InvalidProblem) as error:
                raise _within(str(index), error) from None
        return made

    return carry


# Messages -> plain data -> records


def record_of(message: Message, kind: type[R]) -> R:
    """The record that says what a message says.

    Raises:
        pydantic.ValidationError: the message breaks the record's rules.
    """
    return kind.model_validate(plain_of(message, complete=True))


def plain_of(message: Message, complete: bool = False) -> dict[str, Any]:
    """What a message says as plain data, under the same names; a double becomes the shortest decimal that means it.

    Args:
        message: any message of solver.api.v1.
        complete: also name empty lists and absent groups, as an answer does; a question names only what it says.
    """
    plain: dict[str, Any] = {}
    if complete:
        plain = {name: make() for name, make in _empties(message.DESCRIPTOR)}
    known = _fields_by_name(message.DESCRIPTOR)
    for descriptor, value in message.ListFields():
        field = known[descriptor.name]
        if field.is_map:
            plain[field.name] = {key: field.decode(each) for key, each in value.items()}
        elif field.message is None:
            if field.repeated:
                plain[field.name] = [field.decode(each) for each in value]
            else:
                decoded = field.decode(value)
                if decoded is not None:
                    plain[field.name] = decoded
        elif field.repeated:
            plain[field.name] = [_unnest(each, complete) for each in value]
        else:
            plain[field.name] = _unnest(value, complete)
    return plain


def _unnest(message: Message, complete: bool) -> Any:
    name = message.DESCRIPTOR.full_name
    if name in POSITIONAL:
        plain = plain_of(message)
        return [plain.get(field.name) for field in _fields(message.DESCRIPTOR)]
    if name in WRAPPERS:
        return dict(getattr(message, _fields(message.DESCRIPTOR)[0].name))
    return plain_of(message, complete)


# The fields of a message, looked at once


class _Field:
    """How one field is carried: `carry` takes what a record says, `decode` gives back what one value says."""

    __slots__ = ("carry", "decode", "is_map", "message", "name", "repeated")

    def __init__(self, descriptor: FieldDescriptor) -> None:
        self.name: str = descriptor.name
        self.repeated: bool = descriptor.is_repeated
        self.message: Descriptor | None = descriptor.message_type
        self.is_map = self.message is not None and self.message.GetOptions().map_entry
        value = descriptor
        if self.message is not None and self.is_map:
            value = self.message.fields_by_name["value"]
        encode: Callable[[Any], Any] = _same
        self.decode: Callable[[Any], Any] = _same
        if value.cpp_type in _REAL:
            encode, self.decode = _real, _shortest
        elif value.cpp_type in _WHOLE:
            encode = _whole(*_WHOLE[value.cpp_type])
        elif value.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            encode = _text
        elif value.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            encode = _flag
        elif value.enum_type is not None:
            encode, self.decode = _enum(value.enum_type)
        self.carry: Callable[[Any], Any] = encode
        if self.message is not None and self.is_map:
            key = int if self.message.fields_by_name["key"].cpp_type in _WHOLE else str
            self.carry = lambda pairs: {key(name): encode(each) for name, each in pairs.items() if each is not None}
        elif self.message is not None:
            self.carry = _each(_nested(self.message)) if self.repeated else _nested(self.message)
        elif self.repeated:
            self.carry = lambda values: [encode(each) for each in values]


@cache
def _fields(descriptor: Descriptor) -> tuple[_Field, ...]:
    return tuple(_Field(field) for field in descriptor.fields)


@cache
def _empties(descriptor: Descriptor) -> tuple[tuple[str, Callable[[], Any]], ...]:
    """The fields that an answer names also where they are empty, and what they then are."""
    return tuple(
        (field.name, dict if field.is_map else list if field.repeated else _nothing)
        for field in _fields(descriptor)
        if field.repeated or field.message is not None
    )


def _nothing() -> None:
    return None


@cache
def _fields_by_name(descriptor: Descriptor) -> dict[str, _Field]:
    return {field.name: field for field in _fields(descriptor)}


def _same(value: Any) -> Any:
    return value


def _real(value: Any) -> float:
    if type(value) is float:
        return value
    if isinstance(value, (bool, str)):
        raise TypeError("not a number")
    carried = float(value)
    if isinstance(value, (Decimal, int)) and Decimal(repr(carried)) != value:
        raise ValueError("has more digits than a double carries")
    return carried


def _shortest(value: float) -> float | int:
    """2.0 -> 2, as people write it; it is quoted in messages."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def encode(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or value != int(value):
            raise TypeError("not a whole number")
        if not low <= value <= high:
            raise ValueError("out of range")
        return int(value)

    return encode


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not true or false")
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime.date):
        return value.isoformat()
    raise TypeError("not text")


def _enum(descriptor: EnumDescriptor) -> tuple[Callable[[Any], int | None], Callable[[int], str | int | None]]:
    """GOAL_BATCH <-> "batch": the name without the enum's prefix, in lower case. 0 and the empty text are absent."""
    prefix = descriptor.values_by_number[0].name.removesuffix("UNSPECIFIED")
    name_of = {value.number: value.name.removeprefix(prefix).lower() for value in descriptor.values if value.number}
    number_of = {name: number for number, name in name_of.items()}

    def encode(name: Any) -> int | None:
        if name == "":
            return None
        if name not in number_of:
            raise ValueError("no such name")
        return number_of[name]

    # A number without a name goes on as it is, so that the record can say what is allowed.
    return encode, lambda number: name_of.get(number, number) if number else None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


# Requests


def parsed(data: bytes, kind: type[M]) -> M:
    """Decode a request.

    Raises:
        InvalidProblem: not a message of this kind, or it has a field this version does not know: what it asks for
            must not be dropped silently.
    """
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise InvalidProblem.of("request", None, f"is not a {kind.DESCRIPTOR.full_name} message") from None
    plain = kind()
    plain.CopyFrom(message)
    plain.DiscardUnknownFields()
    if plain.ByteSize() != message.ByteSize():
        paths = (f"{path}.#{number}" if path else f"#{number}" for path, number in _unknown_fields(message, ""))
        field = next(paths, "request")
        raise InvalidProblem.of(field, None, "this version of the server does not know a field of this number")
    return message


def _unknown_fields(message: Message, path: str) -> Iterator[tuple[str, int]]:
    for unknown in UnknownFieldSet(message):  # type: ignore[attr-defined]
        yield path, unknown.field_number
    for descriptor, value in message.ListFields():
        field = _fields_by_name(message.DESCRIPTOR)[descriptor.name]
        where = _join(path, field.name)
        if field.message is None or field.is_map:
            continue
        for index, each in enumerate(value) if field.repeated else ((None, value),):
            yield from _unknown_fields(each, where if index is None else f"{where}.{index}")
