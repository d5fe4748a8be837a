"""Notifications in our own words, for providers that have none of their own: docs/payments.md."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from services.orders.errors import NotificationMalformed
from services.orders.payments.port import Answer, Notification, Outcome


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What the API documents as PaymentNotification."""

    payment_id: UUID
    outcome: Literal["authorised", "declined", "captured", "capture_declined", "refunded"]
    decline_code: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{0,64}$")] = ""


_decoder = msgspec.json.Decoder(Body)


def read(notification_id: str, body: bytes) -> Notification:
    """The notification that a body states; raises `NotificationMalformed`."""
    try:
        told = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotificationMalformed(str(error) or "the body is nested too deeply") from None
    answer = Answer(Outcome(told.outcome.upper()), told.decline_code)
    return Notification(notification_id, told.payment_id, answer)
