"""How many requests a key, or a whole tenant, may have let in per minute, and what gateways tell each other of that.

Access keeps the numbers; the gateway counts (services/gateway/limits.py).
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from services.chassis.errors import FieldInvalid, FieldRequired, TooManyItems

REQUESTS_PER_MINUTE_MAX = 10_000_000
USES_MAX = 2_000
LIMIT_NAME_CHARS_MAX = 400
WINDOW_START_MAX = 2**40
REQUESTS_MAX = 2**40


class Limits(msgspec.Struct, frozen=True, gc=False):
    """Requests per minute by class of route; 0: any number."""

    reads: int = 0
    writes: int = 0
    orders: int = 0
    imports: int = 0
    streams: int = 0


NO_LIMITS = Limits()


class Use(msgspec.Struct, frozen=True, gc=False):
    """What one replica has let in of a limit in the window that began `window_start` seconds after 1970."""

    limit: str
    window_start: int
    requests: int


def checked(limits: Limits) -> Limits:
    """The limits; raises the InvalidArgument of the first fault."""
    for name in Limits.__struct_fields__:
        if not 0 <= getattr(limits, name) <= REQUESTS_PER_MINUTE_MAX:
            raise FieldInvalid(f"limits.{name}", f"0 to {REQUESTS_PER_MINUTE_MAX:,} per minute")
    return limits


def replica(replica_id: str) -> UUID:
    """Who tells what it has let in."""
    if not replica_id:
        raise FieldRequired("replica_id")
    try:
        return UUID(replica_id)
    except ValueError:
        raise FieldInvalid("replica_id", "a UUID") from None


def checked_uses(uses: Sequence[Use]) -> Sequence[Use]:
    """What a replica tells; raises the InvalidArgument of the first fault."""
    if len(uses) > USES_MAX:
        raise TooManyItems("uses", USES_MAX)
    for index, use in enumerate(uses):
        if not 0 < len(use.limit) <= LIMIT_NAME_CHARS_MAX or not use.limit.isprintable():
            raise FieldInvalid(f"uses[{index}].limit", f"1 to {LIMIT_NAME_CHARS_MAX} printable characters")
        if not 0 <= use.window_start <= WINDOW_START_MAX:
            raise FieldInvalid(f"uses[{index}].window_start", "seconds since 1970")
        if not 0 <= use.requests <= REQUESTS_MAX:
            raise FieldInvalid(f"uses[{index}].requests", "a count")
    if len({(use.limit, use.window_start) for use in uses}) != len(uses):
        raise FieldInvalid("uses", "of limits and windows that are each stated once")
    return uses
