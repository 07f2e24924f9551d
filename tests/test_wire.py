"""Records and messages are one schema: every pair of the same name is held against each other, both ways."""

from __future__ import annotations

import datetime
import math
import random
import types
import typing
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from server.tasks import SearchOptions
from solver.api.v1 import catalog_pb2, explanation_pb2, optimizer_service_pb2, problem_pb2, result_pb2, run_service_pb2
from solver.catalog import default_library, default_problem, resolve
from solver.check import CheckReport, check
from solver.domain.base import Record
from solver.domain.catalog import Card, Offer, Platform
from solver.domain.errors import InvalidProblem, UnknownName
from solver.domain.plan import Result
from solver.domain.problem import Limits, Problem, Site
from solver.domain.workload import Workload
from solver.report.json_form import check_object, result_object
from solver.solve import Options, optimize
from solver.wire import asked, message_of, parsed, plain_of, problem_message, record_of
from solver.wire.convert import POSITIONAL, WRAPPERS
from tests.builders import random_problem

MODULES = (catalog_pb2, problem_pb2, result_pb2, explanation_pb2, optimizer_service_pb2)
LIBRARIES = {"default": default_library()}
# Messages that no record stands behind: what a request or a response consists of, the question (whose keys are those
# of question.py) and the tuples and mappings of the two tables.
NO_RECORD = {"Problem", "Catalog", "Violation", "InvalidProblem"}
TODAY = datetime.date(2024, 2, 29)


def messages() -> Iterator[Descriptor]:
    for module in MODULES:
        yield from module.DESCRIPTOR.message_types_by_name.values()


def records() -> dict[str, type[Record]]:
    found: dict[str, type[Record]] = {"SearchOptions": SearchOptions}
    todo = list(Record.__subclasses__())
    while todo:
        record = todo.pop()
        if record.__module__.startswith("solver."):
            found.setdefault(record.__name__, record)
        todo += record.__subclasses__()
    return found


def is_call(name: str) -> bool:
    return name.endswith(("Request", "Response"))


PAIRS = [
    pytest.param(records()[message.name], message, id=message.name)
    for message in messages()
    if not is_call(message.name) and message.name not in NO_RECORD and message.full_name not in POSITIONAL | WRAPPERS
]


def bare(annotation: Any) -> list[Any]:
    """The types an annotation allows, without Annotated and None."""
    if typing.get_origin(annotation) is typing.Annotated:
        return bare(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [part for each in typing.get_args(annotation) for part in bare(each)]
    return [] if annotation is type(None) else [annotation]


@pytest.mark.parametrize(("record", "message"), PAIRS)
def test_same_fields(record: type[Record], message: Descriptor) -> None:
    """Tests that a record and the message of its name have the same fields."""
    assert set(message.fields_by_name) == set(record.model_fields)


@pytest.mark.parametrize(("record", "message"), PAIRS)
def test_same_shapes(record: type[Record], message: Descriptor) -> None:
    """Tests that each field can carry all that the record's field can say."""
    for field in message.fields:
        (kind,) = bare(record.model_fields[field.name].annotation)
        assert_carries(field, kind, f"{message.name}.{field.name}")


TEXTS = frozenset({"Spread.field"})
"""Names of fields of a record, which are text in a message too."""


def assert_carries(field: FieldDescriptor, kind: Any, where: str) -> None:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and arguments[-1] is Ellipsis:
        assert field.is_repeated, where
        (entry,) = bare(arguments[0])
        assert_value(field, entry, where)
    elif origin is tuple and field.is_repeated:
        for argument in arguments:
            assert_value(field, bare(argument)[0], where)
    elif origin is dict and field.message_type is not None and field.message_type.GetOptions().map_entry:
        assert_value(field.message_type.fields_by_name["value"], bare(arguments[1])[0], where)
    else:
        assert not field.is_repeated, where
        assert_value(field, kind, where)


def assert_value(field: FieldDescriptor, kind: Any, where: str) -> None:
    origin, message = typing.get_origin(kind), field.message_type
    if where in TEXTS:
        assert field.cpp_type == FieldDescriptor.CPPTYPE_STRING, where
    elif origin is Literal and all(isinstance(value, int) for value in typing.get_args(kind)):
        assert_value(field, int, where)
    elif origin is Literal:
        assert field.enum_type is not None, where
        prefix = field.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
        names = {value.name.removeprefix(prefix).lower() for value in field.enum_type.values}
        assert set(typing.get_args(kind)) <= names, where
    elif origin is tuple:
        assert message is not None, where
        assert message.full_name in POSITIONAL, where
        assert len(message.fields) == len(typing.get_args(kind)), where
    elif origin is dict:
        assert message is not None, where
        assert message.full_name in WRAPPERS, where
        assert len(message.fields) == 1, where
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        assert message is not None, where
        assert message.name == kind.__name__, where
    elif kind in (float, Decimal):
        assert field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE, where
    elif kind is int:
        assert field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64), where
    elif kind is bool:
        assert field.cpp_type == FieldDescriptor.CPPTYPE_BOOL, where
    else:
        assert kind in (str, datetime.date), where
        assert field.cpp_type == FieldDescriptor.CPPTYPE_STRING or field.enum_type is not None, where


