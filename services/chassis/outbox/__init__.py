"""The transactional outbox: events are rows of the deciding transaction first, and Kafka records soon after."""

from services.chassis.envelope import OutboxMessage
from services.chassis.outbox import status
from services.chassis.outbox.append import BUCKETS, MessageTooLarge, append, columns
from services.chassis.outbox.relay import OutboxRelay, attach_relay
from services.chassis.schema import OUTBOX_SCHEMA

__all__ = [
    "BUCKETS",
    "OUTBOX_SCHEMA",
    "MessageTooLarge",
    "OutboxMessage",
    "OutboxRelay",
    "append",
    "attach_relay",
    "columns",
    "status",
]
