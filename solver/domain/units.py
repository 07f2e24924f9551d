"""Exact units: money in fen, memory in MiB, power in W or mW, time in microseconds. No float reaches a comparison.

Records keep what people write (yuan, GB, seconds) as `Decimal`; these types refuse what cannot be converted
exactly, and the functions below convert to the integers that the model and the re-check use. GB means GiB = 1,024 MiB.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from solver.domain.language import say

MIB_PER_GB = 1024
FEN_PER_CNY = 100
US_PER_S = 1_000_000
US_PER_HOUR = 3600 * US_PER_S
US_PER_DAY = 24 * US_PER_HOUR
NEVER_US = 10**18
"""An epoch this long (31,700 years) or longer counts as never ending; exact times are below it."""


def _number(places: int, low: str, high: str) -> Any:
    least, most = Decimal(low), Decimal(high)

    def parse(value: object) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise ValueError(say("must be a number"))
        if isinstance(value, int):
            if abs(value) > 10**18:
                raise ValueError(say("must be between {low} and {high}", low=low, high=high))
            number = Decimal(value)
        else:
            number = value if isinstance(value, Decimal) else Decimal(repr(value))
        if not number.is_finite():
            raise ValueError(say("must be a finite number"))
        if not least <= number <= most:
            raise ValueError(say("must be between {low} and {high}", low=low, high=high))
        exponent = number.normalize().as_tuple().exponent
        if isinstance(exponent, int) and -exponent > places:
            raise ValueError(say("must have at most {places} decimals", places=places))
        return Decimal(format(number.normalize(), "f"))

    return parse


def plain_number(value: Decimal) -> int | float:
    """Return a decimal as the JSON number people wrote: an integer where it is one."""
    return int(value) if value == value.to_integral_value() else float(value)


def _decimal_type(places: int, low: str, high: str) -> Any:
    return Annotated[
        Decimal,
        BeforeValidator(_number(places, low, high)),
        PlainSerializer(plain_number, when_used="json"),
        WithJsonSchema({"type": "number", "minimum": float(low), "maximum": float(high)}),
    ]


# mypy reads these as Decimal; pydantic reads the annotation behind it.
Cny = Annotated[Decimal, *_decimal_type(2, "0", "1000000000000").__metadata__]
CnyTotal = Annotated[Decimal, *_decimal_type(2, "0", "1000000000000000").__metadata__]
"""A sum of prices: room for 64 of the dearest cards."""
Gb = Annotated[Decimal, *_decimal_type(10, "0", "1000000").__metadata__]
PositiveGb = Annotated[Decimal, *_decimal_type(10, "0.0009765625", "1000000").__metadata__]
Seconds = Annotated[Decimal, *_decimal_type(3, "0", "3600").__metadata__]
Hours = Annotated[Decimal, *_decimal_type(6, "0", "1000000").__metadata__]
Days = Annotated[Decimal, *_decimal_type(6, "0", "36500").__metadata__]
Amps = Annotated[Decimal, *_decimal_type(3, "0", "10000").__metadata__]
Volts = Annotated[Decimal, *_decimal_type(3, "0", "1000").__metadata__]
Share = Annotated[Decimal, *_decimal_type(3, "0", "1").__metadata__]
Percent = Annotated[Decimal, *_decimal_type(3, "0", "100").__metadata__]
Factor = Annotated[Decimal, *_decimal_type(3, "0", "10").__metadata__]
Tflops = Annotated[Decimal, *_decimal_type(3, "0.001", "100000").__metadata__]
Quantity = Annotated[Decimal, *_decimal_type(3, "0", "1000000").__metadata__]
BytesPerParameter = Annotated[Decimal, *_decimal_type(3, "0", "1000").__metadata__]
Celsius = Annotated[Decimal, *_decimal_type(3, "0", "1000").__metadata__]
Watts = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Mib = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
Count = Annotated[int, Field(strict=True, ge=0, le=10_000)]


def fen(cny: Decimal) -> int:
    """Return yuan as whole fen; the `Cny` type has made sure that it is exact."""
    return int(cny * FEN_PER_CNY)


def cny(amount_fen: int) -> Decimal:
    """Return fen as yuan with at most two decimals."""
    return Decimal(format((Decimal(amount_fen) / FEN_PER_CNY).normalize(), "f"))


def mib_up(gb: Decimal) -> int:
    """Return GB (GiB) as MiB, rounded up: a demand never gets smaller by rounding."""
    return math.ceil(gb * MIB_PER_GB)


def mib_down(gb: Decimal) -> int:
    """Return GB (GiB) as MiB, rounded down: a capacity never gets larger by rounding."""
    return math.floor(gb * MIB_PER_GB)


def milli(value: Decimal) -> int:
    """Return thousandths (ms of s, per mille of a share); the types above hold at most three decimals."""
    return int(value * 1000)


def hours(us: int) -> float:
    """Return microseconds as hours, for display."""
    return us / US_PER_HOUR
