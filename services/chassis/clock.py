"""Wall-clock time. What must be decided exactly (due timers, expiry) is decided by the database's clock."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""A source of the present, to be passed to what a test wants to move in time."""


def now_utc() -> datetime:
    """The present, aware of its zone."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """`2026-03-01T09:30:00.123456Z`: always UTC; a naive time is refused rather than guessed."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone has no place on the wire")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
