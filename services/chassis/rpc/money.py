"""google.type.Money <-> (minor units, currency code)."""

from google.type.money_pb2 import Money

from services.chassis import money


def to_proto(minor: int, currency_code: str) -> Money:
    """The message for an amount in minor units."""
    units, nanos = money.units_and_nanos(minor, currency_code)
    return Money(currency_code=currency_code, units=units, nanos=nanos)


def from_proto(message: Money) -> tuple[int, str]:
    """Minor units and currency code; raises InvalidArgument for an unknown currency or a finer amount."""
    return money.minor_of(message.units, message.nanos, message.currency_code), message.currency_code
