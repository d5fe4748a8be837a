"""What a payment provider says by itself, through the door: its signature first, then its words, then the payment.

The provider repeats whatever was not answered by success; so what comes too early is refused and comes again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from services.chassis import clock, metrics, signatures, trace
from services.chassis.errors import DomainError
from services.orders import measures
from services.orders.commands import paying
from services.orders.commands.desk import Desk
from services.orders.domain.payment import PaymentState
from services.orders.errors import PaymentMoveIllegal, PaymentNotFound, PaymentProviderNotFound
from services.orders.payments.port import Notification, ReadNotification
from services.orders.store import payments as payment_store

ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Source:
    """A provider that may notify: the secrets that it may sign with, and how what it says is read."""

    secrets: tuple[str, ...]
    read: ReadNotification


Sources: TypeAlias = Mapping[str, Source]
"""By the name that is stored with payments."""


class Sent(NamedTuple):
    """A notification exactly as it came, of which nothing is known yet."""

    webhook_id: str
    webhook_timestamp: str
    webhook_signature: str
    body: bytes


async def notify(desk: Desk, sources: Sources, provider: str, sent: Sent) -> None:
    """Settles the payment that a notification speaks of. On return its effect is committed, now or by an earlier one.

    Raises `PaymentProviderNotFound`, `SignatureTimeWrong`, `SignatureInvalid`, `NotificationMalformed`,
    `PaymentNotFound`, `NotificationIdReused`, `PaymentMoveIllegal`.
    """
    label = provider if provider in sources else metrics.OTHER
    try:
        await _settle(desk, provider, _verified(sources, provider, sent))
    except DomainError as error:
        measures.NOTIFICATIONS[label, error.reason].inc()
        raise
    measures.NOTIFICATIONS[label, ACCEPTED].inc()


def _verified(sources: Sources, provider: str, sent: Sent) -> Notification:
    source = sources.get(provider)
    if source is None:
        raise PaymentProviderNotFound
    signatures.verify(*sent, source.secrets, clock.now_utc())
    return source.read(sent.webhook_id, sent.body)


async def _settle(desk: Desk, provider: str, notification: Notification) -> None:
    async with desk.db.connection() as connection:
        payment = await payment_store.load_payment(connection, notification.payment_id)
    # Another provider's payment is none of its business, and is not there for it.
    if payment is None or payment.provider != provider:
        raise PaymentNotFound
    try:
        with trace.span("orders.payment_notification"):
            await paying.settle(
                desk,
                notification.payment_id,
                notification.answer,
                notification_id=notification.notification_id,
            )
    except PaymentMoveIllegal as error:
        # Before the authorisation is known, what follows from it has only overtaken it.
        if error.metadata["state"] != PaymentState.PENDING:
            paying.note_contradiction(error, notification.payment_id)
        raise
