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

from solver.domain.errors import InvalidProblem, nearest
from solver.domain.records import Record

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=Record)

POSITIONAL = frozenset({"solver.api.v1.PowerPoint", "solver.api.v1.EfficiencyPoint", "solver.api.v1.PowerLimitRange"})
"""Messages that stand for a tuple of fixed length: the first field is its first entry."""
WRAPPERS = frozenset({"solver.api.v1.PowerConnectors"})
"""Messages that stand for the mapping in their only field: protobuf has neither absent nor repeated maps."""

_REAL = {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}
_WHOLE = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}


class Unfit(ValueError):
    """A value that its field of the message cannot carry."""

    def __init__(self, path: str, value: object) -> None:
        self.path, self.value = path, value
        super().__init__(path)


# Records -> messages


def message_of(record: object, kind: type[M]) -> M:
    """The message that says what a record (or a mapping of the same field names) says; absent stays absent."""
    message = kind()
    _fill(message, record, "")
    return message


def _fill(message: Message, record: object, path: str) -> None:
    if isinstance(record, Mapping):
        known = message.DESCRIPTOR.fields_by_name
        for key in record:
            if key not in known:
                raise InvalidProblem.of(_join(path, str(key)[:80]), None, "unknown field" + nearest(str(key), known))
        values = record
    else:
        values = vars(record)
    for field in _fields(message.DESCRIPTOR):
        value = values.get(field.name)
        if value is not None:
            _put(message, field, value, path)


def _put(message: Message, field: _Field, value: Any, path: str) -> None:
    try:
        if field.is_map:
            target = getattr(message, field.name)
            for key, each in value.items():
                if each is not None:
                    target[field.key(key)] = field.encode(each)
        elif field.message is None:
            if field.repeated:
                getattr(message, field.name).extend([field.encode(each) for each in value])
            else:
                encoded = field.encode(value)
                if encoded is not None:
                    setattr(message, field.name, encoded)
        elif field.repeated:
            target, where = getattr(message, field.name), _join(path, field.name)
            for index, each in enumerate(value):
                _nest(target.add(), each, f"{where}.{index}")
        else:
            nested = getattr(message, field.name)
            nested.SetInParent()
            _nest(nested, value, _join(path, field.name))
    except (Unfit, InvalidProblem):
        raise
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise Unfit(_join(path, field.name), value) from None


def _nest(message: Message, value: Any, path: str) -> None:
    if isinstance(value, Record):
        _fill(message, value, path)
        return
    name = message.DESCRIPTOR.full_name
    if name in POSITIONAL:
        for field, each in zip(_fields(message.DESCRIPTOR), value, strict=True):
            _put(message, field, each, path)
    elif name in WRAPPERS:
        _put(message, _fields(message.DESCRIPTOR)[0], value, path)
    else:
        _fill(message, value, path)


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
        for field in _fields(message.DESCRIPTOR):
            if field.is_map:
                plain[field.name] = {}
            elif field.repeated:
                plain[field.name] = []
            elif field.message is not None:
                plain[field.name] = None
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
    """How one field is carried."""

    __slots__ = ("decode", "encode", "is_map", "key", "message", "name", "repeated")

    def __init__(self, descriptor: FieldDescriptor) -> None:
        self.name: str = descriptor.name
        self.repeated: bool = descriptor.is_repeated
        self.message: Descriptor | None = descriptor.message_type
        self.is_map = self.message is not None and self.message.GetOptions().map_entry
        value = descriptor
        self.key: Callable[[Any], Any] = str
        if self.message is not None and self.is_map:
            value = self.message.fields_by_name["value"]
            self.key = int if self.message.fields_by_name["key"].cpp_type in _WHOLE else str
        self.encode: Callable[[Any], Any] = _same
        self.decode: Callable[[Any], Any] = _same
        if value.cpp_type in _REAL:
            self.encode, self.decode = _real, _shortest
        elif value.cpp_type in _WHOLE:
            self.encode = _whole
        elif value.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            self.encode = _text
        elif value.enum_type is not None:
            self.encode, self.decode = _enum(value.enum_type)


@cache
def _fields(descriptor: Descriptor) -> tuple[_Field, ...]:
    return tuple(_Field(field) for field in descriptor.fields)


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


def _whole(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or value != int(value):
        raise TypeError("not a whole number")
    return int(value)


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
    return f"{path}.{name}" if path else name


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
