"""Consumption of events with exactly-once effects: effects, outbox rows, applied versions and the next offset
commit in one PostgreSQL transaction; Kafka's own offsets are for lag tools only.
"""

from services.chassis.consumer.commands import discard_rows, parked_rows, replay_rows, require_group
from services.chassis.consumer.handlers import Handler, Independent
from services.chassis.consumer.loop import Consumer, ConsumerStalled, OffsetBeyondEnd
from services.chassis.consumer.parking import (
    ParkedEvent,
    ReplayReport,
    discard_parked,
    list_parked,
    measure_parked,
    replay_parked,
)
from services.chassis.envelope import Event
from services.chassis.schema import CONSUMER_SCHEMA

__all__ = [
    "CONSUMER_SCHEMA",
    "Consumer",
    "ConsumerStalled",
    "Event",
    "Handler",
    "Independent",
    "OffsetBeyondEnd",
    "ParkedEvent",
    "ReplayReport",
    "discard_parked",
    "discard_rows",
    "list_parked",
    "measure_parked",
    "parked_rows",
    "replay_parked",
    "replay_rows",
    "require_group",
]