ALL_MESSAGES = [*messages(), *run_service_pb2.DESCRIPTOR.message_types_by_name.values()]


@pytest.mark.parametrize("message", [pytest.param(m, id=m.name) for m in ALL_MESSAGES])
def test_every_scalar_has_presence(message: Descriptor) -> None:
    """Tests that no forgotten number arrives as 0: a forgotten price must not make a card free."""
    for field in message.fields:
        assert field.is_repeated or field.has_presence, field.full_name


def test_question_keys() -> None:
    """Tests that the message of a question has the keys of question files, and the documented ones beside them."""
    from solver.catalog.question import KEYS

    extra = {"workload_id", "catalog_id", "catalog"}
    assert set(problem_pb2.Problem.DESCRIPTOR.fields_by_name) == {*KEYS, *extra}
    assert set(SearchOptions.model_fields) <= set(Options.__dataclass_fields__)


@pytest.mark.parametrize("kind", ["cards", "platforms", "offers", "workloads"])
def test_catalogue_round_trip(kind: str) -> None:
    """Tests that every entry of the catalogue survives the way to bytes and back, JSON form included."""
    library = default_library()
    entries = library.workloads if kind == "workloads" else getattr(library.catalog, kind)
    pairs: dict[str, tuple[type[Record], type[Message]]] = {
        "cards": (Card, catalog_pb2.Card),
        "platforms": (Platform, catalog_pb2.Platform),
        "offers": (Offer, catalog_pb2.Offer),
        "workloads": (Workload, catalog_pb2.Workload),
    }
    record, message = pairs[kind]
    assert entries
    for entry in entries:
        data = message_of(entry, message).SerializeToString()
        back = record_of(parsed(data, message), record)
        assert back == entry
        assert back.model_dump_json() == entry.model_dump_json()


@pytest.mark.parametrize(
    ("limits", "status"),
    [({}, "optimal"), ({"budget_cny": 10}, "infeasible"), ({"budget_cny": Decimal("300000.01")}, "optimal")],
)
@pytest.mark.parametrize("goal", ["batch", "epoch", "value", "cost"])
def test_result_round_trip(goal: str, limits: dict[str, Any], status: str) -> None:
    """Tests that a result is the same record after the wire, and prints the same JSON."""
    result = optimize(default_problem(goal=goal, limits=limits), Options(today=TODAY))
    assert result.status == status
    data = message_of(result, result_pb2.Result).SerializeToString()
    back = record_of(parsed(data, result_pb2.Result), Result)
    assert back == result
    assert result_object(back) == result_object(result)


