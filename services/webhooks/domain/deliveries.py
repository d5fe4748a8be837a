"""Deliveries: a message to one endpoint, and the law by which it is tried again.

PENDING -> DELIVERED | FAILED; by a redelivery both become PENDING again.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import IntEnum, StrEnum

import msgspec

GONE = 410
BUSY = frozenset((429, 503))
RETRY_AFTER_S_MAX = 3_600.0
"""For so long an endpoint may ask to be left alone at a time: a slip there must not cost it a day's messages."""
_JITTER = 0.25


class DeliveryState(IntEnum):
    """Where a delivery stands; the numbers are those of the contract."""

    PENDING = 1
    DELIVERED = 2
    FAILED = 3


class Failure(StrEnum):
    """Why an attempt failed."""

    STATUS = "STATUS"
    TIMEOUT = "TIMEOUT"
    CONNECTION = "CONNECTION"
    TLS = "TLS"
    NAME = "NAME"
    ADDRESS_REFUSED = "ADDRESS_REFUSED"
    MALFORMED = "MALFORMED"
    SECRET = "SECRET"
    """Nothing was sent: our key for the endpoint's secret is missing."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What came of an attempt: the answer's status, 0 where there was none, why it counts as failed, and for how long
    the endpoint asked to be left alone.
    """

    status: int
    failure: Failure | None = None
    retry_after_s: float = 0.0

    @classmethod
    def of_answer(cls, status: int, retry_after: str, now: datetime) -> "Outcome":
        """Only 2xx is a success: a redirect is not followed, since it may lead anywhere.

        `retry_after` is the answer's Retry-After, empty where there is none; it counts where the endpoint is too busy.
        """
        if 200 <= status < 300:
            return cls(status)
        return cls(status, Failure.STATUS, _seconds(retry_after, now) if status in BUSY else 0.0)


class RetryPolicy(msgspec.Struct, frozen=True, gc=False):
    """When a failed delivery is tried again: after `first_s`, then each time `factor` times as long, `delay_s_max` at
    most, for `retry_for_s` after it was made or redelivered. Each delay is varied by a quarter either way, so that
    what failed together does not come back together.
    """

    first_s: float = 5.0
    retry_for_s: float = 3 * 86_400.0
    factor: float = 4.0
    delay_s_max: float = 8 * 3_600.0

    def delay(self, attempts: int, chance: float) -> timedelta:
        """The pause after so many failed attempts; `chance` is drawn from 0 to 1."""
        # Beyond the largest delay the power would only grow, at last out of range.
        steps = min(attempts - 1, 32)
        pause_s = min(self.first_s * self.factor**steps, self.delay_s_max)
        return timedelta(seconds=pause_s * (1 - _JITTER + 2 * _JITTER * chance))

    def next_attempt(
        self, attempts: int, since: datetime, now: datetime, chance: float, retry_after_s: float
    ) -> datetime | None:
        """When to try again after so many failed attempts, and not before that is over; None: give up."""
        due = now + max(self.delay(attempts, chance), timedelta(seconds=retry_after_s))
        return due if due <= since + timedelta(seconds=self.retry_for_s) else None


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A delivery as it stands. `retry_from` is when its present attempts began; `round_attempts` counts those alone."""

    delivery_id: str
    endpoint_id: str
    message_id: str
    event_type: str
    event_time: datetime
    body: str
    state: DeliveryState
    attempts: int
    round_attempts: int
    retry_from: datetime
    last_status: int
    last_failure: str
    last_attempt_time: datetime | None
    next_attempt_time: datetime | None
    create_time: datetime


def attempted(
    delivery: Delivery, outcome: Outcome, now: datetime, policy: RetryPolicy, chance: float
) -> Delivery:
    """The delivery after an attempt."""
    tried = msgspec.structs.replace(
        delivery,
        attempts=delivery.attempts + 1,
        round_attempts=delivery.round_attempts + 1,
        last_status=outcome.status,
        last_failure=outcome.failure or "",
        last_attempt_time=now,
        next_attempt_time=None,
    )
    if outcome.failure is None:
        return msgspec.structs.replace(tried, state=DeliveryState.DELIVERED)
    due = policy.next_attempt(tried.round_attempts, tried.retry_from, now, chance, outcome.retry_after_s)
    if outcome.status == GONE or due is None:
        return msgspec.structs.replace(tried, state=DeliveryState.FAILED)
    return msgspec.structs.replace(tried, next_attempt_time=due)


def again(delivery: Delivery, now: datetime) -> Delivery:
    """The delivery, to be sent once more at once and retried as at first."""
    return msgspec.structs.replace(
        delivery, state=DeliveryState.PENDING, round_attempts=0, retry_from=now, next_attempt_time=now
    )


def _seconds(retry_after: str, now: datetime) -> float:
    """What a Retry-After means, by RFC 9110 seconds or a date, RETRY_AFTER_S_MAX at most; 0 where it is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), RETRY_AFTER_S_MAX)
    try:
        until = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return 0.0
    pause = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
    return min(max(pause.total_seconds(), 0.0), RETRY_AFTER_S_MAX)
