"""How an outbox stands, for a person who looks at it from outside."""

from typing import NamedTuple

from services.chassis import pg
from services.chassis.outbox.buckets import BUCKET_LOCK_CLASS, RELAY_LOCK_CLASS
from services.chassis.queries import load_queries

COUNTED_MAX = 1_000_000


class OutboxStatus(NamedTuple):
    """Events that wait (counted up to `COUNTED_MAX`) and since when the oldest does; who relays them."""

    waiting: int
    oldest_age_s: float
    relays: int
    buckets_held: int
    """Of `BUCKETS`; what nobody holds is not relayed."""


async def of(connection: pg.Connection) -> OutboxStatus:
    """The outbox of the connection's database."""
    queries = load_queries("services.chassis")
    row = await connection.fetchrow(queries["measure_outbox"], COUNTED_MAX)
    if row is None:
        raise LookupError("an aggregate gives one row")
    return OutboxStatus(
        row["rows"],
        max(0.0, row["oldest_age_s"]),
        await connection.fetchval(queries["count_locks"], RELAY_LOCK_CLASS),
        await connection.fetchval(queries["count_locks"], BUCKET_LOCK_CLASS),
    )