def test_check_report_round_trip() -> None:
    """Tests that a report with every kind of field is the same record after the wire."""
    for watts in (450, 300, None):
        report = check(default_problem(), "rtx-4090-blower", 4, "guide-base", watts, TODAY)
        data = message_of(report, result_pb2.CheckReport).SerializeToString()
        back = record_of(parsed(data, result_pb2.CheckReport), CheckReport)
        assert back == report
        assert check_object(back) == check_object(report)


@pytest.mark.parametrize("seed", range(100))
def test_random_problems_round_trip(seed: int) -> None:
    """Tests that any whole problem arrives as itself, whatever its catalogue and workload are."""
    problem = random_problem(random.Random(seed))
    data = problem_message(problem, default_library()).SerializeToString()
    assert asked(parsed(data, problem_pb2.Problem), LIBRARIES) == problem


MONEY = st.integers(0, 10**14).map(lambda fen: Decimal(fen) / 100)
QUESTIONS = st.fixed_dictionaries(
    {},
    optional={
        "goal": st.sampled_from(["batch", "epoch", "value", "cost"]),
        "limits": st.fixed_dictionaries(
            {},
            optional={
                "budget_cny": MONEY,
                "max_cards": st.integers(1, 8),
                "min_batch": st.integers(1, 10_000_000),
                "max_epoch_days": st.decimals(0, 36500, places=6),
                "power_limit_w": st.integers(1, 100_000),
                "include": st.lists(st.sampled_from(["rtx-4090", "guide-base"]), max_size=3),
                "allow_used": st.booleans(),
                "require_nvlink": st.booleans(),
            },
        ),
        "site": st.fixed_dictionaries(
            {},
            optional={
                "socket_amps": st.decimals(0, 10_000, places=3),
                "derating": st.decimals("0.001", 1, places=3),
                "room_cooling_w": st.integers(0, 10_000_000),
            },
        ),
        "workload": st.one_of(
            st.just("guide-6b"),
            st.fixed_dictionaries(
                {}, optional={"samples": st.integers(1, 10**8), "reserve_gb": st.decimals(0, 99_999, places=10)}
            ),
        ),
        "prices": st.dictionaries(st.sampled_from(["rtx-4090", "rtx-a6000", "guide-base"]), MONEY),
    },
)


@settings(max_examples=150, deadline=None)
@given(QUESTIONS)
def test_questions_mean_the_same(question: dict[str, Any]) -> None:
    """Tests that a question asked over the wire is the problem that the library makes of it, to the last fen."""
    library = default_library()
    data = problem_message(question, library).SerializeToString()
    over = asked(parsed(data, problem_pb2.Problem), LIBRARIES)
    assert over == resolve(question, library)
    assert over.digest == resolve(question, library).digest


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ({"limits": {"budget_cny": 1.005}}, "limits.budget_cny = 1.005: must have at most 2 decimals"),
        ({"limits": {"budget_cny": math.nan}}, "limits.budget_cny = nan: must be a finite number"),
        ({"limits": {"budget_cny": -1}}, "limits.budget_cny = -1: must be between 0 and 1000000000000"),
        ({"limits": {"max_cards": 9}}, "limits.max_cards = 9: must be at most 8"),
        ({"cards": [{"id": "x"}]}, "cards.0.name: is required"),
        ({"workload_id": "guide-6b", "workload": {"id": "other"}}, 'workload_id = "guide-6b": must be the same'),
        ({"catalog_id": "default", "catalog": {}}, 'catalog_id = "default": must be absent where a catalog is given'),
        ({"catalog": {"cards": [{"id": "x"}]}}, "catalog.cards.0.name: is required"),
        ({"offers": [{"item_id": "rtx-4090"}]}, "offers.0.unit_price_cny: is required"),
    ],
)
def test_faults_name_the_field(message: dict[str, Any], fault: str) -> None:
    """Tests that each fault names path, value and what is allowed, and that a forgotten price is no free card."""
    with pytest.raises(InvalidProblem) as caught:
        asked(message_of(message, problem_pb2.Problem), LIBRARIES)
    assert str(caught.value).startswith(fault)


