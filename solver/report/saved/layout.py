"""The files of a saved answer by name, and the day it is of.

`saved.json` is written last: a folder without it was not finished.
"""

from __future__ import annotations

import datetime
import os

from solver.domain.errors import InvalidProblem

PLAN = "plan.json"
EXPLAIN = "explain.json"
FRONTIER = "frontier.json"
ORDER_SHEET = "order.xlsx"
ORDER_TABLE = "order.csv"
TRAINING = "ds_config.json"
POWER = "power-limits.sh"
QUESTION = "problem.yaml"
README = "README.txt"
MANIFEST = "saved.json"

NAMES = (PLAN, EXPLAIN, FRONTIER, ORDER_SHEET, ORDER_TABLE, TRAINING, POWER, QUESTION, README, MANIFEST)
"""All files there can be, in the order they are written."""


def source_date() -> datetime.datetime | None:
    """The moment SOURCE_DATE_EPOCH names (UTC); None where it is not set.

    Raises:
        InvalidProblem: it is not a number of seconds that a workbook can hold (1980 to 2107).
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if text.isascii() and text.isdecimal() and 315_532_800 <= int(text[:12]) < 4_354_819_200 and len(text) <= 12:
        return datetime.datetime.fromtimestamp(int(text), datetime.UTC)
    raise InvalidProblem.of("SOURCE_DATE_EPOCH", text, "must be seconds since 1970, of a day between 1980 and 2107")


def today() -> datetime.date:
    """The day against which prices age: that of SOURCE_DATE_EPOCH where it is set, else today."""
    moment = source_date()
    return datetime.date.today() if moment is None else moment.date()
