"""Records <-> protobuf: the only code that knows both.

A field of a message and the field of the record of the same name are the same thing (tests/test_wire.py holds every
pair against each other), so a new field is a line in the record and a line in the .proto, and nothing here.
"""

from solver.wire.convert import message_of, parsed, plain_of, record_of
from solver.wire.question import DEFAULT_CATALOG, asked, base_message, library_named, problem_message, question_from

__all__ = [
    "DEFAULT_CATALOG",
    "asked",
    "base_message",
    "library_named",
    "message_of",
    "parsed",
    "plain_of",
    "problem_message",
    "question_from",
    "record_of",
]
