"""Values that every document has: enums, times and money."""

import functools
from datetime import datetime
from typing import Any

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.type.money_pb2 import Money as MoneyProto

from services.chassis import money
from services.chassis.errors import InvalidArgument
from services.chassis.rpc import times
from services.gateway.errors import Problem, at_pointer
from services.gateway.schemas.base import Money

NANOS_DIGITS = 9
_DIGITS = {code: money.minor_digits(code) for code in money.CURRENCIES}


class Words:
    """An enum's numbers and its public words: ORDER_STATE_AWAITING_PAYMENT <-> "awaiting_payment"."""

    def __init__(self, enum: Any, prefix: str, *, unspecified: str = "unspecified") -> None:
        wrapper: EnumTypeWrapper = enum
        self.word_of: dict[int, str] = {
            number: name.removeprefix(prefix).lower() if number else unspecified
            for name, number in wrapper.items()
        }
        self.number_of: dict[str, int] = {word: number for number, word in self.word_of.items() if number}

    def word(self, number: int) -> Any:
        """The word; a number of a newer contract than ours is shown as the unspecified one."""
        return self.word_of.get(number) or self.word_of[0]

    def number(self, word: str) -> Any:
        """The number, 0 for the unspecified word. Words are checked by the schema before."""
        return self.number_of.get(word, 0)


def time_of(message: Any, field: str) -> datetime | None:
    """A timestamp field as a time, None where it is unset."""
    if not message.HasField(field):
        return None
    return times.from_proto(getattr(message, field))


def money_of(message: MoneyProto) -> Money:
    """The amount as a decimal string with exactly the currency's places."""
    code = message.currency_code
    units, nanos = message.units, message.nanos
    digits = _DIGITS.get(code, 2)
    if digits == 2 and units >= 0 and nanos >= 0:
        return Money(code, f"{units}.{nanos // 10_000_000:02d}")
    sign = "-" if units < 0 or nanos < 0 else ""
    if digits == 0:
        return Money(code, f"{sign}{abs(units)}")
    return Money(code, f"{sign}{abs(units)}.{abs(nanos) // 10 ** (NANOS_DIGITS - digits):0{digits}d}")


def money_proto(amount: Money, pointer: str) -> MoneyProto:
    """The contract's form; `pointer` names the place where the amount stands, for the refusal of a wrong one."""
    code = amount.currency_code
    try:
        units, nanos = _units_and_nanos(amount.amount, code)
    except InvalidArgument as error:
        raise refused_at(error, pointer) from None
    return MoneyProto(currency_code=code, units=units, nanos=nanos)


@functools.lru_cache(maxsize=4_096)
def _units_and_nanos(amount: str, code: str) -> tuple[int, int]:
    """Kept for the amounts that come again and again: prices and totals do."""
    return money.units_and_nanos(money.parse_minor(amount, code), code)


def refused_at(error: InvalidArgument, pointer: str) -> Problem:
    """The refusal of a value at its place in the body."""
    return at_pointer(error.reason, f"{pointer}/{error.field}" if error.field else pointer, error.message)