def test_unknown_enum_number() -> None:
    """Tests that a goal of a later version is refused, not taken for the default."""
    message = problem_pb2.Problem(goal=typing.cast(Any, 99))
    with pytest.raises(InvalidProblem, match=r"goal = 99: must be one of"):
        asked(message, LIBRARIES)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"workload_id": "guide-7b"}, "did you mean guide-6b"),
        ({"catalog_id": "defaul"}, "did you mean default"),
        ({"prices": {"rtx-4091": 1}}, "did you mean rtx-4090"),
        ({"limits": {"exclude": ["a100"]}}, "no card or platform"),
    ],
)
def test_unknown_names(message: dict[str, Any], name: str) -> None:
    """Tests that unknown names are told apart from wrong values, with the nearest names."""
    with pytest.raises(UnknownName, match=name):
        asked(message_of(message, problem_pb2.Problem), LIBRARIES)


def test_unknown_field_is_refused() -> None:
    """Tests that a limit this version does not know is not dropped in silence."""
    later = problem_pb2.Problem(limits=problem_pb2.Limits(budget_cny=1)).SerializeToString() + b"\x9a\x06\x00"
    with pytest.raises(InvalidProblem, match=r"#99: this version of the server does not know"):
        parsed(later, problem_pb2.Problem)
    nested = problem_pb2.Problem()
    nested.limits.MergeFromString(b"\x9a\x06\x00")
    with pytest.raises(InvalidProblem, match=r"limits\.#99"):
        parsed(nested.SerializeToString(), problem_pb2.Problem)


def test_undecodable_bytes() -> None:
    """Tests that bytes that are no message are the caller's fault."""
    with pytest.raises(InvalidProblem, match=r"is not a solver\.api\.v1\.Problem message"):
        parsed(b"\xff\xff\xff", problem_pb2.Problem)


@pytest.mark.parametrize(
    ("question", "fault"),
    [
        ({"limits": {"max_cards": 2**40}}, "limits.max_cards = 1099511627776: must be at most 8"),
        ({"limits": {"budget_cny": "much"}}, "limits.budget_cny"),
        ({"limits": {"budget": 3}}, r"limits.budget: unknown field \(did you mean budget_cny"),
        ({"limit": {}}, r"limit: unknown field \(did you mean limits"),
        ({"goal": "fast"}, "goal"),
        ({"site": {"socket_amps": Decimal("1.00000000000000000000001")}}, "site.socket_amps"),
    ],
)
def test_what_cannot_be_sent(question: dict[str, Any], fault: str) -> None:
    """Tests that a value that no message can carry is refused before it is sent, in the words of the records."""
    with pytest.raises(InvalidProblem, match=f"^{fault}"):
        problem_message(question, default_library())


def test_absent_stays_absent() -> None:
    """Tests that an empty request names nothing, so that every default holds."""
    assert plain_of(problem_pb2.Problem()) == {}
    assert asked(problem_pb2.Problem(), LIBRARIES) == default_problem()
    records_of_question: dict[str, type[Record]] = {"Limits": Limits, "Site": Site}
    for name, record in records_of_question.items():
        message = GetMessageClass(problem_pb2.DESCRIPTOR.message_types_by_name[name])()
        assert record_of(message, record) == record()


def test_workload_is_laid_over_its_base() -> None:
    """Tests both forms of the workload: an id, and fields over the workload of that id."""
    whole = asked(message_of({"workload_id": "guide-6b"}, problem_pb2.Problem), LIBRARIES)
    assert whole == default_problem()
    changed: Problem = asked(
        message_of({"workload_id": "guide-6b", "workload": {"samples": 7}}, problem_pb2.Problem), LIBRARIES
    )
    assert changed.workload.samples == 7
    assert changed.workload.name == default_problem().workload.name
