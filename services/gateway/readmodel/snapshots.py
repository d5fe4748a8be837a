"""What the read models take from the compacted topics. A record that is no snapshot of what its key names is passed
over: raised, it would end the process, which reads the same record again at its next start, for ever.
"""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from prometheus_client import Counter

from services.chassis import log, metrics
from services.chassis.envelope import Event

S = TypeVar("S", bound=Message)

_log = log.get(__name__)
_REFUSED = metrics.Kept(
    Counter(
        "sampan_gateway_snapshots_refused_total",
        "Snapshots that are unreadable, of an unknown type or under another's key.",
        ["topic"],
    )
)


def snapshot_of(event: Event, kind: type[S], key_of: Callable[[S], str]) -> S | None:
    """The snapshot in an event; None where there is none of this kind, or one that its key does not name."""
    if event.type != kind.DESCRIPTOR.full_name:
        refuse(event, f"type {event.type}")
        return None
    snapshot = kind()
    try:
        snapshot.ParseFromString(event.payload)
    except DecodeError as error:
        refuse(event, repr(error))
        return None
    if key_of(snapshot) != event.key:
        refuse(event, f"the key is not {key_of(snapshot)}")
        return None
    return snapshot


def refuse(event: Event, cause: str) -> None:
    """Counts a record that is passed over, and says where it lies."""
    _REFUSED[event.topic].inc()
    _log.error(
        "snapshot refused", topic=event.topic, partition=event.partition, offset=event.offset, cause=cause
    )
