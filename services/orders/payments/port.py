"""What orders needs of a payment provider. Every call may be repeated: it is idempotent by payment_id.

A call that does not answer in time has an *unknown* outcome: `look_up` tells it later. No call is made inside
a database transaction.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias
from uuid import UUID

from services.chassis.errors import Unavailable


class Outcome(StrEnum):
    """What a provider says of a payment."""

    PENDING = "PENDING"
    AUTHORISED = "AUTHORISED"
    DECLINED = "DECLINED"
    CAPTURED = "CAPTURED"
    CAPTURE_DECLINED = "CAPTURE_DECLINED"
    REFUNDED = "REFUNDED"
    NEVER_SEEN = "NEVER_SEEN"


class Answer(NamedTuple):
    """An outcome; `decline_code` is the provider's stable word for a refusal."""

    outcome: Outcome
    decline_code: str = ""


class Notification(NamedTuple):
    """An answer that a provider gives by itself; repeated ones have the same id."""

    notification_id: str
    payment_id: UUID
    answer: Answer


class ProviderUnavailable(Unavailable):
    """The provider cannot do it now; the same call may succeed later."""

    def __init__(self) -> None:
        super().__init__("DEPENDENCY_UNAVAILABLE", "the payment provider does not answer", retry_after_s=5.0)


class PaymentProvider(Protocol):
    """One provider. `name` is stored with each payment and must never change."""

    name: str

    async def authorise(
        self,
        payment_id: UUID,
        amount_minor: int,
        currency_code: str,
        payment_token: str,
        *,
        useful_until: datetime,
    ) -> Answer:
        """Asks for a guarantee of the amount: AUTHORISED, DECLINED, or PENDING for an answer by notification.

        An answer after `useful_until` is of no use any more. Raises `PaymentTokenUnknown`.
        """

    async def capture(self, payment_id: UUID) -> Answer:
        """Collects an authorised amount: CAPTURED, or REFUNDED where that came first.

        CAPTURE_DECLINED, with a `decline_code`, is for good: the amount will never be collected, and what was
        guaranteed is released. What may still succeed is `ProviderUnavailable`, and is asked for again.
        """

    async def refund(self, payment_id: UUID) -> Answer:
        """Gives a captured amount back or releases an authorised one: REFUNDED.

        A payment that the provider has never seen is refused for good, should it still arrive.
        """

    async def look_up(self, payment_id: UUID) -> Answer:
        """What became of a payment."""


Providers: TypeAlias = Mapping[str, PaymentProvider]
ReadNotification: TypeAlias = Callable[[str, bytes], Notification]
"""Translates a notification, its id and its body, from the words of its provider: called once the signature is known to
be good. Raises `NotificationMalformed`."""
