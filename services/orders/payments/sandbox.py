"""The sandbox payment provider: it moves no money, and behaves as its test cards say (docs/payments.md).

It stands for another company: its books are tables of its own, its calls are transactions of their own, and
its late answers are rows, so that they outlive a crash of either side.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.chassis.pg import Connection, Database
from services.chassis.queries import load_queries
from services.orders.errors import PaymentTokenUnknown
from services.orders.payments.port import Answer, Notification, Outcome, ProviderUnavailable

SANDBOX_PROVIDER = "sandbox"
LATE_S_MAX = 86_400
AFTER_EXPIRY_S = 2.0
NOTIFICATION_LEASE_S = 10.0
DUPLICATE_DELIVERIES = 3
RELEASED = "released"

_DECLINE_CODES = ("insufficient_funds", "card_expired", "do_not_honour")
_LATE = re.compile(r"card_late_(?P<declined>declined_)?(?P<seconds>[1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class Card:
    """How a test card behaves. `answers_after_s` None means at once; `silent` means never within a call."""

    name: str
    decline_code: str = ""
    answers_after_s: float | None = None
    after_expiry: bool = False
    deliveries: int = 1
    capture_failures: int = 0
    capture_decline_code: str = ""
    silent: bool = False

    @property
    def outcome(self) -> Outcome:
        """What the provider decides in the end."""
        return Outcome.DECLINED if self.decline_code else Outcome.AUTHORISED


def card_of(payment_token: str) -> Card:
    """The test card that a token names; raises `PaymentTokenUnknown`."""
    late = _LATE.fullmatch(payment_token)
    if late is not None and int(late["seconds"]) <= LATE_S_MAX:
        code = _DECLINE_CODES[0] if late["declined"] else ""
        return Card("card_late", decline_code=code, answers_after_s=float(late["seconds"]))
    try:
        return _CARDS[payment_token]
    except KeyError:
        raise PaymentTokenUnknown from None


_CARDS = {
    "card_authorised": Card("card_authorised"),
    "card_declined": Card("card_declined", decline_code=_DECLINE_CODES[0]),
    **{f"card_declined_{code}": Card("card_declined", decline_code=code) for code in _DECLINE_CODES},
    "card_duplicated": Card("card_duplicated", answers_after_s=1.0, deliveries=DUPLICATE_DELIVERIES),
    "card_late_after_expiry": Card(
        "card_late_after_expiry", answers_after_s=AFTER_EXPIRY_S, after_expiry=True
    ),
    "card_capture_retry": Card("card_capture_retry", capture_failures=1),
    "card_capture_declined": Card("card_capture_declined", capture_decline_code=_DECLINE_CODES[2]),
    "card_timeout": Card("card_timeout", silent=True),
}
_CAPTURE_DECLINES = {
    card.name: card.capture_decline_code for card in _CARDS.values() if card.capture_decline_code
}


class SandboxProvider:
    """The provider's side of the port."""

    name = SANDBOX_PROVIDER

    def __init__(self, db: Database) -> None:
        self._db = db
        self._queries = load_queries("services.orders.payments")

    async def authorise(
        self,
        payment_id: UUID,
        amount_minor: int,
        currency_code: str,
        payment_token: str,
        *,
        useful_until: datetime,
    ) -> Answer:
        """Answers as the card says; a card that answers late leaves a notification to be delivered."""
        card = card_of(payment_token)
        at_once = card.answers_after_s is None

        async def work(connection: Connection) -> None:
            await connection.execute(
                self._queries["open_payment"],
                payment_id,
                card.name,
                card.outcome if at_once else Outcome.PENDING,
                amount_minor,
                currency_code,
                card.decline_code if at_once else "",
                card.capture_failures,
            )
            if not at_once:
                await connection.execute(
                    self._queries["promise_notification"],
                    payment_id,
                    card.outcome,
                    useful_until if card.after_expiry else None,
                    card.answers_after_s,
                    card.deliveries,
                    card.decline_code,
                )

        await self._db.transact(work)
        if card.silent:
            await asyncio.Event().wait()
        answer = await self.look_up(payment_id)
        return Answer(Outcome.DECLINED, RELEASED) if answer.outcome is Outcome.REFUNDED else answer

    async def capture(self, payment_id: UUID) -> Answer:
        """Collects an authorised amount, after the failures that the card foresees."""

        async def work(connection: Connection) -> bool:
            if await connection.fetchval(self._queries["fail_capture"], payment_id) is not None:
                return False
            await connection.execute(
                self._queries["decline_capture"],
                payment_id,
                list(_CAPTURE_DECLINES),
                list(_CAPTURE_DECLINES.values()),
            )
            await connection.execute(self._queries["capture_payment"], payment_id)
            return True

        if not await self._db.transact(work):
            raise ProviderUnavailable
        return await self.look_up(payment_id)

    async def refund(self, payment_id: UUID) -> Answer:
        """Gives back or releases."""

        async def work(connection: Connection) -> None:
            await connection.execute(self._queries["refund_payment"], payment_id)

        await self._db.transact(work)
        return await self.look_up(payment_id)

    async def look_up(self, payment_id: UUID) -> Answer:
        """What the books say."""
        async with self._db.connection() as connection:
            row = await connection.fetchrow(self._queries["read_payment"], payment_id)
        return (
            Answer(Outcome.NEVER_SEEN) if row is None else Answer(Outcome(row["state"]), row["decline_code"])
        )

    async def deliver(self, notify: Callable[[Notification], Awaitable[None]], *, limit: int) -> int:
        """Gives the answers that are due to `notify`; returns how many there were.

        An answer that `notify` fails to take is given again after `NOTIFICATION_LEASE_S`.
        """

        async def claim(connection: Connection) -> list[tuple[str, UUID, str, str, int]]:
            rows = await connection.fetch(self._queries["claim_notifications"], limit, NOTIFICATION_LEASE_S)
            return [tuple(row) for row in rows]

        due = await self._db.transact(claim)
        for notification_id, payment_id, outcome, decline_code, _ in due:
            await self._decide(payment_id, outcome, decline_code)
            answer = await self.look_up(payment_id)
            if answer.outcome is not Outcome.REFUNDED:
                told = Answer(Outcome(outcome), decline_code)
                await notify(Notification(notification_id, payment_id, told))
            await self._delivered(notification_id)
        return len(due)

    async def _decide(self, payment_id: UUID, outcome: str, decline_code: str) -> None:
        async def work(connection: Connection) -> None:
            await connection.execute(self._queries["decide_payment"], payment_id, outcome, decline_code)

        await self._db.transact(work)

    async def _delivered(self, notification_id: str) -> None:
        async def work(connection: Connection) -> None:
            await connection.execute(self._queries["delivered"], notification_id)
            await connection.execute(self._queries["forget_delivered"], notification_id)

        await self._db.transact(work)
