"""Adds events to the outbox of the caller's transaction."""

from collections.abc import Sequence
from zlib import crc32

from services.chassis.envelope import AGGREGATE_ID_BYTES_MAX, PAYLOAD_BYTES_MAX, OutboxMessage
from services.chassis.pg import Connection
from services.chassis.queries import load_queries

BUCKETS = 16
"""Fixed for ever: rows carry their bucket, and a bucket's lock excludes a second relay whatever its shard count."""


class MessageTooLarge(ValueError):
    """An event that Kafka would never accept, and that would block its aggregate in the outbox for ever."""


def bucket_of(aggregate_id: str) -> int:
    """The bucket whose relay sends this aggregate's events."""
    return crc32(aggregate_id.encode()) % BUCKETS


async def append(connection: Connection, messages: Sequence[OutboxMessage]) -> None:
    """Adds the events in one statement; their order is the order of sending per aggregate.

    Call it inside the transaction that holds the row locks of all their aggregates: only then is the order
    of ids the order of commits. Raises `MessageTooLarge` before anything is written.
    """
    if messages:
        await connection.execute(load_queries("services.chassis")["append_outbox"], *columns(messages))


def columns(messages: Sequence[OutboxMessage]) -> list[list[object]]:
    """The events as the columns of `append_outbox`, for a statement that appends them together with its own rows.

    Raises `MessageTooLarge`.
    """
    for message in messages:
        if len(message.payload) > PAYLOAD_BYTES_MAX or len(message.aggregate_id) > AGGREGATE_ID_BYTES_MAX:
            raise MessageTooLarge(
                f"{message.type} of {message.aggregate_id[:100]} has {len(message.payload)} bytes, "
                f"{PAYLOAD_BYTES_MAX} are allowed"
            )
    return [
        [bucket_of(message.aggregate_id) for message in messages],
        [message.topic for message in messages],
        [message.key for message in messages],
        [message.aggregate_id for message in messages],
        [message.version for message in messages],
        [message.type for message in messages],
        [message.payload for message in messages],
        [message.traceparent for message in messages],
        [message.event_id for message in messages],
        [message.time for message in messages],
    ]
